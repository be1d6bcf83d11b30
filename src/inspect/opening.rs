//! What opening the store would do: the plan that recovery would make, by the same judgement, and never applied.

use std::sync::Arc;

use crate::consume_queue::{Pointers, QueueSurvey};
use crate::disk::Access;
use crate::error::{Corruption, Error, Result};
use crate::inspect::parts::Parts;
use crate::key_index::{IndexSurvey, KeyIndex};
use crate::offset::{LogOffset, LogRange};
use crate::recovery::{self, Before, DerivedFiles, MovedBack, OnDamage, Plan, Scope, known_index};
use crate::segment::{self, SegmentList};

/// What [`Store::open`](crate::Store::open) would answer, and do, with the options that the store was written with.
///
/// ```
/// # use sawlog::{Message, Options, Store, inspect};
/// use sawlog::inspect::Opening;
///
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # store.append(&Message::new("orders", "paid").key("order-42"))?.wait()?;
/// # store.close()?;
/// match inspect::survey(folder.path())?.opening {
///     Opening::Opens(recovery) => assert!(recovery.clean_shutdown),
///     Opening::Held => panic!("somebody has it open"),
///     other => panic!("{other}"), // says what is wrong, and what would be cut
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Opening {
    /// [`Error::Locked`]: somebody has it open.
    Held,
    /// It opens.
    Opens(Box<Recovery>),
    /// It is refused; nothing would be changed.
    Refused {
        /// Why.
        why: Error,
        /// For a damaged log: what [`OnDamage::FirstBroken`] would do.
        first_broken: Option<Box<Recovery>>,
    },
}

/// What a recovery would find and do. Nothing of it was done.
///
/// ```
/// # use sawlog::{Message, Options, Store, inspect};
/// use sawlog::inspect::Opening;
///
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # store.append(&Message::new("orders", "paid").key("order-42"))?.wait()?;
/// # store.close()?;
/// let Opening::Opens(would) = inspect::survey(folder.path())?.opening else { panic!("refused") };
/// let store = Store::open(folder.path(), Options::new())?;
/// assert_eq!((would.log_end, would.cuts.len()), (store.recovery().log_end, 0)); // as it said
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// Whether the last writer, whoever it was, closed the store in order.
    pub clean_shutdown: bool,
    /// Whether a store of another kind, such as a Java broker's, wrote last.
    pub foreign_writer: bool,
    /// Where the scan began.
    pub scanned_from: LogOffset,
    /// Records that the scan found valid.
    pub records: u64,
    /// Where the log would end.
    pub log_end: LogOffset,
    /// Bytes that would be written again and synced, because nothing proves them durable.
    pub rewritten_bytes: u64,
    /// What would be cut off, and put aside in the `sawlog` folder first.
    pub cuts: Vec<PlannedCut>,
    /// Parts of the log that are on the list of damage and are sound again: they would be taken off it.
    pub lifted: Vec<LogRange>,
    /// Segments that retention has given up, and whose files would be removed.
    pub removed_segments: u64,
    /// From where on queues and key index would be derived; `None`: all of them made anew.
    pub derive_from: Option<LogOffset>,
    /// Queues that would end earlier than they once did.
    pub queues_moved_back: Vec<MovedBack>,
    /// Damage in our own small files that would be done without.
    pub side_damage: Vec<Corruption>,
}

/// Bytes that would be cut off the log.
///
/// ```
/// # use sawlog::{LogOffset, Message, Options, Store, inspect};
/// use sawlog::inspect::Opening;
///
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # store.append_batch(&[Message::new("orders", "paid"), Message::new("orders", "sent")])?.wait()?;
/// # store.close()?;
/// # let log = folder.path().join("commitlog/00000000000000000000");
/// # let mut bytes = std::fs::read(&log)?;
/// # bytes[88] ^= 1;
/// # std::fs::write(&log, bytes)?;
/// // A byte of the first record has rotted: opening refuses the store, unless it may cut.
/// let opening = inspect::survey(folder.path())?.opening;
/// let Opening::Refused { first_broken: Some(would), .. } = opening else { panic!("{opening}") };
/// let cut = &would.cuts[0];
/// assert!(cut.damage && cut.from == LogOffset(0) && cut.to > cut.from);
/// println!("{}", cut.why);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlannedCut {
    /// Where they begin in the log.
    pub from: LogOffset,
    /// Behind the last of them.
    pub to: LogOffset,
    /// What stands at the place where the log would be cut.
    pub why: Corruption,
    /// Whether this is damage; else a tail that no sync covered.
    pub damage: bool,
}

