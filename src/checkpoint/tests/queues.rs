//! The bytes of `queues`: both versions are read, and what we never wrote is refused before it is believed.

use proptest::prelude::*;

use super::snapshot;
use crate::checkpoint::WriterId;
use crate::checkpoint::fields::Fault;
use crate::checkpoint::queues::{IndexFileMark, IndexMark, QueueMark, Snapshot};
use crate::checkpoint::whole_file::Payload;
use crate::clock::Timestamp;
use crate::disk::Disk;
use crate::disk::sim::SimDisk;
use crate::error::Error;
use crate::offset::{LogOffset, QueueOffset};

fn version(version: u32, bytes: &[u8]) -> Payload {
    Payload { version, bytes: bytes.to_vec() }
}

fn is_refused(version: u32, bytes: &[u8]) -> bool {
    matches!(Snapshot::decode(&Payload { version, bytes: bytes.to_vec() }), Err(Fault::Damaged(_)))
}

/// The same bytes with a number put in at a place.
fn with<const N: usize>(bytes: &[u8], at: usize, number: [u8; N]) -> Vec<u8> {
    let mut forged = bytes.to_vec();
    forged[at..at + N].copy_from_slice(&number);
    forged
}

/// One queue (`a`, 3), one index file, one dropped topic `b`.
fn small() -> Snapshot {
    let file = IndexFileMark {
        name: 20_231_114_221_320_123,
        next_entry: 5,
        begin_time: Timestamp(0x018B_CFE5_687B),
        end_time: Timestamp(0x018B_CFE5_723F),
        begin_offset: LogOffset(0),
        end_offset: LogOffset(182),
        sealed: true,
    };
    Snapshot {
        derived_to: LogOffset(365),
        last_stored: Timestamp(0x018B_CFE5_723F),
        writer: WriterId([0x77; 16]),
        has_files: true,
        entries_per_segment: 300_000,
        queues: [((b"a".to_vec(), 3), QueueMark { first: QueueOffset(7), next: QueueOffset(9) })].into(),
        index: Some(IndexMark { slots: 5_000_000, entries: 20_000_000, files: vec![file] }),
        dropped: [(b"b".to_vec(), LogOffset(182))].into(),
    }
}

#[test]
fn the_fields_stand_where_the_format_document_says() {
    let bytes = small().encode().unwrap();
    let expected: [(usize, &[u8]); 24] = [
        (0, &365u64.to_be_bytes()),
        (8, &[0, 0, 1, 0x8B, 0xCF, 0xE5, 0x72, 0x3F]),
        (16, &[0x77; 16]),
        (32, &[0, 0, 0, 3]),
        (36, &300_000u32.to_be_bytes()),
        (40, &[0, 0, 0, 1]),
        (44, &[0, 0, 0, 1]),
        (48, &[0, 0, 0, 1]),
        (52, &5_000_000u32.to_be_bytes()),
        (56, &20_000_000u32.to_be_bytes()),
        (60, &[0, 1, b'a']),
        (63, &3u32.to_be_bytes()),
        (67, &7u64.to_be_bytes()),
        (75, &9u64.to_be_bytes()),
        (83, &20_231_114_221_320_123u64.to_be_bytes()),
        (91, &5u32.to_be_bytes()),
        (95, &1u32.to_be_bytes()),
        (99, &[0, 0, 1, 0x8B, 0xCF, 0xE5, 0x68, 0x7B]),
        (107, &[0, 0, 1, 0x8B, 0xCF, 0xE5, 0x72, 0x3F]),
        (115, &0u64.to_be_bytes()),
        (123, &182u64.to_be_bytes()),
        (131, &[0, 1, b'b']),
        (134, &182u64.to_be_bytes()),
        (142, &[]),
    ];
    for (at, field) in expected {
        assert_eq!(bytes[at..at + field.len()], *field, "at {at}");
    }
    assert_eq!(bytes.len(), 142);
}

#[test]
fn a_file_of_version_1_is_read_for_its_counts_and_written_anew_as_version_2() {
    // Byte by byte what a version 1 program wrote: derived to 365, one queue (`a`, 3) whose next offset is 9.
    let payload = [&365u64.to_be_bytes()[..], &[0, 0, 0, 1, 0, 1, b'a', 0, 0, 0, 3], &9u64.to_be_bytes()];
    let payload = payload.concat();
    let head = [b"SAWQ\0\0\0\x01".as_slice(), &(payload.len() as u64).to_be_bytes()].concat();
    let framed = [head, payload].concat();
    let file = [framed.as_slice(), &crc32fast::hash(&framed).to_be_bytes()].concat();
    let disk = SimDisk::new();
    let dir = std::path::Path::new("/store/sawlog");
    disk.create_dirs(dir).unwrap();
    disk.write_file(dir.join("queues"), file).unwrap();
    let read = Snapshot::load(&disk, dir).unwrap().unwrap();
    let next = [((b"a".to_vec(), 3), QueueOffset(9))];
    assert_eq!(read, Snapshot::of_counts(LogOffset(365), WriterId::default(), next));
    assert!(!read.has_files);
    assert_eq!(read.queues.values().next().unwrap().first, QueueOffset(9));
    read.save(&disk, dir).unwrap();
    assert_eq!(disk.read_file(dir.join("queues")).unwrap()[4..8], [0, 0, 0, 2]);
    assert_eq!(Snapshot::load(&disk, dir).unwrap(), Some(read));
}

