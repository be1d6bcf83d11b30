//! Every knob, gathered; imported by `store/` alone.

mod check;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use crate::clock::{Clock, SystemClock};
use crate::disk::Disk;
use crate::dispatch::DelayLevels;
use crate::error::{Error, Level, Result};
use crate::flush::{AsyncFlush, FlushPolicy};
use crate::key_index;
use crate::message::Checksum;
use crate::recovery::{OnDamage, OnProgress, RecoveryProgress};
use crate::retention::Retention;
use crate::store::herald::Listeners;
use crate::store::listener::Listener;
#[cfg(feature = "metrics")]
use crate::store::metrics::Metrics;

/// The least and the most that a segment may measure, in bytes: RocketMQ's positions in a file are 31-bit numbers.
const SEGMENT_BYTES: std::ops::RangeInclusive<u64> = 64 * 1024..=(1 << 31) - 1;
const DEFAULT_SEGMENT_BYTES: u64 = 1 << 30;
const DEFAULT_MESSAGE_BYTES: u32 = 4 << 20;
/// What a record may take besides its body (spec 2.8).
const RECORD_EXTRA_BYTES: u64 = 65_536;
/// How far the tail may run ahead of the disk. Under SYNC it bounds the staging buffer, under ASYNC what a power cut
/// may cost; in both it makes rot provable. ASYNC: what a second brings at 2 GB/s; with less
/// a burst is bound by the disk and no longer by the policy.
const SYNC_WINDOW_BYTES: u64 = 4 << 20;
const ASYNC_WINDOW_BYTES: u64 = 2 << 30;
/// RocketMQ's `mappedFileSizeConsumeQueue`, in entries.
const DEFAULT_QUEUE_ENTRIES: u32 = 300_000;
/// RocketMQ's `maxHashSlotNum` and `maxIndexNum`.
const DEFAULT_INDEX: key_index::Geometry = key_index::Geometry { slots: 5_000_000, entries: 20_000_000 };

/// How a store is opened. Setters never fail; [`Store::open`](crate::Store::open) looks at all of them once.
///
/// ```
/// use std::time::Duration;
/// use sawlog::flush::AsyncFlush;
/// use sawlog::{Level, Options, Retention};
///
/// let options = Options::new()
///     .flush(AsyncFlush { interval: Duration::from_millis(100), ..AsyncFlush::default() })
///     .readers_see(Level::Written)
///     .segment_bytes(256 << 20)
///     .retention(Retention::default().max_age(Duration::from_secs(7 * 24 * 3600)));
/// # let folder = tempfile::tempdir()?;
/// # sawlog::Store::open(folder.path(), options)?.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    pub(super) policy: Arc<dyn FlushPolicy>,
    pub(super) readers_see: Option<Level>,
    pub(super) checksum: Option<Checksum>,
    pub(super) on_damage: OnDamage,
    pub(super) on_recovery: Option<OnProgress>,
    pub(super) listeners: Listeners,
    #[cfg(feature = "metrics")]
    pub(super) metrics: Metrics,
    pub(super) max_message_bytes: Option<u32>,
    pub(super) store_host: SocketAddr,
    pub(super) verify_on_read: bool,
    pub(super) segment_bytes: Option<u64>,
    pub(super) queue_segment_entries: Option<u32>,
    pub(super) key_index: bool,
    pub(super) index: key_index::Geometry,
    pub(super) open_files: u32,
    pub(super) open_segments: u32,
    pub(super) prewrite: bool,
    pub(super) delay_levels: DelayLevels,
    pub(super) rebuild: bool,
    pub(super) forgets_list: bool,
    pub(super) retention: Retention,
    pub(super) disk: Option<Arc<dyn Disk>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) by_hand: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            policy: Arc::new(AsyncFlush::default()),
            readers_see: None,
            checksum: None,
            on_damage: OnDamage::default(),
            on_recovery: None,
            listeners: Listeners::default(),
            #[cfg(feature = "metrics")]
            metrics: Metrics::default(),
            max_message_bytes: None,
            store_host: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 10_911),
            verify_on_read: true,
            segment_bytes: None,
            queue_segment_entries: None,
            key_index: true,
            index: DEFAULT_INDEX,
            open_files: 512,
            open_segments: 256,
            prewrite: false,
            delay_levels: DelayLevels::default(),
            rebuild: false,
            forgets_list: false,
            retention: Retention::default(),
            disk: None,
            clock: Arc::new(SystemClock::new()),
            by_hand: false,
        }
    }
}

