//! What the log counts, and what it tells to whoever watches it.
//!
//! Appends are counted under the append lock by a plain addition; everything else once a flush.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::commit_log::CommitLog;
use crate::error::{Corruption, Error, Result};
use crate::histogram::{Histogram, Tally};
use crate::offset::LogOffset;

/// Something happened to the log. Told under its locks: whoever is told may remember it, and no more.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Told<'a> {
    /// The tail went on in the segment that begins at `to`; the one before begins at `from`.
    Rolled { from: LogOffset, to: LogOffset },
    /// A sync returned Ok.
    Synced(Synced),
    /// A reader met damage.
    Damaged(&'a Corruption),
}

/// What one sync of the log carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Synced {
    pub(crate) from: LogOffset,
    pub(crate) to: LogOffset,
    pub(crate) records: u64,
    pub(crate) took: Duration,
}

/// Is told.
pub(crate) type Watch = Box<dyn Fn(Told<'_>) + Send + Sync>;

/// The counters.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Records appended since the log was opened. Written under the append lock alone.
    records: AtomicU64,
    /// How many of them were flushed. Written under the flush lock alone.
    flushed_records: AtomicU64,
    sync_us: Tally,
    batch_records: Tally,
    batch_bytes: Tally,
}

/// What was counted, as of one moment.
#[derive(Clone, Debug)]
pub(crate) struct Counted {
    pub(crate) records: u64,
    pub(crate) sync_us: Histogram,
    pub(crate) batch_records: Histogram,
    pub(crate) batch_bytes: Histogram,
}

impl Counts {
    /// For whoever holds the append lock: no two additions meet, so none has to be atomic as a whole.
    pub(super) fn appended(&self, records: usize) {
        let before = self.records.load(Ordering::Relaxed);
        self.records.store(before.wrapping_add(records as u64), Ordering::Relaxed);
    }

    pub(super) fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// For whoever holds the flush lock. `records` were appended when the end of the batch was sampled.
    fn synced(&self, from: LogOffset, to: LogOffset, records: u64, took: Duration) -> Synced {
        let records = records.saturating_sub(self.flushed_records.swap(records, Ordering::Relaxed));
        self.sync_us.note(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        self.batch_records.note(records);
        self.batch_bytes.note(to.since(from));
        Synced { from, to, records, took }
    }
}

impl CommitLog {
    pub(crate) fn counted(&self) -> Counted {
        let Counts { sync_us, batch_records, batch_bytes, .. } = &self.counts;
        Counted {
            records: self.counts.records(),
            sync_us: sync_us.snapshot(),
            batch_records: batch_records.snapshot(),
            batch_bytes: batch_bytes.snapshot(),
        }
    }

    pub(super) fn tell(&self, what: Told<'_>) {
        if let Some(watch) = &self.setup.watch {
            watch(what);
        }
    }

    pub(super) fn tell_synced(&self, from: LogOffset, to: LogOffset, records: u64, took: Duration) {
        self.tell(Told::Synced(self.counts.synced(from, to, records, took)));
    }

    /// Passes on what a reader found; damage is told.
    pub(crate) fn told<T>(&self, found: Result<T>) -> Result<T> {
        if let Err(Error::Corrupt(damage)) = &found {
            self.tell(Told::Damaged(damage));
        }
        found
    }
}
