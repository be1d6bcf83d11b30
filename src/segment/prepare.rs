//! What is done ahead of the tail, off its path: the next segment, pages about to be written, blocks zeroed.
//!
//! All of it is speed alone. Skipping any of it changes no byte that a reader sees.

use crate::sync::atomic::Ordering;
use std::sync::Arc;

use crate::disk::Access;
use crate::error::Result;
use crate::offset::LogOffset;
use crate::segment::ahead::{Ahead, Turn};
use crate::segment::{Care, Segment, SegmentList, ZEROS};
use crate::sync::MutexGuard;

/// How far ahead of the tail blocks are zeroed.
const BLOCKS_AHEAD_BYTES: u64 = 16 << 20;
/// How far ahead of the tail pages are made and faulted in at most: 5 ms at 3 GB/s, for the janitor may have to wait
/// for a processor. A tail that overtakes it makes its own.
const PAGES_AHEAD_BYTES: u64 = 16 << 20;
/// How much of a segment in which nobody writes yet is zeroed between two syncs.
const PREWRITE_PIECE_BYTES: u64 = 4 << 20;
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

    /// Makes ready what is due ahead of `tail`, which is re-read for every piece, because the tail does not wait.
    /// `pace_bytes` is what the tail has lately brought between two syncs: no more pages than that are made, or a
    /// trickle would make the system write megabytes of zeros.
    pub(crate) fn make_pages_ahead(&self, tail: impl Fn() -> LogOffset, pace_bytes: u64) -> Result<()> {
        let ahead_bytes = PAGES_AHEAD_BYTES.min(pace_bytes);
        loop {
            let tail = tail();
            let Some(active) = self.find_or_prepared(tail) else { return Ok(()) };
            if active.make_some_ready(active.inside(tail), ahead_bytes)? {
                continue;
            }
            let beyond_bytes = tail.plus(ahead_bytes).since(active.end());
            match self.find_or_prepared(active.end()) {
                Some(next) if beyond_bytes > 0 && next.make_some_ready(0, beyond_bytes)? => {}
                _ => return Ok(()),
            }
        }
    }

    /// Zeroes the blocks that are due ahead of `tail`; `ready` is where this ended last time, and the new end is
    /// returned.
    pub(crate) fn zero_blocks_ahead(
        &self,
        tail: impl Fn() -> LogOffset,
        ready: LogOffset,
    ) -> Result<LogOffset> {
        let mut ready = ready;
        loop {
            let tail = tail();
            ready = ready.max(tail);
            let left = tail.plus(BLOCKS_AHEAD_BYTES).since(ready);
            let Some(segment) = self.find_or_prepared(ready) else { return Ok(ready) };
            let piece = left.min(PIECE_BYTES).min(segment.end().since(ready));
            // Small steps are not worth a call: wait until a piece is due.
            if piece < PIECE_BYTES.min(segment.end().since(ready)) {
                return Ok(ready);
            }
            ready = segment.zero_ahead(ready, piece)?;
        }
    }

    /// The segment that holds `at`, or will: the one made ahead.
    fn find_or_prepared(&self, at: LogOffset) -> Option<Arc<Segment>> {
        self.find(at).or_else(|| self.prepared().filter(|s| s.base() == at))
    }
}

impl Segment {
    /// The janitor's: makes one stretch ready within `ahead` bytes in front of a tail at `tail`. Says whether there was
    /// one.
    fn make_some_ready(&self, tail: u64, ahead: u64) -> Result<bool> {
        let file = self.file()?;
        let Some((from, to)) = self.ahead.lock().turn_of_janitor(tail, ahead, self.len) else {
            return Ok(false);
        };
        // Nobody writes there now.
        debug_assert!(
            self.zeroed_seen.load(Ordering::Acquire) <= from,
            "the tail is in the janitor's stretch"
        );
        file.make_ready(from, to.saturating_sub(from));
        let mut held = self.ahead.lock();
        let done = held.made();
        self.show(&held);
        drop(held);
        done.inspect(|done| done.set());
        Ok(true)
    }

    /// The tail's, before it writes up to `end`: one stretch made ready here costs less than a fault for each page.
    pub(super) fn catch_up(&self, at: u64, end: u64) -> Result<()> {
        let file = self.file()?;
        loop {
            let mut held = self.ahead.lock();
            let turn = held.turn_of_tail(at, end, self.len);
            self.show(&held);
            drop(held);
            match turn {
                Turn::Ready => return Ok(()),
                Turn::Make(from, to) => file.make_ready(from, to.saturating_sub(from)),
                Turn::Wait(done) => drop(done.wait(None)),
            }
        }
    }

    /// Says that nothing below `to` is to be zeroed from now on, but for what is being zeroed now: that is waited for.
    pub(super) fn raise_ahead(&self, to: u64) -> MutexGuard<'_, Ahead> {
        loop {
            let mut held = self.ahead.lock();
            let Some(done) = held.in_the_way(to) else {
                held.raise(to.min(self.len));
                self.show(&held);
                return held;
            };
            drop(held);
            done.wait(None);
        }
    }

    /// Zeroes all blocks from `from` on, where nobody writes meanwhile, and syncs them.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    pub(crate) fn prewrite(&self, from: LogOffset) -> Result<()> {
        // Synced in pieces: one great sync at the end would hold up the log's own for as long as it takes.
        let mut at = from;
        while at < self.end() {
            let to = at.plus(PREWRITE_PIECE_BYTES).min(self.end());
            self.zero(at, to)?;
            self.sync()?;
            at = to;
        }
        drop(self.raise_ahead(self.len));
        Ok(())
    }

    fn show(&self, held: &Ahead) {
        self.zeroed_seen.store(held.zeroed(), Ordering::Release);
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
            let mut held = self.ahead.lock();
            at = at.max(held.zeroed());
            let step = self.inside(end).saturating_sub(at).min(ZEROS.len() as u64);
            if step == 0 {
                break;
            }
            let zeros = usize::try_from(step).ok().and_then(|n| ZEROS.get(..n)).unwrap_or_default();
            own.write_at(at, zeros).map_err(|e| self.io("zeroing", e))?;
            at += step;
            held.raise(at);
            self.show(&held);
        }
        own.sync().map_err(|e| self.io("syncing", e))?;
        Ok(end)
    }
}
