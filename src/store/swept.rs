//! [`Swept`]: what a sweep did.

use crate::offset::LogOffset;
use crate::retention::Why;

/// What a sweep did; see [`Store::sweep`](crate::Store::sweep).
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # use sawlog::{LogOffset, Message, Options, Store};
/// for _ in 0..2 {
///     store.append(&Message::new("orders", vec![b'.'; 40_000]))?.wait()?; // a segment takes one of them
/// }
/// let swept = store.remove_before(LogOffset(1 << 16))?;
/// assert_eq!((swept.segments, swept.bytes), (1, 1 << 16));
/// assert_eq!(swept.first, store.marks().first);
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
