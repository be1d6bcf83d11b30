//! Walks records from a place, believing nothing: for recovery and verification.
//!
//! Reads by position, never through a mapping, so that a failing device is an error and no signal (house.md §4).

use std::ops::Deref;
use std::sync::Arc;

use crate::error::{Damage, Result};
use crate::message::{self, Head, Peek, Verify};
use crate::offset::LogOffset;
use crate::segment::{Segment, SegmentList};

/// How much is read at once: large enough for the disk, small enough for the processor's cache.
const CHUNK_BYTES: usize = 1 << 20;
const HEAD_BYTES: usize = 8;

/// What stands at the walker's place.
#[derive(Debug)]
pub(crate) enum Step<'w> {
    /// A whole, valid record.
    Record(LogOffset, Head<'w>),
    /// The end of a segment; the walk goes on at the next one's base.
    Blank(LogOffset),
    /// Nothing valid. The walk stands still here; the second part is the length that the bad record claims, if that
    /// could be.
    Broken(LogOffset, Damage, Option<u32>),
    /// No segment holds this place.
    NoSegment(LogOffset),
}

/// The same with what was made of the record in the place of the record.
#[derive(Debug)]
pub(crate) enum Visit<R> {
    /// A whole, valid record; where it ends, and what the visitor made of it.
    Record(LogOffset, LogOffset, R),
    /// As [`Step::Blank`].
    Blank(LogOffset),
    /// As [`Step::Broken`].
    Broken(LogOffset, Damage, Option<u32>),
    /// As [`Step::NoSegment`].
    NoSegment(LogOffset),
}

/// A place at which a record may stand, by its first eight bytes.
enum Place {
    /// So many bytes claim to be a record.
    Record(LogOffset, Arc<Segment>, u32),
    Blank(LogOffset),
    Broken(LogOffset, Damage),
    NoSegment(LogOffset),
}

/// A walk along the log's files. `L` leads to their list: a reference, or an `Arc`.
#[derive(Debug)]
pub(crate) struct Walk<L> {
    segments: L,
    at: LogOffset,
    segment: Option<Arc<Segment>>,
    buffer: Vec<u8>,
    /// Where the buffer's first byte lies.
    buffered_at: LogOffset,
}

impl<L: Deref<Target = SegmentList>> Walk<L> {
    pub(crate) fn new(segments: L, from: LogOffset) -> Walk<L> {
        Walk { segments, at: from, segment: None, buffer: Vec::new(), buffered_at: from }
    }

    /// Where the walk stands.
    pub(crate) fn place(&self) -> LogOffset {
        self.at
    }

    /// Goes on somewhere else.
    pub(crate) fn jump(&mut self, to: LogOffset) {
        self.at = to;
        self.segment = None;
    }

    /// The same, believing that what was read a moment ago stands there still: nobody writes. What lies in the buffer is
    /// not read again.
    pub(crate) fn skip(&mut self, to: LogOffset) {
        self.at = to;
    }

