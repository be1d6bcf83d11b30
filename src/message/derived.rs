//! What queues and key index take from a record's properties, in one pass over the packed bytes.

use std::borrow::Cow;

use super::hash::java_hash;
use super::properties::{NAME_END, PAIR_END};
use super::text::java_text;

/// The properties that decide where a record is found. Each is what a RocketMQ broker reads (spec 2.5): `None` if
/// there is none or its value is empty, the last one where there are several.
///
/// ```
/// use sawlog::Message;
/// use sawlog::message::{derivable, java_hash};
///
/// let message = Message::new("orders", "paid").tag("vip").key("order-42").key("customer-7");
/// let found = derivable(message.properties.as_bytes());
/// assert_eq!(found.keys.as_deref(), Some("order-42 customer-7"));
/// assert_eq!(found.tag_code(), i64::from(java_hash("vip")));
/// assert_eq!((found.unique, found.delay), (None, None));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Derivable<'a> {
    /// The whole `TAGS` text.
    pub tags: Option<Cow<'a, str>>,
    /// The whole `KEYS` text: split at single spaces, and skip what is empty between two of them (spec 4.4).
    pub keys: Option<Cow<'a, str>>,
    /// The producer's own id, `UNIQ_KEY`; it is indexed as a key is.
    pub unique: Option<Cow<'a, str>>,
    /// The `DELAY` text: a level in decimal, if it is well-formed (spec 3.3).
    pub delay: Option<Cow<'a, str>>,
}

impl Derivable<'_> {
    /// What stands in the queue entry for the tag: the sign-extended hash of the whole `TAGS` text, several tags or
    /// not; 0 without one (spec 3.2).
    #[must_use]
    pub fn tag_code(&self) -> i64 {
        self.tags.as_deref().map_or(0, |tags| i64::from(java_hash(tags)))
    }
}

/// Looks through packed properties, well-formed or not. Allocates only for a value that is not UTF-8.
///
/// ```
/// use sawlog::message::derivable;
///
/// let found = derivable(b"TAGS\x01vip\x02KEYS\x01order-42"); // the last pair need not be terminated
/// assert_eq!(found.tags.as_deref(), Some("vip"));
/// assert_eq!(found.keys.as_deref(), Some("order-42"));
/// ```
#[must_use]
pub fn derivable(properties: &[u8]) -> Derivable<'_> {
    let mut found = Values::default();
    let (words, rest) = properties.as_chunks::<8>();
    let (mut from, mut at) = (0, 0);
    for word in words {
        let mut ends = pair_ends(u64::from_be_bytes(*word));
        while ends != 0 {
            let bit = ends.leading_zeros();
            ends ^= 1 << 63 >> bit;
            let end = at + (bit / 8) as usize;
            found.take(properties.get(from..end).unwrap_or_default());
            from = end + 1;
        }
        at += 8;
    }
    for (_, end) in rest.iter().zip(words.len() * 8..).filter(|(byte, _)| **byte == PAIR_END) {
        found.take(properties.get(from..end).unwrap_or_default());
        from = end + 1;
    }
    // The last pair need not be terminated (spec 2.5).
    found.take(properties.get(from..).unwrap_or_default());
    let Values { tags, keys, unique, delay } = found;
    Derivable {
        tags: tags.map(java_text),
        keys: keys.map(java_text),
        unique: unique.map(java_text),
        delay: delay.map(java_text),
    }
}

/// The values as they are stored.
#[derive(Default)]
struct Values<'a> {
    tags: Option<&'a [u8]>,
    keys: Option<&'a [u8]>,
    unique: Option<&'a [u8]>,
    delay: Option<&'a [u8]>,
}

impl<'a> Values<'a> {
    /// Takes one pair without its terminator. The name ends at the first 0x01 (spec 2.5), and none of the four holds
    /// one, so that a pair has the name if it begins with it and 0x01: nothing need be searched for.
    #[inline]
    fn take(&mut self, pair: &'a [u8]) {
        let (slot, value) = match pair {
            [b'T', b'A', b'G', b'S', NAME_END, value @ ..] => (&mut self.tags, value),
            [b'K', b'E', b'Y', b'S', NAME_END, value @ ..] => (&mut self.keys, value),
            [b'D', b'E', b'L', b'A', b'Y', NAME_END, value @ ..] => (&mut self.delay, value),
            [b'U', b'N', b'I', b'Q', b'_', b'K', b'E', b'Y', NAME_END, value @ ..] => {
                (&mut self.unique, value)
            }
            _ => return,
        };
        // A pair with an empty value is not there (H41), and leaves an earlier one standing.
        if !value.is_empty() {
            *slot = Some(value);
        }
    }
}

/// The top bit of each byte that ends a pair, the first byte uppermost. Eight bytes at once: a search byte by byte
/// takes twice as long as all the rest.
fn pair_ends(word: u64) -> u64 {
    const LOW_BITS: u64 = u64::from_be_bytes([0x7F; 8]);
    let differs = word ^ u64::from_be_bytes([PAIR_END; 8]);
    // A byte's top bit ends up set if any of its bits differs; no carry leaves a byte.
    !((differs & LOW_BITS).wrapping_add(LOW_BITS) | differs | LOW_BITS)
}

#[cfg(test)]
#[path = "derived_tests.rs"]
mod tests;