/// Reads what opening would read.
///
/// # Errors
/// [`Error::Io`] alone: all else that opening answers is told.
pub(super) fn opening(parts: &Parts) -> Result<Opening> {
    if parts.is_held() {
        return Ok(Opening::Held);
    }
    match plan(parts, OnDamage::Refuse) {
        Ok(plan) => Ok(Opening::Opens(Box::new(told(parts, plan)))),
        Err(error @ Error::Io { .. }) => Err(error),
        Err(why) => {
            let is_damage = matches!(why, Error::Corrupt(_));
            let instead = is_damage.then(|| plan(parts, OnDamage::FirstBroken)).transpose();
            let first_broken = match instead {
                Err(error @ Error::Io { .. }) => return Err(error),
                other => other.ok().flatten().map(|plan| Box::new(told(parts, plan))),
            };
            Ok(Opening::Refused { why, first_broken })
        }
    }
}

fn plan(parts: &Parts, on_damage: OnDamage) -> Result<Plan> {
    let (disk, layout) = (&parts.disk, &parts.layout);
    recovery::refuse_unreadable_kinds(&**disk, layout)?;
    let dir = layout.commit_log();
    let mut survey = segment::Survey::of(&**disk, &dir)?;
    let before = Before::read(&**disk, layout, on_damage)?;
    if let Some(first) = before.first() {
        survey.give_up(first);
    }
    before.refuse_short(&survey)?;
    let bytes = survey.segment_bytes.or(parts.log.segment_bytes).unwrap_or(1);
    let segments = SegmentList::new(Arc::clone(disk), dir, bytes, &survey, Access::Read);
    let derived_to = derived_to(parts, &before)?;
    let pointers = Pointers::new(&**disk, layout.consume_queues(), &parts.queues);
    let (segments, before) = (&segments, &before);
    recovery::plan(&Scope {
        segments,
        before,
        on_damage,
        forgets_list: false,
        pointers,
        derived_to,
        progress: None,
        may_read_ahead: false,
    })
}

/// Up to where the files of queues and key index would be relied on by options that say what the snapshot says.
pub(super) fn derived_to(parts: &Parts, before: &Before) -> Result<Option<LogOffset>> {
    let Some(snapshot) = &before.snapshot else { return Ok(None) };
    let queues: &QueueSurvey = &parts.queues;
    let geometry = snapshot.index.as_ref().and(parts.geometry);
    let index = match geometry {
        Some(geometry) => IndexSurvey::of(&*parts.disk, &parts.layout.index(), geometry)?,
        None => IndexSurvey::default(),
    };
    let entries_per_segment = queues.entries_per_segment.unwrap_or(snapshot.entries_per_segment).max(1);
    let whole_to = DerivedFiles { queues, index: &index, entries_per_segment, geometry }.whole_to(before);
    // As opening does: index files of which one is not what we left are made anew, and all of the log is looked at.
    let known = snapshot.index.as_ref().map(known_index).unwrap_or_default();
    let (Some(whole_to), Some(geometry)) = (whole_to, geometry) else { return Ok(whole_to) };
    let (disk, dir, making) = (Arc::clone(&parts.disk), parts.layout.index(), parts.layout.making_derived());
    match KeyIndex::load(disk, dir, making, geometry, &known, &index) {
        Ok(_) => Ok(Some(whole_to)),
        Err(Error::Foreign { .. } | Error::Geometry { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn told(parts: &Parts, plan: Plan) -> Recovery {
    let end = plan.report.log_end;
    let (why, damage) = (&plan.why, plan.damage);
    let cut = |from, to| PlannedCut { from, to, why: why.clone(), damage };
    let bytes = parts.log.segment_bytes.unwrap_or(0);
    let later = plan.later.iter().rev().filter(|(_, holds)| *holds);
    let cuts = plan.cut_to.map(|to| cut(end, to)).into_iter();
    let cuts = cuts.chain(later.map(|(base, _)| cut(*base, base.plus(bytes)))).collect();
    Recovery {
        clean_shutdown: plan.report.clean_shutdown,
        foreign_writer: plan.report.foreign_writer,
        scanned_from: plan.report.scanned_from,
        records: plan.report.records,
        log_end: end,
        rewritten_bytes: end.since(plan.rewrite_from),
        cuts,
        lifted: plan.report.lifted,
        removed_segments: parts.given_up.len() as u64,
        derive_from: plan.replay_from,
        queues_moved_back: plan.report.queues_moved_back,
        side_damage: plan.report.side_damage,
    }
}
