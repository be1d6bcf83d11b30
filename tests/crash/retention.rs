//! A sweep cut at every operation, and with every operation failing: what stays is whole, what goes is gone for good.

use sawlog::disk::sim::{Fault, FaultKind, OpInfo, SimDisk, Survivors};
use sawlog::{Error, LogOffset};

use crate::inspect::examine_by_looking;
use crate::support::derived::check_derived;
use crate::support::dice::Dice;
use crate::support::expected::{Expected, Promised};
use crate::support::grown::{self, Grown, check_files, images};
use crate::support::oracle::{Verdict, check_log};
use crate::support::{one_in, quick};

/// Stores swept; each by asking for it or by a rule, under one policy or the other, with and without a dropped topic.
const STORES: u64 = 6;
const QUICK_STORES: u64 = 2;
/// Of the images one in so many is opened and judged: where the next operation is one on the log's files or on our own
/// ones, and elsewhere.
const IMAGES_ONE_IN: u64 = 3;
const OTHER_IMAGES_ONE_IN: u64 = 20;
/// Of the calls one in so many fails.
const CALLS_ONE_IN: u64 = 4;
const LEAST_IMAGES: u64 = 300;

/// An image looks undamaged to whoever verifies it, too.
fn check_image(
    image: &SimDisk,
    grown: &Grown,
    log: &Expected,
    promised: Promised,
    dice: &mut Dice,
) -> Verdict {
    examine_by_looking(image)?;
    grown::check_image(image, grown, log, promised, dice)
}

#[test]
fn a_sweep_cut_anywhere_is_finished_or_not_begun_and_costs_nothing_that_stays() {
    let (mut looked, mut operations) = (0, 0);
    for seed in 0..if quick() { QUICK_STORES } else { STORES } {
        let grown = Grown::new(seed);
        let before = grown.promised();
        grown.disk.start_recording();
        grown.sweep().unwrap();
        assert_eq!(grown.store.marks().first, grown.goal);
        let (either, done) =
            (grown.beginning_at(&[LogOffset(0), grown.goal]), grown.beginning_at(&[grown.goal]));
        let (after, mut replay, mut dice) = (grown.promised(), grown.disk.replay(), Dice::new(seed));
        operations += replay.len();
        loop {
            let is_last = replay.position() == replay.len();
            let (log, promised) = if is_last { (&done, after) } else { (&either, before) };
            let is_ours = |op: OpInfo| {
                let path = op.path.to_string_lossy();
                path.contains("/commitlog")
                    || path.contains("/sawlog/mark")
                    || path.contains("/sawlog/queues")
            };
            let one_in = one_in(match replay.next_op().is_some_and(is_ours) {
                true => IMAGES_ONE_IN,
                false => OTHER_IMAGES_ONE_IN,
            });
            for (how, image) in images(&replay, Dice::part(seed, replay.position() as u64)) {
                if !is_last && dice.below(one_in) != 0 {
                    continue;
                }
                looked += 1;
                check_image(&image, &grown, log, promised, &mut dice).unwrap_or_else(|why| {
                    let (at, next) = (replay.position(), replay.next_op());
                    panic!("store {seed}, {how} at {at} of {}, before {next:?}: {why}", replay.len())
                });
            }
            if replay.step().is_none() {
                break;
            }
        }
    }
    println!("{operations} operations of sweeps, {looked} images");
    assert!(quick() || looked >= LEAST_IMAGES, "only {looked} images");
}

/// What a fault in a sweep may be answered with, and what holds then.
fn check_fault(grown: &Grown, fault: Fault, dice: &mut Dice) -> Verdict {
    let swept = grown.sweep();
    grown.disk.clear_faults();
    if let Err(error) = &swept
        && !matches!(error, Error::Io { .. } | Error::Failed(_))
    {
        return Err(format!("answered with {error}"));
    }
    let log = grown.beginning_at(&[LogOffset(0), grown.goal]);
    let promised = grown.promised();
    for (n, model) in (0..).zip(Survivors::ALL) {
        let cut = grown.disk.power_cut(dice.draw(), model);
        check_image(&cut, grown, &log, promised, dice).map_err(|e| format!("cut {n} behind it: {e}"))?;
    }
    if let Some(failure) = grown.store.failure() {
        // Only a sync that failed, of the log or of what is derived, ends a store.
        let killed = grown.disk.kill();
        return check_image(&killed, grown, &log, promised, dice).map_err(|e| format!("{failure}: {e}"));
    }
    while grown.store.step() {}
    match (grown.store.failure(), grown.sweep()) {
        (None, Ok(())) => {}
        (Some(Error::Failed(_)), Err(Error::Failed(_))) => return Ok(()),
        (failure, swept) => return Err(format!("{fault:?}: {failure:?}, then swept: {swept:?}")),
    }
    let done = grown.beginning_at(&[grown.goal]);
    grown.store.flush().map_err(|e| e.to_string())?;
    while grown.store.step() {}
    let end = check_log(&grown.store, &done)?;
    check_derived(&grown.store, &done, end, promised.dropped)?;
    check_files(&grown.disk, &grown.store)
}

#[test]
fn a_sweep_that_meets_an_error_anywhere_says_so_and_is_done_later() {
    let (mut faults, mut failed) = (0, 0);
    for seed in 0..if quick() { 1 } else { 4 } {
        let mut dice = Dice::new(seed);
        for nth in 1.. {
            if nth > 1 && dice.below(one_in(CALLS_ONE_IN)) != 0 {
                continue;
            }
            let fault = match dice.below(3) {
                0 => Fault::persistent(FaultKind::Eio),
                _ => Fault::once(FaultKind::Eio),
            };
            let grown = Grown::new(seed);
            let fired = grown.disk.faults_fired();
            grown.disk.fail_at(nth, fault);
            let verdict = check_fault(&grown, fault, &mut dice);
            if grown.disk.faults_fired() == fired {
                break;
            }
            faults += 1;
            failed += u64::from(grown.store.failure().is_some());
            verdict.unwrap_or_else(|why| panic!("store {seed}, call {nth}: {why}"));
        }
    }
    println!("{faults} faults, {failed} of them ended the store");
    assert!(quick() || (faults > 20 && failed < faults / 2), "{failed} of {faults}");
}
