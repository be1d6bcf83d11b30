//! The disk of mapped files: stores without a system call, views without a copy. The only room with `unsafe`.
//!
//! What must hold, since a mapping turns every broken rule into undefined behaviour or a signal:
//! 1. **Length.** A file's length never changes while it is mapped: we never shorten one, and the folder's lock keeps
//!    other stores out. A file cut by a stranger raises SIGBUS.
//! 2. **Once.** A byte is written before it is handed out by `view`, and not again after that; no two threads store
//!    to the same byte at once. The log keeps both: it is appended to under one lock, and readers see no byte above
//!    a mark that moves after the store. Recovery, which does rewrite, reads by position and takes no view.
//! 3. **Bounds.** Every range is checked against the length before a pointer is made from it.
//! 4. **Blocks.** A store goes through the mapping only after every block was allocated, so that a full disk is an
//!    error value (promises rule 7); into any other file it goes by position. A copy that shares the file's blocks
//!    (`cp --reflink` on XFS) takes that allocation away again: copy a store that is being written without it.
//!
//! A dying device answers a mapped read with a signal, and so does a file system that has given up a mapped store:
//! that is what [`OsDisk`] is for.
#![expect(unsafe_code, reason = "a mapping is read as a slice and written by pointer; the rules stand above")]

use std::any::Any;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::{fmt, ptr, slice};

use bytes::Bytes;
use memmap2::{Advice, MmapOptions, MmapRaw, UncheckedAdvice};

use super::os::OsFile;
use super::{
    Access, BootId, Description, Disk, DiskFile, Entry, Holder, Lock, OsDisk, Reserve, Space, transfer,
};

/// Mapped files over [`OsDisk`]: the same names, locks and positioned calls, and each file mapped whole at its first
/// `store_mapped`, `make_ready` or `view`. Files that are used by position alone cost no mapping.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// use sawlog::disk::{Disk, MappedDisk, Reserve};
///
/// let file = MappedDisk::new().create(&folder.path().join("file"), 4096, Reserve::Blocks)?;
/// file.store_mapped(0, &[b"paid"])?; // no system call
/// assert!(file.views_are_free());
/// assert_eq!(file.view(0, 4)?, "paid"); // no copy, either
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct MappedDisk {
    os: OsDisk,
}

impl MappedDisk {
    /// The disk; it holds nothing.
    #[must_use]
    pub const fn new() -> MappedDisk {
        MappedDisk { os: OsDisk::new() }
    }
}

impl Disk for MappedDisk {
    fn create(&self, path: &Path, len: u64, reserve: Reserve) -> io::Result<Box<dyn DiskFile>> {
        let file = OsDisk::create_file(path, len, reserve)?;
        Ok(Box::new(MappedFile::new(file, reserve == Reserve::Blocks)))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(MappedFile::new(OsDisk::open_file(path, access)?, false)))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.os.list(dir)
    }

    fn entry(&self, path: &Path) -> io::Result<Option<Entry>> {
        self.os.entry(path)
    }

    fn create_dirs(&self, dir: &Path) -> io::Result<()> {
        self.os.create_dirs(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.os.rename(from, to)
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.os.replace(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.os.link(from, to)
    }

    fn rename_folder(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.os.rename_folder(from, to)
    }

    fn remove_folder(&self, dir: &Path) -> io::Result<()> {
        self.os.remove_folder(dir)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.os.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.os.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        self.os.lock(path)
    }

    fn holder(&self, path: &Path) -> io::Result<Holder> {
        self.os.holder(path)
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        self.os.space(dir)
    }

    fn boot_id(&self) -> BootId {
        self.os.boot_id()
    }

    fn describe(&self, dir: &Path) -> io::Result<Description> {
        self.os.describe(dir)
    }
}

struct MappedFile {
    file: OsFile,
    /// Whether every block is known to be allocated; only then is the mapping written.
    allocated: AtomicBool,
    map: OnceLock<Arc<MmapRaw>>,
}

impl fmt::Debug for MappedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mapped = self.map.get().is_some();
        f.debug_struct("MappedFile")
            .field("file", &self.file)
            .field("mapped", &mapped)
            .finish_non_exhaustive()
    }
}

