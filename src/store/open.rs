//! Opening: the lock before anything is read, a plan that touches nothing, the abort mark before the first change.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, Weak};

use crate::checkpoint::{Mark, MarkFile, State, WriterId};
use crate::clock::{Clock, SystemClock};
use crate::commit_log::{CommitLog, OnFailure, Setup, Start, Terms, Watch};
use crate::disk::{Access, Disk, Holder, Lock, default_for};
use crate::dispatch::Dispatcher;
use crate::error::{Error, Level, Result};
use crate::key_index::{Geometry, OtherIndex};
use crate::layout::Layout;
use crate::message::Checksum;
use crate::offset::{LogOffset, LogRange};
use crate::recovery::{self, Before, Plan, RecoveryReport, Scope};
use crate::segment::{Segment, SegmentList, Survey};
use crate::store::derive::{Derivation, Found};
use crate::store::flushing::terms;
use crate::store::herald::Herald;
use crate::store::keeper::{Keeper, write_small};
use crate::store::options::Options;
use crate::store::recorder::Recorder;
use crate::store::room::Room;
use crate::trace;
use crate::worker::Bell;

/// An opened store's parts, before its threads.
pub(super) struct Opened {
    pub(super) log: Arc<CommitLog>,
    pub(super) keeper: Arc<Keeper>,
    pub(super) recorder: Arc<Recorder>,
    pub(super) report: RecoveryReport,
    pub(super) checksum: Checksum,
    pub(super) lock: Box<dyn Lock>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) layout: Layout,
}

/// The bells that the log rings.
pub(super) struct Bells {
    pub(super) flusher: Arc<Bell>,
    pub(super) janitor: Arc<Bell>,
    pub(super) keeper: Arc<Bell>,
    pub(super) dispatcher: Arc<Bell>,
}

/// What opening has looked at, and decided, before it changed anything.
struct Looked {
    survey: Survey,
    /// Files of segments that a sweep had given up when it was cut short, oldest first.
    given_up: Vec<PathBuf>,
    before: Before,
    segments: SegmentList,
    plan: Plan,
    derivation: Derivation,
}

/// Opens everything but the threads.
pub(super) fn open(root: &Path, options: &Options, bells: Bells, herald: &Arc<Herald>) -> Result<Opened> {
    options.check()?;
    let disk = options.disk.clone().unwrap_or_else(|| default_for(root));
    let layout = Layout::new(root);
    let mut room = Room::new(&*disk, &layout);
    let opened = open_on(&disk, layout, options, (bells, herald), &mut room);
    opened.map_err(|error| room.told(error, &*disk, root))
}

fn open_on(
    disk: &Arc<dyn Disk>,
    layout: Layout,
    options: &Options,
    (bells, herald): (Bells, &Arc<Herald>),
    room: &mut Room,
) -> Result<Opened> {
    let clock = SystemClock::new();
    let lock = lock(&**disk, &layout)?;
    let recovering = trace::recovery(layout.root());
    let mut looked = look(disk, &layout, options)?;
    room.plan(&looked.plan, &looked.segments);

    let writer = looked.plan.writer.unwrap_or_else(|| new_writer(options));
    let mut file = change(disk, &layout, &mut looked, (writer, options))?;
    let Looked { before, segments, mut plan, derivation, .. } = looked;
    let checksum = options.checksum.unwrap_or_else(|| default_checksum(&plan));
    let mut report = std::mem::take(&mut plan.report);
    let end = report.log_end;
    let segment = active_segment(&segments, end, options)?;
    let mark = Mark {
        generation: 0,
        durable: end,
        window_bytes: terms_of(options).window_bytes,
        segment_bytes: segments.segment_bytes(),
        ours_from: plan.ours_from,
        boot: before.boot,
        writer,
        state: State::Open,
        end,
        first: segments.first(),
        is_listed: !plan.quarantine.is_empty(),
    };
    match checksum {
        Checksum::Record => plan.ranges.open_at(end),
        Checksum::Body => plan.ranges.close_at(end),
    }
    plan.ranges.save(&**disk, &layout.own())?;
    let mark = file.save(mark)?;
    let ours = plan.ranges.iter().collect();
    let parts = (std::mem::take(&mut plan.ranges), plan.quarantine.clone());
    let keeper = Arc::new(Keeper::new(Arc::clone(disk), layout.clone(), file, mark, parts));
    let late = Arc::new(OnceLock::new());
    let hooks = (failure_hook(&keeper, &late, herald), watch(herald));
    let quarantined = plan.quarantine.iter().collect();
    let setup = setup(options, bells, (ours, quarantined), hooks);
    let start = Start { end, segment, queues: plan.queues.clone(), last_stored: plan.last_stored };
    let log = Arc::new(CommitLog::new(segments, setup, start));
    let shape = derivation.shape(writer, options);
    let found = Found { before: &before, shape, keeper: &keeper, report: &mut report };
    let recorder = Arc::new(derivation.open(disk, &layout, &log, &plan, options, found)?);
    let _ = late.set(Arc::downgrade(recorder.dispatcher()));
    // Files of queues without a log are told of: such a store is none that was made now.
    report.created &= report.queues_moved_back.is_empty() && report.set_aside.is_empty();
    report.took = clock.elapsed();
    drop(recovering);
    let disk = Arc::clone(disk);
    Ok(Opened { log, keeper, recorder, report, checksum, lock, disk, layout })
}

