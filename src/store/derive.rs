//! Opening what is derived: may its files be relied on, and if not, make queues and key index anew from the log.
//!
//! The files are never evidence about the log (promises rule 5). They are relied on up to a place if our own record of
//! them (`sawlog/queues`) says so, nobody else wrote since, and all of them are there. From that place on the
//! dispatcher derives; where there is none, from the log's first record.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::checkpoint::{IndexMark, JavaCheckpoint, Snapshot, WriterId};
use crate::clock::Timestamp;
use crate::commit_log::CommitLog;
use crate::consume_queue::{self, Pointers, QueueSurvey, QueueTable};
use crate::disk::Disk;
use crate::dispatch::{Derived, Dispatcher};
use crate::error::{Error, Result};
use crate::key_index::{IndexSurvey, KeyIndex};
use crate::layout::Layout;
use crate::offset::LogOffset;
use crate::recovery::{Before, DerivedFiles, MovedBack, Plan, RecoveryReport, known_index, known_queues};
use crate::store::keeper::Keeper;
use crate::store::options::Options;
use crate::store::recorder::{Recorder, Shape};

/// Entries beyond this many bytes are moved from memory to files while a long log is derived.
const REPLAY_BYTES: u64 = 4 << 20;

/// The longest name under which a file is put aside; a number may follow.
const ASIDE_NAME_BYTES: usize = 200;

/// What the derived files are, found without touching them.
#[derive(Debug)]
pub(super) struct Derivation {
    queues: QueueSurvey,
    index: IndexSurvey,
    entries_per_segment: u32,
    /// The key index over its files, if these are what we know of them; `None` if there is none, or is to be made.
    keys: Option<KeyIndex>,
    /// Up to where the files hold everything.
    pub(super) whole_to: Option<LogOffset>,
}

impl Derivation {
    /// Looks, into index files as far as they will be relied on: if one is not what it should be, all of the log is
    /// derived anew, and must be checked before the first change. Touches nothing.
    ///
    /// # Errors
    /// [`Error::Geometry`] if the options say another length of queue files than the files have; [`Error::Io`].
    pub(super) fn look(
        disk: &Arc<dyn Disk>,
        layout: &Layout,
        options: &Options,
        before: &Before,
    ) -> Result<Derivation> {
        let queues = QueueSurvey::of(&**disk, &layout.consume_queues())?;
        let index = IndexSurvey::of(&**disk, &layout.index(), options.index)?;
        let found = queues.entries_per_segment;
        let entries_per_segment = options.queue_entries_for(&layout.consume_queues(), found)?;
        let geometry = options.key_index.then_some(options.index);
        let files = DerivedFiles { queues: &queues, index: &index, entries_per_segment, geometry };
        let whole_to = files.whole_to(before).filter(|_| !options.rebuild);
        let mut derivation = Derivation { queues, index, entries_per_segment, keys: None, whole_to: None };
        let Some(whole_to) = whole_to else { return Ok(derivation) };
        if options.key_index {
            let known = before.snapshot.as_ref().and_then(|snapshot| snapshot.index.as_ref());
            let known = known.map(known_index).unwrap_or_default();
            let (dir, making) = (layout.index(), layout.making_derived());
            match KeyIndex::load(Arc::clone(disk), dir, making, options.index, &known, &derivation.index) {
                Ok(keys) => derivation.keys = Some(keys),
                // All files are there, and are not what we left: everything is made anew.
                Err(Error::Foreign { .. } | Error::Geometry { .. }) => return Ok(derivation),
                Err(error) => return Err(error),
            }
        }
        derivation.whole_to = Some(whole_to);
        Ok(derivation)
    }

    /// What the queues' files claim about the log.
    pub(super) fn pointers<'a>(&'a self, disk: &'a dyn Disk, layout: &Layout) -> Pointers<'a> {
        Pointers::new(disk, layout.consume_queues(), &self.queues)
    }

    /// What stays the same in what the recorder writes down.
    pub(super) fn shape(&self, writer: WriterId, options: &Options) -> Shape {
        let index = options.key_index.then_some(options.index);
        Shape { writer, entries_per_segment: self.entries_per_segment, index }
    }

