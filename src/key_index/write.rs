//! How an index file comes to the disk: entries by position as they are put, slots and header when it is full or
//! closed.
//!
//! Slots change in place, and a power cut tears what changes in place; so they are written where nobody relies on
//! them yet: the header on the disk is zeros from before the first slot is written until the last one is durable.
//! Whoever finds a header finds the slots that belong to it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::file::{Front, IndexFile, OnDisk};
use super::shape::HEADER_LEN;
use crate::disk::{DiskFile, Reserve};
use crate::error::{Error, Result};
use crate::offset::LogOffset;

/// Entries written by one call: 320 KiB.
const PIECE_ENTRIES: u32 = 16_384;
/// Slots that are written or left out together: 4 KiB. Left out are pieces without a chain, where the file is known
/// to be zeros.
const PIECE_SLOTS: usize = 1024;
/// Pieces that follow each other are written by one call, up to so many bytes.
const RUN_BYTES: usize = 256 << 10;

impl IndexFile {
    /// Whether it is on the disk, under its name.
    pub(super) fn is_made(&self) -> bool {
        let state = self.state.read();
        state.file.is_some() || state.sealed
    }

    /// Makes the file, all zeros and sparse, aside, and gives it its name; whoever lists the folder sees whole files
    /// only. The name is made durable by the caller.
    ///
    /// # Errors
    /// [`Error::Io`]; nothing was made then but, at worst, a file in the `making` folder, which the next attempt
    /// removes.
    pub(super) fn make(&self, making: &Path) -> Result<()> {
        let aside = making.join(super::name::digits(self.name));
        match self.disk.remove(&aside) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(Error::io("removing", &aside, e)),
            _ => {}
        }
        let file = self
            .disk
            .create(&aside, self.geometry.file_bytes(), Reserve::Sparse)
            .map_err(|e| Error::io("creating", &aside, e))?;
        file.sync().map_err(|e| Error::io("syncing", &aside, e))?;
        self.disk.rename(&aside, &self.path).map_err(|e| Error::io("renaming in", &self.path, e))?;
        self.state.write().file = Some(Arc::from(file));
        Ok(())
    }

    /// Writes the entries of records before `up_to` that are not in the file yet, and gives their memory back.
    /// `written` hears of each piece, in entries.
    ///
    /// # Errors
    /// [`Error::Io`]; what was not written is still in memory.
    pub(super) fn write_entries(&self, up_to: LogOffset, mut written: impl FnMut(u32)) -> Result<()> {
        let mut piece = Vec::new();
        loop {
            piece.clear();
            let (first, count, file) = {
                let state = self.state.read();
                let count = state.pending.copy_front(up_to, PIECE_ENTRIES, &mut piece);
                (state.pending.first(), count, state.file.clone())
            };
            let Some(file) = file.filter(|_| count > 0) else { return Ok(()) };
            // Meanwhile readers find these entries in memory, and the dispatcher puts more behind them.
            self.state.write().unsynced = true;
            file.write_at(self.geometry.entry_at(first), &piece).map_err(|e| self.io("writing", e))?;
            self.state.write().pending.drop_front(count);
            written(count);
        }
    }

    /// Makes the entries in the file durable.
    ///
    /// # Errors
    /// [`Error::Failed`]: a failed sync is final (promises rule 1).
    pub(super) fn sync(&self) -> Result<()> {
        let file = {
            let mut state = self.state.write();
            let unsynced = std::mem::take(&mut state.unsynced);
            state.file.clone().filter(|_| unsynced)
        };
        file.map_or(Ok(()), |file| self.sync_file(file.as_ref()))
    }

    fn sync_file(&self, file: &dyn DiskFile) -> Result<()> {
        file.sync().map_err(|e| self.io("syncing", e).latched())
    }

    /// Whether it is full, with all entries in the file.
    pub(super) fn is_ready_to_seal(&self) -> bool {
        let state = self.state.read();
        !state.sealed && state.head.next_entry >= self.geometry.entries && state.pending.is_empty()
    }

    /// Seals a full file whose entries are all in it and durable: writes slots and header, and gives the memory and
    /// the descriptor back.
    ///
    /// # Errors
    /// As [`IndexFile::write_front`]; the file is live as before.
    pub(super) fn seal(&self) -> Result<()> {
        self.write_front()?;
        let mut state = self.state.write();
        state.sealed = true;
        state.slots = Vec::new();
        state.file = None;
        Ok(())
    }

    /// Writes slots and header as RocketMQ would have them now, if every entry is in the file and durable; a file
    /// that still has entries in memory, or is not on the disk, stays as it is.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::is_full`] where the disk is; call again. [`Error::Failed`] if a sync failed.
    pub(super) fn write_front(&self) -> Result<()> {
        let (front, head, file) = {
            let state = self.state.read();
            let settled = state.pending.is_empty() && !state.sealed;
            let Some(file) = state.file.clone().filter(|_| settled) else { return Ok(()) };
            (state.front, state.head, file)
        };
        // Slots that are there already are durable; the header may have been left in the page cache by a process
        // that was killed, and is written again.
        if front.header != OnDisk::Closed(head) {
            if front.header != OnDisk::Blank {
                self.set_front(OnDisk::Unknown);
                self.write_at(file.as_ref(), 0, &[0; HEADER_LEN])?;
                self.sync_file(file.as_ref())?;
                self.set_front(OnDisk::Blank);
            }
            self.write_slots(file.as_ref(), front)?;
            self.sync_file(file.as_ref())?;
            self.state.write().front.blank_where_blank = true;
        }
        self.set_front(OnDisk::Unknown);
        self.write_at(file.as_ref(), 0, &head.encode())?;
        self.sync_file(file.as_ref())?;
        self.set_front(OnDisk::Closed(head));
        Ok(())
    }

    fn write_slots(&self, file: &dyn DiskFile, front: Front) -> Result<()> {
        let slots = usize::try_from(self.geometry.slots).unwrap_or(usize::MAX);
        let mut run: Vec<u8> = Vec::new();
        let mut at = self.geometry.slot_at(0);
        for from in (0..slots).step_by(PIECE_SLOTS) {
            let len = PIECE_SLOTS.min(slots.saturating_sub(from));
            if run.len() >= RUN_BYTES {
                self.write_run(file, &mut at, &mut run)?;
            }
            if !self.copy_slots(from, len, front, &mut run) {
                self.write_run(file, &mut at, &mut run)?;
                at = at.saturating_add(4 * len as u64);
            }
        }
        self.write_run(file, &mut at, &mut run)
    }

    /// Appends slots to `run`, unless they may be left out. Nobody puts into a file that is full or being closed, so
    /// the lock need not be held from one piece to the next, and nobody waits for the disk.
    fn copy_slots(&self, from: usize, len: usize, front: Front, run: &mut Vec<u8>) -> bool {
        let state = self.state.read();
        let piece = state.slots.get(from..from.saturating_add(len)).unwrap_or_default();
        let needed = !front.blank_where_blank || piece.iter().any(|slot| *slot != 0);
        if needed {
            run.extend(piece.iter().flat_map(|slot| slot.to_be_bytes()));
        }
        needed
    }

    fn write_run(&self, file: &dyn DiskFile, at: &mut u64, run: &mut Vec<u8>) -> Result<()> {
        if !run.is_empty() {
            self.write_at(file, *at, run)?;
            *at = at.saturating_add(run.len() as u64);
            run.clear();
        }
        Ok(())
    }

    fn write_at(&self, file: &dyn DiskFile, at: u64, bytes: &[u8]) -> Result<()> {
        file.write_at(at, bytes).map_err(|e| self.io("writing", e))
    }

    fn set_front(&self, header: OnDisk) {
        self.state.write().front.header = header;
    }
}
