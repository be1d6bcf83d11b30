//! The tail: stamp, roll, write, publish. Everything here runs under the append lock, one record or batch at a time.
//!
//! Two ways of writing, chosen by what the policy acknowledges. **Direct**: each record is copied into the page cache
//! at once (ASYNC_FLUSH). **Staged**: records gather in a buffer that the flusher writes with one call just before
//! its sync (SYNC_FLUSH); nobody reads a staged byte. Both write the same bytes to the same files.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::commit_log::queue_offsets::QueueOffsets;
use crate::commit_log::{CommitLog, Told, Way};
use crate::error::{Error, Level, Result};
use crate::flush::Flush;
use crate::message::{self, Encoded};
use crate::offset::{LogOffset, Position, QueueOffset};
use crate::segment::Segment;
use crate::trace;

/// A blank record's header; so many bytes stay free behind every record (spec 2.2).
const BLANK_BYTES: u64 = 8;
/// How long an append that must not wait for the disk waits for other producers.
const BUSY_AFTER: Duration = Duration::from_millis(1);
/// How often, in bytes, the janitor looks whether enough is prepared ahead of the tail.
const AHEAD_STEP_BYTES: u64 = 256 << 10;

/// One record's place, known as soon as it is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Appended {
    pub(crate) position: Position,
    pub(crate) queue_offset: QueueOffset,
    pub(crate) stored: Timestamp,
}

/// What an append may cost in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Waits for the window and makes the next segment if it must.
    Waits,
    /// Answers [`Error::Busy`] instead.
    Busy,
}

/// How an append is to be done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    pub(crate) level: Level,
    pub(crate) patience: Patience,
    /// The wall clock just before: read outside the lock; under it the larger of this and the last store time counts.
    pub(crate) now: Timestamp,
}

/// Where the next record goes.
#[derive(Debug)]
pub(crate) struct Tail {
    end: LogOffset,
    segment: Arc<Segment>,
    /// The segment already in the list behind the tail's, if rolling stopped half-way.
    taken: Option<Arc<Segment>>,
    pub(crate) queues: QueueOffsets,
    last_stored: Timestamp,
    pub(crate) staged: Staged,
}

/// Bytes that wait for the flusher.
#[derive(Debug, Default)]
pub(crate) struct Staged {
    pub(crate) bytes: Vec<u8>,
    pub(crate) runs: Vec<Run>,
}

/// A stretch of staged bytes that goes to one place in one segment.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) segment: Arc<Segment>,
    pub(crate) at: LogOffset,
    /// Where its bytes begin in the buffer; they end where the next run's begin.
    pub(crate) start: usize,
}

impl Staged {
    fn push(&mut self, segment: &Arc<Segment>, at: LogOffset, parts: &[&[u8]]) {
        let follows = self.runs.last().is_some_and(|run| {
            Arc::ptr_eq(&run.segment, segment) && run.at.plus((self.bytes.len() - run.start) as u64) == at
        });
        if !follows {
            self.runs.push(Run { segment: Arc::clone(segment), at, start: self.bytes.len() });
        }
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
    }
}

impl Tail {
    pub(crate) fn new(
        end: LogOffset,
        segment: Arc<Segment>,
        queues: QueueOffsets,
        last_stored: Timestamp,
    ) -> Tail {
        let staged = Staged::default();
        Tail { end, segment, taken: None, queues, last_stored, staged }
    }

    pub(crate) fn end(&self) -> LogOffset {
        self.end
    }

    /// Bytes left in the segment.
    fn room(&self) -> u64 {
        self.segment.end().since(self.end)
    }
}

/// What came of trying under the lock.
enum Tried {
    Done(LogOffset),
    /// The window is shut until the flushed mark is here.
    Shut(LogOffset),
    /// A direct write failed, and what may have arrived in this segment was zeroed.
    TookBack(Arc<Segment>, Error),
}

