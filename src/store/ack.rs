//! [`Ack`]: the promise about one append. Block on it, await it, or let it go.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::commit_log::{Appended, CommitLog};
use crate::error::{Error, Level, Result};
use crate::flush::{Reached, Watermark};
use crate::message::MessageId;
use crate::offset::{LogOffset, Position, QueueOffset};

/// An append that was taken. Where its message stands is known at once; waiting tells when the promise holds.
///
/// Dropping it loses nothing but that knowledge.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # use sawlog::{Message, Options, Store};
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 20))?;
/// let ack = store.append(&Message::new("orders", "paid"))?;
/// let (number, id) = (ack.queue_offset(), ack.message_id()); // known at once
/// ack.wait()?;                                               // promised from here on
/// store.append(&Message::new("orders", "sent"))?.forget();   // nobody asks
/// # assert_eq!((number.0, id.offset.0), (0, 0));
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "the promise holds only once `wait` or `.await` has returned Ok; `forget` says that nobody waits"]
pub struct Ack {
    first: Appended,
    /// The further ones of a batch.
    rest: Vec<Appended>,
    level: Level,
    end: LogOffset,
    /// `None`: the promise held as it was given.
    log: Option<Arc<CommitLog>>,
    /// The ticket, once somebody polls: an ack that nobody waits for costs nothing more.
    reached: Option<Reached>,
    store_host: SocketAddr,
}

/// Where one message of an append stands.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # use sawlog::{LogOffset, Message, Options, QueueOffset, Store};
/// let stored = store.append_and_wait(&Message::new("orders", "paid"))?;
/// assert_eq!((stored.position.offset, stored.queue_offset), (LogOffset(0), QueueOffset(0)));
/// println!("{} at {}", stored.message_id, stored.stored); // what a producer is told
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its record's place in the log.
    pub position: Position,
    /// Its ordinal in its queue; 0 for prepared and rolled-back messages, which are not queued (spec 2.9).
    pub queue_offset: QueueOffset,
    /// The store time that its record carries.
    pub stored: Timestamp,
    /// The id under which RocketMQ's tools find it.
    pub message_id: MessageId,
}

impl Ack {
    pub(super) fn new(
        first: Appended,
        rest: Vec<Appended>,
        level: Level,
        end: LogOffset,
        log: &Arc<CommitLog>,
        store_host: SocketAddr,
    ) -> Ack {
        // Sharing the log costs two atomic operations, and of what goes straight to the page cache nothing is awaited.
        let log = (mark(log, level).at() < end).then(|| Arc::clone(log));
        Ack { first, rest, level, end, log, reached: None, store_host }
    }

    /// The ticket to wait with, unless nothing need be waited for.
    fn ticket(&self) -> Option<Reached> {
        self.log.as_ref().map(|log| mark(log, self.level).reach(self.end))
    }

    fn stored_one(&self, one: &Appended) -> Stored {
        let Appended { position, queue_offset, stored } = *one;
        let message_id = MessageId { host: self.store_host, offset: position.offset };
        Stored { position, queue_offset, stored, message_id }
    }

    /// Where the record stands; of a batch, the first one.
    #[must_use]
    pub fn position(&self) -> Position {
        self.first.position
    }

    /// The message's ordinal in its queue; of a batch, the first one's.
    #[must_use]
    pub fn queue_offset(&self) -> QueueOffset {
        self.first.queue_offset
    }

    /// The store time in the record; a batch has one for all.
    #[must_use]
    pub fn stored(&self) -> Timestamp {
        self.first.stored
    }

    /// The id under which RocketMQ's tools find the message; of a batch, the first one.
    #[must_use]
    pub fn message_id(&self) -> MessageId {
        self.stored_one(&self.first).message_id
    }

    /// All messages of the append, in order.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
    /// # use sawlog::{Message, Options, QueueOffset, Store};
    /// let ack = store.append_batch(&[Message::new("orders", "paid"), Message::new("orders", "sent")])?;
    /// let numbers: Vec<_> = ack.all().map(|stored| stored.queue_offset).collect();
    /// assert_eq!(numbers, [QueueOffset(0), QueueOffset(1)]);
    /// assert_eq!(ack.all().next().map(|stored| stored.position), Some(ack.position()));
    /// assert_eq!(ack.all().last().map(|stored| stored.position.end()), Some(ack.end()));
    /// # ack.wait()?;
    /// # store.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn all(&self) -> impl Iterator<Item = Stored> {
        std::iter::once(&self.first).chain(&self.rest).map(|one| self.stored_one(one))
    }

    /// Behind the last byte of the append.
    #[must_use]
    pub fn end(&self) -> LogOffset {
        self.end
    }

    /// What is waited for.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// Whether the promise holds already.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.log.as_ref().is_none_or(|log| mark(log, self.level).at() >= self.end)
    }

    /// Blocks until the promise holds.
    ///
    /// # Errors
    /// [`Error::Failed`] or [`Error::Closed`]: the outcome is *unknown*; the message may be there on reopening.
    pub fn wait(&self) -> Result<()> {
        self.ticket().map_or(Ok(()), |ticket| ticket.wait())
    }

    /// Blocks until the promise holds, at most as long as `limit`. May be called again.
    ///
    /// # Errors
    /// [`Error::TimedOut`]: the outcome is *unknown*; the message is in the log and will normally reach the level
    /// soon. Sending it again without a check by its unique key may store it twice (spec H36). Others as
    /// [`Ack::wait`].
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
    /// # use sawlog::{Error, Level, Message, Options, Store};
    /// # use std::time::Duration;
    /// let ack = store.append_with(&Message::new("orders", "paid"), Level::Flushed)?;
    /// match ack.wait_timeout(Duration::from_secs(10)) {
    ///     Err(Error::TimedOut { .. }) => println!("unknown so far: ask again, do not send again"),
    ///     answer => answer?,
    /// }
    /// assert!(ack.is_done());
    /// # store.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_timeout(&self, limit: Duration) -> Result<()> {
        let Some(log) = &self.log else { return Ok(()) };
        if mark(log, self.level).reach(self.end).wait_timeout(limit)? {
            return Ok(());
        }
        let lower = self.level == Level::Flushed && log.written().at() >= self.end;
        Err(Error::TimedOut { end: self.end(), asked: self.level, reached: lower.then_some(Level::Written) })
    }

    /// One-way: nobody waits.
    pub fn forget(self) {}
}

/// Resolves when the promise holds, under any runtime or none. Errors as [`Ack::wait`].
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # use sawlog::{Message, Options, Store};
/// # pollster::block_on(async {
/// let ack = store.append(&Message::new("orders", "paid"))?;
/// let end = ack.end();
/// ack.await?;
/// assert!(store.marks().written >= end);
/// # Ok::<_, sawlog::Error>(())
/// # })?;
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl Future for Ack {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let ack = &mut *self;
        if ack.reached.is_none() {
            ack.reached = ack.ticket();
        }
        ack.reached.as_mut().map_or(Poll::Ready(Ok(())), |reached| Pin::new(reached).poll(context))
    }
}

/// The mark that says when a promise of this level holds.
fn mark(log: &CommitLog, level: Level) -> &Arc<Watermark> {
    match level {
        Level::Written => log.written(),
        Level::Flushed => log.flushed(),
    }
}
