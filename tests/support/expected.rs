//! The log as it should be: every record that was taken, its bytes, and when it was acknowledged.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sawlog::clock::Timestamp;
use sawlog::disk::sim::SimDisk;
use sawlog::{LogOffset, Message, Position, QueueOffset, Record, Stored};

/// The length of all segments here: the least there is, so that the log rolls often.
pub(crate) const SEGMENT_BYTES: u64 = 64 << 10;
/// The store's folder.
pub(crate) const ROOT: &str = "/store";

/// When something was acknowledged: behind how many recorded operations. Shared with whoever is told.
#[derive(Clone, Debug)]
pub(crate) struct When(Arc<AtomicUsize>);

impl When {
    pub(crate) fn never() -> When {
        When(Arc::new(AtomicUsize::new(usize::MAX)))
    }

    pub(crate) fn at(operations: usize) -> When {
        When(Arc::new(AtomicUsize::new(operations)))
    }

    /// The first moment counts.
    pub(crate) fn note(&self, operations: usize) {
        self.0.fetch_min(operations, Ordering::SeqCst);
    }

    pub(crate) fn forget(&self) {
        self.0.store(usize::MAX, Ordering::SeqCst);
    }

    pub(crate) fn is_never(&self) -> bool {
        !self.is_by(usize::MAX - 1)
    }

    /// Whether it was so when this many operations had been done.
    pub(crate) fn is_by(&self, operations: usize) -> bool {
        self.0.load(Ordering::SeqCst) <= operations
    }
}

/// One record that the log took.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) message: Message,
    pub(crate) position: Position,
    pub(crate) queue_offset: QueueOffset,
    pub(crate) stored: Timestamp,
    pub(crate) written: When,
    pub(crate) flushed: When,
}

impl Taken {
    pub(crate) fn new(message: &Message, stored: &Stored) -> Taken {
        Taken {
            message: message.clone(),
            position: stored.position,
            queue_offset: stored.queue_offset,
            stored: stored.stored,
            written: When::never(),
            flushed: When::never(),
        }
    }

    fn queue(&self) -> (String, u32) {
        (self.message.topic.to_string(), self.message.queue_id)
    }

    /// Whether the record that was read is this one.
    pub(crate) fn check(&self, read: &Record) -> Result<(), String> {
        let same = read.position == self.position
            && read.queue_offset == self.queue_offset
            && read.stored == self.stored
            && read.topic() == &self.message.topic
            && read.queue_id() == self.message.queue_id
            && read.body() == &self.message.body
            && read.message.tags() == self.message.tags()
            && read.message.keys() == self.message.keys()
            && read.message.sys_flags == self.message.sys_flags
            && read.message.reconsume_times == self.message.reconsume_times;
        if same {
            Ok(())
        } else {
            Err(format!(
                "read {}, appended {}",
                told(&read.message, read.position.offset, read.queue_offset, read.stored),
                self.told()
            ))
        }
    }

    /// Without its body, which may be long and is of no help to whoever reads of a violation.
    pub(crate) fn told(&self) -> String {
        let Taken { message, position, queue_offset, stored, .. } = self;
        told(message, position.offset, *queue_offset, *stored)
    }
}

/// A topic that was dropped: no record of it below `below` is queued or found by a key.
#[derive(Clone, Debug)]
pub(crate) struct Dropped {
    pub(crate) topic: &'static str,
    pub(crate) below: LogOffset,
    /// When it was asked for, and when the answer was that it is done.
    pub(crate) asked: When,
    pub(crate) done: When,
}

/// What a survivor must hold at least.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Promised {
    /// The log reaches at least here.
    pub(crate) end: LogOffset,
    /// So many of the dropped topics, counted from the first, are gone: at least, and at most.
    pub(crate) dropped: (usize, usize),
}

/// For those who do not care which topics were dropped, as long as it is one state or another.
impl From<LogOffset> for Promised {
    fn from(end: LogOffset) -> Promised {
        Promised { end, dropped: (0, usize::MAX) }
    }
}

/// Records in log order, and the log's bytes from 0 to the end of the last one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expected {
    pub(crate) taken: Vec<Taken>,
    pub(crate) bytes: Vec<u8>,
    /// In the order in which they were dropped.
    pub(crate) dropped: Vec<Dropped>,
    /// Where the log may begin; empty: at 0.
    pub(crate) fronts: Vec<LogOffset>,
}

impl Expected {
    pub(crate) fn may_begin_at(&self, first: LogOffset) -> bool {
        self.fronts.contains(&first) || (self.fronts.is_empty() && first == LogOffset(0))
    }

