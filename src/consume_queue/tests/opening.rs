//! What is found, what is trusted, what is kept for a rebuild, what is cleared away, and topics that go.

use super::*;
use crate::consume_queue::entry::BLANK;
use crate::disk::Disk;
use crate::disk::sim::{Aim, Fault, FaultKind, OpKind, Survivors};

fn write(disk: &SimDisk, path: &str, bytes: Vec<u8>) {
    disk.write_file(dir().join(path), bytes).unwrap();
}

#[test]
fn a_survey_passes_over_what_rocketmq_does_and_names_what_is_odd() {
    let disk = SimDisk::new();
    assert_eq!(survey(&disk), QueueSurvey::default(), "no folder at all");
    for path in ["A/0/00000000000000000000", "A/0/00000000000000000200", "B/12/00000000000000000400"] {
        write(&disk, path, vec![0; 200]);
    }
    // Passed over: not a queue's files.
    for path in
        ["plain", "A/plain", "A/x/00000000000000000000", "A/-1/f", "A/007/f", "A/2147483648/f", "A/0/deep/f"]
    {
        write(&disk, path, vec![1; 33]);
    }
    let odd =
        ["A/0/00000000000000000600", "A/0/00000000000000000800", "A/0/00000000000000000950", "A/0/name"];
    write(&disk, odd[0], vec![]);
    write(&disk, odd[1], vec![0; 180]);
    write(&disk, odd[2], vec![0; 200]);
    write(&disk, odd[3], vec![0; 200]);
    write(&disk, "C/0/000000000000000000000", vec![0; 200]);
    let before = disk.fingerprint();
    let found = survey(&disk);
    assert_eq!(disk.fingerprint(), before);
    assert_eq!(found.entries_per_segment, Some(10));
    let bases = |numbers: &[u64]| numbers.iter().copied().map(QueueOffset).collect::<Vec<_>>();
    assert_eq!(found.queues, [(key("A", 0), bases(&[0, 10])), (key("B", 12), bases(&[20]))].into());
    let mut expected: Vec<_> = odd.iter().map(|path| (dir().join(path), path.ends_with("600"))).collect();
    expected.push((dir().join("C/0/000000000000000000000"), false));
    assert_eq!(found.odd.iter().map(|odd| (odd.path.clone(), odd.empty)).collect::<Vec<_>>(), expected);
    assert!(found.odd.iter().all(|odd| !odd.why.is_empty()));
}

/// From some thousand queues on several threads look at the folders: the answer is the same, in the same order, and an
/// error of any of them is the answer.
#[test]
fn so_many_queues_that_threads_share_them_are_all_found() {
    let disk = SimDisk::new();
    let queues = || (0..3).flat_map(|topic| (0..2_000).map(move |id| (format!("T{topic}"), id)));
    for (topic, id) in queues() {
        write(&disk, &format!("{topic}/{id}/00000000000000000200"), vec![0; 200]);
    }
    write(&disk, "T1/7/name", vec![0; 200]);
    write(&disk, "T1/8/00000000000000000400", vec![]);
    let found = survey(&disk);
    let mut expected: BTreeMap<_, _> = queues().map(|queue| (queue, vec![QueueOffset(10)])).collect();
    assert_eq!(found.queues, expected);
    assert_eq!(found.odd.iter().map(|odd| odd.empty).collect::<Vec<_>>(), [false, true]);

    disk.remove(&dir().join("T2/1999/00000000000000000200")).unwrap();
    expected.remove(&key("T2", 1_999));
    assert_eq!(survey(&disk).queues, expected);
    disk.fail_at_aimed(Aim::anything().path("T2/1234"), 1, Fault::once(FaultKind::Eio));
    let error = QueueSurvey::of(&disk, &dir()).unwrap_err();
    assert!(error.to_string().contains("T2/1234"), "{error}");
}

