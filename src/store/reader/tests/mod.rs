//! Reading over a real log, with queues and an index that these tests fill themselves: what the public API cannot
//! make, such as entries that lie, blanks, and marks that fail, is made here.

mod follow;
mod keys;
mod meddler;
mod order;
mod overtaken;
mod pull;
mod waiting;
mod window;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::task::Waker;

use crate::clock::{HandClock, Timestamp};
use crate::consume_queue::{Entry, Geometry, Put, QueueSurvey, QueueTable};
use crate::disk::Disk;
use crate::disk::sim::SimDisk;
use crate::dispatch::{DelayLevels, Derived, Dispatcher};
use crate::flush::AsyncFlush;
use crate::key_index::{self, KeyIndex};
use crate::message::derivable;
use crate::store::reader::{Queue, Sources};
use crate::store::{Options, Store};
use crate::{Error, LogOffset, Message, QueueOffset, Record};

const SEGMENT: u64 = 64 * 1024;
/// Entries in a queue's file.
const PER_FILE: u32 = 10;

struct World {
    disk: SimDisk,
    clock: Arc<HandClock>,
    store: Store,
    sources: Sources,
}

fn open(disk: &SimDisk, clock: &Arc<HandClock>) -> Store {
    let options = Options::new().disk(disk.clone()).clock(Arc::clone(clock)).segment_bytes(SEGMENT).by_hand();
    let options = options.index_slots(7).index_entries(50).queue_segment_entries(PER_FILE);
    Store::open("/store", options.flush(AsyncFlush::default())).unwrap()
}

/// Queues, index and a dispatcher over this log, beside the store's own.
fn derived_in(dir: &str, disk: &SimDisk, store: &Store, per_file: u32) -> Sources {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let (dir, making) = (Path::new(dir), Path::new(dir).join("making"));
    let survey = QueueSurvey::of(disk, &dir.join("queues")).unwrap();
    let geometry = Geometry { entries_per_segment: per_file, open_files: 8 };
    let (to, known) = (dir.join("queues"), BTreeMap::new());
    let queues = QueueTable::open(Arc::clone(&shared), to, making.clone(), geometry, &survey, &known);
    let geometry = key_index::Geometry { slots: 7, entries: 50 };
    let keys = KeyIndex::open(shared, dir.join("index"), making, geometry, &[]).unwrap();
    let clock = Arc::new(HandClock::new(Timestamp(1)));
    let (queues, keys) = (Arc::new(queues.unwrap()), Some(Arc::new(keys)));
    let derived = Arc::new(Derived::new(queues, keys, DelayLevels::default(), clock, BTreeMap::new()));
    follow(store, &derived, LogOffset(0))
}

fn follow(store: &Store, derived: &Arc<Derived>, from: LogOffset) -> Sources {
    let log = Arc::clone(&store.inner.log);
    let dispatcher = Arc::new(Dispatcher::new(&log, derived, from, Timestamp(0), LogOffset::ZERO));
    Sources { log, dispatcher }
}

impl World {
    fn new() -> World {
        World::with_files_of(PER_FILE)
    }

    fn with_files_of(entries: u32) -> World {
        let (disk, clock) = (SimDisk::new(), Arc::new(HandClock::new(Timestamp(1_000_000))));
        let store = open(&disk, &clock);
        let sources = derived_in("/derived", &disk, &store, entries);
        World { disk, clock, store, sources }
    }

    fn append(&self, message: &Message) -> Record {
        let ack = self.store.append(message).unwrap();
        self.store.record_at(ack.position().offset).unwrap()
    }

    /// So many messages of 8 bytes, each a millisecond after the one before.
    fn fill(&self, count: u64) {
        for n in 0..count {
            self.append(&Message::new("t", format!("{n:08}")));
            self.clock.turn(std::time::Duration::from_millis(1));
        }
        self.derive();
    }

    fn derive(&self) {
        self.sources.dispatcher.step().unwrap();
    }

    fn queues(&self) -> &QueueTable {
        self.sources.queues()
    }

    fn keys(&self) -> &KeyIndex {
        self.sources.dispatcher.derived().keys.as_ref().unwrap()
    }

    /// Everything that was put may be read.
    fn show(&self) {
        let end = self.store.marks().visible;
        self.sources.dispatcher.dispatched().advance(end).into_iter().for_each(Waker::wake);
    }

    /// Puts an entry in place of the one at `at`.
    fn forge(&self, at: u64, entry: Entry) {
        let put = self.queues().put("t", 0, QueueOffset(at), entry);
        assert_eq!(put, Put::Replaced);
    }

    /// Flips a bit of a record's body.
    fn damage(&self, record: &Record) {
        let at = record.position.offset.0;
        let path = format!("/store/commitlog/{:020}", at / SEGMENT * SEGMENT);
        // The body begins behind 88 bytes (spec 2.1).
        self.disk.flip(path, (at % SEGMENT + 88) * 8).unwrap();
    }

    /// What retention does: the log's first segment goes. The queues stay as they are.
    fn lose_first_segment(&mut self) {
        self.store.flush().unwrap();
        self.store.inner.keeper.say_first(&self.store.inner.log, LogOffset(SEGMENT)).unwrap();
        self.store.clone().close().unwrap();
        self.disk.remove(Path::new("/store/commitlog/00000000000000000000")).unwrap();
        self.store = open(&self.disk, &self.clock);
        let derived = Arc::clone(self.sources.dispatcher.derived());
        self.sources = follow(&self.store, &derived, self.store.marks().visible);
    }

    fn queue(&self) -> Queue {
        self.sources.queue("t", 0)
    }
}

fn entry(record: &Record) -> Entry {
    let found = derivable(record.message.properties.as_bytes());
    Entry { at: record.position.offset, len: record.position.len, tag: found.tag_code() }
}

fn offsets(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.queue_offset.0).collect()
}

fn is_wrong_entry(error: &Error, at: u64) -> bool {
    use crate::Damage::WrongEntry;
    match error {
        Error::Corrupt(place) => {
            let file = format!("/derived/queues/t/0/{:020}", at / u64::from(PER_FILE) * 200);
            matches!(place.what, WrongEntry { queue_offset, .. } if queue_offset.0 == at)
                && place.path == Path::new(&file)
                && place.at.0 == at * 20
        }
        _ => false,
    }
}
