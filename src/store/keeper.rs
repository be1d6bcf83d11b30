//! Keeps the mark, the ranges and the queue offsets of a running store on disk, off the append path.
//!
//! The mark follows the flushed one about once a second; it only ever says what a sync returned (promises rule 1).

use std::sync::Arc;
use std::time::Duration;

use crate::checkpoint::{Mark, MarkFile, Ranges, Snapshot, State};
use crate::commit_log::{CommitLog, QueueOffsets};
use crate::disk::{Disk, Reserve};
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::offset::LogOffset;
use crate::sync::Mutex;
use crate::worker::Next;

/// How far the mark may lag: what a later open scans beyond a segment's base, and writes again, is bounded by it.
const MARK_EVERY: Duration = Duration::from_secs(1);

/// See the file's text.
#[derive(Debug)]
pub(crate) struct Keeper {
    disk: Arc<dyn Disk>,
    layout: Layout,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    file: MarkFile,
    mark: Mark,
    saved_at: Duration,
    ranges: Ranges,
    /// Up to where the queue offsets on disk count.
    counted_to: LogOffset,
    /// Queue offsets that wait until everything they count is durable.
    waiting: Option<(LogOffset, QueueOffsets)>,
}

impl Keeper {
    /// Takes over the open mark file. `mark` was saved in it; `counted_to` is what the snapshot on disk counts.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        layout: Layout,
        file: MarkFile,
        mark: Mark,
        ranges: Ranges,
        counted_to: LogOffset,
    ) -> Keeper {
        let kept = Kept { file, mark, saved_at: Duration::ZERO, ranges, counted_to, waiting: None };
        Keeper { disk, layout, kept: Mutex::new(kept) }
    }

    /// Saves what is due.
    ///
    /// # Errors
    /// [`Error::Io`]; what was saved before still counts.
    pub(crate) fn keep(&self, log: &CommitLog, now: Duration) -> Result<Next> {
        let mut kept = self.kept.lock();
        let flushed = log.flushed().at();
        if log.failure().is_some() || kept.mark.state != State::Open || flushed <= kept.mark.durable {
            return Ok(Next::Wait);
        }
        let age = now.saturating_sub(kept.saved_at);
        if age < MARK_EVERY {
            return Ok(Next::After(MARK_EVERY - age));
        }
        let mark = Mark { durable: flushed, ..kept.mark };
        kept.save_mark(mark)?;
        kept.saved_at = now;
        let base = log.segments().find(flushed).map_or(LogOffset::ZERO, |s| s.base());
        let is_due = kept.waiting.is_none() && kept.counted_to < base;
        // Counted without our lock: a log that fails under its append lock tells us so, and waits for ours.
        drop(kept);
        self.count(is_due.then(|| log.queue_offsets()))?;
        Ok(Next::Wait)
    }

    /// Saves the queue offsets once a segment, and only when all that they count is durable.
    fn count(&self, counted: Option<(LogOffset, QueueOffsets)>) -> Result<()> {
        let mut kept = self.kept.lock();
        let durable = kept.mark.durable;
        kept.waiting = kept.waiting.take().or(counted);
        let Some((to, queues)) = kept.waiting.take_if(|(to, _)| *to <= durable) else { return Ok(()) };
        match self.save_queues(&kept, to, &queues) {
            Ok(()) => kept.counted_to = to,
            // Without room they wait for the next mark: an opening counts for itself what is not saved.
            Err(error) if error.is_full() => kept.waiting = Some((to, queues)),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn save_queues(&self, kept: &Kept, derived_to: LogOffset, queues: &QueueOffsets) -> Result<()> {
        let next = queues.iter().map(|(topic, id, next)| ((topic.to_vec(), id), next));
        Snapshot::of_counts(derived_to, kept.mark.writer, next).save(&*self.disk, &self.layout.own())
    }

    /// The log has failed: says so in the mark, without a sync, for the disk deserves no trust. A later open in the
    /// same run of the system then takes what is missing for a failed sync's doing, and not for damage.
    pub(crate) fn failed(&self) {
        let mut kept = self.kept.lock();
        kept.mark.state = State::Failed;
        // The log's own failure is what the user is told; if this is lost, the next open is the stricter for it.
        let _ = kept.file.save_unsynced(kept.mark);
    }

    /// The last thing before the abort mark goes: everything is durable up to `end`.
    pub(crate) fn close(&self, log: &CommitLog) -> Result<()> {
        let (end, queues) = log.queue_offsets();
        let mut kept = self.kept.lock();
        self.save_queues(&kept, end, &queues)?;
        kept.ranges.close_at(end);
        kept.ranges.save(&*self.disk, &self.layout.own())?;
        let mark = Mark { durable: end, end, state: State::Closed, ..kept.mark };
        kept.save_mark(mark)
    }
}

impl Kept {
    fn save_mark(&mut self, mark: Mark) -> Result<()> {
        self.mark = self.file.save(mark)?;
        Ok(())
    }
}

/// Puts a small file in the place of another one, durably.
pub(super) fn write_small(disk: &dyn Disk, path: &std::path::Path, text: &str) -> Result<()> {
    let fresh = path.with_extension("new");
    let io = |doing, e| Error::io(doing, path, e);
    match disk.remove(&fresh) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(io("replacing", e)),
        _ => {}
    }
    let file = disk.create(&fresh, text.len() as u64, Reserve::Blocks).map_err(|e| io("creating", e))?;
    file.write_at(0, text.as_bytes()).map_err(|e| io("writing", e))?;
    file.sync().map_err(|e| io("syncing", e))?;
    disk.replace(&fresh, path).map_err(|e| io("replacing", e))?;
    disk.sync_dir(path.parent().unwrap_or(path)).map_err(|e| io("syncing the folder of", e))
}
