//! Bugs that were found here once, each as small as it can be told.

use std::path::Path;

use sawlog::disk::sim::{Aim, Fault, FaultKind, OpKind, SimDisk, Survivors};
use sawlog::{Error, LogOffset, Message, Store};

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

fn sync_of_the_log() -> Aim {
    Aim::anything().kind(OpKind::Sync).path("commitlog/00000000000000000000")
}

/// A power cut tore the second of three records. Recovery zeroed from there on, the sync of that failed, and opening
/// said so. The next try saw the zeros in the cache and had nothing to cut; the old bytes were still on the disk. A
/// new second record of the same length, acknowledged, and one more power cut: the old third one stood behind it.
#[test]
fn a_tail_that_could_not_be_cut_durably_does_not_rise_again() {
    let disk = SimDisk::new();
    let store = open(&disk, false);
    let at =
        ["one", "two", "six"].map(|body| store.append(&Message::new("orders", body)).unwrap().position());
    let cut = disk.power_cut(1, Survivors::Everything);
    cut.overwrite("/store/commitlog/00000000000000000000", at[1].end().0 - 60, &[0; 30]).unwrap();

    cut.fail_at_aimed(sync_of_the_log(), 1, Fault::once(FaultKind::Eio));
    Store::open(ROOT, options(&cut, &clock(), true)).unwrap_err();
    let again = open(&cut, true);
    assert_eq!(bodies(&again), [b"one"]);
    let new = again.append_and_wait(&Message::new("orders", "new")).unwrap();
    assert_eq!(new.position, at[1]);
    assert_eq!(bodies(&open(&cut.power_cut(2, Survivors::Nothing), true)), [b"one", b"new"]);
}

/// A process was killed with records in the page cache. Recovery wrote them again, the sync failed, and the cache
/// showed what was on the disk: a hole, and a good record behind it. With the same run of the system going on and no
/// word of a failed sync in the mark, the next open took that for damage and refused.
#[test]
fn a_sync_that_fails_in_a_recovery_is_no_damage_to_the_next_one() {
    let disk = SimDisk::new();
    let store = open(&disk, false);
    for body in [vec![1; 9_000], vec![2; 100]] {
        store.append(&Message::new("orders", body)).unwrap().forget();
    }
    for seed in 0..100 {
        let killed = disk.kill();
        killed.revert_after_failed_sync(Some(seed));
        killed.fail_at_aimed(sync_of_the_log(), 1, Fault::once(FaultKind::Eio));
        Store::open(ROOT, options(&killed, &clock(), true)).unwrap_err();
        drop(open(&killed, true));
    }
}

/// A topic was dropped, for which the log is flushed up to the place from which on it counts again, and `sawlog/queues`
/// said so durably. The mark follows once a second and still said less when the process was killed. A bit of the last
/// record turned: opening took it for a tail that no sync had covered, and cut a message that had been acknowledged as
/// flushed. The log went on below the place of the drop, and what was appended there under the topic's name was found
/// where nothing should have been.
#[test]
fn what_a_dropped_topic_made_durable_is_damage_when_it_rots_and_no_tail() {
    let disk = SimDisk::new();
    let store = open(&disk, true);
    store.append_and_wait(&Message::new("kept", "one")).unwrap();
    let last = store.append_and_wait(&Message::new("p", "two")).unwrap();
    store.drop_topic("p").unwrap();
    let killed = disk.kill();
    killed.flip("/store/commitlog/00000000000000000000", last.position.offset.0 * 8).unwrap();
    let Err(Error::Corrupt(why)) = Store::open(ROOT, options(&killed, &clock(), true)) else {
        panic!("opened")
    };
    assert_eq!(why.at, last.position.offset);
}
