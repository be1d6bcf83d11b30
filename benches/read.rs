//! Reading: in queue order, by pull, by tag, by time, by key and by place, through both disks, from warm memory. The
//! store lies where `SAWLOG_BENCH_DIR` says.
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

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use sawlog::disk::{Disk, MappedDisk, OsDisk};
use sawlog::{Bound, Fetch, Filter, LogOffset, Message, Options, Queue, QueueOffset, Store};

mod support;

/// Messages of the queue that is read; as many again lie between them, in another one.
const MESSAGES: u64 = 50_000;
/// One of so many carries the tag that is looked for.
const RARE: u64 = 100;
/// As many as RocketMQ's pull takes at most from memory.
const PULL: u32 = 32;
/// An odd step that visits every message before it comes back: look-ups jump through the store.
const STEP: u64 = 30_011;

/// A store with its queue, and the places of the queue's messages in the log.
struct Bench {
    store: Store,
    queue: Queue,
    places: Vec<LogOffset>,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new<D: Disk + 'static>(disk: impl Fn() -> D, body_bytes: usize) -> Bench {
        let folder = support::folder();
        let options = || Options::new().disk(disk()).segment_bytes(64 << 20);
        let path = folder.path().join("store");
        let store = Store::open(&path, options()).expect("a store");
        let bodies = support::bodies(body_bytes);
        let mut places = Vec::new();
        for (n, body) in (0..MESSAGES).zip(bodies.iter().cycle()) {
            let tag = if n % RARE == 0 { "rare" } else { "common" };
            for queue in 0..2 {
                let message =
                    Message::new("bench", body.clone()).queue(queue).tag(tag).unique_key(&key(queue, n));
                let ack = store.append(&message).expect("appended");
                if queue == 0 {
                    places.push(ack.position().offset);
                }
                ack.forget();
            }
        }
        let end = store.flush().expect("flushed");
        store.dispatched().reach(end).wait().expect("dispatched");
        // Opened again, so that entries are read from files, not from what the recorder has not written yet.
        store.close().expect("an orderly end");
        let store = Store::open(&path, options()).expect("the same store");
        let queue = store.queue("bench", 0);
        Bench { store, queue, places, _folder: folder }
    }
}

fn key(queue: u32, n: u64) -> String {
    format!("{queue:08X}{n:016X}")
}

fn each(count: u64, body_bytes: usize) -> Throughput {
    Throughput::ElementsAndBytes { elements: count, bytes: count * body_bytes as u64 }
}

/// Numbers of messages, far from each other, for ever.
fn jumps() -> impl Iterator<Item = u64> {
    (0_u64..).map(|n| n.wrapping_mul(STEP) % MESSAGES)
}

/// The queue from its first message to its last, pull after pull; gives how many messages there were.
fn pulls(queue: &Queue, filter: &Filter) -> usize {
    let (mut next, mut count) = (QueueOffset(0), 0);
    while next.0 < MESSAGES {
        // RocketMQ's limit of 256 KiB would end pulls of long messages earlier.
        let wanted = Fetch::from(next).max_count(PULL).max_bytes(u64::MAX).filter(filter.clone());
        let batch = queue.fetch(&wanted).expect("a batch");
        count += batch.records.len();
        next = batch.next;
    }
    count
}

fn raw_pulls(queue: &Queue) -> u64 {
    let (mut next, mut bytes) = (QueueOffset(0), 0);
    while next.0 < MESSAGES {
        let wanted = Fetch::from(next).max_count(PULL).max_bytes(u64::MAX);
        let batch = queue.raw(&wanted).expect("a batch");
        bytes += batch.pieces.iter().map(|piece| piece.bytes.len() as u64).sum::<u64>();
        next = batch.next;
    }
    bytes
}

/// The whole queue, in the ways that there are.
fn in_order(group: &mut BenchmarkGroup<'_, WallTime>, bench: &Bench, body_bytes: usize) {
    let queue = &bench.queue;
    group.throughput(each(MESSAGES, body_bytes));
    group.bench_function("read_from", |b| {
        b.iter(|| {
            queue
                .read_from(QueueOffset(0))
                .map(|record| record.expect("a record").body().len())
                .sum::<usize>()
        });
    });
    group.bench_function("fetch of 32", |b| b.iter(|| pulls(queue, &Filter::all())));
    group.bench_function("raw of 32", |b| b.iter(|| raw_pulls(queue)));
    // Entries looked at; one message of a hundred is read.
    group.throughput(Throughput::Elements(MESSAGES));
    let rare = Filter::tags(["rare"]);
    assert_eq!(pulls(queue, &rare) as u64, MESSAGES / RARE);
    group.bench_function("fetch by a tag of 1 %", |b| b.iter(|| pulls(queue, &rare)));
}

/// One message a call, here and there.
fn here_and_there(group: &mut BenchmarkGroup<'_, WallTime>, bench: &Bench, body_bytes: usize) {
    let Bench { store, queue, places, .. } = bench;
    group.throughput(each(1, body_bytes));
    let mut at = jumps();
    group.bench_function("queue.record_at", |b| {
        b.iter(|| queue.record_at(QueueOffset(at.next().unwrap())).expect("a record"));
    });
    group.bench_function("store.record_at", |b| {
        b.iter(|| store.record_at(places[at.next().unwrap() as usize]).expect("a record"));
    });
    let keys: Vec<_> = jumps().take(4096).map(|n| key(0, n)).collect();
    let mut keys = keys.iter().cycle();
    group.bench_function("find by key", |b| {
        b.iter(|| store.find("bench", keys.next().unwrap()).next().expect("it is there").expect("a record"));
    });
    let times: Vec<_> =
        jumps().take(4096).map(|n| queue.record_at(QueueOffset(n)).expect("a record").stored).collect();
    let mut times = times.iter().cycle();
    group.throughput(Throughput::Elements(1));
    group.bench_function("offset_at_time", |b| {
        b.iter(|| black_box(queue.offset_at_time(*times.next().unwrap(), Bound::First).expect("an offset")));
    });
}

fn read(c: &mut Criterion) {
    for body_bytes in [128, 1024] {
        for (name, is_mapped) in [("mapped", true), ("positioned", false)] {
            let bench = match is_mapped {
                true => Bench::new(MappedDisk::new, body_bytes),
                false => Bench::new(OsDisk::new, body_bytes),
            };
            let mut group = c.benchmark_group(format!("read/{name}/{body_bytes}"));
            group
                .sample_size(10)
                .measurement_time(Duration::from_secs(2))
                .warm_up_time(Duration::from_secs(1));
            in_order(&mut group, &bench, body_bytes);
            here_and_there(&mut group, &bench, body_bytes);
            group.finish();
        }
    }
}

criterion_group!(benches, read);
criterion_main!(benches);
