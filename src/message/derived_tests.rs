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
    let hex =
        derivable(b"TAGS\x01vip\x02").tag_code().to_be_bytes().map(|byte| format!("{byte:02X}")).join(" ");
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
