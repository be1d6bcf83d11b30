//! RocketMQ's checkpoint: the bytes that a broker writes, and never a torn number.

use std::path::Path;

use super::each_power_cut;
use crate::checkpoint::JavaCheckpoint;
use crate::clock::Timestamp;
use crate::disk::Disk;
use crate::disk::sim::{Fault, FaultKind, SimDisk, Survivors};

fn path() -> &'static Path {
    Path::new("/store/checkpoint")
}

fn disk_with_folder() -> SimDisk {
    let disk = SimDisk::new();
    disk.create_dirs(Path::new("/store")).unwrap();
    disk
}

fn load(disk: &SimDisk) -> Option<JavaCheckpoint> {
    JavaCheckpoint::load(disk, path()).unwrap()
}

/// Numbers of which every byte changes from one `n` to the next.
fn saved(n: i64) -> JavaCheckpoint {
    let time = |k: i64| Timestamp(0x0101_0101_0101_0101 * (3 * n + k));
    JavaCheckpoint { physic: time(1), logics: time(2), index: time(3) }
}

#[test]
fn the_bytes_are_those_of_the_worked_example() {
    // After a clean shutdown behind the message M2 (spec 16.5).
    let stored = Timestamp(1_700_000_002_623);
    let checkpoint = JavaCheckpoint { physic: stored, logics: stored, index: Timestamp(0) };
    let disk = disk_with_folder();
    checkpoint.save(&disk, path()).unwrap();
    let mut golden = [0, 0, 1, 0x8B, 0xCF, 0xE5, 0x72, 0x3F].repeat(2);
    golden.resize(4096, 0);
    assert_eq!(disk.read_file(path()).unwrap(), golden);
    assert_eq!(load(&disk), Some(checkpoint));
}

#[test]
fn each_number_has_its_place_and_those_of_others_are_not_looked_at() {
    let disk = disk_with_folder();
    let mut bytes: Vec<u8> = (1..=5i64).flat_map(|n| (-n).to_be_bytes()).collect();
    let expected = JavaCheckpoint { physic: Timestamp(-1), logics: Timestamp(-2), index: Timestamp(-3) };
    disk.write_file(path(), bytes.clone()).unwrap();
    assert_eq!(load(&disk), Some(expected));
    bytes.resize(4096, 0xFF);
    disk.write_file(path(), bytes).unwrap();
    let before = disk.fingerprint();
    assert_eq!(load(&disk), Some(expected));
    assert_eq!(disk.fingerprint(), before);
}

#[test]
fn a_missing_file_or_a_short_one_says_nothing() {
    let disk = disk_with_folder();
    assert_eq!(load(&disk), None);
    for len in 0..40 {
        disk.write_file(path(), vec![1; len]).unwrap();
        assert_eq!(load(&disk), None, "{len} bytes");
    }
}

#[test]
fn a_power_cut_anywhere_leaves_the_old_numbers_or_the_new_ones() {
    let disk = disk_with_folder();
    disk.start_recording();
    let mut returned = Vec::new();
    for n in 1..=3 {
        saved(n).save(&disk, path()).unwrap();
        returned.push((disk.recorded(), n));
    }
    each_power_cut(&disk, |position, after| {
        let promised = returned.iter().filter(|(at, _)| *at <= position).map(|(_, n)| *n).max();
        let found = load(after);
        let next = saved(promised.unwrap_or(0) + 1);
        assert!(found == promised.map(saved) || found == Some(next), "at {position}: {found:?}");
        // What the crash left half-made is in nobody's way.
        saved(9).save(after, path()).unwrap();
        assert_eq!(load(&after.power_cut(0, Survivors::Nothing)), Some(saved(9)));
    });
}

#[test]
fn every_call_under_a_save_may_fail_once_and_the_numbers_are_whole() {
    let mut sweep = 1..;
    let swept = sweep.find(|n| {
        let disk = disk_with_folder();
        saved(1).save(&disk, path()).unwrap();
        disk.fail_at(*n, Fault::once(FaultKind::Eio));
        let worked = saved(2).save(&disk, path());
        let fired = disk.faults_fired() > 0;
        disk.clear_faults();
        assert_eq!(worked.is_err(), fired, "call {n}: no failure goes without a word");
        let found = load(&disk.power_cut(*n, Survivors::Nothing)).unwrap();
        assert!(found == saved(2) || (fired && found == saved(1)), "call {n}: {found:?}");
        saved(3).save(&disk, path()).unwrap();
        assert_eq!(load(&disk), Some(saved(3)));
        !fired
    });
    assert!(swept.is_some_and(|n| n > 6), "too few calls were met: {swept:?}");
}
