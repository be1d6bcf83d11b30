//! Every record of every store that Java wrote (`tests/data`) is decoded as Java decodes it, and written again as
//! Java wrote it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sawlog::clock::Timestamp;
use sawlog::message::*;
use sawlog::{LogOffset, Record};
use serde_json::{Map, Value};

/// Folder of the store, and how many records it holds.
const STORES: [(&str, usize); 6] = [
    ("rocketmq-4.9.8/clean", 340),
    ("rocketmq-4.9.8/killed", 407),
    ("rocketmq-5.3.3/plain", 734),
    ("rocketmq-5.3.3/propcrc", 561),
    ("rocketmq-5.3.3/killed", 607),
    ("rocketmq-5.3.3/rebuilt", 469),
];

pub(crate) fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// What Java decoded, one line a record. The older fixtures also have a line for each blank record.
fn lines(store: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(data(&format!("{store}.jsonl"))).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn expected(store: &str) -> Vec<Value> {
    lines(store).into_iter().filter(|line| line.get("blank").is_none()).collect()
}

/// A store's log as its first eight bytes tell it.
#[derive(Default)]
struct Walk {
    records: Vec<(LogOffset, Bytes)>,
    /// Where a segment ends before its last byte: file, place in it, and the length of the blank record.
    blanks: Vec<(String, u64, u64)>,
}

/// Walks the log from record to record and from segment to segment. The bytes of each go on to its segment's end.
fn walk(store: &str) -> Walk {
    let folder = std::fs::read_dir(data(store).join("commitlog")).unwrap();
    let mut paths: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut walk = Walk::default();
    for path in paths {
        let name = path.file_name().unwrap().to_str().unwrap();
        let base: u64 = name.parse().unwrap();
        let segment = Bytes::from(std::fs::read(&path).unwrap());
        let mut at = 0;
        loop {
            match peek(segment[at..].first_chunk().unwrap()) {
                Peek::Record { len } => {
                    walk.records.push((LogOffset(base + at as u64), segment.slice(at..)));
                    at += len as usize;
                }
                Peek::Blank { len } => {
                    assert_eq!(len as usize, segment.len() - at, "the blank record reaches to the end");
                    walk.blanks.push((name.to_owned(), at as u64, u64::from(len)));
                    break;
                }
                Peek::Unwritten => break,
                Peek::Garbage { damage } => panic!("{name} at {at}: {damage}"),
            }
        }
    }
    walk
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Hosts stand as `a.b.c.d:port`, with a slash before in one generation of fixtures, without port for one field.
fn assert_host(line: &Value, host: SocketAddr) {
    let text = line.as_str().unwrap().trim_start_matches('/');
    match text.parse::<SocketAddr>() {
        Ok(expected) => assert_eq!(host, expected),
        Err(_) => assert_eq!(host.ip().to_string(), text),
    }
}

fn assert_equal(record: &Record, line: &Value) {
    let message = &record.message;
    let number = |name: &str| line[name].as_i64().unwrap_or_else(|| panic!("{name} of {line}"));
    assert_eq!(record.position.offset.0 as i64, number("phy"));
    assert_eq!(i64::from(record.position.len), number("size"));
    assert_eq!(&*message.topic, line["topic"].as_str().unwrap());
    assert_eq!(i64::from(message.queue_id), number("qid"));
    assert_eq!(record.queue_offset.0 as i64, number("qoff"));
    assert_eq!(i64::from(message.flag), number("flag"));
    assert_eq!(i64::from(message.sys_flags.0), number("sysFlag"));
    assert_eq!(message.born, Some(Timestamp(number("born"))));
    assert_host(&line["bornHost"], message.born_host);
    assert_eq!(record.stored, Timestamp(number("store")));
    assert_host(&line["storeHost"], record.store_host);
    assert_eq!(i64::from(message.reconsume_times), number("reconsume"));
    assert_eq!(message.prepared_offset, number("prepared"));
    assert_eq!(message.body.len() as i64, number("bodyLen"));
    assert_eq!(i64::from(record.body_crc), number("bodyCRC"));
    assert_eq!(record.message_id().to_string(), line["msgId"].as_str().unwrap());
    assert_eq!(line["msgId"].as_str().unwrap().parse(), Ok(record.message_id()));
    if let Some(body) = line["bodyHex"].as_str() {
        assert_eq!(hex(&message.body), body);
    } else if let Some(sha1) = line["bodySha1"].as_str() {
        assert_eq!(sha1_smol::Sha1::from(&message.body).digest().to_string(), sha1);
    }
    let properties: Map<String, Value> = message
        .properties
        .iter()
        .map(|(name, value)| (name.into_owned(), value.into_owned().into()))
        .collect();
    assert_eq!(&Value::from(properties), &line["props"]);
    for (name, value) in line["props"].as_object().unwrap() {
        assert_eq!(message.properties.find(name).as_deref(), value.as_str());
    }
}

#[test]
fn every_record_is_decoded_as_java_decodes_it() {
    for (store, count) in STORES {
        let (records, lines) = (walk(store).records, expected(store));
        assert_eq!((records.len(), lines.len()), (count, count), "{store}");
        for ((at, bytes), line) in records.into_iter().zip(&lines) {
            let record = decode(at, bytes, Verify::Legacy).unwrap_or_else(|d| panic!("{store} at {at}: {d}"));
            assert_equal(&record, line);
        }
    }
}

#[test]
fn segments_end_where_java_ended_them() {
    for (store, _) in STORES {
        let text = |line: &Value, name: &str| line[name].as_str().unwrap().to_owned();
        let number = |line: &Value, name: &str| line[name].as_u64().unwrap();
        let told: Vec<_> = lines(store)
            .iter()
            .filter(|line| line.get("blank").is_some())
            .map(|line| (text(line, "file"), number(line, "blank"), number(line, "size")))
            .collect();
        let found = walk(store).blanks;
        if store.starts_with("rocketmq-4") {
            assert_eq!(found, told, "{store}");
        }
        assert!(!found.is_empty());
        for (file, at, len) in found {
            // The next line of the log stands at the next segment's base.
            let next = file.parse::<u64>().unwrap() + at + len;
            assert!(expected(store).iter().any(|line| number(line, "phy") == next), "{store} {file}");
        }
    }
}

#[test]
fn bodies_are_told_by_content_in_the_newer_fixtures() {
    for (store, count) in STORES.iter().filter(|(store, _)| store.starts_with("rocketmq-5")) {
        let told = |line: &&Value| line["bodyHex"].is_string() || line["bodySha1"].is_string();
        assert_eq!(expected(store).iter().filter(told).count(), *count, "{store}");
    }
}

#[test]
fn record_checksums_of_java_are_right_and_only_where_it_was_told_to_write_them() {
    for (store, _) in STORES {
        for (at, bytes) in walk(store).records {
            let head = check(at, &bytes, Verify::Legacy).unwrap();
            let ours = check(at, &bytes, Verify::Ours).map(|head| head.len);
            if store.ends_with("propcrc") {
                assert_eq!(head.trailer(), Trailer::Right, "{store} at {at}");
                assert_eq!(ours, Ok(head.len));
            } else {
                assert_eq!(head.trailer(), Trailer::Missing, "{store} at {at}");
                assert_eq!(ours, Err(sawlog::Damage::NoRecordChecksum));
            }
        }
    }
}

#[test]
fn every_record_written_again_has_the_same_bytes() {
    for (store, _) in STORES {
        let checksum = if store.ends_with("propcrc") { Checksum::Record } else { Checksum::Body };
        let mut buf = Vec::new();
        for (at, bytes) in walk(store).records {
            let record = decode(at, bytes.clone(), Verify::Legacy).unwrap();
            let rules = EncodeRules {
                store_host: record.store_host,
                checksum,
                max_body_bytes: 4 << 20,
                born: Timestamp(0),
            };
            let mut encoded = encode(&record.message, &rules, buf).unwrap();
            assert_eq!(encoded.is_queued(), record.is_queued());
            assert_eq!(encoded.queue_id(), record.queue_id());
            let again = encoded.stamp(at, record.queue_offset, record.stored).concat();
            assert_eq!(again, &bytes[..record.position.len as usize], "{store} at {at}");
            buf = encoded.into_buf();
        }
    }
}

#[test]
fn the_fixtures_hold_what_they_are_said_to_hold() {
    let mut seen = [false; 8];
    for (store, _) in STORES {
        for (at, bytes) in walk(store).records {
            let head = check(at, &bytes, Verify::Legacy).unwrap();
            let flags = head.sys_flags;
            let facts = [
                bytes[4..8] == MAGIC_V2.to_be_bytes(),
                flags.has(SysFlags::BORN_HOST_V6),
                flags.has(SysFlags::STORE_HOST_V6),
                head.body.is_empty(),
                head.properties.is_empty(),
                flags.transaction() == Transaction::Prepared,
                flags.transaction() == Transaction::Commit && head.prepared_offset != 0,
                flags.transaction() == Transaction::Rollback,
            ];
            seen.iter_mut().zip(facts).for_each(|(seen, fact)| *seen |= fact);
        }
    }
    assert_eq!(seen, [true; 8]);
}
