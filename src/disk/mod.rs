//! The only door to the file system: [`Disk`] and [`DiskFile`].
//!
//! What we assume of a disk, and nothing else (promises §3): after `sync` returns Ok the bytes written before it are
//! durable; after `sync_dir` names are; a write changes no byte outside of its range; before a sync any subset of
//! the unsynced bytes may survive, in any order, torn anywhere; a failed sync leaves nothing known.
//!
//! ```text
//!            write_at, store_mapped          sync, sync_dir
//!  process ──────────────────────▶ page cache ────────────▶ medium
//!              survives kill -9               survives a power cut
//! ```
//!
//! Four disks stand behind the trait. [`MappedDisk`] is the default where allocating blocks promises something (ext4,
//! XFS, tmpfs and their like): appends are copied into mapped pages, and views of records are slices of the mapping.
//! [`OsDisk`] reads and writes by position and is chosen by itself elsewhere; a dying disk is an error to it where it
//! is a signal to a mapping. `sim::SimDisk` (feature `sim`) forgets, tears, fails and fills. The fourth is yours: one
//! that counts, slows or refuses calls wraps another, and is given to [`Options::disk`](crate::Options::disk).
//!
//! ```
//! # let folder = tempfile::tempdir()?;
//! use sawlog::disk::{Access, Disk, OsDisk, Reserve};
//!
//! let disk = OsDisk::new();
//! let path = folder.path().join("file");
//! let file = disk.create(&path, 8, Reserve::Blocks)?; // no later write can meet a full disk
//! file.write_at(0, b"safe")?;
//! file.sync()?;                                       // the bytes are durable
//! disk.sync_dir(folder.path())?;                      // and so is the name
//!
//! let mut read = [0; 4];
//! disk.open(&path, Access::Read)?.read_at(0, &mut read)?;
//! assert_eq!(&read, b"safe");
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Errors pass through as `io::Error`; the caller adds what it was doing and where.

mod choice;
mod folder;
mod given_up;
mod host;
mod lock;
mod mapped;
mod os;
mod transfer;

use std::any::Any;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Weak;

use bytes::Bytes;

#[cfg(any(test, feature = "sim"))]
pub mod sim;

pub use choice::default_for;
pub use mapped::MappedDisk;
pub(crate) use mapped::ask_for;
pub use os::OsDisk;

/// What kind of space a new file gets.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// use sawlog::disk::{Access, Disk, OsDisk, Reserve};
///
/// let disk = OsDisk::new();
/// let path = folder.path().join("file");
/// let file = disk.create(&path, 1 << 16, Reserve::Sparse)?;
/// assert_eq!(file.next_data(0)?, None); // nothing stands in it, and on most file systems it takes no room
/// file.reserve()?; // as `Reserve::Blocks` would have
/// assert_eq!(disk.open(&path, Access::Read)?.len(), 1 << 16);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserve {
    /// Every block is allocated now: a full disk says so here, and never later as a signal (promises rule 7).
    Blocks,
    /// Nothing is allocated: for files that are written by position only.
    Sparse,
}

/// What an opened file may be used for.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// use sawlog::disk::{Access, Disk, OsDisk, Reserve};
///
/// let path = folder.path().join("file");
/// OsDisk::new().create(&path, 8, Reserve::Blocks)?;
/// let file = OsDisk::new().open(&path, Access::Read)?;
/// let refused = file.write_at(0, b"x").unwrap_err();
/// assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading alone; writes and reservations answer `PermissionDenied`.
    Read,
    /// Reading and writing.
    Write,
}

/// One name in a folder.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// use sawlog::disk::{Disk, OsDisk, Reserve};
///
/// let disk = OsDisk::new();
/// disk.create(&folder.path().join("a"), 8, Reserve::Blocks)?;
/// disk.create_dirs(&folder.path().join("b"))?;
/// let entries = disk.list(folder.path())?;
/// let shown: Vec<_> = entries.iter().map(|entry| (&entry.name[..], entry.len, entry.is_dir)).collect();
/// assert_eq!(shown, [("a", 8, false), ("b", 0, true)]);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The last part of the path. Names that are not UTF-8 are shown with replacement characters.
    pub name: String,
    /// The whole path.
    pub path: PathBuf,
    /// Length in bytes; 0 for folders.
    pub len: u64,
    /// Whether it is a folder.
    pub is_dir: bool,
}

