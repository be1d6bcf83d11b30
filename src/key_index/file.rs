//! One index file: how keys are put into it, and what of it stands in memory.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::pending::Pending;
use super::shape::{Entry, EntryBytes, Geometry, Header};
use super::survey::KnownFile;
use crate::clock::Timestamp;
use crate::disk::{Access, Disk, DiskFile};
use crate::error::{Error, Result};
use crate::offset::LogOffset;
use crate::sync::RwLock;

/// An index file, live or sealed. Searches hold it by `Arc`.
#[derive(Debug)]
pub(super) struct IndexFile {
    pub(super) name: u64,
    pub(super) path: PathBuf,
    pub(super) geometry: Geometry,
    /// The message for which it was made; it comes to the disk with that one's entries.
    pub(super) made_for: LogOffset,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) state: RwLock<State>,
    /// All its records lie below the log's front: it may be gone from the disk at any moment.
    pub(super) retired: AtomicBool,
}

/// What of a file stands in memory.
#[derive(Debug)]
pub(super) struct State {
    pub(super) head: Header,
    /// The newest entry of each chain; empty in a sealed file, whose slots are read from the disk. For a file without
    /// keys it is memory that was never touched.
    pub(super) slots: Vec<u32>,
    pub(super) pending: Pending,
    /// Open while the file is live and on the disk, so that a sync sees every error of the writes before it
    /// (promises rule 11).
    pub(super) file: Option<Arc<dyn DiskFile>>,
    pub(super) sealed: bool,
    /// Entries were written since the last sync.
    pub(super) unsynced: bool,
    pub(super) front: Front,
}

/// What the front of the file, header and slots, holds on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Front {
    pub(super) header: OnDisk,
    /// Where a slot is 0 in memory it is 0 in the file, too: it need not be written, and the file stays sparse.
    pub(super) blank_where_blank: bool,
}

/// What the header holds on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnDisk {
    /// Zeros: RocketMQ sees a file without keys.
    Blank,
    /// This header; the slots beside it are of the same moment, and durable.
    Closed(Header),
    /// Something else.
    Unknown,
}

impl State {
    /// Puts one key in (spec 4.5); `false` if the file is full.
    fn put(&mut self, geometry: Geometry, hash: u32, at: LogOffset, stored: Timestamp) -> bool {
        let number = self.head.next_entry;
        if number >= geometry.entries {
            return false;
        }
        let slot = usize::try_from(geometry.slot_of(hash)).ok().and_then(|slot| self.slots.get_mut(slot));
        // The slots of a file that is not full are in memory.
        let prev = slot.map_or(0, |slot| std::mem::replace(slot, number));
        self.pending.push(Entry { hash, at, seconds: self.head.seconds(stored), prev }.encode());
        self.head.count(at, stored, prev == 0);
        true
    }
}

impl IndexFile {
    /// A file that is in memory alone. Costs nothing until keys come: the slots are zeros never touched.
    pub(super) fn new(
        disk: &Arc<dyn Disk>,
        place: (u64, PathBuf),
        geometry: Geometry,
        head: Header,
        made_for: LogOffset,
    ) -> IndexFile {
        let state = State {
            head,
            slots: vec![0; usize::try_from(geometry.slots).unwrap_or(0)],
            pending: Pending::from(head.next_entry),
            file: None,
            sealed: false,
            unsynced: false,
            front: Front { header: OnDisk::Blank, blank_where_blank: true },
        };
        let (name, path) = place;
        let (disk, state, retired) = (Arc::clone(disk), RwLock::new(state), AtomicBool::new(false));
        IndexFile { name, path, geometry, made_for, disk, state, retired }
    }

    /// Puts the keys of one record in; the answer is whether all had room, and how many were put. A file that is
    /// full already takes no message, not even one without keys; one with a message before its last one's skips it
    /// (spec 4.6).
    pub(super) fn put(
        &self,
        at: LogOffset,
        stored: Timestamp,
        hashes: &mut std::iter::Peekable<impl Iterator<Item = u32>>,
    ) -> (bool, u32) {
        let mut state = self.state.write();
        let before = state.head.next_entry;
        if before >= self.geometry.entries {
            return (false, 0);
        }
        if at < state.head.end_offset {
            return (true, 0);
        }
        while let Some(hash) = hashes.peek() {
            if !state.put(self.geometry, *hash, at, stored) {
                break;
            }
            hashes.next();
        }
        (hashes.peek().is_none(), state.head.next_entry - before)
    }

    pub(super) fn capture(&self) -> KnownFile {
        let state = self.state.read();
        KnownFile::new(self.name, &state.head, state.sealed)
    }

    pub(super) fn head(&self) -> Header {
        self.state.read().head
    }

    /// Whether it is on the disk with all that was put.
    pub(super) fn is_written(&self) -> bool {
        let state = self.state.read();
        state.sealed || (state.file.is_some() && state.pending.is_empty())
    }

    pub(super) fn is_sealed(&self) -> bool {
        self.state.read().sealed
    }

    /// Says that its records are gone from the log. Before it goes from the disk.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::SeqCst)
    }

    /// The header, and the number in the slot of this hash; 0 if its chain is empty. Reads the slot from the disk if
    /// the file is sealed.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn chain(&self, hash: u32, reader: &mut Reader) -> Result<(Header, u32)> {
        let slot = self.geometry.slot_of(hash);
        let (head, newest) = {
            let state = self.state.read();
            (state.head, usize::try_from(slot).ok().and_then(|slot| state.slots.get(slot).copied()))
        };
        if let Some(newest) = newest {
            return Ok((head, newest));
        }
        let mut word = [0; 4];
        self.read(reader, self.geometry.slot_at(slot), &mut word)?;
        Ok((head, u32::try_from(i32::from_be_bytes(word)).unwrap_or(0)))
    }

    /// An entry, from memory or from the disk; `None` if it is none that a writer makes.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn entry(&self, number: u32, reader: &mut Reader) -> Result<Option<Entry>> {
        {
            let state = self.state.read();
            if let Some(bytes) = state.pending.entry(number) {
                return Ok(Entry::decode(bytes));
            }
            if reader.is_none() {
                reader.clone_from(&state.file);
            }
        }
        let mut bytes = EntryBytes::default();
        self.read(reader, self.geometry.entry_at(number), &mut bytes)?;
        Ok(Entry::decode(&bytes))
    }

    fn read(&self, reader: &mut Reader, at: u64, out: &mut [u8]) -> Result<()> {
        let file = match reader {
            Some(file) => file,
            None => {
                let opened = self.disk.open(&self.path, Access::Read).map_err(|e| self.io("opening", e))?;
                reader.insert(Arc::from(opened))
            }
        };
        file.read_at(at, out).map_err(|e| self.io("reading", e))
    }

    pub(super) fn io(&self, doing: &'static str, error: std::io::Error) -> Error {
        Error::io(doing, &self.path, error)
    }
}

/// The handle by which a search reads a file: a live file's own, or one that it opens when it needs it.
pub(super) type Reader = Option<Arc<dyn DiskFile>>;