impl Options {
    /// All defaults.
    #[must_use]
    pub fn new() -> Options {
        Options::default()
    }

    /// When the log is flushed and what an append waits for, to begin with: see
    /// [`Store::set_flush`](crate::Store::set_flush). Default: [`AsyncFlush`] with RocketMQ's numbers.
    #[must_use]
    pub fn flush(self, policy: impl FlushPolicy + 'static) -> Options {
        Options { policy: Arc::new(policy), ..self }
    }

    /// What readers see, whatever the policy. Default: what the policy in force acknowledges, so that nobody reads what a power cut may take back
    /// under SYNC_FLUSH (promises rule 9; apache/rocketmq#8239).
    #[must_use]
    pub fn readers_see(self, level: Level) -> Options {
        Options { readers_see: Some(level), ..self }
    }

    /// What the checksum of a record covers. Default: the whole record for a store that sawlog began or has written
    /// with it before; the body alone, RocketMQ's own default, for a store taken over from a broker.
    #[must_use]
    pub fn checksum(self, checksum: Checksum) -> Options {
        Options { checksum: Some(checksum), ..self }
    }

    /// What to do with a damaged log. Default: [`OnDamage::Refuse`].
    #[must_use]
    pub fn on_damage(self, on_damage: OnDamage) -> Options {
        Options { on_damage, ..self }
    }

    /// Is told how far the scan at opening is, about every 64 MiB and at its end. Default: nobody.
    #[must_use]
    pub fn on_recovery(self, told: impl Fn(RecoveryProgress) + Send + Sync + 'static) -> Options {
        Options { on_recovery: Some(OnProgress(Arc::new(told))), ..self }
    }

    /// Is told what happens to the store from its opening to its end: see [`Listener`]. May be called more than once:
    /// all of them are told, in this order. Default: nobody, and no thread for it.
    #[must_use]
    pub fn listener(mut self, listener: impl Listener + 'static) -> Options {
        self.listeners.0.push(Arc::new(listener));
        self
    }

    /// Publishes what the store does through the facade `metrics`, each metric with these labels, such as RocketMQ's
    /// `cluster`, `node_type` and `node_id`. The store gets the thread of a [`Listener`]; what the facade's recorder does
    /// happens there, or in the thread that calls [`Store::publish_metrics`](crate::Store::publish_metrics), which lists
    /// the names. Default: nothing is counted for the facade.
    #[cfg(feature = "metrics")]
    #[must_use]
    pub fn metrics<K, V>(self, labels: impl IntoIterator<Item = (K, V)>) -> Options
    where
        K: Into<::metrics::SharedString>,
        V: Into<::metrics::SharedString>,
    {
        let labels = labels.into_iter().map(|(name, value)| ::metrics::Label::new(name, value));
        let metrics = Metrics::new(labels.collect());
        Options { metrics: metrics.clone(), ..self }.listener(metrics)
    }

