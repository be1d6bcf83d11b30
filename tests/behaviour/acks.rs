//! Waiting for an append: by blocking, with a limit, as a future under a runtime or none, or not at all.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use sawlog::disk::sim::OpKind;
use sawlog::flush::{Decision, FlushPolicy, Progress, SyncFlush};
use sawlog::{Ack, Error, Level, LogOffset, Options, Store};

use crate::watched::{Gate, Watched};
use crate::world::*;

/// One look at a future by a task that nobody wakes.
fn poll_once(ack: &mut Ack) -> Poll<sawlog::Result<()>> {
    pin!(ack).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn an_ack_is_done_when_its_level_is_reached_and_not_before() {
    let world = World::new();
    let store = world.sync();
    let mut ack = store.append(&numbered(0)).unwrap();
    assert!(!ack.is_done() && poll_once(&mut ack).is_pending());
    settle(&store);
    assert!(ack.is_done() && matches!(poll_once(&mut ack), Poll::Ready(Ok(()))));
    ack.wait().unwrap();
    ack.wait_timeout(Duration::ZERO).unwrap();
    pollster::block_on(ack).unwrap();

    let store = {
        drop(store);
        World::new().asynchronous()
    };
    assert!(store.append(&numbered(0)).unwrap().is_done(), "written at once");
    let mut weak = store.append(&numbered(0)).unwrap();
    assert!(matches!(poll_once(&mut weak), Poll::Ready(Ok(()))));
    let mut strong = store.append_with(&numbered(1), Level::Flushed).unwrap();
    assert!(!strong.is_done() && poll_once(&mut strong).is_pending());
    settle(&store);
    assert!(strong.is_done());
    // Whatever becomes of the store, what was promised was.
    store.close().unwrap();
    assert!(weak.is_done());
    weak.wait().unwrap();
    weak.wait_timeout(Duration::ZERO).unwrap();
    pollster::block_on(weak).unwrap();
}

#[test]
fn a_time_out_says_how_far_it_came_and_a_later_wait_succeeds() {
    let world = World::new();
    let store = world.sync();
    let ack = store.append(&numbered(0)).unwrap();
    match ack.wait_timeout(Duration::from_millis(1)) {
        Err(Error::TimedOut { end, asked: Level::Flushed, reached: None }) => assert_eq!(end, ack.end()),
        other => panic!("a staged byte has reached nothing: {other:?}"),
    }
    assert!(store.failure().is_none(), "running out of time fails nobody");
    settle(&store);
    ack.wait_timeout(Duration::ZERO).unwrap();

    let store = {
        drop(store);
        World::new().asynchronous()
    };
    let ack = store.append_with(&numbered(0), Level::Flushed).unwrap();
    match ack.wait_timeout(Duration::ZERO) {
        Err(Error::TimedOut { asked: Level::Flushed, reached: Some(Level::Written), .. }) => {}
        other => panic!("{other:?}"),
    }
    settle(&store);
    ack.wait().unwrap();
}

#[test]
fn what_is_written_is_told_while_the_sync_still_runs() {
    let world = World::new();
    let acks = Arc::new(Mutex::new(Vec::<Ack>::new()));
    let looked = Arc::new(Mutex::new(Vec::new()));
    let (ours, seen) = (Arc::clone(&acks), Arc::clone(&looked));
    let disk = Watched::new(&world.disk, move |kind, path| {
        if kind == OpKind::Sync && path.ends_with("00000000000000000000") && !ours.lock().is_empty() {
            seen.lock().extend(
                ours.lock().iter().map(|ack| (ack.level(), ack.wait_timeout(Duration::ZERO).is_ok())),
            );
            let strong = ours.lock()[1].wait_timeout(Duration::ZERO);
            assert!(
                matches!(strong, Err(Error::TimedOut { reached: Some(Level::Written), .. })),
                "{strong:?}"
            );
        }
        Ok(())
    });
    let store = Store::open("/store", options_on(disk, &world.clock, SyncFlush)).unwrap();
    acks.lock().push(store.append(&numbered(0).wait(false)).unwrap());
    acks.lock().push(store.append(&numbered(1)).unwrap());
    assert!(acks.lock().iter().all(|ack| !ack.is_done()), "both are staged only");
    store.flush().unwrap();
    assert_eq!(*looked.lock(), [(Level::Written, true), (Level::Flushed, false)]);
    assert!(acks.lock().drain(..).all(|ack| ack.is_done()));
}

#[test]
fn one_event_wakes_threads_and_futures_alike() {
    let world = World::new();
    let store = world.sync();
    let waiting: Vec<_> = (0..12)
        .map(|n| {
            let ack = store.append(&numbered(n)).unwrap();
            std::thread::spawn(move || match n % 3 {
                0 => ack.wait(),
                1 => ack.wait_timeout(PATIENCE),
                _ => pollster::block_on(ack),
            })
        })
        .collect();
    settle(&store);
    for thread in waiting {
        thread.join().unwrap().unwrap();
    }
    assert_eq!(store.marks().syncs, 1);
}

fn tokio() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

#[test]
fn hundreds_of_acks_are_awaited_at_once_in_one_thread() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::new().flush(SyncFlush).segment_bytes(1 << 20);
    let store = Store::open(folder.path(), options).unwrap();
    tokio().block_on(async {
        let local = tokio::task::LocalSet::new();
        let tasks: Vec<_> = (0..500)
            .map(|n| {
                let store = store.clone();
                local.spawn_local(async move {
                    let ack = store.append(&numbered(n)).unwrap();
                    let end = ack.end();
                    // Every third one is dropped unheard: it loses nothing but the knowledge.
                    if n % 3 == 0 {
                        drop(ack);
                    } else {
                        ack.await.unwrap();
                        assert!(store.marks().flushed >= end);
                    }
                })
            })
            .collect();
        local
            .run_until(async move {
                for task in tasks {
                    task.await.unwrap();
                }
            })
            .await;
    });
    store.flush().unwrap();
    assert_eq!(bodies(&store).len(), 500);
    let syncs = store.marks().syncs;
    assert!(syncs < 500, "{syncs} syncs for 500 waiters in one thread");
    store.close().unwrap();
}

