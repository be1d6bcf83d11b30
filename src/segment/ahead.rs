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
mod tests {
    use super::*;

    const STEP: u64 = STEP_BYTES;
    const LEN: u64 = 64 << 20;

    fn makes(turn: Turn) -> (u64, u64) {
        match turn {
            Turn::Make(from, to) => (from, to),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_janitor_begins_away_from_the_tail_and_comes_back() {
        let (mut ahead, mut seen) = (Ahead::default(), Vec::new());
        while let Some(stretch) = ahead.turn_of_janitor(100, 4 << 20, LEN) {
            seen.push(stretch);
            ahead.made();
        }
        assert_eq!(seen.first(), Some(&(100 + AWAY_BYTES, 100 + AWAY_BYTES + STEP)));
        seen.sort_unstable();
        let expected: Vec<_> = (0..16).map(|n| (100 + n * STEP, 100 + (n + 1) * STEP)).collect();
        assert_eq!(seen, expected, "everything once, and no small rest");
        assert!(matches!(ahead.turn_of_tail(100, 5000, LEN), Turn::Ready));
        assert_eq!(ahead.zeroed(), 100 + (4 << 20));
    }

    #[test]
    fn a_tail_makes_its_own_up_to_what_the_janitor_has_or_is_at() {
        let mut ahead = Ahead::default();
        ahead.turn_of_janitor(0, 4 << 20, LEN).unwrap();
        ahead.made();
        let at_hand = ahead.turn_of_janitor(0, 4 << 20, LEN).unwrap();
        assert_eq!(at_hand.0, AWAY_BYTES + STEP);
        assert_eq!(makes(ahead.turn_of_tail(0, 10, LEN)), (0, STEP));
        assert!(matches!(ahead.turn_of_tail(10, STEP, LEN), Turn::Ready));
        let most = AWAY_BYTES + STEP - 10;
        assert_eq!(
            makes(ahead.turn_of_tail(STEP, most, LEN)),
            (STEP, AWAY_BYTES),
            "and what was made is passed"
        );
        assert_eq!(ahead.zeroed(), AWAY_BYTES + STEP);
        let Turn::Wait(done) = ahead.turn_of_tail(most, most + 20, LEN) else {
            panic!("it is in the making")
        };
        ahead.made().unwrap().set();
        assert!(done.has_happened());
        assert!(matches!(ahead.turn_of_tail(most, most + 20, LEN), Turn::Ready));
    }

    #[test]
    fn a_positioned_write_waits_for_what_is_in_the_making_below_its_end() {
        let mut ahead = Ahead::default();
        let (from, _) = ahead.turn_of_janitor(0, STEP, LEN).unwrap();
        assert!(ahead.in_the_way(from).is_none());
        assert!(ahead.in_the_way(from + 1).is_some());
        ahead.made();
        assert!(ahead.in_the_way(from + 1).is_none());
    }

    #[test]
    fn the_segments_end_is_the_end() {
        let mut ahead = Ahead::default();
        let len = STEP + 1000;
        assert_eq!(makes(ahead.turn_of_tail(STEP - 10, STEP + 1, len)), (STEP - 10, len));
        assert!(matches!(ahead.turn_of_tail(len, len + 8, len), Turn::Ready));
        assert_eq!(ahead.turn_of_janitor(len, STEP, len), None);
    }

    /// Whatever the two do in turns, no byte is made ready twice, nor after the tail has written it, and the tail never
    /// waits for anything but what the janitor is at.
    #[test]
    fn no_byte_is_made_ready_twice() {
        for seed in 1..=200_u64 {
            let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let mut chance = |of: u64| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state % of
            };
            let len = 8 * STEP + chance(STEP);
            let (mut ahead, mut ready, mut at, mut busy) = (Ahead::default(), Vec::new(), 0, None);
            while at < len {
                match chance(3) {
                    0 if busy.is_none() => busy = ahead.turn_of_janitor(at, chance(6 * STEP), len),
                    0 | 1 => {
                        ready.extend(busy.take());
                        ahead.made();
                    }
                    _ => {
                        let end = (at + 1 + chance(STEP / 2)).min(len);
                        match ahead.turn_of_tail(at, end, len) {
                            Turn::Ready => at = end,
                            Turn::Make(from, to) => {
                                assert!(at <= from && from < to && to <= len);
                                ready.push((from, to));
                            }
                            Turn::Wait(_) => assert!(busy.is_some_and(|(from, to)| from < end && at < to)),
                        }
                    }
                }
            }
            ready.extend(busy);
            ready.sort_unstable();
            assert!(ready.windows(2).all(|pair| pair[0].1 <= pair[1].0), "seed {seed}: {ready:?}");
        }
    }
}
