//! Bytes that leave without a buffer: the file that takes the JSON, and reports through a pipe.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ftruncate, open};

use crate::failure::{Failure, Result};

/// Where the JSON goes: a file, pipe or device, opened before a minute of work. What it holds stays until
/// [`JsonFile::write`].
#[derive(Debug)]
pub(crate) struct JsonFile {
    open: OwnedFd,
    path: PathBuf,
}

impl JsonFile {
    /// Makes it if it is not there.
    pub(crate) fn open(path: &Path) -> Result<JsonFile> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
        // Who may read it, the user's umask says.
        let open = open(path, flags, Mode::from_raw_mode(0o666))
            .map_err(|e| Failure::Usage(format!("cannot write {}: {e}", path.display())))?;
        Ok(JsonFile { open, path: path.to_path_buf() })
    }

    /// Puts `text` in the place of what it held.
    pub(crate) fn write(self, text: &str) -> Result<()> {
        // What is no plain file has no length to cut.
        let _ = ftruncate(&self.open, 0);
        write_all(&self.open, text.as_bytes()).map_err(|e| Failure::io("writing", &self.path, &e))
    }
}

/// Writes without a buffer between.
pub(crate) fn write_all(to: impl std::os::fd::AsFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(&to, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
