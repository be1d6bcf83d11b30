//! Stores that Java wrote (`tests/data`): opened, read, extended by each policy, closed and opened again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sawlog::disk::OsDisk;
use sawlog::disk::sim::SimDisk;
use sawlog::flush::{AsyncFlush, SyncFlush};
use sawlog::message::Transaction;
use sawlog::{DelayLevels, Message, MovedBack, Options, QueueOffset, Record, Retention, Store};
use serde_json::Value;

use crate::world::*;

/// Folder of the store, how many records it holds, whether Java closed it in order.
const STORES: [(&str, usize, bool); 6] = [
    ("rocketmq-4.9.8/clean", 340, true),
    ("rocketmq-4.9.8/killed", 407, false),
    ("rocketmq-5.3.3/plain", 734, true),
    ("rocketmq-5.3.3/propcrc", 561, true),
    ("rocketmq-5.3.3/killed", 607, false),
    ("rocketmq-5.3.3/rebuilt", 469, true),
];

fn data(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// Place, topic, queue and ordinal of each record, as Java tells them.
type Row = (u64, String, u32, u64);

fn expected(name: &str) -> Vec<Row> {
    let text = std::fs::read_to_string(data(&format!("{name}.jsonl"))).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let row = |line: Value| {
        let number = |field: &str| line[field].as_u64().unwrap();
        (number("phy"), line["topic"].as_str().unwrap().to_owned(), number("qid") as u32, number("qoff"))
    };
    lines.filter(|line| line.get("blank").is_none()).map(row).collect()
}

fn row(record: &Record) -> Row {
    (record.position.offset.0, record.topic().to_string(), record.queue_id(), record.queue_offset.0)
}

fn taken_over(name: &str) -> World {
    let world = World::new();
    world.disk.copy_in(&OsDisk::new(), &data(name), "/store").unwrap();
    world
}

fn options(disk: &SimDisk) -> Options {
    kept().disk(disk.clone()).index_slots(100).index_entries(1000).by_hand()
}

/// Java wrote these stores years ago: by the default rules they have expired.
fn kept() -> Options {
    Options::new().retention(Retention::keep_all())
}

fn open(disk: &SimDisk, sync: bool) -> Store {
    let options = options(disk);
    let options = if sync { options.flush(SyncFlush) } else { options.flush(AsyncFlush::default()) };
    Store::open("/store", options).unwrap()
}

#[test]
fn every_java_store_opens_and_reads_as_java_reads_it() {
    for (name, count, clean) in STORES {
        let world = taken_over(name);
        let store = open(&world.disk, true);
        let report = store.recovery();
        assert!(report.foreign_writer, "{name}");
        assert_eq!(report.clean_shutdown, clean, "{name}");
        assert_eq!(report.queues_moved_back, [], "{name}");
        assert_eq!(report.records as usize, count, "{name}: a foreign log is looked at as a whole");
        let rows: Vec<_> = all(&store).iter().map(row).collect();
        assert_eq!(rows.len(), count);
        assert_eq!(rows, expected(name), "{name}");
        assert_eq!(store.marks().first.0, rows[0].0 / SEGMENT * SEGMENT, "{name}");
    }
}

/// A power cut under a broker's ASYNC_FLUSH: its queue files reached the disk, the log's last record did not. A consumer
/// may stand behind the message that is gone (promises rule 13).
#[test]
fn a_queue_file_that_goes_further_than_the_log_is_reported() {
    for (name, count, _) in STORES {
        let world = taken_over(name);
        let (at, topic, queue_id, ordinal) = expected(name).pop().unwrap();
        let base = at / SEGMENT * SEGMENT;
        let zeros = vec![0; usize::try_from(base + SEGMENT - at).unwrap()];
        world.disk.overwrite(format!("/store/commitlog/{base:020}"), at - base, &zeros).unwrap();
        let store = open(&world.disk, true);
        let report = store.recovery();
        assert_eq!((report.log_end.0, report.records as usize), (at, count - 1), "{name}");
        let (was, is) = (QueueOffset(ordinal + 1), QueueOffset(ordinal));
        let moved = MovedBack { topic: topic.clone(), queue_id, was, is };
        assert_eq!(report.queues_moved_back, [moved], "{name}");
        assert!(report.to_string().contains(&format!("queue {topic}/{queue_id} ended at {was}")), "{report}");
        assert_eq!(store.queue(&topic, queue_id).max(), is, "{name}");
        store.close().unwrap();
        assert_eq!(open(&world.disk, true).recovery().queues_moved_back, [], "{name}: it is told once");
    }
}

/// What Java wrote is the log and its configuration. Queues and index are derived anew, and come out as Java's to the
/// byte; only the index files' names tell when they were made.
#[test]
fn looking_at_a_java_store_leaves_its_log_and_derives_the_same_queues_and_index() {
    for (name, _, _) in STORES {
        let world = taken_over(name);
        let before = files_of(&world);
        let mut options = options(&world.disk);
        if name.contains("4.9.8") {
            // What that broker was told; nothing in its files says it.
            options = options.delay_levels(DelayLevels::parse("1s 2s 3s").unwrap()).index_entries(400);
        }
        Store::open("/store", options).unwrap().close().unwrap();
        let after = files_of(&world);
        // A segment that Java had made ahead and that holds nothing is ours to remake.
        let kept = |(path, bytes): &(&PathBuf, &Vec<u8>)| {
            let is_log = path.starts_with("/store/commitlog");
            let is_derived = path.starts_with("/store/index") || path.ends_with("checkpoint");
            !(is_derived || is_log && bytes.iter().all(|byte| *byte == 0))
        };
        let (was, is): (BTreeMap<_, _>, BTreeMap<_, _>) =
            (before.iter().filter(kept).collect(), after.iter().filter(kept).collect());
        assert_eq!(was.keys().collect::<Vec<_>>(), is.keys().collect::<Vec<_>>(), "{name}");
        for (path, bytes) in &was {
            assert!(is[path] == *bytes, "{name}: {} was changed", path.display());
        }
        let index = |files: &BTreeMap<PathBuf, Vec<u8>>| -> Vec<Vec<u8>> {
            files.iter().filter(|(path, _)| path.starts_with("/store/index")).map(|f| f.1.clone()).collect()
        };
        let (was, is) = (index(&before), index(&after));
        // What a killed broker had not written into its last file is found in ours.
        let same = if name.ends_with("killed") { was.len() - 1 } else { was.len() };
        assert!(same > 0 && is.len() >= was.len(), "{name}: {} index files, {} before", is.len(), was.len());
        for n in 0..same {
            assert!(was[n] == is[n], "{name}: index file {n} differs");
        }
    }
}

fn files_of(world: &World) -> BTreeMap<PathBuf, Vec<u8>> {
    let ours = |path: &Path| path.starts_with("/store/sawlog") || path.ends_with("abort");
    let files = world.disk.files().into_iter().map(|(path, _)| path).filter(|path| !ours(path));
    files.map(|path| (path.clone(), world.disk.read_file(&path).unwrap())).collect()
}

/// The queues hold what the log does, each record at its place, and every key is found.
fn queues_hold(store: &Store, log: &[Record], name: &str) {
    while store.step() {}
    let mut queues: BTreeMap<_, Vec<&Record>> = BTreeMap::new();
    for record in log.iter().filter(|r| r.is_queued()) {
        queues.entry((record.topic().to_string(), record.queue_id())).or_default().push(record);
    }
    for ((topic, id), records) in &queues {
        let queue = store.queue(topic, *id);
        assert_eq!(queue.min().unwrap(), records[0].queue_offset, "{name} {topic}/{id}");
        let read: Vec<_> = queue.read_from(queue.min().unwrap()).collect::<Result<_, _>>().unwrap();
        assert_eq!(read.iter().collect::<Vec<_>>(), *records, "{name} {topic}/{id}");
    }
    for record in log {
        let Some(id) = record.message.unique_id() else { continue };
        let places = store.find(record.topic().as_str(), &id).map(|found| found.unwrap().position);
        let is_indexed = record.message.sys_flags.transaction() != Transaction::Rollback;
        assert_eq!(places.collect::<Vec<_>>().contains(&record.position), is_indexed, "{name} {id}");
    }
}

#[test]
fn every_java_store_can_be_extended_under_each_policy() {
    for (name, count, _) in STORES {
        for sync in [true, false] {
            let world = taken_over(name);
            let store = open(&world.disk, sync);
            let javas = all(&store);
            assert_eq!(javas.len(), count);
            let mut next = BTreeMap::new();
            for record in javas.iter().filter(|r| r.is_queued()) {
                let queue = (record.topic().to_string(), record.queue_id());
                let least = next.entry(queue).or_insert(0);
                *least = (*least).max(record.queue_offset.0 + 1);
            }
            let queues: Vec<_> = next.keys().cloned().chain([("ours".to_owned(), 0)]).collect();
            for n in 0..1000_usize {
                let queue = &queues[n % queues.len()];
                let message = Message::new(queue.0.as_str(), format!("ours {n}")).queue(queue.1);
                let ordinal = next.entry(queue.clone()).or_insert(0);
                let ack = store.append(&message).unwrap();
                assert_eq!(ack.queue_offset(), QueueOffset(*ordinal), "{name} {queue:?}");
                *ordinal += 1;
            }
            store.flush().unwrap();
            let whole = all(&store);
            assert_eq!(whole.len(), count + 1000);
            assert_eq!(whole[..count], javas, "{name}: what Java wrote is untouched");
            queues_hold(&store, &whole, name);
            store.close().unwrap();

            // Opened by the other policy, killed, and opened by the first again.
            let store = open(&world.disk, !sync);
            let report = store.recovery();
            assert!(
                report.clean_shutdown && !report.foreign_writer && report.cuts.is_empty(),
                "{name}: {report}"
            );
            assert_eq!(all(&store), whole, "{name}");
            assert!(!report.rebuilt && report.derived_from == report.log_end, "{name}: {report}");
            queues_hold(&store, &whole, name);
            for queue in &queues {
                let ack = store.append(&Message::new(queue.0.as_str(), "again").queue(queue.1)).unwrap();
                assert_eq!(ack.queue_offset(), QueueOffset(next[queue]), "{name} {queue:?}");
            }
            store.flush().unwrap();
            let store = open(&world.disk.kill(), sync);
            assert_eq!(all(&store).len(), whole.len() + queues.len());
        }
    }
}

#[test]
fn a_java_store_on_real_files_is_taken_over_and_given_back() {
    for (name, count, _) in STORES {
        let folder = tempfile::tempdir().unwrap();
        copy(&data(name), folder.path());
        let store = Store::open(folder.path(), kept()).unwrap();
        assert_eq!(all(&store).len(), count);
        for n in 0..100 {
            store.append_and_wait(&numbered(n)).unwrap();
        }
        store.close().unwrap();
        let store = Store::open(folder.path(), kept().flush(SyncFlush)).unwrap();
        let rows: Vec<_> = all(&store).iter().map(row).collect();
        assert_eq!(rows.len(), count + 100);
        assert_eq!(rows[..count], expected(name));
        store.close().unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A broker whose power was cut went on behind a blank record of which the magic alone had reached the disk: RocketMQ
/// looks at no more (spec 2.2). We refused the store as damaged, and `OnDamage::FirstBroken` would have cut all that
/// the broker had stored since.
#[test]
fn a_brokers_blank_record_is_known_by_its_magic_alone() {
    for (name, count, clean) in STORES {
        for torn in [[0; 4], [0, 0, 0x10, 0], [0x7F, 0xFF, 0xFF, 0xFF], [0xFF; 4]] {
            let world = taken_over(name);
            // Where a segment's last record ends, the blank one begins.
            let rows = expected(name);
            let place = |row: &Row| (row.0 / SEGMENT, row.0);
            let roll = rows.windows(2).find(|two| place(&two[0]).0 < place(&two[1]).0).unwrap();
            let file = format!("/store/commitlog/{:020}", roll[0].0 / SEGMENT * SEGMENT);
            let bytes = world.disk.read_file(&file).unwrap();
            let last = (roll[0].0 % SEGMENT) as usize;
            let len = u32::from_be_bytes(bytes[last..last + 4].try_into().unwrap());
            let blank = last as u64 + u64::from(len);
            world.disk.overwrite(&file, blank, &torn).unwrap();

            let store = open(&world.disk, true);
            let report = store.recovery();
            assert!(report.cuts.is_empty() && report.clean_shutdown == clean, "{name} {torn:?}: {report}");
            let all = all(&store);
            assert_eq!(all.iter().map(row).collect::<Vec<_>>(), rows, "{name} {torn:?}");
            assert_eq!(all.len(), count);
            queues_hold(&store, &all, name);
            store.close().unwrap();
            // And so it stays, though we wrote last now.
            let store = open(&world.disk, true);
            assert!(store.recovery().clean_shutdown && store.recovery().cuts.is_empty(), "{name}");
            assert_eq!(crate::world::all(&store), all, "{name} {torn:?}");
        }
    }
}
