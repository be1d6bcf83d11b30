use std::path::Path;

use super::*;
use crate::clock::Timestamp;
use crate::disk::sim::{Aim, Fault, FaultKind, OpKind, SimDisk};
use crate::disk::{Access, Disk};
use crate::message::{Checksum, EncodeRules, Message, encode};
use crate::offset::QueueOffset;
use crate::segment::Survey;

const MIB: usize = 1 << 20;
const SEGMENT_BYTES: usize = 8 * MIB;

/// Segments of 8 MiB with records of these bodies, and where they stand.
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
        let room = SEGMENT_BYTES - bytes.len() % SEGMENT_BYTES;
        if encoded.len() as usize + 8 > room {
            bytes.extend(message::blank(u32::try_from(room).unwrap()));
            bytes.resize(bytes.len() + room - 8, 0);
        }
        let place = LogOffset(bytes.len() as u64);
        places.push(place);
        bytes.extend(encoded.stamp(place, QueueOffset(n as u64), Timestamp(1)).concat());
    }
    bytes.resize(bytes.len().next_multiple_of(SEGMENT_BYTES), 0);
    let disk = SimDisk::new();
    disk.create_dirs(Path::new("/log")).unwrap();
    for (n, segment) in bytes.chunks(SEGMENT_BYTES).enumerate() {
        disk.write_file(name(n), segment.to_vec()).unwrap();
    }
    let survey = Survey::of(&disk, Path::new("/log")).unwrap();
    let door: Arc<dyn Disk> = Arc::new(disk.clone());
    let list = SegmentList::new(door, "/log".into(), SEGMENT_BYTES as u64, &survey, Access::Read);
    (disk, list, places)
}

fn name(segment: usize) -> String {
    format!("/log/{:020}", segment * SEGMENT_BYTES)
}

/// Where records stand, and what ends them.
type Seen = (Vec<(LogOffset, String, u64)>, String);

fn walked(walk: &mut Walk<&SegmentList>) -> Seen {
    let mut seen = Vec::new();
    loop {
        match walk.step(|_| Verify::Ours).unwrap() {
            Step::Record(at, head) => seen.push((at, head.topic.to_owned(), head.queue_offset.0)),
            Step::Blank(_) => {}
            end => return (seen, format!("{end:?}")),
        }
    }
}

fn alone(list: &SegmentList) -> Seen {
    walked(&mut Walk::new(list, LogOffset(0)))
}

/// The same with a thread, and how many chunks came from it.
fn read_ahead(list: &SegmentList) -> (Seen, u32) {
    let mut walk = Walk::new(list, LogOffset(0)).with_reader();
    let seen = walked(&mut walk);
    (seen, walk.ahead.map_or(0, |ahead| ahead.taken))
}

/// Some 30 MiB in four segments: once a thread reads, bodies short and long, some longer than what two chunks share,
/// some longer than a chunk.
fn bodies() -> Vec<usize> {
    let mut bodies = vec![1000; 20_000];
    let long = [60_000, 70_000, MIB + 5, 3 * MIB, 200_000];
    for (n, long) in [5_000, 5_400, 9_000, 9_001, 15_000].into_iter().zip(long) {
        bodies[n] = long;
    }
    bodies
}

#[test]
fn what_a_thread_reads_ahead_is_what_the_walk_would_have_read() {
    let (disk, list, places) = log(&bodies());
    let reads = disk.operations_of(OpKind::Read);
    let alone = alone(&list);
    assert_eq!(alone.0.iter().map(|(at, ..)| *at).collect::<Vec<_>>(), places);
    let reads = disk.operations_of(OpKind::Read) - reads;
    let before = disk.operations_of(OpKind::Read);
    let (seen, taken) = read_ahead(&list);
    assert!(seen == alone, "{} records, then {}; alone {}", seen.0.len(), seen.1, alone.1);
    let with_thread = disk.operations_of(OpKind::Read) - before;
    // Some 26 MiB are read by the MiB, and again from where a record begins that reaches beyond. The thread comes in
    // after four of them in each segment, and reads two in vain, over which a long record leads.
    assert_eq!((reads, with_thread, taken), (28, 30, 10));
}

#[test]
fn damage_is_found_where_it_is_also_in_what_was_read_ahead() {
    let (disk, list, places) = log(&bodies());
    for (nth, least) in [(3, 0), (5_401, 1), (9_002, 3), (17_500, 7)] {
        let at = usize::try_from(places[nth].0).unwrap() + 200;
        let flip = || disk.flip(name(at / SEGMENT_BYTES), (at % SEGMENT_BYTES) as u64 * 8).unwrap();
        flip();
        let alone = alone(&list);
        assert_eq!(alone.0.len(), nth, "{}", alone.1);
        let (seen, taken) = read_ahead(&list);
        assert!(seen == alone, "{} records, then {}; alone {}", seen.0.len(), seen.1, alone.1);
        assert!(taken >= least, "{taken}");
        flip();
    }
}

