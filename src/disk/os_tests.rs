use super::*;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn content(path: &Path) -> Vec<u8> {
    let file = OsDisk::open_file(path, Access::Read).unwrap();
    let mut out = vec![0; usize::try_from(file.len()).unwrap()];
    file.read_at(0, &mut out).unwrap();
    out
}

#[test]
fn a_rename_by_link_moves_and_never_replaces() {
    let dir = folder();
    let (old, new) = (dir.path().join("old"), dir.path().join("new"));
    OsDisk::create_file(&old, 3, Reserve::Sparse).unwrap().write_at(0, b"abc").unwrap();
    OsDisk::create_file(&new, 1, Reserve::Sparse).unwrap().write_at(0, b"n").unwrap();
    assert_eq!(rename_by_link(&old, &new).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    assert_eq!((content(&old), content(&new)), (b"abc".to_vec(), b"n".to_vec()));
    fs::remove_file(&new).unwrap();
    rename_by_link(&old, &new).unwrap();
    assert_eq!(content(&new), b"abc");
    assert_eq!(OsDisk::open_file(&old, Access::Read).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn where_blocks_cannot_be_reserved_they_are_written_and_the_content_stays() {
    let dir = folder();
    let path = dir.path().join("file");
    let len = 3 * STEP_BYTES as u64 + 7;
    let file = OsDisk::create_file(&path, len, Reserve::Sparse).unwrap();
    file.write_at(STEP_BYTES as u64 - 2, b"edge").unwrap();
    write_again(&file.file, len).unwrap();
    file.sync().unwrap();
    let kept = content(&path);
    assert_eq!(kept.get(STEP_BYTES - 2..STEP_BYTES + 2).unwrap(), b"edge");
    assert_eq!(kept.iter().filter(|byte| **byte != 0).count(), 4);
    assert!(fs::metadata(&path).unwrap().blocks() * 512 >= len, "holes were left");

    write_zeros(&file.file, len).unwrap();
    assert!(content(&path).iter().all(|byte| *byte == 0));
    assert_eq!(fs::metadata(&path).unwrap().len(), len);
}

#[test]
fn what_was_never_written_may_be_passed_over_and_nothing_else_is() {
    let dir = folder();
    let len = 64 * STEP_BYTES as u64;
    let file = OsDisk::create_file(&dir.path().join("file"), len, Reserve::Sparse).unwrap();
    assert!(file.next_data(0).unwrap().is_none_or(|at| at == 0), "a hole, or no word about it");
    let written = [5 * STEP_BYTES as u64 + 3, 40 * STEP_BYTES as u64];
    for at in written {
        file.write_at(at, b"x").unwrap();
    }
    for (from, next) in [(0, 0), (written[0], 0), (written[0] + 1, 1), (written[1], 1)] {
        let found = file.next_data(from).unwrap().unwrap();
        assert!((from..=written[next].max(from)).contains(&found), "{from}: {found}");
    }
    assert!(file.next_data(len).unwrap().is_none());
    // Behind the last byte there may be the rest of its block.
    let mut at = written[1] + 1;
    while let Some(data) = file.next_data(at).unwrap() {
        let mut byte = [1];
        file.read_at(data, &mut byte).unwrap();
        assert_eq!(byte, [0]);
        at = data + 1;
    }
}

#[test]
fn a_file_of_an_impossible_length_is_an_error_and_leaves_no_file() {
    let dir = folder();
    let path = dir.path().join("huge");
    OsDisk::create_file(&path, u64::MAX, Reserve::Blocks).unwrap_err();
    assert!(folder::entry(&path).unwrap().is_none());
}

/// Recovery reads no hole: a byte that was written and counted as one would be rubbish that nobody sees. Also one that
/// lies in the page cache alone, put there through a mapping, over blocks that are reserved and were never written.
#[test]
fn no_byte_that_was_written_lies_in_a_hole() {
    let dir = folder();
    let len = 64 * STEP_BYTES as u64;
    let written = [7, 5 * STEP_BYTES as u64 + 3, 40 * STEP_BYTES as u64, len - 1];
    for reserve in [Reserve::Sparse, Reserve::Blocks] {
        for disk in [&OsDisk as &dyn Disk, &crate::disk::MappedDisk::new()] {
            let path = dir.path().join("file");
            let file = disk.create(&path, len, reserve).unwrap();
            for at in written {
                file.store_mapped(at, &[b"x"]).unwrap();
            }
            let data = crate::disk::data_in(&*file, 0, len).unwrap();
            assert!(data.is_sorted_by(|one, next| one.end < next.start), "{data:?}");
            for at in written {
                assert!(data.iter().any(|data| data.contains(&at)), "{at} is not in {data:?}");
            }
            let mut bytes = vec![1; usize::try_from(len).unwrap()];
            file.read_at(0, &mut bytes).unwrap();
            assert_eq!(bytes.iter().filter(|byte| **byte != 0).count(), written.len());
            drop(file);
            fs::remove_file(&path).unwrap();
        }
    }
}
