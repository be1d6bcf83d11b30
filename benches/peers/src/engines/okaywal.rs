//! okaywal: every entry is synced when it is committed. It has no buffered append: for one, 256 messages make an entry.

use std::io;
use std::sync::Arc;

use okaywal::{Configuration, Entry, EntryId, LogManager, SegmentReader, WriteAheadLog};
use parking_lot::Mutex;

use super::{Engine, Setup};

const MESSAGES_OF_AN_ENTRY: usize = 256;

struct Okaywal {
    log: WriteAheadLog,
    gathered: Mutex<Vec<&'static [u8]>>,
}

/// Reads all that is recovered, with its checksums, and never takes anything out of the log.
#[derive(Debug)]
struct KeepsAll;

impl LogManager for KeepsAll {
    fn recover(&mut self, entry: &mut Entry<'_>) -> io::Result<()> {
        entry.read_all_chunks().map(std::hint::black_box).map(drop)
    }

    fn checkpoint_to(&mut self, _: EntryId, _: &mut SegmentReader, _: &WriteAheadLog) -> io::Result<()> {
        Ok(())
    }
}

pub(super) fn open(setup: &Setup) -> Arc<dyn Engine> {
    let configuration = Configuration::default_for(&setup.dir)
        .preallocate_bytes(u32::try_from(setup.segment_bytes).expect("fewer than 4 GiB"))
        .checkpoint_after_bytes(u64::MAX);
    let log = configuration.open(KeepsAll).expect("a log");
    Arc::new(Okaywal { log, gathered: Mutex::default() })
}

impl Okaywal {
    fn commit(&self, bodies: &[&[u8]]) {
        let mut entry = self.log.begin_entry().expect("an entry");
        for body in bodies {
            entry.write_chunk(body).expect("a chunk");
        }
        entry.commit().expect("durable");
    }
}

impl Engine for Okaywal {
    fn append(&self, _producer: usize, body: &'static [u8]) {
        let mut gathered = self.gathered.lock();
        gathered.push(body);
        if gathered.len() == MESSAGES_OF_AN_ENTRY {
            self.commit(&gathered);
            gathered.clear();
        }
    }

    fn append_durable(&self, _producer: usize, body: &'static [u8]) {
        self.commit(&[body]);
    }

    fn finish(&self) {
        let gathered = std::mem::take(&mut *self.gathered.lock());
        if !gathered.is_empty() {
            self.commit(&gathered);
        }
    }
}
