//! raft-engine: a region for each producer, an entry for each message.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use protobuf::well_known_types::BytesValue;
use raft_engine::{Config, Engine as Log, LogBatch, MessageExt, ReadableSize};

use super::{Engine, Reading, Setup};

const PRODUCERS: usize = 64;

struct RaftEngine {
    log: Log,
    /// Each region's next index; one producer writes a region.
    next: Vec<AtomicU64>,
}

/// The index, 8 bytes, stands before the body.
struct Indexed;

impl MessageExt for Indexed {
    type Entry = BytesValue;

    fn index(entry: &BytesValue) -> u64 {
        entry.value.first_chunk().map_or(0, |index| u64::from_be_bytes(*index))
    }
}

pub(super) fn open(setup: &Setup) -> Arc<dyn Engine> {
    let config = Config {
        dir: setup.dir.to_string_lossy().into_owned(),
        // Bodies do not compress, and nothing is given up.
        batch_compression_threshold: ReadableSize(0),
        target_file_size: ReadableSize(setup.segment_bytes),
        purge_threshold: ReadableSize::gb(1000),
        ..Config::default()
    };
    let log = Log::open(config).expect("a log");
    let next = |region| AtomicU64::new(log.last_index(region).map_or(1, |last| last + 1));
    let next = (0..PRODUCERS as u64).map(next).collect();
    Arc::new(RaftEngine { log, next })
}

impl RaftEngine {
    fn write(&self, producer: usize, body: &[u8], sync: bool) {
        let index = self.next[producer].fetch_add(1, Ordering::Relaxed);
        let mut entry = BytesValue::new();
        entry.value = [&index.to_be_bytes(), body].concat();
        let mut batch = LogBatch::with_capacity(1);
        batch.add_entries::<Indexed>(producer as u64, &[entry]).expect("an entry");
        self.log.write(&mut batch, sync).expect("appended");
    }
}

impl Engine for RaftEngine {
    fn append(&self, producer: usize, body: &'static [u8]) {
        self.write(producer, body, false);
    }

    fn append_durable(&self, producer: usize, body: &'static [u8]) {
        self.write(producer, body, true);
    }

    fn finish(&self) {
        self.log.sync().expect("durable");
    }

    fn scan(&self, how: Reading) -> Option<u64> {
        let Reading::Verified = how else { return None };
        let (mut at, end) = (1, self.next[0].load(Ordering::Relaxed));
        while at < end {
            let mut entries = Vec::with_capacity(1024);
            let to = end.min(at + 1024);
            self.log.fetch_entries_to::<Indexed>(0, at, to, None, &mut entries).expect("entries");
            at += std::hint::black_box(entries).len() as u64;
        }
        Some(end - 1)
    }
}
