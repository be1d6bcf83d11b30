//! Delay levels: when a message that was put aside is due.
//!
//! A broker keeps a message that is to be delivered later in a topic of its own, with a level in its property
//! `DELAY`. The entry of its queue then carries the delivery time where others carry the hash of the tag (spec 3.3),
//! so that whoever delivers need not read the log to wait.

use std::str::FromStr;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::error::{Error, Result};

/// The topic of messages that wait for their time (spec 3.3).
const DELAY_TOPIC: &str = "SCHEDULE_TOPIC_XXXX";
/// The delay of a level that the table does not have (spec 3.3).
const MISSING_MS: i64 = 1000;
const DEFAULT: [u64; 18] =
    [1, 5, 10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200];

/// The table from a delay level to a delay: RocketMQ's `messageDelayLevel` (spec 14.1). Level 1 is the first.
///
/// It decides bytes in the queues of delayed messages, so it must be the one that the brokers of these files have.
/// Default: `1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h`.
///
/// ```
/// use sawlog::DelayLevels;
///
/// let levels: DelayLevels = "1s 5s 1m 2d".parse()?;
/// assert_ne!(levels, DelayLevels::default());
/// # Ok::<(), sawlog::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelayLevels {
    /// Milliseconds, level 1 first.
    delays_ms: Vec<i64>,
}

impl DelayLevels {
    /// The table in RocketMQ's notation: whole numbers, each followed by its unit `s`, `m`, `h` or `d`, with one
    /// space between two.
    ///
    /// # Errors
    /// [`Error::InvalidOptions`] names the level that is none of these, or that is longer than 2⁶³ − 1 milliseconds.
    pub fn parse(text: &str) -> Result<DelayLevels> {
        // Java's split drops what is empty at the end, and nothing else (spec 14.1).
        let levels = text.trim_end_matches(' ').split(' ');
        let delays_ms = levels.map(parse_one).collect::<Result<_>>()?;
        Ok(DelayLevels { delays_ms })
    }

    /// The table with these delays, level 1 first; rounded down to milliseconds, at most 2⁶³ − 1 of them.
    #[must_use]
    pub fn from_delays(delays: impl IntoIterator<Item = Duration>) -> DelayLevels {
        let ms = |delay: Duration| i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
        DelayLevels { delays_ms: delays.into_iter().map(ms).collect() }
    }

    /// What a queue entry carries in place of the tag's hash, if its record waits for its time: the time at which it is
    /// due. `delay` is the text of the record's property `DELAY` (spec 3.3).
    pub(crate) fn due(&self, topic: &str, delay: Option<&str>, stored: Timestamp) -> Option<Timestamp> {
        let level = delay.filter(|_| topic == DELAY_TOPIC).and_then(delay_level)?;
        Some(self.deliver_at(level, stored))
    }

    /// When a message of this level that was stored at `stored` is due: a level above the highest counts as the
    /// highest, one that is not in the table is due after a second (spec 3.3). For levels above 0:
    /// a message of another one does not wait.
    pub(crate) fn deliver_at(&self, level: i64, stored: Timestamp) -> Timestamp {
        let highest = i64::try_from(self.delays_ms.len()).unwrap_or(i64::MAX);
        let index = usize::try_from(level.min(highest)).ok().and_then(|level| level.checked_sub(1));
        let delay_ms = index.and_then(|index| self.delays_ms.get(index)).copied().unwrap_or(MISSING_MS);
        Timestamp(stored.0.saturating_add(delay_ms))
    }
}

/// The level in a property `DELAY`, if it puts the message off: a decimal number of 32 bits above 0 (spec 3.3). A
/// text that is no number is no level: a message is queued under its tag then, and not lost for what one property
/// says.
fn delay_level(text: &str) -> Option<i64> {
    text.parse::<i32>().ok().filter(|level| *level > 0).map(i64::from)
}

fn parse_one(text: &str) -> Result<i64> {
    let refused = || {
        let why = "is no whole number with a unit s, m, h or d behind it, such as 30s";
        Error::InvalidOptions(format!("the delay level {text:?} {why}").into())
    };
    let (number, unit_ms) = match text.as_bytes() {
        [number @ .., b's'] => (number, 1000),
        [number @ .., b'm'] => (number, 60_000),
        [number @ .., b'h'] => (number, 3_600_000),
        [number @ .., b'd'] => (number, 86_400_000),
        _ => return Err(refused()),
    };
    let digits = number.iter().all(u8::is_ascii_digit);
    let number: Option<i64> = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok());
    number.filter(|_| digits).and_then(|number| number.checked_mul(unit_ms)).ok_or_else(refused)
}

