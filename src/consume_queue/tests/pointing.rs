//! What queue files claim about the places of records: the first claim that is true counts.

use super::*;
use crate::consume_queue::Pointers;
use crate::consume_queue::pointers::Gathered;
use crate::disk::Disk;
use crate::disk::sim::{Aim, Fault, FaultKind, OpKind};
use crate::error::Error;

/// Two queues that share the log's records in turns, in files.
fn two_queues(disk: &SimDisk) -> QueueSurvey {
    let table = new_table(disk);
    for n in 0..24 {
        let put = table.put("T", (n % 2) as u32, QueueOffset(n / 2), nth(n));
        assert_eq!(put, Put::Appended);
    }
    write_and_sync(&table);
    survey(disk)
}

fn first(disk: &SimDisk, survey: &QueueSurvey, from: u64, to: u64, lies: &[u64]) -> Option<u64> {
    let few = [1, 2, 5, 1_000].map(|most| first_of(disk, survey, (most, from, to), lies));
    assert!(few.iter().all(|found| *found == few[0]), "however many are kept: {few:?}");
    few[0]
}

fn first_of(
    disk: &SimDisk,
    survey: &QueueSurvey,
    (most, from, to): (usize, u64, u64),
    lies: &[u64],
) -> Option<u64> {
    let pointers = Pointers::new(disk, dir(), survey);
    let mut gathered = Gathered::at_most(most);
    let found = pointers.first_between(&mut gathered, nth(from).at, nth(to).at, |claim| {
        let n = claim.entry.at.0 / u64::from(RECORD_BYTES);
        assert_eq!((claim.topic, u64::from(claim.queue_id), claim.queue_offset.0), ("T", n % 2, n / 2));
        assert_eq!(claim.entry, nth(n));
        Ok(!lies.contains(&n))
    });
    found.unwrap().map(|at| at.0 / u64::from(RECORD_BYTES))
}

#[test]
fn the_nearest_true_claim_of_all_queues_counts_and_both_ends_are_left_out() {
    let disk = SimDisk::new();
    let survey = two_queues(&disk);
    assert_eq!(first(&disk, &survey, 7, 24, &[]), Some(8));
    assert_eq!(first(&disk, &survey, 7, 24, &[8, 9, 10]), Some(11));
    assert_eq!(first(&disk, &survey, 7, 8, &[]), None);
    assert_eq!(first(&disk, &survey, 7, 10, &[8, 9]), None);
    assert_eq!(first(&disk, &survey, 21, 24, &[22]), Some(23));
    assert_eq!(first(&disk, &survey, 23, 24, &[]), None);
}

#[test]
fn a_file_that_cannot_be_read_claims_nothing() {
    let disk = SimDisk::new();
    let survey = two_queues(&disk);
    disk.remove(&dir().join("T/0").join(format!("{:020}", 0))).unwrap();
    assert_eq!(first(&disk, &survey, 7, 24, &[]), Some(9));
    let second = Aim::anything().kind(OpKind::Read).path("T/1/00000000000000000000");
    disk.fail_at_aimed(second, 0, Fault::persistent(FaultKind::Eio));
    assert_eq!(first(&disk, &survey, 7, 24, &[]), Some(20), "what stands in the second files");
}

#[test]
fn what_the_asker_meets_is_told() {
    let disk = SimDisk::new();
    let survey = two_queues(&disk);
    let found = Pointers::new(&disk, dir(), &survey).first_between(
        &mut Gathered::default(),
        LogOffset::ZERO,
        LogOffset::MAX,
        |_| Err(Error::Closed),
    );
    assert!(matches!(found, Err(Error::Closed)), "{found:?}");
}

#[test]
fn many_questions_read_the_files_once() {
    let disk = SimDisk::new();
    let survey = two_queues(&disk);
    let pointers = Pointers::new(&disk, dir(), &survey);
    let mut gathered = Gathered::default();
    let mut reads = Vec::new();
    for n in 0..23 {
        let found = pointers.first_between(&mut gathered, nth(n).at, LogOffset::MAX, |_| Ok(true)).unwrap();
        assert_eq!(found, Some(nth(n + 1).at));
        reads.push(disk.operations_of(OpKind::Read));
    }
    assert!(reads.iter().all(|count| *count == reads[0]), "{reads:?}");
}
