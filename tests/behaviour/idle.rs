//! A store with nothing to do does nothing: no worker asks to be woken.

use std::time::Duration;

use sawlog::flush::{AsyncFlush, SyncFlush};
use sawlog::{Message, Retention, Store};

use crate::world::World;

/// Lets the workers work and time pass until none of them asks for a time, and gives those that still do after that.
fn who_would_wake(world: &World, store: &Store) -> Vec<(&'static str, Duration)> {
    let mut waking = Vec::new();
    for _ in 0..100 {
        while store.step() {}
        waking = store.rests().into_iter().filter_map(|(name, rest)| Some((name, rest?))).collect();
        let Some((_, rest)) = waking.iter().min_by_key(|(_, rest)| *rest) else { return Vec::new() };
        world.clock.turn((*rest).max(Duration::from_millis(1)));
    }
    waking
}

#[test]
fn a_store_that_was_just_opened_asks_for_no_time() {
    let world = World::new();
    let store = world.asynchronous();
    assert_eq!(who_would_wake(&world, &store), []);
    store.close().unwrap();
    // Nor does one that has a log.
    let store = world.sync();
    assert_eq!(who_would_wake(&world, &store), []);
}

#[test]
fn after_work_every_worker_comes_to_rest() {
    let world = World::new();
    for store in [world.options(AsyncFlush::default()), world.options(SyncFlush)] {
        let store = Store::open("/store", store).unwrap();
        // More than a segment, with keys: all workers have had something to do.
        for n in 0..200 {
            let message = Message::new("idle", vec![7; 1000]).queue(n % 5).key(&format!("key-{n}"));
            store.append(&message).unwrap().forget();
            store.step();
        }
        assert_eq!(who_would_wake(&world, &store), []);
        let syncs = store.stats().marks.syncs;
        world.clock.turn(Duration::from_secs(3600));
        assert_eq!(who_would_wake(&world, &store), [], "nor an hour later");
        assert_eq!(store.stats().marks.syncs, syncs, "and nothing was synced meanwhile");
        store.close().unwrap();
    }
}

#[test]
fn a_store_that_removes_what_is_old_wakes_when_something_is() {
    let world = World::new();
    let retention = Retention::keep_all().max_age(Duration::from_secs(3600));
    let store = Store::open("/store", world.options(SyncFlush).retention(retention)).unwrap();
    for _ in 0..200 {
        store.append(&Message::new("idle", vec![7; 1000])).unwrap().forget();
        store.step();
    }
    while store.step() {}
    world.clock.turn(Duration::from_secs(2));
    while store.step() {}
    world.clock.turn(Duration::from_secs(2));
    let waking: Vec<_> = store.rests().into_iter().filter(|(_, rest)| rest.is_some()).collect();
    assert!(
        matches!(waking[..], [("sawlog-sweeper", Some(rest))] if rest > Duration::from_secs(3000)),
        "{waking:?}"
    );
}
