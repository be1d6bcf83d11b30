//! Carries out what retention decides: the log gives up its front, in an order that may be cut anywhere.
//!
//! 1. All that goes is durable, dispatched and derived, and `sawlog/queues` says so: next offsets stand before a
//!    segment is removed (promises rule 5). 2. The mark says where the log begins from now on: a later open finishes
//!    what was cut, and tells a segment that went without that. 3. The list forgets the segments: readers are told
//!    `OutOfRange`, and who holds one reads on. 4. Files go, oldest first, each one's name durably before the next:
//!    what a cut leaves is a log without a gap. 5. Queues, key index, ranges and dropped topics follow.
//!
//! No lock that appends or readers need is held meanwhile. A file that cannot be removed is tried again, and does not
//! end the store.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Clock;
use crate::commit_log::CommitLog;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::flush::Flush;
use crate::offset::LogOffset;
use crate::retention::{Old, Retention, Scene, Verdict};
use crate::segment::{Held, Segment};
use crate::store::age;
use crate::store::guard::Guard;
use crate::store::herald::Herald;
use crate::store::keeper::Keeper;
use crate::store::recorder::Recorder;
use crate::store::swept::Swept;
use crate::sync::{Mutex, MutexGuard};
use crate::trace;
use crate::worker::{Bell, Next};

/// How long after a failed sweep the next one is tried.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// After a sweep that made no room an append does not run the next one before so much time has passed.
const LEAST_PAUSE: Duration = Duration::from_millis(100);

/// How often, in bytes appended, it is looked whether something is to go: so often in a segment, but not more often than
/// the second of these and not more rarely than the third.
const LOOKS_PER_SEGMENT: u64 = 64;
const LEAST_LOOK_BYTES: u64 = 256 << 10;
const MOST_LOOK_BYTES: u64 = 64 << 20;

/// See the file's text.
#[derive(Debug)]
pub(crate) struct Sweeper {
    disk: Arc<dyn Disk>,
    log: Arc<CommitLog>,
    keeper: Arc<Keeper>,
    recorder: Arc<Recorder>,
    clock: Arc<dyn Clock>,
    herald: Arc<Herald>,
    pub(super) guard: Arc<Guard>,
    rules: Mutex<Retention>,
    /// One sweep at a time.
    turn: Mutex<Turn>,
    /// Why the last sweep that ran by itself did not do all it should; `None` if it did.
    last_error: Mutex<Option<Error>>,
    /// When an append found no room for a segment and a sweep made none.
    fruitless_at: Mutex<Option<Duration>>,
    is_closed: AtomicBool,
    /// When the log has grown to here it is time to look.
    next_look: AtomicU64,
    bell: Arc<Bell>,
    /// Makes the next segment: it may find room now.
    segment_maker: Arc<Bell>,
}

#[derive(Debug, Default)]
struct Turn {
    /// Segments that the log has given up and whose files are still to be removed, oldest first.
    doomed: VecDeque<Arc<Segment>>,
    /// A name was removed, and the folder's sync failed.
    is_unsynced: bool,
    /// Removed, and perhaps still read.
    held: Vec<Held>,
    /// What is derived has followed the log's front up to here.
    followed_to: LogOffset,
}

impl Turn {
    /// Bytes of what was removed and is still read.
    fn pinned_bytes(&mut self) -> u64 {
        self.held.retain(|held| held.bytes() > 0);
        self.held.iter().map(Held::bytes).sum()
    }
}

/// Whom a sweeper works with, and who wakes it.
pub(crate) struct Parts {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) log: Arc<CommitLog>,
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) herald: Arc<Herald>,
    pub(crate) bell: Arc<Bell>,
    pub(crate) segment_maker: Arc<Bell>,
}

