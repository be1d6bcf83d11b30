//! The sentences about names: files and folders coming and going, locks, and what stands under a folder.

use std::io::ErrorKind;

use sawlog::disk::{Access, BootId, Reserve};

use super::{Ground, content};

pub(super) fn opening_what_is_not_there_says_so(on: &Ground) {
    for access in [Access::Read, Access::Write] {
        for name in ["none", "none/file"] {
            assert_eq!(Ground::kind(on.disk.open(&on.at(name), access)), ErrorKind::NotFound);
        }
    }
    assert!(on.names().is_empty());
}

pub(super) fn opening_a_folder_is_an_error(on: &Ground) {
    on.disk.create_dirs(&on.at("folder")).unwrap();
    for access in [Access::Read, Access::Write] {
        assert_eq!(Ground::kind(on.disk.open(&on.at("folder"), access)), ErrorKind::IsADirectory);
    }
}

pub(super) fn a_rename_moves_and_never_replaces(on: &Ground) {
    let open = on.make_with("old", b"moved");
    on.make_with("taken", b"stays");
    on.disk.create_dirs(&on.at("sub")).unwrap();
    for taken in ["taken", "sub"] {
        let moved = on.disk.rename(&on.at("old"), &on.at(taken));
        assert_eq!(Ground::kind(moved), ErrorKind::AlreadyExists, "{taken}");
    }
    assert_eq!(content(&*on.open("taken", Access::Read)), b"stays");
    on.disk.rename(&on.at("sub/none"), &on.at("new")).unwrap_err();
    assert_eq!(Ground::kind(on.disk.rename(&on.at("old"), &on.at("none/new"))), ErrorKind::NotFound);
    assert_eq!(on.names(), ["old", "sub", "taken"]);

    on.disk.rename(&on.at("old"), &on.at("sub/new")).unwrap();
    assert_eq!(on.names(), ["sub", "taken"]);
    assert_eq!(content(&*on.open("sub/new", Access::Read)), b"moved");
    open.write_at(0, b"still").unwrap();
    assert_eq!(content(&*on.open("sub/new", Access::Read)), b"still");
}

pub(super) fn a_replacement_takes_the_place_of_an_old_file(on: &Ground) {
    let old = on.make_with("file", b"old one");
    on.make_with("file.new", b"new");
    on.disk.replace(&on.at("file.new"), &on.at("file")).unwrap();
    assert_eq!(on.names(), ["file"]);
    assert_eq!(content(&*on.open("file", Access::Read)), b"new");
    assert_eq!(content(&*old), b"old one");
    on.make_with("more.new", b"more");
    on.disk.replace(&on.at("more.new"), &on.at("more")).unwrap();
    assert_eq!(content(&*on.open("more", Access::Read)), b"more");
    assert_eq!(Ground::kind(on.disk.replace(&on.at("none"), &on.at("file"))), ErrorKind::NotFound);
    assert_eq!(content(&*on.open("file", Access::Read)), b"new");
}

pub(super) fn a_link_is_one_more_name_of_the_same_file(on: &Ground) {
    let file = on.make_with("file", b"content");
    on.disk.create_dirs(&on.at("sub")).unwrap();
    on.disk.link(&on.at("file"), &on.at("sub/link")).unwrap();
    file.write_at(0, b"CON").unwrap();
    assert_eq!(content(&*on.open("sub/link", Access::Read)), b"CONtent");
    assert_eq!(on.disk.entry(&on.at("sub/link")).unwrap().unwrap().len, 7);
    on.disk.remove(&on.at("file")).unwrap();
    assert_eq!(on.names(), ["sub"]);
    let link = on.open("sub/link", Access::Write);
    link.write_at(3, b"TENT").unwrap();
    link.sync().unwrap();
    assert_eq!(content(&*file), b"CONTENT");
    assert_eq!((file.has_name(), link.has_name()), (true, true));
    on.disk.remove(&on.at("sub/link")).unwrap();
    assert_eq!((file.has_name(), link.has_name()), (false, false));
    assert_eq!(content(&*link), b"CONTENT");
}

