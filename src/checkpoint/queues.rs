//! `sawlog/queues`: what is derived from the log up to a place, and durable: each queue's offsets, the index files.
//!
//! Synced before a segment is removed, so that a queue whose records have all expired never restarts at 0 (promises
//! rule 5, spec 18.2). What the log or the queue's own file says may be higher; the highest counts.
//!
//! ```text
//!  0  derived_to         u64        then, for each queue, ascending by topic and id:
//!  8  last_stored        i64          topic length u16, topic, queue id u32, first u64, next u64
//! 16  writer             16 bytes   then, for each index file, ascending by name:
//! 32  flags              u32          name u64, next entry u32, flags u32 (1: sealed), begin time i64,
//!       1: has_files                  end time i64, begin offset u64, end offset u64
//!       2: has an index             then, for each topic that was dropped, ascending:
//! 36  entries_per_segment u32         topic length u16, topic, offset u64
//! 40  queues             u32
//! 44  index files        u32
//! 48  dropped topics     u32
//! 52  slots              u32
//! 56  entries            u32
//! ```
//! Version 1 held `derived_to u64, count u32` and for each queue `topic length u16, topic, queue id u32, next u64`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::checkpoint::fields::{Fault, Fields, Parsed};
use crate::checkpoint::mark::WriterId;
use crate::checkpoint::whole_file::{Payload, WholeFile};
use crate::clock::Timestamp;
use crate::disk::Disk;
use crate::error::{Corruption, Damage, Error, Result};
use crate::offset::{LogOffset, QueueOffset};

const FILE: WholeFile =
    WholeFile { name: "queues", new_name: "queues.new", magic: 0x5341_5751, version: 2, oldest: 1 };
const HEAD_BYTES: u64 = 60;
/// A queue with an empty topic: the least that one takes.
const LEAST_QUEUE_BYTES: u64 = 22;
const INDEX_FILE_BYTES: u64 = 48;
/// A dropped topic with an empty name.
const LEAST_DROPPED_BYTES: u64 = 10;
const VERSION_1_HEAD_BYTES: u64 = 12;
const VERSION_1_LEAST_QUEUE_BYTES: u64 = 14;
const HAS_FILES: u32 = 1;
const HAS_INDEX: u32 = 2;
const SEALED: u32 = 1;
/// The content ends before what it says it holds.
const CUT: Fault = Fault::Damaged(Damage::Cut);
/// The highest name of an index file: Java parses it as a signed number (spec 1.3).
const MOST_NAME: u64 = i64::MAX.unsigned_abs();

/// What is derived from every record before one place of the log, and durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// Every record before this place is counted.
    pub(crate) derived_to: LogOffset,
    /// The store time of the last record before `derived_to`; 0 if that is not known.
    pub(crate) last_stored: Timestamp,
    /// Who derived it; all zeros in a file of version 1.
    pub(crate) writer: WriterId,
    /// Whether the entries of all records before `derived_to` are durable in the queues' files, and, if there is an
    /// `index`, in its files. If not, only the counts stand.
    pub(crate) has_files: bool,
    /// How many entries a segment of a queue holds; 0 if no queue has a file.
    pub(crate) entries_per_segment: u32,
    /// By topic (its UTF-8 bytes, at most 65,535) and queue id.
    pub(crate) queues: BTreeMap<(Vec<u8>, u32), QueueMark>,
    /// What is in the key index; `None` if there is none.
    pub(crate) index: Option<IndexMark>,
    /// By topic (at most 65,535 bytes): its records before this place are neither queued nor indexed.
    pub(crate) dropped: BTreeMap<Vec<u8>, LogOffset>,
}

/// One queue, as far as it is derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueMark {
    /// The offset with which its first file begins that counts, whether an entry or a blank stands there; `next` if it
    /// has no file. Never above `next`. Files before it were retired, and may still be there.
    pub(crate) first: QueueOffset,
    /// The offset that the queue's next message gets. At most 2⁶³ − 1.
    pub(crate) next: QueueOffset,
}

