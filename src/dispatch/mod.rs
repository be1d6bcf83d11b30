//! Follows the log and derives from it the consume queues and the key index (RocketMQ: reput).
//!
//! Derived data is derived once: after a restart this is the live dispatcher, starting at an earlier place. It follows
//! the visible mark; what it has derived lies in memory, where readers find it, until a sync covers the record and the
//! entries may go to files.

mod delay;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use crate::clock::{Clock, Timestamp};
use crate::commit_log::{CommitLog, Scan};
use crate::consume_queue::{Entry, Known, Odd, Putting, QueueTable};
use crate::error::{Error, Result};
use crate::flush::Watermark;
use crate::key_index::{KeyIndex, KnownFile};
use crate::message::{self, Head, Transaction};
use crate::offset::LogOffset;
use crate::sync::{Mutex, RwLock, tell_all};

pub use delay::DelayLevels;

/// How many records are derived between two looks at what memory holds, while a store is being opened.
const STEP_RECORDS: usize = 16 * 1024;

/// What is derived from the log, and the only place where it is made.
#[derive(Debug)]
pub(crate) struct Derived {
    pub(crate) queues: Arc<QueueTable>,
    /// `None`: the key index is switched off.
    pub(crate) keys: Option<Arc<KeyIndex>>,
    delay: DelayLevels,
    clock: Arc<dyn Clock>,
    /// Topics whose records below a place are neither queued nor indexed.
    dropped: RwLock<BTreeMap<Vec<u8>, LogOffset>>,
    /// Whether there are any: asked for every record.
    has_dropped: AtomicBool,
    odd: Mutex<Odd>,
}

/// What a record's queue entry carries for the tag (spec 3.2, 3.3).
pub(crate) fn tag_of(head: &Head<'_>, derivable: &message::Derivable<'_>, delay: &DelayLevels) -> i64 {
    let due = delay.due(head.topic, derivable.delay.as_deref(), head.stored);
    due.map_or_else(|| derivable.tag_code(), |due| due.0)
}

/// The keys by which a record is indexed, in the index's order (spec 4.4). One that was rolled back is not found by
/// its keys; a half one is (spec 4.6).
pub(crate) fn indexed_keys<'d>(
    head: &Head<'_>,
    derivable: &'d message::Derivable<'_>,
) -> impl Iterator<Item = &'d str> {
    let is_indexed = head.sys_flags.transaction() != Transaction::Rollback;
    let unique = derivable.unique.as_deref().into_iter();
    let named = derivable.keys.as_deref().into_iter().flat_map(|keys| keys.split(' '));
    unique.chain(named).filter(move |key| is_indexed && !key.is_empty())
}

impl Derived {
    pub(crate) fn new(
        queues: Arc<QueueTable>,
        keys: Option<Arc<KeyIndex>>,
        delay: DelayLevels,
        clock: Arc<dyn Clock>,
        dropped: BTreeMap<Vec<u8>, LogOffset>,
    ) -> Derived {
        let (has_dropped, odd) = (AtomicBool::new(!dropped.is_empty()), Mutex::default());
        Derived { queues, keys, delay, clock, dropped: RwLock::new(dropped), has_dropped, odd }
    }

    /// Derives one record's queue entry and index entries. Touches memory alone.
    fn apply(&self, putting: &mut Putting<'_>, at: LogOffset, head: &Head<'_>, now: Timestamp) {
        if self.is_dropped(head.topic, at) {
            return;
        }
        let derivable = message::derivable(head.properties);
        if head.sys_flags.is_queued() {
            let tag = tag_of(head, &derivable, &self.delay);
            let entry = Entry { at, len: head.len, tag };
            putting.put(head.topic, head.queue_id, head.queue_offset, entry);
        }
        if let Some(keys) = &self.keys {
            keys.put(at, head.stored, now, head.topic, indexed_keys(head, &derivable));
        }
    }

    /// Whether a record of a topic does not count, because the topic was dropped behind it.
    pub(crate) fn is_dropped(&self, topic: &str, at: LogOffset) -> bool {
        // Set under the lock under which the turn of whoever asks waits (see `Dispatcher::standing`), or before that.
        self.has_dropped.load(Ordering::Acquire)
            && self.dropped.read().get(topic.as_bytes()).is_some_and(|until| at < *until)
    }

    /// From now on no record of the topic below `until` counts.
    pub(crate) fn drop_below(&self, topic: &str, until: LogOffset) {
        self.dropped.write().insert(topic.as_bytes().to_vec(), until);
        self.has_dropped.store(true, Ordering::Release);
    }

    /// Forgets the drops behind which nothing is left: `log_first` is the first byte that the log has.
    pub(crate) fn prune_dropped(&self, log_first: LogOffset) {
        self.dropped.write().retain(|_, until| *until > log_first);
    }

    pub(crate) fn dropped(&self) -> BTreeMap<Vec<u8>, LogOffset> {
        self.dropped.read().clone()
    }

