//! Numbers that a file may hold and no honest writer would (promises G5), and clocks that jump (D5).

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sawlog::clock::{HandClock, Timestamp};
use sawlog::disk::sim::{SimDisk, Survivors};
use sawlog::{Error, Store};

use super::super::aged::{Aged, Came, Hurt, judge};
use super::super::at_rest::at_rest;
use super::super::dice::Dice;
use super::super::expected::{Expected, ROOT, SEGMENT_BYTES, segment_path};
use super::super::oracle::{Verdict, check_log};
use super::super::workload::{Size, Workload, clock, options};
use super::{Bar, Job, Until};

/// Jobs that share the words of the files beside the log.
const JOBS: u64 = 10;

pub(super) fn bars() -> Vec<Bar> {
    vec![
        Bar {
            names: &["D5"],
            tries: "an image recovered by clocks at 0, far back, far ahead: the same log",
            until: Until::Cases(4_000),
            job: clocks,
        },
        Bar {
            names: &["G5"],
            tries: "each length and count in each file of a store, with 14 edge values",
            until: Until::Jobs(JOBS),
            job: lengths_that_lie,
        },
    ]
}

fn clocks(job: &Job<'_>) {
    let work = Workload::run(job.shared_seed(), Size::STANDARD);
    let mut replay = work.disk.replay();
    for at in (0..=replay.len()).step_by(5) {
        replay.advance_to(at);
        job.case(&format!("cut at {at}"), |dice| {
            let model = Survivors::ALL[dice.below(5) as usize];
            let cut = replay.power_cut(dice.draw(), model);
            let mut ends = Vec::new();
            for now in [1_700_000_000_000, 0, 1, i64::MAX / 2, dice.below(1 << 50) as i64] {
                let (disk, clock) = (cut.kill(), Arc::new(HandClock::new(Timestamp(now))));
                let store =
                    Store::open(ROOT, options(&disk, &clock, true)).map_err(|e| format!("at {now}: {e}"))?;
                ends.push(check_log(&store, &work.log).map_err(|e| format!("at {now}: {e}"))?);
                clock.turn(Duration::from_secs(1));
                while store.step() {}
            }
            match ends.windows(2).all(|pair| pair[0] == pair[1]) {
                true => Ok(()),
                false => Err(format!("the log's end depends on the clock: {ends:?}")),
            }
        });
        if job.is_over() {
            return;
        }
    }
}

/// What stands at the edges of a signed or unsigned number, for one that should be `honest`.
fn edges(honest: u64) -> [u64; 14] {
    [
        0,
        1,
        honest.wrapping_sub(1),
        honest.wrapping_add(1),
        honest.wrapping_mul(2),
        0x7F,
        0x80,
        0xFF,
        0x7FFF,
        0xFFFF,
        0x7FFF_FFFF,
        0x8000_0000,
        0x7FFF_FFFF_FFFF_FFFF,
        u64::MAX,
    ]
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn lengths_that_lie(job: &Job<'_>) {
    let aged = if job.number.is_multiple_of(2) {
        Aged::closed(job.shared_seed())
    } else {
        Aged::killed(job.shared_seed())
    };
    for taken in &aged.log.taken {
        let at = taken.position.offset.0;
        let body_end = 88 + taken.message.body.len() as u64;
        let topic_bytes = taken.message.topic.as_str().len() as u64;
        // Spec 2.1: the record's length, the body's, the topic's in one byte, the properties' in two.
        for (field, len) in [(0, 4), (84, 4), (body_end, 1), (body_end + 1 + topic_bytes, 2)] {
            let from = (at + field) as usize;
            let was = aged.log.bytes[from..from + len].to_vec();
            for value in edges(number(&was)) {
                let lie = value.to_be_bytes()[8 - len..].to_vec();
                if lie == was {
                    continue;
                }
                job.case(&format!("record at {at}, field {field}: {value}"), |dice| {
                    let disk = if dice.percent(50) { aged.copy() } else { aged.copy_looked_at() };
                    let base = at / SEGMENT_BYTES * SEGMENT_BYTES;
                    disk.overwrite(segment_path(base), at + field - base, &lie).map_err(|e| e.to_string())?;
                    let hurt = Hurt { from: at + field, to: at + field + len as u64 };
                    let came = judge(&disk, &aged, hurt)?;
                    job.met(format!("log: {came:?}"), 1);
                    match came {
                        Came::Served => Err("a damaged record was served".into()),
                        _ => Ok(()),
                    }
                });
            }
        }
        if job.is_over() {
            return;
        }
    }
    beside_the_log(job);
}

/// Every word of four or eight bytes at its place in the files beside the log: ten jobs share the words of one store.
fn beside_the_log(job: &Job<'_>) {
    let (disk, log) = at_rest(Dice::part(job.seed, job.number / JOBS), true);
    let beside =
        disk.files().into_iter().filter(|(path, _)| !path.starts_with(Path::new(ROOT).join("commitlog")));
    for (path, len) in beside {
        let Ok(was) = disk.read_file(&path) else { continue };
        let all = words(&path, len).into_iter().enumerate();
        for (from, width) in all.filter(|(n, _)| *n as u64 % JOBS == job.number % JOBS).map(|(_, word)| word)
        {
            let honest = was[from..from + width].to_vec();
            for value in edges(number(&honest)) {
                let lie = value.to_be_bytes()[8 - width..].to_vec();
                if lie == honest {
                    continue;
                }
                job.case(&format!("{} at {from}: {value}", path.display()), |_| {
                    let copy = disk.kill();
                    copy.overwrite(&path, from as u64, &lie).map_err(|e| e.to_string())?;
                    job.met(opens_with_all_or_refuses(&copy, &log)?, 1);
                    Ok(())
                });
            }
            if job.is_over() {
                return;
            }
        }
    }
}

/// Where numbers stand: in a queue's entries, or every four bytes of the rest.
fn words(path: &Path, len: u64) -> Vec<(usize, usize)> {
    let len = len as usize;
    match path.starts_with(Path::new(ROOT).join("consumequeue")) {
        true => (0..len / 20).flat_map(|entry| [(entry * 20, 8), (entry * 20 + 8, 4)]).collect(),
        false => (0..len / 4).map(|word| (word * 4, 4)).collect(),
    }
}

fn opens_with_all_or_refuses(disk: &SimDisk, log: &Expected) -> Verdict<&'static str> {
    let store = match Store::open(ROOT, options(disk, &clock(), true)) {
        Ok(store) => store,
        Err(Error::Corrupt(_) | Error::Geometry { .. } | Error::Foreign { .. }) => {
            return Ok("beside the log: refused, with the place");
        }
        Err(other) => return Err(format!("refused with {other}")),
    };
    if check_log(&store, log)? != log.end() {
        return Err(format!("the log lost something: {}", store.recovery()));
    }
    for taken in &log.taken {
        match store.queue(taken.message.topic.as_str(), taken.message.queue_id).record_at(taken.queue_offset)
        {
            Ok(record) => taken.check(&record)?,
            Err(Error::Corrupt(_)) => return Ok("beside the log: located when read"),
            Err(other) => return Err(format!("{:?}: {other}", taken.position)),
        }
    }
    Ok("beside the log: harmless")
}
