//! A scan reads a stretch at once. What it has in its hands is not served when it may not be served any more.

use sawlog::disk::sim::{Aim, Fault, FaultKind, OpKind};
use sawlog::flush::SyncFlush;
use sawlog::{Error, OnDamage, Store};

use crate::world::*;

/// The part is listed, and stays so until the store is opened again: numbers and queues know nothing of these messages.
#[test]
fn a_listed_part_whose_bytes_are_whole_again_is_stepped_over_until_the_next_open() {
    let world = World::new();
    let store = world.sync();
    let places: Vec<_> = (0..9).map(|n| store.append_and_wait(&numbered(n)).unwrap().position).collect();
    store.close().unwrap();
    let rotten = || world.disk.flip("/store/commitlog/00000000000000000000", (places[4].offset.0 + 90) * 8);
    rotten().unwrap();
    let options = || world.options(SyncFlush).on_damage(OnDamage::Quarantine).rebuild_derived();
    let store = Store::open("/store", options()).unwrap();
    rotten().unwrap();
    let read: Vec<_> = store.scan(store.marks().first).map(|read| read.map(|read| read.position)).collect();
    assert_eq!(read.len(), 9);
    for (n, (read, place)) in read.iter().zip(&places).enumerate() {
        match read {
            Err(Error::Quarantined { from, to }) => {
                assert_eq!((n, *from, *to), (4, place.offset, place.end()));
            }
            other => assert_eq!((n == 4, other.as_ref().unwrap()), (false, place)),
        }
    }
    store.close().unwrap();
    assert_eq!(all(&Store::open("/store", options()).unwrap()).len(), 9);
}

/// Readers of an ASYNC store see what is written. When its sync fails nobody knows what will be there at the next open.
#[test]
fn what_was_read_ahead_is_not_served_when_its_sync_has_failed() {
    let world = World::new();
    let store = world.asynchronous();
    for n in 0..5 {
        store.append(&numbered(n)).unwrap().forget();
    }
    store.flush().unwrap();
    for n in 5..10 {
        store.append(&numbered(n)).unwrap().forget();
    }
    let mut scan = store.scan(store.marks().first);
    let mut next = || scan.next().map(|read| String::from_utf8_lossy(read.unwrap().body()).into_owned());
    assert_eq!(next().unwrap(), "00000000");
    let aim = Aim::anything().kind(OpKind::Sync).path("commitlog");
    world.disk.fail_at_aimed(aim, 1, Fault::once(FaultKind::Eio));
    store.flush().unwrap_err();
    for n in 1..5 {
        assert_eq!(next().unwrap(), format!("{n:08}"), "what is durable is served");
    }
    assert_eq!(next(), None, "and nothing else");
}
