//! The bytes of the mark, the frame and the ranges: every flipped bit is found, and no bytes do harm.

use proptest::prelude::*;

use super::mark;
use crate::checkpoint::fields::Fault;
use crate::checkpoint::mark::{Slot, choose, decode_slot, encode_slot};
use crate::checkpoint::whole_file::{Payload, WholeFile};
use crate::checkpoint::{Mark, Ranges, WriterId};
use crate::error::Damage;
use crate::offset::LogOffset;

const FRAME: WholeFile =
    WholeFile { name: "f", new_name: "f.new", magic: 0x0102_0304, version: 7, oldest: 5 };

fn payload(version: u32) -> Payload {
    Payload { version, bytes: b"some payload".to_vec() }
}

fn reseal(slot: &mut [u8]) {
    let crc = crc32fast::hash(&slot[..4092]).to_be_bytes();
    slot[4092..].copy_from_slice(&crc);
}

#[test]
fn every_flipped_bit_of_a_mark_slot_is_found() {
    let slot = encode_slot(&mark(9));
    assert_eq!(decode_slot(&slot), Slot::Whole(mark(9)));
    for bit in 0..slot.len() * 8 {
        let mut flipped = slot.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(decode_slot(&flipped), Slot::Bad, "bit {bit}");
    }
}

#[test]
fn a_mark_slot_torn_at_any_byte_is_bad() {
    let (old, new) = (encode_slot(&mark(9)), encode_slot(&Mark { durable: LogOffset(7), ..mark(11) }));
    let first_change = (0..4096).find(|i| old[*i] != new[*i]).unwrap();
    let last_change = (0..4096).rfind(|i| old[*i] != new[*i]).unwrap();
    for cut in first_change + 1..=last_change {
        let torn: Vec<u8> = new[..cut].iter().chain(&old[cut..]).copied().collect();
        assert_eq!(decode_slot(&torn), Slot::Bad, "torn at {cut}");
    }
}

#[test]
fn the_fields_of_a_mark_stand_where_the_format_document_says() {
    let slot = encode_slot(&mark(9));
    assert_eq!(slot[0..8], *b"SAWM\0\0\0\x02");
    assert_eq!(slot[8..16], 9u64.to_be_bytes());
    assert_eq!(slot[16..24], 0x0102_0304_0506_u64.to_be_bytes());
    assert_eq!(slot[24..32], (4u64 << 20).to_be_bytes());
    assert_eq!(slot[32..40], (1u64 << 30).to_be_bytes());
    assert_eq!(slot[40..48], 182u64.to_be_bytes());
    assert_eq!(slot[48..56], 0x0102_0304_0600_u64.to_be_bytes());
    assert_eq!(slot[56..72], [0xB0; 16]);
    assert_eq!(slot[72..88], [0x77; 16]);
    assert_eq!(slot[88..92], 2u32.to_be_bytes());
    assert_eq!(slot[92..100], 0x4000_0000_u64.to_be_bytes());
    assert!(slot[100..4092].iter().all(|b| *b == 0));
}

/// An open writes the mark that it found once more, to make it durable. Only the same bytes in the same place cannot
/// tear.
#[test]
fn a_mark_of_version_1_is_read_without_a_first_byte_and_written_as_it_was() {
    let old = Mark { first: None, ..mark(9) };
    let slot = encode_slot(&old);
    assert_eq!(slot[0..8], *b"SAWM\0\0\0\x01");
    assert!(slot[92..4092].iter().all(|b| *b == 0));
    assert_eq!(decode_slot(&slot), Slot::Whole(old));
    let zero = Mark { first: Some(LogOffset(0)), ..old };
    assert_eq!(decode_slot(&encode_slot(&zero)), Slot::Whole(zero), "0 is a first byte as any other");
}

#[test]
fn the_whole_slot_with_the_higher_generation_counts() {
    let whole = |generation| Slot::Whole(mark(generation));
    assert_eq!(choose(whole(4), whole(5)), Ok(Some((1, mark(5)))));
    assert_eq!(choose(whole(6), whole(5)), Ok(Some((0, mark(6)))));
    assert_eq!(choose(Slot::Bad, whole(5)), Ok(Some((1, mark(5)))));
    assert_eq!(choose(whole(4), Slot::Bad), Ok(Some((0, mark(4)))));
    assert_eq!(choose(whole(1), Slot::Blank), Ok(Some((0, mark(1)))));
    assert_eq!(choose(Slot::Blank, whole(2)), Ok(Some((1, mark(2)))));
}

