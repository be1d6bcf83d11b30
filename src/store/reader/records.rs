//! [`Records`]: the messages of a queue one after the other.

use std::vec;

use crate::commit_log::Window;
use crate::consume_queue::Entry;
use crate::error::{Error, Result};
use crate::message::Record;
use crate::offset::QueueOffset;
use crate::store::reader::{Led, Queue};

/// How many entries are read together: few at first, for whoever wants one message, then a page of the file and more.
const FIRST_ENTRIES: usize = 16;
const MOST_ENTRIES: usize = 512;

/// Messages of a queue in order, from a place on; see [`Queue::read_from`].
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # use sawlog::{Message, Options, QueueOffset, Store};
/// # store.append_batch(&[Message::new("orders", "paid"), Message::new("orders", "sent")])?.forget();
/// # store.queue("orders", 0).wait(QueueOffset(1)).wait()?;
/// let mut records = store.queue("orders", 0).read_from(QueueOffset(0));
/// assert_eq!(records.by_ref().count(), 2);
/// store.append(&Message::new("orders", "returned"))?.forget();
/// records.queue().wait(records.position()).wait()?;
/// assert_eq!(records.next().transpose()?.expect("news").body(), "returned");
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Records {
    queue: Queue,
    /// The offset of the next entry, of those at hand or to be read.
    at: QueueOffset,
    at_hand: vec::IntoIter<Option<Entry>>,
    together: usize,
    window: Window,
    began: bool,
    ended: Option<Error>,
}

impl Records {
    pub(super) fn new(queue: Queue, from: QueueOffset) -> Records {
        let at_hand = Vec::new().into_iter();
        let window = Window::default();
        Records { queue, at: from, at_hand, together: FIRST_ENTRIES, window, began: false, ended: None }
    }

    /// The queue that is read.
    #[must_use]
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// The offset to go on with: what to keep if reading is to be taken up again later, and, at the end, what to give
    /// to [`Queue::wait`].
    #[must_use]
    pub fn position(&self) -> QueueOffset {
        self.at
    }

    /// The same reader over another log: what retention does to a reader that is under way.
    #[cfg(test)]
    pub(super) fn go_on_in(&mut self, queue: Queue) {
        self.queue = queue;
        self.window.close();
    }

    /// The next entry, or `None` at the end.
    fn entry(&mut self) -> Result<Option<(QueueOffset, Option<Entry>)>> {
        while self.at_hand.len() == 0 {
            let bounds = self.queue.bounds()?;
            let began = std::mem::replace(&mut self.began, true);
            if self.at < bounds.min {
                return Err(self.queue.before_start(bounds, self.at)?);
            }
            if !began && self.at > bounds.max {
                return Err(bounds.out_of_range(self.at));
            }
            let Some(files) = self.queue.files().filter(|_| self.at < bounds.max) else {
                // Who waits for news, however long, holds no segment that retention may remove.
                self.window.close();
                return Ok(None);
            };
            let left = usize::try_from(bounds.max.0.saturating_sub(self.at.0)).unwrap_or(usize::MAX);
            // Nothing, though there was something: the front was removed since, and the next look finds that.
            self.at_hand = files.read(self.at, left.min(self.together))?.into_iter();
            self.together = self.together.saturating_mul(2).min(MOST_ENTRIES);
        }
        let Some(entry) = self.at_hand.next() else { return Ok(None) };
        let at = self.at;
        self.at = at.next();
        Ok(Some((at, entry)))
    }

    fn read(&mut self) -> Result<Option<Record>> {
        while let Some((at, entry)) = self.entry()? {
            let Some(files) = self.queue.files() else { continue };
            let Some(entry) = entry else {
                self.queue.hole_at(at)?.map_or(Ok(()), Err)?;
                continue;
            };
            match self.queue.record(files, at, entry)? {
                Led::Here(record) => return Ok(Some(record)),
                Led::Gone => self.queue.passed_by_front(at)?.map_or(Ok(()), Err)?,
            }
        }
        Ok(None)
    }
}

/// Ends at the queue's end, and goes on from there when called again after news. An error stays: every later call
/// answers with the same one. [`Error::QuarantinedMessages`] does not: the next call goes on behind the messages that
/// are lost.
impl Iterator for Records {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Result<Record>> {
        if let [Some(entry), ahead @ ..] = self.at_hand.as_slice()
            && self.ended.is_none()
            && let Some((head, bytes)) = self.queue.head_through(&mut self.window, (self.at, *entry), ahead)
        {
            // Made in its place: a record is too long to be moved for nothing.
            let record = Some(Ok(Record::of(entry.at, &head, bytes)));
            self.at_hand.next();
            self.at = self.at.next();
            return record;
        }
        self.next_by_itself()
    }
}

impl Records {
    #[inline(never)]
    fn next_by_itself(&mut self) -> Option<Result<Record>> {
        if let Some(error) = &self.ended {
            return Some(Err(error.clone()));
        }
        match self.read() {
            Ok(record) => record.map(Ok),
            Err(error) if error.is_quarantined() => {
                if let Error::QuarantinedMessages { next, .. } = &error {
                    (self.at, self.at_hand) = (*next, Vec::new().into_iter());
                }
                Some(Err(error))
            }
            Err(error) => {
                self.ended = Some(error.clone());
                Some(self.queue.log().told(Err(error)))
            }
        }
    }
}
