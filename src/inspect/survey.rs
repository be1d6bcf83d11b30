//! [`Survey`]: what is in a store, by its files' names, lengths and first bytes.

use std::path::PathBuf;

use crate::checkpoint::{JavaCheckpoint, State};
use crate::clock::Timestamp;
use crate::consume_queue::ENTRY_BYTES;
use crate::disk::{Access, BootId, Holder};
use crate::error::{Damage, Error, Result};
use crate::inspect::folder::{self, OddFile};
use crate::inspect::opening::{Opening, opening};
use crate::inspect::parts::Parts;
use crate::inspect::queue_files::QueueFiles;
use crate::inspect::{Look, index_files};
use crate::message::{self, Peek, Verify};
use crate::offset::{LogOffset, LogRange, QueueOffset};
use crate::recovery::Abort;

/// The most of a segment's first record that is read for its time.
const FIRST_RECORD_BYTES: u64 = 1 << 20;

/// What is in a store; see [`survey`](super::survey()). Its [`Display`](std::fmt::Display) is for people.
///
/// ```
/// # let folder = tempfile::tempdir()?; use sawlog::{Message, Options, Store, inspect, disk::Holder};
/// # Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?.append_and_wait(&Message::new("orders", "1"))?;
/// let survey = inspect::survey(folder.path())?;
/// assert_eq!((survey.holder, survey.segment_bytes), (Holder::Nobody, Some(1 << 16)));
/// assert!(survey.missing.is_empty() && survey.quarantined.is_empty() && survey.odd.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Survey {
    /// The folder.
    pub root: PathBuf,
    /// The file system that it lies on, such as `ext4`; empty where that cannot be told.
    pub file_system: String,
    /// Who has it open.
    pub holder: Holder,
    /// Length of a log segment in bytes; `None` if there is none.
    pub segment_bytes: Option<u64>,
    /// The log's segments, oldest first.
    pub segments: Vec<SegmentFound>,
    /// Parts `[from, to)` of the log that no file holds: between two segments, and in front of all where sawlog knows
    /// that the log should begin earlier.
    pub missing: Vec<(LogOffset, LogOffset)>,
    /// Segments that retention has given up, and whose files are still there.
    pub given_up: Vec<PathBuf>,
    /// How many entries a file of a queue has; `None` if there is none.
    pub queue_segment_entries: Option<u32>,
    /// The queues, by topic and id.
    pub queues: Vec<QueueFound>,
    /// The key index; `None` if it has no file.
    pub index: Option<IndexFound>,
    /// What `sawlog/mark` says.
    pub mark: Option<MarkFound>,
    /// Parts `[from, to)` of the log in which every record has a checksum of its own; an open end is `u64::MAX`.
    pub ranges: Vec<(LogOffset, LogOffset)>,
    /// Damaged parts of the log that are listed (`sawlog/quarantine`) and stepped over, ascending; see
    /// [`OnDamage::Quarantine`](crate::OnDamage::Quarantine).
    pub quarantined: Vec<LogRange>,
    /// What `sawlog/queues` says.
    pub snapshot: Option<SnapshotFound>,
    /// The `abort` file, if it is there: the store is open, or was not closed in order.
    pub abort: Option<AbortFound>,
    /// RocketMQ's `checkpoint`.
    pub checkpoint: Option<CheckpointFound>,
    /// Files that are no part of the store in the place where they lie.
    pub odd: Vec<OddFile>,
    /// What earlier recoveries cut or put aside, with lengths in bytes.
    pub kept: Vec<(PathBuf, u64)>,
    /// What opening it would do.
    pub opening: Opening,
}

