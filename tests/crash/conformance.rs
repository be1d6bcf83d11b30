//! What every disk does, one sentence a test. A disk joins with one line at `every_disk`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sawlog::disk::{Access, BootId, Disk, DiskFile, MappedDisk, OsDisk, Reserve};

/// A disk and a fresh, existing folder on it.
pub(crate) struct Ground {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    /// Removes the folder of a real disk afterwards.
    _keep: Option<tempfile::TempDir>,
}

impl Ground {
    /// A disk of this machine, in a folder of the system's temporary folder.
    pub(crate) fn real(disk: impl Disk + 'static) -> Ground {
        let keep = tempfile::tempdir().unwrap();
        Ground { disk: Arc::new(disk), dir: keep.path().to_path_buf(), _keep: Some(keep) }
    }

    /// A disk that brings its own names; the folder is made.
    #[allow(dead_code, reason = "for disks that are not of this machine")]
    pub(crate) fn own(disk: impl Disk + 'static, dir: &str) -> Ground {
        disk.create_dirs(Path::new(dir)).unwrap();
        Ground { disk: Arc::new(disk), dir: dir.into(), _keep: None }
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub(crate) fn make(&self, name: &str, len: u64, reserve: Reserve) -> Box<dyn DiskFile> {
        self.disk.create(&self.at(name), len, reserve).unwrap()
    }

    /// A file that holds exactly these bytes.
    pub(crate) fn make_with(&self, name: &str, content: &[u8]) -> Box<dyn DiskFile> {
        let file = self.make(name, content.len() as u64, Reserve::Sparse);
        file.write_at(0, content).unwrap();
        file
    }

    pub(crate) fn open(&self, name: &str, access: Access) -> Box<dyn DiskFile> {
        self.disk.open(&self.at(name), access).unwrap()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.disk.list(&self.dir).unwrap().into_iter().map(|entry| entry.name).collect()
    }

    fn kind<T: std::fmt::Debug>(result: std::io::Result<T>) -> ErrorKind {
        result.unwrap_err().kind()
    }
}

/// All bytes of a file, read by position.
pub(crate) fn content(file: &dyn DiskFile) -> Vec<u8> {
    let mut out = vec![0xEE; file.len() as usize];
    file.read_at(0, &mut out).unwrap();
    out
}

macro_rules! every_disk {
    ($($disk:ident: $ground:expr;)*) => { $(mod $disk {
        use super::*;
        every_disk! { @ $ground;
            a_new_file_is_zeros_of_the_exact_length,
            a_new_file_never_takes_the_place_of_an_old_one,
            a_file_cannot_be_made_in_a_missing_folder,
            bytes_written_are_read_back_up_to_the_last_one,
            a_read_beyond_the_end_is_an_error,
            a_write_beyond_the_end_is_an_error_and_writes_nothing,
            a_write_changes_no_byte_outside_of_its_range,
            a_view_shows_what_was_written_by_position,
            what_is_stored_in_the_mapping_is_read_by_position_and_after_reopening,
            a_store_into_a_file_without_blocks_arrives_too,
            getting_ready_changes_nothing_whatever_the_range,
            two_handles_of_one_file_see_the_same_bytes,
            a_file_opened_for_reading_refuses_to_be_written,
            reserving_keeps_the_content_and_the_length,
            a_file_of_no_length_opens_and_holds_nothing,
            opening_what_is_not_there_says_so,
            opening_a_folder_is_an_error,
            a_rename_moves_and_never_replaces,
            a_replacement_takes_the_place_of_an_old_file,
            a_removed_file_stays_readable_where_it_is_open,
            a_view_outlives_its_handle_and_the_removal,
            a_name_is_free_again_after_a_removal,
            a_list_is_sorted_and_tells_files_from_folders,
            listing_a_missing_folder_or_a_file_is_an_error,
            an_entry_tells_what_stands_at_a_path_or_that_nothing_does,
            folders_are_made_with_those_above_and_again_without_harm,
            a_folder_cannot_be_made_over_or_under_a_file,
            syncs_of_files_and_folders_succeed,
            syncing_a_missing_folder_is_an_error,
            a_lock_is_refused_until_the_holder_drops_it,
            a_lock_file_holds_the_word_that_java_writes,
            a_lock_in_a_missing_folder_is_an_error,
            locks_of_two_files_do_not_meet,
            the_room_left_is_no_more_than_there_is,
            the_run_of_the_system_stays_the_same,
            a_folder_can_be_described,
        }
    })* };
    (@ $ground:expr; $($sentence:ident,)*) => {
        $(#[test] fn $sentence() { super::$sentence(&$ground); })*
    };
}

every_disk! {
    os: Ground::real(OsDisk::new());
    mapped: Ground::real(MappedDisk::new());
}

const BOTH: [Reserve; 2] = [Reserve::Blocks, Reserve::Sparse];

fn a_new_file_is_zeros_of_the_exact_length(on: &Ground) {
    for (at, len) in [1, 511, 4096, 4097, 200_001].into_iter().enumerate() {
        for reserve in BOTH {
            let name = format!("{at}-{reserve:?}");
            let file = on.make(&name, len, reserve);
            assert_eq!((file.len(), file.is_empty()), (len, false));
            assert!(content(&*file).iter().all(|byte| *byte == 0), "{name}");
            assert_eq!(on.disk.entry(&on.at(&name)).unwrap().unwrap().len, len);
            assert_eq!(on.open(&name, Access::Read).len(), len);
        }
    }
}

fn a_new_file_never_takes_the_place_of_an_old_one(on: &Ground) {
    on.make_with("file", b"old");
    on.disk.create_dirs(&on.at("folder")).unwrap();
    for reserve in BOTH {
        for name in ["file", "folder"] {
            let made = on.disk.create(&on.at(name), 8, reserve);
            assert_eq!(Ground::kind(made), ErrorKind::AlreadyExists, "{name}");
        }
    }
    assert_eq!(content(&*on.open("file", Access::Read)), b"old");
    assert_eq!(on.names(), ["file", "folder"]);
}

fn a_file_cannot_be_made_in_a_missing_folder(on: &Ground) {
    let made = on.disk.create(&on.at("none/file"), 8, Reserve::Blocks);
    assert_eq!(Ground::kind(made), ErrorKind::NotFound);
    assert!(on.names().is_empty());
}

fn bytes_written_are_read_back_up_to_the_last_one(on: &Ground) {
    for reserve in BOTH {
        let name = format!("{reserve:?}");
        let file = on.make(&name, 10_000, reserve);
        let places = [(0, &b"first"[..]), (4094, b"across pages"), (9_996, b"last"), (10_000, b"")];
        for (at, bytes) in places {
            file.write_at(at, bytes).unwrap();
        }
        for (at, bytes) in places {
            let mut out = vec![0; bytes.len()];
            file.read_at(at, &mut out).unwrap();
            assert_eq!(out, bytes);
            on.open(&name, Access::Read).read_at(at, &mut out).unwrap();
            assert_eq!(out, bytes);
        }
    }
}

const BEYOND: [(u64, usize); 5] = [(100, 1), (99, 2), (101, 0), (0, 101), (u64::MAX, 2)];

fn a_read_beyond_the_end_is_an_error(on: &Ground) {
    let file = on.make("file", 100, Reserve::Blocks);
    for (at, len) in BEYOND {
        let read = file.read_at(at, &mut vec![0; len]);
        assert_eq!(Ground::kind(read), ErrorKind::UnexpectedEof, "{len} bytes at {at}");
        assert_eq!(Ground::kind(file.view(at, len)), ErrorKind::UnexpectedEof, "{len} bytes at {at}");
    }
    file.read_at(100, &mut []).unwrap();
    assert!(file.view(100, 0).unwrap().is_empty());
}

fn a_write_beyond_the_end_is_an_error_and_writes_nothing(on: &Ground) {
    for reserve in BOTH {
        let name = format!("{reserve:?}");
        let file = on.make(&name, 100, reserve);
        for (at, len) in BEYOND {
            let bytes = vec![7; len];
            assert_eq!(
                Ground::kind(file.write_at(at, &bytes)),
                ErrorKind::InvalidInput,
                "{len} bytes at {at}"
            );
            assert_eq!(Ground::kind(file.store_mapped(at, &bytes)), ErrorKind::InvalidInput, "{len} at {at}");
        }
        assert_eq!(content(&*file), [0; 100]);
        assert_eq!(on.open(&name, Access::Read).len(), 100);
    }
}

fn a_write_changes_no_byte_outside_of_its_range(on: &Ground) {
    let file = on.make("file", 9_000, Reserve::Blocks);
    let mut want = vec![0xAA; 9_000];
    file.write_at(0, &want).unwrap();
    for (at, len) in [(1, 1), (4095, 2), (5_000, 3_999)] {
        file.write_at(at as u64, &vec![0xBB; len]).unwrap();
        want[at..at + len].fill(0xBB);
        assert_eq!(content(&*file), want);
    }
    for (at, len) in [(3, 1), (4_090, 12), (8_999, 1)] {
        file.store_mapped(at as u64, &vec![0xCC; len]).unwrap();
        want[at..at + len].fill(0xCC);
        assert_eq!(content(&*file), want);
    }
}

fn a_view_shows_what_was_written_by_position(on: &Ground) {
    let file = on.make("file", 10_000, Reserve::Blocks);
    assert_eq!(file.view(9_999, 1).unwrap(), [0][..]);
    file.write_at(4_094, b"across").unwrap();
    assert_eq!(file.view(4_094, 6).unwrap(), b"across"[..]);
    let part = file.view(4_095, 3).unwrap();
    file.write_at(4_100, b" pages").unwrap();
    assert_eq!(part, b"cro"[..]);
    assert_eq!(file.view(4_094, 12).unwrap(), b"across pages"[..]);
    let again = on.open("file", Access::Read);
    assert_eq!(again.view(4_094, 12).unwrap(), b"across pages"[..]);
}

fn what_is_stored_in_the_mapping_is_read_by_position_and_after_reopening(on: &Ground) {
    let file = on.make("file", 10_000, Reserve::Blocks);
    file.make_ready(0, 10_000);
    file.store_mapped(0, b"first").unwrap();
    file.store_mapped(4_094, b"across").unwrap();
    file.write_at(4_100, b" pages").unwrap();
    file.store_mapped(9_996, b"last").unwrap();
    let mut want = vec![0; 10_000];
    want[..5].copy_from_slice(b"first");
    want[4_094..4_106].copy_from_slice(b"across pages");
    want[9_996..].copy_from_slice(b"last");
    assert_eq!(content(&*file), want);
    assert_eq!(file.view(0, 10_000).unwrap(), want);
    file.sync().unwrap();
    drop(file);
    assert_eq!(content(&*on.open("file", Access::Read)), want);
    assert_eq!(content(&*on.open("file", Access::Write)), want);
}

fn a_store_into_a_file_without_blocks_arrives_too(on: &Ground) {
    let file = on.make("file", 10_000, Reserve::Sparse);
    file.store_mapped(4_094, b"across").unwrap();
    assert_eq!(file.view(4_094, 6).unwrap(), b"across"[..]);
    file.sync().unwrap();
    let again = on.open("file", Access::Write);
    again.store_mapped(4_100, b" pages").unwrap();
    again.reserve().unwrap();
    again.store_mapped(4_106, b" twice").unwrap();
    assert_eq!(content(&*file)[4_094..4_112], b"across pages twice"[..]);
}

fn getting_ready_changes_nothing_whatever_the_range(on: &Ground) {
    on.make_with("file", &[0x5A; 9_000]);
    for access in [Access::Read, Access::Write] {
        let file = on.open("file", access);
        for reserved in [false, true] {
            for (at, len) in
                [(0, 9_000), (1, 1), (8_999, 1), (0, u64::MAX), (9_000, 1), (u64::MAX, u64::MAX), (5, 0)]
            {
                file.make_ready(at, len);
            }
            assert_eq!(content(&*file), [0x5A; 9_000], "{reserved}");
            if access == Access::Write {
                file.reserve().unwrap();
            }
        }
    }
    on.make("empty", 0, Reserve::Blocks).make_ready(0, 1);
}

fn two_handles_of_one_file_see_the_same_bytes(on: &Ground) {
    let one = on.make("file", 8_192, Reserve::Blocks);
    let two = on.open("file", Access::Read);
    one.store_mapped(0, b"stored").unwrap();
    assert_eq!(two.view(0, 6).unwrap(), b"stored"[..]);
    one.write_at(6, b"written").unwrap();
    assert_eq!(two.view(6, 7).unwrap(), b"written"[..]);
    let three = on.open("file", Access::Write);
    three.write_at(13, b"back").unwrap();
    assert_eq!(content(&*one)[..17], b"storedwrittenback"[..]);
}

fn a_file_opened_for_reading_refuses_to_be_written(on: &Ground) {
    on.make_with("file", b"as it was");
    let file = on.open("file", Access::Read);
    assert_eq!(Ground::kind(file.write_at(0, b"x")), ErrorKind::PermissionDenied);
    assert_eq!(Ground::kind(file.store_mapped(0, b"x")), ErrorKind::PermissionDenied);
    assert_eq!(Ground::kind(file.reserve()), ErrorKind::PermissionDenied);
    assert_eq!(file.view(0, 9).unwrap(), b"as it was"[..]);
    assert_eq!(Ground::kind(file.store_mapped(0, b"x")), ErrorKind::PermissionDenied);
    assert_eq!(content(&*file), b"as it was");
    file.sync().unwrap();
}

fn reserving_keeps_the_content_and_the_length(on: &Ground) {
    let file = on.make("file", 300_000, Reserve::Sparse);
    file.write_at(65_534, b"edge").unwrap();
    file.write_at(299_999, b"z").unwrap();
    let before = content(&*file);
    file.reserve().unwrap();
    file.reserve().unwrap();
    assert_eq!((file.len(), content(&*file)), (300_000, before.clone()));
    let again = on.open("file", Access::Write);
    again.reserve().unwrap();
    assert_eq!((again.len(), content(&*again)), (300_000, before));
}

fn a_file_of_no_length_opens_and_holds_nothing(on: &Ground) {
    for reserve in BOTH {
        let name = format!("{reserve:?}");
        assert_eq!(on.make(&name, 0, reserve).len(), 0);
        for access in [Access::Read, Access::Write] {
            let file = on.open(&name, access);
            assert_eq!((file.len(), file.is_empty()), (0, true));
            assert!(file.view(0, 0).unwrap().is_empty());
            file.read_at(0, &mut []).unwrap();
            assert_eq!(Ground::kind(file.view(0, 1)), ErrorKind::UnexpectedEof);
            file.sync().unwrap();
        }
        let file = on.open(&name, Access::Write);
        file.write_at(0, b"").unwrap();
        file.store_mapped(0, b"").unwrap();
        file.reserve().unwrap();
        assert_eq!(Ground::kind(file.store_mapped(0, b"x")), ErrorKind::InvalidInput);
    }
}

fn opening_what_is_not_there_says_so(on: &Ground) {
    for access in [Access::Read, Access::Write] {
        for name in ["none", "none/file"] {
            assert_eq!(Ground::kind(on.disk.open(&on.at(name), access)), ErrorKind::NotFound);
        }
    }
    assert!(on.names().is_empty());
}

fn opening_a_folder_is_an_error(on: &Ground) {
    on.disk.create_dirs(&on.at("folder")).unwrap();
    for access in [Access::Read, Access::Write] {
        assert_eq!(Ground::kind(on.disk.open(&on.at("folder"), access)), ErrorKind::IsADirectory);
    }
}

fn a_rename_moves_and_never_replaces(on: &Ground) {
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

fn a_replacement_takes_the_place_of_an_old_file(on: &Ground) {
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

fn a_removed_file_stays_readable_where_it_is_open(on: &Ground) {
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

fn a_view_outlives_its_handle_and_the_removal(on: &Ground) {
    let file = on.make("file", 8_192, Reserve::Blocks);
    file.store_mapped(4_000, &[9; 200]).unwrap();
    let view = file.view(4_000, 200).unwrap();
    let part = view.slice(100..);
    drop(file);
    on.disk.remove(&on.at("file")).unwrap();
    drop(view);
    assert_eq!(std::thread::spawn(move || part.to_vec()).join().unwrap(), [9; 100]);
}

fn a_name_is_free_again_after_a_removal(on: &Ground) {
    let old = on.make_with("file", b"old");
    on.disk.remove(&on.at("file")).unwrap();
    let new = on.make("file", 5, Reserve::Blocks);
    assert_eq!((content(&*old), content(&*new)), (b"old".to_vec(), vec![0; 5]));
}

fn a_list_is_sorted_and_tells_files_from_folders(on: &Ground) {
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

fn listing_a_missing_folder_or_a_file_is_an_error(on: &Ground) {
    on.make_with("file", b"x");
    assert_eq!(Ground::kind(on.disk.list(&on.at("none"))), ErrorKind::NotFound);
    on.disk.list(&on.at("file")).unwrap_err();
}

fn an_entry_tells_what_stands_at_a_path_or_that_nothing_does(on: &Ground) {
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

fn folders_are_made_with_those_above_and_again_without_harm(on: &Ground) {
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

fn a_folder_cannot_be_made_over_or_under_a_file(on: &Ground) {
    on.make_with("file", b"kept");
    on.disk.create_dirs(&on.at("file")).unwrap_err();
    on.disk.create_dirs(&on.at("file/under")).unwrap_err();
    assert_eq!(content(&*on.open("file", Access::Read)), b"kept");
    assert_eq!(on.names(), ["file"]);
}

fn syncs_of_files_and_folders_succeed(on: &Ground) {
    let file = on.make("file", 4_096, Reserve::Blocks);
    file.sync().unwrap();
    file.store_mapped(1, b"stored").unwrap();
    file.write_at(100, b"written").unwrap();
    file.sync().unwrap();
    file.sync().unwrap();
    on.disk.sync_dir(&on.dir).unwrap();
    on.disk.remove(&on.at("file")).unwrap();
    on.disk.sync_dir(&on.dir).unwrap();
    file.sync().unwrap();
}

fn syncing_a_missing_folder_is_an_error(on: &Ground) {
    on.make_with("file", b"x");
    assert_eq!(Ground::kind(on.disk.sync_dir(&on.at("none"))), ErrorKind::NotFound);
    on.disk.sync_dir(&on.at("file")).unwrap_err();
}

fn a_lock_is_refused_until_the_holder_drops_it(on: &Ground) {
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

fn a_lock_file_holds_the_word_that_java_writes(on: &Ground) {
    drop(on.disk.lock(&on.at("lock")).unwrap());
    assert_eq!(content(&*on.open("lock", Access::Read)), b"lock");
    on.make("empty", 0, Reserve::Sparse);
    drop(on.disk.lock(&on.at("empty")).unwrap());
    assert_eq!(content(&*on.open("empty", Access::Read)), b"lock");
    on.make_with("other", b"something longer");
    drop(on.disk.lock(&on.at("other")).unwrap());
    assert_eq!(content(&*on.open("other", Access::Read)), b"something longer");
}

fn a_lock_in_a_missing_folder_is_an_error(on: &Ground) {
    assert_eq!(Ground::kind(on.disk.lock(&on.at("none/lock"))), ErrorKind::NotFound);
    on.disk.create_dirs(&on.at("folder")).unwrap();
    on.disk.lock(&on.at("folder")).unwrap_err();
}

fn locks_of_two_files_do_not_meet(on: &Ground) {
    let one = on.disk.lock(&on.at("one")).unwrap();
    let two = on.disk.lock(&on.at("two")).unwrap();
    drop(one);
    assert_eq!(Ground::kind(on.disk.lock(&on.at("two"))), ErrorKind::WouldBlock);
    drop(on.disk.lock(&on.at("one")).unwrap());
    drop(two);
}

fn the_room_left_is_no_more_than_there_is(on: &Ground) {
    let space = on.disk.space(&on.dir).unwrap();
    assert!(space.total > 0 && space.free <= space.total, "{space:?}");
    on.disk.space(&on.at("none")).unwrap_err();
}

fn the_run_of_the_system_stays_the_same(on: &Ground) {
    let id = on.disk.boot_id();
    assert_ne!(id, BootId::default());
    assert_eq!(on.disk.boot_id(), id);
}

fn a_folder_can_be_described(on: &Ground) {
    let found = on.disk.describe(&on.dir).unwrap();
    assert!(!found.file_system.is_empty());
    assert_eq!(on.disk.describe(&on.dir).unwrap(), found);
    on.disk.describe(&on.at("none")).unwrap_err();
}
