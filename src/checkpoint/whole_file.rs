//! A small file that is only ever replaced as a whole: framed, checksummed, never seen half written.
//!
//! ```text
//! 0   magic            u32
//! 4   version          u32
//! 8   payload length   u64   n; the file is exactly 20 + n bytes long
//! 16  payload          n
//! 16+n  CRC-32         u32   of all bytes before it
//! ```
//! Saving writes a new file beside the old one, syncs it, gives it the name and syncs the folder: a power cut at any
//! point leaves the old content or the new one (promises A5).

use std::io;
use std::path::Path;

use crate::checkpoint::fields::{Fault, Fields, Parsed};
use crate::disk::{Access, Disk, Reserve};
use crate::error::{Damage, Error, Result};

const HEAD_BYTES: u64 = 16;
const CRC_BYTES: u64 = 4;
/// The longest file that is read or written. Ten million queues fit; a length beyond it is no length of ours, and
/// nothing is allocated for it.
const MOST_BYTES: u64 = 1 << 30;

/// One such file: its names and what stands at its front.
#[derive(Clone, Copy, Debug)]
pub(super) struct WholeFile {
    pub(super) name: &'static str,
    /// The name of the half-made successor; what a crash leaves of it means nothing.
    pub(super) new_name: &'static str,
    pub(super) magic: u32,
    /// The version that is written.
    pub(super) version: u32,
    /// The oldest version that is still read.
    pub(super) oldest: u32,
}

/// The content of such a file, and in which version it is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Payload {
    pub(super) version: u32,
    pub(super) bytes: Vec<u8>,
}

impl WholeFile {
    /// The payload last saved; `None` if there is no such file.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the file is damaged, [`Error::Foreign`] if a newer program wrote it, [`Error::Io`].
    pub(super) fn load(&self, disk: &dyn Disk, dir: &Path) -> Result<Option<Payload>> {
        let path = dir.join(self.name);
        let file = match disk.open(&path, Access::Read) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("opening", &path, e)),
        };
        let mut head = [0; 16];
        if file.len() < HEAD_BYTES + CRC_BYTES {
            return Err(Fault::Damaged(Damage::Cut).in_file(&path));
        }
        file.read_at(0, &mut head).map_err(|e| Error::io("reading", &path, e))?;
        // Before anything is allocated: the head must agree with the length of the file.
        let len = self.payload_bytes(&head, file.len()).map_err(|fault| fault.in_file(&path))?;
        let mut bytes = Vec::new();
        let all = len.saturating_add(20);
        if bytes.try_reserve_exact(all).is_err() {
            return Err(Error::io("reading", &path, io::ErrorKind::OutOfMemory.into()));
        }
        bytes.resize(all, 0);
        file.read_at(0, &mut bytes).map_err(|e| Error::io("reading", &path, e))?;
        self.unframe(bytes).map(Some).map_err(|fault| fault.in_file(&path))
    }

    /// Puts `payload` in the place of what was there; after Ok a power cut leaves it.
    ///
    /// # Errors
    /// [`Error::Io`]. The old content is still there then, or the new one already is.
    pub(super) fn save(&self, disk: &dyn Disk, dir: &Path, payload: &[u8]) -> Result<()> {
        let (path, new) = (dir.join(self.name), dir.join(self.new_name));
        let bytes = self.frame(payload);
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if len > MOST_BYTES {
            return Err(Error::io("writing", &path, io::ErrorKind::FileTooLarge.into()));
        }
        remove_left_over(disk, &new)?;
        let file = disk.create(&new, len, Reserve::Blocks).map_err(|e| Error::io("creating", &new, e))?;
        file.write_at(0, &bytes).map_err(|e| Error::io("writing", &new, e))?;
        file.sync().map_err(|e| Error::io("syncing", &new, e))?;
        drop(file);
        disk.replace(&new, &path).map_err(|e| Error::io("renaming", &new, e))?;
        disk.sync_dir(dir).map_err(|e| Error::io("syncing", dir, e))
    }

    /// The file's bytes.
    pub(super) fn frame(&self, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(payload.len().saturating_add(20));
        bytes.extend_from_slice(&self.magic.to_be_bytes());
        bytes.extend_from_slice(&self.version.to_be_bytes());
        bytes.extend_from_slice(&u64::try_from(payload.len()).unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend_from_slice(payload);
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
        bytes
    }

    /// The payload in a file's bytes.
    pub(super) fn unframe(&self, mut bytes: Vec<u8>) -> Parsed<Payload> {
        let cut = Fault::Damaged(Damage::Cut);
        let file_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let head = bytes.first_chunk::<16>().ok_or(cut.clone())?;
        let len = self.payload_bytes(head, file_bytes)?;
        let (framed, crc) = bytes.split_last_chunk::<4>().ok_or(cut)?;
        if crc32fast::hash(framed) != u32::from_be_bytes(*crc) {
            return Err(Fault::Damaged(Damage::BadChecksum));
        }
        // A newer program's file is told from a damaged one by its checksum, which stands at the end in any version.
        let version = framed.get(4..8).and_then(|b| Fields(b).u32()).unwrap_or(0);
        if !(self.oldest..=self.version).contains(&version) {
            return Err(Fault::Newer(version));
        }
        bytes.truncate(len.saturating_add(16));
        bytes.drain(..16);
        Ok(Payload { version, bytes })
    }

    /// The payload's length, if the head and the file's length agree on one.
    fn payload_bytes(&self, head: &[u8; 16], file_bytes: u64) -> Parsed<usize> {
        let mut fields = Fields(head);
        let magic = fields.u32().unwrap_or(0);
        if magic != self.magic {
            return Err(Fault::Damaged(Damage::BadMagic { found: magic }));
        }
        fields.u32();
        let len = fields.u64().unwrap_or(u64::MAX);
        let whole = len.checked_add(HEAD_BYTES + CRC_BYTES).filter(|whole| *whole <= MOST_BYTES);
        if whole != Some(file_bytes) {
            let total = u32::try_from(file_bytes).unwrap_or(u32::MAX);
            return Err(Fault::Damaged(Damage::BadSize { total, parts: len.saturating_add(20) }));
        }
        usize::try_from(len).map_err(|_| Fault::Damaged(Damage::Cut))
    }
}

/// Removes what an interrupted save left under its temporary name.
pub(super) fn remove_left_over(disk: &dyn Disk, path: &Path) -> Result<()> {
    match disk.remove(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io("removing", path, e)),
        _ => Ok(()),
    }
}
