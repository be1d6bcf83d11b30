//! Retention as a user sees it: [`Store::set_retention`], [`Store::sweep`], [`Store::remove_before`]; and where appends
//! meet the disk's guard.

use crate::commit_log::{Appended, How, Patience};
use crate::error::{Error, Result};
use crate::message::Encoded;
use crate::offset::LogOffset;
use crate::retention::Retention;
use crate::store::swept::Swept;
use crate::store::{Inner, Store};

impl Store {
    /// The rules by which records go.
    #[must_use]
    pub fn retention(&self) -> Retention {
        self.inner.sweeper.rules()
    }

    /// Other rules, from now on; what goes by them goes soon, off the caller's path. They are not written down: the
    /// next open says its own.
    ///
    /// # Errors
    /// [`Error::InvalidOptions`]: the old rules stay. [`Error::Failed`], [`Error::Closed`]. [`Error::Io`] if the disk
    /// does not say how full it is: the new rules hold.
    pub fn set_retention(&self, rules: Retention) -> Result<()> {
        self.inner.sweeper.set_rules(rules)
    }

    /// Applies the rules now, in the caller's thread, and says what went. The store does it by itself when the log
    /// begins a segment, from time to time while it grows, and when its oldest segment expires.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # use sawlog::{Options, Retention, Store};
    /// let rules = Retention::default().max_bytes(10 << 30);
    /// let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 20).retention(rules))?;
    /// let swept = store.sweep()?;
    /// assert_eq!((swept.first, swept.segments), (store.marks().first, 0));
    /// store.set_retention(rules.max_bytes(5 << 30))?; // or other rules, at once
    /// store.remove_before(store.marks().flushed)?; // or whatever the rules say
    /// assert_eq!(store.retention().max_bytes, Some(5 << 30));
    /// # store.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Io`] and others: a file could not be removed, or what must stand before could not be written. What was
    /// done stands, [`Marks::first`](crate::Marks::first) says it, and the rest is tried again by itself. The store
    /// goes on. [`Error::Failed`], [`Error::Closed`].
    pub fn sweep(&self) -> Result<Swept> {
        self.inner.sweeper.sweep(None)
    }

    /// Removes every segment that ends at or below `at`, whatever the rules say. The one being written stays, and with
    /// it a part of what lies below `at`, if it lies there. Records appended so far are made durable for that.
    ///
    /// # Errors
    /// As [`Store::sweep`].
    pub fn remove_before(&self, at: LogOffset) -> Result<Swept> {
        self.inner.sweeper.sweep(Some(at))
    }

    /// What kept the last sweep that ran by itself from doing all it should. `None` if it did, or if none has run.
    #[must_use]
    pub fn last_sweep_error(&self) -> Option<Error> {
        self.inner.sweeper.last_error()
    }
}

impl Inner {
    /// Appends to the log unless the disk's guard refuses; where there is no room for the next segment, makes some by
    /// the rules and tries once more. Sees to it that the sweeper looks when the log has grown.
    pub(super) fn push(
        &self,
        records: &mut [Encoded<'_>],
        how: How,
        mut each: impl FnMut(Appended),
    ) -> Result<LogOffset> {
        let may_wait = how.patience == Patience::Waits;
        self.sweeper.pass(may_wait)?;
        let end = match self.log.push(records, how, &mut each) {
            // Nobody was told a place: nothing was stored.
            Err(Error::Full { .. }) if may_wait && self.sweeper.made_room() => {
                self.log.push(records, how, &mut each)
            }
            other => other,
        }?;
        self.sweeper.grown_to(end);
        Ok(end)
    }
}
