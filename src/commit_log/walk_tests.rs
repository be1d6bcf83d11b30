use std::path::Path;

use super::*;
use crate::clock::Timestamp;
use crate::disk::sim::{Aim, Fault, FaultKind, OpKind, SimDisk};
use crate::disk::{Access, Disk};
use crate::message::{Checksum, EncodeRules, Message, encode};
use crate::offset::QueueOffset;
use crate::segment::Survey;

const MIB: usize = 1 << 20;
const FILE: &str = "/log/00000000000000000000";

/// A segment of 16 MiB with records of these bodies, and where they stand.
fn log(bodies: &[usize]) -> (SimDisk, SegmentList, Vec<LogOffset>) {
    let rules = EncodeRules {
        store_host: "192.0.2.10:10911".parse().unwrap(),
        checksum: Checksum::Record,
        max_body_bytes: 4 << 20,
        born: Timestamp(1_700_000_000_000),
    };
    let (mut bytes, mut places) = (Vec::new(), Vec::new());
    for (n, body) in bodies.iter().enumerate() {
        let topic = if n % 3 == 0 { "orders" } else { "bills" };
        let message = Message::new(topic, vec![b'x'; *body]);
        let mut encoded = encode(&message, &rules, Vec::new()).unwrap();
        places.push(LogOffset(bytes.len() as u64));
        let place = *places.last().unwrap();
        bytes.extend(encoded.stamp(place, QueueOffset(n as u64), Timestamp(1)).concat());
    }
    let segment_bytes = 16 * MIB;
    assert!(bytes.len() < segment_bytes);
    bytes.resize(segment_bytes, 0);
    let disk = SimDisk::new();
    disk.create_dirs(Path::new("/log")).unwrap();
    disk.write_file(FILE, bytes).unwrap();
    let list = open(&disk, segment_bytes as u64);
    (disk, list, places)
}

fn open(disk: &SimDisk, segment_bytes: u64) -> SegmentList {
    let survey = Survey::of(disk, Path::new("/log")).unwrap();
    SegmentList::new(Arc::new(disk.clone()), "/log".into(), segment_bytes, &survey, Access::Read)
}

/// Where records stand and what ends them.
fn walked(mut walk: Walk<&SegmentList>) -> (Vec<(LogOffset, String, u64)>, String) {
    let mut seen = Vec::new();
    loop {
        match walk.step(|_| Verify::Ours).unwrap() {
            Step::Record(at, head) => seen.push((at, head.topic.to_owned(), head.queue_offset.0)),
            end => return (seen, format!("{end:?}")),
        }
    }
}

/// Bodies short and long, some longer than what two chunks share, some longer than a chunk.
fn bodies() -> Vec<usize> {
    let mut bodies = vec![1000; 5000];
    for (n, long) in [(700, 60_000), (1500, 70_000), (2500, MIB + 5), (2501, 3 * MIB), (4999, 200_000)] {
        bodies[n] = long;
    }
    bodies
}

#[test]
fn what_a_thread_reads_ahead_is_what_the_walk_would_have_read() {
    let (_, list, places) = log(&bodies());
    let alone = walked(Walk::new(&list, LogOffset(0)));
    assert_eq!(alone.0.iter().map(|(at, ..)| *at).collect::<Vec<_>>(), places);
    assert!(alone.1.contains("Unwritten"), "{}", alone.1);
    assert_eq!(walked(Walk::new(&list, LogOffset(0)).with_reader()), alone);
}

#[test]
fn damage_is_found_where_it_is_also_in_what_was_read_ahead() {
    let (disk, list, places) = log(&bodies());
    for nth in [3, 1501, 2502, 4200] {
        let flip = || disk.flip(FILE, (places[nth].0 + 200) * 8).unwrap();
        flip();
        let alone = walked(Walk::new(&list, LogOffset(0)));
        assert_eq!(alone.0.len(), nth, "{}", alone.1);
        assert_eq!(walked(Walk::new(&list, LogOffset(0)).with_reader()), alone);
        flip();
    }
}

/// A chunk that the thread could not read is read again by the walk: an error that was the disk's mood for once is
/// passed, one that stays is told where it is.
#[test]
fn what_could_not_be_read_ahead_is_read_again() {
    let (disk, list, _) = log(&bodies());
    let whole = walked(Walk::new(&list, LogOffset(0)));
    let reads = || Aim::anything().kind(OpKind::Read);
    for nth in 8..12 {
        disk.fail_at_aimed(reads(), nth, Fault::once(FaultKind::Eio));
        let mut walk = Walk::new(&list, LogOffset(0)).with_reader();
        let mut records = 0;
        let mut errors = 0;
        loop {
            match walk.step(|_| Verify::Ours) {
                Ok(Step::Record(..)) => records += 1,
                Ok(_) => break,
                Err(_) => errors += 1,
            }
        }
        assert!(errors <= 1, "{errors}");
        assert_eq!(records, whole.0.len());
        disk.clear_faults();
    }
}

/// The buffer had been made longer for a record longer than a chunk when the read failed, and kept the place of what was
/// in it before: asked again, the walk took zeros in it for the record, and called a sound one broken.
#[test]
fn after_a_failed_read_the_same_record_is_found_whole() {
    let (disk, list, places) = log(&[1000, 3 * MIB, 1000]);
    let mut walk = Walk::new(&list, LogOffset(0));
    assert!(matches!(walk.step(|_| Verify::Ours), Ok(Step::Record(..))));
    disk.fail_at_aimed(Aim::anything().kind(OpKind::Read), 1, Fault::once(FaultKind::Eio));
    assert!(walk.step(|_| Verify::Ours).is_err());
    for place in &places[1..] {
        match walk.step(|_| Verify::Ours).unwrap() {
            Step::Record(at, _) => assert_eq!(at, *place),
            other => panic!("{other:?}"),
        }
    }
}
