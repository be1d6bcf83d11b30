//! RocketMQ's own `checkpoint`: up to which store time log, queues and key index are durable.
//!
//! ```text
//!  0  physic   i64   the log             24  masterFlushedOffset   i64   0: no replica's
//!  8  logics   i64   the queues          32  confirmPhyOffset      i64   0: nobody confirms
//! 16  index    i64   the key index       40  zeros, up to 4,096
//! ```
//! We go by offsets (promises rule 10); a Java broker that finds `abort` begins its scan by these times, so none of
//! them may ever be newer than what is durable (spec 18.2). Java's own may be (H11).

use std::io;
use std::path::Path;

use crate::checkpoint::whole_file::remove_left_over;
use crate::clock::Timestamp;
use crate::disk::{Access, Disk, Reserve};
use crate::error::{Error, Result};

const FILE_BYTES: u64 = 4096;
/// The five numbers: a shorter file is none that Java wrote.
const NUMBERS_BYTES: u64 = 40;

/// Three of the five numbers; 0 claims nothing, and a broker scans all of the log then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct JavaCheckpoint {
    /// Every record of the log that was stored up to here is durable.
    pub(crate) physic: Timestamp,
    /// The queue entries of every record that was stored up to here are durable.
    pub(crate) logics: Timestamp,
    /// The same for the key index: the end time of the last full index file.
    pub(crate) index: Timestamp,
}

impl JavaCheckpoint {
    /// What the file `path` says, touching nothing; `None` if there is no such file, or one too short to say
    /// anything. There is no checksum: any 4,096 bytes say something.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn load(disk: &dyn Disk, path: &Path) -> Result<Option<JavaCheckpoint>> {
        let file = match disk.open(path, Access::Read) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("opening", path, e)),
        };
        if file.len() < NUMBERS_BYTES {
            return Ok(None);
        }
        let number = |at| {
            let mut bytes = [0; 8];
            file.read_at(at, &mut bytes).map_err(|e| Error::io("reading", path, e))?;
            Ok(Timestamp(i64::from_be_bytes(bytes)))
        };
        Ok(Some(JavaCheckpoint { physic: number(0)?, logics: number(8)?, index: number(16)? }))
    }

    /// Puts these numbers in the place of those saved; after Ok a power cut leaves them.
    ///
    /// Java writes into the old file. A number torn so could claim more than is durable: ours is written beside it,
    /// as `<name>.new`, synced, and takes its name.
    ///
    /// # Errors
    /// [`Error::Io`]; the old numbers or the new ones are there then.
    pub(crate) fn save(&self, disk: &dyn Disk, path: &Path) -> Result<()> {
        let new = path.with_extension("new");
        remove_left_over(disk, &new)?;
        let file =
            disk.create(&new, FILE_BYTES, Reserve::Blocks).map_err(|e| Error::io("creating", &new, e))?;
        let numbers = [self.physic, self.logics, self.index].map(|time| time.0.to_be_bytes());
        file.write_at(0, numbers.as_flattened()).map_err(|e| Error::io("writing", &new, e))?;
        file.sync().map_err(|e| Error::io("syncing", &new, e))?;
        drop(file);
        disk.replace(&new, path).map_err(|e| Error::io("renaming", &new, e))?;
        let dir = path.parent().unwrap_or(path);
        disk.sync_dir(dir).map_err(|e| Error::io("syncing", dir, e))
    }
}
