use super::*;

#[test]
fn each_value_lies_in_the_bucket_that_its_bits_say() {
    for (value, end) in
        [(0, 0), (1, 1), (2, 3), (3, 3), (4, 7), (1 << 20, (1 << 21) - 1), (u64::MAX, u64::MAX)]
    {
        let tally = Tally::default();
        tally.note(value);
        assert_eq!(tally.snapshot().buckets().collect::<Vec<_>>(), [(end, 1)], "{value}");
        assert_eq!(tally.snapshot().max(), value);
    }
}

#[test]
fn shares_are_rounded_up_and_never_above_the_greatest() {
    let tally = Tally::default();
    for value in 1..=1000 {
        tally.note(value);
    }
    let histogram = tally.snapshot();
    assert_eq!((histogram.count(), histogram.sum(), histogram.mean()), (1000, 500_500, 500));
    for share in 1..=1000 {
        let (exact, told) = (u64::from(share), histogram.per_mille(share));
        assert!(exact <= told && told < 2 * exact.max(1), "{share}: {told}");
    }
    assert_eq!((histogram.per_mille(1000), histogram.per_mille(u32::MAX)), (1000, 1000));
}

#[test]
fn an_empty_one_answers_zero() {
    let histogram = Tally::default().snapshot();
    assert_eq!(
        (histogram.count(), histogram.mean(), histogram.max(), histogram.per_mille(999)),
        (0, 0, 0, 0)
    );
}
