//! Closing: done once, by whoever comes first; all who close get the same answer.

use std::sync::OnceLock;
use std::thread::ThreadId;
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::disk::Lock;
use crate::error::{Error, Result};
use crate::flush::Flush;
use crate::store::{Inner, Store};
use crate::sync::Event;
use crate::worker;

/// How far the closing of a store is.
#[derive(Debug, Default)]
pub(super) struct Closing {
    /// The thread that does it.
    by: OnceLock<ThreadId>,
    answer: OnceLock<Result<()>>,
    ended: Event,
}

impl Closing {
    /// The answer, once it is there or `limit` has passed; `None` then.
    fn wait(&self, limit: Option<Duration>) -> Option<Result<()>> {
        let clock = SystemClock::new();
        while !self.ended.has_happened() {
            let left = limit.map(|limit| limit.saturating_sub(clock.elapsed()));
            if left == Some(Duration::ZERO) {
                return None;
            }
            self.ended.wait(left);
        }
        Some(self.answer.get().cloned().unwrap_or_else(|| Err(interrupted())))
    }
}

/// The end, however it is reached, also by a waker that panics: nobody writes any more, the folder is given back, and
/// those who wait are let go.
struct End<'s> {
    store: &'s Inner,
    folder: Option<Box<dyn Lock>>,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        // Wakers are not woken here: one of them may be what panicked.
        self.store.log.fail(Error::Closed);
        for worker in &self.store.workers {
            worker.stop();
        }
        self.folder = None;
        self.store.closing.ended.set();
    }
}

fn interrupted() -> Error {
    let message = "a waker that was woken while the store closed".into();
    Error::Panicked { worker: "closing", message }.latched()
}

impl Store {
    /// Flushes, ends the threads, says in the mark that the end was orderly, and gives the folder back. Other
    /// clones can still read; their appends answer [`Error::Closed`]. Dropping the last clone does the same but
    /// cannot report.
    ///
    /// Waits for the disk as long as that takes; [`Store::close_within`] does not. Any number of clones may be closed,
    /// by any threads: each call returns when the store is closed, with the same answer. Only a waker that the closing
    /// or one of the store's own threads runs, and which closes the store that is being closed, gets `Ok` at once:
    /// nobody can wait for himself.
    ///
    /// # Errors
    /// What the store had failed with, or what failed now: the next open recovers then.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
    /// # use sawlog::{Message, Options, Store};
    /// store.append(&Message::new("orders", "paid"))?.forget();
    /// store.close()?; // durable
    /// let store = Store::open(folder.path(), Options::new())?;
    /// assert!(store.recovery().clean_shutdown);
    /// # store.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close(self) -> Result<()> {
        self.inner.close()
    }

    /// The same, but returns when `limit` is over at the latest, whatever the disk does. The closing then goes on in a
    /// thread of its own, and ends in order if the disk comes back.
    ///
    /// If the process ends before that, nothing is lost that was acknowledged: the next open recovers, as after any
    /// kill. A waker that runs in one of the store's own threads is not made to wait, since the closing waits for that
    /// thread. Only where the system gives no further thread is the closing done by the caller, without a limit.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # use std::time::Duration;
    /// # use sawlog::{Error, Message, Options, Store};
    /// let store = Store::open(folder.path(), Options::new())?;
    /// store.append(&Message::new("orders", "paid"))?.forget();
    /// match store.close_within(Duration::from_secs(10)) {
    ///     Err(Error::StillClosing { .. }) => println!("the disk hangs; going without it"),
    ///     answer => answer?,
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::StillClosing`] if the limit is over: appends are refused, waiters wait on, the folder stays locked
    /// until the disk answers. Closing another clone waits for the end and tells how it was. Others as
    /// [`Store::close`].
    pub fn close_within(self, limit: Duration) -> Result<()> {
        let inner = &self.inner;
        // At once: the closing itself may have to wait before it comes to that.
        inner.log.refuse_appends();
        if inner.lock.lock().is_some() {
            let own = std::sync::Arc::clone(inner);
            if worker::spawn_once("sawlog-closing", move || drop(own.close())).is_err() {
                // No thread to be had: better late than never.
                return inner.close();
            }
        }
        let limit = if inner.is_awaited_here() { Duration::ZERO } else { limit };
        inner.closing.wait(Some(limit)).unwrap_or(Err(Error::StillClosing { limit }))
    }
}

impl Inner {
    pub(super) fn close(&self) -> Result<()> {
        // Taken, and not held: readers and producers are woken on the way, and may close the store themselves.
        let folder = self.lock.lock().take();
        match folder {
            Some(folder) => self.close_now(folder),
            None => {
                let limit = self.is_awaited_here().then_some(Duration::ZERO);
                self.closing.wait(limit).unwrap_or(Ok(()))
            }
        }
    }

    /// Whether the closing waits for this very thread, or is done by it.
    fn is_awaited_here(&self) -> bool {
        self.closing.by.get() == Some(&std::thread::current().id())
            || self.workers.iter().any(worker::Worker::is_this_thread)
    }

    fn close_now(&self, folder: Box<dyn Lock>) -> Result<()> {
        let _ = self.closing.by.set(std::thread::current().id());
        let end = End { store: self, folder: Some(folder) };
        self.log.close();
        let flushed = self.log.flush();
        for worker in &self.workers {
            worker.stop();
        }
        self.sweeper.close();
        // A worker may have met a failure while it was told to stop.
        let done = match self.log.failure() {
            Some(failure) => Err(failure),
            None => flushed.and_then(|_| self.end_in_order()),
        };
        // Nobody moves the marks any more: whoever still waits above them is told.
        self.log.fail_and_tell(Error::Closed);
        // Their thread has ended; what came since, and what it had left.
        self.herald.tell();
        let _ = self.closing.answer.set(done.clone());
        drop(end);
        done
    }

    fn end_in_order(&self) -> Result<()> {
        self.log.sync_tail()?;
        let _ = self.log.segments().drop_prepared()?;
        self.recorder.close(&self.log)?;
        self.keeper.close(&self.log)?;
        let (abort, root) = (self.layout.abort(), self.layout.root());
        self.disk.remove(&abort).map_err(|e| Error::io("removing", &abort, e))?;
        self.disk.sync_dir(root).map_err(|e| Error::io("syncing the folder", root, e))?;
        self.recorder.tell_java_of_the_end()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Reported by `Store::close`; here nobody listens, and the next open finds out.
        let _ = self.close();
    }
}