    pub(crate) fn end(&self) -> LogOffset {
        self.taken.last().map_or(LogOffset(0), |t| t.position.end())
    }

    /// The bytes of the log as the disk shows them now, up to the last record's end, or further.
    pub(crate) fn read_bytes(&mut self, disk: &SimDisk, at_least: LogOffset) {
        self.bytes = log_bytes(disk, self.end().max(at_least));
    }

    /// The records that end at `end` or before.
    pub(crate) fn up_to(&self, end: LogOffset) -> &[Taken] {
        &self.taken[..self.taken.partition_point(|t| t.position.end() <= end)]
    }

    /// Whether a log may end there: behind a record, or at a segment's base.
    pub(crate) fn may_end_at(&self, end: LogOffset) -> bool {
        end.0.is_multiple_of(SEGMENT_BYTES) || self.up_to(end).last().is_some_and(|t| t.position.end() == end)
    }

    /// The end of the last record for which this holds.
    pub(crate) fn end_of_last(&self, holds: impl Fn(&Taken) -> bool) -> LogOffset {
        self.taken.iter().rev().find(|t| holds(t)).map_or(LogOffset(0), |t| t.position.end())
    }

    /// What remains of it if the log ends at `end`.
    pub(crate) fn cut(&self, end: LogOffset) -> Expected {
        let mut bytes = self.bytes.clone();
        bytes.truncate(end.0 as usize);
        let (dropped, fronts) = (self.dropped.clone(), self.fronts.clone());
        Expected { taken: self.up_to(end).to_vec(), bytes, dropped, fronts }
    }

    /// What must hold when this many operations had been done, of a log that reaches `end`.
    pub(crate) fn promised(&self, end: LogOffset, operations: usize) -> Promised {
        let count = |when: fn(&Dropped) -> &When| {
            self.dropped.iter().take_while(|d| when(d).is_by(operations)).count()
        };
        Promised { end, dropped: (count(|d| &d.done), count(|d| &d.asked)) }
    }

    /// The next offset of every queue that has a record.
    pub(crate) fn next_offsets(&self) -> BTreeMap<(String, u32), u64> {
        let mut next = BTreeMap::new();
        for taken in self.taken.iter().filter(|t| t.message.sys_flags.is_queued()) {
            *next.entry(taken.queue()).or_insert(0) += 1;
        }
        next
    }

    /// Every queue dense from 0, and no store time before an earlier one: what was told at the appends must itself be
    /// right.
    pub(crate) fn check_dense(&self) -> Result<(), String> {
        let mut next: BTreeMap<_, u64> = BTreeMap::new();
        let mut last = Timestamp(1);
        for taken in &self.taken {
            if taken.stored < last {
                return Err(format!("store time steps back: {taken:?}"));
            }
            last = taken.stored;
            let queued = taken.message.sys_flags.is_queued();
            let counter = next.entry(taken.queue()).or_default();
            let want = if queued { *counter } else { 0 };
            *counter += u64::from(queued);
            if taken.queue_offset.0 != want {
                return Err(format!("queue offset {} where {want} is due: {taken:?}", taken.queue_offset));
            }
        }
        Ok(())
    }
}

/// The name of the segment with this base.
pub(crate) fn segment_path(base: u64) -> std::path::PathBuf {
    Path::new(ROOT).join("commitlog").join(format!("{base:020}"))
}

/// The log's bytes from 0 to `end` as a process would read them now, with zeros for a front that is gone; what no file
/// holds is left out.
pub(crate) fn log_bytes(disk: &SimDisk, end: LogOffset) -> Vec<u8> {
    let log = Path::new(ROOT).join("commitlog");
    let files = disk.files();
    let mut bases = files.iter().filter(|(path, _)| path.parent() == Some(&*log));
    let first = bases.next().and_then(|(path, _)| path.file_name()?.to_str()?.parse().ok());
    let mut bytes = vec![0; first.unwrap_or(0)];
    while (bytes.len() as u64) < end.0 {
        match disk.read_file(segment_path(bytes.len() as u64)) {
            Ok(segment) if !segment.is_empty() => bytes.extend_from_slice(&segment),
            _ => break,
        }
    }
    bytes.truncate(end.0 as usize);
    bytes
}

fn told(message: &Message, at: LogOffset, number: QueueOffset, stored: Timestamp) -> String {
    let (topic, id, body) = (&message.topic, message.queue_id, message.body.len());
    format!("{topic}/{id} number {number} at {at}, stored {stored:?}, {body} bytes of body")
}
