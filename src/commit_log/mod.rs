//! The one log: records appended at its tail, read anywhere below its marks, flushed by one hand at a time.
//!
//! *accepted* (private to tail and flusher) ≥ *written* (in the page cache) ≥ *flushed* (a sync covers it). The log
//! does not know who waits for its marks.

mod append;
mod change;
mod queue_offsets;
mod read;
mod read_ahead;
mod scan;
mod told;
mod walk;
mod window;

use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::time::Duration;

use crate::clock::{Clock, Timestamp};
use crate::error::{Error, Result};
use crate::flush::{Flush, Progress, Watermark};
use crate::offset::{LogOffset, LogRange, QueueOffset};
use crate::segment::{Segment, SegmentList};
use crate::sync::{Mutex, MutexGuard, tell_all};
use crate::trace;
use crate::worker::Bell;

pub(crate) use append::{Appended, How, Patience};
use append::{Staged, Tail};
use change::InForce;
pub(crate) use change::Terms;
pub(crate) use queue_offsets::QueueOffsets;
pub use read::Raw;
pub use scan::Scan;
use told::Counts;
pub(crate) use told::{Synced, Told, Watch};
pub(crate) use walk::{Step, Visit, Walk};
pub(crate) use window::Window;

/// How records reach the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Each one at once, into the page cache.
    Direct,
    /// Many at once, by the flusher, just before the sync.
    Staged,
}

/// Told why the log failed; gives back wakers that are due.
pub(crate) type OnFailure = Box<dyn Fn(&Error) -> Vec<Waker> + Send + Sync>;

/// What the log is given at its start.
pub(crate) struct Setup {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) flusher: Arc<Bell>,
    pub(crate) janitor: Arc<Bell>,
    pub(crate) keeper: Arc<Bell>,
    /// Who follows the visible mark.
    pub(crate) follower: Arc<Bell>,
    /// What the flush policy asks for, to begin with.
    pub(crate) terms: Terms,
    pub(crate) verify_on_read: bool,
    /// Parts `[from, to)` of the log, ascending, in which every record must carry a record checksum.
    pub(crate) ours: Vec<(LogOffset, LogOffset)>,
    /// Damaged parts of the log, ascending: nothing of them is served.
    pub(crate) quarantined: Vec<LogRange>,
    /// Called once, when the log fails or is closed for good; gives back the wakers of those who wait for what
    /// follows the log.
    pub(crate) on_failure: OnFailure,
    /// Is told what happens to the log.
    pub(crate) watch: Option<Watch>,
}

/// Where the log ends and what it has counted, as recovery found it.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) end: LogOffset,
    pub(crate) segment: Arc<Segment>,
    pub(crate) queues: QueueOffsets,
    pub(crate) last_stored: Timestamp,
}

/// The log. See the room's text.
pub(crate) struct CommitLog {
    segments: SegmentList,
    setup: Setup,
    tail: Mutex<Tail>,
    /// The flush lock: take what is staged, write, sync, advance or latch, whoever runs it. No other code syncs a
    /// log file that may hold unflushed records: of two syncs at once only one would see an error.
    flushing: Mutex<Staged>,
    in_force: InForce,
    /// What was staged; of direct writes *written* says it.
    accepted: AtomicU64,
    wanted: AtomicU64,
    written: Arc<Watermark>,
    flushed: Arc<Watermark>,
    /// What readers see. It goes with one of the other two, but that one may change under those who wait for it.
    visible: Arc<Watermark>,
    /// Appends are refused from now on.
    closed: AtomicBool,
    syncs: AtomicU64,
    counts: Counts,
    /// When the oldest byte that is not flushed was appended: nanoseconds by the monotonic clock.
    dirty_since_ns: AtomicU64,
    failed: OnceLock<Error>,
    /// Wakers of futures whose time has come while a lock of ours was held; see [`CommitLog::wake_up`].
    due: Mutex<Vec<Waker>>,
    is_due: AtomicBool,
}

impl fmt::Debug for CommitLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommitLog").field("dir", &self.segments.dir()).finish_non_exhaustive()
    }
}

impl CommitLog {
    /// A log whose every byte below `start.end` is durable.
    pub(crate) fn new(segments: SegmentList, setup: Setup, start: Start) -> CommitLog {
        let end = start.end;
        segments.keep_from(end);
        CommitLog {
            segments,
            in_force: InForce::new(setup.terms),
            setup,
            tail: Mutex::new(Tail::new(end, start.segment, start.queues, start.last_stored)),
            flushing: Mutex::default(),
            accepted: end.0.into(),
            wanted: 0.into(),
            written: Watermark::new(end),
            flushed: Watermark::new(end),
            visible: Watermark::new(end),
            closed: AtomicBool::new(false),
            syncs: 0.into(),
            counts: Counts::default(),
            dirty_since_ns: 0.into(),
            failed: OnceLock::new(),
            due: Mutex::default(),
            is_due: AtomicBool::new(false),
        }
    }

