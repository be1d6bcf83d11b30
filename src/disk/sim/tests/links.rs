//! Files with several names, and folders that are renamed or go: what a power cut leaves of them.

use super::*;

fn has(disk: &SimDisk, path: &str) -> bool {
    disk.entry(p(path)).unwrap().is_some()
}

#[test]
fn a_link_is_as_durable_as_the_folder_that_it_stands_in() {
    let disk = SimDisk::new();
    let file = synced(&disk, "/a/file", 4);
    disk.create_dirs(p("/b")).unwrap();
    disk.link(p("/a/file"), p("/b/link")).unwrap();
    file.write_at(0, b"safe").unwrap();
    file.sync().unwrap();
    let after = disk.power_cut(0, Survivors::Nothing);
    assert!(has(&after, "/a/file") && !has(&after, "/b/link"));
    disk.sync_dir(p("/a")).unwrap();
    assert!(!has(&disk.power_cut(0, Survivors::Nothing), "/b/link"), "that was the other folder");
    disk.sync_dir(p("/b")).unwrap();
    let after = disk.power_cut(0, Survivors::Nothing);
    assert_eq!((bytes(&after, "/a/file"), bytes(&after, "/b/link")), (b"safe".to_vec(), b"safe".to_vec()));
    after.open(p("/b/link"), Access::Write).unwrap().write_at(0, b"both").unwrap();
    assert_eq!(bytes(&after, "/a/file"), b"both");
}

#[test]
fn a_file_lasts_and_takes_its_room_as_long_as_one_of_its_names_does() {
    let disk = SimDisk::new();
    disk.capacity_bytes(8 << 12);
    drop(synced(&disk, "/file", 3 << 12));
    disk.link(p("/file"), p("/link")).unwrap();
    disk.sync_dir(p("/")).unwrap();
    assert_eq!(disk.space(p("/")).unwrap().free, 5 << 12, "two names, one file");
    disk.remove(p("/file")).unwrap();
    disk.sync_dir(p("/")).unwrap();
    for (model, _, after) in images(&disk, 3) {
        assert!(!has(&after, "/file") && has(&after, "/link"), "{model:?}");
        assert_eq!(after.space(p("/")).unwrap().free, 5 << 12);
        after.remove(p("/link")).unwrap();
        assert_eq!(after.space(p("/")).unwrap().free, 8 << 12);
    }
}

#[test]
fn a_folder_keeps_its_old_name_until_its_parent_is_synced_and_whole_in_either_case() {
    let disk = SimDisk::new();
    drop(synced(&disk, "/old/sub/a", 1));
    drop(synced(&disk, "/old/b", 1));
    disk.rename_folder(p("/old"), p("/new")).unwrap();
    let mut seen = [false; 2];
    for (model, seed, after) in images(&disk, 40) {
        let (old, new) = (has(&after, "/old"), has(&after, "/new"));
        assert!(old != new, "{model:?} {seed}");
        let name = if new { "/new" } else { "/old" };
        assert!(
            has(&after, &format!("{name}/sub/a")) && has(&after, &format!("{name}/b")),
            "{model:?} {seed}"
        );
        seen[usize::from(new)] = true;
    }
    assert_eq!(seen, [true; 2]);
    disk.sync_dir(p("/")).unwrap();
    let after = disk.power_cut(0, Survivors::Nothing);
    assert!(has(&after, "/new/sub/a") && !has(&after, "/old"));
}

/// A folder's entry and what stands in it are synced apart: a name that nobody synced is lost though the folder that
/// it is in was renamed for good, and kept though that was not.
#[test]
fn what_was_not_synced_in_a_folder_is_no_safer_for_the_folders_new_name() {
    let disk = SimDisk::new();
    disk.create_dirs(p("/old")).unwrap();
    let file = disk.create(p("/old/file"), 1, Reserve::Blocks).unwrap();
    file.sync().unwrap();
    disk.rename_folder(p("/old"), p("/new")).unwrap();

    let kept = disk.kill();
    kept.sync_dir(p("/")).unwrap();
    let mut seen = [false; 2];
    for (_, _, after) in images(&kept, 20) {
        assert!(has(&after, "/new") && !has(&after, "/old"));
        seen[usize::from(has(&after, "/new/file"))] = true;
    }
    assert_eq!(seen, [true; 2], "lost by some, kept by others");

    disk.sync_dir(p("/new")).unwrap();
    let after = disk.power_cut(0, Survivors::Nothing);
    assert!(
        has(&after, "/old/file") && !has(&after, "/new"),
        "the file's name is durable, its folder's is not"
    );
    disk.sync_dir(p("/")).unwrap();
    assert!(has(&disk.power_cut(0, Survivors::Nothing), "/new/file"));
}

#[test]
fn what_is_made_in_a_renamed_folder_makes_its_name_durable_with_it() {
    let disk = SimDisk::new();
    drop(synced(&disk, "/old/a", 1));
    disk.rename_folder(p("/old"), p("/new")).unwrap();
    drop(disk.create(p("/new/b"), 1, Reserve::Blocks).unwrap());
    for (model, seed, after) in images(&disk, 20) {
        assert!(!has(&after, "/new/b") || has(&after, "/new/a"), "{model:?} {seed}");
    }
    disk.sync_dir(p("/new")).unwrap();
    let after = disk.power_cut(0, Survivors::Nothing);
    assert!(has(&after, "/new/a") && has(&after, "/new/b") && !has(&after, "/old"));
}

#[test]
fn a_folder_is_gone_for_good_only_with_all_that_was_in_it() {
    let disk = SimDisk::new();
    drop(synced(&disk, "/folder/a", 1));
    disk.remove(p("/folder/a")).unwrap();
    disk.remove_folder(p("/folder")).unwrap();
    let mut seen = [false; 3];
    for (model, seed, after) in images(&disk, 40) {
        let (folder, file) = (has(&after, "/folder"), has(&after, "/folder/a"));
        assert!(folder || !file, "{model:?} {seed}: a file in no folder");
        seen[usize::from(folder) + usize::from(file)] = true;
    }
    assert_eq!(seen, [true; 3], "nothing gone, the file gone, both gone");
    disk.sync_dir(p("/")).unwrap();
    let after = disk.power_cut(0, Survivors::Nothing);
    assert!(!has(&after, "/folder"));
    disk.create_dirs(p("/folder")).unwrap();
    assert!(has(&disk.power_cut(0, Survivors::Nothing), "/folder"));
}
