//! What a user hands in may panic, and what a user is handed may be dropped, at any moment (promises E4).
//!
//! Clocks, flush policies and wakers panic in each of their turns; futures are dropped before their first poll and
//! behind every step that follows. What was acknowledged stays, what was abandoned is wholly there or wholly absent,
//! and the folder opens.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    reason = "tests may stop at the first surprise"
)]

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use sawlog::clock::{Clock, HandClock, Timestamp};
use sawlog::disk::sim::SimDisk;
use sawlog::flush::{AsyncFlush, Decision, FlushPolicy, Progress, SyncFlush};
use sawlog::{Error, Level, Message, Options, QueueOffset, Store};

const ROOT: &str = "/store";

fn options(disk: &SimDisk) -> Options {
    let options = Options::new().disk(disk.clone()).segment_bytes(64 << 10).max_message_bytes(16 << 10);
    options.index_slots(16).index_entries(64).queue_segment_entries(32)
}

fn message(n: u64) -> Message {
    Message::new("orders", format!("{n}")).queue(u32::try_from(n % 3).unwrap()).key(&format!("k{n}"))
}

fn number(body: &[u8]) -> u64 {
    std::str::from_utf8(body).unwrap().parse().unwrap()
}

/// Counts its turns, and panics in one of them.
#[derive(Debug)]
struct Turns {
    taken: AtomicU64,
    bad: u64,
}

impl Turns {
    fn new(bad: u64) -> Turns {
        Turns { taken: AtomicU64::new(0), bad }
    }

    fn take(&self) {
        let turn = self.taken.fetch_add(1, Ordering::SeqCst);
        assert!(turn != self.bad, "the user's own code panics");
    }

    fn has_panicked(&self) -> bool {
        self.taken.load(Ordering::SeqCst) > self.bad
    }
}

/// Messages that were acknowledged, and those of which nothing was heard.
#[derive(Debug, Default)]
struct Sent {
    acknowledged: Vec<u64>,
    unknown: Vec<u64>,
}

impl Sent {
    /// One attempt; whatever the store answers, or panics with, is noted.
    fn send(&mut self, n: u64, work: impl FnOnce(&Message) -> sawlog::Result<()>) {
        match catch_unwind(AssertUnwindSafe(|| work(&message(n)))) {
            Ok(Ok(())) => self.acknowledged.push(n),
            Ok(Err(Error::Failed(_) | Error::TimedOut { .. })) | Err(_) => self.unknown.push(n),
            Ok(Err(error)) => panic!("message {n}: {error}"),
        }
    }

    /// All that was acknowledged is there once, in order, and beside it nothing but what is unknown; each queue has its
    /// part of it, without a gap.
    fn judge(&self, store: &Store, what: &str) {
        let found: Vec<_> = store.scan(store.marks().first).map(Result::unwrap).collect();
        let numbers: Vec<u64> = found.iter().map(|read| number(read.body())).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{what}: {numbers:?}");
        let lost: Vec<_> = self.acknowledged.iter().filter(|n| !numbers.contains(n)).collect();
        assert!(lost.is_empty(), "{what}: lost {lost:?}; {}", store.recovery());
        let phantom = numbers.iter().find(|n| !self.acknowledged.contains(n) && !self.unknown.contains(n));
        assert_eq!(phantom, None, "{what}");
        for queue in 0..3 {
            let of_queue = found.iter().filter(|read| read.queue_id() == queue);
            for (due, read) in (0..).zip(of_queue.clone()) {
                assert_eq!(read.queue_offset, QueueOffset(due), "{what}: queue {queue} has a gap");
            }
            let queued = store.queue("orders", queue).read_from(QueueOffset(0)).map(Result::unwrap);
            assert!(queued.map(|r| r.position).eq(of_queue.map(|r| r.position)), "{what}: queue {queue}");
        }
    }

    /// The process ends here; the next one opens what it left.
    fn judge_after_kill(&self, disk: &SimDisk, what: &str) {
        let left = disk.kill();
        let store = Store::open(ROOT, options(&left).by_hand().flush(SyncFlush)).unwrap();
        self.judge(&store, what);
        store.append_and_wait(&message(1_000_000)).unwrap();
        store.close().unwrap();
    }
}

