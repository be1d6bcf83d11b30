//! Keeps the mark and the ranges of a running store on disk, off the append path.
//!
//! The mark follows the flushed one about once a second; it only ever says what a sync returned (promises rule 1).

use std::sync::Arc;
use std::time::Duration;

use crate::checkpoint::{Mark, MarkFile, Quarantine, Ranges, State};
use crate::commit_log::CommitLog;
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
    quarantine: Quarantine,
    /// The store was closed: the folder is not ours any more.
    ended: bool,
}

impl Keeper {
    /// Takes over the open mark file. `mark` was saved in it.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        layout: Layout,
        file: MarkFile,
        mark: Mark,
        (ranges, quarantine): (Ranges, Quarantine),
    ) -> Keeper {
        let kept = Kept { file, mark, saved_at: Duration::ZERO, ranges, quarantine, ended: false };
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
        Ok(Next::Wait)
    }

    /// Says durably that the log begins at `first` from now on, all of it below being flushed; a later open removes what
    /// it finds before. Nothing if that was said already.
    ///
    /// # Errors
    /// [`Error::Io`]. The mark before it counts for this process; a later open may find either.
    pub(crate) fn say_first(&self, log: &CommitLog, first: LogOffset) -> Result<()> {
        let mut kept = self.kept.lock();
        if kept.mark.first.is_some_and(|said| said >= first) {
            return Ok(());
        }
        let durable = kept.mark.durable.max(log.flushed().at());
        let mark = Mark { first: Some(first), durable, ..kept.mark };
        kept.save_mark(mark)
    }

    /// Says durably that a sync covers the log up to `at`. Nothing if that was said already.
    ///
    /// # Errors
    /// [`Error::Closed`]: nothing was saved. [`Error::Io`].
    pub(crate) fn say_durable(&self, at: LogOffset) -> Result<()> {
        let mut kept = self.kept.lock();
        if kept.mark.durable >= at {
            return Ok(());
        }
        if kept.ended {
            return Err(Error::Closed);
        }
        let mark = Mark { durable: at, ..kept.mark };
        kept.save_mark(mark)
    }

    /// Forgets the ranges, and the listed damage, that lie below the log's first byte.
    ///
    /// # Errors
    /// [`Error::Io`]; the next save says it again.
    pub(crate) fn retire_ranges(&self, first: LogOffset) -> Result<()> {
        let mut kept = self.kept.lock();
        let own = self.layout.own();
        if kept.quarantine.retire(first) {
            kept.quarantine.save(&*self.disk, &own)?;
        }
        if kept.ranges.retire(first) { kept.ranges.save(&*self.disk, &own) } else { Ok(()) }
    }

    /// Says durably how far the log may run ahead of the disk: before anything is accepted under a larger window, and
    /// when everything that was accepted under a larger one is flushed (promises rule 2).
    ///
    /// # Errors
    /// [`Error::Failed`], [`Error::Closed`]: nothing was saved. [`Error::Io`].
    pub(crate) fn save_window(&self, log: &CommitLog, window_bytes: u64) -> Result<()> {
        let mut kept = self.kept.lock();
        if let Some(failure) = log.failure() {
            return Err(failure);
        }
        if kept.ended || kept.mark.state != State::Open {
            return Err(Error::Closed);
        }
        let durable = log.flushed().at().max(kept.mark.durable);
        let mark = Mark { durable, window_bytes, ..kept.mark };
        kept.save_mark(mark)
    }

    /// The store was closed, in order or not: nothing is saved from now on, and nobody is in the middle of it.
    pub(crate) fn ended(&self) {
        self.kept.lock().ended = true;
    }

    /// The log has failed: says so in the mark, without a sync, for the disk deserves no trust. A later open in the
    /// same run of the system then takes what is missing for a failed sync's doing, and not for damage.
    pub(crate) fn failed(&self) {
        let mut kept = self.kept.lock();
        kept.mark.state = State::Failed;
        // The log's own failure is what the user is told; if this is lost, the next open is the stricter for it.
        let _ = kept.file.save_unsynced(kept.mark);
    }

    /// The last thing before the abort mark goes: everything is durable, in the log and in what is derived from it.
    pub(crate) fn close(&self, log: &CommitLog) -> Result<()> {
        let end = log.accepted();
        let mut kept = self.kept.lock();
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
