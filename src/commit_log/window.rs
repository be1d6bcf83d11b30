//! One look at a stretch of the log, for who reads many of its records by their places: the consume queues.
//!
//! Looking at each record by itself finds its segment, asks the marks and makes a view for it, which costs more than
//! its checksum. A window never errs: what it does not show is to be looked at by itself, and that says why.

use std::sync::Arc;

use bytes::Bytes;

use crate::commit_log::{CommitLog, Raw};
use crate::disk;
use crate::message::{self, Head, Verify};
use crate::offset::LogOffset;
use crate::segment::Segment;

/// How much of a record that is to be read soon is asked for: behind that the processor goes by itself.
const ASK_BYTES: usize = 2048;
/// What is looked at of a record in front of its body, and behind it where topic and properties are short.
const ENDS_BYTES: usize = 64;

/// A stretch of one segment that may be read: a view up to its end where views are free, a copy of what was asked for
/// elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Window {
    segment: Option<Arc<Segment>>,
    at: LogOffset,
    bytes: Bytes,
}

impl Window {
    /// Lets go of what it holds.
    pub(crate) fn close(&mut self) {
        *self = Window::default();
    }

    fn shows(&self, at: LogOffset, len: usize) -> Option<&[u8]> {
        if at < self.at {
            return None;
        }
        self.bytes.get(usize::try_from(at.since(self.at)).ok()?..)?.get(..len)
    }

    /// Moves the window, if need be, to where it shows the `len` bytes at `at`, unless they may not be read. `together`
    /// says, if it is asked, how many bytes from there on are worth reading at once.
    fn look(&mut self, log: &CommitLog, at: LogOffset, len: u32, together: impl FnOnce() -> u64) {
        // What is durable stays readable whatever happens to the log's end; not so what is visible by a copy.
        if log.has_failed() || self.segment.as_ref().is_some_and(|segment| segment.is_forgotten()) {
            self.close();
        } else if self.shows(at, len as usize).is_none() {
            let _ = self.move_to(log, at, len as usize, together);
        }
    }

    #[cold]
    fn move_to(
        &mut self,
        log: &CommitLog,
        at: LogOffset,
        len: usize,
        together: impl FnOnce() -> u64,
    ) -> Option<()> {
        self.close();
        let (segment, left) = log.readable_from(at).ok()?;
        if left < len as u64 {
            return None;
        }
        let durable = log.flushed().at().since(at);
        let most = match segment.views_are_free() && durable >= len as u64 {
            true => left.min(durable),
            false => left.min(together().max(len as u64)),
        };
        self.bytes = log.view(&segment, at, usize::try_from(most).ok()?).ok()?;
        (self.at, self.segment) = (at, Some(segment));
        Some(())
    }

    /// Asks for the memory of a record that is to be read soon.
    #[inline]
    pub(crate) fn ask_for(&self, at: LogOffset, len: u32) {
        if let Some(record) = self.shows(at, len as usize) {
            disk::ask_for(record.get(..ASK_BYTES).unwrap_or(record));
        }
    }

    /// The same for one of which only what stands before and behind its body is looked at.
    #[inline]
    pub(crate) fn ask_for_ends(&self, at: LogOffset, len: u32) {
        if let Some(record) = self.shows(at, len as usize) {
            disk::ask_for(record.get(..2 * ENDS_BYTES).unwrap_or(record));
            disk::ask_for(record.get(record.len().saturating_sub(ENDS_BYTES)..).unwrap_or_default());
        }
    }

    /// The head of the record of `len` bytes at `at`, checked as every reader's, if `is_wanted` knows it. `None` also if
    /// anything is wrong with it.
    #[inline(always)]
    pub(crate) fn head<'w>(
        &'w mut self,
        log: &CommitLog,
        (at, len, topic): (LogOffset, u32, &'w str),
        together: impl FnOnce() -> u64,
        is_wanted: impl FnOnce(&Head<'_>) -> bool,
    ) -> Option<(Head<'w>, &'w Bytes)> {
        self.look(log, at, len, together);
        let bytes = self.shows(at, len as usize)?;
        let head = message::check_plain(at, bytes, log.verify_at(at), topic)?;
        is_wanted(&head).then_some((head, &self.bytes))
    }

    /// Whether a record stands there that `is_wanted` knows; its checksum is not looked at.
    #[inline]
    pub(crate) fn has_record(
        &mut self,
        log: &CommitLog,
        (at, len, topic): (LogOffset, u32, &str),
        together: impl FnOnce() -> u64,
        is_wanted: impl FnOnce(&Head<'_>) -> bool,
    ) -> bool {
        self.look(log, at, len, together);
        let bytes = self.shows(at, len as usize).unwrap_or_default();
        message::check_plain(at, bytes, Verify::Structure, topic).is_some_and(|head| is_wanted(&head))
    }

    /// Raw bytes of what it shows.
    pub(crate) fn raw(&self, at: LogOffset, len: u64) -> Option<Raw> {
        let segment = self.segment.as_ref()?;
        let len = usize::try_from(len).ok()?;
        let from = usize::try_from(at.0.checked_sub(self.at.0)?).ok()?;
        self.shows(at, len)?;
        let bytes = self.bytes.slice(from..from.checked_add(len)?);
        Some(Raw { offset: at, bytes, path: segment.path().clone(), file_offset: segment.inside(at) })
    }

    /// Whether what it shows are copies, so that a further look would read them again.
    pub(crate) fn is_copy(&self) -> bool {
        !self.segment.as_ref().is_some_and(|segment| segment.views_are_free())
    }
}
