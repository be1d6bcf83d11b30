//! Damage larger than a bit: broken records at every place, pages zeroed or changed, files cut at every length or lost
//! (promises C2 to C6).

use std::path::Path;

use sawlog::disk::sim::SimDisk;
use sawlog::{Error, LogOffset, Message, OnDamage, Store};

use super::super::aged::{Aged, Came, Hurt, flip, judge, judge_first_broken, some_bits};
use super::super::at_rest::{self, Loss, at_rest};
use super::super::derived::fresh;
use super::super::dice::Dice;
use super::super::expected::{Expected, ROOT, SEGMENT_BYTES, Taken, segment_path};
use super::super::oracle::check_log;
use super::super::quarantined;
use super::super::workload::{clock, options};
use super::{Bar, Job, Until};

pub(super) fn bars() -> Vec<Bar> {
    vec![
        Bar {
            names: &["C2"],
            tries: "a bad record at every place: refused, or cut as RocketMQ would, or listed and stepped over",
            until: Until::Jobs(40),
            job: bad_records,
        },
        Bar {
            names: &["C3"],
            tries: "each page zeroed, swapped, doubled, stale, or of another segment",
            until: Until::Jobs(40),
            job: bad_pages,
        },
        Bar {
            names: &["C4"],
            tries: "each file cut at every length (segments: every 61st), and made longer",
            until: Until::Jobs(40),
            job: lengths,
        },
        Bar {
            names: &["C5"],
            tries: "all subsets of ten derived parts lost: made anew, equal to fresh ones",
            until: Until::Jobs(4),
            job: lost_parts,
        },
        Bar {
            names: &["C6"],
            tries: "bodies that look like records, markers, zeros: read back as they were, after a crash too",
            until: Until::Jobs(200),
            job: disguises,
        },
    ]
}

/// One closed, one killed, and so on.
fn aged(job: &Job<'_>) -> Aged {
    let seed = job.shared_seed();
    if job.number.is_multiple_of(2) { Aged::closed(seed) } else { Aged::killed(seed) }
}

fn tell(job: &Job<'_>, came: Came) -> Result<(), String> {
    job.met(format!("{came:?}"), 1);
    match came {
        Came::Served => Err("a damaged record was served".into()),
        _ => Ok(()),
    }
}

fn bad_records(job: &Job<'_>) {
    let aged = aged(job);
    let mut dice = Dice::new(job.shared_seed());
    for taken in &aged.log.taken {
        let bits = some_bits(taken, &mut dice);
        for bit in bits.into_iter().step_by(6) {
            for looked_at in [false, true] {
                let copy = || if looked_at { aged.copy_looked_at() } else { aged.copy() };
                job.case(&format!("bit {bit}, looked at: {looked_at}, refused"), |_| {
                    let disk = copy();
                    let hurt = flip(&disk, bit);
                    tell(job, judge(&disk, &aged, hurt)?)
                });
                job.case(&format!("bit {bit}, looked at: {looked_at}, first broken"), |_| {
                    let disk = copy();
                    let hurt = flip(&disk, bit);
                    match judge(&disk.kill(), &aged, hurt)? {
                        // Where nobody looks when opening, the reader is told.
                        Came::Located => Ok(()),
                        _ => judge_first_broken(&disk, &aged, hurt),
                    }
                });
            }
        }
        for bit in some_bits(taken, &mut dice).into_iter().step_by(6) {
            let durable = taken.position.end() <= aged.marked;
            job.case(&format!("bit {bit}, quarantined"), |_| {
                let disk = aged.copy();
                let hurt = flip(&disk, bit);
                let mend = |disk: &SimDisk| {
                    flip(disk, bit);
                };
                // Above the mark it may be cut as a tail, and is not there to be put back.
                let mend = durable.then_some(&mend as &dyn Fn(&SimDisk));
                let seen = quarantined::judge(&disk, &aged, &[hurt], mend)?;
                job.met(if seen.parts.is_empty() { "cut as a tail" } else { "quarantined" }, 1);
                Ok(())
            });
        }
        if job.is_over() {
            return;
        }
    }
}

