//! The file system without its syncs: for stores that are made to be measured. Nothing on it outlives a power cut.

use std::io;
use std::path::Path;

use bytes::Bytes;
use sawlog::disk::{Access, BootId, Description, Disk, DiskFile, Entry, Lock, OsDisk, Reserve, Space};

#[derive(Debug, Default)]
pub(crate) struct Unsynced(OsDisk);

impl Disk for Unsynced {
    fn create(&self, path: &Path, len: u64, reserve: Reserve) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(Open(self.0.create(path, len, reserve)?)))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(Open(self.0.open(path, access)?)))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.0.list(dir)
    }

    fn entry(&self, path: &Path) -> io::Result<Option<Entry>> {
        self.0.entry(path)
    }

    fn create_dirs(&self, dir: &Path) -> io::Result<()> {
        std::fs::create_dir_all(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.replace(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        self.0.lock(path)
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        self.0.space(dir)
    }

    fn boot_id(&self) -> BootId {
        self.0.boot_id()
    }

    fn describe(&self, dir: &Path) -> io::Result<Description> {
        self.0.describe(dir)
    }
}

#[derive(Debug)]
struct Open(Box<dyn DiskFile>);

impl DiskFile for Open {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, out)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn view(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        self.0.view(offset, len)
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        self.0.next_data(offset)
    }

    fn reserve(&self) -> io::Result<()> {
        self.0.reserve()
    }

    fn has_name(&self) -> bool {
        self.0.has_name()
    }
}
