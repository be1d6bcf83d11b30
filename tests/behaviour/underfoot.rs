//! What another program removes under an open store. RocketMQ recovers before it asks for the lock (spec H4): a broker
//! that somebody starts on a folder in use is refused, but by then it has removed every segment behind the log's end.

use std::path::Path;

use sawlog::disk::Disk;
use sawlog::disk::MappedDisk;
use sawlog::flush::{AsyncFlush, SyncFlush};
use sawlog::{Error, Store};

use crate::world::*;

const SECOND: &str = "commitlog/00000000000000065536";

/// A broker was started by mistake on a folder of ours: it removed the segment made ahead, and was refused. The log
/// then rolled into a file that had no name any more; all that was acknowledged from there on was lost at the close.
#[test]
fn a_segment_made_ahead_that_somebody_removed_is_made_anew() {
    for sync in [true, false] {
        let world = World::new();
        let open = || if sync { world.sync() } else { world.asynchronous() };
        let store = open();
        store.append(&sized(40_000)).unwrap().forget();
        settle(&store);
        world.disk.remove(&Path::new("/store").join(SECOND)).unwrap();
        for n in 0..5 {
            store.append_and_wait(&sized(20_000 + n)).unwrap();
        }
        settle(&store);
        store.flush().unwrap();
        let before = all(&store);
        assert_eq!(before.len(), 6);
        store.close().unwrap();
        let store = open();
        assert!(store.recovery().clean_shutdown, "{}", store.recovery());
        assert_eq!(all(&store), before);
        store.close().unwrap();
    }
}

#[test]
fn a_segment_made_ahead_that_somebody_removed_is_none_to_remove_at_the_close() {
    let world = World::new();
    let store = world.sync();
    store.append(&sized(40_000)).unwrap().forget();
    settle(&store);
    world.disk.remove(&Path::new("/store").join(SECOND)).unwrap();
    store.close().unwrap();
    assert!(world.sync().recovery().clean_shutdown);
}

#[test]
fn nothing_is_acknowledged_as_durable_in_a_file_that_somebody_removed() {
    for sync in [true, false] {
        let world = World::new();
        let store = if sync { world.sync() } else { world.asynchronous() };
        for _ in 0..3 {
            store.append_and_wait(&sized(30_000)).unwrap();
        }
        store.flush().unwrap();
        let durable = store.marks().flushed;
        world.disk.remove(&Path::new("/store").join(SECOND)).unwrap();
        let ack = store.append(&numbered(1)).unwrap();
        let failed = store.flush().unwrap_err();
        assert!(matches!(&failed, Error::Failed(cause) if cause.to_string().contains("removed")), "{failed}");
        assert_eq!(store.marks().flushed, durable, "the mark stays where a sync last put it");
        if sync {
            assert!(ack.wait().is_err());
        }
        assert!(matches!(store.append(&numbered(2)), Err(Error::Failed(_))));
    }
}

#[test]
fn real_files_tell_whether_they_still_have_a_name() {
    let folder = tempfile::tempdir().unwrap();
    for sync in [true, false] {
        let world = World::new();
        let options = if sync { world.options(SyncFlush) } else { world.options(AsyncFlush::default()) };
        let root = folder.path().join(sync.to_string());
        let store = Store::open(&root, options.disk(MappedDisk::new())).unwrap();
        store.append(&sized(40_000)).unwrap().forget();
        settle(&store);
        std::fs::remove_file(root.join(SECOND)).unwrap();
        store.append_and_wait(&sized(40_000)).unwrap();
        assert!(root.join(SECOND).is_file(), "made anew");
        std::fs::remove_file(root.join(SECOND)).unwrap();
        store.append(&numbered(1)).unwrap().forget();
        assert!(matches!(store.flush(), Err(Error::Failed(_))));
    }
}
