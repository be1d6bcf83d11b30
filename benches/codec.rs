//! How fast messages become records and records messages: one core, warm memory.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a bench may stop at the first surprise"
)]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sawlog::clock::Timestamp;
use sawlog::message::*;
use sawlog::{LogOffset, QueueOffset};

const BODY_BYTES: [usize; 5] = [100, 1 << 10, 4 << 10, 64 << 10, 1 << 20];
/// Beyond the caches of most machines: a scan reads memory.
const SCAN_BYTES: usize = 64 << 20;

fn rules(checksum: Checksum) -> EncodeRules {
    EncodeRules {
        store_host: ([192, 0, 2, 10], 10911).into(),
        checksum,
        max_body_bytes: 4 << 20,
        born: Timestamp(1_700_000_000_000),
    }
}

fn message(body_bytes: usize) -> Message {
    let body: Vec<u8> = (0..body_bytes).map(|n| (n % 251).to_be_bytes()[7]).collect();
    Message::new("orders", body).queue(3).tag("vip").key("order-42")
}

/// Records one behind the other, as many as fit, beginning at log offset 0.
fn log(body_bytes: usize) -> Bytes {
    let message = message(body_bytes);
    let mut encoded = encode(&message, &rules(Checksum::Record), Vec::new()).unwrap();
    let mut log = Vec::with_capacity(SCAN_BYTES);
    for n in 0.. {
        if log.len() + encoded.len() as usize > SCAN_BYTES {
            break;
        }
        let parts = encoded.stamp(LogOffset(log.len() as u64), QueueOffset(n), Timestamp(1));
        parts.iter().for_each(|part| log.extend_from_slice(part));
    }
    log.into()
}

fn encoding(c: &mut Criterion) {
    let mut group = c.benchmark_group("build");
    group.bench_function("tag_and_key", |b| b.iter(|| message_of(black_box(Bytes::from_static(b"paid")))));
    group.finish();
    for (name, checksum) in [("encode", Checksum::Record), ("encode_body_crc", Checksum::Body)] {
        let mut group = c.benchmark_group(name);
        for size in BODY_BYTES {
            let message = message(size);
            let rules = rules(checksum);
            group.throughput(Throughput::Bytes(size as u64));
            let mut buf = Vec::new();
            group.bench_function(BenchmarkId::from_parameter(size), |b| {
                b.iter(|| {
                    let encoded = encode(black_box(&message), &rules, std::mem::take(&mut buf)).unwrap();
                    buf = encoded.into_buf();
                });
            });
        }
        group.finish();
    }
}

fn message_of(body: Bytes) -> Message {
    Message::new(Topic::from_static("orders"), body).queue(3).tag("vip").key("order-42")
}

/// Both halves one behind the other, as each append pays for them.
fn encoding_and_stamping(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode_and_stamp");
    for size in BODY_BYTES {
        let (message, rules) = (message(size), rules(Checksum::Record));
        let mut buf = Vec::new();
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter(|| {
                let mut encoded = encode(black_box(&message), &rules, std::mem::take(&mut buf)).unwrap();
                black_box(encoded.stamp(LogOffset(black_box(7)), QueueOffset(1), Timestamp(1)));
                buf = encoded.into_buf();
            });
        });
    }
    group.finish();
}

/// What happens inside the append lock, but for the copy into the segment.
fn stamping(c: &mut Criterion) {
    let mut group = c.benchmark_group("stamp");
    for size in BODY_BYTES {
        let message = message(size);
        let mut encoded = encode(&message, &rules(Checksum::Record), Vec::new()).unwrap();
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter(|| black_box(encoded.stamp(LogOffset(black_box(7)), QueueOffset(1), Timestamp(1))).len());
        });
    }
    group.finish();
}

fn checking(c: &mut Criterion) {
    for (name, verify) in [
        ("check_ours", Verify::Ours),
        ("check_legacy", Verify::Legacy),
        ("check_structure", Verify::Structure),
    ] {
        let mut group = c.benchmark_group(name);
        group.sample_size(20);
        for size in BODY_BYTES {
            let log = log(size);
            group.throughput(Throughput::Bytes(log.len() as u64));
            group.bench_function(BenchmarkId::from_parameter(size), |b| {
                b.iter(|| {
                    let mut at = 0;
                    while at < log.len() {
                        at += check(LogOffset(at as u64), &log[at..], verify).unwrap().len as usize;
                    }
                    at
                });
            });
        }
        group.finish();
    }
    let mut group = c.benchmark_group("crc32fast_alone");
    group.sample_size(20);
    for size in BODY_BYTES {
        let log = log(size);
        group.throughput(Throughput::Bytes(log.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter(|| log.chunks(size).fold(0, |sum, chunk| sum ^ crc32fast::hash(chunk)));
        });
    }
    group.finish();
}

fn decoding(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    group.sample_size(20);
    for size in BODY_BYTES {
        let log = log(size);
        group.throughput(Throughput::Bytes(log.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter(|| {
                let mut at = 0;
                while at < log.len() {
                    let record = decode(LogOffset(at as u64), log.slice(at..), Verify::Ours).unwrap();
                    at += black_box(record).position.len as usize;
                }
                at
            });
        });
    }
    group.finish();
}

/// What dispatch takes from each record: the 99 bytes of properties that a common producer's record has.
fn deriving(c: &mut Criterion) {
    let properties =
        b"KEYS\x01order-1001\x02UNIQ_KEY\x01C6336407D431000000000000000000AB\x02WAIT\x01true\x02\
        TAGS\x01TagA\x02__CRC32#\x015149359361\x02";
    let mut group = c.benchmark_group("derive");
    group.throughput(Throughput::Bytes(properties.len() as u64));
    group.bench_function("properties", |b| b.iter(|| black_box(derivable(black_box(properties)))));
    group.bench_function("tag_code", |b| b.iter(|| derivable(black_box(properties)).tag_code()));
    group.finish();
}

criterion_group!(codec, deriving, encoding, encoding_and_stamping, stamping, checking, decoding);
criterion_main!(codec);
