//! What runs by itself: six steps, and a seventh where somebody listens; each under a thread of its own or called by
//! hand.
//!
//! The **flusher** flushes as the policy says. The **janitor** makes pages and blocks ready ahead of the tail; it must
//! keep up with the tail, so nothing that may wait for long is its work. The **keeper** makes the next segment and
//! keeps the mark on disk. The **dispatcher** derives queues and key index; the **recorder** puts them into files, so
//! that readers never wait for that. The **sweeper** removes what retention gives up: a large file's removal takes as
//! long as the disk likes. The **listener**'s thread calls who wants to be told.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Receiver;

use crate::clock::Clock;
use crate::commit_log::CommitLog;
use crate::dispatch::Dispatcher;
use crate::error::Result;
use crate::flush::{Current, GroupCommit};
use crate::segment::Care;
use crate::store::herald::Herald;
use crate::store::keeper::Keeper;
use crate::store::open::Bells;
use crate::store::recorder::{MOST_PENDING_BYTES, Recorder};
use crate::store::sweep::Sweeper;
use crate::worker::{self, Bell, Next, Step, Worker};

/// A worker's bell, and the mailbox that it rings at.
type Mail = (Arc<Bell>, Receiver<()>);

/// The mail of all workers, made before them, so that those who ring can be.
pub(super) struct Boxes {
    pub(super) flusher: Mail,
    pub(super) janitor: Mail,
    pub(super) keeper: Mail,
    pub(super) dispatcher: Mail,
    pub(super) recorder: Mail,
    pub(super) sweeper: Mail,
    pub(super) listener: Mail,
}

impl Default for Boxes {
    fn default() -> Boxes {
        Boxes {
            flusher: worker::bell(),
            janitor: worker::bell(),
            keeper: worker::bell(),
            dispatcher: worker::bell(),
            recorder: worker::bell(),
            sweeper: worker::bell(),
            listener: worker::bell(),
        }
    }
}

impl Boxes {
    /// The bells that the log rings.
    pub(super) fn bells(&self) -> Bells {
        Bells {
            flusher: Arc::clone(&self.flusher.0),
            janitor: Arc::clone(&self.janitor.0),
            keeper: Arc::clone(&self.keeper.0),
            dispatcher: Arc::clone(&self.dispatcher.0),
        }
    }
}

/// For whom the workers work.
pub(super) struct Staff<'s> {
    pub(super) log: &'s Arc<CommitLog>,
    pub(super) policy: &'s Arc<Current>,
    pub(super) keeper: &'s Arc<Keeper>,
    pub(super) recorder: &'s Arc<Recorder>,
    pub(super) sweeper: &'s Arc<Sweeper>,
    pub(super) herald: &'s Arc<Herald>,
    pub(super) clock: &'s Arc<dyn Clock>,
}

/// All of them, with threads or without.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the system gives no thread: those that have one are stopped.
pub(super) fn start_all(staff: &Staff<'_>, boxes: Boxes, by_hand: bool) -> Result<Vec<Worker>> {
    let Staff { log, policy, keeper, recorder, sweeper, herald, clock } = staff;
    let recorder_bell = Arc::clone(&boxes.recorder.0);
    let mut all: Vec<(&'static str, Mail, Step)> = vec![
        ("sawlog-flusher", boxes.flusher, flusher(log, policy)),
        ("sawlog-janitor", boxes.janitor, janitor(log)),
        ("sawlog-keeper", boxes.keeper, self::keeper(log, keeper, clock)),
        ("sawlog-dispatcher", boxes.dispatcher, dispatcher(log, recorder.dispatcher(), &recorder_bell)),
        ("sawlog-recorder", boxes.recorder, self::recorder(log, recorder, clock)),
        ("sawlog-sweeper", boxes.sweeper, self::sweeper(sweeper)),
    ];
    if herald.is_heard() {
        all.push(("sawlog-listener", boxes.listener, listener(herald)));
    }
    all.into_iter().map(|(name, (bell, mail), step)| start(name, bell, mail, step, log, by_hand)).collect()
}

/// A worker with a thread, or without one. If its step panics the log fails.
fn start(
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

fn flusher(log: &Arc<CommitLog>, policy: &Arc<Current>) -> Step {
    let commit = GroupCommit::new(Arc::clone(log), Arc::clone(policy));
    Box::new(move || commit.step())
}

fn janitor(log: &Arc<CommitLog>) -> Step {
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
            match care {
                Care::Pages => {
                    let pace_bytes = pace_bytes.max(tail.since(synced_at));
                    let _ = log.segments().make_pages_ahead(|| log.accepted(), pace_bytes);
                }
                Care::Blocks => {
                    ready = log.segments().zero_blocks_ahead(|| log.accepted(), ready).unwrap_or(ready);
                }
            }
        }
        Next::Wait
    })
}

fn keeper(log: &Arc<CommitLog>, keeper: &Arc<Keeper>, clock: &Arc<dyn Clock>) -> Step {
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

fn dispatcher(log: &Arc<CommitLog>, dispatcher: &Arc<Dispatcher>, recorder: &Arc<Bell>) -> Step {
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

fn recorder(log: &Arc<CommitLog>, recorder: &Arc<Recorder>, clock: &Arc<dyn Clock>) -> Step {
    let (log, recorder, clock) = (Arc::clone(log), Arc::clone(recorder), Arc::clone(clock));
    Box::new(move || match recorder.record(&log, clock.elapsed()) {
        Ok(next) => next,
        Err(error) => {
            log.fail_and_tell(error);
            Next::Wait
        }
    })
}

fn sweeper(sweeper: &Arc<Sweeper>) -> Step {
    let sweeper = Arc::clone(sweeper);
    Box::new(move || sweeper.step())
}

fn listener(herald: &Arc<Herald>) -> Step {
    let herald = Arc::clone(herald);
    Box::new(move || herald.step())
}
