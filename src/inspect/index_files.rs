//! The files of the key index, read without believing them, and how they are divided.

use std::path::{Path, PathBuf};

use crate::checkpoint::Snapshot;
use crate::disk::{Access, Disk, DiskFile};
use crate::error::{Error, Result};
use crate::inspect::folder::{self, OddFile};
use crate::key_index::{DEFAULT, Geometry, HEADER_LEN, Header, divide};

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
        if let Some(found) = divided(disk, file)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn divided(disk: &dyn Disk, place: &IndexPlace) -> Result<Option<Geometry>> {
    let Some(file) = open(disk, place)? else { return Ok(None) };
    divide(&*file).map_err(|e| Error::io("reading", &place.path, e))
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