#[derive(Debug)]
struct BadClock {
    clock: HandClock,
    turns: Arc<Turns>,
}

impl Clock for BadClock {
    fn now(&self) -> Timestamp {
        self.turns.take();
        self.clock.now()
    }
    fn elapsed(&self) -> Duration {
        self.turns.take();
        self.clock.elapsed()
    }
}

#[test]
fn a_clock_that_panics_in_any_of_its_turns_costs_nothing_acknowledged() {
    for sync in [true, false] {
        let mut bad = 0;
        loop {
            let disk = SimDisk::new();
            let turns = Arc::new(Turns::new(bad));
            let clock = BadClock { clock: HandClock::new(Timestamp(1)), turns: Arc::clone(&turns) };
            let options = options(&disk).by_hand().clock(Arc::new(clock));
            let options = if sync { options.flush(SyncFlush) } else { options.flush(AsyncFlush::default()) };
            let mut sent = Sent::default();
            let what = format!("turn {bad}, sync: {sync}");
            if let Ok(opened) = catch_unwind(AssertUnwindSafe(|| Store::open(ROOT, options))) {
                let store = opened.unwrap();
                for n in 0..40 {
                    sent.send(n, |message| store.append_and_wait(message).map(drop));
                    let _ = catch_unwind(AssertUnwindSafe(|| store.step()));
                }
                // Twice: the bad turn may come in the first.
                for _ in 0..2 {
                    let _ = catch_unwind(AssertUnwindSafe(|| while store.step() {}));
                }
                if store.failure().is_none() {
                    sent.judge(&store, &what);
                }
                let _ = catch_unwind(AssertUnwindSafe(|| store.close()));
            }
            sent.judge_after_kill(&disk, &what);
            if !turns.has_panicked() {
                break;
            }
            bad += 1;
        }
        println!("sync: {sync}: a clock panicked in each of its {bad} turns");
        assert!(bad > 40, "{bad}");
    }
}

#[derive(Debug)]
struct BadPolicy {
    level: Level,
    asked_for_level: Turns,
    asked: Turns,
}

impl FlushPolicy for BadPolicy {
    fn ack_when(&self) -> Level {
        self.asked_for_level.take();
        self.level
    }
    fn decide(&self, progress: &Progress) -> Decision {
        self.asked.take();
        if progress.unflushed_bytes > 0 { Decision::Flush } else { Decision::Sleep }
    }
}

#[test]
fn a_policy_that_panics_in_any_of_its_turns_ends_the_store_at_worst() {
    let mut panicked = 0;
    for (level, with_threads) in
        [(Level::Flushed, false), (Level::Written, false), (Level::Flushed, true), (Level::Written, true)]
    {
        for bad in 0..24 {
            let disk = SimDisk::new();
            let (for_level, for_decision) =
                if bad % 2 == 0 { (bad / 2, u64::MAX) } else { (u64::MAX, bad / 2) };
            let policy =
                BadPolicy { level, asked_for_level: Turns::new(for_level), asked: Turns::new(for_decision) };
            let options = if with_threads { options(&disk) } else { options(&disk).by_hand() };
            let what = format!("turn {bad}, {level:?}, threads: {with_threads}");
            let mut sent = Sent::default();
            if let Ok(opened) = catch_unwind(AssertUnwindSafe(|| Store::open(ROOT, options.flush(policy)))) {
                let store = opened.unwrap();
                for n in 0..30 {
                    sent.send(n, |message| match with_threads {
                        true => store.append(message)?.wait(),
                        false => store.append_and_wait(message).map(drop),
                    });
                    if !with_threads {
                        let _ = catch_unwind(AssertUnwindSafe(|| store.step()));
                    }
                }
                panicked += u64::from(store.failure().is_some());
                if let Some(failure) = store.failure() {
                    assert!(failure.to_string().contains("panick"), "{what}: {failure}");
                    assert!(matches!(store.append(&message(500)), Err(Error::Failed(_))), "{what}");
                }
                let _ = catch_unwind(AssertUnwindSafe(|| store.close()));
            }
            sent.judge_after_kill(&disk, &what);
        }
    }
    println!("96 turns of policies panicked, {panicked} of them ended the store");
    assert!(panicked > 0);
}

