//! Time: the machine's, or a clock turned by hand in tests.
//!
//! Nothing but look-up by time depends on the wall clock (promises rule 14); waiting and pacing use the monotonic one.
//! Store times never go back within a log: where the wall clock does, they stay until it has caught up, so that a look-up
//! by time may search by halves.
//!
//! ```
//! use sawlog::clock::{Clock, SystemClock, Timestamp};
//!
//! let clock = SystemClock::new();
//! let day_ago = Timestamp(clock.now().0 - 24 * 3600 * 1000); // for `Queue::offset_at_time`
//! assert!(day_ago > "2020-05-01T09:30:00Z".parse()?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod calendar;

use std::fmt;
use std::time::Duration;

use rustix::time::ClockId;

pub use calendar::BadTime;
pub(crate) use calendar::{date_of, days_to};

/// Milliseconds since the Unix epoch, as RocketMQ stores them (spec, conventions). May be negative in foreign files.
///
/// ```
/// use sawlog::clock::Timestamp;
///
/// let at: Timestamp = "2024-05-01T11:30:00.5+02:00".parse()?;
/// assert_eq!(at, Timestamp(1_714_555_800_500));
/// assert_eq!(at.to_string(), "2024-05-01T09:30:00.500Z");
/// # Ok::<(), sawlog::clock::BadTime>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// A source of time. [`SystemClock`] is the default.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # use sawlog::{Message, Options, Store};
/// use std::time::Duration;
/// use sawlog::clock::{Clock, SystemClock, Timestamp};
///
/// /// Records are stored as of one moment; waiting takes the time that it takes.
/// #[derive(Debug)]
/// struct AsOf(Timestamp, SystemClock);
///
/// impl Clock for AsOf {
///     fn now(&self) -> Timestamp {
///         self.0
///     }
///     fn elapsed(&self) -> Duration {
///         self.1.elapsed()
///     }
/// }
///
/// let clock = AsOf("2024-05-01".parse()?, SystemClock::new());
/// let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16).clock(clock))?;
/// let stored = store.append_and_wait(&Message::new("orders", "paid"))?;
/// assert_eq!(stored.stored.to_string(), "2024-05-01T00:00:00.000Z");
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Clock: fmt::Debug + Send + Sync {
    /// The wall clock. It may jump; the log never lets store time step back.
    fn now(&self) -> Timestamp;
    /// Time since some fixed moment; it never steps back.
    fn elapsed(&self) -> Duration;
}

/// The machine's clocks. The wall clock is read as of the kernel's last tick: up to 10 ms late, 4 ms on most kernels, as
/// the times of files are.
///
/// ```
/// use sawlog::clock::{Clock, SystemClock};
///
/// let clock = SystemClock::new();
/// let before = clock.elapsed();
/// println!("{}", clock.now());
/// assert!(clock.elapsed() >= before);
/// ```
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
    // The kernel's own ticking clock, as it stood at the last tick: an append asks for it, and the exact one costs four
    // times as much (28 ns of some 400).
    fn now(&self) -> Timestamp {
        let now = rustix::time::clock_gettime(ClockId::RealtimeCoarse);
        let ms = now.tv_sec.checked_mul(1000).and_then(|ms| ms.checked_add(now.tv_nsec / 1_000_000));
        // Before 1970: a broken clock; 1 is the least time a record may carry.
        Timestamp(ms.filter(|ms| *ms > 0).unwrap_or(1))
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

/// A clock that stands still until it is turned. For tests; share it by `Arc`.
///
/// ```
/// use std::time::Duration;
/// use sawlog::clock::{Clock, HandClock, Timestamp};
///
/// let clock = HandClock::new(Timestamp(1_700_000_000_000));
/// clock.turn(Duration::from_secs(60));
/// assert_eq!(clock.now(), Timestamp(1_700_000_060_000));
/// ```
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
