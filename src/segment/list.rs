//! All segments of the log: find, roll, sync, cut, drop the front.

use crate::sync::atomic::{AtomicBool, Ordering};
use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::disk::{Access, Disk, Reserve};
use crate::error::{Error, Result};
use crate::layout;
use crate::offset::LogOffset;
use crate::segment::bound::Bound;
use crate::segment::{Care, Segment};
use crate::sync::{Mutex, RwLock};

/// Whether so many bytes more may be taken from the disk.
pub(crate) type Admit = Box<dyn Fn(u64) -> Result<()> + Send + Sync>;

/// The run of segments, oldest first.
pub(crate) struct SegmentList {
    pub(super) disk: Arc<dyn Disk>,
    dir: PathBuf,
    segment_bytes: u64,
    segments: RwLock<VecDeque<Arc<Segment>>>,
    bound: Bound,
    /// The next segment, made ahead of need and already under its name.
    prepared: Mutex<Option<Arc<Segment>>>,
    /// Somebody who must not wait needs the next segment now, wherever the tail stands.
    asked: AtomicBool,
    /// A segment that has its name, which is not durable yet: the folder's sync failed behind the rename.
    named: Mutex<Option<Arc<Segment>>>,
    /// Why the keeper could not make a segment when it last tried; told to those who do not wait for one.
    not_made: Mutex<Option<Error>>,
    /// Asked before a segment is made; nobody is while a store is being opened.
    admit: OnceLock<Admit>,
}

impl fmt::Debug for SegmentList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let segments = &*self.segments.read();
        f.debug_struct("SegmentList")
            .field("dir", &self.dir)
            .field("segments", segments)
            .finish_non_exhaustive()
    }
}

/// What lies in a segments' folder, found without touching it.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// Segment files by base, all of one length.
    pub(crate) segments: Vec<(LogOffset, PathBuf)>,
    /// Their length; `None` where there are none.
    pub(crate) segment_bytes: Option<u64>,
    /// A file of length 0 that sorts last: RocketMQ deletes it at load, whatever its name (spec 9.3).
    pub(crate) empty_last: Option<PathBuf>,
}

impl Survey {
    /// Looks at a segments' folder. A missing folder is an empty one.
    ///
    /// # Errors
    /// [`Error::Foreign`] names a file that is no segment; [`Error::Geometry`] one of another length than the first.
    pub(crate) fn of(disk: &dyn Disk, dir: &Path) -> Result<Survey> {
        let mut entries = match disk.list(dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Survey::default()),
            Err(e) => return Err(Error::io("listing", dir, e)),
        };
        entries.retain(|e| !e.is_dir);
        let mut survey = Survey::default();
        if entries.last().is_some_and(|e| e.len == 0) {
            survey.empty_last = entries.pop().map(|e| e.path);
        }
        for entry in entries {
            let Some(base) = layout::parse_segment_name(&entry.name) else {
                let why = "no segment of a log has such a name; move the file out of the folder";
                return Err(Error::Foreign { path: entry.path, why: why.into() });
            };
            let expected = *survey.segment_bytes.get_or_insert(entry.len);
            if entry.len != expected {
                return Err(Error::Geometry { path: entry.path, found: entry.len, expected });
            }
            if expected == 0 || base.0 % expected != 0 {
                let why =
                    format!("its name is no multiple of its length {expected}; it is no segment of this log");
                return Err(Error::Foreign { path: entry.path, why: why.into() });
            }
            survey.segments.push((base, entry.path));
        }
        Ok(survey)
    }

    /// Takes out the segments that end at or below `first`, but never the last one, and gives their files back, oldest
    /// first.
    pub(crate) fn give_up(&mut self, first: LogOffset) -> Vec<PathBuf> {
        let bytes = self.segment_bytes.unwrap_or(0);
        let most = self.segments.len().saturating_sub(1);
        let gone = self.segments.iter().take(most).take_while(|(base, _)| base.plus(bytes) <= first).count();
        self.segments.drain(..gone).map(|(_, path)| path).collect()
    }
}

