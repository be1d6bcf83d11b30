//! Bits flip, pages vanish, files are cut and lost: damage is located, never served, and costs nothing beside it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use sawlog::disk::sim::SimDisk;
use sawlog::{Corruption, Error, LogOffset, OnDamage, Store};

use crate::support::dice::Dice;
use crate::support::expected::{Expected, ROOT, SEGMENT_BYTES, Taken, log_bytes, segment_path};
use crate::support::oracle::{Verdict, check_log};
use crate::support::workload::{Size, Workload, clock, options};

const CLOSED: Size = Size { steps: 60, reopens: true, closes: true };
const KILLED: Size = Size { steps: 60, reopens: true, closes: false };

/// A store at rest, and what it holds.
pub(crate) struct Aged {
    pub(crate) disk: SimDisk,
    pub(crate) log: Expected,
    /// Up to here the mark says that all was durable. Above it nothing can be told from an unsynced tail but by the
    /// records behind it (promises rule 2), though it may have been acknowledged as flushed a moment ago.
    pub(crate) marked: LogOffset,
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
        Aged { marked: work.log.end(), disk: work.disk.kill(), log: work.log }
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
        Aged { marked: marked(&disk), disk, log }
    }

    /// A copy to be damaged.
    pub(crate) fn copy(&self) -> SimDisk {
        self.disk.kill()
    }

    /// Without the counts the whole log is looked at when it is opened.
    fn copy_looked_at(&self) -> SimDisk {
        let copy = self.copy();
        let _ = sawlog::disk::Disk::remove(&copy, "/store/sawlog/queues".as_ref());
        copy
    }
}

/// What came of opening a damaged store with the default options.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    Refused,
    Served,
    /// Opened, and the damaged record answered that it is damaged.
    Located,
    /// Opened, and cut there as what a sync had not covered: reported, and kept.
    CutAsTail,
}

/// A damaged stretch of the log.
#[derive(Clone, Copy, Debug)]
struct Hurt {
    from: u64,
    to: u64,
}

impl Hurt {
    fn touches(self, taken: &Taken) -> bool {
        taken.position.offset.0 < self.to && self.from < taken.position.end().0
    }
}

