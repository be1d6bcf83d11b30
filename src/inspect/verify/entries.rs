//! Records held against their queue entries, in log order: for each record the entry at its offset is looked at.
//!
//! Of each queue the stretch of entries around the newest record is in memory: in log order a queue's offsets rise.

use std::collections::{BTreeMap, HashMap, HashSet};

use foldhash::fast::RandomState;

use crate::consume_queue::ENTRY_BYTES;
use crate::error::Result;
use crate::inspect::queue_files::{Raw, Stands};
use crate::inspect::verify::fault::{Fault, FaultKind, MessageName};
use crate::inspect::verify::peek::peek_at;
use crate::inspect::verify::scope::Scope;
use crate::message::{Derivable, Head};
use crate::offset::{LogOffset, QueueOffset};

/// The most memory for stretches, in bytes, for each thread.
const MOST_BYTES: usize = 64 << 20;
/// The most entries in one stretch: 4,000 bytes.
const MOST_ENTRIES: usize = 200;
const LEAST_ENTRIES: usize = 16;
/// So many slots that were told are remembered, so that they are not told twice.
pub(super) const MOST_TOLD: usize = 100_000;

/// What was found out about one segment's records.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// How many entries of each queue lead to their records.
    pub(super) confirmed: HashMap<u32, u64, RandomState>,
    /// Slots of queues that were told as faults.
    pub(super) told: HashSet<(u32, u64), RandomState>,
    /// Records that are not in their queue's files yet.
    pub(super) behind: u64,
    runs: BTreeMap<(FaultKind, String, u32), Run>,
}

/// Faults of one kind in one queue.
#[derive(Debug)]
struct Run {
    first: QueueOffset,
    log: LogOffset,
    log_to: LogOffset,
    count: u64,
    what: String,
}

/// See the file's text.
#[derive(Debug)]
pub(super) struct Entries {
    stretches: HashMap<u32, (u64, Vec<Raw>), RandomState>,
    entries: usize,
    /// The last queue that was asked for: records often come in a row.
    last: Option<(String, u32, Option<u32>)>,
}

impl Entries {
    pub(super) fn new(scope: &Scope) -> Entries {
        let share = MOST_BYTES / 20 / scope.queues.len().max(1);
        let entries = share.clamp(LEAST_ENTRIES, MOST_ENTRIES);
        Entries { stretches: HashMap::default(), entries, last: None }
    }

    fn number(&mut self, scope: &Scope, topic: &str, id: u32) -> Option<u32> {
        if let Some((last, last_id, number)) = &self.last
            && (last.as_str(), *last_id) == (topic, id)
        {
            return *number;
        }
        let number = scope.number(topic, id);
        self.last = Some((topic.to_owned(), id, number));
        number
    }

    /// What stands at an offset of a queue.
    fn stands(&mut self, scope: &Scope, number: u32, at: u64) -> Result<Stands> {
        let held = self.stretches.get(&number).and_then(|(from, entries)| {
            usize::try_from(at.checked_sub(*from)?).ok().and_then(|index| entries.get(index))
        });
        if let Some(bytes) = held {
            return Ok(Stands::of(bytes));
        }
        let Some(queue) = scope.queue(number) else { return Ok(Stands::Unwritten) };
        if self.stretches.len().saturating_mul(self.entries * 20) > MOST_BYTES {
            self.stretches.clear();
        }
        // Opened anew for each stretch: a descriptor for each queue would be too many.
        let bytes = scope.files(queue).read(&*scope.parts.disk, at, self.entries)?;
        let stands = bytes.first().map_or(Stands::Unwritten, Stands::of);
        self.stretches.insert(number, (at, bytes));
        Ok(stands)
    }

