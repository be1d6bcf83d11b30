//! A scan reads a stretch at once. What it has in its hands is not served when it may not be served any more; and what
//! it says of damage, and of errors, it says as often, and to as many, as it should.

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

/// Whoever has taken an error for the end of his reading must not find records behind it by asking once more.
#[test]
fn an_error_of_a_scan_stays_though_the_disk_has_its_moods() {
    let world = World::new();
    let store = world.sync();
    for n in 0..3 {
        store.append_and_wait(&numbered(n)).unwrap();
    }
    let mut scan = store.scan(store.marks().first);
    world.disk.fail_at_aimed(Aim::anything().kind(OpKind::Read), 1, Fault::once(FaultKind::Eio));
    assert!(matches!(scan.next(), Some(Err(Error::Io { .. }))));
    assert!(matches!(scan.next(), Some(Err(Error::Io { .. }))), "the disk would answer now");
    assert_eq!(all(&store).len(), 3, "another scan is asked another time");
}

/// Where a scan begins is its caller's word, and no record there no damage; behind a record it is.
#[test]
fn damage_that_a_scan_meets_behind_a_record_is_told_to_whoever_watches() {
    let world = World::new();
    let store = world.sync();
    let places: Vec<_> = (0..4).map(|n| store.append_and_wait(&numbered(n)).unwrap().position).collect();
    world.disk.flip("/store/commitlog/00000000000000000000", (places[2].offset.0 + 90) * 8).unwrap();
    assert!(store.scan(places[2].offset).next().unwrap().is_err());
    assert_eq!(store.stats().damaged_places, 0);
    let read: Vec<_> = store.scan(store.marks().first).take(3).map(|read| read.is_ok()).collect();
    assert_eq!((read, store.stats().damaged_places), (vec![true, true, false], 1));
}

/// The checksum's own name may rot, too: in what a broker wrote a record without one is a record.
#[test]
fn the_very_first_record_of_ours_must_have_its_checksum() {
    let world = World::new();
    let store = world.sync();
    let place = store.append_and_wait(&numbered(0)).unwrap().position;
    assert_eq!(place.offset.0, 0);
    // Of the twenty bytes of `__CRC32#` and its digits the first.
    world.disk.flip("/store/commitlog/00000000000000000000", (place.end().0 - 20) * 8).unwrap();
    assert!(matches!(store.record_at(place.offset), Err(Error::Corrupt(_))));
}
