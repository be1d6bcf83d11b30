//! Walks records from a place, believing nothing: for recovery and verification.
//!
//! Reads by position, never through a mapping, so that a failing device is an error and no signal (house.md §4).

use std::ops::Deref;
use std::sync::Arc;

use crate::commit_log::read_ahead::ReadAhead;
use crate::error::{Damage, Result};
use crate::message::{self, Head, Peek, Verify};
use crate::offset::LogOffset;
use crate::segment::{Segment, SegmentList};

/// How much is read at once: large enough for the disk, small enough for the processor's cache.
const CHUNK_BYTES: usize = 1 << 20;
const HEAD_BYTES: usize = 8;
/// After so many chunks in order a thread is worth its start.
const IN_ORDER: u32 = 4;

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
    Record(LogOffset, u32),
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
    /// How often the buffer was filled with what followed on it.
    in_order: u32,
    /// Whether a thread may read ahead, and that.
    may_read_ahead: bool,
    ahead: Option<ReadAhead>,
    /// A topic that records had: the next one's is most often the same, and need not be read as text again.
    topic: String,
    /// That of the last record, if it was another; `topic` at the next step.
    next_topic: String,
    new_topic: bool,
}

impl<L: Deref<Target = SegmentList>> Walk<L> {
    pub(crate) fn new(segments: L, from: LogOffset) -> Walk<L> {
        let (segment, buffer, buffered_at) = (None, Vec::new(), from);
        let (topic, next_topic, new_topic) = (String::new(), String::new(), false);
        let (in_order, may_read_ahead, ahead) = (0, false, None);
        Walk {
            segments,
            at: from,
            segment,
            buffer,
            buffered_at,
            in_order,
            may_read_ahead,
            ahead,
            topic,
            next_topic,
            new_topic,
        }
    }

    /// The same with a thread that reads ahead, once the walk has gone through some MiB.
    pub(crate) fn with_reader(self) -> Walk<L> {
        Walk { may_read_ahead: true, ..self }
    }

    /// Where the walk stands.
    pub(crate) fn place(&self) -> LogOffset {
        self.at
    }

    /// Goes on somewhere else.
    pub(crate) fn jump(&mut self, to: LogOffset) {
        self.at = to;
        self.segment = None;
        self.ahead = None;
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
        if self.new_topic {
            self.new_topic = false;
            std::mem::swap(&mut self.topic, &mut self.next_topic);
        }
        let (at, len) = match self.look(&verify)? {
            Place::Record(at, len) => (at, len),
            Place::Blank(at) => return Ok(Step::Blank(at)),
            Place::Broken(at, damage) => return Ok(Step::Broken(at, damage, None)),
            Place::NoSegment(at) => return Ok(Step::NoSegment(at)),
        };
        let verify = verify(at);
        // Bounded by the segment's length, and so by the file's: nothing is allocated on a length's word alone.
        let from = self.fill(at, usize::try_from(len).unwrap_or(usize::MAX))?;
        let bytes = self.buffer.get(from..).unwrap_or_default();
        let head = match message::check_plain(at, bytes, verify, &self.topic) {
            Some(head) => head,
            None => match message::check(at, bytes, verify) {
                Ok(head) => head,
                Err(damage) => return Ok(Step::Broken(at, damage, Some(len))),
            },
        };
        self.at = at.plus(u64::from(len));
        if !std::ptr::eq(head.topic.as_ptr(), self.topic.as_ptr()) {
            self.next_topic.clear();
            self.next_topic.push_str(head.topic);
            self.new_topic = true;
        }
        Ok(Step::Record(at, head))
    }

