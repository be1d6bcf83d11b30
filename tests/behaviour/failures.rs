//! A failed sync ends the store's writing life: who is told, what goes on, and what a later opening finds.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use sawlog::disk::sim::{Aim, Fault, FaultKind, OpKind};
use sawlog::flush::AsyncFlush;
use sawlog::{Error, Level, LogOffset, QueueOffset, Store};

use crate::watched::{Gate, Watched, is_mark};
use crate::world::*;

const KINDS: [FaultKind; 4] = [FaultKind::Eio, FaultKind::Enospc, FaultKind::Edquot, FaultKind::Erofs];

fn cause(error: &Error) -> io::ErrorKind {
    match error {
        Error::Failed(cause) => match &**cause {
            Error::Io { source, path, .. } => {
                assert!(path.starts_with("/store/commitlog"), "{error}");
                source.kind()
            }
            other => panic!("wrapped once, with the disk's own word inside: {other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// What must hold once a sync, or a write of staged bytes, has failed with `kept` records durable before it.
fn holds_after_failure(world: &World, store: &Store, kept: usize, kind: io::ErrorKind) {
    let failure = store.failure().expect("the store says why");
    assert_eq!(cause(&failure), kind);
    assert!(failure.to_string().contains("takes no more appends"), "{failure}");
    assert_eq!(failure.is_full(), matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded));
    // The disk is well again, and nothing is trusted all the same.
    world.disk.clear_faults();
    let (accepted, fingerprint) = (store.marks().accepted, world.disk.fingerprint());
    for answer in [
        store.append(&numbered(90)).map(drop),
        store.append_with(&numbered(90), Level::Written).map(drop),
        store.try_append(&numbered(90)).map(drop),
        store.append_batch(&[numbered(90)]).map(drop),
        store.append_and_wait(&numbered(90)).map(drop),
        store.flush().map(drop),
        store.flushed().reach(LogOffset(1 << 40)).wait(),
    ] {
        assert_eq!(cause(&answer.unwrap_err()), kind);
    }
    settle(store);
    assert_eq!(
        (store.marks().accepted, world.disk.fingerprint()),
        (accepted, fingerprint),
        "nothing was written"
    );
    // What is durable is still served, and nothing else.
    assert_eq!(all(store).len(), kept);
    assert_eq!(store.marks().visible, store.marks().flushed);
}

fn a_sync_fails(sync: bool, kind: FaultKind, persistent: bool, seed: Option<u64>) {
    let world = World::new();
    world.disk.revert_after_failed_sync(seed);
    let store = if sync { world.sync() } else { world.asynchronous() };
    for n in 0..3 {
        store.append(&numbered(n)).unwrap().forget();
    }
    store.flush().unwrap();
    let waiting: Vec<_> = (3..7)
        .map(|n| {
            let ack = store.append_with(&numbered(n), Level::Flushed).unwrap();
            std::thread::spawn(move || match n {
                3 => ack.wait(),
                4 => pollster::block_on(ack),
                _ => ack.wait_timeout(PATIENCE),
            })
        })
        .collect();
    let unpolled = store.append_with(&numbered(7), Level::Flushed).unwrap();
    let fault = if persistent { Fault::persistent(kind) } else { Fault::once(kind) };
    world.disk.fail_at_aimed(Aim::anything().kind(OpKind::Sync).path("commitlog"), 1, fault);
    let told = store.flush().unwrap_err();
    let kind = match &told {
        Error::Failed(_) => cause(&told),
        other => panic!("{other:?}"),
    };
    for thread in waiting {
        assert_eq!(cause(&thread.join().unwrap().unwrap_err()), kind);
    }
    assert_eq!(cause(&unpolled.wait().unwrap_err()), kind);
    holds_after_failure(&world, &store, 3, kind);
    assert_eq!(cause(&store.clone().close().unwrap_err()), kind, "close tells what it had failed with");
    assert!(world.has("abort"));
    drop(store);

    // Opening again, in the same run of the system, brings back all that was durable and loses no order.
    let store = if sync { world.sync() } else { world.asynchronous() };
    assert!(!store.recovery().clean_shutdown);
    let found = bodies(&store);
    let appended: Vec<_> = (0..8).map(|n| format!("{n:08}")).collect();
    assert!(found.len() >= 3 && appended.starts_with(&found), "{found:?}");
    let ack = store.append(&numbered(8)).unwrap();
    assert_eq!(ack.queue_offset(), QueueOffset(found.len() as u64));
    store.flush().unwrap();
    ack.wait().unwrap();
    assert_eq!(all(&store).len(), found.len() + 1);
    store.close().unwrap();
}

#[test]
fn a_failed_sync_is_final_until_the_store_is_opened_again() {
    for sync in [true, false] {
        for kind in KINDS {
            for persistent in [false, true] {
                for seed in [None, Some(1), Some(2)] {
                    a_sync_fails(sync, kind, persistent, seed);
                }
            }
        }
    }
}

#[test]
fn a_failed_write_of_staged_bytes_is_as_final() {
    for kind in [FaultKind::Eio, FaultKind::Enospc, FaultKind::ShortWrite(10), FaultKind::ShortWrite(150)] {
        let world = World::new();
        let store = world.sync();
        store.append_and_wait(&numbered(0)).unwrap();
        let acks = [store.append(&numbered(1)).unwrap(), store.append(&numbered(2).wait(false)).unwrap()];
        world.disk.fail_at_aimed(Aim::anything().kind(OpKind::Write).path("commitlog"), 1, Fault::once(kind));
        let told = cause(&store.flush().unwrap_err());
        for ack in acks {
            assert_eq!(cause(&ack.wait().unwrap_err()), told, "its successors hold later offsets");
        }
        holds_after_failure(&world, &store, 1, told);
        drop(store);
        let found = bodies(&world.sync());
        assert!(
            ["00000000", "00000001", "00000002"].iter().take(found.len()).eq(&found) && !found.is_empty()
        );
    }
}

#[test]
fn a_failed_direct_write_fails_its_append_and_nothing_else() {
    for kind in [FaultKind::Eio, FaultKind::Enospc, FaultKind::ShortWrite(10), FaultKind::ShortWrite(100)] {
        let world = World::new();
        let store = world.asynchronous();
        store.append(&numbered(0)).unwrap().forget();
        let end = store.marks().accepted;
        let aim = Aim::anything().kind(OpKind::Write).path("commitlog");
        // The third of a batch fails: none is stored, and none takes a queue offset.
        for nth in [1, 3] {
            world.disk.fail_at_aimed(aim.clone(), nth, Fault::once(kind));
            let messages: Vec<_> = (1..5).map(numbered).collect();
            let refused = store.append_batch(&messages);
            assert!(matches!(refused, Err(Error::Io { .. })), "{refused:?}");
            assert!(store.failure().is_none());
            assert_eq!((store.marks().accepted, all(&store).len()), (end, 1));
        }
        // A process that dies now leaves no trace of them.
        let after = World::on(world.disk.kill());
        assert_eq!(bodies(&after.asynchronous()), ["00000000"]);
        let ack = store.append(&numbered(9)).unwrap();
        assert_eq!((ack.position().offset, ack.queue_offset()), (end, QueueOffset(1)));
        store.close().unwrap();
        assert_eq!(bodies(&world.asynchronous()), ["00000000", "00000009"]);
    }
}

#[test]
fn a_failed_write_at_a_roll_leaves_the_store_standing() {
    for nth in 1..=3 {
        let world = World::new();
        let store = world.asynchronous();
        for n in 0..2 {
            store.append(&sized(30_000 + n)).unwrap().forget();
        }
        store.step();
        // The first write of the next append is the blank record, the second its own.
        let aim = Aim::anything().kind(OpKind::Write).path("commitlog");
        world.disk.fail_at_aimed(aim, nth, Fault::once(FaultKind::Eio));
        let mut refused = 0;
        for n in 2..6 {
            match store.append(&sized(30_000 + n)) {
                Ok(ack) => ack.forget(),
                Err(Error::Io { .. }) => refused += 1,
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!((refused, all(&store).len()), (1, 5), "write {nth}");
        store.append_with(&numbered(9), Level::Flushed).unwrap().forget();
        store.flush().unwrap();
        assert_eq!(all(&store).len(), 6);
        store.close().unwrap();
        let store = world.asynchronous();
        let offsets: Vec<_> = all(&store).iter().map(|r| r.queue_offset.0).collect();
        assert_eq!(offsets, [0, 1, 2, 3, 4, 5]);
        assert!(store.recovery().clean_shutdown);
    }
}

/// The new segment had its name already when the folder's sync failed: the next attempt, and every one after it, found
/// the name taken, and the store took no long record until it was opened again.
#[test]
fn a_roll_that_failed_half_way_is_done_the_next_time() {
    for sync in [true, false] {
        // Nothing is written: no producer waits for zeros.
        for kind in [OpKind::Create, OpKind::Sync, OpKind::Rename, OpKind::SyncDir] {
            let world = World::new();
            let store = if sync { world.sync() } else { world.asynchronous() };
            for _ in 0..6 {
                store.append(&sized(10_000)).unwrap().forget();
            }
            let aim = Aim::anything().kind(kind).path("commitlog");
            world.disk.fail_at_aimed(aim, 1, Fault::once(FaultKind::Eio));
            let refused = store.append(&sized(10_000));
            assert!(matches!(refused, Err(Error::Io { .. })), "{kind:?}: {refused:?}");
            let ack = store.append(&sized(10_000)).unwrap_or_else(|e| panic!("{kind:?}: {e}"));
            assert_eq!((ack.position().offset.0, ack.queue_offset().0), (SEGMENT, 6));
            store.flush().unwrap();
            store.close().unwrap();
            assert_eq!(world.log_files().len(), 2);
            assert_eq!(all(&world.asynchronous()).len(), 7);
        }
    }
}

/// An append whose write failed, and whose zeroing failed too, told the janitor under the append lock that the log has
/// failed; the janitor held its own lock and wanted the append lock, to copy the queue offsets. Both waited for ever.
#[test]
fn a_failing_append_and_the_janitor_do_not_wait_for_each_other() {
    let world = World::new();
    let (gate, pass) = Gate::new();
    let broken = Arc::new(AtomicU64::new(0));
    let breaks = Arc::clone(&broken);
    let disk = Watched::new(&world.disk, move |kind, path| {
        if kind == OpKind::Sync && is_mark(path) {
            pass();
        }
        if kind == OpKind::Write && path.starts_with("/store/commitlog/") && breaks.load(SeqCst) > 0 {
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(())
    });
    let store = Store::open("/store", options_on(disk, &world.clock, AsyncFlush::default())).unwrap();
    for _ in 0..8 {
        store.append(&sized(30_000)).unwrap().forget();
    }
    store.flush().unwrap();
    world.clock.turn(Duration::from_secs(2));
    gate.shut();
    let janitor = store.clone();
    let stepping = std::thread::spawn(move || janitor.step());
    gate.wait_for_one();
    // The janitor is in the middle of saving the mark, and will count the queues next.
    broken.store(1, SeqCst);
    let (tell, told) = std::sync::mpsc::channel();
    let producer = store.clone();
    let appending = std::thread::spawn(move || tell.send(producer.append(&numbered(0)).map(drop)));
    let early = told.recv_timeout(Duration::from_millis(300));
    gate.open();
    let answer = early.or_else(|_| told.recv_timeout(Duration::from_secs(10)));
    match answer {
        Ok(answer) => assert!(answer.is_err()),
        // Nobody can be joined, nor the store dropped.
        Err(_) => {
            std::mem::forget(store);
            panic!("append and janitor wait for each other");
        }
    }
    appending.join().unwrap().unwrap();
    stepping.join().unwrap();
    assert!(store.failure().is_some());
}

#[test]
fn a_panic_in_a_policy_fails_the_store_and_names_the_thread() {
    #[derive(Debug)]
    struct Panics;
    impl sawlog::flush::FlushPolicy for Panics {
        fn ack_when(&self) -> Level {
            Level::Flushed
        }
        fn decide(&self, progress: &sawlog::flush::Progress) -> sawlog::flush::Decision {
            let flusher = std::thread::current().name() == Some("sawlog-flusher");
            assert!(!flusher || progress.unflushed_bytes == 0, "a bug in a policy");
            sawlog::flush::Decision::Sleep
        }
    }
    let world = World::new();
    let options = sawlog::Options::new().disk(world.disk.clone()).segment_bytes(SEGMENT).flush(Panics);
    let store = Store::open("/store", options).unwrap();
    let told = store.append(&numbered(0)).unwrap().wait_timeout(PATIENCE).unwrap_err();
    match &told {
        Error::Failed(cause) => match &**cause {
            Error::Panicked { worker, message } => {
                assert_eq!(*worker, "sawlog-flusher");
                assert!(message.contains("a bug in a policy"), "{message}");
            }
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
    assert!(matches!(store.append(&numbered(1)), Err(Error::Failed(_))));
    assert!(store.close().is_err());
    assert!(bodies(&world.sync()).len() <= 1);
}

/// A sync of a queue's file met a full disk and was taken for a write that can be tried again: nothing was ever written
/// from then on, nobody was told, and the entries gathered in memory.
#[test]
fn a_failed_sync_of_a_queues_file_is_final_whatever_it_failed_with() {
    for kind in KINDS {
        let world = World::new();
        let store = world.asynchronous();
        store.append(&numbered(1)).unwrap().forget();
        store.flush().unwrap();
        let syncs = Aim::anything().kind(OpKind::Sync).path("making");
        world.disk.fail_at_aimed(syncs, 0, Fault::once(kind));
        world.clock.turn(Duration::from_secs(2));
        settle(&store);
        assert_eq!(world.disk.faults_fired(), 1, "{kind:?}");
        assert!(matches!(store.failure(), Some(Error::Failed(_))), "{kind:?}");
        assert!(matches!(store.append(&numbered(2)), Err(Error::Failed(_))), "{kind:?}");
        drop(store);
        let store = world.asynchronous();
        let read: Vec<_> = store.queue("orders", 0).read_from(QueueOffset(0)).collect();
        assert_eq!(read.len(), 1, "{kind:?}");
    }
}

#[test]
fn a_queue_that_finds_the_disk_full_stays_in_memory_and_goes_to_files_when_there_is_room() {
    let world = World::new();
    let store = world.asynchronous();
    store.append(&numbered(1)).unwrap().forget();
    store.flush().unwrap();
    for n in 2..10 {
        let makes = Aim::anything().kind(OpKind::Create).path("making");
        world.disk.fail_at_aimed(makes, 0, Fault::once(FaultKind::Enospc));
        world.clock.turn(Duration::from_secs(2));
        settle(&store);
        store.append(&numbered(n)).unwrap().forget();
    }
    assert!(world.disk.faults_fired() > 3);
    settle(&store);
    assert_eq!(store.queue("orders", 0).max(), QueueOffset(9), "readers see what is in memory");
    world.disk.clear_faults();
    world.clock.turn(Duration::from_secs(2));
    settle(&store);
    assert!(world.has("consumequeue/orders/0/00000000000000000000"));
    store.close().unwrap();
    assert_eq!(world.asynchronous().queue("orders", 0).read_from(QueueOffset(0)).count(), 9);
}
