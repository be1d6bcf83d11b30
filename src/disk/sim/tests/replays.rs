//! Recording a workload and walking through it again.

use std::collections::BTreeSet;

use super::super::pages::Pages;
use super::super::state::State;
use super::*;

/// A workload with every kind of change in it.
fn workload(disk: &SimDisk) {
    disk.create_dirs(p("/s/q")).unwrap();
    let _lock = disk.lock(p("/s/lock")).unwrap();
    let file = disk.create(p("/s/a"), 10_000, Reserve::Blocks).unwrap();
    disk.sync_dir(p("/s")).unwrap();
    file.write_at(0, &[1; 6000]).unwrap();
    file.sync().unwrap();
    file.write_at(3000, &[2; 6000]).unwrap();
    disk.fail_at_aimed(Aim::anything().kind(OpKind::Sync), 1, Fault::once(FaultKind::Eio));
    assert!(file.sync().is_err());
    disk.fail_at(1, Fault::once(FaultKind::ShortWrite(5)));
    assert!(file.write_at(1, b"0123456789").is_err());
    let small = disk.create(p("/s/tmp"), 3, Reserve::Sparse).unwrap();
    small.write_at(0, b"new").unwrap();
    small.reserve().unwrap();
    small.sync().unwrap();
    disk.replace(p("/s/tmp"), p("/s/mark")).unwrap();
    disk.rename(p("/s/mark"), p("/s/q/mark")).unwrap();
    disk.link(p("/s/q/mark"), p("/s/q/link")).unwrap();
    disk.sync_dir(p("/s/q")).unwrap();
    disk.create_dirs(p("/s/r")).unwrap();
    disk.rename_folder(p("/s/r"), p("/s/t")).unwrap();
    disk.remove_folder(p("/s/t")).unwrap();
    disk.flip("/s/a", 9).unwrap();
    disk.remove(p("/s/a")).unwrap();
    file.write_at(0, b"after removal").unwrap();
    disk.write_file("/s/planted", "x").unwrap();
    disk.sync_dir(p("/s")).unwrap();
}

#[test]
fn a_replayed_disk_is_the_recorded_one_after_every_operation() {
    let disk = SimDisk::recording();
    disk.revert_after_failed_sync(Some(4));
    workload(&disk);
    let mut replay = disk.replay();
    assert_eq!(replay.len(), disk.recorded());
    let mut kinds = BTreeSet::new();
    let mut count = 0;
    while let Some(next) = replay.next_op() {
        assert_eq!(next.index, count);
        assert_eq!(replay.step(), Some(next.clone()));
        count += 1;
        assert_eq!(replay.position(), count);
        kinds.insert(next.kind);
    }
    assert_eq!((count, replay.step()), (replay.len(), None));
    let changing = OpKind::ALL.into_iter().filter(|kind| kind.changes_the_disk());
    assert_eq!(kinds, changing.collect(), "every changing kind was in the workload");
    assert_eq!(replay.kill().fingerprint(), disk.fingerprint());
    for (model, seed, after) in images(&disk, 30) {
        assert_eq!(replay.power_cut(seed, model).fingerprint(), after.fingerprint(), "{model:?} {seed}");
    }
}

#[test]
fn every_prefix_of_a_record_gives_the_disk_that_stood_there() {
    let disk = SimDisk::recording();
    let file = disk.create(p("/a"), 100, Reserve::Sparse).unwrap();
    let mut expected = vec![(disk.recorded(), disk.fingerprint(), disk.power_cut(9, Survivors::Sectors))];
    for i in 0..20 {
        if i % 5 == 4 {
            file.sync().unwrap();
        } else {
            file.write_at(i, b"xyz").unwrap();
        }
        expected.push((disk.recorded(), disk.fingerprint(), disk.power_cut(9, Survivors::Sectors)));
    }
    let mut replay = disk.replay();
    for (position, fingerprint, cut) in expected {
        replay.advance_to(position);
        assert_eq!(replay.kill().fingerprint(), fingerprint);
        assert_eq!(replay.power_cut(9, Survivors::Sectors).fingerprint(), cut.fingerprint());
    }
    assert_eq!(disk.replay().kill().files(), [], "a walk begins at the beginning");
}

#[test]
fn recording_can_begin_on_a_disk_in_use() {
    let disk = SimDisk::new();
    let file = synced(&disk, "/a", 4);
    file.write_at(0, b"old").unwrap();
    assert!(disk.replay().is_empty() && disk.recorded() == 0);
    disk.start_recording();
    file.write_at(3, b"!").unwrap();
    let mut replay = disk.replay();
    assert_eq!(bytes(&replay.kill(), "/a"), b"old\0");
    assert_eq!(bytes(&replay.power_cut(0, Survivors::Nothing), "/a"), [0; 4]);
    let op = replay.step().unwrap();
    assert_eq!((op.kind, op.path.as_path(), op.offset, op.len), (OpKind::Write, p("/a"), 3, 1));
    assert_eq!(bytes(&replay.kill(), "/a"), b"old!");
    assert_eq!(replay.len(), 1);
}

