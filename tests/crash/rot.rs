//! Bits flip, pages vanish, files are cut and lost: damage is located, never served, and costs nothing beside it.

use sawlog::disk::sim::SimDisk;

use crate::support::aged::{Aged, Came, Hurt, flip, judge, judge_first_broken, some_bits};
use crate::support::dice::Dice;
use crate::support::expected::{SEGMENT_BYTES, segment_path};
use crate::support::oracle::Verdict;

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
