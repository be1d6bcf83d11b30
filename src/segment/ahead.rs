//! Who makes which stretch of a segment ready, when two do: the janitor ahead of the tail, and the tail itself where
//! it has caught up. Pure: numbers alone, in bytes from the segment's base.
//!
//! ```text
//! ready: written, or      the tail's          made            in the making        untouched
//! made or being made        own next
//! |-------- zeroed |.....................|-----------|......|--------------|....................
//! ```
//! The janitor works a little away from the tail, for it may lose its processor at any moment: what it has in its
//! hands then nobody else can write, and a tail that comes to it must wait. What is between them, the tail makes itself.

use std::sync::Arc;

use crate::sync::Event;

/// How much is made ready at once.
pub(super) const STEP_BYTES: u64 = 256 << 10;
/// How far from the tail the janitor begins: as much as a tail that makes its own pages takes some milliseconds for,
/// about as long as a processor is given to somebody else.
const AWAY_BYTES: u64 = 2 << 20;

/// What a segment knows of it.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// Below this number nothing is zeroed any more but by the tail itself: it is ready, or the tail is there.
    zeroed: u64,
    /// What the janitor is at, and how to wait for it.
    making: Option<(u64, u64, Arc<Event>)>,
    /// Stretches ready beyond `zeroed`, ascending and apart.
    made: Vec<(u64, u64)>,
}

/// What a tail that wants to write has to do first.
#[derive(Debug)]
pub(super) enum Turn {
    /// Nothing.
    Ready,
    /// Make this stretch ready; nobody else will.
    Make(u64, u64),
    /// Wait for the janitor, and ask again.
    Wait(Arc<Event>),
}

impl Ahead {
    pub(super) fn zeroed(&self) -> u64 {
        self.zeroed
    }

    /// Nothing below `to` is to be zeroed from now on.
    pub(super) fn raise(&mut self, to: u64) {
        self.zeroed = self.zeroed.max(to);
        while let Some((_, to)) = self.made.first().filter(|(from, _)| *from <= self.zeroed) {
            self.zeroed = self.zeroed.max(*to);
            self.made.remove(0);
        }
    }

    /// Whoever is to write below `end` waits for this first.
    pub(super) fn in_the_way(&self, end: u64) -> Option<Arc<Event>> {
        self.making.as_ref().filter(|(from, _, _)| *from < end).map(|(_, _, done)| Arc::clone(done))
    }

    /// For a tail at `at`, which is about to write up to `end` in a segment of `len` bytes.
    pub(super) fn turn_of_tail(&mut self, at: u64, end: u64, len: u64) -> Turn {
        self.raise(at);
        let from = self.zeroed;
        if end <= from {
            return Turn::Ready;
        }
        let mut to = end.max(from.saturating_add(STEP_BYTES)).min(len);
        if let Some((making, _, done)) = &self.making {
            if *making <= from {
                return Turn::Wait(Arc::clone(done));
            }
            to = to.min(*making);
        }
        to = self.made.first().map_or(to, |(made, _)| to.min(*made));
        if to <= from {
            // Beyond the segment's end: the write itself will say so.
            return Turn::Ready;
        }
        self.raise(to);
        Turn::Make(from, to)
    }

    /// For the janitor, with a tail at `tail`: the next stretch to be made ready of `ahead` bytes in front of it, if
    /// there is one that is worth a call. [`Ahead::made`] must follow.
    pub(super) fn turn_of_janitor(&mut self, tail: u64, ahead: u64, len: u64) -> Option<(u64, u64)> {
        let (near, limit) = (self.zeroed.max(tail), tail.saturating_add(ahead).min(len));
        let away = AWAY_BYTES.min(ahead / 2);
        let gap = |from: u64| {
            let mut from = from;
            for (made_from, made_to) in &self.made {
                if *made_from > from {
                    return (from, from.saturating_add(STEP_BYTES).min(*made_from));
                }
                from = from.max(*made_to);
            }
            (from, from.saturating_add(STEP_BYTES).min(len))
        };
        // Small steps are not worth a call: not before all of it is within the limit.
        let fits = |(from, to): &(u64, u64)| from < to && *to <= limit;
        let (from, to) = Some(gap(near.saturating_add(away))).filter(fits).or(Some(gap(near)).filter(fits))?;
        self.making = Some((from, to, Arc::default()));
        Some((from, to))
    }

    /// The janitor has made its stretch ready; whoever waits for it is to be told.
    pub(super) fn made(&mut self) -> Option<Arc<Event>> {
        let (from, to, done) = self.making.take()?;
        let place = self.made.partition_point(|(other, _)| *other < from);
        self.made.insert(place, (from, to));
        self.raise(0);
        Some(done)
    }
}

#[cfg(test)]
#[path = "ahead_tests.rs"]
mod tests;
