//! Stores of a kind that is not read: refused by name before anything is touched, and opened once that is put right.

use std::path::{Path, PathBuf};

use sawlog::disk::Disk;
use sawlog::flush::SyncFlush;
use sawlog::{Error, OnDamage, Store};

use crate::world::*;

/// A closed store with four segments.
fn closed() -> World {
    let world = World::new();
    let store = world.asynchronous();
    for _ in 0..190 {
        store.append(&sized(1000)).unwrap().forget();
    }
    store.close().unwrap();
    assert_eq!(world.log_files().len(), 4);
    world
}

fn at(name: &str) -> PathBuf {
    Path::new("/store").join(name)
}

fn segment(number: u64) -> PathBuf {
    at(&format!("commitlog/{:020}", number * SEGMENT))
}

fn remove(world: &World, path: &Path) {
    world.disk.remove(path).unwrap();
    world.disk.sync_dir(path.parent().unwrap()).unwrap();
}

/// The same store as one that only a broker wrote.
fn foreign(world: &World) {
    for name in ["mark", "ranges", "queues"] {
        remove(world, &at("sawlog").join(name));
    }
}

/// Every file with its bytes.
fn content(world: &World) -> Vec<(PathBuf, Vec<u8>)> {
    let files = world.disk.files().into_iter();
    files.map(|(path, _)| (path.clone(), world.disk.read_file(&path).unwrap())).collect()
}

/// Opening is refused, names this path and says these words, however damage is to be treated; nothing is changed.
fn is_refused(world: &World, names: &Path, says: &str) {
    let (before, names_before) = (content(world), world.disk.fingerprint());
    for on_damage in [OnDamage::Refuse, OnDamage::FirstBroken] {
        let error =
            Store::open("/store", world.options(SyncFlush).on_damage(on_damage)).map(drop).unwrap_err();
        match &error {
            Error::Foreign { path, why } => {
                assert_eq!(path, names);
                assert!(why.contains(says), "{why}");
            }
            other => panic!("{names:?}: {other:?}"),
        }
        assert_eq!(world.disk.fingerprint(), names_before, "{names:?}: something was touched");
        assert_eq!(content(world), before, "{names:?}: something was touched");
        assert_eq!(world.disk.open_handles(), 0);
    }
}

const KINDS: [(&str, &str); 9] = [
    ("batchconsumequeue/orders/0/00000000000000000000", "batch queues (queue.type=BatchCQ)"),
    (
        "compaction/compactionLog/orders/0/00000000000000000000",
        "compacted topics (cleanup.policy=COMPACTION)",
    ),
    ("compaction/compactionCq/orders/0/00000000000000000000", "compacted topics (cleanup.policy=COMPACTION)"),
    ("consumequeue/CURRENT", "RocksDB"),
    ("consumequeue/MANIFEST-000004", "RocksDB"),
    ("consumequeue/%LMQ%device-7/0/00000000000000000000", "a light queue (%LMQ%"),
    ("dledger-n0/data/00000000000000000000", "a DLedger log"),
    ("dledger-n0/checkpoint", "a DLedger log"),
    ("commitlog/dledger-n1/index/00000000000000000000", "a DLedger log"),
];

#[test]
fn each_kind_that_is_not_read_is_refused_by_name_and_left_alone() {
    for (file, says) in KINDS {
        for by_a_broker in [false, true] {
            let world = closed();
            if by_a_broker {
                foreign(&world);
            }
            world.disk.write_file(at(file), "whatever").unwrap();
            is_refused(&world, &at(file), says);
            remove(&world, &at(file));
            assert_eq!(all(&world.sync()).len(), 190, "{file}: the folders alone say nothing");
        }
    }
}

