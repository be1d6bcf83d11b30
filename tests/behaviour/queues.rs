//! Queues: read in order, by pull and by time; what is queued and what is not; topics listed and dropped.

use std::time::Duration;

use sawlog::clock::Timestamp;
use sawlog::flush::AsyncFlush;
use sawlog::message::{SysFlags, Transaction, java_hash};
use sawlog::{Bound, Error, Fetch, Filter, Level, LogOffset, Message, Queue, QueueOffset, Status, Store};

use crate::world::*;

/// Entries in a queue's file in this world.
const PER_FILE: u64 = 32;

fn append(store: &Store, message: &Message) {
    store.append(message).unwrap().forget();
}

/// The queue offset that the message is given.
fn numbered_as(store: &Store, message: &Message) -> u64 {
    store.append(message).unwrap().queue_offset().0
}

fn fill(store: &Store, from: u64, to: u64) {
    (from..to).for_each(|n| append(store, &numbered(n)));
    settle(store);
}

fn offsets(queue: &Queue, from: u64) -> Vec<u64> {
    queue.read_from(QueueOffset(from)).map(|record| record.unwrap().queue_offset.0).collect()
}

/// Status, queue offsets of the messages, and where to go on.
fn pull(queue: &Queue, wanted: &Fetch) -> (Status, Vec<u64>, u64) {
    let batch = queue.fetch(wanted).unwrap();
    let raw = queue.raw(wanted).unwrap();
    assert_eq!(
        (raw.status, raw.count as usize, raw.next, raw.bytes, raw.scanned),
        (batch.status, batch.records.len(), batch.next, batch.bytes, batch.scanned)
    );
    let pieces: usize = raw.pieces.iter().map(|piece| piece.bytes.len()).sum();
    assert_eq!(pieces as u64, batch.bytes);
    (batch.status, batch.records.iter().map(|r| r.queue_offset.0).collect(), batch.next.0)
}

fn from(at: u64) -> Fetch {
    Fetch::from(QueueOffset(at))
}

#[test]
fn messages_are_read_in_order_from_any_offset() {
    let world = World::new();
    let store = world.asynchronous();
    for n in 0..100 {
        append(&store, &numbered(n).queue(n as u32 % 2));
    }
    settle(&store);
    for id in 0..2 {
        let queue = store.queue("orders", id);
        assert_eq!((queue.topic(), queue.id()), ("orders", id));
        assert_eq!((queue.min().unwrap(), queue.max()), (QueueOffset(0), QueueOffset(50)));
        for start in [0, 1, 31, 32, 49, 50] {
            assert_eq!(offsets(&queue, start), (start..50).collect::<Vec<_>>());
        }
        let bodies = queue.read_from(QueueOffset(40)).map(|r| r.unwrap().body().clone());
        let expected = (40..50).map(|n| format!("{:08}", 2 * n + u64::from(id)));
        assert!(bodies.map(|b| String::from_utf8(b.to_vec()).unwrap()).eq(expected));
    }
}

#[test]
fn a_reader_goes_on_after_news_and_over_a_close() {
    let world = World::new();
    let store = world.asynchronous();
    let mut records = store.queue("orders", 0).read_from(QueueOffset(0));
    assert!(records.next().is_none());
    for round in 0..10_u64 {
        fill(&store, round * 10, round * 10 + 10);
        let read: Vec<_> = records.by_ref().map(|r| r.unwrap().queue_offset.0).collect();
        assert_eq!(read, (round * 10..round * 10 + 10).collect::<Vec<_>>());
    }
    let queue = store.queue("orders", 0);
    store.close().unwrap();
    assert_eq!(offsets(&queue, 0).len(), 100, "a closed store can still be read");
    let store = world.sync();
    assert_eq!(offsets(&store.queue("orders", 0), 0).len(), 100);
    assert_eq!(numbered_as(&store, &numbered(100)), 100);
}