#[test]
fn the_common_length_is_the_most_frequent_that_a_file_can_have() {
    let disk = SimDisk::new();
    for (n, len) in [(0, 33), (1, 33), (2, 33), (3, 400), (4, 400), (5, 200), (6, 0), (7, 0), (8, 0), (9, 0)]
    {
        write(&disk, &format!("T/{n}/00000000000000000000"), vec![0; len]);
    }
    let found = survey(&disk);
    assert_eq!(found.entries_per_segment, Some(20));
    assert_eq!(found.queues.keys().map(|(_, id)| *id).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(found.odd.len(), 8);
}

#[test]
fn a_survey_covers_what_is_known_only_without_gaps() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    fill(&table, 13..47);
    write_and_sync(&table);
    let covers = |disk: &SimDisk, first, next| {
        survey(disk).covers(&BTreeMap::from([(key("T", 0), known(first, next))]), PER_SEGMENT)
    };
    assert_eq!(table.known(), BTreeMap::from([(key("T", 0), known(10, 47))]));
    assert!(survey(&disk).covers(&table.known(), PER_SEGMENT));
    assert!(covers(&disk, 20, 41) && covers(&disk, 10, 50) && covers(&disk, 60, 60));
    assert!(!covers(&disk, 10, 51) && !covers(&disk, 0, 47));
    assert!(!survey(&disk).covers(&table.known(), 20), "another length");
    assert!(!survey(&disk).covers(&BTreeMap::from([(key("U", 0), known(0, 1))]), PER_SEGMENT));
    for lost in [10, 20, 30, 40] {
        let disk = disk.kill();
        disk.remove(&file(lost)).unwrap();
        assert!(!covers(&disk, 10, 47), "without {lost}");
    }
}

#[test]
fn what_is_opened_is_trusted_as_far_as_it_is_known_and_goes_on_from_there() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    fill(&table, 0..35);
    let _ = table.put("U", 3, QueueOffset(5), nth(35));
    write_and_sync(&table);
    let trusted = BTreeMap::from([(key("T", 0), known(0, 18)), (key("gone", 1), known(40, 40))]);
    let table = open(&disk, &trusted);
    assert_eq!(all(&table, "T", 0), dense(0..18), "what stands behind counts for nothing");
    let unknown = table.queue("U", 3).unwrap();
    assert_eq!((unknown.max(), unknown.entry(QueueOffset(5)).unwrap()), (QueueOffset(0), None));
    assert_eq!(table.queue("gone", 1).unwrap().max(), QueueOffset(40));
    assert_eq!(table.known(), trusted);
    fill(&table, 18..22);
    assert_eq!(table.put("U", 3, QueueOffset(7), nth(22)), Put::Appended);
    assert_eq!(table.put("gone", 1, QueueOffset(40), nth(23)), Put::Appended);
    write_and_sync(&table);
    table.trim().unwrap();
    assert_eq!(all(&table, "T", 0), dense(0..22));
    assert_eq!(bases(&disk), [0, 10, 20]);
    let last = disk.read_file(file(20)).unwrap();
    assert_eq!(last[..40], [nth(20).encode(), nth(21).encode()].concat());
    assert!(last[40..].iter().all(|byte| *byte == 0));
    let other = disk.read_file(dir().join("U/3/00000000000000000000")).unwrap();
    assert_eq!(other[..140], BLANK.repeat(7), "the old entry at 5 is gone");
    assert_eq!(other[140..160], nth(22).encode());
}

#[test]
fn leftovers_in_the_making_are_removed() {
    let disk = SimDisk::new();
    disk.write_file(making().join("queue-0"), vec![1; 200]).unwrap();
    let table = new_table(&disk);
    assert_eq!(disk.files(), []);
    fill(&table, 0..1);
    write_and_sync(&table);
    assert_eq!(disk.files().len(), 1);
}