/// A chunk that the thread could not read is read again by the walk: an error that was the disk's mood for once is
/// passed, one that stays is told where it is.
#[test]
fn what_could_not_be_read_ahead_is_read_again() {
    let (disk, list, places) = log(&bodies());
    let reads = || Aim::anything().kind(OpKind::Read);
    for nth in 4..14 {
        disk.fail_at_aimed(reads(), nth, Fault::once(FaultKind::Eio));
        let mut walk = Walk::new(&list, LogOffset(0)).with_reader();
        let (mut records, mut errors) = (0, 0);
        loop {
            match walk.step(|_| Verify::Ours) {
                Ok(Step::Record(..)) => records += 1,
                Ok(Step::Blank(_)) => {}
                Ok(_) => break,
                Err(_) => errors += 1,
            }
        }
        assert_eq!(records, places.len());
        assert!(errors <= 1, "{errors}");
        assert!(walk.ahead.is_some_and(|ahead| ahead.taken > 5));
        disk.clear_faults();
    }
    disk.fail_at_aimed(reads().path("25165824"), 2, Fault::persistent(FaultKind::Eio));
    let mut walk = Walk::new(&list, LogOffset(0)).with_reader();
    let error = loop {
        match walk.step(|_| Verify::Ours) {
            Ok(Step::Record(..) | Step::Blank(_)) => {}
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains(&name(3)), "{error}");
}

/// The buffer had been made longer for a record longer than a chunk when the read failed, and kept the place of what was
/// in it before: asked again, the walk took zeros in it for the record, and called a sound one broken.
#[test]
fn after_a_failed_read_the_same_record_is_found_whole() {
    let (disk, list, places) = log(&[3 * MIB, 1000]);
    let mut walk = Walk::new(&list, LogOffset(0));
    // The first read shows the record's front alone; the one of the whole fails.
    disk.fail_at_aimed(Aim::anything().kind(OpKind::Read), 2, Fault::once(FaultKind::Eio));
    assert!(walk.step(|_| Verify::Ours).is_err());
    for place in &places {
        match walk.step(|_| Verify::Ours).unwrap() {
            Step::Record(at, _) => assert_eq!(at, *place),
            other => panic!("{other:?}"),
        }
    }
}

/// Eight bytes stay free behind a record, for the blank one: exactly so many are enough.
#[test]
fn a_record_that_leaves_room_for_the_blank_one_alone_is_whole() {
    let overhead = |topic: &str| 91 + topic.len() + 20;
    let first = 4 * MIB;
    let second = SEGMENT_BYTES - 8 - (first + overhead("orders")) - overhead("bills");
    let (_, list, places) = log(&[first, second, 1000]);
    assert_eq!(places[2], LogOffset(SEGMENT_BYTES as u64), "the third begins the next segment");
    let seen = alone(&list).0;
    assert_eq!(seen.iter().map(|(at, ..)| *at).collect::<Vec<_>>(), places);
}

/// Where records carry checksums of their own a blank record is as long as what is left, or it is none.
#[test]
fn a_blank_record_of_another_length_is_damage_where_we_wrote() {
    let (disk, list, places) = log(&[4_000_000, 4_000_000, 1000, 2_000_000]);
    let mut walk = Walk::new(&list, LogOffset(0));
    let blank = loop {
        match walk.step(|_| Verify::Ours).unwrap() {
            Step::Record(..) => {}
            Step::Blank(at) => break at,
            other => panic!("{other:?}"),
        }
    };
    assert!(places[2] < blank && blank.0 < SEGMENT_BYTES as u64);
    let left = u32::try_from(SEGMENT_BYTES as u64 - blank.0).unwrap();
    disk.overwrite(name(0), blank.0, &(left - 8).to_be_bytes()).unwrap();
    for (verify, is_blank) in [(Verify::Ours, false), (Verify::Legacy, true)] {
        let mut walk = Walk::new(&list, blank);
        match walk.step(|_| verify).unwrap() {
            Step::Blank(at) => assert!(is_blank && at == blank),
            Step::Broken(at, Damage::BadBlank { len, left: found }, _) => {
                assert_eq!((is_blank, at, len, found), (false, blank, left - 8, u64::from(left)));
            }
            other => panic!("{verify:?}: {other:?}"),
        }
    }
}
