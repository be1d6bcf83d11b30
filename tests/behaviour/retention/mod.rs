//! Retention: what goes, when, and in which order; what stays; and what readers are told meanwhile.

mod guard;
mod readers;

use std::path::Path;
use std::time::Duration;

use sawlog::disk::Disk;
use sawlog::disk::sim::{Aim, Fault, FaultKind, OpKind};
use sawlog::flush::{AsyncFlush, SyncFlush};
use sawlog::{Damage, Error, LogOffset, Message, OnDamage, Options, QueueOffset, Retention, Store, Why};

use crate::world::*;

const HOUR: Duration = Duration::from_secs(3600);

/// No rule but those that a test adds.
fn none() -> Retention {
    Retention::keep_all().refuse_above(None)
}

fn options(world: &World, rules: Retention) -> Options {
    world.options(AsyncFlush::default()).retention(rules)
}

fn open(world: &World, rules: Retention) -> Store {
    Store::open("/store", options(world, rules)).unwrap()
}

/// Two of these fill a segment.
fn half(n: u64) -> Message {
    Message::new("orders", format!("{n:030000}"))
}

/// Fills so many segments more, and begins the next one.
fn fill(store: &Store, from: u64, segments: u64) {
    for n in from * 2..=(from + segments) * 2 {
        store.append(&half(n)).unwrap().forget();
    }
}

/// In which segment the log begins.
fn first(store: &Store) -> u64 {
    let first = store.marks().first.0;
    assert_eq!(first % SEGMENT, 0, "only whole segments go");
    first / SEGMENT
}

/// The files of the log are those of the segments from `first` on, without a gap.
fn files_begin_with(world: &World, first: u64) {
    for (n, (name, _)) in world.log_files().iter().enumerate() {
        assert_eq!(name.parse::<u64>().unwrap(), (first + n as u64) * SEGMENT, "{:?}", world.log_files());
    }
}

#[test]
fn a_segment_goes_when_its_last_record_is_old_enough() {
    let world = World::new();
    let store = open(&world, none().max_age(5 * HOUR));
    for n in 0..10 {
        store.append(&half(n)).unwrap().forget();
        world.clock.turn(HOUR);
        settle(&store);
    }
    // The tenth record was stored an hour ago; that of hour 5 is just old enough, and the last of its segment.
    assert_eq!((first(&store), all(&store).len()), (3, 4));
    files_begin_with(&world, 3);
    let reads = world.disk.operations_of(OpKind::Read);
    world.clock.turn(HOUR);
    settle(&store);
    assert_eq!(first(&store), 3, "the first record of a segment may be older");
    assert_eq!(world.disk.operations_of(OpKind::Read), reads, "what was rolled here is remembered");
    world.clock.turn(HOUR);
    settle(&store);
    assert_eq!(first(&store), 4);
    world.clock.turn(1000 * HOUR);
    settle(&store);
    assert_eq!(first(&store), 4, "what is being written never goes");
    store.close().unwrap();
    let store = open(&world, none().max_age(HOUR));
    settle(&store);
    assert_eq!((first(&store), all(&store).len()), (4, 2));
}

/// The times of segments that an earlier process wrote are not remembered; RocketMQ takes the files' (spec H31).
#[test]
fn after_a_restart_ages_are_found_in_the_records() {
    let world = World::new();
    let store = open(&world, none());
    for (n, hours) in [0, 10, 10, 0, 10, 0].into_iter().enumerate() {
        world.clock.turn(hours * HOUR);
        store.append(&half(n as u64)).unwrap().forget();
    }
    // Segment 0 has records of hours 0 and 10, segment 1 of hour 20 alone, segment 2 of hour 30.
    store.close().unwrap();
    let store = open(&world, none().max_age(25 * HOUR));
    settle(&store);
    assert_eq!(first(&store), 0, "its last record is 20 hours old");
    world.clock.turn(5 * HOUR - Duration::from_millis(1));
    settle(&store);
    assert_eq!(first(&store), 0);
    world.clock.turn(Duration::from_millis(1));
    settle(&store);
    assert_eq!(first(&store), 1);
    world.clock.turn(10 * HOUR);
    settle(&store);
    assert_eq!(first(&store), 2);
}

