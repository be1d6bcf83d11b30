//! Finding by key: newest first, by time, after every kind of end, and never a record that does not carry the key.

use std::time::Duration;

use sawlog::clock::Timestamp;
use sawlog::flush::AsyncFlush;
use sawlog::message::{SysFlags, Transaction};
use sawlog::{Error, Find, Level, LogOffset, Message, Store};

use crate::world::*;

const NONE: [&str; 0] = [];

fn append(store: &Store, message: &Message) {
    store.append(message).unwrap().forget();
}

fn bodies_of(found: Find) -> Vec<String> {
    found.map(|record| String::from_utf8(record.unwrap().body().to_vec()).unwrap()).collect()
}

fn found(store: &Store, key: &str) -> Vec<String> {
    bodies_of(store.find("orders", key))
}

/// Three keys that every message has in turn, over several index files.
fn with_keys(store: &Store, from: u64, to: u64) {
    for n in from..to {
        append(store, &numbered(n).key(&format!("key-{}", n % 3)).unique_key(&format!("id-{n}")));
    }
    settle(store);
}

fn every_third(from: u64, below: u64) -> Vec<String> {
    (0..below).rev().filter(|n| n % 3 == from).map(|n| format!("{n:08}")).collect()
}

fn holds(store: &Store, below: u64) {
    for key in 0..3 {
        let all = store.find("orders", &format!("key-{key}")).at_most(u32::MAX);
        assert_eq!(bodies_of(all), every_third(key, below));
    }
    for n in (0..below).step_by(17) {
        assert_eq!(found(store, &format!("id-{n}")), [format!("{n:08}")]);
    }
    assert_eq!(found(store, &format!("id-{below}")), NONE);
}

#[test]
fn keys_are_found_newest_first_at_once_and_after_every_kind_of_end() {
    let world = World::new();
    let store = world.asynchronous();
    with_keys(&store, 0, 400);
    holds(&store, 400);
    store.flush().unwrap();
    settle(&store);
    holds(&store, 400);
    let killed = World { disk: world.disk.kill(), clock: world.clock.clone() };
    holds(&killed.asynchronous(), 400);
    store.close().unwrap();
    let store = world.sync();
    holds(&store, 400);
    with_keys(&store, 400, 600);
    store.flush().unwrap();
    settle(&store);
    holds(&store, 600);
}

#[test]
fn at_most_64_records_are_found_unless_more_are_asked_for() {
    let world = World::new();
    let store = world.asynchronous();
    (0..80).for_each(|n| append(&store, &numbered(n).key("k")));
    settle(&store);
    assert_eq!(found(&store, "k").len(), 64, "as with RocketMQ (maxMsgsNumBatch)");
    assert_eq!(bodies_of(store.find("orders", "k").at_most(2)), ["00000079", "00000078"]);
    assert_eq!(bodies_of(store.find("orders", "k").at_most(100)).len(), 80);
    assert_eq!(bodies_of(store.find("orders", "k").at_most(0)), NONE);
}

#[test]
fn a_message_is_found_by_each_of_its_keys_and_once() {
    let world = World::new();
    let store = world.asynchronous();
    append(&store, &numbered(1).key("a").key("b").key("a").unique_key("a"));
    append(&store, &numbered(2).property("KEYS", "b  c ").unique_key("with space"));
    settle(&store);
    assert_eq!(found(&store, "a"), ["00000001"]);
    assert_eq!(found(&store, "b"), ["00000002", "00000001"]);
    assert_eq!(found(&store, "c"), ["00000002"]);
    assert_eq!(found(&store, "with space"), ["00000002"]);
    for nothing in ["", " ", "b  c ", "b  c", "with", "d"] {
        assert_eq!(found(&store, nothing), NONE, "{nothing:?}");
    }
}

#[test]
fn colliding_keys_and_topics_are_told_apart() {
    let world = World::new();
    let store = world.asynchronous();
    for (topic, key) in [("orders", "Aa"), ("orders", "BB"), ("AaAa", "k"), ("BBBB", "k"), ("AaBB", "k")] {
        append(&store, &Message::new(topic, format!("{topic} {key}")).key(key));
    }
    append(&store, &Message::new("T", "no absolute value").key("jllgvmc"));
    settle(&store);
    assert_eq!(found(&store, "Aa"), ["orders Aa"]);
    assert_eq!(found(&store, "BB"), ["orders BB"]);
    for topic in ["AaAa", "BBBB", "AaBB"] {
        assert_eq!(bodies_of(store.find(topic, "k")), [format!("{topic} k")]);
    }
    assert_eq!(bodies_of(store.find("BBAa", "k")), NONE);
    assert_eq!(bodies_of(store.find("T", "jllgvmc")), ["no absolute value"], "spec H29");
}

