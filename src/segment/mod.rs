//! A long run of bytes in files of one length: [`Segment`] is one of them (RocketMQ: mapped file), `SegmentList` all.
//!
//! This room knows bytes at offsets and no records.

mod ahead;
mod bound;
mod list;
mod prepare;

use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::any::Any;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::disk::{Access, Disk, DiskFile, data_in};
use crate::error::{Error, Result};
use crate::offset::LogOffset;
use crate::sync::Mutex;

use ahead::Ahead;
pub(crate) use list::{SegmentList, Survey};

/// What the way of writing needs ahead of the tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Care {
    /// Copies into the mapping: pages made and faulted in, dirty, a window ahead.
    Pages,
    /// Positioned writes, synced at once: blocks written with zeros, so that no sync pays for turning an unwritten
    /// block into a written one (65 to 75 µs each, speed.md §1a).
    Blocks,
}

/// One file of the run. Readers hold it by `Arc`: it outlives its removal, and they finish in peace.
#[derive(Debug)]
pub(crate) struct Segment {
    base: LogOffset,
    len: u64,
    path: PathBuf,
    disk: Arc<dyn Disk>,
    access: Access,
    /// Opened when needed: sealed segments that nobody reads cost no descriptor. Until a sync covers the segment it
    /// stays open, so that the sync sees every error of the writes before it (promises rule 11); see `bound`.
    file: OnceLock<Box<dyn DiskFile>>,
    /// When it was last looked for, by the bound's count of openings.
    used: std::sync::atomic::AtomicU64,
    /// Views that were alive when the file was closed under them: they keep its room taken, too.
    views: Vec<Weak<dyn Any + Send + Sync>>,
    /// When its first record was stored, once somebody has looked.
    oldest: OnceLock<Timestamp>,
    /// No record in it was stored later: remembered when the log goes on in the next one, or learned by looking.
    newest: OnceLock<Timestamp>,
    /// What is ready ahead of the tail. Zeroing blocks takes one step under this lock, and goes on where it ended;
    /// whoever writes first says so here.
    ahead: Mutex<Ahead>,
    /// Up to where it is, for those who only want to see that it is far enough; written under the lock.
    zeroed_seen: AtomicU64,
    /// It has left the list: retention has given it up.
    forgotten: AtomicBool,
}

impl Segment {
    /// A segment over a file that is opened when first needed.
    fn lazy(disk: &Arc<dyn Disk>, path: PathBuf, base: LogOffset, len: u64, access: Access) -> Segment {
        let (disk, file, ahead) = (Arc::clone(disk), OnceLock::new(), Mutex::default());
        let (oldest, newest, zeroed_seen) = (OnceLock::new(), OnceLock::new(), AtomicU64::new(0));
        let (used, views, forgotten) = (0.into(), Vec::new(), AtomicBool::new(false));
        Segment {
            base,
            len,
            path,
            disk,
            access,
            file,
            used,
            views,
            oldest,
            newest,
            ahead,
            zeroed_seen,
            forgotten,
        }
    }

    /// Takes the file out, for the caller to close; it is opened again when it is needed.
    fn close(&mut self) -> Option<Box<dyn DiskFile>> {
        let file = self.file.take()?;
        self.views.retain(|views| views.strong_count() > 0);
        // One is the file's own.
        self.views.extend(file.held_by_views().filter(|views| views.strong_count() > 1));
        Some(file)
    }

    /// Whether its file is open.
    fn is_open(&self) -> bool {
        self.file.get().is_some()
    }

    pub(crate) fn base(&self) -> LogOffset {
        self.base
    }

    pub(crate) fn end(&self) -> LogOffset {
        self.base.plus(self.len)
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn path(&self) -> &PathBuf {
        &self.path
    }

    /// Where `at` lies in the file.
    pub(crate) fn inside(&self, at: LogOffset) -> u64 {
        at.since(self.base)
    }

    fn file(&self) -> Result<&dyn DiskFile> {
        if let Some(file) = self.file.get() {
            return Ok(&**file);
        }
        self.open_file()
    }

    #[cold]
    fn open_file(&self) -> Result<&dyn DiskFile> {
        let opened = self.disk.open(&self.path, self.access).map_err(|e| self.io("opening", e))?;
        if opened.len() != self.len {
            let (path, found, expected) = (self.path.clone(), opened.len(), self.len);
            return Err(Error::Geometry { path, found, expected });
        }
        // Another thread may have opened it meanwhile: then that one stays.
        Ok(&**self.file.get_or_init(|| opened))
    }

    fn io(&self, doing: &'static str, error: std::io::Error) -> Error {
        Error::io(doing, &self.path, error)
    }

    /// When its first record was stored, if that is known.
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        self.oldest.get().copied()
    }

    /// Its first record was stored then.
    pub(crate) fn set_oldest(&self, oldest: Timestamp) {
        let _ = self.oldest.set(oldest);
    }

    /// No record in it was stored later than this, if that is known.
    pub(crate) fn newest(&self) -> Option<Timestamp> {
        self.newest.get().copied()
    }

    /// Nothing more is written into it, and no record in it was stored later. The first word counts.
    pub(crate) fn set_newest(&self, newest: Timestamp) {
        let _ = self.newest.set(newest);
    }

