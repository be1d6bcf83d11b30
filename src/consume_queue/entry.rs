//! The 20 bytes that stand for one message of a queue, and the blank that stands for none (spec 3.1, 3.4).
//!
//! ```text
//! 0   place of the record in the log   i64
//! 8   length of the record in bytes    i32
//! 12  tag: what consumers filter by    i64
//! ```

use crate::offset::LogOffset;

/// The length of an entry in its file, in bytes.
pub(crate) const ENTRY_BYTES: u64 = 20;

/// What fills the positions of a queue that have no message: place 0, length `i32::MAX`, tag 0 (spec 3.4, 16.5). No
/// record is that long, so it is never taken for an entry (spec H12, H13).
pub(crate) const BLANK: [u8; 20] = [0, 0, 0, 0, 0, 0, 0, 0, 0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0];

/// Where the message at one position of a queue lies in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The first byte of its record.
    pub(crate) at: LogOffset,
    /// The whole record's length in bytes: `1 .. i32::MAX`, the latter left out because it marks a blank.
    pub(crate) len: u32,
    /// The tag's hash with its sign, or, in the delay topic, when to deliver, in milliseconds (spec 3.2, 3.3).
    pub(crate) tag: i64,
}

impl Entry {
    /// Stands for bytes that are none of what may stand within a queue: neither an entry nor a blank. Whoever looks
    /// for its record is told that there is none; taken for a blank they would hide a message without a word.
    pub(crate) const UNREADABLE: Entry = Entry { at: LogOffset::MAX, len: 1, tag: 0 };

    /// What stands at a position within a queue; `None` if there is no message.
    pub(crate) fn within_queue(bytes: &[u8; 20]) -> Option<Entry> {
        if *bytes == BLANK { None } else { Entry::decode(bytes).or(Some(Entry::UNREADABLE)) }
    }

    /// Whether the bytes were an entry's. No record begins at the last place of the log that has a number.
    pub(crate) fn is_readable(self) -> bool {
        self.at != LogOffset::MAX
    }

    /// The bytes as they stand in the file.
    pub(crate) fn encode(self) -> [u8; 20] {
        let mut bytes = [0; 20];
        let (at, rest) = bytes.split_at_mut(8);
        let (len, tag) = rest.split_at_mut(4);
        at.copy_from_slice(&self.at.0.to_be_bytes());
        len.copy_from_slice(&self.len.to_be_bytes());
        tag.copy_from_slice(&self.tag.to_be_bytes());
        bytes
    }

    /// The entry that these bytes are; `None` if they are unwritten, a blank, or nothing that an entry can be.
    pub(crate) fn decode(bytes: &[u8; 20]) -> Option<Entry> {
        let (at, rest) = bytes.split_first_chunk::<8>()?;
        let (len, tag) = rest.split_first_chunk::<4>()?;
        let at = LogOffset(u64::from_be_bytes(*at));
        let len = u32::from_be_bytes(*len);
        let tag = i64::from_be_bytes(*tag.first_chunk::<8>()?);
        Some(Entry { at, len, tag }).filter(|entry| entry.is_sound())
    }

    /// Whether a record can have this place and length.
    pub(crate) fn is_sound(self) -> bool {
        self.at <= LogOffset::MAX && (1..i32::MAX.unsigned_abs()).contains(&self.len)
    }

    /// The first byte of the log behind the record.
    pub(crate) fn end(self) -> LogOffset {
        self.at.plus(u64::from(self.len))
    }
}