#[test]
fn a_range_of_store_times_holds_to_the_millisecond() {
    let world = World::new();
    let store = world.asynchronous();
    for n in 0..20 {
        append(&store, &numbered(n).key("k"));
        world.clock.turn(Duration::from_millis(700));
    }
    settle(&store);
    let at = |n: i64| Timestamp(START.0 + n * 700);
    let between = |a: Timestamp, b: Timestamp| bodies_of(store.find("orders", "k").between(a..=b));
    assert_eq!(between(at(3), at(5)), ["00000005", "00000004", "00000003"]);
    assert_eq!(between(Timestamp(at(3).0 + 1), Timestamp(at(5).0 - 1)), ["00000004"]);
    assert_eq!(between(at(7), at(7)), ["00000007"], "less than a second, which RocketMQ may miss (H35)");
    assert_eq!(between(at(20), at(99)), NONE);
    assert_eq!(between(at(5), at(3)), NONE);
}

#[test]
fn half_messages_are_found_and_rolled_back_ones_are_not() {
    let world = World::new();
    let store = world.asynchronous();
    for transaction in [Transaction::Prepared, Transaction::Rollback, Transaction::Commit, Transaction::None]
    {
        let flags = SysFlags::default().with_transaction(transaction);
        append(&store, &Message::new("orders", format!("{transaction:?}")).key("k").sys_flags(flags));
    }
    settle(&store);
    assert_eq!(found(&store, "k"), ["None", "Commit", "Prepared"]);
}

#[test]
fn nothing_is_found_that_readers_do_not_see_yet() {
    let world = World::new();
    let options = world.options(AsyncFlush::default()).readers_see(Level::Flushed);
    let store = Store::open("/store", options).unwrap();
    append(&store, &numbered(0).key("k"));
    settle(&store);
    assert_eq!(found(&store, "k"), NONE);
    store.flush().unwrap();
    settle(&store);
    assert_eq!(found(&store, "k"), ["00000000"]);
}

#[test]
fn a_damaged_record_hides_no_other_one() {
    let world = World::new();
    let store = world.asynchronous();
    (0..3).for_each(|n| append(&store, &numbered(n).key("k")));
    store.flush().unwrap();
    settle(&store);
    let bad = all(&store)[1].position.offset;
    world.disk.flip("/store/commitlog/00000000000000000000", (bad.0 + 88) * 8).unwrap();
    let found: Vec<_> = store.find("orders", "k").collect();
    assert_eq!(found.len(), 3);
    assert_eq!(found[0].as_ref().unwrap().body(), "00000002");
    assert!(matches!(&found[1], Err(Error::Corrupt(place)) if place.at == bad));
    assert_eq!(found[2].as_ref().unwrap().body(), "00000000");
}

#[test]
fn records_that_retention_removed_are_found_no_more() {
    let world = World::new();
    let store = world.asynchronous();
    with_keys(&store, 0, 900);
    assert_eq!(store.remove_before(LogOffset(SEGMENT)).unwrap().segments, 1);
    let first = all(&store)[0].queue_offset.0;
    assert!(first > 0);
    let found = bodies_of(store.find("orders", "key-1").at_most(1000));
    let expected: Vec<_> = (first..900).rev().filter(|n| n % 3 == 1).map(|n| format!("{n:08}")).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_switched_off_index_refuses_and_is_whole_once_switched_on() {
    let world = World::new();
    let open = |on: bool| Store::open("/store", world.options(AsyncFlush::default()).key_index(on)).unwrap();
    let store = open(false);
    with_keys(&store, 0, 50);
    let mut refused = store.find("orders", "key-1");
    assert!(matches!(refused.next(), Some(Err(Error::InvalidOptions(why))) if why.contains("switched off")));
    assert!(refused.next().is_none());
    store.close().unwrap();
    let store = open(true);
    holds(&store, 50);
    with_keys(&store, 50, 60);
    store.close().unwrap();
    let store = open(false);
    with_keys(&store, 60, 70);
    store.close().unwrap();
    holds(&open(true), 70);
}
