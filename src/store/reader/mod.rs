//! Reading in queue order: [`Queue`], and what [`Store::find`](crate::Store::find) gives back.
//!
//! A queue entry is no evidence: it is bound to its record by topic, queue, offset and length before anything of the
//! record is served (promises rule 5).

mod fetch;
mod filter;
mod find;
mod hole;
mod news;
mod raw;
mod records;
mod time;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::commit_log::{CommitLog, Window};
use crate::consume_queue::{Bound, ConsumeQueue, ENTRY_BYTES, Entry, QueueTable};
use crate::dispatch::Dispatcher;
use crate::error::{Corruption, Damage, Error, Result};
use crate::message::{Head, Record};
use crate::offset::{LogOffset, QueueOffset};

pub use fetch::{Batch, Fetch, Status};
pub use filter::Filter;
pub use find::Find;
pub(in crate::store) use find::is_damaged_record;
pub use news::News;
pub use raw::RawBatch;
pub use records::Records;

/// How much is read together at most where that means a copy: RocketMQ's most for one pull.
const MOST_RUN_BYTES: u64 = 256 * 1024;

/// What reading needs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sources {
    pub(crate) log: Arc<CommitLog>,
    pub(crate) dispatcher: Arc<Dispatcher>,
}

impl Sources {
    pub(crate) fn queues(&self) -> &QueueTable {
        &self.dispatcher.derived().queues
    }

    /// One queue of one topic, whether it exists or not.
    pub(crate) fn queue(&self, topic: &str, id: u32) -> Queue {
        let files = OnceLock::new();
        Queue { inner: Arc::new(Inner { sources: self.clone(), topic: topic.to_owned(), id, files }) }
    }

    /// The records of a topic that carry a key, newest first.
    pub(crate) fn find(&self, topic: &str, key: &str) -> Find {
        Find::new(self, topic, key)
    }
}

/// One queue of one topic: its messages in order. Cheap to clone, shared between threads.
///
/// A queue that does not exist reads as an empty one, and becomes readable through the same handle when its first
/// message comes. Messages are counted from 0 and keep their numbers; retention removes the front, and the numbers go
/// on where they were.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # use sawlog::{Fetch, Filter, Message, Options, QueueOffset, Status, Store};
/// let store = Store::open(folder.path(), Options::new())?;
/// for (tag, body) in [("paid", "1"), ("sent", "1"), ("paid", "2")] {
///     store.append(&Message::new("orders", body).tag(tag))?.forget();
/// }
/// let queue = store.queue("orders", 0);
/// queue.wait(QueueOffset(2)).wait()?; // until the message of offset 2 is there; or `.await` it
///
/// let wanted = Fetch::from(QueueOffset(0)).filter(Filter::tags(["paid"]));
/// let batch = queue.fetch(&wanted)?;
/// assert_eq!((batch.status, batch.records.len(), batch.next), (Status::Found, 2, QueueOffset(3)));
/// assert_eq!((queue.min()?, queue.max()), (QueueOffset(0), QueueOffset(3)));
/// assert_eq!(queue.record_at(QueueOffset(1))?.body(), "1");
/// assert_eq!(queue.raw(&wanted)?.bytes, batch.bytes); // as stored, for a pull reply
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Queue {
    inner: Arc<Inner>,
}

struct Inner {
    sources: Sources,
    topic: String,
    id: u32,
    /// Found once: the table keeps a queue as long as the store is open.
    files: OnceLock<Arc<ConsumeQueue>>,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { topic, id, .. } = &*self.inner;
        f.debug_struct("Queue").field("topic", topic).field("id", id).finish_non_exhaustive()
    }
}

/// What a queue holds now: offsets from `min` up to, and without, `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bounds {
    min: QueueOffset,
    max: QueueOffset,
}

impl Bounds {
    fn out_of_range(self, asked: QueueOffset) -> Error {
        Error::OutOfRange { asked: asked.0, first: self.min.0, next: self.max.0 }
    }
}

/// What an entry leads to.
enum Led<T> {
    Here(T),
    /// Retention has removed its part of the log.
    Gone,
}

