//! How a queue's numbers go on when its records are gone, its topic was dropped, or a record lies about its number.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use sawlog::disk::Disk;
use sawlog::flush::SyncFlush;
use sawlog::message::Checksum;
use sawlog::{Ack, Error, Fetch, Message, OnDamage, QueueOffset, Status, Store};

use crate::world::*;

/// What a broker leaves behind after its own retention: no folder of ours, and the log's first segment gone.
fn as_a_broker_would_leave_it(world: &World) {
    for (path, _) in world.disk.files() {
        if path.starts_with("/store/sawlog") || path.ends_with("commitlog/00000000000000000000") {
            world.disk.remove(&path).unwrap();
        }
    }
}

/// After 72 hours a quiet queue has no record left, and only its file knows that its numbers go on at 10. They began
/// again at 0: the next message was acknowledged, stood where an expired one had been, and no consumer ever got it.
#[test]
fn a_brokers_queue_whose_records_have_all_expired_goes_on_where_it_was() {
    let world = World::new();
    let store = world.asynchronous();
    for n in 0..10 {
        store.append(&Message::new("quiet", format!("{n}"))).unwrap().forget();
    }
    for _ in 0..100 {
        store.append(&Message::new("busy", vec![7; 2000])).unwrap().forget();
    }
    store.close().unwrap();
    as_a_broker_would_leave_it(&world);
    let store = world.asynchronous();
    let quiet = store.queue("quiet", 0);
    assert_eq!((quiet.min().unwrap(), quiet.max()), (QueueOffset(10), QueueOffset(10)));
    let ack = store.append(&Message::new("quiet", "new")).unwrap();
    assert_eq!(ack.queue_offset(), QueueOffset(10));
    settle(&store);
    let batch = quiet.fetch(&Fetch::from(QueueOffset(10))).unwrap();
    assert_eq!((batch.status, batch.records.len()), (Status::Found, 1));
    assert_eq!(batch.records[0].body(), "new");
}

/// The body's checksum does not cover a record's queue offset (spec H1). One flipped bit made the number that of a
/// message four billion later; the queue refused it, and every message after it, which were all acknowledged.
#[test]
fn a_flipped_queue_offset_costs_its_own_record_and_no_later_one() {
    let world = World::new();
    let options = || world.options(SyncFlush).checksum(Checksum::Body);
    let store = Store::open("/store", options()).unwrap();
    let mut last = 0;
    for n in 0..3 {
        last = store.append_and_wait(&numbered(n)).unwrap().position.offset.0;
    }
    store.close().unwrap();
    let log = Path::new("/store/commitlog/00000000000000000000");
    world.disk.flip(log, (last + 20 + 3) * 8).unwrap();
    let store = Store::open("/store", options()).unwrap();
    for n in 3..8 {
        store.append_and_wait(&numbered(n)).unwrap();
    }
    settle(&store);
    let queue = store.queue("orders", 0);
    assert!(matches!(queue.record_at(QueueOffset(2)), Err(Error::Corrupt(_))), "bound to its record");
    for n in 3..8 {
        assert_eq!(queue.record_at(QueueOffset(n)).unwrap().body(), &numbered(n).body);
    }
}

/// What was acknowledged before the call, and lay in no queue yet because the dispatcher had not come to it, stayed.
#[test]
fn a_topic_is_dropped_with_what_no_queue_holds_yet() {
    let world = World::new();
    let store = world.asynchronous();
    store.append(&Message::new("t", "x").key("k")).unwrap().wait().unwrap();
    store.drop_topic("t").unwrap();
    settle(&store);
    let queue = store.queue("t", 0);
    assert_eq!((queue.min().unwrap(), queue.max()), (QueueOffset(1), QueueOffset(1)));
    assert_eq!(store.find("t", "k").count(), 0);
    assert_eq!(store.append(&Message::new("t", "y")).unwrap().queue_offset(), QueueOffset(1));
}

/// Recovery cut the log below the place of the drop and forgot the drop as a whole: the records below the cut were back.
#[test]
fn a_dropped_topic_stays_dropped_where_damage_cuts_the_log_below() {
    let world = World::new();
    let store = world.sync();
    for n in 0..5 {
        store.append(&Message::new("t", format!("{n}"))).unwrap().forget();
    }
    let other = store.append_and_wait(&Message::new("u", "y")).unwrap().position.offset.0;
    store.drop_topic("t").unwrap();
    store.close().unwrap();
    let log = Path::new("/store/commitlog/00000000000000000000");
    world.disk.flip(log, (other + 4) * 8).unwrap();
    let store = Store::open("/store", world.options(SyncFlush).on_damage(OnDamage::FirstBroken)).unwrap();
    settle(&store);
    let queue = store.queue("t", 0);
    assert_eq!(queue.min().unwrap(), queue.max());
    assert!(store.topics().iter().all(|topic| topic != "t"));
}

/// Uses the store when it is woken, as an executor that polls at once would.
struct Uses(Mutex<Option<Store>>);

impl Wake for Uses {
    fn wake(self: Arc<Self>) {
        if let Some(store) = self.0.lock().unwrap().take() {
            let _ = store.append(&Message::new("t", "from a waker")).map(Ack::forget);
            let _ = store.drop_topic("another");
            store.close().unwrap();
        }
    }
}

/// A drop flushed under its own locks: a waker that used the store waited for them for ever.
#[test]
fn whoever_is_woken_by_a_drop_or_a_close_may_use_the_store() {
    for drops in [true, false] {
        let world = World::new();
        let store = world.asynchronous();
        store.append(&Message::new("t", "1")).unwrap().forget();
        let mut reached = Box::pin(store.flushed().reach(store.marks().accepted));
        let waker = Waker::from(Arc::new(Uses(Mutex::new(Some(store.clone())))));
        let polled: Poll<_> = Pin::new(&mut reached).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        let (done, seen) = std::sync::mpsc::channel();
        let other = store.clone();
        std::thread::spawn(move || {
            let _ = if drops { other.drop_topic("t") } else { other.close() };
            done.send(()).unwrap();
        });
        assert!(seen.recv_timeout(PATIENCE).is_ok(), "deadlock");
    }
}