pub(super) fn a_link_never_replaces_and_needs_a_file(on: &Ground) {
    on.make_with("file", b"one");
    on.make_with("taken", b"other");
    on.disk.create_dirs(&on.at("folder")).unwrap();
    for taken in ["taken", "folder", "file"] {
        let made = on.disk.link(&on.at("file"), &on.at(taken));
        assert_eq!(Ground::kind(made), ErrorKind::AlreadyExists, "{taken}");
    }
    assert_eq!(Ground::kind(on.disk.link(&on.at("none"), &on.at("new"))), ErrorKind::NotFound);
    assert_eq!(Ground::kind(on.disk.link(&on.at("file"), &on.at("none/new"))), ErrorKind::NotFound);
    on.disk.link(&on.at("folder"), &on.at("new")).unwrap_err();
    assert_eq!(on.names(), ["file", "folder", "taken"]);
    assert_eq!(content(&*on.open("taken", Access::Read)), b"other");
}

pub(super) fn a_folder_is_renamed_with_all_in_it_and_never_over_another(on: &Ground) {
    on.disk.create_dirs(&on.at("old/sub")).unwrap();
    on.disk.create_dirs(&on.at("other")).unwrap();
    let file = on.make_with("old/sub/file", b"moved");
    on.make_with("taken", b"stays");
    for taken in ["taken", "other"] {
        let moved = on.disk.rename_folder(&on.at("old"), &on.at(taken));
        assert_eq!(Ground::kind(moved), ErrorKind::AlreadyExists, "{taken}");
    }
    let none = on.disk.rename_folder(&on.at("none"), &on.at("new"));
    assert_eq!(Ground::kind(none), ErrorKind::NotFound);
    on.disk.rename_folder(&on.at("old"), &on.at("old/sub/new")).unwrap_err();
    on.disk.rename_folder(&on.at("old"), &on.at("other/new")).unwrap();
    assert_eq!(on.names(), ["other", "taken"]);
    assert!(on.disk.entry(&on.at("other/new/sub")).unwrap().unwrap().is_dir);
    file.write_at(0, b"still").unwrap();
    file.sync().unwrap();
    assert_eq!(content(&*on.open("other/new/sub/file", Access::Read)), b"still");
    on.disk.sync_dir(&on.at("other")).unwrap();
    on.disk.create_dirs(&on.at("old")).unwrap();
    assert!(on.disk.list(&on.at("old")).unwrap().is_empty(), "the name is free again");
}

pub(super) fn a_folder_is_removed_only_when_nothing_is_in_it(on: &Ground) {
    on.disk.create_dirs(&on.at("folder/sub")).unwrap();
    on.make_with("folder/file", b"x");
    let remove = |name: &str| on.disk.remove_folder(&on.at(name));
    assert_eq!(Ground::kind(remove("folder")), ErrorKind::DirectoryNotEmpty);
    on.disk.remove(&on.at("folder/file")).unwrap();
    assert_eq!(Ground::kind(remove("folder")), ErrorKind::DirectoryNotEmpty);
    remove("folder/sub").unwrap();
    remove("folder").unwrap();
    assert!(on.names().is_empty());
    assert_eq!(Ground::kind(remove("folder")), ErrorKind::NotFound);
    on.disk.create_dirs(&on.at("folder")).unwrap();
    on.make_with("file", b"x");
    remove("file").unwrap_err();
    assert_eq!(on.names(), ["file", "folder"]);
}

pub(super) fn a_removed_file_stays_readable_where_it_is_open(on: &Ground) {
    on.make_with("file", b"content");
    let (reader, writer) = (on.open("file", Access::Read), on.open("file", Access::Write));
    on.disk.remove(&on.at("file")).unwrap();
    assert!(on.disk.entry(&on.at("file")).unwrap().is_none());
    assert_eq!(content(&*reader), b"content");
    assert_eq!(reader.view(3, 4).unwrap(), b"tent"[..]);
    writer.write_at(0, b"CON").unwrap();
    writer.sync().unwrap();
    assert_eq!(content(&*reader), b"CONtent");
    assert_eq!(Ground::kind(on.disk.remove(&on.at("file"))), ErrorKind::NotFound);
    on.disk.create_dirs(&on.at("folder")).unwrap();
    on.disk.remove(&on.at("folder")).unwrap_err();
    assert_eq!(on.names(), ["folder"]);
}

