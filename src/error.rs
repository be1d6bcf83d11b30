//! What can go wrong, told apart by what the caller can do about it.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::offset::{LogOffset, QueueOffset};

/// The result of everything that can fail here.
///
/// ```
/// use sawlog::{Message, Options, Store};
///
/// fn pay(store: &Store, order: &str) -> sawlog::Result<()> {
///     store.append(&Message::new("orders", "paid").key(order))?.wait()
/// }
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// assert!(pay(&store, "order-42").is_ok());
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type Result<T> = std::result::Result<T, Error>;

/// How far an acknowledgement goes (promises §1).
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # use sawlog::{Level, Message, Options, Store};
/// assert!(Level::Written < Level::Flushed);
/// let ack = store.append_with(&Message::new("orders", "paid"), Level::Flushed)?;
/// assert_eq!(ack.level(), Level::Flushed);
/// ack.wait()?; // no power cut takes it from here on
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// The bytes are in the operating system's page cache: a killed process loses nothing, a power cut may.
    Written,
    /// A sync that covers the bytes returned without error: a power cut loses nothing.
    Flushed,
}

/// Why a call did not do what was asked. Clones share the cause.
///
/// ```
/// use std::time::Duration;
/// use sawlog::{Error, Level, Message, Options, Store};
///
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 20))?;
/// let outcome = store
///     .append_with(&Message::new("orders", "paid"), Level::Flushed)
///     .and_then(|ack| ack.wait_timeout(Duration::from_secs(5)));
/// match outcome {
///     Ok(_) => {}                                    // durable
///     Err(Error::Busy { .. } | Error::Full { .. }) => {} // not stored: come again later
///     Err(Error::InvalidMessage(why)) => panic!("not stored, and never will be: {why}"),
///     Err(Error::TimedOut { reached, .. }) => println!("unknown so far: {reached:?}"),
///     Err(error) => panic!("open the store again: {error}"),
/// }
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused. This call failed; the store stands. Mend the cause and call again.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What was being done, such as "opening".
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// Bytes in a file are not what they should be. Nothing was changed. Look at the place with the tool; open with
    /// another `OnDamage` only if losing what it names is acceptable.
    #[error("{0}")]
    Corrupt(Corruption),
    /// The message cannot be stored as it is; nothing was written. Change the message.
    #[error("message refused: {0}")]
    InvalidMessage(Cow<'static, str>),
    /// Options contradict each other or the files; nothing was touched. Change the options.
    #[error("options refused: {0}")]
    InvalidOptions(Cow<'static, str>),
    /// Something in the folder is no part of a store that we read; nothing was touched. Move it away, or open the
    /// folder that was meant.
    #[error("{}: {why}", path.display())]
    Foreign {
        /// The file or folder.
        path: PathBuf,
        /// What it is, and what to do.
        why: Cow<'static, str>,
    },
    /// A file's length does not fit the other files, or all files' length does not fit the options; nothing was
    /// touched. If `path` is a file, it was cut short, or is too long: put it right. If it is a folder, an option says
    /// another length than the files in it have: leave the option unset, or open the folder that was meant.
    #[error("{}", misfit(.path, *.found, *.expected))]
    Geometry {
        /// The file; or the folder (`commitlog`, `consumequeue`) of which all files have another length than the options
        /// say.
        path: PathBuf,
        /// Its length in bytes; of a folder, that of each of its files.
        found: u64,
        /// The length in bytes that it should have; of a folder, that by the options: 20 for each entry of a queue's
        /// file.
        expected: u64,
    },
    /// The place asked for was removed by retention, or is not there yet.
    #[error("offset {asked} is outside of what is here: {first} up to {next}")]
    OutOfRange {
        /// What was asked for.
        asked: u64,
        /// The first offset there is.
        first: u64,
        /// The offset behind the last.
        next: u64,
    },
    /// This part of the log is damaged, and on the list of such parts
    /// ([`Store::quarantined`](crate::Store::quarantined)); what lies around it is served. Go on at `to`. If its bytes
    /// are put back, the next open finds that and serves it again.
    #[error("the log is damaged from {from} up to {to}, and that part is quarantined")]
    Quarantined {
        /// The first byte of the damaged part.
        from: LogOffset,
        /// The first byte behind it: a record's beginning, or the log's end.
        to: LogOffset,
    },
    /// The messages of a queue from `at` up to, and without, `next` lay in quarantined parts of the log. Go on at
    /// `next`. If the bytes are put back, the next open finds that and serves the messages again.
    #[error(
        "the messages from queue offset {at} up to {next} are lost in the log's damage from {from} up to {to}, \
         which is quarantined"
    )]
    QuarantinedMessages {
        /// The queue offset that was asked for.
        at: QueueOffset,
        /// The next one with a message, or the queue's end.
        next: QueueOffset,
        /// The first damaged byte between the messages before and behind.
        from: LogOffset,
        /// The first byte behind the last damaged part between them.
        to: LogOffset,
    },
    /// The disk has no room, or is fuller than [`Retention::refuse_above`](crate::Retention) allows; nothing was
    /// written. Free some and call again: no restart is needed.
    #[error("disk full: {needed} bytes needed, {free} free")]
    Full {
        /// Bytes that were free.
        free: u64,
        /// Bytes that were needed; where the limit refuses, bytes that must become free to be within it. When a store is
        /// opened: what all of that may need, as far as it could be told by then.
        needed: u64,
    },
    /// Only from `try_` calls: the append would have had to wait; nothing was written. Call again later.
    #[error("busy: {unflushed} bytes wait for the disk, the window is {window}")]
    Busy {
        /// Bytes appended and not flushed.
        unflushed: u64,
        /// The most that may be.
        window: u64,
    },
    /// Another process (a Java broker, too), or this one, has the store open. Close that one first.
    #[error("{} is held by {}", .root.display(), opener(*.pid))]
    Locked {
        /// The store's folder.
        root: PathBuf,
        /// The process that holds it, if the system can tell: this process's own id where the store is open in this
        /// one. `None` across machines and containers, and where the holder has let go since.
        pid: Option<u32>,
    },
    /// Time ran out before the answer. The outcome is unknown: the message is in the log and will normally reach
    /// the level soon; do not take it for lost.
    #[error("timed out waiting for {asked:?} of offset {end}; reached so far: {reached:?}")]
    TimedOut {
        /// The end of what was waited for.
        end: LogOffset,
        /// The level that was waited for.
        asked: Level,
        /// The lower level that it has reached, if any.
        reached: Option<Level>,
    },
    /// An earlier sync, staged write or worker failed: the store is read-only until reopened, the cause is inside.
    /// The outcome of an append that ends so is unknown: its message may be there on reopening.
    #[error("the store has failed and takes no more appends until it is reopened; cause: {0}")]
    Failed(Arc<Error>),
    /// A worker thread panicked. It appears as the cause inside [`Error::Failed`].
    #[error("worker {worker} panicked: {message}")]
    Panicked {
        /// The thread's name.
        worker: &'static str,
        /// The panic's message.
        message: String,
    },
    /// A limit was set for the closing, and it is over: the disk has not answered. The closing goes on behind, and
    /// ends in order if the disk comes back. Until then appends are refused and the folder stays locked. Nothing is
    /// lost that was acknowledged: if the process ends first, the next open recovers.
    #[error("the store is still closing after {limit:?}: the disk has not answered")]
    StillClosing {
        /// How long was waited.
        limit: std::time::Duration,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl Error {
    /// An [`Error::Io`], or [`Error::Full`] if the system says that space or quota ran out.
    pub(crate) fn io(doing: &'static str, path: &Path, source: io::Error) -> Error {
        Error::Io { doing, path: path.to_path_buf(), source: Arc::new(source) }
    }

    /// Whether the cause is a lack of space or quota.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Error::Full { .. } => true,
            Error::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            Error::Failed(cause) => cause.is_full(),
            _ => false,
        }
    }

    /// Whether it is about quarantined damage: an iterator that has given it goes on behind that.
    pub(crate) fn is_quarantined(&self) -> bool {
        matches!(self, Error::Quarantined { .. } | Error::QuarantinedMessages { .. })
    }

    /// The same error as the lasting state of a store: wrapped once, never twice.
    pub(crate) fn latched(self) -> Error {
        match self {
            Error::Failed(_) | Error::Closed => self,
            other => Error::Failed(Arc::new(other)),
        }
    }
}

