//! Recovery itself, cut at its operations, and the recovery from that too: it comes to the same end.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use sawlog::LogOffset;
use sawlog::disk::sim::{SimDisk, Survivors};

use crate::power_cut::{Image, Stop};
use crate::support::dice::Dice;
use crate::support::expected::{self, Expected};
use crate::support::one_in;
use crate::support::oracle::{Verdict, examine, open};
use crate::support::workload::{Size, Workload};

/// The seeds of the workloads; others than the plain sweep's.
const WORKLOADS: [u64; 2] = [1000, 1001];
/// Every so many operations of a workload an image is taken, in each of these ways.
const STRIDE: usize = 7;
const STOPS: [Stop; 4] = [
    Stop::CutWithin(Survivors::Prefix),
    Stop::Cut(Survivors::Sectors),
    Stop::Cut(Survivors::Bytes),
    Stop::Kill,
];
const LEAST_IMAGES: u64 = 300;
/// One in so many operations of a recovery is where it is cut, in three ways; the last one always.
const CUT_ONE_IN: u64 = 8;
/// One in so many cut recoveries is recovered from step by step again.
const NEST_ONE_IN: u64 = 150;
const DEEPEST: u32 = 3;

#[derive(Default)]
struct Tally {
    images: AtomicU64,
    cuts: AtomicU64,
    by_depth: [AtomicU64; DEEPEST as usize],
    failed: AtomicU64,
    failures: Mutex<Vec<String>>,
}

/// What was promised of an image: to a power cut, and to a killed process.
#[derive(Clone, Copy)]
struct Promised {
    flushed: LogOffset,
    written: LogOffset,
    /// How many topics are dropped, at least and at most.
    dropped: (usize, usize),
}

impl Promised {
    fn all_written(self) -> expected::Promised {
        expected::Promised { end: self.written, dropped: self.dropped }
    }
}

struct Nest<'a> {
    log: &'a Expected,
    tally: &'a Tally,
    /// After a power cut nothing is left to chance: every recovery must end where the first did.
    settled: bool,
}

impl Nest<'_> {
    /// Opens the image while its disk records, then cuts that everywhere.
    fn go(&self, image: &SimDisk, promised: Promised, depth: u32, dice: &mut Dice) -> Verdict {
        image.start_recording();
        let opened = open(image, dice.percent(50), self.log, promised.all_written())?;
        let (end, dropped, operations) = (opened.end, opened.promised().dropped, image.recorded());
        let mut replay = image.replay();
        drop(opened);
        loop {
            let at = replay.position();
            let is_skipped = at < operations && dice.below(one_in(CUT_ONE_IN)) != 0;
            for how in 0..if is_skipped { 0 } else { 3 } {
                let model = Survivors::ALL[dice.below(5) as usize];
                let done = at == operations;
                let flushed = if done { end } else { promised.flushed };
                let dropped = if done { dropped } else { promised.dropped };
                let (cut, written) = match how {
                    0 => (replay.power_cut(dice.draw(), model), flushed),
                    1 => (replay.power_cut_within(dice.draw(), model), flushed),
                    _ => (replay.kill_within(dice.draw()), promised.written.max(flushed)),
                };
                let least = Promised { flushed, written, dropped };
                let why =
                    |e| format!("recovery cut at {at} of {operations} ({how}, {model:?}), {depth}: {e}");
                self.tally.cuts.fetch_add(1, Ordering::Relaxed);
                self.one(&cut, end, least, depth, dice).map_err(why)?;
            }
            if at == operations || replay.step().is_none() {
                return Ok(());
            }
        }
    }

    fn one(&self, cut: &SimDisk, end: LogOffset, least: Promised, depth: u32, dice: &mut Dice) -> Verdict {
        self.tally.by_depth[depth as usize - 1].fetch_add(1, Ordering::Relaxed);
        let found = if depth < DEEPEST && dice.below(NEST_ONE_IN) == 0 {
            return self.go(cut, least, depth + 1, dice);
        } else if dice.below(20) == 0 {
            examine(cut, self.log, least.all_written(), dice.draw())?
        } else {
            open(cut, dice.percent(50), self.log, least.all_written())?.end
        };
        if self.settled && found != end {
            return Err(format!("the first recovery ended at {end}, the one after its cut at {found}"));
        }
        Ok(())
    }
}

fn sweep(workload: u64, tally: &Tally) {
    let work = Workload::run(workload, Size::STANDARD);
    let mut replay = work.disk.replay();
    for operation in (0..=replay.len()).step_by(STRIDE) {
        replay.advance_to(operation);
        for stop in STOPS {
            let image = Image { workload, operation, stop };
            let flushed = work.log.end_of_last(|t| t.flushed.is_by(operation));
            let expected::Promised { end: written, dropped } = image.promised(&work.log);
            let promised = Promised { flushed, written, dropped };
            let nest = Nest { log: &work.log, tally, settled: stop.loses_power() };
            tally.images.fetch_add(1, Ordering::Relaxed);
            if let Err(why) = nest.go(&image.of(&replay), promised, 1, &mut Dice::new(image.seed()))
                && tally.failed.fetch_add(1, Ordering::Relaxed) < 5
            {
                let text = format!("image {image}, before {:?}: {why}", replay.next_op());
                tally.failures.lock().unwrap().push(text);
            }
        }
    }
}

#[test]
fn a_recovery_that_is_cut_short_is_begun_again_and_comes_to_the_same_end() {
    let tally = Tally::default();
    std::thread::scope(|scope| {
        for workload in WORKLOADS {
            let tally = &tally;
            scope.spawn(move || sweep(workload, tally));
        }
    });
    let (images, failed) = (tally.images.into_inner(), tally.failed.into_inner());
    let depths = tally.by_depth.map(AtomicU64::into_inner);
    println!("{images} recoveries cut {} times, by depth {depths:?}", tally.cuts.into_inner());
    let failures = tally.failures.into_inner().unwrap().join("\n\n");
    assert!(failed == 0, "{failed} of {images} images failed; the first:\n{failures}");
    assert!(images >= LEAST_IMAGES, "only {images} images");
    assert!(depths.iter().all(|count| *count > 0), "not nested: {depths:?}");
}
