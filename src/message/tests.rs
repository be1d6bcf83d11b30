//! What holds for all messages and all bytes: round trips, and no panic anywhere.

use std::net::SocketAddr;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::error::{Damage, Error};
use crate::offset::{LogOffset, Position, QueueOffset};

fn rules(checksum: Checksum) -> EncodeRules {
    EncodeRules {
        store_host: "192.0.2.10:10911".parse().unwrap(),
        checksum,
        max_body_bytes: 4 << 20,
        born: Timestamp(1_700_000_000_000),
    }
}

fn stamped(message: &Message, rules: &EncodeRules, at: u64, queue: u64, stored: i64) -> Bytes {
    let mut encoded = encode(message, rules, Vec::new()).unwrap();
    encoded.stamp(LogOffset(at), QueueOffset(queue), Timestamp(stored)).concat().into()
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[A-Za-z0-9_%-]{1,20}", "[^\u{1}\u{2}]{1,12}"]
}

fn topic() -> impl Strategy<Value = String> {
    prop_oneof!["[A-Za-z0-9_%-]{1,255}", "[^/\\pC]{1,80}", Just("订单主题".to_owned())]
        .prop_filter("no folder", |name| Topic::check(name).is_ok())
}

fn host() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        (any::<[u8; 4]>(), any::<u16>()).prop_map(SocketAddr::from),
        (any::<[u8; 16]>(), any::<u16>()).prop_map(SocketAddr::from),
    ]
}

/// Short bodies mostly; some that are borrowed, whose checksums are joined.
fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => proptest::collection::vec(any::<u8>(), 0..200),
        1 => proptest::collection::vec(any::<u8>(), 900..9_000),
    ]
}

prop_compose! {
    fn message()(
        topic in topic(), body in body(), queue in 0..=i32::MAX.unsigned_abs(), flag: i32, sys_flags: i32,
        born: i64, born_host in host(), reconsume: i32, prepared: i64,
        pairs in proptest::collection::vec((text(), text()), 0..5),
        raw in proptest::option::weighted(0.2, proptest::collection::vec(any::<u8>(), 0..64)),
    ) -> Message {
        let message = Message::new(topic, body).queue(queue).flag(flag).sys_flags(SysFlags(sys_flags))
            .born(Timestamp(born)).born_host(born_host).reconsume_times(reconsume).prepared_offset(prepared);
        match raw {
            Some(raw) => message.raw_properties(raw.into()),
            None => pairs.iter().fold(message, |message, (name, value)| message.property(name, value)),
        }
    }
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(
        message in message(), at in 0..=LogOffset::MAX.0, queue in 0..=LogOffset::MAX.0, stored: i64,
        store_host in host(), record: bool,
    ) {
        let checksum = if record { Checksum::Record } else { Checksum::Body };
        let rules = EncodeRules { store_host, ..rules(checksum) };
        let mut encoded = encode(&message, &rules, vec![7; 30]).unwrap();
        // Stamped twice: a record that must move to the next segment is.
        encoded.stamp(LogOffset(1), QueueOffset(2), Timestamp(3));
        let bytes = encoded.stamp(LogOffset(at), QueueOffset(queue), Timestamp(stored)).concat();
        prop_assert_eq!(encoded.len() as usize, bytes.len());
        prop_assert_eq!(encoded.topic(), message.topic.as_bytes());
        prop_assert_eq!(peek(bytes.first_chunk().unwrap()), Peek::Record { len: encoded.len() });

        let verify = if record { Verify::Ours } else { Verify::Legacy };
        let mut longer = bytes.clone();
        longer.extend_from_slice(b"what follows");
        let read = decode(LogOffset(at), longer.into(), verify).unwrap();
        prop_assert_eq!(read.position, Position { offset: LogOffset(at), len: encoded.len() });
        prop_assert_eq!(read.queue_offset.0, if encoded.is_queued() { queue } else { 0 });
        prop_assert_eq!(read.stored, Timestamp(stored));
        prop_assert_eq!(read.store_host, store_host);
        let (was, is) = (&message, &read.message);
        prop_assert_eq!(&is.topic, &was.topic);
        prop_assert_eq!(&is.body, &was.body);
        prop_assert_eq!(is.queue_id, was.queue_id);
        prop_assert_eq!(is.flag, was.flag);
        prop_assert_eq!(is.sys_flags.0 | 0x30, was.sys_flags.0 | 0x30);
        prop_assert_eq!(is.born, was.born);
        prop_assert_eq!(is.born_host, was.born_host);
        prop_assert_eq!(is.reconsume_times, was.reconsume_times);
        prop_assert_eq!(is.prepared_offset, was.prepared_offset);
        prop_assert_eq!(is.waits(), was.waits());
        let pairs = |m: &Message| m.properties.iter().filter(|(n, _)| n != names::CRC32)
            .map(|(n, v)| (n.into_owned(), v.into_owned())).collect::<Vec<_>>();
        prop_assert_eq!(pairs(is), pairs(was));
        if !record {
            prop_assert_eq!(&is.properties, &was.properties);
        }

        // Stored again with the same stamps, it is the same bytes.
        let again = encode(is, &rules, Vec::new()).unwrap().stamp(LogOffset(at), QueueOffset(queue), Timestamp(stored)).concat();
        prop_assert_eq!(again, bytes);
    }

    #[test]
    fn any_bytes_are_judged_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), at: u64) {
        judge(at, &bytes);
    }

    #[test]
    fn any_bytes_behind_a_believable_front_are_judged_without_a_panic(
        bytes in proptest::collection::vec(any::<u8>(), 92..300), len in 0..400_i32, v2: bool, v6 in 0..4_i32,
        body_len in -1..300_i32, at in 0..1000_u64,
    ) {
        let mut bytes = bytes;
        bytes[..4].copy_from_slice(&len.to_be_bytes());
        bytes[4..8].copy_from_slice(&(if v2 { MAGIC_V2 } else { MAGIC_V1 }).to_be_bytes());
        bytes[28..36].copy_from_slice(&at.to_be_bytes());
        bytes[36..40].copy_from_slice(&(v6 << 4).to_be_bytes());
        bytes[84..88].copy_from_slice(&body_len.to_be_bytes());
        judge(at, &bytes);
    }

    #[test]
    fn any_text_in_any_setter_is_stored_or_refused(name: String, value: String, key: String, topic: String) {
        let message = Message::new(topic.as_str(), "x").property(&name, &value).key(&key).tag(&value).unique_key(&key);
        match encode(&message, &rules(Checksum::Record), Vec::new()) {
            Ok(mut encoded) => {
                let bytes = encoded.stamp(LogOffset(0), QueueOffset(0), Timestamp(0)).concat();
                check(LogOffset(0), &bytes, Verify::Ours).unwrap();
            }
            Err(error) => prop_assert!(matches!(error, Error::InvalidMessage(_))),
        }
    }
}

