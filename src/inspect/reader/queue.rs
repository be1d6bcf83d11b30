//! [`QueueReader`]: one queue, by its files and, for what is not in them yet, by the log.

use std::collections::VecDeque;
use std::sync::Arc;

use super::follow::Follow;
use super::view::{Known, Shared};
use crate::clock::Timestamp;
use crate::consume_queue::{Bound, ENTRY_BYTES, Entry, Probe, search};
use crate::error::{Corruption, Damage, Error, Result};
use crate::inspect::folder;
use crate::inspect::queue_files::{QueueFiles, Stands};
use crate::layout::parse_segment_name;
use crate::message::Record;
use crate::offset::{LogOffset, QueueOffset};

/// How many entries are read together.
const TOGETHER: usize = 256;

/// One queue of one topic, there or not; see [`Reader::queue`](super::Reader::queue).
///
/// ```
/// # use sawlog::{Bound, Message, Options, QueueOffset, Store, inspect};
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # store.append(&Message::new("orders", "paid").key("order-42"))?.wait()?;
/// # store.close()?;
/// let queue = inspect::Reader::open(folder.path())?.queue("orders", 0);
/// assert_eq!((queue.min()?, queue.max()?), (QueueOffset(0), QueueOffset(1)));
/// let record = queue.record_at(QueueOffset(0))?;
/// assert_eq!(queue.offset_at_time(record.stored, Bound::First)?, QueueOffset(0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct QueueReader {
    shared: Arc<Shared>,
    topic: String,
    id: u32,
}

/// What an entry leads to.
enum Led {
    Here(Box<Record>),
    /// Retention has removed its part of the log.
    Gone,
    /// Not to its own record.
    Wrong,
}

