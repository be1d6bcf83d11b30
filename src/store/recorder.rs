//! Puts what was derived into files, off the dispatcher's path, and says durably how far that is.
//!
//! Queue and index entries go to files only when a sync covers their records, gathered, about once a second or when
//! memory holds too much of them: so a power cut never leaves an entry without its record. All of them are synced, and
//! the place is written down (`sawlog/queues`), once a segment, at the end, and more often where there are few queues:
//! the next open derives from there on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::checkpoint::{IndexFileMark, IndexMark, JavaCheckpoint, QueueMark, Snapshot, WriterId};
use crate::clock::Timestamp;
use crate::commit_log::CommitLog;
use crate::consume_queue::Known;
use crate::disk::Disk;
use crate::dispatch::{Captured, Dispatcher};
use crate::error::{Error, Result};
use crate::flush::Flush;
use crate::key_index::{self, KnownFile};
use crate::layout::Layout;
use crate::offset::LogOffset;
use crate::store::keeper::Keeper;
use crate::sync::Mutex;
use crate::worker::Next;

/// How long entries stay in memory alone.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// So many bytes of entries are written at once, whenever it is.
pub(super) const MOST_PENDING_BYTES: u64 = 4 << 20;
/// So many bytes of log are worth syncing all queues for, and so many for each queue: a crash costs the next open deriving
/// this much, or what came within a second, and saying it costs a sync of each queue.
const SAVE_EVERY_BYTES: u64 = 64 << 20;
const SAVE_EVERY_BYTES_OF_A_QUEUE: u64 = 256 << 10;
/// How long to wait when the disk is full.
const FULL_REST: Duration = Duration::from_secs(1);

/// What stays the same in all that a recorder writes down.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) writer: WriterId,
    pub(crate) entries_per_segment: u32,
    pub(crate) index: Option<key_index::Geometry>,
}

/// See the file's text.
#[derive(Debug)]
pub(crate) struct Recorder {
    disk: Arc<dyn Disk>,
    layout: Layout,
    shape: Shape,
    keeper: Arc<Keeper>,
    dispatcher: Arc<Dispatcher>,
    kept: Mutex<Kept>,
    /// What `saved_to` says, for who does not wait until files are synced.
    recorded: AtomicU64,
}

#[derive(Debug)]
struct Kept {
    /// Up to where the files are said to be whole; `None`: nothing is said yet.
    saved_to: Option<LogOffset>,
    /// After so many bytes more it is said again, though the segment goes on.
    save_every_bytes: u64,
    /// What is to be said next, once everything in it is durable.
    waiting: Option<Captured>,
    written_at: Duration,
    /// When it was said.
    said_at: Duration,
    /// A queue or the index begins later than is written down: no file may go yet.
    front_moved: bool,
    closed: bool,
}

impl Kept {
    /// Whether what is said is far behind what is durable, for so few queues.
    fn is_far(&self, durable: LogOffset) -> bool {
        self.saved_to.is_some_and(|to| durable.0.saturating_sub(to.0) >= self.save_every_bytes)
    }

    fn has_more_to_say(&self, durable: LogOffset) -> bool {
        self.waiting.is_some() || self.is_far(durable)
    }
}

