//! Every schedule of two or three threads over the store's own files: watermark, workers, group commit, roll-over,
//! retention, closing.
//!
//! The rooms below are the crate's files, compiled over loom's locks and atomics (`sync.rs` here in place of its own).
//! `cargo run --release` runs all models, or those whose names hold the first argument; a schedule that breaks a
//! promise ends it with the trace. A thread that would wait for ever is a deadlock, and loom says so.
#![allow(dead_code, unused_imports, unreachable_pub, reason = "the models need a part of each file")]

#[path = "../../src/clock/mod.rs"]
mod clock;
#[path = "../../src/commit_log/mod.rs"]
mod commit_log;
#[path = "../../src/disk/mod.rs"]
mod disk;
#[path = "../../src/error.rs"]
mod error;
#[path = "../../src/flush/mod.rs"]
mod flush;
#[path = "../../src/histogram.rs"]
mod histogram;
#[path = "../../src/layout.rs"]
mod layout;
#[path = "../../src/message/mod.rs"]
mod message;
mod models;
#[path = "../../src/offset.rs"]
mod offset;
#[path = "../../src/segment/mod.rs"]
mod segment;
mod sync;
#[path = "../../src/trace.rs"]
mod trace;
#[path = "../../src/worker.rs"]
mod worker;

fn main() {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    for (name, preemptions, model) in models::ALL.iter().filter(|(name, ..)| name.contains(&wanted)) {
        let began = std::time::Instant::now();
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(*preemptions);
        builder.max_branches = 100_000;
        let schedules = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
        let count = std::sync::Arc::clone(&schedules);
        builder.check(move || {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            model();
        });
        let schedules = schedules.load(std::sync::atomic::Ordering::Relaxed);
        println!("{name}: {schedules} schedules, at most {preemptions} preemptions, {:?}", began.elapsed());
    }
}
