//! What must hold of queues and key index: they are what the log says, no more, no less (house.md §10, points 3 and 4).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sawlog::disk::Disk;
use sawlog::disk::sim::SimDisk;
use sawlog::message::Transaction;
use sawlog::{LogOffset, QueueOffset, Store};

use super::expected::{Expected, ROOT, Taken};
use super::oracle::Verdict;
use super::workload::{QUEUES, TOPICS, clock, options};

/// Every queue is dense and its records are those of the log from its front up to `end`; every keyed record is found, newest first,
/// and nothing else is. Of the topics that were dropped so many are gone, counted from the first, as lies between
/// these two numbers. Says how many that are.
pub(crate) fn check_derived(
    store: &Store,
    log: &Expected,
    end: LogOffset,
    (least, most): (usize, usize),
) -> Verdict<usize> {
    let most = most.min(log.dropped.len());
    let mut verdict = Err(format!("{least} topics were dropped, and at most {most} were"));
    for dropped in least..=most {
        match check_with(store, log, end, dropped) {
            Ok(()) => return Ok(dropped),
            // The first is what was promised.
            Err(why) if dropped == least => verdict = Err(why),
            Err(_) => {}
        }
    }
    verdict
}

fn check_with(store: &Store, log: &Expected, end: LogOffset, dropped: usize) -> Verdict {
    let gone_below: BTreeMap<&str, LogOffset> =
        log.dropped.iter().take(dropped).map(|d| (d.topic, d.below)).collect();
    let front = store.marks().first;
    let mut queues: BTreeMap<(&str, u32), Wanted<'_>> = BTreeMap::new();
    let mut keys: BTreeMap<(&str, String), Vec<LogOffset>> = BTreeMap::new();
    for taken in log.up_to(end) {
        let topic = taken.message.topic.as_str();
        let at = taken.position.offset;
        let is_gone = at < front || gone_below.get(topic).is_some_and(|below| at < *below);
        if taken.message.sys_flags.is_queued() {
            let queue = queues.entry((topic, taken.message.queue_id)).or_default();
            match is_gone {
                true => queue.gone += 1,
                false => queue.records.push(taken),
            }
        }
        let is_indexed = taken.message.sys_flags.transaction() != Transaction::Rollback;
        let mut named: Vec<String> =
            taken.message.keys().iter().flat_map(|all| all.split(' ')).map(Into::into).collect();
        named.extend(taken.message.unique_id().map(Into::into));
        for key in named {
            let places = keys.entry((topic, key)).or_default();
            if is_indexed && !is_gone && places.last() != Some(&taken.position.offset) {
                places.push(taken.position.offset);
            }
        }
    }
    for topic in TOPICS {
        for id in 0..QUEUES {
            let want = queues.remove(&(topic, id)).unwrap_or_default();
            check_queue(store, topic, id, &want)?;
        }
    }
    keys.iter().try_for_each(|((topic, key), want)| check_key(store, topic, key, want))
}

/// What a queue should hold.
#[derive(Default)]
struct Wanted<'a> {
    /// So many offsets were given to messages that went, with their topic or with the log's front.
    gone: u64,
    records: Vec<&'a Taken>,
}

fn check_queue(store: &Store, topic: &str, id: u32, want: &Wanted<'_>) -> Verdict {
    let queue = store.queue(topic, id);
    let wrong = |what: String| Err(format!("queue {topic}/{id}: {what}; {}", store.recovery()));
    let min = queue.min().map_err(|e| format!("queue {topic}/{id}: min: {e}"))?;
    let (first, next) = (want.gone, want.gone + want.records.len() as u64);
    if (min.0, queue.max().0) != (first, next) {
        return wrong(format!("holds {min} to {}, the log has {first} to {next}", queue.max()));
    }
    let mut records = queue.read_from(QueueOffset(first));
    for taken in &want.records {
        match records.next() {
            Some(Ok(read)) => taken.check(&read)?,
            Some(Err(error)) => return wrong(format!("{error}; wanted {taken:?}")),
            None => return wrong(format!("ends before {taken:?}")),
        }
    }
    match records.next() {
        None => Ok(()),
        Some(more) => wrong(format!("goes on with {more:?}")),
    }
}

fn check_key(store: &Store, topic: &str, key: &str, want: &[LogOffset]) -> Verdict {
    let found = store.find(topic, key).at_most(u32::MAX).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|e| format!("key {key} of {topic}: {e}"))?;
    let places: Vec<_> = found.iter().map(|r| r.position.offset).collect();
    match places.iter().eq(want.iter().rev()) {
        true => Ok(()),
        false => Err(format!(
            "key {key} of {topic}: found at {places:?}, stored at {want:?}; {}",
            store.recovery()
        )),
    }
}

/// Queue files by name, index files in order.
pub(crate) type DerivedBytes = (BTreeMap<PathBuf, Vec<u8>>, Vec<Vec<u8>>);

/// The bytes of the queue files by name, and those of the index files in order: their names are moments.
pub(crate) fn derived_bytes(disk: &SimDisk) -> DerivedBytes {
    let read = |dir: &'static str| {
        let below = move |path: &PathBuf| path.starts_with(Path::new(ROOT).join(dir));
        disk.files().into_iter().map(|(path, _)| path).filter(below)
    };
    let bytes = |path: &PathBuf| disk.read_file(path).unwrap();
    let queues = read("consumequeue").map(|path| (path.clone(), bytes(&path))).collect();
    (queues, read("index").map(|path| bytes(&path)).collect())
}

/// What the log alone gives: a copy without anything derived, opened and closed.
pub(crate) fn fresh(disk: &SimDisk) -> DerivedBytes {
    let copy = disk.kill();
    for (path, _) in disk.files() {
        if !path.starts_with(Path::new(ROOT).join("commitlog")) {
            copy.remove(&path).unwrap();
        }
    }
    Store::open(ROOT, options(&copy, &clock(), true)).unwrap().close().unwrap();
    derived_bytes(&copy)
}

pub(crate) fn difference(
    (queues, index): &DerivedBytes,
    (fresh_queues, fresh_index): &DerivedBytes,
) -> Option<String> {
    if !queues.keys().eq(fresh_queues.keys()) {
        return Some(format!("queue files {:?}, fresh ones {:?}", queues.keys(), fresh_queues.keys()));
    }
    if index.len() != fresh_index.len() {
        return Some(format!("{} index files, fresh ones {}", index.len(), fresh_index.len()));
    }
    let named = queues.iter().map(|(path, bytes)| (path.display().to_string(), bytes));
    let numbered = index.iter().enumerate().map(|(number, bytes)| (format!("index file {number}"), bytes));
    for ((name, bytes), fresh) in named.chain(numbered).zip(fresh_queues.values().chain(fresh_index)) {
        if bytes.len() != fresh.len() {
            return Some(format!("{name} has {} bytes, a fresh one {}", bytes.len(), fresh.len()));
        }
        if let Some(at) = bytes.iter().zip(fresh).position(|(a, b)| a != b) {
            let around = at / 20 * 20..(at / 20 * 20 + 40).min(bytes.len());
            return Some(format!(
                "{name} at {at}: {:02x?}, fresh {:02x?}",
                &bytes[around.clone()],
                &fresh[around]
            ));
        }
    }
    None
}