    /// Looks at the entry of one record.
    pub(super) fn check(
        &mut self,
        scope: &Scope,
        found: &mut Found,
        at: LogOffset,
        head: &Head<'_>,
        derivable: &Derivable<'_>,
    ) -> Result<()> {
        if !head.sys_flags.is_queued() || scope.is_dropped(head.topic, at) {
            return Ok(());
        }
        let offset = head.queue_offset.0;
        let Some(number) = self.number(scope, head.topic, head.queue_id) else {
            if scope.may_lag(None, at, offset) {
                found.behind += 1;
            } else {
                found.lost(at, head, "its queue has no file");
            }
            return Ok(());
        };
        match self.stands(scope, number, offset)? {
            Stands::Entry(entry) if entry.at == at => {
                // Those that count for nothing are not counted when the entries are, either.
                let counts = scope.queue(number).is_some_and(|queue| offset < queue.believed_to);
                *found.confirmed.entry(number).or_default() += u64::from(counts);
                let is_right =
                    entry.len == head.len && !scope.tags_differ(scope.tag(head, derivable), entry.tag);
                if !is_right && !scope.is_believed(at) {
                    found.behind += 1;
                } else if entry.len != head.len {
                    let what = format!("it says {} bytes where the record has {}", entry.len, head.len);
                    found.stale(at, head, what);
                } else if !is_right {
                    found.stale(at, head, format!("its tag is {}, which is not the record's", entry.tag));
                }
            }
            _ if !scope.is_believed(at) => found.behind += 1,
            Stands::Entry(entry) => {
                if entry.at > at && is_the_same_place(scope, entry.at, head)? {
                    found.note(
                        FaultKind::Doubled,
                        at,
                        head,
                        format!("the record at {} has it, too", entry.at),
                    );
                } else {
                    found.remember(number, offset);
                    found.stale(at, head, format!("it points at log offset {}", entry.at));
                }
            }
            Stands::Rubbish => {
                found.remember(number, offset);
                found.stale(at, head, "it is no entry".into());
            }
            Stands::Unwritten | Stands::Blank => {
                if scope.may_lag(scope.queue(number), at, offset) {
                    found.behind += 1;
                } else {
                    found.lost(at, head, "no entry stands at its offset");
                }
            }
        }
        Ok(())
    }
}

/// Whether a later record names the same place in the same queue.
fn is_the_same_place(scope: &Scope, at: LogOffset, head: &Head<'_>) -> Result<bool> {
    let (topic, id, offset) = (head.topic, head.queue_id, head.queue_offset);
    let same = |other: &Head<'_>| {
        other.sys_flags.is_queued()
            && (other.topic, other.queue_id, other.queue_offset) == (topic, id, offset)
    };
    Ok(peek_at(scope, at, same)?.unwrap_or(false))
}

impl Found {
    /// A slot that is told now, and must not be told again by whoever looks at the entries.
    fn remember(&mut self, number: u32, offset: u64) {
        if self.told.len() < MOST_TOLD {
            self.told.insert((number, offset));
        }
    }

    fn lost(&mut self, at: LogOffset, head: &Head<'_>, what: &str) {
        self.note(FaultKind::LostEntry, at, head, what.to_owned());
    }

    fn stale(&mut self, at: LogOffset, head: &Head<'_>, what: String) {
        self.note(FaultKind::StaleEntry, at, head, what);
    }

    fn note(&mut self, kind: FaultKind, at: LogOffset, head: &Head<'_>, what: String) {
        let key = (kind, head.topic.to_owned(), head.queue_id);
        let log_to = at.plus(u64::from(head.len));
        let run =
            self.runs.entry(key).or_insert(Run { first: head.queue_offset, log: at, log_to, count: 0, what });
        run.count += 1;
        run.log_to = log_to;
    }

    /// The faults of this segment, one for each kind and queue.
    pub(super) fn faults(&mut self, scope: &Scope) -> Vec<Fault> {
        let runs = std::mem::take(&mut self.runs);
        let per_segment = u64::from(scope.parts.queues.entries_per_segment.unwrap_or(1)).max(1);
        let fault = |((kind, topic, queue_id), run): ((FaultKind, String, u32), Run)| Fault {
            kind,
            path: scope.entry_path(&topic, queue_id, run.first.0),
            at: (run.first.0 % per_segment).saturating_mul(ENTRY_BYTES),
            log: Some(run.log),
            log_to: Some(run.log_to),
            message: Some(MessageName { topic, queue_id, queue_offset: run.first }),
            count: run.count,
            quarantined: false,
            what: run.what,
        };
        runs.into_iter().map(fault).collect()
    }
}
