//! An open file of the simulated disk, and a held lock.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::MutexGuard;

use super::faults::{Call, FaultKind, OpKind};
use super::file::File;
use super::names::FileId;
use super::pages::{PAGE_BYTES_U64, len_u64};
use super::state::Change;
use super::{Inner, SimDisk, err};
use crate::disk::{Access, DiskFile, Lock};

/// A handle; it keeps the file's bytes readable as long as it lives, whatever happens to the name.
pub(super) struct SimFile {
    disk: SimDisk,
    id: FileId,
    /// The name that it was opened by.
    path: Arc<Path>,
    len: u64,
    access: Access,
}

impl SimFile {
    /// The caller has counted the handle.
    pub(super) fn new(disk: SimDisk, id: FileId, path: Arc<Path>, len: u64, access: Access) -> SimFile {
        SimFile { disk, id, path, len, access }
    }

    fn file<'a>(&self, inner: &'a MutexGuard<'_, Inner>) -> io::Result<&'a File> {
        match inner.state.files.get(&self.id) {
            Some(file) => Ok(file),
            None => err(io::ErrorKind::NotFound, &self.path, "the file is gone"),
        }
    }

    fn range(&self, offset: u64, len: usize) -> Range<u64> {
        offset..offset.saturating_add(len_u64(len))
    }

    /// Whether the range lies within the file; the sum must not saturate into it.
    fn holds(&self, offset: u64, len: usize) -> bool {
        offset.checked_add(len_u64(len)).is_some_and(|end| end <= self.len)
    }

    fn need_write_access(&self) -> io::Result<()> {
        match self.access {
            Access::Write => Ok(()),
            Access::Read => err(io::ErrorKind::PermissionDenied, &self.path, "opened for reading alone"),
        }
    }

    fn call(&self, kind: OpKind) -> Option<(OpKind, &Arc<Path>)> {
        Some((kind, &self.path))
    }
}

impl DiskFile for SimFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut inner = self.disk.inner();
        let bytes = Some(self.range(offset, out.len()));
        let fault = inner.script.meet(&Call { kind: OpKind::Read, path: &self.path, bytes });
        if !self.holds(offset, out.len()) {
            return err(io::ErrorKind::UnexpectedEof, &self.path, "reading beyond the end");
        }
        let room = match fault {
            None => out,
            Some(FaultKind::ShortRead(most)) => {
                let most = most.min(out.len().saturating_sub(1));
                out.get_mut(..most).unwrap_or_default()
            }
            Some(other) => return Err(other.error()),
        };
        self.file(&inner)?.cached.read(offset, room);
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.disk.inner();
        inner.note_user();
        let call =
            Call { kind: OpKind::Write, path: &self.path, bytes: Some(self.range(offset, bytes.len())) };
        let fault = inner.script.meet(&call);
        self.need_write_access()?;
        if !self.holds(offset, bytes.len()) {
            return err(io::ErrorKind::InvalidInput, &self.path, "writing beyond the end");
        }
        let written = match fault {
            None => bytes,
            Some(FaultKind::ShortWrite(most)) => {
                bytes.get(..most.min(bytes.len().saturating_sub(1))).unwrap_or_default()
            }
            Some(other) => return Err(other.error()),
        };
        let file = self.file(&inner)?;
        // Without a capacity there is room, and nothing to count.
        if inner.state.capacity_bytes.is_some()
            && !file.blocks
            && !inner.state.has_room(file.cached.missing(offset, written.len()))
        {
            return err(io::ErrorKind::StorageFull, &self.path, "no room");
        }
        let change = Change::Write { id: self.id, offset, bytes: Bytes::copy_from_slice(written) };
        inner.commit(self.call(OpKind::Write), change);
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = self.disk.inner();
        let fault = inner.script.meet(&Call { kind: OpKind::Sync, path: &self.path, bytes: None });
        let upto = inner.state.changes;
        let is_shared = inner.note_user();
        drop(inner);
        // A sync takes time. What other threads write meanwhile is not covered, and they get the chance to. A disk of
        // one thread gives nobody a turn: the sweeps sync millions of times, on machines that have other work.
        if is_shared {
            std::thread::yield_now();
        }
        let mut inner = self.disk.inner();
        match fault {
            None => {
                inner.commit(self.call(OpKind::Sync), Change::Sync { id: self.id, upto });
                Ok(())
            }
            Some(fault) => {
                let revert_seed = inner.revert_seed;
                let change = Change::FailedSync { id: self.id, upto, revert_seed };
                inner.commit(self.call(OpKind::Sync), change);
                Err(fault.error())
            }
        }
    }

    fn view(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let inner = self.disk.enter(OpKind::Read, &self.path, Some(self.range(offset, len)))?;
        if !self.holds(offset, len) {
            return err(io::ErrorKind::UnexpectedEof, &self.path, "viewing beyond the end");
        }
        let mut out = vec![0; len];
        self.file(&inner)?.cached.read(offset, &mut out);
        Ok(out.into())
    }

    /// Zeroes, as the mapped disk does, so that whoever makes ready what was written already is found out; where there
    /// are only zeros nothing happens. A hint cannot fail: no fault is met.
    fn make_ready(&self, offset: u64, len: u64) {
        let mut inner = self.disk.inner();
        let len = usize::try_from(len.min(self.len.saturating_sub(offset))).unwrap_or(0);
        let Ok(file) = self.file(&inner) else { return };
        let mut content = vec![0; len];
        file.cached.read(offset, &mut content);
        let has_blocks = file.blocks && self.need_write_access().is_ok();
        if has_blocks && content.iter().any(|byte| *byte != 0) {
            let change = Change::Write { id: self.id, offset, bytes: vec![0; len].into() };
            inner.commit(self.call(OpKind::Write), change);
        }
    }

    fn reserve(&self) -> io::Result<()> {
        let mut inner = self.disk.enter(OpKind::Reserve, &self.path, None)?;
        self.need_write_access()?;
        let file = self.file(&inner)?;
        let missing = file.len.div_ceil(PAGE_BYTES_U64).saturating_sub(file.allocated());
        if !inner.state.has_room(missing) {
            return err(io::ErrorKind::StorageFull, &self.path, "no room");
        }
        inner.commit(self.call(OpKind::Reserve), Change::Reserve { id: self.id });
        Ok(())
    }

    fn has_name(&self) -> bool {
        self.disk.inner().state.files.get(&self.id).is_some_and(|file| file.named)
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.disk.inner().state.close_handle(self.id);
    }
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimFile")
            .field("path", &self.path)
            .field("len", &self.len)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

/// A held lock of the simulated disk: it holds within the process too.
pub(super) struct SimLock {
    disk: SimDisk,
    path: Arc<Path>,
}

impl SimLock {
    /// The caller has entered it among the held ones.
    pub(super) fn new(disk: SimDisk, path: Arc<Path>) -> SimLock {
        SimLock { disk, path }
    }
}

impl Lock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.inner().locked.remove(&self.path);
    }
}

impl fmt::Debug for SimLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimLock").field("path", &self.path).finish_non_exhaustive()
    }
}
