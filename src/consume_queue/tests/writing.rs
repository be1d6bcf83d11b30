//! What goes to files, when, and what it costs in memory and descriptors.

use super::*;
use crate::consume_queue::{ConsumeQueue, Shared};
use crate::disk::sim::{Aim, Fault, FaultKind, OpKind, Survivors};

#[test]
fn only_entries_of_flushed_records_are_written() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    fill(&table, 0..9);
    for (up_to, written) in [(0, 0), (99, 0), (100, 1), (399, 3), (400, 4), (350, 4), (5000, 9)] {
        table.write_out(LogOffset(up_to)).unwrap();
        let bytes = disk.read_file(file(0)).unwrap_or_default();
        let found = bytes.chunks_exact(20).take_while(|bytes| **bytes != [0; 20]).count();
        assert_eq!(found, written, "up to {up_to}");
        assert_eq!(table.pending_bytes(), 20 * (9 - written as u64), "up to {up_to}");
        assert_eq!(all(&table, "T", 0), dense(0..9));
    }
}

#[test]
fn blanks_wait_for_the_entry_behind_them() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    fill(&table, 0..3);
    assert_eq!(table.put("T", 0, QueueOffset(5), nth(5)), Put::Gap(2));
    table.write_out(LogOffset(599)).unwrap();
    assert!(disk.read_file(file(0)).unwrap()[60..].iter().all(|byte| *byte == 0));
    table.write_out(LogOffset(600)).unwrap();
    assert_eq!(disk.read_file(file(0)).unwrap()[100..120], nth(5).encode());
}

#[test]
fn an_entry_replaced_after_the_due_ones_were_counted_waits_for_its_record() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    fill(&table, 0..5);
    let queue = table.queue("T", 0).unwrap();
    let due = queue.state.read().due(end(4));
    assert_eq!(due, 5);
    assert_eq!(table.put("T", 0, QueueOffset(3), nth(30)), Put::Replaced);
    let piece = queue.state.write().take(due, end(4), 10, &mut Vec::new()).unwrap();
    assert_eq!(piece.entries, 3);
}

#[test]
fn the_name_of_a_file_that_a_killed_process_made_becomes_durable_with_its_entries() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    fill(&table, 0..5);
    table.write_out(LogOffset::MAX).unwrap();
    let disk = disk.kill();
    let table = new_table(&disk);
    fill(&table, 0..5);
    write_and_sync(&table);
    let after = disk.power_cut(0, Survivors::Nothing);
    assert_eq!(all(&open(&after, &table.known()), "T", 0), dense(0..5));
}

#[test]
fn many_entries_go_in_one_write_for_each_file() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    fill(&table, 0..5);
    write_and_sync(&table);
    fill(&table, 5..40);
    let before = disk.operations_of(OpKind::Write);
    write_and_sync(&table);
    assert_eq!(disk.operations_of(OpKind::Write) - before, 4);
    assert_eq!(bases(&disk), [0, 10, 20, 30], "and no file without an entry");
    let nothing = disk.operations();
    table.write_out(LogOffset::MAX).unwrap();
    table.sync().unwrap();
    assert_eq!(disk.operations(), nothing, "nothing to do costs nothing");
}

#[test]
fn memory_is_given_back_when_all_is_written() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    fill(&table, 0..5000);
    assert_eq!(table.pending_bytes(), 100_000);
    table.write_out(end(4989)).unwrap();
    assert_eq!(table.pending_bytes(), 200);
    let queue = table.queue("T", 0).unwrap();
    assert!(queue.state.read().room() <= 40, "{}", queue.state.read().room());
    table.write_out(LogOffset::MAX).unwrap();
    assert_eq!((table.pending_bytes(), queue.state.read().room()), (0, 0));
}

