//! Reading over a real log, with queues and an index that these tests fill themselves: what the public API cannot
//! make, such as entries that lie, blanks, and marks that fail, is made here.

mod keys;
mod order;
mod pull;
mod waiting;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::clock::{HandClock, Timestamp};
use crate::consume_queue::{Entry, Geometry, Put, QueueSurvey, QueueTable};
use crate::disk::Disk;
use crate::disk::sim::SimDisk;
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
    derived: LogOffset,
}

fn open(disk: &SimDisk, clock: &Arc<HandClock>) -> Store {
    let options = Options::new().disk(disk.clone()).clock(Arc::clone(clock)).segment_bytes(SEGMENT).by_hand();
    Store::open("/store", options.flush(AsyncFlush::default())).unwrap()
}

impl World {
    fn new() -> World {
        let (disk, clock) = (SimDisk::new(), Arc::new(HandClock::new(Timestamp(1_000_000))));
        let store = open(&disk, &clock);
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let (dir, making) = (Path::new("/derived/queues"), Path::new("/derived/making"));
        let survey = QueueSurvey::of(&disk, dir).unwrap();
        let geometry = Geometry { entries_per_segment: PER_FILE, open_files: 8 };
        let known = BTreeMap::new();
        let queues =
            QueueTable::open(Arc::clone(&shared), dir.into(), making.into(), geometry, &survey, &known);
        let geometry = key_index::Geometry { slots: 7, entries: 50 };
        let keys = KeyIndex::open(shared, "/derived/index".into(), making.into(), geometry, &[]);
        let sources = Sources {
            log: Arc::clone(&store.inner.log),
            queues: Arc::new(queues.unwrap()),
            keys: Some(Arc::new(keys.unwrap())),
        };
        World { disk, clock, store, sources, derived: LogOffset(0) }
    }

    fn append(&self, message: &Message) -> Record {
        let ack = self.store.append(message).unwrap();
        self.store.record_at(ack.position().offset).unwrap()
    }

    /// So many messages of 8 bytes, each a millisecond after the one before.
    fn fill(&mut self, count: u64) {
        for n in 0..count {
            self.append(&Message::new("t", format!("{n:08}")));
            self.clock.turn(std::time::Duration::from_millis(1));
        }
        self.derive();
    }

    /// What a dispatcher does.
    fn derive(&mut self) {
        let (queues, keys) = (&self.sources.queues, self.sources.keys.as_ref().unwrap());
        let mut records = self.store.scan(self.derived);
        for record in &mut records {
            let record = record.unwrap();
            let found = derivable(record.message.properties.as_bytes());
            let words = found.keys.as_deref().unwrap_or_default().split(' ').filter(|key| !key.is_empty());
            let all = found.unique.as_deref().into_iter().chain(words);
            keys.put(record.position.offset, record.stored, record.stored, record.topic(), all);
            if record.is_queued() {
                let put = queues.put(record.topic(), record.queue_id(), record.queue_offset, entry(&record));
                assert!(matches!(put, Put::Appended | Put::Gap(_)), "{put:?}");
            }
        }
        self.derived = records.position();
        queues.tell().into_iter().for_each(std::task::Waker::wake);
    }

    /// Puts an entry in place of the one at `at`.
    fn forge(&self, at: u64, entry: Entry) {
        let put = self.sources.queues.put("t", 0, QueueOffset(at), entry);
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
        self.store.clone().close().unwrap();
        self.disk.remove(Path::new("/store/commitlog/00000000000000000000")).unwrap();
        self.store = open(&self.disk, &self.clock);
        self.sources.log = Arc::clone(&self.store.inner.log);
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
