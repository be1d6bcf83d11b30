//! What a verification tells on the way, and at its end.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use crate::inspect::verify::fault::{Fault, FaultKind};
use crate::offset::LogOffset;
use crate::recovery::counted;

/// What is told on the way.
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
/// // One byte has rotted; the first damage is enough.
/// let mut first = None;
/// let verified = inspect::verify(folder.path(), &VerifyOptions::new(), |told| match told {
///     Told::Fault(fault) if fault.kind.is_damage() => {
///         first = Some(fault.to_string());
///         ControlFlow::Break(())
///     }
///     _ => ControlFlow::Continue(()),
/// })?;
/// assert!(first.is_some() && verified.damages() > 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Told<'a> {
    /// A fault was found. Faults of the log come in log order.
    Fault(&'a Fault),
    /// How far it is, ten times a second.
    Progress(Progress),
}

/// What is being read.
///
/// ```
/// # use sawlog::{Message, Options, Store, inspect};
/// # use std::ops::ControlFlow;
/// use sawlog::inspect::{Stage, Told, VerifyOptions};
///
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # store.append(&Message::new("orders", "paid").key("order-42"))?.wait()?;
/// # store.close()?;
/// let verified = inspect::verify(folder.path(), &VerifyOptions::new(), |told| {
///     if let Told::Progress(progress) = told {
///         let what = match progress.stage {
///             Stage::Log => "log",
///             Stage::Queues => "queues",
///             _ => "key index",
///         };
///         println!("{what}: {} of {} bytes", progress.bytes, progress.of_bytes);
///     }
///     ControlFlow::Continue(())
/// })?;
/// assert!(verified.complete);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// The log, and beside it what is derived from each record.
    Log,
    /// The queues' entries.
    Queues,
    /// The hash tables of the key index.
    Index,
}

/// How far a verification is.
///
/// ```
/// # use sawlog::{Message, Options, Store, inspect};
/// # use std::ops::ControlFlow;
/// use sawlog::inspect::{Progress, Told, VerifyOptions};
///
/// fn show(progress: Progress) {
///     let part = 100 * progress.bytes / progress.of_bytes.max(1);
///     println!("{part} %, {} records, {} faults", progress.records, progress.faults);
/// }
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # store.append(&Message::new("orders", "paid").key("order-42"))?.wait()?;
/// # store.close()?;
/// let verified = inspect::verify(folder.path(), &VerifyOptions::new(), |told| {
///     if let Told::Progress(progress) = told {
///         show(progress);
///     }
///     ControlFlow::Continue(())
/// })?;
/// assert!(verified.complete);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// What is being read.
    pub stage: Stage,
    /// Bytes of the log that were read.
    pub bytes: u64,
    /// Bytes of all segments that are to be read, whether anything stands in them or not.
    pub of_bytes: u64,
    /// Valid records so far.
    pub records: u64,
    /// Faults so far, harmless ones too.
    pub faults: u64,
}

/// What was verified, and how many faults were found.
///
/// ```
/// # use sawlog::{Message, Options, Store, inspect};
/// # use std::ops::ControlFlow;
/// use sawlog::inspect::{FaultKind, VerifyOptions};
///
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # store.append_batch(&[Message::new("orders", "paid"), Message::new("orders", "sent")])?.wait()?;
/// # store.close()?;
/// # let log = folder.path().join("commitlog/00000000000000000000");
/// # let mut bytes = std::fs::read(&log)?;
/// # bytes[88] ^= 1;
/// # std::fs::write(&log, bytes)?;
/// // One byte has rotted.
/// let verified = inspect::verify(folder.path(), &VerifyOptions::new(), |_| ControlFlow::Continue(()))?;
/// assert!(verified.complete && verified.damages() > 0);
/// assert_eq!((verified.counts[&FaultKind::Rot], verified.records), (1, 1)); // the other record is whole
/// println!("{verified}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verification {
    /// The place in the log at which it began.
    pub from: LogOffset,
    /// The place up to which everything was held against everything. Of a store that sawlog is writing this is what
    /// was durable when the verification began.
    pub to: LogOffset,
    /// Whether all was looked at.
    pub complete: bool,
    /// Where to begin next time, if it was broken off.
    pub resume_from: Option<LogOffset>,
    /// Where the log ends, if that was reached.
    pub log_end: Option<LogOffset>,
    /// Valid records.
    pub records: u64,
    /// Bytes of the log that they take, with what lies between them.
    pub bytes: u64,
    /// Queues with files.
    pub queues: u64,
    /// Entries in them, blanks included.
    pub entries: u64,
    /// Entries of the key index.
    pub keys: u64,
    /// Records that are not in their queue's files yet, as is to be expected: opening, or the writer, puts them there.
    pub behind: u64,
    /// How many faults there are of each kind. Where a fault stands for several messages, it counts once.
    pub counts: BTreeMap<FaultKind, u64>,
}

impl Verification {
    pub(super) fn new(from: LogOffset) -> Verification {
        Verification {
            from,
            to: from,
            complete: false,
            resume_from: None,
            log_end: None,
            records: 0,
            bytes: 0,
            queues: 0,
            entries: 0,
            keys: 0,
            behind: 0,
            counts: BTreeMap::new(),
        }
    }

    pub(super) fn count(&mut self, fault: &Fault) {
        *self.counts.entry(fault.kind).or_default() += 1;
    }

    /// All faults, harmless ones too.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.counts.values().sum()
    }

    /// The faults that are damage.
    #[must_use]
    pub fn damages(&self) -> u64 {
        self.counts.iter().filter(|(kind, _)| kind.is_damage()).map(|(_, count)| count).sum()
    }
}

impl Display for Verification {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Verification { records, bytes, from, to, queues, entries, keys, .. } = self;
        write!(f, "{} in {bytes} bytes of log from {from} to {to}", counted(*records, "record", "records"))?;
        let (entries, queues) = (counted(*entries, "entry", "entries"), counted(*queues, "queue", "queues"));
        write!(f, ", {entries} of {queues}, {}: ", counted(*keys, "key", "keys"))?;
        match (self.damages(), self.complete) {
            (0, true) => write!(f, "sound")?,
            (0, false) => write!(f, "sound so far")?,
            (damages, _) => f.write_str(&counted(damages, "place of damage", "places of damage"))?,
        }
        for (kind, count) in &self.counts {
            write!(f, "\n  {kind}: {count}; {}", kind.meaning())?;
        }
        if let Some(next) = self.resume_from {
            write!(f, "\nbroken off; the rest is verified from {next} on")?;
        }
        Ok(())
    }
}