/// Room on a file system, in bytes.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// use sawlog::disk::{Disk, OsDisk};
///
/// let space = OsDisk::new().space(folder.path())?;
/// assert!(space.free <= space.total);
/// println!("{} % in use", 100 * (space.total - space.free) / space.total.max(1));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// What is in use, and what this process may still use. What is kept back for others is no part of it (spec 10.2).
    pub total: u64,
    /// What this process may still use.
    pub free: u64,
}

/// An identity of the running system: it changes when the machine restarts. All zeros: unknown.
///
/// ```
/// use sawlog::disk::{BootId, Disk, OsDisk};
///
/// let boot = OsDisk::new().boot_id();
/// assert_eq!(boot, OsDisk::new().boot_id()); // until the machine is started again
/// println!("known: {}", boot != BootId::default());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BootId(pub [u8; 16]);

/// A held lock; dropping it gives the folder back.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// use sawlog::disk::{Disk, OsDisk};
///
/// let disk = OsDisk::new();
/// let path = folder.path().join("lock");
/// let lock = disk.lock(&path)?;
/// assert_eq!(disk.lock(&path).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
/// drop(lock);
/// assert!(disk.lock(&path).is_ok());
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait Lock: fmt::Debug + Send + Sync {}

/// Whether anybody holds a lock, as far as the system tells.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # use sawlog::{Options, Store};
/// use sawlog::disk::{Disk, Holder, OsDisk};
///
/// let lock = folder.path().join("lock");
/// match OsDisk::new().holder(&lock)? {
///     Holder::Held { pid: Some(pid) } => assert_eq!(pid, std::process::id()),
///     other => panic!("the store is open: {other:?}"),
/// }
/// store.close()?;
/// assert_eq!(OsDisk::new().holder(&lock)?, Holder::Nobody);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Holder {
    /// Nobody does.
    Nobody,
    /// A process does, this one or another.
    Held {
        /// Its number; `None` where the system will not say, as for a process of another machine or container.
        pid: Option<u32>,
    },
    /// That cannot be told here.
    Unknown,
}