#[test]
fn a_first_save_torn_by_a_power_cut_is_no_damage_and_two_bad_slots_are() {
    let damaged = Err(Fault::Damaged(Damage::BadChecksum));
    assert_eq!(choose(Slot::Blank, Slot::Blank), Ok(None));
    assert_eq!(choose(Slot::Bad, Slot::Blank), Ok(None));
    assert_eq!(choose(Slot::Bad, Slot::Bad), damaged);
    assert_eq!(choose(Slot::Blank, Slot::Bad), damaged);
}

#[test]
fn a_slot_of_a_newer_version_is_refused_and_not_taken_for_damage() {
    let mut slot = encode_slot(&mark(9));
    slot[7] = 4;
    reseal(&mut slot);
    assert_eq!(decode_slot(&slot), Slot::Newer(4));
    assert_eq!(choose(Slot::Whole(mark(1)), Slot::Newer(4)), Err(Fault::Newer(4)));
}

#[test]
fn a_sealed_slot_with_an_impossible_field_is_bad() {
    for (at, bytes) in [(88, [0, 0, 0, 0]), (88, [0, 0, 0, 4]), (8, [0xFF; 4]), (0, *b"MWAS")] {
        let mut slot = encode_slot(&mark(9));
        slot[at..at + 4].copy_from_slice(&bytes);
        reseal(&mut slot);
        assert_eq!(decode_slot(&slot), Slot::Bad, "field at {at}");
    }
    assert_eq!(decode_slot(&encode_slot(&mark(0))), Slot::Bad);
}

#[test]
fn a_writer_id_is_read_back_from_its_text_and_from_nothing_else() {
    let id = WriterId([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255]);
    assert_eq!(id.to_string(), "000102030405060708090a0b0c0d0eff");
    assert_eq!(WriterId::parse(&id.to_string()), Some(id));
    for bad in ["", "00", "+00102030405060708090a0b0c0d0eff", "g00102030405060708090a0b0c0d0eff"] {
        assert_eq!(WriterId::parse(bad), None, "{bad}");
    }
}

#[test]
fn every_flipped_bit_of_a_framed_file_is_found() {
    let whole = FRAME.frame(b"some payload");
    assert_eq!(FRAME.unframe(whole.clone()), Ok(payload(7)));
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(matches!(FRAME.unframe(flipped), Err(Fault::Damaged(_))), "bit {bit}");
    }
}

#[test]
fn a_framed_file_of_any_other_length_is_refused() {
    let whole = FRAME.frame(b"some payload");
    for len in 0..whole.len() {
        assert!(matches!(FRAME.unframe(whole[..len].to_vec()), Err(Fault::Damaged(_))), "{len} bytes");
    }
    let longer = [whole.as_slice(), &[0]].concat();
    assert!(matches!(FRAME.unframe(longer), Err(Fault::Damaged(Damage::BadSize { .. }))));
}

#[test]
fn a_framed_file_of_an_older_version_is_read_and_one_of_an_unknown_version_refused_as_such() {
    let of = |version| WholeFile { version, ..FRAME }.frame(b"some payload");
    for known in 5..=7 {
        assert_eq!(FRAME.unframe(of(known)), Ok(payload(known)));
    }
    for unknown in [0, 4, 8, u32::MAX] {
        assert_eq!(FRAME.unframe(of(unknown)), Err(Fault::Newer(unknown)));
    }
}

#[test]
fn a_length_field_with_an_edge_value_is_refused_before_anything_is_allocated() {
    for len in [0u64, 1, 11, 13, 1 << 30, u64::from(u32::MAX), u64::MAX >> 1, u64::MAX - 20, u64::MAX] {
        let mut bytes = FRAME.frame(b"some payload");
        bytes[8..16].copy_from_slice(&len.to_be_bytes());
        let crc_at = bytes.len() - 4;
        let crc = crc32fast::hash(&bytes[..crc_at]).to_be_bytes();
        bytes[crc_at..].copy_from_slice(&crc);
        assert!(matches!(FRAME.unframe(bytes), Err(Fault::Damaged(Damage::BadSize { .. }))), "{len}");
    }
}

