//! The sound stores that are damaged: small, each ended in another way, and what was appended to them.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sawlog::clock::{HandClock, Timestamp};
use sawlog::disk::Disk;
use sawlog::disk::sim::{SimDisk, Survivors};
use sawlog::flush::{AsyncFlush, SyncFlush};
use sawlog::message::Checksum;
use sawlog::{LogOffset, Message, Options, Position, QueueOffset, Retention, Store};

pub(super) const ROOT: &str = "/store";
pub(super) const TOPICS: [&str; 2] = ["a", "topic"];
pub(super) const QUEUES: [u32; 2] = [0, 3];
/// The first two hash alike.
pub(super) const KEYS: [&str; 4] = ["AaAa", "BBBB", "k", "order-17"];
pub(super) const TAG: &str = "tag";
const MESSAGES: u64 = 26;
const SEGMENT_BYTES: u64 = 64 * 1024;
const START: i64 = 1_700_000_000_000;

/// One message that stands in a log.
pub(super) struct Sent {
    pub(super) message: Message,
    pub(super) position: Position,
    pub(super) queue_offset: QueueOffset,
    pub(super) stored: Timestamp,
}

/// A sound store.
pub(super) struct Sound {
    pub(super) disk: SimDisk,
    /// By place in the log.
    pub(super) sent: BTreeMap<u64, Sent>,
    /// Every record carries a checksum of all of it, and the store knows that.
    pub(super) checks_all: bool,
    /// How many records it shows when it is opened as it is.
    pub(super) shown: usize,
}

/// How a store's life ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Closed,
    Killed,
    PowerCut,
    /// Closed, and what is ours taken away: as a broker would leave it.
    ClosedByBroker,
    /// The same after a kill.
    KilledBroker,
    /// Closed with the front of the log removed, and a topic dropped.
    Swept,
    /// Closed before anything was appended.
    Empty,
}

/// All of them.
pub(super) fn all() -> &'static [Sound] {
    static ALL: OnceLock<Vec<Sound>> = OnceLock::new();
    ALL.get_or_init(|| {
        let stores = [
            (Checksum::Record, End::Closed),
            (Checksum::Record, End::Killed),
            (Checksum::Record, End::PowerCut),
            (Checksum::Record, End::Swept),
            (Checksum::Body, End::Closed),
            (Checksum::Body, End::ClosedByBroker),
            (Checksum::Body, End::KilledBroker),
            (Checksum::Record, End::Empty),
        ];
        stores.into_iter().map(|(checksum, end)| made(checksum, end)).collect()
    })
}

/// How every store here is opened; a later opening has a later clock.
pub(super) fn options(disk: &SimDisk, hours: i64) -> Options {
    let clock = Arc::new(HandClock::new(Timestamp(START + hours * 3_600_000)));
    Options::new()
        .disk(disk.clone())
        .clock(clock)
        .segment_bytes(SEGMENT_BYTES)
        .max_message_bytes(20_000)
        .queue_segment_entries(4)
        .index_slots(8)
        .index_entries(8)
        .retention(Retention::keep_all())
        .by_hand()
}

fn message(number: u64) -> Message {
    let pick = |len: usize, part: u64| usize::try_from(number / part).map_or(0, |n| n % len);
    // Every third one takes a fifth of a segment.
    let len = if number.is_multiple_of(3) { 13_000 } else { 90 + number };
    let body = format!("{number} ").into_bytes().into_iter().chain((0..len).map(|n| b'a' + (n % 23) as u8));
    let message = Message::new(TOPICS[pick(2, 1)], body.collect::<Vec<u8>>()).queue(QUEUES[pick(2, 2)]);
    let message = if number.is_multiple_of(4) { message.tag(TAG) } else { message };
    message.key(KEYS[pick(4, 3)])
}

fn made(checksum: Checksum, end: End) -> Sound {
    let disk = SimDisk::new();
    let clock = Arc::new(HandClock::new(Timestamp(START)));
    let options = options(&disk, 0).clock(Arc::clone(&clock)).checksum(checksum);
    let staged = matches!(end, End::Closed | End::Swept);
    let options = if staged { options.flush(SyncFlush) } else { options.flush(AsyncFlush::default()) };
    let store = Store::open(ROOT, options).expect("a new store");
    let mut sent = BTreeMap::new();
    let count = if end == End::Empty { 0 } else { MESSAGES };
    for number in 0..count {
        let message = message(number);
        let told = store.append_and_wait(&message).expect("a sound disk");
        let place = told.position.offset.0;
        let (position, queue_offset, stored) = (told.position, told.queue_offset, told.stored);
        sent.insert(place, Sent { message, position, queue_offset, stored });
        clock.turn(Duration::from_millis(700));
        if number == MESSAGES / 2 {
            store.flush().expect("a sound disk");
        }
        // Behind the middle, what is derived lags.
        while number < 20 && store.step() {}
    }
    let disk = ended(&disk, store, end);
    let mut sound = Sound { disk, sent, checks_all: checksum == Checksum::Record, shown: 0 };
    sound.shown = shown(&sound);
    sound
}

fn ended(disk: &SimDisk, store: Store, end: End) -> SimDisk {
    match end {
        End::Killed | End::KilledBroker => {
            let left = disk.kill();
            drop(store);
            if end == End::KilledBroker {
                forget(&left);
                left.write_file(format!("{ROOT}/abort"), "4711").expect("a sound disk");
            }
            left
        }
        End::PowerCut => {
            let left = disk.power_cut(7, Survivors::ALL[3]);
            drop(store);
            left
        }
        End::Swept => {
            store.drop_topic(TOPICS[0]).expect("a sound disk");
            store.remove_before(LogOffset(SEGMENT_BYTES + 1)).expect("a sound disk");
            store.close().expect("a sound disk");
            disk.kill()
        }
        End::Closed | End::ClosedByBroker | End::Empty => {
            store.close().expect("a sound disk");
            if end == End::ClosedByBroker {
                forget(disk);
            }
            disk.kill()
        }
    }
}

/// Takes away what is ours.
fn forget(disk: &SimDisk) {
    for (path, _) in disk.files() {
        if path.starts_with("/store/sawlog") {
            disk.remove(&path).expect("it is there");
        }
    }
}

fn shown(sound: &Sound) -> usize {
    let store = Store::open(ROOT, options(&sound.disk.kill(), 1)).expect("a sound store");
    let first = store.marks().first;
    let records: Vec<_> = store.scan(first).map(|record| record.expect("a sound log")).collect();
    records.len()
}
