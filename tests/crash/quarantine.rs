//! Damage everywhere, stepped over: each record, each page, two places at once, and power cuts on the way.

use sawlog::disk::Disk;
use sawlog::disk::sim::{SimDisk, Survivors};
use sawlog::{Error, OnDamage, Position};

use crate::support::aged::{Aged, Hurt, flip, some_bits};
use crate::support::dice::Dice;
use crate::support::expected::{SEGMENT_BYTES, segment_path};
use crate::support::oracle::Verdict;
use crate::support::quarantined::{Seen, check, judge, look};
use crate::support::{one_in, quick};

#[derive(Default)]
struct Count {
    cases: u64,
    parts: u64,
    lost: u64,
    sacrificed: u64,
    failed: u64,
    failures: Vec<String>,
}

impl Count {
    fn add(&mut self, what: &str, verdict: Verdict<Seen>) {
        self.cases += 1;
        match verdict {
            Ok(seen) => {
                self.parts += seen.parts.len() as u64;
                self.lost += seen.lost;
                self.sacrificed += seen.sacrificed;
            }
            Err(why) => {
                self.failed += 1;
                if self.failures.len() < 4 {
                    self.failures.push(format!("{what}: {why}"));
                }
            }
        }
    }

    fn end(self, least: u64) {
        let Count { cases, parts, lost, sacrificed, failed, failures } = self;
        println!("{cases} cases: {parts} parts, {lost} records in them, {sacrificed} of those sound");
        assert!(failed == 0, "{failed} of {cases} failed:\n{}", failures.join("\n\n"));
        assert!(quick() || cases >= least, "only {cases} cases");
    }
}

fn aged() -> [Aged; 4] {
    [Aged::closed(0), Aged::closed(1), Aged::killed(2), Aged::killed(3)]
}

/// A closed store with a listed part in its middle; where the record stands that is damaged, and its bit.
fn listed(aged: &Aged, bit: u64) -> (SimDisk, Position, u64) {
    let position = aged.log.taken[aged.log.taken.len() / 2].position;
    let bit = position.offset.0 * 8 + bit % (u64::from(position.len) * 8);
    let disk = aged.copy();
    flip(&disk, bit);
    look(&disk, OnDamage::Quarantine).unwrap().close().unwrap();
    (disk, position, bit)
}

fn flip_all(disk: &SimDisk, bits: &[u64]) -> Vec<Hurt> {
    bits.iter().map(|bit| flip(disk, *bit)).collect()
}

#[test]
fn a_bit_of_any_record_costs_that_record_alone_until_it_is_put_back() {
    let mut count = Count::default();
    for aged in aged() {
        let mut dice = Dice::new(21);
        for taken in &aged.log.taken {
            for bit in some_bits(taken, &mut dice) {
                if dice.below(one_in(6)) > 0 {
                    continue;
                }
                let disk = aged.copy();
                let hurts = flip_all(&disk, &[bit]);
                let mend = |disk: &SimDisk| {
                    flip(disk, bit);
                };
                // What lies above the mark may be cut as a tail, and is not there to be put back.
                let mend = (taken.position.end() <= aged.marked).then_some(&mend as &dyn Fn(&SimDisk));
                count.add(&format!("bit {bit} of {:?}", taken.position), judge(&disk, &aged, &hurts, mend));
            }
        }
    }
    count.end(800);
}

#[test]
fn two_damaged_places_are_two_parts_or_one() {
    let mut count = Count::default();
    for aged in aged() {
        let mut dice = Dice::new(22);
        let durable: Vec<_> = aged.log.taken.iter().filter(|t| t.position.end() <= aged.marked).collect();
        for _ in 0..120 / one_in(2) {
            let two = [0, 1].map(|_| {
                let taken = durable[dice.below(durable.len() as u64) as usize];
                some_bits(taken, &mut dice)[dice.below(18) as usize]
            });
            if two[0] == two[1] {
                continue;
            }
            let disk = aged.copy();
            let hurts = flip_all(&disk, &two);
            let mend = |disk: &SimDisk| drop(flip_all(disk, &two));
            count.add(&format!("bits {two:?}"), judge(&disk, &aged, &hurts, Some(&mend)));
        }
    }
    count.end(200);
}