/// The key index, as far as it is derived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct IndexMark {
    /// Hash slots of each file (spec 4.1).
    pub(crate) slots: u32,
    /// Places for entries in each file, the unused entry 0 included (spec 4.1).
    pub(crate) entries: u32,
    /// The files, ascending by name.
    pub(crate) files: Vec<IndexFileMark>,
}

/// One file of the key index: what its header says, or will say when it is written (spec 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexFileMark {
    /// Its name as a number: seventeen digits, and never above 2⁶³ − 1 (spec 1.3).
    pub(crate) name: u64,
    /// The number that its next entry gets: 1 in a file without any, the index's `entries` in a full one.
    pub(crate) next_entry: u32,
    /// The store time of the first key.
    pub(crate) begin_time: Timestamp,
    /// The store time of the last key.
    pub(crate) end_time: Timestamp,
    /// The record of the first key.
    pub(crate) begin_offset: LogOffset,
    /// The record of the last key.
    pub(crate) end_offset: LogOffset,
    /// Its slots and its header are written and durable, and nothing will be added.
    pub(crate) sealed: bool,
}

impl Snapshot {
    /// The next offsets alone, of queues whose entries may not be in any file.
    pub(crate) fn of_counts(
        derived_to: LogOffset,
        writer: WriterId,
        next: impl IntoIterator<Item = ((Vec<u8>, u32), QueueOffset)>,
    ) -> Snapshot {
        let queues = next.into_iter().map(|(queue, next)| (queue, QueueMark { first: next, next })).collect();
        Snapshot { derived_to, writer, queues, ..Snapshot::default() }
    }

    /// The snapshot last saved in the folder `dir`; `None` if none ever was.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the file is damaged, [`Error::Foreign`] if a newer program wrote it, [`Error::Io`].
    pub(crate) fn load(disk: &dyn Disk, dir: &Path) -> Result<Option<Snapshot>> {
        let Some(payload) = FILE.load(disk, dir)? else { return Ok(None) };
        Snapshot::decode(&payload).map(Some).map_err(|fault| fault.in_file(&dir.join(FILE.name)))
    }

    /// The same for a caller that can scan the log from its start instead: a damaged file counts as none, and the
    /// damage stands beside it, to be reported.
    ///
    /// # Errors
    /// [`Error::Foreign`] if a newer program wrote the file, [`Error::Io`].
    pub(crate) fn load_or_none(
        disk: &dyn Disk,
        dir: &Path,
    ) -> Result<(Option<Snapshot>, Option<Corruption>)> {
        match Snapshot::load(disk, dir) {
            Ok(snapshot) => Ok((snapshot, None)),
            Err(Error::Corrupt(damage)) => Ok((None, Some(damage))),
            Err(other) => Err(other),
        }
    }

    /// Puts this snapshot in the place of the one saved; after Ok a power cut leaves it.
    ///
    /// # Errors
    /// [`Error::InvalidMessage`] if a topic is longer than 65,535 bytes (nothing was written), [`Error::Io`] (the
    /// old snapshot or the new one is there then).
    pub(crate) fn save(&self, disk: &dyn Disk, dir: &Path) -> Result<()> {
        FILE.save(disk, dir, &self.encode()?)
    }

