//! Files whose records are all gone from the log.

use super::{ALL, Put, contents, dir, found, many, open, settle, small};
use crate::clock::Timestamp;
use crate::disk::Disk;
use crate::disk::sim::{Aim, Fault, FaultKind, OpKind, SimDisk, Survivors};
use crate::error::Error;
use crate::key_index::{Geometry, IndexSurvey, KeyIndex, name};
use crate::offset::LogOffset;

/// Seven keys to a file; the records lie at 1, 2, 3 and so on.
const GEOMETRY: Geometry = Geometry { slots: 4, entries: 8 };

fn filled(disk: &SimDisk, last: u64) -> KeyIndex {
    let index = open(disk, GEOMETRY, &[]);
    (1..=last).for_each(|at| Put::new(at, "T", &["k"]).feed(&index));
    settle(&index);
    index
}

/// The names of the files on the disk.
fn names(disk: &SimDisk) -> Vec<u64> {
    IndexSurvey::of(disk, dir(), GEOMETRY).unwrap().files
}

#[test]
fn files_go_when_their_last_record_has_gone() {
    let disk = SimDisk::new();
    let index = filled(&disk, 25);
    let all = names(&disk);
    assert_eq!(all.len(), 4);
    assert_eq!(index.retire_before(LogOffset(7)).unwrap(), 0, "the record at 7 is still there");
    assert_eq!(found(&index, "T", "k").len(), 25);
    assert_eq!(index.retire_before(LogOffset(8)).unwrap(), GEOMETRY.file_bytes());
    assert_eq!(names(&disk), all[1..]);
    assert_eq!(found(&index, "T", "k"), (8..=25).rev().collect::<Vec<_>>());
    assert_eq!(index.retire_before(LogOffset(20)).unwrap(), GEOMETRY.file_bytes());
    assert_eq!(names(&disk), all[2..]);
    assert_eq!(index.capture().iter().map(|file| file.name).collect::<Vec<_>>(), all[2..]);
    assert_eq!(index.retire_before(LogOffset(20)).unwrap(), 0);
}

#[test]
fn the_live_file_stays_whatever_has_gone_and_the_index_goes_on() {
    let disk = SimDisk::new();
    let index = filled(&disk, 25);
    let sealed_end = index.sealed_end();
    assert!(sealed_end.is_some());
    assert_eq!(index.retire_before(LogOffset(1_000)).unwrap(), 3 * GEOMETRY.file_bytes());
    assert_eq!(names(&disk).len(), 1);
    // RocketMQ's checkpoint does not step back: what was sealed and went is missed by nobody.
    assert_eq!(index.sealed_end(), sealed_end);
    (26..=40).for_each(|at| Put::new(at, "T", &["k"]).feed(&index));
    settle(&index);
    assert_eq!(found(&index, "T", "k"), (22..=40).rev().collect::<Vec<_>>());
    assert!(index.sealed_end() > sealed_end);
    let known = index.capture();
    assert_eq!(open(&disk, GEOMETRY, &known).capture(), known);
}

#[test]
fn the_last_file_stays_when_it_is_sealed() {
    let disk = SimDisk::new();
    let index = filled(&disk, 14);
    assert!(index.capture().iter().all(|file| file.sealed));
    assert_eq!(index.retire_before(LogOffset::MAX).unwrap(), GEOMETRY.file_bytes());
    let names_before = names(&disk);
    assert_eq!(names_before.len(), 1);
    // The next one takes its name and its beginning from it (spec 4.2).
    Put::new(15, "T", &["k"]).feed_at(&index, Timestamp(0));
    settle(&index);
    assert_eq!(names(&disk).len(), 2);
    assert!(names(&disk)[1] > names_before[0]);
}

#[test]
fn a_full_file_stays_until_all_of_it_is_written() {
    let disk = SimDisk::new();
    let index = open(&disk, GEOMETRY, &[]);
    (1..=20).for_each(|at| Put::new(at, "T", &["k"]).feed(&index));
    index.write_out(LogOffset(5)).unwrap();
    assert_eq!(index.retire_before(LogOffset(18)).unwrap(), 0);
    // It need not be sealed: what goes needs no slots.
    index.write_out(LogOffset(10)).unwrap();
    assert_eq!(index.retire_before(LogOffset(18)).unwrap(), GEOMETRY.file_bytes());
    settle(&index);
    assert_eq!(index.retire_before(LogOffset(18)).unwrap(), GEOMETRY.file_bytes());
    assert_eq!((index.pending_bytes(), found(&index, "T", "k").len()), (0, 6));
}