#[test]
fn a_file_of_a_version_to_come_is_refused_by_name_and_never_counts_as_none() {
    let disk = SimDisk::new();
    let dir = std::path::Path::new("/store/sawlog");
    disk.create_dirs(dir).unwrap();
    snapshot(1).save(&disk, dir).unwrap();
    let mut file = disk.read_file(dir.join("queues")).unwrap();
    file[7] = 3;
    let crc_at = file.len() - 4;
    let crc = crc32fast::hash(&file[..crc_at]).to_be_bytes();
    file[crc_at..].copy_from_slice(&crc);
    disk.write_file(dir.join("queues"), file).unwrap();
    let error = Snapshot::load_or_none(&disk, dir).unwrap_err();
    assert!(matches!(&error, Error::Foreign { path, .. } if path.ends_with("queues")), "{error}");
}

#[test]
fn a_payload_cut_or_grown_at_any_place_is_refused() {
    for whole in [small(), snapshot(4), Snapshot::default()] {
        let bytes = whole.encode().unwrap();
        assert_eq!(Snapshot::decode(&version(2, &bytes)), Ok(whole));
        for len in 0..bytes.len() {
            assert!(is_refused(2, &bytes[..len]), "{len} bytes");
        }
        assert!(is_refused(2, &[bytes.as_slice(), &[0]].concat()));
    }
}

#[test]
fn a_count_with_an_edge_value_is_refused_before_anything_is_allocated() {
    let bytes = small().encode().unwrap();
    for at in [40, 44, 48] {
        for count in [0u32, 2, 3, 1 << 16, u32::MAX >> 1, u32::MAX] {
            assert!(is_refused(2, &with(&bytes, at, count.to_be_bytes())), "{count} at {at}");
        }
    }
    for count in [1u32, 2, 1 << 16, u32::MAX >> 1, u32::MAX] {
        assert!(is_refused(1, &[[0; 8].as_slice(), &count.to_be_bytes()].concat()), "{count}");
    }
    for len in [0u16, 2, 100, u16::MAX] {
        assert!(is_refused(2, &with(&bytes, 60, len.to_be_bytes())), "topic of {len}");
        assert!(is_refused(2, &with(&bytes, 131, len.to_be_bytes())), "dropped topic of {len}");
    }
}

#[test]
fn numbers_that_we_never_write_are_refused() {
    let bytes = small().encode().unwrap();
    let forged = [
        ("an offset beyond all", with(&bytes, 0, (1u64 << 63).to_be_bytes())),
        ("a flag that means nothing", with(&bytes, 32, 7u32.to_be_bytes())),
        ("files of no index", with(&bytes, 32, 1u32.to_be_bytes())),
        ("a first above its next", with(&bytes, 67, 10u64.to_be_bytes())),
        ("a next beyond all", with(&bytes, 75, (1u64 << 63).to_be_bytes())),
        ("a name beyond all", with(&bytes, 83, (1u64 << 63).to_be_bytes())),
        ("entry 0", with(&bytes, 91, 0u32.to_be_bytes())),
        ("more entries than there is room for", with(&bytes, 91, 20_000_001u32.to_be_bytes())),
        ("a file's flag that means nothing", with(&bytes, 95, 2u32.to_be_bytes())),
        ("a begin beyond all", with(&bytes, 115, u64::MAX.to_be_bytes())),
        ("an end beyond all", with(&bytes, 123, u64::MAX.to_be_bytes())),
        ("a dropped topic's offset beyond all", with(&bytes, 134, u64::MAX.to_be_bytes())),
    ];
    for (what, bytes) in forged {
        assert!(is_refused(2, &bytes), "{what}");
    }
    let empty = Snapshot::default().encode().unwrap();
    for at in [52, 56] {
        assert!(is_refused(2, &with(&empty, at, 1u32.to_be_bytes())), "the geometry of no index, at {at}");
    }
}

