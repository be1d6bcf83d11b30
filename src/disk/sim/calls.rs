//! The simulated disk's side of [`Disk`]: what is allowed, and what it changes.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::faults::OpKind;
use super::handle::{SimFile, SimLock};
use super::pages::PAGE_BYTES_U64;
use super::paths::absolute;
use super::state::{Change, State};
use super::{Inner, SimDisk, err};
use crate::disk::{Access, BootId, Description, Disk, DiskFile, Entry, Holder, Lock, Reserve, Space};

impl Disk for SimDisk {
    fn create(&self, path: &Path, len: u64, reserve: Reserve) -> io::Result<Box<dyn DiskFile>> {
        let path = absolute(path);
        let mut inner = self.enter(OpKind::Create, &path, None)?;
        create(&mut inner, OpKind::Create, &path, len, reserve)?;
        self.handle(&mut inner, path, Access::Write)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        let path = absolute(path);
        let mut inner = self.enter(OpKind::Open, &path, None)?;
        if inner.locked.contains(&path) {
            return err(io::ErrorKind::WouldBlock, &path, "a lock is held on it");
        }
        self.handle(&mut inner, path, access)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let folder = absolute(dir);
        let inner = self.enter(OpKind::List, &folder, None)?;
        let names = &inner.state.names;
        need_folder(&inner.state, &folder)?;
        let files = names.files_in(&folder).map(|(path, _)| path);
        let mut entries: Vec<Entry> = files
            .chain(names.folders_in(&folder))
            .filter_map(|path| {
                let shown = dir.join(path.file_name()?);
                entry(&inner.state, path, &shown)
            })
            .collect();
        entries.sort_by(|one, other| one.path.file_name().cmp(&other.path.file_name()));
        Ok(entries)
    }

    fn entry(&self, path: &Path) -> io::Result<Option<Entry>> {
        let real = absolute(path);
        let inner = self.enter(OpKind::Entry, &real, None)?;
        Ok(entry(&inner.state, &real, path))
    }

    fn create_dirs(&self, dir: &Path) -> io::Result<()> {
        let dir = absolute(dir);
        let mut inner = self.enter(OpKind::CreateDirs, &dir, None)?;
        if dir.ancestors().any(|above| inner.state.names.file(above).is_some()) {
            return err(io::ErrorKind::NotADirectory, &dir, "a file stands there, or above");
        }
        let missing = dir.ancestors().filter(|above| !inner.state.names.is_folder(above));
        let mut missing: Vec<Arc<Path>> = missing.map(Arc::from).collect();
        while let Some(path) = missing.pop() {
            inner.commit(Some((OpKind::CreateDirs, &path)), Change::AddFolder { path: path.clone() });
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (absolute(from), absolute(to));
        let mut inner = self.enter(OpKind::Rename, &from, None)?;
        need_file(&inner.state, &from)?;
        need_free_name(&inner.state, &to)?;
        inner.commit(Some((OpKind::Rename, &from)), Change::Rename { from: from.clone(), to });
        Ok(())
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (absolute(from), absolute(to));
        let mut inner = self.enter(OpKind::Replace, &from, None)?;
        need_file(&inner.state, &from)?;
        match need_free_name(&inner.state, &to) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => need_file(&inner.state, &to)?,
            other => other?,
        }
        // As Linux does with two names of one file: nothing.
        if inner.state.names.file(&from) != inner.state.names.file(&to) {
            inner.commit(Some((OpKind::Replace, &from)), Change::Rename { from: from.clone(), to });
        }
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (absolute(from), absolute(to));
        let mut inner = self.enter(OpKind::Link, &from, None)?;
        need_file(&inner.state, &from)?;
        need_free_name(&inner.state, &to)?;
        inner.commit(Some((OpKind::Link, &from)), Change::Link { from: from.clone(), to });
        Ok(())
    }

    fn rename_folder(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (absolute(from), absolute(to));
        let mut inner = self.enter(OpKind::RenameFolder, &from, None)?;
        need_folder(&inner.state, &from)?;
        need_free_name(&inner.state, &to)?;
        if to.starts_with(&from) {
            return err(io::ErrorKind::InvalidInput, &to, "it lies within the folder that is to be renamed");
        }
        let change = Change::MoveFolder { from: from.clone(), to };
        inner.commit(Some((OpKind::RenameFolder, &from)), change);
        Ok(())
    }

