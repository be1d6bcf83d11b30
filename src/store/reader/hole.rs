//! Holes that the log's damage has left in a queue: told to whoever comes to one, never passed over in silence.
//!
//! A position without a message holds a blank, as RocketMQ fills queues with (spec 3.4), whatever the reason. It is
//! damage that has taken the message if a quarantined part of the log lies between the message before and the one
//! behind.

use crate::consume_queue::{ConsumeQueue, Entry};
use crate::error::{Error, Result};
use crate::offset::QueueOffset;
use crate::store::reader::time::next_message;
use crate::store::reader::{Bounds, Queue};

/// How many entries are read together on the way back to the message before.
const STEP: u64 = 512;

impl Queue {
    /// What is to be told of the position `at`, at which no message is, if damage of the log lies there.
    ///
    /// Costs nothing while nothing is quarantined; else reading the queue's entries to both sides up to the next ones
    /// with a message.
    pub(super) fn hole(&self, bounds: Bounds, at: QueueOffset) -> Result<Option<Error>> {
        let log = self.log();
        let Some(files) = self.files().filter(|_| log.quarantined().next().is_some()) else {
            return Ok(None);
        };
        if at >= bounds.max {
            return Ok(None);
        }
        let (next, upper) = match next_message(files, at.0.max(files.first().0), bounds.max.0)? {
            Some((next, entry)) => (next, entry.at),
            None => (bounds.max, self.inner.sources.dispatcher.readable()),
        };
        if next <= at {
            return Ok(None);
        }
        let before = message_before(files, at)?;
        let lower = before.map_or(log.first(), |entry| entry.end().max(log.first()));
        let mut parts = log.quarantined().filter(|part| lower < part.to && part.from < upper);
        let Some(first) = parts.next() else { return Ok(None) };
        let to = parts.last().map_or(first.to, |last| last.to);
        Ok(Some(Error::QuarantinedMessages { at, next, from: first.from, to }))
    }

    /// The same for who has no bounds at hand.
    pub(super) fn hole_at(&self, at: QueueOffset) -> Result<Option<Error>> {
        if self.log().quarantined().next().is_none() {
            return Ok(None);
        }
        self.hole(self.bounds()?, at)
    }

    /// The same for a position below the queue's first message: [`Error::OutOfRange`] if it is not damage, but
    /// retention, that took what was there.
    pub(super) fn before_start(&self, bounds: Bounds, at: QueueOffset) -> Result<Error> {
        let is_expired = match self.files() {
            Some(files) if at >= files.first() => files.entry(at)?.is_some(),
            _ => false,
        };
        let hole = if is_expired || at >= bounds.min { None } else { self.hole_in_front(bounds, at)? };
        Ok(hole.unwrap_or_else(|| bounds.out_of_range(at)))
    }

    fn hole_in_front(&self, bounds: Bounds, at: QueueOffset) -> Result<Option<Error>> {
        // A queue of which all is lost, or was removed, has no message to go on with: its end is where to go on.
        let upto = Bounds { max: bounds.max.max(at.next()), ..bounds };
        self.hole(upto, at)
    }
}

/// The last entry below `at`.
fn message_before(files: &ConsumeQueue, at: QueueOffset) -> Result<Option<Entry>> {
    let first = files.first().0;
    let mut end = at.0;
    while first < end {
        let start = end.saturating_sub(STEP).max(first);
        let (mut from, mut last) = (start, None);
        while from < end {
            let found = files.read(QueueOffset(from), usize::try_from(end - from).unwrap_or(usize::MAX))?;
            if found.is_empty() {
                break;
            }
            from = from.saturating_add(u64::try_from(found.len()).unwrap_or(u64::MAX));
            last = found.into_iter().flatten().last().or(last);
        }
        if last.is_some() {
            return Ok(last);
        }
        end = start;
    }
    Ok(None)
}