/// One file of the log.
///
/// ```
/// # let folder = tempfile::tempdir()?; use sawlog::{LogOffset, Message, Options, Store, inspect};
/// # Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?.append_and_wait(&Message::new("orders", "1"))?;
/// let survey = inspect::survey(folder.path())?;
/// let [segment] = &survey.segments[..] else { panic!("one segment") };
/// assert_eq!((segment.base, segment.len), (LogOffset(0), 1 << 16));
/// println!("{}: {}", segment.path.display(), segment.holds);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentFound {
    /// The offset of its first byte.
    pub base: LogOffset,
    /// The file.
    pub path: PathBuf,
    /// Its length in bytes.
    pub len: u64,
    /// What its first bytes say.
    pub holds: Holds,
}

/// What a segment begins with.
///
/// ```
/// # let folder = tempfile::tempdir()?; use sawlog::{Message, Options, Store, inspect, inspect::Holds};
/// # Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?.append_and_wait(&Message::new("orders", "1"))?;
/// for segment in inspect::survey(folder.path())?.segments {
///     match segment.holds {
///         Holds::Unreadable(damage) => panic!("{}: {damage}", segment.path.display()),
///         Holds::Records { first_stored } => assert!(first_stored.is_some()),
///         other => println!("{other}"),
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Holds {
    /// A record.
    Records {
        /// When that was stored; `None` if the record is damaged or longer than 1 MiB.
        first_stored: Option<Timestamp>,
    },
    /// An end-of-segment record: it was passed over.
    Blank,
    /// Zeros: made ahead of need.
    Nothing,
    /// No record.
    Unreadable(Damage),
    /// The file has vanished since the folder was listed.
    Gone,
}

/// One queue, by its files.
///
/// ```
/// # let folder = tempfile::tempdir()?; use sawlog::{Message, Options, QueueOffset, Store, inspect};
/// # Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?.append_and_wait(&Message::new("orders", "1"))?;
/// let survey = inspect::survey(folder.path())?;
/// let [queue] = &survey.queues[..] else { panic!("one queue") };
/// assert_eq!((queue.topic.as_str(), queue.id), ("orders", 0));
/// assert_eq!((queue.min, queue.max), (QueueOffset(0), QueueOffset(1)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueFound {
    /// The topic.
    pub topic: String,
    /// The queue, within the topic.
    pub id: u32,
    /// The first offset whose message is in the log still; `max` if none is.
    pub min: QueueOffset,
    /// The offset behind the last entry in the files. A running store's newest entries, of about the last second, are
    /// not in them yet.
    pub max: QueueOffset,
    /// Its files.
    pub files: u64,
    /// Their length together, in bytes.
    pub bytes: u64,
}

/// The key index.
///
/// ```
/// # let folder = tempfile::tempdir()?; use sawlog::{Message, Options, Store, inspect};
/// # Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?
/// #     .append_and_wait(&Message::new("orders", "paid").key("order-42"))?;
/// let index = inspect::survey(folder.path())?.index.expect("a key was stored");
/// assert_eq!((index.geometry, index.files.len()), (Some((5_000_000, 20_000_000)), 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IndexFound {
    /// Hash slots of each file, and places for entries (spec 4.1); `None` where that cannot be told.
    pub geometry: Option<(u32, u32)>,
    /// The files, oldest first.
    pub files: Vec<IndexFileFound>,
}

/// One file of the key index, by its header.
///
/// ```
/// # let folder = tempfile::tempdir()?; use sawlog::{LogOffset, Message, Options, Store, inspect};
/// # Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?
/// #     .append_and_wait(&Message::new("orders", "paid").key("order-42"))?;
/// let index = inspect::survey(folder.path())?.index.expect("a key was stored");
/// let file = &index.files[0];
/// assert_eq!((file.keys, file.records), (Some(1), Some((LogOffset(0), LogOffset(0)))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IndexFileFound {
    /// The file.
    pub path: PathBuf,
    /// Its length in bytes.
    pub len: u64,
    /// How many keys it has, by its header or, where sawlog has not written that yet, by `sawlog/queues`.
    pub keys: Option<u32>,
    /// When the records of its first and its last key were stored.
    pub stored: Option<(Timestamp, Timestamp)>,
    /// Where those records lie.
    pub records: Option<(LogOffset, LogOffset)>,
}

