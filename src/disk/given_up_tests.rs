use super::*;

/// The story: a time was set to ask, and each sync of ext4 without a journal then wrote a block of inodes, too. A
/// SYNC append did 0.78 of the bare loop, since it changes nothing 1.04.
#[test]
fn asking_leaves_the_folder_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let file = File::open(folder.path()).unwrap();
    let times = || {
        let found = file.metadata().unwrap();
        [found.atime(), found.atime_nsec(), found.ctime(), found.ctime_nsec()]
    };
    let before = times();
    let asks = GivenUp { folder: Some(Arc::new(file.try_clone().unwrap())) };
    asks.ask().unwrap();
    assert_eq!(times(), before);
}
