//! [`News`]: waiting for a queue's next message, blocking or as a future.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::error::Result;
use crate::flush::Reached;
use crate::offset::QueueOffset;
use crate::store::reader::Queue;

/// A message that a queue will have; see [`Queue::wait`]. Dropping it loses nothing.
///
/// Nobody polls: a waiter sleeps until its own queue gets a message, or until the store fails or is closed.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # use sawlog::{Message, Options, QueueOffset, Store};
/// # use std::time::Duration;
/// let news = store.queue("orders", 0).wait(QueueOffset(0));
/// assert!(!news.is_here());
/// assert!(!news.wait_timeout(Duration::ZERO)?);
/// store.append(&Message::new("orders", "paid"))?.forget();
/// news.wait()?; // or `.await`
/// assert!(news.is_here());
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "waiting is what it is for"]
pub struct News {
    queue: Queue,
    beyond: QueueOffset,
    /// The ticket of a future that was polled.
    reached: Option<Reached>,
}

impl News {
    pub(super) fn new(queue: Queue, beyond: QueueOffset) -> News {
        News { queue, beyond, reached: None }
    }

    /// The queue that is waited for.
    #[must_use]
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Whether the message is there.
    #[must_use]
    pub fn is_here(&self) -> bool {
        self.queue.max() > self.beyond
    }

    /// Blocks until the message is there.
    ///
    /// # Errors
    /// [`Error::Failed`](crate::Error::Failed) or [`Error::Closed`](crate::Error::Closed): it will not come from this
    /// store any more.
    pub fn wait(&self) -> Result<()> {
        loop {
            match self.look() {
                Ok(outcome) => return outcome,
                Err(next) => self.outcome_of(next.wait())?,
            }
        }
    }

    /// Blocks until the message is there (`true`) or `limit` has passed (`false`).
    ///
    /// # Errors
    /// As [`News::wait`].
    pub fn wait_timeout(&self, limit: Duration) -> Result<bool> {
        let clock = SystemClock::new();
        loop {
            let next = match self.look() {
                Ok(outcome) => return outcome.map(|()| true),
                Err(next) => next,
            };
            let left = limit.saturating_sub(clock.elapsed());
            match next.wait_timeout(left) {
                Ok(false) => return Ok(self.is_here()),
                Ok(true) => {}
                Err(error) => self.outcome_of(Err(error))?,
            }
        }
    }

    /// The outcome, if there is one; else a ticket for the next thing that happens to the queue.
    ///
    /// The ticket is taken before the queue is looked at, so that no message can come unseen between the two; and the
    /// mark is there before the failure is looked at, so that a later failure finds it.
    fn look(&self) -> std::result::Result<Result<()>, Reached> {
        let files = self.queue.files_or_new();
        let mark = files.news();
        let next = mark.reach(mark.at().plus(1));
        // Before the readable end is looked at: what is put later moves the mark.
        let (put, newest_end) = files.end();
        if self.is_here() {
            return Ok(Ok(()));
        }
        if let Some(failure) = self.queue.log().failure() {
            return Ok(Err(failure));
        }
        // Put, and not to be read until all of its batch is: the mark may have been made behind it, and never move.
        let is_put = put > self.beyond;
        Err(if is_put { self.queue.inner.sources.dispatcher.dispatched().reach(newest_end) } else { next })
    }

    /// A failed mark does not count if the message came before it failed.
    fn outcome_of(&self, outcome: Result<()>) -> Result<()> {
        if self.is_here() { Ok(()) } else { outcome }
    }
}

/// Resolves when the message is there, under any runtime or none. Errors as [`News::wait`].
impl Future for News {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            let mut next = match self.reached.take() {
                Some(next) => next,
                None => match self.look() {
                    Ok(outcome) => return Poll::Ready(outcome),
                    Err(next) => next,
                },
            };
            match Pin::new(&mut next).poll(context) {
                Poll::Pending => {
                    self.reached = Some(next);
                    return Poll::Pending;
                }
                Poll::Ready(outcome) => {
                    if let Err(error) = self.outcome_of(outcome) {
                        return Poll::Ready(Err(error));
                    }
                }
            }
        }
    }
}
