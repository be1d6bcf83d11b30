//! The flush policy of a running store: which one it is, and another one in its place.

use std::sync::Arc;

use crate::commit_log::{Terms, Way};
use crate::error::{Error, Level, Result};
use crate::flush::FlushPolicy;
use crate::store::options::window_bytes;
use crate::store::{Inner, Store};

/// What a policy with this level asks of the log. `readers_see` is what the options say of readers, if they do.
pub(super) fn terms(ack_when: Level, readers_see: Option<Level>, max_message_bytes: u32) -> Terms {
    Terms {
        way: if ack_when == Level::Flushed { Way::Staged } else { Way::Direct },
        window_bytes: window_bytes(ack_when, max_message_bytes),
        readers_see: readers_see.unwrap_or(ack_when),
    }
}

impl Store {
    /// Puts another flush policy in the place of the one in force, while producers append and readers read.
    ///
    /// All that was appended before the call is durable when it returns. Later appends are written and acknowledged
    /// as the new policy says; readers see what it promises, unless [`Options::readers_see`] was set; how far the log
    /// may run ahead of the disk is the new policy's, too, so that a batch that was taken under
    /// [`AsyncFlush`](crate::flush::AsyncFlush) may be too large under [`SyncFlush`](crate::flush::SyncFlush). Acks
    /// and waiters from before keep their own promise. The mark that readers follow never goes back.
    ///
    /// The choice lasts until the store is closed: the next open goes by its options. Costs two syncs of the log and,
    /// between policies of different levels, one of the mark.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # use sawlog::{flush::{AsyncFlush, SyncFlush}, Level, Message, Options, Store};
    /// let store = Store::open(folder.path(), Options::new().flush(AsyncFlush::default()))?;
    /// store.append(&Message::new("orders", "a million of these"))?.forget();
    /// store.set_flush(SyncFlush)?;
    /// let ack = store.append(&Message::new("orders", "paid"))?;
    /// assert_eq!(ack.level(), Level::Flushed);
    /// ack.wait()?;
    /// assert_eq!(store.flush_policy().ack_when(), Level::Flushed);
    /// # store.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Failed`] if a sync failed, now or before, and [`Error::Closed`]: which of the two policies is in force
    /// no longer matters then.
    ///
    /// [`Options::readers_see`]: crate::Options::readers_see
    pub fn set_flush(&self, policy: impl FlushPolicy + 'static) -> Result<()> {
        self.inner.set_flush(Arc::new(policy))
    }

    /// The flush policy in force.
    #[must_use]
    pub fn flush_policy(&self) -> Arc<dyn FlushPolicy> {
        self.inner.policy.policy()
    }
}

impl Inner {
    fn set_flush(&self, policy: Arc<dyn FlushPolicy>) -> Result<()> {
        // The user's code, before any lock.
        let ack_when = policy.ack_when();
        let changing = self.changing.lock();
        let done = self.change(policy, ack_when);
        drop(changing);
        self.log.wake_up();
        done
    }

    /// The larger of two windows stands in the mark as long as either may hold: a window that the mark does not know
    /// of would make a torn tail look like damage (promises rule 2).
    fn change(&self, policy: Arc<dyn FlushPolicy>, ack_when: Level) -> Result<()> {
        let terms = terms(ack_when, self.readers_see, self.rules.max_body_bytes);
        let before_bytes = self.log.window_bytes();
        if terms.window_bytes > before_bytes {
            self.save_window(terms.window_bytes)?;
        }
        self.log.change(terms, || self.policy.replace(policy, ack_when))?;
        if terms.window_bytes < before_bytes {
            self.save_window(terms.window_bytes)?;
        }
        Ok(())
    }

    fn save_window(&self, window_bytes: u64) -> Result<()> {
        self.keeper.save_window(&self.log, window_bytes).map_err(|error| match error {
            Error::Closed | Error::Failed(_) => error,
            // As for the keeper itself: a mark that cannot be kept is a store that cannot be trusted.
            other => self.log.fail(other),
        })
    }
}
