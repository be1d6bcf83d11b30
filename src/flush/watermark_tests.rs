//! Nobody who waits is ever forgotten, and nobody is told what is not so.

use super::*;
use std::sync::atomic::AtomicUsize;
use std::task::Wake;

#[derive(Default)]
struct Counted(AtomicUsize);

impl Wake for Counted {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn wake(wakers: Vec<Waker>) {
    wakers.into_iter().for_each(Waker::wake);
}

fn poll(reached: &mut Reached, waker: &Arc<Counted>) -> Poll<Result<()>> {
    Pin::new(reached).poll(&mut Context::from_waker(&Waker::from(Arc::clone(waker))))
}

#[test]
fn a_mark_never_goes_back() {
    let mark = Watermark::new(LogOffset(10));
    wake(mark.advance(LogOffset(20)));
    wake(mark.advance(LogOffset(15)));
    assert_eq!(mark.at(), LogOffset(20));
}

#[test]
fn waiting_for_what_is_already_there_ends_at_once() {
    let mark = Watermark::new(LogOffset(10));
    assert!(mark.reach(LogOffset(10)).wait().is_ok());
    assert!(mark.reach(LogOffset(0)).wait_timeout(Duration::ZERO).unwrap());
}

#[test]
fn a_limit_that_passes_is_neither_success_nor_failure() {
    let mark = Watermark::new(LogOffset(0));
    assert!(!mark.reach(LogOffset(1)).wait_timeout(Duration::from_millis(1)).unwrap());
    wake(mark.advance(LogOffset(1)));
    assert!(mark.reach(LogOffset(1)).wait_timeout(Duration::ZERO).unwrap());
}

#[test]
fn a_failure_reaches_those_above_the_mark_and_none_below() {
    let mark = Watermark::new(LogOffset(10));
    let (mut above, woken) = (mark.reach(LogOffset(11)), Arc::new(Counted::default()));
    assert!(poll(&mut above, &woken).is_pending());
    wake(mark.fail(Error::Closed));
    wake(mark.fail(Error::Locked { root: "later".into(), pid: None }));
    assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    assert!(matches!(poll(&mut above, &woken), Poll::Ready(Err(Error::Closed))));
    assert!(matches!(mark.reach(LogOffset(11)).wait(), Err(Error::Closed)));
    assert!(mark.reach(LogOffset(10)).wait().is_ok());
    assert!(matches!(mark.failure(), Some(Error::Closed)), "the first one stays");
}

#[test]
fn a_ticket_says_what_it_waits_for_and_whether_that_is_there() {
    let mark = Watermark::new(LogOffset(10));
    assert!(mark.failure().is_none());
    let [there, next] = [10, 11].map(|at| mark.reach(LogOffset(at)));
    assert_eq!((there.place(), next.place()), (LogOffset(10), LogOffset(11)));
    assert!(there.is_reached() && !next.is_reached());
    wake(mark.advance(LogOffset(11)));
    assert!(next.is_reached());
}

#[test]
fn the_end_of_a_sync_wakes_those_it_covers_and_lets_later_ones_sleep() {
    let mark = Watermark::new(LogOffset(0));
    let (mut first, mut second) = (mark.reach(LogOffset(10)), mark.reach(LogOffset(20)));
    let (one, two) = (Arc::new(Counted::default()), Arc::new(Counted::default()));
    assert!(poll(&mut first, &one).is_pending());
    mark.begin(LogOffset(10));
    assert!(poll(&mut second, &two).is_pending());
    wake(mark.advance(LogOffset(10)));
    assert_eq!((one.0.load(Ordering::SeqCst), two.0.load(Ordering::SeqCst)), (1, 0));
    assert!(poll(&mut first, &one).is_ready());
    mark.begin(LogOffset(20));
    wake(mark.advance(LogOffset(20)));
    assert_eq!(two.0.load(Ordering::SeqCst), 1);
    assert!(poll(&mut second, &two).is_ready());
}

#[test]
fn a_waiter_that_comes_while_its_sync_runs_is_woken_by_that_sync() {
    let mark = Watermark::new(LogOffset(0));
    mark.begin(LogOffset(10));
    let (mut late, woken) = (mark.reach(LogOffset(10)), Arc::new(Counted::default()));
    assert!(poll(&mut late, &woken).is_pending());
    // With those that the sync covers, not with those behind it, of whom none is to be woken in vain.
    let mut behind = mark.reach(LogOffset(11));
    assert!(poll(&mut behind, &Arc::default()).is_pending());
    {
        let waiting = mark.waiting.lock();
        let [covered, later] =
            [&waiting.covered, &waiting.later].map(|generation| lowest(generation.as_ref()));
        assert_eq!((covered, later), (10, 11));
    }
    wake(mark.advance(LogOffset(10)));
    assert_eq!(woken.0.load(Ordering::SeqCst), 1);
}

#[test]
fn a_mark_that_nobody_waits_for_moves_without_a_lock() {
    let mark = Watermark::new(LogOffset(0));
    mark.begin(LogOffset(5));
    let [mut near, mut far] = [5, 9].map(|at| mark.reach(LogOffset(at)));
    assert!(poll(&mut near, &Arc::default()).is_pending());
    assert!(poll(&mut far, &Arc::default()).is_pending());
    wake(mark.advance(LogOffset(5)));
    assert_eq!(mark.awaited.load(Ordering::SeqCst), 9, "the one who is left");
    wake(mark.advance(LogOffset(9)));
    assert_eq!(mark.awaited.load(Ordering::SeqCst), u64::MAX, "nobody is");
}

#[test]
fn polling_again_and_again_leaves_one_waker_the_latest() {
    let mark = Watermark::new(LogOffset(0));
    let mut reached = mark.reach(LogOffset(1));
    let (old, new) = (Arc::new(Counted::default()), Arc::new(Counted::default()));
    for _ in 0..100 {
        assert!(poll(&mut reached, &old).is_pending());
    }
    assert!(poll(&mut reached, &new).is_pending());
    wake(mark.advance(LogOffset(1)));
    assert_eq!((old.0.load(Ordering::SeqCst), new.0.load(Ordering::SeqCst)), (0, 1));
}

#[test]
fn a_future_woken_in_vain_waits_on_and_is_woken_again() {
    let mark = Watermark::new(LogOffset(0));
    let (mut near, mut far) = (mark.reach(LogOffset(1)), mark.reach(LogOffset(9)));
    let woken = Arc::new(Counted::default());
    assert!(poll(&mut far, &woken).is_pending());
    assert!(poll(&mut near, &woken).is_pending());
    wake(mark.advance(LogOffset(1)));
    assert!(poll(&mut far, &woken).is_pending());
    let before = woken.0.load(Ordering::SeqCst);
    wake(mark.advance(LogOffset(9)));
    assert_eq!(woken.0.load(Ordering::SeqCst), before + 1);
    assert!(poll(&mut far, &woken).is_ready());
}

/// A program waited for news with a time-out, again and again, on a store where nothing happened: each future that
/// was dropped left its waker behind.
#[test]
fn futures_that_are_dropped_leave_nothing_behind() {
    let mark = Watermark::new(LogOffset(0));
    let woken = Arc::new(Counted::default());
    let mut kept = mark.reach(LogOffset(1));
    assert!(poll(&mut kept, &woken).is_pending());
    for _ in 0..1000 {
        let mut dropped = mark.reach(LogOffset(1));
        assert!(poll(&mut dropped, &woken).is_pending());
    }
    assert!(Arc::strong_count(&woken) <= 3, "{}", Arc::strong_count(&woken));
    wake(mark.advance(LogOffset(1)));
    assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    assert!(poll(&mut kept, &woken).is_ready());
}

/// Eight threads wait for every single step of a mark that another thread moves as fast as it can. One lost
/// wake-up and the test never ends.
#[test]
fn no_wake_up_is_lost_between_threads() {
    no_wake_up_is_lost(8, 2_000);
}

/// So many that one of them wakes the others.
#[test]
fn no_wake_up_is_lost_between_many_threads() {
    no_wake_up_is_lost(MANY_THREADS + 8, 500);
}

fn no_wake_up_is_lost(threads: u64, rounds: u64) {
    let mark = Watermark::new(LogOffset(0));
    let turn = Arc::new(AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for n in 1..=rounds {
                    mark.reach(LogOffset(n)).wait().unwrap();
                    turn.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        scope.spawn(|| {
            for n in 1..=rounds {
                mark.begin(LogOffset(n));
                wake(mark.advance(LogOffset(n)));
                if n % 16 == 0 {
                    while turn.load(Ordering::SeqCst) < n * threads {
                        std::thread::yield_now();
                    }
                }
            }
        });
    });
    assert_eq!(turn.load(Ordering::SeqCst), threads * rounds);
}
