//! A number that only grows, and those who wait for it: threads, threads with a limit, and futures.
//!
//! Two generations of waiters are kept apart, those whom the running sync covers and those who came later, so that
//! the end of a sync wakes nobody in vain. Within a generation one event wakes everybody (speed.md §2, point 6), by way of
//! one of them if they are many.
//! The generations spare wake-ups only; whoever wakes looks at the number and, if it is not there, waits again.

use crate::sync::atomic::{AtomicU64, Ordering};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::offset::LogOffset;
use crate::sync::{Event, Mutex};

/// A place in the log up to which something holds: written, flushed, dispatched.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # use sawlog::{Message, Options, Store};
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 20))?;
/// let ack = store.append(&Message::new("orders", "paid"))?;
/// // The ack waits for what the policy promises; the mark tells of anything else that one may want to wait for.
/// let durable = store.flushed().reach(ack.end());
/// store.flush()?;
/// durable.wait()?; // or `.await`
/// assert!(store.flushed().at() >= ack.end());
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Watermark {
    reached: AtomicU64,
    /// The lowest place that anybody waits for; `u64::MAX` if nobody does. It may be too low, never too high: at
    /// worst a wake-up finds nobody.
    awaited: AtomicU64,
    failed: OnceLock<Error>,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// The end that the running sync covers.
    boundary: LogOffset,
    covered: Option<Arc<Generation>>,
    later: Option<Arc<Generation>>,
}

/// From so many threads on one of them wakes the others: the flusher begins the next sync meanwhile, for those who came
/// during the last one. Fewer are woken at once by itself, as a detour through a thread costs them more.
const MANY_THREADS: u64 = 24;

#[derive(Debug)]
struct Generation {
    event: Event,
    lowest: AtomicU64,
    /// How many threads have come to wait.
    threads: AtomicU64,
    wakers: Mutex<Seats>,
}

/// The wakers of futures, by seat.
#[derive(Debug, Default)]
struct Seats {
    taken: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl Seats {
    fn sit(&mut self, waker: Waker) -> usize {
        match self.free.pop() {
            Some(index) => {
                self.put(index, Some(waker));
                index
            }
            None => {
                self.taken.push(Some(waker));
                self.taken.len() - 1
            }
        }
    }

    /// Puts another waker, or none, on a seat, and gives back the one before: it is dropped without our lock, for
    /// that may run anything. `None`: the seats were cleared since.
    fn put(&mut self, index: usize, waker: Option<Waker>) -> Option<Option<Waker>> {
        self.taken.get_mut(index).map(|seat| std::mem::replace(seat, waker))
    }
}

impl Generation {
    /// Wakes the threads, and adds the wakers of the futures to `wakers`.
    fn end(&self, wakers: &mut Vec<Waker>) {
        match self.threads.load(Ordering::Relaxed) {
            MANY_THREADS.. => self.event.set_by_one(),
            _ => self.event.set(),
        }
        let seats = std::mem::take(&mut *self.wakers.lock());
        wakers.extend(seats.taken.into_iter().flatten());
    }
}

fn ended(generations: [Option<Arc<Generation>>; 2]) -> Vec<Waker> {
    let mut wakers = Vec::new();
    generations.into_iter().flatten().for_each(|generation| generation.end(&mut wakers));
    wakers
}

fn lowest(generation: Option<&Arc<Generation>>) -> u64 {
    generation.map_or(u64::MAX, |g| g.lowest.load(Ordering::Relaxed))
}

impl Watermark {
    /// A mark that stands at `at`.
    #[must_use]
    pub fn new(at: LogOffset) -> Arc<Watermark> {
        Arc::new(Watermark { reached: at.0.into(), awaited: u64::MAX.into(), ..Watermark::default() })
    }

    /// Where the mark stands.
    #[must_use]
    pub fn at(&self) -> LogOffset {
        LogOffset(self.reached.load(Ordering::SeqCst))
    }

    /// Why the mark will never move again, if it won't.
    #[must_use]
    pub fn failure(&self) -> Option<Error> {
        self.failed.get().cloned()
    }

    /// Says which end the sync that begins now will cover, so that its waiters and later ones are kept apart.
    pub(crate) fn begin(&self, boundary: LogOffset) {
        let mut waiting = self.waiting.lock();
        waiting.boundary = boundary;
        if waiting.covered.is_none() {
            waiting.covered = waiting.later.take();
        }
    }

    /// Moves the mark forward and wakes all threads that waited for a place up to there. Never moves it back.
    ///
    /// The futures' wakers are given back, to be woken when the caller holds no lock: a waker runs an executor's code,
    /// which may poll at once and append.
    #[must_use = "futures wait for these to be woken"]
    pub(crate) fn advance(&self, to: LogOffset) -> Vec<Waker> {
        // Sequentially consistent, as is `awaited` in `register`: either this load sees the waiter, or the waiter's
        // second look at the number sees this store.
        self.reached.fetch_max(to.0, Ordering::SeqCst);
        if self.awaited.load(Ordering::SeqCst) <= to.0 { self.wake(to) } else { Vec::new() }
    }

    #[cold]
    fn wake(&self, to: LogOffset) -> Vec<Waker> {
        let mut waiting = self.waiting.lock();
        let due = |g: &mut Arc<Generation>| g.lowest.load(Ordering::Relaxed) <= to.0;
        let covered = waiting.covered.take_if(due);
        let later = waiting.later.take_if(due);
        let left = lowest(waiting.covered.as_ref()).min(lowest(waiting.later.as_ref()));
        self.awaited.store(left, Ordering::SeqCst);
        drop(waiting);
        ended([covered, later])
    }