/// Damage, and where it lies.
///
/// ```
/// # use sawlog::{Damage, Error, LogOffset, Message, Options, Store};
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # store.append_batch(&[Message::new("orders", "paid"), Message::new("orders", "sent")])?.wait()?;
/// # store.close()?;
/// # let log = folder.path().join("commitlog/00000000000000000000");
/// # let mut bytes = std::fs::read(&log)?;
/// # bytes[88] ^= 1;
/// # std::fs::write(&log, bytes)?;
/// // A byte of the first record has rotted since it was written.
/// let Err(Error::Corrupt(damage)) = Store::open(folder.path(), Options::new()) else { panic!("opened") };
/// assert_eq!((damage.at, &damage.what), (LogOffset(0), &Damage::BadRecordChecksum));
/// assert!(damage.path.ends_with("commitlog/00000000000000000000"));
/// println!("{damage}"); // for whoever looks into it
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corruption {
    /// The file that holds the bad bytes.
    pub path: PathBuf,
    /// Where in the log (for log files), or the byte in the file (for our own small files), or in the
    /// queue (for consume queues: 20 times the queue offset).
    pub at: LogOffset,
    /// What is wrong.
    pub what: Damage,
}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at offset {}: {}", self.path.display(), self.at, self.what)
    }
}

impl std::error::Error for Corruption {}

