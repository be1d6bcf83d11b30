//! A snapshot cut at every operation, and with every operation failing: the copy is whole under its name or not there,
//! and the store is what it was.

use std::ops::ControlFlow;
use std::path::Path;

use sawlog::disk::Disk;
use sawlog::disk::sim::{Fault, FaultKind, SimDisk, Survivors};
use sawlog::inspect::{Look, SnapshotMade, SnapshotOptions, Verification, VerifyOptions};
use sawlog::{DelayLevels, Error, LogOffset};

use crate::support::dice::Dice;
use crate::support::expected::{Expected, Promised, ROOT};
use crate::support::grown::{Grown, images};
use crate::support::oracle::{Verdict, examine};
use crate::support::{one_in, quick};

const COPY: &str = "/copy";
/// Of the images of the store itself one in so many is judged.
const STORES_ONE_IN: u64 = 15;
/// Of the images in which the copy is there one in so many is judged.
const COPIES_ONE_IN: u64 = 2;
/// Of the calls that fail, behind one in so many the power is cut too.
const CALLS_ONE_IN: u64 = 3;
const ERRORS: [FaultKind; 4] = [FaultKind::Eio, FaultKind::Enospc, FaultKind::Edquot, FaultKind::Erofs];

fn snapshot(disk: &SimDisk, copy_all: bool) -> sawlog::Result<SnapshotMade> {
    let options = SnapshotOptions::new().verify(VerifyOptions::new().threads(1));
    let options = if copy_all { options.copy_all() } else { options };
    Look::at(ROOT)
        .disk(disk.clone())
        .delay_levels(DelayLevels::default())
        .snapshot(COPY, &options, |_| ControlFlow::Continue(()))
}

/// A store at rest, or one that is being written, and the promise that its log reaches so far.
fn begun(seed: u64, live: bool) -> (Grown, Expected, Promised) {
    let mut grown = Grown::new(seed);
    grown.store.flush().unwrap();
    while grown.store.step() {}
    let promised = grown.promised();
    if !live {
        let another = Grown::new(seed).store;
        std::mem::replace(&mut grown.store, another).close().unwrap();
    }
    let log = grown.beginning_at(&[LogOffset(0)]);
    (grown, log, promised)
}

fn is_there(disk: &SimDisk, folder: &str) -> bool {
    disk.entry(Path::new(folder)).unwrap().is_some()
}

/// The image with the copy where the store was.
fn copy_of(image: &SimDisk) -> SimDisk {
    let swapped = image.kill();
    swapped.rename_folder(Path::new(ROOT), Path::new("/was")).unwrap();
    swapped.rename_folder(Path::new(COPY), Path::new(ROOT)).unwrap();
    swapped.sync_dir(Path::new("/")).unwrap();
    swapped
}

fn cut_everywhere(seed: u64, live: bool) -> (u64, u64) {
    let (grown, log, promised) = begun(seed, live);
    grown.disk.start_recording();
    let made = snapshot(&grown.disk, seed.is_multiple_of(2)).unwrap();
    assert!(made.kept && made.live == live, "{made:?}");
    assert!(made.to >= promised.end || live, "{made:?}");
    let (mut replay, mut dice) = (grown.disk.replay(), Dice::new(seed));
    let (mut stores, mut copies) = (0, 0);
    loop {
        let is_last = replay.position() == replay.len();
        for (how, image) in images(&replay, Dice::part(seed, replay.position() as u64)) {
            let judge = |verdict: Verdict<LogOffset>| {
                verdict.unwrap_or_else(|why| {
                    let (at, next) = (replay.position(), replay.next_op());
                    panic!("store {seed}, {how} at {at} of {}, before {next:?}: {why}", replay.len())
                })
            };
            if is_last || dice.below(one_in(STORES_ONE_IN)) == 0 {
                stores += 1;
                judge(examine(&image, &log, promised, dice.draw()));
            }
            let copied = is_there(&image, COPY);
            assert!(copied || !is_last, "store {seed}, {how}: a snapshot that was made is gone");
            if copied && (is_last || dice.below(one_in(COPIES_ONE_IN)) == 0) {
                copies += 1;
                let end = made.to.min(log.end());
                judge(examine(&copy_of(&image), &log, Promised { end, ..promised }, dice.draw()));
            }
        }
        if replay.step().is_none() {
            return (stores, copies);
        }
    }
}

/// Until it has its name nobody can take it for a copy, and once it has it no power cut takes anything from it.
#[test]
fn a_snapshot_cut_anywhere_is_whole_or_not_there_and_costs_the_store_nothing() {
    let (mut stores, mut copies) = (0, 0);
    for seed in 0..if quick() { 1 } else { 3 } {
        for live in [false, true] {
            let (some, more) = cut_everywhere(seed, live);
            (stores, copies) = (stores + some, copies + more);
        }
    }
    println!("{stores} images of stores, {copies} of copies");
    assert!(stores >= 50 && copies >= 20, "{stores} and {copies} images");
}

/// Whatever fails, the answer is an error that names it; nothing has the copy's name, and the next one is made.
#[test]
fn a_snapshot_that_meets_an_error_says_so_and_leaves_nothing_under_its_name() {
    let (mut faults, mut refused) = (0, 0);
    for seed in 0..if quick() { 1 } else { 2 } {
        let mut dice = Dice::new(seed);
        let (grown, log, promised) = begun(seed, seed.is_multiple_of(2));
        for nth in 1.. {
            let disk = grown.disk.kill();
            disk.fail_at(nth, Fault::once(ERRORS[nth as usize % ERRORS.len()]));
            let made = snapshot(&disk, false);
            let fired = disk.faults_fired() > 0;
            disk.clear_faults();
            faults += 1;
            match &made {
                // What of the copy could not be read is damage to whoever verifies it.
                Ok(made) => {
                    let damages = made.verified.as_ref().map_or(0, Verification::damages);
                    assert_eq!(made.kept, damages == 0, "call {nth}: {made:?}");
                    assert_eq!(made.kept, is_there(&disk, COPY), "call {nth}: {made:?}");
                    refused += u64::from(!made.kept);
                }
                Err(error) => {
                    refused += 1;
                    let typed = matches!(error, Error::Io { .. } | Error::Full { .. });
                    assert!(typed, "call {nth}: {error}");
                    assert!(!is_there(&disk, COPY), "call {nth}: {error}");
                }
            }
            if made.as_ref().is_ok_and(|made| made.kept) || dice.below(one_in(CALLS_ONE_IN)) == 0 {
                if !is_there(&disk, COPY) {
                    let again = snapshot(&disk, false).map_err(|error| error.to_string());
                    assert!(again.is_ok_and(|made| made.kept), "call {nth}: not made the next time");
                }
                let image = disk.power_cut(dice.draw(), Survivors::ALL[dice.below(5) as usize]);
                examine(&image, &log, promised, dice.draw())
                    .unwrap_or_else(|why| panic!("store {seed}, call {nth}, {made:?}: {why}"));
            }
            if !fired {
                break;
            }
        }
    }
    println!("{faults} faults, {refused} snapshots refused");
    assert!(refused >= 20, "only {refused}");
}
