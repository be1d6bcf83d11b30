//! The disk of positioned calls: every byte moves by a system call, every fault is a value, nothing is mapped.
#![expect(clippy::disallowed_methods, reason = "this room is the door to the file system")]

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FallocateFlags, RenameFlags, SeekFrom, StatxFlags};
use rustix::io::Errno;

use super::given_up::GivenUp;
use super::lock::{self, HeldLock};
use super::{
    Access, BootId, Description, Disk, DiskFile, Entry, Holder, Lock, Reserve, Space, folder, host, transfer,
};

/// Zeros are written in steps of this many bytes where blocks cannot be reserved otherwise. Small on purpose: large
/// buffered writes make large folios, and a later store through a mapping then dirties up to 2 MiB (speed 1a).
const STEP_BYTES: usize = 64 * 1024;

/// Positioned reads and writes, no mapping. For thin-provisioned or failing devices, and for file systems on which
/// an allocated block promises nothing (copy-on-write, network).
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # use sawlog::{Message, Options, Store};
/// use sawlog::disk::OsDisk;
///
/// let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16).disk(OsDisk::new()))?;
/// let stored = store.append_and_wait(&Message::new("orders", "paid"))?;
/// assert_eq!(store.record_at(stored.position.offset)?.body(), "paid"); // a copy
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct OsDisk;

impl OsDisk {
    /// The disk; it holds nothing.
    #[must_use]
    pub const fn new() -> OsDisk {
        OsDisk
    }

    pub(super) fn create_file(path: &Path, len: u64, reserve: Reserve) -> io::Result<OsFile> {
        check_file_size_limit(len)?;
        let given_up = GivenUp::of(path.parent().unwrap_or(path))?;
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        let made = OsFile { file, len, access: Access::Write, given_up };
        let ready = made.file.set_len(len).and_then(|()| match reserve {
            Reserve::Blocks => allocate(&made.file, len, write_zeros),
            Reserve::Sparse => Ok(()),
        });
        if let Err(cause) = ready {
            // The first cause is what the caller must hear; a half-made file that cannot be removed either is
            // found by name at the next attempt.
            let _ = fs::remove_file(path);
            return Err(cause);
        }
        Ok(made)
    }

    pub(super) fn open_file(path: &Path, access: Access) -> io::Result<OsFile> {
        // Asked of the path first: opening a pipe would block, and a second descriptor of a lock that we hold
        // would drop the lock when it is closed.
        let found = fs::metadata(path)?;
        if found.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if !found.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        lock::refuse_if_held(&found)?;
        let file = OpenOptions::new().read(true).write(access == Access::Write).open(path)?;
        let len = file.metadata()?.len();
        if access == Access::Write {
            check_file_size_limit(len)?;
        }
        let given_up = match access {
            Access::Write => GivenUp::of(path.parent().unwrap_or(path))?,
            Access::Read => GivenUp::nobody(),
        };
        Ok(OsFile { file, len, access, given_up })
    }
}

impl Disk for OsDisk {
    fn create(&self, path: &Path, len: u64, reserve: Reserve) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OsDisk::create_file(path, len, reserve)?))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OsDisk::open_file(path, access)?))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        folder::list(dir)
    }

    fn entry(&self, path: &Path) -> io::Result<Option<Entry>> {
        folder::entry(path)
    }

    fn create_dirs(&self, dir: &Path) -> io::Result<()> {
        folder::create_dirs(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS) => rename_by_link(from, to),
            other => Ok(other?),
        }
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    // Where the kernel knows no such flag a folder that came into being meanwhile is replaced only if it is empty.
    fn rename_folder(&self, from: &Path, to: &Path) -> io::Result<()> {
        match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS) if folder::entry(to)?.is_none() => fs::rename(from, to),
            other => Ok(other?),
        }
    }

    fn remove_folder(&self, dir: &Path) -> io::Result<()> {
        fs::remove_dir(dir)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        folder::sync(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        check_file_size_limit(lock::CONTENT.len() as u64)?;
        Ok(Box::new(HeldLock::take(path)?))
    }

    fn holder(&self, path: &Path) -> io::Result<Holder> {
        lock::holder(path)
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        host::space(dir)
    }

    fn boot_id(&self) -> BootId {
        host::boot_id()
    }

    fn describe(&self, dir: &Path) -> io::Result<Description> {
        host::describe(dir)
    }
}

/// One descriptor, opened before the first write and kept: a failed write-back is reported to it once (promises
/// rules 1 and 11).
#[derive(Debug)]
pub(super) struct OsFile {
    file: File,
    len: u64,
    access: Access,
    given_up: GivenUp,
}

impl OsFile {
    pub(super) fn descriptor(&self) -> &File {
        &self.file
    }

    pub(super) fn access(&self) -> Access {
        self.access
    }

    /// After each sync that said ok: what it says is worth nothing if the file system has given up before.
    pub(super) fn need_working_file_system(&self) -> io::Result<()> {
        self.given_up.ask()
    }

    /// Refuses a range that does not lie inside of the file; an empty one may stand at its very end.
    pub(super) fn check_readable(&self, offset: u64, len: usize) -> io::Result<()> {
        if self.holds(offset, len) {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a read beyond the end of the file"))
    }

    /// The same for writing, where the file must also have been opened for it.
    pub(super) fn check_writable(&self, offset: u64, len: usize) -> io::Result<()> {
        self.check_access()?;
        if self.holds(offset, len) {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::InvalidInput, "a write beyond the end of the file"))
    }