impl Default for DelayLevels {
    fn default() -> Self {
        DelayLevels::from_delays(DEFAULT.map(Duration::from_secs))
    }
}

impl FromStr for DelayLevels {
    type Err = Error;

    /// As [`DelayLevels::parse`].
    fn from_str(text: &str) -> Result<DelayLevels> {
        DelayLevels::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORED: Timestamp = Timestamp(1_700_000_000_123);

    fn delay_ms(levels: &DelayLevels, level: i64) -> i64 {
        levels.deliver_at(level, STORED).0 - STORED.0
    }

    #[test]
    fn the_default_is_the_table_of_a_broker() {
        let text = "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h";
        assert_eq!(text.parse::<DelayLevels>().unwrap(), DelayLevels::default());
        let delays = [1, 5, 10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200];
        for (level, seconds) in (1..).zip(delays) {
            assert_eq!(delay_ms(&DelayLevels::default(), level), seconds * 1000, "level {level}");
        }
    }

    #[test]
    fn level_three_is_due_when_the_worked_example_says() {
        let due = DelayLevels::default().deliver_at(3, STORED);
        assert_eq!(due.0.to_be_bytes(), [0, 0, 1, 0x8B, 0xCF, 0xE5, 0x8F, 0x8B]);
        assert_eq!(DelayLevels::default().due("SCHEDULE_TOPIC_XXXX", Some("3"), STORED), Some(due));
    }

    #[test]
    fn only_a_level_in_the_topic_of_waiting_messages_puts_a_message_off() {
        let levels = DelayLevels::default();
        for (topic, delay) in [
            ("orders", Some("3")),
            ("SCHEDULE_TOPIC_XXXX", None),
            ("SCHEDULE_TOPIC_XXXX", Some("0")),
            ("SCHEDULE_TOPIC_XXXX", Some("soon")),
            ("schedule_topic_xxxx", Some("3")),
        ] {
            assert_eq!(levels.due(topic, delay, STORED), None, "{topic} {delay:?}");
        }
    }

    #[test]
    fn a_level_above_the_highest_counts_as_the_highest_and_a_missing_one_as_a_second() {
        let levels = DelayLevels::parse("5s 2d").unwrap();
        for level in [2, 3, 19, i64::MAX] {
            assert_eq!(delay_ms(&levels, level), 2 * 86_400_000);
        }
        for level in [0, -1, i64::MIN] {
            assert_eq!(delay_ms(&levels, level), 1000);
        }
        assert_eq!(delay_ms(&DelayLevels::from_delays([]), 1), 1000);
    }

    #[test]
    fn a_delay_beyond_all_times_ends_at_the_last_one() {
        let levels = DelayLevels::from_delays([Duration::MAX, Duration::from_micros(1999)]);
        assert_eq!(levels.deliver_at(1, STORED), Timestamp(i64::MAX));
        assert_eq!(delay_ms(&levels, 2), 1);
        assert_eq!(levels.deliver_at(2, Timestamp(i64::MIN)), Timestamp(i64::MIN + 1));
    }

    #[test]
    fn what_is_no_table_is_refused_by_the_level_that_is_none() {
        assert_eq!(DelayLevels::parse("0s 7h  ").unwrap(), DelayLevels::parse("0s 7h").unwrap());
        for (text, named) in [
            ("", "\"\""),
            ("   ", "\"\""),
            ("1s  5s", "\"\""),
            (" 1s", "\"\""),
            ("1s 5", "\"5\""),
            ("1s s", "\"s\""),
            ("1s -5s", "\"-5s\""),
            ("+1s", "\"+1s\""),
            ("1.5s", "\"1.5s\""),
            ("1s 5S", "\"5S\""),
            ("1s,5s", "\"1s,5s\""),
            ("1ms", "\"1ms\""),
            ("٣s", "\"٣s\""),
            ("9223372036854775807d", "\"9223372036854775807d\""),
            ("99999999999999999999s", "\"99999999999999999999s\""),
        ] {
            let error = DelayLevels::parse(text).unwrap_err();
            assert!(matches!(&error, Error::InvalidOptions(why) if why.contains(named)), "{text:?}: {error}");
        }
    }

    #[test]
    fn only_a_number_above_zero_puts_a_message_off() {
        for (text, level) in [("3", 3), ("018", 18), ("+2", 2), ("2147483647", i64::from(i32::MAX))] {
            assert_eq!(delay_level(text), Some(level), "{text}");
        }
        for text in ["", "0", "-1", "2147483648", "3 ", "three", "3s"] {
            assert_eq!(delay_level(text), None, "{text}");
        }
    }
}
