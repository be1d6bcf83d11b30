//! What is done ahead of the tail, off its path: the next segment, pages about to be written, blocks zeroed.
//!
//! All of it is speed alone. Skipping any of it changes no byte that a reader sees.

use crate::sync::atomic::Ordering;

use crate::disk::Access;
use crate::error::Result;
use crate::offset::LogOffset;
use crate::segment::{Care, READY_STEP_BYTES, Segment, SegmentList, ZEROS};

/// How far ahead of the tail blocks are zeroed.
const BLOCKS_AHEAD_BYTES: u64 = 16 << 20;
/// How far ahead of the tail pages are made and faulted in at most: 5 ms at 3 GB/s, for the janitor may have to wait
/// for a processor. A tail that overtakes it makes its own.
const PAGES_AHEAD_BYTES: u64 = 16 << 20;
/// Zeroes are synced in pieces of this many bytes, so that the log's own sync never finds many of them.
const PIECE_BYTES: u64 = 256 << 10;

impl SegmentList {
    /// Makes the next segment while half of the one that holds `tail` is still free, or when it was asked for.
    ///
    /// # Errors
    /// As [`SegmentList::prepare`].
    pub(crate) fn prepare_in_time(&self, care: Care, tail: LogOffset) -> Result<()> {
        match self.find(tail) {
            Some(active) if self.is_asked_for() || self.is_due(&active, tail) => {
                self.prepare(care == Care::Blocks)
            }
            _ => Ok(()),
        }
    }

    /// Whether the next segment should be made now; cheap, and without a lock.
    pub(crate) fn is_due(&self, active: &Segment, tail: LogOffset) -> bool {
        tail.since(active.base()) > active.len() / 2
    }

    /// Does what is due ahead of `tail`; `ready` is where this ended last time, and the new end is returned. `tail`
    /// must be re-read for every piece, because the tail does not wait. `pace_bytes` is what the tail has lately
    /// brought between two syncs: no more pages than that are made, or a trickle would make the system write megabytes
    /// of zeros.
    pub(crate) fn look_ahead(
        &self,
        care: Care,
        tail: impl Fn() -> LogOffset,
        ready: LogOffset,
        pace_bytes: u64,
    ) -> Result<LogOffset> {
        let ahead_bytes = match care {
            Care::Pages => PAGES_AHEAD_BYTES.min(pace_bytes),
            Care::Blocks => BLOCKS_AHEAD_BYTES,
        };
        let mut ready = ready;
        loop {
            let tail = tail();
            ready = ready.max(tail);
            let left = tail.plus(ahead_bytes).since(ready);
            let Some(segment) = self.find(ready).or_else(|| self.prepared().filter(|s| s.base() == ready))
            else {
                return Ok(ready);
            };
            let piece = left.min(PIECE_BYTES).min(segment.end().since(ready));
            // Small steps are not worth a call: wait until a piece is due.
            if piece < PIECE_BYTES.min(segment.end().since(ready)) {
                return Ok(ready);
            }
            ready = match care {
                Care::Pages => {
                    segment.make_ready(ready, ready.plus(piece))?;
                    ready.plus(piece)
                }
                Care::Blocks => segment.zero_ahead(ready, piece)?,
            };
        }
    }
}

impl Segment {
    /// Makes `[from, to)` ready for stores through the mapping, as far as the tail is not there yet.
    pub(super) fn make_ready(&self, from: LogOffset, to: LogOffset) -> Result<()> {
        let file = self.file()?;
        let (mut at, to) = (self.inside(from), self.inside(to).min(self.len));
        loop {
            let mut zeroed = self.zeroed.lock();
            // What the tail has written meanwhile lies below.
            at = at.max(*zeroed);
            if at >= to {
                // Also where nothing was done: the tail that asks goes on below.
                return Ok(());
            }
            let step_bytes = READY_STEP_BYTES.min(to - at);
            file.make_ready(at, step_bytes);
            at += step_bytes;
            self.raise(&mut zeroed, at);
        }
    }

    /// Zeroes `len` bytes from `from` on, where the tail is not there yet, and syncs them through a descriptor of its
    /// own: every descriptor sees a write error once, so the flusher's still sees it too.
    fn zero_ahead(&self, from: LogOffset, len: u64) -> Result<LogOffset> {
        let end = from.plus(len);
        if self.zeroed_seen.load(Ordering::Acquire) >= self.inside(end) {
            return Ok(end);
        }
        let own = self.disk.open(&self.path, Access::Write).map_err(|e| self.io("opening", e))?;
        let mut at = self.inside(from);
        loop {
            let mut zeroed = self.zeroed.lock();
            at = at.max(*zeroed);
            let step = self.inside(end).saturating_sub(at).min(ZEROS.len() as u64);
            if step == 0 {
                break;
            }
            let zeros = usize::try_from(step).ok().and_then(|n| ZEROS.get(..n)).unwrap_or_default();
            own.write_at(at, zeros).map_err(|e| self.io("zeroing", e))?;
            at += step;
            self.raise(&mut zeroed, at);
        }
        own.sync().map_err(|e| self.io("syncing", e))?;
        Ok(end)
    }
}
