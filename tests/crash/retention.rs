//! A sweep cut at every operation, and with every operation failing: what stays is whole, what goes is gone for good.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sawlog::clock::HandClock;
use sawlog::disk::sim::{Fault, FaultKind, OpInfo, Replay, SimDisk, Survivors};
use sawlog::{Error, LogOffset, Message, Retention, Store};

use crate::inspect::examine_by_looking;
use crate::support::derived::check_derived;
use crate::support::dice::Dice;
use crate::support::expected::{Dropped, Expected, Promised, ROOT, SEGMENT_BYTES, Taken, When};
use crate::support::oracle::{Verdict, check_log, examine, open};
use crate::support::workload::{QUEUES, TOPICS, clock, options};
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

/// A running store of some segments, part of it flushed, and what is in it.
struct Grown {
    disk: SimDisk,
    clock: Arc<HandClock>,
    store: Store,
    log: Expected,
    /// So many topics were dropped.
    dropped: usize,
    /// Where the sweep is to make it begin.
    goal: LogOffset,
    seed: u64,
}

impl Grown {
    fn new(seed: u64) -> Grown {
        let (disk, clock) = (SimDisk::new(), clock());
        let store = Store::open(ROOT, options(&disk, &clock, seed.is_multiple_of(2))).unwrap();
        let mut grown =
            Grown { disk, clock, store, log: Expected::default(), dropped: 0, goal: LogOffset(0), seed };
        let mut dice = Dice::new(seed);
        for number in 0..260 {
            grown.append(number, &mut dice);
            grown.clock.turn(Duration::from_millis(dice.below(700)));
            match dice.below(20) {
                // Behind here nothing is flushed, dispatched or written down: more than two segments.
                _ if number >= 150 => {}
                0..10 => drop(grown.store.step()),
                10..13 => drop(grown.store.flush().unwrap()),
                _ => {}
            }
            if number == 60 && seed % 4 >= 2 {
                grown.drop_topic(TOPICS[1]);
            }
        }
        let active = grown.log.end().0 / SEGMENT_BYTES;
        assert!(active >= 4, "{active}");
        grown.goal = LogOffset((active - dice.below(3)) * SEGMENT_BYTES);
        grown.log.read_bytes(&grown.disk, LogOffset(0));
        // Of staged records nobody knows the bytes yet.
        grown.log.bytes.clear();
        grown
    }

    fn append(&mut self, number: u64, dice: &mut Dice) {
        let (topic, queue) = match number % 3 {
            0 => (TOPICS[0], 0),
            // Of one queue all records lie in the front that goes.
            _ if number < 30 => (TOPICS[2], 3),
            _ => (TOPICS[dice.below(4) as usize], dice.below(u64::from(QUEUES) - 1) as u32),
        };
        let body_bytes = dice.below(3_500) as usize;
        let mut message = Message::new(topic, dice.bytes(body_bytes)).queue(queue);
        if number.is_multiple_of(2) {
            message = message.tag("vip").key(&format!("key-{}", dice.below(12)));
        }
        let ack = self.store.append(&message).unwrap();
        self.log.taken.push(Taken::new(&message, &ack.all().next().unwrap()));
        ack.forget();
    }

    fn drop_topic(&mut self, topic: &'static str) {
        let below = self.store.marks().accepted;
        self.store.drop_topic(topic).unwrap();
        self.dropped += 1;
        self.log.dropped.push(Dropped { topic, below, asked: When::at(0), done: When::at(0) });
    }

    fn promised(&self) -> Promised {
        Promised { end: self.store.marks().flushed, dropped: (self.dropped, self.dropped) }
    }

    /// Sweeps by asking, or by a rule in the worker's turn.
    fn sweep(&self) -> sawlog::Result<()> {
        if self.seed.is_multiple_of(3) {
            let left = (self.log.end().0.div_ceil(SEGMENT_BYTES) * SEGMENT_BYTES).saturating_sub(self.goal.0);
            self.store.set_retention(Retention::keep_all().max_bytes(left))?;
            self.store.sweep().map(drop)
        } else {
            self.store.remove_before(self.goal).map(drop)
        }
    }

    /// The same log, which may begin at one of these places.
    fn beginning_at(&self, fronts: &[LogOffset]) -> Expected {
        Expected { fronts: fronts.to_vec(), ..self.log.clone() }
    }
}

/// No file of the log lies before its first byte.
fn check_files(disk: &SimDisk, store: &Store) -> Verdict {
    let first = store.marks().first;
    let before = disk.files().into_iter().find(|(path, _)| {
        let base = path.file_name().and_then(|name| name.to_str()?.parse::<u64>().ok());
        path.to_string_lossy().contains("commitlog") && base.is_some_and(|base| base < first.0)
    });
    before.map_or(Ok(()), |(path, _)| Err(format!("{} is left, the log begins at {first}", path.display())))
}

/// Whatever a cut leaves a broker may open, which refuses a log with a gap.
fn check_no_gap(image: &SimDisk) -> Verdict {
    let log = Path::new(ROOT).join("commitlog");
    let files = image.files().into_iter().filter(|(path, _)| path.parent() == Some(&*log));
    let bases: Vec<u64> =
        files.map(|(path, _)| path.file_name().unwrap().to_str().unwrap().parse().unwrap()).collect();
    match bases.windows(2).all(|two| two[0] + SEGMENT_BYTES == two[1]) {
        true => Ok(()),
        false => Err(format!("segments {bases:?}")),
    }
}

/// An image, opened, is finished or as before; and it can be swept (again) then.
fn check_image(
    image: &SimDisk,
    grown: &Grown,
    log: &Expected,
    promised: Promised,
    dice: &mut Dice,
) -> Verdict {
    check_no_gap(image)?;
    let again = image.kill();
    examine_by_looking(image)?;
    examine(image, log, promised, dice.draw())?;
    let opened = open(&again, dice.percent(50), log, promised)?;
    check_files(&again, &opened.store)?;
    opened.store.remove_before(grown.goal).map_err(|e| format!("swept again: {e}"))?;
    let log = grown.beginning_at(&[grown.goal.min(LogOffset(opened.end.0 / SEGMENT_BYTES * SEGMENT_BYTES))]);
    let end = check_log(&opened.store, &log)?;
    check_derived(&opened.store, &log, end, promised.dropped)?;
    check_files(&again, &opened.store)
}

fn images(replay: &Replay, seed: u64) -> Vec<(String, SimDisk)> {
    let part = |n: u64| Dice::part(seed, n);
    let mut images = Vec::new();
    for (n, model) in (0..).zip(Survivors::ALL) {
        images.push((format!("cut, {model:?}"), replay.power_cut(part(n), model)));
        images.push((format!("cut within, {model:?}"), replay.power_cut_within(part(10 + n), model)));
    }
    images.push(("killed".into(), replay.kill()));
    images.push(("killed within".into(), replay.kill_within(part(20))));
    images
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
