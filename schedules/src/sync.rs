//! The crate's `sync`, over loom: the same names, with every schedule behind them.

use std::fmt;
use std::time::Duration;

pub(crate) use guards::{Mutex, MutexGuard, RwLock};

/// Wakes them all; no waker of a model panics.
pub(crate) fn tell_all(wakers: Vec<std::task::Waker>) {
    wakers.into_iter().for_each(std::task::Waker::wake);
}

/// Happens once; all who wait for it go on.
#[derive(Debug, Default)]
pub(crate) struct Event {
    state: loom::sync::Mutex<State>,
    changed: loom::sync::Condvar,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    NotYet,
    Happened,
    /// And who looks first wakes the others.
    HappenedTell,
}

impl Event {
    pub(crate) fn has_happened(&self) -> bool {
        *self.state.lock().unwrap() != State::NotYet
    }

    pub(crate) fn set(&self) {
        *self.state.lock().unwrap() = State::Happened;
        self.changed.notify_all();
    }

    pub(crate) fn set_by_one(&self) {
        *self.state.lock().unwrap() = State::HappenedTell;
        self.changed.notify_one();
    }

    /// Time does not pass in a model: a limit is over when nothing has happened.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> bool {
        let mut state = self.state.lock().unwrap();
        while timeout.is_none() && *state == State::NotYet {
            state = self.changed.wait(state).unwrap();
        }
        if *state == State::HappenedTell {
            *state = State::Happened;
            self.changed.notify_all();
        }
        *state != State::NotYet
    }
}

mod guards {
    use std::fmt;

    pub(crate) use loom::sync::MutexGuard;
    use loom::sync::{RwLockReadGuard, RwLockWriteGuard};

    /// Without poisoning, as parking_lot's.
    #[derive(Default)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Mutex<T> {
            Mutex(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap()
        }

        pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            self.0.try_lock().ok()
        }

        pub(crate) fn try_lock_for(&self, _: std::time::Duration) -> Option<MutexGuard<'_, T>> {
            self.try_lock()
        }
    }

    impl<T> fmt::Debug for Mutex<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Mutex")
        }
    }

    #[derive(Default)]
    pub(crate) struct RwLock<T>(loom::sync::RwLock<T>);

    impl<T> RwLock<T> {
        pub(crate) fn new(value: T) -> RwLock<T> {
            RwLock(loom::sync::RwLock::new(value))
        }

        pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
            self.0.read().unwrap()
        }

        pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
            self.0.write().unwrap()
        }
    }

    impl<T> fmt::Debug for RwLock<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("RwLock")
        }
    }
}

/// Atomics. loom knows no sequentially consistent loads: one that must be is a change that changes nothing, which
/// reads the newest value there is. What is not marked so may read an old one, as loom has it.
pub(crate) mod atomic {
    pub(crate) use loom::sync::atomic::fence;
    pub(crate) use std::sync::atomic::Ordering;

    macro_rules! number {
        ($name:ident, $of:ty) => {
            #[derive(Debug, Default)]
            pub(crate) struct $name(loom::sync::atomic::$name);

            impl $name {
                pub(crate) fn new(value: $of) -> $name {
                    $name(loom::sync::atomic::$name::new(value))
                }

                pub(crate) fn load(&self, order: Ordering) -> $of {
                    match order {
                        Ordering::SeqCst => self.0.fetch_add(0, order),
                        _ => self.0.load(order),
                    }
                }

                pub(crate) fn store(&self, value: $of, order: Ordering) {
                    match order {
                        Ordering::SeqCst => drop(self.0.swap(value, order)),
                        _ => self.0.store(value, order),
                    }
                }

                pub(crate) fn fetch_add(&self, value: $of, order: Ordering) -> $of {
                    self.0.fetch_add(value, order)
                }

                pub(crate) fn fetch_max(&self, value: $of, order: Ordering) -> $of {
                    self.0.fetch_max(value, order)
                }

                pub(crate) fn fetch_min(&self, value: $of, order: Ordering) -> $of {
                    self.0.fetch_min(value, order)
                }
            }

            impl From<$of> for $name {
                fn from(value: $of) -> $name {
                    $name::new(value)
                }
            }
        };
    }

    number!(AtomicU8, u8);
    number!(AtomicU64, u64);

    #[derive(Debug, Default)]
    pub(crate) struct AtomicBool(loom::sync::atomic::AtomicBool);

    impl AtomicBool {
        pub(crate) fn new(value: bool) -> AtomicBool {
            AtomicBool(loom::sync::atomic::AtomicBool::new(value))
        }

        pub(crate) fn load(&self, order: Ordering) -> bool {
            match order {
                Ordering::SeqCst => self.0.fetch_or(false, order),
                _ => self.0.load(order),
            }
        }

        pub(crate) fn store(&self, value: bool, order: Ordering) {
            match order {
                Ordering::SeqCst => drop(self.0.swap(value, order)),
                _ => self.0.store(value, order),
            }
        }

        pub(crate) fn swap(&self, value: bool, order: Ordering) -> bool {
            self.0.swap(value, order)
        }
    }

    impl From<bool> for AtomicBool {
        fn from(value: bool) -> AtomicBool {
            AtomicBool::new(value)
        }
    }
}

/// A worker's mailbox: crossbeam's names over a lock and a condition.
pub(crate) mod mailbox {
    use std::sync::Arc;
    use std::time::Duration;

    #[derive(Debug)]
    struct Letters<T> {
        letter: loom::sync::Mutex<Option<T>>,
        came: loom::sync::Condvar,
    }

    #[derive(Debug)]
    pub(crate) struct Sender<T>(Arc<Letters<T>>);
    #[derive(Debug)]
    pub(crate) struct Receiver<T>(Arc<Letters<T>>);

    #[derive(Debug)]
    pub(crate) enum TrySendError<T> {
        Full(T),
        Disconnected(T),
    }

    /// Room for one letter, whatever is asked for.
    pub(crate) fn bounded<T>(_: usize) -> (Sender<T>, Receiver<T>) {
        let letters =
            Arc::new(Letters { letter: loom::sync::Mutex::new(None), came: loom::sync::Condvar::new() });
        (Sender(Arc::clone(&letters)), Receiver(letters))
    }

    impl<T> Sender<T> {
        pub(crate) fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
            let mut letter = self.0.letter.lock().unwrap();
            if letter.is_some() {
                return Err(TrySendError::Full(value));
            }
            *letter = Some(value);
            self.0.came.notify_all();
            Ok(())
        }
    }

    impl<T> Receiver<T> {
        pub(crate) fn recv(&self) -> Result<T, ()> {
            let mut letter = self.0.letter.lock().unwrap();
            loop {
                match letter.take() {
                    Some(value) => return Ok(value),
                    None => letter = self.0.came.wait(letter).unwrap(),
                }
            }
        }

        /// No model rests for a time.
        pub(crate) fn recv_timeout(&self, _: Duration) -> Result<T, ()> {
            self.recv()
        }
    }
}