/// A record that rot has broken hides how old those behind it are: they go with the first record of the next segment.
#[test]
fn a_broken_record_does_not_make_a_segment_stay_for_ever() {
    let world = World::new();
    let store = open(&world, none());
    fill(&store, 0, 1);
    store.close().unwrap();
    world.clock.turn(10 * HOUR);
    let store = open(&world, none().max_age(5 * HOUR));
    store.append(&half(3)).unwrap().forget();
    store.append(&half(4)).unwrap().forget();
    store.close().unwrap();
    world.disk.flip("/store/commitlog/00000000000000000000", 30_200 * 8).unwrap();
    let store = open(&world, none().max_age(5 * HOUR));
    settle(&store);
    assert_eq!(first(&store), 1, "what lies in segment 1 was there ten hours ago");
    assert!(store.last_sweep_error().is_none(), "{:?}", store.last_sweep_error());
}

#[test]
fn a_clock_that_jumps_back_removes_nothing() {
    let world = World::new();
    let store = open(&world, none().max_age(HOUR));
    fill(&store, 0, 4);
    world.clock.jump_to(sawlog::clock::Timestamp(START.0 - 1_000_000_000));
    settle(&store);
    assert_eq!((first(&store), store.sweep().unwrap().why), (0, None));
    // Records appended meanwhile carry the time before the jump: store time never steps back.
    fill(&store, 5, 2);
    world.clock.jump_to(START);
    settle(&store);
    assert_eq!(first(&store), 0);
}

#[test]
fn by_bytes_the_oldest_segments_go_as_new_ones_come() {
    for sync in [true, false] {
        let world = World::new();
        let rules = none().max_bytes(3 * SEGMENT);
        let options = if sync { world.options(SyncFlush) } else { world.options(AsyncFlush::default()) };
        let store = Store::open("/store", options.retention(rules)).unwrap();
        for n in 0..40 {
            store.append(&half(n)).unwrap().forget();
            settle(&store);
            assert!(world.log_files().len() <= 4, "three, and the one made ahead");
            assert_eq!(first(&store), (n / 2).saturating_sub(2));
        }
        store.flush().unwrap();
        assert_eq!(all(&store).len(), 6);
        let records: Vec<_> = store.queue("orders", 0).read_from(QueueOffset(34)).collect();
        assert_eq!((records.len(), store.queue("orders", 0).min().unwrap()), (6, QueueOffset(34)));
        store.close().unwrap();
        assert_eq!(all(&world.asynchronous()).len(), 6);
    }
}

#[test]
fn a_limit_below_one_segment_keeps_the_one_being_written() {
    let world = World::new();
    let store = open(&world, none().max_bytes(1));
    fill(&store, 0, 5);
    settle(&store);
    assert_eq!((first(&store), all(&store).len()), (5, 1));
}

#[test]
fn by_disk_use_so_many_go_that_the_rest_is_below_the_limit() {
    let world = World::new();
    let store = open(&world, none().max_disk_used(0.5));
    fill(&store, 0, 9);
    settle(&store);
    assert_eq!(first(&store), 0, "there is room");
    let used = || {
        let space = world.disk.space(Path::new("/")).unwrap();
        (space.total - space.free) as f64 / space.total as f64
    };
    for (capacity, from) in
        [(24, 0..=0), (16, 1..=3), (8, 5..=7)].map(|(segments, from)| (segments * SEGMENT, from))
    {
        world.disk.capacity_bytes(capacity);
        let before = used();
        let swept = store.sweep().unwrap();
        assert!(from.contains(&first(&store)), "{before} used of {capacity}: {swept:?}");
        assert!(used() <= 0.5, "{swept:?}");
        assert_eq!(swept.why, (before > 0.5).then_some(Why::DiskUse));
        // Not one more than that.
        let least = swept.segments == 0 || used() + SEGMENT as f64 / capacity as f64 > 0.5;
        assert!(least, "{} used: {swept:?}", used());
    }
    world.disk.capacity_bytes(1 << 30);
    let swept = store.sweep().unwrap();
    assert_eq!((swept.segments, swept.why), (0, None));
}

#[test]
fn what_is_asked_for_goes_whatever_the_rules_say_in_whole_segments() {
    let world = World::new();
    let store = open(&world, none());
    fill(&store, 0, 5);
    for (at, segments, begins) in [(0, 0, 0), (SEGMENT - 1, 0, 0), (2 * SEGMENT + 7, 2, 2), (SEGMENT, 0, 2)] {
        let swept = store.remove_before(LogOffset(at)).unwrap();
        assert_eq!((swept.segments, swept.bytes, first(&store)), (segments, segments * SEGMENT, begins));
        assert_eq!(swept.first, store.marks().first);
        assert_eq!(swept.why, (segments > 0).then_some(Why::Asked));
    }
    store.remove_before(LogOffset(u64::MAX)).unwrap();
    assert_eq!((first(&store), all(&store).len()), (5, 1), "what is being written stays");
    files_begin_with(&world, 5);
    // Nothing was flushed before, nor dispatched: it was done for this.
    assert!(store.marks().flushed.0 >= 5 * SEGMENT && store.dispatched().at().0 >= 5 * SEGMENT);
    assert_eq!(store.queue("orders", 0).min().unwrap(), QueueOffset(10));
}

