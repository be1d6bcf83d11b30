//! Whether the file system has given up without telling: asked after each sync that said ok.
//!
//! ext4 aborts its journal when it cannot write it, and refuses from then on whatever needs it; but it only notices
//! when the journal is next used. A sync of ours with nothing left to write uses none: where somebody else's sync of the
//! whole file system met the error, ours says ok although the blocks that it vouches for were never marked as written,
//! and read as zeros after a restart (seen on Linux 6.18; 7 of 12 runs of `tests/failing_disk.rs` before this was
//! asked). So the journal is made to be used: an attribute that no folder has is to be taken away, which starts a
//! transaction and finds the abort, and then once more, which is refused if it was found. What is asked costs some 5 µs,
//! waits for no device, and changes nothing. (Setting a time would be found by, too; but it dirties the folder's inode,
//! and ext4 without a journal writes at every sync the block of inodes that the synced file's stands in, if anything in
//! it is dirty: a second write to the device in front of each flush.)
#![expect(clippy::disallowed_methods, reason = "this room is the door to the file system")]

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, LazyLock, Weak};

use parking_lot::Mutex;
use rustix::io::Errno;

use super::host;

/// By device: one folder of it, held open as long as one of its files is.
static ASKED: LazyLock<Mutex<HashMap<u64, Weak<File>>>> = LazyLock::new(Mutex::default);

/// Asks one file system; nobody where it is of a kind that tells by itself.
#[derive(Clone, Debug)]
pub(super) struct GivenUp {
    folder: Option<Arc<File>>,
}

impl GivenUp {
    /// For whatever lies in this folder.
    pub(super) fn of(folder: &Path) -> io::Result<GivenUp> {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        if !host::is_ext4(folder) {
            return Ok(GivenUp { folder: None });
        }
        let file = File::open(folder)?;
        let device = file.metadata()?.dev();
        let mut asked = ASKED.lock();
        if let Some(known) = asked.get(&device).and_then(Weak::upgrade) {
            return Ok(GivenUp { folder: Some(known) });
        }
        asked.retain(|_, folder| folder.strong_count() > 0);
        let file = Arc::new(file);
        // One that cannot be asked, for it is somebody else's, is no use to others.
        if use_journal(&file).is_ok() {
            asked.insert(device, Arc::downgrade(&file));
        }
        Ok(GivenUp { folder: Some(file) })
    }

    /// For a file that nobody writes.
    pub(super) fn nobody() -> GivenUp {
        GivenUp { folder: None }
    }

    /// Errs (`ReadOnlyFilesystem`, or EIO where it was shut down) if the file system has given up; what was synced
    /// before may then be lost, whatever the sync said. A folder that is not ours to change cannot be asked by.
    pub(super) fn ask(&self) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        for _ in 0..2 {
            match use_journal(folder) {
                Ok(()) | Err(Errno::PERM | Errno::ACCESS) => {}
                Err(given_up) => return Err(given_up.into()),
            }
        }
        Ok(())
    }
}

/// Ok where the journal let a change begin. A folder whose file system keeps no attributes cannot be asked by either.
fn use_journal(folder: &File) -> rustix::io::Result<()> {
    match rustix::fs::fremovexattr(folder, "user.sawlog.asked") {
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
#[path = "given_up_tests.rs"]
mod tests;
