//! [`Listener`]: what an embedder is told while the store runs.

use std::time::Duration;

use crate::error::{Corruption, Error};
use crate::offset::LogOffset;
use crate::recovery::RecoveryReport;
use crate::store::swept::Swept;

/// Is told what happens to a store; set by [`Options::listener`](crate::Options::listener). Every method does nothing
/// unless it is written.
///
/// **Where it is called.** By the thread `sawlog-listener`, which a store has only if it has a listener: one call after
/// the other, in the order of events, with no lock held that appends, readers, flushes or sweeps need. What happens
/// while the store closes is told by the thread that closes it, before `close` returns; damage that keeps a store from
/// opening, by the thread that opens it. Events are told about a millisecond late at most, unless an earlier call
/// takes longer.
///
/// **It must not block**, or not for long: nobody waits for it but the next events and the closing. When 64 events
/// wait, flushes are told together; when 1,024 wait, further ones are dropped and counted
/// ([`Stats::unheard_events`](crate::Stats::unheard_events)).
///
/// **A panic** in it is caught, counted ([`Stats::listener_panics`](crate::Stats::listener_panics)) and hurts neither
/// the store nor later events. It may use the store, and even close it. A listener that holds a clone of its own store
/// keeps it open.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # use std::sync::Arc;
/// # use std::sync::atomic::{AtomicU64, Ordering};
/// # use sawlog::{Flushed, Listener, Message, Options, Store};
/// #[derive(Default)]
/// struct Durable(AtomicU64);
///
/// impl Listener for Durable {
///     fn flushed(&self, flushed: &Flushed) {
///         self.0.fetch_add(flushed.records, Ordering::Relaxed);
///     }
/// }
///
/// let durable = Arc::new(Durable::default());
/// let store = Store::open(folder.path(), Options::new().listener(Arc::clone(&durable)))?;
/// store.append(&Message::new("orders", "paid"))?.forget();
/// store.close()?;
/// assert_eq!(durable.0.load(Ordering::Relaxed), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Listener: Send + Sync {
    /// The store was opened; what opening found and did. Always the first event.
    fn recovered(&self, report: &RecoveryReport) {
        let _ = report;
    }

    /// The log goes on in the next segment.
    fn rolled(&self, rolled: &Rolled) {
        let _ = rolled;
    }

    /// One sync of the log returned, or several since the last call.
    fn flushed(&self, flushed: &Flushed) {
        let _ = flushed;
    }

    /// Something was removed from the log's front, or from what is derived from it.
    fn swept(&self, swept: &Swept) {
        let _ = swept;
    }

    /// Damage was found, by opening or by a reader. Each place is told once while the store is open, and not more than
    /// 1,024 of them. What readers meet are records whose checksum is wrong, queue entries that lead elsewhere, and
    /// places in the log's order where no record begins.
    fn damaged(&self, damaged: &Damaged) {
        let _ = damaged;
    }

    /// The store takes no more appends until it is opened again.
    fn failed(&self, failed: &Failed) {
        let _ = failed;
    }
}

impl<L: Listener + ?Sized> Listener for std::sync::Arc<L> {
    fn recovered(&self, report: &RecoveryReport) {
        (**self).recovered(report);
    }

    fn rolled(&self, rolled: &Rolled) {
        (**self).rolled(rolled);
    }

    fn flushed(&self, flushed: &Flushed) {
        (**self).flushed(flushed);
    }

    fn swept(&self, swept: &Swept) {
        (**self).swept(swept);
    }

    fn damaged(&self, damaged: &Damaged) {
        (**self).damaged(damaged);
    }

    fn failed(&self, failed: &Failed) {
        (**self).failed(failed);
    }
}

/// The log has begun a segment.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # use sawlog::{Listener, LogOffset, Message, Options, Rolled, Store};
/// # use std::sync::mpsc;
/// struct Told(mpsc::Sender<Rolled>);
///
/// impl Listener for Told {
///     fn rolled(&self, rolled: &Rolled) {
///         let _ = self.0.send(*rolled);
///     }
/// }
///
/// let (told, rolls) = mpsc::channel();
/// let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16).listener(Told(told)))?;
/// for _ in 0..2 {
///     store.append(&Message::new("orders", vec![b'.'; 40_000]))?.forget(); // a segment takes one of them
/// }
/// store.close()?;
/// let rolled = rolls.recv()?;
/// assert_eq!((rolled.from, rolled.to), (LogOffset(0), LogOffset(1 << 16)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rolled {
    /// Where the segment begins that is full now.
    pub from: LogOffset,
    /// Where the next one begins.
    pub to: LogOffset,
}

