//! What the running Java store answered (`NAME.expect.json`) is what ours answers over the same files; where Java's
//! answer is one of the hazards of spec §17, ours is the better one and the test says which hazard it is.

use std::collections::{BTreeMap, BTreeSet};

use sawlog::clock::Timestamp;
use sawlog::disk::OsDisk;
use sawlog::disk::sim::SimDisk;
use sawlog::message::{SysFlags, Transaction, java_hash};
use sawlog::{Batch, Bound, Error, Fetch, Filter, LogOffset, Options, QueueOffset, Retention, Status, Store};
use serde_json::Value;

use crate::fixtures::{data, expected};

const STORES: [&str; 4] =
    ["rocketmq-5.3.3/plain", "rocketmq-5.3.3/propcrc", "rocketmq-5.3.3/killed", "rocketmq-5.3.3/rebuilt"];

/// RocketMQ's limits of one pull (spec 11.1): the most messages and bytes in memory, and the bytes that a request
/// may ask for.
const MOST_COUNT: u64 = 32;
const MOST_BYTES: u64 = 262_144;
const ASKED_BYTES: (u64, u64) = (100, 128 << 20);
/// The most index entries that Java looks at for one query (`maxMsgsNumBatch`).
const MOST_FOUND: u64 = 64;

struct Javas {
    name: &'static str,
    store: Store,
    answers: Value,
}

/// Each store opened by us, on a disk of its own, beside Java's answers.
fn each(test: impl Fn(&Javas)) {
    for name in STORES {
        let disk = SimDisk::new();
        disk.copy_in(&OsDisk::new(), &data(name), "/store").unwrap();
        let options = Options::new().disk(disk).index_slots(100).index_entries(1000).by_hand();
        let options = options.retention(Retention::keep_all());
        let store = Store::open("/store", options).unwrap();
        let text = std::fs::read_to_string(data(&format!("{name}.expect.json"))).unwrap();
        test(&Javas { name, store, answers: serde_json::from_str(&text).unwrap() });
    }
}

impl Javas {
    /// The answers of one kind, at least `least` of them.
    fn of(&self, kind: &str, least: usize) -> &[Value] {
        let all = self.answers[kind].as_array().unwrap();
        assert!(all.len() >= least, "{}: hardly any {kind}", self.name);
        all
    }

    fn queue(&self, line: &Value) -> sawlog::Queue {
        self.store.queue(text(line, "topic"), number(line, "qid") as u32)
    }
}

fn text<'v>(line: &'v Value, field: &str) -> &'v str {
    line[field].as_str().unwrap()
}

fn number(line: &Value, field: &str) -> u64 {
    line[field].as_u64().unwrap_or_else(|| panic!("{field} of {line}"))
}

fn numbers(line: &Value, field: &str) -> Vec<u64> {
    line[field].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect()
}

#[test]
fn the_log_and_every_queue_begin_and_end_where_java_says() {
    each(|javas| {
        let marks = javas.store.marks();
        let log = &javas.answers["log"];
        assert_eq!(
            (marks.first.0, marks.visible.0),
            (number(log, "minPhy"), number(log, "maxPhy")),
            "{}",
            javas.name
        );
        let mut queues = BTreeMap::<String, Vec<u32>>::new();
        for line in javas.of("offsets", 10) {
            let queue = javas.queue(line);
            let ours = (queue.min().unwrap().0, queue.max().0);
            assert_eq!(ours, (number(line, "min"), number(line, "max")), "{}: {line}", javas.name);
            queues.entry(text(line, "topic").to_owned()).or_default().push(number(line, "qid") as u32);
            let read = queue.read_from(queue.min().unwrap()).map(Result::unwrap);
            assert!(read.map(|r| r.queue_offset.0).eq(ours.0..ours.1), "{}: {line}", javas.name);
        }
        assert_eq!(javas.store.topics(), queues.keys().cloned().collect::<Vec<_>>(), "{}", javas.name);
        for (topic, ids) in &queues {
            assert_eq!(javas.store.queues_of(topic), *ids, "{}: {topic}", javas.name);
        }
    });
}

#[test]
fn look_ups_by_time_give_javas_offsets() {
    each(|javas| {
        for line in javas.of("time", 200) {
            let bound = match text(line, "boundary") {
                "LOWER" => Bound::First,
                "UPPER" => Bound::Last,
                other => panic!("{other}"),
            };
            let time = Timestamp(line["ts"].as_i64().unwrap());
            let found = javas.queue(line).offset_at_time(time, bound).unwrap();
            assert_eq!(found.0, number(line, "offset"), "{}: {line}", javas.name);
        }
    });
}

/// The same request as Java got.
fn asked(line: &Value) -> Fetch {
    let count = number(line, "maxNum");
    let bytes =
        line["maxTotalBytes"].as_u64().map_or(ASKED_BYTES.1, |b| b.clamp(ASKED_BYTES.0, ASKED_BYTES.1));
    let wanted = Fetch::from_signed(line["offset"].as_i64().unwrap())
        .max_count(count.min(MOST_COUNT) as u32)
        .max_bytes(bytes.min(MOST_BYTES))
        .max_scanned(count.max(800) as u32);
    match line["tags"].as_array() {
        None => wanted,
        Some(tags) => {
            wanted.filter(Filter::tag_hashes(tags.iter().map(|tag| java_hash(tag.as_str().unwrap()))))
        }
    }
}

fn status(line: &Value) -> Status {
    match text(line, "status") {
        "FOUND" => Status::Found,
        "NO_MATCHED_MESSAGE" => Status::NoMatch,
        "OFFSET_OVERFLOW_ONE" => Status::AtEnd,
        "OFFSET_OVERFLOW_BADLY" => Status::BeyondEnd,
        "OFFSET_TOO_SMALL" => Status::BeforeStart,
        "NO_MESSAGE_IN_QUEUE" => Status::Empty,
        "MESSAGE_WAS_REMOVING" => Status::Removed,
        other => panic!("{other}"),
    }
}

