//! Waiting for a queue's news: blocked, with a limit, and as a future; and what ends it.

use std::sync::mpsc;
use std::time::Duration;

use sawlog::disk::sim::{Aim, Fault, FaultKind, OpKind, SimDisk};
use sawlog::flush::{AsyncFlush, SyncFlush};
use sawlog::{Error, Message, Options, QueueOffset, Store};

use crate::world::*;

/// A store with its threads.
fn threaded(sync: bool) -> Store {
    let options = Options::new().disk(SimDisk::new()).segment_bytes(SEGMENT).queue_segment_entries(32);
    let options = options.index_slots(64).index_entries(256);
    let options = if sync { options.flush(SyncFlush) } else { options.flush(AsyncFlush::default()) };
    Store::open("/store", options).unwrap()
}

/// Waits in the way of this number.
fn wait(store: &Store, beyond: u64, way: usize) -> sawlog::Result<()> {
    let news = store.queue("orders", 0).wait(QueueOffset(beyond));
    match way % 3 {
        0 => news.wait(),
        1 => news.wait_timeout(PATIENCE).map(|came| assert!(came, "nobody came")),
        _ => pollster::block_on(news),
    }
}

#[test]
fn news_that_is_there_is_told_at_once() {
    let world = World::new();
    let store = world.asynchronous();
    store.append(&numbered(0)).unwrap().forget();
    settle(&store);
    (0..3).for_each(|way| wait(&store, 0, way).unwrap());
    let queue = store.queue("orders", 0);
    assert!(queue.wait(QueueOffset(0)).is_here());
    assert!(!queue.wait(QueueOffset(1)).is_here());
}

#[test]
fn a_limit_that_passes_is_no_error_and_loses_nothing() {
    let world = World::new();
    let store = world.asynchronous();
    let news = store.queue("orders", 0).wait(QueueOffset(0));
    assert!(!news.wait_timeout(Duration::from_millis(1)).unwrap());
    store.append(&numbered(0)).unwrap().forget();
    settle(&store);
    assert!(news.wait_timeout(Duration::ZERO).unwrap());
}

#[test]
fn consumers_that_wait_for_each_message_get_every_one_in_all_three_ways() {
    for sync in [false, true] {
        let store = threaded(sync);
        let consumers: Vec<_> = (0..6)
            .map(|way| {
                let store = store.clone();
                std::thread::spawn(move || {
                    let mut records = store.queue("orders", 0).read_from(QueueOffset(0));
                    let mut seen = 0;
                    while seen < 300 {
                        wait(&store, records.position().0, way).unwrap();
                        for record in records.by_ref() {
                            assert_eq!(record.unwrap().queue_offset.0, seen);
                            seen += 1;
                        }
                    }
                })
            })
            .collect();
        for n in 0..300 {
            store.append(&numbered(n)).unwrap().forget();
            if sync && n % 16 == 0 {
                store.flush().unwrap();
            }
        }
        store.flush().unwrap();
        consumers.into_iter().for_each(|consumer| consumer.join().unwrap());
        store.close().unwrap();
    }
}

#[test]
fn one_message_wakes_its_own_queue_among_many_that_are_waited_for() {
    let store = threaded(false);
    let (told, heard) = mpsc::channel();
    let waiting: Vec<_> = (0..200)
        .map(|id| {
            let (news, told) = (store.queue("orders", id).wait(QueueOffset(0)), told.clone());
            std::thread::spawn(move || {
                let outcome = news.wait();
                told.send((id, outcome.is_ok())).unwrap();
            })
        })
        .collect();
    store.append(&Message::new("orders", "x").queue(77)).unwrap().forget();
    assert_eq!(heard.recv_timeout(PATIENCE), Ok((77, true)));
    // The others end with the store, and not before: each of them says so.
    store.close().unwrap();
    let mut others: Vec<_> = (1..200).map(|_| heard.recv_timeout(PATIENCE).unwrap()).collect();
    others.sort_unstable();
    assert!(others.iter().map(|(id, _)| *id).eq((0..200).filter(|id| *id != 77)));
    assert!(others.iter().all(|(_, ok)| !ok));
    waiting.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn a_store_that_is_closed_ends_all_waiting() {
    let store = threaded(true);
    let queue = store.queue("orders", 0);
    let waiting: Vec<_> = (0..3)
        .map(|way| {
            let store = store.clone();
            std::thread::spawn(move || wait(&store, 0, way))
        })
        .collect();
    store.close().unwrap();
    for thread in waiting {
        assert!(matches!(thread.join().unwrap(), Err(Error::Closed)));
    }
    assert!(matches!(queue.wait(QueueOffset(0)).wait(), Err(Error::Closed)), "later ones, too");
}

#[test]
fn a_store_that_fails_ends_all_waiting_with_the_cause() {
    let world = World::new();
    let store = world.asynchronous();
    let waiting: Vec<_> = (0..3)
        .map(|way| {
            let store = store.clone();
            std::thread::spawn(move || wait(&store, 1, way))
        })
        .collect();
    store.append(&numbered(0)).unwrap().forget();
    settle(&store);
    let aim = Aim::anything().kind(OpKind::Sync).path("commitlog");
    world.disk.fail_at_aimed(aim, 1, Fault::once(FaultKind::Eio));
    store.flush().unwrap_err();
    for thread in waiting {
        match thread.join().unwrap() {
            Err(Error::Failed(cause)) => assert!(matches!(&*cause, Error::Io { .. }), "{cause}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_future_that_is_dropped_leaves_the_others_waiting() {
    let store = threaded(false);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let queue = store.queue("orders", 0);
        let given_up = tokio::time::timeout(Duration::from_millis(5), queue.wait(QueueOffset(0))).await;
        assert!(given_up.is_err());
        let kept = queue.wait(QueueOffset(0));
        store.append(&numbered(0)).unwrap().await.unwrap();
        kept.await.unwrap();
        assert_eq!(queue.max(), QueueOffset(1));
    });
    store.close().unwrap();
}
