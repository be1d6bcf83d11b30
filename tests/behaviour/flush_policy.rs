//! When a flush happens, what it does for those who wait, and what readers see before and after it.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sawlog::disk::sim::OpKind;
use sawlog::flush::{AsyncFlush, Decision, FlushPolicy, Progress, SyncFlush};
use sawlog::{Level, LogOffset, Options, Store};

use crate::watched::{Watched, is_mark};
use crate::world::*;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Whether a step flushes after the clock went on by so much.
fn flushes_after(world: &World, store: &Store, by: Duration) -> bool {
    world.clock.turn(by);
    let before = store.marks().syncs;
    settle(store);
    store.marks().syncs > before
}

#[test]
fn sync_flush_flushes_as_soon_as_it_looks() {
    let world = World::new();
    let store = world.sync();
    store.append(&numbered(0)).unwrap().forget();
    assert_eq!(store.marks().syncs, 0);
    assert!(flushes_after(&world, &store, ms(0)));
    assert!(!flushes_after(&world, &store, ms(60_000)), "there is nothing more to flush");
}

#[test]
fn async_flush_waits_half_a_second_for_sixteen_kib_and_ten_seconds_for_less() {
    let world = World::new();
    let store = world.asynchronous();
    let body = body_for(&store, 16 * 1024);
    store.flush().unwrap();

    store.append(&sized(body)).unwrap().forget();
    assert!(!flushes_after(&world, &store, ms(499)));
    assert!(flushes_after(&world, &store, ms(1)), "16 KiB after 500 ms");

    store.append(&sized(body - 1)).unwrap().forget();
    assert!(!flushes_after(&world, &store, ms(500)), "a byte less waits on");
    assert!(!flushes_after(&world, &store, ms(9_499)));
    assert!(flushes_after(&world, &store, ms(1)), "ten seconds are enough for any");

    store.append(&sized(body - 1)).unwrap().forget();
    assert!(!flushes_after(&world, &store, ms(600)));
    store.append(&sized(10)).unwrap().forget();
    assert!(flushes_after(&world, &store, ms(0)), "more came, and the oldest has waited long enough");

    let ack = store.append_with(&numbered(1), Level::Flushed).unwrap();
    assert!(flushes_after(&world, &store, ms(0)), "a durable append does not wait for the clock");
    assert!(ack.is_done());
}

/// An append that rolled found the flushed mark behind the sealed segment's end and not where the tail had been: it
/// did not start the clock of the oldest unflushed byte, which still showed the time of the last flush.
#[test]
fn the_clock_of_the_oldest_byte_starts_anew_with_an_append_that_rolls() {
    let world = World::new();
    let store = world.asynchronous();
    for _ in 0..2 {
        store.append(&sized(30_000)).unwrap().forget();
    }
    store.flush().unwrap();
    world.clock.turn(Duration::from_secs(3600));
    let ack = store.append(&sized(30_000)).unwrap();
    assert_eq!(ack.position().offset, LogOffset(SEGMENT));
    assert!(!flushes_after(&world, &store, ms(499)), "it was appended a moment ago");
    assert!(flushes_after(&world, &store, ms(1)));
}

#[test]
fn own_numbers_take_the_place_of_rocketmqs() {
    let world = World::new();
    let policy = AsyncFlush { interval: ms(50), least_bytes: 1, at_latest: ms(50) };
    let store = world.open(policy);
    store.append(&numbered(0)).unwrap().forget();
    assert!(!flushes_after(&world, &store, ms(49)));
    assert!(flushes_after(&world, &store, ms(1)));
}

/// At 64 KiB, or 2 ms after the first byte; it writes down what it was asked.
#[derive(Debug, Default)]
struct Gathered {
    asked: Arc<Mutex<Vec<Progress>>>,
}

impl FlushPolicy for Gathered {
    fn ack_when(&self) -> Level {
        Level::Flushed
    }

    fn decide(&self, progress: &Progress) -> Decision {
        self.asked.lock().push(*progress);
        if progress.unflushed_bytes == 0 {
            Decision::Sleep
        } else if progress.unflushed_bytes >= 64 * 1024 || progress.waiting_for >= ms(2) {
            Decision::Flush
        } else {
            Decision::SleepFor(ms(2) - progress.waiting_for)
        }
    }
}