    /// What must be said and moved before anything is derived into files. May stop anywhere and be begun again.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn prepare(
        &self,
        disk: &dyn Disk,
        layout: &Layout,
        before: &Before,
        plan: &mut Plan,
        options: &Options,
    ) -> Result<()> {
        let rebuild = plan.replay_from.is_none();
        if rebuild {
            Derivation::distrust(disk, layout, before)?;
        }
        for path in
            self.queues.odd.iter().map(|odd| &odd.path).chain(self.index.odd.iter().map(|odd| &odd.path))
        {
            plan.report.set_aside.push(set_aside(disk, layout, path)?);
        }
        if rebuild || !options.key_index {
            self.remove_index(disk, layout)?;
        }
        clear(disk, &layout.making_derived())
    }

    /// Says durably that the files are neither what they were nor what they will be.
    fn distrust(disk: &dyn Disk, layout: &Layout, before: &Before) -> Result<()> {
        match before.snapshot.as_ref().filter(|s| s.has_files) {
            Some(snapshot) => {
                Snapshot { has_files: false, index: None, ..snapshot.clone() }.save(disk, &layout.own())
            }
            None => Ok(()),
        }
    }

    /// See [`Recorder`]: a broker that finds our abort mark must derive anew what may not be in files by then.
    pub(super) fn lower_java_checkpoint(
        &self,
        disk: &dyn Disk,
        layout: &Layout,
        before: &Before,
        rebuild: bool,
        options: &Options,
    ) -> Result<()> {
        let path = layout.checkpoint();
        let Some(found) = JavaCheckpoint::load(disk, &path)? else { return Ok(()) };
        let snapshot = before.snapshot.as_ref().filter(|_| !rebuild);
        let at = match (snapshot, options.key_index) {
            (None, _) => Timestamp(0),
            (Some(snapshot), false) => snapshot.last_stored,
            (Some(snapshot), true) => snapshot.index.as_ref().map_or(Timestamp(0), sealed_end),
        };
        let index = if options.key_index { at.min(found.index) } else { Timestamp(0) };
        let lowered = JavaCheckpoint { physic: at.min(found.physic), logics: at.min(found.logics), index };
        if lowered == found { Ok(()) } else { lowered.save(disk, &path) }
    }

    fn remove_index(&self, disk: &dyn Disk, layout: &Layout) -> Result<()> {
        if self.index.files.is_empty() {
            return Ok(());
        }
        let dir = layout.index();
        for name in &self.index.files {
            let path = dir.join(crate::layout::index_name(*name));
            disk.remove(&path).map_err(|e| Error::io("removing", &path, e))?;
        }
        disk.sync_dir(&dir).map_err(|e| Error::io("syncing the folder", &dir, e))
    }

    /// Opens queues and key index, and derives what is not in their files yet. The log stands; nobody reads yet.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if a record is damaged that no scan has seen; [`Error::Io`], [`Error::Full`].
    pub(super) fn open(
        self,
        disk: &Arc<dyn Disk>,
        layout: &Layout,
        log: &Arc<CommitLog>,
        plan: &Plan,
        options: &Options,
        found: Found<'_>,
    ) -> Result<Recorder> {
        let Found { before, shape, keeper, report } = found;
        let (dir, making) = (layout.consume_queues(), layout.making_derived());
        let geometry = consume_queue::Geometry {
            entries_per_segment: self.entries_per_segment,
            open_files: usize::try_from(options.open_files).unwrap_or(usize::MAX),
        };
        let snapshot = before.snapshot.as_ref().filter(|_| plan.replay_from.is_some());
        let disk_of = || Arc::clone(disk);
        let keys = match (options.key_index, self.keys.filter(|_| snapshot.is_some())) {
            (false, _) => None,
            (true, Some(keys)) => {
                keys.remove_unknown(&self.index)?;
                Some(keys)
            }
            (true, None) => {
                Some(KeyIndex::open(disk_of(), layout.index(), making.clone(), options.index, &[])?)
            }
        };
        let all = &self.queues;
        let queues = match snapshot {
            Some(snapshot) => {
                QueueTable::open(disk_of(), dir, making, geometry, all, &known_queues(snapshot))?
            }
            None => QueueTable::open_to_rebuild(disk_of(), dir, making, geometry, all, log.first())?,
        };
        if snapshot.is_some_and(|snapshot| !snapshot.dropped.is_empty()) {
            queues.finish_drops()?;
        }
        let (queues, keys) = (Arc::new(queues), keys.map(Arc::new));
        let (levels, clock) = (options.delay_levels.clone(), Arc::clone(&options.clock));
        let derived = Arc::new(Derived::new(queues, keys, levels, clock, plan.dropped.clone()));
        let from = snapshot.map_or_else(|| log.first(), |s| s.derived_to);
        let last_stored = snapshot.map_or(Timestamp(0), |s| s.last_stored);
        let dispatcher = Arc::new(Dispatcher::new(log, &derived, from, last_stored, report.scanned_from));
        let saved_to = snapshot.map(|s| s.derived_to);
        let recorder = Recorder::new(disk_of(), layout.clone(), (shape, keeper), dispatcher, saved_to);
        replay(log, &recorder, plan, snapshot.is_none())?;
        report_moved_back(&derived.queues, report);
        // A sweep may have been cut short, or a broker may have removed segments.
        recorder.retire(log)?;
        let odd = derived.odd();
        (report.doubled, report.missing, report.misnumbered) = (odd.replaced, odd.missing, odd.refused);
        (report.derived_from, report.rebuilt) = (from, snapshot.is_none() && from < report.log_end);
        Ok(recorder)
    }
}

