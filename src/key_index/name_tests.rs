use super::*;

#[test]
fn instants_are_named_as_the_calendar_says() {
    let cases = [
        (0, 19_700_101_000_000_000),
        (951_782_399_999, 20_000_228_235_959_999),
        (951_782_400_000, 20_000_229_000_000_000),
        (951_868_800_000, 20_000_301_000_000_000),
        (1_700_000_000_123, 20_231_114_221_320_123),
        (4_107_542_400_000, 21_000_301_000_000_000),
        (LAST_MS, 99_991_231_235_959_999),
    ];
    for (ms, name) in cases {
        assert_eq!(next(Timestamp(ms), None), name);
        assert_eq!(to_ms(name), Some(ms));
    }
    assert_eq!(digits(19_700_101_000_000_000), "19700101000000000");
}

#[test]
fn every_day_of_five_centuries_comes_back() {
    for day in 0..365 * 500 {
        let ms = day * DAY_MS + 12_345;
        assert_eq!(to_ms(of_ms(ms)), Some(ms));
        assert!(of_ms(ms) < of_ms(ms + DAY_MS));
    }
}

#[test]
fn a_clock_that_stands_still_or_goes_back_gives_the_next_millisecond() {
    let last = next(Timestamp(1_700_000_000_123), None);
    assert_eq!(next(Timestamp(1_700_000_000_123), Some(last)), last + 1);
    assert_eq!(next(Timestamp(-5), Some(last)), last + 1);
    assert_eq!(next(Timestamp(1_700_000_000_124), Some(last)), last + 1);
    assert_eq!(next(Timestamp(1_700_000_000_125), Some(last)), last + 2);
}

#[test]
fn the_millisecond_behind_the_end_of_a_year_is_in_the_next_one() {
    assert_eq!(next(Timestamp(0), Some(20_231_231_235_959_999)), 20_240_101_000_000_000);
    assert_eq!(next(Timestamp(0), Some(20_240_228_235_959_999)), 20_240_229_000_000_000);
    assert_eq!(next(Timestamp(0), Some(20_240_229_235_959_999)), 20_240_301_000_000_000);
}

#[test]
fn a_name_that_is_no_instant_is_followed_by_the_next_number() {
    for name in [20_231_301_000_000_000, 20_230_229_000_000_000, 20_230_101_240_000_000, u64::MAX >> 1] {
        assert_eq!(next(Timestamp(0), Some(name)), name + 1, "{name}");
    }
    assert_eq!(next(Timestamp(i64::MAX), Some(99_991_231_235_959_999)), 99_991_231_235_960_000);
}
