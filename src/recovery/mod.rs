//! From files to a log that can be trusted: what a store does with damage, and what it reports.
//!
//! Recovery is a plan, which touches nothing, and its application, which may be cut by a power loss at any point and
//! run again with the same result.

mod apply;
mod before;
mod behind;
mod derived;
mod judge;
mod kinds;
mod plan;
mod quarantine;
mod scan;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Corruption;
use crate::key_index::OtherIndex;
use crate::offset::{LogOffset, LogRange, QueueOffset};

pub(crate) use apply::apply;
pub(crate) use before::{Abort, Before, abort_text};
pub(crate) use derived::{DerivedFiles, known_index, known_queues};
pub(crate) use judge::is_damage;
pub(crate) use kinds::refuse_unreadable_kinds;
pub(crate) use plan::{Plan, known_ranges, last_nonzero, plan, weigh};
pub(crate) use scan::Scope;

/// What opening does when the log is damaged: bad bytes below what was once durable, or with good records behind
/// them that no power cut explains (promises rule 2). A torn tail is no damage and always opens.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// use sawlog::{Error, OnDamage, Options, Store};
///
/// let store = match Store::open(folder.path(), Options::new()) {
///     Err(Error::Corrupt(damage)) => {
///         eprintln!("{damage}; going on without what is damaged");
///         Store::open(folder.path(), Options::new().on_damage(OnDamage::Quarantine))?
///     }
///     opened => opened?,
/// };
/// assert!(store.quarantined().is_empty());
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDamage {
    /// Answer [`Error::Corrupt`](crate::Error::Corrupt) with file, offset and kind; change nothing. The default.
    #[default]
    Refuse,
    /// RocketMQ's own rule: the log ends at the first broken record. What lies behind it is put aside in the
    /// `sawlog` folder first, where RocketMQ would delete it.
    ///
    /// Only what opening looks at is found; with [`Options::rebuild_derived`](crate::Options::rebuild_derived) that is
    /// all of the log. What is on the list of [`OnDamage::Quarantine`] ends it with
    /// [`Options::forget_quarantine`](crate::Options::forget_quarantine) alone.
    FirstBroken,
    /// The damaged parts are put on a list (`sawlog/quarantine`), durably, and stepped over; everything around them is
    /// served, and appended to. Nothing is cut but a torn tail. Reading one answers
    /// [`Error::Quarantined`](crate::Error::Quarantined), a queue's lost messages
    /// [`Error::QuarantinedMessages`](crate::Error::QuarantinedMessages).
    ///
    /// A part reaches from the first bad byte to the next place where a record surely begins: a broken record's own
    /// end, a queue entry's target, a segment's base. Only what opening looks at is listed; with
    /// [`Options::rebuild_derived`](crate::Options::rebuild_derived) that is all of the log. A whole segment that is
    /// missing is no such part: it is refused.
    ///
    /// What is listed is known: later opens go on with it, whatever they do about new damage. Each of them looks
    /// whether the bytes have been put back, from a copy or a backup, takes what is sound off the list, and derives
    /// queues and key index anew. Do not hand the store to a Java broker before: it knows of no list, and cuts the log
    /// at damage that it meets. [`Options::forget_quarantine`](crate::Options::forget_quarantine) gives the list up.
    Quarantine,
}

