//! Feature `metrics`: what a store does, for whatever recorder the program has installed behind the `metrics` facade.
//!
//! No thread polls. Counters and histograms are moved by a [`Listener`], at each flush, roll and sweep; gauges are set by
//! [`Store::publish_metrics`], when somebody is about to look. The recorder is looked up at every call, so that it may
//! be installed before or after the store is opened.

use ::metrics::{
    Label, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::recovery::RecoveryReport;
use crate::store::listener::{Damaged, Failed, Flushed, Listener, Rolled};
use crate::store::stats::Stats;
use crate::store::swept::Swept;
use crate::store::{Inner, Store};

/// Labels of every metric of one store, and the listener that moves its counters.
#[derive(Clone, Debug, Default)]
pub(super) struct Metrics {
    labels: Vec<Label>,
}

impl Metrics {
    pub(super) fn new(labels: Vec<Label>) -> Metrics {
        Metrics { labels }
    }
}

/// Unit and meaning of the counters.
const COUNTERS: [(&str, Unit, &str); 10] = [
    ("sawlog_opened_total", Unit::Count, "times that the store was opened"),
    ("sawlog_flushed_records_total", Unit::Count, "records made durable"),
    ("sawlog_flushed_bytes_total", Unit::Bytes, "bytes of the log made durable"),
    ("sawlog_syncs_total", Unit::Count, "syncs of the log"),
    ("sawlog_rolls_total", Unit::Count, "segments begun"),
    ("sawlog_swept_segments_total", Unit::Count, "segments that retention removed"),
    ("sawlog_swept_bytes_total", Unit::Bytes, "bytes of segments that retention removed"),
    ("sawlog_swept_derived_bytes_total", Unit::Bytes, "bytes of queue and index files that went with them"),
    ("sawlog_damaged_total", Unit::Count, "places at which damage was found"),
    ("sawlog_failed_total", Unit::Count, "times that the store stopped taking appends for good"),
];

const HISTOGRAMS: [(&str, Unit, &str); 3] = [
    ("sawlog_sync_seconds", Unit::Seconds, "how long a sync of the log took"),
    ("sawlog_batch_records", Unit::Count, "records that a sync made durable"),
    ("sawlog_batch_bytes", Unit::Bytes, "bytes that a sync made durable"),
];

/// A gauge: name, unit, meaning, value.
type Gauge = (&'static str, Unit, &'static str, f64);

impl Store {
    /// Sets the gauges, with the labels of [`Options::metrics`](crate::Options::metrics): to be called before a scrape is answered, or as often
    /// as figures are wanted. It asks the disk how full it is, and reads the head of the oldest record.
    ///
    /// | gauge | unit | RocketMQ's name, published with it |
    /// | --- | --- | --- |
    /// | `sawlog_unflushed_bytes` | bytes appended, not durable | `rocketmq_storage_flush_behind_bytes` |
    /// | `sawlog_undispatched_bytes` | bytes visible, not yet in queues | `rocketmq_storage_dispatch_behind_bytes` |
    /// | `sawlog_unrecorded_bytes` | bytes to be derived again after a crash | |
    /// | `sawlog_disk_used_bytes` | bytes in use on the log's file system | `rocketmq_storage_size` |
    /// | `sawlog_oldest_record_seconds` | age of the oldest record | `rocketmq_storage_message_reserve_time`, in ms |
    /// | `sawlog_log_bytes` | bytes of the log's files | |
    /// | `sawlog_segments`, `sawlog_topics`, `sawlog_queues`, `sawlog_open_files` | count | |
    /// | `sawlog_writable` | 1 if appends are taken, else 0 | |
    ///
    /// RocketMQ's are those of its store since 5.1, with its labels `storage_type` and `storage_medium`. Its broker's
    /// (`rocketmq_messages_in_total` and others) are told apart by topic and kind of message and are a broker's to count.
    ///
    /// Moved by themselves: the counters `sawlog_opened_total`, `sawlog_flushed_records_total`,
    /// `sawlog_flushed_bytes_total`, `sawlog_syncs_total`, `sawlog_rolls_total`, `sawlog_swept_segments_total`,
    /// `sawlog_swept_bytes_total`, `sawlog_swept_derived_bytes_total`, `sawlog_damaged_total`, `sawlog_failed_total`; and
    /// the histograms `sawlog_sync_seconds`, `sawlog_batch_records`, `sawlog_batch_bytes`.
    ///
    /// # Errors
    /// [`Error::Io`] if the disk does not say how full it is, or the oldest record cannot be read, [`Error::Corrupt`] if
    /// it is damaged: every other gauge is set.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # use sawlog::{Options, Store};
    /// let options = Options::new().segment_bytes(1 << 16).metrics([("cluster", "east"), ("node_id", "a")]);
    /// let store = Store::open(folder.path(), options)?;
    /// store.publish_metrics()?; // before a page is rendered
    /// # store.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn publish_metrics(&self) -> Result<()> {
        let inner = &*self.inner;
        for (name, unit, what) in COUNTERS {
            describe_counter!(name, unit, what);
        }
        for (name, unit, what) in HISTOGRAMS {
            describe_histogram!(name, unit, what);
        }
        let metrics = &inner.metrics;
        metrics.set(of_stats(&self.stats()));
        let disk = inner.sweeper.guard.space().map(|space| {
            let used = space.total.saturating_sub(space.free) as f64;
            metrics.set([
                ("sawlog_disk_used_bytes", Unit::Bytes, "bytes in use on the log's file system", used),
                ("rocketmq_storage_size", Unit::Bytes, "the same", used),
            ]);
        });
        let oldest = inner.oldest_record_ms().map(|age_ms| {
            let Some(age_ms) = age_ms else { return };
            metrics.set([
                ("sawlog_oldest_record_seconds", Unit::Seconds, "age of the oldest record", age_ms / 1e3),
                (
                    "rocketmq_storage_message_reserve_time",
                    Unit::Milliseconds,
                    "the same, in milliseconds",
                    age_ms,
                ),
            ]);
        });
        disk.and(oldest)
    }
}

