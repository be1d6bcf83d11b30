//! Queues follow the log's front: files whose entries all point below it go (spec 10.3).
//!
//! Two steps, so that whoever writes down where queues begin can do it in between: first each queue moves its
//! beginning, in memory alone, then the files before it are removed. No reader waits for a file to be removed, nor does
//! whoever puts entries: a beginning moves under the queue's own lock, files go under the recorder's.

use crate::consume_queue::state::Front;
use crate::consume_queue::{ConsumeQueue, QueueTable, SEARCH_STEP};
use crate::error::Result;
use crate::offset::{LogOffset, QueueOffset};

impl QueueTable {
    /// What points below `log_first`, the first byte that the log has, counts for nothing from now on: each queue
    /// begins with the first file that has an entry at or above it, or with its last file, which carries the numbering.
    /// Of that file's entries [`ConsumeQueue::min`] tells which count. Says whether any queue has moved; what it has
    /// passed is removed by [`QueueTable::remove_retired`].
    ///
    /// A file goes by its last entry, as with RocketMQ: entries of one queue point further and further. Blanks count
    /// as nothing (spec 3.4).
    ///
    /// Costs one look at a file for each file that goes and for the one that then comes first, and those only of
    /// queues with more than one file; else a look in memory, some 35 ns a queue.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io), [`Error::Geometry`](crate::Error::Geometry): the first queue's whose files
    /// cannot be read. The others have moved; a later call goes on.
    pub(crate) fn move_front(&self, log_first: LogOffset) -> Result<bool> {
        if log_first == LogOffset::ZERO {
            return Ok(false);
        }
        let per_segment = self.shared.files.entries_per_segment();
        let mut outcome = Ok(false);
        for queue in self.all_where(|state| state.front(per_segment).is_some()) {
            match queue.move_front(log_first) {
                Ok(moved) => outcome = outcome.map(|any| any | moved),
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        outcome
    }

    /// Removes the files before each queue's first, oldest first, each removal durable before the next of the same
    /// queue: whatever a crash leaves is a queue without holes. Gives how many bytes they measured.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io): the first queue's whose files could not be removed. The others' have gone; a
    /// later call goes on. What a sync failed with, which is final.
    pub(crate) fn remove_retired(&self) -> Result<u64> {
        let (mut freed, mut outcome) = (0_u64, Ok(()));
        let per_segment = self.shared.files.entries_per_segment();
        for queue in self.all_where(|state| state.retired(per_segment).is_some()) {
            // Taken anew for each queue: the recorder need not wait for all of them.
            let _recorder = self.recorder.lock();
            self.shared.files.check()?;
            outcome = outcome.and(queue.remove_retired(&mut freed));
        }
        outcome.map(|()| freed)
    }

    /// [`QueueTable::move_front`] and [`QueueTable::remove_retired`]. A crash before `sawlog/queues` is saved again
    /// leaves files missing that it counts on, and costs deriving all queues anew: who can, saves it in between.
    ///
    /// # Errors
    /// As those two; all that could be done was done.
    #[cfg(test)]
    pub(crate) fn retire_before(&self, log_first: LogOffset) -> Result<u64> {
        let moved = self.move_front(log_first);
        let freed = self.remove_retired();
        moved.and(freed)
    }
}

impl ConsumeQueue {
    fn move_front(&self, log_first: LogOffset) -> Result<bool> {
        let per_segment = self.shared.files.entries_per_segment();
        let mut moved = false;
        loop {
            let Some(front) = self.state.read().front(per_segment) else { return Ok(moved) };
            let last = match front.last {
                Some(last) => last,
                None => {
                    let last = self.last_of(front)?;
                    self.state.write().keep_edge(front, last);
                    last
                }
            };
            if last >= log_first {
                return Ok(moved);
            }
            moved |= self.change(|state| state.pass(front, per_segment));
        }
    }

    /// Where the last entry of the first file points; the log's beginning if blanks alone stand in it. If that entry
    /// is damaged, the next one behind it tells: as long as its record is there, the file stays.
    fn last_of(&self, front: Front) -> Result<LogOffset> {
        let per_segment = self.shared.files.entries_per_segment();
        let end = front.segment.saturating_add(1).saturating_mul(per_segment);
        let (mut to, mut step) = (end, 1);
        while to > front.from {
            let from = to.saturating_sub(step).max(front.from);
            let entries = self.read(QueueOffset(from), usize::try_from(to - from).unwrap_or(usize::MAX))?;
            match entries.iter().rev().flatten().next() {
                Some(entry) if entry.is_readable() => return Ok(entry.at),
                Some(_) => return self.next_readable(end),
                None => (to, step) = (from, SEARCH_STEP as u64),
            }
        }
        Ok(LogOffset::ZERO)
    }

    /// Where the first entry from `at` on points that is not damaged; the log's last place if there is none.
    fn next_readable(&self, at: u64) -> Result<LogOffset> {
        let mut at = at;
        loop {
            let entries = self.read(QueueOffset(at), SEARCH_STEP)?;
            if entries.is_empty() {
                return Ok(LogOffset::MAX);
            }
            if let Some(found) = entries.iter().flatten().find(|entry| entry.is_readable()) {
                return Ok(found.at);
            }
            at = at.saturating_add(entries.len() as u64);
        }
    }

    fn remove_retired(&self, freed: &mut u64) -> Result<()> {
        let files = &self.shared.files;
        let per_segment = files.entries_per_segment();
        loop {
            let Some(segment) = self.state.read().retired(per_segment) else { return Ok(()) };
            // The one before, too, if its removal could not be made durable at that time.
            files.sync_names(&self.folder)?;
            self.remove(segment)?;
            *freed = freed.saturating_add(files.segment_bytes());
            files.sync_names(&self.folder)?;
        }
    }
}