    /// The content of the file, in the version that is written now.
    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        let count = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        let index = self.index.as_ref();
        let files = index.map_or(&[][..], |index| &index.files);
        let flags = u32::from(self.has_files) * HAS_FILES + u32::from(index.is_some()) * HAS_INDEX;
        let mut out = self.derived_to.0.to_be_bytes().to_vec();
        out.extend_from_slice(&self.last_stored.0.to_be_bytes());
        out.extend_from_slice(&self.writer.0);
        let counts = [count(self.queues.len()), count(files.len()), count(self.dropped.len())];
        let geometry = [index.map_or(0, |index| index.slots), index.map_or(0, |index| index.entries)];
        for number in [flags, self.entries_per_segment].into_iter().chain(counts).chain(geometry) {
            out.extend_from_slice(&number.to_be_bytes());
        }
        for ((topic, queue_id), mark) in &self.queues {
            put_topic(&mut out, topic)?;
            out.extend_from_slice(&queue_id.to_be_bytes());
            out.extend_from_slice(&mark.first.0.to_be_bytes());
            out.extend_from_slice(&mark.next.0.to_be_bytes());
        }
        for file in files {
            out.extend_from_slice(&file.name.to_be_bytes());
            out.extend_from_slice(&file.next_entry.to_be_bytes());
            out.extend_from_slice(&(u32::from(file.sealed) * SEALED).to_be_bytes());
            out.extend_from_slice(&file.begin_time.0.to_be_bytes());
            out.extend_from_slice(&file.end_time.0.to_be_bytes());
            out.extend_from_slice(&file.begin_offset.0.to_be_bytes());
            out.extend_from_slice(&file.end_offset.0.to_be_bytes());
        }
        for (topic, to) in &self.dropped {
            put_topic(&mut out, topic)?;
            out.extend_from_slice(&to.0.to_be_bytes());
        }
        Ok(out)
    }

    /// Entries out of order, the same one twice, numbers that cannot be, or bytes left over are nothing that was
    /// saved here.
    pub(super) fn decode(payload: &Payload) -> Parsed<Snapshot> {
        let total = u32::try_from(payload.bytes.len()).unwrap_or(u32::MAX);
        let reader = Reader { fields: Fields(&payload.bytes), total };
        if payload.version == 1 { reader.version_1() } else { reader.version_2() }
    }
}

fn put_topic(out: &mut Vec<u8>, topic: &[u8]) -> Result<()> {
    let len = u16::try_from(topic.len())
        .map_err(|_| Error::InvalidMessage("a topic is longer than 65,535 bytes".into()))?;
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(topic);
    Ok(())
}

/// Reads a payload from its front; its length is `total`.
struct Reader<'a> {
    fields: Fields<'a>,
    total: u32,
}