impl QueueReader {
    pub(super) fn new(shared: &Arc<Shared>, topic: &str, id: u32) -> QueueReader {
        QueueReader { shared: Arc::clone(shared), topic: topic.to_owned(), id }
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The queue, within the topic.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The first offset whose message is in the log; [`QueueReader::max`] if none is.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn min(&self) -> Result<QueueOffset> {
        let mut files = self.files()?;
        let end = self.end(&mut files)?;
        let min = self.min_in(&mut files, end)?;
        if min < end {
            return Ok(QueueOffset(min));
        }
        // Nothing of it in files: perhaps in the log.
        match self.tail(&mut files, end)?.next() {
            Some(first) => Ok(first?.queue_offset),
            // Not looked at again: what a writer appends meanwhile begins there.
            None => Ok(QueueOffset(self.counted(end))),
        }
    }

    /// The offset behind the last message.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Corrupt`] if the log is damaged where it is not in the queue's files yet.
    pub fn max(&self) -> Result<QueueOffset> {
        let mut files = self.files()?;
        let end = self.end(&mut files)?;
        let mut max = self.counted(end);
        for record in self.tail(&mut files, end)? {
            max = max.max(record?.queue_offset.0.saturating_add(1));
        }
        Ok(QueueOffset(max))
    }

    /// Messages from `from` on, in order; from [`QueueReader::min`] on if that is higher.
    #[must_use]
    pub fn read_from(&self, from: QueueOffset) -> QueueFollow {
        QueueFollow { queue: self.clone(), next: from.0, stage: Stage::New, ended: None }
    }

    /// The message at `at`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] if there is none; [`Error::Corrupt`], [`Error::Io`].
    pub fn record_at(&self, at: QueueOffset) -> Result<Record> {
        match self.read_from(at).next().transpose()?.filter(|record| record.queue_offset == at) {
            Some(record) => Ok(record),
            None => Err(Error::OutOfRange { asked: at.0, first: self.min()?.0, next: self.max()?.0 }),
        }
    }

    /// The offset of the first message stored at or after `at`, or of the last stored at or before it, as
    /// [`Queue::offset_at_time`](crate::Queue::offset_at_time).
    ///
    /// # Errors
    /// [`Error::Corrupt`] if an entry on the way points at another record or at none; [`Error::Io`].
    pub fn offset_at_time(&self, at: Timestamp, bound: Bound) -> Result<QueueOffset> {
        let mut files = self.files()?;
        let end = self.end(&mut files)?;
        let min = self.min_in(&mut files, end)?;
        let found = search(min, end, bound, at, |middle| self.probe(&mut files, middle, end))?;
        let is_inside = match bound {
            Bound::First => found < end,
            Bound::Last => found.saturating_add(1) < end,
        };
        if is_inside {
            return Ok(QueueOffset(found));
        }
        let (mut answer, mut next) = (found, end);
        for record in self.tail(&mut files, end)? {
            let record = record?;
            (next, answer) = match bound {
                Bound::First if record.stored >= at => return Ok(record.queue_offset),
                Bound::Last if record.stored > at => return Ok(QueueOffset(answer)),
                Bound::First => (record.queue_offset.0.saturating_add(1), answer),
                Bound::Last => (next, record.queue_offset.0),
            };
        }
        Ok(QueueOffset(if bound == Bound::First { next.max(self.counted(end)) } else { answer }))
    }

    fn probe(&self, files: &mut QueueFiles, at: u64, end: u64) -> Result<Probe> {
        let found = files.next_entry(self.shared.disk(), at, end)?;
        let Some((at, entry)) = found else {
            // Blanks up to the end: whatever is looked for lies before them.
            return Ok(Probe { at: end, stored: Some(Timestamp(i64::MAX)) });
        };
        match self.led(at, entry)? {
            Led::Here(record) => Ok(Probe { at, stored: Some(record.stored) }),
            Led::Gone => Ok(Probe { at, stored: None }),
            Led::Wrong => Err(wrong_entry(files, at, entry)),
        }
    }

    /// The queue's files as they are now.
    pub(super) fn files(&self) -> Result<QueueFiles> {
        // First: files that are looked at later hold everything up to there, whatever a writer does meanwhile.
        let derived_to = self.shared.derived_to()?;
        let dir = self.shared.topic_dir(&self.topic).map(|dir| dir.join(self.id.to_string()));
        let entries = dir.map_or_else(|| Ok(Vec::new()), |dir| folder::list(self.shared.disk(), &dir))?;
        let files = entries.iter().filter(|e| !e.is_dir && e.len > 0 && e.len % ENTRY_BYTES == 0);
        // Of several lengths the longest: a file that was cut is shorter.
        let bytes = files.clone().map(|e| e.len).max().unwrap_or(ENTRY_BYTES);
        let bases = files.filter(|e| e.len == bytes).filter_map(|e| parse_segment_name(&e.name));
        let bases = bases.filter(|base| base.0 % bytes == 0).map(|base| QueueOffset(base.0 / ENTRY_BYTES));
        let per_segment = u32::try_from(bytes / ENTRY_BYTES).unwrap_or(u32::MAX);
        let mut bases: Vec<_> = bases.collect();
        bases.sort_unstable();
        let mut files = QueueFiles::new(&self.shared.layout, &self.topic, self.id, per_segment, bases);
        files.derived_to = derived_to;
        Ok(files)
    }

    /// Behind the last entry that can be relied on. While somebody writes, what he wrote stands in the files; of what a
    /// power cut left, anything may, and the log tells the rest.
    fn end(&self, files: &mut QueueFiles) -> Result<u64> {
        let end = files.end(self.shared.disk())?;
        let known = self.shared.known();
        Ok(if known.held { end } else { end.min(self.believed_to(&known).max(files.first())) })
    }

    fn min_in(&self, files: &mut QueueFiles, end: u64) -> Result<u64> {
        let first = self.first();
        files.partition(self.shared.disk(), (files.first(), end), |entry| entry.at < first)
    }

    /// Where the first record lies that can be one of this queue's: the log's first, or behind a drop of its topic.
    fn first(&self) -> LogOffset {
        let first = self.shared.list().first().unwrap_or_default();
        first.max(self.shared.known().dropped_below(&self.topic))
    }

    /// `end`, or what is counted of a queue whose files have gone.
    fn counted(&self, end: u64) -> u64 {
        let known = self.shared.known();
        let key = (self.topic.as_bytes().to_vec(), self.id);
        let counted = known.derived.as_ref().and_then(|s| s.queues.get(&key));
        counted.map_or(end, |mark| mark.next.0.max(end))
    }

    /// The records of this queue that lie behind what its files hold.
    fn tail(&self, files: &mut QueueFiles, end: u64) -> Result<Tail> {
        let from = self.tail_from(files, end)?;
        Ok(Tail { scan: Follow::new(&self.shared, from), topic: self.topic.clone(), id: self.id, next: end })
    }

    fn tail_from(&self, files: &mut QueueFiles, end: u64) -> Result<LogOffset> {
        let last = files.last_entry(self.shared.disk(), end)?;
        let last = match (last, end.checked_sub(1)) {
            (Some(entry), Some(at)) => match self.led(at, entry)? {
                Led::Here(_) => entry.end(),
                Led::Gone | Led::Wrong => LogOffset::ZERO,
            },
            _ => LogOffset::ZERO,
        };
        let dropped = self.shared.known().dropped_below(&self.topic);
        Ok(last.max(dropped).max(files.derived_to))
    }

    /// The record of the entry at `at`, if it is really this one's.
    fn led(&self, at: u64, entry: Entry) -> Result<Led> {
        if entry.at < self.first() {
            return Ok(Led::Gone);
        }
        match self.shared.record_at(entry.at) {
            Ok(record) => {
                let is_ours = record.position.len == entry.len
                    && record.queue_offset.0 == at
                    && record.queue_id() == self.id
                    && record.is_queued()
                    && record.topic().as_str() == self.topic;
                Ok(if is_ours { Led::Here(Box::new(record)) } else { Led::Wrong })
            }
            Err(Error::OutOfRange { first, .. }) if entry.at.0 < first => Ok(Led::Gone),
            Err(Error::OutOfRange { .. }) => Ok(Led::Wrong),
            Err(other) => Err(other),
        }
    }

    /// Up to here entries must lead to their records. What stands behind in the files of a killed store may be left
    /// over from before; opening writes over it.
    fn believed_to(&self, known: &Known) -> u64 {
        let key = (self.topic.as_bytes().to_vec(), self.id);
        match &known.derived {
            _ if known.closed || !known.ours => u64::MAX,
            Some(snapshot) => snapshot.queues.get(&key).map_or(0, |mark| mark.next.0),
            None => 0,
        }
    }
}

fn wrong_entry(files: &QueueFiles, at: u64, entry: Entry) -> Error {
    Error::Corrupt(Corruption {
        path: files.path_of(at),
        at: LogOffset(at.saturating_mul(ENTRY_BYTES)),
        what: Damage::WrongEntry { queue_offset: QueueOffset(at), points_at: entry.at },
    })
}

/// The records of one queue from a place of the log on, without those that its files hold.
#[derive(Debug)]
struct Tail {
    scan: Follow,
    topic: String,
    id: u32,
    next: u64,
}

impl Iterator for Tail {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Result<Record>> {
        loop {
            let record = match self.scan.next()? {
                Ok(record) => record,
                Err(error) => return Some(Err(error)),
            };
            let is_ours = record.is_queued()
                && record.queue_id() == self.id
                && record.topic().as_str() == self.topic
                && record.queue_offset.0 >= self.next;
            if is_ours {
                self.next = record.queue_offset.0.saturating_add(1);
                return Some(Ok(record));
            }
        }
    }
}

/// Messages of one queue in order; see [`QueueReader::read_from`].
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # use sawlog::{Message, Options, QueueOffset, Store, inspect};
/// let reader = inspect::Reader::open(folder.path())?;
/// let mut records = reader.queue("orders", 0).read_from(QueueOffset(0));
/// assert!(records.next().is_none()); // no such queue yet
/// store.append(&Message::new("orders", "paid"))?.wait()?;
/// assert_eq!(records.next().transpose()?.expect("goes on").body(), "paid");
/// assert_eq!(records.position(), QueueOffset(1));
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct QueueFollow {
    queue: QueueReader,
    next: u64,
    stage: Stage,
    ended: Option<Error>,
}

#[derive(Debug)]
enum Stage {
    New,
    Files { files: QueueFiles, end: u64, believed_to: u64, read: VecDeque<Stands> },
    Log(Box<Tail>),
}

impl QueueFollow {
    /// The offset of the next message, or a lower one if offsets without a message lie before it.
    #[must_use]
    pub fn position(&self) -> QueueOffset {
        QueueOffset(self.next)
    }

