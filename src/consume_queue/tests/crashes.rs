//! Power cuts and failures at every call.

use super::*;
use crate::disk::sim::{Fault, FaultKind, Survivors};

/// Puts, writes and syncs in rounds that roll over and skip, and tells what each sync has made durable.
fn work(table: &QueueTable, mut synced: impl FnMut(AllKnown)) -> crate::Result<()> {
    for round in 0..4_u64 {
        for n in round * 9 + 7..round * 9 + 16 {
            let _ = table.put("T", 0, QueueOffset(n), nth(n));
            let _ = table.put("U", 1, QueueOffset(2 * n), nth(n));
        }
        // The last records are not flushed yet.
        table.write_out(end(round * 9 + 13))?;
        table.sync()?;
        let mut durable = table.known();
        durable.get_mut(&key("T", 0)).unwrap().next = QueueOffset(round * 9 + 14);
        durable.get_mut(&key("U", 1)).unwrap().next = QueueOffset(2 * (round * 9 + 13) + 1);
        synced(durable);
    }
    Ok(())
}

/// What this disk holds after a crash is at least what was durable, whole, and nothing that RocketMQ stumbles over.
fn check(disk: &SimDisk, durable: &AllKnown, place: &str) {
    for path in files_under(disk, &dir()) {
        let bytes = disk.read_file(&path).unwrap();
        assert_eq!(bytes.len(), 200, "{place}: {}", path.display());
        assert!(bytes.iter().any(|byte| *byte != 0), "{place}: {} is all zeros", path.display());
    }
    assert!(survey(disk).covers(durable, PER_SEGMENT), "{place}");
    assert_eq!(survey(disk).odd, [], "{place}");
    let table = open(disk, durable);
    for (topic, id) in durable.keys() {
        for (at, entry) in all(&table, topic, *id) {
            let n = if topic == "T" { at } else { at / 2 };
            let expected = (n >= 7 && (topic == "T" || at % 2 == 0)).then(|| nth(n));
            assert_eq!(entry, expected, "{place}: {topic} {at}");
        }
    }
    // The log's records are put again, and all is as if nothing had been.
    work(&table, drop).unwrap();
    write_and_sync(&table);
    table.trim().unwrap();
    let whole = SimDisk::new();
    let other = new_table(&whole);
    work(&other, drop).unwrap();
    write_and_sync(&other);
    assert_eq!(disk.fingerprint(), whole.fingerprint(), "{place}");
}

#[test]
fn a_power_cut_anywhere_leaves_what_was_synced_and_no_file_without_an_entry() {
    let disk = SimDisk::recording();
    let table = new_table(&disk);
    let mut durable = vec![(0, AllKnown::new())];
    work(&table, |known| durable.push((disk.recorded(), known))).unwrap();
    let mut walk = disk.replay();
    let mut cuts = 0;
    loop {
        let here = walk.position();
        let (_, known) = durable.iter().rev().find(|(at, _)| *at <= here).unwrap();
        for (seed, model) in (0..).zip(Survivors::ALL) {
            check(&walk.power_cut(seed, model), known, &format!("cut at {here}, {model:?}"));
            check(&walk.power_cut_within(seed, model), known, &format!("cut within {here}, {model:?}"));
            cuts += 2;
        }
        if walk.step().is_none() {
            break;
        }
    }
    assert!(cuts > 200, "{cuts}");
}

#[test]
fn every_call_may_fail_once_and_nothing_that_was_put_is_lost() {
    for kind in [FaultKind::Eio, FaultKind::Enospc, FaultKind::ShortWrite(30)] {
        let mut nth_call = 0;
        loop {
            nth_call += 1;
            let disk = SimDisk::new();
            let table = new_table(&disk);
            disk.fail_at(nth_call, Fault::once(kind));
            let mut durable = AllKnown::new();
            let worked = work(&table, |known| durable = known);
            if disk.faults_fired() == 0 {
                assert!(nth_call > 12, "{kind:?}: too few calls were met: {nth_call}");
                break;
            }
            let place = format!("call {nth_call}, {kind:?}");
            // A half-made file that could not be removed is no failure of the work.
            assert!(worked.is_err(), "{place}: no failure goes without a word");
            disk.clear_faults();
            // Until a sync fails all can be done again by the same process.
            if table.sync().is_ok() {
                work(&table, drop).unwrap();
                write_and_sync(&table);
                assert_eq!(all(&table, "T", 0)[7..], dense(7..43), "{place}");
            } else {
                check(&disk.power_cut(nth_call, Survivors::Bytes), &durable, &place);
                check(&disk.kill(), &durable, &place);
            }
        }
    }
}

#[test]
fn a_power_cut_anywhere_in_a_trim_or_a_drop_leaves_work_for_the_next() {
    let start = SimDisk::new();
    let table = new_table(&start);
    work(&table, drop).unwrap();
    write_and_sync(&table);
    let trusted = AllKnown::from([(key("T", 0), known(0, 12))]);
    let end_of = |disk: &SimDisk| {
        let table = open(disk, &trusted);
        table.trim().unwrap();
        disk.power_cut(0, Survivors::Nothing).fingerprint()
    };
    let expected = end_of(&start.kill());
    let disk = start.kill();
    disk.start_recording();
    open(&disk, &trusted).trim().unwrap();
    let mut walk = disk.replay();
    loop {
        for (seed, model) in (0..).zip(Survivors::ALL) {
            let after = walk.power_cut_within(seed, model);
            assert!(survey(&after).covers(&trusted, PER_SEGMENT), "a trim takes nothing that counts");
            assert_eq!(end_of(&after), expected, "at {}", walk.position());
        }
        if walk.step().is_none() {
            break;
        }
    }
}