impl Reader<'_> {
    fn version_1(mut self) -> Parsed<Snapshot> {
        let derived_to = LogOffset(self.u64()?);
        let count = self.u32()?;
        self.fits(&[(1, VERSION_1_HEAD_BYTES), (count, VERSION_1_LEAST_QUEUE_BYTES)])?;
        let mut next = BTreeMap::new();
        for _ in 0..count {
            let queue = (self.topic()?, self.u32()?);
            let offset = QueueOffset(self.u64()?);
            self.insert(&mut next, queue, offset)?;
        }
        self.end()?;
        Ok(Snapshot::of_counts(derived_to, WriterId::default(), next))
    }

    fn version_2(mut self) -> Parsed<Snapshot> {
        let derived_to = self.log_offset()?;
        let last_stored = self.timestamp()?;
        let writer = WriterId(self.fields.array().ok_or(CUT)?);
        let flags = self.u32()?;
        let entries_per_segment = self.u32()?;
        let (queue_count, file_count, dropped_count) = (self.u32()?, self.u32()?, self.u32()?);
        let (slots, entries) = (self.u32()?, self.u32()?);
        self.fits(&[
            (1, HEAD_BYTES),
            (queue_count, LEAST_QUEUE_BYTES),
            (file_count, INDEX_FILE_BYTES),
            (dropped_count, LEAST_DROPPED_BYTES),
        ])?;
        let has_index = flags & HAS_INDEX != 0;
        let no_index_has_numbers = !has_index && (file_count, slots, entries) != (0, 0, 0);
        if flags & !(HAS_FILES | HAS_INDEX) != 0 || no_index_has_numbers {
            return Err(self.bad());
        }
        let queues = self.queues(queue_count)?;
        let files = self.index_files(file_count, entries)?;
        let mut dropped = BTreeMap::new();
        for _ in 0..dropped_count {
            let topic = self.topic()?;
            let to = self.log_offset()?;
            self.insert(&mut dropped, topic, to)?;
        }
        self.end()?;
        let index = has_index.then_some(IndexMark { slots, entries, files });
        let has_files = flags & HAS_FILES != 0;
        Ok(Snapshot {
            derived_to,
            last_stored,
            writer,
            has_files,
            entries_per_segment,
            queues,
            index,
            dropped,
        })
    }

    fn queues(&mut self, count: u32) -> Parsed<BTreeMap<(Vec<u8>, u32), QueueMark>> {
        let mut queues = BTreeMap::new();
        for _ in 0..count {
            let queue = (self.topic()?, self.u32()?);
            let (first, next) = (self.u64()?, self.u64()?);
            if first > next || next > LogOffset::MAX.0 {
                return Err(self.bad());
            }
            let mark = QueueMark { first: QueueOffset(first), next: QueueOffset(next) };
            self.insert(&mut queues, queue, mark)?;
        }
        Ok(queues)
    }

    fn index_files(&mut self, count: u32, entries: u32) -> Parsed<Vec<IndexFileMark>> {
        let mut files: Vec<IndexFileMark> = Vec::new();
        for _ in 0..count {
            let (name, next_entry, flags) = (self.u64()?, self.u32()?, self.u32()?);
            let ascends = files.last().is_none_or(|last| last.name < name) && name <= MOST_NAME;
            if !ascends || flags & !SEALED != 0 || next_entry == 0 || next_entry > entries {
                return Err(self.bad());
            }
            files.push(IndexFileMark {
                name,
                next_entry,
                begin_time: self.timestamp()?,
                end_time: self.timestamp()?,
                begin_offset: self.log_offset()?,
                end_offset: self.log_offset()?,
                sealed: flags & SEALED != 0,
            });
        }
        Ok(files)
    }

    /// Before anything is allocated: so many things of at least so many bytes are not more than there is.
    fn fits(&self, parts: &[(u32, u64)]) -> Parsed<()> {
        let sizes = parts.iter().map(|(count, bytes)| u64::from(*count).saturating_mul(*bytes));
        let parts = sizes.fold(0, u64::saturating_add);
        let fits = parts <= u64::from(self.total);
        if fits { Ok(()) } else { Err(Fault::Damaged(Damage::BadSize { total: self.total, parts })) }
    }

    /// Keeps the ascending order in which everything is written.
    fn insert<K: Ord, V>(&self, map: &mut BTreeMap<K, V>, key: K, value: V) -> Parsed<()> {
        if map.last_key_value().is_some_and(|(last, _)| *last >= key) {
            return Err(self.bad());
        }
        map.insert(key, value);
        Ok(())
    }

    fn end(&self) -> Parsed<()> {
        if self.fields.0.is_empty() { Ok(()) } else { Err(self.bad()) }
    }

    /// The parts do not make up what the file says it holds.
    fn bad(&self) -> Fault {
        let left = u64::try_from(self.fields.0.len()).unwrap_or(u64::MAX);
        let parts = u64::from(self.total).saturating_sub(left);
        Fault::Damaged(Damage::BadSize { total: self.total, parts })
    }

    fn topic(&mut self) -> Parsed<Vec<u8>> {
        let len = self.fields.u16().ok_or(CUT)?;
        self.fields.bytes(usize::from(len)).map(<[u8]>::to_vec).ok_or(CUT)
    }

    /// RocketMQ's offsets are signed (spec 1.2): a higher one was never written, and arithmetic on it could wrap.
    fn log_offset(&mut self) -> Parsed<LogOffset> {
        let offset = LogOffset(self.u64()?);
        if offset <= LogOffset::MAX { Ok(offset) } else { Err(self.bad()) }
    }

    fn timestamp(&mut self) -> Parsed<Timestamp> {
        self.fields.i64().map(Timestamp).ok_or(CUT)
    }

    fn u32(&mut self) -> Parsed<u32> {
        self.fields.u32().ok_or(CUT)
    }

    fn u64(&mut self) -> Parsed<u64> {
        self.fields.u64().ok_or(CUT)
    }
}
