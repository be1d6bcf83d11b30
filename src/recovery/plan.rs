//! Scan, judge, decide. Touches nothing.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::checkpoint::{Quarantine, Ranges, Snapshot, State, WriterId};
use crate::clock::Timestamp;
use crate::commit_log::QueueOffsets;
use crate::consume_queue::Gathered;
use crate::error::{Corruption, Damage, Error, Result};
use crate::layout;
use crate::offset::{LogOffset, LogRange, QueueOffset};
use crate::recovery::before::Before;
use crate::recovery::behind::Behind;
use crate::recovery::judge::{Evidence, is_damage};
use crate::recovery::quarantine::{Listed, known_parts, resync, written_over};
use crate::recovery::scan::{Found, Scope, scan, scan_on};
use crate::recovery::{MovedBack, OnDamage, Quarantined, RecoveryReport};
use crate::segment::Segment;

const READ_BYTES: usize = 1 << 20;

/// What will be done, and what the log is then.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) report: RecoveryReport,
    pub(crate) last_stored: Timestamp,
    pub(crate) queues: QueueOffsets,
    pub(crate) ranges: Ranges,
    /// Everything from here to the log's end is written again and synced.
    pub(crate) rewrite_from: LogOffset,
    /// Behind the last byte that is not zero, in the segment in which the log ends.
    pub(crate) cut_to: Option<LogOffset>,
    /// Up to where zeros are written behind the log's end.
    pub(crate) zero_to: Option<LogOffset>,
    /// What stands where the log ends, and whether that is damage.
    pub(crate) why: Corruption,
    pub(crate) damage: bool,
    /// Segments behind the one in which the log ends, last first; whether they hold anything.
    pub(crate) later: Vec<(LogOffset, bool)>,
    /// The last writer, if that was sawlog: its name goes on.
    pub(crate) writer: Option<WriterId>,
    /// From where on everything was written under a window.
    pub(crate) ours_from: LogOffset,
    /// Whether the mark must be lowered before anything is cut below it.
    pub(crate) lower_mark: bool,
    /// Queues and key index are derived from here on; `None`: all of them anew, from the log's first record.
    pub(crate) replay_from: Option<LogOffset>,
    /// Topics whose records below a place do not count.
    pub(crate) dropped: BTreeMap<Vec<u8>, LogOffset>,
    /// The damaged parts of the log below its end, to be stepped over.
    pub(crate) quarantine: Quarantine,
}

/// Makes the plan.
///
/// # Errors
/// [`Error::Corrupt`] if there is damage and `on_damage` refuses it; [`Error::Io`].
pub(crate) fn plan(scope: &Scope<'_>) -> Result<Plan> {
    let before = scope.before;
    let mut known = Known {
        ours: before.is_ours(),
        ranges: known_ranges(before, before.is_ours()),
        parts: known_parts(scope),
    };
    if let Some(from) = written_over(scope, &known.parts)? {
        known.ours = false;
        known.ranges.cut(from);
        known.parts.cut(from);
    }
    let ranges = known.ranges.clone();
    let Judged { from, ours, found, evidence, damage, why, mut listed, quarantined } = judge(scope, known)?;
    let missing = before.first().filter(|_| ours).and_then(|first| missing_front(scope, first));
    if let (Some(missing), OnDamage::Refuse | OnDamage::Quarantine) = (&missing, scope.on_damage) {
        return Err(Error::Corrupt(missing.clone()));
    }
    if damage && scope.on_damage != OnDamage::FirstBroken {
        return Err(Error::Corrupt(why));
    }
    listed.list.cut(found.end);
    // Nothing was ever accepted beyond the window, so nothing lies beyond it; after anything else all must be seen.
    let bound = match (&before.mark, damage) {
        (Some(mark), false) if ours => found.end.plus(mark.window_bytes),
        _ => LogOffset(u64::MAX),
    };
    let closed_here = ours && before.closed_at() == Some(found.end);
    let untouched = !damage && (found.at_blank || closed_here);
    let cut_to = if untouched { None } else { cut_to(scope, found.end, bound)? };
    // Zeros whose sync failed are shown by the cache and may not be on the disk: what they cover could rise again.
    let zero_to = match scope.segments.find(found.end) {
        Some(segment) if evidence.failed && !untouched => Some(bound.min(segment.end())),
        _ => cut_to,
    };
    let later = later_segments(scope, found.end, bound)?;
    let report = RecoveryReport {
        clean_shutdown: before.is_clean(),
        // A segment without a record may be our own: the first one is made before the first mark is saved.
        foreign_writer: !ours && (found.records > 0 || found.damage != Damage::Unwritten),
        scanned_from: from,
        records: found.records,
        log_end: found.end,
        side_damage: before.side_damage.iter().cloned().chain(missing).collect(),
        quarantined,
        lifted: std::mem::take(&mut listed.lifted),
        ..RecoveryReport::default()
    };
    // What was derived before the list changed was derived from another log.
    let is_derived = |to: &LogOffset| {
        ours && found.meets_derived && *to <= found.end && from <= *to && !listed.has_changed
    };
    let replay_from = scope.derived_to.filter(is_derived);
    let parts = Parts { report, cut_to, zero_to, later, why, damage, replay_from, quarantine: listed.list };
    Ok(finish(before, ours, ranges, found, parts))
}

