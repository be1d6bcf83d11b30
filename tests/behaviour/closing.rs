//! Closing: with a limit, from everywhere at once, and while the disk hangs in the middle of anything.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use sawlog::disk::sim::{Aim, Fault, FaultKind, OpKind, Survivors};
use sawlog::flush::{AsyncFlush, FlushPolicy, SyncFlush};
use sawlog::{Ack, Error, Level, Options, Store, Writable};

use crate::watched::{Gate, Watched};
use crate::world::*;

const SOON: Duration = Duration::from_millis(5);

/// A store with threads whose flusher's next sync is held at the gate once that is shut.
fn held(world: &World, policy: impl FlushPolicy + 'static) -> (Store, Gate) {
    let (gate, pass) = Gate::new();
    let disk = Watched::new(&world.disk, move |kind, path| {
        // The janitor syncs what it has zeroed.
        let is_flusher = std::thread::current().name() == Some("sawlog-flusher");
        if is_flusher && kind == OpKind::Sync && path.starts_with("/store/commitlog") {
            pass();
        }
        Ok(())
    });
    (Store::open("/store", with_threads(disk, policy)).unwrap(), gate)
}

fn with_threads(disk: impl sawlog::disk::Disk + 'static, policy: impl FlushPolicy + 'static) -> Options {
    let options = Options::new().disk(disk).flush(policy).segment_bytes(SEGMENT);
    options.queue_segment_entries(32).index_slots(64).index_entries(256)
}

/// Runs something in a thread, which must come to its end.
fn in_time<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
    let (done, seen) = std::sync::mpsc::channel();
    std::thread::spawn(move || done.send(work()));
    seen.recv_timeout(PATIENCE).expect("deadlock")
}

#[test]
fn a_store_whose_disk_answers_closes_within_its_limit() {
    for by_hand in [true, false] {
        let world = World::new();
        let options = if by_hand {
            world.options(AsyncFlush::default())
        } else {
            with_threads(world.disk.clone(), AsyncFlush::default())
        };
        let store = Store::open("/store", options).unwrap();
        let ack = store.append_with(&numbered(0), Level::Flushed).unwrap();
        let other = store.clone();
        store.close_within(PATIENCE).unwrap();
        ack.wait().unwrap();
        assert!(!world.has("abort"));
        other.clone().close_within(Duration::ZERO).unwrap();
        other.close().unwrap();
        let store = world.sync();
        assert!(store.recovery().clean_shutdown);
        assert_eq!(bodies(&store).len(), 1);
    }
}

#[test]
fn a_limit_that_is_over_says_so_and_the_closing_ends_when_the_disk_comes_back() {
    let world = World::new();
    let (store, gate) = held(&world, SyncFlush);
    let acked = store.append_and_wait(&numbered(0)).unwrap();
    gate.shut();
    let ack = store.append(&numbered(1)).unwrap();
    gate.wait_for_one();
    let other = store.clone();
    match store.close_within(SOON) {
        Err(Error::StillClosing { limit }) => assert_eq!(limit, SOON),
        answer => panic!("{answer:?}"),
    }
    assert!(matches!(other.append(&numbered(2)), Err(Error::Closed)));
    assert!(matches!(other.try_append(&numbered(2)), Err(Error::Closed)));
    assert!(matches!(other.stats().writable, Writable::Closed));
    assert!(matches!(other.clone().close_within(Duration::ZERO), Err(Error::StillClosing { .. })));
    assert!(matches!(Store::open("/store", world.options(SyncFlush)), Err(Error::Locked { .. })));
    assert!(matches!(ack.wait_timeout(Duration::ZERO), Err(Error::TimedOut { .. })), "unknown, not lost");
    assert_eq!(other.record_at(acked.position.offset).unwrap().body(), "00000000", "reads go on");

    // The process might end here: nothing that was acknowledged is lost.
    let killed = World::on(world.disk.kill()).sync();
    assert_eq!(bodies(&killed).len(), 2);
    assert!(!killed.recovery().clean_shutdown);
    let cut = World::on(world.disk.power_cut(0, Survivors::Nothing)).sync();
    // The second one may be there: the janitor syncs the zeros that it writes ahead in the same file.
    let kept = bodies(&cut);
    assert!(kept == ["00000000"] || kept == ["00000000", "00000001"], "{kept:?}");

    gate.open();
    in_time(move || other.close()).unwrap();
    ack.wait().unwrap();
    let store = world.sync();
    assert!(store.recovery().clean_shutdown);
    assert_eq!(bodies(&store).len(), 2);
}