impl MappedFile {
    fn new(file: OsFile, allocated: bool) -> MappedFile {
        MappedFile { file, allocated: AtomicBool::new(allocated), map: OnceLock::new() }
    }

    /// The mapping of the whole file, made by the first who needs it. Two at once make two; one of them is dropped.
    fn map(&self) -> io::Result<&Arc<MmapRaw>> {
        if let Some(map) = self.map.get() {
            return Ok(map);
        }
        let mut options = MmapOptions::new();
        options
            .len(usize::try_from(self.file.len()).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?);
        let map = match self.file.access() {
            Access::Read => options.map_raw_read_only(self.file.descriptor()),
            Access::Write => options.map_raw(self.file.descriptor()),
        }?;
        Ok(self.map.get_or_init(|| Arc::new(map)))
    }
}

impl DiskFile for MappedFile {
    fn len(&self) -> u64 {
        self.file.len()
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, out)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }

    fn store_mapped(&self, offset: u64, parts: &[&[u8]]) -> io::Result<()> {
        // Parts may overlap, so their sum may be more than memory holds: saturated, it is refused as beyond the end.
        let len = parts.iter().fold(0_usize, |len, part| len.saturating_add(part.len()));
        if len == 0 || !self.allocated.load(Ordering::Acquire) {
            return self.file.write_at(offset, &parts.concat());
        }
        self.file.check_writable(offset, len)?;
        let map = self.map()?;
        let mut at = in_memory(offset)?;
        for part in parts.iter().filter(|part| !part.is_empty()) {
            // SAFETY: rule 3: `check_writable` proved offset + all parts <= length, `at` is offset and the parts
            // before this one, and the mapping has that length (rule 1) and is writable, since the file was opened
            // for writing. Rule 2: nobody else writes these bytes now and no view of them was given out, so no
            // reference covers them, `part` included. Rule 4: their blocks are allocated, so the store raises no
            // signal.
            unsafe { ptr::copy_nonoverlapping(part.as_ptr(), map.as_mut_ptr().add(at), part.len()) };
            at += part.len();
        }
        prefetch(map, at, len);
        Ok(())
    }

    // A store through the mapping marks its page dirty in the page cache, where the descriptor's sync finds it.
    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    // msync over a range is fdatasync over that range of the mapped file (msync(2), MS_SYNC): the mapping holds the same
    // open file as the descriptor, and so the same report of a write error.
    fn sync_range(&self, offset: u64, len: u64) -> io::Result<()> {
        let end = offset.saturating_add(len).min(self.len());
        match self.map.get() {
            Some(map) if offset < end => {
                let (at, len) = (in_memory(offset)?, in_memory(end - offset)?);
                transfer::uninterrupted(|| map.flush_range(at, len))?;
                self.file.need_working_file_system()
            }
            _ => self.file.sync(),
        }
    }

    fn view(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        self.file.check_readable(offset, len)?;
        if len == 0 {
            return Ok(Bytes::new());
        }
        Ok(Bytes::from_owner(View { map: Arc::clone(self.map()?), at: in_memory(offset)?, len }))
    }

    fn views_are_free(&self) -> bool {
        true
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        self.file.next_data(offset)
    }

    fn next_hole(&self, offset: u64) -> io::Result<u64> {
        self.file.next_hole(offset)
    }

    fn held_by_views(&self) -> Option<Weak<dyn Any + Send + Sync>> {
        let map: Weak<MmapRaw> = Arc::downgrade(self.map.get()?);
        Some(map)
    }

    fn reserve(&self) -> io::Result<()> {
        self.file.reserve()?;
        self.allocated.store(true, Ordering::Release);
        Ok(())
    }

    fn has_name(&self) -> bool {
        self.file.has_name()
    }

    fn make_ready(&self, offset: u64, len: u64) {
        // Without blocks nothing will be stored through the mapping.
        if !self.allocated.load(Ordering::Acquire) {
            return;
        }
        let end = offset.saturating_add(len).min(self.len());
        let mut at = offset;
        while at < end {
            let step = usize::try_from(end - at).map_or(ZEROS.len(), |left| left.min(ZEROS.len()));
            // By position first: a page that a fault makes is read from the file, which zeroes far more around it than
            // is asked for. So made, 1 GiB costs 1.0 to 2.2 s of processor time, and 0.25 s this way (measured).
            if self.file.write_at(at, ZEROS.get(..step).unwrap_or_default()).is_err() {
                return;
            }
            // A kernel before 5.14 knows no such advice: then the first store to each page pays for its fault, and
            // nothing else changes.
            if let (Ok(at), Ok(map)) = (usize::try_from(at), self.map()) {
                let _ = map.advise_range(Advice::PopulateWrite, at, step);
            }
            at = at.saturating_add(step as u64);
        }
    }

    fn settle(&self, offset: u64, len: u64) {
        // Whole pages alone: the tail goes on in the last one.
        let end = offset.saturating_add(len).min(self.len()) / PAGE_BYTES * PAGE_BYTES;
        let start = offset / PAGE_BYTES * PAGE_BYTES;
        let Some(map) = self.map.get() else { return };
        if let (Ok(at), Ok(len @ 1..)) = (usize::try_from(start), usize::try_from(end.saturating_sub(start)))
        {
            // SAFETY: the mapping is shared and of a file: dropping its page-table entries discards no byte, the next
            // access finds the page in the page cache again (madvise(2), MADV_DONTNEED). `at + len` is within the
            // file's length, which is the mapping's.
            let _ = unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, at, len) };
        }
    }
}

