//! Look-up by key: [`KeyIndex`], all index files in the order of their making (RocketMQ: IndexService).
//!
//! A file that is not sealed is *live*: its slots, its header and the entries that are not in the file yet stand in
//! memory, so that putting a key in touches memory alone. Entries are written by position, many by one call, when the
//! log is flushed up to their records; then the file holds them and memory does not. Slots and header come to the
//! disk when the file is full (it is *sealed*: searched in the file from then on), or when the index is closed.
//! So a killed process leaves a live file as it was last closed, or with zeros where slots and header stand: RocketMQ
//! takes it for that state. We do not: what must be known to build slots up from entries is [`KeyIndex::capture`]d.
//!
//! One thread (the dispatcher) puts; one (the recorder) writes out, syncs, closes; any number search.
//! The format is spec 4, to the byte; where a look-up finds more than RocketMQ's, [`Search`] says how.

mod divide;
mod file;
mod hash;
mod load;
mod name;
mod other;
mod pending;
mod retire;
mod search;
mod shape;
mod survey;
mod write;

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::clock::Timestamp;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::offset::LogOffset;
use crate::sync::{Mutex, RwLock};
use file::IndexFile;
use retire::Retired;
use shape::ENTRY_LEN;

pub(crate) use divide::{DEFAULT, divide};
pub(crate) use hash::TopicHash;
pub(crate) use other::OtherIndex;
pub(crate) use search::Search;
pub(crate) use shape::{Entry, EntryBytes, Geometry, HEADER_LEN, Header};
pub(crate) use survey::{IndexSurvey, KnownFile};

#[cfg(test)]
mod tests;

/// Why nothing more is written, if a sync failed; searches look at it, too.
type Failed = Arc<Mutex<Option<Error>>>;

/// All index files of a store, oldest first.
#[derive(Debug)]
pub(crate) struct KeyIndex {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    making: PathBuf,
    geometry: Geometry,
    /// Only the last one may have room. The sealed ones come first: files are sealed in order.
    files: RwLock<Vec<Arc<IndexFile>>>,
    /// Entries put and not written yet.
    pending: AtomicU64,
    /// Names in the folder are not durable.
    folder_changed: AtomicBool,
    /// Files that count no more and are still on the disk.
    retired: Mutex<Retired>,
    /// A sync failed: nothing more is written, and nothing is durable any more that was not before.
    failed: Failed,
}

impl KeyIndex {
    /// Loads the index over the files that are known, which must be [covered](KeyIndex::covers); with none known it
    /// starts empty. `making` is a folder on the same file system, outside of `dir`, where new files are made.
    /// Touches nothing: whoever goes on with it calls [`KeyIndex::remove_unknown`] first.
    ///
    /// Of a live file, entries `1 .. next_entry` are read (sequentially; 20 bytes each) and its slots built up in
    /// memory; or the slots are read, where the file was closed and that is cheaper.
    ///
    /// # Errors
    /// [`Error::InvalidOptions`] for an impossible geometry. [`Error::Geometry`] and [`Error::Foreign`]: the files
    /// contradict what is known; set them aside, open with none known and derive all again. [`Error::Io`].
    pub(crate) fn load(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        making: PathBuf,
        geometry: Geometry,
        known: &[KnownFile],
        survey: &IndexSurvey,
    ) -> Result<KeyIndex> {
        geometry.check()?;
        if !KeyIndex::covers(survey, known) {
            return Err(load::contradiction(&dir, 0, "the files are not those that are known"));
        }
        check_order(&dir, geometry, known)?;
        let files = known.iter().map(|known| load::load(&disk, &dir, geometry, known).map(Arc::new));
        let files = RwLock::new(files.collect::<Result<_>>()?);
        let (pending, folder_changed) = (AtomicU64::new(0), AtomicBool::new(false));
        let (retired, failed) = (Mutex::default(), Failed::default());
        Ok(KeyIndex { disk, dir, making, geometry, files, pending, folder_changed, retired, failed })
    }

