//! Records held against the key index, in log order, and each file's hash table against its entries.
//!
//! Keys are put in log order, so the entries of all files, one file behind the other, are the keys of the log's records
//! one behind the other: two runs that are compared as they go.

use std::path::PathBuf;

use crate::disk::{Disk, DiskFile};
use crate::dispatch::indexed_keys;
use crate::error::{Error, Result};
use crate::inspect::index_files;
use crate::inspect::verify::fault::{Fault, FaultKind, MessageName};
use crate::inspect::verify::index_scope::{IndexScope, IndexScopeFile};
use crate::inspect::verify::scope::Scope;
use crate::key_index::{Entry, EntryBytes, Header, TopicHash};
use crate::message::{Derivable, Head};
use crate::offset::LogOffset;

/// Entries read by one call: 320 KiB.
const TOGETHER: u32 = 16_384;
/// How many entries are looked through for the next one in order, when one is out of order.
const LOOK_AHEAD: u32 = 16;

/// Goes along the entries of all files.
#[derive(Debug)]
pub(super) struct Cursor<'s> {
    index: &'s IndexScope,
    disk: &'s dyn Disk,
    file: usize,
    number: u32,
    open: Option<(usize, Box<dyn DiskFile>)>,
    read: Vec<EntryBytes>,
    read_at: (usize, u32),
}

impl<'s> Cursor<'s> {
    /// A cursor at the first entry for a record at or behind `from`.
    pub(super) fn new(index: &'s IndexScope, disk: &'s dyn Disk, from: LogOffset) -> Result<Cursor<'s>> {
        let file = index.files.partition_point(|file| file.head.end_offset < from);
        let read_at = (usize::MAX, 0);
        let mut cursor = Cursor { index, disk, file, number: 1, open: None, read: Vec::new(), read_at };
        let Some(place) = index.files.get(file) else { return Ok(cursor) };
        let (mut low, mut high) = (1, place.head.next_entry);
        while low < high {
            let middle = low.midpoint(high);
            let mut bytes = EntryBytes::default();
            cursor.read_entries(file, middle, std::slice::from_mut(&mut bytes))?;
            if Entry::offset(&bytes) < from { low = middle + 1 } else { high = middle }
        }
        cursor.number = low;
        Ok(cursor)
    }

    fn read_entries(&mut self, file: usize, number: u32, out: &mut [EntryBytes]) -> Result<bool> {
        let Some(scope) = self.index.files.get(file) else { return Ok(false) };
        if self.open.as_ref().is_none_or(|(open, _)| *open != file) {
            self.open = index_files::open(self.disk, &scope.place)?.map(|opened| (file, opened));
        }
        let Some((_, opened)) = &self.open else { return Ok(false) };
        let at = self.index.geometry.entry_at(number);
        let path = &scope.place.path;
        opened.read_at(at, out.as_flattened_mut()).map_err(|e| Error::io("reading", path, e))?;
        Ok(true)
    }

    /// The entry that stands `ahead` of the cursor, in the same file; its file and number beside it.
    fn ahead(&mut self, ahead: u32) -> Result<Option<(EntryBytes, usize, u32)>> {
        while let Some(scope) = self.index.files.get(self.file) {
            if self.number < scope.head.next_entry {
                break;
            }
            (self.file, self.number) = (self.file + 1, 1);
        }
        let (file, number) = (self.file, self.number.saturating_add(ahead));
        let Some(scope) = self.index.files.get(file).filter(|scope| number < scope.head.next_entry) else {
            return Ok(None);
        };
        let inside = |at: (usize, u32), len: usize| {
            let index = usize::try_from(number.checked_sub(at.1)?).ok()?;
            (at.0 == file && index < len).then_some(index)
        };
        if inside(self.read_at, self.read.len()).is_none() {
            let count = usize::try_from((scope.head.next_entry - number).min(TOGETHER)).unwrap_or(0);
            let mut read = std::mem::take(&mut self.read);
            read.resize(count, EntryBytes::default());
            let is_there = self.read_entries(file, number, &mut read)?;
            self.read = read;
            self.read_at = (file, number);
            if !is_there {
                self.read.clear();
                return Ok(None);
            }
        }
        let index = inside(self.read_at, self.read.len());
        Ok(index.and_then(|index| self.read.get(index)).map(|bytes| (*bytes, file, number)))
    }

    /// Passes over entries for records before `to`: they lie where the log cannot be read.
    pub(super) fn skip_to(&mut self, to: LogOffset) -> Result<()> {
        while let Some((bytes, ..)) = self.ahead(0)? {
            if Entry::offset(&bytes) >= to {
                break;
            }
            self.number += 1;
        }
        Ok(())
    }
}

