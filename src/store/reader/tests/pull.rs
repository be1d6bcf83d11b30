//! Pulls: limits, statuses, filters, and what a pull does with entries that cannot be read.

use super::*;
use crate::message::java_hash;
use crate::store::reader::{Batch, Fetch, Filter, Status};

fn from(at: u64) -> Fetch {
    Fetch::from(QueueOffset(at))
}

fn fetch(world: &World, wanted: &Fetch) -> Batch {
    let batch = world.queue().fetch(wanted).unwrap();
    let raw = world.queue().raw(wanted).unwrap();
    let (min, max) = (batch.min, batch.max);
    assert_eq!(
        (raw.status, raw.next, raw.min, raw.max, raw.bytes, raw.scanned, raw.count as usize),
        (batch.status, batch.next, min, max, batch.bytes, batch.scanned, batch.records.len()),
        "raw and decoded pulls answer the same"
    );
    let bytes = raw.pieces.iter().flat_map(|piece| piece.bytes.to_vec()).collect::<Vec<_>>();
    let mut expected = Vec::new();
    for record in &batch.records {
        let Record { position, .. } = record;
        expected.extend(world.store.raw(position.offset, position.len.into()).unwrap().bytes);
    }
    assert!(bytes == expected, "the pieces are the records");
    batch
}

#[test]
fn a_pull_ends_at_its_limits_and_tells_where_to_go_on() {
    let world = World::new();
    world.fill(9);
    let len = u64::from(world.queue().record_at(QueueOffset(0)).unwrap().position.len);
    let ask = |wanted: Fetch| {
        let batch = fetch(&world, &wanted);
        assert_eq!(batch.status, Status::Found);
        (offsets(&batch.records), batch.next.0)
    };
    assert_eq!(ask(from(2).max_count(3)), (vec![2, 3, 4], 5));
    assert_eq!(ask(from(2).max_count(0)), (vec![2], 3), "one is always given");
    assert_eq!(ask(from(2).max_bytes(2 * len)), (vec![2, 3], 4));
    assert_eq!(ask(from(2).max_bytes(2 * len - 1)), (vec![2], 3));
    assert_eq!(ask(from(2).max_bytes(0)), (vec![2], 3));
    assert_eq!(ask(from(2).max_scanned(4)), (vec![2, 3, 4, 5], 6));
    assert_eq!(ask(from(2).max_scanned(0)), (vec![2], 3));
    assert_eq!(ask(from(2)), ((2..9).collect(), 9));
}

#[test]
fn a_pull_reads_one_queue_file_as_rocketmq_does() {
    let world = World::new();
    world.fill(25);
    let batch = fetch(&world, &from(7));
    assert_eq!((offsets(&batch.records), batch.next), (vec![7, 8, 9], QueueOffset(10)));
    assert_eq!((batch.min, batch.max, batch.scanned), (QueueOffset(0), QueueOffset(25), 3));
    let batch = fetch(&world, &from(10));
    assert_eq!(offsets(&batch.records), (10..20).collect::<Vec<_>>());
}

#[test]
fn many_messages_are_wanted_and_given_from_a_long_file() {
    let world = World::with_files_of(5000);
    world.fill(3000);
    let all = fetch(&world, &from(1).max_count(u32::MAX).max_bytes(u64::MAX));
    assert_eq!((all.records.len(), all.next), (2999, QueueOffset(3000)));
    let nothing = fetch(&world, &from(1).filter(Filter::tags(["x"])));
    assert_eq!((nothing.status, nothing.scanned, nothing.next.0), (Status::NoMatch, 800, 801));
    let nothing = fetch(&world, &from(1).max_scanned(2500).filter(Filter::tags(["x"])));
    assert_eq!((nothing.scanned, nothing.next.0), (2500, 2501));
}

#[test]
fn every_offset_outside_is_answered_with_its_status() {
    let mut world = World::new();
    world.fill(1000);
    let ask = |world: &World, wanted: &Fetch| {
        let batch = fetch(world, wanted);
        assert!(batch.records.is_empty() && batch.scanned == 0);
        (batch.status, batch.next.0)
    };
    assert_eq!(ask(&world, &Fetch::from_signed(-1)), (Status::BeforeStart, 0));
    assert_eq!(ask(&world, &from(1000)), (Status::AtEnd, 1000));
    assert_eq!(ask(&world, &from(1001)), (Status::BeyondEnd, 1000));
    world.lose_first_segment();
    let min = world.queue().min().unwrap().0;
    assert_eq!(ask(&world, &from(min - 1)), (Status::BeforeStart, min));
    world.sources = derived_in("/empty", &world.disk, &world.store, PER_FILE);
    assert_eq!(ask(&world, &from(5)), (Status::Empty, 0));
}

#[test]
fn entries_without_a_message_are_removed_ones_and_hide_no_later_message() {
    let world = World::new();
    world.fill(3);
    // Three numbers of the log's count were never given a message.
    let lost: Vec<_> = (0..3).map(|_| world.append(&Message::new("t", "lost"))).collect();
    let kept = world.append(&Message::new("t", "kept"));
    assert_eq!((lost[0].queue_offset.0, kept.queue_offset.0), (3, 6));
    assert_eq!(world.queues().put("t", 0, kept.queue_offset, entry(&kept)), Put::Gap(3));
    world.show();
    let batch = fetch(&world, &from(1));
    assert_eq!((batch.status, offsets(&batch.records)), (Status::Found, vec![1, 2, 6]));
    let batch = fetch(&world, &from(3).max_scanned(2));
    assert_eq!((batch.status, batch.next.0, batch.scanned), (Status::Removed, 5, 2));
    let batch = fetch(&world, &from(3));
    assert_eq!((batch.status, offsets(&batch.records)), (Status::Found, vec![6]));
}

