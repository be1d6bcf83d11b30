//! The ways of appending, and what is told of each message at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use sawlog::clock::Timestamp;
use sawlog::flush::{AsyncFlush, SyncFlush};
use sawlog::message::{SysFlags, Transaction};
use sawlog::{Error, Level, LogOffset, Message, Options, QueueOffset, Store};

use crate::watched::{Gate, Watched};
use crate::world::*;

#[test]
fn every_way_of_appending_stores_what_it_says() {
    for sync in [false, true] {
        let world = World::new();
        let store = if sync { world.sync() } else { world.asynchronous() };
        let message = |n| numbered(n).queue(7).tag("vip").key("order-42").flag(-5);
        let mut told = Vec::new();
        told.extend(store.append(&message(0)).unwrap().all());
        told.extend(store.append_with(&message(1), Level::Written).unwrap().all());
        told.extend(store.append_with(&message(2), Level::Flushed).unwrap().all());
        told.push(store.append_and_wait(&message(3)).unwrap());
        told.extend(store.append_batch(&[message(4), message(5)]).unwrap().all());
        told.extend(store.try_append(&message(6)).unwrap().all());
        let ack = store.append(&message(7)).unwrap();
        told.extend(ack.all());
        ack.forget();
        store.flush().unwrap();

        let records = all(&store);
        assert_eq!(records.len(), 8);
        let mut next = LogOffset::ZERO;
        for (n, (record, told)) in records.iter().zip(&told).enumerate() {
            assert_eq!(record.body(), format!("{n:08}").as_bytes());
            assert_eq!((record.topic().as_str(), record.queue_id(), record.message.flag), ("orders", 7, -5));
            assert_eq!(record.message.tags().unwrap(), "vip");
            assert_eq!(record.message.keys().unwrap(), "order-42");
            assert_eq!((told.position, told.stored), (record.position, record.stored));
            assert_eq!((told.queue_offset, told.message_id), (record.queue_offset, record.message_id()));
            assert_eq!(told.queue_offset, QueueOffset(n as u64));
            assert_eq!(told.position.offset, next, "the records stand side by side");
            next = told.position.end();
            assert_eq!(store.record_at(told.position.offset).unwrap(), *record);
        }
        assert_eq!(store.marks().accepted, next);
    }
}

#[test]
fn an_ack_tells_the_first_of_a_batch_and_the_end_of_the_last() {
    let world = World::new();
    let store = world.asynchronous();
    store.append(&numbered(0)).unwrap().forget();
    let ack = store.append_batch(&[numbered(1), numbered(2), Message::new("other", "x").queue(9)]).unwrap();
    let told: Vec<_> = ack.all().collect();
    assert_eq!((ack.position(), ack.queue_offset()), (told[0].position, QueueOffset(1)));
    assert_eq!((ack.stored(), ack.message_id()), (told[0].stored, told[0].message_id));
    assert_eq!(ack.end(), told[2].position.end());
    assert_eq!(told[2].queue_offset, QueueOffset(0), "another topic has its own count");
    assert!(told.iter().all(|one| one.stored == told[0].stored), "a batch has one store time");
}

#[test]
fn the_store_host_stands_in_records_and_message_ids() {
    let world = World::new();
    let options = world.options(AsyncFlush::default()).store_host("[2001:db8::7]:10911".parse().unwrap());
    let store = Store::open("/store", options).unwrap();
    let ack = store.append(&numbered(0)).unwrap();
    let record = store.record_at(ack.position().offset).unwrap();
    assert_eq!(record.store_host.to_string(), "[2001:db8::7]:10911");
    assert_eq!(ack.message_id().to_string(), "20010DB800000000000000000000000700002A9F0000000000000000");
    assert_eq!(ack.message_id().to_string().parse(), Ok(ack.message_id()));
}

/// Sizes that make batches roll; each batch's messages carry its number.
fn batch(n: u64) -> Vec<Message> {
    let len = 1 + n % 7;
    (0..len)
        .map(|i| Message::new(["a", "b"][(i % 2) as usize], format!("{n} {len}")).queue(i as u32))
        .collect()
}

