//! What `Store::stats` says: counts, marks, lags, and whether appends are taken.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sawlog::disk::Disk;
use sawlog::disk::sim::{Aim, Fault, FaultKind, OpKind, Survivors};
use sawlog::flush::SyncFlush;
use sawlog::{Error, Message, QueueOffset, Retention, Store, Writable};

use crate::watched::Watched;
use crate::world::*;

#[test]
fn appends_and_batches_are_counted_and_a_batch_is_what_one_sync_carried() {
    let world = World::new();
    let store = world.sync();
    let fresh = store.stats();
    assert_eq!((fresh.appended_records, fresh.appended_bytes, fresh.sync_us.count()), (0, 0, 0));
    assert!(fresh.writable.is_yes() && fresh.last_error.is_none());
    for batch in [1, 2, 5] {
        for n in 0..batch {
            store.append(&numbered(n)).unwrap().forget();
        }
        store.flush().unwrap();
    }
    store.append_batch(&[numbered(8), numbered(9)]).unwrap().forget();
    let stats = store.stats();
    assert_eq!((stats.appended_records, stats.marks.syncs), (10, 3));
    assert_eq!(stats.appended_bytes, stats.marks.accepted.0);
    let records = &stats.batch_records;
    assert_eq!((records.count(), records.sum(), records.max()), (3, 8, 5));
    assert_eq!(records.buckets().collect::<Vec<_>>(), [(1, 1), (3, 1), (7, 1)]);
    assert_eq!(stats.batch_bytes.sum(), stats.marks.flushed.0);
    assert_eq!(stats.unflushed_bytes(), stats.marks.accepted.since(stats.marks.flushed));
    assert!(stats.unflushed_bytes() > 0, "the batch waits");
}

#[test]
fn a_refused_append_is_not_counted() {
    let world = World::new();
    let store = world.asynchronous();
    store.append(&numbered(0)).unwrap().forget();
    store.append(&Message::new("", "no topic")).unwrap_err();
    store.append(&sized(1 << 20)).unwrap_err();
    assert_eq!(store.stats().appended_records, 1);
}

#[test]
fn how_long_a_sync_took_is_told_by_the_clock() {
    let world = World::new();
    let clock = Arc::clone(&world.clock);
    let slow = Watched::new(&world.disk, move |kind, path| {
        if kind == OpKind::Sync && path.starts_with("/store/commitlog") {
            clock.turn(Duration::from_millis(3));
        }
        Ok(())
    });
    let store = Store::open("/store", options_on(slow, &world.clock, SyncFlush)).unwrap();
    for n in 0..4 {
        store.append_and_wait(&numbered(n)).unwrap();
    }
    let took = store.stats().sync_us;
    assert_eq!((took.count(), took.max(), took.mean()), (4, 3000, 3000));
    assert_eq!(took.per_mille(500), 3000);
}

#[test]
fn each_part_that_follows_the_log_has_its_lag() {
    let world = World::new();
    let store = world.asynchronous();
    let topics = ["orders", "logs"];
    for n in 0..10 {
        store
            .append(&Message::new(topics[n % 2], format!("{n}")).queue(n as u32 % 4).key("k"))
            .unwrap()
            .forget();
    }
    let before = store.stats();
    assert_eq!(before.undispatched_bytes(), before.marks.accepted.0, "nobody has stepped");
    assert_eq!((before.queues, before.unrecorded_bytes()), (0, 0));
    settle(&store);
    let after = store.stats();
    assert_eq!((after.undispatched_bytes(), after.dispatched), (0, after.marks.visible));
    assert_eq!((after.topics, after.queues), (2, 4));
    assert!(after.unwritten_entry_bytes > 0 && after.unrecorded_bytes() > 0);
    store.close().unwrap();
    let reopened = world.asynchronous().stats();
    assert_eq!(reopened.unrecorded_bytes(), 0, "an orderly end leaves nothing to derive");
    assert_eq!((reopened.appended_records, reopened.appended_bytes), (0, 0), "counted from the opening");
    assert_eq!(reopened.queues, 4);
}