    pub(crate) fn segments(&self) -> &SegmentList {
        &self.segments
    }

    fn tail(&self) -> &Mutex<Tail> {
        &self.tail
    }

    fn clock(&self) -> &dyn Clock {
        &*self.setup.clock
    }

    fn flusher(&self) -> &Bell {
        &self.setup.flusher
    }

    fn janitor(&self) -> &Bell {
        &self.setup.janitor
    }

    fn keeper(&self) -> &Bell {
        &self.setup.keeper
    }

    /// Up to where records were taken, in the page cache or not.
    pub(crate) fn accepted(&self) -> LogOffset {
        LogOffset(self.accepted.load(Ordering::SeqCst)).max(self.written.at())
    }

    fn accept(&self, to: LogOffset) {
        self.accepted.store(to.0, Ordering::SeqCst);
    }

    fn dirty_from_now(&self) {
        let now = u64::try_from(self.clock().elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.dirty_since_ns.store(now, Ordering::Relaxed);
    }

    /// Somebody waits, or will, for a sync that covers everything below `to`.
    fn want(&self, to: LogOffset) {
        self.wanted.fetch_max(to.0, Ordering::SeqCst);
    }

    fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::SeqCst) > self.flushed.at().0
    }

    pub(crate) fn written(&self) -> &Arc<Watermark> {
        &self.written
    }

    pub(crate) fn flushed(&self) -> &Arc<Watermark> {
        &self.flushed
    }

    /// What readers see.
    pub(crate) fn visible(&self) -> &Arc<Watermark> {
        &self.visible
    }

    /// How many syncs have been done since the log was opened.
    pub(crate) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    /// Why the log takes nothing any more, if so.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.failed.get().cloned()
    }

    /// The same as a question, for those who ask at every record.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.get().is_some()
    }

    fn refuse_failed(&self) -> Result<()> {
        self.failed.get().map_or(Ok(()), |e| Err(e.clone()))
    }

    /// Ends the log's writing life (promises rule 1): every waiter, now or later, gets the cause. The first stays.
    pub(crate) fn fail(&self, cause: Error) -> Error {
        let mut first = false;
        let error = self.failed.get_or_init(|| {
            first = true;
            cause.latched()
        });
        let error = error.clone();
        if first {
            self.put_off((self.setup.on_failure)(&error));
        }
        self.put_off(self.written.fail(error.clone()));
        self.put_off(self.flushed.fail(error.clone()));
        self.put_off(self.visible.fail(error.clone()));
        error
    }

    /// The same for callers that hold no lock: futures are told at once.
    pub(crate) fn fail_and_tell(&self, cause: Error) -> Error {
        let error = self.fail(cause);
        self.wake_up();
        error
    }

    /// Keeps wakers until no lock is held. Most often there are none.
    #[inline]
    fn put_off(&self, wakers: Vec<Waker>) {
        if !wakers.is_empty() {
            self.keep(wakers);
        }
    }

    #[cold]
    fn keep(&self, wakers: Vec<Waker>) {
        self.due.lock().extend(wakers);
        self.is_due.store(true, Ordering::SeqCst);
    }

    /// Wakes the futures whose time has come. A waker runs an executor's code, which may poll at once, and append or
    /// flush: it is called with no lock held, by whoever has just given one back.
    pub(crate) fn wake_up(&self) {
        if self.is_due.load(Ordering::Relaxed) && self.is_due.swap(false, Ordering::SeqCst) {
            let wakers = std::mem::take(&mut *self.due.lock());
            tell_all(wakers);
        }
    }

    /// Syncs the segment of the tail though nothing was appended to it: zeros over a refused append may lie there.
    pub(crate) fn sync_tail(&self) -> Result<()> {
        let _alone = self.flushing.lock();
        self.segments.last().map_or(Ok(()), |segment| segment.sync())
    }

    /// Whether appends are refused because the store is being closed.
    pub(crate) fn is_closing(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Refuses appends from now on, without waiting for anything; what was taken can still be flushed.
    pub(crate) fn refuse_appends(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// The same, and no append is under way any more.
    pub(crate) fn close(&self) {
        self.refuse_appends();
        drop(self.tail.lock());
    }

    fn refuse_closed(&self) -> Result<()> {
        if self.closed.load(Ordering::SeqCst) { Err(Error::Closed) } else { Ok(()) }
    }

    /// A queue goes on at `next`. Before anything is appended.
    pub(crate) fn number_from(&self, topic: &str, queue_id: u32, next: QueueOffset) {
        self.tail.lock().queues.set(topic.as_bytes(), queue_id, next);
    }

    /// Flushes for a caller that holds locks: futures whose time has come are told by its
    /// [`wake_up`](CommitLog::wake_up), when it has given them back.
    pub(crate) fn flush_and_put_off(&self) -> Result<LogOffset> {
        let _span = trace::flush(self.flushed.at());
        let mut held = self.flushing.lock();
        let done = self.flush_held(&mut held);
        self.hand_on(held);
        done
    }

    /// Flushes in the caller's thread if nobody is flushing: a lone producer needs no hand-over, which would cost a
    /// sixth of a durable append (speed.md §1c). Otherwise whoever flushes sees that more is wanted.
    pub(crate) fn flush_if_nobody_does(&self) -> Result<()> {
        // Pairs with the fence below: if the lock was seen held, its holder sees what this thread wants.
        fence(Ordering::SeqCst);
        // A subscriber's code runs with no lock of ours.
        let _span = trace::flush(self.flushed.at());
        let Some(held) = self.flushing.try_lock() else { return Ok(()) };
        self.flush_and_leave(held).map(drop)
    }

    /// Makes room: `accepted - flushed` shrinks until the flushed mark is at `until`.
    fn open_window(&self, until: LogOffset) -> Result<()> {
        let _span = trace::flush(self.flushed.at());
        let held = self.flushing.lock();
        // Another producer may have done it while this one waited for the lock.
        if self.flushed.at() < until {
            return self.flush_and_leave(held).map(drop);
        }
        self.leave(held);
        Ok(())
    }

    fn flush_and_leave(&self, mut held: MutexGuard<'_, Staged>) -> Result<LogOffset> {
        let done = self.flush_held(&mut held);
        self.leave(held);
        done
    }

    /// Gives the flush lock back and hands on what came meanwhile: a producer that found the lock held has left its
    /// message to the holder, whoever that was.
    fn leave(&self, held: MutexGuard<'_, Staged>) {
        self.hand_on(held);
        self.wake_up();
    }

    fn hand_on(&self, held: MutexGuard<'_, Staged>) {
        drop(held);
        fence(Ordering::SeqCst);
        // What is staged is waited for by those who want it written, too.
        if self.is_wanted() || (self.way() == Way::Staged && self.accepted() > self.written.at()) {
            self.flusher().ring();
        }
    }

    fn flush_held(&self, held: &mut MutexGuard<'_, Staged>) -> Result<LogOffset> {
        self.refuse_failed()?;
        let (to, records) = {
            let mut tail = self.tail.lock();
            std::mem::swap(&mut tail.staged, held);
            self.dirty_from_now();
            (tail.end(), self.counts.records())
        };
        let from = self.flushed.at();
        if to <= from {
            return Ok(from);
        }
        self.flushed.begin(to);
        if !self.sees_written() {
            self.visible.begin(to);
        }
        let done = self.write_staged(held).and_then(|()| {
            self.note_written(to);
            let began = self.clock().elapsed();
            self.segments.sync(from, to, self.care())?;
            Ok(self.clock().elapsed().saturating_sub(began))
        });
        // The one place that moves the flushed mark: behind a sync that returned Ok.
        match done {
            Ok(took) => {
                self.syncs.fetch_add(1, Ordering::Relaxed);
                self.tell_synced(from, to, records, took);
                // First: whoever is told that his record is flushed finds it.
                self.put_off(self.visible.advance(to));
                self.put_off(self.flushed.advance(to));
                // The mark follows the flushed one, and pages ahead of the tail are protected again.
                self.keeper().ring_if_idle();
                self.setup.follower.ring_if_idle();
                if self.way() == Way::Direct {
                    self.janitor().ring();
                }
                Ok(to)
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Everything up to `to` is in the page cache. Visible first: whoever is told that his record is written finds it.
    fn note_written(&self, to: LogOffset) {
        if self.sees_written() {
            self.put_off(self.visible.advance(to));
            self.setup.follower.ring_if_idle();
        }
        self.put_off(self.written.advance(to));
    }

    /// Puts what was staged into the page cache.
    fn write_staged(&self, staged: &mut Staged) -> Result<()> {
        let ends = staged.runs.iter().skip(1).map(|r| r.start).chain([staged.bytes.len()]);
        for (run, end) in staged.runs.iter().zip(ends) {
            run.segment.write(run.at, staged.bytes.get(run.start..end).unwrap_or_default())?;
        }
        staged.bytes.clear();
        staged.runs.clear();
        Ok(())
    }
}

impl Flush for CommitLog {
    fn flush(&self) -> Result<LogOffset> {
        let _span = trace::flush(self.flushed.at());
        self.flush_and_leave(self.flushing.lock())
    }

    fn pressure_bytes(&self) -> u64 {
        self.window_bytes() / 2
    }

    fn progress(&self) -> Option<Progress> {
        if self.failed.get().is_some() {
            return None;
        }
        let unflushed_bytes = self.accepted().since(self.flushed.at());
        let waiting_for = match unflushed_bytes {
            0 => Duration::ZERO,
            _ => {
                let since = Duration::from_nanos(self.dirty_since_ns.load(Ordering::Relaxed));
                self.clock().elapsed().saturating_sub(since)
            }
        };
        Some(Progress { unflushed_bytes, wanted: self.is_wanted(), waiting_for })
    }
}
