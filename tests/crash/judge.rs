//! Unsynced tail, or damage? Promises rule 2 from end to end: each proof refuses, and without one the store opens.

use std::time::Duration;

use sawlog::disk::Disk;
use sawlog::disk::sim::{Aim, Fault, FaultKind, OpKind, SimDisk, Survivors};
use sawlog::{Corruption, Damage, Error, LogOffset, Message, OnDamage, Position, Store};

use crate::stories::{bodies, open};
use crate::support::expected::{ROOT, segment_path};
use crate::support::workload::{clock, options};

const BODIES: [&str; 3] = ["before", "broken", "behind"];

/// A store with three records that no sync has covered, and where they lie.
fn unsynced() -> (SimDisk, Store, Vec<Position>) {
    let disk = SimDisk::new();
    let store = open(&disk, false);
    let places = BODIES.map(|body| store.append(&Message::new("orders", body)).unwrap().position());
    (disk, store, places.to_vec())
}

/// Turns one bit in the body of the record there.
fn break_body(disk: &SimDisk, at: Position) {
    let base = at.offset.0 / (64 << 10) * (64 << 10);
    disk.flip(segment_path(base), (at.offset.0 - base + 90) * 8).unwrap();
}

fn refusal(disk: &SimDisk) -> Corruption {
    // Locking makes the file where a power cut took it; nothing else may change.
    disk.write_file("/store/lock", "lock").unwrap();
    let before = disk.fingerprint();
    let error = Store::open(ROOT, options(disk, &clock(), true)).expect_err("damage must be refused");
    assert_eq!(disk.fingerprint(), before, "a refused store was changed");
    match error {
        Error::Corrupt(corruption) => corruption,
        other => panic!("refused with {other}"),
    }
}

fn cut_at(disk: &SimDisk, at: Position) {
    let store = open(disk, true);
    assert_eq!(bodies(&store), [b"before"]);
    let cuts = &store.recovery().cuts;
    assert_eq!((cuts.len(), cuts[0].from, cuts[0].damage), (1, at.offset, false));
    assert_eq!(cuts[0].why.what, Damage::BadRecordChecksum);
}

#[test]
fn a_good_record_behind_a_bad_one_is_refused_while_the_same_system_runs_on() {
    let (disk, _store, places) = unsynced();
    let killed = disk.kill();
    break_body(&killed, places[1]);
    let corruption = refusal(&killed);
    assert_eq!((corruption.at, corruption.what), (places[1].offset, Damage::BadRecordChecksum));
    assert_eq!(corruption.path, segment_path(0));
}

#[test]
fn the_same_after_a_restart_of_the_machine_is_a_tail_and_cut() {
    let (disk, _store, places) = unsynced();
    let cut = disk.power_cut(1, Survivors::Everything);
    break_body(&cut, places[1]);
    cut_at(&cut, places[1]);
}

#[test]
fn the_same_after_a_failed_sync_is_a_tail_and_cut() {
    let (disk, store, places) = unsynced();
    disk.fail_at_aimed(Aim::anything().kind(OpKind::Sync), 1, Fault::once(FaultKind::Eio));
    store.flush().unwrap_err();
    let killed = disk.kill();
    break_body(&killed, places[1]);
    cut_at(&killed, places[1]);
}

#[test]
fn the_same_after_another_program_wrote_is_refused() {
    let (disk, _store, places) = unsynced();
    let cut = disk.power_cut(1, Survivors::Everything);
    break_body(&cut, places[1]);
    cut.write_file("/store/abort", "1234").unwrap();
    assert_eq!(refusal(&cut).at, places[1].offset);
}

#[test]
fn the_same_in_a_store_that_was_closed_is_refused() {
    let (disk, store, places) = unsynced();
    store.close().unwrap();
    for image in [disk.kill(), disk.power_cut(1, Survivors::Everything)] {
        break_body(&image, places[1]);
        assert_eq!(refusal(&image).at, places[1].offset);
    }
}

#[test]
fn what_is_broken_below_the_durable_mark_is_refused_with_nothing_behind_it() {
    let (disk, store, places) = unsynced();
    store.flush().unwrap();
    let cut = disk.power_cut(1, Survivors::Nothing);
    // Opened again, the mark says that all three are durable.
    drop(open(&cut, true));
    let image = cut.power_cut(2, Survivors::Nothing);
    break_body(&image, places[2]);
    assert_eq!(refusal(&image).at, places[2].offset);
}

#[test]
fn a_log_that_ends_before_its_durable_mark_is_refused() {
    let (disk, store, places) = unsynced();
    store.close().unwrap();
    let last = places[2];
    disk.overwrite(segment_path(0), last.offset.0, &vec![0; last.len as usize]).unwrap();
    let corruption = refusal(&disk);
    assert_eq!(corruption.at, last.offset);
    assert_eq!(corruption.what, Damage::EndsEarly { durable: last.end() });
}

/// The mark is old, the log went on being synced for longer than the window: a bad record so far back had been
/// synced, whatever the machine did since.
#[test]
fn what_is_broken_further_back_than_the_window_is_refused_after_a_restart_too() {
    let disk = SimDisk::new();
    let clock = clock();
    let store = Store::open(ROOT, options(&disk, &clock, true)).unwrap();
    let mut places = Vec::new();
    while places.last().is_none_or(|p: &Position| p.end() < LogOffset(5 << 20)) {
        let message = Message::new("orders", vec![7; 30_000]);
        places.push(store.append_and_wait(&message).unwrap().position);
    }
    let cut = disk.power_cut(1, Survivors::Everything);
    break_body(&cut, places[0]);
    assert_eq!(refusal(&cut).at, places[0].offset);
    // Within the window it may have been a tail: nothing proves the contrary.
    let middle = places[places.len() / 2];
    let cut = disk.power_cut(1, Survivors::Everything);
    break_body(&cut, middle);
    let again = open(&cut, true);
    assert_eq!(again.scan(LogOffset(0)).count(), places.len() / 2);
    // With the mark gone on, that is refused as well; far behind it nobody looks until it is read.
    clock.turn(Duration::from_secs(2));
    store.step();
    let last = places[places.len() - 1];
    let cut = disk.power_cut(1, Survivors::Everything);
    break_body(&cut, last);
    assert_eq!(refusal(&cut).at, last.offset);
    let cut = disk.power_cut(1, Survivors::Everything);
    break_body(&cut, middle);
    let Err(Error::Corrupt(found)) = open(&cut, true).record_at(middle.offset) else { panic!("served") };
    assert_eq!((found.at, found.what), (middle.offset, Damage::BadRecordChecksum));
}

#[test]
fn damage_is_cut_where_the_options_say_so_and_what_is_cut_is_kept() {
    let (disk, store, places) = unsynced();
    store.close().unwrap();
    break_body(&disk, places[1]);
    let was = disk.read_file(segment_path(0)).unwrap();
    let store = Store::open(ROOT, options(&disk, &clock(), true).on_damage(OnDamage::FirstBroken)).unwrap();
    assert_eq!(bodies(&store), [b"before"]);
    let cut = &store.recovery().cuts[0];
    assert!(cut.damage);
    assert_eq!((cut.from, cut.to), (places[1].offset, places[2].end()));
    let kept = disk.read_file(&cut.saved).unwrap();
    assert_eq!(kept, was[cut.from.0 as usize..cut.to.0 as usize]);
    assert!(disk.list(cut.saved.parent().unwrap()).unwrap().iter().any(|e| e.name.starts_with("cut-")));
    drop(store);
    assert_eq!(bodies(&open(&disk.power_cut(1, Survivors::Nothing), true)), [b"before"]);
}
