//! Queues whose log has lost records: their numbering goes on, with blanks for what is gone.

use super::*;
use crate::consume_queue::MOST_BLANKS;
use crate::consume_queue::entry::BLANK;

/// A table derived anew from a log that has the first records alone, of a queue that had more in its files.
fn shorter(disk: &SimDisk, had: u64, has: u64) -> QueueTable {
    let table = new_table(disk);
    fill(&table, 0..had);
    write_and_sync(&table);
    drop(table);
    let table = rebuild(disk, LogOffset::ZERO);
    fill(&table, 0..has);
    table
}

#[test]
fn a_queue_goes_on_where_its_files_ended_and_blanks_stand_for_what_is_lost() {
    let disk = SimDisk::new();
    let table = shorter(&disk, 13, 8);
    table.fill_up(|_, _| QueueOffset(0));
    table.trim().unwrap();
    let gone: Vec<_> = (8..13).map(|n| (n, None)).collect();
    assert_eq!(all(&table, "T", 0), [dense(0..8), gone.clone()].concat());
    assert!(table.fell_short().is_empty());
    // Nothing comes behind them, and they are written all the same.
    write_and_sync(&table);
    assert_eq!(table.pending_bytes(), 0);
    let bytes = disk.read_file(file(10)).unwrap();
    assert_eq!((&bytes[..60], &bytes[60..80]), (&BLANK.repeat(3)[..], &[0; 20][..]));
    let known = table.known();
    drop(table);
    let table = open(&disk, &known);
    assert_eq!(table.put("T", 0, QueueOffset(13), nth(13)), Put::Appended);
    assert_eq!(all(&table, "T", 0), [dense(0..8), gone, dense(13..14)].concat());
}

#[test]
fn what_is_known_from_elsewhere_counts_if_it_is_further() {
    let disk = SimDisk::new();
    let table = shorter(&disk, 9, 8);
    table.fill_up(|_, _| QueueOffset(11));
    assert_eq!(table.queue("T", 0).unwrap().max(), QueueOffset(11));
    table.fill_up(|_, _| QueueOffset(5));
    assert_eq!(table.queue("T", 0).unwrap().max(), QueueOffset(11), "never back");
    let leap = QueueOffset(12 + MOST_BLANKS as u64);
    table.fill_up(|_, _| leap);
    assert_eq!(table.queue("T", 0).unwrap().max(), QueueOffset(11), "so far ahead is a wrong number");
}

#[test]
fn a_queue_that_has_lost_all_begins_where_it_ended() {
    let disk = SimDisk::new();
    let table = shorter(&disk, 13, 0);
    table.fill_up(|_, _| QueueOffset(0));
    table.trim().unwrap();
    assert_eq!((all(&table, "T", 0), table.queue("T", 0).unwrap().max()), (vec![], QueueOffset(13)));
    assert!(bases(&disk).is_empty(), "no file without an entry");
    assert_eq!(table.put("T", 0, QueueOffset(13), nth(13)), Put::Appended);
}

#[test]
fn blanks_at_the_end_wait_for_the_entries_before_them() {
    let disk = SimDisk::new();
    let table = new_table(&disk);
    fill(&table, 0..4);
    table.fill_up(|_, _| QueueOffset(6));
    table.write_out(end(2)).unwrap();
    let file_bytes = disk.read_file(file(0)).unwrap();
    assert_eq!(&file_bytes[60..], &[0; 140][..], "the fourth record is not flushed");
    table.write_out(end(3)).unwrap();
    let file_bytes = disk.read_file(file(0)).unwrap();
    assert_eq!((&file_bytes[80..120], &file_bytes[120..140]), (&BLANK.repeat(2)[..], &[0; 20][..]));
}
