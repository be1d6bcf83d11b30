//! The policy in force: asked by every append and by the flusher, exchanged on a running store.

use crate::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use crate::error::Level;
use crate::flush::policy::{Decision, FlushPolicy, Progress};
use crate::sync::RwLock;

/// A flush policy that another one may replace at any moment.
#[derive(Debug)]
pub(crate) struct Current {
    policy: RwLock<Arc<dyn FlushPolicy>>,
    /// Whether the policy acknowledges what is flushed: what every append asks, kept beside the lock.
    waits_for_sync: AtomicBool,
}

impl Current {
    pub(crate) fn new(policy: Arc<dyn FlushPolicy>) -> Current {
        let waits_for_sync = (policy.ack_when() == Level::Flushed).into();
        Current { policy: RwLock::new(policy), waits_for_sync }
    }

    /// What an append waits for that does not say otherwise. One load.
    pub(crate) fn ack_when(&self) -> Level {
        if self.waits_for_sync.load(Ordering::SeqCst) { Level::Flushed } else { Level::Written }
    }

    pub(crate) fn policy(&self) -> Arc<dyn FlushPolicy> {
        Arc::clone(&self.policy.read())
    }

    /// What the policy says. It is asked with no lock held: it is the user's code.
    pub(crate) fn decide(&self, progress: &Progress) -> Decision {
        self.policy().decide(progress)
    }

    /// From now on this policy is asked; `ack_when` is what it has answered.
    pub(crate) fn replace(&self, policy: Arc<dyn FlushPolicy>, ack_when: Level) {
        let mut current = self.policy.write();
        self.waits_for_sync.store(ack_when == Level::Flushed, Ordering::SeqCst);
        let before = std::mem::replace(&mut *current, policy);
        drop(current);
        // The user's code may be behind its end, too.
        drop(before);
    }
}