fn judge(at: u64, bytes: &[u8]) {
    if let Some(head) = bytes.first_chunk() {
        let _ = peek(head);
    }
    for verify in [Verify::Structure, Verify::Legacy, Verify::Ours] {
        let head = check(LogOffset(at), bytes, verify);
        let record = decode(LogOffset(at), Bytes::copy_from_slice(bytes), verify);
        assert_eq!(head.as_ref().err(), record.as_ref().err());
        if let Ok(head) = head {
            let _ = head.trailer();
        }
    }
}

fn sample(body_bytes: usize) -> Message {
    Message::new("TopicTest", vec![b'x'; body_bytes]).queue(3).tag("TagA").key("order-1001").flag(5)
}

#[test]
fn every_flipped_bit_of_a_record_of_ours_is_found() {
    for body_bytes in [0, 60, 4200] {
        let good = stamped(&sample(body_bytes), &rules(Checksum::Record), 4096, 17, 1_700_000_000_123);
        check(LogOffset(4096), &good, Verify::Ours).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bad = good.to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            // Zeros behind it, so that a longer length finds bytes.
            bad.extend_from_slice(&[0; 4096]);
            check(LogOffset(4096), &bad, Verify::Ours).expect_err("a flipped bit went unseen");
        }
    }
}

#[test]
fn every_flipped_bit_of_a_legacy_body_is_found_and_of_an_empty_one_none_is_missed() {
    let good = stamped(&sample(100), &rules(Checksum::Body), 0, 0, 1);
    let head = check(LogOffset(0), &good, Verify::Legacy).unwrap();
    assert_eq!(head.trailer(), Trailer::Missing);
    for bit in 88 * 8..188 * 8 {
        let mut bad = good.to_vec();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(check(LogOffset(0), &bad, Verify::Legacy).unwrap_err(), Damage::BadBodyChecksum);
        assert!(check(LogOffset(0), &bad, Verify::Structure).is_ok());
    }
    // RocketMQ does not look at the checksum of an empty body (spec 2.6).
    let mut empty = stamped(&sample(0), &rules(Checksum::Body), 0, 0, 1).to_vec();
    empty[8] = 0x11;
    assert!(check(LogOffset(0), &empty, Verify::Legacy).is_ok());
}

