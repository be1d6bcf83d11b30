//! commitlog: one write a message under one lock. Its `flush` is what it has for durability.

use std::sync::Arc;

use commitlog::message::MessageSet;
use commitlog::{CommitLog, LogOptions, ReadLimit};
use parking_lot::Mutex;

use super::{Engine, Reading, Setup};

struct Commitlog {
    log: Mutex<CommitLog>,
}

pub(super) fn open(setup: &Setup) -> Arc<dyn Engine> {
    let mut options = LogOptions::new(&setup.dir);
    options.segment_max_bytes(setup.segment_bytes as usize);
    Arc::new(Commitlog { log: Mutex::new(CommitLog::new(options).expect("a log")) })
}

impl Engine for Commitlog {
    fn append(&self, _producer: usize, body: &'static [u8]) {
        self.log.lock().append_msg(body).expect("appended");
    }

    fn append_durable(&self, _producer: usize, body: &'static [u8]) {
        let mut log = self.log.lock();
        log.append_msg(body).expect("appended");
        log.flush().expect("durable");
    }

    fn finish(&self) {
        self.log.lock().flush().expect("durable");
    }

    fn scan(&self, how: Reading) -> Option<u64> {
        if let Reading::Stored = how {
            return None;
        }
        let log = self.log.lock();
        let mut at = 0;
        loop {
            let read = log.read(at, ReadLimit::max_bytes(1 << 20)).expect("messages");
            match read.iter().last() {
                Some(last) => at = last.offset() + 1,
                None => return Some(at),
            }
        }
    }
}