/// How the last sawlog writer stands, or ended.
///
/// ```
/// # let folder = tempfile::tempdir()?; use sawlog::{Message, Options, Store, inspect, inspect::WriterState};
/// # Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?.append_and_wait(&Message::new("orders", "1"))?;
/// let mark = inspect::survey(folder.path())?.mark.expect("sawlog wrote it");
/// assert_eq!(mark.state, WriterState::Closed);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriterState {
    /// It is writing, or was killed.
    Open,
    /// It closed in order.
    Closed,
    /// A sync failed under it.
    Failed,
}

/// `sawlog/mark`.
///
/// ```
/// # let folder = tempfile::tempdir()?; use sawlog::{LogOffset, Message, Options, Store, inspect};
/// # Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?.append_and_wait(&Message::new("orders", "1"))?;
/// let mark = inspect::survey(folder.path())?.mark.expect("sawlog wrote it");
/// assert_eq!((mark.ours_from, mark.durable), (LogOffset(0), mark.end)); // it was closed in order
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MarkFound {
    /// Everything before this place was durable.
    pub durable: LogOffset,
    /// The most bytes that were ever accepted and not durable.
    pub window_bytes: u64,
    /// The length of a log segment in bytes.
    pub segment_bytes: u64,
    /// Where the log begins, since retention has said it; `None` if it never has.
    pub first: Option<LogOffset>,
    /// From here on sawlog wrote.
    pub ours_from: LogOffset,
    /// How the writer stands, or ended.
    pub state: WriterState,
    /// Where the log ended when it was closed in order; means nothing in the other states.
    pub end: LogOffset,
    /// The writer's name.
    pub writer: String,
    /// Whether the system has run on since: no power was cut. `None` if that is not known.
    pub same_boot: Option<bool>,
}

/// `sawlog/queues`.
///
/// ```
/// # let folder = tempfile::tempdir()?; use sawlog::{Message, Options, Store, inspect};
/// # Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?.append_and_wait(&Message::new("orders", "1"))?;
/// let survey = inspect::survey(folder.path())?;
/// let snapshot = survey.snapshot.expect("it was closed in order");
/// assert!(snapshot.has_files && snapshot.queues == 1 && snapshot.dropped.is_empty());
/// assert_eq!(Some(snapshot.derived_to), survey.mark.map(|mark| mark.end));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotFound {
    /// Up to here queues and index were derived.
    pub derived_to: LogOffset,
    /// Whether the entries up to there are durable in the files.
    pub has_files: bool,
    /// How many queues it counts.
    pub queues: u64,
    /// Topics that were dropped, with the place below which their records do not count.
    pub dropped: Vec<(String, LogOffset)>,
}

/// The `abort` file.
///
/// ```
/// # let folder = tempfile::tempdir()?; use sawlog::{Options, Store, inspect};
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// let abort = inspect::survey(folder.path())?.abort.expect("the store is open");
/// assert_eq!((abort.ours, abort.pid), (true, Some(std::process::id())));
/// store.close()?;
/// assert!(inspect::survey(folder.path())?.abort.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AbortFound {
    /// The process that it names.
    pub pid: Option<u32>,
    /// Whether sawlog wrote it.
    pub ours: bool,
}

/// RocketMQ's `checkpoint`: up to which store time each part is durable.
///
/// ```
/// # let folder = tempfile::tempdir()?; use sawlog::{Message, Options, Store, inspect};
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// let stored = store.append_and_wait(&Message::new("orders", "paid"))?.stored;
/// store.close()?;
/// let checkpoint = inspect::survey(folder.path())?.checkpoint.expect("for a broker");
/// assert_eq!(checkpoint.log, stored);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointFound {
    /// The log.
    pub log: Timestamp,
    /// The queues.
    pub queues: Timestamp,
    /// The key index.
    pub index: Timestamp,
}

