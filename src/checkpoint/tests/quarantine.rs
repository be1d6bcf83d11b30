//! The list of damage: its bytes, what is no list, and power cuts while one takes the place of another.

use std::path::Path;

use crate::checkpoint::mark::{Slot, decode_slot, encode_slot};
use crate::checkpoint::tests::{each_power_cut, mark};
use crate::checkpoint::{Mark, Quarantine};
use crate::disk::Disk;
use crate::disk::sim::SimDisk;
use crate::error::{Damage, Error};
use crate::offset::{LogOffset, LogRange};

const DIR: &str = "/own";

fn part(from: u64, to: u64) -> LogRange {
    LogRange { from: LogOffset(from), to: LogOffset(to) }
}

fn list(parts: &[(u64, u64)]) -> Quarantine {
    let mut list = Quarantine::default();
    parts.iter().for_each(|(from, to)| list.add(part(*from, *to)));
    list
}

fn load(disk: &SimDisk, is_listed: bool) -> Result<Quarantine, Error> {
    Quarantine::load(disk, Path::new(DIR), is_listed)
}

#[test]
fn the_list_has_these_bytes() {
    let disk = SimDisk::new();
    disk.create_dirs(Path::new(DIR)).unwrap();
    list(&[(0x100, 0x180), (0x4000_0000, 0x4000_0100)]).save(&disk, Path::new(DIR)).unwrap();
    let bytes = disk.read_file("/own/quarantine").unwrap();
    let want: Vec<u8> = [
        &b"SAWX\0\0\0\x01\0\0\0\0\0\0\0\x24\0\0\0\x02"[..],
        &0x100_u64.to_be_bytes(),
        &0x180_u64.to_be_bytes(),
        &0x4000_0000_u64.to_be_bytes(),
        &0x4000_0100_u64.to_be_bytes(),
    ]
    .concat();
    assert_eq!(bytes[..want.len()], want);
    assert_eq!(bytes.len(), want.len() + 4);
    assert_eq!(load(&disk, true).unwrap(), list(&[(0x100, 0x180), (0x4000_0000, 0x4000_0100)]));
}

#[test]
fn parts_that_meet_become_one_and_each_byte_is_in_one_or_none() {
    let mut list = list(&[(10, 20), (40, 50), (20, 30)]);
    assert_eq!(list.iter().collect::<Vec<_>>(), [part(10, 30), part(40, 50)]);
    let at = |list: &Quarantine, at| list.at(LogOffset(at));
    assert_eq!((at(&list, 9), at(&list, 10), at(&list, 29)), (None, Some(part(10, 30)), Some(part(10, 30))));
    assert_eq!((at(&list, 30), at(&list, 49), at(&list, 50)), (None, Some(part(40, 50)), None));
    assert_eq!(
        (list.next_from(LogOffset(9)), list.next_from(LogOffset(10))),
        (Some(LogOffset(10)), Some(LogOffset(40)))
    );
    list.add(part(5, 60));
    assert_eq!(list.iter().collect::<Vec<_>>(), [part(5, 60)]);
}

#[test]
fn a_log_that_begins_later_or_ends_earlier_forgets_what_lies_outside() {
    let mut list = list(&[(10, 20), (40, 50)]);
    assert!(!list.retire(LogOffset(19)) && list.retire(LogOffset(20)));
    list.cut(LogOffset(45));
    assert_eq!(list.iter().collect::<Vec<_>>(), [part(40, 45)]);
    list.cut(LogOffset(40));
    assert!(list.is_empty());
}

#[test]
fn any_other_bytes_are_no_list() {
    let good = list(&[(10, 20), (40, 50)]).encode();
    assert_eq!(Quarantine::decode(&good).unwrap(), list(&[(10, 20), (40, 50)]));
    for len in 0..good.len() {
        assert!(Quarantine::decode(&good[..len]).is_err(), "{len} bytes");
    }
    let bytes = |parts: &[(u64, u64)]| {
        let mut bytes = u32::try_from(parts.len()).unwrap().to_be_bytes().to_vec();
        parts.iter().for_each(|(from, to)| bytes.extend([from.to_be_bytes(), to.to_be_bytes()].concat()));
        bytes
    };
    for bad in [&[(10, 10)][..], &[(20, 10)], &[(40, 50), (10, 20)], &[(10, 20), (20, 30)], &[(0, u64::MAX)]]
    {
        assert!(Quarantine::decode(&bytes(bad)).is_err(), "{bad:?}");
    }
    assert!(Quarantine::decode(&[[0xFF; 4].as_slice(), &good[4..]].concat()).is_err(), "a count of billions");
}

#[test]
fn a_list_that_should_be_there_and_is_not_is_damage() {
    let disk = SimDisk::new();
    disk.create_dirs(Path::new(DIR)).unwrap();
    assert_eq!(load(&disk, false).unwrap(), Quarantine::default());
    let Err(Error::Corrupt(why)) = load(&disk, true) else { panic!("taken for an empty one") };
    assert_eq!(why.what, Damage::NoQuarantineList);
}

#[test]
fn a_power_cut_leaves_the_old_list_or_the_new_one() {
    let (old, new) = (list(&[(10, 20)]), list(&[(10, 20), (40, 50)]));
    let disk = SimDisk::recording();
    disk.create_dirs(Path::new(DIR)).unwrap();
    old.save(&disk, Path::new(DIR)).unwrap();
    let saved = disk.recorded();
    new.save(&disk, Path::new(DIR)).unwrap();
    each_power_cut(&disk, |at, cut| {
        let found = load(cut, false).unwrap();
        match at < saved {
            true => assert!(found.is_empty() || found == old, "{at}: {found:?}"),
            false => assert!(found == old || found == new, "{at}: {found:?}"),
        }
    });
    assert_eq!(load(&disk.power_cut(0, crate::disk::sim::Survivors::Nothing), true).unwrap(), new);
}

#[test]
fn the_mark_says_that_there_is_a_list_in_version_3_and_is_what_it_was_without() {
    let (plain, listed) = (mark(9), Mark { is_listed: true, ..mark(9) });
    let (old, new) = (encode_slot(&plain), encode_slot(&listed));
    assert_eq!((&old[4..8], &old[100..104]), (&[0, 0, 0, 2][..], &[0; 4][..]));
    assert_eq!((&new[4..8], &new[100..104]), (&[0, 0, 0, 3][..], &[0, 0, 0, 1][..]));
    assert_eq!((decode_slot(&old), decode_slot(&new)), (Slot::Whole(plain), Slot::Whole(listed)));
}
