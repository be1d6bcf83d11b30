//! Nobody waits for a mark that has been reached or has failed; no ring is lost.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use loom::thread;

use crate::error::Error;
use crate::flush::Watermark;
use crate::offset::LogOffset;
use crate::sync::Event;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::worker::{self, Next};

/// One is covered by the sync that is told to begin, one comes for the next.
pub(super) fn two_waiters() {
    let mark = Watermark::new(LogOffset(0));
    let waiters = [10, 20].map(|at| {
        let mark = Arc::clone(&mark);
        thread::spawn(move || mark.reach(LogOffset(at)).wait().unwrap())
    });
    for to in [10, 20].map(LogOffset) {
        mark.begin(to);
        assert!(mark.advance(to).is_empty());
    }
    waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
}

/// One is reached, one never will be.
pub(super) fn failing() {
    let mark = Watermark::new(LogOffset(0));
    let waiters = [10, 20].map(|at| {
        let mark = Arc::clone(&mark);
        thread::spawn(move || mark.reach(LogOffset(at)).wait())
    });
    mark.begin(LogOffset(10));
    drop(mark.advance(LogOffset(10)));
    drop(mark.fail(Error::Closed));
    let [one, two] = waiters.map(|waiter| waiter.join().unwrap());
    // Who looks when the mark is there does not look at why it ended.
    assert!(one.is_ok());
    assert!(matches!(two, Err(Error::Closed)));
}

/// Sets an event when it is woken.
struct Told(Event);

impl Wake for Told {
    fn wake(self: Arc<Self>) {
        self.0.set();
    }
}

/// Whoever was told to wait is told when to look again.
pub(super) fn a_future() {
    let mark = Watermark::new(LogOffset(0));
    let mover = {
        let mark = Arc::clone(&mark);
        thread::spawn(move || {
            mark.begin(LogOffset(10));
            mark.advance(LogOffset(10)).into_iter().for_each(Waker::wake);
        })
    };
    let mut reached = mark.reach(LogOffset(10));
    loop {
        let told = Arc::new(Told(Event::default()));
        let waker = Waker::from(Arc::clone(&told));
        match Pin::new(&mut reached).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(outcome) => break outcome.unwrap(),
            Poll::Pending => while !told.0.wait(None) {},
        }
    }
    mover.join().unwrap();
}

/// What was changed before the ring is seen by a look behind it, and the order to stop is heard.
pub(super) fn a_bell() {
    let (bell, heard) = worker::bell();
    let work = Arc::new(AtomicU64::new(0));
    let seen = Watermark::new(LogOffset(0));
    let thread = {
        let (bell, work, seen) = (Arc::clone(&bell), Arc::clone(&work), Arc::clone(&seen));
        thread::spawn(move || {
            let step: worker::Step = Box::new(move || {
                let done = seen.at();
                let now = LogOffset(work.load(Ordering::SeqCst));
                drop(seen.advance(now));
                if now > done { Next::Again } else { Next::Wait }
            });
            worker::run(&bell, &heard, &crate::sync::Mutex::new(step));
        })
    };
    work.store(1, Ordering::SeqCst);
    bell.ring_if_idle();
    seen.reach(LogOffset(1)).wait().unwrap();
    bell.tell_to_stop();
    thread.join().unwrap();
}

/// Two threads wait; who makes it happen wakes one of them and goes away. Nobody sleeps for ever.
pub(super) fn an_event_that_one_passes_on() {
    let event = Arc::new(Event::default());
    let waiters = [(); 2].map(|()| {
        let event = Arc::clone(&event);
        thread::spawn(move || while !event.wait(None) {})
    });
    event.set_by_one();
    waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
}