#[test]
fn segments_and_open_files_are_those_that_are_there() {
    let world = World::new();
    let store = world.asynchronous();
    for _ in 0..5 {
        store.append(&sized(30_000)).unwrap().forget();
        settle(&store);
    }
    let stats = store.stats();
    assert_eq!((stats.segments, stats.segment_bytes, stats.log_bytes()), (3, SEGMENT, 3 * SEGMENT));
    let apart = |store: &Store| world.disk.open_handles() - store.stats().open_files;
    // The mark, and perhaps a segment made ahead.
    let others = apart(&store);
    assert!(stats.open_files >= 3 && others <= 2, "{others} beside {stats:?}");
    // Files of queues and index are made when their records are durable.
    store.flush().unwrap();
    for queue in 0..20 {
        store.append(&Message::new("many", "x").queue(queue).key("k")).unwrap().forget();
    }
    store.flush().unwrap();
    world.clock.turn(Duration::from_secs(2));
    settle(&store);
    let more = store.stats();
    assert!(more.open_files > stats.open_files + 20, "{} and {}", stats.open_files, more.open_files);
    assert_eq!(apart(&store), others, "{more:?}");
    store.close().unwrap();
}

#[test]
fn what_sweeps_removed_is_summed_up() {
    let world = World::new();
    let store = Store::open("/store", world.options(SyncFlush).retention(Retention::keep_all())).unwrap();
    for _ in 0..7 {
        store.append(&sized(30_000)).unwrap().forget();
    }
    settle(&store);
    let first = store.remove_before(sawlog::LogOffset(SEGMENT)).unwrap();
    let second = store.remove_before(sawlog::LogOffset(2 * SEGMENT)).unwrap();
    let stats = store.stats();
    assert_eq!((first.segments, second.segments, stats.swept_segments), (1, 1, 2));
    assert_eq!(stats.swept_bytes, 2 * SEGMENT + first.derived_bytes + second.derived_bytes);
    assert_eq!(stats.marks.first.0, 2 * SEGMENT);
}

#[test]
fn it_says_that_the_disk_is_too_full_and_what_must_become_free() {
    let world = World::new();
    world.disk.capacity_bytes(4 << 20);
    let rules = Retention::keep_all().refuse_above(0.5);
    let store = Store::open("/store", world.options(SyncFlush).retention(rules)).unwrap();
    store.append(&numbered(0)).unwrap().forget();
    assert!(store.stats().writable.is_yes());
    world.disk.write_file("/ballast", vec![1; 3 << 20]).unwrap();
    store.sweep().unwrap();
    let answer = store.append(&numbered(1)).unwrap_err();
    match (store.stats().writable, answer) {
        (Writable::Full { free, needed }, Error::Full { free: told, needed: told_needed }) => {
            assert_eq!((free, needed), (told, told_needed));
            assert!(needed > 0);
        }
        other => panic!("{other:?}"),
    }
    world.disk.remove(Path::new("/ballast")).unwrap();
    store.sweep().unwrap();
    assert!(store.stats().writable.is_yes(), "it ends by itself");
}

#[test]
fn a_segment_that_could_not_be_made_ahead_is_told_before_an_append_fails_for_it() {
    let world = World::new();
    world.disk.capacity_bytes(1 << 20);
    let store = world.asynchronous();
    store.append(&sized(20_000)).unwrap().forget();
    let free = world.disk.space(Path::new("/")).unwrap().free;
    world.disk.write_file("/ballast", vec![1; usize::try_from(free - 10_000).unwrap()]).unwrap();
    store.append(&sized(30_000)).unwrap().forget();
    settle(&store);
    let stats = store.stats();
    assert!(stats.writable.is_yes(), "this segment has room left");
    assert!(stats.last_error.is_some_and(|error| error.is_full()));
    world.disk.remove(Path::new("/ballast")).unwrap();
    store.append(&sized(30_000)).unwrap().forget();
    assert!(store.stats().last_error.is_none(), "there is a segment now");
}

#[test]
fn a_failed_store_says_why_and_a_closed_one_that_it_is() {
    let world = World::new();
    let store = world.sync();
    store.append_and_wait(&numbered(0)).unwrap();
    store.append(&numbered(1)).unwrap().forget();
    let aim = Aim::anything().kind(OpKind::Sync).path("commitlog");
    world.disk.fail_at_aimed(aim, 1, Fault::once(FaultKind::Eio));
    store.flush().unwrap_err();
    let stats = store.stats();
    assert!(matches!(&stats.writable, Writable::Failed(Error::Failed(_))), "{stats:?}");
    assert!(matches!(&stats.last_error, Some(Error::Failed(_))));
    assert_eq!((stats.sync_us.count(), stats.batch_records.sum()), (1, 1), "a failed sync carried nothing");
    let _ = store.clone().close();
    assert!(matches!(store.stats().writable, Writable::Failed(_)), "the cause stays");

    let world = World::new();
    let store = world.sync();
    store.append_and_wait(&numbered(0)).unwrap();
    store.clone().close().unwrap();
    let stats = store.stats();
    assert!(matches!(stats.writable, Writable::Closed) && stats.last_error.is_none(), "{stats:?}");
    assert_eq!(stats.appended_records, 1);
}

