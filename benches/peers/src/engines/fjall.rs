//! fjall: a tree, used as a log by ascending keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{Engine, Reading, Setup};

struct Fjall {
    database: Database,
    log: Keyspace,
    next: AtomicU64,
}

pub(super) fn open(setup: &Setup) -> Arc<dyn Engine> {
    let database = Database::builder(&setup.dir).open().expect("a database");
    let log = database.keyspace("log", KeyspaceCreateOptions::default).expect("a keyspace");
    let last = log.last_key_value().map(|item| item.key().expect("a key"));
    let last = last.map(|key| u64::from_be_bytes(key.as_ref().try_into().expect("8 bytes")));
    Arc::new(Fjall { database, log, next: AtomicU64::new(last.map_or(0, |last| last + 1)) })
}

impl Engine for Fjall {
    fn append(&self, _producer: usize, body: &'static [u8]) {
        let key = self.next.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        self.log.insert(key, body).expect("appended");
    }

    fn append_durable(&self, producer: usize, body: &'static [u8]) {
        self.append(producer, body);
        self.finish();
    }

    fn finish(&self) {
        self.database.persist(PersistMode::SyncData).expect("durable");
    }

    fn scan(&self, how: Reading) -> Option<u64> {
        let Reading::Verified = how else { return None };
        let mut count = 0;
        for item in self.log.iter() {
            std::hint::black_box(item.value().expect("a value"));
            count += 1;
        }
        Some(count)
    }
}