    /// Removes files newer than all loaded ones, for they hold only what the caller will put again, and older ones,
    /// which were retired.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn remove_unknown(&self, survey: &IndexSurvey) -> Result<()> {
        let known: Vec<u64> = self.files.read().iter().map(|file| file.name).collect();
        for name in survey.files.iter().filter(|name| !known.contains(name)) {
            let path = self.dir.join(name::digits(*name));
            self.disk.remove(&path).map_err(|e| Error::io("removing", &path, e))?;
            self.folder_changed.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Both: what the folder holds besides the known files is gone then.
    ///
    /// # Errors
    /// As [`KeyIndex::load`].
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        making: PathBuf,
        geometry: Geometry,
        known: &[KnownFile],
    ) -> Result<KeyIndex> {
        geometry.check()?;
        let survey = IndexSurvey::of(disk.as_ref(), &dir, geometry)?;
        let index = KeyIndex::load(disk, dir, making, geometry, known, &survey)?;
        index.remove_unknown(&survey)?;
        Ok(index)
    }

    /// Whether the folder is one that `known` can be opened over: every known file is there, nothing is odd, and
    /// further files are newer than all known ones (made after the snapshot) or older (retired): nothing in them is
    /// needed.
    pub(crate) fn covers(survey: &IndexSurvey, known: &[KnownFile]) -> bool {
        survey.is_covered_by(known)
    }