#[test]
fn several_kinds_are_refused_one_after_the_other() {
    let world = World::new();
    let mut files: Vec<_> = KINDS.iter().map(|(file, _)| at(file)).collect();
    files.iter().for_each(|file| world.disk.write_file(file, "whatever").unwrap());
    // A new store: there is not even a lock yet.
    drop(Store::open("/store", world.options(SyncFlush)).unwrap_err());
    while !files.is_empty() {
        match Store::open("/store", world.options(SyncFlush)).map(drop) {
            Err(Error::Foreign { path, .. }) => {
                let found = files.iter().position(|file| *file == path).expect("one of those left");
                files.remove(found);
                remove(&world, &path);
            }
            other => panic!("{other:?} with {files:?}"),
        }
    }
    world.sync().append_and_wait(&numbered(0)).unwrap();
}

/// The story: a broker of 5.1 and later writes `compaction/position-checkpoint` whenever it shuts down cleanly, whether
/// or not any topic is compacted. Refusing on it would have refused every store that a broker closed.
#[test]
fn what_any_broker_leaves_beside_compacted_topics_is_no_compacted_topic() {
    let world = closed();
    for name in ["compaction/position-checkpoint", "compaction/position-checkpoint.bak"] {
        world.disk.write_file(at(name), "{\"queueOffsetMap\":{}}").unwrap();
    }
    for name in
        ["compaction/compactionLog/orders/0", "batchconsumequeue/orders/0", "consumequeue/%LMQ%device/0"]
    {
        world.disk.create_dirs(&at(name)).unwrap();
    }
    for name in ["dledger-n0/data", "commitlog/dledger-n0"] {
        world.disk.create_dirs(&at(name)).unwrap();
    }
    // Names that only resemble those of a kind.
    for name in ["consumequeue/orders/CURRENT", "config/%LMQ%", "dledger.txt", "consumequeue/MANIFESTO"] {
        world.disk.write_file(at(name), "x").unwrap();
    }
    assert_eq!(all(&world.sync()).len(), 190);
}

#[test]
fn one_of_several_log_paths_is_refused_and_all_of_them_in_one_folder_open() {
    for (here, elsewhere) in [(vec![0, 2], vec![1, 3]), (vec![1, 3], vec![0, 2]), (vec![0, 3], vec![1, 2])] {
        let world = closed();
        foreign(&world);
        let mut others = Vec::new();
        for number in elsewhere {
            others.push((segment(number), world.disk.read_file(segment(number)).unwrap()));
            remove(&world, &segment(number));
        }
        is_refused(&world, &at("commitlog"), "the log lies in several folders");
        for (path, bytes) in others {
            world.disk.write_file(path, bytes).unwrap();
        }
        assert_eq!(all(&world.sync()).len(), 190, "{here:?}");
    }
}

/// The last one is made before anything is in it, and says nothing of where the others lie.
#[test]
fn one_of_several_log_paths_is_refused_with_an_empty_last_segment_too() {
    let world = closed();
    foreign(&world);
    [1, 3].iter().for_each(|number| remove(&world, &segment(*number)));
    world.disk.write_file(segment(4), "").unwrap();
    is_refused(&world, &at("commitlog"), "the log lies in several folders");
}

#[test]
fn segments_that_are_missing_otherwise_are_damage_and_not_several_paths() {
    // No regular gap; and a gap in a store that was once whole in this folder, as its mark shows.
    for (gone, is_foreign) in [(vec![1], true), (vec![2], true), (vec![1], false), (vec![1, 2], false)] {
        let world = closed();
        if is_foreign {
            foreign(&world);
        }
        gone.iter().for_each(|number| remove(&world, &segment(*number)));
        let error = Store::open("/store", world.options(SyncFlush)).map(drop).unwrap_err();
        assert!(matches!(error, Error::Corrupt(_)), "{gone:?}: {error}");
        assert!(error.to_string().contains("a segment is missing here"), "{error}");
    }
}

#[test]
fn a_kind_that_cannot_be_looked_for_is_an_error_and_not_a_guess() {
    use sawlog::disk::sim::{Aim, Fault, FaultKind, OpKind};
    for n in 1..=3 {
        let world = closed();
        world.disk.fail_at_aimed(Aim::anything().kind(OpKind::List), n, Fault::once(FaultKind::Eio));
        let error = Store::open("/store", world.options(SyncFlush)).map(drop).unwrap_err();
        assert!(matches!(error, Error::Io { doing: "listing", .. }), "{error}");
    }
}
