//! What opening does to the disk, in which order, and what it says in the mark before it may fail.

use std::path::Path;

use sawlog::disk::Disk;
use sawlog::disk::sim::{Aim, Fault, FaultKind, OpKind};
use sawlog::flush::{AsyncFlush, SyncFlush};
use sawlog::inspect::{Look, WriterState};
use sawlog::{Error, OnDamage, Store};

use crate::world::*;

fn making() -> &'static Path {
    Path::new("/store/commitlog/making")
}

fn state(world: &World) -> WriterState {
    Look::at("/store").disk(world.disk.clone()).survey().unwrap().mark.unwrap().state
}

/// Opening, whose first sync of the log fails.
fn opened_with_a_failing_sync(world: &World) -> Error {
    let aim = Aim::anything().kind(OpKind::Sync).path("commitlog");
    world.disk.fail_at_aimed(aim, 1, Fault::once(FaultKind::Eio));
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
    let aim = Aim::anything().kind(OpKind::List).path("/store/commitlog/making");
    world.disk.fail_at_aimed(aim, 1, Fault::once(FaultKind::Eio));
    let refused = Store::open("/store", world.options(AsyncFlush::default())).unwrap_err();
    assert!(matches!(&refused, Error::Io { path, .. } if *path == making()), "{refused}");
    assert!(world.disk.entry(&half_made).unwrap().is_some());
    assert_eq!(all(&world.asynchronous()).len(), 1);
    assert!(world.disk.entry(&half_made).unwrap().is_none());
}

/// The usual opening begins in the log's last part. Where that is damaged there may be more: it looks at all of it then.
#[test]
fn damage_in_the_last_part_has_all_of_the_log_looked_at() {
    let world = World::new();
    let store = world.sync();
    let places: Vec<_> = (0..300).map(|_| store.append_and_wait(&sized(700)).unwrap().position).collect();
    settle(&store);
    let killed = World::on(world.disk.kill());
    let segment = |at: u64| format!("/store/commitlog/{:020}", at / SEGMENT * SEGMENT);
    let rot = |n: usize| {
        let at = places[n].offset.0;
        killed.disk.flip(segment(at), (at % SEGMENT + 200) * 8).unwrap();
    };
    rot(3);
    let options = || killed.options(SyncFlush).on_damage(OnDamage::Quarantine);
    let store = Store::open("/store", options()).unwrap();
    assert_eq!(store.quarantined(), [], "nobody has looked there");
    drop(store);
    rot(290);
    let store = Store::open("/store", options()).unwrap();
    let listed: Vec<_> = store.quarantined().iter().map(|part| (part.from, part.to)).collect();
    assert_eq!(listed, [3, 290].map(|n| (places[n].offset, places[n].end())));
    assert_eq!(store.scan(store.marks().first).filter(Result::is_ok).count(), 298);
}
