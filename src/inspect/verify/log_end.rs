//! Where the log ends, and whether what cannot be read in it is damage: by recovery's own judgement.

use std::path::PathBuf;

use crate::error::Damage;
use crate::inspect::verify::fault::{Fault, FaultKind};
use crate::inspect::verify::scope::Scope;
use crate::inspect::verify::segment::{Bad, Open, SegmentDone};
use crate::offset::LogOffset;
use crate::recovery;

/// A part of the log without valid records, and the file that it lies in.
#[derive(Debug)]
struct Stretch {
    bad: Bad,
    missing: bool,
    place: (PathBuf, LogOffset),
}

/// The log, as far as its segments were looked at in order.
#[derive(Debug)]
pub(super) struct LogEnd {
    /// Up to here segments were taken in.
    to: LogOffset,
    /// Where a segment ended before its file did, and nothing was found behind it yet.
    open: Option<(Open, (PathBuf, LogOffset))>,
    /// Told when it is known what they are.
    waiting: Vec<Stretch>,
    /// The first place at which no valid record stands, though one stands behind.
    broken_at: Option<LogOffset>,
    /// The end of the last vouched record behind that.
    valid_to: Option<LogOffset>,
    is_damage: bool,
    /// Parts without valid records, ascending.
    pub(super) bad: Vec<(LogOffset, LogOffset)>,
}

/// What it comes to.
#[derive(Debug)]
pub(super) struct Ended {
    /// Where the log ends.
    pub(super) at: LogOffset,
    pub(super) faults: Vec<Fault>,
}

impl LogEnd {
    pub(super) fn new(from: LogOffset) -> LogEnd {
        LogEnd {
            to: from,
            open: None,
            waiting: Vec::new(),
            broken_at: None,
            valid_to: None,
            is_damage: false,
            bad: Vec::new(),
        }
    }

    /// Where the segment before ended early, if records follow now: there somebody may have written on meanwhile.
    pub(super) fn gap_before(&self, done: &SegmentDone) -> Option<LogOffset> {
        let has_any = done.records > 0 || !done.bad.is_empty();
        self.open.as_ref().filter(|_| has_any).map(|(open, _)| open.at)
    }

    /// Takes in the rest of a segment that was looked at again from its early end on.
    pub(super) fn again(&mut self, scope: &Scope, done: SegmentDone) -> Vec<Fault> {
        self.open = None;
        self.to = done.to;
        self.take_parts(scope, done)
    }

    /// Takes in the next segment; answers the faults that are certain by now.
    pub(super) fn take(&mut self, scope: &Scope, done: SegmentDone) -> Vec<Fault> {
        let has_any = done.records > 0 || !done.bad.is_empty();
        let rubbish = done.open.as_ref().and_then(|open| open.last_nonzero);
        match self.open.take() {
            // Nothing yet, as before: made ahead. Rubbish lengthens the tail.
            Some((mut open, place)) if !has_any => {
                open.last_nonzero = rubbish.or(open.last_nonzero);
                self.open = Some((open, place));
                return Vec::new();
            }
            Some((open, place)) => self.close(open, place, done.base),
            None if self.to < done.base => self.missing(scope, done.base),
            None => {}
        }
        self.to = done.to;
        self.take_parts(scope, done)
    }

    fn take_parts(&mut self, scope: &Scope, done: SegmentDone) -> Vec<Fault> {
        let place = (done.path, done.base);
        for bad in done.bad {
            self.push(Stretch { bad, missing: false, place: place.clone() });
        }
        if let Some(open) = done.open {
            self.open = Some((open, place));
        }
        if let (Some(broken), Some(valid)) = (self.broken_at, done.vouched_to) {
            self.valid_to = self.valid_to.max(Some(valid).filter(|valid| *valid > broken));
        }
        self.judge(scope);
        self.certain(scope)
    }

    /// A segment that ended early has successors with records: what is between is lost.
    fn close(&mut self, open: Open, place: (PathBuf, LogOffset), to: LogOffset) {
        let zeros = open.last_nonzero.is_none();
        let bad = Bad { from: open.at, to, what: open.damage.to_string(), zeros, message: open.message };
        self.push(Stretch { bad, missing: false, place });
    }