#[test]
fn a_policy_of_ones_own_decides() {
    let world = World::new();
    let policy = Gathered::default();
    let asked = Arc::clone(&policy.asked);
    let store = Store::open("/store", world.options(policy).segment_bytes(1 << 20)).unwrap();
    let ack = store.append(&sized(1000)).unwrap();
    assert_eq!(ack.level(), Level::Flushed);
    assert!(!flushes_after(&world, &store, ms(1)));
    assert!(flushes_after(&world, &store, ms(1)));
    let last = *asked.lock().iter().rfind(|p| p.unflushed_bytes > 0).unwrap();
    let unflushed_bytes = u64::from(ack.position().len);
    assert_eq!(last, Progress { unflushed_bytes, wanted: true, waiting_for: ms(2) });

    store.append(&sized(60_000)).unwrap().forget();
    assert!(!flushes_after(&world, &store, ms(0)));
    store.append(&sized(6_000)).unwrap().forget();
    assert!(flushes_after(&world, &store, ms(0)), "64 KiB are enough");
    store.append(&numbered(0).wait(false)).unwrap().forget();
    let _ = flushes_after(&world, &store, ms(0));
    assert!(!asked.lock().last().unwrap().wanted, "nobody waits for that one");
}

#[test]
fn a_policy_of_ones_own_is_asked_by_the_thread_too() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::new().flush(Gathered::default()).segment_bytes(1 << 20);
    let store = Store::open(folder.path(), options).unwrap();
    store.append(&numbered(0)).unwrap().wait_timeout(PATIENCE).unwrap();
    store.append_and_wait(&numbered(1)).unwrap();
    assert_eq!(store.marks().flushed, store.marks().accepted);
    store.close().unwrap();
}

/// Never flushes by itself.
#[derive(Debug)]
struct Never(Level);

impl FlushPolicy for Never {
    fn ack_when(&self) -> Level {
        self.0
    }

    fn decide(&self, _: &Progress) -> Decision {
        Decision::Sleep
    }
}

#[test]
fn flush_makes_everything_durable_whatever_the_policy_says() {
    for level in [Level::Written, Level::Flushed] {
        let world = World::new();
        let store = world.open(Never(level));
        assert_eq!(store.flush().unwrap(), LogOffset::ZERO);
        assert_eq!(store.marks().syncs, 0, "nothing to flush, nothing synced");
        let acks: Vec<_> = (0..5).map(|n| store.append_with(&numbered(n), Level::Flushed).unwrap()).collect();
        settle(&store);
        assert!(!acks[0].is_done());
        assert_eq!(store.flush().unwrap(), acks[4].end());
        assert!(acks.iter().all(sawlog::Ack::is_done));
        assert_eq!(store.flush().unwrap(), acks[4].end());
        assert_eq!((store.marks().syncs, store.marks().flushed), (1, acks[4].end()));
    }
}

#[test]
fn one_sync_serves_all_who_wait() {
    let world = World::new();
    let store = world.sync();
    let acks: Vec<_> = (0..10).map(|n| store.append(&numbered(n)).unwrap()).collect();
    let syncs = world.disk.operations_of(OpKind::Sync);
    let writes = world.disk.operations_of(OpKind::Write);
    store.flush().unwrap();
    assert_eq!(world.disk.operations_of(OpKind::Sync) - syncs, 1);
    assert_eq!(world.disk.operations_of(OpKind::Write) - writes, 1, "and they leave in one write");
    assert_eq!(store.marks().syncs, 1);
    assert!(acks.iter().all(sawlog::Ack::is_done));
}

