//! The files of the key index, read without believing them, and how they are divided.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::checkpoint::Snapshot;
use crate::disk::{Access, Disk, DiskFile};
use crate::error::{Error, Result};
use crate::inspect::folder::{self, OddFile};
use crate::key_index::{Entry, EntryBytes, Geometry, HEADER_LEN, Header};

/// RocketMQ's own (spec 4.1).
const DEFAULT: Geometry = Geometry { slots: 5_000_000, entries: 20_000_000 };
/// Bytes read by one call; a multiple of an entry's 20.
const PIECE_BYTES: usize = 20 * 16_384;
/// Entries that must form chains before a division is believed.
const ENOUGH: u32 = 64;

/// An index file by its name.
#[derive(Clone, Debug)]
pub(super) struct IndexPlace {
    pub(super) name: u64,
    pub(super) path: PathBuf,
    pub(super) len: u64,
}

impl IndexPlace {
    pub(super) fn odd(self, expected: u64) -> OddFile {
        let why = format!("{} bytes where the other index files have {expected}", self.len);
        OddFile { path: self.path, why }
    }
}

/// Index files ascending by name, and what stands among them.
pub(super) fn list(disk: &dyn Disk, dir: &Path) -> Result<(Vec<IndexPlace>, Vec<OddFile>)> {
    let (mut found, mut odd) = (Vec::new(), Vec::new());
    for entry in folder::list(disk, dir)? {
        let name =
            entry.name.parse::<u64>().ok().filter(|name| crate::layout::index_name(*name) == entry.name);
        match name {
            Some(name) if !entry.is_dir => found.push(IndexPlace { name, path: entry.path, len: entry.len }),
            // RocketMQ passes over names that are no numbers (spec 1.3).
            _ if entry.name.bytes().any(|byte| !byte.is_ascii_digit()) => {}
            _ => odd.push(OddFile { path: entry.path, why: "no index file has such a name".into() }),
        }
    }
    found.sort_unstable_by_key(|place| place.name);
    Ok((found, odd))
}

/// How the files are divided: as our own snapshot says, by RocketMQ's default, or as the entries of the oldest file
/// with a key show. `None` where nothing tells.
///
/// # Errors
/// [`Error::Io`].
pub(super) fn geometry(
    disk: &dyn Disk,
    files: &[IndexPlace],
    snapshot: Option<&Snapshot>,
) -> Result<Option<Geometry>> {
    let common = files.iter().map(|file| file.len).max();
    let Some(len) = common else { return Ok(None) };
    let known = snapshot.and_then(|s| s.index.as_ref());
    let known = known.map(|index| Geometry { slots: index.slots, entries: index.entries });
    if let Some(fitting) = known.into_iter().chain([DEFAULT]).find(|g| g.file_bytes() == len) {
        return Ok(Some(fitting));
    }
    for file in files.iter().filter(|file| file.len == len) {
        if let Some(found) = divide(disk, file)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Entries lie from the file's end backwards, 20 bytes each; the first key's is known by the record that the header
/// names. What stands before it are the slots.
fn divide(disk: &dyn Disk, place: &IndexPlace) -> Result<Option<Geometry>> {
    let Some(file) = open(disk, place)? else { return Ok(None) };
    let Some(head) = header(&*file, &place.path)?.filter(|head| head.next_entry > 1) else { return Ok(None) };
    let front = HEADER_LEN as u64 + 4;
    let mut at = front + place.len.saturating_sub(front) % 20;
    let mut bytes = vec![0; PIECE_BYTES];
    while at < place.len {
        let step = bytes.len().min(usize::try_from(place.len - at).unwrap_or(usize::MAX));
        let Some(piece) = bytes.get_mut(..step) else { break };
        file.read_at(at, piece).map_err(|e| Error::io("reading", &place.path, e))?;
        for (entry, place_at) in piece.as_chunks::<20>().0.iter().zip((at..).step_by(20)) {
            let is_first = Entry::decode(entry).is_some_and(|e| e.at == head.begin_offset && e.prev == 0);
            // The first key's entry is number 1; number 0 stands before it and is never used.
            let slots = u32::try_from((place_at.saturating_sub(HEADER_LEN as u64 + 20)) / 4).unwrap_or(0);
            let entries = u32::try_from((place.len - place_at) / 20 + 1).unwrap_or(0);
            let geometry = Geometry { slots, entries };
            let fits = is_first && slots > 0 && geometry.file_bytes() == place.len;
            if fits && head.next_entry <= entries && is_chained(&*file, place, geometry, &head)? {
                return Ok(Some(geometry));
            }
        }
        at += step as u64;
    }
    Ok(None)
}

/// Whether the first entries name each other as putting them one after the other makes them.
fn is_chained(file: &dyn DiskFile, place: &IndexPlace, geometry: Geometry, head: &Header) -> Result<bool> {
    let mut newest: HashMap<u32, u32> = HashMap::new();
    let mut before = head.begin_offset;
    for number in 1..head.next_entry.min(ENOUGH) {
        let mut bytes = EntryBytes::default();
        let at = geometry.entry_at(number);
        file.read_at(at, &mut bytes).map_err(|e| Error::io("reading", &place.path, e))?;
        let Some(entry) = Entry::decode(&bytes) else { return Ok(false) };
        let prev = newest.insert(geometry.slot_of(entry.hash), number).unwrap_or(0);
        if entry.prev != prev || entry.at < before || entry.at > head.end_offset {
            return Ok(false);
        }
        before = entry.at;
    }
    // Of few keys the slots must tell, too: zeros could be entries of anything.
    let (slot, number) = newest.into_iter().next().unwrap_or_default();
    let mut word = [0; 4];
    file.read_at(geometry.slot_at(slot), &mut word).map_err(|e| Error::io("reading", &place.path, e))?;
    let points_at = u32::from_be_bytes(word);
    Ok(points_at >= number && points_at < head.next_entry)
}

/// Opens an index file; `None` if it has vanished.
///
/// # Errors
/// [`Error::Io`].
pub(super) fn open(disk: &dyn Disk, place: &IndexPlace) -> Result<Option<Box<dyn DiskFile>>> {
    match disk.open(&place.path, Access::Read) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("opening", &place.path, e)),
    }
}

/// The header, if it is one that a writer leaves behind.
///
/// # Errors
/// [`Error::Io`].
pub(super) fn header(file: &dyn DiskFile, path: &Path) -> Result<Option<Header>> {
    let mut bytes = [0; HEADER_LEN];
    if file.len() < HEADER_LEN as u64 {
        return Ok(None);
    }
    file.read_at(0, &mut bytes).map_err(|e| Error::io("reading", path, e))?;
    Ok(Header::decode(&bytes))
}