/// What opening found and did.
///
/// ```
/// # use sawlog::{Message, Options, Store};
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # store.append(&Message::new("orders", "paid").key("order-42"))?.wait()?;
/// # store.close()?;
/// let store = Store::open(folder.path(), Options::new())?;
/// let report = store.recovery();
/// assert!(report.clean_shutdown && report.cuts.is_empty() && report.quarantined.is_empty());
/// assert_eq!(report.log_end, store.marks().accepted);
/// println!("{report}"); // for the program's log
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// Whether no store was there: neither log nor queues, and no mark of any writer. It was made now.
    pub created: bool,
    /// Whether the last writer, whoever it was, closed the store in order; also if there was none.
    pub clean_shutdown: bool,
    /// Whether a store of another kind, such as a Java broker's, wrote last.
    pub foreign_writer: bool,
    /// Where the scan began.
    pub scanned_from: LogOffset,
    /// Records that the scan found valid.
    pub records: u64,
    /// Where the log ends; the next record goes there or behind.
    pub log_end: LogOffset,
    /// Bytes written again and synced, because nothing proved them durable (promises rule 4).
    pub rewritten_bytes: u64,
    /// What was cut off, and where it is kept.
    pub cuts: Vec<Cut>,
    /// Damaged parts of the log that were found now and are stepped over from now on, because
    /// [`OnDamage::Quarantine`] said so. [`Store::quarantined`](crate::Store::quarantined) tells all there are.
    pub quarantined: Vec<Quarantined>,
    /// Parts of the log that were on the list of damage and are sound again.
    pub lifted: Vec<LogRange>,
    /// Segments that a sweep had given up when it was cut short; their files were removed now.
    pub removed_segments: u64,
    /// From where on queues and key index were derived from the log; [`RecoveryReport::log_end`] if nothing was.
    pub derived_from: LogOffset,
    /// Whether queues and key index were made anew, because their files were missing, were another program's, or
    /// were not to be relied on.
    pub rebuilt: bool,
    /// Records that name a queue offset which an earlier record has: the later one stands in the queue (spec H28).
    pub doubled: u64,
    /// Queue offsets without a record, between two that have one.
    pub missing: u64,
    /// Records that no queue can hold at the offset that they name; they are found by key and by place alone.
    pub misnumbered: u64,
    /// Files that stood among queues or index files and are none of theirs, and where they are kept.
    pub set_aside: Vec<PathBuf>,
    /// Of those, the index files that are whole ones of another geometry, or of another length than their geometry has.
    pub(crate) other_index: Vec<OtherIndex>,
    /// Queues whose next offset is lower than one that was known before, or than where a broker's queue files ended: a
    /// consumer position may point past it.
    pub queues_moved_back: Vec<MovedBack>,
    /// Damage in our own small files that could be done without.
    pub side_damage: Vec<Corruption>,
    /// How long it took.
    pub took: Duration,
}

/// A damaged part of the log, stepped over.
///
/// ```
/// # use sawlog::{Damage, LogOffset, Message, OnDamage, Options, Store};
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # store.append_batch(&[Message::new("orders", "paid"), Message::new("orders", "sent")])?.wait()?;
/// # store.close()?;
/// # let log = folder.path().join("commitlog/00000000000000000000");
/// # let mut bytes = std::fs::read(&log)?;
/// # bytes[88] ^= 1;
/// # std::fs::write(&log, bytes)?;
/// // A byte of the first record has rotted since it was written.
/// let store = Store::open(folder.path(), Options::new().on_damage(OnDamage::Quarantine))?;
/// let [damaged] = &store.recovery().quarantined[..] else { panic!("one part") };
/// assert_eq!((damaged.part.from, &damaged.why.what), (LogOffset(0), &Damage::BadRecordChecksum));
/// assert_eq!(store.record_at(damaged.part.to)?.body(), "sent"); // the one behind is served
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quarantined {
    /// The part.
    pub part: LogRange,
    /// What stood at its first byte.
    pub why: Corruption,
}

/// Bytes cut off the log.
///
/// ```
/// # use sawlog::{LogOffset, Message, OnDamage, Options, Store};
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # store.append_batch(&[Message::new("orders", "paid"), Message::new("orders", "sent")])?.wait()?;
/// # store.close()?;
/// # let log = folder.path().join("commitlog/00000000000000000000");
/// # let mut bytes = std::fs::read(&log)?;
/// # bytes[88] ^= 1;
/// # std::fs::write(&log, bytes)?;
/// // A byte of the first record has rotted since it was written.
/// let store = Store::open(folder.path(), Options::new().on_damage(OnDamage::FirstBroken))?;
/// let [cut] = &store.recovery().cuts[..] else { panic!("one cut") };
/// assert!(cut.damage && cut.saved.exists());
/// assert_eq!((cut.from, store.marks().accepted), (LogOffset(0), LogOffset(0)));
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cut {
    /// Where they began in the log.
    pub from: LogOffset,
    /// Behind the last byte that was not zero.
    pub to: LogOffset,
    /// The file that keeps them.
    pub saved: PathBuf,
    /// What stood at the place where the log was cut.
    pub why: Corruption,
    /// Whether this was damage, cut because [`OnDamage::FirstBroken`] said so; else a tail that no sync covered.
    pub damage: bool,
}

/// A queue that ends earlier than it once did.
///
/// ```
/// # use sawlog::{Message, OnDamage, Options, QueueOffset, Store};
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # store.append(&Message::new("orders", "paid"))?.forget();
/// # let sent = store.append_and_wait(&Message::new("orders", "sent"))?.position.offset;
/// # store.close()?;
/// # let log = folder.path().join("commitlog/00000000000000000000");
/// # let mut bytes = std::fs::read(&log)?;
/// # bytes[sent.0 as usize + 88] ^= 1;
/// # std::fs::write(&log, bytes)?;
/// // The queue had two messages; the record of the second one has rotted, and is cut off.
/// let store = Store::open(folder.path(), Options::new().on_damage(OnDamage::FirstBroken))?;
/// let [moved] = &store.recovery().queues_moved_back[..] else { panic!("one queue") };
/// assert_eq!((moved.topic.as_str(), moved.queue_id), ("orders", 0));
/// assert_eq!((moved.was, moved.is), (QueueOffset(2), QueueOffset(1)));
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedBack {
    /// The topic.
    pub topic: String,
    /// The queue.
    pub queue_id: u32,
    /// The next offset that was known before.
    pub was: QueueOffset,
    /// The next offset now.
    pub is: QueueOffset,
}

