//! How an index file that is known comes back: a sealed one by its header, a live one with its slots in memory.
//!
//! Slots are built up again from the entries; what a power cut or a kill left in their place on the disk is never
//! looked at, except where a header that agrees with what is known vouches for them and reading them costs less.
//! What stands behind the entries known to be durable is ignored and written over.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::file::{Front, IndexFile, OnDisk, State};
use super::name;
use super::pending::Pending;
use super::shape::{ENTRY_LEN, Entry, EntryBytes, Geometry, HEADER_LEN, Header};
use super::survey::KnownFile;
use crate::disk::{Access, Disk, DiskFile};
use crate::error::{Error, Result};
use crate::offset::LogOffset;
use crate::sync::RwLock;

/// Entries read by one call: 320 KiB.
const PIECE_ENTRIES: u32 = 16_384;
/// Slots read by one call: 64 KiB.
const PIECE_SLOTS: usize = 16_384;

/// Opens a known file.
///
/// # Errors
/// [`Error::Geometry`] or [`Error::Foreign`] if the file is not what is known of it; [`Error::Io`].
pub(super) fn load(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    geometry: Geometry,
    known: &KnownFile,
) -> Result<IndexFile> {
    let path = dir.join(name::digits(known.name));
    let access = if known.sealed { Access::Read } else { Access::Write };
    let file = disk.open(&path, access).map_err(|e| Error::io("opening", &path, e))?;
    if file.len() != geometry.file_bytes() {
        return Err(Error::Geometry { path, found: file.len(), expected: geometry.file_bytes() });
    }
    let full = known.next_entry == geometry.entries;
    let possible = (1..=geometry.entries).contains(&known.next_entry) && (full || !known.sealed);
    if !possible {
        return Err(contradiction(&path, 0, format!("{} entries are known of it", known.next_entry)));
    }
    let loader = Loader { file: file.as_ref(), path: &path, geometry, known };
    let on_disk = loader.header()?;
    let closed = on_disk.filter(|head| *head == known.header(head.slots_used));
    let (slots, head) = match (known.sealed, closed) {
        (true, Some(head)) => (Vec::new(), head),
        (true, None) => return Err(contradiction(&path, 0, "its header is not the one it was sealed with")),
        (false, _) => loader.slots(closed)?,
    };
    let state = State {
        head,
        slots,
        pending: Pending::from(known.next_entry),
        file: (!known.sealed).then(|| Arc::from(file)),
        sealed: known.sealed,
        unsynced: false,
        front: Front {
            header: closed.filter(|closed| *closed == head).map_or(OnDisk::Unknown, OnDisk::Closed),
            // Slots of the same moment are there, or anything.
            blank_where_blank: closed.is_some(),
        },
    };
    let (disk, state, retired) = (Arc::clone(disk), RwLock::new(state), AtomicBool::new(false));
    Ok(IndexFile { name: known.name, path, geometry, made_for: LogOffset::ZERO, disk, state, retired })
}

struct Loader<'a> {
    file: &'a dyn DiskFile,
    path: &'a Path,
    geometry: Geometry,
    known: &'a KnownFile,
}