#[test]
fn a_reader_never_sees_a_part_of_a_batch() {
    for sync in [false, true] {
        let world = World::new();
        let options = Options::new().disk(world.disk.clone()).segment_bytes(SEGMENT);
        let options = if sync { options.flush(SyncFlush) } else { options };
        let store = Store::open("/store", options).unwrap();
        let reader = store.clone();
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let looks = Arc::new(AtomicU64::new(0));
        let looked = Arc::clone(&looks);
        let reading = std::thread::spawn(move || {
            let (mut scan, mut seen) = (reader.scan(LogOffset::ZERO), Vec::new());
            loop {
                let last = stopped.try_recv().is_ok();
                seen.extend(scan.by_ref().map(|r| String::from_utf8(r.unwrap().body().to_vec()).unwrap()));
                // At the end of every look the last batch that was begun is whole.
                if let Some(text) = seen.last() {
                    let len: usize = text.split(' ').nth(1).unwrap().parse().unwrap();
                    let whole = seen.iter().rev().take_while(|t| *t == text).count();
                    assert_eq!(whole, len, "a part of batch {text} was visible");
                }
                looked.fetch_add(1, SeqCst);
                if last {
                    return seen.len() as u64;
                }
            }
        });
        let mut appended = 0;
        for n in 0..1500 {
            let messages = batch(n);
            appended += messages.len() as u64;
            let ack = store.append_batch(&messages).unwrap();
            if n % 10 == 0 {
                ack.wait().unwrap();
            }
            // The reader runs beside the writer, however the threads are scheduled.
            let before = looks.load(SeqCst);
            while n % 50 == 0 && looks.load(SeqCst) == before {
                std::thread::yield_now();
            }
        }
        store.flush().unwrap();
        stop.send(()).unwrap();
        assert_eq!(reading.join().unwrap(), appended);
        store.close().unwrap();
    }
}

#[test]
fn a_batch_stands_in_one_segment_side_by_side() {
    for sync in [false, true] {
        let world = World::new();
        let store = if sync { world.sync() } else { world.asynchronous() };
        let mut rolled = 0;
        for n in 0..40 {
            let messages: Vec<_> = (0..5).map(|i| sized(500 * (i + 1)).queue(n % 3)).collect();
            let ack = store.append_batch(&messages).unwrap();
            let told: Vec<_> = ack.all().collect();
            let segment = |at: LogOffset| at.0 / SEGMENT;
            assert!(told.windows(2).all(|w| w[0].position.end() == w[1].position.offset));
            assert_eq!(segment(told[0].position.offset), segment(told[4].position.end()));
            rolled = segment(ack.end());
        }
        assert!(rolled >= 3, "the batches went over several segments");
        store.flush().unwrap();
        assert_eq!(all(&store).len(), 200);
    }
}

#[test]
fn a_batch_that_cannot_be_stored_whole_stores_nothing() {
    let world = World::new();
    let store = world.asynchronous();
    let before = (store.append(&numbered(0)).unwrap().end(), world.disk.fingerprint());
    let refused = |messages: &[Message]| match store.append_batch(messages) {
        Err(Error::InvalidMessage(why)) => why.into_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&[]), "a batch without messages");
    assert_eq!(refused(&[numbered(1), Message::new("", "x")]), "the topic is empty");
    assert!(refused(&[numbered(1), numbered(2).key("two words")]).contains("space"));
    let too_large = refused(&[sized(40_000), sized(40_000)]);
    let total = 2 * (40_000 + 91 + "orders".len() + 20);
    assert_eq!(too_large, format!("{total} bytes to be stored together, the limit is {}", SEGMENT - 8));
    assert_eq!((store.marks().accepted, world.disk.fingerprint()), before);
    let next = store.append(&numbered(3)).unwrap();
    assert_eq!(next.queue_offset(), QueueOffset(1), "refused messages take no queue offset");
}

#[test]
fn a_message_that_does_not_wait_asks_for_less_under_sync_flush() {
    let world = World::new();
    let store = world.sync();
    let weak = numbered(0).wait(false);
    assert_eq!(store.append(&weak).unwrap().level(), Level::Written);
    assert_eq!(store.append(&numbered(1)).unwrap().level(), Level::Flushed);
    assert_eq!(store.append_with(&weak, Level::Flushed).unwrap().level(), Level::Flushed);
    assert_eq!(store.append_batch(&[weak.clone(), weak.clone()]).unwrap().level(), Level::Written);
    assert_eq!(store.append_batch(&[weak.clone(), numbered(2)]).unwrap().level(), Level::Flushed);
    assert_eq!(store.try_append(&weak).unwrap().level(), Level::Written);
    let other = World::new();
    assert_eq!(other.asynchronous().append(&numbered(1)).unwrap().level(), Level::Written);
}

