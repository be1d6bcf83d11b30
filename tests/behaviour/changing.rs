//! The flush policy changes on a running store: who is promised what, before, across and behind the change.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use sawlog::disk::sim::{Aim, Fault, FaultKind, OpKind, Survivors};
use sawlog::flush::{AsyncFlush, Decision, FlushPolicy, Progress, Reached, SyncFlush};
use sawlog::{Error, Level, LogOffset, Message, Options, Store};

use crate::world::*;

const MARK: &str = "/store/sawlog/mark";

/// The windows of stores whose longest body is one byte.
pub const SMALL_WINDOW: u64 = (4 << 20) + 2 * (1 + 65_536 + 16);
const LARGE_WINDOW: u64 = (2 << 30) + 2 * (1 + 65_536 + 16);

/// The window that the mark's file holds, in the slot that counts.
fn window_in_mark(world: &World) -> u64 {
    let file = world.disk.read_file(MARK).unwrap();
    let number = |slot: usize, at: usize| {
        let at = slot * 4096 + at;
        u64::from_be_bytes(file[at..at + 8].try_into().unwrap())
    };
    let newest = usize::from(number(1, 8) > number(0, 8));
    number(newest, 24)
}

#[derive(Default)]
struct Counted(AtomicU64);

impl Wake for Counted {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

fn poll(reached: &mut Reached, waker: &Arc<Counted>) -> Poll<sawlog::Result<()>> {
    pin!(reached).poll(&mut Context::from_waker(&Waker::from(Arc::clone(waker))))
}

/// A policy of the user's own; it says when it is asked.
#[derive(Debug)]
pub struct Own {
    level: Level,
    asked: std::sync::mpsc::Sender<()>,
}

impl FlushPolicy for Own {
    fn ack_when(&self) -> Level {
        self.level
    }

