//! Appends by policy and number of producers, on the disk that `SAWLOG_BENCH_DIR` names, beside the plain loop.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "a bench measures time and may stop at the first surprise"
)]

use std::sync::Barrier;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sawlog::flush::{AsyncFlush, SyncFlush};
use sawlog::{Message, Options, Store};

mod support;

const BODY_BYTES: usize = 1024;

fn store(folder: &tempfile::TempDir, options: Options) -> Store {
    Store::open(folder.path().join("store"), options.segment_bytes(256 << 20)).expect("a store")
}

/// `count` appends shared by `producers` threads, timed from the moment all of them are ready.
fn produce(store: &Store, bodies: &[Bytes], producers: u64, count: u64, durable: bool) -> Duration {
    let ready = Barrier::new(producers as usize + 1);
    std::thread::scope(|scope| {
        for producer in 0..producers {
            let share = count / producers + u64::from(producer < count % producers);
            let ready = &ready;
            scope.spawn(move || {
                ready.wait();
                for n in 0..share {
                    let body = bodies[n as usize % bodies.len()].clone();
                    let message = Message::new("bench", body).queue((producer % 4) as u32);
                    if durable {
                        store.append_and_wait(&message).expect("durable");
                    } else {
                        store.append(&message).expect("appended").forget();
                    }
                }
            });
        }
        ready.wait();
        Instant::now()
    })
    .elapsed()
}

fn sync_flush(c: &mut Criterion) {
    let bodies = support::bodies(BODY_BYTES);
    let mut group = c.benchmark_group("append/sync");
    group.throughput(Throughput::Bytes(BODY_BYTES as u64)).sample_size(20);
    group.measurement_time(Duration::from_secs(4));
    let folder = support::folder();
    let mut plain = support::PlainLoop::new(folder.path());
    let mut next = bodies.iter().cycle();
    group.bench_function("plain loop", |b| b.iter(|| plain.append(next.next().unwrap())));
    let store = store(&folder, Options::new().flush(SyncFlush));
    for producers in [1, 16, 64] {
        group.bench_function(format!("{producers} producers"), |b| {
            b.iter_custom(|count| produce(&store, &bodies, producers, count, true));
        });
    }
    group.finish();
    store.close().expect("an orderly end");
}

fn async_flush(c: &mut Criterion) {
    let bodies = support::bodies(BODY_BYTES);
    let mut group = c.benchmark_group("append/async");
    group.throughput(Throughput::Bytes(BODY_BYTES as u64)).sample_size(20);
    group.measurement_time(Duration::from_secs(4));
    for producers in [1, 4] {
        let folder = support::folder();
        let store = store(&folder, Options::new().flush(AsyncFlush::default()));
        group.bench_function(format!("{producers} producers"), |b| {
            b.iter_custom(|count| produce(&store, &bodies, producers, count, false));
        });
        store.close().expect("an orderly end");
    }
    group.finish();
}

criterion_group!(benches, sync_flush, async_flush);
criterion_main!(benches);
