//! A disk that is full, and one that fails.

use super::{ALL, Put, assert_all_found, contents, many, open, small, undisturbed};
use crate::disk::sim::{Aim, Fault, FaultKind, OpKind, SimDisk, Survivors};
use crate::error::{Error, Result};
use crate::key_index::KeyIndex;
use crate::offset::LogOffset;

fn all_of_it(index: &KeyIndex) -> Result<()> {
    index.write_out(LogOffset::MAX)?;
    index.sync()?;
    index.close()
}

#[test]
fn on_a_full_disk_entries_stay_in_memory_until_there_is_room() {
    let geometry = small(2_000, 700);
    let (disk, puts) = (SimDisk::new(), many(1_000));
    let whole = undisturbed(geometry, &puts);
    let index = open(&disk, geometry, &[]);
    puts.iter().for_each(|put| put.feed(&index));
    let pages = |n: u64| disk.capacity_bytes(n * 4096);
    let mut refusals = 0;
    for room in 0_u64.. {
        pages(room);
        match all_of_it(&index) {
            Ok(()) => break,
            Err(error) => assert!(error.is_full() && !matches!(error, Error::Failed(_)), "{error}"),
        }
        refusals += 1;
        assert!(refusals < 100);
        if room % 8 == 0 {
            assert_all_found(&index, &puts);
        }
    }
    assert!(refusals > 10);
    assert_eq!(index.pending_bytes(), 0);
    assert!(contents(&disk) == whole);
}

#[test]
fn any_call_may_fail_once_and_is_repeated_or_final() {
    let geometry = small(3, 25);
    let puts = many(40);
    let whole = undisturbed(geometry, &puts);
    let mut final_ones = 0;
    for nth in 1.. {
        let disk = SimDisk::new();
        let index = open(&disk, geometry, &[]);
        puts.iter().for_each(|put| put.feed(&index));
        disk.fail_at(nth, Fault::once(FaultKind::Eio));
        let first = all_of_it(&index);
        if disk.faults_fired() == 0 {
            first.unwrap();
            break;
        }
        let again = all_of_it(&index);
        if matches!(first, Err(Error::Failed(_))) {
            final_ones += 1;
            assert!(matches!(again, Err(Error::Failed(_))), "{again:?}");
        } else {
            assert!(first.is_err(), "call {nth} failed and nobody was told");
            again.unwrap();
            assert!(contents(&disk.power_cut(nth, Survivors::Nothing)) == whole, "call {nth}");
            assert_all_found(&index, &puts);
        }
    }
    assert!(final_ones > 8, "{final_ones}");
}

#[test]
fn after_a_failed_sync_nothing_more_is_written_or_called_durable() {
    let disk = SimDisk::new();
    let index = open(&disk, small(4, 8), &[]);
    Put::new(1, "T", &["k"]).feed(&index);
    index.write_out(LogOffset::MAX).unwrap();
    disk.fail_at_aimed(Aim::anything().kind(OpKind::Sync), 1, Fault::once(FaultKind::Enospc));
    let error = index.sync().unwrap_err();
    assert!(matches!(error, Error::Failed(_)), "{error}");
    let before = disk.fingerprint();
    Put::new(2, "T", &["k"]).feed(&index);
    for result in [index.write_out(LogOffset::MAX), index.sync(), index.close()] {
        assert!(matches!(result, Err(Error::Failed(_))));
    }
    assert_eq!(disk.fingerprint(), before);
    let found: Vec<_> = index.search("T", "k", ALL).collect();
    let [Err(Error::Failed(_)), Ok(LogOffset(2)), Ok(LogOffset(1))] = found[..] else { panic!("{found:?}") };
}

/// The entries were in the file and no more in memory, the sync failed, and the file showed what was durable: zeros.
/// A search found nothing then, and said nothing.
#[test]
fn a_search_says_that_a_sync_failed_and_that_records_may_be_missed() {
    let disk = SimDisk::new();
    disk.revert_after_failed_sync(Some(1));
    let index = open(&disk, small(4, 8), &[]);
    Put::new(1, "T", &["k"]).feed(&index);
    index.write_out(LogOffset::MAX).unwrap();
    disk.fail_at_aimed(Aim::anything().kind(OpKind::Sync), 1, Fault::once(FaultKind::Eio));
    let mut under_way = index.search("T", "other", ALL);
    index.sync().unwrap_err();
    assert!(matches!(under_way.next(), Some(Err(Error::Failed(_)))));
    assert!(under_way.next().is_none(), "said once");
    assert!(matches!(index.search("T", "k", ALL).next(), Some(Err(Error::Failed(_)))));
}

#[test]
fn a_close_with_entries_in_memory_leaves_the_file_as_a_kill_would() {
    let disk = SimDisk::new();
    let index = open(&disk, small(4, 8), &[]);
    Put::new(1, "T", &["k"]).feed(&index);
    Put::new(2, "T", &["k"]).feed(&index);
    index.write_out(LogOffset(2)).unwrap();
    index.close().unwrap();
    assert_eq!(contents(&disk)[0][..56], [0; 56]);
    index.write_out(LogOffset::MAX).unwrap();
    index.close().unwrap();
    assert_eq!(contents(&disk)[0][36..40], [0, 0, 0, 3]);
}
