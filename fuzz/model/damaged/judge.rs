//! What must hold of a damaged store: how it is refused, and what it serves if it opens.

use std::collections::BTreeMap;
use std::path::Path;

use sawlog::clock::Timestamp;
use sawlog::disk::sim::SimDisk;
use sawlog::flush::SyncFlush;
use sawlog::{Bound, Error, Fetch, Filter, LogOffset, Message, OnDamage, QueueOffset, Record, Store};

use super::stores::{KEYS, QUEUES, ROOT, Sound, TAG, TOPICS, options};

/// Damaged queue files may speak of any number of messages.
const MOST_READ: usize = 200;
/// The bits of an input's second byte that ask for queues and index made anew.
const REBUILD: u8 = 24;
/// A jump by more positions than this is not followed; see [`has_jumped`].
const FAR: u64 = 10_000;
/// The body of what is appended to a damaged store.
const FURTHER: &str = "goes on";

/// What of the store the damage left as it was: it says what may be asked of what is served.
#[derive(Clone, Copy)]
struct Intact {
    log: bool,
    own: bool,
    queues: bool,
    /// A record that was not appended would be seen: nothing happened to the log, or the store can tell.
    is_judged: bool,
}

impl Intact {
    fn of(disk: &SimDisk, before: &Sound) -> Intact {
        let log = bytes(disk, "commitlog") == bytes(&before.disk, "commitlog");
        // The abort mark says who wrote last: who did not is believed to have written without our checksums.
        let own = bytes(disk, "sawlog") == bytes(&before.disk, "sawlog")
            && bytes(disk, "abort") == bytes(&before.disk, "abort");
        let queues = bytes(disk, "consumequeue") == bytes(&before.disk, "consumequeue");
        Intact { log, own, queues, is_judged: log || own && before.checks_all }
    }
}

fn bytes(disk: &SimDisk, part: &str) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
    let under = Path::new(ROOT).join(part);
    let files = disk.files().into_iter().filter(|(path, _)| path.starts_with(&under));
    files.map(|(path, _)| (path.clone(), disk.read_file(&path).expect("it is there"))).collect()
}

/// Opens under each [`OnDamage`]; looks at what opens, appends, closes, and opens it again.
pub(super) fn judge(disk: SimDisk, before: &Sound, how: u8) {
    let intact = Intact::of(&disk, before);
    let Some(store) = open(&disk, how) else { return };
    let first = store.marks().first;
    let seen = scan(&store, before, intact);
    if intact.log && intact.own {
        assert_eq!(seen.len(), before.shown, "{}", store.recovery());
    }
    look_at_queues(&store, before, intact);
    if has_index(how) {
        look_for_keys(&store, before, intact);
    }
    if has_jumped(&store) {
        // Nothing more gets a file.
        disk.capacity_bytes(0);
        return;
    }
    if !goes_on(&disk, &store, &seen, intact) {
        return;
    }
    let seen = scan(&store, before, intact).len();
    if store.close().is_err() {
        return;
    }
    again(&disk, how, (first, seen), before, intact);
}

/// Whether a number that was damaged has a queue jump far. Up to a million positions are filled with blanks: 20 MB in
/// files of RocketMQ's length, but a gigabyte of the simulated disk's pages in files of four entries.
fn has_jumped(store: &Store) -> bool {
    store.topics().iter().any(|topic| {
        store.queues_of(topic).into_iter().any(|id| {
            let queue = store.queue(topic.as_str(), id);
            queue.max().0.saturating_sub(queue.min().map_or(0, |min| min.0)) > FAR
        })
    })
}

fn has_index(how: u8) -> bool {
    how & 3 != 3
}

fn open_once(disk: &SimDisk, how: u8, on_damage: OnDamage, hours: i64) -> sawlog::Result<Store> {
    let options = options(disk, hours).on_damage(on_damage).key_index(has_index(how));
    let options = if how & 4 != 0 { options.flush(SyncFlush) } else { options };
    let options = if how & REBUILD == REBUILD { options.rebuild_derived() } else { options };
    Store::open(ROOT, options)
}

/// All files of a store here have some hundred KiB.
const ROOM_BYTES: u64 = 8 << 20;

