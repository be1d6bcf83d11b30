//! Faults: which call meets one, what it answers, and what it leaves behind.

use std::collections::BTreeSet;

use super::*;

#[test]
fn the_nth_call_errs_once_or_from_then_on_for_ever() {
    let disk = SimDisk::new();
    let file = synced(&disk, "/a", 10);
    let run = || (0..6).map(|i| file.write_at(i, b"x").is_err()).collect::<Vec<_>>();
    disk.fail_at(3, Fault::once(FaultKind::Eio));
    assert_eq!(run(), [false, false, true, false, false, false]);
    disk.fail_at(3, Fault::persistent(FaultKind::Eio));
    assert_eq!(run(), [false, false, true, true, true, true]);
    assert_eq!(disk.faults_fired(), 5);
    disk.clear_faults();
    assert_eq!(run(), [false; 6]);
    disk.fail_at(1, Fault::once(FaultKind::Eio));
    disk.fail_at(2, Fault::once(FaultKind::Eio));
    assert_eq!(run(), [true, true, false, false, false, false]);
}

#[test]
fn faults_carry_the_systems_own_errors() {
    let disk = SimDisk::new();
    let file = synced(&disk, "/a", 10);
    let codes = [
        (FaultKind::Eio, 5, None),
        (FaultKind::Enospc, 28, Some(io::ErrorKind::StorageFull)),
        (FaultKind::Edquot, 122, Some(io::ErrorKind::QuotaExceeded)),
        (FaultKind::Erofs, 30, Some(io::ErrorKind::ReadOnlyFilesystem)),
    ];
    for (fault, code, means) in codes {
        disk.fail_at(1, Fault::once(fault));
        let error = file.write_at(0, b"x").unwrap_err();
        assert_eq!(error.kind(), means.unwrap_or(error.kind()));
        if cfg!(target_os = "linux") {
            assert_eq!(error.raw_os_error(), Some(code));
        }
    }
    assert_eq!(bytes(&disk, "/a"), [0; 10]);
}

#[test]
fn every_kind_of_call_is_counted_and_can_fail_without_a_trace() {
    let disk = SimDisk::new();
    disk.import([("/s/a", "abc"), ("/s/b", "b")]).unwrap();
    disk.create_dirs(p("/empty")).unwrap();
    let file = disk.open(p("/s/a"), Access::Write).unwrap();
    let call = |kind: OpKind| -> io::Result<()> {
        match kind {
            OpKind::Create => disk.create(p("/s/new"), 1, Reserve::Sparse).map(drop),
            OpKind::Open => disk.open(p("/s/a"), Access::Read).map(drop),
            OpKind::Read => file.view(0, 1).map(drop),
            OpKind::Write => file.store_mapped(0, &[b"x"]),
            OpKind::Sync => file.sync(),
            OpKind::Rename => disk.rename(p("/s/a"), p("/s/c")),
            OpKind::Replace => disk.replace(p("/s/a"), p("/s/b")),
            OpKind::Link => disk.link(p("/s/a"), p("/s/c")),
            OpKind::Remove => disk.remove(p("/s/a")),
            OpKind::RenameFolder => disk.rename_folder(p("/s"), p("/t")),
            OpKind::RemoveFolder => disk.remove_folder(p("/empty")),
            OpKind::SyncDir => disk.sync_dir(p("/s")),
            OpKind::CreateDirs => disk.create_dirs(p("/t")),
            OpKind::List => disk.list(p("/s")).map(drop),
            OpKind::Entry => disk.entry(p("/s")).map(drop),
            OpKind::Lock => disk.lock(p("/s/lock")).map(drop),
            OpKind::Space => disk.space(p("/s")).map(drop),
            OpKind::Reserve => file.reserve(),
        }
    };
    let before = (disk.fingerprint(), disk.operations());
    for kind in OpKind::ALL {
        let counted = disk.operations_of(kind);
        disk.fail_at_aimed(Aim::anything().kind(kind), 1, Fault::once(FaultKind::Eio));
        assert!(call(kind).is_err(), "{kind:?}");
        assert_eq!(disk.operations_of(kind), counted + 1, "{kind:?}");
        assert_eq!(disk.fingerprint(), before.0, "{kind:?}");
    }
    assert_eq!(disk.operations(), before.1 + 18);
    assert_eq!(disk.faults_fired(), 18);
    assert!(call(OpKind::Reserve).is_ok() && call(OpKind::Replace).is_ok());
}

