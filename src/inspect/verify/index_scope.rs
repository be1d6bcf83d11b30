//! The key index as far as a verification goes by it: its files, what is known of each, which records they cover.

use crate::checkpoint::Snapshot;
use crate::error::Result;
use crate::inspect::index_files::{self, IndexPlace};
use crate::inspect::parts::Parts;
use crate::key_index::{Geometry, Header};
use crate::offset::LogOffset;

/// The index as far as it can be held against the log.
#[derive(Debug)]
pub(super) struct IndexScope {
    pub(super) geometry: Geometry,
    pub(super) files: Vec<IndexScopeFile>,
    /// Records from here on must be found by their keys.
    pub(super) covered_from: LogOffset,
    /// Records up to here, and without it.
    pub(super) covered_to: LogOffset,
}

/// One file with keys.
#[derive(Debug)]
pub(super) struct IndexScopeFile {
    pub(super) place: IndexPlace,
    /// The header, or what is known in its place.
    pub(super) head: Header,
    /// Whether header and slots on the disk are those of the entries.
    pub(super) has_slots: bool,
}

impl IndexScope {
    /// `None` where there is no index, or where nothing says how far its files count.
    pub(super) fn new(
        parts: &Parts,
        derived: Option<&Snapshot>,
        strict_to: LogOffset,
    ) -> Result<Option<IndexScope>> {
        let ours = parts.before.is_ours();
        let known = derived.and_then(|s| s.index.as_ref());
        let Some(geometry) = parts.geometry.filter(|_| !ours || known.is_some()) else { return Ok(None) };
        let all_closed = strict_to == LogOffset(u64::MAX);
        let mut files = Vec::new();
        for place in &parts.index {
            let Some(file) = index_files::open(&*parts.disk, place)? else { continue };
            let head = index_files::header(&*file, &place.path)?;
            let marked = known.and_then(|index| index.files.iter().find(|file| file.name == place.name));
            let (head, has_slots) = match (marked, head) {
                (Some(mark), head) => {
                    let known = Header {
                        begin_time: mark.begin_time,
                        end_time: mark.end_time,
                        begin_offset: mark.begin_offset,
                        end_offset: mark.end_offset,
                        slots_used: head.map_or(0, |head| head.slots_used),
                        next_entry: mark.next_entry,
                    };
                    (known, mark.sealed || all_closed)
                }
                (None, Some(head)) if !ours => (head, true),
                _ => continue,
            };
            if head.next_entry > 1 && head.next_entry <= geometry.entries {
                files.push(IndexScopeFile { place: place.clone(), head, has_slots });
            }
        }
        let lags = !ours && (parts.is_held() || parts.before.abort.is_some());
        if lags && let Some(last) = files.last_mut().filter(|_| parts.is_held()) {
            // It is being written.
            last.has_slots = false;
        }
        let Some((first, last)) = files.first().zip(files.last()) else { return Ok(None) };
        let covered_from = first.head.begin_offset;
        let covered_to = if lags { last.head.end_offset.plus(1) } else { strict_to };
        Ok(Some(IndexScope { geometry, files, covered_from, covered_to }))
    }
}

impl IndexScope {
    /// By what the first entry of a file tells its time; `None` for the oldest file.
    pub(super) fn inherited(&self, file: usize) -> Option<Header> {
        let before = self.files.get(file.checked_sub(1)?)?;
        Some(Header { begin_time: before.head.end_time, ..before.head })
    }
}
