//! The queues' files: so many open at once and no more, and each made whole before it gets its name.
//!
//! Readers and the recorder share descriptors. A file that was written keeps its descriptor until it is synced, so
//! that the sync sees every error of the writes (promises rule 11); the recorder keeps such files below half of
//! what may be open, so that a reader always finds another one to close.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use foldhash::fast::RandomState;

use crate::consume_queue::entry::ENTRY_BYTES;
use crate::consume_queue::survey::list;
use crate::disk::{Access, Disk, DiskFile, Reserve, data_in};
use crate::error::{Error, Result};
use crate::layout;
use crate::offset::LogOffset;
use crate::sync::Mutex;

/// How long the files are, and how many may be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    /// Entries in one file, at least 1. RocketMQ's default is 300,000 (spec 1.1).
    pub(crate) entries_per_segment: u32,
    /// The most descriptors held at once over all queues; 2 at least, fewer are taken for 2. While more threads than
    /// that read different files at the same moment, each holds one.
    pub(crate) open_files: usize,
}

/// Whose files.
#[derive(Debug)]
pub(super) struct Folder {
    /// A number that no other queue of this table has.
    pub(super) number: u32,
    pub(super) topic: Arc<str>,
    pub(super) id: u32,
}

/// An open file and its name, for error texts.
#[derive(Debug)]
pub(super) struct Opened {
    file: Box<dyn DiskFile>,
    path: PathBuf,
}

impl Opened {
    pub(super) fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        self.file.read_at(offset, out).map_err(|e| Error::io("reading", &self.path, e))
    }

    /// The stretches of `[from, to)` in which something may stand that is not zero.
    pub(super) fn data(&self, from: u64, to: u64) -> Result<Vec<Range<u64>>> {
        data_in(&*self.file, from, to).map_err(|e| Error::io("looking for data in", &self.path, e))
    }

    pub(super) fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.file.write_at(offset, bytes).map_err(|e| Error::io("writing", &self.path, e))
    }

    fn sync(&self) -> Result<()> {
        self.file.sync().map_err(|e| Error::io("syncing", &self.path, e))
    }
}

/// Queue and number of the segment.
type Key = (u32, u64);

#[derive(Debug, Default)]
struct Cache {
    slots: HashMap<Key, Slot, RandomState>,
    /// Counts uses, to tell which was the last.
    uses: u64,
    /// Descriptors about to be opened.
    opening: usize,
    /// How many slots are written and not synced.
    dirty: usize,
    /// Counts the files removed: who opened one meanwhile may hold a file without a name.
    removed: u64,
}

#[derive(Debug)]
struct Slot {
    file: Arc<Opened>,
    used: u64,
    dirty: bool,
}

impl Cache {
    fn hit(&mut self, key: Key) -> Option<Arc<Opened>> {
        self.uses += 1;
        let slot = self.slots.get_mut(&key)?;
        slot.used = self.uses;
        Some(Arc::clone(&slot.file))
    }

    /// Takes out what was used longest ago until one more may be opened, and a sixteenth of all with it: finding the
    /// oldest means looking at each, which an opening of 200,000 queues would do for every one of them. They close when
    /// the caller drops them. Files in use or not synced stay.
    fn make_room(&mut self, limit: usize) -> Vec<Slot> {
        let Some(surplus) = (self.slots.len() + self.opening + 1).checked_sub(limit).filter(|n| *n > 0)
        else {
            return Vec::new();
        };
        let idle = self.slots.iter().filter(|(_, slot)| !slot.dirty && Arc::strong_count(&slot.file) == 1);
        let mut idle: Vec<_> = idle.map(|(key, slot)| (slot.used, *key)).collect();
        let closing = idle.len().min(surplus + limit / 16);
        if closing < idle.len() {
            idle.select_nth_unstable(closing);
        }
        idle.iter().take(closing).filter_map(|(_, key)| self.slots.remove(key)).collect()
    }

    /// The dirty file that was used longest ago.
    fn oldest_dirty(&self) -> Option<(Key, Arc<Opened>)> {
        let dirty = self.slots.iter().filter(|(_, slot)| slot.dirty);
        dirty.min_by_key(|(_, slot)| slot.used).map(|(key, slot)| (*key, Arc::clone(&slot.file)))
    }

    fn set_dirty(&mut self, key: Key, dirty: bool) {
        let Some(slot) = self.slots.get_mut(&key) else { return };
        if slot.dirty != dirty {
            slot.dirty = dirty;
            self.dirty = if dirty { self.dirty + 1 } else { self.dirty.saturating_sub(1) };
        }
    }

    fn is_dirty(&self, key: Key) -> bool {
        self.slots.get(&key).is_some_and(|slot| slot.dirty)
    }
}

