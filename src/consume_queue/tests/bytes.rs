//! Golden bytes, and the queues of stores that Java wrote: read, and written again to the byte.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::*;
use crate::consume_queue::entry::BLANK;
use crate::disk::OsDisk;
use crate::message::java_hash;

/// Written by RocketMQ 5.3.3, with the number of entries in a file.
const STORES: [(&str, u32); 4] = [("plain", 30), ("propcrc", 100), ("killed", 30), ("rebuilt", 30)];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

#[test]
fn entries_have_the_bytes_of_the_worked_example() {
    let first = Entry { at: LogOffset(0), len: 0xB6, tag: 2_598_919 };
    let second = Entry { at: LogOffset(0xB6), len: 0xB7, tag: -392_709_271 };
    assert_eq!(hex(&first.encode()), "0000000000000000000000B6000000000027A807");
    assert_eq!(hex(&second.encode()), "00000000000000B6000000B7FFFFFFFFE897BB69");
    assert_eq!(hex(&BLANK), "00000000000000007FFFFFFF0000000000000000");
    for entry in [first, second] {
        assert_eq!(Entry::decode(&entry.encode()), Some(entry));
    }
    assert_eq!(second.end(), LogOffset(0xB6 + 0xB7));
}

#[test]
fn blanks_zeros_and_nonsense_are_no_entries() {
    assert_eq!(Entry::decode(&[0; 20]), None);
    assert_eq!(Entry::decode(&BLANK), None);
    assert_eq!(Entry::decode(&[0xFF; 20]), None);
    let sound = Entry { at: LogOffset::MAX, len: i32::MAX.unsigned_abs() - 1, tag: i64::MIN };
    assert_eq!(Entry::decode(&sound.encode()), Some(sound));
    for bad in [
        Entry { at: LogOffset(LogOffset::MAX.0 + 1), ..sound },
        Entry { len: 0, ..sound },
        Entry { len: i32::MAX.unsigned_abs(), ..sound },
        Entry { len: 1 << 31, ..sound },
    ] {
        assert_eq!(Entry::decode(&bad.encode()), None, "{bad:?}");
    }
}

#[test]
fn a_file_that_begins_amid_a_segment_is_filled_with_blanks_to_there() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    fill(&table, 23..25);
    write_and_sync(&table);
    let mut expected: Vec<u8> = BLANK.repeat(3);
    expected.extend(nth(23).encode());
    expected.extend(nth(24).encode());
    expected.resize(200, 0);
    assert_eq!(files_under(&disk, &dir()), [file(20)]);
    assert_eq!(disk.read_file(file(20)).unwrap(), expected);
    assert_eq!(all(&table, "T", 0)[..4], [(20, None), (21, None), (22, None), (23, Some(nth(23)))]);
}

/// A store's queue files on a simulated disk, and what Java answers about it.
fn java_store(name: &str) -> (SimDisk, Value) {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/rocketmq-5.3.3");
    let disk = SimDisk::new();
    disk.copy_in(&OsDisk, &data.join(name).join("consumequeue"), dir()).unwrap();
    disk.copy_in(&OsDisk, &data, "/data").unwrap();
    let text = disk.read_file(format!("/data/{name}.expect.json")).unwrap();
    (disk, serde_json::from_slice(&text).unwrap())
}

/// Minimum and maximum of each queue as Java answers.
fn java_offsets(expected: &Value) -> BTreeMap<(String, u32), (u64, u64)> {
    let offsets = expected["offsets"].as_array().unwrap().iter();
    let number = |value: &Value| value.as_u64().unwrap();
    let offset = |o: &Value| {
        let id = u32::try_from(number(&o["qid"])).unwrap();
        (key(o["topic"].as_str().unwrap(), id), (number(&o["min"]), number(&o["max"])))
    };
    offsets.map(offset).collect()
}

fn open_java(disk: &SimDisk, expected: &Value, entries_per_segment: u32) -> QueueTable {
    let found = survey(disk);
    assert_eq!((found.entries_per_segment, found.odd.len()), (Some(entries_per_segment), 0));
    let known = java_offsets(expected)
        .into_iter()
        .map(|(queue, (_, max))| {
            let first = found.queues[&queue][0];
            (queue, Known { first, next: QueueOffset(max) })
        })
        .collect();
    assert!(found.covers(&known, entries_per_segment));
    open_with(disk, Geometry { entries_per_segment, open_files: 8 }, &known)
}