/// The kinds of damage a record, a segment or one of our own files can show.
///
/// ```
/// use sawlog::message::{Verify, check};
/// use sawlog::{Damage, LogOffset};
///
/// let damage = check(LogOffset(0), &[0; 100], Verify::Ours).unwrap_err();
/// assert_eq!(damage, Damage::Unwritten);
/// assert_eq!(damage.to_string(), "no record: zeros");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// No record begins here: zeros.
    Unwritten,
    /// The first eight bytes are no record's.
    BadMagic {
        /// The four bytes where the magic number should stand.
        found: u32,
    },
    /// The stored length cannot be: too short, or beyond the end of the segment.
    BadLength {
        /// The stored length, as the signed number RocketMQ sees.
        len: i32,
    },
    /// The inner lengths do not add up to the record's length (the size equation, spec 2.1).
    BadSize {
        /// The record's length.
        total: u32,
        /// What its parts add up to.
        parts: u64,
    },
    /// The bytes end before the record does.
    Cut,
    /// The body's checksum does not fit the body (spec 2.6).
    BadBodyChecksum,
    /// The record's checksum does not fit the record (spec 2.7).
    BadRecordChecksum,
    /// A record in a range that we wrote has no record checksum.
    NoRecordChecksum,
    /// The record names another place than the one it stands at (spec H27).
    WrongPlace {
        /// The place that it names.
        says: i64,
    },
    /// The topic is empty or not UTF-8.
    BadTopic,
    /// A number that cannot be negative is.
    Negative {
        /// Which field.
        field: &'static str,
    },
    /// A host's port is no port.
    BadPort {
        /// The stored number.
        port: i32,
    },
    /// A blank record (end of segment, spec 2.2) does not reach to the segment's end.
    BadBlank {
        /// Its length.
        len: u32,
        /// The bytes that were left in the segment.
        left: u64,
    },
    /// A whole segment is missing between others.
    MissingSegment,
    /// The log ends before the place that was once durable.
    EndsEarly {
        /// The durable mark.
        durable: LogOffset,
    },
    /// One of our own files does not carry its checksum.
    BadChecksum,
    /// The list of quarantined damage (`sawlog/quarantine`) is not there, and the mark says that there is one.
    NoQuarantineList,
    /// The list of what sawlog wrote (`sawlog/ranges`) is not there, and the mark is: it was written first.
    NoRanges,
    /// An entry of a consume queue points at the record of another message, or at none.
    WrongEntry {
        /// The entry's offset in its queue.
        queue_offset: QueueOffset,
        /// The place in the log that it points at.
        points_at: LogOffset,
    },
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::Unwritten => write!(f, "no record: zeros"),
            Damage::BadMagic { found } => write!(f, "no record: magic {found:08X}"),
            Damage::BadLength { len } => write!(f, "impossible record length {len}"),
            Damage::BadSize { total, parts } => {
                write!(f, "record length {total}, its parts add up to {parts}")
            }
            Damage::Cut => write!(f, "the record is cut off"),
            Damage::BadBodyChecksum => write!(f, "body checksum mismatch"),
            Damage::BadRecordChecksum => write!(f, "record checksum mismatch"),
            Damage::NoRecordChecksum => write!(f, "record checksum missing where every record has one"),
            Damage::WrongPlace { says } => write!(f, "the record says that it belongs at {says}"),
            Damage::BadTopic => write!(f, "the topic is empty or not UTF-8"),
            Damage::Negative { field } => write!(f, "negative {field}"),
            Damage::BadPort { port } => write!(f, "a host's port is {port}"),
            Damage::BadBlank { len, left } => {
                write!(f, "end-of-segment record of {len} bytes where {left} are left")
            }
            Damage::MissingSegment => write!(f, "a segment is missing here"),
            Damage::EndsEarly { durable } => write!(f, "the log ends here, but was durable up to {durable}"),
            Damage::BadChecksum => write!(f, "checksum mismatch"),
            Damage::NoQuarantineList => write!(
                f,
                "the list of quarantined damage is missing; put it back, or open with `OnDamage::Quarantine` to have \
                 the log looked through for it"
            ),
            Damage::NoRanges => write!(
                f,
                "the list of the parts that have record checksums is missing; put it back, or open with \
                 `OnDamage::FirstBroken` to go on without those checksums"
            ),
            Damage::WrongEntry { queue_offset, points_at } => {
                write!(f, "the entry of queue offset {queue_offset} points at log offset {points_at}, ")?;
                write!(
                    f,
                    "where its record does not stand; open with `rebuild_derived` to have the queues made anew"
                )
            }
        }
    }
}