#[test]
fn a_record_cut_anywhere_is_cut() {
    let good = stamped(&sample(200), &rules(Checksum::Record), 0, 0, 1);
    for len in 0..good.len() {
        assert_eq!(check(LogOffset(0), &good[..len], Verify::Ours).unwrap_err(), Damage::Cut, "{len}");
    }
}

#[test]
fn a_body_that_holds_a_whole_record_is_a_body() {
    let inner = stamped(&sample(40), &rules(Checksum::Record), 88, 1, 5);
    for checksum in [Checksum::Record, Checksum::Body] {
        let outer = stamped(&Message::new("t", inner.clone()), &rules(checksum), 0, 0, 6);
        let verify = if checksum == Checksum::Record { Verify::Ours } else { Verify::Legacy };
        let read = decode(LogOffset(0), outer.clone(), verify).unwrap();
        assert_eq!(read.message.body, inner);
        // The forged one even names its own place: a scan must never look for records inside of others.
        assert!(check(LogOffset(88), &outer[88..], Verify::Ours).is_ok());
    }
}

#[test]
fn a_record_of_another_place_is_known() {
    let good = stamped(&sample(40), &rules(Checksum::Record), 500, 0, 1);
    assert_eq!(
        check(LogOffset(501), &good, Verify::Structure).unwrap_err(),
        Damage::WrongPlace { says: 500 }
    );
    assert_eq!(
        check(LogOffset(u64::MAX), &good, Verify::Ours).unwrap_err(),
        Damage::WrongPlace { says: 500 }
    );
}

/// A record that says it stands at a negative offset was read as a whole one where its reader asked for that very
/// offset, though it is the last but a few of `u64`: the quick way to read a head had left out what the slow one asks.
/// Found by the fuzz target `decode_record`: its message id could not be read again.
#[test]
fn no_record_stands_at_a_negative_offset() {
    for at in [u64::MAX, u64::MAX - 245_127, 1 << 63] {
        let mut bad = stamped(&sample(40), &rules(Checksum::Body), 0, 0, 1).to_vec();
        bad[28..36].copy_from_slice(&at.to_be_bytes());
        for verify in [Verify::Structure, Verify::Legacy] {
            let says = at.cast_signed();
            assert_eq!(check(LogOffset(at), &bad, verify).unwrap_err(), Damage::WrongPlace { says });
        }
    }
    let last = i64::MAX.unsigned_abs();
    let good = stamped(&sample(40), &rules(Checksum::Record), last, 0, 1);
    assert!(check(LogOffset(last), &good, Verify::Ours).is_ok());
}

#[test]
fn a_missing_or_wrong_record_checksum_is_damage_only_in_what_we_wrote() {
    let bare = stamped(&sample(40), &rules(Checksum::Body), 0, 0, 1);
    assert_eq!(check(LogOffset(0), &bare, Verify::Ours).unwrap_err(), Damage::NoRecordChecksum);
    // A Java broker without the option re-puts the properties of ours: trailer and all, but not of this record.
    let ours =
        decode(LogOffset(0), stamped(&sample(40), &rules(Checksum::Record), 0, 0, 1), Verify::Ours).unwrap();
    let copied = stamped(&ours.message, &rules(Checksum::Body), 300, 7, 2);
    assert_eq!(check(LogOffset(300), &copied, Verify::Legacy).unwrap().trailer(), Trailer::Wrong);
    assert_eq!(check(LogOffset(300), &copied, Verify::Ours).unwrap_err(), Damage::BadRecordChecksum);
    // Stored by us again, it gets one of its own, and only one.
    let again = stamped(&ours.message, &rules(Checksum::Record), 300, 7, 2);
    let head = check(LogOffset(300), &again, Verify::Ours).unwrap();
    assert_eq!(head.trailer(), Trailer::Right);
    assert_eq!(again.len(), copied.len());
}