/// What the last writer's traces say, as far as they are to be believed.
struct Known {
    /// Whether sawlog wrote last.
    ours: bool,
    /// The parts that we wrote with a record checksum.
    ranges: Ranges,
    /// The parts listed as damaged.
    parts: Quarantine,
}

/// What the scan found in the end, and the verdict on the place where it ended.
struct Judged {
    /// Where it began.
    from: LogOffset,
    /// Whether sawlog wrote last.
    ours: bool,
    found: Found,
    evidence: Evidence,
    damage: bool,
    why: Corruption,
    listed: Listed,
    /// What was listed now.
    quarantined: Vec<Quarantined>,
}

/// Scans up to a place that is no damage, or that is and may not be stepped over.
fn judge(scope: &Scope<'_>, Known { mut ours, ranges, parts }: Known) -> Result<Judged> {
    let (before, ranges) = (scope.before, &ranges);
    let first = scope.segments.first().unwrap_or_default();
    let mut listed = Listed::look_again(scope, ranges, parts, ours)?;
    let (mut behind, mut gathered) = (Behind::default(), Gathered::default());
    let mut quarantined = Vec::new();
    let mut from = if listed.has_changed { first } else { scan_from(scope, ours) };
    let mut found = scan(scope, ranges, &listed.list, from)?;
    loop {
        // The counts reach further than the log: they count what is gone. Count again, all of it.
        let counts_more = before.snapshot.as_ref().is_some_and(|s| found.end < s.derived_to);
        if from > first && counts_more {
            (from, found) = (first, scan(scope, ranges, &listed.list, first)?);
        }
        // We closed, and the log goes on behind our end: somebody else wrote, and closed in order too.
        if ours && before.closed_at().is_some_and(|end| found.end > end) {
            ours = false;
            (from, found) = (first, scan(scope, ranges, &listed.list, first)?);
        }
        let valid_to = behind.valid_to(scope, ranges, &listed.list, &found)?;
        let evidence = weigh(before, ours, found.end, valid_to);
        let (damage, why) = (is_damage(&evidence), reason(scope, &found, &evidence));
        if !damage || scope.on_damage != OnDamage::Quarantine {
            if from == first {
                listed.keep(&found.stepped_over, found.end);
            }
            return Ok(Judged { from, ours, found, evidence, damage, why, listed, quarantined });
        }
        // Where one part is damaged another may be, and what was derived is derived anew: all of it is looked at.
        if from > first {
            (from, found) = (first, scan(scope, ranges, &listed.list, first)?);
            continue;
        }
        if listed.list.at(found.end).is_some() {
            // Somebody else's records end within a listed part: what he cut is not ours to find again.
            listed.list.cut(found.end);
        }
        let to = resync(scope, ranges, (&listed.list, &mut gathered), &found, ours)?
            .ok_or_else(|| Error::Corrupt(why.clone()))?;
        let part = LogRange { from: found.end, to };
        listed.add(part);
        quarantined.push(Quarantined { part, why });
        scan_on(scope, ranges, &listed.list, &mut found)?;
    }
}

