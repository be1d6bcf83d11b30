//! The two checksums of a record: the body's (spec 2.6), and the whole record's in its last twenty bytes (spec 2.7).
//!
//! Both are CRC-32 as in zlib with the top bit cleared.

use crc32fast::Hasher;

use super::polynomial::{product, x_to_the_8};

/// The checksum bits that are stored: RocketMQ clears the sign.
const STORED_BITS: u32 = 0x7FFF_FFFF;

/// The trailer before its digits: a property's name and the byte that ends it.
pub(super) const TRAILER_HEAD: &[u8; 9] = b"__CRC32#\x01";
/// The trailer with digits that are yet to come.
pub(super) const BLANK_TRAILER: &[u8; TRAILER_BYTES as usize] = b"__CRC32#\x010000000000\x02";
/// Its name as a property.
pub(super) const TRAILER_NAME: &str = super::names::CRC32;
/// Length of the trailer: head, ten digits, terminator. It is counted in the properties' length.
pub(super) const TRAILER_BYTES: u32 = 20;
/// Where its digits begin, from the end of the record.
const DIGITS_FROM_END: usize = 11;

/// CRC-32 as it is stored.
#[must_use]
pub(super) fn stored_crc(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes) & STORED_BITS
}

/// Ten decimal digits, the least significant first (spec 2.7).
#[must_use]
pub(super) fn digits(mut crc: u32) -> [u8; 10] {
    let mut out = [b'0'; 10];
    for digit in &mut out {
        // At most 9: it fits.
        *digit = b'0' | u8::try_from(crc % 10).unwrap_or_default();
        crc /= 10;
    }
    out
}

/// The digits of the trailer that ends these properties, if one does.
#[inline]
pub(super) fn trailer_digits(properties: &[u8]) -> Option<&[u8; 10]> {
    let trailer = properties.last_chunk::<{ TRAILER_BYTES as usize }>()?;
    let (digits, end) = trailer.strip_prefix(TRAILER_HEAD)?.split_first_chunk()?;
    (end == [0x02]).then_some(digits)
}

/// Whether these digits are the checksum of a record that ends in their trailer. Costs one pass over the record.
#[inline]
pub(super) fn digits_fit(record: &[u8], found: &[u8; 10]) -> bool {
    let covered = record.len().saturating_sub(TRAILER_BYTES as usize);
    record.get(..covered).is_some_and(|covered| number(found) == Some(stored_crc(covered).into()))
}

/// The number that these digits are, if they are digits. Cheaper than the digits of the number, and it does not wait
/// for the checksum.
#[inline]
fn number(digits: &[u8; 10]) -> Option<u64> {
    let mut number = 0;
    let mut are_digits = true;
    for digit in digits.iter().rev() {
        let value = digit.wrapping_sub(b'0');
        are_digits &= value < 10;
        number = number * 10 + u64::from(value);
    }
    are_digits.then_some(number)
}

/// Writes the digits into the trailer that ends `record`.
pub(super) fn put_digits(record: &mut [u8], crc: u32) {
    let at = record.len().saturating_sub(DIGITS_FROM_END);
    if let Some(slot) = record.get_mut(at..).and_then(|end| end.first_chunk_mut()) {
        *slot = digits(crc & STORED_BITS);
    }
}

/// What is known of a record's checksum before its last fields are: the checksum of all that follows its head.
///
/// The append lock is held while the fields are filled in, so the one pass over body and properties is done before
/// it, and joined to the head's checksum inside: some 20 ns whatever the body's length, where a pass over the whole
/// takes 50 ns for 1 KiB and 200 µs for 4 MiB.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tail {
    crc: u32,
    shift: u32,
}

impl Tail {
    /// The tail of `len` bytes with the checksum `crc` (all 32 bits).
    pub(super) fn new(len: u32, crc: u32) -> Tail {
        Tail { crc, shift: x_to_the_8(len) }
    }

    /// The checksum of head and tail together.
    pub(super) fn join(self, head: &[u8]) -> u32 {
        product(crc32fast::hash(head), self.shift) ^ self.crc
    }
}

/// The checksum of `body`, which becomes that of the tail when the rest of the tail is added.
#[must_use]
pub(super) fn body_hasher(body: &[u8]) -> (u32, Hasher) {
    let mut hasher = Hasher::new();
    hasher.update(body);
    (hasher.clone().finalize() & STORED_BITS, hasher)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_lose_their_top_bit() {
        let expected: [(&[u8], u32, u32); 5] = [
            (b"", 0, 0),
            (b"a", 0xE8B7_BE43, 0x68B7_BE43),
            (b"123456789", 0xCBF4_3926, 0x4BF4_3926),
            (b"Hello RocketMQ", 0x69C8_65ED, 0x69C8_65ED),
            (&[0; 32], 0x190A_55AD, 0x190A_55AD),
        ];
        for (bytes, whole, stored) in expected {
            assert_eq!(crc32fast::hash(bytes), whole);
            assert_eq!(stored_crc(bytes), stored);
            assert_eq!(body_hasher(bytes).0, stored);
        }
    }

    #[test]
    fn digits_stand_with_the_least_first() {
        assert_eq!(&digits(719_541_360), b"0631459170");
        assert_eq!(&digits(0), b"0000000000");
        assert_eq!(&digits(STORED_BITS), b"7463847412");
        for crc in [0, 9, 10, 719_541_360, STORED_BITS] {
            assert_eq!(number(&digits(crc)), Some(crc.into()));
        }
        assert_eq!(number(b"9999999999"), Some(9_999_999_999), "no checksum, and no overflow");
        for none in [b"063145917 ", b"/000000000", b":000000000", b"\xFF000000000"] {
            assert_eq!(number(none), None);
        }
    }

    #[test]
    fn joined_checksums_equal_the_checksum_of_the_whole() {
        let bytes: Vec<u8> = (0..100_000_u32).map(|n| n.wrapping_mul(n).to_be_bytes()[2]).collect();
        for (at, len) in [(88, 1), (88, 4), (112, 99_888), (0, 17), (50_000, 0), (1, 65_536), (88, 1023)] {
            let whole = &bytes[..at + len];
            let tail = Tail::new(u32::try_from(len).unwrap(), crc32fast::hash(&whole[at..]));
            assert_eq!(tail.join(&whole[..at]), crc32fast::hash(whole), "{at} + {len}");
        }
    }

    #[test]
    fn a_trailer_is_known_by_its_name_and_its_end() {
        assert_eq!(trailer_digits(b"__CRC32#\x010631459170\x02"), Some(b"0631459170"));
        assert_eq!(trailer_digits(b"a\x01b\x02__CRC32#\x010631459170\x02"), Some(b"0631459170"));
        for none in
            [&b""[..], b"__CRC32#\x010631459170", b"__CRC32#\x020631459170\x02", b"_CRC32#\x010631459170\x02"]
        {
            assert_eq!(trailer_digits(none), None);
        }
    }
}
