use super::*;
use crate::disk::default_for;

#[test]
fn blocks_are_trusted_on_ext4_xfs_and_memory_alone() {
    for number in [0xEF53, 0x5846_5342] {
        assert_eq!(allocation(number), Allocation::Holds, "{number:#x}");
    }
    for number in [0x0102_1994, 0x8584_58F6] {
        assert_eq!(allocation(number), Allocation::InMemory, "{number:#x}");
    }
    let copying = [0x9123_683E, 0x2FC1_2FC1, 0xCA45_1A4E, 0xF2F5_2010, 0x794C_7630];
    let remote = [0x6969, 0x6573_5546, 0xFF53_4D42, 0xFE53_4D42, 0x517B, 0x0102_1997, 0x00C3_6400];
    for number in copying.into_iter().chain(remote).chain([0, 1, 0xDEAD_BEEF]) {
        assert_eq!(allocation(number), Allocation::PromisesNothing, "{number:#x}");
    }
}

#[test]
fn no_number_is_listed_twice() {
    for (at, known) in KNOWN.iter().enumerate() {
        assert!(KNOWN.iter().skip(at + 1).all(|other| other.0 != known.0), "{}", known.1);
    }
}

#[test]
fn a_folder_that_is_not_there_yet_gets_the_disk_of_what_stands_above_it() {
    let dir = tempfile::tempdir().unwrap();
    let here = existing_file_system(dir.path());
    assert!(here.is_some());
    assert_eq!(existing_file_system(&dir.path().join("a/b/c")), here);
    assert_eq!(existing_file_system(Path::new("not-here-either")), existing_file_system(Path::new(".")));
    let proc = format!("{:?}", default_for(Path::new("/proc/self")));
    assert!(proc.starts_with("OsDisk"), "{proc}");
}

#[test]
fn the_boot_id_is_read_as_hexadecimal_and_anything_else_is_unknown() {
    let good = b"0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0\n";
    let want =
        [0x0F, 0x1E, 0x2D, 0x3C, 0x4B, 0x5A, 0x69, 0x78, 0x87, 0x96, 0xA5, 0xB4, 0xC3, 0xD2, 0xE1, 0xF0];
    assert_eq!(parse_boot_id(good), Some(BootId(want)));
    for bad in
        [&b""[..], b"0f1e", b"zf1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0", b"0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0a"]
    {
        assert_eq!(parse_boot_id(bad), None);
    }
}

#[test]
fn the_deepest_and_last_mount_names_kind_and_device() {
    let table = b"22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
        30 22 0:25 / /data\\040one rw master:2 propagate_from:3 - fuse.x x\\134y rw\n\
        31 22 0:26 / /data\\040one/deep rw - btrfs /dev/vdb rw\n\
        32 31 0:27 / /data\\040one/deep rw - xfs /dev/vdc rw\n\
        a line that is cut\n";
    let at = |path: &str| find_mount(table, Path::new(path)).unwrap();
    let pair = |kind: &str, device: &str| (kind.to_owned(), device.to_owned());
    assert_eq!(at("/data"), pair("ext4", "/dev/vda"));
    assert_eq!(at("/data one/x"), pair("fuse.x", "x\\y"));
    assert_eq!(at("/data one/deep/x"), pair("xfs", "/dev/vdc"));
    assert_eq!(at("/data one/deeper"), pair("fuse.x", "x\\y"));
    assert_eq!(find_mount(b"", Path::new("/")), None);
}
