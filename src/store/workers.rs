//! What runs by itself: six steps, each under a thread of its own or called by hand.
//!
//! The **flusher** flushes as the policy says. The **janitor** makes pages and blocks ready ahead of the tail; it must
//! keep up with the tail, so nothing that may wait for long is its work. The **keeper** makes the next segment and
//! keeps the mark on disk. The **dispatcher** derives queues and key index; the **recorder** puts them into files, so
//! that readers never wait for that. The **sweeper** removes what retention gives up: a large file's removal takes as
//! long as the disk likes.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Receiver;

use crate::clock::Clock;
use crate::commit_log::CommitLog;
use crate::dispatch::Dispatcher;
use crate::error::Result;
use crate::flush::{Current, GroupCommit};
use crate::store::keeper::Keeper;
use crate::store::recorder::{MOST_PENDING_BYTES, Recorder};
use crate::store::sweep::Sweeper;
use crate::worker::{Bell, Next, Step, Worker};

/// A worker with a thread, or without one. If its step panics the log fails.
pub(super) fn start(
    name: &'static str,
    bell: Arc<Bell>,
    mail: Receiver<()>,
    step: Step,
    log: &Arc<CommitLog>,
    by_hand: bool,
) -> Result<Worker> {
    if by_hand {
        return Ok(Worker::by_hand(name, bell, step));
    }
    let log = Arc::clone(log);
    Worker::spawn(name, bell, mail, step, move |error| drop(log.fail_and_tell(error)))
}

pub(super) fn flusher(log: &Arc<CommitLog>, policy: &Arc<Current>) -> Step {
    let commit = GroupCommit::new(Arc::clone(log), Arc::clone(policy));
    Box::new(move || commit.step())
}

pub(super) fn janitor(log: &Arc<CommitLog>) -> Step {
    let log = Arc::clone(log);
    let (mut ready, mut syncs) = (log.accepted(), log.syncs());
    let (mut synced_at, mut pace_bytes) = (log.accepted(), 0);
    let mut cared = log.care();
    Box::new(move || {
        let (care, tail) = (log.care(), log.accepted());
        if std::mem::replace(&mut cared, care) != care {
            // What was made ready for the other way of writing is not for this one.
            ready = tail;
        }
        if std::mem::replace(&mut syncs, log.syncs()) != log.syncs() {
            pace_bytes = tail.since(synced_at);
            synced_at = tail;
        }
        if log.failure().is_none() {
            // What cannot be made ready is paid for when it is needed, and its failure told to who needs it.
            let pace_bytes = pace_bytes.max(tail.since(synced_at));
            ready = log.segments().look_ahead(care, || log.accepted(), ready, pace_bytes).unwrap_or(ready);
        }
        Next::Wait
    })
}

pub(super) fn keeper(log: &Arc<CommitLog>, keeper: &Arc<Keeper>, clock: &Arc<dyn Clock>) -> Step {
    let (log, keeper, clock) = (Arc::clone(log), Arc::clone(keeper), Arc::clone(clock));
    Box::new(move || {
        if log.failure().is_none() {
            // A roll that finds nothing prepared makes the segment itself, and tells its caller what went wrong.
            let _ = log.segments().prepare_in_time(log.care(), log.accepted());
        }
        match keeper.keep(&log, clock.elapsed()) {
            Ok(next) => next,
            Err(error) => {
                log.fail_and_tell(error);
                Next::Wait
            }
        }
    })
}

/// How long a dispatcher rests that has caught up, before it waits to be woken: under load it wakes so often and no
/// more, and no producer pays for waking it.
const DISPATCH_REST: Duration = Duration::from_micros(500);

pub(super) fn dispatcher(log: &Arc<CommitLog>, dispatcher: &Arc<Dispatcher>, recorder: &Arc<Bell>) -> Step {
    let (log, dispatcher, recorder) = (Arc::clone(log), Arc::clone(dispatcher), Arc::clone(recorder));
    Box::new(move || match dispatcher.step() {
        Ok(true) => {
            // One that rests must not let memory fill.
            if dispatcher.pending_bytes() >= MOST_PENDING_BYTES {
                recorder.ring();
            } else {
                recorder.ring_if_idle();
            }
            Next::After(DISPATCH_REST)
        }
        Ok(false) => Next::Wait,
        Err(error) => {
            // After a failure of the log itself its cause stands.
            log.fail_and_tell(error);
            Next::Wait
        }
    })
}

pub(super) fn recorder(log: &Arc<CommitLog>, recorder: &Arc<Recorder>, clock: &Arc<dyn Clock>) -> Step {
    let (log, recorder, clock) = (Arc::clone(log), Arc::clone(recorder), Arc::clone(clock));
    Box::new(move || match recorder.record(&log, clock.elapsed()) {
        Ok(next) => next,
        Err(error) => {
            log.fail_and_tell(error);
            Next::Wait
        }
    })
}

pub(super) fn sweeper(sweeper: &Arc<Sweeper>) -> Step {
    let sweeper = Arc::clone(sweeper);
    Box::new(move || sweeper.step())
}
