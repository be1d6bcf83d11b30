//! Queues whose front has gone from the log.

use super::*;
use crate::consume_queue::entry::BLANK;
use crate::disk::sim::{Aim, Fault, FaultKind, OpKind, Survivors};
use crate::error::Error;

const FILE_BYTES: u64 = 200;

fn at(n: u64) -> LogOffset {
    nth(n).at
}

fn filled(disk: &SimDisk, numbers: std::ops::Range<u64>) -> QueueTable {
    let table = new_table(disk);
    fill(&table, numbers);
    write_and_sync(&table);
    table
}

fn min_of(table: &QueueTable, log_first: LogOffset) -> u64 {
    table.queue("T", 0).unwrap().min(log_first).unwrap().0
}

#[test]
fn files_go_when_their_last_entry_points_below_the_log() {
    let disk = SimDisk::new();
    let table = filled(&disk, 0..47);
    assert_eq!(table.retire_before(LogOffset::ZERO).unwrap(), 0);
    assert_eq!(table.retire_before(at(9)).unwrap(), 0, "the last record of the first file is there");
    assert_eq!(table.retire_before(LogOffset(at(9).0 + 1)).unwrap(), FILE_BYTES);
    assert_eq!(bases(&disk), [10, 20, 30, 40]);
    assert_eq!(table.retire_before(at(33)).unwrap(), 2 * FILE_BYTES);
    assert_eq!(bases(&disk), [30, 40]);
    assert_eq!(min_of(&table, at(33)), 33);
    assert_eq!(all(&table, "T", 0), dense(30..47));
    let queue = table.queue("T", 0).unwrap();
    assert_eq!(queue.read(QueueOffset(29), 5).unwrap(), [], "no file is looked for");
    assert_eq!(table.known(), BTreeMap::from([(key("T", 0), known(30, 47))]));
    assert_eq!(table.retire_before(at(33)).unwrap(), 0);
    let after = disk.power_cut(1, Survivors::Nothing);
    assert_eq!(bases(&after), [30, 40], "durably");
}

#[test]
fn a_queue_whose_records_have_all_gone_keeps_its_last_file_and_its_numbers() {
    for next in [41, 47, 50] {
        let disk = SimDisk::new();
        let table = filled(&disk, 3..next);
        let gone = at(1_000);
        assert_eq!(table.retire_before(gone).unwrap(), 4 * FILE_BYTES);
        assert_eq!(bases(&disk), [40]);
        let before = disk.read_file(file(40)).unwrap();
        let check = |table: &QueueTable| {
            let queue = table.queue("T", 0).unwrap();
            assert_eq!((queue.max().0, queue.min(gone).unwrap().0), (next, next));
        };
        check(&table);
        let again = open(&disk, &table.known());
        check(&again);
        check(&rebuild(&disk, gone));
        // It goes on behind, over nothing.
        let mut later = nth(2_000);
        later.tag = 7;
        assert_eq!(again.put("T", 0, QueueOffset(next), later), Put::Appended);
        write_and_sync(&again);
        let queue = again.queue("T", 0).unwrap();
        assert_eq!((queue.min(gone).unwrap().0, queue.max().0), (next, next + 1));
        assert_eq!(queue.entry(QueueOffset(next)).unwrap(), Some(later));
        let used = usize::try_from((next - 40) * 20).unwrap();
        assert_eq!(disk.read_file(file(40)).unwrap()[..used], before[..used]);
        // With a further file behind it the one before may go.
        let retired = again.retire_before(gone).unwrap();
        assert_eq!(retired, if next == 50 { FILE_BYTES } else { 0 });
    }
}

#[test]
fn entries_that_are_not_in_files_yet_are_written_all_the_same() {
    let disk = SimDisk::new();
    let table = filled(&disk, 0..12);
    fill(&table, 12..38);
    assert_eq!(table.retire_before(at(25)).unwrap(), FILE_BYTES, "the last file that there is stays");
    write_and_sync(&table);
    assert_eq!(table.retire_before(at(25)).unwrap(), FILE_BYTES);
    assert_eq!(all(&table, "T", 0), dense(20..38));
    assert_eq!(bases(&disk), [20, 30]);
    assert_eq!(min_of(&table, at(25)), 25);
    assert_eq!(table.pending_bytes(), 0);
}

