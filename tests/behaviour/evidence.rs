//! What opening takes for damage and what for a torn tail, what it knows of who wrote last, what it keeps of what it cuts,
//! and when it relies on queues and index as they are.

use std::path::{Path, PathBuf};

use sawlog::disk::Disk;
use sawlog::disk::sim::{Aim, Fault, FaultKind, OpKind};
use sawlog::flush::{AsyncFlush, SyncFlush};
use sawlog::inspect::{Look, Opening};
use sawlog::{Error, LogRange, Message, MovedBack, OnDamage, Position, QueueOffset, Store};

use crate::world::*;

const LOG: &str = "/store/commitlog/00000000000000000000";

/// Five records that no sync covered, in a store whose process was killed.
fn killed() -> (World, Vec<Position>) {
    let world = World::new();
    let store = world.asynchronous();
    let append = |n| {
        let ack = store.append(&numbered(n)).unwrap();
        let position = ack.position();
        ack.forget();
        position
    };
    let places = (0..5).map(append).collect();
    (World::on(world.disk.kill()), places)
}

/// Turns a bit of its body.
fn rot(world: &World, place: Position) {
    let base = place.offset.0 / SEGMENT * SEGMENT;
    let path = format!("/store/commitlog/{base:020}");
    world.disk.flip(path, (place.offset.0 - base + 90) * 8).unwrap();
}

fn part(place: Position) -> LogRange {
    LogRange { from: place.offset, to: place.end() }
}

fn opened(world: &World, on_damage: OnDamage) -> Result<Store, Error> {
    Store::open("/store", world.options(AsyncFlush::default()).on_damage(on_damage))
}

fn cut_name(place: Position, again: &str) -> PathBuf {
    format!("/store/sawlog/cut-{:020}{again}", place.offset.0).into()
}

/// No power was cut, so all that was written is there: a record that is not, with one behind it, has rotted.
#[test]
fn a_bad_record_before_a_good_one_is_damage_and_behind_the_last_good_one_a_torn_tail() {
    let (world, places) = killed();
    rot(&world, places[1]);
    let Err(Error::Corrupt(why)) = opened(&world, OnDamage::Refuse) else { panic!("opened") };
    assert_eq!(why.at, places[1].offset);

    let (world, places) = killed();
    rot(&world, places[4]);
    let store = opened(&world, OnDamage::Refuse).unwrap();
    let report = store.recovery();
    assert_eq!((report.log_end, report.cuts.len()), (places[4].offset, 1), "{report}");
    assert!(!report.cuts[0].damage);
    assert_eq!(all(&store).len(), 4);
}

/// What one look behind the first bad place has found says nothing of a bad place behind which there is nothing.
#[test]
fn a_torn_tail_behind_listed_damage_is_cut_and_not_listed() {
    let (world, places) = killed();
    rot(&world, places[1]);
    rot(&world, places[4]);
    let store = opened(&world, OnDamage::Quarantine).unwrap();
    let report = store.recovery();
    assert_eq!(store.quarantined(), [part(places[1])], "{report}");
    assert_eq!((report.log_end, report.cuts[0].from), (places[4].offset, places[4].offset), "{report}");
    assert_eq!(store.scan(store.marks().first).filter(Result::is_ok).count(), 3);
}

/// A recovery that was cut short may have saved the bytes already. Another cut at the same place, as long as this one,
/// is another cut: the only copy of what this one takes away must not be skipped for it.
#[test]
fn a_copy_of_what_is_cut_is_taken_for_the_same_only_where_every_byte_is() {
    for is_same in [true, false] {
        let (world, places) = killed();
        rot(&world, places[4]);
        let log = world.disk.read_file(LOG).unwrap();
        let cut = &log[places[4].offset.0 as usize..places[4].end().0 as usize];
        let mut there = cut.to_vec();
        there[20] ^= u8::from(!is_same);
        world.disk.write_file(cut_name(places[4], ""), there.clone()).unwrap();
        let store = opened(&world, OnDamage::Refuse).unwrap();
        let saved = &store.recovery().cuts[0].saved;
        assert_eq!(*saved, cut_name(places[4], if is_same { "" } else { ".1" }));
        assert_eq!(world.disk.read_file(saved).unwrap(), cut);
        assert_eq!(world.disk.read_file(cut_name(places[4], "")).unwrap(), there);
        assert_eq!(world.disk.entry(&cut_name(places[4], ".1")).unwrap().is_some(), !is_same);
    }
}

