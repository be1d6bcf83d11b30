//! The bytes of an index file: header, slots, entries (spec 4.1 to 4.3).
//!
//! ```text
//! 0                40                    40+4·N                      40+4·N+20·M
//! | header (40)    | N slots, i32        | M entries, 20 bytes each   |
//! ```
//! A slot holds the number of the newest entry of its chain, 0 if there is none. Entry 0 is never used.

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::offset::LogOffset;

/// Length of the header in bytes.
pub(crate) const HEADER_LEN: usize = 40;
/// Length of an entry in bytes.
pub(super) const ENTRY_LEN: usize = 20;
const HEADER_BYTES: u64 = 40;
const SLOT_BYTES: u64 = 4;
const ENTRY_BYTES: u64 = 20;
/// The longest file that RocketMQ can map as one: Java counts its bytes in an `int`.
const MOST_FILE_BYTES: u64 = i32::MAX.unsigned_abs() as u64;

/// How an index file is divided. It is not stored in the file: reader and writer must agree (spec 4.1, H40).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    /// Hash slots. At least 1; RocketMQ's default is 5,000,000.
    pub(crate) slots: u32,
    /// Places for entries, of which one is never used: a file holds one key less. At least 2; RocketMQ's default is
    /// 20,000,000.
    pub(crate) entries: u32,
}

impl Geometry {
    /// Whether files of this geometry can be.
    ///
    /// # Errors
    /// [`Error::InvalidOptions`]: no slot, no place for a single key, or files beyond 2³¹ − 1 bytes.
    pub(crate) fn check(self) -> Result<()> {
        let why = match self {
            Geometry { slots: 0, .. } => "an index file needs at least 1 slot".into(),
            Geometry { entries: 0 | 1, .. } => {
                "an index file needs at least 2 entries, the first is unused".into()
            }
            _ if self.file_bytes() > MOST_FILE_BYTES => {
                let bytes = self.file_bytes();
                format!("an index file would have {bytes} bytes; RocketMQ maps at most {MOST_FILE_BYTES}")
                    .into()
            }
            _ => return Ok(()),
        };
        Err(Error::InvalidOptions(why))
    }

    /// The length of every file, in bytes.
    pub(crate) fn file_bytes(self) -> u64 {
        self.entry_at(self.entries)
    }

    /// Where a slot stands in the file.
    pub(crate) fn slot_at(self, slot: u32) -> u64 {
        HEADER_BYTES + SLOT_BYTES * u64::from(slot)
    }

    /// Where an entry stands in the file.
    pub(crate) fn entry_at(self, number: u32) -> u64 {
        self.slot_at(self.slots) + ENTRY_BYTES * u64::from(number)
    }

    /// The slot whose chain holds keys of this hash (spec 4.4).
    pub(crate) fn slot_of(self, hash: u32) -> u32 {
        hash.checked_rem(self.slots).unwrap_or(0)
    }
}

/// What stands at the front of a file (spec 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Store time of the first key; before there is one, the end of the file before.
    pub(crate) begin_time: Timestamp,
    /// Store time of the last key.
    pub(crate) end_time: Timestamp,
    /// Where the first key's record lies.
    pub(crate) begin_offset: LogOffset,
    /// Where the last key's record lies.
    pub(crate) end_offset: LogOffset,
    /// Slots that hold a chain.
    pub(crate) slots_used: u32,
    /// The number that the next entry gets; 1 in a file without keys.
    pub(crate) next_entry: u32,
}

impl Header {
    /// The header of a new file, made because `before` is full (spec 4.2: what is above 0 is inherited).
    pub(super) fn after(before: Option<&Header>) -> Header {
        let time = before.map_or(Timestamp(0), |head| head.end_time).max(Timestamp(0));
        let offset = before.map_or(LogOffset::ZERO, |head| head.end_offset);
        Header {
            begin_time: time,
            end_time: time,
            begin_offset: offset,
            end_offset: offset,
            slots_used: 0,
            next_entry: 1,
        }
    }

    /// What an entry for a record stored then carries as its time: whole seconds since the first key (spec 4.5 step
    /// 3), in Java's arithmetic.
    pub(crate) fn seconds(&self, stored: Timestamp) -> u32 {
        if self.begin_time.0 <= 0 {
            return 0;
        }
        let seconds = stored.0.wrapping_sub(self.begin_time.0) / 1000;
        u32::try_from(seconds.clamp(0, i64::from(i32::MAX))).unwrap_or(0)
    }

    /// The earliest and the latest time, in ms, at which the record of an entry can have been stored.
    ///
    /// Entry 1 tells its time relative to what the file inherited (spec 4.2), but its true time is the file's begin.
    pub(crate) fn times(&self, number: u32, seconds: u32) -> (i64, i64) {
        let begin = self.begin_time.0;
        let from = begin.saturating_add(i64::from(seconds).saturating_mul(1000));
        match (number, seconds) {
            (1, _) => (begin, begin),
            // Nothing was counted.
            _ if begin <= 0 => (i64::MIN, i64::MAX),
            // More could not be counted.
            (_, most) if most >= i32::MAX.unsigned_abs() => (from, i64::MAX),
            // All that was stored before the begin has 0, too.
            (_, 0) => (i64::MIN, from.saturating_add(999)),
            _ => (from, from.saturating_add(999)),
        }
    }

