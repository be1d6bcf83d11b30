//! What is taken for an index file, and what is not.

use super::{Put, dir, open, settle, small, try_open};
use crate::disk::Disk;
use crate::disk::sim::SimDisk;
use crate::error::Error;
use crate::key_index::{Geometry, IndexSurvey, KeyIndex};

fn survey(disk: &SimDisk) -> IndexSurvey {
    IndexSurvey::of(disk, dir(), small(4, 8)).unwrap()
}

#[test]
fn a_missing_folder_is_an_empty_one() {
    let disk = SimDisk::new();
    assert_eq!(survey(&disk), IndexSurvey::default());
    assert!(KeyIndex::covers(&survey(&disk), &[]));
    open(&disk, small(4, 8), &[]);
    assert_eq!(disk.files(), []);
}

#[test]
fn files_of_another_geometry_or_with_strange_numbers_are_odd_and_other_names_are_ignored() {
    let disk = SimDisk::new();
    let right = vec![0; 216];
    let put = |name: &str, len: usize| disk.write_file(dir().join(name), right[..len].to_vec()).unwrap();
    put("20231114221320123", 216);
    put("00000000000000007", 216);
    put("20231114221320124", 215);
    put("12", 216);
    put("-20231114221320125", 216);
    put("٢٠٢٣١١١٤٢٢١٣٢٠١٢٣", 216);
    for ignored in ["README", "20231114221320126.bak", "99999999999999999999", "", "-", "2023 1114"] {
        if !ignored.is_empty() {
            put(ignored, 216);
        }
    }
    disk.create_dirs(&dir().join("20231114221320127")).unwrap();
    disk.create_dirs(&dir().join("making")).unwrap();
    let survey = survey(&disk);
    assert_eq!(survey.files, [7, 20_231_114_221_320_123]);
    let odd: Vec<_> = survey.odd.iter().map(|odd| odd.path.file_name().unwrap().to_str().unwrap()).collect();
    let expected =
        ["-20231114221320125", "12", "20231114221320124", "20231114221320127", "٢٠٢٣١١١٤٢٢١٣٢٠١٢٣"];
    assert_eq!(odd, expected);
    let why = &survey.odd.iter().find(|odd| odd.path.ends_with("20231114221320124")).unwrap().why;
    assert_eq!(why, "215 bytes where this geometry has 216: another geometry");
    assert!(!KeyIndex::covers(&survey, &[]));
}

#[test]
fn another_geometry_is_not_opened_over_the_files_of_one() {
    let disk = SimDisk::new();
    let index = open(&disk, small(4, 8), &[]);
    (1..20).for_each(|at| Put::new(at, "T", &["k"]).feed(&index));
    settle(&index);
    let known = index.capture();
    let other = IndexSurvey::of(&disk, dir(), small(9, 8)).unwrap();
    assert_eq!((other.files.len(), other.odd.len()), (0, 3));
    assert!(!KeyIndex::covers(&other, &known));
    let before = disk.fingerprint();
    assert!(matches!(try_open(&disk, small(9, 8), &known), Err(Error::Foreign { .. })));
    assert_eq!(disk.fingerprint(), before);
}

#[test]
fn a_geometry_that_no_file_can_have_is_refused() {
    for (slots, entries) in [(0, 8), (4, 0), (4, 1), (1, 107_374_181), (u32::MAX, u32::MAX)] {
        let refused = try_open(&SimDisk::new(), Geometry { slots, entries }, &[]);
        assert!(matches!(refused, Err(Error::InvalidOptions(_))), "{slots} {entries}");
    }
    assert_eq!(small(1, 107_374_180).file_bytes(), 2_147_483_644);
    open(&SimDisk::new(), small(1, 107_374_180), &[]);
    assert_eq!(Geometry { slots: 5_000_000, entries: 20_000_000 }.file_bytes(), 420_000_040);
}
