//! A store at rest whose log is damaged: refused or located, never served, and nothing beside it is lost.

use std::panic::{AssertUnwindSafe, catch_unwind};

use sawlog::disk::sim::SimDisk;
use sawlog::{Corruption, Error, LogOffset, OnDamage, Store};

use super::dice::Dice;
use super::expected::{Expected, ROOT, SEGMENT_BYTES, Taken, log_bytes, segment_path};
use super::oracle::{Verdict, check_log};
use super::workload::{Size, Workload, clock, options};

const CLOSED: Size = Size { steps: 60, reopens: true, closes: true };
const KILLED: Size = Size { steps: 60, reopens: true, closes: false };

/// A store at rest, and what it holds.
pub(crate) struct Aged {
    pub(crate) disk: SimDisk,
    pub(crate) log: Expected,
    /// Up to here the mark says that all was durable. Above it nothing can be told from an unsynced tail but by the
    /// records behind it (promises rule 2), though it may have been acknowledged as flushed a moment ago.
    pub(crate) marked: LogOffset,
    /// Whether it was closed in order: then queues and index hold all of the log. A killed one may have been durable to
    /// its end, too.
    pub(crate) is_closed: bool,
}

/// The durable offset of the slot that counts in `sawlog/mark` (FORMAT.md).
fn marked(disk: &SimDisk) -> LogOffset {
    let mark = disk.read_file("/store/sawlog/mark").unwrap();
    let number = |at: usize| u64::from_be_bytes(mark[at..at + 8].try_into().unwrap());
    let slot = if number(8) > number(4096 + 8) { 0 } else { 4096 };
    LogOffset(number(slot + 16))
}

impl Aged {
    pub(crate) fn closed(seed: u64) -> Aged {
        let work = Workload::run(seed, CLOSED);
        Aged { marked: work.log.end(), disk: work.disk.kill(), log: work.log, is_closed: true }
    }

    /// Killed with the last records in the page cache, or still staged: those are not there.
    pub(crate) fn killed(seed: u64) -> Aged {
        let mut work = Workload::run(seed, KILLED);
        let written =
            work.log.end_of_last(|t| t.flushed.is_by(usize::MAX - 1) || t.written.is_by(usize::MAX - 1));
        let disk = work.disk.kill();
        drop(work.take_store());
        let mut log = work.log.cut(written);
        log.read_bytes(&disk, LogOffset(0));
        Aged { marked: marked(&disk), disk, log, is_closed: false }
    }

    /// A copy to be damaged.
    pub(crate) fn copy(&self) -> SimDisk {
        self.disk.kill()
    }

    /// Without the counts the whole log is looked at when it is opened.
    pub(crate) fn copy_looked_at(&self) -> SimDisk {
        let copy = self.copy();
        let _ = sawlog::disk::Disk::remove(&copy, "/store/sawlog/queues".as_ref());
        copy
    }
}

/// What came of opening a damaged store with the default options.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Came {
    Refused,
    Served,
    /// Opened, and the damaged record answered that it is damaged.
    Located,
    /// Opened, and cut there as what a sync had not covered: reported, and kept.
    CutAsTail,
}

/// A damaged stretch of the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hurt {
    pub(crate) from: u64,
    pub(crate) to: u64,
}

impl Hurt {
    pub(crate) fn touches(self, taken: &Taken) -> bool {
        taken.position.offset.0 < self.to && self.from < taken.position.end().0
    }

    fn covers(self, taken: &Taken) -> bool {
        self.from <= taken.position.offset.0 && taken.position.end().0 <= self.to
    }
}

pub(crate) fn judge(disk: &SimDisk, aged: &Aged, hurt: Hurt) -> Verdict<Came> {
    let opened = catch_unwind(AssertUnwindSafe(|| Store::open(ROOT, options(disk, &clock(), true))));
    match opened.map_err(|_| "panicked, see above")? {
        Err(Error::Corrupt(corruption)) => refused_rightly(&corruption, aged, hurt).map(|()| Came::Refused),
        Err(other) => Err(format!("refused with {other}")),
        Ok(store) => serves_rightly(&store, aged, hurt),
    }
}

