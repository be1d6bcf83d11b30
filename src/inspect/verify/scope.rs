//! What a verification goes by: the files as found, who wrote them, and how far what is derived must reach.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64};

use foldhash::fast::RandomState;

use crate::checkpoint::{Ranges, State, WriterId};
use crate::dispatch::{self, DelayLevels};
use crate::error::{Error, Result};
use crate::inspect::Look;
use crate::inspect::parts::Parts;
use crate::inspect::queue_files::QueueFiles;
use crate::inspect::verify::index_scope::IndexScope;
use crate::message::{Derivable, Head, Verify};
use crate::offset::{LogOffset, QueueOffset};
use crate::recovery;

/// A tag below this is the address of a side file's unit, not a hash (spec 3.7).
const LEAST_TAG: i64 = i32::MIN as i64;

/// See the file's text.
#[derive(Debug)]
pub(super) struct Scope {
    pub(super) parts: Parts,
    /// Whether sawlog wrote last.
    pub(super) ours: bool,
    /// Whether somebody has it open.
    pub(super) held: bool,
    pub(super) ranges: Ranges,
    /// The part of the log that is looked at.
    pub(super) from: LogOffset,
    pub(super) limit: LogOffset,
    /// Records before this place must be in queues and index.
    strict_to: LogOffset,
    /// A broker that is running, or did not close in order: what is missing at a queue's end may be on its way.
    lags_at_ends: bool,
    pub(super) queues: Vec<QueueScope>,
    by_name: HashMap<String, BTreeMap<u32, u32>, RandomState>,
    dropped: BTreeMap<Vec<u8>, LogOffset>,
    pub(super) index: Option<IndexScope>,
    delay: Option<DelayLevels>,
    /// RocketMQ's own, where nobody gave others.
    default_delay: DelayLevels,
    /// Whether tags may stand in side files (`enableConsumeQueueExt`).
    has_side_files: bool,
    /// Set when the caller wants no more.
    pub(super) stop: AtomicBool,
    /// Bytes of the log looked at so far, for whoever shows it.
    pub(super) seen_bytes: AtomicU64,
    pub(super) seen_records: AtomicU64,
}

/// One queue with files.
#[derive(Debug)]
pub(super) struct QueueScope {
    pub(super) topic: String,
    pub(super) id: u32,
    bases: Vec<QueueOffset>,
    /// Behind the last entry, when the verification began.
    pub(super) end: u64,
    /// Up to here its files must hold what they hold.
    pub(super) believed_to: u64,
}

impl Scope {
    pub(super) fn new(look: &Look, from: Option<LogOffset>) -> Result<Scope> {
        let parts = Parts::of(look)?;
        recovery::refuse_unreadable_kinds(&*parts.disk, &parts.layout)?;
        let before = &parts.before;
        let (ours, held) = (before.is_ours(), parts.is_held());
        let mark = before.mark.as_ref().filter(|_| ours);
        let closed = mark.is_some_and(|mark| mark.state == State::Closed);
        let writer = mark.map(|mark| mark.writer);
        let derived = before.snapshot.as_ref().filter(|s| ours && s.has_files && Some(s.writer) == writer);
        let strict_to = match derived {
            _ if !ours || closed => LogOffset(u64::MAX),
            Some(snapshot) => snapshot.derived_to,
            None => LogOffset::ZERO,
        };
        // Beside its writer no more is looked at than what that says is durable: all else is still moving.
        let limit = mark.filter(|_| held).map_or(LogOffset(u64::MAX), |mark| mark.durable);
        let index = IndexScope::new(&parts, derived, strict_to)?;
        let side = parts.layout.root().join("consumequeue_ext");
        let has_side_files =
            parts.disk.entry(&side).map_err(|e| Error::io("looking at", &side, e))?.is_some();
        let mut scope = Scope {
            ours,
            held,
            ranges: recovery::known_ranges(before, ours),
            from: from.unwrap_or_default().max(parts.log_first()),
            limit,
            strict_to,
            lags_at_ends: !ours && (held || before.abort.is_some()),
            queues: Vec::new(),
            by_name: HashMap::default(),
            dropped: before.snapshot.as_ref().map(|s| s.dropped.clone()).unwrap_or_default(),
            index,
            delay: look.delay_levels.clone(),
            default_delay: DelayLevels::default(),
            has_side_files,
            stop: AtomicBool::new(false),
            seen_bytes: AtomicU64::new(0),
            seen_records: AtomicU64::new(0),
            parts,
        };
        scope.take_queues(writer)?;
        Ok(scope)
    }