impl Recorder {
    /// `saved_to` is what the snapshot on disk says of the files, if it says anything.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        layout: Layout,
        (shape, keeper): (Shape, &Arc<Keeper>),
        dispatcher: Arc<Dispatcher>,
        saved_to: Option<LogOffset>,
    ) -> Recorder {
        let written_at = Duration::ZERO;
        let kept = Kept {
            saved_to,
            save_every_bytes: SAVE_EVERY_BYTES,
            waiting: None,
            written_at,
            said_at: Duration::ZERO,
            front_moved: false,
            closed: false,
        };
        let recorded = saved_to.unwrap_or_default().0.into();
        let keeper = Arc::clone(keeper);
        Recorder { disk, layout, shape, keeper, dispatcher, kept: Mutex::new(kept), recorded }
    }

    pub(crate) fn dispatcher(&self) -> &Arc<Dispatcher> {
        &self.dispatcher
    }

    /// Writes what is due.
    ///
    /// # Errors
    /// [`Error::Failed`]: the sync of a file of a queue or of the index failed, which is final. [`Error::Io`]: what was
    /// not written stays in memory. A full disk is no error: it is tried again.
    pub(crate) fn record(&self, log: &CommitLog, now: Duration) -> Result<Next> {
        let mut kept = self.kept.lock();
        if log.failure().is_some() {
            return Ok(Next::Wait);
        }
        let durable = self.dispatcher.dispatched().at().min(log.flushed().at());
        let base = log.segments().find(durable).map_or(LogOffset::ZERO, |s| s.base());
        let has_rested = now.saturating_sub(kept.said_at) >= WRITE_EVERY;
        let is_left_behind = kept.saved_to.is_none_or(|to| to < base);
        if kept.waiting.is_none() && (is_left_behind || kept.is_far(durable) && has_rested) {
            kept.waiting = Some(self.dispatcher.capture());
        }
        let is_due = kept.waiting.as_ref().is_some_and(|captured| captured.at <= durable);
        match self.record_due(&mut kept, is_due, durable, now) {
            // Nothing is lost by waiting, unless it was a sync that met the full disk: that is final (promises rule 1).
            Err(error) if error.is_full() && !matches!(error, Error::Failed(_)) => Ok(Next::After(FULL_REST)),
            other => other,
        }
    }

    fn record_due(&self, kept: &mut Kept, is_due: bool, durable: LogOffset, now: Duration) -> Result<Next> {
        let pending_bytes = self.pending_bytes();
        let age = now.saturating_sub(kept.written_at);
        if !is_due && pending_bytes < MOST_PENDING_BYTES && age < WRITE_EVERY {
            let rests = pending_bytes > 0 || kept.has_more_to_say(durable);
            return Ok(if rests { Next::After(WRITE_EVERY - age) } else { Next::Wait });
        }
        if is_due || pending_bytes > 0 {
            self.write_out(durable)?;
            kept.written_at = now;
        }
        if let Some(captured) = kept.waiting.take_if(|_| is_due) {
            if let Err(error) = self.save(&captured, self.dispatcher.derived().dropped()) {
                kept.waiting = Some(captured);
                return Err(error);
            }
            self.said(kept, &captured);
            kept.said_at = now;
        }
        let rests = self.pending_bytes() > 0 || kept.has_more_to_say(durable);
        Ok(if rests { Next::After(WRITE_EVERY) } else { Next::Wait })
    }

    /// Bytes of entries that are in memory alone.
    pub(crate) fn pending_bytes(&self) -> u64 {
        self.dispatcher.pending_bytes()
    }

    /// Moves to files what a sync of the log covers.
    ///
    /// # Errors
    /// [`Error::Io`]; what was not written stays in memory. [`Error::Failed`] if a sync failed, now or before.
    pub(crate) fn write_out(&self, durable: LogOffset) -> Result<()> {
        let derived = self.dispatcher.derived();
        derived.queues.write_out(durable)?;
        derived.keys.as_ref().map_or(Ok(()), |keys| keys.write_out(durable))
    }

    /// Everything in `captured` lies in files: syncs them and says so, and which topics do not count up to where.
    fn save(&self, captured: &Captured, dropped: BTreeMap<Vec<u8>, LogOffset>) -> Result<()> {
        let derived = self.dispatcher.derived();
        derived.queues.sync()?;
        if let Some(keys) = &derived.keys {
            keys.sync()?;
        }
        // The log is judged by the mark alone: what is counted on here must be damage there when it rots, not a tail.
        self.keeper.say_durable(captured.at)?;
        let snapshot = snapshot(&self.shape, captured, dropped);
        snapshot.save(&*self.disk, &self.layout.own())?;
        self.tell_java(captured.last_stored)
    }

    /// RocketMQ's checkpoint, for a broker that finds our abort mark: it scans from a segment that begins before these
    /// times and derives anew what lies behind, and it deletes every index file that ends later than it was told
    /// (spec 9.6, H10). So the times stay below the last key of the index files that are full and synced.
    fn tell_java(&self, last_stored: Timestamp) -> Result<()> {
        let derived = self.dispatcher.derived();
        let (limit, index) = match &derived.keys {
            Some(keys) => {
                let sealed = keys.sealed_end().unwrap_or(Timestamp(0));
                (sealed, sealed)
            }
            None => (last_stored, Timestamp(0)),
        };
        let at = last_stored.min(limit);
        JavaCheckpoint { physic: at, logics: at, index }.save(&*self.disk, &self.layout.checkpoint())
    }

    /// The place was saved, durably.
    fn said(&self, kept: &mut Kept, captured: &Captured) {
        let (to, queues) = (captured.at, captured.queues.len() as u64);
        kept.saved_to = Some(to);
        kept.save_every_bytes = SAVE_EVERY_BYTES.max(SAVE_EVERY_BYTES_OF_A_QUEUE.saturating_mul(queues));
        self.recorded.store(to.0, Ordering::Relaxed);
    }

    /// Up to where everything derived is said to be durable, 0 if nothing is said: never waits.
    pub(crate) fn recorded(&self) -> LogOffset {
        LogOffset(self.recorded.load(Ordering::Relaxed))
    }

    /// Up to where everything derived is said to be durable.
    pub(crate) fn saved_to(&self) -> Option<LogOffset> {
        self.kept.lock().saved_to
    }

    /// Everything derived from below `first`, which must be dispatched, is durable and said to be when this returns:
    /// the queues' next offsets above all (promises rule 5). Futures whose time has come are told by the caller's
    /// [`CommitLog::wake_up`].
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Full`]: what was said before counts. [`Error::Failed`], [`Error::Closed`].
    pub(crate) fn cover(&self, log: &CommitLog, first: LogOffset) -> Result<()> {
        let mut kept = self.kept.lock();
        if kept.closed {
            return Err(Error::Closed);
        }
        if kept.saved_to.is_some_and(|to| to >= first) {
            return Ok(());
        }
        let waiting = kept.waiting.take().filter(|captured| captured.at >= first);
        let captured = waiting.unwrap_or_else(|| self.dispatcher.capture());
        self.save_now(&mut kept, log, &captured)
    }

    /// Writes and syncs all that was captured, the log's records before it, and says so.
    fn save_now(&self, kept: &mut Kept, log: &CommitLog, captured: &Captured) -> Result<()> {
        while log.flushed().at() < captured.at {
            log.flush_and_put_off()?;
        }
        self.write_out(captured.at)?;
        self.save(captured, self.dispatcher.derived().dropped())?;
        self.said(kept, captured);
        Ok(())
    }

    /// The last thing but the log's mark: everything derived, written, synced and said.
    pub(crate) fn close(&self, log: &CommitLog) -> Result<()> {
        // Wakes readers: with no lock held.
        while self.dispatcher.step()? {}
        let mut kept = self.kept.lock();
        kept.closed = true;
        let captured = self.dispatcher.capture();
        self.write_out(log.flushed().at())?;
        let derived = self.dispatcher.derived();
        if let Some(keys) = &derived.keys {
            keys.close()?;
        }
        self.save(&captured, self.dispatcher.derived().dropped())?;
        self.said(&mut kept, &captured);
        Ok(())
    }

    /// RocketMQ's checkpoint as a broker leaves it: for the time after the abort mark has gone, when nobody needs to
    /// derive anything anew.
    pub(crate) fn tell_java_of_the_end(&self) -> Result<()> {
        let derived = self.dispatcher.derived();
        let index = derived.keys.as_ref().and_then(|keys| keys.sealed_end()).unwrap_or(Timestamp(0));
        let at = self.dispatcher.capture().last_stored;
        JavaCheckpoint { physic: at, logics: at, index }.save(&*self.disk, &self.layout.checkpoint())
    }

    /// Removes a topic: its records so far are neither queued nor indexed any more, now and after any later open.
    /// The numbering of its queues goes on.
    ///
    /// First said durably, then done: whoever opens after a crash in between finishes it.
    pub(crate) fn drop_topic(&self, log: &CommitLog, topic: &str) -> Result<()> {
        // All that was taken before this call, derived or not: it counts as the topic's records so far.
        let end = log.accepted();
        while log.flushed().at() < end {
            log.flush()?;
        }
        while self.dispatcher.dispatched().at() < end && self.dispatcher.step()? {}
        let done = self.drop_now(log, topic);
        log.wake_up();
        done
    }

    /// What is derived follows the front of the log: queues, key index and dropped topics forget what points below its
    /// first byte, and the files that hold nothing else go. To be called when segments have left the log, and when it
    /// is opened: the last sweep may have been cut short. Gives the bytes that the removed files measured.
    ///
    /// The order: beginnings move in memory, `sawlog/queues` says so durably, files go. So no crash leaves a file
    /// missing that is counted on. What is captured for that must be durable, too, which may take a sync of the log.
    /// Neither the dispatcher nor a reader waits for it. Futures whose time has come are told by the caller's
    /// [`CommitLog::wake_up`].
    ///
    /// # Errors
    /// [`Error::Io`], also of a single file: all others have gone by then, and a later call goes on. [`Error::Failed`],
    /// [`Error::Closed`].
    pub(crate) fn retire(&self, log: &CommitLog) -> Result<u64> {
        let derived = self.dispatcher.derived();
        let first = log.first();
        derived.prune_dropped(first);
        let moved = derived.queues.move_front(first);
        let forgotten = derived.keys.as_ref().is_some_and(|keys| keys.forget_before(first));
        self.say_front(log, forgotten || !matches!(moved, Ok(false)))?;
        let queues = derived.queues.remove_retired();
        let index = derived.keys.as_ref().map_or(Ok(0), |keys| keys.remove_retired());
        moved?;
        Ok(queues?.saturating_add(index?))
    }

    fn say_front(&self, log: &CommitLog, moved: bool) -> Result<()> {
        let mut kept = self.kept.lock();
        if kept.closed {
            return Err(Error::Closed);
        }
        kept.front_moved |= moved;
        if !kept.front_moved {
            return Ok(());
        }
        self.save_now(&mut kept, log, &self.dispatcher.capture())?;
        kept.waiting = None;
        kept.front_moved = false;
        Ok(())
    }

    fn drop_now(&self, log: &CommitLog, topic: &str) -> Result<()> {
        let mut kept = self.kept.lock();
        if kept.closed {
            return Err(Error::Closed);
        }
        let derived = self.dispatcher.derived();
        self.dispatcher.standing(|mut captured| {
            let to = captured.at;
            while log.flushed().at() < to {
                log.flush_and_put_off()?;
            }
            self.write_out(to)?;
            let mut dropped = derived.dropped();
            dropped.insert(topic.as_bytes().to_vec(), to);
            for ((name, _), known) in &mut captured.queues {
                if name == topic {
                    known.first = known.next;
                }
            }
            // Not before it is said: a topic whose drop failed is whole, for readers and for what is written down next.
            self.save(&captured, dropped)?;
            derived.drop_below(topic, to);
            kept.waiting = None;
            self.said(&mut kept, &captured);
            derived.queues.drop_topic(topic)
        })
    }
}

/// What is written down about a captured moment.
fn snapshot(shape: &Shape, captured: &Captured, dropped: BTreeMap<Vec<u8>, LogOffset>) -> Snapshot {
    let queue = |((topic, id), known): (&(String, u32), &Known)| {
        ((topic.clone().into_bytes(), *id), QueueMark { first: known.first, next: known.next })
    };
    let index = shape.index.zip(captured.index.as_ref()).map(|(geometry, files)| IndexMark {
        slots: geometry.slots,
        entries: geometry.entries,
        files: files.iter().map(index_file_mark).collect(),
    });
    Snapshot {
        derived_to: captured.at,
        last_stored: captured.last_stored,
        writer: shape.writer,
        has_files: true,
        entries_per_segment: shape.entries_per_segment,
        queues: captured.queues.iter().map(queue).collect(),
        index,
        dropped,
    }
}

fn index_file_mark(file: &KnownFile) -> IndexFileMark {
    IndexFileMark {
        name: file.name,
        next_entry: file.next_entry,
        begin_time: Timestamp(file.begin_time),
        end_time: Timestamp(file.end_time),
        begin_offset: file.begin_offset,
        end_offset: file.end_offset,
        sealed: file.sealed,
    }
}