impl Inner {
    /// How old the oldest record is, by the wall clock; `None` if there is none.
    fn oldest_record_ms(&self) -> Result<Option<f64>> {
        match self.log.record_at(self.log.first()) {
            Ok(record) => Ok(Some(self.clock.now().0.saturating_sub(record.stored.0).max(0) as f64)),
            // Nothing is there, or retention was faster.
            Err(Error::OutOfRange { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn of_stats(stats: &Stats) -> [Gauge; 11] {
    let (unflushed, undispatched) = (stats.unflushed_bytes() as f64, stats.undispatched_bytes() as f64);
    let writable = if stats.writable.is_yes() { 1.0 } else { 0.0 };
    [
        ("sawlog_unflushed_bytes", Unit::Bytes, "bytes appended and not durable", unflushed),
        ("rocketmq_storage_flush_behind_bytes", Unit::Bytes, "the same", unflushed),
        ("sawlog_undispatched_bytes", Unit::Bytes, "bytes visible and not in queues yet", undispatched),
        ("rocketmq_storage_dispatch_behind_bytes", Unit::Bytes, "the same", undispatched),
        (
            "sawlog_unrecorded_bytes",
            Unit::Bytes,
            "bytes to be derived again after a crash",
            stats.unrecorded_bytes() as f64,
        ),
        ("sawlog_log_bytes", Unit::Bytes, "bytes of the log's files", stats.log_bytes() as f64),
        ("sawlog_segments", Unit::Count, "segments of the log", stats.segments as f64),
        ("sawlog_topics", Unit::Count, "topics that are known", stats.topics as f64),
        ("sawlog_queues", Unit::Count, "queues that are known", stats.queues as f64),
        ("sawlog_open_files", Unit::Count, "files that are open", stats.open_files as f64),
        ("sawlog_writable", Unit::Count, "1 if appends are taken, else 0", writable),
    ]
}

impl Metrics {
    fn set(&self, gauges: impl IntoIterator<Item = Gauge>) {
        for (name, unit, what, value) in gauges {
            describe_gauge!(name, unit, what);
            let mut labels = self.labels.clone();
            if name.starts_with("rocketmq_") {
                labels.push(Label::new("storage_type", "local"));
                labels.push(Label::new("storage_medium", "disk"));
            }
            gauge!(name, labels).set(value);
        }
    }

    fn add(&self, name: &'static str, by: u64) {
        counter!(name, self.labels.clone()).increment(by);
    }

    /// `greatest` once, and the rest of `sum` in equal parts: of syncs that are told together no more is known.
    fn note(&self, name: &'static str, sum: f64, greatest: f64, times: u64) {
        let histogram = histogram!(name, self.labels.clone());
        histogram.record(greatest);
        let others = times.saturating_sub(1);
        for _ in 0..others {
            histogram.record((sum - greatest) / others as f64);
        }
    }
}

impl Listener for Metrics {
    fn recovered(&self, _: &RecoveryReport) {
        self.add("sawlog_opened_total", 1);
    }

    fn rolled(&self, _: &Rolled) {
        self.add("sawlog_rolls_total", 1);
    }

    fn flushed(&self, flushed: &Flushed) {
        let Flushed { from, to, records, syncs, took, longest } = *flushed;
        let bytes = to.since(from);
        self.add("sawlog_flushed_records_total", records);
        self.add("sawlog_flushed_bytes_total", bytes);
        self.add("sawlog_syncs_total", syncs);
        let mean = |sum: u64| sum as f64 / syncs.max(1) as f64;
        self.note("sawlog_sync_seconds", took.as_secs_f64(), longest.as_secs_f64(), syncs);
        self.note("sawlog_batch_records", records as f64, mean(records), syncs);
        self.note("sawlog_batch_bytes", bytes as f64, mean(bytes), syncs);
    }

    fn swept(&self, swept: &Swept) {
        self.add("sawlog_swept_segments_total", swept.segments);
        self.add("sawlog_swept_bytes_total", swept.bytes);
        self.add("sawlog_swept_derived_bytes_total", swept.derived_bytes);
    }

    fn damaged(&self, _: &Damaged) {
        self.add("sawlog_damaged_total", 1);
    }

    fn failed(&self, _: &Failed) {
        self.add("sawlog_failed_total", 1);
    }
}
