//! What one folder is: all of it follows from a number and a seed.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use sawlog::Options;
use sawlog::disk::sim::Survivors;
use sawlog::flush::{AsyncFlush, SyncFlush};
use sawlog::message::Checksum;

use crate::dice::Dice;
use crate::java::Config;

/// How a folder came to be what Java finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Closed in order.
    Closed,
    /// The writing process was killed with `kill -9`.
    Killed,
    /// The same, then opened by us and closed.
    Recovered,
    /// The power was cut; Java opens what the disk kept.
    Cut(Survivors),
    /// The same, but first somebody removes what is derived from the log, as MIGRATING.md says.
    CutStripped(Survivors),
    /// The power was cut; we opened what the disk kept, and closed it.
    CutRecovered(Survivors),
    /// Closed in order; then somebody deleted derived files.
    Deleted(Deleted),
}

/// What somebody deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deleted {
    Queues,
    Index,
    QueuesIndexCheckpoint,
    Own,
}

impl Ending {
    /// Every ending, so that the first lap over them shows each kind early.
    const ALL: [Ending; 22] = [
        Ending::Closed,
        Ending::Killed,
        Ending::Recovered,
        Ending::Cut(Survivors::Nothing),
        Ending::CutRecovered(Survivors::Bytes),
        Ending::Deleted(Deleted::Queues),
        Ending::CutStripped(Survivors::Sectors),
        Ending::Killed,
        Ending::Cut(Survivors::Everything),
        Ending::CutRecovered(Survivors::Sectors),
        Ending::Deleted(Deleted::QueuesIndexCheckpoint),
        Ending::Cut(Survivors::Sectors),
        Ending::Closed,
        Ending::Cut(Survivors::Prefix),
        Ending::Recovered,
        Ending::CutStripped(Survivors::Bytes),
        Ending::CutRecovered(Survivors::Prefix),
        Ending::Deleted(Deleted::Index),
        Ending::Cut(Survivors::Bytes),
        Ending::CutRecovered(Survivors::Nothing),
        Ending::Deleted(Deleted::Own),
        Ending::CutRecovered(Survivors::Everything),
    ];

    /// So many of the first lap are kinds of their own: each has a folder with more than 10,000 messages.
    const KINDS: u64 = 7;

    /// Whether a process of its own writes the folder, and is killed.
    pub(crate) fn is_killed(self) -> bool {
        matches!(self, Ending::Killed | Ending::Recovered)
    }

    /// On which model's image the folder rests, if the power was cut.
    pub(crate) fn survivors(self) -> Option<Survivors> {
        match self {
            Ending::Cut(model) | Ending::CutStripped(model) | Ending::CutRecovered(model) => Some(model),
            _ => None,
        }
    }

    /// Whether Java finds what the power cut left, and nobody of ours has looked at it.
    pub(crate) fn is_raw_cut(self) -> bool {
        matches!(self, Ending::Cut(_) | Ending::CutStripped(_))
    }

    /// Whether Java finds our abort mark.
    pub(crate) fn is_unclean(self) -> bool {
        self == Ending::Killed || self.is_raw_cut()
    }
}

/// One folder.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) seed: u64,
    pub(crate) number: u64,
    pub(crate) ending: Ending,
    pub(crate) sync: bool,
    pub(crate) checksum: Checksum,
    /// 1 or 7.
    pub(crate) segments: u64,
    /// At least so many messages.
    pub(crate) messages: u64,
    pub(crate) segment_bytes: u64,
    pub(crate) queue_entries: u32,
    pub(crate) index_slots: u32,
    pub(crate) index_entries: u32,
    pub(crate) store_host: SocketAddr,
    /// Whether Java verifies the record checksum and writes it itself; else it does neither.
    pub(crate) java_checks_records: bool,
}