/// The place that is named is the damaged record's, or the beginning of what no record covers.
fn refused_rightly(corruption: &Corruption, aged: &Aged, hurt: Hurt) -> Verdict {
    let first = aged.log.taken.iter().find(|t| hurt.touches(t)).map(|t| t.position.offset);
    let in_file = corruption.path.starts_with("/store/commitlog");
    let near = first.is_none_or(|first| corruption.at == first) || corruption.at.0 < hurt.to;
    let not_before = first.is_none_or(|first| corruption.at >= first);
    match in_file && near && not_before {
        true => Ok(()),
        false => Err(format!("refused at {corruption}, the damage is {hurt:?} in the record at {first:?}")),
    }
}

/// Everything that is served is right; what is not served is damaged itself, or was an unsynced tail.
fn serves_rightly(store: &Store, aged: &Aged, hurt: Hurt) -> Verdict<Came> {
    let end = store.marks().visible;
    let mut came = Came::Served;
    for taken in &aged.log.taken {
        match store.record_at(taken.position.offset) {
            Ok(read) => taken.check(&read).map_err(|e| format!("wrong record served: {e}"))?,
            Err(Error::Corrupt(_)) if hurt.touches(taken) => came = Came::Located,
            // Where zeros took its place there was nothing to cut.
            Err(Error::OutOfRange { .. })
                if taken.position.end() > aged.marked
                    && taken.position.offset >= end
                    && (is_cut(store, taken) || hurt.covers(taken)) =>
            {
                came = Came::CutAsTail;
            }
            Err(error) => return Err(format!("lost: {:?}: {error}; {}", taken.position, store.recovery())),
        }
    }
    for read in store.scan(LogOffset(0)) {
        let Ok(read) = read else { return Ok(Came::Located) };
        let known = aged.log.taken.iter().find(|t| t.position == read.position);
        known.ok_or_else(|| format!("phantom {read:?}"))?.check(&read)?;
    }
    if end < aged.marked { Err(format!("ends at {end}: {}", store.recovery())) } else { Ok(came) }
}

/// Reported as cut.
fn is_cut(store: &Store, taken: &Taken) -> bool {
    let at = taken.position.offset;
    store.recovery().cuts.iter().any(|cut| cut.from <= at && at < cut.to)
}

/// RocketMQ's rule: the log ends before the damage, and what was cut is kept, byte for byte.
pub(crate) fn judge_first_broken(disk: &SimDisk, aged: &Aged, hurt: Hurt) -> Verdict {
    let was = log_bytes(disk, LogOffset(u64::MAX >> 1));
    let opened = Store::open(ROOT, options(disk, &clock(), true).on_damage(OnDamage::FirstBroken));
    let store = opened.map_err(|e| format!("refused: {e}"))?;
    let end = check_log(&store, &aged.log)?;
    let first = aged.log.taken.iter().find(|t| hurt.touches(t)).map(|t| t.position.offset);
    if first.is_some_and(|first| end < first) || end.0 < hurt.from.min(aged.log.end().0) && first.is_none() {
        return Err(format!("the log ends at {end}, before the damage: {}", store.recovery()));
    }
    let mut kept = vec![0_u8; was.len()];
    kept[..end.0 as usize].copy_from_slice(&was[..end.0 as usize]);
    for cut in &store.recovery().cuts {
        let saved = disk.read_file(&cut.saved).map_err(|e| format!("not kept: {e}"))?;
        let from = cut.from.0 as usize;
        kept[from..from + saved.len()].copy_from_slice(&saved);
    }
    match kept.iter().zip(&was).position(|(a, b)| a != b) {
        Some(lost) => Err(format!("byte {lost} was not kept: {}", store.recovery())),
        None => Ok(()),
    }
}

pub(crate) fn flip(disk: &SimDisk, bit: u64) -> Hurt {
    let byte = bit / 8;
    let base = byte / SEGMENT_BYTES * SEGMENT_BYTES;
    disk.flip(segment_path(base), bit - base * 8).unwrap();
    Hurt { from: byte, to: byte + 1 }
}

/// Bits of a record: the first sixteen bytes' worth by chance, the end's, and some of all.
pub(crate) fn some_bits(taken: &Taken, dice: &mut Dice) -> Vec<u64> {
    let (from, len) = (taken.position.offset.0 * 8, u64::from(taken.position.len) * 8);
    let head = (0..6).map(|_| dice.below(128)).collect::<Vec<_>>();
    let tail = (0..6).map(|_| len - 1 - dice.below(20 * 8)).collect::<Vec<_>>();
    let any = (0..6).map(|_| dice.below(len)).collect::<Vec<_>>();
    [head, tail, any].concat().into_iter().map(|bit| from + bit).collect()
}