    /// Puts the keys of the record at `at` in, in the order given: RocketMQ's is the unique key, then the others. To
    /// be called for every record in log order, also for one without keys (which still makes the first file, spec
    /// 4.6), and without its keys for a rolled-back one. `now` names a new file, if one is needed.
    ///
    /// Touches memory alone: about 100 ns a key. A record that is in the index already is skipped, except the last
    /// one, whose keys are put again (spec 4.6).
    pub(crate) fn put<'k>(
        &self,
        at: LogOffset,
        stored: Timestamp,
        now: Timestamp,
        topic: &str,
        keys: impl Iterator<Item = &'k str>,
    ) {
        let topic = TopicHash::of(topic);
        let mut hashes = keys.map(|key| topic.key(key)).peekable();
        loop {
            let last = self.files.read().last().cloned();
            if let Some(last) = &last {
                let (all, put) = last.put(at, stored, &mut hashes);
                self.pending.fetch_add(put.into(), Ordering::Relaxed);
                if all {
                    return;
                }
            }
            self.add_file(last.as_deref(), at, now);
        }
    }

    /// Goes on to a new file, in memory; [`KeyIndex::write_out`] makes it on the disk.
    fn add_file(&self, last: Option<&IndexFile>, at: LogOffset, now: Timestamp) {
        let head = Header::after(last.map(IndexFile::head).as_ref());
        let name = name::next(now, last.map(|file| file.name));
        let path = self.dir.join(name::digits(name));
        let file = IndexFile::new(&self.disk, (name, path), self.geometry, head, at);
        self.files.write().push(Arc::new(file));
    }

    /// What is to be known of every file, as put so far. Once everything put before this call is written out and
    /// synced, the index can be opened from it.
    pub(crate) fn capture(&self) -> Vec<KnownFile> {
        self.files.read().iter().map(|file| file.capture()).collect()
    }

    /// Writes the entries of all records before `up_to` into the files, making those files first, and gives their
    /// memory back. Not durable before [`KeyIndex::sync`].
    ///
    /// # Errors
    /// [`Error::Io`], with [`Error::is_full`] where the disk is full: what was not written stays in memory, and the
    /// call can be repeated. [`Error::Failed`] after a failed sync.
    pub(crate) fn write_out(&self, up_to: LogOffset) -> Result<()> {
        self.still_good()?;
        for file in self.live() {
            if file.made_for < up_to {
                self.make(&file)?;
            }
            file.write_entries(up_to, |count| {
                self.pending.fetch_sub(count.into(), Ordering::Relaxed);
            })?;
        }
        Ok(())
    }

    fn make(&self, file: &IndexFile) -> Result<()> {
        if file.is_made() {
            return Ok(());
        }
        for dir in [&self.making, &self.dir] {
            self.disk.create_dirs(dir).map_err(|e| Error::io("making the folder", dir, e))?;
        }
        // Before the rename: should it be done and not be told, the folder is synced once too often.
        self.folder_changed.store(true, Ordering::Relaxed);
        file.make(&self.making)
    }

    /// Makes everything written out so far durable; then seals the files that are full and written, oldest first.
    ///
    /// # Errors
    /// [`Error::Failed`] if a sync failed: final, for this call and all later ones (promises rule 1). Else
    /// [`Error::Io`], with [`Error::is_full`] where slots found no room: entries are durable then, and the call can be
    /// repeated.
    pub(crate) fn sync(&self) -> Result<()> {
        self.still_good()?;
        let live = self.live();
        live.iter().try_for_each(|file| self.latch(file.sync()))?;
        self.sync_folder()?;
        let ready = live.iter().take_while(|file| file.is_ready_to_seal());
        ready.into_iter().try_for_each(|file| self.latch(file.seal()))
    }

    fn sync_folder(&self) -> Result<()> {
        if self.folder_changed.load(Ordering::Relaxed) {
            self.disk.sync_dir(&self.dir).map_err(|e| Error::io("syncing the folder", &self.dir, e))?;
            self.folder_changed.store(false, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Leaves the files as RocketMQ leaves them at a clean shutdown: syncs, and writes slots and header of the live
    /// file. To be called when nothing is put any more and all is written out; a file with entries that were not
    /// stays as a kill would leave it.
    ///
    /// # Errors
    /// As [`KeyIndex::sync`].
    pub(crate) fn close(&self) -> Result<()> {
        self.sync()?;
        self.live().iter().try_for_each(|file| self.latch(file.write_front()))
    }

    /// Store time of the last key that is in a sealed file before which all are sealed: everything up to there
    /// RocketMQ, too, finds after a crash (its checkpoint's index time, spec 4.6). `None` if no file was sealed or
    /// known to be.
    pub(crate) fn sealed_end(&self) -> Option<Timestamp> {
        let files = self.files.read();
        let sealed = files.partition_point(|file| file.is_sealed());
        let last = sealed.checked_sub(1).and_then(|last| files.get(last));
        last.map(|file| file.head().end_time).or_else(|| self.retired.lock().sealed_end)
    }

    /// The bytes of entries that are in memory because they were not written out.
    /// How many index files are open: a live one is, and whichever is being worked at.
    pub(crate) fn open_files(&self) -> usize {
        let files = self.files.read();
        // Who asks must not wait for the disk.
        let is_open = |file: &&Arc<IndexFile>| file.state.try_read().is_none_or(|state| state.file.is_some());
        files.iter().filter(is_open).count()
    }

    pub(crate) fn pending_bytes(&self) -> u64 {
        self.pending.load(Ordering::Relaxed).saturating_mul(ENTRY_LEN as u64)
    }

    /// The records that may carry this key and were stored in this range, newest first, as put so far.
    pub(crate) fn search(&self, topic: &str, key: &str, range: RangeInclusive<Timestamp>) -> Search {
        let failed = Arc::clone(&self.failed);
        Search::new(&self.files.read(), failed, TopicHash::of(topic).key(key), &range)
    }

    /// The files that are not sealed, oldest first.
    fn live(&self) -> Vec<Arc<IndexFile>> {
        let files = self.files.read();
        let sealed = files.partition_point(|file| file.is_sealed());
        files.iter().skip(sealed).cloned().collect()
    }

    fn still_good(&self) -> Result<()> {
        self.failed.lock().clone().map_or(Ok(()), Err)
    }

    /// Remembers a failed sync.
    fn latch(&self, result: Result<()>) -> Result<()> {
        if let Err(error @ Error::Failed(_)) = &result {
            self.failed.lock().get_or_insert_with(|| error.clone());
        }
        result
    }
}

/// Names must rise, and only the last file may have room: else they are no files that were captured together.
fn check_order(dir: &std::path::Path, geometry: Geometry, known: &[KnownFile]) -> Result<()> {
    let pairs = || known.iter().zip(known.iter().skip(1));
    let in_order = pairs().all(|(a, b)| a.name < b.name && a.next_entry == geometry.entries);
    let sealed_first = pairs().all(|(a, b)| a.sealed || !b.sealed);
    match in_order && sealed_first {
        true => Ok(()),
        false => Err(load::contradiction(dir, 0, "the files that are known do not follow each other")),
    }
}
