//! How the log lies in its files: where it rolls, what stands at the end of a segment, which files are there.

use std::sync::Arc;

use parking_lot::Mutex;
use sawlog::disk::sim::OpKind;
use sawlog::flush::{AsyncFlush, SyncFlush};
use sawlog::message::blank;
use sawlog::{LogOffset, Message, Options, Store};

use crate::watched::Watched;
use crate::world::*;

const FIRST: &str = "00000000000000000000";
const SECOND: &str = "00000000000000065536";
const THIRD: &str = "00000000000000131072";

fn both() -> [(World, Store); 2] {
    let (one, two) = (World::new(), World::new());
    let stores = (one.sync(), two.asynchronous());
    [(one, stores.0), (two, stores.1)]
}

#[test]
fn a_new_log_is_one_whole_file_named_by_its_first_byte() {
    for (world, store) in both() {
        assert_eq!(world.log_files(), [(FIRST.into(), SEGMENT)]);
        store.close().unwrap();
        assert_eq!(world.log_files(), [(FIRST.into(), SEGMENT)], "closing leaves no file that holds nothing");
    }
}

#[test]
fn the_next_segment_is_made_ahead_whole_and_goes_again_if_it_is_not_needed() {
    for (world, store) in both() {
        store.append(&sized(40_000)).unwrap().forget();
        assert_eq!(world.log_files().len(), 1);
        store.step();
        assert_eq!(world.log_files(), [(FIRST.into(), SEGMENT), (SECOND.into(), SEGMENT)]);
        store.step();
        assert_eq!(world.log_files().len(), 2, "one ahead is enough");
        store.close().unwrap();
        assert_eq!(world.log_files(), [(FIRST.into(), SEGMENT)]);
    }
}

/// What comes of `work`, and how many writes of the file of this name it made.
fn writes_while<R>(written: &Arc<Mutex<Vec<String>>>, name: &str, work: impl FnOnce() -> R) -> (R, usize) {
    written.lock().clear();
    let done = work();
    let count = written.lock().iter().filter(|written| *written == name).count();
    (done, count)
}