#[test]
fn a_queue_in_memory_alone_keeps_what_it_has() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    fill(&table, 5..35);
    assert_eq!(table.retire_before(at(30)).unwrap(), 0);
    assert_eq!(min_of(&table, at(30)), 30);
    assert_eq!(disk.operations(), SimDisk::new().operations() + disk.operations_of(OpKind::List));
    write_and_sync(&table);
    assert_eq!(table.retire_before(at(30)).unwrap(), 3 * FILE_BYTES);
    assert_eq!(all(&table, "T", 0), dense(30..35));
}

#[test]
fn blanks_count_as_nothing() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    // Entries at 4, 11 and from 33 on; the third file and the end of the first two are blanks alone.
    for n in [4, 11, 33, 34] {
        let _ = table.put("T", 0, QueueOffset(n), nth(n));
    }
    write_and_sync(&table);
    assert_eq!(bases(&disk), [0, 10, 20, 30]);
    assert_eq!(disk.read_file(file(20)).unwrap(), BLANK.repeat(10));
    assert_eq!(table.retire_before(at(4)).unwrap(), 0);
    assert_eq!(min_of(&table, at(4)), 4);
    assert_eq!(table.retire_before(at(5)).unwrap(), FILE_BYTES);
    assert_eq!(min_of(&table, at(5)), 11);
    assert_eq!(table.retire_before(at(12)).unwrap(), 2 * FILE_BYTES);
    assert_eq!(bases(&disk), [30]);
    assert_eq!(min_of(&table, at(12)), 33);
}

#[test]
fn a_damaged_entry_holds_its_file_only_until_the_next_one_has_gone() {
    let disk = SimDisk::new();
    let table = filled(&disk, 0..35);
    drop(table);
    disk.overwrite(file(0), 9 * 20 + 8, &[0xFF; 4]).unwrap();
    let table = open(&disk, &BTreeMap::from([(key("T", 0), known(0, 35))]));
    assert_eq!(table.retire_before(at(10)).unwrap(), 0);
    assert_eq!(table.retire_before(at(11)).unwrap(), FILE_BYTES);
    assert_eq!(all(&table, "T", 0), dense(10..35));
}

#[test]
fn what_replaces_an_entry_before_the_front_is_forgotten() {
    let disk = SimDisk::new();
    let table = filled(&disk, 0..35);
    assert_eq!(table.put("T", 0, QueueOffset(3), nth(3)), Put::Replaced);
    assert_eq!(table.put("T", 0, QueueOffset(31), nth(31)), Put::Replaced);
    table.retire_before(at(20)).unwrap();
    write_and_sync(&table);
    assert_eq!(bases(&disk), [20, 30]);
    assert_eq!(table.pending_bytes(), 0);
    assert!(matches!(table.put("T", 0, QueueOffset(3), nth(40)), Put::Refused(_)));
}

#[test]
fn an_entry_that_was_replaced_by_a_later_record_holds_its_file() {
    let disk = SimDisk::new();
    let table = filled(&disk, 0..35);
    assert_eq!(table.retire_before(at(5)).unwrap(), 0, "where the first file ends is known now");
    assert_eq!(table.put("T", 0, QueueOffset(9), nth(50)), Put::Replaced);
    assert_eq!(table.retire_before(at(30)).unwrap(), 0);
    assert_eq!(table.retire_before(at(51)).unwrap(), 3 * FILE_BYTES);
}