/// All files of all queues. Reading is for any thread; the rest for whoever holds the table's recorder lock.
#[derive(Debug)]
pub(super) struct Files {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    making: PathBuf,
    entries_per_segment: u64,
    limit: usize,
    cache: Mutex<Cache>,
    /// Folders with names that no sync has made durable.
    folders: Mutex<BTreeSet<PathBuf>>,
    /// The first sync that failed: nothing is written any more (promises rule 1).
    failed: OnceLock<Error>,
    /// Counts the files made, for their names in the `making` folder.
    made: AtomicU64,
}

impl Files {
    pub(super) fn new(disk: Arc<dyn Disk>, dir: PathBuf, making: PathBuf, geometry: Geometry) -> Files {
        Files {
            disk,
            dir,
            making,
            entries_per_segment: u64::from(geometry.entries_per_segment.max(1)),
            limit: geometry.open_files.max(2),
            cache: Mutex::default(),
            folders: Mutex::default(),
            failed: OnceLock::new(),
            made: AtomicU64::new(0),
        }
    }

    /// Entries in one file.
    pub(super) fn entries_per_segment(&self) -> u64 {
        self.entries_per_segment
    }

    fn folder(&self, folder: &Folder) -> PathBuf {
        self.dir.join(&*folder.topic).join(folder.id.to_string())
    }

    /// The file of a queue's segment by number; its name is the byte position of its first entry (spec 1.2).
    pub(super) fn path(&self, folder: &Folder, segment: u64) -> PathBuf {
        let base = segment.saturating_mul(self.entries_per_segment).saturating_mul(ENTRY_BYTES);
        self.folder(folder).join(layout::segment_name(LogOffset(base)))
    }

    /// Removes what a crash left in the `making` folder: files without a name of their own.
    pub(super) fn remove_left_overs(&self) -> Result<()> {
        for entry in list(&*self.disk, &self.making)?.into_iter().filter(|entry| !entry.is_dir) {
            self.disk.remove(&entry.path).map_err(|e| Error::io("removing", &entry.path, e))?;
        }
        Ok(())
    }

    /// An existing file, for reading.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Geometry`] if it has another length than all others.
    pub(super) fn reading(&self, folder: &Folder, segment: u64) -> Result<Arc<Opened>> {
        let key = (folder.number, segment);
        let hit = self.cache.lock().hit(key);
        hit.map_or_else(|| self.admit(key, || self.open(folder, segment)), Ok)
    }

    pub(super) fn open(&self, folder: &Folder, segment: u64) -> Result<Opened> {
        let path = self.path(folder, segment);
        let file = self.disk.open(&path, Access::Write).map_err(|e| Error::io("opening", &path, e))?;
        let expected = self.segment_bytes();
        if file.len() != expected {
            return Err(Error::Geometry { found: file.len(), path, expected });
        }
        Ok(Opened { file, path })
    }

    /// The length of a file.
    pub(super) fn segment_bytes(&self) -> u64 {
        self.entries_per_segment.saturating_mul(ENTRY_BYTES)
    }

    /// Opens one more file, after closing others if need be. Nobody waits for the opening.
    pub(super) fn admit(&self, key: Key, open: impl FnOnce() -> Result<Opened>) -> Result<Arc<Opened>> {
        let mut cache = self.cache.lock();
        let closing = cache.make_room(self.limit);
        let removed = cache.removed;
        cache.opening += 1;
        drop(cache);
        drop(closing);
        let opened = open();
        let mut cache = self.cache.lock();
        cache.opening = cache.opening.saturating_sub(1);
        let opened = Arc::new(opened?);
        // Somebody else may have opened it meanwhile: one descriptor is enough, ours closes.
        if let Some(theirs) = cache.hit(key) {
            drop(cache);
            return Ok(theirs);
        }
        // A file of that name may be made anew: it must not be mistaken for the one that went. This one is read once.
        if cache.removed != removed {
            return Ok(opened);
        }
        let used = cache.uses;
        cache.slots.insert(key, Slot { file: Arc::clone(&opened), used, dirty: false });
        Ok(opened)
    }

    /// An existing file, for writing: it stays open until it is synced.
    ///
    /// # Errors
    /// As [`Files::reading`], and a failed sync of another file, which is final.
    pub(super) fn writing(&self, folder: &Folder, segment: u64) -> Result<Arc<Opened>> {
        let key = (folder.number, segment);
        let most = self.limit / 2;
        if !self.cache.lock().is_dirty(key) {
            while self.cache.lock().dirty >= most {
                self.sync_oldest()?;
            }
        }
        // Whoever holds a file keeps it in the cache, so it is still there to be marked.
        let file = self.reading(folder, segment)?;
        self.cache.lock().set_dirty(key, true);
        Ok(file)
    }

