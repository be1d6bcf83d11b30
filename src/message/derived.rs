//! What queues and key index take from a record's properties, in one pass over the packed bytes.

use std::borrow::Cow;

use super::hash::java_hash;
use super::properties::{NAME_END, PAIR_END};
use super::text::java_text;

/// The properties that decide where a record is found. Each is what a RocketMQ broker reads (spec 2.5): `None` if
/// there is none or its value is empty, the last one where there are several.
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
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::message::{Properties, names};

    #[test]
    fn the_four_are_found_among_others_without_a_copy() {
        let bytes =
            b"UNIQ_KEY\x01C6336407\x02KEYS\x01order-1 order-2\x02WAIT\x01true\x02TAGS\x01TagA\x02DELAY\x013";
        let found = derivable(bytes);
        let all = [&found.unique, &found.keys, &found.tags, &found.delay];
        for (value, expected) in all.into_iter().zip(["C6336407", "order-1 order-2", "TagA", "3"]) {
            assert!(matches!(value, Some(Cow::Borrowed(text)) if *text == expected), "{value:?}");
        }
        assert_eq!(derivable(b""), Derivable::default());
    }

    #[test]
    fn tag_codes_are_those_of_the_worked_example() {
        let code = |tags: &str| derivable(format!("TAGS\u{1}{tags}\u{2}").as_bytes()).tag_code();
        assert_eq!(code("TagA").to_be_bytes(), [0, 0, 0, 0, 0, 0x27, 0xA8, 0x07]);
        assert_eq!(code("order-created").to_be_bytes(), [0xFF, 0xFF, 0xFF, 0xFF, 0xE8, 0x97, 0xBB, 0x69]);
        assert_eq!(code("TagA || TagB"), i64::from(java_hash("TagA || TagB")), "the whole text");
        assert_eq!(code(""), 0);
        assert_eq!(derivable(b"KEYS\x01a\x02").tag_code(), 0);
        // A tag whose bytes are no text is hashed as the text that Java reads (spec 3.2).
        assert_eq!(derivable(b"TAGS\x01a\xED\xA0\x80").tag_code(), i64::from(java_hash("a\u{FFFD}")));
    }

    #[test]
    fn the_tag_code_in_the_format_document_is_that_of_its_example() {
        let hex = derivable(b"TAGS\x01vip\x02")
            .tag_code()
            .to_be_bytes()
            .map(|byte| format!("{byte:02X}"))
            .join(" ");
        assert!(include_str!("../../FORMAT.md").contains(&hex), "FORMAT.md lacks {hex}");
    }

    #[test]
    fn the_later_of_two_counts_and_what_is_empty_does_not() {
        assert_eq!(derivable(b"TAGS\x01a\x02TAGS\x01b\x02").tags.unwrap(), "b");
        assert_eq!(derivable(b"TAGS\x01a\x02TAGS\x01\x02").tags.unwrap(), "a");
        assert_eq!(derivable(b"TAGS\x01\x01b\x02").tags.unwrap(), "\u{1}b");
        for none in
            [b"TAGS".as_slice(), b"TAGS\x02", b"TAGS\x01", b"\x01TAGS\x01b\x02", b"tags\x01b", b"XTAGS\x01b"]
        {
            assert_eq!(derivable(none), Derivable::default(), "{none:?}");
        }
    }

    /// Bytes that meet the rules of packing more often than chance would.
    fn packed() -> impl Strategy<Value = Vec<u8>> {
        let word = prop_oneof![
            3 => Just(b"TAGS".to_vec()),
            2 => Just(b"KEYS".to_vec()),
            2 => Just(b"UNIQ_KEY".to_vec()),
            2 => Just(b"DELAY".to_vec()),
            6 => Just(vec![1]),
            6 => Just(vec![2]),
            1 => Just(b"\xED\xA0\x80".to_vec()),
            2 => prop::collection::vec(any::<u8>(), 0..6),
        ];
        prop::collection::vec(word, 0..30).prop_map(|words| words.concat())
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_the_properties_say(bytes in packed()) {
            let properties = Properties::from_raw(Bytes::from(bytes.clone()));
            let found = derivable(&bytes);
            prop_assert_eq!(&found.tags, &properties.find(names::TAGS));
            prop_assert_eq!(&found.keys, &properties.find(names::KEYS));
            prop_assert_eq!(&found.unique, &properties.find(names::UNIQ_KEY));
            prop_assert_eq!(&found.delay, &properties.find(names::DELAY));
        }

        /// Java's own order of doing things: first the text of all the bytes, then the pairs in it (spec 2.5).
        #[test]
        fn what_is_found_is_what_java_reads(bytes in packed()) {
            let text = java_text(&bytes);
            let mut map = std::collections::HashMap::new();
            for chunk in text.split('\u{2}').filter(|chunk| chunk.chars().count() >= 3) {
                if let Some(at) = chunk.find('\u{1}').filter(|at| *at != 0 && at + 1 != chunk.len()) {
                    map.insert(&chunk[..at], &chunk[at + 1..]);
                }
            }
            let found = derivable(&bytes);
            prop_assert_eq!(found.tags.as_deref(), map.get("TAGS").copied());
            prop_assert_eq!(found.keys.as_deref(), map.get("KEYS").copied());
            prop_assert_eq!(found.unique.as_deref(), map.get("UNIQ_KEY").copied());
            prop_assert_eq!(found.delay.as_deref(), map.get("DELAY").copied());
        }
    }
}
