//! Damage that is stepped over instead of refused or cut: where it ends, and whether what is listed has been put right.
//!
//! A damaged part begins with the first byte that is no record where one must be, and ends where a record surely
//! begins: a body may hold a whole forged record, so a place counts only if something outside of it says so (promises
//! rule 2).

use crate::checkpoint::{Quarantine, Ranges};
use crate::clock::Timestamp;
use crate::commit_log::{Step, Walk};
use crate::consume_queue::{Claim, Gathered};
use crate::error::{Damage, Result};
use crate::message::Verify;
use crate::offset::{LogOffset, LogRange};
use crate::recovery::scan::{Found, Scope, verify_at};
use crate::segment::{Segment, SegmentList};

/// What is listed, and what became of what was listed before.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub(super) list: Quarantine,
    /// Listed before, and sound now.
    pub(super) lifted: Vec<LogRange>,
    /// The list is another one than that on disk: queues and index were derived from another log.
    pub(super) has_changed: bool,
}

impl Listed {
    /// Looks at every part listed before: one whose records are whole again goes off the list, and one of which only
    /// the front is becomes shorter. Costs reading each up to its first bad place.
    /// If somebody else wrote last the scan tells, which begins at the log's first byte then.
    pub(super) fn look_again(
        scope: &Scope<'_>,
        ranges: &Ranges,
        known: Quarantine,
        ours: bool,
    ) -> Result<Listed> {
        let before = scope.before;
        let is_forgotten = scope.forgets_list && !before.quarantine.is_empty();
        let mut listed =
            Listed { has_changed: before.quarantine_is_bad || is_forgotten, ..Listed::default() };
        if !ours {
            return Ok(Listed { list: known, ..listed });
        }
        for part in known.iter() {
            let sound_to = sound_to(scope, ranges, part)?;
            listed.has_changed |= sound_to > part.from;
            match sound_to < part.to {
                true => listed.list.add(LogRange { from: sound_to, to: part.to }),
                false => listed.lifted.push(part),
            }
        }
        Ok(listed)
    }

    pub(super) fn add(&mut self, part: LogRange) {
        self.list.add(part);
        self.has_changed = true;
    }

    /// All of the log up to `end` was scanned, and this is the damage in it: what else was listed below is sound, or was
    /// cut off and written over by somebody else.
    pub(super) fn keep(&mut self, stepped_over: &Quarantine, end: LogOffset) {
        self.list.cut(end);
        if self.list == *stepped_over {
            return;
        }
        let gone =
            |part: &LogRange| stepped_over.iter().all(|kept| kept.to <= part.from || part.to <= kept.from);
        self.lifted.extend(self.list.iter().filter(gone));
        self.list = stepped_over.clone();
        self.has_changed = true;
    }
}

/// What is listed and still counts, without what retention has removed since.
pub(super) fn known_parts(scope: &Scope<'_>) -> Quarantine {
    if scope.forgets_list {
        return Quarantine::default();
    }
    let mut known = scope.before.quarantine.clone();
    known.retire(scope.segments.first().unwrap_or_default());
    known
}

/// From where on somebody else has written over the log, if that is at a listed part's beginning: a broker cuts the log
/// at damage that it meets, and behind the end of what it writes then the old records still stand. `None` if nothing
/// shows it.
///
/// What it writes has no checksum of ours, or a right one; but of a rotten record of ours the checksum may be lost, too.
/// So a record without one shows it only if it is younger than all that we wrote, or reaches beyond the part; or, where
/// other signs say that somebody else was here, if what stands behind it in the part is no record.
pub(super) fn written_over(scope: &Scope<'_>, list: &Quarantine) -> Result<Option<LogOffset>> {
    let before = scope.before;
    let is_ours = before.is_ours();
    if is_ours && before.closed_at().is_none() {
        // Killed under us, and nobody has closed it since.
        return Ok(None);
    }
    let counts = before.snapshot.as_ref().filter(|s| before.mark.is_some_and(|mark| mark.writer == s.writer));
    let is_suspect =
        !is_ours || counts.is_some_and(|s| before.java_flushed.is_some_and(|at| at != s.last_stored));
    for part in list.iter() {
        let youngest = counts.filter(|s| s.derived_to >= part.to).map(|s| s.last_stored);
        if is_written_over(scope, part, youngest, is_suspect)? {
            return Ok(Some(part.from));
        }
    }
    Ok(None)
}

fn is_written_over(
    scope: &Scope<'_>,
    part: LogRange,
    youngest: Option<Timestamp>,
    is_suspect: bool,
) -> Result<bool> {
    let mut walk = Walk::new(scope.segments, part.from);
    let is_young = |stored: Timestamp| youngest.is_some_and(|youngest| stored > youngest);
    while walk.place() < part.to {
        let at = walk.place();
        let is_bare = matches!(walk.step(|_| Verify::Ours)?, Step::Broken(_, Damage::NoRecordChecksum, _));
        walk.skip(at);
        match walk.step(|_| if is_bare { Verify::Legacy } else { Verify::Ours })? {
            Step::Record(_, head) if is_young(head.stored) => return Ok(true),
            Step::Record(_, head) if at.plus(u64::from(head.len)) > part.to => return Ok(true),
            Step::Record(..) => {}
            Step::Blank(_) => return Ok(false),
            Step::Broken(..) | Step::NoSegment(_) => return Ok(is_suspect && at > part.from),
        }
    }
    Ok(false)
}

