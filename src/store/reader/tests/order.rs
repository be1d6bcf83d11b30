//! In order: records, single ones, and the look-up by time.

use super::*;
use crate::store::reader::Bound::{First, Last};

#[test]
fn records_come_in_order_over_all_files_and_go_on_after_news() {
    let world = World::new();
    world.fill(35);
    let mut records = world.queue().read_from(QueueOffset(3));
    let read: Vec<_> = records.by_ref().map(Result::unwrap).collect();
    assert_eq!(offsets(&read), (3..35).collect::<Vec<_>>());
    assert_eq!(read[5].body(), "00000008");
    assert_eq!(records.position(), QueueOffset(35));
    assert!(records.next().is_none());
    world.fill(2);
    assert_eq!(offsets(&records.map(Result::unwrap).collect::<Vec<_>>()), [35, 36]);
}

#[test]
fn records_are_the_same_from_memory_and_from_files() {
    let world = World::new();
    world.fill(25);
    let before: Vec<_> = world.queue().read_from(QueueOffset(0)).map(Result::unwrap).collect();
    world.queues().write_out(before[17].position.end()).unwrap();
    let after: Vec<_> = world.queue().read_from(QueueOffset(0)).map(Result::unwrap).collect();
    assert_eq!(before, after);
    assert_eq!(before.len(), 25);
}

#[test]
fn an_offset_outside_of_the_queue_is_said_first_and_stays() {
    let world = World::new();
    world.fill(5);
    let mut records = world.queue().read_from(QueueOffset(6));
    for _ in 0..2 {
        let error = records.next().unwrap().unwrap_err();
        assert!(matches!(error, Error::OutOfRange { asked: 6, first: 0, next: 5 }), "{error}");
    }
    assert!(world.queue().read_from(QueueOffset(5)).next().is_none(), "the end is no error");
}

#[test]
fn an_entry_that_points_at_another_record_is_never_served() {
    let world = World::new();
    world.fill(30);
    let other = world.append(&Message::new("other", "text"));
    let second = world.append(&Message::new("t", "text").queue(1));
    world.derive();
    let at = |n: u64| entry(&world.queue().record_at(QueueOffset(n)).unwrap());
    let lies = [
        at(13),
        entry(&other),
        entry(&second),
        Entry { len: at(12).len + 1, ..at(12) },
        Entry { at: world.store.marks().visible, ..at(12) },
    ];
    for lie in lies {
        let queue = world.queue();
        let truth = at(12);
        world.forge(12, lie);
        let mut records = queue.read_from(QueueOffset(10));
        assert_eq!(records.next().unwrap().unwrap().queue_offset, QueueOffset(10));
        assert_eq!(records.next().unwrap().unwrap().queue_offset, QueueOffset(11));
        assert!(is_wrong_entry(&records.next().unwrap().unwrap_err(), 12), "{lie:?}");
        assert!(is_wrong_entry(&queue.record_at(QueueOffset(12)).unwrap_err(), 12), "{lie:?}");
        assert!(records.next().unwrap().is_err(), "the error stays");
        assert_eq!(queue.record_at(QueueOffset(13)).unwrap().queue_offset, QueueOffset(13));
        world.forge(12, truth);
        queue.record_at(QueueOffset(12)).unwrap();
    }
}

#[test]
fn a_look_up_by_time_reports_an_entry_that_lies() {
    let world = World::new();
    world.fill(31);
    let queue = world.queue();
    // The first probe of 31 messages is the one in the middle.
    let truth = entry(&queue.record_at(QueueOffset(15)).unwrap());
    world.forge(15, entry(&queue.record_at(QueueOffset(16)).unwrap()));
    assert!(is_wrong_entry(&queue.offset_at_time(Timestamp(0), First).unwrap_err(), 15));
    world.forge(15, truth);
    assert_eq!(queue.offset_at_time(Timestamp(1_000_015), First).unwrap(), QueueOffset(15));
}

#[test]
fn a_look_up_by_time_reads_few_bytes_of_few_records() {
    let world = World::new();
    world.append(&Message::new("t", vec![0; 40_000]).born_host("[::1]:80".parse().unwrap()));
    world.fill(20);
    for (time, expected) in [(0, 0), (1_000_000, 0), (1_000_001, 2), (1_000_019, 20), (1_000_020, 21)] {
        assert_eq!(world.queue().offset_at_time(Timestamp(time), First).unwrap().0, expected, "{time}");
    }
    assert_eq!(world.queue().offset_at_time(Timestamp(1_000_000), Last).unwrap(), QueueOffset(1));
}

