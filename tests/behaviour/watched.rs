//! A disk that tells a test before each call that changes something, and each opening of a file, so that the test can look, or hold it up.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use bytes::Bytes;
use parking_lot::Mutex;
use sawlog::disk::sim::{OpKind, SimDisk};
use sawlog::disk::{Access, BootId, Description, Disk, DiskFile, Entry, Holder, Lock, Reserve, Space};

use crate::world::PATIENCE;

type Hook = Arc<dyn Fn(OpKind, &Path) -> io::Result<()> + Send + Sync>;

/// A simulated disk with somebody who looks on; what the hook answers with an error does not happen.
#[derive(Clone)]
pub struct Watched {
    disk: SimDisk,
    hook: Hook,
    tells_reads: bool,
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.disk.fmt(f)
    }
}

impl Watched {
    pub fn new(
        disk: &SimDisk,
        hook: impl Fn(OpKind, &Path) -> io::Result<()> + Send + Sync + 'static,
    ) -> Watched {
        Watched { disk: disk.clone(), hook: Arc::new(hook), tells_reads: false }
    }

    /// It is told of each look at a folder or a file, too.
    pub fn and_reads(self) -> Watched {
        Watched { tells_reads: true, ..self }
    }

    fn looked(&self, path: &Path) -> io::Result<()> {
        if self.tells_reads { (self.hook)(OpKind::Read, path) } else { Ok(()) }
    }

    fn file(&self, path: &Path, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        let (hook, tells_reads) = (Arc::clone(&self.hook), self.tells_reads);
        Box::new(WatchedFile { file, path: path.to_path_buf(), hook, tells_reads })
    }
}

impl Disk for Watched {
    fn create(&self, path: &Path, len: u64, reserve: Reserve) -> io::Result<Box<dyn DiskFile>> {
        (self.hook)(OpKind::Create, path)?;
        Ok(self.file(path, self.disk.create(path, len, reserve)?))
    }
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        (self.hook)(OpKind::Open, path)?;
        Ok(self.file(path, self.disk.open(path, access)?))
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.looked(dir)?;
        self.disk.list(dir)
    }
    fn entry(&self, path: &Path) -> io::Result<Option<Entry>> {
        self.looked(path)?;
        self.disk.entry(path)
    }
    fn create_dirs(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dirs(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        (self.hook)(OpKind::Rename, from)?;
        self.disk.rename(from, to)
    }
    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        (self.hook)(OpKind::Replace, from)?;
        self.disk.replace(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        (self.hook)(OpKind::Remove, path)?;
        self.disk.remove(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        (self.hook)(OpKind::SyncDir, dir)?;
        self.disk.sync_dir(dir)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        self.disk.lock(path)
    }
    fn holder(&self, path: &Path) -> io::Result<Holder> {
        self.disk.holder(path)
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

struct WatchedFile {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    hook: Hook,
    tells_reads: bool,
}

impl fmt::Debug for WatchedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.file.fmt(f)
    }
}

impl DiskFile for WatchedFile {
    fn len(&self) -> u64 {
        self.file.len()
    }
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if self.tells_reads {
            (self.hook)(OpKind::Read, &self.path)?;
        }
        self.file.read_at(offset, out)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        (self.hook)(OpKind::Write, &self.path)?;
        self.file.write_at(offset, bytes)
    }
    fn sync(&self) -> io::Result<()> {
        (self.hook)(OpKind::Sync, &self.path)?;
        self.file.sync()
    }
    fn view(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        self.file.view(offset, len)
    }
    fn reserve(&self) -> io::Result<()> {
        self.file.reserve()
    }
}

/// Whether this is the mark's file: an open file is known by the name that it was opened by, and a new mark begins
/// under another one.
pub fn is_mark(path: &Path) -> bool {
    path.parent().is_some_and(|dir| dir.ends_with("sawlog"))
        && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("mark"))
}

/// Holds one call up: the caller says that it is there, and goes on when it may.
pub struct Gate {
    arrived: Receiver<()>,
    go_on: Sender<()>,
    way: Arc<Mutex<Way>>,
}

/// What the one who is held up needs.
struct Way {
    shut: bool,
    says: Sender<()>,
    /// Taken by the one caller that is ever held up.
    may: Option<Receiver<()>>,
}

impl Gate {
    /// A gate that stands open, and a function to be called at it: it holds the first caller after [`Gate::shut`].
    pub fn new() -> (Gate, impl Fn() + Send + Sync + 'static) {
        let (says, arrived) = channel();
        let (go_on, may) = channel();
        let way = Arc::new(Mutex::new(Way { shut: false, says, may: Some(may) }));
        let here = Arc::clone(&way);
        let pass = move || {
            let mut way = here.lock();
            let taken = if way.shut { way.may.take() } else { None };
            let Some(may) = taken else { return };
            let _ = way.says.send(());
            drop(way);
            let _ = may.recv_timeout(PATIENCE);
        };
        (Gate { arrived, go_on, way }, pass)
    }

    /// The next caller is held up.
    pub fn shut(&self) {
        self.way.lock().shut = true;
    }

    /// Waits until somebody stands at the gate.
    pub fn wait_for_one(&self) {
        self.arrived.recv_timeout(PATIENCE).expect("nobody came to the gate");
    }

    /// Lets whoever stands there go on.
    pub fn open(&self) {
        let _ = self.go_on.send(());
    }
}