/// A file system as the store sees it.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// use std::path::Path;
/// use sawlog::disk::{Access, Disk, OsDisk, Reserve};
///
/// /// Puts a small file in the place of another: after a power cut one of the two is there, whole.
/// fn replace(disk: &dyn Disk, dir: &Path, bytes: &[u8]) -> std::io::Result<()> {
///     let new = dir.join("file.new");
///     let file = disk.create(&new, bytes.len() as u64, Reserve::Blocks)?;
///     file.write_at(0, bytes)?;
///     file.sync()?;
///     disk.replace(&new, &dir.join("file"))?;
///     disk.sync_dir(dir)
/// }
///
/// let disk = OsDisk::new();
/// replace(&disk, folder.path(), b"old")?;
/// replace(&disk, folder.path(), b"new")?;
/// let file = disk.open(&folder.path().join("file"), Access::Read)?;
/// assert_eq!(file.view(0, 3)?, "new");
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait Disk: fmt::Debug + Send + Sync {
    /// Makes a file of `len` zero bytes. An existing name is an error (`AlreadyExists`), a full disk is
    /// `StorageFull`, a length beyond the process's limit `FileTooLarge`; no file is left behind then.
    fn create(&self, path: &Path, len: u64, reserve: Reserve) -> io::Result<Box<dyn DiskFile>>;
    /// Opens an existing file at the length that it has now. `NotFound`, `IsADirectory`; `WouldBlock` for a lock
    /// file that this process holds, since closing another descriptor of it would give the lock away.
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>>;
    /// What a folder holds, sorted by name. A missing folder is an error (`NotFound`).
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;
    /// What stands at this path, if anything does; links are followed. A link to nowhere is nothing.
    fn entry(&self, path: &Path) -> io::Result<Option<Entry>>;
    /// Makes a folder and those above it; existing ones are fine. Makes their names durable.
    fn create_dirs(&self, dir: &Path) -> io::Result<()>;
    /// Gives a file another name, never over an existing one (`AlreadyExists`).
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file another name, atomically in place of an existing one. For our own small files alone.
    fn replace(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file one more name on the same file system, never over an existing one (`AlreadyExists`). Both names are
    /// then one file. A disk that has no such thing answers `Unsupported`, which is what this default does.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let _ = (from, to);
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Gives a folder and all in it another name, atomically and never over an existing one (`AlreadyExists`). A disk that
    /// cannot answers `Unsupported`, which is what this default does.
    fn rename_folder(&self, from: &Path, to: &Path) -> io::Result<()> {
        let _ = (from, to);
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Removes a folder in which nothing is (`DirectoryNotEmpty`, `NotFound`). A disk that cannot answers `Unsupported`,
    /// which is what this default does.
    fn remove_folder(&self, dir: &Path) -> io::Result<()> {
        let _ = dir;
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Removes a file; open handles stay readable. A missing one is an error (`NotFound`).
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable: those added, and those removed.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Takes the lock that a Java broker also takes: an fcntl write lock on byte 0 of the file, which is created
    /// with the content `lock` if missing (spec 5.3). `WouldBlock` if anybody holds it, this process included.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>>;
    /// Who holds the lock that [`Disk::lock`] takes, without taking it or changing anything. A missing file is held by
    /// nobody. A disk that does not say answers [`Holder::Unknown`].
    fn holder(&self, path: &Path) -> io::Result<Holder> {
        let _ = path;
        Ok(Holder::Unknown)
    }
    /// Room on the file system that holds `dir`.
    fn space(&self, dir: &Path) -> io::Result<Space>;
    /// Which run of the system this is.
    fn boot_id(&self) -> BootId;
    /// What lies under this folder, for people: the kind of file system, and whether it keeps nothing over a restart.
    fn describe(&self, dir: &Path) -> io::Result<Description>;
}

/// What a folder stands on.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// use sawlog::disk::{Disk, OsDisk};
///
/// let found = OsDisk::new().describe(folder.path())?;
/// assert!(!found.file_system.is_empty());
/// if found.in_memory {
///     println!("{}: what is measured here says nothing of a disk", found.file_system);
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The file system's name, such as `ext4`.
    pub file_system: String,
    /// The device, such as `/dev/vda`; empty if unknown.
    pub device: String,
    /// A memory file system: a sync is free there and means nothing.
    pub in_memory: bool,
}

/// An open file. Its length never changes.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// use sawlog::disk::{Disk, DiskFile, OsDisk, Reserve};
///
/// let file = OsDisk::new().create(&folder.path().join("file"), 4096, Reserve::Blocks)?;
/// file.store_mapped(0, &[b"pa", b"id"])?; // in one place, from several
/// file.sync_range(0, 4)?;
/// assert_eq!(file.view(0, 4)?, "paid");
/// assert!(file.write_at(4095, b"no").is_err()); // its length never changes
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// The length in bytes.
    fn len(&self) -> u64;
    /// Whether the length is 0.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Fills `out` from `offset` on, or errs (`UnexpectedEof` beyond the end). Always by position, never through a
    /// mapping: a bad page is an error value here.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;
    /// Writes all of `bytes` at `offset`, or errs (`InvalidInput` beyond the end: nothing was written then). After
    /// Ok a killed process loses nothing.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// The same for parts that stand one behind the other, by copies into the mapping, where there is one: no system
    /// call. All of the range is checked before the first byte is stored. Only a file whose blocks are all
    /// allocated is written so (made with [`Reserve::Blocks`], or after [`reserve`](DiskFile::reserve)); into any
    /// other it is a `write_at`, because a full disk would be a signal. No two threads may store to the same byte
    /// at once, and no byte that `view` has handed out may be stored to again.
    fn store_mapped(&self, offset: u64, parts: &[&[u8]]) -> io::Result<()> {
        match parts {
            [bytes] | [bytes, [], []] => self.write_at(offset, bytes),
            // One call, and so one place where it can be torn; the copy is small beside it.
            _ => self.write_at(offset, &parts.concat()),
        }
    }
    /// After Ok a power cut loses nothing that was written before the call began.
    fn sync(&self) -> io::Result<()>;
    /// The same for the bytes of a range alone; what lies beyond may be written or not. Where the disk is mapped it
    /// leaves the pages alone that were made ready ahead of the range, and nobody who stores there waits for it.
    fn sync_range(&self, offset: u64, len: u64) -> io::Result<()> {
        let _ = (offset, len);
        self.sync()
    }
    /// The bytes of a range that nobody will write again (that is the caller's word: a log keeps it, a table that
    /// changes in place does not and must use `read_at`); without a copy where the disk is mapped. `UnexpectedEof`
    /// beyond the end.
    fn view(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let mut out = vec![0; len];
        self.read_at(offset, &mut out)?;
        Ok(out.into())
    }
    /// Whether [`view`](DiskFile::view) copies nothing and reads nothing, however much is looked at. Default: no.
    fn views_are_free(&self) -> bool {
        false
    }
    /// Where, at or behind `offset`, the next bytes may stand that are not zeros; `None` if there are none. What was never
    /// written in a sparse file need not be read to be known for zeros. Provided: every byte may be.
    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        Ok((offset < self.len()).then_some(offset))
    }
    /// What views of this file hold alive, where they are no copies: as long as it lives, so does the room that a
    /// removed file takes. `None` if no view was ever taken, or if views are copies.
    fn held_by_views(&self) -> Option<Weak<dyn Any + Send + Sync>> {
        None
    }
    /// Where, at or behind `offset`, the next stretch begins that was never written; the file's length if there is none.
    /// Default: that, for disks that do not tell.
    fn next_hole(&self, offset: u64) -> io::Result<u64> {
        Ok(self.len().max(offset))
    }
    /// Allocates every block that the file lacks, as [`Reserve::Blocks`] does; the content stays. Before anything
    /// else writes to the file: where the file system cannot allocate, the content is written over itself.
    fn reserve(&self) -> io::Result<()>;
    /// Whether the file still has a name. Without one, what is written and synced is gone with the last handle.
    /// Default: yes, for disks that nobody else works on.
    fn has_name(&self) -> bool {
        true
    }
    /// A hint: these bytes are about to be stored through the mapping, for the first time. They may be overwritten
    /// with zeros by it: nobody else may write them while it runs, and nothing may stand there that is still wanted.
    /// Costs what it takes to make the pages and to fault them in, and makes them dirty: a window of a few MiB, never
    /// a whole segment (speed 1b). What lies beyond the end is left out; nothing happens on a file whose blocks are
    /// not allocated.
    fn make_ready(&self, offset: u64, len: u64) {
        let _ = (offset, len);
    }
    /// A hint: these bytes will not be written through the mapping any more. It takes them out of the writer's page
    /// table in one go, so that the next sync need not interrupt every processor once for each page.
    fn settle(&self, offset: u64, len: u64) {
        let _ = (offset, len);
    }
}

/// The stretches of `[from, to)` of a file in which something may stand that is not zero. All of them are asked for before
/// any is read: what the kernel reads ahead over a hole is no hole any more, and would be read in its turn.
pub(crate) fn data_in(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<Vec<Range<u64>>> {
    let (mut at, mut found) = (from, Vec::new());
    while let Some(data) = file.next_data(at)?.filter(|data| *data < to) {
        let data = data.max(at);
        at = file.next_hole(data)?.clamp(data + 1, to);
        found.push(data..at);
    }
    Ok(found)
}
