//! Bugs that were found here once, each as small as it can be told.

use std::path::Path;

use sawlog::disk::sim::{Aim, Fault, FaultKind, OpKind, SimDisk, Survivors};
use sawlog::{LogOffset, Message, Store};

use crate::support::expected::ROOT;
use crate::support::workload::{clock, options};

pub(crate) fn open(disk: &SimDisk, sync: bool) -> Store {
    Store::open(ROOT, options(disk, &clock(), sync)).unwrap()
}

pub(crate) fn bodies(store: &Store) -> Vec<Vec<u8>> {
    store.scan(LogOffset(0)).map(|record| record.unwrap().body().to_vec()).collect()
}

/// The process was killed between giving the first segment its name and making that name durable. The next open took
/// the file as it found it, acknowledged durable appends into it, and a power cut took the name away, and with it all
/// of them: nobody had synced the folder. Recovery must make durable the names that it relies on, as it does with the
/// bytes (promises rule 4).
#[test]
fn a_segment_whose_name_was_not_durable_when_the_process_died_is_not_lost_later() {
    let disk = SimDisk::recording();
    let first = open(&disk, true);
    let mut replay = disk.replay();
    drop(first);
    let named = |op: &sawlog::disk::sim::OpInfo| {
        op.kind == OpKind::Rename && op.path.parent().is_some_and(|dir| dir.ends_with("commitlog/making"))
    };
    while !replay.step().is_some_and(|op| named(&op)) {}

    let killed = replay.kill();
    assert!(
        killed.files().iter().any(|(path, _)| path == Path::new("/store/commitlog/00000000000000000000"))
    );
    let second = open(&killed, true);
    second.append_and_wait(&Message::new("orders", "promised")).unwrap();
    let third = open(&killed.power_cut(1, Survivors::Nothing), true);
    assert_eq!(bodies(&third), [b"promised"]);
}

/// A new store was cut, at its first open, between its first segment and its first mark. The next open took the empty
/// segment for a broker's, said so, and from then on wrote records without the record checksum, for good.
#[test]
fn a_new_store_whose_first_open_was_cut_is_no_brokers() {
    let disk = SimDisk::recording();
    let first = open(&disk, true);
    let mut replay = disk.replay();
    drop(first);
    loop {
        let store = open(&replay.power_cut(1, Survivors::Everything), true);
        assert!(!store.recovery().foreign_writer, "before {:?}", replay.next_op());
        store.append_and_wait(&Message::new("orders", "checked")).unwrap();
        let record = store.record_at(LogOffset(0)).unwrap();
        assert!(record.message.properties.find("__CRC32#").is_some(), "before {:?}", replay.next_op());
        if replay.step().is_none() {
            break;
        }
    }
}

/// The second record of a batch could not be written; the batch was refused and its first record zeroed, but not
/// durably. A power cut kept the record and lost the zeros: a message was there of which the producer had been told
/// that nothing was stored.
#[test]
fn a_refused_batch_does_not_come_back_after_a_power_cut() {
    let disk = SimDisk::new();
    let store = open(&disk, false);
    disk.fail_at_aimed(Aim::anything().kind(OpKind::Write), 2, Fault::once(FaultKind::Eio));
    let messages = ["first", "second"].map(|body| Message::new("orders", body));
    store.append_batch(&messages).unwrap_err();
    for seed in 0..200 {
        let cut = disk.power_cut(seed, Survivors::Sectors);
        assert_eq!(bodies(&open(&cut, false)), [b""; 0], "seed {seed}");
    }
    store.append(&Message::new("orders", "third")).unwrap().forget();
    assert_eq!(bodies(&store), [b"third"]);
}