#[test]
fn every_offset_outside_of_a_queue_is_told_with_the_range_there_is() {
    let world = World::new();
    let store = world.asynchronous();
    fill(&store, 0, 5);
    let queue = store.queue("orders", 0);
    let out = |asked| move |error: &Error| matches!(error, Error::OutOfRange { asked: a, first: 0, next: 5 } if *a == asked);
    let mut records = queue.read_from(QueueOffset(6));
    assert!(out(6)(&records.next().unwrap().unwrap_err()));
    assert!(out(6)(&records.next().unwrap().unwrap_err()), "it stays");
    assert!(out(5)(&queue.record_at(QueueOffset(5)).unwrap_err()));
    assert!(out(u64::MAX)(&queue.record_at(QueueOffset(u64::MAX)).unwrap_err()));
    assert_eq!(queue.record_at(QueueOffset(4)).unwrap().body(), "00000004");
    assert_eq!(offsets(&queue, 5), [0_u64; 0]);
}

#[test]
fn a_queue_that_never_was_is_empty_and_leaves_no_trace() {
    let world = World::new();
    let store = world.asynchronous();
    for (topic, id) in [("orders", 0), ("", 0), ("..", 1), ("a/b", u32::MAX)] {
        let queue = store.queue(topic, id);
        assert_eq!((queue.min().unwrap(), queue.max()), (QueueOffset(0), QueueOffset(0)));
        assert_eq!(offsets(&queue, 0), [0_u64; 0]);
        assert_eq!(pull(&queue, &from(7)), (Status::Empty, vec![], 0));
        assert!(!queue.wait(QueueOffset(0)).wait_timeout(Duration::ZERO).unwrap());
    }
    settle(&store);
    assert_eq!(store.topics(), [""; 0]);
    assert!(!world.has("consumequeue/orders"));
}

#[test]
fn each_status_of_a_pull_is_told_with_where_to_go_on() {
    let world = World::new();
    let store = world.asynchronous();
    let queue = store.queue("orders", 0);
    assert_eq!(pull(&queue, &from(0)), (Status::Empty, vec![], 0));
    fill(&store, 0, 40);
    let all = |from: u64, to: u64| (from..to).collect::<Vec<_>>();
    assert_eq!(pull(&queue, &from(0)), (Status::Found, all(0, PER_FILE), PER_FILE));
    assert_eq!(pull(&queue, &from(PER_FILE)), (Status::Found, all(PER_FILE, 40), 40));
    assert_eq!(pull(&queue, &from(40)), (Status::AtEnd, vec![], 40));
    assert_eq!(pull(&queue, &from(41)), (Status::BeyondEnd, vec![], 40));
    assert_eq!(pull(&queue, &from(u64::MAX)), (Status::BeyondEnd, vec![], 40));
    assert_eq!(pull(&queue, &Fetch::from_signed(-1)), (Status::BeforeStart, vec![], 0));
    assert_eq!(pull(&queue, &Fetch::from_signed(i64::MIN)), (Status::BeforeStart, vec![], 0));
    let none = from(30).filter(Filter::tags(["x"]));
    assert_eq!(pull(&queue, &none), (Status::NoMatch, vec![], PER_FILE), "one file a pull, as RocketMQ");
}

#[test]
fn a_pull_keeps_its_limits() {
    let world = World::new();
    let store = world.asynchronous();
    fill(&store, 0, 30);
    let queue = store.queue("orders", 0);
    let len = u64::from(queue.record_at(QueueOffset(0)).unwrap().position.len);
    for (wanted, count) in [
        (from(3).max_count(5), 5),
        (from(3).max_count(0), 1),
        (from(3).max_bytes(4 * len), 4),
        (from(3).max_bytes(4 * len - 1), 3),
        (from(3).max_bytes(1), 1),
        (from(3).max_scanned(6), 6),
    ] {
        let (status, found, next) = pull(&queue, &wanted);
        assert_eq!((status, found.len() as u64, next), (Status::Found, count, 3 + count), "{wanted:?}");
        assert_eq!(queue.fetch(&wanted).unwrap().bytes, count * len);
    }
    let batch = queue.fetch(&from(3)).unwrap();
    assert_eq!((batch.min, batch.max), (QueueOffset(0), QueueOffset(30)));
}

