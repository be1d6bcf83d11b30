use std::path::{Path, PathBuf};

use super::{Put, dir, open, settle, small};
use crate::disk::sim::SimDisk;
use crate::disk::{Access, Disk};
use crate::key_index::{Geometry, OtherIndex, divide};

const ASIDE: &str = "/store/sawlog/aside";

/// Two full files and one with room, closed, and put aside as the store does it.
fn put_aside(disk: &SimDisk, geometry: Geometry) -> Vec<PathBuf> {
    let index = open(disk, geometry, &[]);
    let keys = 2 * u64::from(geometry.entries);
    (1..keys).for_each(|at| Put::new(at, "T", &[&format!("k{}", at % 5)]).feed(&index));
    settle(&index);
    index.close().unwrap();
    disk.create_dirs(Path::new(ASIDE)).unwrap();
    let files: Vec<_> = disk.files().into_iter().filter(|(path, _)| path.starts_with(dir())).collect();
    let move_away = |(path, _): &(PathBuf, u64)| {
        let kept = Path::new(ASIDE).join(format!("index+{}", path.file_name().unwrap().to_str().unwrap()));
        disk.rename(path, &kept).unwrap();
        kept
    };
    files.iter().map(move_away).collect()
}

fn told(disk: &SimDisk, kept: &[PathBuf], known: Option<Geometry>, expected: Geometry) -> Vec<String> {
    OtherIndex::among(disk, kept, known, expected).iter().map(ToString::to_string).collect()
}

#[test]
fn the_entries_of_a_file_that_was_put_aside_show_how_it_is_divided() {
    for geometry in [small(1, 8), small(4, 8), small(100, 30), small(9, 1000), small(70_000, 20)] {
        let disk = SimDisk::new();
        let kept = put_aside(&disk, geometry);
        assert!(kept.len() > 1, "{geometry:?}");
        let Geometry { slots, entries } = geometry;
        let says = format!(
            "index file of {slots} slots and {entries} entries where 5 and 9 are configured: set \
             Options::index_slots and index_entries to keep it"
        );
        assert_eq!(told(&disk, &kept, None, small(5, 9)), vec![says; kept.len()]);
    }
}

/// A slot of the first file was damaged. Whether its division was told hung on which of the used slots was looked at,
/// and so did whether `verify` looked at the keys at all: a test of what it prints failed once in some dozens of runs.
#[test]
fn one_damaged_slot_does_not_hide_how_a_file_is_divided() {
    let (disk, geometry) = (SimDisk::new(), small(100, 30));
    let kept = put_aside(&disk, geometry);
    let file = disk.open(&kept[0], Access::Write).unwrap();
    for slot in 0..100 {
        let (at, mut was) = (geometry.slot_at(slot), [0; 4]);
        file.read_at(at, &mut was).unwrap();
        file.write_at(at, &[0xFF; 4]).unwrap();
        for _ in 0..20 {
            assert_eq!(divide(&*file).unwrap(), Some(geometry), "slot {slot}");
        }
        file.write_at(at, &was).unwrap();
    }
}

#[test]
fn what_we_noted_and_the_length_of_a_brokers_own_tell_without_a_look_inside() {
    let disk = SimDisk::new();
    let kept = [PathBuf::from(ASIDE).join("index+20231114221320123.4")];
    disk.write_file(&kept[0], vec![0; usize::try_from(small(4, 8).file_bytes()).unwrap()]).unwrap();
    let known = told(&disk, &kept, Some(small(4, 8)), small(5, 9));
    assert!(
        known[0].starts_with("index file of 4 slots and 8 entries where 5 and 9 are configured"),
        "{known:?}"
    );
    let unknown = told(&disk, &kept, None, small(5, 9));
    let says = "index file of 216 bytes where the 5 slots and 9 entries that are configured have 240: set \
                Options::index_slots and index_entries as its writer had them to keep it";
    assert_eq!(unknown, [says]);
}

/// Its geometry is the one that is configured: setting the options would not bring it back.
#[test]
fn a_file_of_ours_that_was_cut_short_is_not_taken_for_another_geometry() {
    let disk = SimDisk::new();
    let kept = put_aside(&disk, small(4, 8));
    let mut bytes = disk.read_file(&kept[0]).unwrap();
    bytes.truncate(196);
    disk.write_file(&kept[0], bytes).unwrap();
    let told = told(&disk, &kept[..1], Some(small(4, 8)), small(4, 8));
    assert_eq!(told, ["index file of 196 bytes where its 4 slots and 8 entries have 216"]);
}

#[test]
fn what_is_no_whole_index_file_is_not_told_as_one() {
    let disk = SimDisk::new();
    let put = |name: &str, len: usize| {
        let path = Path::new(ASIDE).join(name);
        disk.write_file(&path, vec![7; len]).unwrap();
        path
    };
    let kept = [
        put("index+20231114221320123", 0),
        put("index+12", 216),
        put("consumequeue+T+0+20231114221320123", 216),
        put("consumequeue+T+0+00000000000000000000", 216),
        PathBuf::from(ASIDE).join("index+20231114221320124"),
    ];
    assert_eq!(told(&disk, &kept, None, small(5, 9)), Vec::<String>::new());
}