#[test]
fn each_impossible_field_is_named() {
    let good = stamped(&Message::new("t", ""), &rules(Checksum::Body), 0, 0, 1);
    let broken = |at: usize, bytes: &[u8]| {
        let mut bad = good.to_vec();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        check(LogOffset(0), &bad, Verify::Legacy).unwrap_err()
    };
    assert_eq!(good.len(), 92);
    assert_eq!(broken(0, &[0; 8]), Damage::Unwritten);
    assert_eq!(broken(0, &[0; 4]), Damage::BadLength { len: 0 });
    assert_eq!(broken(0, &91_i32.to_be_bytes()), Damage::BadLength { len: 91 });
    assert_eq!(broken(0, &(-92_i32).to_be_bytes()), Damage::BadLength { len: -92 });
    assert_eq!(broken(0, &93_i32.to_be_bytes()), Damage::Cut);
    assert_eq!(broken(4, &[1, 2, 3, 4]), Damage::BadMagic { found: 0x0102_0304 });
    assert_eq!(broken(4, &MAGIC_BLANK.to_be_bytes()), Damage::BadMagic { found: MAGIC_BLANK });
    assert_eq!(broken(4, &MAGIC_V2.to_be_bytes()), Damage::BadSize { total: 92, parts: 90 + 0x174 });
    assert_eq!(broken(12, &[0xFF; 4]), Damage::Negative { field: "queue id" });
    assert_eq!(broken(20, &[0xFF; 8]), Damage::Negative { field: "queue offset" });
    assert_eq!(broken(28, &[0xFF; 8]), Damage::WrongPlace { says: -1 });
    assert_eq!(broken(36, &0x20_i32.to_be_bytes()), Damage::BadSize { total: 92, parts: 96 });
    assert_eq!(broken(52, &[0xFF; 4]), Damage::BadPort { port: -1 });
    assert_eq!(broken(68, &65_536_i32.to_be_bytes()), Damage::BadPort { port: 65_536 });
    assert_eq!(broken(84, &[0xFF; 4]), Damage::Negative { field: "body length" });
    assert_eq!(broken(84, &[0x7F; 4]), Damage::BadSize { total: 92, parts: 88 + 0x7F7F_7F7F });
    assert_eq!(broken(88, &[0x80]), Damage::Negative { field: "topic length" });
    assert_eq!(broken(88, &[2]), Damage::BadSize { total: 92, parts: 93 });
    assert_eq!(broken(89, &[0xC3]), Damage::BadTopic);
    assert_eq!(broken(90, &[0xFF; 2]), Damage::Negative { field: "properties length" });
    assert_eq!(broken(90, &[0, 3]), Damage::BadSize { total: 92, parts: 95 });
    let mut no_topic = good.to_vec();
    no_topic[84..92].copy_from_slice(&[0, 0, 0, 1, b'x', 0, 0, 0]);
    assert_eq!(check(LogOffset(0), &no_topic, Verify::Structure).unwrap_err(), Damage::BadTopic);
}