#[test]
fn pulls_one_after_the_other_meet_every_message_once() {
    let world = World::new();
    let store = world.asynchronous();
    for n in 0..200 {
        append(&store, &numbered(n).tag(if n % 3 == 0 { "third" } else { "other" }));
    }
    settle(&store);
    let queue = store.queue("orders", 0);
    for (filter, expected) in
        [(Filter::all(), 200), (Filter::tags(["third"]), 67), (Filter::tags(["none"]), 0)]
    {
        let (mut at, mut seen) = (0, Vec::new());
        loop {
            let (status, found, next) = pull(&queue, &from(at).max_count(7).filter(filter.clone()));
            seen.extend(found);
            if status == Status::AtEnd {
                break;
            }
            assert!(next > at && matches!(status, Status::Found | Status::NoMatch), "{status:?}");
            at = next;
        }
        assert_eq!(seen.len(), expected);
        assert!(seen.is_sorted_by(|a, b| a < b));
    }
}

#[test]
fn filters_choose_by_tag_and_by_the_users_own_rule() {
    let world = World::new();
    let store = world.asynchronous();
    // `Aa` and `BB` have one hash.
    for tag in ["paid", "Aa", "", "BB", "标签😀"] {
        append(&store, &Message::new("orders", tag.to_owned()).tag(tag));
    }
    settle(&store);
    let queue = store.queue("orders", 0);
    let ask = |filter: Filter| pull(&queue, &from(0).filter(filter)).1;
    assert_eq!(ask(Filter::tags(["paid", "BB"])), [0, 3]);
    assert_eq!(ask(Filter::expression(" Aa || paid ").unwrap()), [0, 1]);
    assert_eq!(ask(Filter::expression("*").unwrap()), [0, 1, 2, 3, 4]);
    assert_eq!(ask(Filter::tags(["标签😀"])), [4]);
    assert_eq!(ask(Filter::tag_hashes([java_hash("BB")])), [1, 3], "as a broker, which sees hashes only");
    assert_eq!(ask(Filter::by(|record| record.message.tags().is_none())), [2]);
    assert_eq!(ask(Filter::tag_hashes([java_hash("BB")]).and(|r| r.queue_offset.0 > 1)), [3]);
    assert!(matches!(Filter::expression("||"), Err(Error::InvalidOptions(_))));
}

#[test]
fn raw_pieces_are_the_stored_bytes_where_they_lie() {
    let world = World::new();
    let store = world.asynchronous();
    for n in 0..20 {
        append(&store, &numbered(n).queue(if n < 10 { 0 } else { n as u32 % 2 }));
    }
    settle(&store);
    let raw = store.queue("orders", 0).raw(&from(0)).unwrap();
    assert_eq!((raw.count, raw.pieces.len()), (15, 5), "ten neighbours and one, then four with gaps between");
    for piece in &raw.pieces {
        let file = world.disk.read_file(&piece.path).unwrap();
        let at = piece.file_offset as usize;
        assert!(file[at..at + piece.bytes.len()] == piece.bytes[..]);
        assert_eq!(store.record_at(piece.offset).unwrap().queue_id(), 0);
    }
}

