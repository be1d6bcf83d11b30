//! What may go from the log's front, and when no more is taken: [`Retention`], a pure rule (spec 10, promises rule 15).
//!
//! It knows numbers alone. What it says is carried out by the store, in an order that may be cut anywhere.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::disk::Space;
use crate::error::{Error, Result};
use crate::offset::LogOffset;

/// RocketMQ's `fileReservedTime`.
const DEFAULT_AGE: Duration = Duration::from_secs(72 * 3600);
/// RocketMQ's `diskSpaceCleanForciblyRatio`: above it files go that have not expired (spec 10.2).
const DEFAULT_DISK_USED: f64 = 0.85;
/// RocketMQ's `diskSpaceWarningLevelRatio`: above it nothing is stored.
const DEFAULT_REFUSE_ABOVE: f64 = 0.90;

/// How long records stay, and when the disk is too full for more.
///
/// The log gives whole segments up, oldest first, as soon as *one* of the first three rules says so, whether anybody
/// has read them or not; queues and key index follow. The segment that is being written never goes, nor anything that
/// is not durable. What is gone is answered with [`Error::OutOfRange`](crate::Error::OutOfRange); the offsets of what
/// stays are what they were, and a queue all of whose messages are gone goes on with its next number.
///
/// ```
/// use std::time::Duration;
/// use sawlog::{Options, Retention};
///
/// let week = Retention::default().max_age(Duration::from_secs(7 * 24 * 3600)).max_bytes(500 << 30);
/// assert_eq!((week.max_bytes, week.refuse_above), (Some(500 << 30), Some(0.9)));
/// let options = Options::new().retention(week.max_disk_used(0.7)); // or `Retention::keep_all()`
/// # drop(options);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Retention {
    /// A segment goes when its last record was stored so long ago: by the store time in the record, not by the file's
    /// time, which a copy or a restore changes (spec H31). The wall clock decides: one that jumps back makes segments
    /// stay longer; one that jumps far ahead makes them all expire. Range: above 0. Default: 72 hours
    /// (`fileReservedTime`). `None`: records do not age.
    pub max_age: Option<Duration>,
    /// The most bytes that the log's segments may take together, each counted whole, the one being written too; the
    /// file made ahead of need comes on top. Range: above 0; less than two segments keeps one. Default: `None`, no
    /// limit.
    pub max_bytes: Option<u64>,
    /// The part of the log's file system that may be in use, by whomever: used ÷ (used + free), free being what this
    /// process may use (spec 10.2). Above it segments go, expired or not. Bytes of removed segments that readers still
    /// hold count as free: a slow reader makes nothing more go. Range: 0 to 1, and not above `refuse_above`. Default:
    /// 0.85 (`diskSpaceCleanForciblyRatio`; RocketMQ's `diskMaxUsedSpaceRatio` of 0.75 removes what has expired
    /// outside of its hour for that, which is removed at once here). `None`: a full disk removes nothing.
    pub max_disk_used: Option<f64>,
    /// Above this part in use, or if the next segment would bring it there, appends answer
    /// [`Error::Full`](crate::Error::Full); reading and flushing go on. It ends by itself when there is room. Range: 0
    /// to 1. Default: 0.90 (`diskSpaceWarningLevelRatio`). `None`: until the file system itself has no more.
    pub refuse_above: Option<f64>,
}

impl Default for Retention {
    fn default() -> Self {
        Retention {
            max_age: Some(DEFAULT_AGE),
            max_bytes: None,
            max_disk_used: Some(DEFAULT_DISK_USED),
            refuse_above: Some(DEFAULT_REFUSE_ABOVE),
        }
    }
}

/// Why segments went.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # use sawlog::{LogOffset, Message, Options, Store, Why};
/// for _ in 0..2 {
///     store.append(&Message::new("orders", vec![b'.'; 40_000]))?.wait()?; // a segment takes one of them
/// }
/// let swept = store.remove_before(LogOffset(1 << 16))?;
/// assert_eq!(swept.why, Some(Why::Asked));
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Why {
    /// [`Retention::max_age`].
    Age,
    /// [`Retention::max_bytes`].
    Bytes,
    /// [`Retention::max_disk_used`], or room for the next segment below [`Retention::refuse_above`].
    DiskUse,
    /// [`Store::remove_before`](crate::Store::remove_before).
    Asked,
}

impl Retention {
    /// Nothing is ever removed. The guard of the disk stays: above `refuse_above` nothing is taken.
    #[must_use]
    pub fn keep_all() -> Retention {
        Retention { max_age: None, max_bytes: None, max_disk_used: None, ..Retention::default() }
    }

    /// See the field [`max_age`](Retention#structfield.max_age).
    #[must_use]
    pub fn max_age(self, age: impl Into<Option<Duration>>) -> Retention {
        Retention { max_age: age.into(), ..self }
    }

    /// See the field [`max_bytes`](Retention#structfield.max_bytes).
    #[must_use]
    pub fn max_bytes(self, bytes: impl Into<Option<u64>>) -> Retention {
        Retention { max_bytes: bytes.into(), ..self }
    }