#[test]
fn a_sweep_over_n_visits_every_call_and_then_ends() {
    let workload = |disk: &SimDisk| -> io::Result<()> {
        disk.create_dirs(p("/s"))?;
        let file = disk.create(p("/s/a"), 4, Reserve::Blocks)?;
        file.write_at(0, b"four")?;
        file.sync()?;
        disk.sync_dir(p("/s"))?;
        disk.list(p("/s")).map(drop)
    };
    let whole = SimDisk::new();
    workload(&whole).unwrap();
    let mut failed = 0;
    for n in 1.. {
        let disk = SimDisk::new();
        disk.fail_at(n, Fault::once(FaultKind::Eio));
        let result = workload(&disk);
        assert_eq!(result.is_err(), disk.faults_fired() == 1);
        if disk.faults_fired() == 0 {
            break;
        }
        failed += 1;
    }
    assert_eq!(failed, whole.operations());
}

#[test]
fn an_aim_meets_its_path_and_its_range_alone() {
    let disk = SimDisk::new();
    disk.import([("/log/a", vec![0; 10_000]), ("/queue/a", vec![0; 10_000])]).unwrap();
    let log = disk.open(p("/log/a"), Access::Read).unwrap();
    let queue = disk.open(p("/queue/a"), Access::Read).unwrap();
    let bad_page = Aim::anything().kind(OpKind::Read).path("log/").bytes(4096..8192);
    disk.fail_at_aimed(bad_page, 1, Fault::persistent(FaultKind::Eio));
    assert!(log.view(0, 4096).is_ok());
    assert!(log.view(0, 4097).is_err());
    assert!(log.view(8191, 1).is_err());
    assert!(log.view(8192, 10).is_ok());
    assert!(queue.view(0, 10_000).is_ok());
    assert!(log.sync().is_ok());
}

#[test]
fn a_short_write_leaves_its_prefix_and_errs() {
    let disk = SimDisk::new();
    let file = synced(&disk, "/a", 10);
    disk.fail_at(1, Fault::once(FaultKind::ShortWrite(3)));
    assert!(file.sync().is_ok() && file.view(0, 1).is_ok(), "it waits for a write");
    assert_eq!(kind(file.write_at(2, b"abcdef")), io::ErrorKind::WriteZero);
    assert_eq!(bytes(&disk, "/a"), b"\0\0abc\0\0\0\0\0");
    disk.fail_at(1, Fault::once(FaultKind::ShortWrite(100)));
    assert!(file.write_at(8, b"yz").is_err());
    assert_eq!(bytes(&disk, "/a"), b"\0\0abc\0\0\0y\0", "one byte at least is missing");
}

#[test]
fn a_short_read_brings_its_prefix_and_errs() {
    let disk = SimDisk::new();
    let file = synced(&disk, "/a", 10);
    file.write_at(0, b"0123456789").unwrap();
    disk.fail_at(1, Fault::once(FaultKind::ShortRead(3)));
    assert!(file.write_at(0, b"0").is_ok() && file.sync().is_ok(), "it waits for a read");
    let mut out = [b'-'; 5];
    assert_eq!(kind(file.read_at(2, &mut out)), io::ErrorKind::UnexpectedEof);
    assert_eq!(&out, b"234--");
    disk.fail_at(1, Fault::once(FaultKind::ShortRead(100)));
    assert!(file.read_at(0, &mut out).is_err());
    assert_eq!(&out, b"0123-", "one byte at least is missing");
    disk.fail_at(1, Fault::once(FaultKind::ShortRead(0)));
    assert!(file.view(0, 1).is_err() && file.view(0, 1).is_ok());
}

#[test]
fn an_interruption_and_a_call_for_patience_do_nothing_and_err() {
    let disk = SimDisk::new();
    let file = synced(&disk, "/a", 10);
    for (error, told) in
        [(FaultKind::Eintr, io::ErrorKind::Interrupted), (FaultKind::Eagain, io::ErrorKind::WouldBlock)]
    {
        disk.fail_at(1, Fault::once(error));
        assert_eq!(kind(file.write_at(0, b"x")), told);
        assert_eq!(bytes(&disk, "/a"), [0; 10]);
    }
}

