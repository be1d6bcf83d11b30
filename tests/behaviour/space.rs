//! A full disk: an error value with its numbers, and work again as soon as there is room, without a restart.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use sawlog::disk::{MappedDisk, OsDisk};
use sawlog::flush::{AsyncFlush, SyncFlush};
use sawlog::inspect::Look;
use sawlog::{Bound, Error, Options, QueueOffset, Retention, Store};

use crate::world::*;

/// Fills the disk with a file of somebody else's, up to so many free bytes.
fn fill_up(world: &World, free: u64) {
    use sawlog::disk::Disk;
    let space = world.disk.space(Path::new("/")).unwrap();
    world.disk.write_file("/ballast", vec![1; usize::try_from(space.free - free).unwrap()]).unwrap();
}

fn limited(bytes: u64) -> World {
    let world = World::new();
    world.disk.capacity_bytes(bytes);
    world
}

#[test]
fn a_full_disk_refuses_the_append_that_needs_a_segment_and_nothing_else() {
    for sync in [true, false] {
        let world = limited(1 << 20);
        let store = if sync { world.sync() } else { world.asynchronous() };
        for _ in 0..2 {
            store.append(&sized(20_000)).unwrap().forget();
        }
        fill_up(&world, 10_000);
        let before = store.marks().accepted;
        for _ in 0..3 {
            match store.append(&sized(30_000)) {
                Err(error @ Error::Full { free, needed }) => {
                    assert!(error.is_full() && needed == SEGMENT && free <= 10_000, "{error}");
                    assert!(error.to_string().contains(&needed.to_string()), "{error}");
                }
                other => panic!("{other:?}"),
            }
            store.step();
        }
        assert_eq!(store.marks().accepted, before);
        assert!(store.failure().is_none());
        // What still fits is taken, made durable and read.
        let ack = store.append(&sized(1000)).unwrap();
        assert_eq!((ack.position().offset, ack.queue_offset()), (before, QueueOffset(2)));
        store.flush().unwrap();
        assert_eq!(all(&store).len(), 3);
        world.disk.write_file("/ballast", Vec::new()).unwrap();
        let ack = store.append(&sized(30_000)).unwrap();
        assert_eq!((ack.position().offset.0, ack.queue_offset().0), (SEGMENT, 3));
        store.flush().unwrap();
        store.close().unwrap();
        assert_eq!(all(&world.asynchronous()).len(), 4);
    }
}

#[test]
fn a_disk_filled_and_freed_a_hundred_times_needs_no_restart() {
    let world = limited(1 << 20);
    let store = world.asynchronous();
    let (mut stored, mut refused) = (0, 0);
    for round in 0..8 {
        fill_up(&world, round * 3_000);
        for _ in 0..12 {
            match store.append(&sized(9_000)) {
                Ok(ack) => {
                    assert_eq!(ack.queue_offset().0, stored);
                    stored += 1;
                }
                Err(error) => {
                    assert!(error.is_full(), "{error}");
                    refused += 1;
                }
            }
            settle(&store);
        }
        world.disk.write_file("/ballast", Vec::new()).unwrap();
        store.append(&sized(9_000)).unwrap().forget();
        stored += 1;
    }
    assert!(refused > 20 && stored > 20, "{refused} refused, {stored} stored");
    store.flush().unwrap();
    assert_eq!(all(&store).len() as u64, stored);
    store.close().unwrap();
}

/// The janitor saves the queues' offsets in a new file once a segment. On a full disk that failed, and the failure was
/// taken for the end of the store: every append was refused until it was opened again, room or no room.
/// It answered `Busy` for ever, as if waiting could help: the keeper knew that the disk was full, and told nobody.
#[test]
fn an_append_that_does_not_wait_is_told_of_a_full_disk_and_goes_on_when_there_is_room() {
    let world = limited(1 << 20);
    let store = world.asynchronous();
    for _ in 0..2 {
        store.append(&sized(20_000)).unwrap().forget();
    }
    fill_up(&world, 10_000);
    assert!(matches!(store.try_append(&sized(30_000)), Err(Error::Busy { .. })));
    store.step();
    assert!(matches!(store.try_append(&sized(30_000)), Err(Error::Full { .. })));
    world.disk.write_file("/ballast", Vec::new()).unwrap();
    store.step();
    assert_eq!(store.try_append(&sized(30_000)).unwrap().position().offset.0, SEGMENT);
    store.close().unwrap();
}

#[test]
fn a_full_disk_does_not_end_the_store_when_its_own_small_files_do_not_fit() {
    let world = limited(1 << 20);
    let store = world.asynchronous();
    for _ in 0..5 {
        store.append(&sized(30_000)).unwrap().forget();
    }
    store.flush().unwrap();
    fill_up(&world, 0);
    for _ in 0..3 {
        world.clock.turn(Duration::from_secs(2));
        store.append(&sized(100)).unwrap().forget();
        store.flush().unwrap();
        settle(&store);
    }
    assert!(store.failure().is_none(), "{:?}", store.failure());
    store.append(&sized(100)).unwrap().forget();
    world.disk.write_file("/ballast", Vec::new()).unwrap();
    world.clock.turn(Duration::from_secs(2));
    store.append(&sized(100)).unwrap().forget();
    store.flush().unwrap();
    settle(&store);
    assert!(world.has("sawlog/queues"), "what could not be saved is saved when there is room");
    store.close().unwrap();
    assert_eq!(all(&world.asynchronous()).len(), 10);
}