/// What was found out about the keys of one segment's records.
#[derive(Debug, Default)]
pub(super) struct KeysFound {
    pub(super) keys: u64,
    lost: Option<Fault>,
    stale: Option<Fault>,
    /// The hashes of one record's keys, and those of them whose entry was not seen yet: kept for the next record.
    wanted: Vec<u32>,
    left: Vec<u32>,
}

impl KeysFound {
    /// Holds one record's keys against the entries.
    pub(super) fn check(
        &mut self,
        scope: &Scope,
        cursor: &mut Cursor<'_>,
        at: LogOffset,
        head: &Head<'_>,
        derivable: &Derivable<'_>,
    ) -> Result<()> {
        let index = cursor.index;
        let topic = TopicHash::of(head.topic);
        let (mut wanted, mut left) = (std::mem::take(&mut self.wanted), std::mem::take(&mut self.left));
        wanted.clear();
        left.clear();
        let dropped = scope.is_dropped(head.topic, at);
        if at >= index.covered_from && at < index.covered_to && !dropped {
            wanted.extend(indexed_keys(head, derivable).map(|key| topic.key(key)));
        }
        // Entries for places before this record, at which none begins.
        while let Some((bytes, file, number)) = cursor.ahead(0)? {
            if Entry::offset(&bytes) >= at {
                break;
            }
            self.stale(index, (file, number), &bytes, "no record begins at its place");
            cursor.number += 1;
        }
        self.pass_out_of_order(cursor, at, !wanted.is_empty())?;
        left.extend_from_slice(&wanted);
        while let Some((bytes, file, number)) = cursor.ahead(0)? {
            if Entry::offset(&bytes) != at {
                break;
            }
            cursor.number += 1;
            self.keys += 1;
            let Some(entry) = Entry::decode(&bytes) else {
                self.stale(index, (file, number), &bytes, "a number in it is negative");
                continue;
            };
            let known = index.files.get(file).map(|file| file.head);
            if let Some(place) = left.iter().position(|hash| *hash == entry.hash) {
                left.swap_remove(place);
            } else if !wanted.contains(&entry.hash) && !dropped && at >= index.covered_from {
                self.stale(index, (file, number), &bytes, "its record does not carry its key");
            }
            // The first one tells its time by what the file inherited from the one before (spec 4.2). That may be gone.
            let known = if number > 1 { known } else { index.inherited(file) };
            if known.is_some_and(|known| known.seconds(head.stored) != entry.seconds) {
                self.stale(index, (file, number), &bytes, "its time is not its record's");
            }
        }
        for _ in &left {
            self.lost(index, at, head);
        }
        (self.wanted, self.left) = (wanted, left);
        Ok(())
    }

    /// An entry that points ahead while its successors do not is itself out of order.
    fn pass_out_of_order(&mut self, cursor: &mut Cursor<'_>, at: LogOffset, wanted: bool) -> Result<()> {
        let Some((bytes, ..)) = cursor.ahead(0)?.filter(|_| wanted) else { return Ok(()) };
        if Entry::offset(&bytes) == at {
            return Ok(());
        }
        for ahead in 1..LOOK_AHEAD {
            let Some((bytes, ..)) = cursor.ahead(ahead)? else { return Ok(()) };
            if Entry::offset(&bytes) == at {
                for _ in 0..ahead {
                    if let Some((bytes, file, number)) = cursor.ahead(0)? {
                        self.stale(cursor.index, (file, number), &bytes, "it points elsewhere");
                    }
                    cursor.number += 1;
                }
                return Ok(());
            }
        }
        Ok(())
    }

    fn stale(&mut self, index: &IndexScope, (file, number): (usize, u32), bytes: &EntryBytes, what: &str) {
        let path = index.files.get(file).map(|file| file.place.path.clone()).unwrap_or_default();
        let log = Entry::offset(bytes);
        let fault = self.stale.get_or_insert_with(|| Fault {
            at: index.geometry.entry_at(number),
            log: Some(log),
            count: 0,
            ..Fault::of_file(FaultKind::StaleKey, path, format!("entry {number}: {what}"))
        });
        fault.count += 1;
    }

