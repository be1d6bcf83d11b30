use super::*;

#[test]
fn producers_take_turns_and_what_was_due_is_counted() {
    let pace = |number: u64| Pace {
        every: Some(Duration::from_millis(40)),
        first: Duration::from_millis(10 * number),
        until: Duration::from_secs(1),
    };
    assert_eq!(pace(0).due(0), Some(Duration::ZERO));
    assert_eq!(pace(3).due(2), Some(Duration::from_millis(110)));
    assert_eq!((left(&pace(0), 0), left(&pace(0), 24), left(&pace(0), 25)), (25, 1, 0));
}

#[test]
fn a_histogram_reads_as_hdr_tools_have_it() {
    let mut waits = histogram().unwrap();
    for ms in 1..=100 {
        waits.record(ms * 1_000_000).unwrap();
    }
    let text = distribution(&waits);
    assert!(text.starts_with("       Value     Percentile TotalCount"), "{text}");
    assert!(text.contains("Total count    =          100]"), "{text}");
    let last = text.lines().rfind(|line| !line.starts_with('#')).unwrap();
    let words: Vec<_> = last.split_whitespace().collect();
    assert_eq!(words[1..], ["1.000000000000", "100"]);
}
