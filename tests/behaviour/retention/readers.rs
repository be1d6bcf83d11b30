//! Readers across sweeps: what they hold they read to the end, and what is gone they are told.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use sawlog::disk::{MappedDisk, OsDisk};
use sawlog::flush::AsyncFlush;
use sawlog::{Error, LogOffset, Message, Options, QueueOffset, Store};

use super::{fill, first, half, none, open};
use crate::world::*;

#[test]
fn a_scan_in_the_middle_of_a_segment_reads_on_in_it_and_is_then_told() {
    let world = World::new();
    let store = open(&world, none());
    fill(&store, 0, 5);
    let mut scan = store.scan(LogOffset(0));
    assert_eq!(scan.next().unwrap().unwrap().queue_offset, QueueOffset(0));
    let swept = store.remove_before(LogOffset(3 * SEGMENT)).unwrap();
    assert_eq!((swept.segments, swept.pinned_bytes), (3, SEGMENT), "the scan holds one of them");
    assert_eq!(scan.next().unwrap().unwrap().queue_offset, QueueOffset(1));
    for _ in 0..2 {
        let error = scan.next().unwrap().unwrap_err();
        assert!(matches!(error, Error::OutOfRange { first, .. } if first == 3 * SEGMENT), "{error}");
    }
    drop(scan);
    assert_eq!(store.sweep().unwrap().pinned_bytes, 0);
    let read: Vec<_> = store.scan(LogOffset(3 * SEGMENT)).map(|r| r.unwrap().queue_offset.0).collect();
    assert_eq!(read, [6, 7, 8, 9, 10]);
}

#[test]
fn a_slow_reader_makes_nothing_more_go() {
    let world = World::new();
    let store = open(&world, none());
    fill(&store, 0, 9);
    let mut scans: Vec<_> = (0..3).map(|n| store.scan(LogOffset(n * SEGMENT))).collect();
    scans.iter_mut().for_each(|scan| drop(scan.next().unwrap().unwrap()));
    world.disk.capacity_bytes(16 * SEGMENT);
    store.set_retention(none().max_disk_used(0.5)).unwrap();
    settle(&store);
    let begins = first(&store);
    assert!((2..=4).contains(&begins), "{begins}");
    for _ in 0..3 {
        let swept = store.sweep().unwrap();
        assert_eq!((swept.segments, swept.first.0), (0, begins * SEGMENT));
        assert!(swept.pinned_bytes >= 2 * SEGMENT, "{swept:?}");
    }
}

#[test]
fn records_held_across_a_sweep_keep_their_bytes_and_the_disk_gets_them_back_when_they_go() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::new().segment_bytes(SEGMENT).retention(none()).disk(MappedDisk::new()).by_hand();
    let store = Store::open(folder.path(), options).unwrap();
    fill(&store, 0, 6);
    store.flush().unwrap();
    settle(&store);
    let queue = store.queue("orders", 0);
    let held: Vec<(u64, Bytes)> = queue
        .read_from(QueueOffset(0))
        .take(4)
        .map(|r| r.unwrap().message.body)
        .enumerate()
        .map(|(n, b)| (n as u64, b))
        .collect();
    let raw = store.raw(LogOffset(2 * SEGMENT), 1000).unwrap();
    let copy = raw.bytes.to_vec();
    let mut records = queue.read_from(QueueOffset(0));
    records.next().unwrap().unwrap();

    let swept = store.remove_before(LogOffset(5 * SEGMENT)).unwrap();
    assert_eq!((swept.segments, swept.pinned_bytes), (5, 3 * SEGMENT));
    for (n, body) in &held {
        assert_eq!(*body, half(*n).body);
    }
    assert_eq!(raw.bytes, copy);
    let told = loop {
        match records.next().unwrap() {
            Ok(record) => assert_eq!(record.message.body, half(record.queue_offset.0).body),
            Err(error) => break error,
        }
    };
    assert!(matches!(told, Error::OutOfRange { first: 10, next: 13, .. }), "{told}");
    drop((records, raw));
    assert_eq!(store.sweep().unwrap().pinned_bytes, 2 * SEGMENT);
    drop(held);
    assert_eq!(store.sweep().unwrap().pinned_bytes, 0);
    store.close().unwrap();
}

/// Producers, readers of all kinds and sweeps, each in a thread of its own, as fast as they can. A reader sees each
/// message once, in order and whole, or is told that it has been overtaken and from where it may go on.
fn under_load(options: Options) {
    const RECORDS: u64 = 12_000;
    let folder = tempfile::tempdir().unwrap();
    let rules = none().max_bytes(4 * SEGMENT);
    let store = Store::open(folder.path(), options.segment_bytes(SEGMENT).retention(rules)).unwrap();
    let message = |n: u64| Message::new("orders", format!("{n:08}").repeat(60)).key("k");
    let overtaken = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| (0..RECORDS).for_each(|n| store.append(&message(n)).unwrap().forget()));
        for _ in 0..2 {
            scope.spawn(|| {
                let queue = store.queue("orders", 0);
                let (mut next, mut held) = (0, None);
                while next < RECORDS {
                    queue.wait(QueueOffset(next)).wait().unwrap();
                    for record in queue.read_from(QueueOffset(next)) {
                        match record {
                            Ok(record) => {
                                assert_eq!(
                                    (record.queue_offset.0, &record.message.body),
                                    (next, &message(next).body)
                                );
                                next += 1;
                                if next.is_multiple_of(100) {
                                    held = Some((next - 1, record.message.body));
                                }
                            }
                            Err(Error::OutOfRange { first, .. }) => {
                                assert!(first > next, "told to go on from {first} at {next}");
                                overtaken.fetch_add(1, Ordering::Relaxed);
                                next = first;
                                break;
                            }
                            Err(other) => panic!("at {next}: {other}"),
                        }
                    }
                    if let Some((n, body)) = &held {
                        assert_eq!(*body, message(*n).body);
                    }
                }
            });
        }
        scope.spawn(|| {
            let mut at = LogOffset(0);
            while store.marks().accepted.0 < RECORDS * 400 {
                let mut scan = store.scan(at);
                at = loop {
                    match scan.next() {
                        Some(Ok(record)) => {
                            assert_eq!(record.message.body, message(record.queue_offset.0).body)
                        }
                        Some(Err(Error::OutOfRange { first, .. })) => break LogOffset(first),
                        Some(Err(other)) => panic!("{other}"),
                        None => break scan.position(),
                    }
                };
                for found in store.find("orders", "k").at_most(3) {
                    found.unwrap();
                }
                std::thread::yield_now();
            }
        });
    });
    let swept = store.sweep().unwrap();
    println!("begins at {}, {} times overtaken", swept.first, overtaken.into_inner());
    assert!(swept.first.0 > 20 * SEGMENT && store.last_sweep_error().is_none());
    assert_eq!(store.queue("orders", 0).max().0, RECORDS);
    store.close().unwrap();
}

#[test]
fn readers_under_load_are_served_or_told_while_segments_go() {
    under_load(Options::new().disk(MappedDisk::new()).flush(AsyncFlush::default()));
    under_load(Options::new().disk(OsDisk::new()).flush(sawlog::flush::SyncFlush));
}
