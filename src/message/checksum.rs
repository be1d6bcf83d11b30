//! The two checksums of a record: the body's (spec 2.6), and the whole record's in its last twenty bytes (spec 2.7).
//!
//! Both are CRC-32 as in zlib with the top bit cleared.

use std::cell::Cell;
use std::sync::LazyLock;

use crc32fast::Hasher;

use super::polynomial::{ONE, product, x_to_the_8};

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

/// A checksum of nothing yet. A copy: a new one asks first what the processor can do, which takes 37 instructions, and
/// an append needs two.
fn hasher() -> Hasher {
    static NEW: LazyLock<Hasher> = LazyLock::new(Hasher::new);
    NEW.clone()
}

/// CRC-32, all 32 bits of it.
#[must_use]
pub(super) fn crc(bytes: &[u8]) -> u32 {
    let mut hasher = hasher();
    hasher.update(bytes);
    hasher.finalize()
}

/// CRC-32 as it is stored.
#[must_use]
pub(super) fn stored_crc(bytes: &[u8]) -> u32 {
    crc(bytes) & STORED_BITS
}

/// Two decimal digits of each number below 100, the least significant first.
#[expect(clippy::indexing_slicing, reason = "the compiler runs it: an index out of range would not build")]
#[expect(clippy::cast_possible_truncation, reason = "digits are below 10")]
static PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number % 10) as u8, b'0' + (number / 10) as u8];
        number += 1;
    }
    pairs
};

/// Ten decimal digits, the least significant first (spec 2.7). Two at a time, from both halves of the number: this runs
/// inside the append lock, and each division waits for the one before.
#[must_use]
pub(super) fn digits(crc: u32) -> [u8; 10] {
    let pair = |number: u32| PAIRS.get((number % 100) as usize).copied().unwrap_or([b'0'; 2]);
    let (low, high) = (crc % 10_000, crc / 10_000);
    let ([a, b], [c, d]) = (pair(low), pair(low / 100));
    let ([e, f], [g, h], [i, j]) = (pair(high), pair(high / 100), pair(high / 10_000));
    [a, b, c, d, e, f, g, h, i, j]
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
        thread_local! {
            /// The length of this thread's last tail, and its power: the next one's is often the same.
            static LAST: Cell<(u32, u32)> = const { Cell::new((0, ONE)) };
        }
        let (known, mut shift) = LAST.get();
        if known != len {
            shift = x_to_the_8(len);
            LAST.set((len, shift));
        }
        Tail { crc, shift }
    }

    /// The checksum of head and tail together.
    pub(super) fn join(self, head: &[u8]) -> u32 {
        product(crc(head), self.shift) ^ self.crc
    }
}

/// The checksum of `body`, which becomes that of the tail when the rest of the tail is added.
#[must_use]
pub(super) fn body_hasher(body: &[u8]) -> (u32, Hasher) {
    let mut hasher = hasher();
    hasher.update(body);
    (hasher.clone().finalize() & STORED_BITS, hasher)
}

#[cfg(test)]
#[path = "checksum_tests.rs"]
mod tests;
