//! Every operation fails once, and for good: typed errors, no panic, no promise broken, nothing phantom.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use sawlog::disk::sim::{Fault, FaultKind, SimDisk, Survivors};
use sawlog::{LogOffset, Message, Retention, Store};

use crate::support::dice::Dice;
use crate::support::expected::{Promised, ROOT};
use crate::support::fault_case::{Case, is_typed};
use crate::support::image::{Image, Stop};
use crate::support::oracle::{Verdict, examine};
use crate::support::workload::{Size, Workload, clock, options};
use crate::support::{one_in, quick};

/// One call in so many of a recovery fails.
const RECOVERY_CALLS_ONE_IN: u64 = 8;

#[derive(Default)]
struct Tally {
    cases: AtomicU64,
    failed: AtomicU64,
    failures: Mutex<BTreeMap<String, Vec<String>>>,
}

/// Moves the fault further and further until the workload no longer meets it.
fn sweep(start: Case, tally: &Tally) {
    for nth in 1.. {
        let case = Case { nth, ..start };
        let checked = catch_unwind(AssertUnwindSafe(|| case.check()));
        match checked.unwrap_or_else(|_| Err("panicked, see above".into())) {
            Ok(true) => {}
            Ok(false) => break,
            Err(why) => {
                tally.failed.fetch_add(1, Ordering::Relaxed);
                let kind = why.chars().filter(|c| !c.is_ascii_digit()).take(60).collect();
                let mut failures = tally.failures.lock().unwrap();
                failures.entry(kind).or_default().push(format!("{case:?}: {why}"));
            }
        }
        tally.cases.fetch_add(1, Ordering::Relaxed);
        assert!(nth < 3_000, "the sweep does not end");
    }
}

fn sweep_all(starts: Vec<Case>, least_cases: u64) {
    let (next, tally) = (AtomicU64::new(0), Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(start) = starts.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                    sweep(*start, &tally);
                }
            });
        }
    });
    let (cases, failed) = (tally.cases.into_inner(), tally.failed.into_inner());
    println!("{cases} faults in {} sweeps, each until none was met any more", starts.len());
    let kinds = tally.failures.into_inner().unwrap();
    let shown = kinds.values().map(|all| format!("{} like: {}", all.len(), all[0]));
    assert!(failed == 0, "{failed} of {cases} cases failed:\n{}", shown.collect::<Vec<_>>().join("\n\n"));
    assert!(quick() || cases >= least_cases, "only {cases} cases");
}

fn workloads() -> std::ops::Range<u64> {
    if quick() { 0..1 } else { 0..2 }
}

/// Every kind of fault meets one workload or another; all of them all with `SAWLOG_FULL=1`.
fn dealt(starts: Vec<Case>, hands: u64) -> Vec<Case> {
    let hands = one_in(hands);
    let mut mine = Vec::new();
    for same in starts.chunk_by(|a, b| a.workload == b.workload) {
        let kinds = same.iter().zip(same[0].workload..);
        mine.extend(kinds.filter(|(_, number)| number.is_multiple_of(hands)).map(|(start, _)| *start));
    }
    mine
}

#[test]
fn every_call_fails_once_and_for_good() {
    let mut starts = Vec::new();
    for workload in workloads() {
        for error in [FaultKind::Eio, FaultKind::Enospc, FaultKind::ShortWrite(100)] {
            for fault in [Fault::once(error), Fault::persistent(error)] {
                starts.push(Case { workload, syncs: false, nth: 1, fault, reverts: false });
            }
        }
    }
    sweep_all(dealt(starts, 2), 1_000);
}

#[test]
fn every_sync_fails_once_and_for_good_and_the_cache_may_forget() {
    let mut starts = Vec::new();
    for workload in workloads().start..workloads().end * 3 {
        for error in [FaultKind::Eio, FaultKind::Enospc, FaultKind::Edquot, FaultKind::Erofs] {
            for (fault, reverts) in [Fault::once(error), Fault::persistent(error)]
                .into_iter()
                .flat_map(|fault| [(fault, false), (fault, true)])
            {
                starts.push(Case { workload, syncs: true, nth: 1, fault, reverts });
            }
        }
    }
    sweep_all(dealt(starts, 4), 300);
}

