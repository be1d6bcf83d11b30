//! A recovery, cut at its operations, and the recovery from that too: it comes to the same end.

use std::sync::atomic::{AtomicU64, Ordering};

use sawlog::LogOffset;
use sawlog::disk::sim::{SimDisk, Survivors};

use super::dice::Dice;
use super::expected::{self, Expected};
use super::one_in;
use super::oracle::{Verdict, examine, open};

/// One in so many operations of a recovery is where it is cut, in three ways; the last one always.
const CUT_ONE_IN: u64 = 8;
/// One in so many cut recoveries is recovered from step by step again.
const NEST_ONE_IN: u64 = 150;
/// How deep recoveries are cut within each other.
pub(crate) const DEEPEST: u32 = 3;

/// What was promised of an image: to a power cut, and to a killed process.
#[derive(Clone, Copy)]
pub(crate) struct Promised {
    pub(crate) flushed: LogOffset,
    pub(crate) written: LogOffset,
    /// How many topics are dropped, at least and at most.
    pub(crate) dropped: (usize, usize),
}

impl Promised {
    fn all_written(self) -> expected::Promised {
        expected::Promised { end: self.written, dropped: self.dropped }
    }
}

pub(crate) struct Nest<'a> {
    pub(crate) log: &'a Expected,
    /// How many cut recoveries were looked at, by depth.
    pub(crate) by_depth: &'a [AtomicU64; DEEPEST as usize],
    /// After a power cut nothing is left to chance: every recovery must end where the first did.
    pub(crate) settled: bool,
}

impl Nest<'_> {
    /// Opens the image while its disk records, then cuts that everywhere.
    pub(crate) fn go(&self, image: &SimDisk, promised: Promised, depth: u32, dice: &mut Dice) -> Verdict {
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
                self.one(&cut, end, least, depth, dice).map_err(why)?;
            }
            if at == operations || replay.step().is_none() {
                return Ok(());
            }
        }
    }

    fn one(&self, cut: &SimDisk, end: LogOffset, least: Promised, depth: u32, dice: &mut Dice) -> Verdict {
        self.by_depth[depth as usize - 1].fetch_add(1, Ordering::Relaxed);
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
