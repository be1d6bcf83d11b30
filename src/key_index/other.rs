//! Index files that were put aside because of their length: which geometry they were made with, for the report.

use std::fmt;
use std::path::{Path, PathBuf};

use super::divide::{DEFAULT, divide};
use super::shape::{Geometry, HEADER_LEN};
use super::survey::ours;
use crate::disk::{Access, Disk};

/// An index file that has not the length that the options say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OtherIndex {
    /// Where it is kept.
    pub(crate) path: PathBuf,
    /// Its length.
    bytes: u64,
    /// How it is divided; `None` where neither our snapshot nor its entries tell.
    found: Option<Geometry>,
    /// How the options divide index files.
    expected: Geometry,
}

impl OtherIndex {
    /// The index files among what was put aside: by their names there, and by their length. `known` is the geometry that
    /// our snapshot tells. A file that cannot be read is told by its length: nothing depends on it any more.
    ///
    /// Costs, for one file of each length that is neither known nor RocketMQ's own, reading its slots.
    pub(crate) fn among(
        disk: &dyn Disk,
        kept: &[PathBuf],
        known: Option<Geometry>,
        expected: Geometry,
    ) -> Vec<OtherIndex> {
        let mut others: Vec<OtherIndex> = Vec::new();
        for path in kept.iter().filter(|path| is_index(path)) {
            let entry = disk.entry(path).ok().flatten().filter(|entry| !entry.is_dir);
            let Some(bytes) = entry.map(|entry| entry.len).filter(|len| *len > HEADER_LEN as u64) else {
                continue;
            };
            let fitting = known.into_iter().chain([DEFAULT]).find(|geometry| geometry.file_bytes() == bytes);
            let same = || others.iter().find(|other| other.bytes == bytes)?.found;
            let by_entries = || disk.open(path, Access::Read).and_then(|file| divide(&*file)).ok().flatten();
            let found = match fitting {
                // We made it so, and its length has changed since.
                None if known == Some(expected) => known,
                None => same().or_else(by_entries),
                fitting => fitting,
            };
            others.push(OtherIndex { path: path.clone(), bytes, found, expected });
        }
        others
    }
}

impl fmt::Display for OtherIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OtherIndex { bytes, found, expected, .. } = self;
        let (Geometry { slots, entries }, expected_bytes) = (expected, expected.file_bytes());
        match found {
            Some(found) if found == expected => write!(
                f,
                "index file of {bytes} bytes where its {slots} slots and {entries} entries have {expected_bytes}"
            ),
            Some(found) => write!(
                f,
                "index file of {} slots and {} entries where {slots} and {entries} are configured: set \
                 Options::index_slots and index_entries to keep it",
                found.slots, found.entries
            ),
            None => write!(
                f,
                "index file of {bytes} bytes where the {slots} slots and {entries} entries that are configured have \
                 {expected_bytes}: set Options::index_slots and index_entries as its writer had them to keep it"
            ),
        }
    }
}

/// Whether something was put aside under an index file's name; a number may follow that.
fn is_index(kept: &Path) -> bool {
    let name = kept.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name = name.strip_prefix("index+").and_then(|name| name.split('.').next());
    name.and_then(ours).is_some()
}