    fn take_queues(&mut self, writer: Option<WriterId>) -> Result<()> {
        let all_count = self.strict_to == LogOffset(u64::MAX);
        let derived = self.parts.before.snapshot.as_ref();
        let derived = derived.filter(|s| s.has_files && Some(s.writer) == writer);
        for (number, ((topic, id), bases)) in (0..).zip(&self.parts.queues.queues) {
            let mut queue = QueueScope {
                topic: topic.clone(),
                id: *id,
                bases: bases.clone(),
                end: 0,
                believed_to: u64::MAX,
            };
            queue.end = self.files(&queue).end(&*self.parts.disk)?;
            if !all_count {
                let known = derived.and_then(|s| s.queues.get(&(topic.as_bytes().to_vec(), *id)));
                queue.believed_to = known.map_or(0, |mark| mark.next.0);
            }
            self.by_name.entry(topic.clone()).or_default().insert(*id, number);
            self.queues.push(queue);
        }
        Ok(())
    }

    /// The files of a queue, none of them open.
    pub(super) fn files(&self, queue: &QueueScope) -> QueueFiles {
        let per_segment = self.parts.queues.entries_per_segment.unwrap_or(1);
        QueueFiles::new(&self.parts.layout, &queue.topic, queue.id, per_segment, queue.bases.clone())
    }

    /// The number of a queue that has files.
    pub(super) fn number(&self, topic: &str, id: u32) -> Option<u32> {
        self.by_name.get(topic)?.get(&id).copied()
    }

    pub(super) fn queue(&self, number: u32) -> Option<&QueueScope> {
        self.queues.get(usize::try_from(number).ok()?)
    }

    /// The file that would hold an entry of a queue, whether the queue has files or not.
    pub(super) fn entry_path(&self, topic: &str, id: u32, at: u64) -> PathBuf {
        let per_segment = self.parts.queues.entries_per_segment.unwrap_or(1);
        QueueFiles::new(&self.parts.layout, topic, id, per_segment, Vec::new()).path_of(at)
    }

    pub(super) fn verify_at(&self, at: LogOffset) -> Verify {
        if self.ranges.contains(at) { Verify::Ours } else { Verify::Legacy }
    }

    /// Whether a record of a topic does not count, because the topic was dropped behind it.
    pub(super) fn is_dropped(&self, topic: &str, at: LogOffset) -> bool {
        !self.dropped.is_empty() && self.dropped.get(topic.as_bytes()).is_some_and(|until| at < *until)
    }

    /// Whether the entry of the record at `at`, which is not in its queue's files, may be on its way there.
    pub(super) fn may_lag(&self, queue: Option<&QueueScope>, at: LogOffset, queue_offset: u64) -> bool {
        at >= self.strict_to || (self.lags_at_ends && queue_offset >= queue.map_or(0, |queue| queue.end))
    }

    /// Whether what stands in files for this place of the log counts at all.
    pub(super) fn is_believed(&self, at: LogOffset) -> bool {
        at < self.strict_to
    }

    /// What the queue entry must carry for the tag, if that can be told.
    pub(super) fn tag(&self, head: &Head<'_>, derivable: &Derivable<'_>) -> Option<i64> {
        match &self.delay {
            Some(levels) => Some(dispatch::tag_of(head, derivable, levels)),
            None => {
                let due = self.default_delay.due(head.topic, derivable.delay.as_deref(), head.stored);
                due.is_none().then(|| derivable.tag_code())
            }
        }
    }

    /// Whether two tags differ that can be compared.
    pub(super) fn tags_differ(&self, expected: Option<i64>, found: i64) -> bool {
        let is_address = self.has_side_files && found < LEAST_TAG;
        expected.is_some_and(|expected| expected != found && !is_address)
    }
}
