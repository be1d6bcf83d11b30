//! What a folder holds, and what does not belong there.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::{Disk, Entry};
use crate::error::{Error, Result};

/// A file that is no part of the store in the place where it lies.
///
/// ```
/// # use sawlog::{Message, Options, Store, inspect};
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # store.append(&Message::new("orders", "paid").key("order-42"))?.wait()?;
/// # store.close()?;
/// std::fs::write(folder.path().join("commitlog/notes.txt"), "do not delete")?;
/// let survey = inspect::survey(folder.path())?;
/// let [odd] = &survey.odd[..] else { panic!("one file") };
/// assert!(odd.path.ends_with("commitlog/notes.txt"));
/// println!("{}", odd.why);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OddFile {
    /// The file.
    pub path: PathBuf,
    /// Why it cannot be one, and what to do.
    pub why: String,
}

/// What a folder holds; a missing one holds nothing.
pub(super) fn list(disk: &dyn Disk, dir: &Path) -> Result<Vec<Entry>> {
    match disk.list(dir) {
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        listed => listed.map_err(|e| Error::io("listing", dir, e)),
    }
}