#[test]
fn a_gap_is_passed_over() {
    let world = World::new();
    world.fill(12);
    let last = world.queue().record_at(QueueOffset(11)).unwrap();
    let put = world.queues().put("t", 0, QueueOffset(15), entry(&last));
    assert_eq!(put, Put::Gap(3));
    let queue = world.queue();
    let mut records = queue.read_from(QueueOffset(11));
    assert_eq!(records.next().unwrap().unwrap().queue_offset, QueueOffset(11));
    assert!(is_wrong_entry(&records.next().unwrap().unwrap_err(), 15), "it belongs at 11");
    let error = queue.record_at(QueueOffset(12)).unwrap_err();
    assert!(matches!(error, Error::OutOfRange { asked: 12, first: 0, next: 16 }), "{error}");
}

#[test]
fn what_retention_removed_is_out_of_range() {
    let mut world = World::new();
    world.fill(1000);
    let queue = world.queue();
    let mut early = queue.read_from(QueueOffset(0));
    early.next().unwrap().unwrap();
    let in_second = queue.record_at(QueueOffset(999)).unwrap();
    assert!(in_second.position.offset.0 > SEGMENT);
    world.lose_first_segment();

    let queue = world.queue();
    let first = queue.min().unwrap();
    assert!(first > QueueOffset(0) && queue.max() == QueueOffset(1000));
    assert_eq!(queue.record_at(first).unwrap().queue_offset, first);
    for gone in [QueueOffset(0), QueueOffset(first.0 - 1)] {
        let expected = |error: &Error| matches!(error, Error::OutOfRange { asked, first: f, next: 1000 } if *asked == gone.0 && *f == first.0);
        assert!(expected(&queue.record_at(gone).unwrap_err()));
        assert!(expected(&queue.read_from(gone).next().unwrap().unwrap_err()));
    }
    // What stands in no segment comes before all times.
    assert_eq!(queue.offset_at_time(Timestamp(0), First).unwrap(), first);
    assert_eq!(queue.offset_at_time(Timestamp(0), Last).unwrap(), first);
    assert_eq!(queue.offset_at_time(Timestamp(1_000_999), First).unwrap(), QueueOffset(999));
}

#[test]
fn a_reader_whose_place_is_removed_meanwhile_is_told() {
    let mut world = World::new();
    world.fill(1000);
    let mut records = world.queue().read_from(QueueOffset(0));
    records.next().unwrap().unwrap();
    // The entries at hand are those of before; the log has lost its first segment.
    let first = world.queue().min().unwrap();
    world.lose_first_segment();
    records.go_on_in(world.queue());
    let first = world.queue().min().unwrap().max(first);
    let error = records.next().unwrap().unwrap_err();
    let expected = matches!(error, Error::OutOfRange { asked: 1, first: f, next: 1000 } if f == first.0);
    assert!(expected, "{error}");
}

#[test]
fn a_queue_that_does_not_exist_reads_as_empty() {
    let world = World::new();
    let queue = world.sources.queue("t", 0);
    let nowhere = world.sources.queue("../../x", u32::MAX);
    for queue in [&queue, &nowhere] {
        assert_eq!((queue.min().unwrap(), queue.max()), (QueueOffset(0), QueueOffset(0)));
        assert!(queue.read_from(QueueOffset(0)).next().is_none());
        assert!(queue.read_from(QueueOffset(1)).next().unwrap().is_err());
        assert!(matches!(
            queue.record_at(QueueOffset(0)),
            Err(Error::OutOfRange { asked: 0, first: 0, next: 0 })
        ));
        assert_eq!(queue.offset_at_time(Timestamp(5), First).unwrap(), QueueOffset(0));
    }
    world.fill(1);
    assert_eq!(queue.max(), QueueOffset(1), "the handle finds it once it is there");
    assert_eq!(format!("{queue:?}"), "Queue { topic: \"t\", id: 0, .. }");
}

#[test]
fn after_a_failure_only_what_is_durable_can_be_read() {
    let world = World::new();
    world.fill(20);
    world.store.flush().unwrap();
    world.fill(7);
    let queue = world.queue();
    assert_eq!(queue.max(), QueueOffset(27));
    world.sources.log.fail_and_tell(Error::Locked { root: "/x".into(), pid: None });
    assert_eq!(queue.max(), QueueOffset(20));
    assert_eq!(queue.read_from(QueueOffset(0)).map(Result::unwrap).count(), 20);
    let error = queue.record_at(QueueOffset(20)).unwrap_err();
    assert!(matches!(error, Error::OutOfRange { asked: 20, first: 0, next: 20 }), "{error}");
}