#[test]
fn a_fault_in_one_queue_is_told_when_the_others_are_done() {
    for kind in [OpKind::Open, OpKind::Read, OpKind::Remove, OpKind::SyncDir] {
        let disk = SimDisk::new();
        let table = new_table(&disk);
        for id in 0..5 {
            for n in 0..25 {
                assert_eq!(table.put("T", id, QueueOffset(n), nth(n)), Put::Appended);
            }
        }
        write_and_sync(&table);
        let table = open(&disk, &table.known());
        let files = |id: u32| survey(&disk).queues.get(&key("T", id)).map_or(0, Vec::len);
        let broken = Aim::anything().kind(kind).path("T/2");
        disk.fail_at_aimed(broken, 1, Fault::once(FaultKind::Eio));
        let error = table.retire_before(at(20)).unwrap_err();
        assert!(matches!(error, Error::Io { .. }) && error.to_string().contains("T/2"), "{error}");
        for id in [0, 1, 3, 4] {
            assert_eq!(files(id), 1, "{kind:?}: {id}");
        }
        assert_eq!(files(2), if kind == OpKind::SyncDir { 2 } else { 3 }, "{kind:?}");
        table.retire_before(at(20)).unwrap();
        assert_eq!(files(2), 1, "{kind:?}");
        let after = disk.power_cut(1, Survivors::Nothing);
        assert_eq!(survey(&after), survey(&disk), "{kind:?}");
    }
}

#[test]
fn a_cut_anywhere_leaves_no_hole_and_opening_finishes() {
    let disk = SimDisk::new();
    let table = filled(&disk, 0..57);
    let _ = table.put("U", 1, QueueOffset(0), nth(57));
    write_and_sync(&table);
    disk.start_recording();
    assert!(table.move_front(at(43)).unwrap());
    let said = table.known();
    assert_eq!(table.remove_retired().unwrap(), 4 * FILE_BYTES);
    let mut walk = disk.replay();
    let mut seen = std::collections::BTreeSet::new();
    loop {
        for (seed, model) in (walk.position() as u64..).zip(Survivors::ALL) {
            for after in [walk.power_cut(seed, model), walk.power_cut_within(seed, model)] {
                let left = bases(&after);
                assert_eq!(left, (6 - left.len() as u64..6).map(|n| n * 10).collect::<Vec<_>>());
                seen.insert(left.len());
                assert!(survey(&after).covers(&said, PER_SEGMENT));
                let table = open(&after, &said);
                table.retire_before(at(43)).unwrap();
                assert_eq!(bases(&after), [40, 50]);
                assert_eq!(all(&table, "T", 0), dense(40..57));
                assert_eq!(min_of(&table, at(43)), 43);
            }
        }
        if walk.step().is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 5, "{seen:?}");
}

#[test]
fn ten_thousand_queues_with_nothing_to_retire_cost_no_look_at_the_disk() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    for n in 0..75 {
        assert_eq!(table.put("T", n % 3, QueueOffset(u64::from(n / 3)), nth(n.into())), Put::Appended);
    }
    write_and_sync(&table);
    // So many more, with one file each, which nobody looks at: they need not be there.
    let (mut survey, mut known_ones) = (survey(&disk), table.known());
    for id in 3..10_000 {
        survey.queues.insert(key("T", id), vec![QueueOffset(0)]);
        known_ones.insert(key("T", id), known(0, 2));
    }
    let shared = Arc::new(disk.clone());
    let table = QueueTable::open(shared, dir(), making(), geometry(), &survey, &known_ones).unwrap();
    // One look at each of the three queues that have files to spare; later ones find it in memory.
    assert_eq!(table.retire_before(at(1)).unwrap(), 0);
    let before = disk.operations();
    for _ in 0..10 {
        assert_eq!(table.retire_before(at(5)).unwrap(), 0);
    }
    assert_eq!(disk.operations(), before);
    assert_eq!(table.retire_before(at(75)).unwrap(), 6 * FILE_BYTES);
    // Of each file that went its end was looked at, and of none other.
    assert!(disk.operations() - before < 60, "{}", disk.operations() - before);
}

#[test]
fn a_minimum_that_is_asked_for_with_an_earlier_front_is_never_before_the_files() {
    let disk = SimDisk::new();
    let table = filled(&disk, 0..47);
    assert_eq!(min_of(&table, at(5)), 5);
    table.retire_before(at(33)).unwrap();
    assert_eq!(min_of(&table, at(5)), 30);
    assert_eq!(min_of(&table, at(33)), 33);
    assert_eq!(min_of(&table, at(100)), 47);
}
