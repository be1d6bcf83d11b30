//! Power cuts: what must survive, what may, and what may not.

use std::collections::BTreeSet;

use super::super::state::Change;
use super::*;

#[test]
fn a_sync_covers_only_what_was_written_before_it() {
    let disk = SimDisk::new();
    let file = named(&disk, "/s/a", 8);
    file.write_at(0, b"safe").unwrap();
    file.sync().unwrap();
    file.write_at(4, b"late").unwrap();
    assert_eq!(bytes(&disk.power_cut(3, Survivors::Nothing), "/s/a"), b"safe\0\0\0\0");
    assert_eq!(bytes(&disk.power_cut(3, Survivors::Everything), "/s/a"), b"safelate");
    assert_eq!(bytes(&disk, "/s/a"), b"safelate", "the disk itself goes on");
}

#[test]
fn a_sync_leaves_out_what_was_written_while_it_ran() {
    let disk = SimDisk::new();
    let file = synced(&disk, "/a", 4);
    file.write_at(0, b"ab").unwrap();
    let began = disk.inner().state.changes;
    file.write_at(1, b"XY").unwrap();
    let id = disk.inner().state.names.file(p("/a")).unwrap();
    disk.inner().commit(None, Change::Sync { id, upto: began });
    assert_eq!(bytes(&disk.power_cut(0, Survivors::Nothing), "/a"), b"ab\0\0");
    assert_eq!(bytes(&disk.power_cut(0, Survivors::Everything), "/a"), b"aXY\0");
    file.sync().unwrap();
    assert_eq!(bytes(&disk.power_cut(0, Survivors::Nothing), "/a"), b"aXY\0");
}

#[test]
fn a_sync_of_one_file_covers_no_other() {
    let disk = SimDisk::new();
    let (a, b) = (synced(&disk, "/a", 1), synced(&disk, "/b", 1));
    a.write_at(0, b"a").unwrap();
    b.write_at(0, b"b").unwrap();
    a.sync().unwrap();
    let after = disk.power_cut(0, Survivors::Nothing);
    assert_eq!((bytes(&after, "/a"), bytes(&after, "/b")), (b"a".to_vec(), b"\0".to_vec()));
}

#[test]
fn the_same_seed_gives_the_same_image() {
    let disk = SimDisk::new();
    for name in ["/s/a", "/s/b", "/s/c"] {
        let file = synced(&disk, name, 20_000);
        (0..10).for_each(|i| file.write_at(i * 1999, &[0xAA; 1700]).unwrap());
        disk.rename(p(name), p(&format!("{name}-new"))).unwrap();
    }
    for model in CHANCE {
        let prints: BTreeSet<u64> = (0..50).map(|seed| disk.power_cut(seed, model).fingerprint()).collect();
        for seed in 0..50 {
            let (one, other) = (disk.power_cut(seed, model), disk.clone().power_cut(seed, model));
            assert_eq!(one.fingerprint(), other.fingerprint());
            assert_eq!(one.boot_id(), other.boot_id());
        }
        assert!(prints.len() > 40, "{model:?}: {} images from 50 seeds", prints.len());
    }
}

#[test]
fn bytes_survive_in_every_combination() {
    let disk = SimDisk::new();
    let file = synced(&disk, "/a", 3);
    file.write_at(0, b"xyz").unwrap();
    let found: BTreeSet<_> =
        (0..400).map(|seed| bytes(&disk.power_cut(seed, Survivors::Bytes), "/a")).collect();
    assert_eq!(found.len(), 8, "{found:?}");
    // Bytes are taken over eight at a time: those at the same place of two words must not hang together.
    let file = synced(&disk, "/b", 70);
    file.write_at(0, &[1; 70]).unwrap();
    for (one, other) in [(0, 8), (3, 59), (63, 64), (5, 68)] {
        let pairs = (0..400).map(|seed| bytes(&disk.power_cut(seed, Survivors::Bytes), "/b"));
        let pairs: BTreeSet<_> = pairs.map(|found| (found[one], found[other])).collect();
        assert_eq!(pairs.len(), 4, "{one} and {other}: {pairs:?}");
    }
}

#[test]
fn sectors_survive_whole_and_in_every_combination() {
    let disk = SimDisk::new();
    let file = synced(&disk, "/a", 2048);
    // From the middle of sector 0 to the middle of sector 3.
    file.write_at(256, &[1; 1536]).unwrap();
    let mut found = BTreeSet::new();
    for seed in 0..600 {
        let after = bytes(&disk.power_cut(seed, Survivors::Sectors), "/a");
        let parts = [&after[256..512], &after[512..1024], &after[1024..1536], &after[1536..1792]];
        for part in parts {
            assert!(part.iter().all(|byte| *byte == part[0]), "seed {seed} tore a sector");
        }
        assert!(after[..256].iter().chain(&after[1792..]).all(|byte| *byte == 0));
        found.insert(parts.map(|part| part[0]));
    }
    assert_eq!(found.len(), 16);
}

