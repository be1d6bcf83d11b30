//! What a user holds: [`Store`], [`Ack`], [`Options`].

mod ack;
mod age;
mod append;
mod closing;
mod derive;
mod flushing;
mod guard;
mod herald;
mod keeper;
mod listener;
#[cfg(feature = "metrics")]
mod metrics;
mod open;
mod options;
mod reader;
mod recorder;
mod retain;
mod room;
mod stats;
mod sweep;
mod swept;
mod workers;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::clock::Clock;
use crate::commit_log::{CommitLog, Patience, Raw, Scan};
use crate::disk::{Disk, Lock};
use crate::error::{Error, Level, Result};
use crate::flush::{Current, Flush, Watermark};
use crate::layout::Layout;
use crate::message::{EncodeRules, Message, Record};
use crate::offset::{LogOffset, LogRange};
use crate::recovery::RecoveryReport;
use crate::sync::Mutex;
use crate::trace;
#[cfg(any(test, feature = "sim"))]
use crate::worker::Next;
use crate::worker::{self, Worker};

pub use ack::{Ack, Stored};
use closing::Closing;
use herald::Herald;
use keeper::Keeper;
pub use listener::{Damaged, Failed, Flushed, FoundBy, Listener, Rolled};
use open::Opened;
pub use options::Options;
use reader::Sources;
pub use reader::{Batch, Fetch, Filter, Find, News, Queue, RawBatch, Records, Status};
use recorder::Recorder;
pub use stats::{Stats, Writable};
use sweep::Sweeper;
pub use swept::Swept;
use workers::{Boxes, Staff};

/// A message store in one folder. Cheap to clone, shared between threads; the last clone that goes closes it.
///
/// ```
/// # let folder = tempfile::tempdir()?; use sawlog::{Message, Options, QueueOffset, Store};
/// let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 20))?;
/// store.try_append(&Message::new("orders", "paid").queue(3))?.forget(); // `Busy` where others would wait
/// let stored = store.append_and_wait(&Message::new("orders", "sent").queue(3))?;
/// assert_eq!(store.record_at(stored.position.offset)?.body(), "sent");
/// assert_eq!(store.flush()?, store.marks().flushed); // all so far is durable
///
/// store.dispatched().reach(stored.position.end()).wait()?; // queues and key index have it
/// assert_eq!((store.topics(), store.queues_of("orders")), (vec!["orders".to_owned()], vec![3]));
/// store.drop_topic("orders")?;
/// assert_eq!(store.queue("orders", 3).min()?, QueueOffset(2)); // the next message's
/// store.close()?; // says what a drop cannot
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    log: Arc<CommitLog>,
    policy: Arc<Current>,
    /// What the options say that readers see, if they do.
    readers_see: Option<Level>,
    /// Held while one policy takes the place of another.
    changing: Mutex<()>,
    clock: Arc<dyn Clock>,
    keeper: Arc<Keeper>,
    recorder: Arc<Recorder>,
    sweeper: Arc<Sweeper>,
    herald: Arc<Herald>,
    #[cfg(feature = "metrics")]
    metrics: metrics::Metrics,
    sources: Sources,
    report: RecoveryReport,
    rules: EncodeRules,
    disk: Arc<dyn Disk>,
    layout: Layout,
    flusher_bell: Arc<worker::Bell>,
    workers: Vec<Worker>,
    by_hand: bool,
    /// The folder's lock; `None` once the store is closed.
    lock: Mutex<Option<Box<dyn Lock>>>,
    closing: Closing,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("root", &self.layout.root()).finish_non_exhaustive()
    }
}

/// Where a store's marks stand; the text of [`flush`](crate::flush) says what they mean.
///
/// ```
/// # let folder = tempfile::tempdir()?; use sawlog::{Message, Options, Store};
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 20))?;
/// store.append(&Message::new("orders", "paid"))?.forget();
/// store.flush()?;
/// let marks = store.marks();
/// assert!(marks.first < marks.flushed && marks.flushed == marks.accepted && marks.syncs > 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Marks {
    /// The first byte that is still there.
    pub first: LogOffset,
    /// Up to here records were taken.
    pub accepted: LogOffset,
    /// Up to here bytes are in the page cache.
    pub written: LogOffset,
    /// Up to here a sync covers them.
    pub flushed: LogOffset,
    /// Up to here readers see them.
    pub visible: LogOffset,
    /// How many syncs of the log there were since it was opened.
    pub syncs: u64,
}

