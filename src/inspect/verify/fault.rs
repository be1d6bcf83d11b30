//! [`Fault`]: what is not as it should be, where, and what that means for whoever consumes.

use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;

use crate::offset::{LogOffset, QueueOffset};

/// One thing that is not as it should be, or several of one kind that lie side by side.
///
/// ```
/// # use sawlog::{LogOffset, Message, Options, Store, inspect};
/// # use std::ops::ControlFlow;
/// use sawlog::inspect::{FaultKind, Told, VerifyOptions};
///
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # store.append_batch(&[Message::new("orders", "paid"), Message::new("orders", "sent")])?.wait()?;
/// # store.close()?;
/// # let log = folder.path().join("commitlog/00000000000000000000");
/// # let mut bytes = std::fs::read(&log)?;
/// # bytes[88] ^= 1;
/// # std::fs::write(&log, bytes)?;
/// // One byte of the first record has rotted.
/// let mut faults = Vec::new();
/// inspect::verify(folder.path(), &VerifyOptions::new(), |told| {
///     if let Told::Fault(fault) = told {
///         faults.push(fault.clone());
///     }
///     ControlFlow::Continue(())
/// })?;
/// let rot = faults.iter().find(|fault| fault.kind == FaultKind::Rot).expect("it is found");
/// assert_eq!((rot.log, rot.at, rot.count), (Some(LogOffset(0)), 0, 1));
/// assert!(rot.path.ends_with("commitlog/00000000000000000000"));
/// println!("{rot}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// Which kind.
    pub kind: FaultKind,
    /// The file.
    pub path: PathBuf,
    /// Where in the file, in bytes.
    pub at: u64,
    /// Where in the log, if it has to do with a place there.
    pub log: Option<LogOffset>,
    /// Behind the last byte of the log that it concerns; `log` if that is one place alone.
    pub log_to: Option<LogOffset>,
    /// The message that it concerns, or the first of them.
    pub message: Option<MessageName>,
    /// How many messages or entries it concerns; 1 where nobody can count them.
    pub count: u64,
    /// Whether it lies in a part of the log that is listed as damaged and stepped over; see
    /// [`OnDamage::Quarantine`](crate::OnDamage::Quarantine). It is damage all the same.
    pub quarantined: bool,
    /// What was found.
    pub what: String,
}

/// A message by its place in its queue.
///
/// ```
/// # use sawlog::{Message, Options, Store, inspect};
/// # use std::ops::ControlFlow;
/// use sawlog::inspect::{Told, VerifyOptions};
///
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # store.append_batch(&[Message::new("orders", "paid"), Message::new("orders", "sent")])?.wait()?;
/// # store.close()?;
/// # let log = folder.path().join("commitlog/00000000000000000000");
/// # let mut bytes = std::fs::read(&log)?;
/// # bytes[88] ^= 1;
/// # std::fs::write(&log, bytes)?;
/// // One byte of the first record has rotted: which message was that?
/// let mut lost = Vec::new();
/// inspect::verify(folder.path(), &VerifyOptions::new(), |told| {
///     if let Told::Fault(fault) = told {
///         lost.extend(fault.message.iter().map(|message| message.to_string()));
///     }
///     ControlFlow::Continue(())
/// })?;
/// assert!(lost.contains(&"orders/0 offset 0".to_owned()), "{lost:?}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct MessageName {
    /// The topic.
    pub topic: String,
    /// The queue, within the topic.
    pub queue_id: u32,
    /// The offset in the queue.
    pub queue_offset: QueueOffset,
}

/// The kinds of fault.
///
/// ```
/// use sawlog::inspect::FaultKind;
///
/// for kind in FaultKind::ALL.into_iter().filter(|kind| kind.is_damage()) {
///     println!("{kind}: {}", kind.meaning());
/// }
/// assert_eq!(FaultKind::TornTail.to_string(), "torn tail");
/// assert!(!FaultKind::TornTail.is_damage());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FaultKind {
    /// The log ends in bytes that no sync covered. Not damage: opening keeps them aside and cuts them off.
    TornTail,
    /// Queue or index files do not reach as far as the log. Not damage: opening derives the rest.
    Behind,
    /// Two records name the same offset of a queue; the later one stands in it. Not damage: it was written so.
    Doubled,
    /// Bytes of the log are no longer what was written.
    Rot,
    /// Zeros in the log where records were.
    Hole,
    /// A segment of the log is missing.
    MissingSegment,
    /// The log ends before the place up to which it was durable.
    EndsEarly,
    /// A record is not in its queue.
    LostEntry,
    /// A queue entry leads to no record of its own.
    StaleEntry,
    /// A record is not found by one of its keys.
    LostKey,
    /// An index entry leads to no record that carries its key.
    StaleKey,
    /// The hash table of an index file does not lead to all of its entries.
    BrokenIndex,
    /// A file of a queue or of the index is missing.
    MissingFile,
    /// A file that is no part of the store where it lies.
    ForeignFile,
    /// One of our own small files is damaged.
    SideFile,
}