#[test]
fn ten_thousand_idle_queues_hold_less_than_a_kilobyte_each() {
    let disk = SimDisk::new();
    let geometry = Geometry { entries_per_segment: PER_SEGMENT, open_files: 512 };
    let table = open_with(&disk, geometry, &BTreeMap::new());
    let topic = |n: u64| format!("a-topic-with-a-name-of-common-length-{n:05}");
    for n in 0..10_000 {
        assert_eq!(table.put(&topic(n), 0, QueueOffset(n % 13), nth(n)), Put::Appended);
        // In rounds, for the simulated disk's sake, which walks over all unsynced names at each sync of a folder.
        if n % 250 == 249 {
            write_and_sync(&table);
        }
    }
    assert_eq!(table.pending_bytes(), 0);
    assert!(disk.open_handles() <= 512, "{}", disk.open_handles());
    let entry_of_the_map = topic(0).len() + 16 + 8 * 16;
    let of_one = |queue: &ConsumeQueue| {
        let state = queue.state.read();
        size_of::<ConsumeQueue>() + state.room() * 20 + state.segments.capacity() * 8 + entry_of_the_map
    };
    let most = table.all().iter().map(|queue| of_one(queue)).max().unwrap();
    assert!(most < 1024, "{most} bytes");
    assert!(size_of::<Shared>() < 4096);
    assert_eq!(table.topics().len(), 10_000);
    let last = table.queue(&topic(9_999), 0).unwrap();
    assert_eq!(last.entry(QueueOffset(9_999 % 13)).unwrap(), Some(nth(9_999)));
}

#[test]
fn no_more_descriptors_are_open_than_allowed_and_all_that_was_written_is_synced() {
    for open_files in [0, 1, 2, 3, 7, 64] {
        let disk = SimDisk::new();
        let geometry = Geometry { entries_per_segment: PER_SEGMENT, open_files };
        let table = open_with(&disk, geometry, &BTreeMap::new());
        let limit = u64::try_from(open_files.max(2)).unwrap();
        let within = || {
            assert!(disk.open_handles() <= limit, "{} of {limit}", disk.open_handles());
            assert_eq!(table.shared.files.open_files() as u64, disk.open_handles());
        };
        for round in 0..25_u64 {
            for id in 0..40 {
                let at = QueueOffset(round);
                assert_eq!(table.put("T", id, at, nth(round)), Put::Appended);
            }
            table.write_out(LogOffset::MAX).unwrap();
            within();
            for id in 0..40 {
                assert_eq!(
                    table.queue("T", id).unwrap().entry(QueueOffset(round / 2)).unwrap(),
                    Some(nth(round / 2))
                );
                within();
            }
        }
        table.sync().unwrap();
        within();
        let after = open(&disk.power_cut(0, Survivors::Nothing), &table.known());
        for id in 0..40 {
            assert_eq!(all(&after, "T", id), dense(0..25), "{open_files} files, queue {id}");
        }
    }
}

#[test]
fn a_full_disk_keeps_entries_in_memory_and_a_later_call_goes_on() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    fill(&table, 0..5);
    let _ = table.put("U", 0, QueueOffset(0), nth(5));
    write_and_sync(&table);
    fill(&table, 5..25);
    let _ = table.put("U", 0, QueueOffset(1), nth(6));
    for kind in [OpKind::Write, OpKind::Create] {
        disk.fail_at_aimed(Aim::anything().kind(kind), 1, Fault::once(FaultKind::Enospc));
        let error = table.write_out(LogOffset::MAX).unwrap_err();
        assert!(error.is_full(), "{error}");
        assert!(table.pending_bytes() > 0);
        assert_eq!(all(&table, "T", 0), dense(0..25));
    }
    assert_eq!(files_under(&disk, &making()), Vec::<PathBuf>::new(), "nothing half made");
    write_and_sync(&table);
    assert_eq!(table.pending_bytes(), 0);
    let after = open(&disk.power_cut(0, Survivors::Nothing), &table.known());
    assert_eq!(all(&after, "T", 0), dense(0..25));
    assert_eq!(all(&after, "U", 0), [(0, Some(nth(5))), (1, Some(nth(6)))]);
}

