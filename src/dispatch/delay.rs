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
    ///
    /// ```
    /// use sawlog::DelayLevels;
    /// use std::time::Duration;
    ///
    /// let levels = DelayLevels::from_delays([1, 30, 3600].map(Duration::from_secs));
    /// assert_eq!(levels, DelayLevels::parse("1s 30s 1h")?);
    /// # Ok::<(), sawlog::Error>(())
    /// ```
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
#[path = "delay_tests.rs"]
mod tests;
