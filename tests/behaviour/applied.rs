//! What opening does to the disk, in which order, and what it says in the mark before it may fail.

use std::path::Path;

use sawlog::disk::Disk;
use sawlog::disk::sim::{Aim, Fault, FaultKind, OpKind};
use sawlog::flush::AsyncFlush;
use sawlog::inspect::{Look, WriterState};
use sawlog::{Error, Store};

use crate::world::*;

fn making() -> &'static Path {
    Path::new("/store/commitlog/making")
}

fn state(world: &World) -> WriterState {
    Look::at("/store").disk(world.disk.clone()).survey().unwrap().mark.unwrap().state
}

/// Opening, whose first sync of the log fails.
fn opened_with_a_failing_sync(world: &World) -> Error {
    world.disk.fail_at_aimed(
        Aim::anything().kind(OpKind::Sync).path("commitlog"),
        1,
        Fault::once(FaultKind::Eio),
    );
    Store::open("/store", world.options(AsyncFlush::default())).unwrap_err()
}

/// After a failed sync the page cache is clean and not on the disk: the next opening must know, and write again, though
/// nothing may have been writable by then.
#[test]
fn the_mark_says_that_a_sync_may_have_failed_before_anything_is_written_again() {
    let world = World::new();
    let store = world.asynchronous();
    let places: Vec<_> = (0..5).map(|n| store.append(&numbered(n)).unwrap().end()).collect();
    let killed = World::on(world.disk.kill());
    assert_eq!(state(&killed), WriterState::Open);
    assert!(matches!(opened_with_a_failing_sync(&killed), Error::Io { .. }));
    assert_eq!(state(&killed), WriterState::Failed);
    let store = killed.asynchronous();
    assert_eq!((all(&store).len(), store.recovery().rewritten_bytes), (5, places[4].0));
}

#[test]
fn an_opening_that_has_nothing_to_write_leaves_the_mark_as_it_was_until_it_is_through() {
    let world = World::new();
    let store = world.asynchronous();
    store.append(&numbered(0)).unwrap().forget();
    store.close().unwrap();
    assert!(matches!(opened_with_a_failing_sync(&world), Error::Io { .. }));
    assert_eq!(state(&world), WriterState::Closed);
    assert!(world.asynchronous().recovery().clean_shutdown);
}

/// A segment that was being made when its process was killed holds nothing.
#[test]
fn what_was_being_made_goes_and_what_cannot_be_looked_through_is_told() {
    let world = World::new();
    let store = world.asynchronous();
    store.append(&numbered(0)).unwrap().forget();
    store.close().unwrap();
    let half_made = making().join("00000000000000065536");
    world.disk.write_file(&half_made, vec![7; 100]).unwrap();
    world.disk.fail_at_aimed(
        Aim::anything().kind(OpKind::List).path(making().to_str().unwrap()),
        1,
        Fault::once(FaultKind::Eio),
    );
    let refused = Store::open("/store", world.options(AsyncFlush::default())).unwrap_err();
    assert!(matches!(&refused, Error::Io { path, .. } if *path == making()), "{refused}");
    assert!(world.disk.entry(&half_made).unwrap().is_some());
    assert_eq!(all(&world.asynchronous()).len(), 1);
    assert!(world.disk.entry(&half_made).unwrap().is_none());
}
