//! What readers see: files and memory as one, minima, and news.

use std::time::Duration;

use super::*;
use crate::disk::sim::{Aim, Fault, FaultKind, OpKind};
use crate::error::Error;

#[test]
fn a_read_goes_on_from_files_into_memory() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    fill(&table, 0..8);
    for written in 0..=8 {
        table.write_out(LogOffset(written * 100)).unwrap();
        let queue = table.queue("T", 0).unwrap();
        for from in 0..8 {
            for most in [0, 1, 3, 100] {
                let expected: Vec<_> = (from..8).take(most).map(|n| Some(nth(n))).collect();
                let found = queue.read(QueueOffset(from), most).unwrap();
                assert_eq!(found, expected, "{most} from {from}, {written} in the file");
            }
        }
    }
    assert_eq!(table.pending_bytes(), 0);
}

#[test]
fn a_read_ends_with_the_file_and_the_queue_whatever_is_asked_for() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    fill(&table, 3..27);
    for _ in 0..2 {
        let queue = table.queue("T", 0).unwrap();
        let lengths = [(0, 10), (3, 7), (9, 1), (10, 10), (19, 1), (20, 7), (26, 1), (27, 0), (u64::MAX, 0)];
        for (from, expected) in lengths {
            assert_eq!(queue.read(QueueOffset(from), usize::MAX).unwrap().len(), expected, "from {from}");
        }
        write_and_sync(&table);
    }
}

#[test]
fn a_minimum_is_the_first_entry_that_the_log_still_has() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    fill(&table, 13..57);
    write_and_sync(&table);
    fill(&table, 57..64);
    for log_first in (0..7000).step_by(50).map(LogOffset) {
        let expected = QueueOffset((13..64).find(|n| nth(*n).at >= log_first).unwrap_or(64));
        // Forward, as the log's front moves, and asked for the first time.
        let first_time = open(&disk, &BTreeMap::from([(key("T", 0), known(10, 57))]));
        fill(&first_time, 57..64);
        for table in [&table, &first_time] {
            let found = table.queue("T", 0).unwrap().min(log_first).unwrap();
            assert_eq!(found, expected, "log from {log_first}");
        }
    }
}

#[test]
fn blanks_never_are_the_minimum_wherever_they_stand() {
    for gap in [1, 5, 30, 2000] {
        let disk = SimDisk::new();
        let table = new_table(&disk);
        fill(&table, 7..12);
        assert_eq!(table.put("T", 0, QueueOffset(12 + gap), nth(12)), Put::Gap(gap));
        for (n, at) in (13..20).zip(13 + gap..) {
            assert_eq!(table.put("T", 0, QueueOffset(at), nth(n)), Put::Appended);
        }
        let entries: Vec<_> =
            all(&table, "T", 0).into_iter().filter_map(|(at, entry)| Some((at, entry?))).collect();
        assert_eq!(entries.len(), 13);
        for written in [false, true] {
            for log_first in (0..2100).step_by(25).map(LogOffset) {
                let first_time = open(&disk, &table.known());
                let table = if written { &first_time } else { &table };
                let found = entries.iter().find(|(_, entry)| entry.at >= log_first);
                let expected = found.map_or(20 + gap, |(at, _)| *at);
                let least = table.queue("T", 0).unwrap().min(log_first).unwrap();
                assert_eq!(least.0, expected, "gap {gap}, log from {log_first}");
            }
            write_and_sync(&table);
        }
    }
}

#[test]
fn a_minimum_costs_nothing_until_asked_for_and_nothing_again() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    fill(&table, 0..95);
    write_and_sync(&table);
    let reads = || disk.operations_of(OpKind::Read) + disk.operations_of(OpKind::Open);
    let before = reads();
    let table = open(&disk, &table.known());
    assert_eq!(reads(), before, "opening reads no file");
    let queue = table.queue("T", 0).unwrap();
    assert_eq!(queue.min(LogOffset(4000)).unwrap(), QueueOffset(40));
    let searched = reads();
    assert!(searched > before && searched - before < 20, "{} calls", searched - before);
    for _ in 0..100 {
        assert_eq!(queue.min(LogOffset(4000)).unwrap(), QueueOffset(40));
    }
    // All have expired: found once, and again only after something was put.
    assert_eq!(queue.min(LogOffset(9_500)).unwrap(), QueueOffset(95));
    let searched = reads();
    assert_eq!(queue.min(LogOffset(9_500)).unwrap(), QueueOffset(95));
    assert_eq!(reads(), searched);
    assert_eq!(table.put("T", 0, QueueOffset(97), nth(97)), Put::Gap(2));
    assert_eq!(queue.min(LogOffset(9_500)).unwrap(), QueueOffset(97), "not the blank");
}