/// What a failure of the log does: the mark says so, and those who wait for what follows the log are told.
fn failure_hook(
    keeper: &Arc<Keeper>,
    follower: &Arc<OnceLock<Weak<Dispatcher>>>,
    herald: &Arc<Herald>,
) -> OnFailure {
    let (keeper, follower, herald) = (Arc::clone(keeper), Arc::clone(follower), Arc::clone(herald));
    Box::new(move |error| {
        match error {
            Error::Closed => keeper.ended(),
            _ => {
                keeper.failed();
                herald.failed(error);
            }
        }
        let dispatcher = follower.get().and_then(Weak::upgrade);
        dispatcher.map(|dispatcher| dispatcher.fail(error)).unwrap_or_default()
    })
}

/// What the log tells goes to the herald.
fn watch(herald: &Arc<Herald>) -> Watch {
    let herald = Arc::clone(herald);
    Box::new(move |what| herald.told(what))
}

/// Touches nothing.
fn look(disk: &Arc<dyn Disk>, layout: &Layout, options: &Options) -> Result<Looked> {
    recovery::refuse_unreadable_kinds(&**disk, layout)?;
    let dir = layout.commit_log();
    let mut survey = Survey::of(&**disk, &dir)?;
    let before = Before::read(&**disk, layout, options.on_damage)?;
    let given_up = before.first().map_or_else(Vec::new, |first| survey.give_up(first));
    let created = is_new(&survey, &before);
    before.refuse_short(&survey)?;
    let segment_bytes = options.segment_bytes_for(&dir, survey.segment_bytes)?;
    let segments = SegmentList::new(Arc::clone(disk), dir, segment_bytes, &survey, Access::Write);
    let segments = segments.keep_open(usize::try_from(options.open_segments).unwrap_or(usize::MAX));
    let derivation = Derivation::look(disk, layout, options, &before)?;
    let (progress, on_damage) = (options.on_recovery.as_ref(), options.on_damage);
    let derived_to = derivation.whole_to;
    let pointers = derivation.pointers(&**disk, layout);
    let mut plan = recovery::plan(&Scope {
        segments: &segments,
        before: &before,
        on_damage,
        forgets_list: options.forgets_list,
        pointers,
        derived_to,
        progress,
        may_read_ahead: !options.by_hand,
    })?;
    plan.report.created = created;
    Ok(Looked { survey, given_up, before, segments, plan, derivation })
}

/// Whether there is no trace of a log or of a writer. Queues may be left yet.
fn is_new(survey: &Survey, before: &Before) -> bool {
    let writes = before.mark.is_some() || before.snapshot.is_some() || before.abort.is_some();
    let is_told = writes || before.java_flushed.is_some() || !before.side_damage.is_empty();
    survey.segments.is_empty() && survey.empty_last.is_none() && !is_told
}

/// Of the files that were put aside, those of a key index that was made by other options, for the report.
fn other_index(disk: &dyn Disk, kept: &[PathBuf], before: &Before, options: &Options) -> Vec<OtherIndex> {
    if !options.key_index {
        return Vec::new();
    }
    let known = before.snapshot.as_ref().and_then(|snapshot| snapshot.index.as_ref());
    let known = known.map(|index| Geometry { slots: index.slots, entries: index.entries });
    OtherIndex::among(disk, kept, known, options.index)
}