#[test]
fn a_prefix_keeps_the_first_writes_and_tears_the_last() {
    let disk = SimDisk::new();
    let file = synced(&disk, "/a", 40);
    (0..10).for_each(|i| file.write_at(i * 4, b"full").unwrap());
    let mut lengths = BTreeSet::new();
    for seed in 0..500 {
        let after = bytes(&disk.power_cut(seed, Survivors::Prefix), "/a");
        let kept = after.iter().take_while(|byte| **byte != 0).count();
        assert!(after[kept..].iter().all(|byte| *byte == 0), "seed {seed}: a hole in the prefix");
        lengths.insert(kept);
    }
    assert!(lengths.contains(&0) && lengths.contains(&40), "{lengths:?}");
    assert!(lengths.iter().any(|len| len % 4 != 0), "{lengths:?}");
}

#[test]
fn under_prefix_files_stop_together_or_each_at_its_own_moment() {
    let disk = SimDisk::new();
    let (a, b) = (synced(&disk, "/a", 10), synced(&disk, "/b", 10));
    for i in 0..10 {
        a.write_at(i, b"x").unwrap();
        b.write_at(i, b"x").unwrap();
    }
    let kept = |after: &SimDisk, path| bytes(after, path).iter().filter(|byte| **byte == b'x').count();
    let pairs = (0..200).map(|seed| disk.power_cut(seed, Survivors::Prefix));
    let pairs: Vec<_> = pairs.map(|after| (kept(&after, "/a"), kept(&after, "/b"))).collect();
    let together = pairs.iter().filter(|(a, b)| a == b || *a == b + 1).count();
    assert!((80..200).contains(&together), "{together} of 200");
}

#[test]
fn the_later_of_two_surviving_writes_lies_on_top() {
    let disk = SimDisk::new();
    let file = synced(&disk, "/a", 1);
    file.write_at(0, b"1").unwrap();
    file.write_at(0, b"2").unwrap();
    let found: BTreeSet<_> =
        (0..100).map(|seed| bytes(&disk.power_cut(seed, Survivors::Bytes), "/a")[0]).collect();
    assert_eq!(found, BTreeSet::from([0, b'1', b'2']));
    file.sync().unwrap();
    assert!(images(&disk, 50).all(|(_, _, after)| bytes(&after, "/a") == b"2"));
}

#[test]
fn a_file_whose_name_alone_was_synced_has_any_length_up_to_its_own() {
    let disk = SimDisk::new();
    let file = named(&disk, "/a", 10_000);
    file.write_at(0, &[9; 10_000]).unwrap();
    assert_eq!(bytes(&disk.power_cut(0, Survivors::Nothing), "/a"), b"");
    for model in CHANCE {
        let mut lengths = BTreeSet::new();
        let mut full_and_empty = false;
        for seed in 0..300 {
            let after = bytes(&disk.power_cut(seed, model), "/a");
            assert!(after.len() <= 10_000);
            full_and_empty |= after.len() == 10_000 && after.contains(&0);
            lengths.insert(after.len());
        }
        assert!(lengths.contains(&0) && lengths.contains(&10_000), "{model:?}");
        assert!(lengths.len() > 3, "{model:?}: lengths between, too");
        assert!(full_and_empty, "{model:?}: a whole length with holes in the data");
    }
}

#[test]
fn a_shortened_file_holds_nothing_of_what_lay_beyond() {
    let disk = SimDisk::new();
    let file = named(&disk, "/a", 600_000);
    file.write_at(0, &vec![9; 600_000]).unwrap();
    for seed in 0..200 {
        let after = disk.power_cut(seed, Survivors::Sectors);
        let state = &after.inner().state;
        let file = state.file(p("/a")).unwrap();
        assert!(file.cached.kept() <= file.len.div_ceil(4096));
        let last = file.cached.iter().last().filter(|(index, _)| *index == file.len / 4096);
        if let Some((_, page)) = last {
            let end = usize::try_from(file.len % 4096).unwrap();
            assert!(page[end..].iter().all(|byte| *byte == 0));
        }
    }
}

#[test]
fn a_synced_file_whose_name_was_not_synced_may_vanish_but_not_change() {
    let disk = SimDisk::new();
    let file = disk.create(p("/a"), 3, Reserve::Blocks).unwrap();
    file.write_at(0, b"abc").unwrap();
    file.sync().unwrap();
    assert_eq!(disk.power_cut(0, Survivors::Nothing).files(), []);
    for model in CHANCE {
        let kept = (0..100).filter(|seed| {
            let after = disk.power_cut(*seed, model);
            assert!(after.files().is_empty() || bytes(&after, "/a") == b"abc");
            !after.files().is_empty()
        });
        assert!((5..95).contains(&kept.count()), "{model:?}");
    }
}

