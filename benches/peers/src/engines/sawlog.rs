//! sawlog with all its work: RocketMQ's format, a checksum over each record, queues derived and kept. No key index, as
//! nobody looks by key.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use sawlog::flush::SyncFlush;
use sawlog::message::Topic;
use sawlog::{Fetch, Message, Options, QueueOffset, Store};

use super::{Engine, Next, Reading, Setup};

const TOPIC: Topic = Topic::from_static("bench");
const QUEUES_OF_A_TOPIC: usize = 8;

struct Sawlog {
    store: Store,
    topics: Vec<Topic>,
}

pub(super) fn open(setup: &Setup) -> Arc<dyn Engine> {
    let mut options = Options::new().key_index(false).segment_bytes(setup.segment_bytes);
    if setup.durable {
        // As `raw` does: whoever measures appends does not measure zeros for those of later.
        options = options.flush(SyncFlush).prewrite(true);
    }
    let store = Store::open(&setup.dir, options).expect("a store");
    let topics = setup.queues.div_ceil(QUEUES_OF_A_TOPIC);
    let topics = (0..topics).map(|n| Topic::from(format!("bench-{n:05}"))).collect();
    Arc::new(Sawlog { store, topics })
}

fn message(producer: usize, body: &'static [u8]) -> Message {
    Message::new(TOPIC, Bytes::from_static(body)).queue(producer as u32)
}

impl Engine for Sawlog {
    fn append(&self, producer: usize, body: &'static [u8]) {
        self.store.append(&message(producer, body)).expect("appended").forget();
    }

    fn append_durable(&self, producer: usize, body: &'static [u8]) {
        self.store.append_and_wait(&message(producer, body)).expect("durable");
    }

    fn submit(&self, in_flight: usize, next: &mut Next<'_>, answered: &mut dyn FnMut()) -> bool {
        let mut acks = VecDeque::with_capacity(in_flight);
        loop {
            if acks.len() < in_flight
                && let Some(body) = next()
            {
                acks.push_back(self.store.append(&message(0, body)).expect("appended"));
                continue;
            }
            let Some(oldest) = acks.pop_front() else { return true };
            oldest.wait().expect("durable");
            answered();
            while acks.front().is_some_and(sawlog::Ack::is_done) {
                acks.pop_front();
                answered();
            }
        }
    }

    fn append_to(&self, queue: usize, body: &'static [u8]) -> bool {
        let topic = self.topics[queue / QUEUES_OF_A_TOPIC].clone();
        let message = Message::new(topic, Bytes::from_static(body)).queue((queue % QUEUES_OF_A_TOPIC) as u32);
        self.store.append(&message).expect("appended").forget();
        true
    }

    fn wait_indexed(&self) {
        let end = self.store.marks().accepted;
        self.store.dispatched().reach(end).wait().expect("dispatched");
    }

    fn unindexed_bytes(&self) -> u64 {
        self.store.marks().accepted.0.saturating_sub(self.store.dispatched().at().0)
    }

    fn finish(&self) {
        self.store.flush().expect("durable");
        self.wait_indexed();
    }

    fn scan(&self, how: Reading) -> Option<u64> {
        let queue = self.store.queue(TOPIC.as_str(), 0);
        match how {
            Reading::Verified => {
                let mut count = 0;
                for record in queue.read_from(QueueOffset(0)) {
                    std::hint::black_box(record.expect("a record"));
                    count += 1;
                }
                Some(count)
            }
            Reading::Stored => {
                let (mut at, end, mut count) = (QueueOffset(0), queue.max(), 0);
                while at < end {
                    // 32 a call, as RocketMQ's clients ask.
                    let batch = queue.raw(&Fetch::from(at)).expect("a batch");
                    std::hint::black_box(&batch.pieces);
                    count += u64::from(batch.count);
                    at = batch.next;
                }
                Some(count)
            }
        }
    }

    fn recovered(&self) -> Option<(u64, u64)> {
        let report = self.store.recovery();
        Some((report.records, report.rewritten_bytes))
    }
}
