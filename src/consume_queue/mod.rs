//! The consume queues: for each topic and queue id the places of its messages in the log, 20 bytes each, in files of
//! one length (spec 3). [`ConsumeQueue`] is one of them, [`QueueTable`] all.
//!
//! They are derived from the log, and no evidence about it (promises rule 5): whoever reads an entry holds it against
//! its record. One thread puts entries (the dispatcher), one moves them to files and syncs those (the recorder), any
//! number read. An entry stays in memory, where readers find it, until its record is flushed; so a power cut never
//! leaves an entry without its record. Files are written by position, never through a mapping.

mod by_time;
mod entry;
mod files;
mod pointers;
mod putting;
mod rebuild;
mod record;
mod retire;
mod state;
mod survey;
mod table;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::error::{Error, Result};
use crate::flush::Watermark;
use crate::offset::{LogOffset, QueueOffset};
use crate::sync::RwLock;

use files::{Files, Folder};
use state::State;

pub use by_time::Bound;
pub(crate) use by_time::{Probe, search};
pub(crate) use entry::{ENTRY_BYTES, Entry};
pub(crate) use files::Geometry;
pub(crate) use pointers::{Claim, Gathered, Pointers};
pub(crate) use putting::{Odd, Putting};
pub(crate) use survey::{Known, QueueSurvey};
pub(crate) use table::QueueTable;

/// The most positions that a queue may jump over, which are filled with blanks (spec H7): 20 MB of them. A longer jump
/// is no gap but a wrong number.
pub(crate) const MOST_BLANKS: usize = 1_000_000;

/// How far a minimum's search looks at once when it meets blanks, in entries.
const SEARCH_STEP: usize = 1024;

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a refused entry is nowhere"]
pub(crate) enum Put {
    /// It is the queue's newest.
    Appended,
    /// Its position was filled before, and the later record wins: the queue is put again from an earlier place of
    /// the log, or two records claim one position.
    Replaced,
    /// So many positions before it had no message: they hold blanks now.
    Gap(u64),
    /// It is not in the queue, and why.
    Refused(&'static str),
}

/// One queue: dense numbers, each with the place of its message in the log.
#[derive(Debug)]
pub(crate) struct ConsumeQueue {
    shared: Arc<Shared>,
    folder: Folder,
    /// Why no entry can be put, if none can.
    refused: Option<&'static str>,
    state: RwLock<State>,
    /// Made under the lock of `state`, so that whoever puts next sees it.
    news: OnceLock<Arc<Watermark>>,
}

/// What the queues of a table have in common.
#[derive(Debug)]
struct Shared {
    files: Files,
    /// Memory held by entries that are not in files yet, in bytes.
    held_bytes: AtomicU64,
    /// Why there will be no more news.
    failed: OnceLock<Error>,
}

impl ConsumeQueue {
    fn new(shared: &Arc<Shared>, folder: Folder, state: State) -> ConsumeQueue {
        let refused = why_refused(&folder.topic, folder.id);
        let (shared, state) = (Arc::clone(shared), RwLock::new(state));
        ConsumeQueue { shared, folder, refused, state, news: OnceLock::new() }
    }

    /// The offset that the next message gets; 0 for a queue that never had one.
    pub(crate) fn max(&self) -> QueueOffset {
        QueueOffset(self.state.read().next())
    }

    /// The position with which it begins, as files go: nothing before it is read, and of what stands at or behind it
    /// only what [`ConsumeQueue::min`] counts has a record.
    pub(crate) fn first(&self) -> QueueOffset {
        QueueOffset(self.state.read().first())
    }

    /// [`ConsumeQueue::max`], and the log offset behind the newest record put since the table was opened.
    pub(crate) fn end(&self) -> (QueueOffset, LogOffset) {
        let state = self.state.read();
        (QueueOffset(state.next()), state.newest())
    }

    /// The first entry that points at or above the log's first record; [`ConsumeQueue::max`] if there is none. Blanks
    /// never count (spec 3.5, H12). Found by binary search when first asked for, and again when `log_first` has moved.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Geometry`]: a file cannot be read.
    pub(crate) fn min(&self, log_first: LogOffset) -> Result<QueueOffset> {
        loop {
            let state = self.state.read();
            if let Some(known) = state.known_min(log_first) {
                return Ok(QueueOffset(known));
            }
            let (from, next, turns) = state.min_search(log_first);
            drop(state);
            let least = self.search_min(log_first, from, next)?;
            let mut state = self.state.write();
            // What the search looked at may have been retired meanwhile, and looked like nothing.
            if state.first() <= from {
                state.keep_min(log_first, least, next, turns);
                return Ok(QueueOffset(least));
            }
        }
    }

    /// The first entry of `[from, next)` that points at or above `log_first`; `next` if there is none.
    fn search_min(&self, log_first: LogOffset, from: u64, next: u64) -> Result<u64> {
        let mut from = from;
        let (mut to, mut least) = (next, next);
        // Most often the front of the log has not passed the first entry.
        let mut middle = from;
        while from < to {
            match self.first_entry(middle, to)? {
                Some((at, entry)) if entry.at < log_first => from = at.saturating_add(1),
                Some((at, _)) => (to, least) = (middle, at),
                None => to = middle,
            }
            middle = from.midpoint(to);
        }
        Ok(least)
    }