    fn decide(&self, _: &Progress) -> Decision {
        let _ = self.asked.send(());
        Decision::SleepFor(Duration::from_secs(3600))
    }
}

pub fn own(level: Level) -> Own {
    Own { level, asked: std::sync::mpsc::channel().0 }
}

#[test]
fn what_was_appended_before_a_change_is_durable_behind_it() {
    for sync in [false, true] {
        let world = World::new();
        let store = if sync { world.sync() } else { world.asynchronous() };
        (0..20).for_each(|n| store.append(&numbered(n)).unwrap().forget());
        store.append(&sized(30_000)).unwrap().forget();
        store.append(&sized(40_000)).unwrap().forget();
        assert!(store.marks().flushed < store.marks().accepted);
        let done = if sync { store.set_flush(AsyncFlush::default()) } else { store.set_flush(SyncFlush) };
        done.unwrap();
        let marks = store.marks();
        assert_eq!((marks.flushed, marks.visible), (marks.accepted, marks.accepted));
        let world = World::on(world.disk.power_cut(1, Survivors::Nothing));
        assert_eq!(all(&world.sync()).len(), 22);
    }
}

#[test]
fn acks_go_by_the_policy_in_force_when_they_were_asked_for() {
    let world = World::new();
    let store = world.asynchronous();
    let weak = store.append(&numbered(0)).unwrap();
    let strong = store.append_with(&numbered(1), Level::Flushed).unwrap();
    assert!(weak.is_done() && !strong.is_done());
    store.set_flush(SyncFlush).unwrap();
    assert!(weak.is_done() && strong.is_done(), "the change has made it durable");

    let ack = store.append(&numbered(2)).unwrap();
    let unasked = store.append(&numbered(3).wait(false)).unwrap();
    let batch = store.append_batch(&[numbered(4), numbered(5)]).unwrap();
    assert_eq!(
        [ack.level(), unasked.level(), batch.level()],
        [Level::Flushed, Level::Written, Level::Flushed]
    );
    assert!(!ack.is_done() && !unasked.is_done() && !batch.is_done(), "staged");
    settle(&store);
    assert!(ack.is_done() && unasked.is_done() && batch.is_done());
    store.append_and_wait(&numbered(6)).unwrap();
    assert_eq!(store.marks().flushed, store.marks().accepted, "a durable append");

    store.set_flush(AsyncFlush::default()).unwrap();
    let weak = store.append(&numbered(7)).unwrap();
    assert_eq!((weak.level(), weak.is_done()), (Level::Written, true));
    store.set_flush(own(Level::Flushed)).unwrap();
    let strong = store.append(&numbered(8)).unwrap();
    assert!(weak.is_done() && strong.level() == Level::Flushed);
    settle(&store);
    assert!(!strong.is_done(), "this policy never flushes");
    store.flush().unwrap();
    assert!(strong.is_done());
    assert_eq!(bodies(&store).len(), 9);
}

#[test]
fn the_policy_in_force_can_be_asked_for() {
    let world = World::new();
    let store = world.asynchronous();
    assert_eq!(format!("{:?}", store.flush_policy()), format!("{:?}", AsyncFlush::default()));
    store.clone().set_flush(SyncFlush).unwrap();
    assert_eq!(format!("{:?}", store.flush_policy()), "SyncFlush", "the same for all clones");
}

#[test]
fn readers_see_what_the_policy_in_force_promises_and_never_less_than_before() {
    let world = World::new();
    let store = world.asynchronous();
    store.append(&numbered(0)).unwrap().forget();
    let before = store.marks();
    assert!(before.visible == before.accepted && before.flushed < before.visible);
    store.set_flush(SyncFlush).unwrap();
    assert_eq!(store.marks().visible, before.visible);
    store.append(&numbered(1)).unwrap().forget();
    assert_eq!(bodies(&store), ["00000000"], "staged bytes are nobody's");
    settle(&store);
    assert_eq!(bodies(&store).len(), 2);

    store.append(&numbered(2)).unwrap().forget();
    store.set_flush(AsyncFlush::default()).unwrap();
    assert_eq!(bodies(&store).len(), 3);
    store.append(&numbered(3)).unwrap().forget();
    assert_eq!(bodies(&store).len(), 4, "seen at once");
    assert!(store.marks().flushed < store.marks().visible);
}

#[test]
fn what_the_options_say_of_readers_stays_whatever_the_policy() {
    for level in [Level::Written, Level::Flushed] {
        let world = World::new();
        let options = world.options(AsyncFlush::default()).readers_see(level);
        let store = Store::open("/store", options).unwrap();
        for change in [None, Some(true), Some(false)] {
            match change {
                Some(true) => store.set_flush(SyncFlush).unwrap(),
                Some(false) => store.set_flush(AsyncFlush::default()).unwrap(),
                None => {}
            }
            let before = store.marks().visible;
            store.append(&numbered(0)).unwrap().forget();
            let sees = store.marks().visible > before;
            assert_eq!(sees, level == Level::Written && change != Some(true), "{level:?} {change:?}");
            store.flush().unwrap();
            assert_eq!(store.marks().visible, store.marks().accepted);
        }
    }
}

/// The mark that readers follow was *written* or *flushed* itself: one who waited on it across a change would have
/// been told of bytes that the new policy does not promise, or of nothing any more.
#[test]
fn those_who_wait_for_the_visible_mark_are_told_neither_too_early_nor_never() {
    let world = World::new();
    let store = world.asynchronous();
    store.append(&numbered(0)).unwrap().forget();
    let next = LogOffset(store.marks().accepted.0 + 1);
    let (mut early, woken) = (store.visible().reach(next), Arc::new(Counted::default()));
    assert!(poll(&mut early, &woken).is_pending());
    store.set_flush(SyncFlush).unwrap();
    store.append(&numbered(1)).unwrap().forget();
    assert!(poll(&mut early, &woken).is_pending(), "taken, and not durable");
    assert_eq!(woken.0.load(SeqCst), 0);
    settle(&store);
    assert_eq!(woken.0.load(SeqCst), 1);
    assert!(poll(&mut early, &woken).is_ready());

    let next = LogOffset(store.marks().accepted.0 + 1);
    let (mut across, woken) = (store.visible().reach(next), Arc::new(Counted::default()));
    assert!(poll(&mut across, &woken).is_pending());
    let thread = {
        let reached = store.visible().reach(next);
        std::thread::spawn(move || reached.wait_timeout(PATIENCE))
    };
    store.set_flush(AsyncFlush::default()).unwrap();
    assert!(poll(&mut across, &woken).is_pending());
    store.append(&numbered(2)).unwrap().forget();
    assert!(poll(&mut across, &woken).is_ready(), "written is visible now");
    assert_eq!(woken.0.load(SeqCst), 1);
    assert!(thread.join().unwrap().unwrap());
}

#[test]
fn queues_get_their_news_across_changes() {
    let world = World::new();
    let store = world.sync();
    let queue = store.queue("orders", 0);
    for n in 0..12 {
        let news = queue.wait(sawlog::QueueOffset(n));
        let waiting = std::thread::spawn(move || news.wait_timeout(PATIENCE));
        store.append(&numbered(n)).unwrap().forget();
        if n % 2 == 0 {
            store.set_flush(AsyncFlush::default()).unwrap();
        } else {
            store.set_flush(SyncFlush).unwrap();
        }
        settle(&store);
        assert!(waiting.join().unwrap().is_ok(), "no news of {n}");
    }
    assert_eq!(queue.read_from(sawlog::QueueOffset(0)).map(Result::unwrap).count(), 12);
}

#[test]
fn the_mark_holds_the_window_of_the_policy_in_force() {
    let world = World::new();
    let options = world.options(SyncFlush).max_message_bytes(1);
    let store = Store::open("/store", options).unwrap();
    assert_eq!(window_in_mark(&world), SMALL_WINDOW);
    store.set_flush(AsyncFlush::default()).unwrap();
    assert_eq!(window_in_mark(&world), LARGE_WINDOW);
    store.set_flush(own(Level::Written)).unwrap();
    assert_eq!(window_in_mark(&world), LARGE_WINDOW);
    store.set_flush(SyncFlush).unwrap();
    assert_eq!(window_in_mark(&world), SMALL_WINDOW);
    let cut = World::on(world.disk.power_cut(0, Survivors::Nothing));
    assert_eq!(window_in_mark(&cut), SMALL_WINDOW, "durably");
}

#[test]
fn a_batch_that_only_the_larger_window_holds_is_refused_behind_the_change() {
    let world = World::new();
    let options = world.options(AsyncFlush::default()).max_message_bytes(50_000).segment_bytes(8 << 20);
    let store = Store::open("/store", options).unwrap();
    let batch: Vec<Message> = (0..60).map(|_| sized(50_000)).collect();
    store.append_batch(&batch).unwrap().forget();
    store.set_flush(SyncFlush).unwrap();
    assert!(matches!(store.append_batch(&batch), Err(Error::InvalidMessage(_))));
    store.append_batch(&batch[..30]).unwrap().forget();
    store.set_flush(AsyncFlush::default()).unwrap();
    store.append_batch(&batch).unwrap().forget();
    store.close().unwrap();
    let again = Store::open("/store", world.options(SyncFlush).segment_bytes(8 << 20)).unwrap();
    assert_eq!(all(&again).len(), 150);
}

#[test]
fn the_flusher_is_woken_and_asks_the_new_policy() {
    let world = World::new();
    let options = Options::new().disk(world.disk.clone()).segment_bytes(SEGMENT);
    let store = Store::open("/store", options.flush(own(Level::Written))).unwrap();
    store.append(&numbered(0)).unwrap().forget();
    let (asked, told) = std::sync::mpsc::channel();
    store.set_flush(Own { level: Level::Written, asked }).unwrap();
    told.recv_timeout(PATIENCE).expect("it sleeps on under the old one");
    store
        .set_flush(AsyncFlush { interval: Duration::ZERO, least_bytes: 1, at_latest: Duration::ZERO })
        .unwrap();
    let ack = store.append(&numbered(1)).unwrap();
    assert!(store.flushed().reach(ack.end()).wait_timeout(PATIENCE).unwrap());
    store.close().unwrap();
}

#[test]
fn a_change_on_a_closed_or_failed_store_is_refused_with_the_cause() {
    let world = World::new();
    let store = world.sync();
    store.clone().close().unwrap();
    let before = world.disk.operations();
    assert!(matches!(store.set_flush(AsyncFlush::default()), Err(Error::Closed)));
    assert_eq!(world.disk.operations(), before, "the folder is not ours any more");
    assert_eq!(format!("{:?}", store.flush_policy()), "SyncFlush");

    let world = World::new();
    let store = world.sync();
    store.append(&numbered(0)).unwrap().forget();
    world.disk.fail_at_aimed(Aim::anything().kind(OpKind::Sync), 1, Fault::once(FaultKind::Eio));
    assert!(store.flush().is_err());
    assert!(matches!(store.set_flush(AsyncFlush::default()), Err(Error::Failed(_))));
}

/// Changes the policy again when it is woken, and closes the store.
struct Uses(Mutex<Option<Store>>);

impl Wake for Uses {
    fn wake(self: Arc<Self>) {
        if let Some(store) = self.0.lock().take() {
            let done = store.set_flush(AsyncFlush::default());
            done.and_then(|()| store.append(&numbered(1)).map(|ack| ack.forget())).unwrap();
            store.set_flush(SyncFlush).unwrap();
            store.close().unwrap();
        }
    }
}

#[test]
fn whoever_is_woken_by_a_change_may_change_again_and_close() {
    let world = World::new();
    let store = world.sync();
    let mut ack = Box::pin(store.append(&numbered(0)).unwrap());
    let waker = Waker::from(Arc::new(Uses(Mutex::new(Some(store.clone())))));
    assert!(ack.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let (done, seen) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _ = store.set_flush(AsyncFlush::default());
        done.send(()).unwrap();
    });
    assert!(seen.recv_timeout(PATIENCE).is_ok(), "deadlock");
    assert_eq!(bodies(&world.sync()).len(), 2);
}
