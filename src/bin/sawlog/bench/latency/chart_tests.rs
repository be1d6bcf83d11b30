use super::*;
use crate::bench::work::histogram;

#[test]
fn every_policy_has_a_line_within_the_frame() {
    let run = |policy, ns: u64| {
        let mut waits = histogram().unwrap();
        (1..1000).for_each(|n| waits.record(ns * n).unwrap());
        Run { policy, waits, took: std::time::Duration::from_secs(1), syncs: 7, unsent: 0 }
    };
    let runs = [run(Policy::Sync, 100_000), run(Policy::Async, 30)];
    assert_eq!(powers(&runs), (2, 8));
    let picture = svg(&runs, "a try");
    assert_eq!(picture.matches("<polyline").count(), 2);
    for point in points(&runs[1].waits, 2, 8).split_whitespace() {
        let (x, y) = point.split_once(',').unwrap();
        let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
        assert!((LEFT..=WIDTH - RIGHT).contains(&x) && (TOP..=HEIGHT - BOTTOM).contains(&y), "{point}");
    }
    assert!(svg(&[], "nothing").ends_with("</svg>\n"));
}
