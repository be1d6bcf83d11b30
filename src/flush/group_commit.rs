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
pub(crate) trait Flush: Send + Sync {
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

#[cfg(test)]
#[path = "group_commit_tests.rs"]
mod tests;