impl std::error::Error for Damage {}

/// Who holds a store.
fn opener(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another opener of the store".into(), |pid| format!("process {pid}"))
}

/// Bytes of an entry in a queue's file, whose length the options count in entries.
const ENTRY_BYTES: u64 = 20;

/// What does not fit, and what to do about it. The path tells: of folders only these two are held against options, and
/// files in the log's folder are the log's.
fn misfit(path: &Path, found: u64, expected: u64) -> String {
    let named = |part: Option<&Path>, name: &str| part.and_then(Path::file_name).is_some_and(|is| is == name);
    let folder = path.display();
    let choice = "leave the option unset to take what is there, or open another folder";
    if named(Some(path), "commitlog") {
        return format!(
            "{folder}: its segments have {found} bytes, and Options::segment_bytes says {expected}; {choice}"
        );
    }
    if named(Some(path), "consumequeue") {
        let (found, expected) = (found / ENTRY_BYTES, expected / ENTRY_BYTES);
        return format!(
            "{folder}: the files of its queues have {found} entries, and Options::queue_segment_entries says \
             {expected}; {choice}"
        );
    }
    let (wrong, cure) = match (named(path.parent(), "commitlog"), found < expected) {
        (true, true) => (
            "was cut short",
            "put the whole file back; without it, `sawlog repair DIR --damage cut` pads it with zeros and cuts the log \
             behind its last whole record",
        ),
        // The first segment sets the length: it may be the one that is wrong.
        (true, false) => (
            "is longer than the log's first segment",
            "put back whichever of the two is not as it was written",
        ),
        (false, true) => ("was cut short", "open the store again, which makes it anew from the log"),
        (false, false) => ("is too long", "open the store again, which makes it anew from the log"),
    };
    format!("{} {wrong}: {found} bytes where {expected} are expected; {cure}", path.display())
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
