//! Text as RocketMQ reads it: UTF-8, and for what is none the replacement characters that Java puts there.

use std::borrow::Cow;

/// The text of stored bytes; what is no UTF-8 becomes U+FFFD (spec 2.5, 3.2).
///
/// Tag codes and index slots are hashes of the text, so the number of replacements counts. Java replaces, as Rust
/// does, each longest beginning of a character; but a surrogate written in three bytes (`ED A0 80` to `ED BF BF`, or
/// its first two bytes) is one replacement in Java and one for each byte in Rust. Borrowed if the bytes are UTF-8.
pub(super) fn java_text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(replaced(bytes)),
    }
}

#[cold]
fn replaced(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    // How many bytes of a surrogate stand just before this place: Java has replaced them already.
    let mut of_surrogate = 0;
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.valid().is_empty() {
            of_surrogate = 0;
        }
        of_surrogate = match (of_surrogate, chunk.invalid()) {
            (1, [0xA0..=0xBF]) => 2,
            (2, [0x80..=0xBF]) => 0,
            // The end of the bytes.
            (_, []) => 0,
            (_, invalid) => {
                text.push(char::REPLACEMENT_CHARACTER);
                usize::from(*invalid == [0xED])
            }
        };
    }
    text
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