#[test]
fn a_future_may_lose_a_race_and_be_awaited_again() {
    let world = World::new();
    let store = world.sync();
    tokio().block_on(async {
        let mut ack = store.append(&numbered(0)).unwrap();
        let late = tokio::time::timeout(Duration::from_millis(10), &mut ack).await;
        assert!(late.is_err(), "nobody has flushed");
        // Others come and go in the same generation of waiters.
        for n in 1..50 {
            let mut other = store.append(&numbered(n)).unwrap();
            tokio::select! {
                biased;
                done = &mut other => panic!("{done:?}"),
                () = std::future::ready(()) => {}
            }
        }
        settle(&store);
        tokio::time::timeout(Duration::from_millis(10), &mut ack).await.unwrap().unwrap();
    });
    assert_eq!(all(&store).len(), 50, "what was given up by its waiter is stored all the same");
}

#[test]
fn a_future_moved_to_another_task_wakes_that_one() {
    let world = World::new();
    let store = world.sync();
    let mut ack = store.append(&numbered(0)).unwrap();
    assert!(poll_once(&mut ack).is_pending(), "first polled by a task that is gone");
    let waiting = std::thread::spawn(move || pollster::block_on(ack));
    settle(&store);
    waiting.join().unwrap().unwrap();
}

#[test]
fn close_lets_those_who_wait_have_what_they_waited_for() {
    let world = World::new();
    let store = world.sync();
    let acks: Vec<_> = (0..4).map(|n| store.append(&numbered(n)).unwrap()).collect();
    let waiting: Vec<_> = acks.into_iter().map(|ack| std::thread::spawn(move || ack.wait())).collect();
    let late = store.append(&numbered(4)).unwrap();
    let other = store.clone();
    store.close().unwrap();
    for thread in waiting {
        thread.join().unwrap().unwrap();
    }
    late.wait().unwrap();
    assert!(matches!(other.append(&numbered(5)), Err(Error::Closed)));
    assert!(matches!(other.try_append(&numbered(5)), Err(Error::Closed)));
    assert!(matches!(other.append_and_wait(&numbered(5)), Err(Error::Closed)));
    assert!(matches!(other.append_batch(&[numbered(5)]), Err(Error::Closed)));
    assert!(matches!(other.flush(), Err(Error::Closed)));
    assert_eq!(bodies(&other).len(), 5, "another handle still reads");
    let beyond = other.flushed().reach(LogOffset(1 << 40));
    assert!(matches!(beyond.wait(), Err(Error::Closed)), "nobody waits for a closed store");
    other.close().unwrap();
}