    /// The same for a caller that shows the record to `each` at once.
    ///
    /// # Errors
    /// What the disk says; damage is no error here.
    pub(crate) fn visit<R>(
        &mut self,
        verify: impl Fn(LogOffset) -> Verify,
        each: impl FnOnce(LogOffset, &Head<'_>) -> R,
    ) -> Result<Visit<R>> {
        Ok(match self.step(verify)? {
            Step::Record(at, head) => Visit::Record(at, at.plus(u64::from(head.len)), each(at, &head)),
            Step::Blank(at) => Visit::Blank(at),
            Step::Broken(at, damage, claims) => Visit::Broken(at, damage, claims),
            Step::NoSegment(at) => Visit::NoSegment(at),
        })
    }

    /// What the first eight bytes say; moves behind a blank record.
    fn look(&mut self, verify: impl Fn(LogOffset) -> Verify) -> Result<Place> {
        let at = self.at;
        let Some(end) = self.segment_end(at) else { return Ok(Place::NoSegment(at)) };
        let left = end.since(at);
        let from = self.fill(at, HEAD_BYTES)?;
        let head = match self.buffer.get(from..).unwrap_or_default().first_chunk::<HEAD_BYTES>() {
            Some(head) => *head,
            // Fewer than eight bytes left: no record may end there (spec 2.2).
            None => return Ok(Place::Broken(at, Damage::Cut)),
        };
        let len = match message::peek(&head) {
            Peek::Record { len } => len,
            Peek::Blank { len } if u64::from(len) == left => {
                self.at = end;
                return Ok(Place::Blank(at));
            }
            // Where we wrote with a record checksum the length is right, or the record is not whole.
            _ if message::is_blank(&head) && verify(at) == Verify::Legacy => {
                self.at = end;
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
        Ok(Place::Record(at, len))
    }

    /// Where the segment ends that holds `at`, which is the walk's own from now on.
    fn segment_end(&mut self, at: LogOffset) -> Option<LogOffset> {
        let holds = |s: &Arc<Segment>| s.base() <= at && at < s.end();
        if !self.segment.as_ref().is_some_and(holds) {
            self.segment = self.segments.find(at);
            self.buffer.clear();
        }
        self.segment.as_ref().map(|segment| segment.end())
    }

    /// Has the buffer hold at least `len` bytes from `at` on, or what the segment has left; says where in it they
    /// begin.
    fn fill(&mut self, at: LogOffset, len: usize) -> Result<usize> {
        let Some(segment) = &self.segment else { return Ok(self.buffer.len()) };
        let left = usize::try_from(segment.end().since(at)).unwrap_or(usize::MAX);
        let len = len.min(left);
        let skip = usize::try_from(at.since(self.buffered_at)).unwrap_or(usize::MAX);
        let have = if at < self.buffered_at { 0 } else { self.buffer.len().saturating_sub(skip) };
        if have >= len && have > 0 {
            return Ok(skip);
        }
        if let Some((chunk_at, bytes)) = self.ahead.as_mut().and_then(|ahead| ahead.take(segment, at, len)) {
            let used = std::mem::replace(&mut self.buffer, bytes);
            self.buffered_at = chunk_at;
            if let Some(ahead) = &mut self.ahead {
                ahead.go_on(segment, chunk_at, Some(used));
            }
            return Ok(usize::try_from(at.since(chunk_at)).unwrap_or(usize::MAX));
        }
        let is_behind = self.buffered_at <= at && at <= self.buffered_at.plus(self.buffer.len() as u64);
        let follows = is_behind && !self.buffer.is_empty();
        self.in_order = if follows { self.in_order + 1 } else { 0 };
        self.buffer.resize(len.max(CHUNK_BYTES).min(left), 0);
        if let Err(error) = segment.read(at, &mut self.buffer) {
            // Whatever lies in it now was not read from there.
            self.buffer.clear();
            return Err(error);
        }
        self.buffered_at = at;
        if self.may_read_ahead && self.in_order >= IN_ORDER {
            self.ahead = self.ahead.take().or_else(|| ReadAhead::start(CHUNK_BYTES));
            if let Some(ahead) = &mut self.ahead {
                ahead.go_on(segment, at, None);
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