/// Opens an image with a fault at every call of it; then without one, and judges as ever.
fn sweep_recovery(work: &Workload, image: &SimDisk, promised: Promised, start: Case) -> Verdict<u64> {
    let (mut nth, mut cases, mut dice) = (0, 0, Dice::new(start.seed()));
    loop {
        nth += 1 + dice.below(one_in(RECOVERY_CALLS_ONE_IN) * 2 - 1);
        cases += 1;
        let case = Case { nth, ..start };
        let disk = image.kill();
        disk.revert_after_failed_sync(case.reverts.then_some(case.seed()));
        disk.fail_at(nth, case.fault);
        let opened = Store::open(ROOT, options(&disk, &clock(), nth.is_multiple_of(2)));
        let fired = disk.faults_fired() > 0;
        match opened {
            Err(error) if fired && is_typed(&error) => {}
            Err(error) => return Err(format!("{case:?}: opening: {error}")),
            Ok(_) if !fired => return Ok(cases),
            Ok(store) => drop(store),
        }
        disk.clear_faults();
        let verdict = examine(&disk, &work.log, promised, case.seed());
        verdict.map_err(|e| format!("{case:?}: {e}"))?;
    }
}

#[test]
fn every_call_of_a_recovery_fails_and_the_next_one_ends_well() {
    let mut work = Workload::run(2001, Size::STANDARD);
    let mut replay = work.disk.replay();
    let (mut cases, mut failures) = (0, Vec::new());
    for operation in (0..=replay.len()).step_by(9) {
        replay.advance_to(operation);
        for stop in [Stop::Cut(Survivors::Bytes), Stop::Cut(Survivors::Sectors), Stop::KillWithin] {
            let image = Image { workload: 2001, operation, stop };
            let reverts = image.seed().is_multiple_of(2);
            // What was merely written is lost where the cache forgets.
            let promised = match reverts {
                true => work.log.promised(work.log.end_of_last(|t| t.flushed.is_by(operation)), operation),
                false => image.promised(&work.log),
            };
            let start =
                Case { workload: 2001, syncs: false, nth: 1, fault: Fault::once(FaultKind::Eio), reverts };
            match sweep_recovery(&work, &image.of(&replay), promised, start) {
                Ok(many) => cases += many,
                Err(why) => failures.push(format!("image {image}, {why}")),
            }
        }
    }
    drop(work.take_store());
    println!("{cases} faults in recoveries");
    let shown = failures.iter().take(4).cloned().collect::<Vec<_>>().join("\n\n");
    assert!(failures.is_empty(), "{} images failed:\n{shown}", failures.len());
    assert!(cases >= 1_000, "only {cases} cases");
}

#[test]
fn a_full_disk_refuses_and_takes_again_when_there_is_room() {
    for sync in [false, true] {
        let disk = SimDisk::new();
        disk.capacity_bytes(200 << 10);
        let clock = clock();
        // Retention would make room, and the disk never fill.
        let kept = options(&disk, &clock, sync).retention(Retention::keep_all());
        let store = Store::open(ROOT, kept).unwrap();
        let message = Message::new("orders", vec![1; 3_000]);
        let mut stored = 0;
        let error = loop {
            match store.append_and_wait(&message) {
                Ok(_) => stored += 1,
                Err(error) => break error,
            }
            store.step();
        };
        assert!(error.is_full(), "{error}");
        assert!(store.failure().is_none());
        for _ in 0..5 {
            clock.turn(std::time::Duration::from_secs(2));
            store.step();
            assert!(store.append(&message).unwrap_err().is_full());
        }
        // Room is enough: no restart.
        disk.capacity_bytes(1 << 20);
        store.append_and_wait(&message).unwrap();
        assert_eq!(store.scan(LogOffset(0)).count(), stored + 1);
        store.close().unwrap();
        let again = Store::open(ROOT, options(&disk, &clock, sync)).unwrap();
        assert_eq!(again.scan(LogOffset(0)).count(), stored + 1);
        assert!(again.recovery().clean_shutdown);
    }
}
