//! Opening: after an orderly end, after a kill just behind a flush, and where nothing but the log is left, so that every
//! record is checked and all queues are made anew. The store lies where `SAWLOG_BENCH_DIR` says.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    reason = "a bench measures time and may stop at the first surprise"
)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sawlog::{Message, Options, Store};

mod support;

const SEGMENT_BYTES: u64 = 64 << 20;
const BODY_BYTES: usize = 1024;
/// With what RocketMQ's format adds, about one and a half segments.
const MESSAGES: u64 = 84_000;

fn options() -> Options {
    Options::new().segment_bytes(SEGMENT_BYTES)
}

/// A store of [`MESSAGES`] messages that is closed, what a kill would have left beside its log, and the log's length.
fn filled(folder: &Path) -> (PathBuf, PathBuf, u64) {
    let (path, killed) = (folder.join("store"), folder.join("killed"));
    let store = Store::open(&path, options()).expect("a store");
    for (body, n) in support::bodies(BODY_BYTES).iter().cycle().zip(0..MESSAGES) {
        let queue = u32::try_from(n % 8).expect("few");
        store.append(&Message::new("recover", body.clone()).queue(queue)).expect("appended").forget();
    }
    let end = store.flush().expect("flushed");
    store.dispatched().reach(end).wait().expect("dispatched");
    copy_beside_log(&path, &killed);
    store.close().expect("an orderly end");
    (path, killed, end.0)
}

/// All of a store but its log, which neither a kill nor opening changes here.
fn copy_beside_log(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").map(|entry| entry.expect("an entry")) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type().expect("a kind").is_dir() {
            true if entry.file_name() == "commitlog" => {}
            true => copy_beside_log(&from, &to),
            // A file may be on its way to its name.
            false => drop(std::fs::copy(&from, &to)),
        }
    }
}

fn remove_beside_log(path: &Path) {
    for entry in std::fs::read_dir(path).expect("a folder").map(|entry| entry.expect("an entry")) {
        match entry.file_type().expect("a kind").is_dir() {
            true if entry.file_name() == "commitlog" => {}
            true => std::fs::remove_dir_all(entry.path()).expect("removed"),
            false => std::fs::remove_file(entry.path()).expect("removed"),
        }
    }
}

/// How long opening takes; `before` is done to the folder each time, and not counted.
fn opening(path: &Path, rounds: u64, before: impl Fn()) -> Duration {
    let mut took = Duration::ZERO;
    for _ in 0..rounds {
        before();
        let began = Instant::now();
        let store = Store::open(path, options()).expect("the store");
        took += began.elapsed();
        store.close().expect("an orderly end");
    }
    took
}

fn recover(c: &mut Criterion) {
    let folder = support::folder();
    let (path, killed, log_bytes) = filled(folder.path());
    let mut group = c.benchmark_group("recover");
    group.sample_size(10).measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_secs(1));
    group.bench_function(BenchmarkId::new("orderly end", log_bytes), |b| {
        b.iter_custom(|rounds| opening(&path, rounds, || {}));
    });
    group.bench_function(BenchmarkId::new("killed", log_bytes), |b| {
        b.iter_custom(|rounds| {
            opening(&path, rounds, || {
                remove_beside_log(&path);
                copy_beside_log(&killed, &path);
            })
        });
    });
    group.throughput(Throughput::ElementsAndBytes { elements: MESSAGES, bytes: log_bytes });
    group.bench_function(BenchmarkId::new("the log alone", log_bytes), |b| {
        b.iter_custom(|rounds| opening(&path, rounds, || remove_beside_log(&path)));
    });
    group.finish();
}

criterion_group!(benches, recover);
criterion_main!(benches);
