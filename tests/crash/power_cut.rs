//! The standard workload, cut after every operation and within it: what was promised is there, and nothing else.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use sawlog::LogOffset;
use sawlog::disk::sim::Replay;

use crate::support::expected::Expected;
use crate::support::image::{Image, Stop};
use crate::support::oracle::examine;
use crate::support::quick;
use crate::support::workload::{Size, Workload};

/// Workloads swept by default, and with `SAWLOG_QUICK=1`.
const WORKLOADS: u64 = 3;
const QUICK_WORKLOADS: u64 = 1;
/// At least so many images in all; a shorter workload must not pass unseen.
const LEAST_IMAGES: u64 = 20_000;

/// Makes the image from a walk that stands there, and examines it.
fn check(image: &Image, replay: &Replay, log: &Expected) -> Result<LogOffset, String> {
    let checked =
        catch_unwind(AssertUnwindSafe(|| examine(&image.of(replay), log, image.promised(log), image.seed())));
    let verdict = checked.unwrap_or_else(|_| Err("panicked, see above".into()));
    verdict.map_err(|why| {
        let next = replay.next_op();
        format!(
            "image {image}, before {next:?}: {why}\n\
             again: SAWLOG_IMAGE='{image}' cargo test --test crash power_cut"
        )
    })
}

/// What a sweep has seen.
#[derive(Default)]
struct Tally {
    images: AtomicU64,
    by_stop: Mutex<BTreeMap<Stop, u64>>,
    failures: Mutex<Vec<String>>,
    failed: AtomicU64,
}

fn sweep(workload: u64, tally: &Tally) {
    let work = Workload::run(workload, Size::STANDARD);
    let mut replay = work.disk.replay();
    let mut counts = BTreeMap::new();
    loop {
        for stop in Stop::all() {
            let image = Image { workload, operation: replay.position(), stop };
            *counts.entry(stop).or_insert(0) += 1;
            if let Err(why) = check(&image, &replay, &work.log)
                && tally.failed.fetch_add(1, Ordering::Relaxed) < 5
            {
                tally.failures.lock().unwrap().push(why);
            }
        }
        if replay.step().is_none() {
            break;
        }
    }
    let mut by_stop = tally.by_stop.lock().unwrap();
    for (stop, count) in counts {
        tally.images.fetch_add(count, Ordering::Relaxed);
        *by_stop.entry(stop).or_insert(0) += count;
    }
}

#[test]
fn what_was_acknowledged_is_there_wherever_the_machine_or_the_process_stops() {
    if let Ok(image) = std::env::var("SAWLOG_IMAGE") {
        return check_one(&image);
    }
    let workloads = if quick() { QUICK_WORKLOADS } else { WORKLOADS };
    let (next, tally) = (AtomicU64::new(0), Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let workload = next.fetch_add(1, Ordering::Relaxed);
                    if workload >= workloads {
                        break;
                    }
                    sweep(workload, &tally);
                }
            });
        }
    });
    let (images, failed) = (tally.images.into_inner(), tally.failed.into_inner());
    println!("{images} images of {workloads} workloads: {:?}", tally.by_stop.into_inner().unwrap());
    let failures = tally.failures.into_inner().unwrap().join("\n\n");
    assert!(failed == 0, "{failed} of {images} images failed; the first:\n{failures}");
    assert!(quick() || images >= LEAST_IMAGES, "only {images} images");
}

/// One image again, as its text names it: `workload:operation:stop`.
fn check_one(text: &str) {
    let image = Image::parse(text).expect("workload:operation:stop");
    let work = Workload::run(image.workload, Size::STANDARD);
    let mut replay = work.disk.replay();
    replay.advance_to(image.operation);
    println!("{} records, the image stands before {:?}", work.log.taken.len(), replay.next_op());
    check(&image, &replay, &work.log)
        .map_or_else(|why| panic!("{why}"), |end| println!("the log ends at {end}"));
}

#[test]
fn a_workload_is_the_same_again_for_its_seed() {
    let (one, two) = (Workload::run(3, Size::STANDARD), Workload::run(3, Size::STANDARD));
    assert_eq!(one.disk.fingerprint(), two.disk.fingerprint());
    assert_eq!((one.disk.recorded(), one.log.end()), (two.disk.recorded(), two.log.end()));
    assert!(one.log.bytes == two.log.bytes);
}
