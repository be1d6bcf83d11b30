//! Finding by key.

use super::*;

const NONE: [u64; 0] = [];

fn places(found: crate::store::reader::Find) -> Vec<u64> {
    found.map(|record| record.unwrap().queue_offset.0).collect()
}

#[test]
fn keys_are_found_newest_first_over_all_index_files() {
    let world = World::new();
    for n in 0..200 {
        world.append(&Message::new("t", "x").key(&format!("k{}", n % 10)).unique_key(&format!("u{n}")));
    }
    world.derive();
    let expected: Vec<u64> = (0..20).rev().map(|n| n * 10 + 3).collect();
    assert_eq!(places(world.sources.find("t", "k3")), expected);
    assert_eq!(places(world.sources.find("t", "u77")), [77]);
    assert_eq!(places(world.sources.find("t", "k3").at_most(2)), [193, 183]);
    assert_eq!(places(world.sources.find("t", "k3").at_most(0)), NONE);
    assert_eq!(places(world.sources.find("other", "k3")), NONE);
    assert_eq!(places(world.sources.find("t", "none")), NONE);
    assert_eq!(places(world.sources.find("t", "")), NONE);
}

#[test]
fn the_default_limit_is_that_of_rocketmq() {
    let world = World::new();
    for _ in 0..70 {
        world.append(&Message::new("t", "x").key("k"));
    }
    world.derive();
    assert_eq!(places(world.sources.find("t", "k")).len(), 64);
    assert_eq!(places(world.sources.find("t", "k").at_most(1000)).len(), 70);
}

#[test]
fn colliding_keys_and_topics_are_told_apart() {
    let world = World::new();
    for key in ["Aa", "BB", "Aa"] {
        world.append(&Message::new("t", "x").key(key));
    }
    world.append(&Message::new("AaBB", "x").key("k"));
    world.append(&Message::new("BBAa", "x").key("k"));
    world.append(&Message::new("T", "x").key("jllgvmc"));
    world.derive();
    assert_eq!(places(world.sources.find("t", "Aa")), [2, 0]);
    assert_eq!(places(world.sources.find("t", "BB")), [1]);
    assert_eq!(world.sources.find("AaBB", "k").count(), 1);
    assert_eq!(places(world.sources.find("T", "jllgvmc")), [0], "its hash has no absolute value");
}

#[test]
fn a_record_is_found_by_each_of_its_keys_and_once_by_a_doubled_one() {
    let world = World::new();
    let message = Message::new("t", "x").property("KEYS", "a  b a").unique_key("a c");
    let record = world.append(&message);
    world.derive();
    for key in ["a", "b", "a c"] {
        assert_eq!(places(world.sources.find("t", key)), [0], "{key:?}");
    }
    assert_eq!(places(world.sources.find("t", "a  b a")), NONE, "the whole text is no key");
    // As after a crash of RocketMQ (H10): the same record's keys again.
    let keys = world.keys();
    keys.put(record.position.offset, record.stored, record.stored, "t", ["a", "b"].into_iter());
    assert_eq!(places(world.sources.find("t", "b")), [0]);
}

#[test]
fn a_range_of_times_holds_to_the_millisecond() {
    let world = World::new();
    for _ in 0..10 {
        world.append(&Message::new("t", "x").key("k"));
        world.clock.turn(std::time::Duration::from_millis(1));
    }
    world.derive();
    let between = |a: i64, b: i64| {
        places(world.sources.find("t", "k").between(Timestamp(1_000_000 + a)..=Timestamp(1_000_000 + b)))
    };
    assert_eq!(between(3, 5), [5, 4, 3]);
    assert_eq!(between(9, 99_999), [9]);
    assert_eq!(between(-5, -1), NONE);
    assert_eq!(between(5, 4), NONE);
}

#[test]
fn index_entries_that_point_at_no_record_are_passed_over() {
    let world = World::new();
    let kept = world.append(&Message::new("t", "x").key("k"));
    world.append(&Message::new("t", "y").key("k"));
    world.derive();
    let keys = world.keys();
    let end = world.store.marks().visible;
    for lie in [end, end.plus(1 << 30)] {
        keys.put(lie, kept.stored, kept.stored, "t", ["k"].into_iter());
    }
    assert_eq!(places(world.sources.find("t", "k")), [1, 0]);
    // In the middle of a record, and at one that does not carry the key.
    let other = world.append(&Message::new("t", "z"));
    let fresh = derived_in("/fresh", &world.disk, &world.store, PER_FILE);
    let fresh = follow(&world.store, fresh.dispatcher.derived(), world.store.marks().visible);
    let keys = fresh.dispatcher.derived().keys.as_ref().unwrap();
    for at in [kept.position.offset, kept.position.offset.plus(10), other.position.offset] {
        keys.put(at, kept.stored, kept.stored, "t", ["k"].into_iter());
    }
    assert_eq!(places(fresh.find("t", "k")), [0]);
}

#[test]
fn a_damaged_record_is_an_error_of_its_own() {
    let world = World::new();
    let records: Vec<_> = (0..3).map(|_| world.append(&Message::new("t", "text").key("k"))).collect();
    world.derive();
    world.damage(&records[1]);
    let found: Vec<_> = world.sources.find("t", "k").collect();
    assert_eq!(found.len(), 3);
    assert_eq!(found[0].as_ref().unwrap().queue_offset, QueueOffset(2));
    match &found[1] {
        Err(Error::Corrupt(place)) => assert_eq!(place.at, records[1].position.offset),
        other => panic!("{other:?}"),
    }
    assert_eq!(found[2].as_ref().unwrap().queue_offset, QueueOffset(0));
}

#[test]
fn records_that_retention_removed_are_found_no_more() {
    let mut world = World::new();
    for _ in 0..600 {
        world.append(&Message::new("t", "x").key("k"));
    }
    world.derive();
    world.lose_first_segment();
    let first = world.queue().min().unwrap();
    let found = places(world.sources.find("t", "k").at_most(1000));
    assert_eq!(found, (first.0..600).rev().collect::<Vec<_>>());
}

#[test]
fn without_an_index_finding_is_refused() {
    let disk = SimDisk::new();
    let options = Options::new().disk(disk).segment_bytes(SEGMENT).key_index(false).by_hand();
    let store = Store::open("/store", options).unwrap();
    let mut found = store.find("t", "k");
    assert!(matches!(found.next(), Some(Err(Error::InvalidOptions(why))) if why.contains("switched off")));
    assert!(found.next().is_none());
}
