//! The disk's guard: refuses above its limit with its numbers, and clears without a restart and without a thread.

use std::path::Path;
use std::time::Duration;

use sawlog::disk::Disk;
use sawlog::{Error, QueueOffset, Retention, Store, Why};

use super::{first, none, open};
use crate::world::*;

/// Somebody else's file: so much of the disk is in use then.
fn use_up(world: &World, part: f64) {
    world.disk.write_file("/ballast", Vec::new()).unwrap();
    let space = world.disk.space(Path::new("/")).unwrap();
    let want = (space.total as f64 * part) as u64;
    let ballast = want.saturating_sub(space.total - space.free) / 4096 * 4096;
    world.disk.write_file("/ballast", vec![1; ballast as usize]).unwrap();
}

fn limited(bytes: u64) -> World {
    let world = World::new();
    world.disk.capacity_bytes(bytes);
    world
}

fn refusal(store: &Store) -> (u64, u64) {
    match store.append(&sized(10)) {
        Err(Error::Full { free, needed }) => (free, needed),
        other => panic!("{other:?}"),
    }
}

#[test]
fn above_the_limit_appends_are_refused_with_what_must_become_free_and_all_else_goes_on() {
    let world = limited(4 << 20);
    let store = open(&world, none().refuse_above(0.75));
    for n in 0..10 {
        store.append(&numbered(n)).unwrap().forget();
    }
    use_up(&world, 0.875);
    store.append(&numbered(10)).unwrap().forget();
    settle(&store);
    let before = store.marks();
    let (free, needed) = refusal(&store);
    assert_eq!(free, 512 << 10);
    assert_eq!(needed, 512 << 10, "an eighth of the disk");
    assert!(matches!(store.try_append(&sized(10)), Err(Error::Full { .. })));
    assert!(matches!(store.append_batch(&[sized(10)]), Err(Error::Full { .. })));
    assert!(matches!(store.append_and_wait(&sized(10)), Err(Error::Full { .. })));
    assert_eq!(store.marks().accepted, before.accepted, "nothing was written");
    store.flush().unwrap();
    assert_eq!((all(&store).len(), store.failure().is_none()), (11, true));
    assert_eq!(store.queue("orders", 0).read_from(QueueOffset(0)).count(), 11);
    // It clears in the very append that finds room, once it is time to look again.
    use_up(&world, 0.7);
    refusal(&store);
    world.clock.turn(Duration::from_millis(100));
    assert_eq!(store.append(&numbered(11)).unwrap().queue_offset(), QueueOffset(11));
    store.close().unwrap();
}

#[test]
fn the_first_refused_append_looks_at_once_and_later_ones_ten_times_a_second() {
    let world = limited(4 << 20);
    let store = open(&world, none().refuse_above(0.75));
    use_up(&world, 0.9);
    settle(&store);
    use_up(&world, 0.1);
    store.append(&numbered(0)).expect("looked again").forget();
    use_up(&world, 0.9);
    settle(&store);
    refusal(&store);
    let looks = world.disk.operations_of(sawlog::disk::sim::OpKind::Space);
    for _ in 0..50 {
        refusal(&store);
    }
    assert_eq!(world.disk.operations_of(sawlog::disk::sim::OpKind::Space), looks);
    world.clock.turn(Duration::from_millis(99));
    use_up(&world, 0.1);
    refusal(&store);
    world.clock.turn(Duration::from_millis(1));
    store.append(&numbered(1)).unwrap().forget();
}

#[test]
fn a_store_opens_above_the_limit_and_reads() {
    let world = limited(4 << 20);
    let store = open(&world, none());
    store.append(&numbered(0)).unwrap().forget();
    store.close().unwrap();
    use_up(&world, 0.95);
    let store = open(&world, none().refuse_above(0.9));
    assert_eq!(bodies(&store), ["00000000"]);
    refusal(&store);
    // Another limit, on the running store.
    store.set_retention(none()).unwrap();
    store.append(&numbered(1)).unwrap().forget();
    store.set_retention(none().refuse_above(0.9)).unwrap();
    refusal(&store);
    store.close().unwrap();
}

