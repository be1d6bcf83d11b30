//! [`Store::stats`]: what a running store is doing, as values.

use crate::error::Error;
use crate::histogram::Histogram;
use crate::offset::LogOffset;
use crate::store::{Inner, Marks, Store};

/// What a store is doing, as of one moment; see [`Store::stats`]. All counters begin at 0 when the store is opened.
///
/// Marks and counters are read one after the other while the store goes on: each is right, and an order that the marks
/// keep (flushed ≤ written ≤ accepted, recorded ≤ dispatched) holds here, too.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # use sawlog::{Message, Options, Store};
/// store.append(&Message::new("orders", "paid"))?.wait()?;
/// let stats = store.stats();
/// assert_eq!((stats.appended_records, stats.segments, stats.log_bytes()), (1, 1, 1 << 16));
/// assert!(stats.last_error.is_none() && stats.unflushed_bytes() <= stats.window_bytes);
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// Where the log's marks stand, and how many syncs there were.
    pub marks: Marks,
    /// Up to here queues and key index have everything, in memory or in files.
    pub dispatched: LogOffset,
    /// Up to here the files of queues and key index are durable and said to be: a crash costs deriving what lies
    /// behind. It moves once a segment, and with few queues once in 64 MiB or a second, whichever is later.
    pub recorded: LogOffset,
    /// Records appended.
    pub appended_records: u64,
    /// Bytes that the log has grown by, ends of full segments included.
    pub appended_bytes: u64,
    /// How long each sync of the log took, in microseconds.
    pub sync_us: Histogram,
    /// How many records each sync made durable.
    pub batch_records: Histogram,
    /// How many bytes each sync made durable.
    pub batch_bytes: Histogram,
    /// The most bytes that may be accepted and not flushed.
    pub window_bytes: u64,
    /// Segments of the log, the one being written included.
    pub segments: u64,
    /// What each measures, in bytes.
    pub segment_bytes: u64,
    /// Topics with a queue that is known, dropped ones included.
    pub topics: u64,
    /// Queues that are known, also those without a message.
    pub queues: u64,
    /// Files that are open: of segments but the one made ahead, of queues and of the key index.
    pub open_files: u64,
    /// Bytes of queue and index entries that are in memory alone.
    pub unwritten_entry_bytes: u64,
    /// Segments that sweeps removed.
    pub swept_segments: u64,
    /// Bytes that sweeps removed, of queues and key index, too.
    pub swept_bytes: u64,
    /// Places at which damage was found, by opening or by readers.
    pub damaged_places: u64,
    /// Events that no listener was told, because too many waited; see [`Listener`](crate::Listener).
    pub unheard_events: u64,
    /// Panics of listeners, each caught.
    pub listener_panics: u64,
    /// Whether appends are taken, and why not.
    pub writable: Writable,
    /// What went wrong last and still matters: what the store has failed with; else why the next segment could not be
    /// made ahead of need; else what kept the last sweep from doing all it should. `None` if nothing did.
    pub last_error: Option<Error>,
}

impl Stats {
    /// Bytes appended that no sync covers yet (RocketMQ: `flushBehindBytes`).
    #[must_use]
    pub fn unflushed_bytes(&self) -> u64 {
        self.marks.accepted.since(self.marks.flushed)
    }

    /// Bytes that readers of the log see and readers of queues do not yet (RocketMQ: `dispatchBehindBytes`).
    #[must_use]
    pub fn undispatched_bytes(&self) -> u64 {
        self.marks.visible.since(self.dispatched)
    }

    /// Bytes of the log whose queue and index entries a crash would make the next open derive again. Up to a segment
    /// and what the recorder has not written yet.
    #[must_use]
    pub fn unrecorded_bytes(&self) -> u64 {
        self.dispatched.since(self.recorded)
    }

    /// What the log's files measure, in bytes.
    #[must_use]
    pub fn log_bytes(&self) -> u64 {
        self.segments.saturating_mul(self.segment_bytes)
    }
}

