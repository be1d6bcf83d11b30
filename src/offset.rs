//! Places in the log and in queues: two bare `u64` never stand side by side.

use std::fmt;

/// A byte position in the commit log.
///
/// Unit: bytes from the start of the log's life; retention removes the front but never renumbers.
/// Range: `0 ..= i64::MAX`, because RocketMQ stores it as a signed 64-bit number (spec 1.2).
///
/// ```
/// use sawlog::LogOffset;
///
/// let start = LogOffset(4096);
/// let end = start.plus(128);
/// assert_eq!((end.since(start), start.since(end)), (128, 0));
/// assert_eq!(end.to_string(), "4224");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogOffset(pub u64);

/// The ordinal of a message in one queue.
///
/// Unit: messages; dense from 0 for each (topic, queue id). Range: `0 ..= i64::MAX` (spec 2.9).
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # use sawlog::{Message, Options, QueueOffset, Store};
/// # store.append_batch(&[Message::new("orders", "paid"), Message::new("orders", "sent")])?.wait()?;
/// # store.queue("orders", 0).wait(QueueOffset(1)).wait()?;
/// let mut next = QueueOffset(0); // what a consumer keeps
/// for record in store.queue("orders", 0).read_from(next) {
///     next = record?.queue_offset.next();
/// }
/// assert_eq!(next, QueueOffset(2));
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueOffset(pub u64);

/// Where one record lies: its first byte and its length.
///
/// ```
/// use sawlog::{LogOffset, Position};
///
/// let position = Position { offset: LogOffset(100), len: 28 };
/// assert_eq!(position.end(), LogOffset(128));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// The record's first byte.
    pub offset: LogOffset,
    /// The record's whole length in bytes, header and properties included (`totalSize`, spec 2.1).
    pub len: u32,
}

/// A part of the log: the bytes from `from` up to, and without, `to`.
///
/// ```
/// use sawlog::{LogOffset, LogRange};
///
/// let part = LogRange { from: LogOffset(100), to: LogOffset(128) };
/// assert!(part.contains(LogOffset(127)) && !part.contains(part.to));
/// assert_eq!(part.to_string(), "100 to 128");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogRange {
    /// Its first byte.
    pub from: LogOffset,
    /// The first byte behind it; above `from`.
    pub to: LogOffset,
}

impl LogRange {
    /// Whether the byte at `at` is one of it.
    #[must_use]
    pub fn contains(self, at: LogOffset) -> bool {
        self.from <= at && at < self.to
    }
}

impl LogOffset {
    /// The first byte a log can have.
    pub const ZERO: LogOffset = LogOffset(0);
    /// The last offset that RocketMQ's signed 64-bit fields can hold.
    pub const MAX: LogOffset = LogOffset(i64::MAX.unsigned_abs());

    /// The place `bytes` behind this one. Stops at `u64::MAX`, far above [`LogOffset::MAX`], instead of wrapping.
    #[must_use]
    pub fn plus(self, bytes: u64) -> LogOffset {
        LogOffset(self.0.saturating_add(bytes))
    }

    /// How many bytes lie between `earlier` and this place; 0 if `earlier` is not earlier.
    #[must_use]
    pub fn since(self, earlier: LogOffset) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl QueueOffset {
    /// The offset that follows this one.
    #[must_use]
    pub fn next(self) -> QueueOffset {
        QueueOffset(self.0.saturating_add(1))
    }
}

impl Position {
    /// The first byte behind the record.
    #[must_use]
    pub fn end(self) -> LogOffset {
        self.offset.plus(u64::from(self.len))
    }
}

impl fmt::Display for LogOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for LogRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.from, self.to)
    }
}

impl fmt::Display for QueueOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