#[test]
fn a_queue_all_of_whose_messages_have_gone_goes_on_with_its_next_number() {
    let world = World::new();
    let store = open(&world, none());
    for _ in 0..3 {
        store.append(&Message::new("rare", "x").queue(2).key("k")).unwrap().forget();
    }
    fill(&store, 0, 2);
    store.remove_before(LogOffset(u64::MAX)).unwrap();
    let holds = |store: &Store| {
        let queue = store.queue("rare", 2);
        assert_eq!((queue.min().unwrap(), queue.max()), (QueueOffset(3), QueueOffset(3)));
        assert_eq!(store.find("rare", "k").count(), 0);
    };
    holds(&store);
    store.close().unwrap();
    let store = open(&world, none());
    holds(&store);
    store.close().unwrap();
    // Not one derived file is left.
    for (path, _) in world.disk.files() {
        if path.starts_with("/store/consumequeue") || path.starts_with("/store/index") {
            world.disk.remove(&path).unwrap();
        }
    }
    let store = open(&world, none());
    assert!(store.recovery().rebuilt);
    holds(&store);
    let ack = store.append(&Message::new("rare", "y").queue(2)).unwrap();
    assert_eq!(ack.queue_offset(), QueueOffset(3));
}

#[test]
fn other_rules_hold_at_once_and_bad_ones_change_nothing() {
    let world = World::new();
    let store = open(&world, none());
    fill(&store, 0, 6);
    settle(&store);
    assert_eq!(first(&store), 0);
    store.set_retention(none().max_bytes(4 * SEGMENT)).unwrap();
    assert_eq!(store.retention(), none().max_bytes(4 * SEGMENT));
    settle(&store);
    assert_eq!(first(&store), 3);
    for bad in [none().max_bytes(0), none().max_age(Duration::ZERO), none().refuse_above(f64::NAN)] {
        let error = store.set_retention(bad).unwrap_err();
        assert!(matches!(error, Error::InvalidOptions(_)), "{error}");
        let error = Store::open("/elsewhere", options(&world, bad)).unwrap_err();
        assert!(matches!(error, Error::InvalidOptions(_)), "{error}");
    }
    assert_eq!(store.retention(), none().max_bytes(4 * SEGMENT));
    let kept = store.clone();
    store.close().unwrap();
    assert!(matches!(kept.set_retention(none()), Err(Error::Closed | Error::Failed(_))));
    assert!(matches!(kept.sweep(), Err(Error::Closed | Error::Failed(_))));
    assert!(matches!(kept.remove_before(LogOffset(0)), Err(Error::Closed | Error::Failed(_))));
}

#[test]
fn a_file_that_cannot_be_removed_is_told_and_tried_again() {
    let world = World::new();
    let store = open(&world, none());
    fill(&store, 0, 4);
    let fault = |kind| {
        world.disk.fail_at_aimed(Aim::anything().kind(kind).path("commitlog"), 2, Fault::once(FaultKind::Eio))
    };
    fault(OpKind::Remove);
    let error = store.remove_before(LogOffset(3 * SEGMENT)).unwrap_err();
    assert!(matches!(&error, Error::Io { path, .. } if path.ends_with("00000000000000065536")), "{error}");
    // The log has given them up: readers are told so. One file is gone, the others wait.
    assert_eq!((first(&store), world.log_files()[0].0.as_str()), (3, "00000000000000065536"));
    store.append(&half(9)).unwrap().forget();
    let swept = store.sweep().unwrap();
    assert_eq!((swept.segments, swept.bytes, swept.why), (2, 2 * SEGMENT, None));
    files_begin_with(&world, 3);
    assert!(store.failure().is_none());
    // The same by itself.
    store.set_retention(none().max_bytes(1)).unwrap();
    fill(&store, 5, 3);
    fault(OpKind::SyncDir);
    settle(&store);
    assert!(matches!(store.last_sweep_error(), Some(Error::Io { .. })), "{:?}", store.last_sweep_error());
    settle(&store);
    assert!(store.last_sweep_error().is_none(), "{:?}", store.last_sweep_error());
    files_begin_with(&world, first(&store));
    store.close().unwrap();
}

