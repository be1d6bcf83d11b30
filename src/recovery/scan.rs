//! Walks the log up to the first bad place.

use crate::checkpoint::{Quarantine, Ranges};
use crate::clock::Timestamp;
use crate::commit_log::{QueueOffsets, Step, Walk};
use crate::consume_queue::Pointers;
use crate::error::{Damage, Result};
use crate::message::{MIN_RECORD_BYTES, Verify};
use crate::offset::{LogOffset, LogRange, QueueOffset};
use crate::recovery::before::Before;
use crate::recovery::{OnDamage, OnProgress, PROGRESS_BYTES, RecoveryProgress};
use crate::segment::SegmentList;

/// Java takes records up to three seconds before its checkpoint for flushed (spec 5.1).
const JAVA_MARGIN_MS: i64 = 3000;

/// What a plan is made from.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) segments: &'a SegmentList,
    pub(crate) before: &'a Before,
    pub(crate) on_damage: OnDamage,
    /// Whether the list of damage counts for nothing: what is on it is damage like any other.
    pub(crate) forgets_list: bool,
    /// Where the queues' files say that records begin.
    pub(crate) pointers: Pointers<'a>,
    /// Up to where the files of queues and key index are whole; `None` where they cannot be relied on.
    pub(crate) derived_to: Option<LogOffset>,
    pub(crate) progress: Option<&'a OnProgress>,
    /// Whether a thread may read ahead.
    pub(crate) may_read_ahead: bool,
}

/// What the scan has found so far.
#[derive(Debug)]
pub(super) struct Found {
    /// The first place at which no record stands, where one should.
    pub(super) end: LogOffset,
    pub(super) damage: Damage,
    pub(super) own_end: Option<LogOffset>,
    /// The log ends with a blank record whose next segment is not there: the record is no rubbish to be cut.
    pub(super) at_blank: bool,
    pub(super) records: u64,
    pub(super) last_stored: Timestamp,
    pub(super) queues: QueueOffsets,
    /// So many queued messages may be lost in the listed parts so far, that no count covers.
    pub(super) untold: u64,
    /// The first record that Java's checkpoint does not cover.
    pub(super) unflushed_from: Option<LogOffset>,
    /// The listed parts, as far as they are damaged, that the scan came to.
    pub(super) stepped_over: Quarantine,
    /// What is derived is whole up to a place at which something begins or ends: nothing can be derived from the middle
    /// of a record on, whoever said so.
    pub(super) meets_derived: bool,
}

/// Which checksums the record there must have.
pub(super) fn verify_at(ranges: &Ranges, at: LogOffset) -> Verify {
    if ranges.contains(at) { Verify::Ours } else { Verify::Legacy }
}

/// Scans from `from` on, over what is listed as damaged.
pub(super) fn scan(scope: &Scope<'_>, ranges: &Ranges, list: &Quarantine, from: LogOffset) -> Result<Found> {
    let mut found = Found {
        end: from,
        damage: Damage::Unwritten,
        own_end: None,
        at_blank: false,
        records: 0,
        last_stored: Timestamp(0),
        queues: QueueOffsets::default(),
        untold: 0,
        unflushed_from: None,
        stepped_over: Quarantine::default(),
        meets_derived: false,
    };
    scan_on(scope, ranges, list, &mut found)?;
    Ok(found)
}