impl Queue {
    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.inner.topic
    }

    /// The queue, within the topic.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.inner.id
    }

    /// The first offset that can be read; [`Queue::max`] if there is none.
    ///
    /// An offset that retention left without a record does not count, and neither do RocketMQ's blank entries in
    /// front of the first message (spec H12).
    ///
    /// # Errors
    /// [`Error::Io`] if the queue's files cannot be read.
    pub fn min(&self) -> Result<QueueOffset> {
        Ok(self.bounds()?.min)
    }

    /// The offset that the next visible message gets. After a failure of the store it may have stepped back to what
    /// is durable: what lies beyond may be gone when the store is opened again. Where the disk fails while it is looked
    /// for, the end of all that was taken.
    #[must_use]
    pub fn max(&self) -> QueueOffset {
        let put = self.files().map(|files| files.max()).unwrap_or_default();
        // What cannot be read is said by the call that needs it.
        self.bounds().map_or(put, |bounds| bounds.max)
    }

    /// Messages from `from` on, in order.
    ///
    /// The iterator ends at [`Queue::max`] and may be asked again when there is news ([`Queue::wait`]). An offset
    /// without a message, as in a queue that RocketMQ has filled with blanks, is passed over. Its first item is
    /// [`Error::OutOfRange`] if `from` is below [`Queue::min`] or beyond [`Queue::max`]. An iterator that retention has
    /// overtaken ends with the same error, in which `first` is where to begin anew: messages that are lost to a
    /// consumer are never passed over in silence. Those that the log's damage took
    /// ([`OnDamage::Quarantine`](crate::OnDamage::Quarantine)) are one item, [`Error::QuarantinedMessages`], and the
    /// iterator goes on behind them.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
    /// # use sawlog::{Message, Options, QueueOffset, Store};
    /// # store.append_batch(&[Message::new("orders", "paid"), Message::new("orders", "sent")])?.forget();
    /// let queue = store.queue("orders", 0);
    /// queue.wait(QueueOffset(1)).wait()?;
    /// let bodies = queue.read_from(queue.min()?).map(|record| Ok(record?.body().clone()));
    /// assert_eq!(bodies.collect::<sawlog::Result<Vec<_>>>()?, ["paid", "sent"]);
    /// # store.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn read_from(&self, from: QueueOffset) -> Records {
        Records::new(self.clone(), from)
    }

    /// One pull, with RocketMQ's answer (`getMessage`, spec 11.1): a batch within the limits of `wanted`, why it is
    /// as it is, and where to go on.
    ///
    /// # Errors
    /// About the message at the offset asked for, never a later one: a batch ends before a message that cannot be
    /// read, and the next pull, which begins there, tells why. Asking one further goes around it. [`Error::Corrupt`]
    /// if its record is damaged or its queue entry points elsewhere; [`Error::QuarantinedMessages`] if damage of the
    /// log took messages there: ask for its `next`; [`Error::Io`]; [`Error::Failed`].
    pub fn fetch(&self, wanted: &Fetch) -> Result<Batch> {
        self.log().told(fetch::fetch(self, wanted))
    }

    /// The same pull as raw stored bytes, for a broker's reply by `sendfile`: messages that lie side by side in the
    /// log are one piece.
    ///
    /// Each record's head is checked against its entry; checksums are not, for that would bring every byte into
    /// memory: RocketMQ's clients verify the body's. Records are decoded only if the filter has to see them.
    ///
    /// # Errors
    /// As [`Queue::fetch`].
    pub fn raw(&self, wanted: &Fetch) -> Result<RawBatch> {
        self.log().told(raw::fetch(self, wanted))
    }

    /// The message at `at`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] if it was removed, is not there yet, or no message has this offset;
    /// [`Error::QuarantinedMessages`] if it was lost in the log's damage; [`Error::Corrupt`], [`Error::Io`],
    /// [`Error::Failed`].
    pub fn record_at(&self, at: QueueOffset) -> Result<Record> {
        self.log().told(self.record_of(at))
    }

    fn record_of(&self, at: QueueOffset) -> Result<Record> {
        let bounds = self.bounds()?;
        if at < bounds.min {
            return Err(self.before_start(bounds, at)?);
        }
        let files = self.files().filter(|_| at < bounds.max).ok_or_else(|| bounds.out_of_range(at))?;
        match files.entry(at)? {
            Some(entry) => {
                if let Led::Here(record) = self.record(files, at, entry)? {
                    return Ok(record);
                }
            }
            None => self.hole(bounds, at)?.map_or(Ok(()), Err)?,
        }
        // Retention may have moved the front meanwhile.
        Err(self.bounds()?.out_of_range(at))
    }

    /// The offset of the first message stored at or after `at`, or of the last stored at or before it
    /// (`getOffsetInQueueByTime`, spec 11.4). Never below [`Queue::min`] nor above [`Queue::max`]: that is the answer
    /// where no message fits, `min` for the last one before all, `max` for the first one after all. So the first
    /// message at or after a time whose messages have expired is the first that is left.
    ///
    /// Costs one look at the few bytes of a store time for each halving of the queue. Store times never step back in a
    /// log that sawlog wrote; where a Java broker's clock did (spec H34), the answer is the place of one such step.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if an entry on the way points at another record or at none; [`Error::Io`].
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
    /// # use sawlog::{Bound, Message, Options, QueueOffset, Store};
    /// let ack = store.append(&Message::new("orders", "paid"))?;
    /// let queue = store.queue("orders", 0);
    /// queue.wait(QueueOffset(0)).wait()?;
    /// let since = queue.offset_at_time("2020-05-01".parse()?, Bound::First)?;
    /// assert_eq!(queue.record_at(since)?.stored, ack.stored());
    /// # store.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn offset_at_time(&self, at: Timestamp, bound: Bound) -> Result<QueueOffset> {
        self.log().told(time::offset_at(self, at, bound))
    }

    /// Waits until there is a message beyond: [`Queue::max`] is above `beyond`. Block on it, or await it.
    pub fn wait(&self, beyond: QueueOffset) -> News {
        News::new(self.clone(), beyond)
    }

    fn log(&self) -> &Arc<CommitLog> {
        &self.inner.sources.log
    }

    /// The queue's entries, if anything was ever put into it.
    fn files(&self) -> Option<&ConsumeQueue> {
        let inner = &*self.inner;
        if inner.files.get().is_none() {
            // Another thread may have found it meanwhile: it is the same one.
            let _ = inner.files.set(inner.sources.queues().queue(&inner.topic, inner.id)?);
        }
        inner.files.get().map(Arc::as_ref)
    }

    /// The same queue, made in memory if there is none, so that it can be waited for (spec H42).
    fn files_or_new(&self) -> &ConsumeQueue {
        let inner = &*self.inner;
        inner.files.get_or_init(|| inner.sources.queues().queue_or_new(&inner.topic, inner.id))
    }

    fn bounds(&self) -> Result<Bounds> {
        let Some(files) = self.files() else {
            return Ok(Bounds { min: QueueOffset(0), max: QueueOffset(0) });
        };
        loop {
            let front = self.log().first();
            // Before the end: whatever is put into the queue meanwhile lies beyond it.
            let readable = self.inner.sources.dispatcher.readable();
            // The end first: retention may move the beginning in between, and then up to this end at most.
            let (put, newest_end) = files.end();
            let min = files.min(front)?.min(put);
            let max =
                if newest_end <= readable { put } else { self.readable_max(files, min, put, readable)? };
            // A front that moved while the first message was looked for would show one that is gone.
            if self.log().first() == front {
                return Ok(Bounds { min: min.min(max), max });
            }
        }
    }

    /// What is to be told about `at`, whose record has expired, if the queue's front has passed it. If it has not, an earlier message is still
    /// there: two records claimed one number (spec H28), and this one of them has expired alone.
    fn passed_by_front(&self, at: QueueOffset) -> Result<Option<Error>> {
        let bounds = self.bounds()?;
        Ok((at < bounds.min).then(|| bounds.out_of_range(at)))
    }

    /// The end of the entries that may be read: those of a batch only together, and after a failure the durable ones.
    fn readable_max(
        &self,
        files: &ConsumeQueue,
        min: QueueOffset,
        put: QueueOffset,
        readable: LogOffset,
    ) -> Result<QueueOffset> {
        let (mut low, mut high) = (min.0, put.0);
        while low < high {
            let middle = low.midpoint(high);
            let entry = files.entry(QueueOffset(middle))?;
            let is_readable = entry.is_none_or(|entry| entry.end() <= readable);
            if is_readable { low = middle.saturating_add(1) } else { high = middle }
        }
        Ok(QueueOffset(low))
    }

    /// The head of the record of the entry at `at`, by way of a window, and the bytes that hold it. `None` if anything
    /// is not as it should be: [`Queue::record`] says what. `ahead` are the entries that will be read next.
    #[inline(always)]
    fn head_through<'w>(
        &'w self,
        window: &'w mut Window,
        (at, entry): (QueueOffset, Entry),
        ahead: &[Option<Entry>],
    ) -> Option<(Head<'w>, &'w Bytes)> {
        if let Some(Some(next)) = ahead.first() {
            window.ask_for(next.at, next.len);
        }
        let place = (entry.at, entry.len, self.topic());
        window.head(
            self.log(),
            place,
            || run_bytes(entry, ahead),
            |head| self.is_ours_by_head(head, at, entry),
        )
    }

    fn is_ours_by_head(&self, head: &Head<'_>, at: QueueOffset, entry: Entry) -> bool {
        head.len == entry.len
            && head.queue_offset == at
            && head.queue_id == self.id()
            && head.sys_flags.is_queued()
            && head.topic == self.topic()
    }

    /// The record of the entry at `at`, if it is really this one's.
    fn record(&self, files: &ConsumeQueue, at: QueueOffset, entry: Entry) -> Result<Led<Record>> {
        let found = self.led(files, at, entry, |log| log.record_at(entry.at))?;
        if let Led::Here(record) = &found
            && !self.is_ours(record, at, entry)
        {
            return Err(wrong_entry(files, at, entry));
        }
        Ok(found)
    }

    fn is_ours(&self, record: &Record, at: QueueOffset, entry: Entry) -> bool {
        record.position.len == entry.len
            && record.queue_offset == at
            && record.queue_id() == self.id()
            && record.is_queued()
            && record.topic().as_bytes() == self.topic().as_bytes()
    }

    /// What `look` finds at the entry's place, with a place outside of the log explained.
    fn led<T>(
        &self,
        files: &ConsumeQueue,
        at: QueueOffset,
        entry: Entry,
        look: impl FnOnce(&CommitLog) -> Result<T>,
    ) -> Result<Led<T>> {
        let log = self.log();
        if entry.at < log.first() {
            return Ok(Led::Gone);
        }
        match look(log) {
            Ok(found) => Ok(Led::Here(found)),
            // Retention may have been there between the two looks.
            Err(_) if entry.at < log.first() => Ok(Led::Gone),
            Err(Error::OutOfRange { .. }) => {
                Err(log.failure().unwrap_or_else(|| wrong_entry(files, at, entry)))
            }
            Err(other) => Err(other),
        }
    }
}

/// How many bytes from an entry's record on are those of the entries behind it: what one read brings together.
fn run_bytes(first: Entry, ahead: &[Option<Entry>]) -> u64 {
    let mut end = first.end();
    for entry in ahead.iter().map_while(|entry| *entry) {
        if entry.at != end || entry.end().since(first.at) > MOST_RUN_BYTES {
            break;
        }
        end = entry.end();
    }
    end.since(first.at)
}

/// The entry at `at` points at a record that is not its own, or at none.
fn wrong_entry(files: &ConsumeQueue, at: QueueOffset, entry: Entry) -> Error {
    Error::Corrupt(Corruption {
        path: files.segment_of(at),
        at: LogOffset(at.0.saturating_mul(ENTRY_BYTES)),
        what: Damage::WrongEntry { queue_offset: at, points_at: entry.at },
    })
}
