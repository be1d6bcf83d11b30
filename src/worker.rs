//! A `step()` under one named thread with a mailbox: wake, stop, join; a panic is an error.
//!
//! The thread around a step is a few lines; without threads the same steps are called by hand, in an order that a
//! test chooses, so that a failure replays exactly (house law 6).

use crate::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::thread::{JoinHandle, ThreadId};
use std::time::Duration;

use crate::sync::mailbox::{Receiver, Sender, TrySendError, bounded};

use crate::error::Error;
use crate::sync::Mutex;

/// What a step wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// There may be more to do at once.
    Again,
    /// Nothing before this long, unless rung.
    After(Duration),
    /// Nothing until rung.
    Wait,
}

const BUSY: u8 = 0;
const RESTING: u8 = 1;
const IDLE: u8 = 2;

/// Wakes a worker. Cheap while the worker is awake.
#[derive(Debug)]
pub(crate) struct Bell {
    mail: Sender<()>,
    state: AtomicU8,
    stop: AtomicBool,
}

impl Bell {
    /// The worker looks again, whatever it is doing or waiting for.
    pub(crate) fn ring(&self) {
        match self.mail.try_send(()) {
            // Full: a ring lies there that the worker has not heard yet; it will look after this call began.
            Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
        }
    }

    /// The same if the worker waits without a limit; one load otherwise. The caller changed what the step looks at
    /// by a sequentially consistent store before, and the worker looks once more after it has said that it is idle.
    pub(crate) fn ring_if_idle(&self) {
        if self.state.load(Ordering::SeqCst) == IDLE {
            self.ring();
        }
    }

    /// The worker stops after the step it is in.
    pub(crate) fn tell_to_stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.ring();
    }
}

/// What a worker does when it looks.
pub(crate) type Step = Box<dyn FnMut() -> Next + Send>;

/// One worker; it stops when told to, and is joined when dropped.
pub(crate) struct Worker {
    name: &'static str,
    bell: Arc<Bell>,
    step: Arc<Mutex<Step>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    id: OnceLock<ThreadId>,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A bell before its worker exists, so that those who ring can be made first.
pub(crate) fn bell() -> (Arc<Bell>, Receiver<()>) {
    let (mail, heard) = bounded(1);
    (Arc::new(Bell { mail, state: AtomicU8::new(BUSY), stop: AtomicBool::new(false) }), heard)
}

impl Worker {
    /// A worker without a thread: its step runs in [`Worker::turn`] alone.
    pub(crate) fn by_hand(name: &'static str, bell: Arc<Bell>, step: Step) -> Worker {
        Worker { name, bell, step: Arc::new(Mutex::new(step)), thread: Mutex::new(None), id: OnceLock::new() }
    }

    /// A worker with a thread of its own. If a step panics the thread ends and `failed` gets the error.
    ///
    /// # Errors
    /// [`Error::Io`] if the system gives no thread.
    pub(crate) fn spawn(
        name: &'static str,
        bell: Arc<Bell>,
        heard: Receiver<()>,
        step: Step,
        failed: impl Fn(Error) + Send + 'static,
    ) -> Result<Worker, Error> {
        let worker = Worker::by_hand(name, Arc::clone(&bell), step);
        let step = Arc::clone(&worker.step);
        let thread = std::thread::Builder::new()
            .name(name.into())
            .spawn(move || {
                let run = catch_unwind(AssertUnwindSafe(|| run(&bell, &heard, &step)));
                if let Err(panic) = run {
                    failed(Error::Panicked { worker: name, message: message_of(&*panic) });
                }
            })
            .map_err(|e| Error::io("starting the thread", name.as_ref(), e))?;
        let _ = worker.id.set(thread.thread().id());
        *worker.thread.lock() = Some(thread);
        Ok(worker)
    }

    /// The name of its thread.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Runs one step in the caller's thread.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn turn(&self) -> Next {
        (self.step.lock())()
    }

    /// Whether the caller runs in the worker's thread.
    pub(crate) fn is_this_thread(&self) -> bool {
        self.id.get() == Some(&std::thread::current().id())
    }

    /// Tells the thread to stop after the step it is in, and waits for that.
    pub(crate) fn stop(&self) {
        self.bell.tell_to_stop();
        let thread = self.thread.lock().take();
        // A worker may be the last owner of what it works for, and end up here itself.
        if let Some(thread) = thread.filter(|t| t.thread().id() != std::thread::current().id()) {
            // A panic was reported by the thread itself.
            let _ = thread.join();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Does something once, in a thread of its own that nobody joins.
///
/// # Errors
/// [`Error::Io`] if the system gives no thread: nothing was done.
pub(crate) fn spawn_once(name: &'static str, work: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let spawned = std::thread::Builder::new().name(name.into()).spawn(work);
    spawned.map(drop).map_err(|e| Error::io("starting the thread", name.as_ref(), e))
}

/// What a worker's thread does until it is told to stop: a step at a time, and sleep where there is nothing to do.
pub(crate) fn run(bell: &Bell, heard: &Receiver<()>, step: &Mutex<Step>) {
    while !bell.stop.load(Ordering::SeqCst) {
        let first = (step.lock())();
        let (state, rest) = match first {
            Next::Again => continue,
            Next::After(rest) => (RESTING, Some(rest)),
            Next::Wait => (IDLE, None),
        };
        bell.state.store(state, Ordering::SeqCst);
        // Whoever changed something after the step looked, but before it said that it rests, did not ring.
        let again = match rest {
            None => (step.lock())() != Next::Wait,
            Some(_) => false,
        };
        if !again && !bell.stop.load(Ordering::SeqCst) {
            let _ = match rest {
                Some(rest) => heard.recv_timeout(rest).is_ok(),
                None => heard.recv().is_ok(),
            };
        }
        bell.state.store(BUSY, Ordering::SeqCst);
    }
}

fn message_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "unknown panic".into())
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