#[test]
fn an_unsynced_rename_is_wholly_there_or_wholly_not() {
    let disk = SimDisk::new();
    disk.create_dirs(p("/s/t")).unwrap();
    disk.import([("/s/a", "a"), ("/s/b", "b"), ("/s/x", "x")]).unwrap();
    disk.rename(p("/s/a"), p("/s/a2")).unwrap();
    disk.replace(p("/s/x"), p("/s/b")).unwrap();
    disk.rename(p("/s/a2"), p("/s/t/a3")).unwrap();
    let mut found = BTreeSet::new();
    for (model, seed, after) in images(&disk, 100) {
        let here = |path: &str| after.entry(p(path)).unwrap().is_some();
        let of_a = ["/s/a", "/s/a2", "/s/t/a3"].map(here);
        assert_eq!(of_a.iter().filter(|is| **is).count(), 1, "{model:?} {seed}: one name for one file");
        assert_eq!(bytes(&after, "/s/b"), if here("/s/x") { b"b" } else { b"x" }, "{model:?} {seed}");
        found.insert((of_a, here("/s/x")));
    }
    assert_eq!(found.len(), 6);
}

#[test]
fn a_folders_sync_keeps_its_names_and_no_others() {
    let disk = SimDisk::new();
    disk.create_dirs(p("/s")).unwrap();
    disk.create_dirs(p("/t")).unwrap();
    disk.import([("/s/old", "1"), ("/t/old", "2")]).unwrap();
    disk.remove(p("/s/old")).unwrap();
    disk.remove(p("/t/old")).unwrap();
    disk.create(p("/s/new"), 0, Reserve::Sparse).unwrap();
    disk.create(p("/t/new"), 0, Reserve::Sparse).unwrap();
    disk.sync_dir(p("/s")).unwrap();
    let mut in_t = BTreeSet::new();
    for (model, seed, after) in images(&disk, 60) {
        let names = |dir| after.list(p(dir)).unwrap().into_iter().map(|e| e.name).collect::<Vec<_>>();
        assert_eq!(names("/s"), ["new"], "{model:?} {seed}");
        in_t.insert(names("/t"));
    }
    assert_eq!(in_t.len(), 4, "{in_t:?}");
}

#[test]
fn a_rename_between_folders_is_kept_by_the_sync_of_either() {
    for synced in ["/s", "/t"] {
        let disk = SimDisk::new();
        disk.create_dirs(p("/t")).unwrap();
        disk.write_file("/s/a", "a").unwrap();
        disk.rename(p("/s/a"), p("/t/a")).unwrap();
        disk.sync_dir(p(synced)).unwrap();
        let kept = [(p("/t/a").to_path_buf(), 1)];
        assert!(images(&disk, 20).all(|(_, _, after)| after.files() == kept), "{synced}");
    }
}

#[test]
fn a_synced_name_is_not_lost_under_an_unsynced_one() {
    // If the new file could take the old one's name without the rename before it, the old file would be gone.
    let disk = SimDisk::new();
    disk.write_file("/a", "synced").unwrap();
    disk.rename(p("/a"), p("/b")).unwrap();
    disk.create(p("/a"), 3, Reserve::Sparse).unwrap();
    for (model, seed, after) in images(&disk, 200) {
        let read = |path: &str| after.read_file(path).unwrap_or_default();
        assert!(read("/a") == b"synced" || read("/b") == b"synced", "{model:?} {seed}");
    }
}

#[test]
fn folders_are_durable_as_soon_as_they_are_made() {
    let disk = SimDisk::new();
    disk.create_dirs(p("/s/q/0")).unwrap();
    assert!(images(&disk, 5).all(|(_, _, after)| after.list(p("/s/q/0")).unwrap().is_empty()));
}

#[test]
fn a_killed_process_loses_nothing_and_a_later_power_cut_still_may() {
    let disk = SimDisk::new();
    let file = synced(&disk, "/a", 6);
    file.write_at(0, b"cached").unwrap();
    disk.create(p("/new"), 0, Reserve::Sparse).unwrap();
    let next = disk.kill();
    assert_eq!(next.boot_id(), disk.boot_id());
    assert_eq!(next.open_handles(), 0);
    assert_eq!(next.fingerprint(), disk.fingerprint());
    file.write_at(0, b"parted").unwrap();
    assert_eq!(bytes(&next, "/a"), b"cached", "two disks from now on");
    let after = next.power_cut(0, Survivors::Nothing);
    assert_eq!(bytes(&after, "/a"), [0; 6]);
    assert!(after.entry(p("/new")).unwrap().is_none());
    // A sync by the next process covers what the dead one wrote.
    next.open(p("/a"), Access::Read).unwrap().sync().unwrap();
    assert_eq!(bytes(&next.power_cut(0, Survivors::Nothing), "/a"), b"cached");
}

#[test]
fn after_a_power_cut_all_that_is_there_is_durable_and_the_boot_is_another() {
    let disk = SimDisk::new();
    let file = named(&disk, "/a", 5000);
    file.write_at(0, &[1; 5000]).unwrap();
    for (model, seed, after) in images(&disk, 20) {
        assert_ne!(after.boot_id(), disk.boot_id());
        let again = after.power_cut(seed, Survivors::Nothing);
        assert_eq!(again.fingerprint(), after.fingerprint(), "{model:?} {seed}");
        assert_ne!(again.boot_id(), after.boot_id());
        assert_ne!(again.boot_id(), disk.boot_id());
    }
}
