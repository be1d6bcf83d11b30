//! What every disk does, one sentence a test: here those about bytes. A disk joins with one line at `every_disk`.

mod names;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sawlog::disk::sim::SimDisk;
use sawlog::disk::{Access, Disk, DiskFile, MappedDisk, OsDisk, Reserve};

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

use names::*;

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
            getting_ready_changes_nothing_around_it_whatever_the_range,
            two_handles_of_one_file_see_the_same_bytes,
            a_file_opened_for_reading_refuses_to_be_written,
            reserving_keeps_the_content_and_the_length,
            a_file_of_no_length_opens_and_holds_nothing,
            opening_what_is_not_there_says_so,
            opening_a_folder_is_an_error,
            a_rename_moves_and_never_replaces,
            a_replacement_takes_the_place_of_an_old_file,
            a_link_is_one_more_name_of_the_same_file,
            a_link_never_replaces_and_needs_a_file,
            a_folder_is_renamed_with_all_in_it_and_never_over_another,
            a_folder_is_removed_only_when_nothing_is_in_it,
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
    sim: Ground::own(SimDisk::new(), "/store");
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
            assert_eq!(
                Ground::kind(file.store_mapped(at, &[&bytes])),
                ErrorKind::InvalidInput,
                "{len} at {at}"
            );
        }
        // The first part would fit.
        let kind = Ground::kind(file.store_mapped(90, &[&[7; 5], &[7; 6]]));
        assert_eq!(kind, ErrorKind::InvalidInput, "11 bytes in two parts at 90");
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
        file.store_mapped(at as u64, &[&vec![0xCC; len]]).unwrap();
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
    file.store_mapped(0, &[b"first"]).unwrap();
    file.store_mapped(4_094, &[b"a", b"", b"cro", b"ss"]).unwrap();
    file.write_at(4_100, b" pages").unwrap();
    file.store_mapped(9_996, &[b"last"]).unwrap();
    let mut want = vec![0; 10_000];
    want[..5].copy_from_slice(b"first");
    want[4_094..4_106].copy_from_slice(b"across pages");
    want[9_996..].copy_from_slice(b"last");
    assert_eq!(content(&*file), want);
    assert_eq!(file.view(0, 10_000).unwrap(), want);
    file.sync().unwrap();
    // Any range will do, also one that is empty or goes beyond the end.
    for (from, len) in [(0, 1), (1, 4096), (4095, 0), (0, 10_000), (10_000, 7), (1, u64::MAX)] {
        file.sync_range(from, len).unwrap();
    }
    drop(file);
    assert_eq!(content(&*on.open("file", Access::Read)), want);
    assert_eq!(content(&*on.open("file", Access::Write)), want);
}

fn a_store_into_a_file_without_blocks_arrives_too(on: &Ground) {
    let file = on.make("file", 10_000, Reserve::Sparse);
    file.store_mapped(4_094, &[b"ac", b"ross"]).unwrap();
    assert_eq!(file.view(4_094, 6).unwrap(), b"across"[..]);
    file.sync().unwrap();
    let again = on.open("file", Access::Write);
    again.store_mapped(4_100, &[b" pages"]).unwrap();
    again.reserve().unwrap();
    again.store_mapped(4_106, &[b" twice"]).unwrap();
    assert_eq!(content(&*file)[4_094..4_112], b"across pages twice"[..]);
}

fn getting_ready_changes_nothing_around_it_whatever_the_range(on: &Ground) {
    on.make_with("file", &[0x5A; 9_000]);
    for access in [Access::Read, Access::Write] {
        let file = on.open("file", access);
        for reserved in [false, true] {
            // The last ones are within what may be zeroed: bytes that nobody wants yet.
            for (at, len) in
                [(9_000, 1), (u64::MAX, u64::MAX), (5, 0), (8_999, 1), (8_000, u64::MAX), (8_000, 500)]
            {
                file.make_ready(at, len);
            }
            assert_eq!(content(&*file)[..8_000], [0x5A; 8_000], "{reserved}");
            if access == Access::Write {
                file.reserve().unwrap();
            } else {
                assert_eq!(content(&*file), [0x5A; 9_000]);
            }
        }
    }
    on.make("empty", 0, Reserve::Blocks).make_ready(0, 1);
}

fn two_handles_of_one_file_see_the_same_bytes(on: &Ground) {
    let one = on.make("file", 8_192, Reserve::Blocks);
    let two = on.open("file", Access::Read);
    one.store_mapped(0, &[b"stored"]).unwrap();
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
    assert_eq!(Ground::kind(file.store_mapped(0, &[b"x"])), ErrorKind::PermissionDenied);
    assert_eq!(Ground::kind(file.reserve()), ErrorKind::PermissionDenied);
    assert_eq!(file.view(0, 9).unwrap(), b"as it was"[..]);
    assert_eq!(Ground::kind(file.store_mapped(0, &[b"x"])), ErrorKind::PermissionDenied);
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
        file.store_mapped(0, &[b""]).unwrap();
        file.reserve().unwrap();
        assert_eq!(Ground::kind(file.store_mapped(0, &[b"x"])), ErrorKind::InvalidInput);
    }
}