#[test]
fn an_entry_replaced_while_a_write_fails_is_written_in_its_last_form() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    fill(&table, 0..5);
    let queue = table.queue("T", 0).unwrap();
    let mut buffer = Vec::new();
    // The recorder has taken the bytes, then the dispatcher replaces one of them, then the write fails or not.
    for fails in [true, false] {
        let piece = queue.state.write().take(5, LogOffset::MAX, 10, &mut buffer).unwrap();
        let n = if fails { 30 } else { 40 };
        assert_eq!(table.put("T", 0, QueueOffset(3), nth(n)), Put::Replaced);
        if fails {
            queue.change(|state| state.not_written());
            assert_eq!(table.pending_bytes(), 100, "no patch is left for what will be written");
        } else {
            table.shared.files.make(&queue.folder, 0, 0, &buffer, true).unwrap();
            queue.change(|state| state.written(piece));
        }
        assert_eq!(queue.entry(QueueOffset(3)).unwrap(), Some(nth(n)));
    }
    write_and_sync(&table);
    assert_eq!(disk.read_file(file(0)).unwrap()[60..80], nth(40).encode());
    assert_eq!(table.pending_bytes(), 0);
}

#[test]
fn a_failed_sync_is_final() {
    for calls in 1..=2 {
        let disk = SimDisk::new();
        let table = new_table(&disk);
        fill(&table, 0..1);
        table.write_out(LogOffset::MAX).unwrap();
        fill(&table, 1..5);
        let _ = table.put("U", 0, QueueOffset(0), nth(5));
        // The first is in the making of U's file, the second the sync of T's.
        disk.fail_at_aimed(Aim::anything().kind(OpKind::Sync), calls, Fault::once(FaultKind::Eio));
        let failed = table.write_out(LogOffset::MAX).and_then(|()| table.sync());
        assert!(failed.is_err());
        assert_eq!(disk.faults_fired(), 1);
        let calls = disk.operations();
        assert!(table.sync().is_err() && table.write_out(LogOffset::MAX).is_err() && table.trim().is_err());
        assert!(table.drop_topic("T").is_err());
        assert_eq!(disk.operations(), calls, "nothing is written any more");
        assert_eq!(all(&table, "T", 0), dense(0..5), "reading goes on");
    }
}

#[test]
fn a_failed_sync_of_a_folder_is_told_and_tried_again() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    fill(&table, 0..5);
    table.write_out(LogOffset::MAX).unwrap();
    disk.fail_at_aimed(Aim::anything().kind(OpKind::SyncDir), 1, Fault::once(FaultKind::Eio));
    assert!(table.sync().is_err());
    assert_eq!(bases(&disk.power_cut(0, Survivors::Nothing)), Vec::<u64>::new());
    table.sync().unwrap();
    assert_eq!(bases(&disk.power_cut(0, Survivors::Nothing)), [0]);
}

#[test]
fn a_file_made_anew_is_not_mistaken_for_the_removed_one_of_its_name() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    fill(&table, 0..5);
    write_and_sync(&table);
    let (files, queue) = (&table.shared.files, table.queue("T", 0).unwrap());
    files.close_all();
    // A reader has opened the file, and is held up before it has put it among the open ones.
    let old = files.admit((queue.folder.number, 0), || {
        let opened = files.open(&queue.folder, 0);
        table.drop_topic("T").unwrap();
        opened
    });
    drop(old.unwrap());
    fill(&table, 5..7);
    write_and_sync(&table);
    assert_eq!(all(&table, "T", 0)[5..], dense(5..7));
    assert_eq!(disk.read_file(file(0)).unwrap()[100..140], [nth(5).encode(), nth(6).encode()].concat());
    fill(&table, 7..8);
    write_and_sync(&table);
    assert_eq!(disk.read_file(file(0)).unwrap()[140..160], nth(7).encode(), "not in the file that went");
}
