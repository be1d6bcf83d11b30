//! An append from call to ack: encode, push, wake who must flush (house.md §8).

use std::cell::Cell;

use crate::clock::{Clock, Timestamp};
use crate::commit_log::{Appended, How, Patience, Way};
use crate::error::{Error, Level, Result};
use crate::flush::{Decision, Flush};
use crate::message::{self, EncodeRules, Encoded, Message};
use crate::offset::LogOffset;
use crate::store::Inner;
use crate::store::ack::{Ack, Stored};

thread_local! {
    /// The buffer that the last append of this thread encoded into: no allocation per append.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// How often, in bytes, a policy that acknowledges what is written is asked whether to flush.
const POLICY_STEP_BYTES: u64 = 16 * 1024;

/// Longer buffers are not kept.
const SCRATCH_BYTES: usize = 64 * 1024;

impl Inner {
    fn encode<'m>(&self, message: &'m Message, now: Timestamp) -> Result<Encoded<'m>> {
        message::encode(message, &EncodeRules { born: now, ..self.rules }, SCRATCH.take())
    }

    fn recycle(encoded: Encoded<'_>) {
        let buf = encoded.into_buf();
        if buf.capacity() <= SCRATCH_BYTES {
            SCRATCH.set(buf);
        }
    }

    fn push_one(&self, message: &Message, level: Level, patience: Patience) -> Result<(Appended, LogOffset)> {
        let now = self.clock.now();
        let mut encoded = self.encode(message, now)?;
        let mut appended = None;
        let (how, records) = (How { level, patience, now }, std::slice::from_mut(&mut encoded));
        let pushed = self.push(records, how, |one| appended = Some(one));
        Inner::recycle(encoded);
        let end = pushed?;
        match appended {
            Some(one) => Ok((one, end)),
            // The log tells every record's place before it returns.
            None => Err(Error::Closed),
        }
    }

    fn ack(&self, first: Appended, rest: Vec<Appended>, level: Level, end: LogOffset) -> Ack {
        Ack::new(first, rest, level, end, &self.log, self.rules.store_host)
    }

    pub(super) fn append(&self, message: &Message, level: Level, patience: Patience) -> Result<Ack> {
        let (appended, end) = self.push_one(message, level, patience)?;
        self.wake_flusher(level, appended.position.offset, end);
        Ok(self.ack(appended, Vec::new(), level, end))
    }

    pub(super) fn append_and_wait(&self, message: &Message, level: Level) -> Result<Stored> {
        let (appended, end) = self.push_one(message, level, Patience::Waits)?;
        let ack = self.ack(appended, Vec::new(), level, end);
        if !ack.is_done() {
            if self.by_hand || self.would_flush() {
                self.log.flush_if_nobody_does()?;
            } else {
                self.flusher_bell.ring();
            }
            ack.wait()?;
        } else {
            self.wake_flusher(level, appended.position.offset, end);
        }
        ack.all().next().ok_or(Error::Closed)
    }

    pub(super) fn append_batch(&self, messages: &[Message]) -> Result<Ack> {
        let mut encoded = Vec::with_capacity(messages.len());
        let now = self.clock.now();
        for message in messages {
            encoded.push(self.encode(message, now)?);
        }
        let weak = messages.iter().all(|m| !m.waits());
        let level = if weak { Level::Written } else { self.policy.ack_when() };
        let mut appended = Vec::with_capacity(messages.len());
        if encoded.is_empty() {
            return Err(Error::InvalidMessage("a batch without messages".into()));
        }
        let how = How { level, patience: Patience::Waits, now };
        let end = self.push(&mut encoded, how, |one| appended.push(one))?;
        let first = appended.first().copied().ok_or(Error::Closed)?;
        self.wake_flusher(level, first.position.offset, end);
        appended.remove(0);
        Ok(self.ack(first, appended, level, end))
    }

    fn would_flush(&self) -> bool {
        self.log.progress().is_some_and(|p| self.policy.decide(&p) == Decision::Flush)
    }

    /// Wakes the flusher if the policy has something to decide: when it sleeps without a limit, and when it would
    /// flush now. Of records that go straight to the page cache and wait for no sync, which cost less than the
    /// question, only those ask that cross a step.
    fn wake_flusher(&self, level: Level, start: LogOffset, end: LogOffset) {
        let asks = self.log.way() == Way::Staged || level == Level::Flushed;
        let crosses = start.0 / POLICY_STEP_BYTES != end.0 / POLICY_STEP_BYTES;
        if (asks || crosses) && self.would_flush() {
            self.flusher_bell.ring();
        } else {
            self.flusher_bell.ring_if_idle();
        }
    }
}
