//! Bytes that the 5.3.3 store classes were seen to write (spec 16, appendix A), byte for byte.

use std::net::SocketAddr;

use bytes::Bytes;
use sawlog::clock::Timestamp;
use sawlog::message::*;
use sawlog::{Damage, LogOffset, QueueOffset};

const M1: &str = "
    000000B6DAA320A769C865ED0000000000000000000000000000000000000000
    00000000000000000000018BCFE56800C63364070000D4310000018BCFE5687B
    C000020A00002A9F0000000000000000000000000000000E48656C6C6F20526F
    636B65744D5109546F7069635465737400444B455953016F726465722D313030
    310254414753015461674102554E49515F4B4559014336333336343037443433
    31303030303030303030303030303030303030414202";

const M2: &str = "
    000000B7DAA320A7361F11690000000000000000000000000000000100000000
    000000B6000000000000018BCFE56800C63364070000D4310000018BCFE5723F
    C000020A00002A9F000000000000000000000000000000067365636F6E640954
    6F70696354657374004D4B455953016F726465722D313030310254414753016F
    726465722D6372656174656402554E49515F4B45590143363333363430374434
    3331303030303030303030303030303030303030414302";

const BORN: Timestamp = Timestamp(1_700_000_000_000);

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> =
        text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16).unwrap()).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

