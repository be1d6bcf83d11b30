//! The Gregorian calendar in UTC: which date an instant has, and how people write it (RFC 3339).

use std::fmt;
use std::str::FromStr;

use super::Timestamp;

/// Milliseconds in a day.
const DAY_MS: i64 = 86_400_000;
/// The first millisecond of the year 0, and the last one whose year has four digits.
const WRITABLE_MS: std::ops::RangeInclusive<i64> = -62_167_219_200_000..=253_402_300_799_999;

/// Year, month and day of a number of days since 1 January 1970.
///
/// The year is taken to begin in March, so that a leap day is its last; 400 years have 146,097 days.
pub(crate) fn date_of(days: i64) -> (i64, i64, i64) {
    let since = days + 719_468;
    let (era, in_era) = (since.div_euclid(146_097), since.rem_euclid(146_097));
    let year_in_era = (in_era - in_era / 1_460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year_in_era + year_in_era / 4 - year_in_era / 100);
    // Five months have 153 days, from March and from August on.
    let shifted = (5 * in_year + 2) / 153;
    let day = in_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_in_era + i64::from(month <= 2), month, day)
}

/// The days since 1 January 1970 of a date; meaningless, but no panic, for a date that is none.
pub(crate) fn days_to(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, in_era) = (year.div_euclid(400), year.rem_euclid(400));
    let in_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719_468
}

/// As RFC 3339 writes it, in UTC and to the millisecond; a moment outside of the years 0 to 9999, which no such text
/// can name, as the number of milliseconds.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !WRITABLE_MS.contains(&self.0) {
            return write!(f, "{} ms", self.0);
        }
        let (year, month, day) = date_of(self.0.div_euclid(DAY_MS));
        let ms = self.0.rem_euclid(DAY_MS);
        let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        let text =
            format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1000);
        f.pad(&text)
    }
}

/// A text that names no moment.
///
/// ```
/// use sawlog::clock::Timestamp;
///
/// let refused = "yesterday".parse::<Timestamp>().unwrap_err();
/// assert!(refused.to_string().starts_with("\"yesterday\" is no time"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no time: give RFC 3339, such as 2024-05-01T09:30:00Z or 2024-05-01T11:30:00.5+02:00, a date, or the \
     milliseconds since 1970"
)]
pub struct BadTime(String);

/// A moment as RFC 3339 writes it (what is finer than a millisecond is dropped; a blank may stand for the `T`), a date
/// alone (its first moment in UTC), or the number of milliseconds since 1970.
///
/// ```
/// use sawlog::clock::Timestamp;
///
/// assert_eq!("2023-11-14T22:13:20.123Z".parse(), Ok(Timestamp(1_700_000_000_123)));
/// assert_eq!("2023-11-15 00:13:20.1234+02:00".parse(), Ok(Timestamp(1_700_000_000_123)));
/// assert_eq!("1700000000123".parse(), Ok(Timestamp(1_700_000_000_123)));
/// assert_eq!(Timestamp(1_700_000_000_123).to_string(), "2023-11-14T22:13:20.123Z");
/// ```
impl FromStr for Timestamp {
    type Err = BadTime;

    fn from_str(text: &str) -> Result<Timestamp, BadTime> {
        let ms = text.parse().ok().or_else(|| moment(text));
        ms.map(Timestamp).ok_or_else(|| BadTime(text.to_owned()))
    }
}

fn moment(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let days = date_days(date)?;
    if rest.is_empty() {
        return Some(days * DAY_MS);
    }
    let time = rest.strip_prefix(['T', 't', ' '])?;
    let (hms, rest) = time.split_at_checked(8)?;
    let in_day = match hms.as_bytes() {
        [_, _, b':', _, _, b':', _, _] => {
            let part = |at: usize, most| hms.get(at..at + 2).and_then(|text| number(text, most));
            // A leap second is the last one of its minute once more.
            let (hour, minute, second) = (part(0, 23)?, part(3, 59)?, part(6, 60)?.min(59));
            hour * 3_600_000 + minute * 60_000 + second * 1000
        }
        _ => return None,
    };
    let digits = rest.strip_prefix('.').map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    let (fraction, zone) = match digits {
        0 => ("", rest),
        digits => rest.split_at_checked(digits + 1)?,
    };
    let ms = fraction.bytes().skip(1).chain(*b"000").take(3);
    let ms = ms.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    Some(days * DAY_MS + in_day + ms - zone_ms(zone)?)
}

/// A date as `yyyy-mm-dd`; none that the calendar does not have.
fn date_days(date: &str) -> Option<i64> {
    let [_, _, _, _, b'-', _, _, b'-', _, _] = date.as_bytes() else { return None };
    let part = |at: std::ops::Range<usize>, most| date.get(at).and_then(|text| number(text, most));
    let (year, month, day) = (part(0..4, 9999)?, part(5..7, 12)?, part(8..10, 31)?);
    let days = days_to(year, month, day);
    (date_of(days) == (year, month, day)).then_some(days)
}

/// How far a zone is ahead of UTC.
fn zone_ms(zone: &str) -> Option<i64> {
    if zone == "Z" || zone == "z" {
        return Some(0);
    }
    let sign = match zone.as_bytes() {
        [b'+', _, _, b':', _, _] => 1,
        [b'-', _, _, b':', _, _] => -1,
        _ => return None,
    };
    let part = |at: std::ops::Range<usize>, most| zone.get(at).and_then(|text| number(text, most));
    Some(sign * (part(1..3, 23)? * 3_600_000 + part(4..6, 59)? * 60_000))
}

fn number(digits: &str, most: i64) -> Option<i64> {
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|number| all_digits && *number <= most)
}

#[cfg(test)]
#[path = "calendar_tests.rs"]
mod tests;
