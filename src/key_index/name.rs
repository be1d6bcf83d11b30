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
#[path = "name_tests.rs"]
mod tests;