    fn check_access(&self) -> io::Result<()> {
        match self.access {
            Access::Write => Ok(()),
            Access::Read => {
                Err(io::Error::new(io::ErrorKind::PermissionDenied, "the file was opened for reading alone"))
            }
        }
    }

    fn holds(&self, offset: u64, len: usize) -> bool {
        u64::try_from(len).ok().and_then(|len| offset.checked_add(len)).is_some_and(|end| end <= self.len)
    }
}

impl DiskFile for OsFile {
    fn len(&self) -> u64 {
        self.len
    }

    // An interruption and a short transfer are gone on after; a transfer of nothing is an error (`UnexpectedEof`,
    // `WriteZero`), never a loop.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.check_readable(offset, out.len())?;
        read_all(&self.file, out, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.check_writable(offset, bytes.len())?;
        write_all(&self.file, bytes, offset)
    }

    // std makes this call again after an interruption, too: that is no report of an error.
    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()?;
        self.need_working_file_system()
    }

    // Moves the descriptor's own place, by which nobody reads or writes here.
    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        match rustix::fs::seek(&self.file, SeekFrom::Data(offset)) {
            Ok(data) => Ok(Some(data).filter(|data| *data < self.len)),
            Err(Errno::NXIO) => Ok(None),
            // A file system that does not tell.
            Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => Ok((offset < self.len).then_some(offset)),
            Err(other) => Err(other.into()),
        }
    }

    fn next_hole(&self, offset: u64) -> io::Result<u64> {
        match rustix::fs::seek(&self.file, SeekFrom::Hole(offset)) {
            Ok(hole) => Ok(hole.min(self.len)),
            Err(Errno::NXIO | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(self.len),
            Err(other) => Err(other.into()),
        }
    }

    fn reserve(&self) -> io::Result<()> {
        self.check_access()?;
        allocate(&self.file, self.len, write_again)
    }

    // The number of names alone: whoever asks for the times, too, has the kernel (6.13 and later) note the next write's
    // time to the nanosecond, which dirties the inode at each write instead of at each tick. A file system that cannot
    // say counts as one where all is well.
    fn has_name(&self) -> bool {
        match rustix::fs::statx(&self.file, c"", AtFlags::EMPTY_PATH, StatxFlags::NLINK) {
            Ok(found) => found.stx_nlink > 0,
            Err(_) => self.file.metadata().map_or(true, |found| found.nlink() > 0),
        }
    }
}

fn read_all(file: &File, out: &mut [u8], offset: u64) -> io::Result<()> {
    transfer::fill(out, offset, |room, at| file.read_at(room, at))
}

fn write_all(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    transfer::drain(bytes, offset, |rest, at| file.write_at(rest, at))
}

/// Allocates every block of the first `len` bytes; `by_writing` is the way where the file system cannot.
fn allocate(file: &File, len: u64, by_writing: fn(&File, u64) -> io::Result<()>) -> io::Result<()> {
    if len == 0 {
        return Ok(());
    }
    let reserve = || Ok(rustix::fs::fallocate(file, FallocateFlags::empty(), 0, len)?);
    match transfer::uninterrupted(reserve) {
        Err(e) if matches!(Errno::from_io_error(&e), Some(Errno::OPNOTSUPP | Errno::NOSYS)) => {
            by_writing(file, len)
        }
        other => other,
    }
}

fn write_zeros(file: &File, len: u64) -> io::Result<()> {
    let zeros = vec![0; STEP_BYTES];
    in_steps(len, |at, step| match zeros.get(..step) {
        Some(part) => write_all(file, part, at),
        None => Err(io::ErrorKind::InvalidInput.into()),
    })
}

/// Writes what is there over itself: holes become blocks of zeros, all other bytes stay.
fn write_again(file: &File, len: u64) -> io::Result<()> {
    let mut room = vec![0; STEP_BYTES];
    in_steps(len, |at, step| match room.get_mut(..step) {
        Some(part) => read_all(file, part, at).and_then(|()| write_all(file, part, at)),
        None => Err(io::ErrorKind::InvalidInput.into()),
    })
}

fn in_steps(len: u64, mut step: impl FnMut(u64, usize) -> io::Result<()>) -> io::Result<()> {
    let mut at = 0;
    while at < len {
        let bytes = usize::try_from(len - at).unwrap_or(STEP_BYTES).min(STEP_BYTES);
        step(at, bytes)?;
        at += bytes as u64;
    }
    Ok(())
}

/// A link is never made over an existing name, so this keeps what `rename` promises. A crash between the two steps
/// leaves both names, of one file. Folders cannot be moved so.
fn rename_by_link(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to)?;
    fs::remove_file(from).inspect_err(|_| {
        let _ = fs::remove_file(to);
    })
}

/// Growing or writing beyond the process's file size limit raises a signal, which kills by default: the limit is
/// asked for before a file is made or opened for writing, so that it becomes an error value (promises D4).
fn check_file_size_limit(len: u64) -> io::Result<()> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Fsize).current;
    if limit.is_some_and(|limit| len > limit) {
        return Err(Errno::FBIG.into());
    }
    Ok(())
}

#[cfg(test)]
#[path = "os_tests.rs"]
mod tests;
