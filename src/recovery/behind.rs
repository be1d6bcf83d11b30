//! What stands behind a bad place: the evidence for damage that a record further on is.
//!
//! Reached from where a record must begin if anything is true: the broken record's own end, and segment bases. A body
//! may hold a whole forged record: nothing else counts (promises rule 2).
//!
//! Where damage is stepped over there are many bad places, and behind all of them stands much the same. So what one look
//! has read is kept: the last segment that holds a record, and one chain through the rest of a segment.

use crate::checkpoint::{Quarantine, Ranges};
use crate::commit_log::{Step, Walk};
use crate::error::Result;
use crate::offset::LogOffset;
use crate::recovery::scan::{Found, Scope, tell, verify_at};
use crate::recovery::{PROGRESS_BYTES, RecoveryProgress};
use crate::segment::Segment;

/// Broken places of a chain that are remembered: 1 MB.
const MOST_BROKEN: usize = 128 << 10;

/// What was seen behind the bad places so far.
#[derive(Debug, Default)]
pub(super) struct Behind {
    /// Every segment from this base on was looked into, the last one first, until one held a record.
    looked_from: Option<LogOffset>,
    /// The base of the last segment with a record at its base or behind, and the end of its last record.
    last: Option<(LogOffset, LogOffset)>,
    /// The rest of the segment that the log may end in.
    chain: Option<Chain>,
}

/// Records and broken ones that claim a length, one behind the other up to the end of a segment.
#[derive(Debug)]
struct Chain {
    /// Where it began, and each broken record that it came to, ascending: whoever begins behind one of these goes the
    /// same way.
    broken: Vec<LogOffset>,
    /// The end of its last valid record.
    last: Option<LogOffset>,
}

impl Behind {
    /// The end of the last valid record behind the bad place at which the scan stands.
    ///
    /// Costs, over all bad places of a log, one look into its last segments and one at the rest of each segment that has
    /// bad places; of such a segment one more for each record in it whose length is broken and still leads to a record.
    ///
    /// # Errors
    /// [`Error::Io`](crate::error::Error::Io).
    pub(super) fn valid_to(
        &mut self,
        scope: &Scope<'_>,
        ranges: &Ranges,
        list: &Quarantine,
        found: &Found,
    ) -> Result<Option<LogOffset>> {
        let look = Look { scope, ranges, list, records: found.records };
        // The end of the last one counts: what stands in a later segment is further than anything before.
        if let Some(end) = self.in_later_segments(&look, found.end)? {
            return Ok(Some(end));
        }
        let (Some(own_end), Some(segment)) = (found.own_end, scope.segments.find(found.end)) else {
            return Ok(None);
        };
        let is_on = |chain: &Chain| chain.broken.binary_search(&found.end).is_ok();
        if !self.chain.as_ref().is_some_and(is_on) {
            self.chain = Some(look.chain(found.end, own_end, &segment)?);
        }
        Ok(self.chain.as_ref().and_then(|chain| chain.last).filter(|end| *end > found.end))
    }

    fn in_later_segments(&mut self, look: &Look<'_>, bad: LogOffset) -> Result<Option<LogOffset>> {
        let unseen = |base: LogOffset| self.looked_from.is_none_or(|from| base < from);
        let later = look.scope.segments.all().into_iter().rev();
        let later: Vec<_> = later.filter(|s| s.base() > bad && unseen(s.base())).collect();
        for segment in later {
            if self.last.is_some() {
                break;
            }
            let chain = look.chain(segment.base(), segment.base(), &segment)?;
            self.last = chain.last.map(|end| (segment.base(), end));
            self.looked_from = Some(segment.base());
        }
        Ok(self.last.filter(|(base, _)| *base > bad).map(|(_, end)| end))
    }
}

/// How it is looked.
struct Look<'a> {
    scope: &'a Scope<'a>,
    ranges: &'a Ranges,
    list: &'a Quarantine,
    records: u64,
}

impl Look<'_> {
    /// From `start` on, which the broken record at `bad` claims to be its end, up to the end of the segment.
    fn chain(&self, bad: LogOffset, start: LogOffset, segment: &Segment) -> Result<Chain> {
        let mut chain = Chain { broken: vec![bad], last: None };
        let mut walk = Walk::new(self.scope.segments, start);
        let mut told = start;
        while walk.place() < segment.end() {
            if walk.place().since(told) >= PROGRESS_BYTES {
                told = walk.place();
                let end = self.scope.segments.last().map_or(told, |last| last.end());
                tell(self.scope, RecoveryProgress { at: told, end, records: self.records });
            }
            match walk.step(|at| verify_at(self.ranges, at))? {
                Step::Record(at, head) => chain.last = Some(at.plus(u64::from(head.len))),
                Step::Broken(at, _, claims) => {
                    if chain.broken.len() < MOST_BROKEN && chain.broken.last() < Some(&at) {
                        chain.broken.push(at);
                    }
                    let listed_to = self.list.at(at).map(|part| part.to);
                    match listed_to.or(claims.map(|len| at.plus(u64::from(len)))) {
                        Some(next) => walk.skip(next),
                        None => break,
                    }
                }
                // The next segment's base is among the starts itself.
                Step::Blank(_) | Step::NoSegment(_) => break,
            }
        }
        Ok(chain)
    }
}