#[test]
fn a_search_begun_before_passes_over_the_files_that_went() {
    let disk = SimDisk::new();
    let index = filled(&disk, 25);
    let whole: Vec<u64> = found(&index, "T", "k");
    for taken in 0..=25 {
        let disk = disk.kill();
        let index = open(&disk, GEOMETRY, &index.capture());
        let mut search = index.search("T", "k", ALL);
        let mut got: Vec<u64> = search.by_ref().take(taken).map(|at| at.unwrap().0).collect();
        index.retire_before(LogOffset(15)).unwrap();
        got.extend(search.map(|at| at.unwrap().0));
        assert!(whole.starts_with(&got), "{taken}: {got:?}");
        assert!(got.len() >= 11, "{taken}: what is left in the log is found: {got:?}");
    }
}

#[test]
fn a_file_that_cannot_be_removed_is_told_and_goes_next_time() {
    for kind in [OpKind::Remove, OpKind::SyncDir] {
        let disk = SimDisk::new();
        let index = filled(&disk, 25);
        disk.fail_at_aimed(Aim::anything().kind(kind), 2, Fault::once(FaultKind::Eio));
        let error = index.retire_before(LogOffset(1_000)).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
        assert_eq!(found(&index, "T", "k"), [25, 24, 23, 22]);
        index.remove_retired().unwrap();
        assert_eq!(names(&disk).len(), 1);
        assert_eq!(contents(&disk.power_cut(1, Survivors::Nothing)).len(), 1, "durably");
    }
}

#[test]
fn a_cut_anywhere_leaves_the_newest_files_and_opening_finishes() {
    let disk = SimDisk::new();
    let index = filled(&disk, 40);
    index.close().unwrap();
    let (before, all) = (index.capture(), names(&disk));
    disk.start_recording();
    index.forget_before(LogOffset(30));
    let known = index.capture();
    assert_eq!(known.len() + 4, before.len());
    index.remove_retired().unwrap();
    let mut walk = disk.replay();
    let mut seen = std::collections::BTreeSet::new();
    loop {
        for (seed, model) in (walk.position() as u64..).zip(Survivors::ALL) {
            for after in [walk.power_cut(seed, model), walk.power_cut_within(seed, model)] {
                let left = names(&after);
                assert_eq!(left, all[all.len() - left.len()..], "the oldest go first");
                seen.insert(left.len());
                let survey = IndexSurvey::of(&after, dir(), GEOMETRY).unwrap();
                assert!(KeyIndex::covers(&survey, &known));
                let index = open(&after, GEOMETRY, &known);
                assert_eq!(found(&index, "T", "k"), (29..=40).rev().collect::<Vec<_>>());
                assert_eq!(names(&after), all[4..], "what was retired is removed");
                index.sync().unwrap();
                assert_eq!(names(&after.power_cut(seed, Survivors::Nothing)), all[4..]);
            }
        }
        if walk.step().is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 5, "{seen:?}");
}

#[test]
fn an_older_file_is_no_contradiction_but_a_missing_one_is() {
    let disk = SimDisk::new();
    let geometry = small(4, 20);
    let index = open(&disk, geometry, &[]);
    many(40).iter().for_each(|put| put.feed(&index));
    settle(&index);
    let known = index.capture();
    let covers =
        |disk: &SimDisk, known| KeyIndex::covers(&IndexSurvey::of(disk, dir(), geometry).unwrap(), known);
    assert!(covers(&disk, &known) && covers(&disk, &known[1..]) && covers(&disk, &known[2..]));
    assert!(covers(&disk, &known[1..2]), "older and newer ones");
    disk.remove(&dir().join(name::digits(known[1].name))).unwrap();
    assert!(!covers(&disk, &known) && !covers(&disk, &known[1..]) && covers(&disk, &known[2..]));
}