pub(super) fn survey(look: &Look) -> Result<Survey> {
    let parts = Parts::of(look)?;
    let disk = &*parts.disk;
    let description = disk.describe(parts.layout.root());
    let before = &parts.before;
    let len = parts.log.segment_bytes.unwrap_or(0);
    let bases = parts.log.segments.iter().map(|(base, _)| *base);
    let gaps = bases.clone().zip(bases.skip(1)).filter(|(base, next)| base.plus(len) < *next);
    let gaps = gaps.map(|(base, next)| (base.plus(len), next));
    let mut odd = parts.odd_log.clone();
    odd.extend(parts.queues.odd.iter().map(|odd| OddFile { path: odd.path.clone(), why: odd.why.clone() }));
    odd.extend(parts.odd_index.iter().cloned());
    odd.extend(
        parts.own_error.iter().map(|error| OddFile { path: parts.layout.own(), why: error.to_string() }),
    );
    Ok(Survey {
        root: parts.layout.root().to_path_buf(),
        file_system: description.map(|found| found.file_system).unwrap_or_default(),
        holder: parts.holder,
        segment_bytes: parts.log.segment_bytes,
        segments: segments(&parts)?,
        missing: parts.missing_front().into_iter().chain(gaps).collect(),
        given_up: parts.given_up.clone(),
        queue_segment_entries: parts.queues.entries_per_segment,
        queues: queues(&parts)?,
        index: index(&parts)?,
        mark: before.mark.as_ref().map(|mark| MarkFound {
            durable: mark.durable,
            window_bytes: mark.window_bytes,
            segment_bytes: mark.segment_bytes,
            first: mark.first,
            ours_from: mark.ours_from,
            state: match mark.state {
                State::Open => WriterState::Open,
                State::Closed => WriterState::Closed,
                State::Failed => WriterState::Failed,
            },
            end: mark.end,
            writer: mark.writer.to_string(),
            same_boot: (mark.boot != BootId::default()).then_some(mark.boot == before.boot),
        }),
        ranges: before.ranges.iter().collect(),
        quarantined: before.quarantine.iter().collect(),
        snapshot: before.snapshot.as_ref().map(|snapshot| SnapshotFound {
            derived_to: snapshot.derived_to,
            has_files: snapshot.has_files,
            queues: snapshot.queues.len() as u64,
            dropped: snapshot
                .dropped
                .iter()
                .map(|(topic, to)| (String::from_utf8_lossy(topic).into_owned(), *to))
                .collect(),
        }),
        abort: abort(&parts)?,
        checkpoint: JavaCheckpoint::load(disk, &parts.layout.checkpoint())?.map(|saved| CheckpointFound {
            log: saved.physic,
            queues: saved.logics,
            index: saved.index,
        }),
        odd,
        kept: kept(&parts)?,
        opening: opening(&parts)?,
    })
}

fn segments(parts: &Parts) -> Result<Vec<SegmentFound>> {
    let len = parts.log.segment_bytes.unwrap_or(0);
    let found = parts.log.segments.iter().map(|(base, path)| {
        let holds = match parts.disk.open(path, Access::Read) {
            Ok(file) => holds(&*file, *base).map_err(|e| Error::io("reading", path, e))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Holds::Gone,
            Err(e) => return Err(Error::io("opening", path, e)),
        };
        Ok(SegmentFound { base: *base, path: path.clone(), len, holds })
    });
    found.collect()
}