/// A sync that takes as long as it likes (promises B7): durable appends go on up to the window, those who wait are told
/// that they do not know, and nothing that was taken is lost.
#[test]
fn a_disk_that_hangs_stops_producers_at_the_window_and_nobody_for_good() {
    let world = World::new();
    let (store, gate) = held(&world, SyncFlush);
    gate.shut();
    let first = store.append(&numbered(0)).unwrap();
    gate.wait_for_one();
    let mut taken = 1;
    let (unflushed, window) = loop {
        match store.try_append(&sized(30_000)) {
            Ok(ack) => {
                ack.forget();
                taken += 1;
            }
            // Or the next segment is in the making.
            Err(Error::Busy { unflushed, window }) if unflushed + 65_536 > window => {
                break (unflushed, window);
            }
            Err(Error::Busy { .. }) => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    };
    assert!(unflushed <= window);
    assert!(matches!(first.wait_timeout(SOON), Err(Error::TimedOut { reached: Some(Level::Written), .. })));
    assert!(store.failure().is_none());
    let waits = store.clone();
    let waiting = std::thread::spawn(move || waits.append_and_wait(&sized(30_000)).map(drop));
    gate.open();
    in_time(move || waiting.join()).unwrap().unwrap();
    first.wait().unwrap();
    store.close().unwrap();
    assert_eq!(all(&world.sync()).len(), taken + 1);
}

#[test]
fn a_disk_that_fails_behind_the_limit_is_told_to_those_who_ask_again() {
    let world = World::new();
    let (store, gate) = held(&world, SyncFlush);
    gate.shut();
    let ack = store.append(&numbered(0)).unwrap();
    gate.wait_for_one();
    let other = store.clone();
    assert!(matches!(store.close_within(SOON), Err(Error::StillClosing { .. })));
    let syncs = Aim::anything().kind(OpKind::Sync).path("commitlog");
    world.disk.fail_at_aimed(syncs, 1, Fault::persistent(FaultKind::Eio));
    gate.open();
    let again = other.clone();
    assert!(matches!(in_time(move || other.close()), Err(Error::Failed(_))));
    assert!(matches!(again.close(), Err(Error::Failed(_))), "the same for all");
    assert!(ack.wait().is_err());
    world.disk.clear_faults();
    let store = world.sync();
    assert!(!store.recovery().clean_shutdown);
    store.append_and_wait(&numbered(1)).unwrap();
}

#[test]
fn all_who_close_return_when_the_store_is_closed() {
    let world = Arc::new(World::new());
    let (store, gate) = held(&world, SyncFlush);
    gate.shut();
    store.append(&numbered(0)).unwrap().forget();
    gate.wait_for_one();
    let closing: Vec<_> = (0..6)
        .map(|n| {
            let (store, world) = (store.clone(), Arc::clone(&world));
            std::thread::spawn(move || {
                let done = if n % 2 == 0 { store.close() } else { store.close_within(PATIENCE) };
                (done, world.has("abort"))
            })
        })
        .collect();
    drop(store);
    gate.open();
    for thread in closing {
        let (done, has_abort) = in_time(move || thread.join()).unwrap();
        done.unwrap();
        assert!(!has_abort, "it returned before the end");
    }
    assert!(world.sync().recovery().clean_shutdown);
}

#[test]
fn the_last_clone_may_go_while_a_worker_is_in_a_long_sync() {
    let world = World::new();
    let (store, gate) = held(&world, SyncFlush);
    gate.shut();
    store.append(&numbered(0)).unwrap().forget();
    gate.wait_for_one();
    let (gone, seen) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        drop(store);
        gone.send(())
    });
    assert!(seen.try_recv().is_err(), "it waits for the disk");
    gate.open();
    seen.recv_timeout(PATIENCE).expect("deadlock");
    let store = world.sync();
    assert!(store.recovery().clean_shutdown);
    assert_eq!(bodies(&store).len(), 1);
}