/// A refusal says why in its type, and has changed nothing.
fn open(disk: &SimDisk, how: u8) -> Option<Store> {
    // Who takes the lock writes a word into its file, unless it stands there.
    let lock = disk.read_file("/store/lock").is_ok_and(|word| word == b"lock");
    let was = disk.fingerprint();
    // A queue that has jumped may get its files while it is opened: see `has_jumped`.
    disk.capacity_bytes(ROOM_BYTES);
    for on_damage in [OnDamage::Refuse, OnDamage::FirstBroken] {
        let error = match open_once(disk, how, on_damage, 24) {
            Ok(store) => return Some(store),
            Err(error) if error.is_full() => return None,
            Err(error) => error,
        };
        let typed = matches!(
            error,
            Error::Corrupt(_) | Error::Foreign { .. } | Error::Geometry { .. } | Error::InvalidOptions(_)
        );
        assert!(typed, "{on_damage:?}: {error} {error:?}");
        assert!(!lock || disk.fingerprint() == was, "{on_damage:?} has changed something: {error}");
    }
    None
}

/// Reading answers a typed error, or what was appended.
fn believe<T>(store: &Store, answer: sawlog::Result<T>) -> Option<T> {
    match answer {
        Ok(value) => Some(value),
        Err(Error::Corrupt(_) | Error::OutOfRange { .. }) => None,
        Err(Error::Failed(cause)) if store.failure().is_some() => {
            assert!(matches!(*cause, Error::Corrupt(_)), "{cause}");
            None
        }
        Err(other) => panic!("{other} {other:?}"),
    }
}

/// The record was appended, as it is, where it stands.
fn hold(record: &Record, before: &Sound, intact: Intact) {
    if !intact.is_judged || record.body() == FURTHER {
        return;
    }
    let sent = before.sent.get(&record.position.offset.0);
    let sent = sent.unwrap_or_else(|| panic!("a phantom: {record:?}"));
    assert_eq!(
        (record.position, record.queue_offset, record.stored),
        (sent.position, sent.queue_offset, sent.stored)
    );
    assert_eq!((record.topic(), record.queue_id()), (&sent.message.topic, sent.message.queue_id));
    assert!(record.body() == &sent.message.body, "a body that nobody sent");
    assert_eq!((record.message.tags(), record.message.keys()), (sent.message.tags(), sent.message.keys()));
}

/// All that the log shows before it ends, or before its first damage.
fn scan(store: &Store, before: &Sound, intact: Intact) -> Vec<Record> {
    let mut seen = Vec::new();
    for record in store.scan(store.marks().first) {
        let Some(record) = believe(store, record) else { break };
        hold(&record, before, intact);
        assert!(seen.last().is_none_or(|last: &Record| last.position.end() <= record.position.offset));
        seen.push(record);
    }
    for at in before.sent.keys().step_by(5).map(|at| LogOffset(*at)) {
        if let Some(record) = believe(store, store.record_at(at)) {
            hold(&record, before, intact);
        }
    }
    let _ = believe(store, store.raw(store.marks().first, 1 << 20)).map(|raw| raw.bytes.len());
    seen
}

fn look_at_queues(store: &Store, before: &Sound, intact: Intact) {
    for topic in store.topics() {
        assert!(store.queues_of(&topic).len() < 1000);
    }
    for (topic, id) in TOPICS.into_iter().flat_map(|topic| QUEUES.map(|queue| (topic, queue))) {
        let queue = store.queue(topic, id);
        let is_its = |record: &Record| {
            assert_eq!((record.topic().as_str(), record.queue_id()), (topic, id));
            hold(record, before, intact);
        };
        let mut next = QueueOffset(0);
        for record in queue.read_from(next).take(MOST_READ) {
            let Some(record) = believe(store, record) else { break };
            is_its(&record);
            assert!(record.queue_offset >= next, "{topic}/{id} steps back");
            next = record.queue_offset.next();
        }
        let (min, max) = (believe(store, queue.min()).unwrap_or_default(), queue.max());
        for from in [QueueOffset(0), min, QueueOffset(max.0.saturating_sub(3)), QueueOffset(u64::MAX)] {
            for fetch in [Fetch::from(from), Fetch::from(from).max_count(3).filter(Filter::tags([TAG]))] {
                let batch = believe(store, queue.fetch(&fetch));
                batch.iter().flat_map(|batch| &batch.records).for_each(is_its);
            }
            let _ = believe(store, queue.raw(&Fetch::from(from))).map(|raw| raw.pieces.len());
            if let Some(record) = believe(store, queue.record_at(from)) {
                is_its(&record);
            }
        }
        for at in [i64::MIN, 0, 1_700_000_005_000, i64::MAX].map(Timestamp) {
            for bound in [Bound::First, Bound::Last] {
                if let Some(found) = believe(store, queue.offset_at_time(at, bound)) {
                    assert!(found <= max.max(min), "{topic}/{id}: {found} of {max}");
                }
            }
        }
    }
}