#[test]
fn a_queue_whose_files_went_further_than_the_log_is_known_when_it_is_derived_anew() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    fill(&table, 3..38);
    let _ = table.put("U", 3, QueueOffset(5), nth(38));
    write_and_sync(&table);
    assert_eq!(table.fell_short(), [], "nothing was derived anew");
    for (first, next, short) in
        [(0, 38, false), (0, 31, true), (20, 38, false), (20, 29, true), (38, 38, false)]
    {
        let disk = disk.kill();
        let table = rebuild(&disk, LogOffset(first * 100));
        fill(&table, first.max(3)..next);
        let _ = table.put("U", 3, QueueOffset(5), nth(38));
        let expected = short.then(|| ("T".to_owned(), 0, QueueOffset(38), QueueOffset(next)));
        assert_eq!(table.fell_short(), expected.into_iter().collect::<Vec<_>>(), "{first} {next}");
        write_and_sync(&table);
        table.trim().unwrap();
        assert_eq!(rebuild(&disk, LogOffset(first * 100)).fell_short().len(), usize::from(first < 38) + 1);
    }
}

#[test]
fn a_rebuild_keeps_the_expired_front_alone() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    fill(&table, 3..38);
    write_and_sync(&table);
    for expired in [0, 3, 4, 5, 9, 10, 11, 20, 29, 37, 38, 60] {
        let disk = disk.kill();
        let table = rebuild(&disk, LogOffset(expired * 100));
        let queue = table.queue("T", 0).unwrap();
        let kept = if expired > 3 { 3..expired.min(38) } else { 0..0 };
        assert_eq!(queue.max().0, kept.end, "{expired}");
        // The log's records are put again, the first one with its own number.
        let from = expired.clamp(3, 38);
        fill(&table, from..40.max(from));
        assert_eq!(all(&table, "T", 0)[3..], dense(3..40), "{expired}");
        assert_eq!(queue.min(LogOffset(expired * 100)).unwrap().0, expired.clamp(3, 40));
        write_and_sync(&table);
        table.trim().unwrap();
        assert_eq!(all(&table, "T", 0)[3..], dense(3..40), "{expired}");
        let again = open(&disk.power_cut(0, Survivors::Nothing), &table.known());
        assert_eq!(all(&again, "T", 0)[3..], dense(3..40), "{expired}");
    }
}

#[test]
fn a_rebuild_keeps_nothing_of_blanks_zeros_or_what_cannot_be_read() {
    let with = |bytes: Vec<u8>| {
        let disk = SimDisk::new();
        disk.write_file(file(20), bytes).unwrap();
        disk
    };
    let kept = |disk: &SimDisk, log_first| {
        let table = rebuild(disk, LogOffset(log_first));
        let known = table.known().get(&key("T", 0)).copied();
        (known.map(|known| known.next.0 - known.first.0), table)
    };
    for bytes in [BLANK.repeat(10), vec![0; 200], vec![0xFF; 200]] {
        let disk = with(bytes);
        let (entries, table) = kept(&disk, 1_000_000);
        assert_eq!(entries, Some(0));
        table.trim().unwrap();
        assert_eq!(disk.files(), [], "no file is left without an entry");
    }
    let mut bytes = BLANK.repeat(4);
    bytes.extend([nth(1).encode(), nth(2).encode()].concat());
    bytes.resize(200, 0);
    let disk = with(bytes);
    assert_eq!(kept(&disk, 250).0, Some(6));
    assert_eq!(kept(&disk, 101).0, Some(5));
    assert_eq!(kept(&disk, 0).0, Some(0));
    disk.fail_at_aimed(Aim::anything().kind(OpKind::Read), 1, Fault::once(FaultKind::Eio));
    assert_eq!(kept(&disk, 250).0, Some(0));
    assert_eq!(disk.faults_fired(), 1);
}