/// Everything that changes the folder, from the abort mark on. May stop anywhere and be begun again.
fn change(
    disk: &Arc<dyn Disk>,
    layout: &Layout,
    looked: &mut Looked,
    (writer, options): (WriterId, &Options),
) -> Result<MarkFile> {
    let Looked { survey, given_up, before, segments, plan, derivation } = looked;
    let rebuild = plan.replay_from.is_none();
    // Before a broker could find our abort mark beside times that it may not rely on; without that mark it looks at
    // none of them.
    derivation.lower_java_checkpoint(&**disk, layout, before, rebuild, options)?;
    write_small(&**disk, &layout.abort(), &recovery::abort_text(writer))?;
    if let Some(empty) = &survey.empty_last {
        disk.remove(empty).map_err(|e| Error::io("removing the empty file", empty, e))?;
    }
    for dir in [layout.commit_log(), layout.own()] {
        disk.create_dirs(&dir).map_err(|e| Error::io("making the folder", &dir, e))?;
    }
    let own = layout.own();
    let (mut file, old) = match before.mark_is_bad {
        true => (MarkFile::start_anew(&**disk, &own)?, None),
        false => MarkFile::open_or_create(&**disk, &own)?,
    };
    // Not before what the mark says of them is durable.
    plan.report.removed_segments = finish_sweep(&**disk, segments.dir(), given_up)?;
    derivation.prepare(&**disk, layout, before, plan, options)?;
    plan.report.other_index = other_index(&**disk, &plan.report.set_aside, before, options);
    // Behind what says that nothing derived counts, if the list has changed: a cut in between leaves no entry of a
    // listed record that is counted on. Before anything is cut or appended. Written again where it is the same, for a
    // killed process may have left its name in the page cache alone.
    if !plan.quarantine.is_empty() || !before.quarantine.is_empty() || before.quarantine_is_bad {
        plan.quarantine.save(&**disk, &own)?;
    }
    recovery::apply(plan, &**disk, layout, segments, (&mut file, old))?;
    Ok(file)
}

/// Removes what a sweep had given up, each name durably before the next: whatever a cut leaves has no gap. A broker
/// that came now would find a whole log.
fn finish_sweep(disk: &dyn Disk, dir: &Path, given_up: &[PathBuf]) -> Result<u64> {
    let mut removed = 0;
    for path in given_up {
        disk.remove(path).map_err(|e| Error::io("removing", path, e))?;
        disk.sync_dir(dir).map_err(|e| Error::io("syncing the folder", dir, e))?;
        removed += 1;
    }
    Ok(removed)
}

fn terms_of(options: &Options) -> Terms {
    terms(options.policy.ack_when(), options.readers_see, options.max_message())
}

/// The parts of the log that are ours, and those that are damaged.
type LogParts = (Vec<(LogOffset, LogOffset)>, Vec<LogRange>);

fn setup(
    options: &Options,
    bells: Bells,
    (ours, quarantined): LogParts,
    (on_failure, watch): (OnFailure, Watch),
) -> Setup {
    Setup {
        clock: Arc::clone(&options.clock),
        flusher: bells.flusher,
        janitor: bells.janitor,
        keeper: bells.keeper,
        follower: bells.dispatcher,
        terms: terms_of(options),
        verify_on_read: options.verify_on_read,
        ours,
        quarantined,
        on_failure,
        watch: Some(watch),
    }
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
        std::io::ErrorKind::WouldBlock => {
            Error::Locked { root: root.to_path_buf(), pid: held_by(disk, &path) }
        }
        _ => Error::io("locking", &path, e),
    })
}

/// The process that holds the lock. Asked after the refusal, so that it may have ended meanwhile.
fn held_by(disk: &dyn Disk, lock: &Path) -> Option<u32> {
    match disk.holder(lock) {
        Ok(Holder::Held { pid }) => pid,
        _ => None,
    }
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

/// Whole-record checksums for a store without a record and for one that has them; a broker's stays as the broker
/// writes it. Segments prove nothing: our own first open may have been cut between the first one and the ranges.
fn default_checksum(plan: &Plan) -> Checksum {
    match plan.report.records == 0 || plan.ranges.iter().next().is_some() {
        true => Checksum::Record,
        false => Checksum::Body,
    }
}

/// The segment in which the log ends. It is allocated before the first byte is written into it: a broker's files are
/// sparse, and a full disk would be a signal under a mapping (promises rule 7).
fn active_segment(segments: &SegmentList, end: LogOffset, options: &Options) -> Result<Arc<Segment>> {
    let segment = match segments.find(end).or_else(|| segments.last()) {
        Some(segment) => segment,
        None => segments.roll()?,
    };
    segment.reserve()?;
    if options.prewrite && options.policy.ack_when() == Level::Flushed {
        segment.prewrite(end.max(segment.base()))?;
    }
    Ok(segment)
}
