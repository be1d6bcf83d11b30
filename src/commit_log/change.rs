//! What a flush policy asks of the log, and how that changes while the log is in use.

use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::commit_log::append::Staged;
use crate::commit_log::{CommitLog, Way};
use crate::error::{Level, Result};
use crate::segment::Care;

/// What a flush policy asks of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) way: Way,
    /// The most bytes that may be accepted and not flushed; it makes rot provable (promises rule 2).
    pub(crate) window_bytes: u64,
    /// Whether readers see what is written, or flushed bytes only.
    pub(crate) readers_see: Level,
}

/// The terms that hold. They change under the flush lock and the append lock, so whoever holds one of these sees them
/// stand still; all others get a hint.
#[derive(Debug)]
pub(super) struct InForce {
    staged: AtomicBool,
    sees_written: AtomicBool,
    window_bytes: AtomicU64,
}

impl InForce {
    pub(super) fn new(terms: Terms) -> InForce {
        InForce {
            staged: (terms.way == Way::Staged).into(),
            sees_written: (terms.readers_see == Level::Written).into(),
            window_bytes: terms.window_bytes.into(),
        }
    }

    fn replace(&self, terms: Terms) {
        self.staged.store(terms.way == Way::Staged, Ordering::SeqCst);
        self.sees_written.store(terms.readers_see == Level::Written, Ordering::SeqCst);
        self.window_bytes.store(terms.window_bytes, Ordering::SeqCst);
    }
}

impl CommitLog {
    pub(crate) fn way(&self) -> Way {
        if self.in_force.staged.load(Ordering::SeqCst) { Way::Staged } else { Way::Direct }
    }

    /// What this way of writing needs ahead of the tail, and of a sync.
    pub(crate) fn care(&self) -> Care {
        if self.way() == Way::Staged { Care::Blocks } else { Care::Pages }
    }

    pub(crate) fn window_bytes(&self) -> u64 {
        self.in_force.window_bytes.load(Ordering::SeqCst)
    }

    pub(super) fn sees_written(&self) -> bool {
        self.in_force.sees_written.load(Ordering::SeqCst)
    }

    /// Goes over to other terms: everything taken before is durable then. `swap` runs at the moment of the change,
    /// under the locks. Flushes twice: the long part while appends go on under the old terms, and what came
    /// meanwhile.
    ///
    /// A window larger than the one in force must stand in the mark before; a smaller one may afterwards.
    ///
    /// Wakers are put off: the caller holds a lock, and calls [`wake_up`](CommitLog::wake_up) behind it.
    ///
    /// # Errors
    /// [`Error::Failed`](crate::Error::Failed), [`Error::Closed`](crate::Error::Closed). The terms may be the new ones
    /// if it was the second flush that failed.
    pub(crate) fn change(&self, terms: Terms, swap: impl FnOnce()) -> Result<()> {
        let mut held = self.flushing.lock();
        let done = self
            .flush_held(&mut held)
            .and_then(|_| self.change_held(&mut held, terms, swap))
            .and_then(|()| self.flush_held(&mut held).map(drop));
        self.hand_on(held);
        // Whatever they sleep for, it was under the old terms.
        for bell in [self.flusher(), self.janitor(), self.keeper(), &*self.setup.follower] {
            bell.ring();
        }
        done
    }

    fn change_held(&self, held: &mut Staged, terms: Terms, swap: impl FnOnce()) -> Result<()> {
        let mut tail = self.tail.lock();
        self.refuse_closed()?;
        self.refuse_failed()?;
        // A record that goes straight to the page cache must find there all that lie before it.
        std::mem::swap(&mut tail.staged, held);
        self.write_staged(held).map_err(|error| self.fail(error))?;
        self.in_force.replace(terms);
        swap();
        // The visible mark stands where it stood, or moves to what is written: it never goes back. What it shows beyond
        // the flushed one, if readers are to see flushed bytes only, the flush behind this makes durable.
        self.note_written(tail.end());
        Ok(())
    }
}