#[test]
fn pulls_give_javas_answers() {
    each(|javas| {
        let mut seen = BTreeSet::new();
        for line in javas.of("get", 100) {
            let why = format!("{}: {line}", javas.name);
            let (queue, wanted) = (javas.queue(line), asked(line));
            let batch: Batch = queue.fetch(&wanted).unwrap();
            assert_eq!(batch.status, status(line), "{why}");
            assert_eq!(
                (batch.next.0, batch.min.0, batch.max.0, batch.records.len() as u64, batch.bytes),
                ["next", "min", "max", "count", "bytes"].map(|field| number(line, field)).into(),
                "{why}"
            );
            let offsets: Vec<_> = batch.records.iter().map(|r| r.queue_offset.0).collect();
            let places: Vec<_> = batch.records.iter().map(|r| r.position.offset.0).collect();
            assert_eq!((offsets, places), (numbers(line, "qoffs"), numbers(line, "phy")), "{why}");
            let raw = queue.raw(&wanted).unwrap();
            assert_eq!((raw.status, raw.next, raw.bytes), (batch.status, batch.next, batch.bytes), "{why}");
            let pieces: usize = raw.pieces.iter().map(|piece| piece.bytes.len()).sum();
            assert_eq!(pieces as u64, batch.bytes, "{why}");
            seen.insert(text(line, "status").to_owned());
        }
        assert_eq!(seen.len(), 6, "{}: {seen:?}", javas.name);
    });
}

/// Whether the record of this line can be found by the key: its unique id or one of its keys, and its transaction not
/// rolled back (spec 4.4, 4.6).
fn carries(line: &Value, key: &str) -> bool {
    let props = &line["props"];
    let keys = props["KEYS"].as_str().unwrap_or_default();
    let flags = SysFlags(line["sysFlag"].as_i64().unwrap() as i32);
    flags.transaction() != Transaction::Rollback
        && (props["UNIQ_KEY"].as_str() == Some(key)
            || keys.split(' ').any(|one| !one.is_empty() && one == key))
}

#[test]
fn keys_find_what_java_finds_and_carries_them() {
    each(|javas| {
        let records = expected(javas.name);
        let mut foreign = 0;
        for line in javas.of("query", 60) {
            let why = format!("{}: {line}", javas.name);
            let (topic, key) = (text(line, "topic"), text(line, "key"));
            let (begin, end) = (line["begin"].as_i64().unwrap(), line["end"].as_i64().unwrap());
            let fits = |record: &&Value| {
                let stored = record["store"].as_i64().unwrap();
                record["topic"] == *topic && carries(record, key) && (begin..=end).contains(&stored)
            };
            let all: Vec<_> = records.iter().filter(fits).map(|r| number(r, "phy")).rev().collect();
            let found = javas.store.find(topic, key).between(Timestamp(begin)..=Timestamp(end));
            let ours: Vec<_> = found.at_most(1000).map(|r| r.unwrap().position.offset.0).collect();
            assert_eq!(ours, all, "every record that carries the key, newest first: {why}");

            let java = numbers(line, "phy");
            let true_ones: BTreeSet<_> = java.iter().copied().filter(|phy| all.contains(phy)).collect();
            let newest: Vec<_> = true_ones.iter().rev().copied().collect();
            assert_eq!(
                newest,
                ours[..newest.len()],
                "the newest are Java's, without what is doubled (H10) or collides (H35): {why}"
            );
            if (java.len() as u64) < number(line, "maxNum").min(MOST_FOUND) {
                assert_eq!(newest.len(), ours.len(), "Java looked at all of them: {why}");
            }
            foreign += java.len() - newest.len();
        }
        assert!(foreign > 0, "{}: the answers hold foreign and doubled records (H10, H35)", javas.name);
    });
}

#[test]
fn records_are_looked_up_by_their_place() {
    each(|javas| {
        for line in javas.of("look", 10) {
            let why = format!("{}: {line}", javas.name);
            // A place before the log cannot even be asked for.
            let Ok(at) = u64::try_from(line["offset"].as_i64().unwrap()) else {
                assert!(line["result"].is_null(), "{why}");
                continue;
            };
            let ours = javas.store.record_at(LogOffset(at));
            let java = &line["result"];
            match java["phy"].as_u64() {
                Some(phy) if phy == at => {
                    let record = ours.unwrap();
                    let QueueOffset(offset) = record.queue_offset;
                    let found = (u64::from(record.position.len), u64::from(record.queue_id()), offset);
                    assert_eq!(found, ["size", "qid", "qoff"].map(|f| number(java, f)).into(), "{why}");
                    assert_eq!(record.topic().as_str(), text(java, "topic"), "{why}");
                }
                Some(_) => {
                    assert_eq!(at, 0, "{why}");
                    assert!(
                        matches!(ours, Err(Error::OutOfRange { asked: 0, .. })),
                        "Java takes 0 for the first segment when segment 0 is gone (H18): {why}"
                    );
                }
                None if at >= javas.store.marks().visible.0 => {
                    assert!(matches!(ours, Err(Error::OutOfRange { .. })), "{why}: {ours:?}");
                }
                None => {
                    assert!(java.is_null() || *java == "exception", "{why}");
                    assert!(
                        matches!(ours, Err(Error::Corrupt(_))),
                        "no record begins there, and no length overflows (H17): {why}: {ours:?}"
                    );
                }
            }
        }
    });
}