#[test]
fn a_page_of_zeros_costs_the_records_on_it() {
    let mut count = Count::default();
    for aged in aged() {
        let end = aged.marked.0;
        // Of a page on which the mark stands a part may be cut as a tail.
        let pages = if aged.marked == aged.log.end() { end.div_ceil(4096) } else { end / 4096 };
        for page in 0..pages {
            let (at, base) = (page * 4096, page * 4096 / SEGMENT_BYTES * SEGMENT_BYTES);
            let disk = aged.copy();
            let was = disk.read_file(segment_path(base)).unwrap();
            disk.tear(segment_path(base), (at - base) / 4096).unwrap();
            let hurt = Hurt { from: at, to: (at + 4096).min(end) };
            let mend = |disk: &SimDisk| {
                // No further than the log went: behind it new records stand.
                let (from, to) = ((at - base) as usize, (hurt.to - base) as usize);
                disk.overwrite(segment_path(base), at - base, &was[from..to]).unwrap();
            };
            count.add(&format!("page {page}"), judge(&disk, &aged, &[hurt], Some(&mend)));
        }
    }
    count.end(60);
}

#[test]
fn without_any_derived_file_damage_costs_no_more_than_up_to_the_next_vouched_place() {
    let mut count = Count::default();
    for aged in [Aged::killed(2), Aged::killed(5)] {
        let mut dice = Dice::new(23);
        for taken in aged.log.taken.iter().filter(|t| t.position.end() <= aged.marked) {
            let bit = some_bits(taken, &mut dice)[dice.below(6) as usize];
            let disk = aged.copy();
            for (path, _) in disk.files() {
                if path.starts_with("/store/consumequeue") || path.starts_with("/store/index") {
                    disk.remove(&path).unwrap();
                }
            }
            let hurts = flip_all(&disk, &[bit]);
            count.add(&format!("bit {bit} of {:?}", taken.position), judge(&disk, &aged, &hurts, None));
        }
    }
    count.end(50);
}

/// The list is there, or what the default rule meets is refused with its place: nobody sees an undamaged log.
fn after_a_cut(cut: &SimDisk, aged: &Aged, hurts: &[Hurt]) -> Verdict<Seen> {
    match look(&cut.kill(), OnDamage::Refuse) {
        Err(Error::Corrupt(_)) => {}
        Err(other) => return Err(format!("refused with {other}")),
        Ok(store) if store.quarantined().is_empty() => {
            return Err(format!("opens as if nothing were damaged: {}", store.recovery()));
        }
        Ok(store) => drop(check(&store, aged, &aged.log, hurts)?),
    }
    judge(cut, aged, hurts, None)
}

#[test]
fn a_power_cut_at_any_step_of_the_open_that_lists_leaves_the_list_or_the_damage_to_be_found() {
    let mut count = Count::default();
    for aged in [Aged::closed(0), Aged::killed(3)] {
        let mut dice = Dice::new(24);
        let durable: Vec<_> = aged.log.taken.iter().filter(|t| t.position.end() <= aged.marked).collect();
        let taken = durable[dice.below(durable.len() as u64) as usize];
        let bit = taken.position.offset.0 * 8 + 800 % (u64::from(taken.position.len) * 8);
        let disk = aged.copy();
        let hurts = flip_all(&disk, &[bit]);
        disk.start_recording();
        let store = look(&disk, OnDamage::Quarantine).unwrap();
        check(&store, &aged, &aged.log, &hurts).unwrap();
        let mut replay = disk.replay();
        for at in 0..=replay.len() {
            replay.advance_to(at);
            if at > 0 && dice.below(one_in(4)) > 0 {
                continue;
            }
            for model in Survivors::ALL {
                let cut = replay.power_cut(dice.draw(), model);
                count.add(&format!("cut at {at}, {model:?}"), after_a_cut(&cut, &aged, &hurts));
                let cut = replay.power_cut_within(dice.draw(), model);
                count.add(&format!("cut within {at}, {model:?}"), after_a_cut(&cut, &aged, &hurts));
            }
        }
    }
    count.end(200);
}

