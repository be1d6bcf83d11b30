use super::*;

const HOUR_MS: i64 = 3_600_000;
const SEALED: [Old; 4] = [old(100), old(200), old(300), old(400)];

const fn old(base: u64) -> Old {
    Old { base: LogOffset(base), bytes: 100 }
}

/// Four sealed segments of 100 bytes and one being written, on a disk of 1,000 with half of it free.
const SCENE: Scene<'static> = Scene {
    sealed: &SEALED,
    active_bytes: 100,
    given_up_bytes: 0,
    wanted_bytes: 0,
    space: Some(Space { total: 1000, free: 500 }),
    now: Timestamp(100 * HOUR_MS),
    asked: None,
};

fn none() -> Retention {
    Retention::keep_all().refuse_above(None)
}

/// The verdict where the segment that begins at b has its last record at b / 100 hours.
fn decide(rules: Retention, scene: Scene<'_>) -> Option<(u64, Why)> {
    let hour = |base: LogOffset| i64::try_from(base.0 / 100).unwrap() * HOUR_MS;
    rules.decide(&scene, |base, cutoff| hour(base) <= cutoff.0).map(|v| (v.first.0, v.why))
}

#[test]
fn without_a_rule_nothing_goes() {
    assert_eq!(decide(none(), SCENE), None);
    let full = Scene { space: Some(Space { total: 1000, free: 0 }), ..SCENE };
    assert_eq!(decide(Retention::keep_all(), full), None);
}

#[test]
fn what_is_as_old_as_the_limit_goes_and_a_segment_before_a_younger_one_alone() {
    let hours = |n: u64| none().max_age(Duration::from_secs(n * 3600));
    assert_eq!(decide(hours(100), SCENE), None);
    assert_eq!(decide(hours(99), SCENE), Some((200, Why::Age)));
    assert_eq!(decide(hours(97), SCENE), Some((400, Why::Age)));
    assert_eq!(decide(hours(1), SCENE), Some((500, Why::Age)), "all but the active one");
    // The oldest is young: what lies behind it stays, however old.
    let rules = hours(98);
    let young_first = rules.decide(&SCENE, |base, _| base.0 > 100);
    assert_eq!(young_first, None);
}

#[test]
fn a_clock_that_jumps_back_removes_nothing_more_and_the_ends_of_time_do_not_wrap() {
    let rules = none().max_age(Duration::from_secs(3600));
    for now in [0, i64::MIN, HOUR_MS] {
        assert_eq!(decide(rules, Scene { now: Timestamp(now), ..SCENE }), None);
    }
    let for_ever = none().max_age(Duration::MAX);
    assert_eq!(decide(for_ever, Scene { now: Timestamp(i64::MAX), ..SCENE }), None);
}

#[test]
fn by_bytes_the_oldest_go_until_the_rest_fits_but_never_the_active_one() {
    assert_eq!(decide(none().max_bytes(500), SCENE), None);
    assert_eq!(decide(none().max_bytes(499), SCENE), Some((200, Why::Bytes)));
    assert_eq!(decide(none().max_bytes(200), SCENE), Some((400, Why::Bytes)));
    assert_eq!(decide(none().max_bytes(1), SCENE), Some((500, Why::Bytes)));
}

#[test]
fn by_disk_use_the_oldest_go_until_so_much_is_free() {
    let rules = none().max_disk_used(0.5);
    let free = |free| Scene { space: Some(Space { total: 1000, free }), ..SCENE };
    assert_eq!(decide(rules, free(500)), None);
    assert_eq!(decide(rules, free(499)), Some((200, Why::DiskUse)));
    assert_eq!(decide(rules, free(250)), Some((400, Why::DiskUse)));
    assert_eq!(decide(rules, free(0)), Some((500, Why::DiskUse)));
    assert_eq!(decide(rules, Scene { space: None, ..SCENE }), None, "nobody knows how full it is");
}

#[test]
fn bytes_that_were_given_up_count_as_free() {
    let rules = none().max_disk_used(0.5);
    let full = Scene { space: Some(Space { total: 1000, free: 350 }), ..SCENE };
    assert_eq!(decide(rules, full), Some((300, Why::DiskUse)));
    assert_eq!(decide(rules, Scene { given_up_bytes: 150, ..full }), None);
}

#[test]
fn the_next_segment_gets_room_below_the_guard() {
    let rules = none().max_disk_used(0.8).refuse_above(0.8);
    let nearly = Scene { space: Some(Space { total: 1000, free: 250 }), ..SCENE };
    assert_eq!(decide(rules, nearly), None);
    assert_eq!(decide(rules, Scene { wanted_bytes: 100, ..nearly }), Some((200, Why::DiskUse)));
    let keeps = rules.max_disk_used(None);
    assert_eq!(decide(keeps, Scene { wanted_bytes: 100, ..nearly }), None, "a full disk removes nothing");
}

#[test]
fn whole_segments_below_a_place_go_when_asked() {
    let asked = |at| Scene { asked: Some(LogOffset(at)), ..SCENE };
    for (at, first) in [(0, None), (199, None), (200, Some(200)), (399, Some(300)), (9999, Some(500))] {
        assert_eq!(decide(none(), asked(at)), first.map(|first| (first, Why::Asked)), "{at}");
    }
}

#[test]
fn the_rules_work_together_and_ages_are_asked_for_last() {
    let rules = none().max_bytes(400).max_age(Duration::from_secs(98 * 3600));
    let mut asked = Vec::new();
    let verdict = rules.decide(&SCENE, |base, _| {
        asked.push(base.0);
        base.0 < 300
    });
    assert_eq!(verdict, Some(Verdict { first: LogOffset(300), why: Why::Age }));
    assert_eq!(asked, [200, 300]);
}

#[test]
fn a_shortfall_is_what_must_become_free() {
    let space = Space { total: 1000, free: 150 };
    assert_eq!(shortfall_bytes(space, 0, 0.9), 0);
    assert_eq!(shortfall_bytes(space, 50, 0.9), 0);
    assert_eq!(shortfall_bytes(space, 51, 0.9), 1);
    assert_eq!(shortfall_bytes(space, u64::MAX, 0.5), u64::MAX - 500);
    assert_eq!(shortfall_bytes(Space { total: 0, free: 0 }, 0, 0.5), 0);
}

#[test]
fn rules_that_cannot_be_kept_are_refused() {
    assert!(Retention::default().check().is_ok() && none().check().is_ok());
    let fine = none().max_disk_used(0.0).refuse_above(1.0);
    assert!(fine.check().is_ok());
    for bad in [
        none().max_age(Duration::ZERO),
        none().max_bytes(0),
        none().max_disk_used(f64::NAN),
        none().max_disk_used(-0.1),
        none().refuse_above(1.01),
        none().refuse_above(f64::INFINITY),
        Retention::default().max_disk_used(0.95),
    ] {
        assert!(matches!(bad.check(), Err(Error::InvalidOptions(_))), "{bad:?}");
    }
}
