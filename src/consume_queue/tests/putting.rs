//! Where entries go: behind the last one, over a gap, in the place of another, or nowhere.

use super::*;

fn put(table: &QueueTable, at: u64, n: u64) -> Put {
    table.put("T", 0, QueueOffset(at), nth(n))
}

#[test]
fn an_empty_queue_begins_where_its_first_entry_says() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    assert_eq!(put(&table, 25, 1), Put::Appended);
    let queue = table.queue("T", 0).unwrap();
    assert_eq!(queue.max(), QueueOffset(26));
    assert_eq!(queue.min(LogOffset::ZERO).unwrap(), QueueOffset(25), "a blank never counts");
    assert_eq!(queue.entry(QueueOffset(25)).unwrap(), Some(nth(1)));
    assert_eq!(queue.entry(QueueOffset(24)).unwrap(), None);
    assert_eq!(queue.read(QueueOffset(19), 5).unwrap(), []);
    assert_eq!(table.known()[&key("T", 0)], known(20, 26));
    assert_eq!(files_under(&disk, &dir()), Vec::<PathBuf>::new(), "nothing was written yet");
}

#[test]
fn a_gap_is_filled_with_blanks_in_memory_and_in_files() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    fill(&table, 0..8);
    assert_eq!(put(&table, 23, 8), Put::Gap(15));
    let mut expected = dense(0..8);
    expected.extend((8..23).map(|at| (at, None)));
    expected.push((23, Some(nth(8))));
    assert_eq!(all(&table, "T", 0), expected);
    write_and_sync(&table);
    assert_eq!(all(&table, "T", 0), expected);
    assert_eq!(bases(&disk), [0, 10, 20]);
    let blanks = disk.read_file(file(10)).unwrap();
    assert_eq!(blanks, crate::consume_queue::entry::BLANK.repeat(10), "not zeros");
}

#[test]
fn the_later_record_wins_a_position_in_memory_and_in_files() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    fill(&table, 0..12);
    table.write_out(end(6)).unwrap();
    // One in a file, two neighbours there across the end of what is written, one in memory.
    for (at, n) in [(3, 20), (6, 21), (7, 22), (11, 23)] {
        assert_eq!(put(&table, at, n), Put::Replaced);
    }
    let mut expected = dense(0..12);
    for (at, n) in [(3, 20), (6, 21), (7, 22), (11, 23)] {
        expected[at].1 = Some(nth(n));
    }
    assert_eq!(all(&table, "T", 0), expected);
    table.write_out(end(20)).unwrap();
    assert_eq!(all(&table, "T", 0), expected);
    let bytes = disk.read_file(file(0)).unwrap();
    assert_eq!(bytes[60..80], nth(20).encode(), "its record is flushed");
    assert_eq!(bytes[120..140], nth(6).encode(), "its record is not");
    write_and_sync(&table);
    assert_eq!(table.pending_bytes(), 0);
    let again = open(&disk.power_cut(1, crate::disk::sim::Survivors::Nothing), &table.known());
    assert_eq!(all(&again, "T", 0), expected);
}

#[test]
fn a_position_before_the_first_entry_of_a_queue_can_be_filled_down_to_its_first_file() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    fill(&table, 25..26);
    assert_eq!(put(&table, 22, 40), Put::Replaced);
    let expected = [(20, None), (21, None), (22, Some(nth(40))), (23, None), (24, None), (25, Some(nth(25)))];
    assert_eq!(all(&table, "T", 0), expected);
    write_and_sync(&table);
    assert_eq!(all(&table, "T", 0), expected);
    assert!(matches!(put(&table, 19, 41), Put::Refused(_)));
    assert_eq!(all(&table, "T", 0), expected);
}

#[test]
fn what_cannot_be_is_refused_and_leaves_nothing() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    fill(&table, 30..31);
    let refused = |topic: &str, id: u32, at: u64, entry: Entry| {
        let put = table.put(topic, id, QueueOffset(at), entry);
        assert!(matches!(put, Put::Refused(_)), "{topic:?} {id} {at} {entry:?}: {put:?}");
    };
    refused("T", 0, 29, nth(31));
    refused("T", 0, 31 + 1_000_001, nth(31));
    let long = "x".repeat(256);
    for topic in ["", ".", "..", "a/b", "a\0b", &long] {
        refused(topic, 0, 0, nth(31));
    }
    refused("U", 1 << 31, 0, nth(31));
    refused("U", u32::MAX, 0, nth(31));
    refused("U", 0, u64::MAX, nth(31));
    refused("U", 0, LogOffset::MAX.0 / 20, nth(31));
    refused("U", 0, 0, Entry { len: 0, ..nth(31) });
    refused("U", 0, 0, Entry { len: u32::MAX, ..nth(31) });
    refused("U", 0, 0, Entry { at: LogOffset(u64::MAX), ..nth(31) });
    assert_eq!(table.topics(), ["T"]);
    assert_eq!(table.known().len(), 1);
    write_and_sync(&table);
    assert_eq!(files_under(&disk, &dir()), [file(30)]);
}

#[test]
fn the_longest_gap_and_the_longest_names_are_fine() {
    let disk = SimDisk::new();
    let geometry = Geometry { entries_per_segment: 300_000, open_files: 8 };
    let table = open_with(&disk, geometry, &BTreeMap::new());
    let topic = "x".repeat(255);
    let last = i32::MAX.unsigned_abs();
    assert_eq!(table.put(&topic, last, QueueOffset(5), nth(0)), Put::Appended);
    assert_eq!(table.put(&topic, last, QueueOffset(1_000_006), nth(1)), Put::Gap(1_000_000));
    write_and_sync(&table);
    let queue = table.queue(&topic, last).unwrap();
    assert_eq!(queue.entry(QueueOffset(5)).unwrap(), Some(nth(0)));
    assert_eq!(queue.entry(QueueOffset(500_000)).unwrap(), None);
    assert_eq!(queue.entry(QueueOffset(1_000_006)).unwrap(), Some(nth(1)));
    assert_eq!(queue.min(end(0)).unwrap(), QueueOffset(1_000_006), "over a million blanks");
    assert_eq!(survey(&disk).queues.len(), 1);
}

#[test]
fn topics_and_queues_are_told_by_what_they_hold() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    assert!(table.queue("T", 0).is_none());
    assert_eq!(table.queue_or_new("asked", 3).max(), QueueOffset(0));
    fill(&table, 0..1);
    let _ = table.put("T", 7, QueueOffset(0), nth(1));
    let _ = table.put("A", 2, QueueOffset(0), nth(2));
    table.queue_or_new("T", 5);
    assert_eq!(table.topics(), ["A", "T"]);
    assert_eq!(table.queues_of("T"), [0, 7]);
    assert_eq!(table.queues_of("asked"), Vec::<u32>::new());
    write_and_sync(&table);
    assert!(!survey(&disk).queues.contains_key(&key("asked", 3)), "asking makes no folder");
}
