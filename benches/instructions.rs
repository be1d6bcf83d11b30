//! Work that callgrind counts the instructions of: `.ci/run` holds them to `benches/instructions.txt`. Instructions
//! repeat on a machine that others share, where seconds do not.
//!
//! The argument names one work. Only what runs below `counted_…` is counted, on its own thread; the store is opened and
//! filled before. Without an argument every work runs once, uncounted.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "a bench measures and may stop at the first surprise"
)]

use std::hint::black_box;

use sawlog::disk::MappedDisk;
use sawlog::flush::AsyncFlush;
use sawlog::{Fetch, LogOffset, Message, Options, Queue, QueueOffset, Record, Store};

mod support;

/// Times that a work does what is counted; `benches/instructions.txt` has the instructions of one time.
const TIMES: u64 = 4096;
const BODY_BYTES: usize = 1024;

fn store(folder: &tempfile::TempDir) -> Store {
    // The same disk on every file system, or the counts would be of another one.
    let options = Options::new().disk(MappedDisk::new()).flush(AsyncFlush::default());
    Store::open(folder.path(), options.segment_bytes(64 << 20)).expect("a store")
}

fn messages() -> Vec<Message> {
    let bodies = support::bodies(BODY_BYTES);
    let queues = (0..4).cycle();
    bodies.into_iter().zip(queues).map(|(body, queue)| Message::new("counted", body).queue(queue)).collect()
}

/// Filled, whole in its queues, and opened again: entries are read from files.
fn filled(folder: &tempfile::TempDir) -> (Store, Vec<LogOffset>) {
    let first = store(folder);
    let mut places = Vec::new();
    for message in messages().iter().cycle().take(TIMES as usize) {
        let ack = first.append(message).expect("appended");
        places.push(ack.position().offset);
        ack.forget();
    }
    first.close().expect("an orderly end");
    (store(folder), places)
}

#[inline(never)]
fn counted_append(store: &Store, messages: &[Message]) {
    for message in messages.iter().cycle().take(TIMES as usize) {
        store.append(message).expect("appended").forget();
    }
}

#[inline(never)]
fn counted_append_batch(store: &Store, batches: &[&[Message]]) {
    for batch in batches.iter().cycle().take(TIMES as usize / batches[0].len()) {
        drop(store.append_batch(batch).expect("appended"));
    }
}

#[inline(never)]
fn counted_record_at(store: &Store, places: &[LogOffset]) {
    for place in places {
        black_box(store.record_at(*place).expect("a record"));
    }
}

fn bytes(records: impl Iterator<Item = sawlog::Result<Record>>) -> usize {
    records.map(|record| record.expect("a record").body().len()).sum()
}

#[inline(never)]
fn counted_scan(store: &Store) {
    assert_eq!(bytes(store.scan(LogOffset(0))), TIMES as usize * BODY_BYTES);
}

#[inline(never)]
fn counted_read_from(queues: &[Queue]) {
    let all = queues.iter().map(|queue| bytes(queue.read_from(QueueOffset(0)))).sum::<usize>();
    assert_eq!(all, TIMES as usize * BODY_BYTES);
}

#[inline(never)]
fn counted_raw_of_32(queues: &[Queue]) {
    for queue in queues {
        let mut next = QueueOffset(0);
        while next.0 < TIMES / queues.len() as u64 {
            let batch = queue.raw(&Fetch::from(next).max_count(32).max_bytes(u64::MAX)).expect("a batch");
            next = batch.next;
        }
    }
}

fn appends(folder: &tempfile::TempDir, in_batches: bool) {
    let store = store(folder);
    let messages = messages();
    let batches: Vec<_> = messages.chunks_exact(32).collect();
    // Threads, buffers and queues are there before it counts.
    for message in &messages {
        store.append(message).expect("appended").forget();
    }
    if in_batches {
        counted_append_batch(&store, &batches);
    } else {
        counted_append(&store, &messages);
    }
    store.close().expect("an orderly end");
}

fn reads(folder: &tempfile::TempDir, work: &str) {
    let (store, places) = filled(folder);
    let queues: Vec<_> = (0..4).map(|queue| store.queue("counted", queue)).collect();
    match work {
        "record_at" => counted_record_at(&store, &places),
        "scan" => counted_scan(&store),
        "read_from" => counted_read_from(&queues),
        "raw_of_32" => counted_raw_of_32(&queues),
        _ => panic!("no work is named {work}"),
    }
    store.close().expect("an orderly end");
}

fn main() {
    const WORKS: [&str; 6] = ["append", "append_batch", "record_at", "scan", "read_from", "raw_of_32"];
    let asked = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    for work in WORKS.into_iter().filter(|work| asked.as_deref().is_none_or(|asked| asked == *work)) {
        let folder = support::folder_quietly();
        match work {
            "append" => appends(&folder, false),
            "append_batch" => appends(&folder, true),
            _ => reads(&folder, work),
        }
    }
}
