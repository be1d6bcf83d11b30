//! The calls, without power cuts and faults: the corners that the suite for all disks does not see.

use super::*;

#[test]
fn a_new_file_is_zeros_of_exactly_its_length() {
    let disk = SimDisk::new();
    let file = disk.create(p("/a"), 5000, Reserve::Sparse).unwrap();
    assert_eq!(file.len(), 5000);
    assert_eq!(bytes(&disk, "/a"), vec![0; 5000]);
    assert_eq!(kind(disk.create(p("/a"), 1, Reserve::Blocks)), io::ErrorKind::AlreadyExists);
    assert_eq!(kind(disk.create(p("/no/a"), 1, Reserve::Blocks)), io::ErrorKind::NotFound);
}

#[test]
fn bytes_lie_where_they_were_written_over_page_borders() {
    let disk = SimDisk::new();
    let len = 3 * 4096 + 100;
    let file = disk.create(p("/a"), len, Reserve::Blocks).unwrap();
    let written: Vec<u8> = (0..9000_u32).map(|i| u8::try_from(i % 251).unwrap()).collect();
    file.write_at(3000, &written).unwrap();
    let all = bytes(&disk, "/a");
    assert_eq!(&all[..3000], &vec![0; 3000]);
    assert_eq!(&all[3000..12000], &written);
    assert_eq!(&file.view(3005, 4100).unwrap()[..], &written[5..4105]);
    file.write_at(len - 1, &[7]).unwrap();
    assert_eq!(kind(file.write_at(len - 1, &[8, 8])), io::ErrorKind::InvalidInput);
    assert_eq!(kind(file.write_at(u64::MAX, &[8, 8])), io::ErrorKind::InvalidInput);
    assert_eq!(file.view(len - 1, 1).unwrap(), &[7][..]);
    assert_eq!(kind(file.view(len - 1, 2)), io::ErrorKind::UnexpectedEof);
    assert_eq!(kind(file.view(u64::MAX, 2)), io::ErrorKind::UnexpectedEof);
    assert_eq!(kind(file.view(0, usize::MAX)), io::ErrorKind::UnexpectedEof);
}

#[test]
fn a_huge_sparse_file_costs_only_what_is_written_to_it() {
    let disk = SimDisk::new();
    let file = disk.create(p("/a"), 1 << 50, Reserve::Sparse).unwrap();
    file.write_at((1 << 50) - 3, b"end").unwrap();
    assert_eq!(file.view((1 << 50) - 4, 4).unwrap(), &b"\0end"[..]);
    assert_eq!(kind(disk.read_file("/b")), io::ErrorKind::NotFound);
}

#[test]
fn relative_paths_begin_at_the_root() {
    let disk = SimDisk::new();
    disk.create_dirs(p("store/./x/..")).unwrap();
    disk.create(p("store/a"), 1, Reserve::Sparse).unwrap();
    assert_eq!(disk.files(), [(p("/store/a").to_path_buf(), 1)]);
    let listed = disk.list(p("store")).unwrap();
    assert_eq!(listed[0].path, p("store/a"), "a listing speaks of the folder as the caller did");
}

#[test]
fn a_listing_holds_this_folder_alone_sorted() {
    let disk = SimDisk::new();
    disk.create_dirs(p("/s/b/deep")).unwrap();
    disk.create_dirs(p("/s-not")).unwrap();
    for path in ["/s/c", "/s/a", "/s/b/inner", "/s-not/x", "/s/b-file"] {
        disk.create(p(path), 3, Reserve::Sparse).unwrap();
    }
    let listed = disk.list(p("/s")).unwrap();
    let shown: Vec<_> = listed.iter().map(|e| (e.name.as_str(), e.len, e.is_dir)).collect();
    assert_eq!(shown, [("a", 3, false), ("b", 0, true), ("b-file", 3, false), ("c", 3, false)]);
    assert_eq!(kind(disk.list(p("/missing"))), io::ErrorKind::NotFound);
    assert_eq!(kind(disk.list(p("/s/a"))), io::ErrorKind::NotADirectory);
    assert_eq!(disk.entry(p("/s/b")).unwrap().unwrap().name, "b");
    assert_eq!(disk.entry(p("/s/nothing")).unwrap(), None);
    assert!(disk.entry(p("/")).unwrap().unwrap().is_dir);
}