pub(super) fn a_view_outlives_its_handle_and_the_removal(on: &Ground) {
    let file = on.make("file", 8_192, Reserve::Blocks);
    file.store_mapped(4_000, &[&[9; 200]]).unwrap();
    let view = file.view(4_000, 200).unwrap();
    let part = view.slice(100..);
    drop(file);
    on.disk.remove(&on.at("file")).unwrap();
    drop(view);
    assert_eq!(std::thread::spawn(move || part.to_vec()).join().unwrap(), [9; 100]);
}

pub(super) fn a_name_is_free_again_after_a_removal(on: &Ground) {
    let old = on.make_with("file", b"old");
    on.disk.remove(&on.at("file")).unwrap();
    let new = on.make("file", 5, Reserve::Blocks);
    assert_eq!((content(&*old), content(&*new)), (b"old".to_vec(), vec![0; 5]));
}

pub(super) fn a_list_is_sorted_and_tells_files_from_folders(on: &Ground) {
    assert!(on.names().is_empty());
    for name in ["b", "00000000001073741824", "a", "00000000000000000000", "B"] {
        on.make(name, name.len() as u64, Reserve::Sparse);
    }
    on.disk.create_dirs(&on.at("abc/inner")).unwrap();
    on.make("abc/hidden", 1, Reserve::Sparse);
    let list = on.disk.list(&on.dir).unwrap();
    let found: Vec<_> = list.iter().map(|entry| (entry.name.as_str(), entry.len, entry.is_dir)).collect();
    let want = [
        ("00000000000000000000", 20, false),
        ("00000000001073741824", 20, false),
        ("B", 1, false),
        ("a", 1, false),
        ("abc", 0, true),
        ("b", 1, false),
    ];
    assert_eq!(found, want);
    assert!(list.iter().all(|entry| entry.path == on.at(&entry.name)));
}

pub(super) fn listing_a_missing_folder_or_a_file_is_an_error(on: &Ground) {
    on.make_with("file", b"x");
    assert_eq!(Ground::kind(on.disk.list(&on.at("none"))), ErrorKind::NotFound);
    on.disk.list(&on.at("file")).unwrap_err();
}

pub(super) fn an_entry_tells_what_stands_at_a_path_or_that_nothing_does(on: &Ground) {
    on.make_with("file", b"four");
    on.disk.create_dirs(&on.at("folder")).unwrap();
    let file = on.disk.entry(&on.at("file")).unwrap().unwrap();
    assert_eq!((file.name.as_str(), file.len, file.is_dir), ("file", 4, false));
    assert_eq!(file.path, on.at("file"));
    let folder = on.disk.entry(&on.at("folder")).unwrap().unwrap();
    assert_eq!((folder.name.as_str(), folder.len, folder.is_dir), ("folder", 0, true));
    assert!(on.disk.entry(&on.at("none")).unwrap().is_none());
    assert!(on.disk.entry(&on.at("none/file")).unwrap().is_none());
}

pub(super) fn folders_are_made_with_those_above_and_again_without_harm(on: &Ground) {
    let deep = on.at("a/b/c");
    for _ in 0..2 {
        on.disk.create_dirs(&deep).unwrap();
        assert!(on.disk.entry(&deep).unwrap().unwrap().is_dir);
    }
    on.make("a/b/file", 1, Reserve::Sparse);
    on.disk.create_dirs(&on.at("a/b/d")).unwrap();
    let names: Vec<_> = on.disk.list(&on.at("a/b")).unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["c", "d", "file"]);
}