#[test]
fn try_append_is_busy_when_the_window_is_shut_and_append_opens_it() {
    let world = World::new();
    // The smaller the longest message, the smaller the window: 4 MiB and twice the longest record.
    let options = world.options(SyncFlush).max_message_bytes(60_000).segment_bytes(8 << 20);
    let store = Store::open("/store", options).unwrap();
    let message = sized(60_000);
    let mut accepted = 0;
    let (unflushed, window) = loop {
        match store.try_append(&message) {
            Ok(ack) => accepted = ack.end().0,
            Err(Error::Busy { unflushed, window }) => break (unflushed, window),
            Err(other) => panic!("{other}"),
        }
    };
    let record = 60_000 + 91 + "orders".len() as u64 + 20;
    assert_eq!(window, (4 << 20) + 2 * (60_000 + 65_536 + 16));
    assert_eq!(unflushed, accepted);
    assert!(unflushed <= window && unflushed + record > window, "{unflushed} of {window}");
    assert_eq!(
        (store.marks().accepted.0, store.marks().syncs),
        (accepted, 0),
        "nothing was stored, nothing done"
    );

    // Who may wait flushes by itself, and is let in.
    let ack = store.append(&message).unwrap();
    assert_eq!(ack.position().offset.0, accepted);
    assert_eq!((store.marks().syncs, store.marks().flushed.0), (1, accepted));
    while store.try_append(&message).is_ok() {}
    settle(&store);
    store.try_append(&message).unwrap().forget();
}

#[test]
fn try_append_is_busy_until_the_next_segment_is_prepared() {
    for sync in [false, true] {
        let world = World::new();
        let store = if sync { world.sync() } else { world.asynchronous() };
        let message = sized(10_000);
        for _ in 0..6 {
            store.try_append(&message).unwrap().forget();
        }
        let before = (store.marks().accepted, world.log_files());
        for _ in 0..2 {
            assert!(matches!(store.try_append(&message), Err(Error::Busy { .. })), "nobody has prepared it");
        }
        assert_eq!((store.marks().accepted, world.log_files()), before);
        store.step();
        let ack = store.try_append(&message).unwrap();
        assert_eq!(ack.position().offset, LogOffset(SEGMENT));
        assert_eq!(ack.queue_offset(), QueueOffset(6));
    }
}

/// The janitor made the next segment only once the tail was past the middle of this one. A record longer than half a
/// segment needs it earlier: `try_append` answered Busy for ever, however often it was called and whoever stepped.
#[test]
fn try_append_of_a_long_message_is_not_busy_for_ever() {
    let world = World::new();
    let store = world.asynchronous();
    store.append(&sized(20_000)).unwrap().forget();
    store.step();
    let long = sized(50_000);
    assert!(matches!(store.try_append(&long), Err(Error::Busy { .. })));
    store.step();
    let ack = store.try_append(&long).expect("the janitor was told what is wanted");
    assert_eq!(ack.position().offset, LogOffset(SEGMENT));
}

/// `try_append` asked whether the next segment is prepared under the lock that the janitor holds while it makes one:
/// it waited for the disk, which is the one thing that it promises not to do.
#[test]
fn try_append_does_not_wait_for_a_segment_in_the_making() {
    let world = World::new();
    let (gate, pass) = Gate::new();
    let disk = Watched::new(&world.disk, move |_, path| {
        if path.to_string_lossy().contains("making") {
            pass();
        }
        Ok(())
    });
    let options = options_on(disk, &world.clock, AsyncFlush::default());
    let store = Store::open("/store", options).unwrap();
    for _ in 0..6 {
        store.append(&sized(10_000)).unwrap().forget();
    }
    gate.shut();
    let janitor = store.clone();
    let stepping = std::thread::spawn(move || settle(&janitor));
    gate.wait_for_one();
    let (tell, told) = std::sync::mpsc::channel();
    let producer = store.clone();
    let trying =
        std::thread::spawn(move || tell.send(producer.try_append(&sized(10_000)).map(drop)).unwrap());
    let answer = told.recv_timeout(Duration::from_secs(5));
    gate.open();
    stepping.join().unwrap();
    trying.join().unwrap();
    assert!(matches!(answer, Ok(Err(Error::Busy { .. }))), "it waited for the janitor: {answer:?}");
    store.try_append(&sized(10_000)).unwrap().forget();
}