impl SegmentList {
    /// The list over what was found. Opens no file.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        segment_bytes: u64,
        found: &Survey,
        access: Access,
    ) -> Self {
        let lazy = |(base, path): &(LogOffset, PathBuf)| {
            Arc::new(Segment::lazy(&disk, path.clone(), *base, segment_bytes, access))
        };
        let segments = RwLock::new(found.segments.iter().map(lazy).collect());
        let (prepared, asked, named) = (Mutex::new(None), AtomicBool::new(false), Mutex::new(None));
        let (not_made, admit) = (Mutex::new(None), OnceLock::new());
        let bound = Bound::default();
        SegmentList { disk, dir, segment_bytes, segments, bound, prepared, asked, named, not_made, admit }
    }

    /// At most so many segments stay open that nobody holds and that a sync covers; 1 at least.
    pub(crate) fn keep_open(mut self, most: usize) -> SegmentList {
        self.bound.set_most(most);
        self
    }

    /// What reaches beyond `from` stays open until [`SegmentList::sync`] has covered it. Before the first byte is
    /// written.
    pub(crate) fn keep_from(&self, from: LogOffset) {
        self.bound.allow_to(from);
    }

    /// From now on `admit` is asked before a segment is made. Its first word counts.
    pub(crate) fn admit_by(&self, admit: Admit) {
        let _ = self.admit.set(admit);
    }

    /// The same segments, with no file open.
    pub(crate) fn reopened(&self, access: Access) -> SegmentList {
        let segments = self.all().iter().map(|s| (s.base(), s.path().clone())).collect();
        let found = Survey { segments, segment_bytes: Some(self.segment_bytes), empty_last: None };
        SegmentList::new(Arc::clone(&self.disk), self.dir.clone(), self.segment_bytes, &found, access)
    }

    pub(crate) fn segment_bytes(&self) -> u64 {
        self.segment_bytes
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The first byte there is, if there is a segment.
    pub(crate) fn first(&self) -> Option<LogOffset> {
        self.segments.read().front().map(|s| s.base())
    }

    pub(crate) fn last(&self) -> Option<Arc<Segment>> {
        self.segments.read().back().cloned()
    }

    /// How many there are, and how many of them are open.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let segments = self.segments.read();
        (segments.len(), segments.iter().filter(|segment| segment.is_open()).count())
    }

    /// All of them, oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<Segment>> {
        self.segments.read().iter().cloned().collect()
    }

    /// The segment that holds `at`, for somebody who will use its file.
    pub(crate) fn find(&self, at: LogOffset) -> Option<Arc<Segment>> {
        let found = self.look_for(at)?;
        self.bound.note_use(&found);
        if !found.is_open() {
            self.bound.make_room(&self.segments);
        }
        Some(found)
    }

    fn look_for(&self, at: LogOffset) -> Option<Arc<Segment>> {
        let segments = self.segments.read();
        let first = segments.front()?.base();
        // Without gaps the index follows from the offset; with gaps it is too high, and a search finds it.
        let guess = usize::try_from(at.since(first) / self.segment_bytes).ok()?;
        let holds = |s: &&Arc<Segment>| s.base() <= at && at < s.end();
        if let Some(found) = segments.get(guess).filter(holds) {
            return Some(Arc::clone(found));
        }
        let index = segments.partition_point(|s| s.base() <= at).checked_sub(1)?;
        segments.get(index).filter(holds).cloned()
    }

    /// The base of the segment that follows the last one.
    fn next_base(&self) -> LogOffset {
        self.last().map_or(LogOffset::ZERO, |s| s.end())
    }

    /// Appends the next segment to the list: the prepared one, or one made now, whose blocks nobody has zeroed: the
    /// tail waits for it.
    ///
    /// # Errors
    /// As [`SegmentList::prepare`]; the list is as it was.
    pub(crate) fn roll(&self) -> Result<Arc<Segment>> {
        let mut prepared = self.prepared.lock();
        let next = match prepared.take() {
            Some(next) if next.has_name() => next,
            // There is none, or it was removed under us before it held a byte: nothing is lost by making it anew.
            _ => self.make(self.next_base(), false)?,
        };
        // There is one now, whatever stood in the way.
        self.not_made.lock().take();
        self.segments.write().push_back(Arc::clone(&next));
        Ok(next)
    }

    /// Whether [`SegmentList::roll`] would find a segment made. Never waits: one in the making is not there yet.
    pub(crate) fn is_prepared(&self) -> bool {
        self.prepared.try_lock().is_some_and(|prepared| prepared.is_some())
    }

    /// The next segment is needed, however much of this one is free: a long record does not fit.
    pub(crate) fn ask_for_next(&self) {
        self.asked.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_asked_for(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// The segment made ahead, if there is one.
    pub(crate) fn prepared(&self) -> Option<Arc<Segment>> {
        self.prepared.lock().clone()
    }

    /// Makes the next segment ahead of need, so that rolling is a pointer swap.
    ///
    /// # Errors
    /// [`Error::Io`]; with a full disk [`Error::is_full`] holds. Nothing is left behind but, at worst, a file in the
    /// `making` folder that the next open removes.
    pub(crate) fn prepare(&self, zeroed: bool) -> Result<()> {
        // Held while the file is made: a roll that needs it now waits for it instead of making a second one.
        let mut prepared = self.prepared.lock();
        if prepared.is_none() {
            let made = self.make(self.next_base(), zeroed);
            *self.not_made.lock() = made.as_ref().err().cloned();
            *prepared = Some(made?);
        }
        self.asked.store(false, Ordering::SeqCst);
        Ok(())
    }

    /// The same, for who only looks.
    pub(crate) fn not_made(&self) -> Option<Error> {
        self.not_made.lock().clone()
    }

    /// Why the keeper could not make a segment when it last tried; told once, until it has tried again.
    pub(crate) fn why_not_made(&self) -> Option<Error> {
        self.not_made.lock().take()
    }

    /// Creates in the `making` folder, allocates, syncs, renames in without replacing, syncs the folder (promises
    /// rule 8): whoever lists the folder, a Java broker too, sees whole segments only.
    fn make(&self, base: LogOffset, zeroed: bool) -> Result<Arc<Segment>> {
        let segment = match self.named.lock().take().filter(|s| s.base() == base) {
            Some(named) => named,
            None => {
                self.admit.get().map_or(Ok(()), |admit| admit(self.segment_bytes))?;
                self.make_named(base, zeroed)?
            }
        };
        self.disk.sync_dir(&self.dir).map_err(|e| {
            // The name is taken now: the next attempt must go on from here, a new file could not have it.
            *self.named.lock() = Some(Arc::clone(&segment));
            Error::io("syncing the folder", &self.dir, e)
        })?;
        Ok(segment)
    }

    /// All of it but the last step.
    fn make_named(&self, base: LogOffset, zeroed: bool) -> Result<Arc<Segment>> {
        if base.plus(self.segment_bytes) > LogOffset::MAX {
            let why = "the log has reached the last offset that RocketMQ's format can hold";
            return Err(Error::InvalidMessage(why.into()));
        }
        self.bound.make_room(&self.segments);
        let name = layout::segment_name(base);
        let (dir, path) = (layout::making(&self.dir), self.dir.join(&name));
        let made = dir.join(&name);
        self.disk.create_dirs(&dir).map_err(|e| Error::io("making the folder", &dir, e))?;
        match self.disk.remove(&made) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("removing", &made, e));
            }
            // A leftover of an attempt that failed half-way, or nothing.
            _ => {}
        }
        let file = self.disk.create(&made, self.segment_bytes, Reserve::Blocks);
        let file = file.map_err(|e| self.full_or_io("creating", &made, e))?;
        let segment = Segment::lazy(&self.disk, path.clone(), base, self.segment_bytes, Access::Write);
        let _ = segment.file.set(file);
        if zeroed {
            segment.prewrite(base)?;
        }
        segment.sync()?;
        self.disk.rename(&made, &path).map_err(|e| Error::io("renaming in", &path, e))?;
        Ok(Arc::new(segment))
    }

    /// A lack of space is told with its numbers.
    fn full_or_io(&self, doing: &'static str, path: &Path, error: std::io::Error) -> Error {
        let error = Error::io(doing, path, error);
        let free = self.disk.space(&self.dir).map(|s| s.free);
        match free {
            Ok(free) if error.is_full() => Error::Full { free, needed: self.segment_bytes },
            _ => error,
        }
    }

    /// Syncs `[from, to)` in every segment that holds a byte of it, oldest first; of what was written by position,
    /// the whole segment.
    ///
    /// # Errors
    /// [`Error::Io`], also where a segment has lost its name meanwhile: its bytes would be gone with us.
    pub(crate) fn sync(&self, from: LogOffset, to: LogOffset, care: Care) -> Result<()> {
        for segment in self.all_between(from, to) {
            match care {
                Care::Pages => segment.sync_range(from.max(segment.base()), to)?,
                Care::Blocks => segment.sync()?,
            }
            segment.need_name()?;
        }
        let before = self.bound.allow_to(to);
        // Segments that had to stay open for this sync may be more than the bound, and nothing else may be opened for
        // long. Otherwise whoever makes the next one has closed one for it.
        if to.0 / self.segment_bytes > before.0 / self.segment_bytes {
            self.bound.close_surplus(&self.segments, 0);
        }
        Ok(())
    }

    /// The segments that hold a byte of `[from, to)`, oldest first.
    pub(crate) fn all_between(&self, from: LogOffset, to: LogOffset) -> Vec<Arc<Segment>> {
        let segments = self.segments.read();
        let start = segments.partition_point(|s| s.end() <= from);
        segments.iter().skip(start).take_while(|s| s.base() < to).cloned().collect()
    }

    /// Takes the last segment out of the list, for recovery to remove or to put aside.
    pub(crate) fn pop_last(&self) -> Option<Arc<Segment>> {
        self.segments.write().pop_back()
    }

    /// Takes the leading segments that end at or below `at` out of the list, oldest first; never the last one. From
    /// here on nobody finds them, whoever holds one reads on, and what lay in them is out of range. Their files are
    /// the caller's to remove: only now, so that no reader looks for a file that is gone.
    pub(crate) fn forget_before(&self, at: LogOffset) -> Vec<Arc<Segment>> {
        let mut segments = self.segments.write();
        let most = segments.len().saturating_sub(1);
        let gone = segments.partition_point(|segment| segment.end() <= at).min(most);
        let gone: Vec<_> = segments.drain(..gone).collect();
        gone.iter().for_each(|segment| segment.forgotten.store(true, Ordering::Release));
        gone
    }

    /// Removes the prepared segment's file, which holds nothing: an orderly end leaves no file without records, and a
    /// full disk gets its room back. Says whether there was one.
    ///
    /// # Errors
    /// [`Error::Io`]; the next segment is made anew or, if its name is still taken, not before a later call.
    pub(crate) fn drop_prepared(&self) -> Result<bool> {
        // Held until the name is gone: a roll meanwhile would find it taken.
        let mut prepared = self.prepared.lock();
        let unused = [prepared.take(), self.named.lock().take()];
        let mut unused = unused.iter().flatten().map(|segment| segment.path()).peekable();
        if unused.peek().is_none() {
            return Ok(false);
        }
        for path in unused {
            match self.disk.remove(path) {
                // Somebody else has removed it: it is gone, as it should be.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                other => other.map_err(|e| Error::io("removing", path, e))?,
            }
        }
        self.disk.sync_dir(&self.dir).map_err(|e| Error::io("syncing the folder", &self.dir, e))?;
        Ok(true)
    }
}
