//! Failing calls: every one of the standard workload, once and for good, with each error (promises B1, B3 and D1),
//! and a page of a sealed segment that cannot be read (B5).

use sawlog::disk::sim::{Aim, Fault, FaultKind, OpKind, SimDisk};
use sawlog::{Error, Message, Position, Store};

use super::super::dice::Dice;
use super::super::expected::{ROOT, segment_path};
use super::super::fault_case::Case;
use super::super::workload::{clock, options};
use super::{Bar, Form, Job, Until};

const ERRORS: [FaultKind; 4] = [FaultKind::Eio, FaultKind::Enospc, FaultKind::Edquot, FaultKind::Erofs];
const SHORT: [FaultKind; 3] =
    [FaultKind::ShortWrite(0), FaultKind::ShortWrite(100), FaultKind::ShortWrite(5_000)];

/// What a busy or interrupted system answers, and reads that end early. The real disk's door goes on after the first
/// two by itself; here they come through it.
const PASSING: [FaultKind; 6] = [
    FaultKind::Eintr,
    FaultKind::Eagain,
    FaultKind::ShortRead(0),
    FaultKind::ShortRead(7),
    FaultKind::ShortRead(5_000),
    FaultKind::ShortWrite(7),
];

/// A kind of fault that is moved through a whole workload.
const SYNC_SWEEPS: u64 = 4 * 2 * 2;
const CALL_SWEEPS: u64 = (4 + 3) * 2;
const PASSING_SWEEPS: u64 = 6 * 2;

pub(super) fn bars() -> Vec<Bar> {
    vec![
        Bar {
            names: &["B1"],
            tries: "every sync fails once and for good, EIO, ENOSPC, EDQUOT, EROFS; the cache keeps or forgets",
            until: Until::Jobs(SYNC_SWEEPS * 2),
            job: syncs,
        },
        Bar {
            names: &["B3", "D1"],
            tries: "every call fails once and for good, the same errors and short writes, until none is met",
            until: Until::Jobs(CALL_SWEEPS),
            job: calls,
        },
        Bar {
            names: &["B4"],
            tries: "every call is interrupted or told to come again, every read and write ends early",
            until: Until::Jobs(PASSING_SWEEPS),
            job: passing,
        },
        Bar {
            names: &["B5"],
            tries: "each page of a sealed segment of 64 MiB cannot be read",
            until: Until::Jobs(16),
            job: unreadable_pages,
        },
    ]
}

fn syncs(job: &Job<'_>) {
    let kind = job.number % SYNC_SWEEPS;
    let error = ERRORS[(kind / 4) as usize];
    let fault = if kind.is_multiple_of(2) { Fault::once(error) } else { Fault::persistent(error) };
    // The workloads of one round are the same, so that errors can be compared.
    let workload = Dice::part(job.seed, job.number / SYNC_SWEEPS);
    until_none_is_met(job, Case { workload, syncs: true, nth: 1, fault, reverts: kind / 2 % 2 == 1 });
}

fn calls(job: &Job<'_>) {
    let kind = job.number % CALL_SWEEPS;
    let error = [&ERRORS[..], &SHORT[..]].concat()[(kind / 2) as usize];
    let fault = if kind.is_multiple_of(2) { Fault::once(error) } else { Fault::persistent(error) };
    let workload = Dice::part(job.seed, job.number / CALL_SWEEPS);
    until_none_is_met(job, Case { workload, syncs: false, nth: 1, fault, reverts: false });
}

fn passing(job: &Job<'_>) {
    let kind = job.number % PASSING_SWEEPS;
    let error = PASSING[(kind / 2) as usize];
    let fault = if kind.is_multiple_of(2) { Fault::once(error) } else { Fault::persistent(error) };
    let workload = Dice::part(job.seed, job.number / PASSING_SWEEPS);
    until_none_is_met(job, Case { workload, syncs: false, nth: 1, fault, reverts: false });
}

fn until_none_is_met(job: &Job<'_>, start: Case) {
    let mut nth = 0;
    let mut is_met = true;
    while is_met && !job.is_over() {
        nth += 1;
        let case = Case { nth, ..start };
        // The short form tries every sixth one, and sees the end a little later.
        if job.form == Form::Short && nth % 6 != 0 {
            job.skip();
            continue;
        }
        job.case(&format!("{case:?}"), |_| match case.check() {
            Ok(met) => {
                is_met = met;
                Ok(())
            }
            // A fault that does harm was met.
            Err(why) => Err(why),
        });
        assert!(nth < 20_000, "the sweep does not end");
    }
}

const SEALED_BYTES: u64 = 64 << 20;
const PAGE_BYTES: u64 = 4096;

/// A sixteenth of the pages of a sealed segment, one after the other: what lies on the page is a typed error that
/// names its place, what lies beside it is read.
fn unreadable_pages(job: &Job<'_>) {
    let disk = SimDisk::new();
    let mut dice = Dice::new(job.shared_seed());
    let store = Store::open(ROOT, options(&disk, &clock(), false).segment_bytes(SEALED_BYTES)).unwrap();
    let mut places: Vec<Position> = Vec::new();
    while places.last().is_none_or(|last| last.offset.0 < SEALED_BYTES) {
        let body_bytes = 8_000 + dice.below(12_000) as usize;
        let message = Message::new("orders", vec![places.len() as u8; body_bytes]);
        places.push(store.append_and_wait(&message).unwrap().position);
    }
    store.close().unwrap();
    let store = Store::open(ROOT, options(&disk, &clock(), true).segment_bytes(SEALED_BYTES)).unwrap();
    let pages = SEALED_BYTES / PAGE_BYTES;
    for page in (job.number % 16..pages).step_by(16) {
        let bytes = page * PAGE_BYTES..(page + 1) * PAGE_BYTES;
        let aim = Aim::anything()
            .kind(OpKind::Read)
            .path(segment_path(0).display().to_string())
            .bytes(bytes.clone());
        job.case(&format!("page {page}"), |_| {
            disk.fail_at_aimed(aim.clone(), 1, Fault::persistent(FaultKind::Eio));
            let first = places.partition_point(|p| p.end().0 <= bytes.start).saturating_sub(1);
            let mut verdict = Ok(());
            for place in places[first..].iter().take_while(|p| p.offset.0 < bytes.end + PAGE_BYTES) {
                let hit = place.offset.0 < bytes.end && bytes.start < place.end().0;
                verdict = match (store.record_at(place.offset), hit) {
                    (Err(Error::Io { .. }), true) | (Ok(_), false) => verdict,
                    (other, _) => Err(format!("{place:?}: {:?}", other.map(|r| r.position))),
                };
            }
            disk.clear_faults();
            verdict.and_then(|()| match store.failure() {
                None => Ok(()),
                Some(failure) => Err(format!("the store failed of it: {failure}")),
            })
        });
        if job.is_over() {
            return;
        }
    }
}