#[test]
fn a_failed_sync_makes_the_next_one_answer_ok_without_being_durable() {
    let disk = SimDisk::new();
    let file = synced(&disk, "/a", 8);
    file.write_at(0, b"gone").unwrap();
    disk.fail_at_aimed(Aim::anything().kind(OpKind::Sync), 1, Fault::once(FaultKind::Eio));
    assert!(file.sync().is_err());
    assert_eq!(bytes(&disk, "/a"), b"gone\0\0\0\0", "the cache still shows it");
    file.write_at(4, b"kept").unwrap();
    file.sync().unwrap();
    assert_eq!(bytes(&disk.power_cut(0, Survivors::Nothing), "/a"), b"\0\0\0\0kept");
    // The next process, too, reads what is not durable, and its sync covers nothing of it either.
    let next = disk.kill();
    let file = next.open(p("/a"), Access::Write).unwrap();
    file.sync().unwrap();
    assert_eq!(bytes(&next, "/a"), b"gonekept");
    assert_eq!(bytes(&next.power_cut(0, Survivors::Nothing), "/a"), b"\0\0\0\0kept");
    // Written again it is new, and a sync covers it.
    file.write_at(0, b"gone").unwrap();
    file.sync().unwrap();
    assert_eq!(bytes(&next.power_cut(0, Survivors::Nothing), "/a"), b"gonekept");
}

#[test]
fn what_a_failed_sync_gave_up_may_survive_but_never_covers_what_was_synced_later() {
    let disk = SimDisk::new();
    let file = synced(&disk, "/a", 6);
    file.write_at(0, b"aaaaaa").unwrap();
    disk.fail_at(1, Fault::once(FaultKind::Eio));
    assert!(file.sync().is_err());
    file.write_at(2, b"BB").unwrap();
    file.sync().unwrap();
    let mut found = BTreeSet::new();
    for (model, seed, after) in images(&disk, 100) {
        let after = bytes(&after, "/a");
        assert_eq!(&after[2..4], b"BB", "{model:?} {seed}");
        found.insert(after);
    }
    assert!(found.contains(&b"\0\0BB\0\0"[..]) && found.contains(&b"aaBBaa"[..]), "{found:?}");
}

#[test]
fn after_a_failed_sync_pages_may_show_what_is_on_the_medium() {
    let disk = SimDisk::new();
    let file = synced(&disk, "/a", 16 * 4096);
    file.write_at(0, &vec![1; 16 * 4096]).unwrap();
    file.sync().unwrap();
    let mut patterns = BTreeSet::new();
    for seed in 0..20 {
        let disk = disk.kill();
        let file = disk.open(p("/a"), Access::Write).unwrap();
        disk.revert_after_failed_sync(Some(seed));
        file.write_at(100, &vec![2; 15 * 4096]).unwrap();
        disk.fail_at(1, Fault::once(FaultKind::Eio));
        assert!(file.sync().is_err());
        let now = bytes(&disk, "/a");
        let reverted: Vec<bool> = now
            .chunks(4096)
            .map(|page| {
                let old = page.iter().all(|byte| *byte == 1);
                assert!(old || page[100..].contains(&2) || page[..100].contains(&2));
                old
            })
            .collect();
        assert!(reverted.contains(&true) && reverted.contains(&false));
        patterns.insert(reverted);
        // What is durable did not change by it, and what reverted cannot come back.
        assert_eq!(bytes(&disk.power_cut(0, Survivors::Nothing), "/a"), vec![1; 16 * 4096]);
        assert_eq!(bytes(&disk.power_cut(0, Survivors::Everything), "/a"), now);
    }
    assert!(patterns.len() > 15, "the seed decides");
}

#[test]
fn a_failed_sync_of_a_folder_can_be_repeated() {
    let disk = SimDisk::new();
    disk.create(p("/a"), 0, Reserve::Sparse).unwrap();
    disk.fail_at(1, Fault::once(FaultKind::Eio));
    assert!(disk.sync_dir(p("/")).is_err());
    assert_eq!(disk.power_cut(0, Survivors::Nothing).files(), []);
    disk.sync_dir(p("/")).unwrap();
    assert_eq!(disk.power_cut(0, Survivors::Nothing).files().len(), 1);
}

#[test]
fn images_start_without_the_faults_of_the_disk_they_came_from() {
    let disk = SimDisk::new();
    disk.fail_at(1, Fault::persistent(FaultKind::Erofs));
    assert!(disk.list(p("/")).is_err());
    assert!(disk.kill().list(p("/")).is_ok());
    let after = disk.power_cut(0, Survivors::Everything);
    assert!(after.list(p("/")).is_ok());
    assert_eq!((after.operations(), after.faults_fired()), (1, 0));
}
