//! Text kept in place.

/// Bytes that need neither an allocation nor a count of those who share them: two counts for each topic and each
/// set of properties were a sixth of what reading a record of 1 KiB cost.
///
/// Made and moved by words: a copy of a length that is not known goes through memory, and the next move waits until
/// that has arrived there, which cost as much again.
#[derive(Clone, Copy)]
pub(super) struct Short {
    words: [[u8; 8]; 4],
    len: u8,
}

impl Short {
    /// With the length and the tag of an enum, 40 bytes: no more than `Bytes` and a tag.
    pub(super) const MOST: usize = 32;

    /// These bytes, if they are few enough.
    #[inline(always)]
    pub(super) fn of(bytes: &[u8]) -> Option<Short> {
        if bytes.len() > Self::MOST {
            return None;
        }
        let at = |from: usize| word(bytes.get(from..).unwrap_or_default()).to_be_bytes();
        Some(Short { words: [at(0), at(8), at(16), at(24)], len: u8::try_from(bytes.len()).ok()? })
    }

    /// The bytes.
    #[inline]
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.words.as_flattened().get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// The first eight bytes, the first one uppermost; zeros behind them if there are fewer.
#[inline(always)]
fn word(bytes: &[u8]) -> u64 {
    if let Some(word) = bytes.first_chunk() {
        return u64::from_be_bytes(*word);
    }
    // The first four and the last four, which meet or lie over each other.
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let (first, last) = (u32::from_be_bytes(*first), u32::from_be_bytes(*last));
        return u64::from(first) << 32 | u64::from(last) << (64 - 8 * bytes.len());
    }
    bytes.iter().zip([56, 48, 40]).fold(0, |word, (byte, shift)| word | u64::from(*byte) << shift)
}

#[cfg(test)]
#[path = "short_tests.rs"]
mod tests;