fn judge(disk: &SimDisk, aged: &Aged, hurt: Hurt) -> Verdict<Came> {
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
            Err(Error::OutOfRange { .. }) if is_cut(store, taken) && taken.position.end() > aged.marked => {
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
fn judge_first_broken(disk: &SimDisk, aged: &Aged, hurt: Hurt) -> Verdict {
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

#[derive(Default)]
struct Count {
    refused: u64,
    served: u64,
    located: u64,
    cut: u64,
    failures: Vec<String>,
}

impl Count {
    fn add(&mut self, what: &str, verdict: Verdict<Came>) {
        match verdict {
            Ok(Came::Refused) => self.refused += 1,
            Ok(Came::Served) => self.served += 1,
            Ok(Came::Located) => self.located += 1,
            Ok(Came::CutAsTail) => self.cut += 1,
            Err(why) => self.failures.push(format!("{what}: {why}")),
        }
    }

    fn end(self, least: u64) {
        let Count { refused, served, located, cut, failures } = self;
        println!(
            "{refused} refused, {located} located on reading, {cut} cut as a tail, {served} without a trace"
        );
        let shown = failures.iter().take(4).cloned().collect::<Vec<_>>().join("\n\n");
        assert!(failures.is_empty(), "{} failed:\n{shown}", failures.len());
        assert!(refused + served + located + cut >= least, "too few cases");
    }
}

fn flip(disk: &SimDisk, bit: u64) -> Hurt {
    let byte = bit / 8;
    let base = byte / SEGMENT_BYTES * SEGMENT_BYTES;
    disk.flip(segment_path(base), bit - base * 8).unwrap();
    Hurt { from: byte, to: byte + 1 }
}

/// Bits of a record: the first sixteen bytes' worth by chance, the end's, and some of all.
fn some_bits(taken: &Taken, dice: &mut Dice) -> Vec<u64> {
    let (from, len) = (taken.position.offset.0 * 8, u64::from(taken.position.len) * 8);
    let head = (0..6).map(|_| dice.below(128)).collect::<Vec<_>>();
    let tail = (0..6).map(|_| len - 1 - dice.below(20 * 8)).collect::<Vec<_>>();
    let any = (0..6).map(|_| dice.below(len)).collect::<Vec<_>>();
    [head, tail, any].concat().into_iter().map(|bit| from + bit).collect()
}

#[test]
fn a_flipped_bit_in_any_record_is_refused_or_located_and_never_served() {
    let mut count = Count::default();
    for aged in [Aged::closed(0), Aged::closed(1), Aged::killed(2), Aged::killed(3)] {
        let mut dice = Dice::new(7);
        for taken in &aged.log.taken {
            for bit in some_bits(taken, &mut dice) {
                for disk in [aged.copy(), aged.copy_looked_at()] {
                    let hurt = flip(&disk, bit);
                    count.add(&format!("bit {bit}"), judge(&disk, &aged, hurt));
                }
            }
        }
    }
    assert_eq!(count.served, 0, "a damaged record of ours was served");
    count.end(5_000);
}

#[test]
fn every_single_bit_of_a_small_record_counts() {
    let aged = Aged::closed(4);
    let small = aged.log.taken.iter().min_by_key(|t| t.position.len).unwrap();
    let mut count = Count::default();
    for bit in 0..u64::from(small.position.len) * 8 {
        let disk = aged.copy();
        let hurt = flip(&disk, small.position.offset.0 * 8 + bit);
        count.add(&format!("bit {bit}"), judge(&disk, &aged, hurt));
    }
    assert_eq!(count.served, 0, "a damaged record of ours was served");
    count.end(800);
}

#[test]
fn bits_between_the_records_and_behind_them_harm_nobody() {
    let mut count = Count::default();
    for aged in [Aged::closed(0), Aged::killed(3)] {
        let mut dice = Dice::new(8);
        let last = aged.log.end().0;
        let all = last.next_multiple_of(SEGMENT_BYTES);
        let gaps = aged.log.taken.windows(2).filter(|pair| pair[0].position.end() != pair[1].position.offset);
        let gaps = gaps.map(|pair| (pair[0].position.end().0, pair[1].position.offset.0));
        for (from, to) in gaps.chain([(last, all)]).filter(|(from, to)| from < to) {
            let near = (0..64).map(|bit| from * 8 + bit);
            let far = (0..40).map(|_| from * 8 + dice.below((to - from) * 8)).collect::<Vec<_>>();
            for bit in near.chain(far) {
                let disk = aged.copy();
                let hurt = flip(&disk, bit);
                count.add(&format!("bit {bit} between {from} and {to}"), judge(&disk, &aged, hurt));
            }
        }
    }
    count.end(400);
}

#[test]
fn pages_that_vanish_or_change_places_are_refused_or_located() {
    let mut count = Count::default();
    for aged in [Aged::closed(0), Aged::closed(5), Aged::killed(3)] {
        let mut dice = Dice::new(9);
        let end = aged.log.end().0;
        for page in 0..end.div_ceil(4096) {
            let (at, base) = (page * 4096, page * 4096 / SEGMENT_BYTES * SEGMENT_BYTES);
            let other = dice.below(end.div_ceil(4096)) * 4096;
            let misplaced =
                aged.log.bytes[other as usize..(other as usize + 4096).min(end as usize)].to_vec();
            for (kind, disk) in [
                ("zeroed", aged.copy()),
                ("misplaced", aged.copy()),
                ("zeroed, looked at", aged.copy_looked_at()),
            ] {
                match kind {
                    "misplaced" => disk.overwrite(segment_path(base), at - base, &misplaced).unwrap(),
                    _ => disk.tear(segment_path(base), (at - base) / 4096).unwrap(),
                }
                let hurt = Hurt { from: at, to: at + 4096 };
                count.add(&format!("page {page} {kind}"), judge(&disk, &aged, hurt));
            }
        }
    }
    count.end(200);
}

#[test]
fn damage_is_cut_like_rocketmq_does_where_the_options_say_so_and_nothing_is_thrown_away() {
    let mut failures = Vec::new();
    for aged in [Aged::closed(0), Aged::closed(1), Aged::killed(3)] {
        let mut dice = Dice::new(10);
        for taken in &aged.log.taken {
            let bit = some_bits(taken, &mut dice)[dice.below(18) as usize];
            for disk in [aged.copy_looked_at(), aged.copy()] {
                let hurt = flip(&disk, bit);
                // Where nobody looks when opening, the reader is told.
                let judged = match judge(&aged_with(&disk), &aged, hurt) {
                    Ok(Came::Located) => Ok(()),
                    _ => judge_first_broken(&disk, &aged, hurt),
                };
                failures.extend(judged.err().map(|why| format!("bit {bit} of {:?}: {why}", taken.position)));
            }
        }
    }
    let shown = failures.iter().take(4).cloned().collect::<Vec<_>>().join("\n\n");
    assert!(failures.is_empty(), "{} failed:\n{shown}", failures.len());
}

fn aged_with(disk: &SimDisk) -> SimDisk {
    disk.kill()
}
