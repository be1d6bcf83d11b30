//! Opening: the lock before anything is read, a plan that touches nothing, the abort mark before the first change.

use std::path::Path;
use std::sync::Arc;

use crate::checkpoint::{Mark, MarkFile, State, WriterId};
use crate::clock::{Clock, SystemClock};
use crate::commit_log::{CommitLog, Setup, Start, Way};
use crate::disk::{Access, Disk, Lock, default_for};
use crate::error::{Error, Level, Result};
use crate::layout::Layout;
use crate::message::Checksum;
use crate::offset::LogOffset;
use crate::recovery::{self, Before, Plan, RecoveryReport, Scope};
use crate::segment::{SegmentList, Survey};
use crate::store::keeper::{Keeper, write_small};
use crate::store::options::Options;
use crate::worker::Bell;

/// An opened store's parts, before its threads.
pub(super) struct Opened {
    pub(super) log: Arc<CommitLog>,
    pub(super) keeper: Arc<Keeper>,
    pub(super) report: RecoveryReport,
    pub(super) checksum: Checksum,
    pub(super) lock: Box<dyn Lock>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) layout: Layout,
}

/// The two bells that the log rings.
pub(super) struct Bells {
    pub(super) flusher: Arc<Bell>,
    pub(super) janitor: Arc<Bell>,
}

/// Opens everything but the threads.
pub(super) fn open(root: &Path, options: &Options, bells: Bells) -> Result<Opened> {
    options.check()?;
    let clock = SystemClock::new();
    let disk = options.disk.clone().unwrap_or_else(|| default_for(root));
    let layout = Layout::new(root);
    let lock = lock(&*disk, &layout)?;
    let survey = Survey::of(&*disk, &layout.commit_log())?;
    let before = Before::read(&*disk, &layout, options.on_damage)?;
    let segment_bytes = options.segment_bytes_for(&layout.commit_log(), survey.segment_bytes)?;
    let segments =
        SegmentList::new(Arc::clone(&disk), layout.commit_log(), segment_bytes, &survey, Access::Write);
    let progress = options.on_recovery.as_ref();
    let scope = Scope { segments: &segments, before: &before, on_damage: options.on_damage, progress };
    let mut plan = recovery::plan(&scope)?;

    let writer = plan.writer.unwrap_or_else(|| new_writer(options));
    write_small(&*disk, &layout.abort(), &recovery::abort_text(writer))?;
    if let Some(empty) = &survey.empty_last {
        disk.remove(empty).map_err(|e| Error::io("removing the empty file", empty, e))?;
    }
    for dir in [layout.commit_log(), layout.own()] {
        disk.create_dirs(&dir).map_err(|e| Error::io("making the folder", &dir, e))?;
    }
    let (mut file, old) = MarkFile::open_or_create(&*disk, &layout.own())?;
    recovery::apply(&mut plan, &*disk, &layout, &segments, (&mut file, old))?;
    let checksum = options.checksum.unwrap_or_else(|| default_checksum(&plan, &survey));
    let mut report = std::mem::take(&mut plan.report);
    let end = report.log_end;
    let window_bytes = options.window_bytes();
    let mark = Mark {
        generation: 0,
        durable: end,
        window_bytes,
        segment_bytes,
        ours_from: plan.ours_from,
        boot: before.boot,
        writer,
        state: State::Open,
        end,
    };
    match checksum {
        Checksum::Record => plan.ranges.open_at(end),
        Checksum::Body => plan.ranges.close_at(end),
    }
    plan.ranges.save(&*disk, &layout.own())?;
    let mark = file.save(mark)?;
    let counted_to = before.snapshot.as_ref().map_or(LogOffset::ZERO, |s| s.derived_to);
    let ours = plan.ranges.iter().collect();
    let keeper = Keeper::new(Arc::clone(&disk), layout.clone(), file, mark, plan.ranges, counted_to);
    let keeper = Arc::new(keeper);
    let failed = Arc::clone(&keeper);
    let ack_when = options.policy.ack_when();
    let setup = Setup {
        clock: Arc::clone(&options.clock),
        flusher: bells.flusher,
        janitor: bells.janitor,
        way: if ack_when == Level::Flushed { Way::Staged } else { Way::Direct },
        window_bytes,
        readers_see: options.readers_see.unwrap_or(ack_when),
        verify_on_read: options.verify_on_read,
        ours,
        on_failure: Box::new(move || failed.failed()),
    };
    let start = Start {
        end,
        segment: first_segment(&segments, end)?,
        queues: plan.queues,
        last_stored: plan.last_stored,
    };
    let log = Arc::new(CommitLog::new(segments, setup, start));
    report.took = clock.elapsed();
    Ok(Opened { log, keeper, report, checksum, lock, disk, layout })
}

/// The lock, taken before anything is read (promises rule 12).
fn lock(disk: &dyn Disk, layout: &Layout) -> Result<Box<dyn Lock>> {
    let (root, path) = (layout.root(), layout.lock());
    let entry = disk.entry(root).map_err(|e| Error::io("looking at", root, e))?;
    if entry.is_some_and(|e| !e.is_dir) {
        let why = "a store is a folder, and this is none; name another path";
        return Err(Error::Foreign { path: root.to_path_buf(), why: why.into() });
    }
    disk.create_dirs(root).map_err(|e| Error::io("making the folder", root, e))?;
    disk.lock(&path).map_err(|e| match e.kind() {
        std::io::ErrorKind::WouldBlock => Error::Locked(root.to_path_buf()),
        _ => Error::io("locking", &path, e),
    })
}

/// A name for a chain of sawlog sessions with nobody else between them: it must differ from any earlier one, and
/// need not be secret.
fn new_writer(options: &Options) -> WriterId {
    use std::hash::{BuildHasher, Hasher, RandomState};
    // On a simulated world the name follows from its clock, so that a run replays exactly.
    let seed = (options.clock.now().0, options.clock.elapsed().as_nanos(), options.by_hand);
    let mut id = [0; 16];
    for (salt, half) in (0_u64..).zip(id.chunks_mut(8)) {
        let word = if options.by_hand {
            seed.0.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(salt)
        } else {
            let mut hasher = RandomState::new().build_hasher();
            hasher.write_i64(seed.0);
            hasher.write_u128(seed.1);
            hasher.finish()
        };
        half.copy_from_slice(&word.to_be_bytes());
    }
    WriterId(id)
}

/// Whole-record checksums for a new store and for one that has them; a broker's stays as the broker writes it.
fn default_checksum(plan: &Plan, survey: &Survey) -> Checksum {
    match survey.segments.is_empty() || plan.ranges.iter().next().is_some() {
        true => Checksum::Record,
        false => Checksum::Body,
    }
}

/// The segment in which the log ends. It is allocated before the first byte is written into it: a broker's files are
/// sparse, and a full disk would be a signal under a mapping (promises rule 7).
fn first_segment(segments: &SegmentList, end: LogOffset) -> Result<Arc<crate::segment::Segment>> {
    let segment = match segments.find(end).or_else(|| segments.last()) {
        Some(segment) => segment,
        None => segments.roll(false)?,
    };
    segment.reserve()?;
    Ok(segment)
}