    fn remove_folder(&self, dir: &Path) -> io::Result<()> {
        let dir = absolute(dir);
        let mut inner = self.enter(OpKind::RemoveFolder, &dir, None)?;
        need_folder(&inner.state, &dir)?;
        let names = &inner.state.names;
        if names.files_in(&dir).next().is_some() || names.folders_in(&dir).next().is_some() {
            return err(io::ErrorKind::DirectoryNotEmpty, &dir, "something is in it");
        }
        inner.commit(Some((OpKind::RemoveFolder, &dir)), Change::RemoveFolder { dir: dir.clone() });
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let path = absolute(path);
        let mut inner = self.enter(OpKind::Remove, &path, None)?;
        need_file(&inner.state, &path)?;
        inner.commit(Some((OpKind::Remove, &path)), Change::Remove { path: path.clone() });
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let dir = absolute(dir);
        let mut inner = self.enter(OpKind::SyncDir, &dir, None)?;
        need_folder(&inner.state, &dir)?;
        inner.commit(Some((OpKind::SyncDir, &dir)), Change::SyncFolder { dir: dir.clone() });
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let path = absolute(path);
        let mut inner = self.enter(OpKind::Lock, &path, None)?;
        if inner.locked.contains(&path) {
            return err(io::ErrorKind::WouldBlock, &path, "the lock is held");
        }
        let id = match inner.state.names.file(&path) {
            Some(id) => id,
            None => create(&mut inner, OpKind::Lock, &path, 0, Reserve::Sparse)?,
        };
        // Empty: new, or left by a process that died before it wrote the word.
        if inner.state.files.get(&id).is_some_and(|file| file.len == 0) {
            if !inner.state.has_room(1) {
                return err(io::ErrorKind::StorageFull, &path, "no room");
            }
            let call = Some((OpKind::Lock, &path));
            inner.commit(call, Change::Append { id, bytes: Bytes::from_static(b"lock") });
        }
        inner.locked.insert(path.clone());
        Ok(Box::new(SimLock::new(self.clone(), path)))
    }

    fn holder(&self, path: &Path) -> io::Result<Holder> {
        let path = absolute(path);
        let inner = self.enter(OpKind::Entry, &path, None)?;
        Ok(if inner.locked.contains(&path) { Holder::Held { pid: None } } else { Holder::Nobody })
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        let dir = absolute(dir);
        let inner = self.enter(OpKind::Space, &dir, None)?;
        need_folder(&inner.state, &dir)?;
        Ok(Space { total: inner.state.total_bytes(), free: inner.state.free_bytes() })
    }

    fn boot_id(&self) -> BootId {
        self.inner().state.boot
    }

    fn describe(&self, dir: &Path) -> io::Result<Description> {
        let dir = absolute(dir);
        let inner = self.enter(OpKind::Space, &dir, None)?;
        need_folder(&inner.state, &dir)?;
        Ok(Description { file_system: "sim".into(), device: String::new(), in_memory: false })
    }
}

impl SimDisk {
    fn handle(&self, inner: &mut Inner, path: Arc<Path>, access: Access) -> io::Result<Box<dyn DiskFile>> {
        need_file(&inner.state, &path)?;
        let id = inner.state.names.file(&path);
        match id.and_then(|id| Some((id, inner.state.files.get_mut(&id)?))) {
            Some((id, file)) => {
                file.handles += 1;
                Ok(Box::new(SimFile::new(self.clone(), id, path, file.len, access)))
            }
            None => err(io::ErrorKind::NotFound, &path, "no such file"),
        }
    }
}

fn create(inner: &mut Inner, kind: OpKind, path: &Arc<Path>, len: u64, reserve: Reserve) -> io::Result<u64> {
    need_free_name(&inner.state, path)?;
    let blocks = reserve == Reserve::Blocks;
    if !inner.state.has_room(if blocks { len.div_ceil(PAGE_BYTES_U64) } else { 0 }) {
        return err(io::ErrorKind::StorageFull, path, "no room");
    }
    let id = inner.state.next_id;
    inner.commit(Some((kind, path)), Change::Create { path: path.clone(), id, len, blocks });
    Ok(id)
}

fn entry(state: &State, path: &Path, shown: &Path) -> Option<Entry> {
    let is_dir = state.names.is_folder(path);
    let len = if is_dir { 0 } else { state.file(path)?.len };
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Some(Entry { name, path: shown.to_path_buf(), len, is_dir })
}

fn need_file(state: &State, path: &Path) -> io::Result<()> {
    if state.names.is_folder(path) {
        return err(io::ErrorKind::IsADirectory, path, "a folder, not a file");
    }
    if state.names.file(path).is_none() {
        need_folder(state, path.parent().unwrap_or(path))?;
        return err(io::ErrorKind::NotFound, path, "no such file");
    }
    Ok(())
}

fn need_folder(state: &State, path: &Path) -> io::Result<()> {
    if state.names.is_folder(path) {
        return Ok(());
    }
    if path.ancestors().any(|above| state.names.file(above).is_some()) {
        return err(io::ErrorKind::NotADirectory, path, "a file, not a folder");
    }
    err(io::ErrorKind::NotFound, path, "no such folder")
}

fn need_free_name(state: &State, path: &Path) -> io::Result<()> {
    if state.names.is_folder(path) || state.names.file(path).is_some() {
        return err(io::ErrorKind::AlreadyExists, path, "the name is taken");
    }
    need_folder(state, path.parent().unwrap_or(path))
}
