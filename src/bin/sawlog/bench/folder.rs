//! The folder that a bench works in: fresh, on a disk with enough room, and gone afterwards.
#![expect(clippy::disallowed_methods, reason = "folders of the tool's own, outside of any store")]

use std::fs;
use std::path::{Path, PathBuf};

use sawlog::clock::{Clock, SystemClock};
use sawlog::disk::{self, Description};

use super::child::OVERRUN_BYTES;
use crate::failure::{Failure, Result};

/// The most that a row's log may grow to, in bytes.
const MOST_LOG_BYTES: u64 = 2 << 30;
/// Less than this shows nothing.
const LEAST_LOG_BYTES: u64 = 64 << 20;

/// Removed when dropped, unless it is to be kept.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    /// A fresh folder in `parent`, or under the system's temporary folder.
    pub(crate) fn new(parent: Option<&Path>, keep: bool) -> Result<Folder> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_path_buf);
        let unfit = |e| Failure::Usage(format!("cannot work in {}: {e}", parent.display()));
        let parent = fs::canonicalize(&parent).map_err(unfit)?;
        let name = format!("sawlog-bench-{}-{}", std::process::id(), SystemClock::new().now().0);
        let path = parent.join(name);
        fs::create_dir(&path).map_err(unfit)?;
        Ok(Folder { path, keep })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of one row; it goes with this one at the latest.
    pub(crate) fn row(&self, number: usize) -> Folder {
        Folder { path: self.path.join(format!("row-{number}")), keep: self.keep }
    }

    /// What disk it is.
    pub(crate) fn describe(&self) -> Result<Description> {
        disk::default_for(&self.path)
            .describe(&self.path)
            .map_err(|e| Failure::io("looking at", &self.path, &e))
    }

    /// How long each row's log may become, so that all that is there at once fits.
    pub(crate) fn log_limit(&self, rows_at_once: u64, segment_bytes: u64) -> Result<u64> {
        let space = disk::default_for(&self.path).space(&self.path);
        let free = space.map_err(|e| Failure::io("looking at", &self.path, &e))?.free;
        log_limit(free, rows_at_once, segment_bytes).map_err(|needed| {
            let path = self.path.parent().unwrap_or(&self.path).display();
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
    let limit = (free / rows_at_once.max(1)).saturating_sub(beside).min(MOST_LOG_BYTES);
    let needed = LEAST_LOG_BYTES.saturating_add(beside).saturating_mul(rows_at_once);
    if limit < LEAST_LOG_BYTES { Err(needed) } else { Ok(limit) }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        match fs::remove_dir_all(&self.path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                eprintln!("sawlog: {} stays behind: {e}", self.path.display());
            }
            _ => {}
        }
    }
}

/// Says now whether the file can be written, not after a minute of work. What it holds stays for the moment.
pub(crate) fn check_writable(path: &Path) -> Result<()> {
    let opened = fs::OpenOptions::new().create(true).append(true).open(path);
    opened.map(drop).map_err(|e| Failure::Usage(format!("cannot write {}: {e}", path.display())))
}

/// Writes a whole file.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|e| Failure::io("writing", path, &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_with_its_owner_unless_it_is_kept() {
        let around = tempfile::tempdir().unwrap();
        let folder = Folder::new(Some(around.path()), false).unwrap();
        let path = folder.path().to_path_buf();
        fs::create_dir(path.join("row-0")).unwrap();
        fs::write(path.join("row-0/file"), "x").unwrap();
        drop(folder);
        assert!(!path.exists());
        let folder = Folder::new(Some(around.path()), true).unwrap();
        let path = folder.path().to_path_buf();
        drop(folder);
        assert!(path.exists());
    }

    #[test]
    fn a_disk_too_small_is_told_what_it_lacks() {
        let mib = 1 << 20;
        assert_eq!(log_limit(1 << 40, 1, 64 * mib), Ok(MOST_LOG_BYTES));
        assert_eq!(log_limit(1000 * mib, 1, 64 * mib), Ok((1000 - 192 - 64) * mib));
        assert_eq!(log_limit(319 * mib, 1, 64 * mib), Err(320 * mib));
        assert_eq!(log_limit(320 * mib, 1, 64 * mib), Ok(64 * mib));
        assert_eq!(log_limit(1000 * mib, 7, 64 * mib), Err(7 * 320 * mib));
    }

    #[test]
    fn a_folder_that_is_not_there_is_the_users_mistake() {
        let failure = Folder::new(Some(Path::new("/nowhere/at/all")), false).unwrap_err();
        assert_eq!(failure.exit_code(), 2);
    }
}