fn host(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn rules(checksum: Checksum) -> EncodeRules {
    EncodeRules { store_host: host("192.0.2.10:10911"), checksum, max_body_bytes: 4 << 20, born: BORN }
}

fn m1() -> Message {
    Message::new("TopicTest", "Hello RocketMQ")
        .key("order-1001")
        .tag("TagA")
        .unique_key("C6336407D431000000000000000000AB")
        .born_host(host("198.51.100.7:54321"))
}

fn written(message: &Message, checksum: Checksum, at: u64, queue: u64, stored: i64) -> Vec<u8> {
    let mut encoded = encode(message, &rules(checksum), Vec::new()).unwrap();
    encoded.stamp(LogOffset(at), QueueOffset(queue), Timestamp(stored)).concat()
}

#[test]
fn the_first_example_is_written_and_read_byte_for_byte() {
    let bytes = written(&m1(), Checksum::Body, 0, 0, 1_700_000_000_123);
    assert_eq!(bytes, unhex(M1));
    let record = decode(LogOffset(0), bytes.into(), Verify::Legacy).unwrap();
    assert_eq!(record.position.len, 182);
    assert_eq!(record.body_crc, 0x69C8_65ED);
    assert_eq!(record.message.born, Some(BORN));
    assert_eq!(record.message.born_host, host("198.51.100.7:54321"));
    assert_eq!(record.message.keys().unwrap(), "order-1001");
    assert_eq!(java_hash(&record.message.tags().unwrap()), 2_598_919);
}

#[test]
fn the_second_example_is_written_and_read_byte_for_byte() {
    let message = Message::new("TopicTest", "second")
        .key("order-1001")
        .tag("order-created")
        .unique_key("C6336407D431000000000000000000AC")
        .born(BORN)
        .born_host(host("198.51.100.7:54321"));
    let bytes = written(&message, Checksum::Body, 182, 1, 1_700_000_002_623);
    assert_eq!(bytes, unhex(M2));
    let record = decode(LogOffset(182), bytes.into(), Verify::Legacy).unwrap();
    assert_eq!(record.body_crc, 0x361F_1169);
    assert_eq!(record.message_id().to_string(), "C000020A00002A9F00000000000000B6");
    assert_eq!(record.message_id(), "C000020A00002A9F00000000000000B6".parse().unwrap());
    assert_eq!(java_hash(&record.message.tags().unwrap()), -392_709_271);
}

#[test]
fn the_record_checksum_is_the_one_that_rocketmq_writes() {
    // The first example, put again with another queue, flag and reconsume count (spec 16.5).
    let message = m1().queue(3).flag(5).reconsume_times(2);
    let bytes = written(&message, Checksum::Record, 0, 0, 1_700_000_000_123);
    assert_eq!(bytes.len(), 202);
    assert_eq!(bytes[112..114], [0, 88]);
    assert_eq!(&bytes[182..], b"__CRC32#\x010631459170\x02");
    let head = check(LogOffset(0), &bytes, Verify::Ours).unwrap();
    assert_eq!(head.trailer(), Trailer::Right);
}

#[test]
fn a_trailer_is_set_apart_by_a_separator_only_where_one_is_missing() {
    for (raw, stored) in
        [("", ""), ("a\u{1}b\u{2}", "a\u{1}b\u{2}"), ("a\u{1}b", "a\u{1}b\u{2}"), ("?", "?\u{2}")]
    {
        let message = Message::new("t", "x").raw_properties(Bytes::from_static(raw.as_bytes()));
        let bytes = written(&message, Checksum::Record, 0, 0, 1);
        let head = check(LogOffset(0), &bytes, Verify::Ours).unwrap();
        assert_eq!(head.properties.len(), stored.len() + 20);
        assert_eq!(&head.properties[..stored.len()], stored.as_bytes());
    }
}

#[test]
fn older_checksums_are_dropped_wherever_they_stand() {
    for raw in [
        "__CRC32#\u{1}0123456789\u{2}a\u{1}b\u{2}",
        "a\u{1}b\u{2}__CRC32#\u{1}0123456789",
        "__CRC32#\u{1}1\u{2}a\u{1}b\u{2}__CRC32#\u{1}\u{2}",
        "__CRC32#\u{1}1\u{2}a\u{1}b",
    ] {
        let message = Message::new("t", "x").raw_properties(Bytes::from_static(raw.as_bytes()));
        let bytes = written(&message, Checksum::Record, 0, 0, 1);
        let head = check(LogOffset(0), &bytes, Verify::Ours).unwrap();
        assert_eq!(&head.properties[..head.properties.len() - 20], b"a\x01b\x02", "{raw:?}");
        // Without a trailer of ours, what was given is kept as it is.
        let bytes = written(&message, Checksum::Body, 0, 0, 1);
        assert_eq!(check(LogOffset(0), &bytes, Verify::Legacy).unwrap().properties, raw.as_bytes());
    }
}

#[test]
fn a_version_2_record_has_two_bytes_of_topic_length() {
    let topic = format!("%RETRY%{}", "g".repeat(123));
    let bytes = written(&Message::new(topic.as_str(), "b").queue(1), Checksum::Body, 7, 2, 1);
    let mut expected = unhex(
        "000000DF DAA320AB 00000000 00000001 00000000 0000000000000002 0000000000000007 00000000
         0000018BCFE56800 7F000001 00000000 0000000000000001 C000020A 00002A9F 00000000
         0000000000000000 00000001 62 0082",
    );
    expected[8..12].copy_from_slice(&0x71BE_EFF9_u32.to_be_bytes());
    expected.extend_from_slice(topic.as_bytes());
    expected.extend_from_slice(&[0, 0]);
    assert_eq!(expected.len(), 223);
    assert_eq!(bytes, expected);
    assert_eq!(check(LogOffset(7), &bytes, Verify::Legacy).unwrap().topic, topic);
}

#[test]
fn ipv6_hosts_take_twenty_bytes_each() {
    let message = Message::new("t", "b").born_host(host("[2001:db8::1]:1"));
    let v6 = EncodeRules { store_host: host("[2001:db8::10]:10911"), ..rules(Checksum::Body) };
    let mut encoded = encode(&message, &v6, Vec::new()).unwrap();
    let bytes = encoded.stamp(LogOffset(0), QueueOffset(0), Timestamp(0x0102_0304_0506_0708)).concat();
    let expected = unhex(
        "00000075 DAA320A7 71BEEFF9 00000000 00000000 0000000000000000 0000000000000000 00000030
         0000018BCFE56800 20010DB8000000000000000000000001 00000001 0102030405060708
         20010DB8000000000000000000000010 00002A9F 00000000 0000000000000000 00000001 62 01 74 0000",
    );
    assert_eq!(bytes, expected);
    let record = decode(LogOffset(0), expected.into(), Verify::Legacy).unwrap();
    assert_eq!(record.message.born_host, host("[2001:db8::1]:1"));
    assert_eq!(record.message_id().to_string(), "20010DB800000000000000000000001000002A9F0000000000000000");

    // Each host has its own family.
    let mut encoded = encode(&message, &rules(Checksum::Record), Vec::new()).unwrap();
    let bytes = encoded.stamp(LogOffset(0), QueueOffset(0), Timestamp(5)).concat();
    let head = check(LogOffset(0), &bytes, Verify::Ours).unwrap();
    assert_eq!(
        (head.sys_flags, head.stored, head.store_host),
        (SysFlags(0x10), Timestamp(5), rules(Checksum::Body).store_host)
    );
}

#[test]
fn the_end_of_a_segment_is_eight_bytes() {
    assert_eq!(blank(58).to_vec(), unhex("0000003ACBD43194"));
    assert_eq!(peek(&blank(58)), Peek::Blank { len: 58 });
    let damage = check(LogOffset(0), &blank(8), Verify::Structure).unwrap_err();
    assert_eq!(damage, Damage::BadMagic { found: 0xCBD4_3194 });
}