fn bad_pages(job: &Job<'_>) {
    const PAGE: usize = 4096;
    let aged = aged(job);
    let end = aged.log.end().0 as usize;
    let pages = end.div_ceil(PAGE);
    let page =
        |number: usize| aged.log.bytes.get(number * PAGE..((number + 1) * PAGE).min(end)).unwrap_or_default();
    for number in 0..pages {
        for kind in ["zeroed", "swapped", "doubled", "stale", "another segment's"] {
            job.case(&format!("page {number} {kind}"), |dice| {
                let disk = if dice.percent(50) { aged.copy() } else { aged.copy_looked_at() };
                let at = (number * PAGE) as u64;
                let base = at / SEGMENT_BYTES * SEGMENT_BYTES;
                let own = page(number);
                let neighbour = if number + 1 < pages && (at + 4096) < base + SEGMENT_BYTES {
                    number + 1
                } else {
                    number
                };
                let put: Vec<u8> = match kind {
                    "zeroed" => vec![0; own.len()],
                    "swapped" | "doubled" => page(neighbour).to_vec(),
                    // As before its last sectors were written.
                    "stale" => [&own[..own.len() / 1024 * 512], &vec![0; own.len() - own.len() / 1024 * 512]]
                        .concat(),
                    _ => page((number + SEGMENT_BYTES as usize / PAGE) % pages).to_vec(),
                };
                let put = &put[..put.len().min(own.len())];
                let mut hurt = Hurt { from: at, to: at + put.len() as u64 };
                disk.overwrite(segment_path(base), at - base, put).map_err(|e| e.to_string())?;
                let mut changed = put != &own[..put.len()];
                if kind == "swapped" && neighbour != number {
                    let to = &own[..own.len().min(page(neighbour).len())];
                    disk.overwrite(segment_path(base), at - base + 4096, to).map_err(|e| e.to_string())?;
                    hurt.to = at + 4096 + to.len() as u64;
                    changed = true;
                }
                let touched = aged.log.taken.iter().any(|taken| hurt.touches(taken));
                match judge(&disk, &aged, hurt)? {
                    Came::Served if !changed || !touched => Ok(()),
                    // The page holds the same where a record is, and differs where none is.
                    Came::Served if kind == "stale" || kind == "zeroed" => {
                        job.met("same bytes", 1);
                        Ok(())
                    }
                    came => tell(job, came),
                }
            });
        }
        if job.is_over() {
            return;
        }
    }
}

/// Opens with every record, with a typed refusal, or with fewer that were cut as a tail and reported.
fn opens_or_refuses(job: &Job<'_>, disk: &SimDisk, log: &Expected) -> Result<(), String> {
    match Store::open(ROOT, options(disk, &clock(), true)) {
        Err(Error::Corrupt(_) | Error::Foreign { .. } | Error::Geometry { .. }) => {
            job.met("refused, with the place", 1)
        }
        Err(other) => return Err(format!("refused with {other}")),
        Ok(store) => {
            let end = check_log(&store, log)?;
            if end != log.end() && store.recovery().cuts.is_empty() {
                return Err(format!("ends at {end} and says nothing: {}", store.recovery()));
            }
            job.met("opened", 1);
        }
    }
    Ok(())
}

fn lengths(job: &Job<'_>) {
    let (disk, log) = at_rest(Dice::part(job.seed, job.number / 40), true);
    for (path, len) in disk.files() {
        let in_log = path.starts_with(Path::new(ROOT).join("commitlog"));
        let stride = if in_log { 61 } else { 1 };
        let Ok(was) = disk.read_file(&path) else { continue };
        // Forty jobs share the lengths between them.
        for cut in (0..len).step_by(stride).filter(|cut| cut / stride as u64 % 40 == job.number % 40) {
            job.case(&format!("{} cut to {cut} of {len}", path.display()), |_| {
                let copy = disk.kill();
                copy.write_file(&path, was[..cut as usize].to_vec()).map_err(|e| e.to_string())?;
                opens_or_refuses(job, &copy, &log)
            });
        }
        for more in [1, 19, 20, 4096] {
            for kind in ["zeros", "garbage"] {
                job.case(&format!("{} longer by {more} of {kind}", path.display()), |dice| {
                    let copy = disk.kill();
                    let tail = if kind == "zeros" { vec![0; more] } else { dice.bytes(more) };
                    copy.write_file(&path, [&was[..], &tail].concat()).map_err(|e| e.to_string())?;
                    opens_or_refuses(job, &copy, &log)
                });
            }
        }
        if job.is_over() {
            return;
        }
    }
}

