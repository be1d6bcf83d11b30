//! What one folder is: all of it follows from a number and a seed.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use sawlog::disk::sim::Survivors;
use sawlog::flush::{AsyncFlush, SyncFlush};
use sawlog::message::Checksum;
use sawlog::{Message, Options, Retention};

use super::script::Script;
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

/// What the messages that are asked for take in the log, without blank records.
fn log_bytes(case: &Case) -> u64 {
    let mut script = Script::new(case);
    let (mut messages, mut bytes) = (0, 0);
    while messages < case.messages {
        for message in script.step().messages() {
            messages += 1;
            bytes += record_bytes(case, message);
        }
    }
    bytes
}

/// Spec 2.1 and 2.7.
fn record_bytes(case: &Case, message: &Message) -> u64 {
    let host = |is_v6: bool| if is_v6 { 12 } else { 0 };
    let lengths = 91 + message.body.len() + message.topic.len() + message.properties.as_bytes().len();
    let checksum = if case.checksum == Checksum::Record { 20 } else { 0 };
    let version = usize::from(message.topic.encode_utf16().count() > 127);
    let hosts = host(message.born_host.is_ipv6()) + host(case.store_host.is_ipv6());
    (lengths + checksum + version + hosts) as u64
}

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
        let v6 = dice.percent(30);
        let host = if v6 { "[2001:db8::10:11]:10911" } else { "192.0.2.77:10911" };
        let mut case = Case {
            seed,
            number,
            ending,
            sync,
            checksum,
            segments,
            messages,
            segment_bytes: 0,
            queue_entries: if is_large { 100 } else { 4 + dice.below(40) as u32 },
            index_slots: 16 + dice.below(200) as u32,
            // RocketMQ names an index file by the millisecond; with files that it fills within one, it writes the
            // second over the first.
            index_entries: if is_large { 6_000 } else { 400 + dice.below(800) as u32 },
            store_host: host.parse().unwrap(),
            java_checks_records: checksum == Checksum::Record && dice.percent(60),
        };
        let total = log_bytes(&case);
        // Six segments are full and the seventh half; long bodies must fit, and Java maps whole pages.
        let segment_bytes = if segments == 1 { total * 3 / 2 } else { total * 2 / 13 };
        case.segment_bytes = segment_bytes.next_multiple_of(4096).max(64 << 10);
        case
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
            // The machine's disk may be as full as it likes.
            .retention(Retention::keep_all().refuse_above(None))
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