fn refusal(message: &Message, rules: &EncodeRules) -> String {
    match encode(message, rules, Vec::new()) {
        Err(Error::InvalidMessage(why)) => why.into_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_cannot_be_stored_is_refused_with_the_number_and_the_limit() {
    let ours = EncodeRules { max_body_bytes: 1000, ..rules(Checksum::Record) };
    let refused = |message: Message| refusal(&message, &ours);
    assert_eq!(refused(Message::new("", "x")), "the topic is empty");
    assert_eq!(refused(Message::new("x".repeat(256), "x")), "the topic has 256 bytes, the limit is 255");
    assert_eq!(refused(Message::new("a/b", "x")), "the topic \"a/b\" holds '/', which no folder's name may");
    assert_eq!(refused(Message::new("t", vec![0; 1001])), "bytes of body: 1001, the limit is 1000");
    assert_eq!(refused(sample(1).queue(1 << 31)), "queue id: 2147483648, the limit is 2147483647");
    assert!(refused(sample(1).property("a\u{1}", "b")).contains("0x01 or 0x02"));
    assert!(refused(sample(1).property("", "b")).contains("empty name"));
    assert!(refused(sample(1).key("two words")).contains("space"));
    assert!(refused(sample(1).key("")).contains("empty"));
    // The first refusal is the one that is told, also after later calls.
    assert!(refused(sample(1).key("").property("", "b").tag("ok")).contains("key"));
}

#[test]
fn limits_hold_to_the_byte() {
    let body = Message::new("t", vec![0; 1000]);
    for checksum in [Checksum::Record, Checksum::Body] {
        let rules = EncodeRules { max_body_bytes: 1000, ..rules(checksum) };
        let trailer = if checksum == Checksum::Record { 20 } else { 0 };
        encode(&body, &rules, Vec::new()).unwrap();
        for (end, separator) in [(0x02, 0), (b'x', trailer / 20)] {
            let room = MAX_PROPERTIES_BYTES as usize - trailer - separator;
            let mut raw = vec![b'x'; room];
            raw[room - 1] = end;
            let fits = body.clone().raw_properties(raw.clone().into());
            let record = stamped(&fits, &rules, 0, 0, 1);
            check(LogOffset(0), &record, Verify::Structure).unwrap();
            raw.insert(0, b'x');
            assert_eq!(
                refusal(&body.clone().raw_properties(raw.into()), &rules),
                "bytes of properties, separator and checksum included: 32768, the limit is 32767"
            );
        }
    }
    let whole = EncodeRules { max_body_bytes: u32::MAX, ..rules(Checksum::Body) };
    encode(&body, &whole, Vec::new()).unwrap();
}

#[test]
fn topics_above_127_bytes_make_version_2_records() {
    for (topic, magic) in [
        ("x".repeat(127), MAGIC_V1),
        ("x".repeat(128), MAGIC_V2),
        ("x".repeat(255), MAGIC_V2),
        // 64 units of UTF-16, 128 bytes: RocketMQ would write a negative length here (H38).
        ("é".repeat(64), MAGIC_V2),
    ] {
        let record = stamped(&Message::new(topic.as_str(), "b"), &rules(Checksum::Record), 0, 0, 1);
        assert_eq!(record[4..8], magic.to_be_bytes());
        assert_eq!(check(LogOffset(0), &record, Verify::Ours).unwrap().topic, topic);
    }
}

#[test]
fn waiting_is_the_default_and_can_be_given_up() {
    let message = Message::new("t", "b");
    assert!(message.waits());
    assert!(message.clone().tag("x").waits());
    let one_way = message.tag("x").wait(false);
    assert!(!one_way.waits());
    assert_eq!(one_way.properties.find("WAIT").unwrap(), "false");
    assert!(one_way.wait(true).waits());
    assert!(!sample(1).wait(false).waits());
}

#[test]
fn keys_gather_and_tags_replace() {
    let message = Message::new("t", "b").key("a").tag("x").key("b").tag("y").unique_key("u").key("c");
    assert_eq!(message.keys().unwrap(), "a b c");
    assert_eq!(message.tags().unwrap(), "y");
    assert_eq!(message.unique_id().unwrap(), "u");
    assert_eq!(message.tag("").tags(), None);
}

#[test]
fn prepared_and_rolled_back_messages_take_no_queue_offset() {
    for (kind, queued) in [
        (Transaction::None, true),
        (Transaction::Prepared, false),
        (Transaction::Commit, true),
        (Transaction::Rollback, false),
    ] {
        let message = sample(1).sys_flags(SysFlags::default().with_transaction(kind));
        assert_eq!(encode(&message, &rules(Checksum::Record), Vec::new()).unwrap().is_queued(), queued);
        let record = stamped(&message, &rules(Checksum::Record), 0, 9, 1);
        let head = check(LogOffset(0), &record, Verify::Ours).unwrap();
        assert_eq!(head.queue_offset, QueueOffset(if queued { 9 } else { 0 }));
    }
}

#[test]
fn address_bits_follow_the_hosts_and_not_the_message() {
    let message = sample(1).sys_flags(SysFlags(0x31));
    let record =
        decode(LogOffset(0), stamped(&message, &rules(Checksum::Record), 0, 0, 1), Verify::Ours).unwrap();
    assert_eq!(record.message.sys_flags, SysFlags(0x01));
}

#[test]
fn first_bytes_are_told_apart() {
    assert_eq!(peek(&[0; 8]), Peek::Unwritten);
    assert_eq!(peek(&blank(58)), Peek::Blank { len: 58 });
    assert_eq!(peek(&blank(7)), Peek::Garbage { damage: Damage::BadLength { len: 7 } });
    assert_eq!(peek(&blank(u32::MAX)), Peek::Garbage { damage: Damage::BadLength { len: -1 } });
    assert_eq!(peek(&[0, 0, 0, 0, 0, 0, 0, 1]), Peek::Garbage { damage: Damage::BadMagic { found: 1 } });
    assert_eq!(peek(&[0, 0, 0, 1, 0, 0, 0, 0]), Peek::Garbage { damage: Damage::BadMagic { found: 0 } });
}

#[test]
fn a_long_body_is_stored_from_the_message_itself() {
    let message = sample(4000);
    let mut encoded = encode(&message, &rules(Checksum::Record), Vec::new()).unwrap();
    let [head, body, tail] = encoded.stamp(LogOffset(0), QueueOffset(0), Timestamp(1));
    assert_eq!(body.as_ptr(), message.body.as_ptr());
    assert_eq!((head.len(), body.len()), (88, 4000));
    assert!(tail.ends_with(b"\x02"));
}

#[test]
fn a_buffer_is_used_again() {
    let (long, short) = (sample(400), sample(4000));
    let encoded = encode(&long, &rules(Checksum::Record), Vec::new()).unwrap();
    let buf = encoded.into_buf();
    let place = buf.as_ptr();
    let encoded = encode(&short, &rules(Checksum::Record), buf).unwrap();
    let buf = encoded.into_buf();
    assert_eq!(buf.as_ptr(), place);
}
