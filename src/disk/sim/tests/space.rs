//! A full disk.

use super::*;

const PAGE: u64 = 4096;

#[test]
fn allocated_files_meet_a_full_disk_when_they_are_created() {
    let disk = SimDisk::new();
    disk.capacity_bytes(10 * PAGE);
    disk.create(p("/a"), 6 * PAGE, Reserve::Blocks).unwrap();
    assert_eq!(kind(disk.create(p("/b"), 4 * PAGE + 1, Reserve::Blocks)), io::ErrorKind::StorageFull);
    assert!(disk.entry(p("/b")).unwrap().is_none());
    disk.create(p("/b"), 3 * PAGE + 1, Reserve::Blocks).unwrap();
    let space = disk.space(p("/")).unwrap();
    assert_eq!((space.total, space.free), (10 * PAGE, 0));
}

#[test]
fn a_write_to_an_allocated_file_always_fits() {
    let disk = SimDisk::new();
    disk.capacity_bytes(PAGE);
    let file = disk.create(p("/a"), PAGE, Reserve::Blocks).unwrap();
    disk.create(p("/lock"), 4, Reserve::Sparse).unwrap();
    file.write_at(0, &[1; 4096]).unwrap();
}

#[test]
fn a_sparse_file_meets_a_full_disk_at_the_page_that_no_longer_fits() {
    let disk = SimDisk::new();
    disk.capacity_bytes(2 * PAGE);
    let file = disk.create(p("/a"), 100 * PAGE, Reserve::Sparse).unwrap();
    file.write_at(50 * PAGE, b"one").unwrap();
    assert_eq!(kind(file.write_at(PAGE - 1, &[7; 4098])), io::ErrorKind::StorageFull);
    assert_eq!(file.view(PAGE - 1, 1).unwrap(), &[0][..], "nothing of it was written");
    file.write_at(0, b"two").unwrap();
    assert_eq!(kind(file.write_at(10 * PAGE, b"x")), io::ErrorKind::StorageFull);
    file.write_at(50 * PAGE + 100, b"a page that is there takes more").unwrap();
}

#[test]
fn reserve_allocates_what_a_sparse_file_lacks_or_says_that_it_cannot() {
    let disk = SimDisk::new();
    disk.capacity_bytes(10 * PAGE);
    let file = disk.create(p("/a"), 8 * PAGE, Reserve::Sparse).unwrap();
    file.write_at(0, b"content").unwrap();
    let other = disk.create(p("/b"), 3 * PAGE, Reserve::Blocks).unwrap();
    assert_eq!(kind(file.reserve()), io::ErrorKind::StorageFull);
    disk.remove(p("/b")).unwrap();
    assert_eq!(
        kind(file.reserve()),
        io::ErrorKind::StorageFull,
        "a handle holds the room of what was removed"
    );
    drop(other);
    file.reserve().unwrap();
    file.reserve().unwrap();
    assert_eq!(disk.space(p("/")).unwrap().free, 2 * PAGE);
    assert_eq!(file.view(0, 7).unwrap(), "content");
}

#[test]
fn removing_and_replacing_free_room() {
    let disk = SimDisk::new();
    disk.capacity_bytes(4 * PAGE);
    disk.create(p("/a"), 2 * PAGE, Reserve::Blocks).unwrap();
    disk.create(p("/b"), 2 * PAGE, Reserve::Blocks).unwrap();
    disk.replace(p("/a"), p("/b")).unwrap();
    assert_eq!(disk.space(p("/")).unwrap().free, 2 * PAGE);
    disk.remove(p("/b")).unwrap();
    assert_eq!(disk.space(p("/")).unwrap().free, 4 * PAGE);
    disk.create(p("/c"), 4 * PAGE, Reserve::Blocks).unwrap();
}

#[test]
fn the_capacity_stays_over_kills_and_power_cuts_and_can_be_lifted() {
    let disk = SimDisk::new();
    disk.capacity_bytes(PAGE);
    for next in [disk.kill(), disk.power_cut(0, Survivors::Nothing)] {
        assert!(next.create(p("/a"), PAGE + 1, Reserve::Blocks).is_err());
        next.capacity_bytes(2 * PAGE);
        assert!(next.create(p("/a"), PAGE + 1, Reserve::Blocks).is_ok());
    }
}

#[test]
fn an_allocation_that_no_sync_covered_may_be_lost_and_a_synced_one_is_not() {
    let disk = SimDisk::new();
    let file = named(&disk, "/a", 8 * PAGE);
    disk.capacity_bytes(8 * PAGE);
    let free = |after: SimDisk| after.space(p("/")).unwrap().free;
    assert_eq!(free(disk.power_cut(0, Survivors::Nothing)), 8 * PAGE);
    assert_eq!(free(disk.power_cut(0, Survivors::Everything)), 0);
    file.sync().unwrap();
    assert!(images(&disk, 20).all(|(_, _, after)| free(after) == 0));
    // Sparse at first and reserved later is the same.
    let disk = SimDisk::new();
    disk.capacity_bytes(8 * PAGE);
    let file = disk.create(p("/a"), 8 * PAGE, Reserve::Sparse).unwrap();
    disk.sync_dir(p("/")).unwrap();
    file.sync().unwrap();
    file.reserve().unwrap();
    assert_eq!(free(disk.power_cut(0, Survivors::Nothing)), 8 * PAGE);
    file.sync().unwrap();
    assert_eq!(free(disk.power_cut(0, Survivors::Nothing)), 0);
}
