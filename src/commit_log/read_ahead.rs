//! Reads a segment on a thread of its own, some chunks ahead of who checks its records: half of what checking a long
//! log costs is copying it out of the page cache.
//!
//! A help and no more: what was not read ahead, or could not be, the walk reads itself, and meets the error then.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::offset::LogOffset;
use crate::segment::Segment;
use crate::sync::mailbox::{Receiver, Sender, bounded};

/// So many chunks are under way at once.
const DEPTH: usize = 2;
/// A chunk begins before the one in front of it ends: a record that begins there and is no longer lies whole in it.
const OVERLAP_BYTES: usize = 64 << 10;

struct Chunk {
    segment: Arc<Segment>,
    at: LogOffset,
    bytes: Vec<u8>,
    is_read: bool,
}

/// Chunks on their way.
pub(super) struct ReadAhead {
    chunk_bytes: usize,
    /// Where those begin that are under way, first ones first.
    asked: VecDeque<LogOffset>,
    spare: Vec<Vec<u8>>,
    /// `None` when no more are asked for, which ends the thread.
    wanted: Option<Sender<Chunk>>,
    read: Receiver<Chunk>,
    thread: Option<JoinHandle<()>>,
    /// How many chunks were of use.
    #[cfg(test)]
    pub(super) taken: u32,
}

impl std::fmt::Debug for ReadAhead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadAhead").field("asked", &self.asked).finish_non_exhaustive()
    }
}

impl ReadAhead {
    /// `None` if the system gives no thread.
    pub(super) fn start(chunk_bytes: usize) -> Option<ReadAhead> {
        let (wanted, jobs): (Sender<Chunk>, Receiver<Chunk>) = bounded(DEPTH);
        let (done, read) = bounded(DEPTH);
        let run = move || {
            while let Ok(mut chunk) = jobs.recv() {
                chunk.is_read = chunk.segment.read(chunk.at, &mut chunk.bytes).is_ok();
                // There is room for all that are under way.
                if done.try_send(chunk).is_err() {
                    break;
                }
            }
        };
        let thread = std::thread::Builder::new().name("sawlog-reader".into()).spawn(run).ok()?;
        let (asked, spare) = (VecDeque::new(), Vec::new());
        Some(ReadAhead {
            chunk_bytes,
            asked,
            spare,
            wanted: Some(wanted),
            read,
            thread: Some(thread),
            #[cfg(test)]
            taken: 0,
        })
    }

    /// Bytes of `segment` that hold `[at, at + len)`, and where they begin. What lies before, and what could not be
    /// read, is let go of.
    pub(super) fn take(
        &mut self,
        segment: &Arc<Segment>,
        at: LogOffset,
        len: usize,
    ) -> Option<(LogOffset, Vec<u8>)> {
        while self.asked.front().is_some_and(|begin| *begin <= at) {
            self.asked.pop_front();
            let chunk = self.read.recv().ok()?;
            let holds = chunk.at <= at && at.plus(len as u64) <= chunk.at.plus(chunk.bytes.len() as u64);
            if chunk.is_read && holds && Arc::ptr_eq(&chunk.segment, segment) {
                #[cfg(test)]
                {
                    self.taken += 1;
                }
                return Some((chunk.at, chunk.bytes));
            }
            self.spare.push(chunk.bytes);
        }
        None
    }

    /// Asks for what follows `chunk_at`, whose bytes are `used` from now on by nobody.
    pub(super) fn go_on(&mut self, segment: &Arc<Segment>, chunk_at: LogOffset, used: Option<Vec<u8>>) {
        self.spare.extend(used);
        let stride = self.chunk_bytes.saturating_sub(OVERLAP_BYTES).max(1) as u64;
        while self.asked.len() < DEPTH {
            let at = self.asked.back().copied().unwrap_or(chunk_at).plus(stride);
            let Some(wanted) = self.wanted.as_ref().filter(|_| at < segment.end()) else { return };
            let left = usize::try_from(segment.end().since(at)).unwrap_or(usize::MAX);
            let mut bytes = self.spare.pop().unwrap_or_default();
            bytes.resize(self.chunk_bytes.min(left), 0);
            if wanted.try_send(Chunk { segment: Arc::clone(segment), at, bytes, is_read: false }).is_err() {
                return;
            }
            self.asked.push_back(at);
        }
    }
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        self.wanted = None;
        if let Some(thread) = self.thread.take() {
            // A panic in it is a chunk that never came.
            drop(thread.join());
        }
    }
}
