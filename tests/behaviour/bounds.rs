//! How many segments stay open: those that are needed, and so many more.

use sawlog::disk::sim::{Aim, Fault, FaultKind, OpKind};
use sawlog::disk::{MappedDisk, OsDisk};
use sawlog::flush::{AsyncFlush, SyncFlush};
use sawlog::{LogOffset, Message, Options, Retention, Store};

use crate::world::*;

/// Two of these fill a segment.
fn half(n: u64) -> Message {
    Message::new("orders", format!("{n:030000}"))
}

/// So many whole segments and one with a single record, all flushed.
fn fill(store: &Store, segments: u64) {
    for n in 0..=segments * 2 {
        store.append(&half(n)).unwrap().forget();
    }
    store.flush().unwrap();
}

/// The record that begins the segment of this number.
fn read(store: &Store, segment: u64) {
    let record = store.record_at(LogOffset(segment * SEGMENT)).unwrap();
    assert_eq!(*record.body(), half(segment * 2).body);
}

/// What the store has open when nobody has read anything, and when all has been read, in turn.
fn opened_and_read(world: &World, most: u32) -> (u64, u64) {
    let store = Store::open("/store", world.options(SyncFlush).open_segments(most)).unwrap();
    let opened = world.disk.open_handles();
    let mut highest = opened;
    for step in [1, 7, 13] {
        for n in 0..40 {
            read(&store, n * step % 40);
            highest = highest.max(world.disk.open_handles());
        }
    }
    assert_eq!(all(&store).len(), 81);
    highest = highest.max(world.disk.open_handles());
    store.close().unwrap();
    (opened, highest)
}

#[test]
fn of_the_segments_that_were_read_so_many_stay_open_as_the_options_say() {
    let world = World::new();
    let store = world.sync();
    fill(&store, 40);
    store.close().unwrap();
    for most in [1, 2, 5, 20] {
        let (opened, highest) = opened_and_read(&world, most);
        assert!(highest <= opened + u64::from(most), "{most}: {opened} opened, {highest} read");
    }
    let (opened, highest) = opened_and_read(&world, 1_000_000);
    assert_eq!(highest, opened + 40, "without a bound all of them stay open, so the test sees a bound");
}

#[test]
fn the_segment_that_goes_is_the_one_unused_for_longest() {
    let world = World::new();
    let store = world.sync();
    fill(&store, 20);
    store.close().unwrap();
    let store = Store::open("/store", world.options(SyncFlush).open_segments(4)).unwrap();
    let opens = || world.disk.operations_of(OpKind::Open);
    read(&store, 0);
    for n in 1..20 {
        // Between any two others the first one is used.
        read(&store, n);
        let before = opens();
        read(&store, 0);
        assert_eq!(opens(), before, "segment 0 was closed though it is read all the time");
    }
    let before = opens();
    for n in [19, 18, 17, 0] {
        read(&store, n);
    }
    assert_eq!(opens(), before, "the four that were used last are open");
    read(&store, 16);
    assert_eq!(opens(), before + 1);
    store.close().unwrap();
}

/// A descriptor that was opened behind a failed write-back sees no error: a sync through it would say that all is
/// well (promises rule 11). So a segment stays open until a sync covers it, however many those are.
#[test]
fn no_segment_is_closed_before_a_sync_has_covered_it() {
    let world = World::new();
    let options = || world.options(AsyncFlush::default()).open_segments(1);
    let store = Store::open("/store", options()).unwrap();
    for n in 0..=20 {
        store.append(&half(n)).unwrap().forget();
    }
    let opens = world.disk.operations_of(OpKind::Open);
    (0..10).for_each(|n| read(&store, n));
    let unflushed = world.disk.open_handles();
    store.flush().unwrap();
    assert_eq!(
        world.disk.operations_of(OpKind::Open),
        opens,
        "every descriptor was still there for the sync"
    );
    // The sync lets go of them by itself, and reading one opens no more than that one.
    let flushed = world.disk.open_handles();
    assert!(flushed + 8 <= unflushed, "{unflushed} before the flush, {flushed} after it");
    read(&store, 0);
    for n in 21..24 {
        store.append(&half(n)).unwrap().forget();
    }
    read(&store, 3);
    assert!(world.disk.open_handles() + 8 <= unflushed, "{} after reading", world.disk.open_handles());
    assert_eq!(all(&store).len(), 24);
    store.close().unwrap();
}