    /// The longest body, in bytes; a record may take 64 KiB more (RocketMQ's `maxMessageSize`, spec 2.8). A record
    /// must also fit into a segment and, with others of its batch, into half the window. Range: `1 ..= 1 GiB`.
    /// Default: 4 MiB.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # use sawlog::{Error, Message, Options, Store};
    /// let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16).max_message_bytes(1024))?;
    /// let refused = store.append(&Message::new("orders", vec![0; 1025]));
    /// assert!(matches!(refused, Err(Error::InvalidMessage(_))));
    /// # store.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn max_message_bytes(self, bytes: u32) -> Options {
        Options { max_message_bytes: Some(bytes), ..self }
    }

    /// The address that stands in every record and in message ids. Default: 127.0.0.1:10911.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # use sawlog::{Message, Options, Store};
    /// let options = Options::new().segment_bytes(1 << 16).store_host("192.168.0.7:10911".parse()?);
    /// let store = Store::open(folder.path(), options)?;
    /// let stored = store.append_and_wait(&Message::new("orders", "paid"))?;
    /// assert!(stored.message_id.to_string().starts_with("C0A80007"));
    /// # store.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn store_host(self, host: SocketAddr) -> Options {
        Options { store_host: host, ..self }
    }

    /// Whether checksums are verified on every read. Default: yes.
    #[must_use]
    pub fn verify_on_read(self, verify: bool) -> Options {
        Options { verify_on_read: verify, ..self }
    }

    /// The length of a log segment's file, in bytes. Range: 64 KiB ..= 2 GiB − 1. It must agree with the files that
    /// are there. Default: theirs; 1 GiB for a new store (`mappedFileSizeCommitLog`).
    #[must_use]
    pub fn segment_bytes(self, bytes: u64) -> Options {
        Options { segment_bytes: Some(bytes), ..self }
    }

    /// How many entries of 20 bytes a consume queue's file holds. It must agree with the files that are there. Range:
    /// 1 ..= 107,374,182. Default: theirs; 300,000 for a new store (`mappedFileSizeConsumeQueue`).
    #[must_use]
    pub fn queue_segment_entries(self, entries: u32) -> Options {
        Options { queue_segment_entries: Some(entries), ..self }
    }

    /// Whether messages can be found by key. Switched off, index files that are there are removed, for a broker that
    /// opens the store would take them for whole (spec 18.2); switched on again, they are made anew from the log.
    /// Default: yes (`messageIndexEnable`).
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # use sawlog::{Error, Options, Store};
    /// let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16).key_index(false))?;
    /// assert!(matches!(store.find("orders", "order-42").next(), Some(Err(Error::InvalidOptions(_)))));
    /// # store.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn key_index(self, on: bool) -> Options {
        Options { key_index: on, ..self }
    }

    /// Hash slots of a key index file. No field of a file says it (spec H40), but `sawlog survey` works it out from the
    /// entries: it must agree with what a broker that also opens the store is told. Files of another length are put aside and made anew. Range: 1 and up, a file must
    /// stay below 2 GiB. Default: 5,000,000 (`maxHashSlotNum`).
    #[must_use]
    pub fn index_slots(self, slots: u32) -> Options {
        Options { index: key_index::Geometry { slots, ..self.index }, ..self }
    }

    /// Entries of a key index file; the first is never used. See [`Options::index_slots`]. Range: 2 and up. Default:
    /// 20,000,000 (`maxIndexNum`).
    #[must_use]
    pub fn index_entries(self, entries: u32) -> Options {
        Options { index: key_index::Geometry { entries, ..self.index }, ..self }
    }

    /// The most files of queues that are open at once. Range: 16 ..= 1,000,000. Default: 512.
    #[must_use]
    pub fn open_files(self, files: u32) -> Options {
        Options { open_files: files, ..self }
    }

    /// The most segments of the log that stay open though nobody uses them just now: each has a descriptor, and a
    /// mapping of its whole length where the disk is mapped. The one unused for longest is closed, and opened again
    /// when it is read. Beside these are open what no sync covers yet, the segment made ahead, and those in which an
    /// iterator stands. A view keeps its mapping, not the descriptor. Range: 1 ..= 1,000,000. Default: 256.
    #[must_use]
    pub fn open_segments(self, segments: u32) -> Options {
        Options { open_segments: segments, ..self }
    }

    /// Whether opening writes the rest of the segment in which the log ends with zeros, and syncs them. A sync that
    /// turns unwritten blocks into written ones has more to write, so under a policy that acknowledges what is flushed
    /// they are written with zeros before records come: of later segments in the background, whole, and of this one
    /// 16 MiB ahead of the tail, beside the appends, which share the disk with that. With this, opening takes as long as
    /// the disk takes to write so many bytes, and the first appends have it to themselves. Under other policies it does
    /// nothing. Default: no. RocketMQ's `warmMapedFileEnable` is its like, for each new file.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # use sawlog::flush::SyncFlush;
    /// # use sawlog::{Message, Options, Store};
    /// let options = Options::new().flush(SyncFlush).segment_bytes(64 << 20).prewrite(true);
    /// let store = Store::open(folder.path(), options)?; // writes 64 MiB
    /// store.append_and_wait(&Message::new("orders", "paid"))?;
    /// # store.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn prewrite(self, on: bool) -> Options {
        Options { prewrite: on, ..self }
    }

    /// What each delay level means; only queue entries of the delay topic need it (spec 3.3). Default: RocketMQ's 18.
    #[must_use]
    pub fn delay_levels(self, levels: DelayLevels) -> Options {
        Options { delay_levels: levels, ..self }
    }

    /// Queues and key index are made anew from the log at opening, whatever their files say. For a store whose
    /// queues answer [`Error::Corrupt`]. It is done by itself where files are missing, or where another program wrote
    /// last. Default: no.
    ///
    /// ```
    /// # use sawlog::{Message, Options, Store};
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
    /// # store.append(&Message::new("orders", "paid").key("order-42"))?.wait()?;
    /// # store.close()?;
    /// let store = Store::open(folder.path(), Options::new().rebuild_derived())?;
    /// assert!(store.recovery().rebuilt);
    /// # store.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn rebuild_derived(self) -> Options {
        Options { rebuild: true, ..self }
    }

    /// The list of damage ([`OnDamage::Quarantine`]) counts for nothing at this opening: all of the log is looked at, and
    /// what was listed is damage like any other. With [`OnDamage::FirstBroken`] the log ends there, and a broker can open
    /// the store again; with [`OnDamage::Quarantine`] the list is made anew. Default: no.
    ///
    /// ```
    /// # use sawlog::{Message, OnDamage, Options, Store};
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
    /// # store.append_batch(&[Message::new("orders", "paid"), Message::new("orders", "sent")])?.wait()?;
    /// # store.close()?;
    /// # let log = folder.path().join("commitlog/00000000000000000000");
    /// # let mut bytes = std::fs::read(&log)?;
    /// # bytes[88] ^= 1;
    /// # std::fs::write(&log, bytes)?;
    /// let store = Store::open(folder.path(), Options::new().on_damage(OnDamage::Quarantine))?;
    /// assert_eq!(store.quarantined().len(), 1); // the first message; the second is served
    /// store.close()?;
    /// // It is to be a broker's again, and nobody has the bytes.
    /// let cut = Options::new().on_damage(OnDamage::FirstBroken).forget_quarantine();
    /// let store = Store::open(folder.path(), cut)?;
    /// assert!(store.quarantined().is_empty() && !store.recovery().cuts.is_empty());
    /// # store.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn forget_quarantine(self) -> Options {
        Options { forgets_list: true, ..self }
    }

    /// How long records stay, and when the disk is too full for more. It is not written down: every open says it
    /// again. It may be changed while the store runs ([`Store::set_retention`](crate::Store::set_retention)). Default:
    /// 72 hours, 85 % of the disk, appends refused above 90 %, as with RocketMQ; see [`Retention`].
    #[must_use]
    pub fn retention(self, rules: Retention) -> Options {
        Options { retention: rules, ..self }
    }

    /// The disk. Default: the mapped disk; the positioned one where the file system promises nothing by allocating.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # use sawlog::{Options, Store};
    /// use sawlog::disk::OsDisk;
    ///
    /// // For a device that is failing: an error where a mapping would end in a signal.
    /// let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16).disk(OsDisk::new()))?;
    /// assert!(store.stats().writable.is_yes());
    /// # store.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn disk(self, disk: impl Disk + 'static) -> Options {
        Options { disk: Some(Arc::new(disk)), ..self }
    }

    /// The clock. Default: the machine's.
    #[must_use]
    pub fn clock(self, clock: impl Clock + 'static) -> Options {
        Options { clock: Arc::new(clock), ..self }
    }

    /// No threads: what they would do happens in [`Store::step`](crate::Store::step), or in the calls that wait for
    /// it. For tests on the simulated disk, where the order of events must be the test's own.
    ///
    /// ```
    /// use sawlog::disk::sim::SimDisk;
    /// use sawlog::{Level, Message, Options, Store};
    ///
    /// let store = Store::open("/store", Options::new().disk(SimDisk::new()).segment_bytes(1 << 16).by_hand())?;
    /// let ack = store.append_with(&Message::new("orders", "paid"), Level::Flushed)?;
    /// assert!(!ack.is_done()); // nobody flushes,
    /// while store.step() {} // but now
    /// assert!(ack.is_done());
    /// # Ok::<(), sawlog::Error>(())
    /// ```
    #[cfg(any(test, feature = "sim"))]
    #[must_use]
    pub fn by_hand(self) -> Options {
        Options { by_hand: true, ..self }
    }

    /// How many entries a queue's file holds: as many as the files do, or as the options say where there is none.
    pub(super) fn queue_entries_for(&self, dir: &Path, files: Option<u32>) -> Result<u32> {
        match (self.queue_segment_entries, files) {
            (Some(expected), Some(found)) if expected != found => {
                let bytes = |entries| u64::from(entries) * 20;
                Err(Error::Geometry {
                    path: dir.to_path_buf(),
                    found: bytes(found),
                    expected: bytes(expected),
                })
            }
            (_, Some(found)) => Ok(found),
            (asked, None) => Ok(asked.unwrap_or(DEFAULT_QUEUE_ENTRIES)),
        }
    }

    pub(super) fn max_message(&self) -> u32 {
        self.max_message_bytes.unwrap_or(DEFAULT_MESSAGE_BYTES)
    }

    /// The length of segments: that of the files, or of the options where there is no file.
    pub(super) fn segment_bytes_for(&self, dir: &Path, files: Option<u64>) -> Result<u64> {
        match (self.segment_bytes, files) {
            (Some(expected), Some(found)) if expected != found => {
                Err(Error::Geometry { path: dir.to_path_buf(), found, expected })
            }
            // No option is wrong here: nobody who follows the format has made these files.
            (_, Some(found)) if found > *SEGMENT_BYTES.end() => {
                let most = SEGMENT_BYTES.end();
                let why =
                    format!("its segments have {found} bytes, and {most} are the most; open another folder");
                Err(Error::Foreign { path: dir.to_path_buf(), why: why.into() })
            }
            (_, Some(found)) => Ok(found),
            (asked, None) => Ok(asked.unwrap_or(DEFAULT_SEGMENT_BYTES)),
        }
    }
}

/// The window of a policy that acknowledges so: its base, and twice the longest record, because a roll adds as much as
/// the record again.
pub(super) fn window_bytes(ack_when: Level, max_message_bytes: u32) -> u64 {
    let base = match ack_when {
        Level::Flushed => SYNC_WINDOW_BYTES,
        Level::Written => ASYNC_WINDOW_BYTES,
    };
    base + 2 * (u64::from(max_message_bytes) + RECORD_EXTRA_BYTES + 16)
}

#[cfg(test)]
#[path = "options_tests.rs"]
mod tests;