    /// Ends the mark's life: all who wait above it, now or later, get the error. The first error stays. Wakers are
    /// given back as by [`Watermark::advance`].
    #[must_use = "futures wait for these to be woken"]
    pub(crate) fn fail(&self, error: Error) -> Vec<Waker> {
        let _ = self.failed.set(error);
        let mut waiting = self.waiting.lock();
        let all = [waiting.covered.take(), waiting.later.take()];
        self.awaited.store(u64::MAX, Ordering::SeqCst);
        drop(waiting);
        ended(all)
    }

    /// A ticket for the place `at`: block on it, or await it.
    pub fn reach(self: &Arc<Self>, at: LogOffset) -> Reached {
        Reached { mark: Arc::clone(self), at, seat: None }
    }

    /// The outcome for `at`, if there is one already.
    fn outcome(&self, at: LogOffset) -> Option<Result<()>> {
        if self.at() >= at {
            return Some(Ok(()));
        }
        self.failed.get().map(|e| Err(e.clone()))
    }

    /// The generation to wait in, or the outcome if it is there by now.
    fn register(&self, at: LogOffset) -> std::result::Result<Arc<Generation>, Result<()>> {
        let mut waiting = self.waiting.lock();
        self.awaited.fetch_min(at.0, Ordering::SeqCst);
        if let Some(outcome) = self.outcome(at) {
            return Err(outcome);
        }
        let boundary = waiting.boundary;
        let place = if at <= boundary { &mut waiting.covered } else { &mut waiting.later };
        let generation = place.get_or_insert_with(|| {
            Arc::new(Generation {
                event: Event::default(),
                lowest: u64::MAX.into(),
                threads: 0.into(),
                wakers: Mutex::default(),
            })
        });
        generation.lowest.fetch_min(at.0, Ordering::Relaxed);
        Ok(Arc::clone(generation))
    }
}

/// A place that a [`Watermark`] will reach. Dropping it loses nothing.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # use sawlog::{Message, Options, Store};
/// # use std::time::Duration;
/// let ack = store.append(&Message::new("orders", "paid"))?;
/// let durable = store.flushed().reach(ack.end());
/// assert_eq!(durable.place(), ack.end());
/// if !durable.wait_timeout(Duration::ZERO)? {
///     store.flush()?;
/// }
/// durable.wait()?; // or `.await`
/// assert!(durable.is_reached());
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "waiting is what it is for"]
pub struct Reached {
    mark: Arc<Watermark>,
    at: LogOffset,
    seat: Option<Seat>,
}

/// Where a future's waker lies, so that polling again replaces it instead of adding one.
#[derive(Debug)]
struct Seat {
    generation: Arc<Generation>,
    index: usize,
}

impl Reached {
    /// The place that is waited for.
    #[must_use]
    pub fn place(&self) -> LogOffset {
        self.at
    }

    /// Whether the mark is there.
    #[must_use]
    pub fn is_reached(&self) -> bool {
        self.mark.at() >= self.at
    }

    /// Blocks until the mark is there.
    ///
    /// # Errors
    /// What the mark failed with: the outcome of what was waited for is unknown then.
    pub fn wait(&self) -> Result<()> {
        loop {
            if let Some(outcome) = self.mark.outcome(self.at) {
                return outcome;
            }
            match self.mark.register(self.at) {
                Ok(generation) => {
                    generation.threads.fetch_add(1, Ordering::Relaxed);
                    while !generation.event.wait(None) {}
                }
                Err(outcome) => return outcome,
            }
        }
    }

    /// Blocks until the mark is there (`true`) or `limit` has passed (`false`: the outcome is unknown).
    ///
    /// # Errors
    /// As [`Reached::wait`].
    pub fn wait_timeout(&self, limit: Duration) -> Result<bool> {
        let clock = crate::clock::SystemClock::new();
        loop {
            if let Some(outcome) = self.mark.outcome(self.at) {
                return outcome.map(|()| true);
            }
            let Some(left) = limit.checked_sub(crate::clock::Clock::elapsed(&clock)).filter(|d| !d.is_zero())
            else {
                return Ok(false);
            };
            match self.mark.register(self.at) {
                Ok(generation) => {
                    generation.threads.fetch_add(1, Ordering::Relaxed);
                    generation.event.wait(Some(left));
                }
                Err(outcome) => return outcome.map(|()| true),
            }
        }
    }
}

impl Future for Reached {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            if let Some(outcome) = self.mark.outcome(self.at) {
                return Poll::Ready(outcome);
            }
            if let Some(seat) = self.seat.take_if(|s| s.generation.event.has_happened()) {
                drop(seat);
            }
            if let Some(seat) = &self.seat {
                let before = seat.generation.wakers.lock().put(seat.index, Some(context.waker().clone()));
                if before.is_some() {
                    return Poll::Pending;
                }
                // The seats were cleared for waking between the two looks: look at the number again.
                self.seat = None;
                continue;
            }
            let generation = match self.mark.register(self.at) {
                Ok(generation) => generation,
                Err(outcome) => return Poll::Ready(outcome),
            };
            let mut wakers = generation.wakers.lock();
            // Under the list's lock: an event set before is seen here, one set later finds this waker in the list.
            if !generation.event.has_happened() {
                let index = wakers.sit(context.waker().clone());
                drop(wakers);
                self.seat = Some(Seat { generation, index });
                return Poll::Pending;
            }
        }
    }
}

/// A future that nobody wants any more leaves its seat to the next one.
impl Drop for Reached {
    fn drop(&mut self) {
        let Some(seat) = self.seat.take() else { return };
        let mut seats = seat.generation.wakers.lock();
        let waker = seats.put(seat.index, None);
        if waker.is_some() {
            seats.free.push(seat.index);
        }
        drop(seats);
        drop(waker);
    }
}

#[cfg(test)]
#[path = "watermark_tests.rs"]
mod tests;