    /// The first position in `[from, to)` that holds an entry.
    fn first_entry(&self, from: u64, to: u64) -> Result<Option<(u64, Entry)>> {
        let (mut at, mut most) = (from, 1);
        while at < to {
            let found = self.read(QueueOffset(at), most)?;
            if found.is_empty() {
                return Ok(None);
            }
            for entry in found {
                match entry {
                    Some(entry) if at < to => return Ok(Some((at, entry))),
                    _ => at = at.saturating_add(1),
                }
            }
            most = SEARCH_STEP;
        }
        Ok(None)
    }

    /// The entries from `from` on, `None` for a position without a message: at most `most`, up to the end of the file
    /// that holds `from`, because RocketMQ reads one file a call (spec 11.1), or up to [`ConsumeQueue::max`]. Empty if
    /// `from` is not in the queue. What is in memory and what is in files is told apart by nobody.
    ///
    /// Only a position that is being replaced may read as something that it never was; its record tells (spec H32). So
    /// does one whose bytes are damaged beyond being an entry: it reads as an entry that no record answers to.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Geometry`]: a file cannot be read.
    pub(crate) fn read(&self, from: QueueOffset, most: usize) -> Result<Vec<Option<Entry>>> {
        let from = from.0;
        let per_segment = self.shared.files.entries_per_segment();
        let state = self.state.read();
        let segment_end = (from / per_segment).saturating_add(1).saturating_mul(per_segment);
        let most_end = from.saturating_add(u64::try_from(most).unwrap_or(u64::MAX));
        let end = state.next().min(segment_end).min(most_end);
        if from < state.first() || from >= end {
            return Ok(Vec::new());
        }
        let plan = state.plan(from, end);
        drop(state);
        let mut entries = match self.read_files(from, plan.in_files) {
            Ok(entries) => entries,
            // Its topic was dropped since we looked, or its file retired.
            Err(_) if !self.state.read().is_in_files(from) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        entries.extend(plan.in_memory);
        for (distance, entry) in plan.patches {
            if let Some(slot) = usize::try_from(distance).ok().and_then(|i| entries.get_mut(i)) {
                *slot = Some(entry);
            }
        }
        Ok(entries)
    }

    /// `entries` of them from `from` on, which stand in one file.
    fn read_files(&self, from: u64, entries: u64) -> Result<Vec<Option<Entry>>> {
        if entries == 0 {
            return Ok(Vec::new());
        }
        let bytes = self.read_bytes(from, entries)?;
        Ok(bytes.as_chunks::<20>().0.iter().map(Entry::within_queue).collect())
    }

    /// The bytes of so many entries. Both numbers are bounded by the length of a file, which is checked when opened.
    fn read_bytes(&self, from: u64, entries: u64) -> Result<Vec<u8>> {
        let files = &self.shared.files;
        let segment = from / files.entries_per_segment();
        let file = files.reading(&self.folder, segment)?;
        let bytes = usize::try_from(entries.saturating_mul(ENTRY_BYTES)).unwrap_or(usize::MAX);
        let mut out = Vec::new();
        if out.try_reserve_exact(bytes).is_err() {
            let path = files.path(&self.folder, segment);
            return Err(Error::io("reading", &path, std::io::ErrorKind::OutOfMemory.into()));
        }
        out.resize(bytes, 0);
        file.read_at(from % files.entries_per_segment() * ENTRY_BYTES, &mut out)?;
        Ok(out)
    }

    /// The entry at this position; `None` if there is no message.
    ///
    /// # Errors
    /// As [`ConsumeQueue::read`].
    pub(crate) fn entry(&self, at: QueueOffset) -> Result<Option<Entry>> {
        Ok(self.read(at, 1)?.first().copied().flatten())
    }

    /// A mark that moves to the place of the log behind the newest entry's record whenever entries were put. It stands
    /// at 0 as long as none was put since the queues were opened. Whoever waits reads where it stands, looks at
    /// [`ConsumeQueue::max`], and waits for one byte more.
    pub(crate) fn news(&self) -> &Arc<Watermark> {
        if let Some(news) = self.news.get() {
            return news;
        }
        let state = self.state.write();
        self.news.get_or_init(|| {
            let news = Watermark::new(state.newest);
            if let Some(error) = self.shared.failed.get() {
                // Nobody waits for a mark that was just made, so there is nobody to wake.
                drop(news.fail(error.clone()));
            }
            news
        })
    }

    /// The file that holds this position, or would hold it: for error texts.
    pub(crate) fn segment_of(&self, at: QueueOffset) -> PathBuf {
        let files = &self.shared.files;
        files.path(&self.folder, at.0 / files.entries_per_segment())
    }

    /// Changes the state, and keeps count of the memory that it holds.
    fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.write();
        let before = state.held_bytes();
        let result = change(&mut state);
        let after = state.held_bytes();
        // Wraps around below 0 and back: the sum over all changes is right at any moment.
        self.shared.held_bytes.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
        result
    }
}

/// Why a queue of this name can have no entries: its files would stand in folders that cannot be, or that RocketMQ
/// cannot name.
fn why_refused(topic: &str, id: u32) -> Option<&'static str> {
    if topic.is_empty() || topic == "." || topic == ".." || topic.contains(['/', '\0']) {
        return Some("its topic cannot be the name of a folder");
    }
    if topic.len() > 255 {
        return Some("its topic is longer than 255 bytes, the most that the name of a folder may have");
    }
    (id > i32::MAX.unsigned_abs()).then_some("its queue id is above the largest of RocketMQ's, 2,147,483,647")
}