#[test]
fn a_copy_that_was_being_made_goes_and_is_told_if_it_does_not() {
    let (world, places) = killed();
    rot(&world, places[4]);
    let half_made = Path::new("/store/sawlog/cut.new");
    world.disk.write_file(half_made, vec![7; 100]).unwrap();
    let aim = Aim::anything().kind(OpKind::Remove).path("cut.new");
    world.disk.fail_at_aimed(aim, 1, Fault::once(FaultKind::Eio));
    let refused = opened(&world, OnDamage::Refuse).unwrap_err();
    assert!(matches!(&refused, Error::Io { doing: "removing", path, .. } if *path == half_made), "{refused}");
    let store = opened(&world, OnDamage::Refuse).unwrap();
    assert_eq!((all(&store).len(), world.disk.entry(half_made).unwrap()), (4, None));
}

/// Only a name on another file system is a reason to copy instead.
#[test]
fn a_segment_that_cannot_be_put_aside_is_told_and_stays() {
    let world = World::new();
    let store = world.sync();
    let places: Vec<_> = (0..300).map(|_| store.append_and_wait(&sized(700)).unwrap().position).collect();
    store.close().unwrap();
    rot(&world, places[3]);
    let second = format!("{SEGMENT:020}");
    let aim = Aim::anything().kind(OpKind::Rename).path(&second);
    world.disk.fail_at_aimed(aim, 1, Fault::once(FaultKind::Eio));
    // All of the log is looked at, wherever the last open ended.
    let options = || world.options(SyncFlush).on_damage(OnDamage::FirstBroken).rebuild_derived();
    let refused = Store::open("/store", options()).unwrap_err();
    assert!(matches!(&refused, Error::Io { path, .. } if path.ends_with(&second)), "{refused}");
    assert!(world.has(&format!("commitlog/{second}")));
    assert!(!world.has(&format!("sawlog/cut-{second}")));
    assert_eq!(all(&Store::open("/store", options()).unwrap()).len(), 3);
}

/// Without the ranges a record's checksum may be missing, without the mark nothing is known of the last writer: both are
/// worth a refusal, and none of them the log.
#[test]
fn a_damaged_file_of_our_own_is_refused_and_done_without_by_the_other_rules() {
    for name in ["mark", "ranges"] {
        let world = World::new();
        let store = world.sync();
        for n in 0..5 {
            store.append_and_wait(&numbered(n)).unwrap();
        }
        store.close().unwrap();
        let path = Path::new("/store/sawlog").join(name);
        let mut bytes = world.disk.read_file(&path).unwrap();
        bytes.iter_mut().for_each(|byte| *byte ^= 1);
        world.disk.write_file(&path, bytes).unwrap();
        let Err(Error::Corrupt(why)) = opened(&world, OnDamage::Refuse) else { panic!("{name}: opened") };
        assert_eq!(why.path, path);
        let store = opened(&world, OnDamage::FirstBroken).unwrap();
        let damaged: Vec<_> = store.recovery().side_damage.iter().map(|damage| &damage.path).collect();
        assert_eq!(damaged, [&path]);
        assert_eq!(all(&store).len(), 5);
    }
}

