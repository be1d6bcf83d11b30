//! A disk on which something happens just before the call of a given number: what may come between any two steps of
//! a reader.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::disk::sim::SimDisk;
use crate::disk::{Access, BootId, Description, Disk, DiskFile, Entry, Lock, Reserve, Space};
use crate::sync::Mutex;

type Deed = Box<dyn FnOnce() + Send>;
type Repeated = Arc<dyn Fn() + Send + Sync>;

/// The simulated disk, and what is going to happen.
#[derive(Clone)]
pub(super) struct Meddler {
    disk: SimDisk,
    /// So many opens and reads are left before it happens.
    planned: Arc<Mutex<Option<(u64, Deed)>>>,
    /// What happens before each removal of a file.
    at_removal: Arc<Mutex<Option<Repeated>>>,
}

impl fmt::Debug for Meddler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.disk.fmt(f)
    }
}

impl Meddler {
    pub(super) fn new(disk: &SimDisk) -> Meddler {
        Meddler { disk: disk.clone(), planned: Arc::default(), at_removal: Arc::default() }
    }

    /// The deed comes before each removal of a file from now on.
    pub(super) fn at_removal(&self, deed: impl Fn() + Send + Sync + 'static) {
        *self.at_removal.lock() = Some(Arc::new(deed));
    }

    /// The deed comes before the `nth` open or read from now on, counted from 0, in the thread of whoever calls.
    pub(super) fn before(&self, nth: u64, deed: impl FnOnce() + Send + 'static) {
        *self.planned.lock() = Some((nth, Box::new(deed)));
    }

    /// Whether it is still to come; then it never does.
    pub(super) fn give_up(&self) -> bool {
        self.planned.lock().take().is_some()
    }

    fn meddle(&self) {
        let mut planned = self.planned.lock();
        let due = planned.take_if(|(left, _)| *left == 0);
        if let Some((left, _)) = &mut *planned {
            *left -= 1;
        }
        drop(planned);
        if let Some((_, deed)) = due {
            deed();
        }
    }
}

impl Disk for Meddler {
    fn create(&self, path: &Path, len: u64, reserve: Reserve) -> io::Result<Box<dyn DiskFile>> {
        self.disk.create(path, len, reserve)
    }
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        self.meddle();
        let file = self.disk.open(path, access)?;
        Ok(Box::new(MeddledFile { file, meddler: self.clone() }))
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.disk.list(dir)
    }
    fn entry(&self, path: &Path) -> io::Result<Option<Entry>> {
        self.disk.entry(path)
    }
    fn create_dirs(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dirs(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.replace(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        let deed = self.at_removal.lock().clone();
        if let Some(deed) = deed {
            deed();
        }
        self.disk.remove(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        self.disk.lock(path)
    }
    fn space(&self, dir: &Path) -> io::Result<Space> {
        self.disk.space(dir)
    }
    fn boot_id(&self) -> BootId {
        self.disk.boot_id()
    }
    fn describe(&self, dir: &Path) -> io::Result<Description> {
        self.disk.describe(dir)
    }
}

#[derive(Debug)]
struct MeddledFile {
    file: Box<dyn DiskFile>,
    meddler: Meddler,
}

impl DiskFile for MeddledFile {
    fn len(&self) -> u64 {
        self.file.len()
    }
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.meddler.meddle();
        self.file.read_at(offset, out)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }
    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
    fn reserve(&self) -> io::Result<()> {
        self.file.reserve()
    }
}