    fn start(&mut self) -> Result<()> {
        let queue = &self.queue;
        let mut files = queue.files()?;
        let end = queue.end(&mut files)?;
        self.next = self.next.max(queue.min_in(&mut files, end)?.min(end));
        let believed_to = queue.believed_to(&queue.shared.known());
        self.stage = Stage::Files { files, end, believed_to, read: VecDeque::new() };
        Ok(())
    }

    fn read(&mut self) -> Result<Option<Record>> {
        loop {
            let (files, end, believed_to, read) = match &mut self.stage {
                Stage::New => {
                    self.start()?;
                    continue;
                }
                Stage::Log(tail) => {
                    let found = tail.next().transpose()?;
                    self.next = found.as_ref().map_or(self.next, |record| record.queue_offset.next().0);
                    return Ok(found);
                }
                Stage::Files { files, end, believed_to, read } => (files, *end, *believed_to, read),
            };
            let at = self.next;
            if read.is_empty() && at < end {
                let bytes = files.read(self.queue.shared.disk(), at, TOGETHER)?;
                read.extend(bytes.iter().map(Stands::of));
            }
            let found = match read.pop_front().filter(|_| at < end) {
                Some(Stands::Entry(entry)) => Some((entry, self.queue.led(at, entry)?)),
                Some(Stands::Rubbish) => Some((Entry::UNREADABLE, Led::Wrong)),
                Some(Stands::Blank) => None,
                Some(Stands::Unwritten) | None => {
                    self.go_on_in_log(at.max(end))?;
                    continue;
                }
            };
            match found {
                Some((entry, Led::Wrong)) if at < believed_to => return Err(wrong_entry(files, at, entry)),
                Some((_, Led::Wrong)) => self.go_on_in_log(at)?,
                Some((_, Led::Here(record))) => {
                    self.next = at.saturating_add(1);
                    return Ok(Some(*record));
                }
                Some((_, Led::Gone)) | None => self.next = at.saturating_add(1),
            }
        }
    }

    /// The files hold nothing from `next` on that can be relied on.
    fn go_on_in_log(&mut self, next: u64) -> Result<()> {
        let Stage::Files { files, .. } = &mut self.stage else { return Ok(()) };
        let mut tail = self.queue.tail(files, next)?;
        tail.next = tail.next.max(self.next);
        self.stage = Stage::Log(Box::new(tail));
        Ok(())
    }
}

/// Ends at the last message that is whole, and goes on from there when asked again. An error stays.
impl Iterator for QueueFollow {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Result<Record>> {
        if let Some(error) = &self.ended {
            return Some(Err(error.clone()));
        }
        self.read().map_err(|error| self.ended.insert(error).clone()).transpose()
    }
}
