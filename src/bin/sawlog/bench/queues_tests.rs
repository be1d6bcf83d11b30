use super::*;

#[test]
fn every_acknowledged_message_may_be_drawn_and_no_other() {
    let tallies = [3, 0, 2].map(|count| Tally { count, places: 0 });
    let all: std::collections::BTreeSet<_> = (0..FINDS)
        .filter_map(|n| drawn(7, n, &tallies))
        .map(|number| (number.producer, number.sequence))
        .collect();
    assert_eq!(all.into_iter().collect::<Vec<_>>(), [(0, 0), (0, 1), (0, 2), (2, 0), (2, 1)]);
    assert_eq!(drawn(7, 0, &[Tally::default()]), None);
}