/// Asks for the cache lines of these bytes, to be read soon.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn ask_for(bytes: &[u8]) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    for line in bytes.chunks(LINE_BYTES) {
        // SAFETY: a prefetch neither reads nor faults, whatever the address; this one is of a slice.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn ask_for(_: &[u8]) {}

#[cfg(target_arch = "x86_64")]
const LINE_BYTES: usize = 64;

/// Asks for the cache lines that the next store of `len` bytes will write: they were zeroed by another processor,
/// and waiting for them is most of what a store costs.
#[cfg(target_arch = "x86_64")]
#[inline]
fn prefetch(map: &MmapRaw, at: usize, len: usize) {
    use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
    const MOST_BYTES: usize = 2048;
    let len = len.min(MOST_BYTES).min(map.len().saturating_sub(at));
    let mut line = map.as_ptr().wrapping_add(at);
    for _ in 0..len.div_ceil(LINE_BYTES) {
        // SAFETY: a prefetch neither reads nor faults, whatever the address; this one is within the mapping (rule 3).
        unsafe { _mm_prefetch::<_MM_HINT_ET0>(line.cast()) };
        line = line.wrapping_add(LINE_BYTES);
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn prefetch(_: &MmapRaw, _: usize, _: usize) {}

/// Advice is given by pages; where they are larger the kernel rounds, and at worst a page faults once more.
const PAGE_BYTES: u64 = 4096;

/// What is made ready at once: the page cache holds it in as few, large pages as it can, which are cheap to make, to
/// map and to write back. Not larger: a huge page often has to be asked from the host first.
static ZEROS: [u8; 256 * 1024] = [0; 256 * 1024];

fn in_memory(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

/// A part of a mapping, which it keeps alive: a view outlives the handle, and the removal of the file.
struct View {
    map: Arc<MmapRaw>,
    at: usize,
    len: usize,
}

impl AsRef<[u8]> for View {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: rule 3: `view` proved at + len <= length, and the mapping has that length (rule 1) and lives as
        // long as this view. Rule 2: these bytes are written, and will not be written again.
        unsafe { slice::from_raw_parts(self.map.as_ptr().add(self.at), self.len) }
    }
}
