//! Java's `String.hashCode`, from which RocketMQ makes tag codes and index slots (spec 3.2, 4.4).

/// The hash of a text as Java computes it: over UTF-16 code units, in 32-bit arithmetic that wraps.
///
/// A character beyond U+FFFF counts as its two surrogates. Tag codes are this number, sign-extended (spec 3.2).
///
/// ```
/// use sawlog::message::java_hash;
///
/// assert_eq!(java_hash("TagA"), 2_598_919); // "TagA".hashCode()
/// ```
#[must_use]
pub fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0, |hash: i32, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

#[cfg(test)]
#[path = "hash_tests.rs"]
mod tests;