#[test]
fn a_store_that_cannot_close_for_lack_of_room_says_so_and_opens_again() {
    let world = limited(1 << 20);
    let store = world.asynchronous();
    store.append(&numbered(0)).unwrap().forget();
    fill_up(&world, 0);
    match store.close() {
        Err(error) => assert!(error.is_full(), "{error}"),
        Ok(()) => assert!(!world.has("abort")),
    }
    let opened = Store::open("/store", world.options(SyncFlush));
    if let Err(error) = opened {
        assert!(error.is_full(), "{error}");
        world.disk.write_file("/ballast", Vec::new()).unwrap();
        let store = world.sync();
        assert_eq!(bodies(&store), ["00000000"]);
    }
}

#[test]
fn opening_on_a_full_disk_is_an_error_that_leaves_all_as_it_was() {
    let world = limited(300_000);
    fill_up(&world, 12_000);
    for _ in 0..2 {
        let error = Store::open("/store", world.options(SyncFlush)).unwrap_err();
        assert!(matches!(error, Error::Full { needed, free } if needed > free && free <= 12_000), "{error}");
        assert_eq!(world.disk.open_handles(), 0, "nothing is left open");
    }
    world.disk.write_file("/ballast", Vec::new()).unwrap();
    world.sync().append_and_wait(&numbered(0)).unwrap();
}

/// The small files of an open store did not fit, and the error named one of them: nobody was told how much to free.
#[test]
fn a_store_that_finds_no_room_when_opened_says_how_much_it_takes_and_is_read_without() {
    let world = limited(1 << 20);
    let store = world.asynchronous();
    for n in 0..20 {
        store.append(&numbered(n).key("k")).unwrap().forget();
    }
    store.flush().unwrap();
    let (last, end) = (QueueOffset(20), store.marks().flushed);
    let world = World::on(world.disk.kill());
    drop(store);
    world.disk.capacity_bytes(1 << 20);
    fill_up(&world, 0);
    let before = world.disk.fingerprint();

    let reader = Look::at("/store").disk(world.disk.clone()).reader().unwrap();
    let scanned: Vec<_> = reader.scan(reader.first().unwrap()).map(Result::unwrap).collect();
    assert_eq!((scanned.len(), scanned[19].position.end()), (20, end));
    let queue = reader.queue("orders", 0);
    assert_eq!(
        (queue.read_from(QueueOffset(0)).map(Result::unwrap).count(), queue.max().unwrap()),
        (20, last)
    );
    assert_eq!(queue.offset_at_time(START, Bound::First).unwrap(), QueueOffset(0));
    assert_eq!(reader.find("orders", "k").map(Result::unwrap).count(), 20);
    assert_eq!(world.disk.fingerprint(), before);

    let Err(Error::Full { free: 0, needed }) = Store::open("/store", world.options(SyncFlush)) else {
        panic!("opened without a byte of room, or refused without its numbers")
    };
    world.disk.write_file("/ballast", Vec::new()).unwrap();
    fill_up(&world, needed);
    assert_eq!(all(&world.sync()).len(), 20);
}

/// A small memory file system; none where mounting is not allowed.
struct Mounted(tempfile::TempDir);

impl Mounted {
    fn new(bytes: u64) -> Option<Mounted> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={bytes}");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).output();
        match mount {
            Ok(done) if done.status.success() => Some(Mounted(folder)),
            _ => {
                println!("left out: mounting is not allowed here");
                None
            }
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

fn on_a_small_file_system(options: Options) {
    let Some(mounted) = Mounted::new(1 << 20) else { return };
    let (root, ballast) = (mounted.0.path().join("store"), mounted.0.path().join("ballast"));
    let store = Store::open(&root, options.clone()).unwrap();
    std::fs::write(&ballast, vec![7; 300_000]).unwrap();
    let mut stored = 0;
    for freed in [false, true] {
        let error = loop {
            match store.append(&sized(5_000)) {
                Ok(ack) => assert_eq!(ack.queue_offset().0, stored),
                Err(error) => break error,
            }
            stored += 1;
        };
        assert!(matches!(error, Error::Full { needed: SEGMENT, .. }), "{error}");
        store.flush().unwrap();
        assert_eq!(all(&store).len() as u64, stored, "readers go on");
        if !freed {
            std::fs::remove_file(&ballast).unwrap();
            store.append(&sized(5_000)).unwrap().wait_timeout(PATIENCE).unwrap();
            stored += 1;
        }
    }
    assert!(stored > 80, "{stored}");
    let closed = store.close();
    assert!(closed.as_ref().is_ok() || closed.as_ref().is_err_and(Error::is_full), "{closed:?}");
    match Store::open(&root, options) {
        Ok(store) => assert_eq!(all(&store).len() as u64, stored),
        Err(error) => assert!(error.is_full(), "{error}"),
    }
}

#[test]
fn a_real_file_system_that_fills_up_answers_with_values_and_no_signal() {
    let options =
        || Options::new().segment_bytes(SEGMENT).retention(Retention::keep_all().refuse_above(None));
    on_a_small_file_system(options().flush(SyncFlush).disk(MappedDisk::new()));
    on_a_small_file_system(options().flush(AsyncFlush::default()).disk(MappedDisk::new()));
    on_a_small_file_system(options().flush(SyncFlush).disk(OsDisk::new()));
    on_a_small_file_system(options().flush(AsyncFlush::default()).disk(OsDisk::new()));
}