/// The same from where `found` ended, which is listed by now.
pub(super) fn scan_on(
    scope: &Scope<'_>,
    ranges: &Ranges,
    list: &Quarantine,
    found: &mut Found,
) -> Result<()> {
    let java = scope.before.java_flushed.map_or(i64::MIN, |t| t.0.saturating_sub(JAVA_MARGIN_MS));
    let last_end = scope.segments.last().map_or(found.end, |s| s.end());
    (found.own_end, found.at_blank) = (None, false);
    let walk = Walk::new(scope.segments, found.end);
    let mut walk = if scope.may_read_ahead { walk.with_reader() } else { walk };
    let (mut record_at, mut blank_at, mut told) = (None, None, found.end);
    loop {
        found.meets_derived |= scope.derived_to == Some(walk.place());
        match walk.step(|at| verify_at(ranges, at))? {
            Step::Record(at, head) => {
                found.records += 1;
                found.end = at.plus(u64::from(head.len));
                found.last_stored = found.last_stored.max(head.stored);
                if head.stored.0 > java {
                    found.unflushed_from = found.unflushed_from.or(Some(at));
                }
                if head.sys_flags.is_queued() {
                    found.queues.raise(head.topic.as_bytes(), head.queue_id, head.queue_offset.next());
                }
                (record_at, blank_at) = (Some(at), None);
                if found.end.since(told) >= PROGRESS_BYTES {
                    told = found.end;
                    tell(scope, RecoveryProgress { at: told, end: last_end, records: found.records });
                }
            }
            Step::Blank(at) => blank_at = Some(at),
            // The list is exhausted behind a blank record: the log ends where that stands (spec 9.5).
            Step::NoSegment(at) => {
                found.end = blank_at.unwrap_or(at);
                found.at_blank = blank_at.is_some();
                found.damage = match scope.segments.last() {
                    Some(last) if last.base() > at => Damage::MissingSegment,
                    _ => Damage::Unwritten,
                };
                break;
            }
            Step::Broken(at, damage, claims) => {
                // Not where records stand in its front: somebody else has cut the log at the part, or below, and written
                // on. What stands behind his end he had cut.
                if let Some(LogRange { to, .. }) = list.at(at).filter(|part| record_at < Some(part.from)) {
                    let part = LogRange { from: at, to };
                    found.stepped_over.add(part);
                    // Below this place the counts know better than a broken record.
                    let counted_to = scope.before.snapshot.as_ref().map(|snapshot| snapshot.derived_to);
                    if counted_to.is_none_or(|counted_to| at >= counted_to) {
                        hear_numbers(scope, part, found)?;
                    }
                    walk.jump(to);
                    (found.end, blank_at) = (to, None);
                    continue;
                }
                found.end = at;
                found.own_end = claims.map(|len| at.plus(u64::from(len)));
                found.damage = damage;
                break;
            }
        }
    }
    tell(scope, RecoveryProgress { at: found.end, end: last_end, records: found.records });
    Ok(())
}

/// What broken records say of their queue offsets, as far as they can be read at all: hints, so that a number that a lost
/// message had is not given again. Without a record of its own a queue can only be behind by messages that are lost, and
/// of those there are no more than were met: a number that leaps further is none. (Its queue may not be its own, either.)
/// Where the scan began within the log the counts know of the records before.
fn hear_numbers(scope: &Scope<'_>, part: LogRange, found: &mut Found) -> Result<()> {
    let mut walk = Walk::new(scope.segments, part.from);
    while walk.place() < part.to {
        match walk.step(|_| Verify::Structure)? {
            Step::Record(_, head) if head.sys_flags.is_queued() => {
                found.untold += 1;
                let (topic, next) = (head.topic.as_bytes(), head.queue_offset.next());
                let counts = scope.before.snapshot.as_ref().map(|snapshot| &snapshot.queues);
                let counted = counts.and_then(|queues| queues.get(&(topic.to_vec(), head.queue_id)));
                let known = counted.map_or(QueueOffset(0), |counted| counted.next);
                let known = known.max(found.queues.next(topic, head.queue_id));
                if next.0.saturating_sub(known.0) <= found.untold {
                    found.queues.raise(topic, head.queue_id, next);
                }
            }
            Step::Record(..) | Step::Blank(_) => {}
            Step::Broken(at, ..) | Step::NoSegment(at) => {
                found.untold += part.to.since(at) / u64::from(MIN_RECORD_BYTES);
                break;
            }
        }
    }
    Ok(())
}

pub(super) fn tell(scope: &Scope<'_>, progress: RecoveryProgress) {
    if let Some(OnProgress(told)) = scope.progress {
        told(progress);
    }
}