fn lost_parts(job: &Job<'_>) {
    let closed = job.number.is_multiple_of(2);
    let (disk, log) = at_rest(job.shared_seed(), closed);
    let (fresh, parts) = (fresh(&disk), at_rest::parts(&disk));
    for subset in 0..1_usize << parts.len() {
        for all_deleted in [true, false] {
            job.case(&format!("subset {subset:#b}, all deleted: {all_deleted}, closed: {closed}"), |dice| {
                let copy = disk.kill();
                let lost = parts.iter().enumerate().filter(|(bit, _)| subset >> bit & 1 == 1);
                let mut of_ours = false;
                for (_, part) in lost {
                    let kinds = [Loss::Deleted, Loss::Emptied, Loss::Cut, Loss::Garbage];
                    let loss = if all_deleted { Loss::Deleted } else { kinds[dice.below(4) as usize] };
                    at_rest::lose(&copy, part, loss, dice);
                    of_ours |= !part.is_javas;
                }
                // Of a killed store a file may be lost that is behind what is known to be whole.
                at_rest::judge(&copy, &log, &fresh, closed.then_some(of_ours))
            });
        }
        if job.is_over() {
            return;
        }
    }
}

/// Bodies that a reader might take for something else.
fn disguise(dice: &mut Dice, log: &[u8]) -> Vec<u8> {
    let mut body = match dice.below(6) {
        0 => vec![0; dice.below(5_000) as usize],
        // A whole record, or the most of one, out of the log itself.
        1 | 2 if !log.is_empty() => {
            let from = dice.below(log.len() as u64) as usize;
            log[from..(from + 1 + dice.below(8_000) as usize).min(log.len())].to_vec()
        }
        // RocketMQ's magic codes, of a record and of a segment's end (spec 2.1, 2.4).
        3 => 0xDAA3_20A7_u32.to_be_bytes().repeat(1 + dice.below(300) as usize),
        4 => [[0, 0, 0, 8], 0xCBD4_3194_u32.to_be_bytes()].concat().repeat(1 + dice.below(300) as usize),
        // The checksum of nothing is 0.
        _ => Vec::new(),
    };
    body.truncate(20_000);
    body
}

fn disguises(job: &Job<'_>) {
    let disk = SimDisk::new();
    let store = Store::open(ROOT, options(&disk, &clock(), false)).unwrap();
    let (mut log, mut dice) = (Expected::default(), Dice::new(job.shared_seed()));
    for _ in 0..100 {
        let message = Message::new("orders", disguise(&mut dice, &log.bytes)).key("AaBB");
        let stored = store.append_and_wait(&message).unwrap();
        log.taken.push(Taken::new(&message, &stored));
        log.read_bytes(&disk, LogOffset(0));
    }
    store.flush().unwrap();
    for keep in 0..log.taken.len() {
        job.case(&format!("cut in record {keep}"), |dice| {
            let cut = disk.power_cut(dice.draw(), sawlog::disk::sim::Survivors::Everything);
            let at = log.taken[keep].position;
            let inside = at.offset.0 + dice.below(u64::from(at.len));
            let base = inside / SEGMENT_BYTES * SEGMENT_BYTES;
            // Everything from there to the segment's end is gone; what is in later segments is not.
            let zeros = vec![0; (base + SEGMENT_BYTES - inside) as usize];
            cut.overwrite(segment_path(base), inside - base, &zeros).map_err(|e| e.to_string())?;
            let found = Store::open(ROOT, options(&cut, &clock(), true).on_damage(OnDamage::FirstBroken));
            let end = check_log(&found.map_err(|e| e.to_string())?, &log)?;
            match end >= at.offset && end.0 <= inside.max(at.end().0) {
                true => Ok(()),
                false => Err(format!("cut at {inside}, the log ends at {end}")),
            }
        });
    }
    job.case("read back", |_| check_log(&store, &log).map(drop));
}