    /// Looks at the place where the walk stands, and moves behind what is valid there.
    ///
    /// # Errors
    /// What the disk says; damage is no error here.
    pub(crate) fn step(&mut self, verify: impl Fn(LogOffset) -> Verify) -> Result<Step<'_>> {
        let (at, segment, len) = match self.look(&verify)? {
            Place::Record(at, segment, len) => (at, segment, len),
            Place::Blank(at) => return Ok(Step::Blank(at)),
            Place::Broken(at, damage) => return Ok(Step::Broken(at, damage, None)),
            Place::NoSegment(at) => return Ok(Step::NoSegment(at)),
        };
        let verify = verify(at);
        // Bounded by the segment's length, and so by the file's: nothing is allocated on a length's word alone.
        let bytes = self.bytes(&segment, at, usize::try_from(len).unwrap_or(usize::MAX))?;
        match message::check(at, bytes, verify) {
            Ok(_) => self.at = at.plus(u64::from(len)),
            Err(damage) => return Ok(Step::Broken(at, damage, Some(len))),
        }
        // Looked at once more because the borrow of the first look ended; only the lengths are parsed again.
        let bytes = self.bytes(&segment, at, usize::try_from(len).unwrap_or(usize::MAX))?;
        match message::check(at, bytes, Verify::Structure) {
            Ok(head) => Ok(Step::Record(at, head)),
            Err(damage) => Ok(Step::Broken(at, damage, Some(len))),
        }
    }

    /// The same for a caller that shows the record to `each` at once: it is looked at once only.
    ///
    /// # Errors
    /// What the disk says; damage is no error here.
    pub(crate) fn visit<R>(
        &mut self,
        verify: impl Fn(LogOffset) -> Verify,
        each: impl FnOnce(LogOffset, &Head<'_>) -> R,
    ) -> Result<Visit<R>> {
        let (at, segment, len) = match self.look(&verify)? {
            Place::Record(at, segment, len) => (at, segment, len),
            Place::Blank(at) => return Ok(Visit::Blank(at)),
            Place::Broken(at, damage) => return Ok(Visit::Broken(at, damage, None)),
            Place::NoSegment(at) => return Ok(Visit::NoSegment(at)),
        };
        let bytes = self.bytes(&segment, at, usize::try_from(len).unwrap_or(usize::MAX))?;
        let made = match message::check(at, bytes, verify(at)) {
            Ok(head) => each(at, &head),
            Err(damage) => return Ok(Visit::Broken(at, damage, Some(len))),
        };
        self.at = at.plus(u64::from(len));
        Ok(Visit::Record(at, self.at, made))
    }

    /// What the first eight bytes say; moves behind a blank record.
    fn look(&mut self, verify: impl Fn(LogOffset) -> Verify) -> Result<Place> {
        let at = self.at;
        let Some(segment) = self.segment_at(at) else { return Ok(Place::NoSegment(at)) };
        let left = segment.end().since(at);
        let head = match self.bytes(&segment, at, HEAD_BYTES)?.first_chunk::<HEAD_BYTES>() {
            Some(head) => *head,
            // Fewer than eight bytes left: no record may end there (spec 2.2).
            None => return Ok(Place::Broken(at, Damage::Cut)),
        };
        let len = match message::peek(&head) {
            Peek::Record { len } => len,
            Peek::Blank { len } if u64::from(len) == left => {
                self.at = segment.end();
                return Ok(Place::Blank(at));
            }
            // Where we wrote with a record checksum the length is right, or the record is not whole.
            _ if message::is_blank(&head) && verify(at) == Verify::Legacy => {
                self.at = segment.end();
                return Ok(Place::Blank(at));
            }
            Peek::Blank { len } => return Ok(Place::Broken(at, Damage::BadBlank { len, left })),
            Peek::Unwritten => return Ok(Place::Broken(at, Damage::Unwritten)),
            Peek::Garbage { damage } => return Ok(Place::Broken(at, damage)),
        };
        // Eight bytes stay free behind every record (spec 2.2); a foreign one that ends the segment exactly is let be.
        if u64::from(len) > left || (left - 8 < u64::from(len) && u64::from(len) < left) {
            let damage = Damage::BadLength { len: i32::try_from(len).unwrap_or(i32::MAX) };
            return Ok(Place::Broken(at, damage));
        }
        Ok(Place::Record(at, segment, len))
    }

    fn segment_at(&mut self, at: LogOffset) -> Option<Arc<Segment>> {
        let holds = |s: &Arc<Segment>| s.base() <= at && at < s.end();
        if !self.segment.as_ref().is_some_and(holds) {
            self.segment = self.segments.find(at);
            self.buffer.clear();
        }
        self.segment.clone()
    }

    /// At least `len` bytes from `at`, or what the segment has left.
    fn bytes(&mut self, segment: &Segment, at: LogOffset, len: usize) -> Result<&[u8]> {
        let left = usize::try_from(segment.end().since(at)).unwrap_or(usize::MAX);
        let len = len.min(left);
        let skip = usize::try_from(at.since(self.buffered_at)).unwrap_or(usize::MAX);
        let have = if at < self.buffered_at { 0 } else { self.buffer.len().saturating_sub(skip) };
        if have >= len && have > 0 {
            return Ok(self.buffer.get(skip..).unwrap_or_default());
        }
        self.buffer.resize(len.max(CHUNK_BYTES).min(left), 0);
        segment.read(at, &mut self.buffer)?;
        self.buffered_at = at;
        Ok(&self.buffer)
    }
}