impl CommitLog {
    /// Appends records that belong together: all of them, contiguous and in one segment, or none. `each` is told
    /// every record's place, under the lock. Returns the end of the last.
    ///
    /// # Errors
    /// [`Error::InvalidMessage`] if they do not fit into a segment or the window, [`Error::Busy`], [`Error::Full`],
    /// [`Error::Io`]: nothing was appended. [`Error::Failed`], [`Error::Closed`].
    pub(crate) fn push(
        &self,
        records: &mut [Encoded<'_>],
        how: How,
        mut each: impl FnMut(Appended),
    ) -> Result<LogOffset> {
        let total = records.iter().map(|r| u64::from(r.len())).sum::<u64>();
        loop {
            let tried = self.try_push(records, total, how, &mut each);
            // The append lock is given back.
            self.wake_up();
            match tried? {
                Tried::Done(end) => return Ok(end),
                Tried::Shut(until) if how.patience == Patience::Waits => self.open_window(until)?,
                Tried::Shut(_) => {
                    self.want(self.accepted());
                    self.flusher().ring();
                    return Err(self.busy());
                }
                Tried::TookBack(segment, error) => return Err(self.settle(&segment, error)),
            }
        }
    }

    /// Nobody is told that nothing was stored before the zeros are durable: a whole record of a failed batch may lie
    /// below them, and a power cut could bring it back. A failed append is rare enough for a sync.
    fn settle(&self, segment: &Segment, error: Error) -> Error {
        if self.failure().is_some() {
            return error;
        }
        let alone = self.flushing.lock();
        let told = segment.sync().map_or_else(|cause| self.fail(cause), |()| error);
        self.leave(alone);
        told
    }

    fn busy(&self) -> Error {
        let unflushed_bytes = self.accepted().since(self.flushed().at());
        Error::Busy { unflushed: unflushed_bytes, window: self.window_bytes() }
    }

    fn refuse_too_large(&self, total: u64) -> Result<()> {
        let segment_bytes = self.segments().segment_bytes();
        // A roll may add as much again in front: the window must hold both.
        let limit = segment_bytes.saturating_sub(BLANK_BYTES).min(self.window_bytes() / 2 - BLANK_BYTES);
        if total > limit {
            let why = format!("{total} bytes to be stored together, the limit is {limit}");
            return Err(Error::InvalidMessage(why.into()));
        }
        Ok(())
    }

    fn try_push(
        &self,
        records: &mut [Encoded<'_>],
        total: u64,
        how: How,
        each: &mut impl FnMut(Appended),
    ) -> Result<Tried> {
        let mut tail = match how.patience {
            Patience::Waits => self.tail().lock(),
            // Another producer may be making a segment under it.
            Patience::Busy => self.tail().try_lock_for(BUSY_AFTER).ok_or_else(|| self.busy())?,
        };
        self.refuse_closed()?;
        self.refuse_failed()?;
        // Under the lock: the window may change, and what stands in the mark must hold for every append.
        self.refuse_too_large(total)?;
        let rolls = total + BLANK_BYTES > tail.room();
        let start = if rolls { tail.segment.end() } else { tail.end };
        let (end, flushed) = (start.plus(total), self.flushed().at());
        if end.since(flushed) > self.window_bytes() && flushed < tail.end {
            return Ok(Tried::Shut(LogOffset(end.0.saturating_sub(self.window_bytes())).min(tail.end)));
        }
        // Before a roll, which leaves a blank record behind: that byte, too, is the oldest one then.
        if flushed == tail.end {
            self.dirty_from_now();
        }
        if rolls {
            let _span = trace::roll(tail.end);
            if how.patience == Patience::Busy && tail.taken.is_none() && !self.segments().is_prepared() {
                self.segments().ask_for_next();
                self.keeper().ring();
                return Err(self.segments().why_not_made().unwrap_or_else(|| self.busy()));
            }
            let next = match tail.taken.take() {
                Some(next) => next,
                None => self.segments().roll()?,
            };
            if let Err(error) = self.roll(&mut tail, next) {
                return Ok(Tried::TookBack(Arc::clone(&tail.segment), error));
            }
        }
        if let Err(error) = self.write_all(&mut tail, records, how.now, each) {
            return Ok(Tried::TookBack(Arc::clone(&tail.segment), error));
        }
        self.publish(&tail, how.level);
        Ok(Tried::Done(tail.end))
    }

    /// Moves the tail to the next segment, and ends the one before with a blank record.
    fn roll(&self, tail: &mut Tail, next: Arc<Segment>) -> Result<()> {
        let (at, room) = (tail.end, tail.room());
        // Room is at most a segment's length, which is below 2 GiB (spec 1.1): it always fits. There is none in a
        // segment that another writer filled to its last byte.
        let blank = message::blank(u32::try_from(room).unwrap_or(u32::MAX));
        let blank = if room == 0 { &[][..] } else { &blank[..] };
        if let Err(error) = self.put(tail, at, &[blank]) {
            tail.taken = Some(next);
            return Err(self.take_back(tail, &[], at.plus(BLANK_BYTES), error));
        }
        if tail.last_stored > Timestamp(0) {
            tail.segment.set_newest(tail.last_stored);
        }
        self.tell(Told::Rolled { from: tail.segment.base(), to: next.base() });
        tail.end = next.base();
        tail.segment = next;
        self.janitor().ring();
        Ok(())
    }

    fn put(&self, tail: &mut Tail, at: LogOffset, parts: &[&[u8]]) -> Result<()> {
        match self.way() {
            Way::Staged => {
                tail.staged.push(&tail.segment, at, parts);
                Ok(())
            }
            Way::Direct => tail.segment.store(at, parts),
        }
    }

    fn write_all(
        &self,
        tail: &mut Tail,
        records: &mut [Encoded<'_>],
        now: Timestamp,
        each: &mut impl FnMut(Appended),
    ) -> Result<()> {
        // Store time never steps back, whatever the clock does (promises rule 14), and is never 0 (spec 2.10).
        let stored = now.max(tail.last_stored).max(Timestamp(1));
        let mut at = tail.end;
        for index in 0..records.len() {
            let Some(record) = records.get_mut(index) else { break };
            let position = Position { offset: at, len: record.len() };
            let queue_offset = match record.is_queued() {
                true => tail.queues.take(record.topic(), record.queue_id()),
                false => QueueOffset(0),
            };
            if let Err(error) = self.put(tail, at, &record.stamp(at, queue_offset, stored)) {
                let written = records.get(..=index).unwrap_or_default();
                return Err(self.take_back(tail, written, position.end(), error));
            }
            at = position.end();
            each(Appended { position, queue_offset, stored });
        }
        tail.last_stored = stored;
        // A power of two: by any other number these would be two divisions, a sixth of what `push` itself takes.
        let step_bits = AHEAD_STEP_BYTES.min(tail.segment.len() / 4).max(1).ilog2();
        if tail.end.0 >> step_bits != at.0 >> step_bits {
            self.janitor().ring();
            if self.segments().is_due(&tail.segment, at) && !self.segments().is_prepared() {
                self.keeper().ring();
            }
            if at.since(self.flushed().at()) >= self.pressure_bytes() {
                self.flusher().ring();
            }
        }
        tail.end = at;
        self.counts.appended(records.len());
        Ok(())
    }

    /// A direct write failed: zeroes what may have arrived, so that a later open does not find a record whose append
    /// answered with an error. If even that fails, nobody can say what is there, and the log has failed.
    fn take_back(&self, tail: &mut Tail, written: &[Encoded<'_>], to: LogOffset, error: Error) -> Error {
        for record in written.iter().filter(|r| r.is_queued()) {
            tail.queues.untake(record.topic(), record.queue_id());
        }
        match tail.segment.zero(tail.end, to) {
            Ok(()) => error,
            Err(_) => self.fail(error),
        }
    }

    /// Moves the marks to the tail's end: a whole record or a whole batch, never a part.
    fn publish(&self, tail: &Tail, level: Level) {
        if level == Level::Flushed {
            self.want(tail.end);
        }
        match self.way() {
            Way::Staged => self.accept(tail.end),
            // In the page cache already: one number says both, see `accepted`.
            Way::Direct => self.note_written(tail.end),
        }
    }
}

#[cfg(test)]
#[path = "append_tests.rs"]
mod tests;