impl Store {
    /// Opens the store in `root`, or begins one; recovers if it must, and [`Store::recovery`] tells what happened.
    ///
    /// # Errors
    /// [`Error::Locked`] if anybody holds it; [`Error::Corrupt`] if it is damaged and the options refuse damage;
    /// [`Error::InvalidOptions`], [`Error::Geometry`], [`Error::Foreign`] if options, files and path do not fit;
    /// [`Error::Full`] if there is no room for what opening writes, with the bytes that must be free (without any,
    /// [`inspect::Reader`](crate::inspect::Reader) reads the store as it lies there); [`Error::Io`] as the disk says. In all cases but the last two nothing was changed, but that
    /// the folder and its `lock` file were made if they were not there.
    pub fn open(root: impl AsRef<Path>, mut options: Options) -> Result<Store> {
        let _span = trace::opening(root.as_ref());
        let boxes = Boxes::default();
        let herald = Herald::new(std::mem::take(&mut options.listeners), Arc::clone(&boxes.listener.0));
        let opened = open::open(root.as_ref(), &options, boxes.bells(), &herald);
        let opened = opened.inspect_err(|error| herald.not_opened(error))?;
        herald.recovered(&opened.report);
        Store::run(opened, options, boxes, herald)
    }

    /// The same store with its threads.
    fn run(opened: Opened, options: Options, boxes: Boxes, herald: Arc<Herald>) -> Result<Store> {
        let Opened { log, keeper, recorder, report, checksum, lock, disk, layout } = opened;
        let rules = EncodeRules {
            store_host: options.store_host,
            checksum,
            max_body_bytes: options.max_message(),
            born: options.clock.now(),
        };
        let policy = Arc::new(Current::new(options.policy));
        let flusher_bell = Arc::clone(&boxes.flusher.0);
        let parts = sweep::Parts {
            disk: Arc::clone(&disk),
            log: Arc::clone(&log),
            keeper: Arc::clone(&keeper),
            recorder: Arc::clone(&recorder),
            clock: Arc::clone(&options.clock),
            herald: Arc::clone(&herald),
            bell: Arc::clone(&boxes.sweeper.0),
            segment_maker: Arc::clone(&boxes.keeper.0),
        };
        let sweeper = Sweeper::new(parts, options.retention);
        let staff = Staff {
            log: &log,
            policy: &policy,
            keeper: &keeper,
            recorder: &recorder,
            sweeper: &sweeper,
            herald: &herald,
            clock: &options.clock,
        };
        let workers = workers::start_all(&staff, boxes, options.by_hand)?;
        let sources = Sources { log: Arc::clone(&log), dispatcher: Arc::clone(recorder.dispatcher()) };
        let inner = Inner {
            log,
            policy,
            readers_see: options.readers_see,
            changing: Mutex::new(()),
            clock: options.clock,
            keeper,
            recorder,
            sweeper,
            herald,
            #[cfg(feature = "metrics")]
            metrics: options.metrics,
            sources,
            report,
            rules,
            disk,
            layout,
            flusher_bell,
            workers,
            by_hand: options.by_hand,
            lock: Mutex::new(Some(lock)),
            closing: Closing::default(),
        };
        Ok(Store { inner: Arc::new(inner) })
    }

    /// What opening found and did.
    #[must_use]
    pub fn recovery(&self) -> &RecoveryReport {
        &self.inner.report
    }

    /// Appends a message; the ack resolves when what the policy acknowledges holds. A message with `WAIT=false`
    /// (spec 2.11) waits for [`Level::Written`] alone.
    ///
    /// May wait for a copy into the page cache and, rarely, for the next segment or for the window.
    ///
    /// # Errors
    /// [`Error::InvalidMessage`], [`Error::Full`], [`Error::Io`]: nothing was stored, the store stands.
    /// [`Error::Failed`], [`Error::Closed`]: the store takes no more.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?; use sawlog::{Message, Options, Store};
    /// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 20))?;
    /// let ack = store.append(&Message::new("orders", "paid").queue(3))?;
    /// println!("it begins at {} of the log, and has number {} in its queue", ack.position().offset, ack.queue_offset());
    /// ack.wait()?; // or `.await`, or `forget`
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn append(&self, message: &Message) -> Result<Ack> {
        self.inner.append(message, self.level_of(message), Patience::Waits)
    }

