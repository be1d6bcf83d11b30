//! Files of the log that were cut short, as a copy that broke off leaves them: filled up with zeros, so that the log can
//! end where its last whole record does.

use std::io;
use std::path::Path;

use sawlog::Error;
use sawlog::disk::{Access, Disk, OsDisk, Reserve};
use sawlog::inspect::Opening;

use crate::failure::{Failure, Result};
use crate::store::StoreArgs;

/// So much is copied at once.
const COPY_BYTES: u64 = 1 << 20;

/// Whether the store is refused because of a file of the log that has fewer bytes than the others.
pub(crate) fn is_short(store: &StoreArgs, path: &Path, (found, expected): (u64, u64)) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_segment = name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit());
    found < expected && is_segment && path.parent() == Some(&*store.dir.join("commitlog"))
}

/// Fills all of them. What is in them stays; a power cut leaves the short file or the whole one.
pub(crate) fn short_segments(store: &StoreArgs) -> Result<()> {
    loop {
        let survey = store.look().survey().map_err(Failure::of_store)?;
        match &survey.opening {
            Opening::Refused { why: Error::Geometry { path, found, expected }, .. }
                if is_short(store, path, (*found, *expected)) =>
            {
                let lock = store.dir.join("lock");
                let held = OsDisk::new().lock(&lock).map_err(|e| Failure::io("locking", &lock, &e))?;
                let filled = fill(&store.dir.join("sawlog"), path, *expected);
                drop(held);
                filled.map_err(|e| Failure::io("filling up with zeros", path, &e))?;
            }
            _ => return Ok(()),
        }
    }
}

/// `own` is our folder, where a broker takes no file for one of its own.
fn fill(own: &Path, path: &Path, expected: u64) -> io::Result<()> {
    let (disk, whole) = (OsDisk::new(), own.join("filling"));
    disk.create_dirs(own)?;
    if disk.entry(&whole)?.is_some() {
        // Of a run that was killed.
        disk.remove(&whole)?;
    }
    let filled = copy(&disk, path, (&whole, expected)).and_then(|()| disk.replace(&whole, path));
    if filled.is_err() && disk.entry(&whole)?.is_some() {
        disk.remove(&whole)?;
    }
    filled?;
    path.parent().map_or(Ok(()), |dir| disk.sync_dir(dir))
}

fn copy(disk: &OsDisk, path: &Path, (whole, expected): (&Path, u64)) -> io::Result<()> {
    let (from, to) = (disk.open(path, Access::Read)?, disk.create(whole, expected, Reserve::Blocks)?);
    let mut at = 0;
    while at < from.len() {
        let step = COPY_BYTES.min(from.len() - at);
        to.write_at(at, &from.view(at, usize::try_from(step).unwrap_or(usize::MAX))?)?;
        at += step;
    }
    to.sync()
}
