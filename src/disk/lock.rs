//! The lock that a Java broker takes too, and the table that makes it hold within one process.
//!
//! An fcntl lock belongs to a process: a second one by the same process is granted, and closing *any* descriptor of
//! the file drops it. So the files that this process holds stand in a table by their identity, which is the same
//! through links and other mount paths, and the table is asked before a descriptor is opened.
//!
//! Java locks byte 0 alone (spec 5.3); rustix offers the whole file alone, from byte 0 to its end however far it
//! grows. The two conflict, in both directions, and nobody locks another part of this file.
#![expect(clippy::disallowed_methods, reason = "this room is the door to the file system")]

use std::collections::HashMap;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::LazyLock;

use parking_lot::Mutex;
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use rustix::process::{Flock, FlockType};

use super::{Holder, Lock, transfer};

/// What stands in the file (spec 5.3). Nobody reads it.
pub(super) const CONTENT: &[u8] = b"lock";

/// A file, whatever path leads to it: device and inode.
type Identity = (u64, u64);

/// The held files, each with every descriptor of it that this room has open. The mutex also covers the steps from
/// asking to entering, so that two threads cannot both find a file free.
static HELD: LazyLock<Mutex<HashMap<Identity, Vec<File>>>> = LazyLock::new(Mutex::default);

/// A lock that this process holds; dropping it closes the descriptor, and so frees the lock.
#[derive(Debug)]
pub(super) struct HeldLock {
    identity: Identity,
}

impl Lock for HeldLock {}

impl HeldLock {
    pub(super) fn take(path: &Path) -> io::Result<HeldLock> {
        let mut held = HELD.lock();
        match fs::metadata(path) {
            Ok(found) if held.contains_key(&identity(&found)) => return Err(refused()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let found = file.metadata()?;
        let identity = identity(&found);
        if let Some(descriptors) = held.get_mut(&identity) {
            // Somebody moved a held file to this path a moment ago: closing this descriptor now would free it.
            descriptors.push(file);
            return Err(refused());
        }
        match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::AGAIN | Errno::ACCESS) => return Err(refused()),
            other => other?,
        }
        if found.len() == 0 {
            transfer::drain(CONTENT, 0, |rest, at| file.write_at(rest, at))?;
        }
        held.insert(identity, vec![file]);
        Ok(HeldLock { identity })
    }
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        HELD.lock().remove(&self.identity);
    }
}

/// Errs if this is a lock file that this process holds: a descriptor of it, once closed, would free the lock.
pub(super) fn refuse_if_held(found: &Metadata) -> io::Result<()> {
    if HELD.lock().contains_key(&identity(found)) { Err(refused()) } else { Ok(()) }
}

/// Who holds the lock of this file. Nothing is taken: the question is put through a descriptor for reading.
pub(super) fn holder(path: &Path) -> io::Result<Holder> {
    // Held to the end, so that this process takes no lock on the file while a descriptor of it is about to be closed.
    let held = HELD.lock();
    let found = match fs::metadata(path) {
        Ok(found) if found.is_file() => found,
        Ok(_) => return Ok(Holder::Unknown),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Holder::Nobody),
        Err(error) => return Err(error),
    };
    if held.contains_key(&identity(&found)) {
        return Ok(Holder::Held { pid: Some(std::process::id()) });
    }
    let file = match File::open(path) {
        Ok(file) => file,
        // Somebody else's, and not ours to read.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(Holder::Unknown),
        Err(error) => return Err(error),
    };
    let asked = Flock { length: 1, ..FlockType::WriteLock.into() };
    Ok(match rustix::process::fcntl_getlk(&file, &asked)? {
        None => Holder::Nobody,
        Some(lock) => {
            let pid = lock.pid.and_then(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok());
            Holder::Held { pid }
        }
    })
}

fn identity(found: &Metadata) -> Identity {
    (found.dev(), found.ino())
}

fn refused() -> io::Error {
    io::Error::new(io::ErrorKind::WouldBlock, "the lock is held")
}