/// Notes that its task was woken.
#[derive(Default)]
struct GoodWaker(AtomicU64);

impl Wake for GoodWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

struct BadWaker;

impl Wake for BadWaker {
    fn wake(self: Arc<Self>) {
        panic!("a broken executor");
    }
}

#[test]
fn a_waker_that_panics_leaves_no_other_waiting_and_no_record_behind() {
    for with_threads in [true, false] {
        for bad in 0..10 {
            let disk = SimDisk::new();
            let options = if with_threads { options(&disk) } else { options(&disk).by_hand() };
            let store = Store::open(ROOT, options.flush(SyncFlush)).unwrap();
            let (mut sent, mut acks, mut woken) = (Sent::default(), Vec::new(), Vec::new());
            for n in 0..10 {
                let mut ack = store.append(&message(n)).unwrap();
                let good = Arc::new(GoodWaker::default());
                let waker = if n == bad { Arc::new(BadWaker).into() } else { Waker::from(Arc::clone(&good)) };
                // The flusher's thread may have been faster: then nobody is woken.
                if !Pin::new(&mut ack).poll(&mut Context::from_waker(&waker)).is_ready() && n != bad {
                    woken.push((n, good));
                }
                acks.push((n, ack));
            }
            let what = format!("waker {bad}, threads: {with_threads}");
            // By hand the panic comes out here, in the caller's own thread.
            let _ = catch_unwind(AssertUnwindSafe(|| store.flush()));
            for (n, ack) in &acks {
                sent.send(*n, |_| ack.wait());
            }
            drop(acks);
            let _ = catch_unwind(AssertUnwindSafe(|| store.close()));
            for (n, good) in woken {
                assert!(good.0.load(Ordering::SeqCst) > 0, "{what}: the task of message {n} sleeps for ever");
            }
            sent.judge_after_kill(&disk, &what);
        }
    }
}

/// Polls once, with a waker that does nothing.
fn poll<F: Future + Unpin>(future: &mut F) -> bool {
    matches!(Pin::new(future).poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(_))
}

#[test]
fn a_future_dropped_behind_any_step_leaves_its_record_whole_and_the_others_waiting() {
    let mut dropped = 0;
    for sync in [true, false] {
        // Behind so many steps; some before the first poll, some between two polls.
        for steps in 0..12 {
            for polls in 0..3 {
                let disk = SimDisk::new();
                let options = options(&disk).by_hand();
                let options =
                    if sync { options.flush(SyncFlush) } else { options.flush(AsyncFlush::default()) };
                let store = Store::open(ROOT, options).unwrap();
                let what = format!("{steps} steps, {polls} polls, sync: {sync}");
                let mut sent = Sent::default();
                let mut kept = Vec::new();
                for n in 0..8 {
                    let mut ack = store.append_with(&message(n), Level::Flushed).unwrap();
                    let mut news = Box::pin(store.flushed().reach(ack.end()));
                    for _ in 0..polls {
                        let _ = (poll(&mut ack), poll(&mut news));
                    }
                    for _ in 0..steps {
                        store.step();
                        if polls == 2 {
                            let _ = (poll(&mut ack), poll(&mut news));
                        }
                    }
                    sent.acknowledged.push(n);
                    if n % 2 == 0 {
                        drop((ack, news));
                        dropped += 2;
                    } else {
                        kept.push(ack);
                    }
                }
                store.flush().unwrap();
                assert!(kept.iter_mut().all(poll), "{what}: an ack waits for one that was dropped");
                while store.step() {}
                drop(kept);
                sent.judge(&store, &what);
                store.close().unwrap();
                sent.judge_after_kill(&disk, &what);
            }
        }
    }
    println!("{dropped} futures dropped");
}