#[test]
fn every_entry_of_javas_queues_is_the_place_of_its_record() {
    for (name, entries_per_segment) in STORES {
        let (disk, expected) = java_store(name);
        let table = open_java(&disk, &expected, entries_per_segment);
        let records = disk.read_file(format!("/data/{name}.jsonl")).unwrap();
        let mut queued = 0;
        for line in std::str::from_utf8(&records).unwrap().lines() {
            let record: Value = serde_json::from_str(line).unwrap();
            let number = |field: &str| record[field].as_u64().unwrap();
            // Prepared messages and rollbacks have no entry.
            if !matches!(number("sysFlag") >> 2 & 3, 0 | 2) {
                continue;
            }
            queued += 1;
            let topic = record["topic"].as_str().unwrap();
            let queue = table.queue(topic, u32::try_from(number("qid")).unwrap()).expect(topic);
            let entry = queue.entry(QueueOffset(number("qoff"))).unwrap().expect(line);
            assert_eq!((entry.at.0, u64::from(entry.len)), (number("phy"), number("size")), "{name}");
            if topic != "SCHEDULE_TOPIC_XXXX" {
                let tags = record["props"].get("TAGS").and_then(Value::as_str);
                assert_eq!(entry.tag, i64::from(tags.map_or(0, java_hash)), "{name} {topic}");
            }
        }
        let max_sum: u64 = java_offsets(&expected).values().map(|(min, max)| max - min).sum();
        assert_eq!(queued, max_sum, "{name}: no record without an entry, no entry without a record");
    }
}

#[test]
fn minima_and_maxima_of_javas_queues_are_javas() {
    for (name, entries_per_segment) in STORES {
        let (disk, expected) = java_store(name);
        let table = open_java(&disk, &expected, entries_per_segment);
        let log_first = LogOffset(expected["log"]["minPhy"].as_u64().unwrap());
        for ((topic, id), (min, max)) in java_offsets(&expected) {
            let queue = table.queue(&topic, id).expect("the queue");
            assert_eq!(queue.max(), QueueOffset(max), "{name} {topic} {id}");
            assert_eq!(queue.min(log_first).unwrap(), QueueOffset(min), "{name} {topic} {id}");
        }
        let topics: Vec<String> = java_offsets(&expected).into_keys().map(|(topic, _)| topic).collect();
        let mut topics_once = topics.clone();
        topics_once.dedup();
        assert_eq!(table.topics(), topics_once);
    }
}

#[test]
fn what_java_wrote_is_written_again_to_the_byte() {
    for (name, entries_per_segment) in STORES {
        let (java, expected) = java_store(name);
        let theirs = open_java(&java, &expected, entries_per_segment);
        let disk = SimDisk::new();
        let ours = open_with(&disk, Geometry { entries_per_segment, open_files: 4 }, &BTreeMap::new());
        // In the order of the log, with a round of the recorder now and then.
        let mut entries: Vec<_> = theirs
            .known()
            .into_keys()
            .flat_map(|(topic, id)| {
                let found = all(&theirs, &topic, id).into_iter();
                let found = found.filter_map(|(at, entry)| Some((at, entry?)));
                found.map(move |(at, entry)| (entry, topic.clone(), id, at)).collect::<Vec<_>>()
            })
            .collect();
        entries.sort_by_key(|(entry, ..)| entry.at);
        for (n, (entry, topic, id, at)) in entries.into_iter().enumerate() {
            assert_eq!(ours.put(&topic, id, QueueOffset(at), entry), Put::Appended);
            if n % 37 == 0 {
                ours.write_out(entry.at).unwrap();
            }
        }
        write_and_sync(&ours);
        let files = files_under(&java, &dir());
        assert_eq!(files_under(&disk, &dir()), files, "{name}");
        for path in files {
            assert!(disk.read_file(&path).unwrap() == java.read_file(&path).unwrap(), "{}", path.display());
        }
        let at_rest = disk.fingerprint();
        ours.trim().unwrap();
        assert_eq!(disk.fingerprint(), at_rest, "there is nothing to trim");
    }
}
