//! Time: the machine's, or a clock turned by hand in tests.
//!
//! Nothing but look-up by time depends on the wall clock (promises rule 14); waiting and pacing use the monotonic one.

mod calendar;

use std::fmt;
use std::time::Duration;

pub use calendar::BadTime;
pub(crate) use calendar::{date_of, days_to};

/// Milliseconds since the Unix epoch, as RocketMQ stores them (spec, conventions). May be negative in foreign files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// A source of time. [`SystemClock`] is the default.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The wall clock. It may jump; the log never lets store time step back.
    fn now(&self) -> Timestamp;
    /// Time since some fixed moment; it never steps back.
    fn elapsed(&self) -> Duration;
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    started: std::time::Instant,
}

impl SystemClock {
    /// A clock whose [`Clock::elapsed`] counts from now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the clock room is where time comes from")]
    pub fn new() -> SystemClock {
        SystemClock { started: std::time::Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the clock room is where time comes from")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        // Before 1970 or beyond the year 292 million: a broken clock; 1 is the least time a record may carry.
        Timestamp(since.ok().and_then(|d| i64::try_from(d.as_millis()).ok()).unwrap_or(1))
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

/// A clock that stands still until it is turned. For tests; share it by `Arc`.
#[cfg(any(test, feature = "sim"))]
#[derive(Debug)]
pub struct HandClock {
    now_ms: std::sync::atomic::AtomicI64,
    elapsed_ms: std::sync::atomic::AtomicU64,
}

#[cfg(any(test, feature = "sim"))]
impl HandClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> HandClock {
        HandClock { now_ms: now.0.into(), elapsed_ms: 0.into() }
    }

    /// Both clocks go forward by `by`.
    pub fn turn(&self, by: Duration) {
        use std::sync::atomic::Ordering::SeqCst;
        let ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.elapsed_ms.fetch_add(ms, SeqCst);
        self.now_ms.fetch_add(i64::try_from(ms).unwrap_or(i64::MAX), SeqCst);
    }

    /// The wall clock alone jumps, forward or back.
    pub fn jump_to(&self, now: Timestamp) {
        self.now_ms.store(now.0, std::sync::atomic::Ordering::SeqCst);
    }
}

#[cfg(any(test, feature = "sim"))]
impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.now_ms.load(std::sync::atomic::Ordering::SeqCst))
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.elapsed_ms.load(std::sync::atomic::Ordering::SeqCst))
    }
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn elapsed(&self) -> Duration {
        (**self).elapsed()
    }
}
