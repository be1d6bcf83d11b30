//! Bytes → operations and faults on a simulated disk, held against a plain list of what was appended.
//!
//! What must hold after every opening: what was acknowledged as flushed is there; the log is a prefix of what was
//! appended, record by record at its place; queue offsets are those that were told; queues, look-ups by key and by
//! time answer as plain maps of it do. An error is believed only if a fault has met a call.

mod queues;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sawlog::clock::{HandClock, Timestamp};
use sawlog::disk::sim::{Aim, Fault, FaultKind, OpKind, SimDisk, Survivors};
use sawlog::flush::{AsyncFlush, SyncFlush};
use sawlog::message::Checksum;
use sawlog::{Ack, Error, Level, LogOffset, Message, Options, Record, Store, Stored};

use super::input::Input;

/// More operations than this teach nothing new.
const MOST_OPERATIONS: usize = 100;
/// The whole log is read again after so many operations, and at every opening; else what has come since.
const WHOLE_LOOK: u64 = 16;
/// An opening takes as long as fifty appends.
const MOST_OPENINGS: u32 = 8;
const SEGMENT_BYTES: u64 = 64 * 1024;
const TOPICS: [&str; 3] = ["a", "b", "topic"];
const QUEUES: [u32; 4] = [0, 1, 1023, 1024];
const TAG: &str = "tag";
/// Some hash alike.
const KEYS: [&str; 5] = ["k0", "AaAa", "BBBB", "AaBB", "order-17"];

/// Runs what the bytes say.
///
/// # Panics
/// If the store breaks a promise.
pub fn run(input: &[u8]) {
    let mut input = Input(input);
    let mut world = World::new(&mut input);
    for _ in 0..MOST_OPERATIONS {
        let Some(op) = input.next() else { break };
        if !world.step(op, &mut input) {
            return;
        }
        world.look();
    }
    world.disk.clear_faults();
    let end = input.byte();
    world.end_and_open(end, &mut input);
}

/// One message that an append took.
struct Sent {
    told: Stored,
    body: Vec<u8>,
    topic: &'static str,
    queue: u32,
    tagged: bool,
    key: String,
}

struct World {
    disk: SimDisk,
    clock: Arc<HandClock>,
    store: Option<Store>,
    sync: bool,
    checksum: Checksum,
    sent: Vec<Sent>,
    /// So many of them are durable: a sync that covers them answered Ok, or an opening found them.
    durable: usize,
    /// So many are in the page cache: the death of the process takes none of them.
    written: usize,
    appended: u64,
    /// An append met a failure that was final: what of it is there nobody knows.
    half_written: bool,
    /// The store has failed, and was not opened since.
    failed: bool,
    faults: u64,
    looks: u64,
    /// So many of them were read and held against what was sent, since the last opening.
    held: usize,
    openings: u32,
}

fn message(number: u64, kind: u8, size: u8) -> (Message, Sent) {
    let topic = TOPICS[usize::from(kind % 3)];
    let queue = QUEUES[usize::from(kind / 3 % 4)];
    let tagged = kind & 1 != 0;
    let key = KEYS[usize::from(kind / 12 % 5)].to_owned();
    // Most are short; some take a third of a segment.
    let len = if size < 200 { usize::from(size) } else { usize::from(size - 199) * 380 };
    let mut body = format!("{number} ").into_bytes();
    body.resize(body.len() + len, b'.');
    let message = Message::new(topic, body.clone()).queue(queue);
    let message = message.tag(if tagged { TAG } else { "" }).key(&key);
    let nowhere = Stored {
        position: sawlog::Position { offset: LogOffset(0), len: 0 },
        queue_offset: sawlog::QueueOffset(0),
        stored: Timestamp(0),
        message_id: "7F00000100002A9F0000000000000000".parse().expect("an id"),
    };
    (message, Sent { told: nowhere, body, topic, queue, tagged, key })
}

impl World {
    fn new(input: &mut Input<'_>) -> World {
        let how = input.byte();
        let disk = SimDisk::new();
        disk.revert_after_failed_sync((how & 4 != 0).then(|| u64::from(how)));
        let mut world = World {
            disk,
            clock: Arc::new(HandClock::new(Timestamp(1_700_000_000_000))),
            store: None,
            sync: how & 1 != 0,
            checksum: if how & 2 != 0 { Checksum::Body } else { Checksum::Record },
            sent: Vec::new(),
            durable: 0,
            written: 0,
            appended: 0,
            half_written: false,
            failed: false,
            faults: 0,
            looks: 0,
            held: 0,
            openings: 0,
        };
        world.open();
        world
    }

