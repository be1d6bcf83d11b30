//! Recovery itself, cut at its operations, and the recovery from that too: it comes to the same end.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use sawlog::disk::sim::Survivors;

use crate::support::dice::Dice;
use crate::support::expected;
use crate::support::image::{Image, Stop};
use crate::support::nest::{DEEPEST, Nest, Promised};
use crate::support::workload::{Size, Workload};

/// The seeds of the workloads; others than the plain sweep's.
const WORKLOADS: [u64; 2] = [1000, 1001];
/// Every so many operations of a workload an image is taken, in each of these ways.
const STRIDE: usize = 7;
const STOPS: [Stop; 4] = [
    Stop::CutWithin(Survivors::Prefix),
    Stop::Cut(Survivors::Sectors),
    Stop::Cut(Survivors::Bytes),
    Stop::Kill,
];
const LEAST_IMAGES: u64 = 300;
#[derive(Default)]
struct Tally {
    images: AtomicU64,
    by_depth: [AtomicU64; DEEPEST as usize],
    failed: AtomicU64,
    failures: Mutex<Vec<String>>,
}

fn sweep(workload: u64, tally: &Tally) {
    let work = Workload::run(workload, Size::STANDARD);
    let mut replay = work.disk.replay();
    for operation in (0..=replay.len()).step_by(STRIDE) {
        replay.advance_to(operation);
        for stop in STOPS {
            let image = Image { workload, operation, stop };
            let flushed = work.log.end_of_last(|t| t.flushed.is_by(operation));
            let expected::Promised { end: written, dropped } = image.promised(&work.log);
            let promised = Promised { flushed, written, dropped };
            let nest = Nest { log: &work.log, by_depth: &tally.by_depth, settled: stop.loses_power() };
            tally.images.fetch_add(1, Ordering::Relaxed);
            if let Err(why) = nest.go(&image.of(&replay), promised, 1, &mut Dice::new(image.seed()))
                && tally.failed.fetch_add(1, Ordering::Relaxed) < 5
            {
                let text = format!("image {image}, before {:?}: {why}", replay.next_op());
                tally.failures.lock().unwrap().push(text);
            }
        }
    }
}

#[test]
fn a_recovery_that_is_cut_short_is_begun_again_and_comes_to_the_same_end() {
    let tally = Tally::default();
    std::thread::scope(|scope| {
        for workload in WORKLOADS {
            let tally = &tally;
            scope.spawn(move || sweep(workload, tally));
        }
    });
    let (images, failed) = (tally.images.into_inner(), tally.failed.into_inner());
    let depths = tally.by_depth.map(AtomicU64::into_inner);
    println!("{images} recoveries cut {} times, by depth {depths:?}", depths.iter().sum::<u64>());
    let failures = tally.failures.into_inner().unwrap().join("\n\n");
    assert!(failed == 0, "{failed} of {images} images failed; the first:\n{failures}");
    assert!(images >= LEAST_IMAGES, "only {images} images");
    assert!(depths.iter().all(|count| *count > 0), "not nested: {depths:?}");
}
