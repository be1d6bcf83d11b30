//! Power cuts: everywhere in the standard workload, within recoveries, behind a killed process, and in each operation
//! that a store does seldom (promises A1 to A5 and A7).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sawlog::disk::sim::{Replay, SimDisk, Survivors};
use sawlog::{LogOffset, Message, Store};

use super::super::dice::Dice;
use super::super::expected::{Expected, Promised, ROOT, SEGMENT_BYTES, Taken};
use super::super::grown::{self, Grown};
use super::super::image::{Image, Stop};
use super::super::nest::{self, DEEPEST, Nest};
use super::super::oracle::{examine, open};
use super::super::workload::{Size, Workload, clock, options};
use super::{Bar, Job, Until};

pub(super) fn bars() -> Vec<Bar> {
    vec![
        Bar {
            names: &["A1", "A2", "A4"],
            tries: "power cut at and within every operation, five survivor models; then a second life, cut again",
            until: Until::Cases(100_000),
            job: everywhere,
        },
        Bar {
            names: &["A3"],
            tries: "recovery of an image cut at its operations, three deep",
            until: Until::Cases(1_000),
            job: nested,
        },
        Bar {
            names: &["A5"],
            tries: "power cut at every operation of a first open, roll-over, checkpoint, shutdown, retention, cut of the tail",
            until: Until::Jobs(10 * OPERATIONS.len() as u64),
            job: seldom,
        },
        Bar {
            names: &["A7"],
            tries: "process killed, store opened, power cut: what was readable stays",
            until: Until::Cases(100_000),
            job: barrier,
        },
    ]
}

fn cut(replay: &Replay, seed: u64, model: Survivors, within: bool) -> SimDisk {
    match within {
        false => replay.power_cut(seed, model),
        true => replay.power_cut_within(seed, model),
    }
}

fn everywhere(job: &Job<'_>) {
    let work = Workload::run(job.shared_seed(), Size::STANDARD);
    let mut replay = work.disk.replay();
    job.met("boundaries", replay.len() as u64 + 1);
    for operation in 0..=replay.len() {
        replay.advance_to(operation);
        for model in Survivors::ALL {
            for within in [false, true] {
                let what = format!("cut at {operation} (within: {within}), {model:?} survives");
                let flushed = work.log.end_of_last(|t| t.flushed.is_by(operation));
                let promised = work.log.promised(flushed, operation);
                job.image(
                    &what,
                    model,
                    |seed, model| cut(&replay, seed, model, within),
                    |disk, dice| {
                        job.met(format!("{model:?}"), 1);
                        examine(disk, &work.log, promised, dice.draw()).map(drop)
                    },
                );
            }
        }
        if job.is_over() {
            return;
        }
    }
}

fn nested(job: &Job<'_>) {
    const STOPS: [Stop; 4] = [
        Stop::CutWithin(Survivors::Prefix),
        Stop::Cut(Survivors::Sectors),
        Stop::Cut(Survivors::Bytes),
        Stop::Kill,
    ];
    let workload = job.shared_seed();
    let work = Workload::run(workload, Size::STANDARD);
    let mut replay = work.disk.replay();
    let by_depth = [const { AtomicU64::new(0) }; DEEPEST as usize];
    for operation in (0..=replay.len()).step_by(11) {
        replay.advance_to(operation);
        for stop in STOPS {
            let image = Image { workload, operation, stop };
            job.case(&format!("the recovery of {image}"), |dice| {
                let flushed = work.log.end_of_last(|t| t.flushed.is_by(operation));
                let Promised { end: written, dropped } = image.promised(&work.log);
                let promised = nest::Promised { flushed, written, dropped };
                let nest = Nest { log: &work.log, by_depth: &by_depth, settled: stop.loses_power() };
                nest.go(&image.of(&replay), promised, 1, dice)
            });
        }
        if job.is_over() {
            break;
        }
    }
    for (depth, count) in by_depth.iter().enumerate() {
        job.met(format!("{} deep", depth + 1), count.load(Ordering::Relaxed));
    }
}

fn barrier(job: &Job<'_>) {
    let work = Workload::run(job.shared_seed(), Size::STANDARD);
    let mut replay = work.disk.replay();
    for operation in 0..=replay.len() {
        replay.advance_to(operation);
        for model in Survivors::ALL {
            for within in [false, true] {
                job.case(
                    &format!("killed at {operation} (within: {within}), opened, cut: {model:?}"),
                    |dice| {
                        let stop = if within { Stop::KillWithin } else { Stop::Kill };
                        let killed = match within {
                            false => replay.kill(),
                            true => replay.kill_within(dice.draw()),
                        };
                        let image = Image { workload: 0, operation, stop };
                        let read = open(&killed, dice.percent(50), &work.log, image.promised(&work.log))?;
                        let left = killed.power_cut(dice.draw(), model);
                        let again = open(&left, dice.percent(50), &work.log, read.promised())?;
                        match again.end == read.end {
                            true => Ok(()),
                            false => {
                                Err(format!("readable to {}, and after the cut to {}", read.end, again.end))
                            }
                        }
                    },
                );
            }
        }
        if job.is_over() {
            return;
        }
    }
}

/// What a store does seldom.
#[derive(Clone, Copy, Debug)]
enum Seldom {
    FirstOpen,
    RollOver,
    Checkpoint,
    Shutdown,
    Retention,
    TailCut,
}

const OPERATIONS: [Seldom; 6] = [
    Seldom::FirstOpen,
    Seldom::RollOver,
    Seldom::Checkpoint,
    Seldom::Shutdown,
    Seldom::Retention,
    Seldom::TailCut,
];