#[test]
fn folders_and_files_do_not_stand_in_for_each_other() {
    let disk = SimDisk::new();
    disk.create_dirs(p("/d")).unwrap();
    disk.create_dirs(p("/d")).unwrap();
    disk.create(p("/f"), 1, Reserve::Sparse).unwrap();
    assert_eq!(kind(disk.create_dirs(p("/f"))), io::ErrorKind::NotADirectory);
    assert_eq!(kind(disk.create_dirs(p("/f/below"))), io::ErrorKind::NotADirectory);
    assert_eq!(kind(disk.open(p("/d"), Access::Read)), io::ErrorKind::IsADirectory);
    assert_eq!(kind(disk.remove(p("/d"))), io::ErrorKind::IsADirectory);
    assert_eq!(kind(disk.rename(p("/d"), p("/e"))), io::ErrorKind::IsADirectory);
    assert_eq!(kind(disk.rename(p("/f"), p("/d"))), io::ErrorKind::AlreadyExists);
    assert_eq!(kind(disk.replace(p("/f"), p("/d"))), io::ErrorKind::IsADirectory);
    assert_eq!(kind(disk.replace(p("/f"), p("/no/f"))), io::ErrorKind::NotFound);
    assert_eq!(kind(disk.open(p("/f/x"), Access::Read)), io::ErrorKind::NotADirectory);
    assert_eq!(kind(disk.sync_dir(p("/f"))), io::ErrorKind::NotADirectory);
    assert_eq!(kind(disk.write_file("/f/x", "")), io::ErrorKind::NotADirectory);
    assert_eq!(kind(disk.write_file("/d", "")), io::ErrorKind::IsADirectory);
}

#[test]
fn rename_never_replaces_and_replace_does() {
    let disk = SimDisk::new();
    disk.import([("/a", "aa"), ("/b", "b")]).unwrap();
    assert_eq!(kind(disk.rename(p("/a"), p("/b"))), io::ErrorKind::AlreadyExists);
    assert_eq!(kind(disk.rename(p("/no"), p("/c"))), io::ErrorKind::NotFound);
    disk.replace(p("/a"), p("/a")).unwrap();
    disk.replace(p("/a"), p("/b")).unwrap();
    assert_eq!(disk.files(), [(p("/b").to_path_buf(), 2)]);
    disk.rename(p("/b"), p("/a")).unwrap();
    assert_eq!(bytes(&disk, "/a"), b"aa");
}

#[test]
fn an_open_handle_outlives_its_name() {
    let disk = SimDisk::new();
    disk.import([("/a", "first"), ("/b", "second")]).unwrap();
    let (a, b) = (disk.open(p("/a"), Access::Write).unwrap(), disk.open(p("/b"), Access::Read).unwrap());
    disk.remove(p("/a")).unwrap();
    disk.replace(p("/b"), p("/c")).unwrap();
    disk.remove(p("/c")).unwrap();
    disk.sync_dir(p("/")).unwrap();
    disk.write_file("/a", "third").unwrap();
    a.write_at(0, b"F").unwrap();
    assert_eq!(a.view(0, 5).unwrap(), "First");
    assert_eq!(b.view(0, 6).unwrap(), "second");
    assert_eq!(bytes(&disk, "/a"), b"third");
    assert_eq!(kind(disk.remove(p("/b"))), io::ErrorKind::NotFound);
}

#[test]
fn closed_files_without_a_name_are_forgotten() {
    let disk = SimDisk::new();
    for _ in 0..10 {
        let file = disk.create(p("/a"), 4096, Reserve::Blocks).unwrap();
        assert_eq!(disk.open_handles(), 1);
        disk.remove(p("/a")).unwrap();
        drop(file);
        disk.sync_dir(p("/")).unwrap();
    }
    assert_eq!(disk.open_handles(), 0);
    assert!(disk.inner().state.files.is_empty());
}

#[test]
fn a_handle_for_reading_refuses_writes() {
    let disk = SimDisk::new();
    disk.write_file("/a", "abc").unwrap();
    let file = disk.open(p("/a"), Access::Read).unwrap();
    assert_eq!(kind(file.write_at(0, b"x")), io::ErrorKind::PermissionDenied);
    assert_eq!(kind(file.store_mapped(0, &[b"x"])), io::ErrorKind::PermissionDenied);
    assert_eq!(kind(file.reserve()), io::ErrorKind::PermissionDenied);
    assert_eq!(bytes(&disk, "/a"), b"abc");
}

#[test]
fn a_lock_is_held_once_and_falls_with_its_holder_or_process() {
    let disk = SimDisk::new();
    let held = disk.lock(p("/lock")).unwrap();
    assert_eq!(bytes(&disk, "/lock"), b"lock");
    assert_eq!(kind(disk.clone().lock(p("/lock"))), io::ErrorKind::WouldBlock);
    assert_eq!(kind(disk.open(p("/lock"), Access::Read)), io::ErrorKind::WouldBlock);
    assert!(disk.kill().lock(p("/lock")).is_ok());
    assert!(disk.power_cut(0, Survivors::Everything).lock(p("/lock")).is_ok());
    drop(held);
    assert!(disk.lock(p("/lock")).is_ok());
    assert_eq!(kind(disk.lock(p("/no/lock"))), io::ErrorKind::NotFound);
    disk.import([("/empty", ""), ("/other", "another word")]).unwrap();
    drop((disk.lock(p("/empty")).unwrap(), disk.lock(p("/other")).unwrap()));
    assert_eq!(
        (bytes(&disk, "/empty"), bytes(&disk, "/other")),
        (b"lock".to_vec(), b"another word".to_vec())
    );
}