fn holds(file: &dyn crate::disk::DiskFile, base: LogOffset) -> std::io::Result<Holds> {
    let mut head = [0; 8];
    if file.len() < 8 {
        return Ok(Holds::Nothing);
    }
    file.read_at(0, &mut head)?;
    Ok(match message::peek(&head) {
        Peek::Record { len } => {
            let len = u64::from(len).min(file.len());
            let whole = usize::try_from(len).ok().filter(|_| len <= FIRST_RECORD_BYTES);
            let mut bytes = vec![0; whole.unwrap_or(0)];
            file.read_at(0, &mut bytes)?;
            let head = message::check(base, &bytes, Verify::Structure).ok();
            Holds::Records { first_stored: head.map(|head| head.stored) }
        }
        Peek::Blank { .. } => Holds::Blank,
        Peek::Unwritten => Holds::Nothing,
        Peek::Garbage { damage } => Holds::Unreadable(damage),
    })
}

fn queues(parts: &Parts) -> Result<Vec<QueueFound>> {
    let per_segment = parts.queues.entries_per_segment.unwrap_or(1);
    let file_bytes = u64::from(per_segment) * ENTRY_BYTES;
    let (disk, log_first) = (&*parts.disk, parts.log_first());
    let found = parts.queues.queues.iter().map(|((topic, id), bases)| {
        let mut files = QueueFiles::new(&parts.layout, topic, *id, per_segment, bases.clone());
        let max = files.end(disk)?;
        let min = files.partition(disk, (files.first(), max), |entry| entry.at < log_first)?;
        Ok(QueueFound {
            topic: topic.clone(),
            id: *id,
            min: QueueOffset(min),
            max: QueueOffset(max),
            files: bases.len() as u64,
            bytes: (bases.len() as u64).saturating_mul(file_bytes),
        })
    });
    found.collect()
}

fn index(parts: &Parts) -> Result<Option<IndexFound>> {
    if parts.index.is_empty() {
        return Ok(None);
    }
    let known = parts.before.snapshot.as_ref().and_then(|s| s.index.as_ref());
    let files = parts.index.iter().map(|place| {
        let mut found = IndexFileFound {
            path: place.path.clone(),
            len: place.len,
            keys: None,
            stored: None,
            records: None,
        };
        let Some(file) = index_files::open(&*parts.disk, place)? else { return Ok(found) };
        let marked = known.and_then(|index| index.files.iter().find(|file| file.name == place.name));
        if let Some(head) = index_files::header(&*file, &place.path)? {
            found.keys = Some(head.next_entry.saturating_sub(1));
            found.stored = Some((head.begin_time, head.end_time));
            found.records = Some((head.begin_offset, head.end_offset));
        } else if let Some(mark) = marked {
            found.keys = Some(mark.next_entry.saturating_sub(1));
            found.stored = Some((mark.begin_time, mark.end_time));
            found.records = Some((mark.begin_offset, mark.end_offset));
        }
        Ok(found)
    });
    let files = files.collect::<Result<_>>()?;
    Ok(Some(IndexFound { geometry: parts.geometry.map(|g| (g.slots, g.entries)), files }))
}

fn abort(parts: &Parts) -> Result<Option<AbortFound>> {
    let path = parts.layout.abort();
    let file = match parts.disk.open(&path, Access::Read) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("opening", &path, e)),
    };
    let mut text = vec![0; usize::try_from(file.len().min(64)).unwrap_or(0)];
    file.read_at(0, &mut text).map_err(|e| Error::io("reading", &path, e))?;
    let text = String::from_utf8_lossy(&text);
    let pid = text.split_ascii_whitespace().next().and_then(|word| word.parse().ok());
    Ok(Some(AbortFound { pid, ours: matches!(parts.before.abort, Some(Abort::Ours(_))) }))
}

/// What recoveries have put into our own folder.
fn kept(parts: &Parts) -> Result<Vec<(PathBuf, u64)>> {
    let own = parts.layout.own();
    let cuts = folder::list(&*parts.disk, &own)?.into_iter().filter(|entry| entry.name.starts_with("cut-"));
    let aside = folder::list(&*parts.disk, &own.join("aside"))?;
    Ok(cuts.chain(aside).filter(|entry| !entry.is_dir).map(|entry| (entry.path, entry.len)).collect())
}