/// What [`Derivation::open`] goes by, and what it completes.
pub(super) struct Found<'a> {
    pub(super) before: &'a Before,
    pub(super) shape: Shape,
    pub(super) keeper: &'a Arc<Keeper>,
    pub(super) report: &'a mut RecoveryReport,
}

fn replay(log: &CommitLog, recorder: &Recorder, plan: &Plan, anew: bool) -> Result<()> {
    let dispatcher = recorder.dispatcher();
    while dispatcher.replay_some()? {
        if recorder.pending_bytes() >= REPLAY_BYTES {
            recorder.write_out(log.flushed().at())?;
        }
    }
    let queues = &dispatcher.derived().queues;
    if anew && !plan.quarantine.is_empty() {
        queues.fill_up(|topic, id| plan.queues.next(topic.as_bytes(), id));
    }
    if anew {
        queues.trim()?;
    }
    // Queues whose records have all gone keep their numbering.
    for (topic, id, next) in plan.queues.iter() {
        let Ok(topic) = std::str::from_utf8(topic) else { continue };
        if queues.queue(topic, id).is_none_or(|queue| queue.max() < next) {
            queues.set_next(topic, id, next);
        }
    }
    // The queues, and not the log alone, say how the numbers go on: of a queue whose records have all expired only its
    // files may know, and a number that its queue refuses (one flipped bit is enough, H1) must not lead the next ones.
    for ((topic, id), known) in queues.known() {
        let counted = plan.queues.next(topic.as_bytes(), id);
        let is_refused = counted.0.saturating_sub(known.next.0) > consume_queue::MOST_BLANKS as u64;
        log.number_from(&topic, id, if is_refused { known.next } else { counted.max(known.next) });
    }
    Ok(())
}

/// A broker's queue files may say that a queue went further than the log does: the log was cut by a power loss.
fn report_moved_back(queues: &QueueTable, report: &mut RecoveryReport) {
    for (topic, queue_id, was, is) in queues.fell_short() {
        let moved = &mut report.queues_moved_back;
        match moved.iter_mut().find(|moved| moved.topic == topic && moved.queue_id == queue_id) {
            Some(known) => known.was = known.was.max(was),
            None => moved.push(MovedBack { topic, queue_id, was, is }),
        }
    }
}

/// The last key of the index files that are full and synced, without one before that is not.
fn sealed_end(mark: &IndexMark) -> Timestamp {
    let sealed = mark.files.iter().take_while(|file| file.sealed);
    sealed.last().map_or(Timestamp(0), |file| file.end_time)
}

/// Moves a file out of the way, durably.
fn set_aside(disk: &dyn Disk, layout: &Layout, path: &Path) -> Result<PathBuf> {
    let inside = path.strip_prefix(layout.root()).unwrap_or(path);
    let mut name = inside.to_string_lossy().replace('/', "+");
    // A file name has 255 bytes at most; the last ones tell most.
    while name.len() > ASIDE_NAME_BYTES {
        name.remove(0);
    }
    for again in 0..u32::MAX {
        let aside = layout.aside(&name, again);
        let dir = aside.parent().unwrap_or(&aside);
        disk.create_dirs(dir).map_err(|e| Error::io("making the folder", dir, e))?;
        match disk.rename(path, &aside) {
            Ok(()) => {
                disk.sync_dir(dir).map_err(|e| Error::io("syncing the folder", dir, e))?;
                let from = path.parent().unwrap_or(path);
                disk.sync_dir(from).map_err(|e| Error::io("syncing the folder", from, e))?;
                return Ok(aside);
            }
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(Error::io("putting aside", path, e)),
        }
    }
    Err(Error::Foreign { path: path.to_path_buf(), why: "no name is left to put it aside".into() })
}

/// Files that were being made when the last writer ended hold nothing.
fn clear(disk: &dyn Disk, making: &Path) -> Result<()> {
    let entries = match disk.list(making) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::io("listing", making, e)),
    };
    for entry in entries.iter().filter(|e| !e.is_dir) {
        disk.remove(&entry.path).map_err(|e| Error::io("removing", &entry.path, e))?;
    }
    Ok(())
}
