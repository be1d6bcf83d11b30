//! walrus-rust: a topic for each producer. Its folder is what `WALRUS_DATA_DIR` names, which the rounds set.

use std::sync::Arc;
use std::time::Duration;

use walrus_rust::{FsyncSchedule, ReadConsistency, Walrus};

use super::{Engine, Reading, Setup};

const SYNC_EVERY_MILLIS: u64 = 500;

struct WalrusRust {
    log: Walrus,
    topics: Vec<String>,
}

pub(super) fn open(setup: &Setup) -> Arc<dyn Engine> {
    let schedule = match setup.durable {
        true => FsyncSchedule::SyncEach,
        false => FsyncSchedule::Milliseconds(SYNC_EVERY_MILLIS),
    };
    let reads = ReadConsistency::AtLeastOnce { persist_every: u32::MAX };
    let log = Walrus::with_consistency_and_schedule(reads, schedule).expect("a log");
    Arc::new(WalrusRust { log, topics: (0..64).map(|n| format!("producer-{n}")).collect() })
}

impl Engine for WalrusRust {
    fn append(&self, producer: usize, body: &'static [u8]) {
        self.log.append_for_topic(&self.topics[producer], body).expect("appended");
    }

    fn append_durable(&self, producer: usize, body: &'static [u8]) {
        self.append(producer, body);
    }

    /// It has no call for that: its own thread comes by.
    fn finish(&self) {
        std::thread::sleep(Duration::from_millis(3 * SYNC_EVERY_MILLIS));
    }

    fn scan(&self, how: Reading) -> Option<u64> {
        let Reading::Verified = how else { return None };
        let mut count = 0;
        loop {
            let entries = self.log.batch_read_for_topic(&self.topics[0], 1 << 20, true).expect("entries");
            if entries.is_empty() {
                return Some(count);
            }
            count += std::hint::black_box(entries).len() as u64;
        }
    }
}
