//! How much room opening needs, so that a full disk is an error with numbers.
//!
//! Opening writes before it can know all of it: what stands here is told when a step fails, not asked for beforehand.
//! A disk without a free byte may be room enough.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::consume_queue::ENTRY_BYTES;
use crate::disk::Disk;
use crate::error::Error;
use crate::layout::Layout;
use crate::recovery::Plan;
use crate::segment::SegmentList;

/// What the shortest file takes.
const BLOCK_BYTES: u64 = 4096;
/// The mark, the abort mark, RocketMQ's checkpoint, the lock, each beside its successor; and folders.
const SMALL_BYTES: u64 = 16 * BLOCK_BYTES;
/// One record's entries in its queue and, with two keys, in the index; their files grow by blocks.
const ENTRIES_BYTES: u64 = 3 * ENTRY_BYTES;

/// The room that opening may need.
#[derive(Debug)]
pub(super) struct Room {
    bytes: u64,
    log: PathBuf,
    /// The segment in which the log ends, if it is there: it may have no blocks yet.
    segment_bytes: u64,
}

impl Room {
    /// For what is written whatever is found.
    pub(super) fn new(disk: &dyn Disk, layout: &Layout) -> Room {
        let own = layout.own();
        let lens = ["ranges", "quarantine", "queues"].map(|name| {
            let entry = disk.entry(&own.join(name)).ok().flatten();
            blocks(entry.map_or(0, |entry| entry.len).saturating_add(1))
        });
        let bytes = lens.iter().fold(SMALL_BYTES, |all, len| all.saturating_add(*len));
        Room { bytes, log: layout.commit_log(), segment_bytes: 0 }
    }

    /// And for what is put aside and derived.
    pub(super) fn plan(&mut self, plan: &Plan, segments: &SegmentList) {
        match segments.find(plan.report.log_end) {
            Some(_) => self.segment_bytes = segments.segment_bytes(),
            None => self.bytes = self.bytes.saturating_add(segments.segment_bytes()),
        }
        let cut = plan.cut_to.map_or(0, |to| to.since(plan.report.log_end));
        let listed = 16 * plan.quarantine.iter().count() as u64;
        let queues = BLOCK_BYTES.saturating_mul(plan.queues.iter().count() as u64);
        let entries = ENTRIES_BYTES.saturating_mul(plan.report.records);
        for bytes in [cut, listed, queues, entries] {
            self.bytes = self.bytes.saturating_add(blocks(bytes));
        }
    }

    /// A lack of space with its numbers. Where there is more room than that, the cause is another one, such as a quota,
    /// or no file can be made for lack of names: the error says what was refused.
    pub(super) fn told(&self, error: Error, disk: &dyn Disk, root: &Path) -> Error {
        let segment = match &error {
            Error::Full { .. } => self.segment_bytes,
            Error::Io { source, path, .. } if source.kind() == ErrorKind::StorageFull => {
                if path.starts_with(&self.log) { self.segment_bytes } else { 0 }
            }
            _ => return error,
        };
        let needed = self.bytes.saturating_add(segment);
        let free = root.ancestors().find_map(|dir| disk.space(dir).ok()).map(|space| space.free);
        free.filter(|free| *free < needed).map_or(error, |free| Error::Full { free, needed })
    }
}

/// The whole blocks that hold so many bytes.
fn blocks(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK_BYTES).saturating_mul(BLOCK_BYTES)
}
