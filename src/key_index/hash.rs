//! The number under which a key is filed: Java's hash of `topic#key`, made without building that text (spec 4.4).

/// The hash of `topic#`: it is the same for all keys of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TopicHash(i32);

impl TopicHash {
    pub(crate) fn of(topic: &str) -> TopicHash {
        TopicHash(go_on(go_on(0, topic), "#"))
    }

    /// The absolute value of the hash of `topic#key`; 0 where Java has none, for −2³¹ (H29).
    pub(crate) fn key(self, key: &str) -> u32 {
        go_on(self.0, key).checked_abs().map_or(0, i32::unsigned_abs)
    }
}

/// `String.hashCode` over UTF-16 code units, taken up where it stood.
fn go_on(hash: i32, text: &str) -> i32 {
    text.encode_utf16().fold(hash, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

#[cfg(test)]
#[path = "hash_tests.rs"]
mod tests;