#[test]
fn readers_see_what_was_promised_and_no_more() {
    let world = World::new();
    let options = world.options(AsyncFlush::default()).readers_see(Level::Flushed);
    let store = Store::open("/store", options).unwrap();
    let queue = store.queue("orders", 0);
    append(&store, &numbered(0));
    settle(&store);
    assert_eq!(queue.max(), QueueOffset(0), "written, and not flushed");
    assert_eq!(pull(&queue, &from(0)).0, Status::Empty);
    store.flush().unwrap();
    settle(&store);
    assert_eq!(offsets(&queue, 0), [0]);
    drop(store);

    let world = World::new();
    let store = world.asynchronous();
    append(&store, &numbered(0));
    settle(&store);
    assert!(store.marks().flushed < store.marks().visible);
    assert_eq!(offsets(&store.queue("orders", 0), 0), [0], "written is what was promised");
}

#[test]
fn a_batch_shows_in_its_queues_as_a_whole() {
    let world = World::new();
    let store = world.sync();
    let batch: Vec<_> = (0..9).map(|n| numbered(n).queue(n as u32 % 3)).collect();
    let ack = store.append_batch(&batch).unwrap();
    settle(&store);
    ack.wait().unwrap();
    settle(&store);
    for id in 0..3 {
        assert_eq!(offsets(&store.queue("orders", id), 0), [0, 1, 2]);
    }
    assert_eq!(store.queues_of("orders"), [0, 1, 2]);
}

#[test]
fn prepared_and_rolled_back_messages_are_not_queued() {
    let world = World::new();
    let store = world.asynchronous();
    let with = |transaction| SysFlags::default().with_transaction(transaction);
    for transaction in [
        Transaction::Prepared,
        Transaction::None,
        Transaction::Rollback,
        Transaction::Commit,
        Transaction::Prepared,
    ] {
        append(&store, &Message::new("orders", format!("{transaction:?}")).sys_flags(with(transaction)));
    }
    settle(&store);
    let read: Vec<_> = store.queue("orders", 0).read_from(QueueOffset(0)).map(Result::unwrap).collect();
    assert_eq!(read.iter().map(|r| r.body().clone()).collect::<Vec<_>>(), ["None", "Commit"]);
    assert_eq!(all(&store).len(), 5, "the log has all of them");
}

#[test]
fn in_the_delay_topic_the_tag_field_tells_when_to_deliver() {
    let world = World::new();
    let store = world.asynchronous();
    let delayed =
        |level: &str| Message::new("SCHEDULE_TOPIC_XXXX", "x").queue(2).tag("paid").property("DELAY", level);
    for level in ["3", "0", "1000"] {
        append(&store, &delayed(level));
    }
    settle(&store);
    let queue = store.queue("SCHEDULE_TOPIC_XXXX", 2);
    let low = |time: i64| time as i32;
    let ask = |hash: i32| pull(&queue, &from(0).filter(Filter::tag_hashes([hash]))).1;
    assert_eq!(ask(low(START.0 + 10_000)), [0], "level 3 is 10 s");
    assert_eq!(ask(java_hash("paid")), [1], "level 0 waits for nothing");
    assert_eq!(ask(low(START.0 + 7_200_000)), [2], "above the highest counts as the highest, 2 h");
}

#[test]
fn a_look_up_by_time_finds_the_first_and_the_last_also_among_equals_and_over_files() {
    let world = World::new();
    let store = world.asynchronous();
    // Eight moments, each with 20 messages of one time; 32 of them in a file.
    for n in 0..160 {
        if n > 0 && n % 20 == 0 {
            world.clock.turn(Duration::from_millis(100));
        }
        append(&store, &numbered(n));
    }
    settle(&store);
    let queue = store.queue("orders", 0);
    let at = |ms: i64, bound| queue.offset_at_time(Timestamp(START.0.saturating_add(ms)), bound).unwrap().0;
    for moment in 0..8 {
        let (first, last) = (moment as u64 * 20, moment as u64 * 20 + 19);
        assert_eq!(
            (at(moment * 100, Bound::First), at(moment * 100, Bound::Last)),
            (first, last),
            "{moment}"
        );
        let between = (at(moment * 100 + 50, Bound::First), at(moment * 100 + 50, Bound::Last));
        assert_eq!(between, (last + 1, last), "{moment}");
    }
    assert_eq!((at(-1, Bound::First), at(-1, Bound::Last)), (0, 0));
    assert_eq!((at(701, Bound::First), at(701, Bound::Last)), (160, 159));
    assert_eq!((at(i64::MIN, Bound::First), at(i64::MAX, Bound::Last)), (0, 159));
}