/// Some records in a store, which is then left open.
fn started(disk: &SimDisk, dice: &mut Dice) -> (Store, Expected, std::sync::Arc<sawlog::clock::HandClock>) {
    let clock = clock();
    let store = Store::open(ROOT, options(disk, &clock, true)).unwrap();
    let mut log = Expected::default();
    for _ in 0..3 + dice.below(6) {
        put(&store, &mut log, disk, dice.below(9_000) as usize, dice);
    }
    (store, log, clock)
}

fn put(store: &Store, log: &mut Expected, disk: &SimDisk, body_bytes: usize, dice: &mut Dice) {
    let message = Message::new("orders", dice.bytes(body_bytes)).key("AaBB").queue(dice.below(4) as u32);
    let stored = store.append_and_wait(&message).unwrap();
    let taken = Taken::new(&message, &stored);
    taken.flushed.note(disk.recorded());
    log.taken.push(taken);
}

/// Does the operation on a recording disk. The log it leaves, and the operations between which it was done.
fn act(what: Seldom, disk: &SimDisk, dice: &mut Dice) -> (Expected, std::ops::Range<usize>) {
    if let Seldom::FirstOpen = what {
        let prewrites = dice.percent(50);
        let store = Store::open(ROOT, options(disk, &clock(), true).prewrite(prewrites)).unwrap();
        return (
            Expected::default(),
            0..{
                drop(store);
                disk.recorded()
            },
        );
    }
    let (store, mut log, clock) = started(disk, dice);
    let from = disk.recorded();
    match what {
        Seldom::FirstOpen | Seldom::Retention | Seldom::TailCut => {}
        Seldom::RollOver => {
            while log.end().0 < 2 * SEGMENT_BYTES {
                put(&store, &mut log, disk, 9_000 + dice.below(30_000) as usize, dice);
            }
        }
        Seldom::Checkpoint => {
            for _ in 0..3 {
                clock.turn(Duration::from_secs(2));
                while store.step() {}
                put(&store, &mut log, disk, 100, dice);
            }
        }
        Seldom::Shutdown => store.close().unwrap(),
    }
    (log, from..disk.recorded())
}

fn seldom(job: &Job<'_>) {
    let operation = OPERATIONS[(job.number % OPERATIONS.len() as u64) as usize];
    if let Seldom::Retention = operation {
        return retention(job);
    }
    let mut dice = Dice::new(job.shared_seed());
    let mut disk = SimDisk::recording();
    let is_before_all = matches!(operation, Seldom::TailCut);
    let (mut log, mut range) = if is_before_all {
        // Killed: of a store that was closed a torn record would be damage, and refused.
        let (store, log, _) = started(&disk, &mut dice);
        let killed = disk.kill();
        drop(store);
        disk = killed;
        (log, 0..0)
    } else {
        act(operation, &disk, &mut dice)
    };
    log.read_bytes(&disk, log.end());
    if is_before_all {
        // A torn record at the end, then the recovery that cuts it.
        let last = log.taken.pop().unwrap().position;
        let in_segment = last.offset.0 % SEGMENT_BYTES;
        let path = super::super::expected::segment_path(last.offset.0 - in_segment);
        disk = disk.power_cut(dice.draw(), Survivors::Everything);
        disk.overwrite(path, in_segment + u64::from(last.len) / 2, &vec![0; last.len as usize / 2]).unwrap();
        disk.start_recording();
        // It fails if what is torn lies below the mark, which it is not: a mark is written by time.
        let opened = Store::open(ROOT, options(&disk, &clock(), true));
        drop(opened.unwrap());
        log.bytes.truncate(log.end().0 as usize);
        range = 0..disk.recorded();
    }
    let mut replay = disk.replay();
    for at in range.start..=range.end {
        replay.advance_to(at);
        for model in Survivors::ALL {
            for within in [false, true] {
                let what = format!("{operation:?} cut at {at} of {range:?} (within: {within}), {model:?}");
                // What is recorded there is the recovery alone: all appends lie before it.
                let by = if is_before_all { usize::MAX - 1 } else { at };
                let promised = Promised::from(log.end_of_last(|t| t.flushed.is_by(by)));
                job.image(
                    &what,
                    model,
                    |seed, model| cut(&replay, seed, model, within),
                    |image, dice| {
                        job.met(format!("{operation:?}"), 1);
                        examine(image, &log, promised, dice.draw()).map(drop)
                    },
                );
            }
        }
    }
}

/// A sweep asked for or made by a rule, under either policy, with and without a dropped topic.
fn retention(job: &Job<'_>) {
    let round = job.number / OPERATIONS.len() as u64;
    let grown = Grown::new((job.shared_seed() >> 8) / 12 * 12 + round % 12);
    let before = grown.promised();
    grown.disk.start_recording();
    grown.sweep().unwrap();
    let (either, done) = (grown.beginning_at(&[LogOffset(0), grown.goal]), grown.beginning_at(&[grown.goal]));
    let (after, mut replay) = (grown.promised(), grown.disk.replay());
    for at in 0..=replay.len() {
        replay.advance_to(at);
        let is_last = at == replay.len();
        let (log, promised) = if is_last { (&done, after) } else { (&either, before) };
        for (how, image) in grown::images(&replay, Dice::part(job.shared_seed(), at as u64)) {
            job.case(&format!("a sweep {how} at {at} of {}", replay.len()), |dice| {
                job.met("Retention", 1);
                grown::check_image(&image, &grown, log, promised, dice)
            });
        }
        if job.is_over() {
            return;
        }
    }
}
