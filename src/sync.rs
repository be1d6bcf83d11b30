//! Locks, atomics, mailboxes, and the event that wakes a whole batch of threads with one system call.
//!
//! Rooms whose schedules are modelled take atomics and mailboxes from here too: `schedules/` compiles the same files
//! over loom's.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::Waker;
use std::time::Duration;

pub(crate) use crossbeam_channel as mailbox;
pub(crate) use std::sync::atomic;

use atomic::{AtomicU32, Ordering};

pub(crate) use parking_lot::{Mutex, MutexGuard, RwLock};

/// Wakes them all, also where one of them panics: it is an executor's code, and the tasks behind it are somebody else's.
/// The first panic goes on when everybody has been told.
pub(crate) fn tell_all(wakers: Vec<Waker>) {
    let mut broken = None;
    for waker in wakers {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
            match broken {
                None => broken = Some(panic),
                // Even letting go of it may panic.
                Some(_) => drop(catch_unwind(AssertUnwindSafe(|| drop(panic)))),
            }
        }
    }
    if let Some(panic) = broken {
        resume_unwind(panic);
    }
}

const NOT_YET: u32 = 0;
const HAPPENED: u32 = 1;
/// It has happened, and who looks first wakes the others.
const HAPPENED_TELL: u32 = 2;

/// Happens once; all who wait for it go on.
///
/// One futex word for a whole batch of waiters: waking costs one system call however many there are (speed.md §2). That
/// call is longer the more there are, though, some 2 µs for each.
#[derive(Debug, Default)]
pub(crate) struct Event {
    state: AtomicU32,
}

impl Event {
    pub(crate) fn has_happened(&self) -> bool {
        self.state.load(Ordering::Acquire) != NOT_YET
    }

    pub(crate) fn set(&self) {
        self.state.store(HAPPENED, Ordering::Release);
        wake(&self.state, ALL);
    }

    /// The same for who has something better to do than to wake many: one of them does that.
    pub(crate) fn set_by_one(&self) {
        self.state.store(HAPPENED_TELL, Ordering::Release);
        wake(&self.state, 1);
    }

    /// Waits until it happens, or until about `timeout` has passed; says whether it has happened. May also return
    /// early without either: callers look and wait again.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> bool {
        if !self.has_happened() {
            wait_for_change(&self.state, NOT_YET, timeout);
        }
        // Whoever leaves looks here, the one who was woken among them: the others are never forgotten.
        match self.state.load(Ordering::Acquire) {
            HAPPENED_TELL => {
                // One of them; looked at before, so that dozens do not fight for the word.
                let won =
                    self.state.compare_exchange(HAPPENED_TELL, HAPPENED, Ordering::AcqRel, Ordering::Acquire);
                if won.is_ok() {
                    wake(&self.state, ALL);
                }
                true
            }
            state => state != NOT_YET,
        }
    }
}

/// As many as can wait.
const ALL: u32 = i32::MAX.unsigned_abs();

#[cfg(target_os = "linux")]
fn wake(word: &AtomicU32, most: u32) {
    use rustix::thread::futex;
    // The only error is a bad address, and a reference is none.
    let _ = futex::wake(word, futex::Flags::PRIVATE, most);
}

#[cfg(target_os = "linux")]
fn wait_for_change(word: &AtomicU32, old: u32, timeout: Option<Duration>) {
    use rustix::thread::futex;
    let timeout = timeout.map(|d| futex::Timespec {
        tv_sec: i64::try_from(d.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: d.subsec_nanos().into(),
    });
    // Changed already, interrupted, timed out: the caller looks again in every case.
    let _ = futex::wait(word, futex::Flags::PRIVATE, old, timeout.as_ref());
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    //! Where there is no futex: one lock and condition for the process; correct, with more waking than needed.
    use super::{AtomicU32, Duration, Ordering};

    static LOCK: parking_lot::Mutex<()> = parking_lot::Mutex::new(());
    static CHANGED: parking_lot::Condvar = parking_lot::Condvar::new();

    pub(super) fn wake(_: &AtomicU32, _: u32) {
        drop(LOCK.lock());
        CHANGED.notify_all();
    }

    pub(super) fn wait_for_change(word: &AtomicU32, old: u32, timeout: Option<Duration>) {
        let mut held = LOCK.lock();
        if word.load(Ordering::Acquire) == old {
            match timeout {
                Some(d) => drop(CHANGED.wait_for(&mut held, d)),
                None => CHANGED.wait(&mut held),
            }
        }
    }
}
#[cfg(not(target_os = "linux"))]
use elsewhere::{wait_for_change, wake};