impl Loader<'_> {
    /// The header on the disk, if it is one.
    fn header(&self) -> Result<Option<Header>> {
        let mut bytes = [0; HEADER_LEN];
        self.read(0, &mut bytes)?;
        Ok(Header::decode(&bytes))
    }

    /// The slots of a live file, by the cheaper road: read from the file, where `closed` vouches for them, or built
    /// up from the entries; and the header with the slots counted.
    fn slots(&self, closed: Option<Header>) -> Result<(Vec<u32>, Header)> {
        let entries_bytes = self.geometry.entry_at(self.known.next_entry) - self.geometry.entry_at(0);
        let slots_bytes = self.geometry.entry_at(0);
        let vouched = closed.filter(|_| slots_bytes < entries_bytes);
        if let Some(head) = vouched
            && let Some(slots) = self.read_slots(head)?
        {
            return Ok((slots, head));
        }
        let slots = self.rebuild()?;
        let used = slots.iter().filter(|slot| **slot != 0).count();
        Ok((slots, self.known.header(u32::try_from(used).unwrap_or(u32::MAX))))
    }

    /// The slots as they stand in the file; `None` if they cannot be those of the header.
    fn read_slots(&self, head: Header) -> Result<Option<Vec<u32>>> {
        let mut slots = self.blank_slots();
        let (mut at, mut used) = (self.geometry.slot_at(0), 0_u32);
        let mut bytes = Vec::new();
        for piece in slots.chunks_mut(PIECE_SLOTS) {
            bytes.resize(piece.len().saturating_mul(4), 0);
            self.read(at, &mut bytes)?;
            at = at.saturating_add(bytes.len() as u64);
            for (slot, word) in piece.iter_mut().zip(bytes.as_chunks::<4>().0) {
                let number = u32::from_be_bytes(*word);
                if number >= head.next_entry {
                    return Ok(None);
                }
                // Zeros are not stored: the memory stays untouched.
                if number != 0 {
                    *slot = number;
                    used = used.saturating_add(1);
                }
            }
        }
        Ok((used == head.slots_used).then_some(slots))
    }

    fn blank_slots(&self) -> Vec<u32> {
        vec![0; usize::try_from(self.geometry.slots).unwrap_or(0)]
    }

    /// The slots as putting the known entries one after the other makes them. Each entry must name the one that was
    /// the newest of its chain before it, so that a lost or foreign entry does not pass.
    fn rebuild(&self) -> Result<Vec<u32>> {
        let mut slots = self.blank_slots();
        let mut bytes = Vec::new();
        let (mut next, mut before) = (1, self.known.begin_offset);
        while next < self.known.next_entry {
            let count = (self.known.next_entry - next).min(PIECE_ENTRIES);
            bytes.resize(usize::try_from(count).unwrap_or(0).saturating_mul(ENTRY_LEN), 0);
            self.read(self.geometry.entry_at(next), &mut bytes)?;
            for entry in bytes.as_chunks::<ENTRY_LEN>().0 {
                before = self.admit(&mut slots, next, entry, before)?;
                next += 1;
            }
        }
        if self.known.next_entry > 1 && before != self.known.end_offset {
            return Err(self.bad_entry(self.known.next_entry - 1, "it is not the last one that was put"));
        }
        Ok(slots)
    }

    /// Takes one entry into the slots; the answer is where its record lies.
    fn admit(
        &self,
        slots: &mut [u32],
        number: u32,
        bytes: &EntryBytes,
        before: LogOffset,
    ) -> Result<LogOffset> {
        let Some(entry) = Entry::decode(bytes) else {
            return Err(self.bad_entry(number, "a number in it is negative"));
        };
        if entry.at < before || entry.at > self.known.end_offset || (number == 1 && entry.at != before) {
            return Err(self.bad_entry(number, "its record's place is out of order"));
        }
        let slot = usize::try_from(self.geometry.slot_of(entry.hash)).ok();
        match slot.and_then(|slot| slots.get_mut(slot)) {
            Some(slot) if *slot == entry.prev => *slot = number,
            _ => return Err(self.bad_entry(number, "it does not continue its chain")),
        }
        Ok(entry.at)
    }

    fn bad_entry(&self, number: u32, why: &str) -> Error {
        let at = self.geometry.entry_at(number);
        contradiction(self.path, at, format!("entry {number} is not what was written: {why}"))
    }

    fn read(&self, at: u64, out: &mut [u8]) -> Result<()> {
        self.file.read_at(at, out).map_err(|e| Error::io("reading", self.path, e))
    }
}

/// The files are not those that are known.
pub(super) fn contradiction(path: &Path, at: u64, why: impl std::fmt::Display) -> Error {
    let why = format!("at byte {at}: {why}; the index must be set aside and derived from the log again");
    Error::Foreign { path: path.to_path_buf(), why: why.into() }
}
