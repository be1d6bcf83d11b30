use super::*;

#[test]
fn waits_are_shown_in_the_unit_that_fits() {
    assert_eq!([999, 1_500, 2_500_000, 3_000_000_000].map(shown), ["999 ns", "1.5 µs", "2.50 ms", "3.00 s"]);
}

#[test]
fn the_longest_wait_has_the_longest_bar() {
    assert_eq!(bar(1_000_000, 1_000_000).chars().count(), 24);
    assert_eq!(bar(100, 1_000_000), "");
    assert_eq!(bar(10_000, 1_000_000).chars().count(), 12);
}