    fn missing(&mut self, scope: &Scope, base: LogOffset) {
        let from = self.to;
        let dir = scope.parts.layout.commit_log();
        let what = Damage::MissingSegment.to_string();
        let bad = Bad { from, to: base, what, zeros: false, message: None };
        self.push(Stretch { bad, missing: true, place: (dir, from) });
    }

    fn push(&mut self, stretch: Stretch) {
        self.broken_at = self.broken_at.or(Some(stretch.bad.from));
        self.bad.push((stretch.bad.from, stretch.bad.to));
        self.waiting.push(stretch);
    }

    /// Once it is damage it stays damage, whatever comes behind.
    fn judge(&mut self, scope: &Scope) {
        if let Some(broken) = self.broken_at.filter(|_| !self.is_damage) {
            self.is_damage = is_damage(scope, broken, self.valid_to);
        }
    }

    fn certain(&mut self, scope: &Scope) -> Vec<Fault> {
        let waiting = if self.is_damage { std::mem::take(&mut self.waiting) } else { Vec::new() };
        waiting.into_iter().map(|stretch| listed(scope, stretch.fault())).collect()
    }

    /// The end of the log, all segments taken in.
    pub(super) fn end(mut self, scope: &Scope) -> (Ended, Vec<(LogOffset, LogOffset)>) {
        let mut faults = self.certain(scope);
        let open = self.open.take();
        let at = match (&open, self.broken_at) {
            (_, Some(broken)) if !self.is_damage => broken,
            (Some((open, _)), _) => open.at,
            (None, _) => self.to,
        };
        let rubbish_to = open.as_ref().and_then(|(open, _)| open.last_nonzero);
        let durable = scope.parts.before.mark.as_ref().map_or(LogOffset::ZERO, |mark| mark.durable);
        let early = at < durable && self.to < scope.limit;
        if scope.held && at >= durable {
            // What stands behind is being written.
        } else if !self.is_damage && (self.broken_at.is_some() || (rubbish_to.is_some() && !early)) {
            let first = self.waiting.first().map(|stretch| (stretch.place.clone(), stretch.bad.what.clone()));
            let tail = open.as_ref().map(|(open, place)| (place.clone(), open.damage.to_string()));
            if let Some((place, what)) = first.or(tail) {
                let to = rubbish_to.max(self.valid_to).unwrap_or(self.to).max(at);
                faults.push(Fault::of_log(FaultKind::TornTail, place, (at, to), what));
            }
        } else if let Some((open, place)) = open {
            let (kind, to) = match open.last_nonzero {
                Some(to) if early => (FaultKind::Rot, to),
                Some(to) => (FaultKind::TornTail, to),
                None => (FaultKind::EndsEarly, durable),
            };
            let what = match kind {
                FaultKind::EndsEarly => Damage::EndsEarly { durable }.to_string(),
                _ => open.damage.to_string(),
            };
            if early || kind != FaultKind::EndsEarly {
                let fault = Fault::of_log(kind, place, (open.at, to), what);
                faults.push(listed(scope, Fault { message: open.message, ..fault }));
            }
        } else if early {
            let place = (scope.parts.layout.commit_log(), at);
            let what = Damage::EndsEarly { durable }.to_string();
            faults.push(Fault::of_log(FaultKind::EndsEarly, place, (at, durable), what));
        }
        (Ended { at, faults }, self.bad)
    }
}

impl Stretch {
    fn fault(self) -> Fault {
        let kind = match (self.missing, self.bad.zeros) {
            (true, _) => FaultKind::MissingSegment,
            (false, true) => FaultKind::Hole,
            (false, false) => FaultKind::Rot,
        };
        let fault = Fault::of_log(kind, self.place, (self.bad.from, self.bad.to), self.bad.what);
        Fault { message: self.bad.message, ..fault }
    }
}

/// The fault, with a word on whether the store's list of damage has it.
fn listed(scope: &Scope, fault: Fault) -> Fault {
    let part = fault.log.and_then(|from| scope.parts.before.quarantine.at(from));
    let quarantined = part.is_some_and(|part| fault.log_to.is_none_or(|to| to <= part.to));
    Fault { quarantined, ..fault }
}

/// Whether the first bad place is damage, or the beginning of a tail that no sync covered.
fn is_damage(scope: &Scope, broken_at: LogOffset, valid_to: Option<LogOffset>) -> bool {
    let before = &scope.parts.before;
    recovery::is_damage(&recovery::weigh(before, scope.ours, broken_at, valid_to))
}
