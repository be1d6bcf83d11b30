//! What a test does to a simulated disk behind everybody's back: bring files in, look at them, damage them.
//!
//! None of this counts as an operation or meets a fault. On a recording disk it is part of the record, as belonging
//! to the operation before.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::pages::{PAGE_BYTES_U64, len_u64};
use super::paths::absolute;
use super::state::Change;
use super::{SimDisk, err};
use crate::disk::{Access, Disk};

impl SimDisk {
    /// Puts a file there, durable at once, in place of any other; missing folders are made.
    ///
    /// # Errors
    /// The path is a folder, or a file stands where a folder would have to.
    pub fn write_file(&self, path: impl AsRef<Path>, bytes: impl Into<Bytes>) -> io::Result<()> {
        let path = absolute(path.as_ref());
        let mut inner = self.inner();
        if inner.state.names.is_folder(&path) {
            return err(io::ErrorKind::IsADirectory, &path, "a folder, not a file");
        }
        if path.ancestors().skip(1).any(|above| inner.state.names.file(above).is_some()) {
            return err(io::ErrorKind::NotADirectory, &path, "a file stands above");
        }
        let id = inner.state.next_id;
        inner.commit(None, Change::Plant { path, id, bytes: bytes.into() });
        Ok(())
    }

    /// [`SimDisk::write_file`] for many: a fixture.
    ///
    /// # Errors
    /// As there; what comes before the refused file is then in place.
    pub fn import<P: AsRef<Path>, B: Into<Bytes>>(
        &self,
        files: impl IntoIterator<Item = (P, B)>,
    ) -> io::Result<()> {
        files.into_iter().try_for_each(|(path, bytes)| self.write_file(path, bytes))
    }

    /// Copies a folder of any disk, with all below it, to `to` on this one: a store that lies in real files, say.
    /// Everything is durable at once.
    ///
    /// # Errors
    /// Those of reading there, and of [`SimDisk::write_file`] here.
    pub fn copy_in(&self, from: &dyn Disk, dir: &Path, to: impl AsRef<Path>) -> io::Result<()> {
        let mut folders = vec![(dir.to_path_buf(), to.as_ref().to_path_buf())];
        while let Some((source, target)) = folders.pop() {
            let folder = absolute(&target);
            if folder.ancestors().any(|above| self.inner().state.names.file(above).is_some()) {
                return err(io::ErrorKind::NotADirectory, &folder, "a file stands there, or above");
            }
            for above in folder.ancestors() {
                self.inner().commit(None, Change::AddFolder { path: Arc::from(above) });
            }
            for entry in from.list(&source)? {
                let Some(name) = entry.path.file_name() else { continue };
                let place = target.join(name);
                if entry.is_dir {
                    folders.push((entry.path, place));
                    continue;
                }
                let file = from.open(&entry.path, Access::Read)?;
                let len = usize::try_from(file.len()).map_err(io::Error::other)?;
                self.write_file(place, file.view(0, len)?)?;
            }
        }
        Ok(())
    }

    /// The whole content of a file, as a process would read it.
    ///
    /// # Errors
    /// `NotFound` if there is no such file.
    pub fn read_file(&self, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        let path = absolute(path.as_ref());
        let inner = self.inner();
        let Some(file) = inner.state.file(&path) else {
            return err(io::ErrorKind::NotFound, &path, "no such file");
        };
        let mut out = vec![0; usize::try_from(file.len).map_err(io::Error::other)?];
        file.cached.read(0, &mut out);
        Ok(out)
    }

    /// All files and their lengths in bytes, sorted by path, from the root on.
    #[must_use]
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let inner = self.inner();
        let state = &inner.state;
        let len = |id| state.files.get(&id).map_or(0, |file| file.len);
        state.names.files().map(|(path, id)| (path.to_path_buf(), len(id))).collect()
    }

    /// How many handles are open, of all files together.
    #[must_use]
    pub fn open_handles(&self) -> u64 {
        self.inner().state.files.values().map(|file| file.handles).sum()
    }

    /// A number over all names, lengths and bytes as a process sees them: the same before and after means that
    /// nothing was changed.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.inner().state.fingerprint()
    }

    /// Turns one bit of a file over, in the cache and on the medium. Bit 0 is the lowest of byte 0, bit 8 the lowest
    /// of byte 1.
    ///
    /// # Errors
    /// `NotFound` if there is no such file, `InvalidInput` if it ends before that bit.
    ///
    /// ```
    /// use sawlog::disk::sim::SimDisk;
    ///
    /// let disk = SimDisk::new();
    /// disk.write_file("/a", "paid")?;
    /// let before = disk.fingerprint();
    /// disk.flip("/a", 8)?; // the lowest bit of the second byte
    /// assert_eq!(disk.read_file("/a")?, b"p`id");
    /// assert_ne!(disk.fingerprint(), before);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn flip(&self, path: impl AsRef<Path>, bit: u64) -> io::Result<()> {
        let mask = 1_u8.rotate_left(u32::try_from(bit % 8).unwrap_or(0));
        self.rot(path.as_ref(), bit / 8, 1, |bytes| bytes.iter_mut().for_each(|byte| *byte ^= mask))
    }

    /// Makes one page of 4 KiB of a file zeros, in the cache and on the medium. Page 0 is the first; the last one may
    /// be shorter.
    ///
    /// # Errors
    /// `NotFound` if there is no such file, `InvalidInput` if it ends before that page.
    pub fn tear(&self, path: impl AsRef<Path>, page: u64) -> io::Result<()> {
        let path = path.as_ref();
        let len = self.inner().state.file(&absolute(path)).map_or(0, |file| file.len);
        let offset = page.saturating_mul(PAGE_BYTES_U64);
        let here = usize::try_from(len.saturating_sub(offset).clamp(1, PAGE_BYTES_U64)).unwrap_or(1);
        self.rot(path, offset, here, |bytes| bytes.fill(0))
    }

    /// Changes bytes of a file, in the cache and on the medium, without regard to syncs: a misdirected write.
    ///
    /// # Errors
    /// `NotFound` if there is no such file, `InvalidInput` if it ends before the last byte.
    pub fn overwrite(&self, path: impl AsRef<Path>, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.rot(path.as_ref(), offset, bytes.len(), |old| old.copy_from_slice(bytes))
    }

    fn rot(&self, path: &Path, offset: u64, len: usize, damage: impl FnOnce(&mut [u8])) -> io::Result<()> {
        let path = absolute(path);
        let mut inner = self.inner();
        let (Some(id), Some(file)) = (inner.state.names.file(&path), inner.state.file(&path)) else {
            return err(io::ErrorKind::NotFound, &path, "no such file");
        };
        if offset.checked_add(len_u64(len)).is_none_or(|end| end > file.len) {
            return err(io::ErrorKind::InvalidInput, &path, "beyond the end of the file");
        }
        let mut bytes = vec![0; len];
        file.cached.read(offset, &mut bytes);
        damage(&mut bytes);
        inner.commit(None, Change::Rot { id, offset, bytes: bytes.into() });
        Ok(())
    }
}