#[test]
fn a_failed_sync_lets_no_segment_go() {
    let world = World::new();
    let store = Store::open("/store", world.options(AsyncFlush::default()).open_segments(1)).unwrap();
    for n in 0..=20 {
        store.append(&half(n)).unwrap().forget();
    }
    world.disk.fail_at_aimed(Aim::anything().kind(OpKind::Sync), 1, Fault::once(FaultKind::Eio));
    store.flush().unwrap_err();
    let handles = world.disk.open_handles();
    assert!(store.record_at(LogOffset(0)).is_err(), "nothing is durable, so nothing is served");
    let opens = world.disk.operations_of(OpKind::Open);
    store.flush().unwrap_err();
    assert_eq!((world.disk.open_handles(), world.disk.operations_of(OpKind::Open)), (handles, opens));
    drop(store);
}

/// A view keeps its bytes when the segment is closed under it, opened again, and removed; and as long as it lives the
/// room of the removed file counts as taken.
#[test]
fn a_view_outlives_the_closing_of_its_segment() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::new().segment_bytes(SEGMENT).open_segments(1).by_hand();
    let options = options.retention(Retention::keep_all().refuse_above(None));
    let store = Store::open(folder.path(), options.disk(MappedDisk::new())).unwrap();
    fill(&store, 6);
    settle(&store);
    let view = |n: u64| store.record_at(LogOffset(n * SEGMENT)).unwrap().message.body;
    let held: Vec<_> = (0..3).map(view).collect();
    // Closed by then, each of them; and one is opened once more, so that views of two mappings are alive.
    (3..6).for_each(|n| read(&store, n));
    let again = view(1);
    (3..6).for_each(|n| read(&store, n));
    let swept = store.remove_before(LogOffset(4 * SEGMENT)).unwrap();
    assert_eq!((swept.segments, swept.pinned_bytes), (4, 3 * SEGMENT));
    for (n, body) in (0..).zip(&held) {
        assert_eq!(*body, half(n * 2).body);
    }
    drop(held);
    assert_eq!(store.sweep().unwrap().pinned_bytes, SEGMENT, "one was taken twice");
    assert_eq!(again, half(2).body);
    drop(again);
    assert_eq!(store.sweep().unwrap().pinned_bytes, 0);
    store.close().unwrap();
}

/// Readers that open what others close, on both disks: each gets its bytes, and the bound holds when they are gone.
///
/// On a busy machine one sync once covered all twelve segments, which it needs open; none was opened from then on, and so
/// none closed. A sync that lets segments go closes those beyond the bound.
#[test]
fn readers_that_close_each_others_segments_read_what_they_asked_for() {
    for mapped in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let options = Options::new().segment_bytes(SEGMENT).open_segments(2);
        let options = options.retention(Retention::keep_all().refuse_above(None)).flush(SyncFlush);
        let options = if mapped { options.disk(MappedDisk::new()) } else { options.disk(OsDisk::new()) };
        let store = Store::open(folder.path(), options).unwrap();
        fill(&store, 12);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let store = &store;
                scope.spawn(move || {
                    for n in 0..2_000 {
                        read(store, (n * (2 * thread + 1) + thread) % 12);
                    }
                    assert_eq!(all(store).len(), 25);
                });
            }
        });
        let stats = store.stats();
        // Those that appending has, the bound, and one file of the queue and the index each.
        assert!(stats.open_files <= 2 + 2 + 2 + 3, "{stats:?}");
        store.close().unwrap();
    }
}
