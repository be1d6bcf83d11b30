//! The key index held against RocketMQ's bytes, against a plain list, and against what may happen to the disk.

mod faults;
mod golden;
mod model;
mod other;
mod restart;
mod retiring;
mod search;
mod survey;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Geometry, KeyIndex, KnownFile};
use crate::clock::Timestamp;
use crate::disk::sim::SimDisk;
use crate::error::Result;
use crate::message::java_hash;
use crate::offset::LogOffset;

/// 2023-11-14 22:13:20 UTC.
const START_MS: i64 = 1_700_000_000_000;
const ALL: std::ops::RangeInclusive<Timestamp> = Timestamp(i64::MIN)..=Timestamp(i64::MAX);

fn dir() -> &'static Path {
    Path::new("/store/index")
}

/// A file of `entries` places is full with one key less.
fn small(slots: u32, entries: u32) -> Geometry {
    Geometry { slots, entries }
}

fn try_open(disk: &SimDisk, geometry: Geometry, known: &[KnownFile]) -> Result<KeyIndex> {
    let making = PathBuf::from("/store/sawlog/making");
    KeyIndex::open(Arc::new(disk.clone()), dir().to_path_buf(), making, geometry, known)
}

fn open(disk: &SimDisk, geometry: Geometry, known: &[KnownFile]) -> KeyIndex {
    try_open(disk, geometry, known).unwrap()
}

/// One record with its keys, as a dispatcher sees it.
#[derive(Clone, Debug)]
struct Put {
    at: u64,
    stored_ms: i64,
    topic: String,
    keys: Vec<String>,
}

impl Put {
    fn new(at: u64, topic: &str, keys: &[&str]) -> Put {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        Put { at, stored_ms: START_MS + i64::try_from(at).unwrap(), topic: topic.to_owned(), keys }
    }

    fn feed(&self, index: &KeyIndex) {
        self.feed_at(index, Timestamp(self.stored_ms));
    }

    fn feed_at(&self, index: &KeyIndex, now: Timestamp) {
        let keys = self.keys.iter().map(String::as_str);
        index.put(LogOffset(self.at), Timestamp(self.stored_ms), now, &self.topic, keys);
    }

    /// Whether the index cannot tell the key from one of this record.
    fn may_have(&self, topic: &str, key: &str) -> bool {
        let hash = |topic: &str, key: &str| java_hash(&format!("{topic}#{key}")).checked_abs().unwrap_or(0);
        self.keys.iter().any(|own| hash(&self.topic, own) == hash(topic, key))
    }
}

/// Many records with one to three keys, some of them common, 40 ms apart.
fn many(count: u64) -> Vec<Put> {
    let one = |n: u64| {
        let keys = [format!("id-{n}"), format!("order-{}", n % 7), "Aa".to_owned()];
        let keys = keys.into_iter().take(1 + (n % 3) as usize).collect();
        let topic = if n.is_multiple_of(5) { "other" } else { "orders" }.to_owned();
        Put { at: n * 100, stored_ms: START_MS + (n * 40).cast_signed(), topic, keys }
    };
    (0..count).map(one).collect()
}

/// What a search over all times answers.
fn found(index: &KeyIndex, topic: &str, key: &str) -> Vec<u64> {
    index.search(topic, key, ALL).map(|at| at.unwrap().0).collect()
}

/// What it should answer, by a plain list of what was put.
fn expected(puts: &[Put], topic: &str, key: &str) -> Vec<u64> {
    puts.iter().rev().filter(|put| put.may_have(topic, key)).map(|put| put.at).collect()
}

/// Every key that was put, and some that were not, is found where it was put.
fn assert_all_found(index: &KeyIndex, puts: &[Put]) {
    let mut keys: Vec<_> =
        puts.iter().flat_map(|put| put.keys.iter().map(|key| (put.topic.as_str(), key.as_str()))).collect();
    keys.extend([("orders", "nobody"), ("nowhere", "Aa")]);
    keys.sort_unstable();
    keys.dedup();
    for (topic, key) in keys {
        assert_eq!(found(index, topic, key), expected(puts, topic, key), "{topic}#{key}");
    }
}

/// Everything that was put is in the files, and durable.
fn settle(index: &KeyIndex) {
    index.write_out(LogOffset::MAX).unwrap();
    index.sync().unwrap();
}

/// The content of the index files, oldest first.
fn contents(disk: &SimDisk) -> Vec<Vec<u8>> {
    let files = disk.files().into_iter().filter(|(path, _)| path.starts_with(dir()));
    files.map(|(path, _)| disk.read_file(path).unwrap()).collect()
}

/// The files of an index into which this was put without a disturbance.
fn undisturbed(geometry: Geometry, puts: &[Put]) -> Vec<Vec<u8>> {
    let disk = SimDisk::new();
    let index = open(&disk, geometry, &[]);
    puts.iter().for_each(|put| put.feed(&index));
    settle(&index);
    index.close().unwrap();
    contents(&disk)
}

/// Where the only file, or the last one, lies.
fn last_file(index: &KeyIndex) -> PathBuf {
    dir().join(super::name::digits(index.capture().last().unwrap().name))
}