/// The mean length of a record that [`Script`](super::script::Script) makes, about, and the longest one.
const MEAN_RECORD_BYTES: u64 = 460;
const MEAN_LARGE_RECORD_BYTES: u64 = 330;

impl Case {
    pub(crate) fn new(seed: u64, number: u64) -> Case {
        let lap = number / Ending::ALL.len() as u64;
        let ending = Ending::ALL[(number % Ending::ALL.len() as u64) as usize];
        let mut dice = Dice::new(Dice::part(seed, number));
        let is_large = number < Ending::KINDS;
        let messages = if is_large { 11_000 + dice.below(1_000) } else { 150 + dice.below(500) };
        // The first laps take the corners in turn, so that no seed misses one.
        let corner = number ^ lap;
        let segments = if corner & 1 == 0 { 7 } else { 1 };
        let sync = (number / 2 + lap) & 1 == 0;
        let checksum = if (number / 4 + lap) & 1 == 0 { Checksum::Record } else { Checksum::Body };
        let mean = if is_large { MEAN_LARGE_RECORD_BYTES } else { MEAN_RECORD_BYTES };
        let total = messages * mean;
        let segment_bytes = if segments == 1 { total * 2 } else { total * 2 / 13 };
        // Long bodies must fit, and Java maps whole pages.
        let segment_bytes = segment_bytes.next_multiple_of(4096).max(64 << 10);
        let v6 = dice.percent(30);
        let host = if v6 { "[2001:db8::10:11]:10911" } else { "192.0.2.77:10911" };
        Case {
            seed,
            number,
            ending,
            sync,
            checksum,
            segments,
            messages,
            segment_bytes,
            queue_entries: if is_large { 100 } else { 4 + dice.below(40) as u32 },
            index_slots: 16 + dice.below(200) as u32,
            // RocketMQ names an index file by the millisecond; with files that it fills within one, it writes the
            // second over the first.
            index_entries: if is_large { 6_000 } else { 400 + dice.below(800) as u32 },
            store_host: host.parse().unwrap(),
            java_checks_records: checksum == Checksum::Record && dice.percent(60),
        }
    }

    pub(crate) fn is_large(&self) -> bool {
        self.messages > 10_000
    }

    /// Chance for one part of what happens to the folder.
    pub(crate) fn dice(&self, part: &str) -> Dice {
        let part = part.bytes().fold(self.number, |sum, byte| sum.wrapping_mul(257) + u64::from(byte));
        Dice::new(Dice::part(self.seed, part))
    }

    /// How we open it, on whatever disk.
    pub(crate) fn options(&self) -> Options {
        let options = Options::new()
            .segment_bytes(self.segment_bytes)
            .queue_segment_entries(self.queue_entries)
            .index_slots(self.index_slots)
            .index_entries(self.index_entries)
            .max_message_bytes(56 << 10)
            .store_host(self.store_host)
            .checksum(self.checksum);
        if self.sync { options.flush(SyncFlush) } else { options.flush(AsyncFlush::default()) }
    }

    /// How a broker must open it.
    pub(crate) fn java_config(&self) -> Config {
        Config {
            segment_bytes: self.segment_bytes,
            queue_entries: self.queue_entries,
            index_slots: self.index_slots,
            index_entries: self.index_entries,
            sync: self.sync,
            record_crc: self.java_checks_records,
            more: Vec::new(),
        }
    }

    pub(crate) fn folder(&self, parent: &Path) -> std::path::PathBuf {
        parent.join(format!("{:04}", self.number))
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Case { seed, number, ending, sync, checksum, segments, messages, .. } = self;
        let flush = if *sync { "SYNC" } else { "ASYNC" };
        let checked = if self.java_checks_records { ", Java verifies it" } else { "" };
        write!(
            f,
            "folder {number} of seed {seed}: {ending:?}, {flush}, {segments} segment(s) of {} bytes, {messages} \
             messages, {checksum:?} checksum{checked}",
            self.segment_bytes
        )
    }
}