struct Parts {
    report: RecoveryReport,
    cut_to: Option<LogOffset>,
    zero_to: Option<LogOffset>,
    later: Vec<(LogOffset, bool)>,
    why: Corruption,
    damage: bool,
    replay_from: Option<LogOffset>,
    quarantine: Quarantine,
}

fn finish(before: &Before, ours: bool, mut ranges: Ranges, found: Found, parts: Parts) -> Plan {
    let Parts { mut report, cut_to, zero_to, later, why, damage, replay_from, quarantine } = parts;
    let mark = before.mark.as_ref();
    let rewrite_from = match mark {
        Some(mark) => mark.durable.min(found.end),
        // Java flushed all of it when it closed; what it flushed before it was killed, its checkpoint tells.
        None if before.abort.is_none() => found.end,
        None => found.unflushed_from.unwrap_or(found.end),
    };
    ranges.cut(found.end);
    let mut queues = found.queues;
    if let Some(snapshot) = &before.snapshot {
        // Somebody else may have cut the log below and written on: only the log's own count stands then.
        let stands = is_current(before, ours, snapshot, found.end);
        for ((topic, id), mark) in &snapshot.queues {
            let (was, is) = (mark.next, queues.next(topic, *id));
            // A queue without a record keeps its next offset whatever was cut: it must never start at 0 again.
            if stands || is == QueueOffset(0) {
                queues.raise(topic, *id, was);
            } else if is < was {
                let topic = String::from_utf8_lossy(topic).into_owned();
                report.queues_moved_back.push(MovedBack { topic, queue_id: *id, was, is });
            }
        }
    }
    let known = before.snapshot.as_ref().filter(|s| is_current(before, ours, s, found.end));
    let mut dropped = before.snapshot.as_ref().map(|s| s.dropped.clone()).unwrap_or_default();
    // What was cut below such a place may be written anew: that counts then.
    dropped.values_mut().for_each(|until| *until = (*until).min(found.end));
    Plan {
        rewrite_from,
        ranges,
        queues,
        last_stored: found.last_stored.max(known.map_or(Timestamp(0), |s| s.last_stored)),
        replay_from,
        dropped,
        writer: mark.filter(|_| ours).map(|m| m.writer),
        ours_from: mark.filter(|_| ours).map_or(found.end, |m| m.ours_from.min(found.end)),
        lower_mark: damage && mark.is_some_and(|m| found.end < m.durable),
        report,
        cut_to,
        zero_to,
        why,
        damage,
        later,
        quarantine,
    }
}

/// The segment with which the log should begin, if the one it begins with lies behind. Retention says where the log
/// begins before it removes anything.
fn missing_front(scope: &Scope<'_>, first: LogOffset) -> Option<Corruption> {
    let found = scope.segments.first()?;
    let path = scope.segments.dir().join(layout::segment_name(first));
    (found > first).then_some(Corruption { path, at: first, what: Damage::MissingSegment })
}

/// Whether what was derived is of this log: nobody else wrote since, and nothing of it was cut.
fn is_current(before: &Before, ours: bool, snapshot: &Snapshot, end: LogOffset) -> bool {
    let writer = before.mark.as_ref().map(|m| m.writer);
    ours && snapshot.derived_to <= end
        && (writer == Some(snapshot.writer) || snapshot.writer == WriterId::default())
}

/// Our ranges, as far as they can be relied on: if somebody else wrote last, ours surely ends at the mark.
pub(crate) fn known_ranges(before: &Before, ours: bool) -> Ranges {
    let mut ranges = before.ranges.clone();
    match &before.mark {
        Some(_) if ours => {}
        Some(mark) => ranges.close_at(mark.durable),
        None => ranges = Ranges::default(),
    }
    ranges
}