#[test]
fn a_count_with_an_edge_value_is_refused_before_anything_is_allocated() {
    for count in [1u32, 2, 1 << 16, u32::MAX >> 1, u32::MAX] {
        let ranges = count.to_be_bytes();
        assert!(matches!(Ranges::decode(&ranges), Err(Fault::Damaged(_))), "{count}");
    }
}

fn list(ranges: &Ranges) -> Vec<(u64, u64)> {
    ranges.iter().map(|(from, to)| (from.0, to.0)).collect()
}

#[test]
fn a_range_opens_closes_and_grows_on_where_it_ended() {
    let mut ranges = Ranges::default();
    ranges.close_at(LogOffset(5));
    assert_eq!(list(&ranges), []);
    ranges.open_at(LogOffset(100));
    ranges.open_at(LogOffset(150));
    assert_eq!(list(&ranges), [(100, u64::MAX)], "opening twice changes nothing");
    ranges.close_at(LogOffset(200));
    ranges.close_at(LogOffset(150));
    assert_eq!(list(&ranges), [(100, 200)], "what is closed stays as it is");
    ranges.open_at(LogOffset(200));
    assert_eq!(list(&ranges), [(100, u64::MAX)], "neighbours are one");
    ranges.close_at(LogOffset(200));
    ranges.open_at(LogOffset(300));
    assert_eq!(list(&ranges), [(100, 200), (300, u64::MAX)]);
    ranges.close_at(LogOffset(300));
    assert_eq!(list(&ranges), [(100, 200)], "an empty range is none");
    ranges.cut(LogOffset(150));
    assert_eq!(list(&ranges), [(100, 150)]);
    ranges.cut(LogOffset(100));
    assert_eq!(list(&ranges), []);
}

#[test]
fn ranges_that_we_never_write_are_refused() {
    let encoded = |list: &[(u64, u64)]| {
        let mut bytes = u32::try_from(list.len()).unwrap().to_be_bytes().to_vec();
        list.iter().for_each(|(a, b)| bytes.extend([a.to_be_bytes(), b.to_be_bytes()].concat()));
        bytes
    };
    assert!(Ranges::decode(&encoded(&[(1, 2), (3, u64::MAX)])).is_ok());
    for bad in
        [[(1, 1), (3, 4)], [(3, 4), (1, 2)], [(1, 3), (2, 4)], [(1, 2), (2, 3)], [(1, u64::MAX), (5, 6)]]
    {
        assert!(matches!(Ranges::decode(&encoded(&bad)), Err(Fault::Damaged(_))), "{bad:?}");
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Open(usize),
    Close(usize),
    Cut(usize),
}

fn place(at: usize) -> LogOffset {
    LogOffset(u64::try_from(at).unwrap())
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let at = 0usize..40;
    let step = prop_oneof![
        at.clone().prop_map(Step::Open),
        at.clone().prop_map(Step::Close),
        at.prop_map(Step::Cut)
    ];
    prop::collection::vec(step, 0..30)
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_read_and_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_slot(&bytes);
        let _ = FRAME.unframe(bytes.clone());
        if let Ok(ranges) = Ranges::decode(&bytes) {
            prop_assert_eq!(ranges.encode(), bytes);
        }
    }

    /// Held against a model that knows of each place on its own whether it is ours; the last stands for all beyond.
    #[test]
    fn ranges_say_of_every_place_what_the_steps_made_of_it(steps in steps()) {
        let (mut ranges, mut model) = (Ranges::default(), [false; 50]);
        for step in steps {
            match step {
                Step::Open(at) => { ranges.open_at(place(at)); model[at..].fill(true); }
                Step::Cut(at) => { ranges.cut(place(at)); model[at..].fill(false); }
                Step::Close(at) => {
                    ranges.close_at(place(at));
                    if model[49] { model[at..].fill(false); }
                }
            }
            for (at, ours) in model.iter().enumerate() {
                prop_assert_eq!(ranges.contains(place(at)), *ours, "place {}", at);
            }
            prop_assert_eq!(Ranges::decode(&ranges.encode()), Ok(ranges.clone()));
        }
    }
}