/// Does something with the store when it is woken, and writes down what came of it.
struct Uses<F> {
    store: Mutex<Option<Store>>,
    does: F,
    answers: Answers,
    woken: std::sync::mpsc::Sender<()>,
}

impl<F: Fn(Store) -> sawlog::Result<()> + Send + Sync + 'static> Wake for Uses<F> {
    fn wake(self: Arc<Self>) {
        if let Some(store) = self.store.lock().take() {
            let answer = (self.does)(store);
            self.answers.lock().push(answer);
            let _ = self.woken.send(());
        }
    }
}

/// What came of using the store in a waker.
type Answers = Arc<Mutex<Vec<sawlog::Result<()>>>>;

/// An ack polled by a task that uses the store when it is woken, in the flusher's thread.
fn polled(
    store: &Store,
    does: impl Fn(Store) -> sawlog::Result<()> + Send + Sync + 'static,
) -> (Ack, Answers, std::sync::mpsc::Receiver<()>) {
    let (woken, seen) = std::sync::mpsc::channel();
    let answers = Arc::new(Mutex::new(Vec::new()));
    let mut ack = store.append(&numbered(0)).unwrap();
    let store = Mutex::new(Some(store.clone()));
    let waker = Waker::from(Arc::new(Uses { store, does, answers: Arc::clone(&answers), woken }));
    let polled: Poll<_> = std::future::Future::poll(pin!(&mut ack), &mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    (ack, answers, seen)
}

#[test]
fn a_waker_in_the_flushers_thread_may_close_the_store() {
    for within in [false, true] {
        let world = World::new();
        let (store, gate) = held(&world, SyncFlush);
        gate.shut();
        let first = store.append(&numbered(9)).unwrap();
        gate.wait_for_one();
        // Staged behind the sync that is held: the flusher's next one wakes it.
        let does = move |store: Store| if within { store.close_within(PATIENCE) } else { store.close() };
        let (ack, answers, woken) = polled(&store, does);
        gate.open();
        woken.recv_timeout(PATIENCE).expect("deadlock");
        match answers.lock().pop().unwrap() {
            Ok(()) => {}
            Err(Error::StillClosing { .. }) if within => {}
            Err(error) => panic!("{error}"),
        }
        in_time(move || store.close()).unwrap();
        first.wait().unwrap();
        ack.wait().unwrap();
        assert!(world.sync().recovery().clean_shutdown);
    }
}

#[test]
fn a_waker_that_the_closing_itself_wakes_may_close_the_store() {
    for within in [false, true] {
        let world = World::new();
        let store = world.sync();
        let does = move |store: Store| if within { store.close_within(PATIENCE) } else { store.close() };
        let (ack, answers, _woken) = polled(&store, does);
        in_time(move || store.close()).unwrap();
        ack.wait().unwrap();
        let answer = answers.lock().pop().unwrap();
        assert!(matches!((within, answer), (false, Ok(())) | (true, Err(Error::StillClosing { .. }))));
        assert!(world.sync().recovery().clean_shutdown);
    }
}

/// The flusher's thread is joined by the closing: a waker in it that waited for the closing would wait for ever.
#[test]
fn a_waker_in_a_worker_that_the_closing_waits_for_does_not_wait_for_the_closing() {
    let world = World::new();
    let (store, gate) = held(&world, SyncFlush);
    gate.shut();
    let (ack, answers, woken) = polled(&store, Store::close);
    gate.wait_for_one();
    let closer = store.clone();
    assert!(matches!(closer.close_within(SOON), Err(Error::StillClosing { .. })));
    gate.open();
    woken.recv_timeout(PATIENCE).expect("deadlock");
    in_time(move || store.close()).unwrap();
    ack.wait().unwrap();
    assert!(answers.lock().pop().unwrap().is_ok());
    assert!(world.sync().recovery().clean_shutdown);
}

/// An executor whose waker panics does not leave the others waiting.
#[test]
fn a_waker_that_panics_ends_the_closing_for_all() {
    let world = World::new();
    let store = world.sync();
    let (_ack, ..) = polled(&store, |_| panic!("a broken executor"));
    let other = store.clone();
    let closing = std::thread::spawn(move || store.close());
    assert!(closing.join().is_err());
    assert!(matches!(in_time(move || other.close()), Err(Error::Failed(_))));
    assert!(Store::open("/store", world.options(SyncFlush)).is_ok());
}

/// Every call that a worker makes, in turn, hangs when the store is to be closed (promises E5).
#[test]
fn a_close_during_any_step_of_any_worker_ends_in_time_and_in_order() {
    let most = if std::env::var_os("SAWLOG_QUICK").is_some() { 40 } else { 150 };
    let mut names = std::collections::BTreeSet::new();
    let mut hung = 0;
    for nth in 0..most {
        let world = World::new();
        let (gate, pass) = Gate::new();
        let (calls, at) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(None)));
        let place = Arc::clone(&at);
        let disk = Watched::new(&world.disk, move |_, _| {
            let thread = std::thread::current();
            let name = thread.name().unwrap_or_default();
            let is_worker = name.starts_with("sawlog-") && name != "sawlog-closing";
            if is_worker && calls.fetch_add(1, SeqCst) == nth * 2 {
                *place.lock() = Some(name.to_owned());
                pass();
            }
            Ok(())
        });
        let policy = AsyncFlush { interval: Duration::ZERO, least_bytes: 1, at_latest: Duration::ZERO };
        let store = if nth % 2 == 0 { with_threads(disk, policy) } else { with_threads(disk, SyncFlush) };
        gate.shut();
        let store = Store::open("/store", store).unwrap();
        let mut sent = 0;
        // Until a worker hangs, or enough was sent for all of them to have had their turn. Without waiting: it may be
        // the keeper that hangs, over the next segment.
        while at.lock().is_none() && sent < 1_000 {
            match store.try_append(&sized(1_500)) {
                Ok(ack) => {
                    ack.forget();
                    sent += 1;
                }
                Err(Error::Busy { .. }) => std::thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        }
        let other = store.clone();
        let closed = store.close_within(SOON);
        let hangs = at.lock().clone();
        match closed {
            Ok(()) => assert!(hangs.is_none(), "closed, and {hangs:?} hangs"),
            Err(Error::StillClosing { .. }) => hung += u64::from(hangs.is_some()),
            Err(error) => panic!("call {nth} of {hangs:?}: {error}"),
        }
        names.extend(hangs);
        gate.open();
        in_time(move || other.close()).unwrap();
        let store = world.sync();
        assert!(store.recovery().clean_shutdown, "{}", store.recovery());
        assert_eq!(all(&store).len(), sent);
    }
    println!("{hung} of {most} hung, in {names:?}");
    assert!(hung > most / 4, "{hung}");
}

/// Zeros over a refused append may lie behind the last record, and no flush covers what was not appended.
#[test]
fn closing_syncs_the_logs_last_file_though_nothing_is_left_to_flush() {
    let (world, synced) = (World::new(), Arc::new(Mutex::new(0)));
    let seen = Arc::clone(&synced);
    let disk = Watched::new(&world.disk, move |kind, path| {
        *seen.lock() += u32::from(kind == OpKind::Sync && path.starts_with("/store/commitlog"));
        Ok(())
    });
    let store = Store::open("/store", options_on(disk, &world.clock, SyncFlush)).unwrap();
    store.append_and_wait(&numbered(0)).unwrap();
    settle(&store);
    *synced.lock() = 0;
    store.flush().unwrap();
    assert_eq!(*synced.lock(), 0);
    store.close().unwrap();
    assert_eq!(*synced.lock(), 1);
}
