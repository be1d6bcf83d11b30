//! A file of frames.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use memmap2::{Advice, Mmap};
use rustix::fs::{FallocateFlags, fallocate};

const ZEROS_BYTES: usize = 4 << 20;

pub(super) struct Segment {
    file: File,
    /// The log offset of its first byte.
    pub(super) base: u64,
}

fn path_of(dir: &Path, number: u64, bytes: u64) -> PathBuf {
    dir.join(format!("{:020}", number * bytes))
}

impl Segment {
    /// The one that is there, or a new one: allocated, and with `zeroed` every block written once, so that no later
    /// sync has to say that a block is written now.
    pub(super) fn open(dir: &Path, number: u64, bytes: u64, zeroed: bool) -> Segment {
        let path = path_of(dir, number, bytes);
        let is_new = !path.exists();
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path);
        let file = file.expect("a segment");
        if is_new {
            fallocate(&file, FallocateFlags::empty(), 0, bytes).expect("room for a segment");
            let zeros = vec![0; if zeroed { ZEROS_BYTES } else { 0 }];
            let mut at = 0;
            while zeroed && at < bytes {
                let step = (bytes - at).min(zeros.len() as u64);
                file.write_all_at(&zeros[..step as usize], at).expect("zeros");
                at += step;
            }
            file.sync_all().expect("a sync");
            File::open(dir).and_then(|dir| dir.sync_all()).expect("a sync of the folder");
        }
        Segment { file, base: number * bytes }
    }

    pub(super) fn write(&self, bytes: &[u8], at: u64) {
        self.file.write_all_at(bytes, at).expect("a write");
    }

    pub(super) fn sync(&self) {
        self.file.sync_data().expect("a sync");
    }
}

/// `None`: there is no such segment.
pub(super) fn map(dir: &Path, number: u64, bytes: u64) -> Option<Mmap> {
    let file = File::open(path_of(dir, number, bytes)).ok()?;
    #[expect(unsafe_code, reason = "reading by positioned calls would make the baseline a slower one")]
    // SAFETY: the file lies in this run's own folder, and nothing shortens it while the process lives.
    let map = unsafe { Mmap::map(&file) }.expect("a mapping");
    map.advise(Advice::Sequential).expect("advice");
    Some(map)
}