pub(super) fn a_folder_cannot_be_made_over_or_under_a_file(on: &Ground) {
    on.make_with("file", b"kept");
    on.disk.create_dirs(&on.at("file")).unwrap_err();
    on.disk.create_dirs(&on.at("file/under")).unwrap_err();
    assert_eq!(content(&*on.open("file", Access::Read)), b"kept");
    assert_eq!(on.names(), ["file"]);
}

pub(super) fn syncs_of_files_and_folders_succeed(on: &Ground) {
    let file = on.make("file", 4_096, Reserve::Blocks);
    file.sync().unwrap();
    file.store_mapped(1, &[b"stored"]).unwrap();
    file.write_at(100, b"written").unwrap();
    file.sync().unwrap();
    file.sync().unwrap();
    on.disk.sync_dir(&on.dir).unwrap();
    on.disk.remove(&on.at("file")).unwrap();
    on.disk.sync_dir(&on.dir).unwrap();
    file.sync().unwrap();
}

pub(super) fn syncing_a_missing_folder_is_an_error(on: &Ground) {
    on.make_with("file", b"x");
    assert_eq!(Ground::kind(on.disk.sync_dir(&on.at("none"))), ErrorKind::NotFound);
    on.disk.sync_dir(&on.at("file")).unwrap_err();
}

pub(super) fn a_lock_is_refused_until_the_holder_drops_it(on: &Ground) {
    let path = on.at("lock");
    for _ in 0..2 {
        let held = on.disk.lock(&path).unwrap();
        for _ in 0..2 {
            assert_eq!(Ground::kind(on.disk.lock(&path)), ErrorKind::WouldBlock);
        }
        let other =
            std::thread::scope(|scope| scope.spawn(|| Ground::kind(on.disk.lock(&path))).join().unwrap());
        assert_eq!(other, ErrorKind::WouldBlock);
        drop(held);
    }
    drop(on.disk.lock(&path).unwrap());
}

pub(super) fn a_lock_file_holds_the_word_that_java_writes(on: &Ground) {
    drop(on.disk.lock(&on.at("lock")).unwrap());
    assert_eq!(content(&*on.open("lock", Access::Read)), b"lock");
    on.make("empty", 0, Reserve::Sparse);
    drop(on.disk.lock(&on.at("empty")).unwrap());
    assert_eq!(content(&*on.open("empty", Access::Read)), b"lock");
    on.make_with("other", b"something longer");
    drop(on.disk.lock(&on.at("other")).unwrap());
    assert_eq!(content(&*on.open("other", Access::Read)), b"something longer");
}

pub(super) fn a_lock_in_a_missing_folder_is_an_error(on: &Ground) {
    assert_eq!(Ground::kind(on.disk.lock(&on.at("none/lock"))), ErrorKind::NotFound);
    on.disk.create_dirs(&on.at("folder")).unwrap();
    on.disk.lock(&on.at("folder")).unwrap_err();
}

pub(super) fn locks_of_two_files_do_not_meet(on: &Ground) {
    let one = on.disk.lock(&on.at("one")).unwrap();
    let two = on.disk.lock(&on.at("two")).unwrap();
    drop(one);
    assert_eq!(Ground::kind(on.disk.lock(&on.at("two"))), ErrorKind::WouldBlock);
    drop(on.disk.lock(&on.at("one")).unwrap());
    drop(two);
}

pub(super) fn the_room_left_is_no_more_than_there_is(on: &Ground) {
    let space = on.disk.space(&on.dir).unwrap();
    assert!(space.total > 0 && space.free <= space.total, "{space:?}");
    on.disk.space(&on.at("none")).unwrap_err();
}

pub(super) fn the_run_of_the_system_stays_the_same(on: &Ground) {
    let id = on.disk.boot_id();
    assert_ne!(id, BootId::default());
    assert_eq!(on.disk.boot_id(), id);
}

pub(super) fn a_folder_can_be_described(on: &Ground) {
    let found = on.disk.describe(&on.dir).unwrap();
    assert!(!found.file_system.is_empty());
    assert_eq!(on.disk.describe(&on.dir).unwrap(), found);
    on.disk.describe(&on.at("none")).unwrap_err();
}