#[test]
fn a_damaged_record_ends_a_pull_and_is_told_by_the_next_one() {
    let world = World::new();
    world.fill(8);
    let bad = world.queue().record_at(QueueOffset(4)).unwrap();
    world.damage(&bad);
    let queue = world.queue();
    let batch = queue.fetch(&from(2)).unwrap();
    assert_eq!((batch.status, offsets(&batch.records), batch.next.0), (Status::Found, vec![2, 3], 4));
    match queue.fetch(&from(4)).unwrap_err() {
        Error::Corrupt(place) => assert_eq!(place.at, bad.position.offset),
        other => panic!("{other}"),
    }
    let batch = queue.fetch(&from(5)).unwrap();
    assert_eq!(offsets(&batch.records), [5, 6, 7], "it hides nothing behind it (H16)");
    // Looked at and not wanted: the answer stands before the damage, too.
    let none = from(2).filter(Filter::by(|_| false));
    let batch = queue.fetch(&none).unwrap();
    assert_eq!((batch.status, batch.next.0), (Status::NoMatch, 4));
    // Raw bytes are told by their heads; the body is for the client to verify.
    assert_eq!(queue.raw(&from(2)).unwrap().count, 6);
}

#[test]
fn an_entry_that_lies_is_told_by_raw_pulls_too() {
    let world = World::new();
    world.fill(8);
    let queue = world.queue();
    world.forge(4, entry(&queue.record_at(QueueOffset(5)).unwrap()));
    for filter in [Filter::all(), Filter::by(|_| true)] {
        let wanted = |at| from(at).filter(filter.clone());
        assert_eq!(fetch(&world, &wanted(2)).next.0, 4);
        assert!(is_wrong_entry(&queue.fetch(&wanted(4)).unwrap_err(), 4));
        assert!(is_wrong_entry(&queue.raw(&wanted(4)).unwrap_err(), 4));
        assert_eq!(offsets(&fetch(&world, &wanted(5)).records), [5, 6, 7]);
    }
}

#[test]
fn neighbours_in_the_log_are_one_piece_of_raw_bytes() {
    let world = World::new();
    for n in 0..6 {
        world.append(&Message::new("t", format!("{n}")));
        if n == 3 {
            world.append(&Message::new("other", "between"));
        }
    }
    world.derive();
    let raw = world.queue().raw(&from(1)).unwrap();
    assert_eq!((raw.pieces.len(), raw.count), (2, 5));
    let (first, second) = (&raw.pieces[0], &raw.pieces[1]);
    assert_eq!((first.bytes.len() + second.bytes.len()) as u64, raw.bytes);
    let at = world.queue().record_at(QueueOffset(4)).unwrap().position.offset;
    assert_eq!((second.offset, second.file_offset), (at, at.0));
    assert_eq!(second.path, Path::new("/store/commitlog/00000000000000000000"));
}

#[test]
fn pieces_do_not_cross_segments() {
    let world = World::new();
    world.fill(1000);
    let ends = |at: u64| world.queue().record_at(QueueOffset(at)).unwrap().position;
    let rolls = (1..1000).find(|at| ends(*at).offset.0 / SEGMENT > ends(at - 1).offset.0 / SEGMENT).unwrap();
    let first = rolls / 10 * 10;
    let raw = world.queue().raw(&from(first)).unwrap();
    assert!(raw.pieces.len() <= 2 && raw.count == 10);
    for piece in &raw.pieces {
        let last = piece.offset.0 + piece.bytes.len() as u64 - 1;
        assert_eq!(piece.offset.0 / SEGMENT, last / SEGMENT);
    }
}

#[test]
fn filters_pass_over_what_is_not_wanted() {
    let world = World::new();
    for tag in ["a", "b", "Aa", "BB", "", "a"] {
        world.append(&Message::new("t", tag.to_owned()).tag(tag));
    }
    world.derive();
    let ask = |filter: Filter| {
        let batch = fetch(&world, &from(0).filter(filter));
        assert_eq!((batch.next.0, batch.scanned), (6, 6));
        (batch.status, offsets(&batch.records))
    };
    assert_eq!(ask(Filter::tags(["a"])), (Status::Found, vec![0, 5]));
    assert_eq!(ask(Filter::expression("b || Aa").unwrap()), (Status::Found, vec![1, 2]));
    assert_eq!(ask(Filter::expression("*").unwrap()), (Status::Found, (0..6).collect()));
    assert_eq!(ask(Filter::tag_hashes([java_hash("Aa")])), (Status::Found, vec![2, 3]));
    assert_eq!(ask(Filter::tag_hashes([0])), (Status::Found, vec![4]));
    assert_eq!(ask(Filter::tags(["none"])), (Status::NoMatch, vec![]));
    let long = Filter::by(|record| record.body().len() == 2);
    assert_eq!(ask(long), (Status::Found, vec![2, 3]));
    assert_eq!(ask(Filter::tags(["a"]).and(|r| r.queue_offset.0 > 0)), (Status::Found, vec![5]));
}

#[test]
fn a_long_message_ends_a_batch_even_if_nobody_wants_it() {
    let world = World::new();
    for (tag, bytes) in [("a", 10), ("b", 5000), ("a", 10)] {
        world.append(&Message::new("t", vec![0; bytes]).tag(tag));
    }
    world.derive();
    let wanted = |at| from(at).max_bytes(1000).filter(Filter::tags(["a"]));
    let batch = fetch(&world, &wanted(0));
    assert_eq!((offsets(&batch.records), batch.next.0), (vec![0], 1), "as RocketMQ (spec 11.1)");
    let batch = fetch(&world, &wanted(1));
    assert_eq!((offsets(&batch.records), batch.next.0), (vec![2], 3));
}
