//! Appends by policy and number of producers, on the disk that `SAWLOG_BENCH_DIR` names, beside the plain loop; and what
//! one append takes where segments roll all the time, beside the least that a log can do.
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

/// A segment is full after 200 ms at this pace.
const ROLL_SEGMENT_BYTES: u64 = 32 << 20;
const ROLL_EVERY: Duration = Duration::from_millis(200);

/// Appends at a steady pace until so many segments are full. How long each append took, in nanoseconds, sorted.
///
/// A producer that waits for the next turn of the clock spins: sleeping would be measured with the append.
fn at_a_pace(bodies: &[Bytes], segments: u64, mut append: impl FnMut(&Bytes)) -> Vec<u64> {
    let count = segments * ROLL_SEGMENT_BYTES / BODY_BYTES as u64;
    let pace = ROLL_EVERY.as_secs_f64() * BODY_BYTES as f64 / ROLL_SEGMENT_BYTES as f64;
    let mut took = Vec::with_capacity(count as usize);
    let began = Instant::now();
    for (n, body) in (0..count).zip(bodies.iter().cycle()) {
        let due = Duration::from_secs_f64(pace * n as f64);
        let mut now = began.elapsed();
        while now < due {
            std::hint::spin_loop();
            now = began.elapsed();
        }
        append(body);
        took.push((began.elapsed() - now).as_nanos() as u64);
    }
    took.sort_unstable();
    took
}

fn rolling_store(bodies: &[Bytes], segments: u64) -> Vec<u64> {
    let folder = support::folder_quietly();
    let options = Options::new().flush(AsyncFlush::default()).segment_bytes(ROLL_SEGMENT_BYTES);
    let store = Store::open(folder.path(), options).expect("a store");
    let took = at_a_pace(bodies, segments, |body| {
        let message = Message::new("bench", body.clone());
        store.append(&message).expect("appended").forget();
    });
    assert!(store.marks().accepted.0 / ROLL_SEGMENT_BYTES >= segments, "it rolled");
    store.close().expect("an orderly end");
    took
}

fn rolling_raw(bodies: &[Bytes], segments: u64) -> Vec<u64> {
    let folder = support::folder_quietly();
    let mut raw = support::raw::Raw::new(&folder.path().join("raw"), ROLL_SEGMENT_BYTES);
    let took = at_a_pace(bodies, segments, |body| raw.append(body));
    assert!(raw.segments() >= segments, "it rolled");
    raw.finish();
    took
}

/// Not criterion's: what counts is the slowest append in a thousand, which a mean hides. Rounds alternate, and each
/// figure is the median over the rounds.
fn rolls(c: &mut Criterion) {
    let _ = c;
    let is_smoke = std::env::args().any(|argument| argument == "--test");
    let (rounds, segments) = if is_smoke { (1, 2) } else { (7, 15) };
    let bodies = support::bodies(BODY_BYTES);
    // Called once before it counts: memory and file system are warm then.
    let mut sides = [
        ("sawlog", rolling_store as fn(&[Bytes], u64) -> Vec<u64>, Vec::new()),
        ("raw", rolling_raw, Vec::new()),
    ];
    for round in 0..=rounds {
        for (_, side, all) in &mut sides {
            let took = side(&bodies, segments);
            if round > 0 || is_smoke {
                let at = |per_mille: usize| took[(took.len() * per_mille / 1000).min(took.len() - 1)];
                all.push([at(500), at(990), at(999), at(1000)]);
            }
        }
    }
    let rate = ROLL_SEGMENT_BYTES as f64 / ROLL_EVERY.as_secs_f64() / 1e6;
    eprintln!(
        "append/rolls: {rate:.0} MB/s of 1 KiB, a roll every {ROLL_EVERY:?}, medians of {rounds} rounds, in microseconds"
    );
    eprintln!("{:>8} {:>10} {:>10} {:>10} {:>10}", "", "p50", "p99", "p99.9", "max");
    for (name, _, all) in &mut sides {
        let median = |of: usize| {
            let mut values: Vec<_> = all.iter().map(|figures: &[u64; 4]| figures[of]).collect();
            values.sort_unstable();
            values[values.len() / 2] as f64 / 1e3
        };
        let [p50, p99, p999, max] = [0, 1, 2, 3].map(median);
        eprintln!("{name:>8} {p50:>10.2} {p99:>10.2} {p999:>10.2} {max:>10.1}");
    }
}

criterion_group!(benches, sync_flush, async_flush, rolls);
criterion_main!(benches);
