//! Links and copies of files and folders, each durable before anything relies on it.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use crate::disk::{Access, Disk, Reserve, data_in};
use crate::error::{Error, Result};
use crate::inspect::folder::list;
use crate::inspect::snapshot::SnapshotTold;

/// How much is copied at once.
const STEP_BYTES: usize = 1 << 20;

/// See the file's text.
pub(super) struct Copier<'c> {
    pub(super) disk: &'c dyn Disk,
    links: bool,
    told: &'c mut dyn FnMut(SnapshotTold<'_>) -> ControlFlow<()>,
    buffer: Vec<u8>,
    /// Files that were linked.
    pub(super) linked: u64,
    /// Bytes that were copied.
    pub(super) bytes: u64,
    /// Whoever waits wants no more; what is asked for from then on is not done.
    pub(super) broken_off: bool,
}

impl<'c> Copier<'c> {
    pub(super) fn new(
        disk: &'c dyn Disk,
        links: bool,
        told: &'c mut dyn FnMut(SnapshotTold<'_>) -> ControlFlow<()>,
    ) -> Copier<'c> {
        Copier { disk, links, told, buffer: vec![0; STEP_BYTES], linked: 0, bytes: 0, broken_off: false }
    }

    /// Gives a file one more name, if that can be had, and makes its bytes durable. `false`: copy it.
    pub(super) fn link(&mut self, from: &Path, to: &Path) -> Result<bool> {
        if !self.links || self.broken_off {
            return Ok(false);
        }
        match self.disk.link(from, to) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(Error::io("linking", from, e)),
            // Another file system, one without links, too many of them, or a file of somebody else.
            Err(_) => return Ok(false),
        }
        let file = self.disk.open(to, Access::Read).map_err(|e| Error::io("opening", to, e))?;
        file.sync().map_err(|e| Error::io("syncing", to, e))?;
        self.linked += 1;
        Ok(true)
    }

    /// Copies a whole file into a folder that is there; a missing one is none if it may be missing.
    pub(super) fn file(&mut self, from: &Path, to: &Path, may_be_missing: bool) -> Result<()> {
        match self.part(from, to, u64::MAX, Reserve::Sparse) {
            Err(Error::Io { source, .. }) if may_be_missing && source.kind() == io::ErrorKind::NotFound => {
                Ok(())
            }
            other => other,
        }
    }

    /// Copies a file of which no more than the first bytes count: behind them the copy has zeros.
    pub(super) fn part(&mut self, from: &Path, to: &Path, most_bytes: u64, reserve: Reserve) -> Result<()> {
        if self.broken_off {
            return Ok(());
        }
        let reading = |e| Error::io("reading", from, e);
        let writing = |e| Error::io("writing", to, e);
        let source = self.disk.open(from, Access::Read).map_err(reading)?;
        let target = self.disk.create(to, source.len(), reserve).map_err(writing)?;
        let end = source.len().min(most_bytes);
        for data in data_in(&*source, 0, end).map_err(reading)? {
            let mut at = data.start;
            while at < data.end {
                let step = usize::try_from(data.end - at).unwrap_or(STEP_BYTES).min(STEP_BYTES);
                let Some(piece) = self.buffer.get_mut(..step) else { break };
                source.read_at(at, piece).map_err(reading)?;
                if piece.iter().any(|byte| *byte != 0) {
                    target.write_at(at, piece).map_err(writing)?;
                    self.bytes = self.bytes.saturating_add(step as u64);
                }
                at += step as u64;
                if (self.told)(SnapshotTold::Copied(self.bytes)).is_break() {
                    self.broken_off = true;
                    return Ok(());
                }
            }
        }
        target.sync().map_err(|e| Error::io("syncing", to, e))
    }

    /// Copies a folder and all below it, but what is `left_out`.
    pub(super) fn tree(
        &mut self,
        from: &Path,
        to: &Path,
        left_out: &dyn Fn(&Path, bool) -> bool,
    ) -> Result<()> {
        self.folder(to)?;
        for entry in list(self.disk, from)? {
            if left_out(&entry.path, entry.is_dir) || self.broken_off {
                continue;
            }
            let Some(name) = entry.path.file_name() else { continue };
            let target = to.join(name);
            if entry.is_dir {
                self.tree(&entry.path, &target, left_out)?;
            } else {
                self.file(&entry.path, &target, false)?;
            }
        }
        self.sync_folder(to)
    }

    pub(super) fn folder(&self, dir: &Path) -> Result<()> {
        self.disk.create_dirs(dir).map_err(|e| Error::io("making the folder", dir, e))
    }

    pub(super) fn sync_folder(&self, dir: &Path) -> Result<()> {
        self.disk.sync_dir(dir).map_err(|e| Error::io("syncing the folder", dir, e))
    }
}

/// Removes a folder and all below it; one that is not there is gone already.
pub(super) fn remove_tree(disk: &dyn Disk, dir: &Path) -> Result<()> {
    for entry in list(disk, dir)? {
        if entry.is_dir {
            remove_tree(disk, &entry.path)?;
        } else {
            disk.remove(&entry.path).map_err(|e| Error::io("removing", &entry.path, e))?;
        }
    }
    match disk.remove_folder(dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io("removing", dir, e)),
        _ => Ok(()),
    }
}
