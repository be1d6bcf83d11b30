//! The flush policy changes under producers, readers and watchers that run as fast as they can.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;

use sawlog::disk::MappedDisk;
use sawlog::disk::sim::SimDisk;
use sawlog::flush::{AsyncFlush, SyncFlush};
use sawlog::{Level, LogOffset, Options, QueueOffset, Store};

use crate::world::*;

const PRODUCERS: u32 = 3;

fn each() -> u64 {
    if std::env::var_os("SAWLOG_QUICK").is_some() { 2_000 } else { 5_000 }
}

/// Appends, waiting for every seventh, each in a queue of its own.
fn produce(store: &Store, producer: u32) {
    for n in 0..each() {
        let message = numbered(n).queue(producer);
        let ack = match n % 5 {
            0 => store.append_with(&message, Level::Flushed),
            _ => store.append(&message),
        };
        let ack = ack.unwrap();
        if n % 7 == 0 {
            let level = ack.level();
            ack.wait().unwrap();
            let marks = store.marks();
            match level {
                Level::Flushed => assert!(marks.flushed >= ack.end()),
                Level::Written => assert!(marks.written >= ack.end()),
            }
        }
    }
}

/// Follows a queue to its end, waiting for every message.
fn consume(store: &Store, queue_id: u32) {
    let queue = store.queue("orders", queue_id);
    for n in 0..each() {
        queue.wait(QueueOffset(n)).wait().unwrap();
        let record = queue.read_from(QueueOffset(n)).next().unwrap().unwrap();
        assert_eq!(record.body(), format!("{n:08}").as_bytes());
    }
}

/// The mark that readers follow never goes back, and never lags behind the flushed one.
fn watch(store: &Store, ended: &AtomicBool) {
    let mut last = LogOffset(0);
    let mut scan = store.scan(LogOffset(0));
    while !ended.load(SeqCst) {
        let flushed = store.flushed().at();
        let visible = store.visible().at();
        assert!(visible >= last && visible >= flushed, "{visible} after {last} and {flushed}");
        last = visible;
        for record in scan.by_ref() {
            record.unwrap();
        }
        assert!(scan.position() >= visible || store.visible().at() > visible);
    }
}

fn run(options: Options, root: &Path, again: impl Fn() -> Options) {
    let store = Store::open(root, options.segment_bytes(256 << 10)).unwrap();
    let ended = AtomicBool::new(false);
    let changes = std::thread::scope(|scope| {
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|producer| {
                let store = &store;
                (scope.spawn(move || produce(store, producer)), scope.spawn(move || consume(store, producer)))
            })
            .collect();
        scope.spawn(|| watch(&store, &ended));
        let changes = scope.spawn(|| {
            let mut changes = 0_u64;
            while !ended.load(SeqCst) {
                store.set_flush(SyncFlush).unwrap();
                store.set_flush(AsyncFlush::default()).unwrap();
                let marks = store.marks();
                assert!(marks.visible >= marks.flushed, "{marks:?}");
                changes += 2;
            }
            changes
        });
        for (producer, consumer) in producers {
            producer.join().unwrap();
            consumer.join().unwrap();
        }
        ended.store(true, SeqCst);
        changes.join().unwrap()
    });
    assert!(changes >= 2, "{changes}");
    store.close().unwrap();
    let store = Store::open(root, again().segment_bytes(256 << 10)).unwrap();
    assert!(store.recovery().clean_shutdown);
    assert_eq!(all(&store).len() as u64, each() * u64::from(PRODUCERS));
    (0..PRODUCERS).for_each(|queue| consume(&store, queue));
    store.close().unwrap();
}

#[test]
fn nobody_is_lost_on_the_simulated_disk() {
    let disk = SimDisk::new();
    let options =
        || Options::new().disk(disk.clone()).flush(AsyncFlush::default()).index_slots(64).index_entries(1024);
    run(options(), Path::new("/store"), options);
}

/// Positioned writes and stores through the mapping change places within the same pages.
#[test]
fn nobody_is_lost_on_a_mapped_disk() {
    let folder = tempfile::tempdir().unwrap();
    let options = || {
        Options::new()
            .disk(MappedDisk::new())
            .flush(AsyncFlush::default())
            .index_slots(64)
            .index_entries(1024)
    };
    run(options(), &folder.path().join("store"), options);
}
