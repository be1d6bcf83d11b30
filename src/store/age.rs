//! How old a segment is: by its records' store times, and not by the file's, which copies and restores change (spec H31).
//!
//! The last record's time is remembered when the log rolls. Of segments found at opening it lies between the first
//! record's and that of the next segment's first one; only if these do not decide are the segment's records walked
//! through, once.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::commit_log::{CommitLog, Step, Walk};
use crate::error::Result;
use crate::message::Verify;
use crate::segment::Segment;

/// Whether no record of a segment was stored after `cutoff`. `next` is the segment behind it.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io): nobody can say.
pub(super) fn is_expired(
    log: &CommitLog,
    segment: &Segment,
    next: Option<&Arc<Segment>>,
    cutoff: Timestamp,
) -> Result<bool> {
    if let Some(newest) = segment.newest() {
        return Ok(newest <= cutoff);
    }
    if first_stored(log, segment)?.is_some_and(|first| first > cutoff) {
        return Ok(false);
    }
    let after = next.map_or(Ok(None), |next| first_stored(log, next))?;
    if after.is_some_and(|after| after <= cutoff) {
        return Ok(true);
    }
    // Behind a broken record nobody can say; then it goes with the next one's first.
    let Some(newest) = last_stored(log, segment)?.or(after) else { return Ok(false) };
    segment.set_newest(newest);
    Ok(newest <= cutoff)
}

/// How long until the oldest segment is so old, at the earliest; 0 if it may be by now. `None` if only the segment that
/// is being written is there.
pub(super) fn until_expiry(log: &CommitLog, age: Duration, now: Timestamp) -> Option<Duration> {
    let all = log.segments().all();
    let (oldest, _) = all.split_first().filter(|(_, rest)| !rest.is_empty())?;
    let newest = oldest.newest().or_else(|| first_stored(log, oldest).ok().flatten());
    let age_ms = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    let due_ms = newest.map_or(0, |newest| newest.0).saturating_add(age_ms);
    Some(Duration::from_millis(u64::try_from(due_ms.saturating_sub(now.0)).unwrap_or(0)))
}

/// The store time of a segment's first record; `None` if none can be read there.
fn first_stored(log: &CommitLog, segment: &Segment) -> Result<Option<Timestamp>> {
    if let Some(oldest) = segment.oldest() {
        return Ok(Some(oldest));
    }
    // A broken record may say any time: by that of one in the future no segment would ever go (promises rule 14).
    if log.quarantined_at(segment.base()).is_some() {
        return Ok(None);
    }
    let mut walk = Walk::new(log.segments(), segment.base());
    let Step::Record(_, head) = walk.step(|_| Verify::Structure)? else { return Ok(None) };
    segment.set_oldest(head.stored);
    Ok(Some(head.stored))
}

/// The last store time in a segment; `None` if not all of it can be read as records.
fn last_stored(log: &CommitLog, segment: &Segment) -> Result<Option<Timestamp>> {
    let (mut walk, mut newest) = (Walk::new(log.segments(), segment.base()), None);
    while walk.place() < segment.end() {
        if let Some(part) = log.quarantined_at(walk.place()) {
            walk.jump(part.to);
            continue;
        }
        match walk.step(|_| Verify::Structure)? {
            Step::Record(_, head) => newest = newest.max(Some(head.stored)),
            Step::Blank(_) => {}
            Step::Broken(..) | Step::NoSegment(_) => return Ok(None),
        }
    }
    Ok(newest)
}