#[test]
fn a_minimum_found_before_is_forgotten_when_an_entry_below_it_is_replaced() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    fill(&table, 0..10);
    let queue = table.queue("T", 0).unwrap();
    assert_eq!(queue.min(LogOffset(900)).unwrap(), QueueOffset(9));
    (5..9).for_each(|at| assert_eq!(table.put("T", 0, QueueOffset(at), nth(at + 10)), Put::Replaced));
    assert_eq!(queue.min(LogOffset(900)).unwrap(), QueueOffset(5));
}

#[test]
fn readers_are_told_once_a_round_and_only_if_they_asked() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    fill(&table, 0..3);
    assert!(table.tell().is_empty());
    let queue = table.queue("T", 0).unwrap();
    let news = Arc::clone(queue.news());
    assert_eq!(news.at(), end(2), "what came before the mark was made counts");
    let next = news.reach(news.at().plus(1));
    fill(&table, 3..5);
    assert!(!next.is_reached(), "not told yet");
    assert_eq!(queue.max(), QueueOffset(5), "to be seen at once all the same");
    drop(table.tell());
    assert_eq!(news.at(), end(4));
    assert!(next.wait_timeout(Duration::ZERO).unwrap());
    // Another queue's entries are no news here.
    let _ = table.put("U", 0, QueueOffset(0), nth(9));
    drop(table.tell());
    assert_eq!(news.at(), end(4));
    fill(&table, 5..6);
    drop(table.tell());
    assert_eq!(news.at(), end(5), "round after round");
}

#[test]
fn a_failure_ends_the_waiting_at_queues_known_and_new() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    fill(&table, 0..1);
    let queue = table.queue("T", 0).unwrap();
    let waiting = queue.news().reach(LogOffset(1000));
    drop(table.fail(&Error::Closed));
    assert!(matches!(waiting.wait(), Err(Error::Closed)));
    let later = table.queue_or_new("U", 0);
    assert!(matches!(later.news().reach(LogOffset(1)).wait(), Err(Error::Closed)));
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_that_names_it() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    fill(&table, 0..15);
    write_and_sync(&table);
    let table = open(&disk, &table.known());
    let queue = table.queue("T", 0).unwrap();
    assert_eq!(queue.segment_of(QueueOffset(12)), file(10));
    disk.fail_at_aimed(Aim::anything().kind(OpKind::Read), 1, Fault::once(FaultKind::Eio));
    let error = queue.read(QueueOffset(12), 3).unwrap_err();
    assert!(matches!(&error, Error::Io { path, .. } if *path == file(10)), "{error}");
    assert_eq!(queue.read(QueueOffset(12), 3).unwrap().len(), 3, "it is well again");
    disk.write_file(file(0), vec![0; 180]).unwrap();
    let error = queue.read(QueueOffset(0), 1).unwrap_err();
    assert!(
        matches!(&error, Error::Geometry { path, found: 180, expected: 200 } if *path == file(0)),
        "{error}"
    );
}

#[test]
fn many_read_while_entries_are_put_and_written() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    let done = std::sync::atomic::AtomicBool::new(false);
    fill(&table, 0..1);
    std::thread::scope(|scope| {
        for reader in 0..3_u64 {
            let (table, done) = (&table, &done);
            scope.spawn(move || {
                let queue = table.queue("T", 0).unwrap();
                let mut from = 0;
                while !done.load(std::sync::atomic::Ordering::Acquire) || from < queue.max().0 {
                    for entry in queue.read(QueueOffset(from), 7).unwrap() {
                        assert_eq!(entry, Some(nth(from)), "reader {reader}");
                        from += 1;
                    }
                }
                assert_eq!(from, 3000);
            });
        }
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Acquire) {
                let up_to = nth(table.queue("T", 0).unwrap().max().0).at.0.saturating_sub(500);
                table.write_out(LogOffset(up_to)).unwrap();
                table.sync().unwrap();
            }
        });
        fill(&table, 1..3000);
        done.store(true, std::sync::atomic::Ordering::Release);
    });
    assert_eq!(all(&table, "T", 0), dense(0..3000));
}

#[test]
fn readers_of_a_topic_that_is_dropped_find_nothing_and_no_error() {
    let disk = SimDisk::new();
    let table =
        open_with(&disk, Geometry { entries_per_segment: PER_SEGMENT, open_files: 2 }, &BTreeMap::new());
    let done = std::sync::atomic::AtomicBool::new(false);
    fill(&table, 0..1);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let queue = table.queue("T", 0).unwrap();
                while !done.load(std::sync::atomic::Ordering::Acquire) {
                    for from in queue.max().0.saturating_sub(25)..queue.max().0 {
                        for (at, entry) in (from..).zip(queue.read(QueueOffset(from), 10).unwrap()) {
                            assert!(entry.is_none_or(|entry| entry == nth(at)), "{at} {entry:?}");
                        }
                    }
                }
            });
        }
        for start in (1..4000).step_by(13) {
            fill(&table, start..start + 12);
            table.write_out(LogOffset::MAX).unwrap();
            table.drop_topic("T").unwrap();
            fill(&table, start + 12..start + 13);
            write_and_sync(&table);
            table.drop_topic("T").unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::Release);
    });
}
