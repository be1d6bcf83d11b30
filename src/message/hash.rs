//! Java's `String.hashCode`, from which RocketMQ makes tag codes and index slots (spec 3.2, 4.4).

/// The hash of a text as Java computes it: over UTF-16 code units, in 32-bit arithmetic that wraps.
///
/// A character beyond U+FFFF counts as its two surrogates. Tag codes are this number, sign-extended (spec 3.2).
#[must_use]
pub fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0, |hash: i32, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

#[cfg(test)]
mod tests {
    use super::java_hash;

    #[test]
    fn texts_hash_as_in_java() {
        let expected = [
            ("", 0),
            ("a", 97),
            ("*", 42),
            ("TagA", 2_598_919),
            ("TagB", 2_598_920),
            ("order-created", -392_709_271),
            ("标签", 857_175),
            ("😀tag", 1_276_941_143),
            ("polygenelubricants", i32::MIN),
            ("T#jllgvmc", i32::MIN),
            ("TopicTest#order-1001", 1_043_804_929),
            ("TopicTest#C6336407D431000000000000000000AB", -1_233_811_031),
        ];
        for (text, hash) in expected {
            assert_eq!(java_hash(text), hash, "{text}");
        }
    }
}
