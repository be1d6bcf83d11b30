//! What a subscriber of `tracing` sees (feature `tracing`): spans for what may take long, events for damage.
//!
//! Without the feature every call here is empty and every span has no size. With it, a subscriber that panics is not
//! heard and hurts nobody (promises E4): none of its code runs outside of [`heard`]. Some of it runs under the
//! store's locks (a roll's, a failure's), so a subscriber must not use the store that it watches.

use std::path::Path;

use crate::error::{Corruption, Error};
use crate::offset::LogOffset;

/// Something that takes a while; it ends when dropped, in the thread that began it.
#[must_use]
#[derive(Debug)]
pub(crate) struct Span {
    #[cfg(feature = "tracing")]
    entered: Option<tracing::span::EnteredSpan>,
}

/// Calls into the subscriber.
#[cfg(feature = "tracing")]
fn heard<R>(call: impl FnOnce() -> R) -> Option<R> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).ok()
}

#[cfg(feature = "tracing")]
impl Drop for Span {
    fn drop(&mut self) {
        let entered = self.entered.take();
        heard(|| drop(entered));
    }
}

/// A span under this crate's name, or nothing.
macro_rules! span {
    ($level:ident, $name:literal $(, $field:ident = $value:expr)*) => {{
        #[cfg(not(feature = "tracing"))]
        let span = {
            $(let _ = &$value;)*
            Span {}
        };
        #[cfg(feature = "tracing")]
        let span = Span {
            entered: heard(|| tracing::span!(target: "sawlog", tracing::Level::$level, $name $(, $field = $value)*).entered()),
        };
        span
    }};
}

/// Opening a store, from the call to its threads; recovery is a part of it.
pub(crate) fn opening(root: &Path) -> Span {
    span!(INFO, "open", root = tracing_display(root))
}

/// Finding out where the log may be trusted, and cutting there.
pub(crate) fn recovery(root: &Path) -> Span {
    span!(INFO, "recovery", root = tracing_display(root))
}

/// Going over to the next segment, for a record that begins at `from` or behind.
pub(crate) fn roll(from: LogOffset) -> Span {
    span!(DEBUG, "roll", from = from.0)
}

/// One flush: write, sync, tell who waits.
pub(crate) fn flush(from: LogOffset) -> Span {
    span!(DEBUG, "flush", from = from.0)
}

/// One look at what retention gives up, and its removal.
pub(crate) fn sweep(first: LogOffset) -> Span {
    span!(DEBUG, "sweep", first = first.0)
}

/// Damage was found.
pub(crate) fn damage(damage: &Corruption) {
    #[cfg(feature = "tracing")]
    heard(|| {
        let (file, at) = (damage.path.display(), damage.at.0);
        tracing::error!(target: "sawlog", %file, at, what = %damage.what, "damage");
    });
    #[cfg(not(feature = "tracing"))]
    let _ = damage;
}

/// The store takes no more appends.
pub(crate) fn failure(error: &Error) {
    #[cfg(feature = "tracing")]
    heard(|| tracing::error!(target: "sawlog", %error, "failed"));
    #[cfg(not(feature = "tracing"))]
    let _ = error;
}

#[cfg(feature = "tracing")]
fn tracing_display(path: &Path) -> tracing::field::DisplayValue<std::path::Display<'_>> {
    tracing::field::display(path.display())
}

#[cfg(not(feature = "tracing"))]
fn tracing_display(path: &Path) -> &Path {
    path
}