fn look_for_keys(store: &Store, before: &Sound, intact: Intact) {
    for (topic, key) in TOPICS.into_iter().flat_map(|topic| KEYS.map(|key| (topic, key))) {
        for record in store.find(topic, key).at_most(64).take(MOST_READ) {
            let Some(record) = believe(store, record) else { break };
            assert_eq!(record.topic().as_str(), topic);
            hold(&record, before, intact);
            assert_eq!(record.message.keys().as_deref(), Some(key));
        }
    }
}

/// The store takes an append, makes it durable and shows it, under a number that nobody has. False: it has failed,
/// of the damage, or the number is too far away to be followed.
fn goes_on(disk: &SimDisk, store: &Store, seen: &[Record], intact: Intact) -> bool {
    let message = Message::new(TOPICS[0], FURTHER).queue(QUEUES[0]);
    let told = match store.append_and_wait(&message) {
        Ok(told) => told,
        error => {
            assert!(believe(store, error.map(drop)).is_none(), "the store takes nothing");
            return false;
        }
    };
    if told.queue_offset.0.saturating_sub(store.queue(TOPICS[0], QUEUES[0]).max().0) > FAR {
        assert!(
            !(intact.log && intact.own && intact.queues),
            "number {} in a sound store",
            told.queue_offset
        );
        // What was noted of the queue alone has jumped: blanks are written as soon as this message has its entry.
        disk.capacity_bytes(0);
        return false;
    }
    while store.failure().is_none() && store.step() {}
    let record = store.record_at(told.position.offset).expect("it is durable");
    assert!(record.body() == FURTHER && record.queue_offset == told.queue_offset);
    if intact.log && intact.own {
        let taken = seen.iter().filter(|r| r.topic().as_str() == TOPICS[0] && r.queue_id() == QUEUES[0]);
        assert!(taken.map(|r| r.queue_offset).all(|taken| taken < told.queue_offset), "a number given twice");
    }
    let shown = believe(store, store.queue(TOPICS[0], QUEUES[0]).record_at(told.queue_offset));
    assert!(shown.is_none_or(|record| record.position == told.position));
    store.failure().is_none()
}

/// A second opening shows the same, and leaves all files as they are but those that tell of openings.
fn again(disk: &SimDisk, how: u8, (first, seen): (LogOffset, usize), before: &Sound, intact: Intact) {
    let left = lasting(disk);
    let store = open_once(disk, how & !REBUILD, OnDamage::Refuse, 25);
    let store = store.unwrap_or_else(|error| panic!("opened once, and now: {error}"));
    let report = store.recovery();
    assert!(report.cuts.is_empty() && report.clean_shutdown, "{report}");
    assert_eq!((store.marks().first, scan(&store, before, intact).len()), (first, seen), "{report}");
    store.close().expect("nothing has failed");
    let now = lasting(disk);
    // Entries of a queue's last file may all have gone with the log's front: it goes when there is one behind it.
    let may_go = |path: &Path| first > LogOffset(0) && path.starts_with("/store/consumequeue");
    let gone = left.keys().filter(|path| !now.contains_key(*path) && !may_go(path));
    let changed = now.iter().filter(|(path, bytes)| left.get(*path) != Some(bytes)).map(|(path, _)| path);
    let changed: Vec<_> = changed.chain(gone).collect();
    assert!(changed.is_empty(), "a second opening changed {changed:?}");
}

/// All files but those in which each opening leaves its trace.
fn lasting(disk: &SimDisk) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
    let mut all = bytes(disk, "");
    for trace in ["sawlog/mark", "sawlog/queues", "sawlog/ranges", "checkpoint", "lock"] {
        all.remove(&Path::new(ROOT).join(trace));
    }
    all
}