#[test]
fn an_abort_mark_that_cannot_be_read_is_told() {
    let (world, _) = killed();
    let aim = Aim::anything().kind(OpKind::Open).path("/store/abort");
    world.disk.fail_at_aimed(aim, 1, Fault::once(FaultKind::Eio));
    let refused = opened(&world, OnDamage::Refuse).unwrap_err();
    assert!(matches!(&refused, Error::Io { path, .. } if *path == Path::new("/store/abort")), "{refused}");
    assert_eq!(all(&opened(&world, OnDamage::Refuse).unwrap()).len(), 5);
}

/// We closed the store in order, a broker had it then and did not: who was last counts.
#[test]
fn a_broker_that_died_behind_our_orderly_end_leaves_no_clean_store() {
    let world = World::new();
    let store = world.open(SyncFlush);
    store.append_and_wait(&numbered(0)).unwrap();
    store.close().unwrap();
    world.disk.write_file("/store/abort", "4711").unwrap();
    let store = world.sync();
    let report = store.recovery();
    assert!(!report.clean_shutdown && report.foreign_writer, "{report}");
    assert_eq!(all(&store).len(), 1);
}

/// What is counted in front of the part that an opening looks at counts the records that are cut, too: it is counted
/// again, or their numbers would stay taken.
#[test]
fn a_number_whose_record_is_cut_is_given_again_though_its_queue_begins_segments_before() {
    let world = World::new();
    let store = world.sync();
    let rare = || store.append_and_wait(&Message::new("rare", "paid")).unwrap().position;
    rare();
    for _ in 0..200 {
        store.append_and_wait(&sized(700)).unwrap();
    }
    let last = rare();
    settle(&store);
    store.close().unwrap();
    rot(&world, last);
    let expected = [MovedBack { topic: "rare".into(), queue_id: 0, was: QueueOffset(2), is: QueueOffset(1) }];
    let survey = Look::at("/store").disk(world.disk.clone()).survey().unwrap();
    let Opening::Refused { first_broken: Some(would), .. } = survey.opening else { panic!("would open") };
    assert_eq!(would.queues_moved_back, expected, "told before it is done");
    let store = opened(&world, OnDamage::FirstBroken).unwrap();
    assert_eq!(store.recovery().log_end, last.offset);
    assert_eq!(store.queue("rare", 0).max(), QueueOffset(1));
    assert_eq!(store.recovery().queues_moved_back, expected);
    let again = store.append(&Message::new("rare", "again")).unwrap();
    assert_eq!(again.queue_offset(), QueueOffset(1), "no number is left out");
}

/// An opening begins where queues and index end. Damage behind that has it look at all of the log, where there may be
/// more.
#[test]
fn damage_behind_what_is_derived_has_the_log_looked_at_from_its_front() {
    let world = World::new();
    let store = world.sync();
    let append = || store.append_and_wait(&sized(700)).unwrap().position;
    let mut places: Vec<_> = (0..200).map(|_| append()).collect();
    settle(&store);
    places.extend((0..5).map(|_| append()));
    let killed = World::on(world.disk.kill());
    rot(&killed, places[3]);
    rot(&killed, places[202]);
    let store = opened(&killed, OnDamage::Quarantine).unwrap();
    assert_eq!(store.quarantined(), [part(places[3]), part(places[202])], "{}", store.recovery());
}

/// A broker that closes a store has flushed it; what one that died had flushed, its checkpoint says.
#[test]
fn what_a_broker_that_died_may_not_have_flushed_is_written_again() {
    for (abort, rewrites) in [(None, false), (Some("4711"), true)] {
        let world = World::new();
        let store = world.sync();
        let end = (0..5).map(|n| store.append_and_wait(&numbered(n)).unwrap().position.end()).max().unwrap();
        store.close().unwrap();
        // No trace of ours.
        for (path, _) in world.disk.files().into_iter().filter(|(path, _)| path.starts_with("/store/sawlog"))
        {
            world.disk.remove(&path).unwrap();
        }
        if let Some(text) = abort {
            world.disk.write_file("/store/abort", text).unwrap();
        }
        let store = world.sync();
        let report = store.recovery();
        assert_eq!(report.rewritten_bytes, if rewrites { end.0 } else { 0 }, "{report}");
        assert!(report.foreign_writer && all(&store).len() == 5, "{report}");
    }
}