/// Up to where a listed part holds records again, one behind the other.
fn sound_to(scope: &Scope<'_>, ranges: &Ranges, part: LogRange) -> Result<LogOffset> {
    let mut walk = Walk::new(scope.segments, part.from);
    let mut sound = part.from;
    while sound < part.to {
        match walk.step(|at| verify_at(ranges, at))? {
            Step::Record(..) | Step::Blank(_) => {}
            Step::Broken(..) | Step::NoSegment(_) => break,
        }
        // A whole record, or a blank one, that reaches beyond it was written over it.
        sound = walk.place();
    }
    Ok(sound)
}

/// Where the log surely goes on behind the bad place that the scan has found; `None` if nothing says so, or a segment
/// is missing there.
///
/// Of these places the first: where the broken record ends, or the broken ones behind it, if a record begins there;
/// where a queue entry points, if the record there is the entry's; a segment's base with a record; the durable mark,
/// which stands at a record's end; and a part listed before.
///
/// `gathered` is what the queues' files say, kept from one bad place to the next.
pub(super) fn resync<'a>(
    scope: &Scope<'a>,
    ranges: &Ranges,
    (list, gathered): (&Quarantine, &mut Gathered<'a>),
    found: &Found,
    ours: bool,
) -> Result<Option<LogOffset>> {
    let bad = found.end;
    let durable = scope.before.mark.as_ref().map(|mark| mark.durable).filter(|durable| *durable > bad);
    // Somebody else may have cut the log below and written on: then no record need begin at what we wrote down.
    let (vouched, last_resort) = if ours { (durable, None) } else { (None, durable) };
    let in_log = |at: LogOffset| scope.segments.find(at).is_some();
    let (mut start, mut after) = (found.own_end, bad);
    if !in_log(bad) {
        return Ok(None);
    }
    let mut expected = None;
    let mut walk = Walk::new(scope.segments, bad);
    for segment in scope.segments.all().into_iter().filter(|segment| segment.end() > bad) {
        if expected.is_some_and(|base| base != segment.base()) {
            return Ok(None);
        }
        let by_length = match start {
            Some(start) => follow(scope, ranges, list, start, &segment)?,
            None => None,
        };
        let known = [by_length, list.next_from(after).filter(|_| ours), vouched].into_iter().flatten();
        let nearest = known.filter(|at| *at < segment.end()).min();
        let bound = nearest.unwrap_or(segment.end());
        let pointed_at = scope
            .pointers
            .first_between(gathered, after, bound, |claim| is_record(&mut walk, ranges, claim))?;
        if let Some(at) = pointed_at.or(nearest) {
            return Ok(Some(at));
        }
        (start, expected) = (Some(segment.end()), Some(segment.end()));
        after = LogOffset(segment.end().0.saturating_sub(1));
    }
    Ok(last_resort.filter(|at| in_log(*at)))
}

/// Where a record, a blank record or a listed part begins, from `start` on by the lengths that broken records claim.
fn follow(
    scope: &Scope<'_>,
    ranges: &Ranges,
    list: &Quarantine,
    start: LogOffset,
    segment: &Segment,
) -> Result<Option<LogOffset>> {
    // The end of a segment is the next one's base, at which a walk of its own begins.
    let base = start.max(segment.base());
    let mut walk = Walk::new(scope.segments, base);
    while walk.place() < segment.end() {
        if list.at(walk.place()).is_some() {
            return Ok(Some(walk.place()));
        }
        match walk.step(|at| verify_at(ranges, at))? {
            Step::Record(at, _) | Step::Blank(at) => return Ok(Some(at)),
            Step::Broken(at, _, Some(len)) => walk.skip(at.plus(u64::from(len))),
            Step::Broken(_, _, None) | Step::NoSegment(_) => return Ok(None),
        }
    }
    Ok(None)
}

/// Whether a whole record stands where the entry points, and says itself that it is the entry's.
fn is_record(walk: &mut Walk<&SegmentList>, ranges: &Ranges, claim: &Claim<'_>) -> Result<bool> {
    walk.skip(claim.entry.at);
    Ok(match walk.step(|at| verify_at(ranges, at))? {
        Step::Record(_, head) => {
            head.len == claim.entry.len
                && head.topic == claim.topic
                && head.queue_id == claim.queue_id
                && head.queue_offset == claim.queue_offset
                && head.sys_flags.is_queued()
        }
        _ => false,
    })
}
