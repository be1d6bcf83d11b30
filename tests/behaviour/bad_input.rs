//! Everything that can be asked wrongly of an open store, or of its options: a typed error, and nothing happened.

use std::io;

use sawlog::disk::sim::FaultKind;
use sawlog::disk::sim::{Aim, Fault, OpKind};
use sawlog::flush::SyncFlush;
use sawlog::message::blank;
use sawlog::{Damage, Error, LogOffset, Message, Options, Result, Store};

use crate::world::*;

type Act = fn(&Store) -> Result<()>;
type Fits = fn(&Error) -> bool;

fn send(store: &Store, message: &Message) -> Result<()> {
    let single = store.append(message).map(drop);
    // However it is appended, it is refused in the same words.
    for other in [
        store.try_append(message).map(drop),
        store.append_and_wait(message).map(drop),
        store.append_batch(&[numbered(1), message.clone()]).map(drop),
    ] {
        let (one, two) = (single.as_ref().unwrap_err(), other.unwrap_err());
        assert_eq!(one.to_string().split(':').next(), two.to_string().split(':').next());
    }
    single
}

fn invalid(error: &Error) -> bool {
    matches!(error, Error::InvalidMessage(_))
}

fn out_of_range(error: &Error) -> bool {
    matches!(error, Error::OutOfRange { first: 0, next, asked } if asked >= next)
}

fn no_record(error: &Error) -> bool {
    matches!(error, Error::Corrupt(_))
}

/// What is wrong, what is done, which error it must be, and what the error must tell.
const BAD: &[(&str, Act, Fits, &str)] = &[
    ("an empty topic", |s| send(s, &Message::new("", "x")), invalid, "the topic is empty"),
    (
        "a long topic",
        |s| send(s, &Message::new("t".repeat(256), "x")),
        invalid,
        "256 bytes, the limit is 255",
    ),
    ("a slash in the topic", |s| send(s, &Message::new("a/b", "x")), invalid, "'/'"),
    ("a topic that is the folder above", |s| send(s, &Message::new("..", "x")), invalid, "\"..\""),
    ("a control character", |s| send(s, &Message::new("a\nb", "x")), invalid, "'\\n'"),
    ("a separator in a name", |s| send(s, &numbered(0).property("a\u{1}", "v")), invalid, "0x01 or 0x02"),
    ("a separator in a value", |s| send(s, &numbered(0).property("a", "\u{2}")), invalid, "0x01 or 0x02"),
    ("a property without a name", |s| send(s, &numbered(0).property("", "v")), invalid, "empty name"),
    ("a key that is two", |s| send(s, &numbered(0).key("two words")), invalid, "space"),
    ("long properties", |s| send(s, &numbered(0).property("p", &"v".repeat(32_760))), invalid, "32767"),
    ("a negative queue id", |s| send(s, &numbered(0).queue(1 << 31)), invalid, "2147483648"),
    ("a long body", |s| send(s, &sized(60_001)), invalid, "60001, the limit is 60000"),
    (
        "a record longer than a segment",
        |s| send(s, &sized(60_000).property("p", &"v".repeat(6_000))),
        invalid,
        "to be stored together, the limit is 65528",
    ),
    ("a batch of nothing", |s| s.append_batch(&[]).map(drop), invalid, "without messages"),
    (
        "a batch longer than a segment",
        |s| s.append_batch(&[sized(30_000), sized(30_000), sized(6_000)]).map(drop),
        invalid,
        "66351 bytes to be stored together, the limit is 65528",
    ),
    (
        "a batch with one bad message at its end",
        |s| s.append_batch(&[numbered(1), numbered(2), Message::new("", "")]).map(drop),
        invalid,
        "the topic is empty",
    ),
    ("a record at the end", |s| s.record_at(s.marks().visible).map(drop), out_of_range, "0 up to"),
    (
        "a record beyond all",
        |s| s.record_at(LogOffset(u64::MAX)).map(drop),
        out_of_range,
        "18446744073709551615",
    ),
    ("raw bytes at the end", |s| s.raw(s.marks().visible, 10).map(drop), out_of_range, "outside"),
    (
        "raw bytes beyond all",
        |s| s.raw(LogOffset(1 << 40), u64::MAX).map(drop),
        out_of_range,
        "1099511627776",
    ),
    ("a record where none begins", |s| s.record_at(LogOffset(1)).map(drop), no_record, "at offset 1: "),
    (
        "a record where eight bytes lack",
        |s| s.record_at(LogOffset(s.marks().visible.0 - 3)).map(drop),
        no_record,
        "cut",
    ),
    (
        "a scan where no record begins",
        |s| s.scan(LogOffset(7)).next().unwrap().map(drop),
        no_record,
        "at offset 7: ",
    ),
];

