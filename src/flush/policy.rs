//! Flush policies: when to sync, and what an acknowledgement means. Pure decisions, no clock, no disk.

use std::fmt;
use std::time::Duration;

use crate::error::Level;

/// When the log is flushed, and what its appends wait for. A user's own takes ten lines.
///
/// ```
/// use std::time::Duration;
/// use sawlog::Level;
/// use sawlog::flush::{Decision, FlushPolicy, Progress};
///
/// /// At 64 KiB, or 2 ms after the first byte.
/// #[derive(Debug)]
/// struct Gathered;
///
/// impl FlushPolicy for Gathered {
///     fn ack_when(&self) -> Level {
///         Level::Flushed
///     }
///     fn decide(&self, progress: &Progress) -> Decision {
///         let patience = Duration::from_millis(2);
///         if progress.unflushed_bytes == 0 {
///             Decision::Sleep
///         } else if progress.unflushed_bytes >= 64 * 1024 || progress.waiting_for >= patience {
///             Decision::Flush
///         } else {
///             Decision::SleepFor(patience - progress.waiting_for)
///         }
///     }
/// }
/// ```
pub trait FlushPolicy: fmt::Debug + Send + Sync {
    /// What an append's acknowledgement waits for, if the append does not say otherwise. It also chooses the way of
    /// writing: [`Level::Written`] copies each record into the page cache at once, [`Level::Flushed`] gathers
    /// records and writes them just before the sync. Must always answer the same: it is asked once, when the policy comes
    /// into force.
    fn ack_when(&self) -> Level;

    /// Whether to flush now. Called by the flusher whenever something changed or a sleep ended, and by producers
    /// that might flush for themselves: it must be quick and must not block.
    fn decide(&self, progress: &Progress) -> Decision;
}

/// What a policy decides upon.
///
/// ```
/// use std::time::Duration;
/// use sawlog::flush::{AsyncFlush, Decision, FlushPolicy, Progress};
///
/// let policy = AsyncFlush::default();
/// let wanted = Progress { unflushed_bytes: 100, wanted: true, waiting_for: Duration::ZERO };
/// assert_eq!(policy.decide(&wanted), Decision::Flush); // one append asked for `Level::Flushed`
/// let little = Progress { wanted: false, ..wanted };
/// assert_eq!(policy.decide(&little), Decision::SleepFor(Duration::from_millis(500)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes appended that no sync covers yet. 0: there is nothing to flush.
    pub unflushed_bytes: u64,
    /// Whether some append that is not covered yet asked for [`Level::Flushed`]; a future that nobody polls counts.
    pub wanted: bool,
    /// How long the oldest of these bytes has been waiting; 0 if there are none.
    pub waiting_for: Duration,
}

/// What the flusher does next.
///
/// ```
/// use std::time::Duration;
/// use sawlog::flush::{Decision, Progress};
///
/// /// A megabyte, or a second.
/// fn decide(progress: &Progress) -> Decision {
///     let patience = Duration::from_secs(1);
///     match progress.unflushed_bytes {
///         0 => Decision::Sleep,
///         bytes if bytes >= 1 << 20 || progress.waiting_for >= patience => Decision::Flush,
///         _ => Decision::SleepFor(patience - progress.waiting_for),
///     }
/// }
/// let little = Progress { unflushed_bytes: 100, wanted: false, waiting_for: Duration::from_millis(400) };
/// assert_eq!(decide(&little), Decision::SleepFor(Duration::from_millis(600)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Write what is gathered and sync.
    Flush,
    /// Ask again after this long. Appends that ask for [`Level::Flushed`] are asked about at once, others about every
    /// 16 KiB: if the answer is to flush then, the sleep ends.
    SleepFor(Duration),
    /// Ask again when something is appended.
    Sleep,
}

/// RocketMQ's `SYNC_FLUSH`: an append is acknowledged when a sync covers it (spec 7.3).
///
/// There is no timer in it: the disk sets the pace, and while one sync runs the next batch gathers.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # use sawlog::{Level, Message, Options, Store};
/// use sawlog::flush::SyncFlush;
///
/// let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16).flush(SyncFlush))?;
/// let ack = store.append(&Message::new("orders", "paid"))?;
/// assert_eq!(ack.level(), Level::Flushed);
/// ack.wait()?;
/// assert!(store.marks().flushed >= ack.end());
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncFlush;

impl FlushPolicy for SyncFlush {
    fn ack_when(&self) -> Level {
        Level::Flushed
    }

    fn decide(&self, progress: &Progress) -> Decision {
        if progress.unflushed_bytes > 0 { Decision::Flush } else { Decision::Sleep }
    }
}

/// RocketMQ's `ASYNC_FLUSH`: an append is acknowledged when it is in the page cache; syncs follow by time (spec 7.3).
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # use sawlog::{Level, Message, Options, Store};
/// use std::time::Duration;
/// use sawlog::flush::AsyncFlush;
///
/// // A power cut may cost a tenth of a second.
/// let often = AsyncFlush { interval: Duration::from_millis(100), least_bytes: 1, ..AsyncFlush::default() };
/// let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16).flush(often))?;
/// let ack = store.append(&Message::new("orders", "paid"))?;
/// assert_eq!(ack.level(), Level::Written);
/// ack.wait()?;
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsyncFlush {
    /// How long the oldest byte waits before a flush of at least `least_bytes`. Default: 500 ms
    /// (`flushIntervalCommitLog`).
    pub interval: Duration,
    /// Fewer bytes than this wait on, up to `at_latest`. Default: 16 KiB (`flushCommitLogLeastPages` = 4).
    pub least_bytes: u64,
    /// The longest that any byte waits. Default: 10 s (`flushCommitLogThoroughInterval`).
    pub at_latest: Duration,
}

impl Default for AsyncFlush {
    fn default() -> Self {
        AsyncFlush {
            interval: Duration::from_millis(500),
            least_bytes: 16 * 1024,
            at_latest: Duration::from_secs(10),
        }
    }
}

impl FlushPolicy for AsyncFlush {
    fn ack_when(&self) -> Level {
        Level::Written
    }

    fn decide(&self, progress: &Progress) -> Decision {
        let waited = progress.waiting_for;
        let enough = progress.unflushed_bytes >= self.least_bytes;
        if progress.unflushed_bytes == 0 {
            Decision::Sleep
        } else if progress.wanted || waited >= self.at_latest || (enough && waited >= self.interval) {
            Decision::Flush
        } else if waited < self.interval {
            Decision::SleepFor((self.interval - waited).min(self.at_latest - waited))
        } else {
            // Too little to be worth a sync: look again at the same pace, because it may grow.
            Decision::SleepFor(self.interval.max(Duration::from_millis(1)).min(self.at_latest - waited))
        }
    }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