/// Whoever watches must get an answer when it counts most: while a sync hangs.
#[test]
fn an_answer_does_not_wait_for_a_sync_that_hangs() {
    use crate::watched::Gate;
    let world = World::new();
    let (gate, pass) = Gate::new();
    let disk = Watched::new(&world.disk, move |kind, path| {
        if kind == OpKind::Sync && path.starts_with("/store/commitlog") {
            pass();
        }
        Ok(())
    });
    let store = Store::open("/store", options_on(disk, &world.clock, SyncFlush)).unwrap();
    store.append(&numbered(0)).unwrap().forget();
    gate.shut();
    let flushing = std::thread::spawn({
        let store = store.clone();
        move || store.flush()
    });
    gate.wait_for_one();
    let stats = store.stats();
    assert_eq!((stats.appended_records, stats.marks.syncs), (1, 0));
    assert!(stats.unflushed_bytes() > 0);
    gate.open();
    flushing.join().unwrap().unwrap();
    assert_eq!(store.stats().unflushed_bytes(), 0);
    assert_eq!(store.queue("orders", 0).min().unwrap(), QueueOffset(0));
}

/// After a kill the queues are derived from what is recorded on. That moved once a segment and no oftener, a gigabyte of
/// RocketMQ's: opening read all of it twice, once to check it and once to derive.
#[test]
fn what_is_recorded_follows_within_a_segment_where_queues_are_few() {
    let world = World::new();
    let options = world.options(SyncFlush).segment_bytes(256 << 20);
    let store = Store::open("/store", options.clone()).unwrap();
    settle(&store);
    let body = sized(4 << 20);
    let mut behind = Vec::new();
    for _ in 0..40 {
        store.append_and_wait(&body).unwrap();
        world.clock.turn(Duration::from_millis(300));
        settle(&store);
        behind.push(store.stats().unrecorded_bytes() >> 20);
    }
    assert!(behind.iter().all(|mib| *mib < 64 + 5 * 5), "{behind:?}");
    assert!(behind.iter().any(|mib| *mib >= 50), "not with each write either: {behind:?}");
    let end = store.stats().dispatched;
    world.clock.turn(Duration::from_secs(1));
    settle(&store);
    let recorded = store.stats().recorded;
    assert!(end.since(recorded) < 64 << 20);
    let reopened = Store::open("/store", options.clone().disk(world.disk.kill())).unwrap();
    assert_eq!((reopened.recovery().derived_from, reopened.recovery().rebuilt), (recorded, false));
    assert_eq!(reopened.queue("orders", 0).max(), QueueOffset(40));
    drop(reopened);
    // And a power cut that leaves nothing but what was synced: what is said to be whole is.
    let left = world.disk.power_cut(1, Survivors::Nothing);
    let reopened = Store::open("/store", options.disk(left)).unwrap();
    assert_eq!(reopened.recovery().derived_from, recorded);
    let queue = reopened.queue("orders", 0);
    assert_eq!(queue.read_from(QueueOffset(0)).map(|r| r.unwrap().queue_offset.0).sum::<u64>(), 780);
}

/// Entries that fill memory are written at once, many times a second: that once counted as a rest from saying how far
/// they are whole, and under such a load nothing was said before the segment's end.
#[test]
fn what_is_recorded_follows_under_a_load_that_fills_memory_with_entries() {
    let world = World::new();
    let options =
        world.options(SyncFlush).segment_bytes(256 << 20).index_slots(1 << 16).index_entries(1 << 20);
    let store = Store::open("/store", options).unwrap();
    settle(&store);
    let keys: Vec<_> = (0..7_000).map(|n| format!("{n:03x}")).collect();
    let message = sized(1 << 20).property("KEYS", &keys.join(" "));
    let (mut behind, mut most_pending) = (Vec::new(), 0);
    for _ in 0..150 {
        store.append_and_wait(&message).unwrap();
        world.clock.turn(Duration::from_millis(30));
        most_pending = most_pending.max(store.stats().unwritten_entry_bytes);
        settle(&store);
        behind.push(store.stats().unrecorded_bytes() >> 20);
    }
    assert!(most_pending > 2 << 20, "{most_pending}");
    assert!(behind.iter().all(|mib| *mib < 110), "{behind:?}");
}