    fn lost(&mut self, index: &IndexScope, at: LogOffset, head: &Head<'_>) {
        let file = index.files.iter().find(|file| file.head.end_offset >= at).or(index.files.last());
        let path = file.map(|file| file.place.path.clone()).unwrap_or_default();
        let fault = self.lost.get_or_insert_with(|| Fault {
            log: Some(at),
            message: Some(MessageName {
                topic: head.topic.to_owned(),
                queue_id: head.queue_id,
                queue_offset: head.queue_offset,
            }),
            count: 0,
            ..Fault::of_file(FaultKind::LostKey, path, "one of its keys is not in the index".into())
        });
        fault.count += 1;
        fault.log_to = Some(at.plus(u64::from(head.len)));
    }

    /// Entries up to the end of the segment that no record claimed.
    pub(super) fn end(&mut self, cursor: &mut Cursor<'_>, end: LogOffset) -> Result<()> {
        while let Some((bytes, file, number)) = cursor.ahead(0)? {
            if Entry::offset(&bytes) >= end {
                break;
            }
            self.stale(cursor.index, (file, number), &bytes, "no record begins at its place");
            cursor.number += 1;
        }
        Ok(())
    }

    pub(super) fn faults(&mut self) -> impl Iterator<Item = Fault> {
        self.lost.take().into_iter().chain(self.stale.take())
    }
}

/// Holds the slots and chains of one file against its entries, put one after the other. Takes 4 bytes of memory a slot.
///
/// # Errors
/// [`Error::Io`].
pub(super) fn check_table(
    disk: &dyn Disk,
    index: &IndexScope,
    file: &IndexScopeFile,
) -> Result<Option<Fault>> {
    let (geometry, path) = (index.geometry, &file.place.path);
    let Some(opened) = index_files::open(disk, &file.place)? else { return Ok(None) };
    let io = |e| Error::io("reading", path, e);
    let mut broken = Broken { path: path.clone(), fault: None };
    let mut slots = vec![0_u32; usize::try_from(geometry.slots).unwrap_or(0)];
    let (mut number, mut bytes) = (1, Vec::new());
    while number < file.head.next_entry {
        let count = (file.head.next_entry - number).min(TOGETHER);
        bytes.resize(usize::try_from(count).unwrap_or(0), EntryBytes::default());
        opened.read_at(geometry.entry_at(number), bytes.as_flattened_mut()).map_err(io)?;
        for (entry, number) in bytes.iter().zip(number..) {
            let Some(entry) = Entry::decode(entry) else {
                broken.note(geometry.entry_at(number), format!("entry {number} holds a negative number"));
                continue;
            };
            let slot =
                usize::try_from(geometry.slot_of(entry.hash)).ok().and_then(|slot| slots.get_mut(slot));
            let Some(slot) = slot else { continue };
            if *slot != entry.prev {
                let what = format!("entry {number} continues entry {} and not {}", entry.prev, *slot);
                broken.note(geometry.entry_at(number), what);
            }
            *slot = number;
        }
        number += count;
    }
    let mut words = Vec::new();
    for (from, piece) in (0_u32..).step_by(usize::try_from(TOGETHER).unwrap_or(1)).zip(slots.chunks(16_384)) {
        words.resize(piece.len(), [0; 4]);
        opened.read_at(geometry.slot_at(from), words.as_flattened_mut()).map_err(io)?;
        for ((expected, found), slot) in piece.iter().zip(&words).zip(from..) {
            let found = u32::from_be_bytes(*found);
            if found != *expected {
                let what = format!("slot {slot} names entry {found} where {expected} is its newest");
                broken.note(geometry.slot_at(slot), what);
            }
        }
    }
    let head = index_files::header(&*opened, path)?;
    let used = u32::try_from(slots.iter().filter(|slot| **slot != 0).count()).unwrap_or(u32::MAX);
    if head != Some(Header { slots_used: used, ..file.head }) {
        broken.note(0, "the header is not that of its entries".into());
    }
    Ok(broken.fault)
}

/// The first thing that is wrong with a table, and how many more.
struct Broken {
    path: PathBuf,
    fault: Option<Fault>,
}

impl Broken {
    fn note(&mut self, at: u64, what: String) {
        let path = &self.path;
        let fault = self.fault.get_or_insert_with(|| Fault {
            at,
            count: 0,
            ..Fault::of_file(FaultKind::BrokenIndex, path.clone(), what)
        });
        fault.count += 1;
    }
}
