//! The small world of these tests: a simulated disk, a clock turned by hand, a store without threads.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sawlog::clock::{HandClock, Timestamp};
use sawlog::disk::Disk;
use sawlog::disk::sim::SimDisk;
use sawlog::flush::{AsyncFlush, FlushPolicy, SyncFlush};
use sawlog::{LogOffset, Message, Options, Record, Retention, Store};

/// The least that a segment may measure.
pub const SEGMENT: u64 = 64 * 1024;
/// What the hand clock shows at first.
pub const START: Timestamp = Timestamp(1_700_000_000_000);
/// How long a test waits for another thread before it says that nobody comes: never reached when all is well.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A disk, a clock, and the stores opened on them.
pub struct World {
    pub disk: SimDisk,
    pub clock: Arc<HandClock>,
}

impl World {
    pub fn new() -> World {
        World::on(SimDisk::new())
    }

    pub fn on(disk: SimDisk) -> World {
        World { disk, clock: Arc::new(HandClock::new(START)) }
    }

    /// By hand, on this disk and clock, with the smallest segments.
    pub fn options(&self, policy: impl FlushPolicy + 'static) -> Options {
        options_on(self.disk.clone(), &self.clock, policy)
    }

    pub fn open(&self, policy: impl FlushPolicy + 'static) -> Store {
        Store::open("/store", self.options(policy)).unwrap()
    }

    pub fn sync(&self) -> Store {
        self.open(SyncFlush)
    }

    pub fn asynchronous(&self) -> Store {
        self.open(AsyncFlush::default())
    }

    /// The files of the log: names and lengths.
    pub fn log_files(&self) -> Vec<(String, u64)> {
        let log = Path::new("/store/commitlog");
        let files = self.disk.files().into_iter().filter(|(path, _)| path.parent() == Some(log));
        files.map(|(path, len)| (path.file_name().unwrap().to_str().unwrap().to_owned(), len)).collect()
    }

    pub fn has(&self, name: &str) -> bool {
        self.disk.entry(&Path::new("/store").join(name)).unwrap().is_some()
    }
}

pub fn options_on(
    disk: impl Disk + 'static,
    clock: &Arc<HandClock>,
    policy: impl FlushPolicy + 'static,
) -> Options {
    Options::new()
        .disk(disk)
        .clock(Arc::clone(clock))
        .flush(policy)
        .segment_bytes(SEGMENT)
        .queue_segment_entries(32)
        .index_slots(64)
        .index_entries(256)
        // Whoever tests what goes by itself asks for it.
        .retention(Retention::keep_all().refuse_above(None))
        .by_hand()
}

/// A message whose body tells its number.
pub fn numbered(n: u64) -> Message {
    Message::new("orders", format!("{n:08}"))
}

/// A message with so many bytes of body.
pub fn sized(bytes: usize) -> Message {
    Message::new("orders", vec![b'x'; bytes])
}

/// Everything that readers see.
pub fn all(store: &Store) -> Vec<Record> {
    store.scan(store.marks().first).map(Result::unwrap).collect()
}

/// The bodies that readers see, as text.
pub fn bodies(store: &Store) -> Vec<String> {
    all(store).iter().map(|r| String::from_utf8_lossy(r.body()).into_owned()).collect()
}

/// Steps until there is nothing more to do at once.
pub fn settle(store: &Store) {
    while store.step() {}
}

/// The body length that makes a record of exactly `len` bytes in this store, for messages of [`sized`].
pub fn body_for(store: &Store, len: u64) -> usize {
    let probe = store.append(&sized(0)).unwrap();
    let overhead = u64::from(probe.position().len);
    probe.forget();
    usize::try_from(len.checked_sub(overhead).expect("a record is longer than that")).unwrap()
}

/// Bytes left in the segment behind `at`.
pub fn room_at(at: LogOffset) -> u64 {
    SEGMENT - at.0 % SEGMENT
}