impl FaultKind {
    /// All of them, the harmless ones first.
    pub const ALL: [FaultKind; 15] = [
        FaultKind::TornTail,
        FaultKind::Behind,
        FaultKind::Doubled,
        FaultKind::Rot,
        FaultKind::Hole,
        FaultKind::MissingSegment,
        FaultKind::EndsEarly,
        FaultKind::LostEntry,
        FaultKind::StaleEntry,
        FaultKind::LostKey,
        FaultKind::StaleKey,
        FaultKind::BrokenIndex,
        FaultKind::MissingFile,
        FaultKind::ForeignFile,
        FaultKind::SideFile,
    ];

    /// Whether it is damage; the others are what a crash leaves, and what opening puts right.
    #[must_use]
    pub fn is_damage(self) -> bool {
        !matches!(self, FaultKind::TornTail | FaultKind::Behind | FaultKind::Doubled)
    }

    /// What it means for whoever consumes, and what to do.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            FaultKind::TornTail => {
                "not acknowledged as durable; opening keeps these bytes aside and the log ends before them"
            }
            FaultKind::Behind => "opening derives the rest; nobody misses a message",
            FaultKind::Doubled => {
                "the queue gives the later record; the earlier one is found by key and place alone"
            }
            FaultKind::Rot => {
                "consumers get an error for these messages and go on behind them; no byte of them is served"
            }
            FaultKind::Hole => "the messages that lay here are lost; consumers get an error at their offsets",
            FaultKind::MissingSegment => {
                "all messages in it are lost unless the file is found; opening refuses the store"
            }
            FaultKind::EndsEarly => {
                "messages acknowledged as durable are lost unless a file is found; opening refuses the store"
            }
            FaultKind::LostEntry => {
                "consumers of the queue miss it; open with `rebuild_derived` to make the queues anew"
            }
            FaultKind::StaleEntry => {
                "consumers get an error there; open with `rebuild_derived` to make the queues anew"
            }
            FaultKind::LostKey => {
                "a search by key misses it; open with `rebuild_derived` to make the index anew"
            }
            FaultKind::StaleKey => "a search by key passes over it; `rebuild_derived` makes the index anew",
            FaultKind::BrokenIndex => {
                "a search by key misses some; open with `rebuild_derived` to make the index anew"
            }
            FaultKind::MissingFile => {
                "opening makes queues and index anew from the log; what only it knew is lost"
            }
            FaultKind::ForeignFile => {
                "in the log's folder opening refuses the store, elsewhere it moves the file aside"
            }
            FaultKind::SideFile => "opening refuses the store, or does without what the file said",
        }
    }

    /// Its name, in words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            FaultKind::TornTail => "torn tail",
            FaultKind::Behind => "behind",
            FaultKind::Doubled => "doubled offset",
            FaultKind::Rot => "rot",
            FaultKind::Hole => "hole",
            FaultKind::MissingSegment => "missing segment",
            FaultKind::EndsEarly => "ends early",
            FaultKind::LostEntry => "lost entry",
            FaultKind::StaleEntry => "stale entry",
            FaultKind::LostKey => "lost key",
            FaultKind::StaleKey => "stale key",
            FaultKind::BrokenIndex => "broken index",
            FaultKind::MissingFile => "missing file",
            FaultKind::ForeignFile => "foreign file",
            FaultKind::SideFile => "side file",
        }
    }
}

impl Display for FaultKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Display for MessageName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} offset {}", self.topic, self.queue_id, self.queue_offset)
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} at byte {}", self.kind, self.path.display(), self.at)?;
        match (self.log, self.log_to) {
            (Some(from), Some(to)) if to > from => write!(f, " (log {from} to {to})")?,
            (Some(from), _) => write!(f, " (log {from})")?,
            _ => {}
        }
        if let Some(message) = &self.message {
            write!(f, ", {message}")?;
        }
        if self.count > 1 {
            write!(f, " and {} more", self.count - 1)?;
        }
        if self.quarantined {
            f.write_str(", quarantined")?;
        }
        write!(f, ": {}", self.what)
    }
}

impl Fault {
    /// A fault of a whole file.
    pub(super) fn of_file(kind: FaultKind, path: PathBuf, what: String) -> Fault {
        Fault {
            kind,
            path,
            at: 0,
            log: None,
            log_to: None,
            message: None,
            count: 1,
            quarantined: false,
            what,
        }
    }

    /// A fault of a part of the log.
    pub(super) fn of_log(
        kind: FaultKind,
        (path, base): (PathBuf, LogOffset),
        (from, to): (LogOffset, LogOffset),
        what: String,
    ) -> Fault {
        let at = from.since(base);
        Fault {
            kind,
            path,
            at,
            log: Some(from),
            log_to: Some(to),
            message: None,
            count: 1,
            quarantined: false,
            what,
        }
    }
}
