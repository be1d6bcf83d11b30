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