#[test]
fn trimming_clears_what_is_no_entry_and_leaves_no_file_without_one() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    fill(&table, 0..35);
    let _ = table.put("U", 0, QueueOffset(0), nth(35));
    write_and_sync(&table);
    for next in [1, 9, 10, 11, 30, 35] {
        let disk = disk.kill();
        let table = open(&disk, &BTreeMap::from([(key("T", 0), known(0, next))]));
        table.trim().unwrap();
        assert_eq!(bases(&disk), (0..next).step_by(10).collect::<Vec<_>>());
        assert_eq!(table.topics(), ["T"]);
        let after = disk.power_cut(0, Survivors::Nothing);
        assert_eq!(after.fingerprint(), disk.fingerprint(), "all of it is durable");
        let bytes: Vec<u8> =
            bases(&disk).into_iter().flat_map(|base| disk.read_file(file(base)).unwrap()).collect();
        let entries: Vec<u8> = (0..next).flat_map(|n| nth(n).encode()).collect();
        assert_eq!(bytes[..entries.len()], entries);
        assert!(bytes[entries.len()..].iter().all(|byte| *byte == 0));
        assert_eq!(all(&table, "T", 0), dense(0..next));
    }
}

#[test]
fn a_trim_that_ends_half_way_leaves_no_hole() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    fill(&table, 0..45);
    write_and_sync(&table);
    let table = open(&disk, &BTreeMap::from([(key("T", 0), known(0, 5))]));
    disk.fail_at_aimed(Aim::anything().kind(OpKind::Remove), 3, Fault::once(FaultKind::Eio));
    table.trim().unwrap_err();
    assert_eq!(bases(&disk), [0, 10, 20]);
    table.trim().unwrap();
    assert_eq!(bases(&disk), [0]);
}

#[test]
fn numbering_goes_on_where_it_is_told_to() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    table.set_next("T", 0, QueueOffset(44));
    let queue = table.queue("T", 0).unwrap();
    assert_eq!((queue.min(LogOffset(7)).unwrap(), queue.max()), (QueueOffset(44), QueueOffset(44)));
    assert_eq!(table.known(), BTreeMap::from([(key("T", 0), known(44, 44))]));
    assert_eq!(table.topics(), Vec::<String>::new());
    fill(&table, 44..46);
    table.set_next("T", 0, QueueOffset(90));
    assert_eq!(queue.max(), QueueOffset(46), "a queue with entries goes on behind them");
    write_and_sync(&table);
    assert_eq!(bases(&disk), [40]);
}

#[test]
fn a_dropped_topic_has_no_files_and_keeps_its_numbers() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    fill(&table, 0..25);
    let _ = table.put("T", 4, QueueOffset(3), nth(25));
    let _ = table.put("U", 0, QueueOffset(0), nth(26));
    table.write_out(end(22)).unwrap();
    let queue = table.queue("T", 0).unwrap();
    table.drop_topic("T").unwrap();
    assert_eq!((table.topics(), table.queues_of("T")), (vec!["U".to_owned()], vec![]));
    assert_eq!((queue.min(LogOffset::ZERO).unwrap(), queue.max()), (QueueOffset(25), QueueOffset(25)));
    assert_eq!(queue.read(QueueOffset(3), 10).unwrap(), []);
    assert_eq!(table.known()[&key("T", 4)], known(4, 4));
    let after = disk.power_cut(0, Survivors::Nothing);
    assert_eq!(bases(&after), Vec::<u64>::new(), "durably");
    write_and_sync(&table);
    assert_eq!(table.pending_bytes(), 0);
    fill(&table, 25..27);
    write_and_sync(&table);
    assert_eq!(bases(&disk), [20]);
    assert_eq!(all(&table, "T", 0)[5..], dense(25..27));
    table.drop_topic("never heard of").unwrap();
}

#[test]
fn a_drop_that_failed_half_way_is_finished_by_another_call() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    fill(&table, 0..45);
    write_and_sync(&table);
    disk.fail_at_aimed(Aim::anything().kind(OpKind::Remove), 3, Fault::once(FaultKind::Eio));
    table.drop_topic("T").unwrap_err();
    assert_eq!(bases(&disk), [0, 10, 20]);
    assert_eq!(table.queue("T", 0).unwrap().read(QueueOffset(0), 5).unwrap(), []);
    table.drop_topic("T").unwrap();
    assert_eq!(disk.files(), []);
}