#[test]
fn files_that_could_not_be_removed_before_the_end_are_removed_by_the_next_open() {
    let world = World::new();
    let store = open(&world, none());
    fill(&store, 0, 4);
    world.disk.fail_at_aimed(
        Aim::anything().kind(OpKind::Remove).path("commitlog/0"),
        1,
        Fault::persistent(FaultKind::Eio),
    );
    store.remove_before(LogOffset(3 * SEGMENT)).unwrap_err();
    store.close().unwrap();
    assert_eq!(world.log_files()[0].0, "00000000000000000000");
    world.disk.clear_faults();
    let store = open(&world, none());
    assert_eq!((store.recovery().removed_segments, first(&store)), (3, 3));
    assert!(store.recovery().to_string().contains("3 segments removed"), "{}", store.recovery());
    files_begin_with(&world, 3);
    store.close().unwrap();
    assert_eq!(open(&world, none()).recovery().removed_segments, 0);
}

/// A deleted first segment went unnoticed: the log began later, and that was all.
#[test]
fn a_first_segment_that_nobody_gave_up_is_missed() {
    for swept in [0, 2] {
        let world = World::new();
        let store = open(&world, none());
        fill(&store, 0, 5);
        store.remove_before(LogOffset(swept * SEGMENT)).unwrap();
        store.close().unwrap();
        let gone = format!("/store/commitlog/{:020}", swept * SEGMENT);
        world.disk.remove(Path::new(&gone)).unwrap();
        let before = world.disk.fingerprint();
        let error = Store::open("/store", options(&world, none())).unwrap_err();
        let Error::Corrupt(missing) = &error else { panic!("{error}") };
        assert_eq!((missing.at, &missing.what), (LogOffset(swept * SEGMENT), &Damage::MissingSegment));
        assert_eq!(missing.path, Path::new(&gone));
        assert_eq!(world.disk.fingerprint(), before, "nothing was changed");
        // Whoever can do without it is told, once.
        let store = Store::open("/store", options(&world, none()).on_damage(OnDamage::FirstBroken)).unwrap();
        assert_eq!(store.recovery().side_damage, std::slice::from_ref(missing));
        assert_eq!((first(&store), all(&store).len() as u64), (swept + 1, 2 * (5 - swept - 1) + 1));
        store.close().unwrap();
        assert!(open(&world, none()).recovery().side_damage.is_empty());
    }
}

#[test]
fn a_broker_may_have_removed_what_it_liked() {
    let world = World::new();
    let store = open(&world, none());
    fill(&store, 0, 5);
    store.close().unwrap();
    // Killed under another program: its abort mark stands.
    world.disk.write_file("/store/abort", "4711").unwrap();
    world.disk.remove(Path::new("/store/commitlog/00000000000000000000")).unwrap();
    let store = open(&world, none());
    assert!(store.recovery().foreign_writer && store.recovery().side_damage.is_empty());
    assert_eq!((first(&store), all(&store).len()), (1, 9));
}

#[test]
fn what_recovery_put_aside_stays() {
    let world = World::new();
    let store = open(&world, none().max_bytes(1));
    let kept = ["/store/sawlog/cut-00000000000000000000", "/store/sawlog/aside/stray"];
    for path in kept {
        world.disk.write_file(path, "kept").unwrap();
    }
    fill(&store, 0, 5);
    settle(&store);
    assert_eq!(first(&store), 5);
    for path in kept {
        assert_eq!(world.disk.read_file(path).unwrap(), b"kept");
    }
}

/// The topic was dropped; when all that it had is gone there is nothing left to be said of it.
#[test]
fn a_dropped_topic_is_forgotten_with_its_last_segment() {
    let world = World::new();
    let store = open(&world, none());
    store.append(&Message::new("dropped", "x").key("k")).unwrap().forget();
    store.drop_topic("dropped").unwrap();
    fill(&store, 0, 3);
    let said = || {
        let bytes = world.disk.read_file("/store/sawlog/queues").unwrap();
        u32::from_be_bytes(bytes[16 + 48..][..4].try_into().unwrap())
    };
    assert_eq!(said(), 1);
    store.remove_before(LogOffset(SEGMENT)).unwrap();
    store.close().unwrap();
    assert_eq!(said(), 0);
    let store = open(&world, none());
    let ack = store.append(&Message::new("dropped", "y").key("k")).unwrap();
    assert_eq!(ack.queue_offset(), QueueOffset(1));
    settle(&store);
    assert_eq!(store.find("dropped", "k").count(), 1);
}