    /// Makes a new segment: created sparse at full length beside the queues, its first bytes written, synced, given
    /// its name (promises rule 8). So no file stands under a final name that is all zeros, or of another length.
    ///
    /// # Errors
    /// [`Error::Io`]; with a full disk [`Error::is_full`] holds. Nothing but, at worst, a file in the `making` folder
    /// is left behind. A failed sync is final.
    pub(super) fn make(
        &self,
        folder: &Folder,
        segment: u64,
        at: u64,
        bytes: &[u8],
        first: bool,
    ) -> Result<()> {
        if !first {
            self.finish_before(folder, segment)?;
        }
        let path = self.path(folder, segment);
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let made = self.making.join(format!("queue-{number}"));
        self.admit((folder.number, segment), || {
            self.disk
                .create_dirs(&self.making)
                .map_err(|e| Error::io("making the folder", &self.making, e))?;
            let file = self.disk.create(&made, self.segment_bytes(), Reserve::Sparse);
            let file = file.map_err(|e| Error::io("creating", &made, e))?;
            let filled = self.fill(&*file, &made, at, bytes).and_then(|()| {
                if first {
                    let dir = self.folder(folder);
                    self.disk.create_dirs(&dir).map_err(|e| Error::io("making the folder", &dir, e))?;
                }
                self.disk.rename(&made, &path).map_err(|e| Error::io("renaming in", &path, e))
            });
            if let Err(error) = filled {
                // Whether this works or not, the next open removes what is left.
                let _ = self.disk.remove(&made);
                return Err(error);
            }
            Ok(Opened { file, path: path.clone() })
        })?;
        self.name_to_sync(folder);
        Ok(())
    }

    /// The file before this one, and its name, are durable before a later name can be: RocketMQ looks at a queue's last
    /// three files alone (spec 9.4), and would never fill a hole before them.
    fn finish_before(&self, folder: &Folder, segment: u64) -> Result<()> {
        let Some(before) = segment.checked_sub(1) else { return Ok(()) };
        let key = (folder.number, before);
        if self.cache.lock().is_dirty(key) {
            self.reading(folder, before)?.sync().map_err(|error| self.failed(error))?;
            self.cache.lock().set_dirty(key, false);
        }
        self.sync_names(folder)
    }

    /// Makes the names in this queue's folder durable, those that went, too, if they are not.
    pub(super) fn sync_names(&self, folder: &Folder) -> Result<()> {
        let dir = self.folder(folder);
        let is_needed = self.folders.lock().contains(&dir);
        if is_needed {
            self.disk.sync_dir(&dir).map_err(|e| Error::io("syncing the folder", &dir, e))?;
            self.folders.lock().remove(&dir);
        }
        Ok(())
    }

    fn fill(&self, file: &dyn DiskFile, path: &Path, at: u64, bytes: &[u8]) -> Result<()> {
        file.write_at(at, bytes).map_err(|e| Error::io("writing", path, e))?;
        file.sync().map_err(|e| self.failed(Error::io("syncing", path, e)))
    }

    /// The names in this queue's folder are not durable before the next sync.
    pub(super) fn name_to_sync(&self, folder: &Folder) {
        self.folders.lock().insert(self.folder(folder));
    }

    /// Keeps the first failure of a sync.
    fn failed(&self, error: Error) -> Error {
        self.failed.get_or_init(|| error.latched()).clone()
    }

    /// Whether anything may still be written.
    ///
    /// # Errors
    /// What a sync failed with.
    pub(super) fn check(&self) -> Result<()> {
        self.failed.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    fn sync_oldest(&self) -> Result<bool> {
        let Some((key, file)) = self.cache.lock().oldest_dirty() else { return Ok(false) };
        file.sync().map_err(|error| self.failed(error))?;
        self.cache.lock().set_dirty(key, false);
        Ok(true)
    }

    /// Makes durable all that was written since the last time, and the names of new files.
    ///
    /// # Errors
    /// A failed sync of a file, which is final; [`Error::Io`] of a folder, whose turn comes again.
    pub(super) fn sync(&self) -> Result<()> {
        self.check()?;
        while self.sync_oldest()? {}
        loop {
            let Some(dir) = self.folders.lock().first().cloned() else { return Ok(()) };
            match self.disk.sync_dir(&dir) {
                // A folder that is not there has no names to lose.
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::io("syncing the folder", &dir, e));
                }
                _ => {}
            }
            self.folders.lock().remove(&dir);
        }
    }

    /// Removes a segment's file; one that is gone already is fine. The name's end is not durable before the next
    /// sync. Readers that hold it finish.
    pub(super) fn remove(&self, folder: &Folder, segment: u64) -> Result<()> {
        let path = self.path(folder, segment);
        match self.disk.remove(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(Error::io("removing", &path, e)),
            _ => self.name_to_sync(folder),
        }
        // Only now: from here on nobody opens it any more, and who did before finds the count changed.
        let key = (folder.number, segment);
        let mut cache = self.cache.lock();
        cache.removed += 1;
        cache.set_dirty(key, false);
        let slot = cache.slots.remove(&key);
        drop(cache);
        drop(slot);
        Ok(())
    }

    /// Closes all files, synced or not.
    #[cfg(test)]
    pub(super) fn close_all(&self) {
        *self.cache.lock() = Cache::default();
    }

    /// How many descriptors are held.
    pub(super) fn open_files(&self) -> usize {
        self.cache.lock().slots.len()
    }
}