impl fmt::Display for RecoveryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tell_log(f)?;
        self.tell_derived(f)?;
        for cut in &self.cuts {
            let kind = if cut.damage { "damage" } else { "unsynced tail" };
            let (from, to, saved) = (cut.from, cut.to, cut.saved.display());
            write!(f, "\ncut {from} to {to} ({kind}: {}), kept in {saved}", cut.why)?;
        }
        for Quarantined { part, why } in &self.quarantined {
            write!(f, "\nquarantined {part}: {why}")?;
        }
        for part in &self.lifted {
            write!(f, "\nno longer quarantined, for its records are whole: {part}")?;
        }
        for moved in &self.queues_moved_back {
            let MovedBack { topic, queue_id, was, is } = moved;
            write!(f, "\nqueue {topic}/{queue_id} ended at {was}, ends at {is} now")?;
        }
        for damage in &self.side_damage {
            write!(f, "\ndone without: {damage}")?;
        }
        Ok(())
    }
}

impl RecoveryReport {
    fn tell_log(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.created {
            return write!(f, "a new store; {:?}", self.took);
        }
        let ended = if self.clean_shutdown { "closed in order" } else { "not closed in order" };
        let who = if self.foreign_writer { " by another program" } else { "" };
        let records = counted(self.records, "record", "records");
        let bytes = counted(self.rewritten_bytes, "byte", "bytes");
        write!(
            f,
            "{ended}{who}; {records} checked from offset {} on; the log ends at {}; {bytes} made durable again; {:?}",
            self.scanned_from, self.log_end, self.took
        )?;
        if self.removed_segments > 0 {
            let segments = counted(self.removed_segments, "segment", "segments");
            write!(f, "\n{segments} removed that retention had given up")?;
        }
        Ok(())
    }

    fn tell_derived(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rebuilt {
            write!(f, "\nqueues and key index made anew from the log")?;
        } else if self.derived_from < self.log_end {
            write!(f, "\nqueues and key index derived from offset {} on", self.derived_from)?;
        }
        let odd = [
            (
                self.doubled,
                "record whose queue offset an earlier record has",
                "records whose queue offset an earlier record has",
            ),
            (self.missing, "queue offset without a record", "queue offsets without a record"),
            (
                self.misnumbered,
                "record that no queue can hold at its offset",
                "records that no queue can hold at their offset",
            ),
        ];
        for (count, one, many) in odd.into_iter().filter(|(count, ..)| *count > 0) {
            write!(f, "\n{}", counted(count, one, many))?;
        }
        for path in &self.set_aside {
            let kept = path.display();
            match self.other_index.iter().find(|other| other.path == *path) {
                Some(other) => write!(f, "\n{other}; kept in {kept}")?,
                None => write!(f, "\nno part of a queue or index, kept in {kept}")?,
            }
        }
        Ok(())
    }
}

/// So many of something, in words.
pub(crate) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// How often a recovery tells where it is.
const PROGRESS_BYTES: u64 = 64 << 20;

/// How far a recovery's scan is.
///
/// ```
/// # use sawlog::{Message, Options, Store};
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # store.append(&Message::new("orders", "paid").key("order-42"))?.wait()?;
/// # store.close()?;
/// let (told, progress) = std::sync::mpsc::channel();
/// let store = Store::open(folder.path(), Options::new().on_recovery(move |at| drop(told.send(at))))?;
/// let last = progress.try_iter().last().expect("its end is told");
/// assert!(last.at <= last.end);
/// println!("{} records, {} bytes to go", last.records, last.end.since(last.at));
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveryProgress {
    /// The place up to which the log was checked. At a bad place it runs ahead, to see what stands behind that, and comes
    /// back.
    pub at: LogOffset,
    /// Where the last segment ends; the log ends there or before.
    pub end: LogOffset,
    /// Valid records so far.
    pub records: u64,
}

/// Told how far a recovery is, about every 64 MiB.
#[derive(Clone)]
pub(crate) struct OnProgress(pub(crate) Arc<dyn Fn(RecoveryProgress) + Send + Sync>);

impl fmt::Debug for OnProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnProgress")
    }
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