#[test]
fn whatever_is_asked_wrongly_is_answered_with_its_error_and_changes_nothing() {
    for sync in [true, false] {
        let world = World::new();
        let policy = if sync { world.options(SyncFlush) } else { Options::default() };
        let options = policy.disk(world.disk.clone()).clock(std::sync::Arc::clone(&world.clock));
        let options =
            options.segment_bytes(SEGMENT).queue_segment_entries(32).max_message_bytes(60_000).by_hand();
        let store = Store::open("/store", options).unwrap();
        for n in 0..3 {
            store.append(&numbered(n)).unwrap().forget();
        }
        store.flush().unwrap();
        store.step();
        let before = (store.marks(), world.disk.fingerprint(), all(&store));
        for (what, act, fits, says) in BAD {
            let error = act(&store).expect_err(what);
            assert!(fits(&error), "{what}: {error:?}");
            assert!(error.to_string().contains(says), "{what}: {error}");
            assert!(!error.is_full() && store.failure().is_none(), "{what}");
            assert_eq!((store.marks(), world.disk.fingerprint(), all(&store)), before, "{what} left a trace");
        }
        let ack = store.append(&numbered(3)).unwrap();
        assert_eq!((ack.position().offset, ack.queue_offset().0), (before.0.accepted, 3));
        store.close().unwrap();
        assert_eq!(all(&world.sync()).len(), 4, "and nothing was lost");
    }
}

#[test]
fn a_scan_from_beyond_the_end_waits_there_and_an_error_in_it_stays() {
    let world = World::new();
    let store = world.asynchronous();
    store.append(&numbered(0)).unwrap().forget();
    let mut beyond = store.scan(LogOffset(1 << 30));
    assert!(beyond.next().is_none() && beyond.next().is_none());
    let mut bad = store.scan(LogOffset(5));
    for _ in 0..3 {
        match bad.next() {
            Some(Err(Error::Corrupt(damage))) => assert_eq!(damage.at, LogOffset(5)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_blank_record_at_a_segments_end_is_no_message() {
    let world = World::new();
    let store = world.asynchronous();
    let first = store.append(&sized(40_000)).unwrap();
    store.append(&sized(40_000)).unwrap().forget();
    match store.record_at(first.end()) {
        Err(Error::Corrupt(damage)) => assert!(matches!(damage.what, Damage::BadBlank { .. }), "{damage}"),
        other => panic!("{other:?}"),
    }
    assert!(store.raw(first.end(), 8).unwrap().bytes == blank(room_at(first.end()) as u32)[..]);
    assert!(matches!(store.record_at(LogOffset(SEGMENT - 9)), Err(Error::Corrupt(_))));
    assert_eq!(store.raw(LogOffset(3), 0).unwrap().bytes.len(), 0);
    assert_eq!(
        store.raw(LogOffset(3), u64::MAX).unwrap().bytes.len() as u64,
        SEGMENT - 3,
        "of one segment alone"
    );
}

type Change = fn(Options) -> Options;

/// What contradicts itself or a limit, and the numbers that the error must name.
const OPTIONS: &[(&str, Change, [&str; 2])] = &[
    ("no segment", |o| o.segment_bytes(0), ["0", "65536"]),
    ("a small segment", |o| o.segment_bytes(65_535), ["65535", "65536"]),
    ("a large segment", |o| o.segment_bytes(1 << 31), ["2147483648", "2147483647"]),
    ("a huge segment", |o| o.segment_bytes(u64::MAX), ["18446744073709551615", "2147483647"]),
    ("no message", |o| o.max_message_bytes(0), ["0", "1073741824"]),
    ("a huge message", |o| o.max_message_bytes(u32::MAX), ["4294967295", "1073741824"]),
    ("too large for a segment", |o| o.max_message_bytes(70_000).segment_bytes(70_000), ["70000", "70000"]),
    ("large for a segment", |o| o.segment_bytes(65_536).max_message_bytes(1 << 20), ["1048576", "65536"]),
];

#[test]
fn options_that_contradict_are_refused_before_anything_is_touched() {
    for old in [false, true] {
        let world = World::new();
        if old {
            world.sync().append_and_wait(&numbered(0)).unwrap();
        }
        let before = (world.disk.fingerprint(), world.disk.operations());
        for (what, change, says) in OPTIONS {
            match Store::open("/store", change(world.options(SyncFlush))) {
                Err(error @ Error::InvalidOptions(_)) => {
                    assert!(says.iter().all(|number| error.to_string().contains(number)), "{what}: {error}");
                }
                other => panic!("{what}: {other:?}"),
            }
            assert_eq!((world.disk.fingerprint(), world.disk.operations()), before, "{what}");
        }
        assert_eq!(bodies(&world.sync()).len(), usize::from(old));
    }
}

#[test]
fn a_disk_without_rights_is_an_error_at_opening() {
    for kind in [OpKind::Lock, OpKind::Create, OpKind::CreateDirs, OpKind::Write, OpKind::Sync] {
        let world = World::new();
        world.sync().append_and_wait(&numbered(0)).unwrap();
        if kind == OpKind::CreateDirs {
            // Existing folders need no call that changes anything.
            continue;
        }
        world.disk.fail_at_aimed(Aim::anything().kind(kind), 1, Fault::persistent(FaultKind::Erofs));
        match Store::open("/store", world.options(SyncFlush)) {
            Err(Error::Io { source, doing, path }) => {
                assert_eq!(source.kind(), io::ErrorKind::ReadOnlyFilesystem);
                assert!(!doing.is_empty() && path.starts_with("/store"));
            }
            other => panic!("{kind:?}: {other:?}"),
        }
        assert_eq!(world.disk.open_handles(), 0, "{kind:?}");
        world.disk.clear_faults();
        assert_eq!(bodies(&world.sync()), ["00000000"], "{kind:?}");
    }
}
