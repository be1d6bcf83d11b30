//! The flusher: asks the policy, flushes, and thereby tells all who wait. One sync for all of them.
//!
//! There is no list of requests, no timer of its own and no retry in it: while one sync runs others append, and the
//! next sync carries them all.

use std::sync::Arc;

use crate::error::Result;
use crate::flush::current::Current;
use crate::flush::policy::{Decision, Progress};
use crate::offset::LogOffset;
use crate::worker::Next;

/// What a flusher flushes; the commit log implements it.
///
/// ```
/// use std::time::Duration;
/// use sawlog::flush::{Flush, Progress};
/// use sawlog::{LogOffset, Result};
///
/// /// A log in memory: all of it is as durable as it will ever be.
/// struct Memory(LogOffset);
///
/// impl Flush for Memory {
///     fn flush(&self) -> Result<LogOffset> {
///         Ok(self.0)
///     }
///     fn pressure_bytes(&self) -> u64 {
///         u64::MAX
///     }
///     fn progress(&self) -> Option<Progress> {
///         Some(Progress { unflushed_bytes: 0, wanted: false, waiting_for: Duration::ZERO })
///     }
/// }
/// assert_eq!(Memory(LogOffset(100)).flush()?, LogOffset(100));
/// # Ok::<(), sawlog::Error>(())
/// ```
pub trait Flush: Send + Sync {
    /// Writes what is gathered, syncs, and moves the flushed mark to the end that was sampled before the sync.
    ///
    /// # Errors
    /// A failure here is final: the log has latched it and told everybody who waits.
    fn flush(&self) -> Result<LogOffset>;

    /// From so many unflushed bytes on the flusher asks no policy: it would be the window that stops the producers
    /// next, and they would wait for a longer sync.
    fn pressure_bytes(&self) -> u64;

    /// What the policy decides upon; `None` if the log has failed or was closed, and nothing is left to do.
    fn progress(&self) -> Option<Progress>;
}

/// One flusher over one log.
#[derive(Debug)]
pub(crate) struct GroupCommit<L> {
    log: Arc<L>,
    policy: Arc<Current>,
}

impl<L: Flush> GroupCommit<L> {
    pub(crate) fn new(log: Arc<L>, policy: Arc<Current>) -> GroupCommit<L> {
        GroupCommit { log, policy }
    }

    /// One look: flush if the policy in force says so.
    pub(crate) fn step(&self) -> Next {
        let Some(progress) = self.log.progress() else { return Next::Wait };
        let pressed = progress.unflushed_bytes >= self.log.pressure_bytes();
        match if pressed { Decision::Flush } else { self.policy.decide(&progress) } {
            // A failure was latched and told to all who wait by the log itself.
            Decision::Flush => self.log.flush().map_or(Next::Wait, |_| Next::Again),
            // A user's policy may answer zero: that would spin.
            Decision::SleepFor(rest) => Next::After(rest.max(std::time::Duration::from_micros(50))),
            Decision::Sleep => Next::Wait,
        }
    }
}
