//! Consume queues on the simulated disk: their bytes, reading, writing, opening, and what crashes leave.

mod bytes;
mod crashes;
mod filling;
mod opening;
mod pointing;
mod putting;
mod reading;
mod retiring;
mod writing;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{ENTRY_BYTES, Entry, Geometry, Known, Put, QueueSurvey, QueueTable};
use crate::disk::sim::SimDisk;
use crate::offset::{LogOffset, QueueOffset};

/// Entries in a file, unless a test says otherwise.
const PER_SEGMENT: u32 = 10;
/// Every record of these tests is so long.
const RECORD_BYTES: u32 = 100;

fn dir() -> PathBuf {
    PathBuf::from("/store/consumequeue")
}

fn making() -> PathBuf {
    PathBuf::from("/store/sawlog/making-queues")
}

fn geometry() -> Geometry {
    Geometry { entries_per_segment: PER_SEGMENT, open_files: 8 }
}

/// The entry of the `n`th record of the log.
fn nth(n: u64) -> Entry {
    let at = LogOffset(n * u64::from(RECORD_BYTES));
    Entry { at, len: RECORD_BYTES, tag: i64::try_from(n).unwrap() - 3 }
}

/// Behind the `n`th record of the log.
fn end(n: u64) -> LogOffset {
    nth(n).end()
}

fn survey(disk: &SimDisk) -> QueueSurvey {
    QueueSurvey::of(disk, &dir()).unwrap()
}

type AllKnown = BTreeMap<(String, u32), Known>;

fn open_with(disk: &SimDisk, geometry: Geometry, known: &AllKnown) -> QueueTable {
    QueueTable::open(Arc::new(disk.clone()), dir(), making(), geometry, &survey(disk), known).unwrap()
}

fn open(disk: &SimDisk, known: &AllKnown) -> QueueTable {
    open_with(disk, geometry(), known)
}

fn new_table(disk: &SimDisk) -> QueueTable {
    open(disk, &BTreeMap::new())
}

fn rebuild(disk: &SimDisk, log_first: LogOffset) -> QueueTable {
    let disk_of_its_own = Arc::new(disk.clone());
    QueueTable::open_to_rebuild(disk_of_its_own, dir(), making(), geometry(), &survey(disk), log_first)
        .unwrap()
}

/// Puts to queue 0 of topic T, where position and record have one number, and expects each to be appended.
fn fill(table: &QueueTable, numbers: std::ops::Range<u64>) {
    for n in numbers {
        assert_eq!(table.put("T", 0, QueueOffset(n), nth(n)), Put::Appended, "{n}");
    }
}

fn write_and_sync(table: &QueueTable) {
    table.write_out(LogOffset::MAX).unwrap();
    table.sync().unwrap();
}

/// All positions of a queue from its first one on, read file by file.
fn all(table: &QueueTable, topic: &str, id: u32) -> Vec<(u64, Option<Entry>)> {
    let queue = table.queue(topic, id).expect("the queue");
    let known = table.known().get(&(topic.to_owned(), id)).copied();
    let mut at = known.map_or(0, |known| known.first.0);
    let mut found = Vec::new();
    while at < queue.max().0 {
        let entries = queue.read(QueueOffset(at), usize::MAX).unwrap();
        assert!(!entries.is_empty(), "nothing at {at} below {}", queue.max());
        for entry in entries {
            found.push((at, entry));
            at += 1;
        }
    }
    found
}

fn dense(numbers: std::ops::Range<u64>) -> Vec<(u64, Option<Entry>)> {
    numbers.map(|n| (n, Some(nth(n)))).collect()
}

/// The file of queue 0 of topic T that begins at this position.
fn file(base: u64) -> PathBuf {
    dir().join("T/0").join(format!("{:020}", base * ENTRY_BYTES))
}

/// The queue files under their final names, by the position that they begin at, of queue 0 of topic T.
fn bases(disk: &SimDisk) -> Vec<u64> {
    survey(disk).queues.get(&("T".to_owned(), 0)).into_iter().flatten().map(|base| base.0).collect()
}

fn files_under(disk: &SimDisk, dir: &Path) -> Vec<PathBuf> {
    disk.files().into_iter().map(|(path, _)| path).filter(|path| path.starts_with(dir)).collect()
}

fn key(topic: &str, id: u32) -> (String, u32) {
    (topic.to_owned(), id)
}

fn known(first: u64, next: u64) -> Known {
    Known { first: QueueOffset(first), next: QueueOffset(next) }
}