#[test]
fn a_cut_within_a_write_tears_it() {
    let disk = SimDisk::recording();
    let file = synced(&disk, "/a", 8);
    let before = disk.recorded();
    file.write_at(0, b"12345678").unwrap();
    let mut replay = disk.replay();
    replay.advance_to(before);
    let mut lengths = BTreeSet::new();
    for seed in 0..200 {
        let found = bytes(&replay.kill_within(seed), "/a");
        let kept = found.iter().take_while(|byte| **byte != 0).count();
        assert_eq!(&found[..kept], &b"12345678"[..kept]);
        assert!(found[kept..].iter().all(|byte| *byte == 0));
        assert_eq!(bytes(&replay.power_cut_within(seed, Survivors::Nothing), "/a"), [0; 8]);
        assert_eq!(bytes(&replay.power_cut_within(seed, Survivors::Everything), "/a"), found);
        lengths.insert(kept);
    }
    assert_eq!(lengths, (0..=8).collect());
    assert_eq!(replay.position(), before, "looking at images does not move the walk");
}

#[test]
fn a_cut_within_a_creation_may_leave_the_name_without_the_length() {
    let disk = SimDisk::recording();
    disk.create(p("/a"), 1000, Reserve::Blocks).unwrap();
    let replay = disk.replay();
    let lengths = (0..200).map(|seed| replay.kill_within(seed).files().first().map(|(_, len)| *len));
    let lengths: BTreeSet<_> = lengths.collect();
    assert!(lengths.contains(&None) && lengths.contains(&Some(0)) && lengths.len() > 10);
    assert!(!lengths.contains(&Some(1000)), "that would be after it");
}

#[test]
fn a_cut_within_a_sync_covers_nothing_for_sure() {
    let disk = SimDisk::recording();
    let file = synced(&disk, "/a", 2);
    file.write_at(0, b"xy").unwrap();
    let before = disk.recorded();
    file.sync().unwrap();
    let mut replay = disk.replay();
    replay.advance_to(before);
    let found = (0..100).map(|seed| bytes(&replay.power_cut_within(seed, Survivors::Bytes), "/a"));
    assert_eq!(found.collect::<BTreeSet<_>>().len(), 4);
    replay.step();
    assert_eq!(
        bytes(&replay.power_cut_within(0, Survivors::Nothing), "/a"),
        b"xy",
        "at the end there is no next"
    );
}

#[test]
fn a_cut_within_a_rename_finds_it_done_or_not() {
    let disk = SimDisk::new();
    disk.import([("/a", "a"), ("/b", "b")]).unwrap();
    disk.start_recording();
    disk.replace(p("/a"), p("/b")).unwrap();
    let replay = disk.replay();
    let found: BTreeSet<_> = (0..50).map(|seed| replay.kill_within(seed).files().len()).collect();
    assert_eq!(found, BTreeSet::from([1, 2]));
}

#[test]
fn a_recovery_can_be_recorded_and_cut_in_its_turn() {
    let disk = SimDisk::recording();
    let file = synced(&disk, "/a", 4);
    file.write_at(0, b"data").unwrap();
    let image = disk.replay().power_cut(0, Survivors::Nothing);
    assert_eq!(image.files(), [], "cut before anything");
    let image = disk.power_cut(0, Survivors::Everything);
    image.start_recording();
    image.open(p("/a"), Access::Write).unwrap().write_at(2, b"\0\0").unwrap();
    let mut nested = image.replay();
    nested.step();
    assert_eq!(bytes(&nested.power_cut(0, Survivors::Nothing), "/a"), b"data");
    assert_eq!(bytes(&nested.power_cut(0, Survivors::Everything), "/a"), b"da\0\0");
}

#[test]
fn images_share_the_bytes_that_they_do_not_change() {
    let disk = SimDisk::recording();
    for name in ["/a", "/b"] {
        let file = synced(&disk, name, 1 << 20);
        file.write_at(0, &vec![1; 1 << 20]).unwrap();
        file.sync().unwrap();
    }
    let file = disk.open(p("/a"), Access::Write).unwrap();
    file.write_at(5000, b"unsynced").unwrap();
    let image = disk.power_cut(0, Survivors::Everything);
    let (disk, image) = (disk.inner(), image.inner());
    let shared = |path: &str| {
        let of = |state: &State| state.file(p(path)).unwrap().clone();
        let (ours, theirs) = (of(&disk.state), of(&image.state));
        let same = |one: &Pages, other: &Pages| {
            one.iter().zip(other.iter()).filter(|((_, a), (_, b))| std::ptr::eq(*a, *b)).count()
        };
        (same(&ours.cached, &theirs.cached), same(&ours.durable, &theirs.cached))
    };
    assert_eq!(shared("/b"), (256, 256));
    assert_eq!(shared("/a"), (256, 255), "one page alone differs between cache and medium");
}
