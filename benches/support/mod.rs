//! What every bench needs: the folder to measure on, bodies that do not compress, and the plain loop to compare with.
#![allow(dead_code, reason = "each bench uses a part of it")]

pub(crate) mod raw;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytes::Bytes;
use tempfile::TempDir;

/// A fresh folder under `SAWLOG_BENCH_DIR`, or under the system's temporary folder. Warns on a memory file system,
/// where a sync is free and the figures say nothing.
pub(crate) fn folder() -> TempDir {
    let parent = std::env::var_os("SAWLOG_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let disk = sawlog::disk::default_for(&parent);
    match disk.describe(&parent) {
        Ok(what) if what.in_memory => {
            eprintln!("warning: {} is a memory file system: a sync is free there", parent.display());
        }
        Ok(what) => eprintln!("measuring on {} ({})", what.device, what.file_system),
        Err(error) => eprintln!("warning: cannot tell what {} is: {error}", parent.display()),
    }
    tempfile::tempdir_in(parent).expect("a folder to measure in")
}

/// Another fresh folder there, without a word.
pub(crate) fn folder_quietly() -> TempDir {
    let parent = std::env::var_os("SAWLOG_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    tempfile::tempdir_in(parent).expect("a folder to measure in")
}

/// Bodies of `len` pseudo-random bytes, made beforehand.
pub(crate) fn bodies(len: usize) -> Vec<Bytes> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut word = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let pool: Bytes = (0..(len + 256 * 1024) / 8).flat_map(|_| word().to_be_bytes()).collect();
    (0..1024).map(|n| pool.slice(n * 64..n * 64 + len)).collect()
}

/// The least that one durable append can be: write at the end of a file whose blocks were written before, sync.
pub(crate) struct PlainLoop {
    file: File,
    at: u64,
}

impl PlainLoop {
    const BYTES: u64 = 64 << 20;

    pub(crate) fn new(folder: &Path) -> PlainLoop {
        let path = folder.join("plain");
        let file = OpenOptions::new().create_new(true).read(true).write(true).open(path).expect("a file");
        let zeros = vec![0; 64 * 1024];
        for step in 0..Self::BYTES / zeros.len() as u64 {
            file.write_all_at(&zeros, step * zeros.len() as u64).expect("room for the baseline");
        }
        file.sync_all().expect("a sync");
        PlainLoop { file, at: 0 }
    }

    pub(crate) fn append(&mut self, body: &[u8]) {
        if self.at + body.len() as u64 > Self::BYTES {
            self.at = 0;
        }
        self.file.write_all_at(body, self.at).expect("a write");
        self.file.sync_data().expect("a sync");
        self.at += body.len() as u64;
    }
}