    fn options(&self) -> Options {
        let options = Options::new().disk(self.disk.clone()).clock(Arc::clone(&self.clock)).by_hand();
        let options = options.segment_bytes(SEGMENT_BYTES).checksum(self.checksum).max_message_bytes(40_000);
        let options = options.queue_segment_entries(8).index_slots(16).index_entries(32);
        if self.sync { options.flush(SyncFlush) } else { options.flush(AsyncFlush::default()) }
    }

    /// Whether a fault has met a call since this was last asked.
    fn faulted(&mut self) -> bool {
        let now = self.disk.faults_fired();
        std::mem::replace(&mut self.faults, now) != now
    }

    /// Does one operation. False: the run has come to an end.
    fn step(&mut self, op: u8, input: &mut Input<'_>) -> bool {
        self.faulted();
        match op % 16 {
            0..4 => self.append(op / 16, input),
            4 | 5 => self.batch(input),
            6 => self.flush(),
            7 => {
                if let Some(store) = &self.store {
                    store.step();
                }
            }
            8 => self.clock.turn(Duration::from_millis(u64::from(input.byte()) * 50)),
            9 => self.clock.jump_to(Timestamp(1_700_000_000_000 + i64::from(input.byte()) - 128)),
            10 | 11 => self.arm(input),
            12 if op < 128 => self.disk.clear_faults(),
            12 => self.change_policy(),
            13..16 => return self.end_and_open(op, input),
            _ => {}
        }
        true
    }

    fn append(&mut self, how: u8, input: &mut Input<'_>) {
        let (message, sent) = message(self.appended, input.byte(), input.byte());
        self.appended += 1;
        let Some(store) = &self.store else { return };
        let answer = match how % 4 {
            0 => store.append(&message),
            1 => store.append_with(&message, Level::Flushed),
            2 => store.append_with(&message, Level::Written),
            _ => store.try_append(&message),
        };
        self.note(answer, vec![sent]);
    }