    /// What keeps the room of this segment taken after its file was removed. If somebody holds the segment beside the
    /// caller, its file is opened and mapped now: once the name is gone nobody could.
    pub(crate) fn hold(self: &Arc<Self>) -> Held {
        if Arc::strong_count(self) > 1 {
            // What cannot be read now could not be read by its holder either, who is told then.
            let _ = self.view(self.base, 1);
        }
        let now = self.file.get().and_then(|file| file.held_by_views());
        let views = self.views.iter().cloned().chain(now).collect();
        Held { segment: Arc::downgrade(self), views, bytes: self.len }
    }

    /// Allocates every block the file lacks, so that a full disk is an error now and no signal later.
    pub(crate) fn reserve(&self) -> Result<()> {
        self.file()?.reserve().map_err(|e| self.io("reserving space for", e))
    }

    /// Writes by position; excludes zeroing ahead.
    pub(crate) fn write(&self, at: LogOffset, bytes: &[u8]) -> Result<()> {
        let file = self.file()?;
        // Raised before the write, and also if it fails: zeroing ahead never comes back to here.
        let _held = self.raise_ahead(self.inside(at).saturating_add(bytes.len() as u64));
        file.write_at(self.inside(at), bytes).map_err(|e| self.io("writing", e))
    }

    /// Copies into the mapping where there is one; the parts stand one behind the other. Excludes zeroing ahead.
    pub(crate) fn store(&self, at: LogOffset, parts: &[&[u8]]) -> Result<()> {
        let end = parts.iter().fold(self.inside(at), |end, part| end.saturating_add(part.len() as u64));
        // Below the number nothing is zeroed any more.
        if end > self.zeroed_seen.load(Ordering::Acquire) {
            self.catch_up(self.inside(at), end)?;
        }
        self.file()?.store_mapped(self.inside(at), parts).map_err(|e| self.io("writing", e))
    }

    pub(crate) fn read(&self, at: LogOffset, out: &mut [u8]) -> Result<()> {
        self.file()?.read_at(self.inside(at), out).map_err(|e| self.io("reading", e))
    }

    /// The stretches of `[from, to)` in which something may stand that is not zero.
    pub(crate) fn data(&self, from: LogOffset, to: LogOffset) -> Result<Vec<Range<LogOffset>>> {
        let found = data_in(self.file()?, self.inside(from), self.inside(to));
        let found = found.map_err(|e| self.io("looking for data in", e))?;
        Ok(found.into_iter().map(|data| self.base.plus(data.start)..self.base.plus(data.end)).collect())
    }

    pub(crate) fn view(&self, at: LogOffset, len: usize) -> Result<Bytes> {
        self.file()?.view(self.inside(at), len).map_err(|e| self.io("reading", e))
    }

    /// Whether a look at bytes that nobody will write again costs nothing, however many they are.
    pub(crate) fn views_are_free(&self) -> bool {
        self.file.get().is_some_and(|file| file.views_are_free())
    }

    /// Whether it has left the list of the log's segments, and so is out of range for whoever comes now.
    pub(crate) fn is_forgotten(&self) -> bool {
        self.forgotten.load(Ordering::Acquire)
    }

    /// Whether what is written here can be found again. RocketMQ recovers before it asks for the lock (spec H4): a
    /// broker that somebody starts on a folder in use removes every segment behind what it takes for the log's end.
    pub(crate) fn has_name(&self) -> bool {
        self.file.get().is_none_or(|file| file.has_name())
    }

    /// Errs if the file was removed under us: then a sync of it promises nothing.
    pub(crate) fn need_name(&self) -> Result<()> {
        match self.has_name() {
            true => Ok(()),
            false => {
                let why = "another program has removed the file while the store had it open";
                Err(self.io("syncing", std::io::Error::new(std::io::ErrorKind::NotFound, why)))
            }
        }
    }

    pub(crate) fn sync(&self) -> Result<()> {
        self.file()?.sync().map_err(|e| self.io("syncing", e))
    }

    /// Syncs what was copied into the mapping between `from` and `to`, and nothing that was made ready beyond.
    pub(crate) fn sync_range(&self, from: LogOffset, to: LogOffset) -> Result<()> {
        let file = self.file()?;
        let (from, to) = (self.inside(from), self.inside(to).min(self.len));
        file.settle(from, to.saturating_sub(from));
        file.sync_range(from, to.saturating_sub(from)).map_err(|e| self.io("syncing", e))
    }

    /// Writes zeros by position over `[from, to)`, in steps that make no large folios.
    pub(crate) fn zero(&self, from: LogOffset, to: LogOffset) -> Result<()> {
        let file = self.file()?;
        let (mut at, end) = (self.inside(from), self.inside(to).min(self.len));
        while at < end {
            let step = ZEROS.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
            let zeros = ZEROS.get(..step).unwrap_or_default();
            file.write_at(at, zeros).map_err(|e| self.io("zeroing", e))?;
            at += step as u64;
        }
        Ok(())
    }
}

/// A segment whose file was removed, and who may still hold it.
#[derive(Debug)]
pub(crate) struct Held {
    segment: Weak<Segment>,
    views: Vec<Weak<dyn Any + Send + Sync>>,
    bytes: u64,
}

impl Held {
    /// Bytes that the file still takes: all of them as long as anybody reads it.
    pub(crate) fn bytes(&self) -> u64 {
        let is_viewed = self.views.iter().any(|views| views.strong_count() > 0);
        if is_viewed || self.segment.strong_count() > 0 { self.bytes } else { 0 }
    }
}

/// The step of zeroing: small enough that no large folio appears under a sync for each record (speed.md §1a).
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