#[test]
fn a_flush_over_several_segments_writes_each_once_and_syncs_each_oldest_first() {
    let world = World::new();
    let (synced, written) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let seen = (Arc::clone(&synced), Arc::clone(&written));
    let disk = Watched::new(&world.disk, move |kind, path| {
        let name = || path.file_name().unwrap().to_string_lossy().into_owned();
        match kind {
            OpKind::Sync if path.starts_with("/store/commitlog") => seen.0.lock().push(name()),
            OpKind::Write if path.starts_with("/store/commitlog") => seen.1.lock().push(name()),
            _ => {}
        }
        Ok(())
    });
    let store = Store::open("/store", options_on(disk, &world.clock, SyncFlush)).unwrap();
    for _ in 0..5 {
        store.append(&sized(30_000)).unwrap().forget();
    }
    synced.lock().clear();
    written.lock().clear();
    store.flush().unwrap();
    let segments = ["00000000000000000000", "00000000000000065536", "00000000000000131072"];
    assert_eq!(*synced.lock(), segments);
    assert_eq!(*written.lock(), segments, "what follows each other leaves in one write");
    assert_eq!(store.marks().syncs, 1);
}

/// A store with the smallest window that there is, and that window: 4 MiB and twice the longest record.
fn small_window(world: &World) -> (Store, u64) {
    let options = world.options(Never(Level::Flushed)).max_message_bytes(60_000).segment_bytes(1 << 20);
    (Store::open("/store", options).unwrap(), (4 << 20) + 2 * (60_000 + 65_536 + 16))
}

#[test]
fn what_gathers_is_flushed_before_the_window_shuts_whatever_the_policy_says() {
    let world = World::new();
    let (store, window) = small_window(&world);
    while store.marks().accepted.0 < window / 2 {
        settle(&store);
        assert_eq!(store.marks().syncs, 0);
        store.append(&sized(60_000)).unwrap().forget();
    }
    settle(&store);
    assert_eq!(store.marks().syncs, 1, "half of the window is enough");
}

#[test]
fn the_tail_never_runs_further_ahead_than_the_window() {
    let world = World::new();
    let (store, window) = small_window(&world);
    let mut furthest = 0;
    while store.marks().syncs < 5 {
        store.append(&sized(60_000)).unwrap().forget();
        let marks = store.marks();
        furthest = furthest.max(marks.accepted.since(marks.flushed));
    }
    assert!(furthest <= window && furthest > window - 130_000, "{furthest} of {window}");
}

#[test]
fn readers_see_what_the_policy_promises_or_what_was_asked_for() {
    // Policy, readers_see, seen after: the append, the write within a flush, the flush.
    let table = [
        (true, None, [0, 0, 1]),
        (true, Some(Level::Flushed), [0, 0, 1]),
        (true, Some(Level::Written), [0, 1, 1]),
        (false, None, [1, 1, 1]),
        (false, Some(Level::Written), [1, 1, 1]),
        (false, Some(Level::Flushed), [0, 0, 1]),
    ];
    for (sync, readers_see, expected) in table {
        let world = World::new();
        let store_in_hook = Arc::new(Mutex::new(None::<Store>));
        let during = Arc::new(Mutex::new(None));
        let (handle, seen) = (Arc::clone(&store_in_hook), Arc::clone(&during));
        let disk = Watched::new(&world.disk, move |kind, path| {
            if let Some(store) = handle.lock().as_ref()
                && kind == OpKind::Sync
                && path.ends_with("00000000000000000000")
            {
                *seen.lock() = Some((all(store).len(), store.marks()));
            }
            Ok(())
        });
        let options = if sync {
            options_on(disk, &world.clock, SyncFlush)
        } else {
            options_on(disk, &world.clock, AsyncFlush::default())
        };
        let options = readers_see.into_iter().fold(options, Options::readers_see);
        let store = Store::open("/store", options).unwrap();
        let ack = store.append(&numbered(0)).unwrap();
        let after_append = all(&store).len();
        assert_eq!(store.record_at(LogOffset::ZERO).is_ok(), after_append == 1);
        assert_eq!(store.raw(LogOffset::ZERO, 100).is_ok(), after_append == 1);
        assert_eq!(store.visible().at() >= ack.end(), after_append == 1);
        *store_in_hook.lock() = Some(store.clone());
        store.flush().unwrap();
        *store_in_hook.lock() = None;
        let (within, marks) = during.lock().take().unwrap();
        assert_eq!([after_append, within, all(&store).len()], expected, "{sync} {readers_see:?}");
        assert!(
            marks.accepted == marks.written
                && marks.flushed < marks.written
                && marks.visible <= marks.written
        );
    }
}

