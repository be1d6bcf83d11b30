//! Any bytes: judged without a panic; what is read from them is written again to the same bytes.
//!
//! The first byte chooses whether the record is moved to where it says it belongs (nearly all inputs would end at
//! that check otherwise), and whether its checksum is made right.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use sawlog::clock::Timestamp;
use sawlog::message::*;
use sawlog::{LogOffset, Record};

fuzz_target!(|input: &[u8]| {
    let Some((how, bytes)) = input.split_first() else { return };
    let Some(head) = bytes.first_chunk() else { return };
    let _ = peek(head);
    let mut bytes = bytes.to_vec();
    let mut at = LogOffset(0);
    if how & 1 != 0 && bytes.len() >= 36 {
        at = LogOffset(u64::from_be_bytes(bytes[28..36].try_into().unwrap()));
    }
    if how & 2 != 0 {
        mend(at, &mut bytes);
    }
    let bytes = Bytes::from(bytes);
    for verify in [Verify::Structure, Verify::Legacy, Verify::Ours] {
        let checked = check(at, &bytes, verify);
        let decoded = decode(at, bytes.clone(), verify);
        assert_eq!(checked.as_ref().err(), decoded.as_ref().err());
        let (Ok(head), Ok(record)) = (checked, decoded) else { continue };
        let _ = head.trailer();
        for (name, value) in record.message.properties.iter() {
            assert!(!name.is_empty() && !value.is_empty());
            assert!(record.message.properties.find(&name).is_some());
        }
        assert_eq!(record.message_id().to_string().parse(), Ok(record.message_id()));
        if verify != Verify::Structure {
            write_again(&record, &bytes, verify);
        }
    }
});

/// Makes a record checksum right that stands there, so that what lies behind it is reached.
fn mend(at: LogOffset, bytes: &mut [u8]) {
    let Ok(head) = check(at, bytes, Verify::Structure) else { return };
    if head.trailer() != Trailer::Wrong {
        return;
    }
    let end = head.record.len();
    let mut crc = crc(&head.record[..end - 20]);
    for digit in &mut bytes[end - 11..end - 1] {
        *digit = b'0' + u8::try_from(crc % 10).unwrap();
        crc /= 10;
    }
}

/// Thirty-one bits, bit by bit: slow, and not the crate's own.
fn crc(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ 0xEDB8_8320 * (crc & 1);
        }
    }
    !crc & 0x7FFF_FFFF
}

fn write_again(record: &Record, bytes: &[u8], verify: Verify) {
    let checksum = if verify == Verify::Ours { Checksum::Record } else { Checksum::Body };
    let rules =
        EncodeRules { store_host: record.store_host, checksum, max_body_bytes: 4 << 20, born: Timestamp(0) };
    // Some records that RocketMQ can hold we would not write, such as those with a slash in the topic.
    let Ok(mut encoded) = encode(&record.message, &rules, Vec::new()) else { return };
    let again = encoded.stamp(record.position.offset, record.queue_offset, record.stored).concat();
    let read = decode(record.position.offset, again.clone().into(), verify).unwrap();
    assert_eq!((&read.message.topic, &read.message.body), (&record.message.topic, &record.message.body));
    assert_eq!(read.stored, record.stored);
    if again.len() == record.position.len as usize && record.is_queued() && verify == Verify::Legacy {
        // All but the body checksum of an empty body, which RocketMQ does not look at.
        assert_eq!(again[12..], bytes[12..again.len()]);
    }
}