    fn batch(&mut self, input: &mut Input<'_>) {
        let count = 1 + input.byte() % 5;
        let (mut messages, mut sent) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let size = input.byte();
            let (message, one) = message(self.appended, size, size.min(230));
            self.appended += 1;
            messages.push(message);
            sent.push(one);
        }
        let Some(store) = &self.store else { return };
        let answer = store.append_batch(&messages);
        self.note(answer, sent);
    }

    /// Writes down what an append answered.
    fn note(&mut self, answer: sawlog::Result<Ack>, mut sent: Vec<Sent>) {
        let faulted = self.faulted();
        match answer {
            Ok(ack) => {
                for (one, told) in sent.iter_mut().zip(ack.all()) {
                    one.told = told;
                }
                self.sent.append(&mut sent);
            }
            Err(Error::Busy { .. }) => {}
            Err(Error::InvalidMessage(why)) => assert!(sent.len() > 1, "one fits: {why}"),
            Err(Error::Failed(_)) => self.half_written |= faulted,
            // What the keeper met when it made a segment is told to the next append that does not wait for one.
            Err(error @ (Error::Io { .. } | Error::Full { .. })) => {
                assert!(self.disk.faults_fired() > 0, "no call has ever failed, and yet: {error}");
            }
            Err(other) => panic!("{other}"),
        }
    }

    fn flush(&mut self) {
        let Some(store) = self.store.clone() else { return };
        match store.flush() {
            Ok(to) => {
                assert!(self.sent.iter().all(|sent| sent.told.position.end() <= to));
                self.half_written = false;
            }
            Err(Error::Failed(_)) => assert!(store.failure().is_some()),
            Err(other) => panic!("{other}"),
        }
    }

    /// The other policy takes the place of the one in force.
    fn change_policy(&mut self) {
        let Some(store) = self.store.clone() else { return };
        let before = store.marks();
        let done =
            if self.sync { store.set_flush(AsyncFlush::default()) } else { store.set_flush(SyncFlush) };
        let marks = store.marks();
        match done {
            Ok(()) => {
                self.sync = !self.sync;
                assert!(self.sent.iter().all(|sent| sent.told.position.end() <= marks.flushed));
                assert!(before.visible <= marks.visible, "{before:?} {marks:?}");
                assert_eq!(marks.visible, marks.accepted);
                self.half_written = false;
            }
            Err(Error::Failed(_)) => assert!(store.failure().is_some()),
            Err(other) => panic!("{other}"),
        }
    }

    fn arm(&mut self, input: &mut Input<'_>) {
        let (what, nth) = (input.byte(), input.byte());
        self.disk.fail_at_aimed(aim(what), u64::from(nth % 32), fault(what));
    }

    /// Follows the marks, and holds what readers see against what was sent.
    fn look(&mut self) {
        self.look_at_marks();
        let Some(store) = self.store.clone() else { return };
        self.failed |= store.failure().is_some();
        self.faulted();
        let marks = store.marks();
        let whole = self.looks.is_multiple_of(WHOLE_LOOK);
        let from = if whole { 0 } else { self.held.saturating_sub(1) };
        let start = self.sent.get(from).map_or(marks.first, |sent| sent.told.position.offset);
        let seen: sawlog::Result<Vec<Record>> = store.scan(start.min(marks.visible)).collect();
        match seen {
            Ok(seen) => {
                let visible = self.sent.partition_point(|sent| sent.told.position.end() <= marks.visible);
                assert_eq!(from + seen.len(), visible.max(from), "{marks:?}");
                self.hold(&seen, from);
                self.held = visible.max(from);
            }
            Err(error) => assert!(self.faulted(), "what is visible can be read: {error}"),
        }
        self.looks += 1;
        let held = queues::hold_some(&self.disk, &store, &self.sent, self.looks.wrapping_mul(0x9E37_79B9));
        self.believe(held);
    }

    /// Reading fails only where the disk does.
    fn believe(&mut self, held: sawlog::Result<()>) {
        if let Err(error) = held {
            let is_disks = matches!(error, Error::Io { .. } | Error::Failed(_) | Error::Full { .. });
            assert!(is_disks && self.disk.faults_fired() > 0, "what is derived can be read: {error}");
        }
    }

    /// The records are those that were sent, one by one, from the `from`th on.
    fn hold(&self, records: &[Record], from: usize) {
        let sent = self.sent.get(from..).unwrap_or_default();
        assert!(records.len() <= sent.len(), "a phantom: {} of {}", records.len(), sent.len());
        let mut queues = BTreeMap::new();
        let mut last = Timestamp(1);
        for (record, sent) in records.iter().zip(sent) {
            assert_eq!(record.position, sent.told.position);
            assert_eq!((record.topic().as_str(), record.queue_id()), (sent.topic, sent.queue));
            assert_eq!((record.queue_offset, record.stored), (sent.told.queue_offset, sent.told.stored));
            assert!(record.body() == &sent.body, "a body that nobody sent");
            // Looked at from its middle the log does not say where a queue began.
            let first = if from == 0 { 0 } else { record.queue_offset.0 };
            let next = queues.entry((sent.topic, sent.queue)).or_insert(first);
            assert_eq!(record.queue_offset.0, *next, "a gap in a queue, or a double");
            *next += 1;
            assert!(record.stored >= last, "store time stepped back");
            last = record.stored;
        }
    }

    /// Ends the store's life in one of three ways and opens what is left. False: the run has come to an end.
    fn end_and_open(&mut self, how: u8, input: &mut Input<'_>) -> bool {
        let choice = input.byte();
        match (how % 16, self.store.take()) {
            (13, Some(store)) => {
                let handle = store.clone();
                let closed = store.close();
                self.failed |= matches!(handle.failure(), Some(Error::Failed(_)));
                self.store = Some(handle);
                self.look_at_marks();
                self.store = None;
                if closed.is_ok() {
                    assert_eq!(self.durable, self.sent.len(), "closed in order");
                }
            }
            (14, store) => {
                self.disk = self.disk.kill();
                drop(store);
            }
            (_, store) => {
                self.disk = self.disk.power_cut(u64::from(choice), Survivors::ALL[usize::from(choice % 5)]);
                self.written = self.durable;
                drop(store);
                self.failed = false;
                // A checksum of the body alone does not see what a torn record lacks elsewhere (spec H1).
                if self.half_written || self.checksum == Checksum::Body {
                    return self.hold_the_durable();
                }
            }
        }
        self.disk.revert_after_failed_sync((choice & 32 != 0).then(|| u64::from(choice)));
        self.sync ^= choice & 64 != 0;
        if choice & 128 != 0 {
            // The opening itself meets a fault.
            let (what, nth) = (input.byte(), input.byte());
            self.disk.fail_at_aimed(aim(what), u64::from(nth), fault(what));
        }
        self.faults = self.disk.faults_fired();
        self.openings += 1;
        self.open() && self.openings < MOST_OPENINGS
    }

    /// Opens once and looks at what is durable alone: of the rest nobody knows. The run ends here.
    fn hold_the_durable(&mut self) -> bool {
        let store = Store::open("/store", self.options()).expect("a power cut leaves a store that opens");
        let found = store.scan(store.marks().first).take(self.durable);
        let found: Vec<Record> = found.map(|r| r.expect("what is durable can be read")).collect();
        assert_eq!(found.len(), self.durable, "{}", store.recovery());
        self.hold(&found, 0);
        false
    }

    fn look_at_marks(&mut self) {
        let Some(store) = &self.store else { return };
        let marks = store.marks();
        assert!(marks.flushed <= marks.written && marks.written <= marks.accepted, "{marks:?}");
        let below = |at| self.sent.partition_point(|sent| sent.told.position.end() <= at);
        self.durable = self.durable.max(below(marks.flushed));
        self.written = self.written.max(below(marks.written));
    }

    /// Opens, a second time without faults if it must. False: the run has come to an end.
    fn open(&mut self) -> bool {
        let opened = Store::open("/store", self.options());
        let store = match opened {
            Ok(store) => store,
            Err(Error::Corrupt(damage)) => {
                // After a failed sync pages may have gone back to what the medium holds; if the mark could not say
                // so either, it looks like damage in the same run of the system.
                assert!(self.failed, "nothing was ever damaged: {damage}");
                return false;
            }
            Err(error) => {
                assert!(self.faulted(), "no call has failed, and yet: {error}");
                // It may have been a sync: what was written and not durable may have gone with it.
                self.failed = true;
                self.disk.clear_faults();
                self.disk = self.disk.kill();
                return self.open();
            }
        };
        self.disk.clear_faults();
        let report = store.recovery();
        assert!(report.cuts.iter().all(|cut| !cut.damage), "{report}");
        let found: Vec<Record> = store.scan(store.marks().first).map(|r| r.expect("a sound log")).collect();
        let least = if self.failed { self.durable } else { self.durable.max(self.written) };
        if !self.half_written {
            assert!(found.len() >= least, "{} of {least} are left: {report}", found.len());
            self.hold(&found, 0);
        }
        self.sent.truncate(found.len());
        self.held = 0;
        // As above: of a record that was torn keys and tags may be gone, and nobody sees it.
        let may_be_torn = (self.half_written || self.failed) && self.checksum == Checksum::Body;
        let sound = self.sent.len() == found.len() && !may_be_torn;
        (self.durable, self.written) = (found.len(), found.len());
        (self.half_written, self.failed) = (false, false);
        if sound {
            let held = queues::hold_all(&self.disk, &store, &self.sent);
            self.believe(held);
        }
        self.faults = self.disk.faults_fired();
        self.store = Some(store);
        sound
    }
}

fn aim(what: u8) -> Aim {
    match what % 8 {
        0 => Aim::anything(),
        1 => Aim::anything().kind(OpKind::Write),
        2 => Aim::anything().kind(OpKind::Sync),
        3 => Aim::anything().kind(OpKind::Create),
        4 => Aim::anything().kind(OpKind::SyncDir),
        5 => Aim::anything().path("commitlog"),
        6 => Aim::anything().path("sawlog"),
        _ => Aim::anything().kind(OpKind::Rename),
    }
}

fn fault(what: u8) -> Fault {
    let error = match what / 8 % 5 {
        0 => FaultKind::Eio,
        1 => FaultKind::Enospc,
        2 => FaultKind::Edquot,
        3 => FaultKind::Erofs,
        _ => FaultKind::ShortWrite(usize::from(what)),
    };
    if (what / 40).is_multiple_of(2) { Fault::once(error) } else { Fault::persistent(error) }
}
