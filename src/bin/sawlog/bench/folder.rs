//! The folder that a bench works in: fresh, on a disk with enough room, and gone afterwards.

use std::io;
use std::path::{Path, PathBuf};

use sawlog::disk::{self, Description};
use tempfile::TempDir;

use super::child::OVERRUN_BYTES;
use crate::failure::{Failure, Result};

/// The most that a row's log may grow to, in bytes.
const MOST_LOG_BYTES: u64 = 2 << 30;
/// Less than this shows nothing.
const LEAST_LOG_BYTES: u64 = 60 << 20;
/// The log's part of what a row takes, if all messages are of the shortest: a queue entry of 20 bytes, an index entry of
/// 20 and a share of the slots stand beside each of its records, of 180 bytes and more.
const WITH_DERIVED: (u64, u64) = (3, 4);

/// Removed when dropped, unless it is to be kept.
#[derive(Debug)]
pub(crate) struct Folder {
    fresh: TempDir,
    keep: bool,
}

impl Folder {
    /// A fresh folder in `parent`, or under the system's temporary folder.
    pub(crate) fn new(parent: Option<&Path>, keep: bool) -> Result<Folder> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_path_buf);
        // A child must find it wherever it runs.
        let fresh = std::path::absolute(&parent).and_then(|parent| made("sawlog-bench-", 6, &parent, keep));
        let fresh = fresh.map_err(|e| Failure::Usage(format!("cannot work in {}: {e}", parent.display())))?;
        Ok(Folder { fresh, keep })
    }

    pub(crate) fn path(&self) -> &Path {
        self.fresh.path()
    }

    /// The folder of one row; it goes with this one at the latest.
    pub(crate) fn row(&self, number: usize) -> Result<Folder> {
        let fresh = made(&format!("row-{number}"), 0, self.path(), self.keep);
        Ok(Folder {
            fresh: fresh.map_err(|e| Failure::io("making a folder in", self.path(), &e))?,
            keep: self.keep,
        })
    }

    /// Removes it, and says so if that cannot be done, which dropping does not.
    pub(crate) fn remove(self) -> Result<()> {
        let path: PathBuf = self.path().into();
        if self.keep {
            return Ok(());
        }
        self.fresh.close().map_err(|e| Failure::io("removing", &path, &e))
    }

    /// What disk it is.
    pub(crate) fn describe(&self) -> Result<Description> {
        let path = self.path();
        disk::default_for(path).describe(path).map_err(|e| Failure::io("looking at", path, &e))
    }

    /// Waits until the file system has done with what was removed before: it may trim the freed blocks at its next
    /// commit, and a row's syncs would wait for that.
    pub(crate) fn settle(&self) -> Result<()> {
        let path = self.path();
        disk::default_for(path).sync_dir(path).map_err(|e| Failure::io("syncing", path, &e))
    }

    /// How long each row's log may become, so that all that is there at once fits.
    pub(crate) fn log_limit(&self, rows_at_once: u64, segment_bytes: u64) -> Result<u64> {
        let path = self.path();
        let space = disk::default_for(path).space(path);
        let free = space.map_err(|e| Failure::io("looking at", path, &e))?.free;
        log_limit(free, rows_at_once, segment_bytes).map_err(|needed| {
            let path = path.parent().unwrap_or(path).display();
            let (needed, free) = (needed >> 20, free >> 20);
            Failure::Usage(format!(
                "too little room under {path}: {needed} MiB are needed, {free} MiB are free \
                 (smaller segments need less: --segment-bytes)"
            ))
        })
    }
}

/// The limit, or how many bytes the least one needs.
fn log_limit(free: u64, rows_at_once: u64, segment_bytes: u64) -> std::result::Result<u64, u64> {
    // The segment begun, one prepared ahead, one in the making; a child's overrun.
    let beside = segment_bytes.saturating_mul(3).saturating_add(OVERRUN_BYTES);
    let room = (free / rows_at_once.max(1)).saturating_sub(beside);
    let limit = (room / WITH_DERIVED.1 * WITH_DERIVED.0).min(MOST_LOG_BYTES);
    let least = LEAST_LOG_BYTES / WITH_DERIVED.0 * WITH_DERIVED.1;
    let needed = least.saturating_add(beside).saturating_mul(rows_at_once);
    if limit < LEAST_LOG_BYTES { Err(needed) } else { Ok(limit) }
}

fn made(name: &str, random: usize, parent: &Path, keep: bool) -> io::Result<TempDir> {
    tempfile::Builder::new().prefix(name).rand_bytes(random).disable_cleanup(keep).tempdir_in(parent)
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