/// Under a policy that waits for syncs the rest of the segment is zeroed by opening, and no more of it later; under
/// another one nobody needs that.
#[test]
fn a_store_that_is_prewritten_zeroes_where_it_will_append_before_it_opens() {
    let (world, written) = (World::new(), Arc::new(Mutex::new(Vec::new())));
    let seen = Arc::clone(&written);
    let disk = Watched::new(&world.disk, move |kind, path| {
        if kind == OpKind::Write && path.to_string_lossy().contains("/commitlog/") {
            seen.lock().push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
        Ok(())
    });
    let options = || options_on(disk.clone(), &world.clock, SyncFlush).segment_bytes(1 << 20);
    let open = |options: Options| writes_while(&written, FIRST, || Store::open("/store", options).unwrap());
    let take = |store: &Store| {
        store.append_and_wait(&sized(100_000)).unwrap();
        settle(store);
    };

    let (store, zeroed) = open(options().prewrite(true));
    assert_eq!(zeroed, 16, "steps of 64 KiB");
    assert_eq!(writes_while(&written, FIRST, || take(&store)).1, 1, "the message's own");
    assert_eq!(bodies(&store), ["x".repeat(100_000)]);
    store.close().unwrap();

    let (store, zeroed) = open(options().prewrite(true));
    assert_eq!(zeroed, 15, "from the log's end on");
    assert_eq!(writes_while(&written, FIRST, || take(&store)).1, 1);
    assert_eq!(bodies(&store).len(), 2);
    store.close().unwrap();

    let (store, zeroed) = open(options());
    assert_eq!(zeroed, 0, "only where it is asked for");
    assert!(writes_while(&written, FIRST, || take(&store)).1 > 1, "the janitor zeroes ahead of the tail");
    store.close().unwrap();

    let (store, zeroed) = open(options().flush(AsyncFlush::default()).prewrite(true));
    assert_eq!((zeroed, bodies(&store).len()), (0, 3));
}

/// A look at each record by itself would cost a call, and a copy, for each.
#[test]
fn a_scan_takes_up_each_segment_once() {
    let world = World::new();
    let store = world.asynchronous();
    for n in 0..500 {
        store.append(&numbered(n)).unwrap().forget();
    }
    for _ in 0..150 {
        store.append(&sized(1000)).unwrap().forget();
    }
    store.flush().unwrap();
    let reads = world.disk.operations_of(OpKind::Read);
    assert_eq!(all(&store).len(), 650);
    let segments = world.log_files().len() as u64;
    assert_eq!((world.disk.operations_of(OpKind::Read) - reads, segments), (4, 4));
}

/// Fills the first segment so that the next record of `len` bytes finds so much room; says where the tail is.
fn fill(store: &Store, room: u64) -> LogOffset {
    let body =
        body_for(store, SEGMENT - room - u64::from(store.append(&sized(0)).unwrap().position().len) * 2);
    let ack = store.append(&sized(body)).unwrap();
    assert_eq!(room_at(ack.end()), room);
    ack.end()
}

#[test]
fn a_record_that_fits_to_the_byte_stays_and_leaves_room_for_the_blank_one() {
    for (world, store) in both() {
        let at = fill(&store, 1000);
        let body = 1000 - 8 - (91 + "orders".len() + 20);
        let ack = store.append(&sized(body)).unwrap();
        assert_eq!((ack.position().offset, u64::from(ack.position().len)), (at, 1000 - 8));
        let next = store.append(&sized(0)).unwrap();
        assert_eq!(next.position().offset, LogOffset(SEGMENT));
        store.flush().unwrap();
        let file = world.disk.read_file(format!("/store/commitlog/{FIRST}")).unwrap();
        assert_eq!(file[file.len() - 8..], blank(8), "eight bytes and its magic, and the segment ends");
        assert_eq!(all(&store).len(), 5);
        store.close().unwrap();
    }
}

#[test]
fn a_record_one_byte_longer_goes_to_the_next_segment() {
    for (world, store) in both() {
        let at = fill(&store, 1000);
        let body = 1000 - 7 - (91 + "orders".len() + 20);
        let ack = store.append(&sized(body)).unwrap();
        assert_eq!(ack.position().offset, LogOffset(SEGMENT));
        store.flush().unwrap();
        let file = world.disk.read_file(format!("/store/commitlog/{FIRST}")).unwrap();
        let end = &file[at.0 as usize..];
        assert_eq!(
            end[..8],
            [0, 0, 0x03, 0xE8, 0xCB, 0xD4, 0x31, 0x94],
            "1000 bytes up to the end (spec 2.2)"
        );
        assert!(end[8..].iter().all(|byte| *byte == 0));
        assert_eq!(world.log_files()[0], (FIRST.into(), SEGMENT));
        assert_eq!(world.log_files()[1], (SECOND.into(), SEGMENT));
        assert_eq!(all(&store).len(), 4);
        let raw = store.raw(at, 1 << 20).unwrap();
        assert_eq!((&raw.bytes[..], raw.file_offset), (end, at.0), "raw bytes hold the blank record too");
        store.close().unwrap();
    }
}

#[test]
fn the_longest_record_of_a_segment_fills_it_alone() {
    for (_, store) in both() {
        let body = body_for(&store, SEGMENT - 8);
        let long = store.append(&sized(body)).unwrap();
        assert_eq!((long.position().offset.0, u64::from(long.position().len)), (SEGMENT, SEGMENT - 8));
        assert!(store.append(&sized(body + 1)).is_err());
        let again = store.append(&sized(body)).unwrap();
        assert_eq!(again.position().offset.0, 2 * SEGMENT);
        store.flush().unwrap();
        assert_eq!(all(&store).len(), 3);
    }
}

#[test]
fn a_segment_of_any_length_rolls_at_its_own_end() {
    let world = World::new();
    let odd = 65_537 + 4_096;
    let store = Store::open("/store", world.options(AsyncFlush::default()).segment_bytes(odd)).unwrap();
    for _ in 0..10 {
        store.append(&sized(30_000)).unwrap().forget();
    }
    let names: Vec<_> =
        world.log_files().into_iter().map(|(name, len)| (name.parse::<u64>().unwrap(), len)).collect();
    assert_eq!(names, (0..5).map(|n| (n * odd, odd)).collect::<Vec<_>>());
    assert_eq!(all(&store).len(), 10);
    store.close().unwrap();
    let store = Store::open("/store", Options::new().disk(world.disk.clone()).by_hand()).unwrap();
    assert_eq!(all(&store).len(), 10);
}

#[test]
fn a_log_that_ends_with_a_roll_opens_at_its_end() {
    for (world, store) in both() {
        fill(&store, 1000);
        let before = store.marks().accepted;
        let ack = store.append(&sized(2000)).unwrap();
        let sync = ack.level() == sawlog::Level::Flushed;
        store.close().unwrap();
        let store = if sync { world.sync() } else { world.asynchronous() };
        assert_eq!(store.recovery().log_end, ack.end());
        assert_eq!(store.append(&numbered(0)).unwrap().position().offset, ack.end());
        assert!(before < ack.position().offset);
    }
}

#[test]
fn both_policies_write_the_same_bytes() {
    let write = |store: &Store| {
        for n in 0..300 {
            store
                .append(&Message::new("t", vec![n as u8; n * 7 % 2000]).queue(n as u32 % 4))
                .unwrap()
                .forget();
        }
        store.flush().unwrap();
    };
    let [(one, sync), (two, asynchronous)] = both();
    write(&sync);
    write(&asynchronous);
    sync.close().unwrap();
    asynchronous.close().unwrap();
    assert_eq!(one.log_files(), two.log_files());
    for (name, _) in one.log_files() {
        let path = format!("/store/commitlog/{name}");
        assert!(one.disk.read_file(&path).unwrap() == two.disk.read_file(&path).unwrap(), "{name} differs");
    }
}

#[test]
fn real_files_hold_the_same_bytes_as_simulated_ones() {
    for policy in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let world = World::new();
        let options = || if policy { world.options(SyncFlush) } else { world.options(AsyncFlush::default()) };
        let real = options().disk(sawlog::disk::MappedDisk::new());
        let stores = [Store::open("/store", options()).unwrap(), Store::open(folder.path(), real).unwrap()];
        for store in &stores {
            for n in 0..200 {
                store.append(&sized(n * 13 % 1500).queue(n as u32 % 3)).unwrap().forget();
            }
        }
        assert_eq!(all(&stores[0]), all(&stores[1]));
        for store in stores {
            store.close().unwrap();
        }
        for (name, len) in world.log_files() {
            let real = std::fs::read(folder.path().join("commitlog").join(&name)).unwrap();
            assert_eq!(real.len() as u64, len);
            assert!(
                real == world.disk.read_file(format!("/store/commitlog/{name}")).unwrap(),
                "{name} differs"
            );
        }
        assert_eq!(world.log_files().last().unwrap().0, THIRD);
    }
}
