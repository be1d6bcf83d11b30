//! [`Swept`]: what a sweep did.

use crate::offset::LogOffset;
use crate::retention::Why;

/// What a sweep did; see [`Store::sweep`](crate::Store::sweep).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Swept {
    /// The first byte of the log that is still there.
    pub first: LogOffset,
    /// How many segments' files were removed.
    pub segments: u64,
    /// What they measured, in bytes.
    pub bytes: u64,
    /// Bytes of queue and index files that were removed because they led to nothing any more.
    pub derived_bytes: u64,
    /// Bytes of all segments removed so far, by this sweep and earlier ones, that readers still hold: the disk gets
    /// them back when the last one lets go.
    pub pinned_bytes: u64,
    /// Why the newest of the segments went; `None` if nothing was to go.
    pub why: Option<Why>,
}