#[test]
fn a_scan_goes_on_when_more_has_become_visible() {
    let world = World::new();
    let store = world.sync();
    let mut scan = store.scan(LogOffset::ZERO);
    assert!(scan.next().is_none());
    for round in 0..40 {
        for n in 0..round % 4 {
            store.append(&sized(n * 1000 + 4000)).unwrap().forget();
            assert!(scan.next().is_none(), "staged bytes are nobody's");
        }
        store.flush().unwrap();
        assert_eq!(scan.by_ref().map(Result::unwrap).count(), round % 4);
        assert_eq!(scan.position(), store.marks().visible);
    }
}

/// The mark followed the flushed one only where the flusher's thread did the flushing: a producer that always flushed
/// by itself left it at the log's beginning, and the next open had all to check and to write again.
#[test]
fn the_durable_mark_follows_a_producer_that_flushes_by_itself() {
    let world = World::new();
    let (tell, told) = std::sync::mpsc::channel();
    let tell = Mutex::new(tell);
    let disk = Watched::new(&world.disk, move |kind, path| {
        if kind == OpKind::Write && is_mark(path) {
            let _ = tell.lock().send(());
        }
        Ok(())
    });
    let options = Options::new().disk(disk).clock(Arc::clone(&world.clock)).flush(SyncFlush);
    let store = Store::open("/store", options.segment_bytes(SEGMENT)).unwrap();
    for round in 0..5 {
        while told.try_recv().is_ok() {}
        world.clock.turn(Duration::from_secs(5));
        store.append_and_wait(&numbered(round)).unwrap();
        told.recv_timeout(Duration::from_secs(10)).expect("nobody moved the mark");
    }
    store.close().unwrap();
}

/// Acknowledges what is written; flushes at 64 KiB, and else hardly ever.
#[derive(Debug)]
struct AtSize;

impl FlushPolicy for AtSize {
    fn ack_when(&self) -> Level {
        Level::Written
    }

    fn decide(&self, progress: &Progress) -> Decision {
        match progress.unflushed_bytes {
            0 => Decision::Sleep,
            65_536.. => Decision::Flush,
            _ => Decision::SleepFor(Duration::from_secs(3600)),
        }
    }
}

/// Notes how long it was told that bytes wait.
#[derive(Debug, Default)]
struct Noting(Arc<Mutex<Vec<(u64, Duration)>>>);

impl FlushPolicy for Noting {
    fn ack_when(&self) -> Level {
        Level::Written
    }

    fn decide(&self, progress: &Progress) -> Decision {
        self.0.lock().push((progress.unflushed_bytes, progress.waiting_for));
        Decision::Sleep
    }
}

#[test]
fn a_policy_is_told_how_long_the_oldest_byte_waits_and_nothing_where_none_does() {
    let world = World::new();
    let noted = Arc::new(Mutex::new(Vec::new()));
    let store = world.open(Noting(Arc::clone(&noted)));
    let step = || {
        noted.lock().clear();
        settle(&store);
        noted.lock().last().copied().unwrap()
    };
    let end = store.append(&numbered(0)).unwrap().end();
    world.clock.turn(ms(700));
    assert_eq!(step(), (end.0, ms(700)));
    store.append(&numbered(1)).unwrap().forget();
    world.clock.turn(ms(50));
    assert_eq!(step().1, ms(750), "the oldest counts");
    store.flush().unwrap();
    world.clock.turn(ms(9_000));
    assert_eq!(step(), (0, ms(0)));
}

/// Such a policy was asked at the first byte, slept for its hour, and was not asked again.
#[test]
fn a_policy_that_acknowledges_what_is_written_is_asked_again_as_bytes_come() {
    let world = World::new();
    let options = Options::new().disk(world.disk.clone()).flush(AtSize).segment_bytes(4 << 20);
    let store = Store::open("/store", options).unwrap();
    for _ in 0..90 {
        store.append(&sized(1000)).unwrap().forget();
    }
    let sixty_four = LogOffset(64 * 1024);
    assert!(store.flushed().reach(sixty_four).wait_timeout(PATIENCE).unwrap(), "never flushed");
    store.close().unwrap();
}
