//! Bytes that RocketMQ wrote, or that the specification works out.

use std::path::Path;

use bytes::Bytes;

use super::{Put, contents, last_file, open, settle, small};
use crate::disk::sim::SimDisk;
use crate::disk::{Access, Disk, OsDisk};
use crate::key_index::Geometry;
use crate::message::{Peek, Properties, Transaction, Verify, check, names, peek};
use crate::offset::LogOffset;

const DEFAULT: Geometry = Geometry { slots: 5_000_000, entries: 20_000_000 };

fn worked_example() -> [Put; 2] {
    let put = |at, stored_ms, unique: &str| Put {
        at,
        stored_ms,
        topic: "TopicTest".into(),
        keys: vec![unique.into(), "order-1001".into()],
    };
    [
        put(0, 1_700_000_000_123, "C6336407D431000000000000000000AB"),
        put(182, 1_700_000_002_623, "C6336407D431000000000000000000AC"),
    ]
}

#[test]
fn the_worked_example_has_the_bytes_of_the_specification() {
    let disk = SimDisk::new();
    // Sparse: of 420 MB, pages are taken for the header, two groups of slots, and the entries.
    disk.capacity_bytes(64 << 10);
    let index = open(&disk, DEFAULT, &[]);
    worked_example().iter().for_each(|put| put.feed(&index));
    settle(&index);
    index.close().unwrap();
    let path = last_file(&index);
    assert_eq!(path, Path::new("/store/index/20231114221320123"));
    let file = disk.open(&path, Access::Read).unwrap();
    assert_eq!(file.len(), 420_000_040);
    let hex = |at: u64, len: usize| {
        let bytes = file.view(at, len).unwrap();
        bytes.iter().map(|b| format!("{b:02X}")).collect::<String>()
    };
    let header = "0000018BCFE5687B0000018BCFE5723F000000000000000000000000000000B60000000300000005";
    assert_eq!(hex(0, 40), header);
    assert_eq!(hex(15_219_752, 12), "000000000000000400000000");
    assert_eq!(hex(15_244_156, 12), "000000000000000300000001");
    let entries = "498A7657000000000000000000000000000000003E373301000000000000000000000000000000004\
                   98A765600000000000000B600000002000000003E37330100000000000000B60000000200000002";
    assert_eq!(hex(20_000_060, 80), entries);
    assert_eq!(hex(20_000_040, 20), "0".repeat(40), "entry 0 is never used");
    assert_eq!(hex(20_000_140, 4_000), "0".repeat(8_000));
}

/// The records of a log that Java wrote, as a dispatcher hands their keys on.
fn puts_of(log: &SimDisk) -> Vec<Put> {
    let mut puts = Vec::new();
    for (path, _) in log.files() {
        let base: u64 = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let segment = log.read_file(&path).unwrap();
        let mut inside = 0;
        while let Some(head) = segment[inside..].first_chunk() {
            let Peek::Record { len } = peek(head) else { break };
            let at = base + inside as u64;
            let record = check(LogOffset(at), &segment[inside..], Verify::Legacy).unwrap();
            let properties = Properties::from_raw(Bytes::copy_from_slice(record.properties));
            let mut keys: Vec<String> = Vec::new();
            if record.sys_flags.transaction() != Transaction::Rollback {
                keys.extend(properties.find(names::UNIQ_KEY).map(|key| key.into_owned()));
                let more = properties.find(names::KEYS).unwrap_or_default();
                keys.extend(more.split(' ').filter(|key| !key.is_empty()).map(str::to_owned));
            }
            puts.push(Put { at, stored_ms: record.stored.0, topic: record.topic.to_owned(), keys });
            inside += len as usize;
        }
    }
    puts
}

fn imported(part: &str) -> SimDisk {
    let disk = SimDisk::new();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/rocketmq-5.3.3").join(part);
    disk.copy_in(&OsDisk, &from, "/").unwrap();
    disk
}

#[test]
fn what_is_derived_from_logs_of_java_has_the_bytes_of_its_index_files() {
    for (store, records) in [("plain", 734), ("propcrc", 561), ("rebuilt", 469)] {
        let puts = puts_of(&imported(&format!("{store}/commitlog")));
        assert_eq!(puts.len(), records, "{store}");
        let disk = SimDisk::new();
        let index = open(&disk, small(100, 1000), &[]);
        puts.iter().for_each(|put| put.feed(&index));
        settle(&index);
        index.close().unwrap();
        let java = imported(&format!("{store}/index"));
        let java: Vec<_> = java.files().iter().map(|(path, _)| java.read_file(path).unwrap()).collect();
        assert_eq!(java.len(), 2, "{store}");
        for (number, (ours, theirs)) in contents(&disk).iter().zip(&java).enumerate() {
            let differs = ours.iter().zip(theirs).position(|(a, b)| a != b);
            assert_eq!((differs, ours.len()), (None, theirs.len()), "{store}, file {number}");
        }
        assert_eq!(contents(&disk).len(), java.len(), "{store}");
    }
}

#[test]
fn a_file_without_keys_has_the_header_that_it_inherited() {
    let disk = SimDisk::new();
    let index = open(&disk, small(2, 3), &[]);
    // Two keys fill the file; the message without keys behind them makes the next one (spec 4.6).
    Put { stored_ms: 5_000, ..Put::new(7, "T", &["a", "b"]) }.feed(&index);
    Put { stored_ms: 9_000, ..Put::new(8, "T", &[]) }.feed(&index);
    settle(&index);
    index.close().unwrap();
    let files = contents(&disk);
    assert_eq!(files.len(), 2);
    let mut header = Vec::new();
    [5_000_u64, 5_000, 7, 7, 1].iter().for_each(|word| header.extend_from_slice(&word.to_be_bytes()));
    assert_eq!(files[1][..40], header);
    // Its first key counts seconds from what it inherited, and then becomes the begin itself (spec 4.2).
    Put { stored_ms: 9_999, ..Put::new(9, "T", &["c", "d"]) }.feed(&index);
    settle(&index);
    let file = &contents(&disk)[1];
    let entry = |number: usize| &file[48 + 20 * number..][..20];
    assert_eq!((entry(1)[12..16].to_vec(), entry(2)[12..16].to_vec()), (vec![0, 0, 0, 4], vec![0, 0, 0, 0]));
    assert_eq!(file[..8], 9_999_u64.to_be_bytes());
}