/// A closed store whose first segment is gone, as retention leaves it.
fn shortened(records: u64) -> (World, Store) {
    let world = World::new();
    let store = world.asynchronous();
    fill(&store, 0, records);
    assert_eq!(store.remove_before(LogOffset(SEGMENT)).unwrap().segments, 1);
    (world, store)
}

#[test]
fn what_retention_removed_is_before_the_start() {
    let (_world, store) = shortened(1000);
    let queue = store.queue("orders", 0);
    let min = queue.min().unwrap().0;
    assert!(min > 0 && queue.max() == QueueOffset(1000));
    assert_eq!(offsets(&queue, min), (min..1000).collect::<Vec<_>>());
    assert_eq!(pull(&queue, &from(min - 1)), (Status::BeforeStart, vec![], min));
    assert_eq!(pull(&queue, &from(0)), (Status::BeforeStart, vec![], min));
    let error = queue.read_from(QueueOffset(0)).next().unwrap().unwrap_err();
    assert!(matches!(error, Error::OutOfRange { asked: 0, first, next: 1000 } if first == min), "{error}");
    let first = queue.offset_at_time(Timestamp(0), Bound::Last).unwrap();
    assert_eq!(first, QueueOffset(min), "clamped to what is there");
}

#[test]
fn a_queue_whose_messages_have_all_gone_keeps_its_numbering() {
    let world = World::new();
    let store = world.asynchronous();
    (0..5).for_each(|n| append(&store, &Message::new("rare", format!("{n}"))));
    fill(&store, 0, 1000);
    assert_eq!(store.remove_before(LogOffset(SEGMENT)).unwrap().segments, 1);
    store.close().unwrap();
    for _ in 0..2 {
        let store = world.asynchronous();
        let queue = store.queue("rare", 0);
        assert_eq!((queue.min().unwrap(), queue.max()), (QueueOffset(5), QueueOffset(5)));
        assert_eq!(pull(&queue, &from(4)), (Status::BeforeStart, vec![], 5));
        assert_eq!(pull(&queue, &from(5)), (Status::AtEnd, vec![], 5));
        assert_eq!(offsets(&queue, 5), [0_u64; 0]);
        assert_eq!(queue.offset_at_time(START, Bound::First).unwrap(), QueueOffset(5));
        store.close().unwrap();
    }
    let store = world.asynchronous();
    assert_eq!(numbered_as(&store, &Message::new("rare", "again")), 5);
    settle(&store);
    assert_eq!(offsets(&store.queue("rare", 0), 5), [5]);
}

#[test]
fn a_damaged_message_is_told_and_can_be_gone_around() {
    let world = World::new();
    let store = world.asynchronous();
    fill(&store, 0, 10);
    store.flush().unwrap();
    let queue = store.queue("orders", 0);
    let bad = queue.record_at(QueueOffset(4)).unwrap().position.offset;
    // The body stands behind 88 bytes (spec 2.1).
    world.disk.flip("/store/commitlog/00000000000000000000", (bad.0 + 88) * 8).unwrap();
    let is_bad = |error: Error| matches!(error, Error::Corrupt(place) if place.at == bad);
    assert!(is_bad(queue.record_at(QueueOffset(4)).unwrap_err()));
    assert!(is_bad(queue.fetch(&from(4)).unwrap_err()));
    let batch = queue.fetch(&from(2)).unwrap();
    assert_eq!((batch.records.len(), batch.next), (2, QueueOffset(4)));
    assert_eq!(offsets(&queue, 5), [5, 6, 7, 8, 9]);
    let mut records = queue.read_from(QueueOffset(3));
    assert_eq!(records.next().unwrap().unwrap().queue_offset, QueueOffset(3));
    assert!(is_bad(records.next().unwrap().unwrap_err()));
}