impl Sweeper {
    /// A sweeper of an opened store; from now on no segment is made above the guard's limit.
    pub(crate) fn new(parts: Parts, rules: Retention) -> Arc<Sweeper> {
        let Parts { disk, log, keeper, recorder, clock, herald, bell, segment_maker } = parts;
        let dir = log.segments().dir().to_path_buf();
        let guard = Arc::new(Guard::new(Arc::clone(&disk), dir, rules.refuse_above));
        // What cannot be asked now is asked again by the first sweep, which reports it.
        let _ = guard.look();
        let (admit, ring) = (Arc::clone(&guard), Arc::clone(&bell));
        log.segments().admit_by(Box::new(move |bytes| {
            // Room is made while somebody waits for it, or until somebody asks again.
            admit.admit(bytes).inspect_err(|_| ring.ring())
        }));
        // Opening has brought what is derived up to the log's front.
        let turn = Mutex::new(Turn { followed_to: log.first(), ..Turn::default() });
        let (last_error, fruitless_at) = (Mutex::new(None), Mutex::new(None));
        let (rules, is_closed) = (Mutex::new(rules), AtomicBool::new(false));
        Arc::new(Sweeper {
            disk,
            log,
            keeper,
            recorder,
            clock,
            herald,
            guard,
            rules,
            turn,
            last_error,
            fruitless_at,
            is_closed,
            next_look: AtomicU64::new(0),
            bell,
            segment_maker,
        })
    }

    pub(crate) fn rules(&self) -> Retention {
        *self.rules.lock()
    }

    /// Other rules, from now on.
    ///
    /// # Errors
    /// [`Error::InvalidOptions`]: the old ones stay. [`Error::Failed`], [`Error::Closed`].
    pub(crate) fn set_rules(&self, rules: Retention) -> Result<()> {
        rules.check()?;
        self.refuse_ended()?;
        *self.rules.lock() = rules;
        self.guard.set_limit(rules.refuse_above);
        self.fruitless_at.lock().take();
        let looked = self.guard.look();
        self.bell.ring();
        self.segment_maker.ring();
        looked
    }

    pub(crate) fn last_error(&self) -> Option<Error> {
        self.last_error.lock().clone()
    }

    /// The log has grown: looks when a segment has begun, and from time to time in it. One load, mostly.
    pub(crate) fn grown_to(&self, end: LogOffset) {
        if end.0 > self.next_look.load(Ordering::Relaxed) {
            let segment_bytes = self.log.segments().segment_bytes();
            let step = (segment_bytes / LOOKS_PER_SEGMENT).clamp(LEAST_LOOK_BYTES, MOST_LOOK_BYTES);
            let segment_end = end.0.div_ceil(segment_bytes).saturating_mul(segment_bytes);
            self.next_look.store(end.0.saturating_add(step).min(segment_end), Ordering::Relaxed);
            self.bell.ring();
        }
    }