#[test]
fn queue_offsets_are_dense_whoever_appends() {
    const QUEUES: [u32; 6] = [0, 1, 5, 1023, 1024, i32::MAX as u32];
    for sync in [false, true] {
        let world = World::new();
        let options = Options::new().disk(world.disk.clone()).segment_bytes(SEGMENT);
        let options = if sync { options.flush(SyncFlush) } else { options };
        let store = Store::open("/store", options).unwrap();
        let threads: Vec<_> = (0..4_u64)
            .map(|thread| {
                let store = store.clone();
                std::thread::spawn(move || {
                    let mut told = Vec::new();
                    let mut random = thread + 1;
                    for _ in 0..600 {
                        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        let pick = random >> 33;
                        let topic = ["a", "b", "c"][(pick % 3) as usize];
                        let queue = QUEUES[(pick / 3 % 6) as usize];
                        let message = Message::new(topic, vec![b'x'; (pick % 300) as usize]).queue(queue);
                        let ack = match pick % 5 {
                            0 => store.append_batch(&[message.clone(), message]).unwrap(),
                            _ => store.append(&message).unwrap(),
                        };
                        told.extend(
                            ack.all().map(|s| ((topic, queue), s.queue_offset.0, s.position.offset.0)),
                        );
                    }
                    told
                })
            })
            .collect();
        let mut queues: BTreeMap<_, Vec<(u64, u64)>> = BTreeMap::new();
        for (queue, ordinal, at) in threads.into_iter().flat_map(|t| t.join().unwrap()) {
            queues.entry(queue).or_default().push((ordinal, at));
        }
        let mut count = 0;
        for (queue, told) in &mut queues {
            told.sort_unstable();
            count += told.len();
            assert!(told.iter().map(|(n, _)| *n).eq(0..told.len() as u64), "{queue:?} has a gap or a double");
            assert!(told.windows(2).all(|w| w[0].1 < w[1].1), "{queue:?} is in another order than the log");
        }
        store.flush().unwrap();
        let records = all(&store);
        assert_eq!(records.len(), count);
        for record in records {
            let told = &queues[&(record.topic().as_str(), record.queue_id())];
            assert_eq!(told[record.queue_offset.0 as usize].1, record.position.offset.0);
        }
        store.close().unwrap();
    }
}

#[test]
fn prepared_and_rolled_back_messages_take_no_place_in_their_queue() {
    let world = World::new();
    let store = world.asynchronous();
    let of = |t| numbered(0).sys_flags(SysFlags::default().with_transaction(t));
    let append = |t| store.append(&of(t)).unwrap().queue_offset().0;
    assert_eq!(append(Transaction::None), 0);
    assert_eq!(append(Transaction::Prepared), 0);
    assert_eq!(append(Transaction::Commit), 1);
    assert_eq!(append(Transaction::Rollback), 0);
    assert_eq!(append(Transaction::None), 2);
    let batch =
        [Transaction::Prepared, Transaction::None, Transaction::Rollback, Transaction::Commit].map(of);
    let told: Vec<_> = store.append_batch(&batch).unwrap().all().map(|s| s.queue_offset.0).collect();
    assert_eq!(told, [0, 3, 0, 4]);
    let stored: Vec<_> = all(&store).iter().map(|r| (r.queue_offset.0, r.is_queued())).collect();
    let told = [
        (0, true),
        (0, false),
        (1, true),
        (0, false),
        (2, true),
        (0, false),
        (3, true),
        (0, false),
        (4, true),
    ];
    assert_eq!(stored, told);
}

#[test]
fn store_time_never_steps_back() {
    let world = World::new();
    let store = world.asynchronous();
    let stored = |store: &Store| store.append(&numbered(0)).unwrap().stored();
    assert_eq!(stored(&store), START);
    world.clock.jump_to(Timestamp(5));
    assert_eq!(stored(&store), START, "the clock jumped back");
    assert_eq!(store.append_batch(&[numbered(1), numbered(2)]).unwrap().stored(), START);
    world.clock.jump_to(Timestamp(START.0 + 7));
    assert_eq!(stored(&store).0, START.0 + 7);
    store.close().unwrap();
    world.clock.jump_to(Timestamp(-3));
    let store = world.asynchronous();
    assert_eq!(stored(&store).0, START.0 + 7, "the log remembers over a reopening");
    let times: Vec<_> = all(&store).iter().map(|r| r.stored).collect();
    assert!(times.windows(2).all(|w| w[0] <= w[1]), "{times:?}");

    let other = World::new();
    other.clock.jump_to(Timestamp(0));
    assert_eq!(stored(&other.sync()), Timestamp(1), "RocketMQ takes 0 for a hole in its index");
}

#[test]
fn a_message_is_born_when_it_says_or_when_it_is_appended() {
    let world = World::new();
    let store = world.asynchronous();
    store.append(&numbered(0)).unwrap().forget();
    world.clock.turn(Duration::from_millis(250));
    store.append(&numbered(1)).unwrap().forget();
    store.append(&numbered(2).born(Timestamp(-77))).unwrap().forget();
    let born: Vec<_> = all(&store).iter().map(|r| r.message.born.unwrap().0).collect();
    assert_eq!(born, [START.0, START.0 + 250, -77]);
}

#[test]
fn the_same_message_can_be_appended_again_and_keeps_what_it_was() {
    let world = World::new();
    let store = world.asynchronous();
    let message = numbered(0).queue(3);
    let before = message.clone();
    let (one, two) = (store.append(&message).unwrap(), store.append(&message).unwrap());
    assert_eq!(message, before);
    assert_eq!((one.queue_offset().0, two.queue_offset().0), (0, 1));
    assert_eq!(one.end(), two.position().offset);
}