/// The segment behind a blank record may not have come to be. The blank one is no rubbish: it stays.
#[test]
fn a_blank_record_at_the_end_of_what_is_left_is_not_cut() {
    let world = World::new();
    let store = world.asynchronous();
    let mut last = store.append(&sized(700)).unwrap().position();
    while last.offset.0 < SEGMENT {
        last = store.append(&sized(700)).unwrap().position();
    }
    let killed = World::on(world.disk.kill());
    killed.disk.remove(format!("/store/commitlog/{SEGMENT:020}").as_ref()).unwrap();
    let log = killed.disk.read_file(LOG).unwrap();
    let store = opened(&killed, OnDamage::Refuse).unwrap();
    let report = store.recovery();
    assert!(report.log_end.0 < SEGMENT && report.cuts.is_empty(), "{report}");
    assert_eq!(killed.disk.read_file(LOG).unwrap(), log);
    assert_eq!(all(&store).last().unwrap().position.end(), report.log_end);
}

/// A store closed in order, with messages that have keys.
fn closed() -> World {
    let world = World::new();
    let store = world.sync();
    for n in 0..5 {
        store.append_and_wait(&numbered(n).key(&format!("key-{n}"))).unwrap();
    }
    settle(&store);
    store.close().unwrap();
    assert!(!world.sync().recovery().rebuilt);
    world
}

/// A file that stands among the queues and is none, and one of the index that is gone: nobody knows what else was done
/// there.
#[test]
fn queues_and_index_are_made_anew_where_a_file_is_none_of_theirs_or_missing() {
    let world = closed();
    world.disk.write_file("/store/consumequeue/orders/0/notes", "mine").unwrap();
    let store = world.sync();
    let report = store.recovery();
    assert!(report.rebuilt && report.set_aside.len() == 1, "{report}");

    let world = closed();
    let (index, _) =
        world.disk.files().into_iter().find(|(path, _)| path.starts_with("/store/index")).unwrap();
    world.disk.remove(&index).unwrap();
    let store = world.sync();
    assert!(store.recovery().rebuilt, "{}", store.recovery());
    assert_eq!(store.find("orders", "key-3").count(), 1);
}

/// The other index files still say how many slots they have, as we do; that does not make the one that is gone good.
#[test]
fn an_index_of_which_one_file_of_several_is_missing_is_made_anew() {
    let world = World::new();
    let store = world.sync();
    for n in 0..300 {
        store.append(&numbered(n).key(&format!("key-{n}"))).unwrap().forget();
        world.clock.turn(std::time::Duration::from_millis(10));
        settle(&store);
    }
    store.close().unwrap();
    let files = world.disk.files().into_iter().map(|(path, _)| path);
    let index: Vec<_> = files.filter(|path| path.starts_with("/store/index")).collect();
    assert_eq!(index.len(), 2, "{index:?}");
    world.disk.remove(&index[0]).unwrap();
    let store = world.sync();
    assert!(store.recovery().rebuilt, "{}", store.recovery());
    assert_eq!(store.find("orders", "key-3").count(), 1);
}

#[test]
fn queues_and_index_whose_making_was_cut_short_are_made_anew() {
    let world = closed();
    let aim = Aim::anything().kind(OpKind::Remove).path("/store/index");
    world.disk.fail_at_aimed(aim, 1, Fault::once(FaultKind::Eio));
    let rebuilding = world.options(SyncFlush).rebuild_derived();
    assert!(matches!(Store::open("/store", rebuilding), Err(Error::Io { .. })));
    let store = world.sync();
    assert!(store.recovery().rebuilt, "{}", store.recovery());
    assert_eq!((store.queue("orders", 0).max(), store.find("orders", "key-3").count()), (QueueOffset(5), 1));
}