    pub(crate) fn odd(&self) -> Odd {
        *self.odd.lock()
    }

    fn count(&self, odd: Odd) {
        let mut all = self.odd.lock();
        all.replaced = all.replaced.saturating_add(odd.replaced);
        all.missing = all.missing.saturating_add(odd.missing);
        all.refused = all.refused.saturating_add(odd.refused);
    }
}

/// All that was derived up to one place: what files must hold before they may be relied on up to there.
#[derive(Clone, Debug)]
pub(crate) struct Captured {
    pub(crate) at: LogOffset,
    pub(crate) last_stored: Timestamp,
    pub(crate) queues: BTreeMap<(String, u32), Known>,
    pub(crate) index: Option<Vec<KnownFile>>,
}

/// The follower. One step at a time, whoever runs it.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    log: Arc<CommitLog>,
    derived: Arc<Derived>,
    dispatched: Arc<Watermark>,
    turn: Mutex<Turn>,
    /// Records before this place were not checked since they were written by another process.
    unchecked_to: LogOffset,
}

#[derive(Debug)]
struct Turn {
    scan: Scan,
    last_stored: Timestamp,
}

impl Dispatcher {
    /// A dispatcher that begins at `from`. `last_stored` is the store time of the last record before; records before
    /// `unchecked_to` are to be checked before they are believed.
    pub(crate) fn new(
        log: &Arc<CommitLog>,
        derived: &Arc<Derived>,
        from: LogOffset,
        last_stored: Timestamp,
        unchecked_to: LogOffset,
    ) -> Dispatcher {
        let turn = Turn { scan: log.follow(from), last_stored };
        let (log, derived) = (Arc::clone(log), Arc::clone(derived));
        Dispatcher { log, derived, dispatched: Watermark::new(from), turn: Mutex::new(turn), unchecked_to }
    }

    pub(crate) fn derived(&self) -> &Arc<Derived> {
        &self.derived
    }

    /// Bytes of entries that are in memory alone.
    pub(crate) fn pending_bytes(&self) -> u64 {
        let Derived { queues, keys, .. } = &*self.derived;
        queues.pending_bytes() + keys.as_ref().map_or(0, |keys| keys.pending_bytes())
    }

    /// Up to here queues and key index are what the log says.
    pub(crate) fn dispatched(&self) -> &Arc<Watermark> {
        &self.dispatched
    }

    /// What readers of queues may see: derived and, after a failure, durable.
    pub(crate) fn readable(&self) -> LogOffset {
        self.dispatched.at().min(self.log.readable())
    }

    /// Derives what is visible by now, all of it, so that the mark moves at the end of a record or of a whole batch,
    /// never inside. Says whether there was anything.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if what stands in the log is no record; [`Error::Io`]. The mark stays.
    pub(crate) fn step(&self) -> Result<bool> {
        self.run(usize::MAX).map(|records| records > 0)
    }

    /// The same for at most some thousand records, while nobody reads yet: so that a long replay can move entries
    /// from memory to files in between.
    pub(crate) fn replay_some(&self) -> Result<bool> {
        self.run(STEP_RECORDS).map(|records| records > 0)
    }

    fn run(&self, most_records: usize) -> Result<usize> {
        let mut turn = self.turn.lock();
        let Turn { scan, last_stored } = &mut *turn;
        let (until, now) = (self.log.readable(), self.derived.clock.now());
        let mut putting = Putting::new(&self.derived.queues);
        let followed = scan.follow(until, most_records, self.unchecked_to, |at, head| {
            self.derived.apply(&mut putting, at, head, now);
            *last_stored = head.stored;
        });
        // Also where a later record is none: what was derived before it stands where the scan goes on.
        self.derived.count(putting.done());
        let records = followed?;
        // Moved also where only a blank record was passed.
        let mut wakers = self.dispatched.advance(scan.place());
        wakers.extend(self.derived.queues.tell());
        drop(turn);
        tell_all(wakers);
        Ok(records)
    }

    /// All that was derived so far, at one moment.
    pub(crate) fn capture(&self) -> Captured {
        self.standing(|captured| captured)
    }

    /// The same, and nothing is derived while `work` runs.
    pub(crate) fn standing<R>(&self, work: impl FnOnce(Captured) -> R) -> R {
        let turn = self.turn.lock();
        work(Captured {
            at: turn.scan.place(),
            last_stored: turn.last_stored,
            queues: self.derived.queues.known(),
            index: self.derived.keys.as_ref().map(|keys| keys.capture()),
        })
    }

    /// Ends the waiting of all readers; their wakers are given back, to be woken when no lock is held.
    #[must_use = "futures wait for these to be woken"]
    pub(crate) fn fail(&self, error: &Error) -> Vec<Waker> {
        let mut wakers = self.dispatched.fail(error.clone());
        wakers.extend(self.derived.queues.fail(error));
        wakers
    }
}