#[test]
fn the_last_handle_that_goes_closes_the_store() {
    let world = World::new();
    let store = world.sync();
    let ack = store.append(&numbered(0)).unwrap();
    let clone = store.clone();
    drop(store);
    assert!(world.has("abort"));
    drop(clone);
    assert!(!world.has("abort"));
    ack.wait().unwrap();
    assert!(world.sync().recovery().clean_shutdown);
}

/// A policy that sleeps until it is told otherwise, and counts how often the flusher's thread asks it.
#[derive(Debug, Default)]
struct Told {
    flush: AtomicBool,
    asked: AtomicU64,
}

impl FlushPolicy for Told {
    fn ack_when(&self) -> Level {
        Level::Flushed
    }

    fn decide(&self, progress: &Progress) -> Decision {
        if std::thread::current().name() == Some("sawlog-flusher") && progress.unflushed_bytes > 0 {
            self.asked.fetch_add(1, SeqCst);
        }
        if self.flush.load(SeqCst) && progress.unflushed_bytes > 0 {
            Decision::Flush
        } else {
            Decision::Sleep
        }
    }
}

#[derive(Debug)]
struct Shared(Arc<Told>);

impl FlushPolicy for Shared {
    fn ack_when(&self) -> Level {
        self.0.ack_when()
    }

    fn decide(&self, progress: &Progress) -> Decision {
        self.0.decide(progress)
    }
}

/// A store with its threads, and a gate before each sync of its first segment.
fn gated(world: &World, policy: impl FlushPolicy + 'static) -> (Gate, Store) {
    let (gate, pass) = Gate::new();
    let disk = Watched::new(&world.disk, move |kind, path| {
        if kind == OpKind::Sync && path.ends_with("00000000000000000000") {
            pass();
        }
        Ok(())
    });
    let options = Options::new().disk(disk).flush(policy).segment_bytes(SEGMENT);
    (gate, Store::open("/store", options).unwrap())
}

/// A thread in `append_and_wait` found the flush lock held, trusted its holder to see that more is wanted, and slept.
/// The holder was a caller of `Store::flush` whose sync had begun before: it went home without looking, and nobody
/// flushed the message until somebody else appended.
#[test]
fn a_lone_producer_is_not_forgotten_behind_another_threads_flush() {
    let world = World::new();
    let told = Arc::new(Told::default());
    let (gate, store) = gated(&world, Shared(Arc::clone(&told)));
    store.append(&numbered(0)).unwrap().forget();
    // The flusher has looked and sleeps.
    while told.asked.load(SeqCst) == 0 {
        std::thread::yield_now();
    }
    busy();
    gate.shut();
    let caller = store.clone();
    let flushing = std::thread::spawn(move || caller.flush());
    gate.wait_for_one();
    told.flush.store(true, SeqCst);
    let before = store.marks().accepted;
    let (tell, answers) = std::sync::mpsc::channel();
    let producer = store.clone();
    let lone = std::thread::spawn(move || tell.send(producer.append_and_wait(&numbered(1)).map(drop)));
    while store.marks().accepted == before {
        std::thread::yield_now();
    }
    busy();
    gate.open();
    let answer = answers.recv_timeout(Duration::from_secs(10));
    flushing.join().unwrap().unwrap();
    assert!(matches!(answer, Ok(Ok(()))), "nobody flushed for it: {answer:?}");
    lone.join().unwrap().unwrap();
    store.close().unwrap();
}

