//! The recorder's work on one queue: what is due goes from memory into files.

use std::sync::Arc;

use crate::consume_queue::files::Opened;
use crate::consume_queue::state::Piece;
use crate::consume_queue::{ConsumeQueue, ENTRY_BYTES};
use crate::error::Result;
use crate::offset::LogOffset;

/// What the recorder holds while it works.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    /// Bytes gathered for one write call.
    buffer: Vec<u8>,
}

impl Recorder {
    /// The most memory that is kept between two rounds, in bytes.
    const KEPT_BYTES: usize = 64 * 1024;

    /// Gives memory back.
    pub(super) fn rest(&mut self) {
        self.buffer.clear();
        self.buffer.shrink_to(Self::KEPT_BYTES);
    }
}

impl ConsumeQueue {
    /// Writes to files what ends at or below `up_to`, oldest first. Gives whether something is left in memory; if
    /// not, the queue has taken itself off the list of those to be written.
    ///
    /// # Errors
    /// [`Error::Io`](crate::error::Error::Io), a failed sync of an earlier write, which is final. What was not
    /// written stays in memory.
    pub(super) fn write_out(&self, up_to: LogOffset, recorder: &mut Recorder) -> Result<bool> {
        let buffer = &mut recorder.buffer;
        let per_segment = self.shared.files.entries_per_segment();
        let mut due = self.state.read().due(up_to);
        loop {
            // The lock is given back at the end of this line: nobody waits for a file.
            let taken = self.state.write().take(due, up_to, per_segment, buffer);
            let Some(piece) = taken else { break };
            if let Err(error) = self.write_piece(piece, buffer) {
                self.change(|state| state.not_written());
                return Err(error);
            }
            self.change(|state| state.written(piece));
            due = due.saturating_sub(piece.entries);
        }
        self.write_patches(up_to, buffer)?;
        Ok(self.change(|state| {
            state.shrink();
            state.to_write = state.has_work();
            state.to_write
        }))
    }

    fn write_piece(&self, piece: Piece, bytes: &[u8]) -> Result<()> {
        let files = &self.shared.files;
        let at = piece.from % files.entries_per_segment() * ENTRY_BYTES;
        if piece.is_new {
            return files.make(&self.folder, piece.segment, at, bytes, piece.is_first);
        }
        self.write(piece.segment, at, bytes)
    }

    /// Writes to a file that is there.
    pub(super) fn write(&self, segment: u64, at: u64, bytes: &[u8]) -> Result<()> {
        self.writing(segment)?.write_at(at, bytes)
    }

    /// A file that is there, which the next sync makes durable, and its name too: a process that was killed may have
    /// left names that no sync has seen.
    pub(super) fn writing(&self, segment: u64) -> Result<Arc<Opened>> {
        let files = &self.shared.files;
        let file = files.writing(&self.folder, segment)?;
        let named = std::mem::replace(&mut self.state.write().named, true);
        if !named {
            files.name_to_sync(&self.folder);
        }
        Ok(file)
    }

    fn write_patches(&self, up_to: LogOffset, buffer: &mut Vec<u8>) -> Result<()> {
        let per_segment = self.shared.files.entries_per_segment();
        let mut from = 0;
        loop {
            let Some(at) = self.state.read().take_patches(from, up_to, per_segment, buffer) else {
                return Ok(());
            };
            self.write(at / per_segment, at % per_segment * ENTRY_BYTES, buffer)?;
            self.change(|state| state.patched(at, buffer));
            from = at.saturating_add(u64::try_from(buffer.len()).unwrap_or(u64::MAX) / ENTRY_BYTES);
        }
    }
}
