//! Names of index files: the instant of their making, as `yyyyMMddHHmmssSSS` in UTC (spec 1.3).
//!
//! Only the order of the names counts, so each is later than the one before it, whatever the clock does. The digits
//! are ASCII, whatever the locale (H30).

use crate::clock::{Timestamp, date_of, days_to};

/// Milliseconds in a day.
const DAY_MS: i64 = 86_400_000;
/// The last millisecond whose year has four digits.
const LAST_MS: i64 = 253_402_300_799_999;

/// The name of a file made at `now`, as a number: at least a millisecond behind `last`, the name of the file before.
pub(super) fn next(now: Timestamp, last: Option<u64>) -> u64 {
    let by_clock = of_ms(now.0.clamp(0, LAST_MS));
    let Some(last) = last else { return by_clock };
    if by_clock > last {
        return by_clock;
    }
    // Behind the last instant that has a name, or a name that is no instant, the number alone goes on.
    let later = to_ms(last).map(|ms| ms.saturating_add(1)).filter(|ms| *ms <= LAST_MS);
    later.map(of_ms).unwrap_or_else(|| last.saturating_add(1))
}

/// The digits of a name.
pub(super) fn digits(name: u64) -> String {
    format!("{name:017}")
}

/// The instant as a number of 17 digits.
fn of_ms(ms: i64) -> u64 {
    let (year, month, day) = date_of(ms.div_euclid(DAY_MS));
    let in_day = ms.rem_euclid(DAY_MS);
    let (hour, minute) = (in_day / 3_600_000, in_day / 60_000 % 60);
    let (second, milli) = (in_day / 1000 % 60, in_day % 1000);
    let parts =
        [(year, 1), (month, 100), (day, 100), (hour, 100), (minute, 100), (second, 100), (milli, 1000)];
    let number = parts.iter().fold(0_i64, |number, (part, places)| number * places + part);
    u64::try_from(number).unwrap_or(0)
}

/// The instant that a number names; `None` if it names none.
fn to_ms(name: u64) -> Option<i64> {
    let mut rest = i64::try_from(name).ok()?;
    let mut last = |places: i64| {
        let part = rest % places;
        rest /= places;
        part
    };
    let (milli, second, minute, hour) = (last(1000), last(100), last(100), last(100));
    let (day, month, year) = (last(100), last(100), last(100_000_000));
    let days = days_to(year, month, day);
    let ms = days * DAY_MS + hour * 3_600_000 + minute * 60_000 + second * 1000 + milli;
    // A part out of its range would come back as another instant.
    ((0..=LAST_MS).contains(&ms) && of_ms(ms) == name).then_some(ms)
}

#[cfg(test)]
mod tests {
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
}
