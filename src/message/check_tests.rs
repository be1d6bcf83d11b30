use super::*;
use crate::message::{Checksum, EncodeRules, Message, encode};
use crate::offset::QueueOffset;

/// A head is read in two ways, the quick one for what stands in nearly every record. They must not differ: the
/// quick one once let a record stand at a negative offset.
#[test]
fn the_quick_way_finds_what_the_slow_one_finds() {
    let rules = EncodeRules {
        store_host: "192.0.2.10:10911".parse().unwrap(),
        checksum: Checksum::Record,
        max_body_bytes: 4 << 20,
        born: Timestamp(1_700_000_000_000),
    };
    let (mut whole, mut broken) = (0, 0);
    for topic in ["t".to_owned(), "T".repeat(200)] {
        let message = Message::new(topic, "body of a few bytes").key("k");
        let mut encoded = encode(&message, &rules, Vec::new()).unwrap();
        let good = encoded.stamp(LogOffset(500), QueueOffset(7), Timestamp(1)).concat();
        for at in 0..good.len() {
            for edge in [0, 1, 0x7F, 0x80, 0xFF, good[at] ^ 1, good[at].wrapping_add(1)] {
                for width in [1, 2, 4, 8].into_iter().filter(|width| at + width <= good.len()) {
                    let mut bytes = good.clone();
                    bytes[at..at + width].fill(edge);
                    let place = LogOffset(u64::from_be_bytes(bytes[28..36].try_into().unwrap()));
                    let flags = SysFlags(i32::from_be_bytes(bytes[36..40].try_into().unwrap()));
                    if flags.has(SysFlags::BORN_HOST_V6) || flags.has(SysFlags::STORE_HOST_V6) {
                        continue;
                    }
                    let slow = parse(place, &bytes).ok();
                    assert_eq!(parse_plain(place, &bytes, ""), slow, "byte {at}, {width} of {edge:#x}");
                    *if slow.is_some() { &mut whole } else { &mut broken } += 1;
                }
            }
        }
    }
    assert!(whole > 1_000 && broken > 1_000, "{whole} whole, {broken} broken");
}