    /// See the field [`max_disk_used`](Retention#structfield.max_disk_used).
    #[must_use]
    pub fn max_disk_used(self, part: impl Into<Option<f64>>) -> Retention {
        Retention { max_disk_used: part.into(), ..self }
    }

    /// See the field [`refuse_above`](Retention#structfield.refuse_above).
    #[must_use]
    pub fn refuse_above(self, part: impl Into<Option<f64>>) -> Retention {
        Retention { refuse_above: part.into(), ..self }
    }

    /// Whether the rules can be kept.
    ///
    /// # Errors
    /// [`Error::InvalidOptions`] names what cannot be.
    pub(crate) fn check(&self) -> Result<()> {
        let refuse = |why: String| Err(Error::InvalidOptions(why.into()));
        if self.max_age == Some(Duration::ZERO) {
            return refuse("max_age is 0, it must be longer; leave it out to keep records of any age".into());
        }
        if self.max_bytes == Some(0) {
            return refuse("max_bytes is 0, it must be more; leave it out for no limit".into());
        }
        for (name, part) in [("max_disk_used", self.max_disk_used), ("refuse_above", self.refuse_above)] {
            if let Some(part) = part.filter(|part| !(0.0..=1.0).contains(part)) {
                return refuse(format!("{name} is {part}, it must be within 0 and 1"));
            }
        }
        match (self.max_disk_used, self.refuse_above) {
            (Some(used), Some(refuse_at)) if used > refuse_at => refuse(format!(
                "max_disk_used {used} is above refuse_above {refuse_at}: nothing would be taken before room is made"
            )),
            _ => Ok(()),
        }
    }

    /// Which segments may go: a prefix of `scene.sealed`. `is_expired` is asked whether no record of the segment that
    /// begins there was stored after a moment; it is asked last, for that may cost reading.
    pub(crate) fn decide(
        &self,
        scene: &Scene<'_>,
        mut is_expired: impl FnMut(LogOffset, Timestamp) -> bool,
    ) -> Option<Verdict> {
        let age_ms = self.max_age.map(|age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        let cutoff = age_ms.map(|ms| Timestamp(scene.now.0.saturating_sub(ms)));
        let sealed_bytes = scene.sealed.iter().fold(0_u64, |sum, old| sum.saturating_add(old.bytes));
        let mut kept_bytes = sealed_bytes.saturating_add(scene.active_bytes);
        let (mut freed_bytes, mut verdict) = (scene.given_up_bytes, None);
        for old in scene.sealed {
            let end = old.base.plus(old.bytes);
            let is_over = self.max_bytes.is_some_and(|most| kept_bytes > most);
            let why = if scene.asked.is_some_and(|asked| end <= asked) {
                Why::Asked
            } else if is_over {
                Why::Bytes
            } else if self.is_too_full(scene, freed_bytes) {
                Why::DiskUse
            } else if cutoff.is_some_and(|cutoff| is_expired(old.base, cutoff)) {
                Why::Age
            } else {
                break;
            };
            kept_bytes = kept_bytes.saturating_sub(old.bytes);
            freed_bytes = freed_bytes.saturating_add(old.bytes);
            verdict = Some(Verdict { first: end, why });
        }
        verdict
    }

    fn is_too_full(&self, scene: &Scene<'_>, freed_bytes: u64) -> bool {
        let (Some(space), Some(most)) = (scene.space, self.max_disk_used) else { return false };
        let used = space.total.saturating_sub(space.free).saturating_sub(freed_bytes);
        let wants = used.saturating_add(scene.wanted_bytes);
        used > part_of(space.total, most)
            || (scene.wanted_bytes > 0
                && self.refuse_above.is_some_and(|limit| wants > part_of(space.total, limit)))
    }
}

/// A segment that nothing more is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Old {
    pub(crate) base: LogOffset,
    pub(crate) bytes: u64,
}

/// What is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene<'a> {
    /// All segments but the one being written, oldest first.
    pub(crate) sealed: &'a [Old],
    /// The length of the one being written.
    pub(crate) active_bytes: u64,
    /// Bytes of segments that were given up and still take room: readers hold them, or removing them failed.
    pub(crate) given_up_bytes: u64,
    /// Bytes that the next segment needs, if it was refused for lack of room.
    pub(crate) wanted_bytes: u64,
    /// The room on the log's file system, where that counts and is known.
    pub(crate) space: Option<Space>,
    /// The wall clock.
    pub(crate) now: Timestamp,
    /// The user wants everything below to go.
    pub(crate) asked: Option<LogOffset>,
}

/// What may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Where the log begins then.
    pub(crate) first: LogOffset,
    /// Why the last of those segments goes.
    pub(crate) why: Why,
}

/// How many bytes must become free before `more` can be used without going above `limit`; 0 if they can now.
pub(crate) fn shortfall_bytes(space: Space, more: u64, limit: f64) -> u64 {
    let used = space.total.saturating_sub(space.free);
    used.saturating_add(more).saturating_sub(part_of(space.total, limit))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a part between 0 and 1 of a number that fits, both checked; a file system has fewer bytes than 2^53"
)]
fn part_of(total: u64, part: f64) -> u64 {
    (total as f64 * part.clamp(0.0, 1.0)) as u64
}

#[cfg(test)]
#[path = "retention_tests.rs"]
mod tests;