/// Bytes of the log became durable.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # use sawlog::{Flushed, Listener, LogOffset, Message, Options, Store};
/// # use std::sync::mpsc;
/// struct Told(mpsc::Sender<Flushed>);
///
/// impl Listener for Told {
///     fn flushed(&self, flushed: &Flushed) {
///         let _ = self.0.send(*flushed);
///     }
/// }
///
/// let (told, syncs) = mpsc::channel();
/// let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16).listener(Told(told)))?;
/// let ack = store.append(&Message::new("orders", "paid"))?;
/// store.flush()?;
/// let flushed = syncs.recv()?;
/// assert_eq!((flushed.from, flushed.to, flushed.records), (LogOffset(0), ack.end(), 1));
/// assert!(flushed.longest <= flushed.took);
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Flushed {
    /// The flushed mark before.
    pub from: LogOffset,
    /// The flushed mark now.
    pub to: LogOffset,
    /// Records that became durable.
    pub records: u64,
    /// How many syncs that were: 1, but for a listener that is slow.
    pub syncs: u64,
    /// How long they took together.
    pub took: Duration,
    /// How long the slowest of them took.
    pub longest: Duration,
}

/// Bytes in a file are not what they should be.
///
/// ```
/// # use sawlog::{Damage, Damaged, Listener, Message, Options, Store};
/// # use std::sync::mpsc;
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # store.append_batch(&[Message::new("orders", "paid"), Message::new("orders", "sent")])?.wait()?;
/// # store.close()?;
/// # let log = folder.path().join("commitlog/00000000000000000000");
/// # let mut bytes = std::fs::read(&log)?;
/// # bytes[88] ^= 1;
/// # std::fs::write(&log, bytes)?;
/// struct Told(mpsc::Sender<Damaged>);
///
/// impl Listener for Told {
///     fn damaged(&self, damaged: &Damaged) {
///         let _ = self.0.send(damaged.clone());
///     }
/// }
///
/// // A byte of the log has rotted since it was written: the store is refused, and the listener told.
/// let (told, places) = mpsc::channel();
/// assert!(Store::open(folder.path(), Options::new().listener(Told(told))).is_err());
/// assert_eq!(places.recv()?.corruption.what, Damage::BadRecordChecksum);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damaged {
    /// File, place and kind.
    pub corruption: Corruption,
    /// Who met it.
    pub found_by: FoundBy,
}

/// Who met damage.
///
/// ```
/// # use sawlog::{Damaged, FoundBy, Listener, Message, Options, Store};
/// # use std::sync::mpsc;
/// # struct Told(mpsc::Sender<Damaged>);
/// # impl Listener for Told {
/// #     fn damaged(&self, damaged: &Damaged) {
/// #         let _ = self.0.send(damaged.clone());
/// #     }
/// # }
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # store.append_batch(&[Message::new("orders", "paid"), Message::new("orders", "sent")])?.wait()?;
/// # store.close()?;
/// # let log = folder.path().join("commitlog/00000000000000000000");
/// # let mut bytes = std::fs::read(&log)?;
/// # bytes[88] ^= 1;
/// # std::fs::write(&log, bytes)?;
/// # let (told, places) = mpsc::channel();
/// // A byte of the log has rotted; `Told` is a listener that passes on what it hears.
/// assert!(Store::open(folder.path(), Options::new().listener(Told(told))).is_err());
/// match places.recv()?.found_by {
///     FoundBy::Opening => {} // nobody has read it yet
///     by => panic!("{by:?}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FoundBy {
    /// Opening the store: it was cut, quarantined, done without, or the store was not opened.
    Opening,
    /// A reader, or what follows the log.
    Reading,
}

/// Why the store takes no more appends.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # use sawlog::{Error, Failed, Listener, Options, Store};
/// # use std::sync::mpsc;
/// /// Whoever watches the process starts it again: opening recovers.
/// struct Restart(mpsc::Sender<Error>);
///
/// impl Listener for Restart {
///     fn failed(&self, failed: &Failed) {
///         let _ = self.0.send(failed.error.clone());
///     }
/// }
///
/// let (told, failures) = mpsc::channel();
/// let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16).listener(Restart(told)))?;
/// store.close()?;
/// assert!(failures.try_recv().is_err()); // this disk is well
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failed {
    /// An [`Error::Failed`] with the cause inside.
    pub error: Error,
}
