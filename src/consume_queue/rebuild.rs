//! Before anything runs, or when a topic goes: what is kept of files that nobody vouches for, and what is cleared
//! away.

use std::path::PathBuf;
use std::sync::Arc;

use rustix::io::Errno;

use crate::consume_queue::entry::BLANK;
use crate::consume_queue::{ConsumeQueue, ENTRY_BYTES, Entry, Geometry, QueueSurvey, QueueTable};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::offset::{LogOffset, QueueOffset};

/// How much of a file is looked at in one step, in bytes; a multiple of an entry's.
const STEP_BYTES: usize = 64 * 1020;

impl QueueTable {
    /// The queues for deriving them again from the log: no file is evidence (promises rule 5), but for what the log
    /// has no record of any more. Of each queue the front part whose entries point below `log_first` is kept, which
    /// keeps the numbering; everything behind it will be put again. Of a queue with blanks alone, or with a file that
    /// cannot be read, nothing is kept.
    ///
    /// Costs two binary searches in each queue's files.
    ///
    /// # Errors
    /// [`Error::Io`] while clearing `making`, or of a read that might go well another time.
    pub(crate) fn open_to_rebuild(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        making: PathBuf,
        geometry: Geometry,
        survey: &QueueSurvey,
        log_first: LogOffset,
    ) -> Result<QueueTable> {
        QueueTable::rebuilt(disk, dir, making, geometry, survey, |queue, from, to| {
            let found = queue.end_in_files(from, to).and_then(|end| {
                queue.state.write().stood_to = end;
                queue.expired_end(from, to, log_first)
            });
            match found {
                Err(error) if is_unreadable(&error) => Ok(None),
                other => other,
            }
        })
    }

    /// Of the queues that were opened to be derived anew, and have been: those whose files had entries beyond the last
    /// one that the log has a record for, with the number that followed those entries, and the one that follows now. A
    /// consumer may have a position there (promises rule 13).
    pub(crate) fn fell_short(&self) -> Vec<(String, u32, QueueOffset, QueueOffset)> {
        let queues = self.all().into_iter().filter_map(|queue| {
            let state = queue.state.read();
            let (was, is) = (QueueOffset(state.stood_to), QueueOffset(state.next()));
            (is < was).then(|| (queue.folder.topic.to_string(), queue.folder.id, was, is))
        });
        let mut queues: Vec<_> = queues.collect();
        queues.sort_unstable();
        queues
    }

    /// Clears away what stands in files and is not in the queues: zeros behind each queue's last entry, no file
    /// without an entry, so that a Java broker takes nothing for an entry that is none (spec 18.2, H15). All that is
    /// left is durable then. Before threads run; entries put and not yet written are no entries for this.
    ///
    /// Costs reading what was ever written of the rest of each queue's last file.
    ///
    /// # Errors
    /// [`Error::Io`]. It may be called again, now or by the next process.
    pub(crate) fn trim(&self) -> Result<()> {
        let _recorder = self.recorder.lock();
        self.shared.files.check()?;
        for queue in self.all() {
            queue.trim()?;
        }
        self.shared.files.sync()
    }

    /// Removes the files of all queues of a topic, durably. Their numbering goes on where it was.
    ///
    /// # Errors
    /// [`Error::Io`]. The queues are empty by then; call again to remove the files that are left.
    pub(crate) fn drop_topic(&self, topic: &str) -> Result<()> {
        let _recorder = self.recorder.lock();
        self.shared.files.check()?;
        let queues = self.of_topic(topic);
        // All of them before the first call that may fail: half a topic is in no state that could be written down.
        queues.iter().for_each(|queue| queue.change(|state| state.clear(state.next())));
        queues.iter().try_for_each(|queue| queue.remove_strays().map(drop))?;
        self.shared.files.sync()
    }

    /// Removes, durably, the files that hold only what is before a queue's first entry: of topics that were dropped
    /// when a crash or a fault came before all their files were gone. Before entries are put.
    ///
    /// # Errors
    /// [`Error::Io`]. It may be called again, now or by the next process.
    pub(crate) fn finish_drops(&self) -> Result<()> {
        let _recorder = self.recorder.lock();
        self.shared.files.check()?;
        let mut any = false;
        for queue in self.all() {
            any |= queue.remove_strays()?;
        }
        if any { self.shared.files.sync() } else { Ok(()) }
    }
}

/// Whether the fault lies in the file and will stay: it is gone, has another length, or the medium cannot read it.
pub(super) fn is_unreadable(error: &Error) -> bool {
    match error {
        Error::Geometry { .. } => true,
        Error::Io { source, .. } => {
            source.kind() == std::io::ErrorKind::NotFound
                || source.raw_os_error() == Some(Errno::IO.raw_os_error())
        }
        _ => false,
    }
}

/// What stands at a position of a file.
enum Stands {
    Entry(Entry),
    Blank,
    /// Zeros, or what no entry is.
    Nothing,
}