#[test]
fn a_power_cut_at_any_step_of_the_open_that_lifts_ends_with_all_of_the_log() {
    let mut count = Count::default();
    let aged = Aged::closed(1);
    let mut dice = Dice::new(25);
    let (disk, _, bit) = listed(&aged, 801);
    flip(&disk, bit);
    disk.start_recording();
    let store = look(&disk, OnDamage::Refuse).unwrap();
    assert_eq!(store.recovery().lifted.len(), 1);
    let mut replay = disk.replay();
    for at in 0..=replay.len() {
        replay.advance_to(at);
        if at > 0 && dice.below(one_in(3)) > 0 {
            continue;
        }
        for model in Survivors::ALL {
            let cut = replay.power_cut(dice.draw(), model);
            let opened = sawlog::Store::open(
                crate::support::expected::ROOT,
                crate::support::workload::options(&cut, &crate::support::workload::clock(), true),
            );
            let verdict = opened.map_err(|e| format!("refused: {e}")).and_then(|store| {
                match store.quarantined().is_empty() {
                    true => check(&store, &aged, &aged.log, &[]),
                    false => Err("sound, and still listed".into()),
                }
            });
            count.add(&format!("cut at {at}, {model:?}"), verdict);
        }
    }
    count.end(50);
}

/// Opens it with the list given up, and cut where it is damaged then.
fn given_up(disk: &SimDisk) -> sawlog::Result<sawlog::Store> {
    let options = crate::support::workload::options(disk, &crate::support::workload::clock(), true);
    sawlog::Store::open(
        crate::support::expected::ROOT,
        options.on_damage(OnDamage::FirstBroken).forget_quarantine(),
    )
}

#[test]
fn a_power_cut_at_any_step_of_the_open_that_gives_the_list_up_hides_no_damage_and_it_can_be_done_again() {
    let mut count = Count::default();
    let aged = Aged::closed(1);
    let mut dice = Dice::new(26);
    let (disk, position, _) = listed(&aged, 803);
    disk.start_recording();
    let end = position.offset;
    let records =
        |store: &sawlog::Store| store.scan(store.marks().first).map(|r| r.map(|r| r.position)).collect();
    let whole: sawlog::Result<Vec<_>> = records(&given_up(&disk).unwrap());
    let whole = whole.unwrap();
    assert!(whole.last().is_some_and(|last| last.end() == end), "{whole:?}, {end}");
    let mut replay = disk.replay();
    for at in 0..=replay.len() {
        replay.advance_to(at);
        if at > 0 && dice.below(one_in(3)) > 0 {
            continue;
        }
        for model in Survivors::ALL {
            let cut = replay.power_cut(dice.draw(), model);
            let seen = match look(&cut.kill(), OnDamage::Refuse) {
                Err(Error::Corrupt(_)) => Ok(()),
                Err(other) => Err(format!("refused with {other}")),
                Ok(store) if store.quarantined().is_empty() && store.marks().visible > end => {
                    Err(format!("opens as if nothing were damaged: {}", store.recovery()))
                }
                Ok(_) => Ok(()),
            };
            let again = given_up(&cut).and_then(|store| records(&store)).map_err(|e| format!("refused: {e}"));
            let verdict = match (seen, again) {
                (Ok(()), Ok(left)) if left == whole => Ok(Seen::default()),
                (Ok(()), Ok(left)) => Err(format!("{} records for {}", left.len(), whole.len())),
                (Err(why), _) | (_, Err(why)) => Err(why),
            };
            count.add(&format!("cut at {at}, {model:?}"), verdict);
        }
    }
    count.end(50);
}