/// Whether a store takes appends, and if not, what an append is answered.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # use sawlog::{Options, Store, Writable};
/// fn health(store: &Store) -> String {
///     match store.stats().writable {
///         Writable::Yes => "ok".into(),
///         Writable::Full { needed, .. } => format!("full: {needed} bytes must be freed"),
///         Writable::Failed(error) => format!("restart me: {error}"),
///         _ => "closed".into(),
///     }
/// }
/// let same = store.clone();
/// assert_eq!(health(&store), "ok");
/// store.close()?;
/// assert_eq!(health(&same), "closed");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Writable {
    /// It does.
    Yes,
    /// The disk is fuller than [`Retention::refuse_above`](crate::Retention) allows: [`Error::Full`]. It ends by itself.
    Full {
        /// Bytes that were free at the last look.
        free: u64,
        /// Bytes that must become free.
        needed: u64,
    },
    /// An earlier sync, staged write or worker failed: this [`Error::Failed`], until the store is opened again.
    Failed(Error),
    /// The store is being closed, or was: [`Error::Closed`].
    Closed,
}

impl Writable {
    /// Whether appends are taken.
    #[must_use]
    pub fn is_yes(&self) -> bool {
        matches!(self, Writable::Yes)
    }
}

impl Store {
    /// What the store is doing: a snapshot to be taken as often as one likes.
    ///
    /// It takes neither the append lock nor the flush lock, asks the disk nothing, and its cost grows with segments and
    /// topics, by a few nanoseconds each; it allocates nothing that grows with queues. Also answers on a closed store.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # use sawlog::{Message, Options, Store};
    /// let store = Store::open(folder.path(), Options::new())?;
    /// store.append(&Message::new("orders", "paid"))?.forget();
    /// store.flush()?;
    /// let stats = store.stats();
    /// assert_eq!((stats.appended_records, stats.unflushed_bytes()), (1, 0));
    /// println!("{} syncs, 99 % within {} µs", stats.sync_us.count(), stats.sync_us.per_mille(990));
    /// assert!(stats.writable.is_yes());
    /// # store.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.inner.stats(self.marks_behind())
    }

    /// The marks that follow others first, so that their order holds in what is shown.
    fn marks_behind(&self) -> (LogOffset, LogOffset, Marks) {
        let recorded = self.inner.recorder.recorded();
        let dispatched = self.dispatched().at();
        (recorded, dispatched, self.marks())
    }
}

impl Inner {
    fn stats(&self, (recorded, dispatched, marks): (LogOffset, LogOffset, Marks)) -> Stats {
        let counted = self.log.counted();
        let heard = self.herald.heard();
        let segments = self.log.segments();
        let derived = self.recorder.dispatcher().derived();
        let (topics, queues) = derived.queues.counts();
        let (count, open_segments) = segments.counts();
        let index_files = derived.keys.as_ref().map_or(0, |keys| keys.open_files());
        let open_files = open_segments + derived.queues.open_files() + index_files;
        let failure = self.log.failure().filter(|error| !matches!(error, Error::Closed));
        let last_error = failure.or_else(|| segments.not_made()).or_else(|| self.sweeper.last_error());
        Stats {
            marks,
            dispatched,
            // Nothing is said yet: as much as the log has lost at its front.
            recorded: recorded.max(marks.first).min(dispatched),
            appended_records: counted.records,
            appended_bytes: marks.accepted.since(self.report.log_end),
            sync_us: counted.sync_us,
            batch_records: counted.batch_records,
            batch_bytes: counted.batch_bytes,
            window_bytes: self.log.window_bytes(),
            segments: count as u64,
            segment_bytes: segments.segment_bytes(),
            topics: topics as u64,
            queues: queues as u64,
            open_files: open_files as u64,
            unwritten_entry_bytes: self.recorder.pending_bytes(),
            swept_segments: heard.swept_segments,
            swept_bytes: heard.swept_bytes,
            damaged_places: heard.damaged_places,
            unheard_events: heard.unheard_events,
            listener_panics: heard.panics,
            writable: self.writable(),
            last_error,
        }
    }

    fn writable(&self) -> Writable {
        match self.log.failure() {
            Some(Error::Closed) => Writable::Closed,
            Some(error) => Writable::Failed(error),
            None if self.log.is_closing() => Writable::Closed,
            // Without a lock in the ordinary case: who looks at the disk holds it.
            None if !self.sweeper.guard.is_shut() => Writable::Yes,
            None => match self.sweeper.guard.answer() {
                Err(Error::Full { free, needed }) => Writable::Full { free, needed },
                _ => Writable::Yes,
            },
        }
    }
}
