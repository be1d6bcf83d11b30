//! What the fuzz targets found, each as the few steps that it boils down to.

use sawlog::flush::SyncFlush;
use sawlog::{Error, Message, OnDamage, Options, Store};

use crate::world::*;

/// A closed store of three segments, whose index has several full files.
fn closed() -> (World, Vec<u64>) {
    let world = World::new();
    let store = Store::open("/store", options(&world)).unwrap();
    let mut places = Vec::new();
    for n in 0..30_u64 {
        let message = Message::new("orders", vec![b'x'; 5000]).key(&format!("key-{n}"));
        places.push(store.append_and_wait(&message).unwrap().position.offset.0);
        settle(&store);
    }
    store.close().unwrap();
    assert_eq!(world.log_files().len(), 3);
    (world, places)
}

fn options(world: &World) -> Options {
    world.options(SyncFlush).index_slots(8).index_entries(8)
}

/// `open_any_bytes`: a page of a full index file was zeros, and a record was damaged far before the last durable
/// place. The index file was looked into late, when the log had been scanned from its last segment and the store had
/// been changed; only then was all of the log to be derived anew, which met the damage. So a refusal had changed the
/// store, and `FirstBroken` refused, too.
#[test]
fn an_index_file_that_is_not_what_it_was_is_noticed_before_anything_is_changed() {
    let (world, places) = closed();
    let files = world.disk.files();
    let index = files.iter().find(|(path, _)| path.starts_with("/store/index")).unwrap();
    world.disk.tear(&index.0, 0).unwrap();
    let damaged = places[4];
    world.disk.flip(format!("/store/commitlog/{:020}", 0), (damaged + 200) * 8).unwrap();
    let before = world.disk.fingerprint();

    let Err(Error::Corrupt(why)) = Store::open("/store", options(&world)) else { panic!("opened") };
    assert_eq!(why.at.0, damaged);
    assert_eq!(world.disk.fingerprint(), before);

    let store = Store::open("/store", options(&world).on_damage(OnDamage::FirstBroken)).unwrap();
    assert_eq!(store.recovery().log_end.0, damaged);
    assert_eq!(all(&store).len(), 4);
}

/// The same without damage in the log: everything is derived anew, and nobody misses anything.
#[test]
fn a_torn_index_file_is_made_anew() {
    let (world, places) = closed();
    let files = world.disk.files();
    let index = files.iter().find(|(path, _)| path.starts_with("/store/index")).unwrap();
    world.disk.tear(&index.0, 0).unwrap();

    let store = Store::open("/store", options(&world)).unwrap();
    assert!(store.recovery().rebuilt, "{}", store.recovery());
    for (n, place) in places.iter().enumerate() {
        let found: Vec<_> = store.find("orders", &format!("key-{n}")).map(Result::unwrap).collect();
        assert_eq!(found.iter().map(|record| record.position.offset.0).collect::<Vec<_>>(), [*place]);
    }
}
