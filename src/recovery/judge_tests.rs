use super::*;

/// A power cut under our own hand, with a good record behind the bad place.
const TORN: Evidence = Evidence {
    broken_at: LogOffset(1000),
    durable: Some(LogOffset(900)),
    valid_to: Some(LogOffset(1500)),
    window_bytes: Some(600),
    ours: true,
    closed: false,
    same_boot: false,
    failed: false,
};

#[test]
fn a_good_record_behind_a_bad_one_is_ordinary_after_a_power_cut() {
    assert!(!is_damage(&TORN));
}

#[test]
fn each_of_the_six_proofs_makes_it_damage() {
    let proofs = [
        Evidence { durable: Some(LogOffset(1001)), ..TORN },
        Evidence { valid_to: None, durable: Some(LogOffset(1001)), ..TORN },
        Evidence { window_bytes: Some(499), ..TORN },
        Evidence { ours: false, window_bytes: None, ..TORN },
        Evidence { closed: true, ..TORN },
        Evidence { same_boot: true, ..TORN },
    ];
    for proof in proofs {
        assert!(is_damage(&proof), "{proof:?}");
    }
}

#[test]
fn the_window_proves_nothing_at_its_very_width() {
    assert!(!is_damage(&Evidence { window_bytes: Some(500), ..TORN }));
}

#[test]
fn a_failed_sync_explains_what_the_same_boot_would_not() {
    assert!(!is_damage(&Evidence { same_boot: true, failed: true, ..TORN }));
}

#[test]
fn with_nothing_good_behind_it_it_is_a_tail_whoever_wrote() {
    let tail = Evidence { valid_to: None, ours: false, closed: true, same_boot: true, ..TORN };
    assert!(!is_damage(&tail));
    assert!(!is_damage(&Evidence { durable: None, ..tail }));
    assert!(!is_damage(&Evidence { durable: Some(LogOffset(1000)), ..tail }));
}