#[test]
fn topics_and_their_queues_are_listed() {
    let world = World::new();
    let store = world.asynchronous();
    for (topic, id) in [("b", 3), ("a", 1), ("b", 0), ("订单主题", 7)] {
        append(&store, &Message::new(topic, "x").queue(id));
    }
    settle(&store);
    for reopened in [false, true] {
        let store = if reopened {
            store.clone().close().unwrap();
            world.asynchronous()
        } else {
            store.clone()
        };
        assert_eq!(store.topics(), ["a", "b", "订单主题"]);
        assert_eq!(store.queues_of("b"), [0, 3]);
        assert_eq!(store.queues_of("c"), [0_u32; 0]);
    }
}

#[test]
fn a_dropped_topic_is_gone_for_good_and_its_numbers_are_not_given_again() {
    let world = World::new();
    let store = world.asynchronous();
    for n in 0..40 {
        append(&store, &Message::new("gone", format!("{n}")).key("k"));
        append(&store, &Message::new("kept", format!("{n}")).key("k"));
    }
    settle(&store);
    let queue = store.queue("gone", 0);
    let mut records = queue.read_from(QueueOffset(0));
    records.next().unwrap().unwrap();
    store.drop_topic("gone").unwrap();
    store.drop_topic("never was").unwrap();
    let told = records.find(Result::is_err).expect("a reader under way is told").unwrap_err();
    assert!(matches!(told, Error::OutOfRange { first: 40, next: 40, .. }), "{told}");
    assert!(!world.has("consumequeue/gone/0/00000000000000000000"));
    let after = |store: &Store| {
        let queue = store.queue("gone", 0);
        assert_eq!((queue.min().unwrap(), queue.max()), (QueueOffset(40), QueueOffset(40)));
        assert_eq!(pull(&queue, &from(0)), (Status::BeforeStart, vec![], 40));
        assert!(queue.read_from(QueueOffset(0)).next().unwrap().is_err());
        assert_eq!(store.find("gone", "k").count(), 0);
        assert_eq!(offsets(&store.queue("kept", 0), 0).len(), 40);
        assert_eq!(store.find("kept", "k").count(), 40);
    };
    after(&store);
    // Killed, then closed in order: dropped it stays.
    let killed = World { disk: world.disk.kill(), clock: world.clock.clone() };
    after(&killed.asynchronous());
    store.close().unwrap();
    let store = world.asynchronous();
    after(&store);
    assert_eq!(numbered_as(&store, &Message::new("gone", "again").key("k")), 40);
    settle(&store);
    assert_eq!(offsets(&store.queue("gone", 0), 40), [40]);
    assert_eq!(store.find("gone", "k").count(), 1);
}

#[test]
fn after_a_failure_what_is_durable_can_still_be_read() {
    use sawlog::disk::sim::{Aim, Fault, FaultKind, OpKind};
    let world = World::new();
    let store = world.asynchronous();
    fill(&store, 0, 10);
    store.flush().unwrap();
    fill(&store, 10, 15);
    let queue = store.queue("orders", 0);
    assert_eq!(queue.max(), QueueOffset(15));
    let aim = Aim::anything().kind(OpKind::Sync).path("commitlog");
    world.disk.fail_at_aimed(aim, 1, Fault::once(FaultKind::Eio));
    assert!(matches!(store.flush(), Err(Error::Failed(_))));
    assert_eq!(queue.max(), QueueOffset(10), "the others may be gone when the store is opened again");
    assert_eq!(offsets(&queue, 0), (0..10).collect::<Vec<_>>());
    assert_eq!(pull(&queue, &from(10)), (Status::AtEnd, vec![], 10));
}