/// The scan begins at the base of the segment that holds the last durable byte, or the last counted one, whichever
/// is earlier; at the log's first byte if nothing can be relied on.
fn scan_from(scope: &Scope<'_>, ours: bool) -> LogOffset {
    let (before, segments) = (scope.before, scope.segments);
    let first = segments.first().unwrap_or_default();
    let known = match (&before.mark, &before.snapshot) {
        // Without files that hold what was derived, all of the log must be read for them, and checked before.
        (Some(mark), Some(_)) if ours => match scope.derived_to {
            Some(to) => mark.durable.min(to),
            None => return first,
        },
        _ => return first,
    };
    let last_known = LogOffset(known.0.saturating_sub(1));
    let from = segments.find(last_known).map_or(first, |s| s.base());
    // Between two segments that do not meet a whole one is missing: the scan must come to that place.
    let all = segments.all();
    let gap = all.iter().zip(all.iter().skip(1)).find(|(one, next)| one.end() != next.base());
    gap.map_or(from, |(before, _)| before.base().min(from))
}

/// What speaks for damage at the first bad place, and what for an unsynced tail.
pub(crate) fn weigh(
    before: &Before,
    ours: bool,
    broken_at: LogOffset,
    valid_to: Option<LogOffset>,
) -> Evidence {
    let mark = before.mark.as_ref();
    let windowed = mark.filter(|m| ours && broken_at >= m.ours_from);
    Evidence {
        broken_at,
        durable: mark.map(|m| m.durable),
        valid_to,
        window_bytes: windowed.map(|m| m.window_bytes),
        ours,
        closed: mark.is_some_and(|m| ours && m.state == State::Closed),
        same_boot: mark.is_some_and(|m| m.boot == before.boot && m.boot != Default::default()),
        failed: mark.is_some_and(|m| m.state == State::Failed),
    }
}

fn reason(scope: &Scope<'_>, found: &Found, evidence: &Evidence) -> Corruption {
    let segment = scope.segments.find(found.end).or_else(|| scope.segments.last());
    let path = segment.map_or_else(|| scope.segments.dir().to_path_buf(), |s| s.path().clone());
    let what = match (evidence.durable, &found.damage) {
        (Some(durable), Damage::Unwritten) if found.end < durable => Damage::EndsEarly { durable },
        (_, damage) => damage.clone(),
    };
    Corruption { path, at: found.end, what }
}

/// Behind the last byte of rubbish in the segment that holds `end`.
fn cut_to(scope: &Scope<'_>, end: LogOffset, bound: LogOffset) -> Result<Option<LogOffset>> {
    let Some(segment) = scope.segments.find(end) else { return Ok(None) };
    last_nonzero(&segment, end, bound.min(segment.end()))
}

/// Segments behind the one that holds `end`, last first, and whether they hold anything.
fn later_segments(scope: &Scope<'_>, end: LogOffset, bound: LogOffset) -> Result<Vec<(LogOffset, bool)>> {
    let holder = scope.segments.find(end).map_or(end, |s| s.end());
    let mut later = Vec::new();
    for segment in scope.segments.all().into_iter().rev().take_while(|s| s.base() >= holder) {
        let reach = bound.min(segment.end());
        let holds = segment.base() < bound && last_nonzero(&segment, segment.base(), reach)?.is_some();
        later.push((segment.base(), holds));
    }
    Ok(later)
}

/// Behind the last byte of `[from, to)` that is not zero. What the file system knows to be a hole is not read: of a
/// segment that was made and not used yet, a gigabyte of zeros would be put into the page cache first.
pub(crate) fn last_nonzero(segment: &Segment, from: LogOffset, to: LogOffset) -> Result<Option<LogOffset>> {
    let mut buffer = vec![0; READ_BYTES.min(usize::try_from(to.since(from)).unwrap_or(READ_BYTES))];
    for Range { start, end } in segment.data(from, to)?.into_iter().rev() {
        let (mut at, mut last) = (start, None);
        while at < end {
            let step = buffer.len().min(usize::try_from(end.since(at)).unwrap_or(usize::MAX));
            let Some(chunk) = buffer.get_mut(..step) else { break };
            segment.read(at, chunk)?;
            // By lines of 64 bytes first: a whole segment of zeros goes by at the speed of memory.
            if chunk.chunks(64).any(|line| line.iter().fold(0, |all, byte| all | byte) != 0) {
                let index = chunk.iter().rposition(|byte| *byte != 0).unwrap_or(0);
                last = Some(at.plus(index as u64 + 1));
            }
            at = at.plus(step as u64);
        }
        if last.is_some() {
            return Ok(last);
        }
    }
    Ok(None)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