/// The same with a message that waits for the page cache alone: it was staged while another thread synced, nobody
/// wanted a sync for it, and so nobody wrote it, until somebody else appended.
#[test]
fn a_one_way_message_is_not_forgotten_behind_another_threads_flush() {
    let world = World::new();
    let (gate, store) = gated(&world, SyncFlush);
    gate.shut();
    let first = store.clone();
    let flushing = std::thread::spawn(move || first.append_and_wait(&numbered(0)).map(drop));
    gate.wait_for_one();
    let before = store.marks().accepted;
    let (tell, answers) = std::sync::mpsc::channel();
    let second = store.clone();
    let waiting =
        std::thread::spawn(move || tell.send(second.append_and_wait(&numbered(1).wait(false)).map(drop)));
    while store.marks().accepted == before {
        std::thread::yield_now();
    }
    busy();
    gate.open();
    let answer = answers.recv_timeout(Duration::from_secs(10));
    assert!(matches!(answer, Ok(Ok(()))), "nobody wrote it: {answer:?}");
    flushing.join().unwrap().unwrap();
    waiting.join().unwrap().unwrap();
    store.close().unwrap();
}

/// An executor that polls where it is woken, and a task that appends and flushes.
struct Inline {
    store: Mutex<Option<Store>>,
    done: std::sync::mpsc::Sender<()>,
}

impl std::task::Wake for Inline {
    fn wake(self: Arc<Self>) {
        let Some(store) = self.store.lock().take() else { return };
        store.append(&numbered(9)).unwrap().forget();
        store.flush().unwrap();
        self.done.send(()).unwrap();
    }
}

/// Wakers ran under the append lock and under the flush lock: a task that was polled where it was woken, and appended
/// or flushed then, waited for itself.
#[test]
fn a_task_that_runs_where_it_is_woken_may_append_and_flush() {
    for sync in [true, false] {
        let world = World::new();
        let (done, told) = std::sync::mpsc::channel();
        let task = std::thread::spawn(move || {
            let store = if sync { world.sync() } else { world.asynchronous() };
            let waker = Waker::from(Arc::new(Inline { store: Mutex::new(Some(store.clone())), done }));
            let mut news = pin!(store.visible().reach(store.marks().visible.plus(1)));
            assert!(news.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            store.append(&numbered(0)).unwrap().forget();
            store.flush().unwrap();
            assert_eq!(store.scan(LogOffset::ZERO).count(), 2);
        });
        assert_eq!(told.recv_timeout(Duration::from_secs(10)), Ok(()), "sync: {sync}");
        task.join().unwrap();
    }
}

/// Lets another thread get from one line to the next. Should it be slower, the test shows less; it never fails
/// wrongly.
fn busy() {
    for _ in 0..2000 {
        std::thread::yield_now();
    }
}

/// Many threads in one sync, and more that come while it runs: nobody may be left asleep, also where the next sync is
/// begun by one of those who wake.
#[test]
fn everybody_who_waits_for_a_sync_is_told_however_many_they_are() {
    const LATER: u64 = 60;
    let world = World::new();
    let (gate, store) = gated(&world, SyncFlush);
    let (tell, answers) = std::sync::mpsc::channel();
    let producer = |n: u64| {
        let (store, tell) = (store.clone(), tell.clone());
        std::thread::spawn(move || {
            for turn in 0..3 {
                tell.send(store.append_and_wait(&numbered(n * 3 + turn)).map(drop)).unwrap();
            }
        })
    };
    gate.shut();
    let first = producer(0);
    gate.wait_for_one();
    let others: Vec<_> = (1..=LATER).map(producer).collect();
    // The next sync will cover all of them.
    while store.stats().appended_records <= LATER {
        std::thread::yield_now();
    }
    busy();
    gate.open();
    for _ in 0..(LATER + 1) * 3 {
        let answer = answers.recv_timeout(Duration::from_secs(10));
        assert!(matches!(answer, Ok(Ok(()))), "somebody was not told: {answer:?}");
    }
    first.join().unwrap();
    others.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(all(&store).len() as u64, (LATER + 1) * 3);
    store.close().unwrap();
}