impl Stands {
    fn of(bytes: &[u8; 20]) -> Stands {
        match Entry::decode(bytes) {
            Some(entry) => Stands::Entry(entry),
            None if *bytes == BLANK => Stands::Blank,
            None => Stands::Nothing,
        }
    }
}

impl ConsumeQueue {
    /// The end of the front part of `[from, to)`, all of it in files, whose entries point below `log_first`; `None` if
    /// there is no such entry. Blanks say nothing: the entry behind them does.
    fn expired_end(&self, from: u64, to: u64, log_first: LogOffset) -> Result<Option<u64>> {
        let (mut from, mut to, mut end) = (from, to, None);
        if log_first == LogOffset::ZERO {
            return Ok(None);
        }
        while from < to {
            let middle = from.midpoint(to);
            match self.first_not_blank(middle, to)? {
                Some((at, Stands::Entry(entry))) if entry.at < log_first => {
                    from = at.saturating_add(1);
                    end = Some(from);
                }
                _ => to = middle,
            }
        }
        Ok(end)
    }

    /// Behind the last position of `[from, to)`, all of it in files, at which something stands: entries and blanks come
    /// without a gap, and behind them nothing.
    fn end_in_files(&self, from: u64, to: u64) -> Result<u64> {
        let (mut from, mut to) = (from, to);
        while from < to {
            let middle = from.midpoint(to);
            let bytes = self.read_bytes(middle, 1)?;
            let stands = bytes.first_chunk::<20>().map(Stands::of);
            match stands {
                Some(Stands::Entry(_) | Stands::Blank) => from = middle.saturating_add(1),
                Some(Stands::Nothing) | None => to = middle,
            }
        }
        Ok(from)
    }

    fn first_not_blank(&self, from: u64, to: u64) -> Result<Option<(u64, Stands)>> {
        let per_segment = self.shared.files.entries_per_segment();
        let (mut at, mut most) = (from, 1);
        while at < to {
            let entries = (per_segment - at % per_segment).min(to - at).min(most);
            for bytes in self.read_bytes(at, entries)?.as_chunks::<20>().0 {
                match Stands::of(bytes) {
                    Stands::Blank => at = at.saturating_add(1),
                    other => return Ok(Some((at, other))),
                }
            }
            most = u64::try_from(STEP_BYTES).unwrap_or(0) / ENTRY_BYTES;
        }
        Ok(None)
    }

    /// Removes the files in which everything is before the first entry, and says whether there was one. Files behind
    /// the last entry stay: what they hold is put again.
    fn remove_strays(&self) -> Result<bool> {
        let per_segment = self.shared.files.entries_per_segment();
        let state = self.state.read();
        let (first, is_empty) = (state.first(), state.first() == state.next());
        let is_stray = |segment: &u64| {
            let base = segment.saturating_mul(per_segment);
            base.saturating_add(per_segment) <= first || (is_empty && base < first)
        };
        let strays: Vec<u64> = state.segments.iter().copied().filter(is_stray).collect();
        drop(state);
        strays.iter().rev().try_for_each(|segment| self.remove(*segment))?;
        Ok(!strays.is_empty())
    }

    fn trim(&self) -> Result<()> {
        let per_segment = self.shared.files.entries_per_segment();
        let state = self.state.read();
        let (first, end, segments) = (state.first(), state.in_files(), state.segments.clone());
        drop(state);
        let holds =
            |segment: u64| first < end && (first / per_segment..end.div_ceil(per_segment)).contains(&segment);
        // From the back: a crash on the way leaves a queue without holes.
        for segment in segments.iter().rev().copied().filter(|segment| !holds(*segment)) {
            self.remove(segment)?;
        }
        for segment in segments.iter().copied().filter(|segment| holds(*segment)) {
            let base = segment.saturating_mul(per_segment);
            let used = end.saturating_sub(base).min(per_segment);
            self.zero(segment, used * ENTRY_BYTES, per_segment * ENTRY_BYTES)?;
        }
        Ok(())
    }

    /// Zeros what is not zero in `[from, to)` of a file, which is synced next time in any case: a process that was
    /// killed may have left what no sync has seen.
    fn zero(&self, segment: u64, from: u64, to: u64) -> Result<()> {
        let file = self.writing(segment)?;
        let mut bytes = vec![0; STEP_BYTES];
        for data in file.data(from, to)? {
            let mut at = data.start;
            while at < data.end {
                let step = usize::try_from(data.end - at).map_or(STEP_BYTES, |left| left.min(STEP_BYTES));
                let Some(bytes) = bytes.get_mut(..step) else { break };
                file.read_at(at, bytes)?;
                if bytes.iter().any(|byte| *byte != 0) {
                    bytes.fill(0);
                    file.write_at(at, bytes)?;
                }
                at += step as u64;
            }
        }
        Ok(())
    }

    /// Removes a file that holds nothing of the queue.
    pub(super) fn remove(&self, segment: u64) -> Result<()> {
        self.shared.files.remove(&self.folder, segment)?;
        self.state.write().segments.retain(|other| *other != segment);
        Ok(())
    }
}