    /// Counts one more key in (spec 4.5 steps 5 and 6).
    pub(super) fn count(&mut self, at: LogOffset, stored: Timestamp, in_empty_slot: bool) {
        if self.next_entry <= 1 {
            (self.begin_offset, self.begin_time) = (at, stored);
        }
        self.slots_used = self.slots_used.saturating_add(u32::from(in_empty_slot));
        self.next_entry = self.next_entry.saturating_add(1);
        (self.end_offset, self.end_time) = (at, stored);
    }

    pub(super) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        let long = [self.begin_time.0, self.end_time.0].map(i64::to_be_bytes);
        let offsets = [self.begin_offset.0, self.end_offset.0].map(u64::to_be_bytes);
        let counts = [self.slots_used, self.next_entry].map(u32::to_be_bytes);
        let bytes = long.iter().chain(&offsets).flatten().chain(counts.iter().flatten());
        out.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        out
    }

    /// `None` for zeros, and for anything else that no writer leaves behind when it has finished.
    pub(crate) fn decode(bytes: &[u8; HEADER_LEN]) -> Option<Header> {
        let (times, rest) = bytes.split_first_chunk::<16>()?;
        let (offsets, rest) = rest.split_first_chunk::<16>()?;
        let counts = rest.split_first_chunk::<8>()?.0;
        let [begin_time, end_time] = words(times).map(|word| Timestamp(i64::from_be_bytes(word)));
        let [begin_offset, end_offset] = words(offsets).map(|word| LogOffset(u64::from_be_bytes(word)));
        let both = u64::from_be_bytes(*counts);
        let slots_used = u32::try_from(both >> 32).ok()?;
        let next_entry = u32::try_from(both & u64::from(u32::MAX)).ok()?;
        let possible = begin_offset.max(end_offset) <= LogOffset::MAX
            && (1..=i32::MAX.unsigned_abs()).contains(&next_entry)
            && slots_used < next_entry;
        possible.then_some(Header { begin_time, end_time, begin_offset, end_offset, slots_used, next_entry })
    }
}

/// Two words of eight bytes.
fn words(bytes: &[u8; 16]) -> [[u8; 8]; 2] {
    let [a0, a1, a2, a3, a4, a5, a6, a7, b0, b1, b2, b3, b4, b5, b6, b7] = *bytes;
    [[a0, a1, a2, a3, a4, a5, a6, a7], [b0, b1, b2, b3, b4, b5, b6, b7]]
}

/// One key of one record (spec 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The key's hash, at most 2³¹ − 1.
    pub(crate) hash: u32,
    /// Where the record lies.
    pub(crate) at: LogOffset,
    /// When it was stored: whole seconds since the file's begin.
    pub(crate) seconds: u32,
    /// The entry before it in the chain; 0 if it is the first.
    pub(crate) prev: u32,
}

/// An entry as it stands in the file.
pub(crate) type EntryBytes = [u8; ENTRY_LEN];

impl Entry {
    pub(super) fn encode(&self) -> EntryBytes {
        let [h0, h1, h2, h3] = self.hash.to_be_bytes();
        let [a0, a1, a2, a3, a4, a5, a6, a7] = self.at.0.to_be_bytes();
        let [s0, s1, s2, s3] = self.seconds.to_be_bytes();
        let [p0, p1, p2, p3] = self.prev.to_be_bytes();
        [h0, h1, h2, h3, a0, a1, a2, a3, a4, a5, a6, a7, s0, s1, s2, s3, p0, p1, p2, p3]
    }

    /// `None` if one of the numbers is negative, as no writer makes them.
    pub(crate) fn decode(bytes: &EntryBytes) -> Option<Entry> {
        let [h0, h1, h2, h3, .., s0, s1, s2, s3, p0, p1, p2, p3] = *bytes;
        let not_negative = |word: [u8; 4]| u32::try_from(i32::from_be_bytes(word)).ok();
        let at = Entry::offset(bytes);
        Some(Entry {
            hash: not_negative([h0, h1, h2, h3])?,
            at: (at <= LogOffset::MAX).then_some(at)?,
            seconds: not_negative([s0, s1, s2, s3])?,
            prev: not_negative([p0, p1, p2, p3])?,
        })
    }

    /// The record's place alone.
    pub(crate) fn offset(bytes: &EntryBytes) -> LogOffset {
        let [_, _, _, _, a0, a1, a2, a3, a4, a5, a6, a7, ..] = *bytes;
        LogOffset(u64::from_be_bytes([a0, a1, a2, a3, a4, a5, a6, a7]))
    }
}
