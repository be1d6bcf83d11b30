//! Big-endian fields, read one after the other from bytes that may be anything.

use std::path::Path;

use crate::error::{Corruption, Damage, Error};
use crate::offset::LogOffset;

/// What is left to read. Every call answers `None` at the end instead of reading beyond it.
#[derive(Debug)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    pub(super) fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }
}

/// What bytes say, or why they were not taken.
pub(super) type Parsed<T> = std::result::Result<T, Fault>;

/// Why the bytes of one of our own files were not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// They are not what was written.
    Damaged(Damage),
    /// They are whole, and of a version that this program does not know.
    Newer(u32),
}

impl Fault {
    /// The same as an error that names the file.
    pub(super) fn in_file(self, path: &Path) -> Error {
        match self {
            Fault::Damaged(what) => {
                Error::Corrupt(Corruption { path: path.to_path_buf(), at: LogOffset::ZERO, what })
            }
            Fault::Newer(version) => Error::Foreign {
                path: path.to_path_buf(),
                why: format!("format version {version} is unknown to this program; open with a newer one")
                    .into(),
            },
        }
    }
}
