//! Look-up by store time in anything that is numbered in the order of storing: a halving search.

use crate::clock::Timestamp;
use crate::error::Result;

/// Which of the messages around a moment is meant (`BoundaryType`, spec 11.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Bound {
    /// The first message at or after it (`LOWER`). The default.
    #[default]
    First,
    /// The last message at or before it (`UPPER`).
    Last,
}

/// What stands at an offset of the queue, or at the next one that is no blank.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe {
    /// The offset.
    pub(crate) at: u64,
    /// When it was stored. `None`: removed by retention, and so before everything that is there.
    pub(crate) stored: Option<Timestamp>,
}

/// The answer within `[min, max]`, at logarithmic cost.
pub(crate) fn search(
    min: u64,
    max: u64,
    bound: Bound,
    time: Timestamp,
    mut probe: impl FnMut(u64) -> Result<Probe>,
) -> Result<u64> {
    let is_before = |stored: Option<Timestamp>| match bound {
        Bound::First => stored.is_none_or(|stored| stored < time),
        Bound::Last => stored.is_none_or(|stored| stored <= time),
    };
    // Everything below `low` is before the border, everything from `high` on is not. Blanks go with what follows.
    let (mut low, mut high) = (min, max);
    let mut first_behind = max;
    while low < high {
        let middle = low.midpoint(high);
        let found = probe(middle)?;
        if is_before(found.stored) {
            low = found.at.saturating_add(1);
        } else {
            high = middle;
            first_behind = found.at;
        }
    }
    Ok(match bound {
        Bound::First => first_behind,
        // What stands below the border is no blank, for a blank goes with what follows.
        Bound::Last => low.saturating_sub(1).max(min),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Bound::{First, Last};

    /// Searches a made-up queue; `None` in it is a blank. Says how many probes it took, too.
    fn look(min: usize, stored: &[Option<i64>], time: i64, bound: Bound) -> (usize, usize) {
        let mut probes = 0;
        let max = stored.len() as u64;
        let found = search(min as u64, max, bound, Timestamp(time), |at| {
            probes += 1;
            let at = usize::try_from(at).unwrap();
            let at = (at..stored.len()).find(|at| stored[*at].is_some()).unwrap();
            Ok(Probe { at: at as u64, stored: stored[at].map(Timestamp) })
        });
        (usize::try_from(found.unwrap()).unwrap(), probes)
    }

    fn answers(min: usize, stored: &[i64], time: i64) -> (usize, usize) {
        let stored: Vec<_> = stored.iter().copied().map(Some).collect();
        (look(min, &stored, time, First).0, look(min, &stored, time, Last).0)
    }

    #[test]
    fn the_answers_are_those_of_rocketmq_also_between_and_beyond_equal_times() {
        let stored = [1_000_000, 1_000_000, 1_000_000, 1_000_100, 1_000_100, 1_000_100, 1_000_300, 1_000_300];
        // Spec 11.4, measured on RocketMQ.
        let table = [
            (999_999, (0, 0)),
            (1_000_000, (0, 2)),
            (1_000_050, (3, 2)),
            (1_000_100, (3, 5)),
            (1_000_200, (6, 5)),
            (1_000_300, (6, 7)),
            (1_000_301, (8, 7)),
        ];
        for (time, expected) in table {
            assert_eq!(answers(0, &stored, time), expected, "{time}");
        }
    }

    #[test]
    fn no_answer_lies_outside_of_the_queue() {
        assert_eq!(answers(0, &[], 5), (0, 0));
        assert_eq!(answers(2, &[1, 2, 3, 4], 0), (2, 2));
        assert_eq!(answers(2, &[1, 2, 3, 4], 9), (4, 3));
        assert_eq!(answers(4, &[1, 2, 3, 4], 2), (4, 4), "nothing is left");
        assert_eq!(answers(0, &[1, 2], i64::MIN), (0, 0));
        assert_eq!(answers(0, &[1, 2], i64::MAX), (2, 1));
    }

    #[test]
    fn a_blank_is_never_the_answer() {
        let stored = [Some(10), None, None, Some(20), None, Some(30)];
        for time in 0..40 {
            for bound in [First, Last] {
                let (found, _) = look(0, &stored, time, bound);
                assert!(found == 6 || stored[found].is_some(), "{time} {bound:?}: {found}");
            }
        }
        assert_eq!(look(0, &stored, 15, First).0, 3);
        assert_eq!(look(0, &stored, 15, Last).0, 0);
        assert_eq!(look(0, &stored, 29, First).0, 5);
    }

    #[test]
    fn every_answer_is_that_of_a_plain_walk_and_costs_few_probes() {
        let stored: Vec<_> = (0..1000_i64).map(|n| Some(n / 7 * 5)).collect();
        for time in -3..720 {
            let first = stored.iter().position(|s| s.unwrap() >= time).unwrap_or(1000);
            let last = stored.iter().rposition(|s| s.unwrap() <= time).unwrap_or(0);
            assert_eq!(look(0, &stored, time, First).0, first, "{time}");
            let (found, probes) = look(0, &stored, time, Last);
            assert_eq!(found, last, "{time}");
            assert!(probes <= 10, "{probes}");
        }
    }
}