    /// The same at a level that the caller chooses, stronger or weaker than the policy and the message say.
    ///
    /// # Errors
    /// As [`Store::append`].
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?; use sawlog::{Level, Message, Options, Store};
    /// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 20))?;
    /// // The default policy acknowledges what is in the page cache; this one is to be durable.
    /// store.append_with(&Message::new("orders", "paid"), Level::Flushed)?.wait()?;
    /// assert_eq!(store.marks().flushed, store.marks().written);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn append_with(&self, message: &Message, level: Level) -> Result<Ack> {
        self.inner.append(message, level, Patience::Waits)
    }

    /// The same without ever waiting for the disk.
    ///
    /// # Errors
    /// [`Error::Busy`] where [`Store::append`] would wait for the window, for the next segment or, longer than a
    /// millisecond, for another producer: nothing was stored. Others as there.
    pub fn try_append(&self, message: &Message) -> Result<Ack> {
        self.inner.append(message, self.level_of(message), Patience::Busy)
    }

    /// Appends and waits. A lone producer runs the flush itself, without a hand-over between threads.
    ///
    /// # Errors
    /// As [`Store::append`] and [`Ack::wait`].
    pub fn append_and_wait(&self, message: &Message) -> Result<Stored> {
        self.inner.append_and_wait(message, self.level_of(message))
    }

    /// Appends messages, of any topics and queues, under one lock: contiguous, all visible or none, one ack.
    ///
    /// After a crash a prefix of the batch may remain, because RocketMQ's format has no frame around a batch
    /// (spec H33); what was acknowledged is whole. Together the records must fit into a segment and half the window.
    ///
    /// # Errors
    /// As [`Store::append`]; none of them was stored then. An empty batch is [`Error::InvalidMessage`].
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?; use sawlog::{LogOffset, Message, Options, Store};
    /// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 20))?;
    /// let batch = [Message::new("orders", "paid"), Message::new("invoices", "due").queue(1)];
    /// store.append_batch(&batch)?.wait()?;
    /// assert_eq!(store.scan(LogOffset(0)).count(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn append_batch(&self, messages: &[Message]) -> Result<Ack> {
        self.inner.append_batch(messages)
    }

    fn level_of(&self, message: &Message) -> Level {
        let level = self.inner.policy.ack_when();
        if level == Level::Flushed && !message.waits() { Level::Written } else { level }
    }

    /// Makes everything appended so far durable, and says up to where that is.
    ///
    /// # Errors
    /// [`Error::Failed`] if this or an earlier sync failed.
    pub fn flush(&self) -> Result<LogOffset> {
        self.inner.log.flush()
    }

    /// One queue of one topic, to be read in order. A queue that does not exist reads as empty.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?; use sawlog::{Message, Options, QueueOffset, Store};
    /// let store = Store::open(folder.path(), Options::new())?;
    /// store.append(&Message::new("orders", "paid").queue(3))?.wait()?;
    /// let queue = store.queue("orders", 3);
    /// queue.wait(QueueOffset(0)).wait()?;
    /// for record in queue.read_from(QueueOffset(0)) {
    ///     assert_eq!(record?.body(), "paid");
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn queue(&self, topic: &str, id: u32) -> Queue {
        self.inner.sources.queue(topic, id)
    }

    /// The topics that have a queue with a message, or once had one, sorted.
    #[must_use]
    pub fn topics(&self) -> Vec<String> {
        self.inner.sources.queues().topics()
    }

    /// The ids of a topic's queues, ascending.
    #[must_use]
    pub fn queues_of(&self, topic: &str) -> Vec<u32> {
        self.inner.sources.queues().queues_of(topic)
    }

    /// The records of a topic that carry a key, or this unique id, newest first.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?; use sawlog::{Message, Options, QueueOffset, Store};
    /// let store = Store::open(folder.path(), Options::new())?;
    /// let ack = store.append(&Message::new("orders", "paid").key("order-42"))?;
    /// store.dispatched().reach(ack.end()).wait()?;
    /// let found = store.find("orders", "order-42").collect::<Result<Vec<_>, _>>()?;
    /// assert_eq!(found[0].body(), "paid");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn find(&self, topic: &str, key: &str) -> Find {
        self.inner.sources.find(topic, key)
    }

    /// Removes a topic's queues: its records so far are in no queue any more and found by no key, now and after any
    /// later open. They stay in the log until retention removes their segment. Further messages to the topic are
    /// queued behind the numbers given so far, so that no consumer's position of before points at a later message.
    ///
    /// A RocketMQ broker that opens the store then knows nothing of that: it numbers the topic's queues from 0 again,
    /// and if it derives its queues anew the records are back.
    ///
    /// # Errors
    /// [`Error::Failed`], [`Error::Closed`]; [`Error::Io`] and [`Error::Full`]: call again.
    pub fn drop_topic(&self, topic: &str) -> Result<()> {
        self.inner.drop_topic(topic)
    }

    /// The mark below which queues and key index are what the log says; wait for it with [`Watermark::reach`].
    #[must_use]
    pub fn dispatched(&self) -> &Arc<Watermark> {
        self.inner.recorder.dispatcher().dispatched()
    }

    /// The record that begins at `at`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] beyond the visible mark or before the first byte; [`Error::Corrupt`] if no valid record
    /// begins there; [`Error::Quarantined`] in a part of the log that is known to be damaged; [`Error::Io`].
    pub fn record_at(&self, at: LogOffset) -> Result<Record> {
        let found = self.inner.log.record_at(at);
        // Where no record begins the caller may be wrong; where one does that is broken, the disk is.
        if found.as_ref().is_err_and(reader::is_damaged_record) { self.inner.log.told(found) } else { found }
    }

    /// All records from `from` on, which must be a record's beginning, such as [`Marks::first`]. The iterator ends
    /// at the visible mark and may be asked again when that has moved; an error in it stays, but for
    /// [`Error::Quarantined`], behind which it goes on.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?; use sawlog::{Message, Options, Store};
    /// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 20))?;
    /// store.append(&Message::new("orders", "paid"))?.wait()?;
    /// let mut scan = store.scan(store.marks().first);
    /// assert_eq!(scan.next().transpose()?.expect("a record").body(), "paid");
    /// assert!(scan.next().is_none(), "for now");
    /// store.append(&Message::new("orders", "sent"))?.wait()?;
    /// assert_eq!(scan.next().transpose()?.expect("it goes on").body(), "sent");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn scan(&self, from: LogOffset) -> Scan {
        self.inner.log.scan(from)
    }

    /// At most `max_bytes` raw bytes from `from` on, all of one segment, with their file and place in it: for a
    /// broker's pull reply by `sendfile`, and for replication. Blank records between segments are part of them. They
    /// end before a quarantined part of the log.
    ///
    /// # Errors
    /// [`Error::OutOfRange`]; [`Error::Quarantined`] within such a part: go on behind it; [`Error::Io`].
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?; use sawlog::{Message, Options, Store};
    /// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 20))?;
    /// let ack = store.append(&Message::new("orders", "paid"))?;
    /// ack.wait()?;
    /// let raw = store.raw(ack.position().offset, 1 << 20)?;
    /// assert_eq!(raw.bytes.len(), ack.position().len as usize);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn raw(&self, from: LogOffset, max_bytes: u64) -> Result<Raw> {
        self.inner.log.raw(from, max_bytes)
    }

    /// The parts of the log that are damaged and stepped over, ascending; see
    /// [`OnDamage::Quarantine`](crate::OnDamage::Quarantine). Damage that retention has removed since is left out.
    #[must_use]
    pub fn quarantined(&self) -> Vec<LogRange> {
        self.inner.log.quarantined().collect()
    }

    /// Where the marks stand.
    #[must_use]
    pub fn marks(&self) -> Marks {
        let log = &self.inner.log;
        // From the last to the first, so that the order holds in what is shown.
        let flushed = log.flushed().at();
        let visible = log.readable();
        let written = log.written().at().max(flushed).max(visible);
        let accepted = log.accepted().max(written);
        Marks { first: log.first(), accepted, written, flushed, visible, syncs: log.syncs() }
    }

    /// The mark below which everything is durable; wait for it or await it with [`Watermark::reach`].
    #[must_use]
    pub fn flushed(&self) -> &Arc<Watermark> {
        self.inner.log.flushed()
    }

    /// The mark below which readers see everything.
    #[must_use]
    pub fn visible(&self) -> &Arc<Watermark> {
        self.inner.log.visible()
    }

    /// Why the store takes no appends, if it has failed.
    #[must_use]
    pub fn failure(&self) -> Option<Error> {
        self.inner.log.failure()
    }

    /// One look of every worker, in the caller's thread, for stores opened
    /// [`by_hand`](Options::by_hand). Says whether any has more to do at once.
    #[cfg(any(test, feature = "sim"))]
    pub fn step(&self) -> bool {
        let mut again = false;
        for worker in &self.inner.workers {
            again |= worker.turn() == Next::Again;
        }
        again
    }

    /// The same, telling of each worker by its name how long it would sleep if nobody woke it: `Duration::ZERO` if it
    /// has more to do at once, `None` if it would not wake at all.
    #[cfg(any(test, feature = "sim"))]
    pub fn rests(&self) -> Vec<(&'static str, Option<std::time::Duration>)> {
        let rest = |next| match next {
            Next::Again => Some(std::time::Duration::ZERO),
            Next::After(rest) => Some(rest),
            Next::Wait => None,
        };
        self.inner.workers.iter().map(|worker| (worker.name(), rest(worker.turn()))).collect()
    }
}

impl Inner {
    fn drop_topic(&self, topic: &str) -> Result<()> {
        if let Some(failure) = self.log.failure() {
            return Err(failure);
        }
        self.recorder.drop_topic(&self.log, topic)
    }
}