#[test]
fn a_segment_that_would_go_above_the_limit_is_not_made() {
    let world = limited(1 << 20);
    let store = open(&world, none().refuse_above(0.75));
    store.append(&sized(60_000)).unwrap().forget();
    use_up(&world, 0.71);
    settle(&store);
    store.append(&sized(100)).expect("it fits into the segment that is there").forget();
    let space = world.disk.space(Path::new("/")).unwrap();
    match store.append(&sized(60_000)) {
        Err(Error::Full { free, needed }) => {
            assert_eq!(free, space.free);
            assert_eq!(needed, space.total - space.free + SEGMENT - 3 * (1 << 18));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(world.log_files().len(), 1);
    use_up(&world, 0.6);
    store.append(&sized(60_000)).unwrap().forget();
    store.close().unwrap();
}

#[test]
fn where_retention_may_make_room_the_append_does_and_is_not_refused() {
    let world = limited(1 << 20);
    let store = open(&world, none().max_disk_used(0.75).refuse_above(0.75));
    // Nobody steps: not one thread helps.
    for n in 0..200 {
        store.append(&sized(20_000)).unwrap_or_else(|error| panic!("append {n}: {error}")).forget();
        let space = world.disk.space(Path::new("/")).unwrap();
        assert!(space.total - space.free <= 3 * (1 << 18), "append {n}: {space:?}");
    }
    assert!(first(&store) > 50);
    store.close().unwrap();
}

#[test]
fn what_even_a_sweep_cannot_help_stays_refused() {
    let world = limited(2 << 20);
    let store = open(&world, Retention::default());
    for _ in 0..10 {
        store.append(&sized(40_000)).unwrap().forget();
        settle(&store);
    }
    // Whatever is freed somebody else takes at once.
    for _ in 0..4 {
        use_up(&world, 0.99);
        settle(&store);
    }
    assert_eq!(first(&store), 9, "all went but the segment being written");
    use_up(&world, 0.99);
    world.clock.turn(Duration::from_secs(1));
    settle(&store);
    let (free, needed) = refusal(&store);
    assert!(free < needed, "{free} free, {needed} needed");
    use_up(&world, 0.5);
    world.clock.turn(Duration::from_secs(1));
    store.append(&sized(40_000)).unwrap().forget();
}

/// Promises D2: writes resume by themselves, a thousand times over.
#[test]
fn a_disk_filled_and_freed_a_thousand_times_needs_no_restart() {
    let world = limited(1 << 20);
    let store = open(&world, Retention::default().max_bytes(6 * SEGMENT));
    let (mut stored, mut refused, mut by_bytes, mut by_use, mut stuck) = (0, 0, 0, 0, 0);
    for round in 0_u64..1000 {
        // Whatever is freed somebody else takes at once, up to the last byte in every fourth round.
        let part = 0.91 + (round % 4) as f64 * 0.03;
        let mut last = None;
        for _ in 0..10 {
            use_up(&world, part);
            match store.sweep() {
                Ok(swept) if swept.why == Some(Why::DiskUse) => by_use += 1,
                Ok(_) => {}
                // Not a byte was left to say durably what must stand before a segment goes.
                Err(error) => {
                    assert!(error.is_full(), "{error}");
                    stuck += 1;
                }
            }
            if last.replace(store.marks().first) == last {
                break;
            }
        }
        world.clock.turn(Duration::from_millis(100));
        let (free, needed) = refusal(&store);
        assert!(needed > 0 && free < 1 << 17);
        refused += 1;
        use_up(&world, 0.2);
        world.clock.turn(Duration::from_millis(100));
        for _ in 0..(round % 23) {
            let ack = store.append(&sized(20_000)).unwrap_or_else(|error| panic!("round {round}: {error}"));
            assert_eq!(ack.queue_offset().0, stored);
            stored += 1;
        }
        by_bytes += u64::from(store.sweep().unwrap().why == Some(Why::Bytes));
        settle(&store);
        let queue = store.queue("orders", 0);
        let read = queue.read_from(queue.min().unwrap()).map(|r| r.unwrap().queue_offset.0);
        assert!(read.eq(queue.min().unwrap().0..stored), "round {round}");
    }
    println!(
        "{stored} stored, {refused} refused, {by_bytes} sweeps by bytes, {by_use} by disk use, {stuck} without room"
    );
    assert!(stored > 10_000 && refused == 1000 && by_use > 500 && by_bytes > 50, "a fault of the test");
    store.close().unwrap();
    let store = open(&world, none());
    assert_eq!(store.queue("orders", 0).max().0, stored);
    assert!(store.recovery().clean_shutdown && store.recovery().cuts.is_empty());
}