#[test]
fn what_is_out_of_order_or_there_twice_is_refused() {
    let head = |queues: u32, files: u32, dropped: u32| {
        let mut bytes = Snapshot::default().encode().unwrap();
        bytes = with(&bytes, 32, 2u32.to_be_bytes());
        bytes = with(&bytes, 56, 10u32.to_be_bytes());
        for (at, count) in [(40, queues), (44, files), (48, dropped)] {
            bytes = with(&bytes, at, count.to_be_bytes());
        }
        bytes
    };
    let topic = |name: &str| [&u16::try_from(name.len()).unwrap().to_be_bytes(), name.as_bytes()].concat();
    let queue = |name: &str, id: u32| [topic(name), id.to_be_bytes().to_vec(), vec![0; 16]].concat();
    let old = |name: &str, id: u32| [topic(name), id.to_be_bytes().to_vec(), vec![0; 8]].concat();
    let file = |name: u64| [name.to_be_bytes().to_vec(), vec![0, 0, 0, 1], vec![0; 36]].concat();
    let dropped = |name: &str| [topic(name), vec![0; 8]].concat();
    let pairs = [
        (2, head(2, 0, 0), queue("a", 1), queue("b", 0)),
        (2, head(2, 0, 0), queue("a", 1), queue("a", 2)),
        (2, head(0, 2, 0), file(8), file(9)),
        (2, head(0, 0, 2), dropped("a"), dropped("b")),
        (1, [[0; 8].as_slice(), &[0, 0, 0, 2]].concat(), old("a", 1), old("b", 0)),
    ];
    for (version_number, head, one, other) in pairs {
        let both = [head.as_slice(), &one, &other].concat();
        assert!(Snapshot::decode(&version(version_number, &both)).is_ok(), "in order");
        assert!(is_refused(version_number, &[head.as_slice(), &other, &one].concat()), "out of order");
        assert!(is_refused(version_number, &[head.as_slice(), &one, &one].concat()), "twice");
    }
}

#[test]
fn a_topic_too_long_to_be_written_is_an_error_and_not_a_cut_name() {
    let next = [((vec![b'a'; 65_536], 0), QueueOffset(1))];
    assert!(Snapshot::of_counts(LogOffset(0), WriterId::default(), next).encode().is_err());
    let dropped = [(vec![b'a'; 65_536], LogOffset(0))].into();
    assert!(Snapshot { dropped, ..Snapshot::default() }.encode().is_err());
}

fn offsets() -> impl Strategy<Value = LogOffset> {
    (0..=LogOffset::MAX.0).prop_map(LogOffset)
}

fn names() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..20)
}

fn marks() -> impl Strategy<Value = QueueMark> {
    (0..=LogOffset::MAX.0, any::<u64>()).prop_map(|(next, first)| QueueMark {
        first: QueueOffset(first.checked_rem(next).unwrap_or(0)),
        next: QueueOffset(next),
    })
}

fn indexes() -> impl Strategy<Value = IndexMark> {
    let numbers = (any::<i64>(), any::<i64>(), offsets(), offsets(), any::<bool>());
    let file = (1..=1000u32, numbers).prop_map(|(next_entry, (begin, end, from, to, sealed))| {
        let (begin_time, end_time) = (Timestamp(begin), Timestamp(end));
        IndexFileMark {
            name: 0,
            next_entry,
            begin_time,
            end_time,
            begin_offset: from,
            end_offset: to,
            sealed,
        }
    });
    let files = prop::collection::btree_map(0..=LogOffset::MAX.0, file, 0..5);
    (any::<u32>(), 1000u32.., files).prop_map(|(slots, entries, files)| {
        let files = files.into_iter().map(|(name, file)| IndexFileMark { name, ..file }).collect();
        IndexMark { slots, entries, files }
    })
}

proptest! {
    #[test]
    fn a_snapshot_is_read_back_as_it_was(
        (derived_to, last_stored, writer) in (offsets(), any::<i64>(), any::<[u8; 16]>()),
        (has_files, entries_per_segment) in (any::<bool>(), any::<u32>()),
        queues in prop::collection::btree_map((names(), any::<u32>()), marks(), 0..20),
        index in prop::option::of(indexes()),
        dropped in prop::collection::btree_map(names(), offsets(), 0..5),
    ) {
        let (last_stored, writer) = (Timestamp(last_stored), WriterId(writer));
        let snapshot = Snapshot {
            derived_to, last_stored, writer, has_files, entries_per_segment, queues, index, dropped,
        };
        let payload = version(2, &snapshot.encode().unwrap());
        prop_assert_eq!(Snapshot::decode(&payload), Ok(snapshot));
    }

    /// What is taken is what would be written: two files with the same meaning have the same bytes.
    #[test]
    fn any_bytes_are_refused_or_read_and_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        (at, bit) in (0..142usize, 0..8u32),
    ) {
        let _ = Snapshot::decode(&version(1, &bytes));
        let nearly = with(&small().encode().unwrap(), at, [small().encode().unwrap()[at] ^ (1 << bit)]);
        for bytes in [bytes, nearly] {
            if let Ok(snapshot) = Snapshot::decode(&version(2, &bytes)) {
                prop_assert_eq!(snapshot.encode().unwrap(), bytes);
            }
        }
    }
}
