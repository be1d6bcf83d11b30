//! What an ASYNC_FLUSH store loses in a power cut: a suffix, no older than its policy says (promises A6).

use std::time::Duration;

use sawlog::clock::HandClock;
use sawlog::disk::sim::{SimDisk, Survivors};
use sawlog::flush::AsyncFlush;
use sawlog::{Message, Store};

use super::super::dice::Dice;
use super::super::expected::{Expected, ROOT, Taken, When};
use super::super::oracle::open;
use super::super::workload::{clock, options};
use super::{Bar, Job, Until};

/// How often the policy is asked here: with threads, the flusher sleeps exactly as long as the policy says.
const TURN: Duration = Duration::from_millis(50);

pub(super) fn bars() -> Vec<Bar> {
    vec![Bar {
        names: &["A6"],
        tries: "ASYNC_FLUSH cut everywhere: what is lost is a suffix, and its age",
        until: Until::Cases(20_000),
        job: age_of_what_is_lost,
    }]
}

/// A record, and when it was appended, by operations and by the clock.
struct Dated {
    taken: When,
    at: Duration,
}

/// Appends at the pace of a dice, looked after every [`TURN`].
fn run(disk: &SimDisk, dice: &mut Dice) -> (Expected, Vec<Dated>, Vec<(usize, Duration)>) {
    let clock: std::sync::Arc<HandClock> = clock();
    let store = Store::open(ROOT, options(disk, &clock, false)).unwrap();
    let (mut log, mut dated, mut turns, mut now) =
        (Expected::default(), Vec::new(), Vec::new(), Duration::ZERO);
    let busy = dice.percent(50);
    for _ in 0..if busy { 60 } else { 400 } {
        if dice.percent(if busy { 80 } else { 8 }) {
            let body_bytes = dice.below(if busy { 6_000 } else { 300 }) as usize;
            let message = Message::new("orders", dice.bytes(body_bytes)).queue(dice.below(4) as u32);
            let stored = store.append_and_wait(&message).unwrap();
            dated.push(Dated { taken: When::at(disk.recorded()), at: now });
            log.taken.push(Taken::new(&message, &stored));
        }
        now += TURN;
        clock.turn(TURN);
        while store.step() {}
        turns.push((disk.recorded(), now));
    }
    log.read_bytes(disk, log.end());
    (log, dated, turns)
}

fn age_of_what_is_lost(job: &Job<'_>) {
    let disk = SimDisk::recording();
    let (log, dated, turns) = run(&disk, &mut Dice::new(job.shared_seed()));
    let policy = AsyncFlush::default();
    let mut replay = disk.replay();
    for at in 0..=replay.len() {
        replay.advance_to(at);
        // The time when this operation had been done and no other.
        let now =
            turns.iter().find(|(operations, _)| *operations >= at).map_or(Duration::ZERO, |(_, now)| *now);
        for model in Survivors::ALL {
            job.case(&format!("cut at {at}, {model:?}"), |dice| {
                let cut = replay.power_cut(dice.draw(), model);
                let opened = open(&cut, dice.percent(50), &log, sawlog::LogOffset(0))?;
                let acknowledged = dated.iter().take_while(|dated| dated.taken.is_by(at)).count();
                let kept = log.up_to(opened.end).len();
                let lost = dated.get(kept..acknowledged).unwrap_or_default();
                let bytes: u64 =
                    log.taken[kept..acknowledged.max(kept)].iter().map(|t| u64::from(t.position.len)).sum();
                let age = lost.first().map_or(Duration::ZERO, |oldest| now.saturating_sub(oldest.at));
                let bound = if bytes >= policy.least_bytes { policy.interval } else { policy.at_latest };
                job.met(format!("oldest lost {}", class(age, lost.is_empty())), 1);
                match age <= policy.at_latest + TURN
                    && (bytes < 2 * policy.least_bytes || age <= bound + TURN)
                {
                    true => Ok(()),
                    false => {
                        Err(format!("lost {bytes} bytes, the oldest {age:?} old; {bound:?} is the bound"))
                    }
                }
            });
        }
        if job.is_over() {
            return;
        }
    }
}

fn class(age: Duration, nothing: bool) -> &'static str {
    match age.as_millis() {
        _ if nothing => "0 (nothing lost)",
        0..=100 => "to 0.1 s",
        101..=550 => "to 0.55 s",
        551..=2_000 => "to 2 s",
        2_001..=5_000 => "to 5 s",
        _ => "to 10.05 s",
    }
}