    /// No sweep runs when this returns, and none begins any more: the folder is about to be given back.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        drop(self.turn.lock());
    }

    fn refuse_ended(&self) -> Result<()> {
        match self.log.failure() {
            Some(failure) => Err(failure),
            None if self.is_closed.load(Ordering::SeqCst) => Err(Error::Closed),
            None => Ok(()),
        }
    }

    /// One look of the worker.
    pub(crate) fn step(&self) -> Next {
        match self.sweep_by_itself() {
            Ok(_) => self.until_next(),
            Err(_) if self.refuse_ended().is_err() => Next::Wait,
            Err(_) => Next::After(RETRY_AFTER),
        }
    }

    /// A sweep that nobody asked for: its error is kept for who asks.
    fn sweep_by_itself(&self) -> Result<Swept> {
        let swept = self.sweep(None);
        *self.last_error.lock() = match &swept {
            Err(error) if !matches!(error, Error::Closed | Error::Failed(_)) => Some(error.clone()),
            _ => None,
        };
        swept
    }

    /// How long until the oldest segment expires; never polled for anything else.
    fn until_next(&self) -> Next {
        let Some(age) = self.rules().max_age else { return Next::Wait };
        match age::until_expiry(&self.log, age, self.clock.now()) {
            None => Next::Wait,
            // What is due and stays cannot be read: not before something else happens, or after a while.
            Some(Duration::ZERO) => Next::After(RETRY_AFTER),
            Some(left) => Next::After(left),
        }
    }

    /// Applies the rules, or removes what lies below `asked` whatever they say.
    ///
    /// # Errors
    /// [`Error::Io`] and others: what was done stands, the rest is tried again by the next sweep.
    pub(crate) fn sweep(&self, asked: Option<LogOffset>) -> Result<Swept> {
        self.refuse_ended()?;
        let _span = trace::sweep(self.log.first());
        let rules = if asked.is_some() { Retention::keep_all() } else { self.rules() };
        let (goal, judged) = self.judge(&rules, asked);
        if let Some(goal) = goal {
            // Wakes readers: with no lock held.
            self.bring_up(goal.first)?;
        }
        let mut turn = self.turn.lock();
        let swept = self.refuse_ended().and_then(|()| self.carry_out(&mut turn, goal));
        drop(turn);
        // A sync may have moved the flushed mark while the lock was held.
        self.log.wake_up();
        if let Err(error @ Error::Failed(_)) = &swept {
            // A sync of what is derived failed, which is as final as the log's (promises rule 1); after a failure of
            // the log itself its cause stands.
            self.log.fail_and_tell(error.clone());
        }
        let looked = self.guard.look();
        if swept.as_ref().is_ok_and(|swept| swept.bytes > 0) {
            self.segment_maker.ring();
        }
        let swept = swept?;
        judged.and(looked).map(|()| swept)
    }

    /// What may go, and what could not be asked.
    fn judge(&self, rules: &Retention, asked: Option<LogOffset>) -> (Option<Verdict>, Result<()>) {
        // Between two looks no other sweep frees what both of them count.
        let mut turn = self.turn.lock();
        let doomed_bytes = turn.doomed.iter().map(|segment| segment.len()).sum::<u64>();
        let given_up_bytes = doomed_bytes.saturating_add(turn.pinned_bytes());
        let (mut space, mut fault) = (None, Ok(()));
        if rules.max_disk_used.is_some() {
            match self.guard.space() {
                Ok(found) => space = Some(found),
                Err(error) => fault = Err(error),
            }
        }
        let all = self.log.segments().all();
        let Some((active, sealed)) = all.split_last() else { return (None, fault) };
        let old = |segment: &Arc<Segment>| Old { base: segment.base(), bytes: segment.len() };
        let scene = Scene {
            sealed: &sealed.iter().map(old).collect::<Vec<_>>(),
            active_bytes: active.len(),
            given_up_bytes,
            wanted_bytes: self.guard.wanted_bytes(),
            space,
            now: self.clock.now(),
            asked,
        };
        let verdict = rules.decide(&scene, |base, cutoff| {
            let at = all.partition_point(|segment| segment.base() < base);
            let Some(segment) = all.get(at) else { return false };
            age::is_expired(&self.log, segment, all.get(at + 1), cutoff).unwrap_or_else(|error| {
                fault = Err(error);
                false
            })
        });
        (verdict, fault)
    }

    /// Everything below `first` is flushed and dispatched when this returns.
    fn bring_up(&self, first: LogOffset) -> Result<()> {
        while self.log.flushed().at() < first {
            self.log.flush()?;
        }
        let dispatcher = self.recorder.dispatcher();
        while dispatcher.dispatched().at() < first && dispatcher.step()? {}
        Ok(())
    }

    fn carry_out(&self, turn: &mut MutexGuard<'_, Turn>, goal: Option<Verdict>) -> Result<Swept> {
        let mut swept = Swept { why: goal.map(|goal| goal.why), ..Swept::default() };
        // What an earlier sweep could not remove goes first: never a gap.
        let mut removed = self.remove(turn, &mut swept);
        if let (Some(goal), Ok(())) = (goal, &removed) {
            removed = self.give_up(turn, goal.first, &mut swept);
        }
        if let (Some(goal), Err(error)) = (goal, &removed)
            && error.is_full()
        {
            // Not a byte is left to say what must stand first. What was said before is enough for a part, and that
            // makes room for the rest; so does the segment made ahead, which nobody needs on a full disk.
            let made = match self.covered(goal.first) {
                Some(covered) => self.give_up(turn, covered, &mut swept),
                None => self.log.segments().drop_prepared().map(drop),
            };
            removed = made.and_then(|()| self.give_up(turn, goal.first, &mut swept));
        }
        let followed = self.follow(turn, &mut swept);
        swept.first = self.log.first();
        swept.pinned_bytes = turn.pinned_bytes();
        self.herald.swept(&swept);
        removed.and(followed).map(|()| swept)
    }

    /// Steps 1 to 4 for all that lies below `first`.
    fn give_up(&self, turn: &mut Turn, first: LogOffset, swept: &mut Swept) -> Result<()> {
        self.secure(first)?;
        turn.doomed.extend(self.log.segments().forget_before(first));
        self.remove(turn, swept)
    }

    /// The last segment's beginning up to which everything below `first` has been said to be derived, if that is any.
    fn covered(&self, first: LogOffset) -> Option<LogOffset> {
        let covered = self.recorder.saved_to()?.min(first);
        let base = self.log.segments().find(covered)?.base();
        (base > self.log.first()).then_some(base)
    }

    /// Steps 1 and 2: what is derived from below `first` is durable and said so, and then where the log begins.
    fn secure(&self, first: LogOffset) -> Result<()> {
        if self.recorder.dispatcher().dispatched().at() < first {
            // Only the log's end stops a dispatcher.
            return Err(self.log.failure().unwrap_or(Error::Closed));
        }
        self.recorder.cover(&self.log, first)?;
        self.keeper.say_first(&self.log, first)
    }

    /// Step 4.
    fn remove(&self, turn: &mut Turn, swept: &mut Swept) -> Result<()> {
        let dir = self.log.segments().dir();
        loop {
            if turn.is_unsynced {
                self.disk.sync_dir(dir).map_err(|e| Error::io("syncing the folder", dir, e))?;
                turn.is_unsynced = false;
            }
            let Some(segment) = turn.doomed.front() else { return Ok(()) };
            let held = segment.hold();
            match self.disk.remove(segment.path()) {
                // Somebody else removed it: it is gone, as it should be.
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::io("removing", segment.path(), e));
                }
                _ => {}
            }
            swept.segments += 1;
            swept.bytes += segment.len();
            turn.held.push(held);
            turn.is_unsynced = true;
            turn.doomed.pop_front();
        }
    }

    /// Step 5: what is derived follows the log's front.
    fn follow(&self, turn: &mut Turn, swept: &mut Swept) -> Result<()> {
        let first = self.log.first();
        if turn.followed_to >= first {
            return Ok(());
        }
        swept.derived_bytes = self.recorder.retire(&self.log)?;
        self.keeper.retire_ranges(first)?;
        turn.followed_to = first;
        Ok(())
    }

    /// For an append, before it takes a lock: refused above the guard's limit, and never without a sweep having been
    /// asked for. One that may wait runs it itself.
    ///
    /// # Errors
    /// [`Error::Full`].
    pub(crate) fn pass(&self, may_wait: bool) -> Result<()> {
        if !self.guard.is_shut() {
            return Ok(());
        }
        if self.guard.look_again(self.clock.elapsed()).unwrap_or(false) && self.guard.is_shut() {
            self.make_room(may_wait);
        }
        self.guard.answer()
    }

    /// For an append that found no room for the next segment: whether it should try again.
    pub(crate) fn made_room(&self) -> bool {
        let now = self.clock.elapsed();
        let fruitless_at = *self.fruitless_at.lock();
        if fruitless_at.is_some_and(|at| now.saturating_sub(at) < LEAST_PAUSE) {
            return false;
        }
        let made = self.make_room(true);
        *self.fruitless_at.lock() = (!made).then_some(now);
        made
    }

    fn make_room(&self, may_wait: bool) -> bool {
        if !may_wait {
            self.bell.ring();
            return false;
        }
        self.sweep_by_itself().is_ok_and(|swept| swept.bytes > 0)
    }
}