#[test]
fn the_fingerprint_knows_every_name_and_byte() {
    let disk = SimDisk::new();
    disk.import([("/s/a", "abc"), ("/s/b", "")]).unwrap();
    let before = disk.fingerprint();
    assert_eq!(disk.kill().fingerprint(), before);
    let file = disk.open(p("/s/a"), Access::Write).unwrap();
    file.write_at(1, b"b").unwrap();
    file.sync().unwrap();
    assert_eq!(disk.fingerprint(), before, "the same byte again, and a sync, change nothing to be seen");
    let differs = |change: &dyn Fn(&SimDisk)| {
        let other = disk.kill();
        change(&other);
        assert_ne!(other.fingerprint(), before);
    };
    differs(&|d| d.flip("/s/a", 0).unwrap());
    differs(&|d| d.rename(p("/s/b"), p("/s/c")).unwrap());
    differs(&|d| d.create_dirs(p("/s/d")).unwrap());
    differs(&|d| d.write_file("/s/a", b"abc\0".to_vec()).unwrap());
    differs(&|d| d.remove(p("/s/b")).unwrap());
}

#[test]
fn a_page_written_with_zeros_looks_like_one_never_written() {
    let disk = SimDisk::new();
    let file = disk.create(p("/a"), 8192, Reserve::Sparse).unwrap();
    let before = disk.fingerprint();
    file.write_at(4096, &[0; 10]).unwrap();
    assert_eq!(disk.fingerprint(), before);
}

#[test]
fn rot_changes_the_cache_and_the_medium() {
    let disk = SimDisk::new();
    let file = synced(&disk, "/a", 5000);
    file.write_at(0, &[0xFF; 5000]).unwrap();
    disk.flip("/a", 17).unwrap();
    disk.tear("/a", 1).unwrap();
    disk.overwrite("/a", 10, b"wrong").unwrap();
    for (model, seed, after) in images(&disk, 20) {
        let found = bytes(&after, "/a");
        assert!(matches!(found[2], 0xFD), "{model:?} {seed}: the flipped bit's byte is as the rot left it");
        assert_eq!(&found[10..15], b"wrong", "{model:?} {seed}");
        assert_eq!(&found[4096..], &[0; 904], "{model:?} {seed}");
    }
    assert_eq!(kind(disk.flip("/a", 5000 * 8)), io::ErrorKind::InvalidInput);
    assert_eq!(kind(disk.tear("/a", 2)), io::ErrorKind::InvalidInput);
    assert_eq!(kind(disk.overwrite("/a", 4999, b"xx")), io::ErrorKind::InvalidInput);
    assert_eq!(kind(disk.flip("/b", 0)), io::ErrorKind::NotFound);
}

#[test]
fn a_folder_is_copied_from_another_disk_with_all_below_it() {
    let from = SimDisk::new();
    from.import([("/x/store/a", "1"), ("/x/store/q/0/b", "22"), ("/x/other", "3")]).unwrap();
    from.create_dirs(p("/x/store/empty")).unwrap();
    let to = SimDisk::new();
    to.copy_in(&from, p("/x/store"), "/here").unwrap();
    let after = to.power_cut(0, Survivors::Nothing);
    assert_eq!(after.files(), [(p("/here/a").to_path_buf(), 1), (p("/here/q/0/b").to_path_buf(), 2)]);
    assert_eq!(bytes(&after, "/here/q/0/b"), b"22");
    assert!(after.entry(p("/here/empty")).unwrap().unwrap().is_dir);
    assert_eq!(kind(to.copy_in(&from, p("/x/store"), "/here/a")), io::ErrorKind::NotADirectory);
}

#[test]
fn it_says_what_it_is() {
    let disk = SimDisk::new();
    let said = disk.describe(p("/")).unwrap();
    assert_eq!((said.file_system.as_str(), said.in_memory), ("sim", false));
    assert_eq!(kind(disk.describe(p("/no"))), io::ErrorKind::NotFound);
    assert_eq!(kind(disk.space(p("/no"))), io::ErrorKind::NotFound);
    assert!(format!("{disk:?} {:?}", disk.replay()).contains("SimDisk"));
}

#[test]
fn threads_share_a_disk_and_every_sync_covers_what_its_thread_wrote() {
    let disk = SimDisk::new();
    let file = synced(&disk, "/a", 64 * 100);
    let file = &*file;
    std::thread::scope(|threads| {
        for thread in 0..4_u64 {
            threads.spawn(move || {
                for turn in 0..100_u64 {
                    file.write_at(64 * turn + 16 * thread, &[u8::try_from(thread + 1).unwrap(); 16]).unwrap();
                    file.sync().unwrap();
                }
            });
        }
    });
    let after = bytes(&disk.power_cut(0, Survivors::Nothing), "/a");
    let expected: Vec<u8> = (0..6400_usize).map(|i| u8::try_from(i % 64 / 16 + 1).unwrap()).collect();
    assert_eq!(after, expected);
}
