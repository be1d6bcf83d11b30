//! Numbers at the edges of their types and of the format: each is taken, or refused with a typed error; none wraps and
//! none panics (promises D6).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    reason = "tests may stop at the first surprise"
)]

use std::path::Path;

use bytes::Bytes;
use sawlog::clock::Timestamp;
use sawlog::disk::sim::SimDisk;
use sawlog::flush::SyncFlush;
use sawlog::message::{Checksum, EncodeRules, Verify, decode, encode};
use sawlog::{Bound, Error, Fetch, LogOffset, Message, Options, QueueOffset, Store};

const ROOT: &str = "/store";
const SEGMENT_BYTES: u64 = 64 << 10;
/// A signed 64-bit number's largest, as RocketMQ stores offsets.
const MOST: u64 = i64::MAX.unsigned_abs();

/// Around where 32-bit and 53-bit numbers end, signed and unsigned, and around the largest of all.
const OFFSETS: [u64; 17] = [
    0,
    1,
    (1 << 31) - 1,
    1 << 31,
    (1 << 31) + 1,
    (1 << 32) - 1,
    1 << 32,
    (1 << 32) + 1,
    (1 << 53) - 1,
    1 << 53,
    (1 << 53) + 1,
    MOST - 2,
    MOST - 1,
    MOST,
    MOST + 1,
    u64::MAX - 1,
    u64::MAX,
];

fn options(disk: &SimDisk) -> Options {
    let options = Options::new().disk(disk.clone()).by_hand().flush(SyncFlush).segment_bytes(SEGMENT_BYTES);
    options.max_message_bytes(60_000).index_slots(16).index_entries(64).queue_segment_entries(8)
}

fn opened(disk: &SimDisk) -> Store {
    Store::open(ROOT, options(disk)).unwrap()
}

fn rules() -> EncodeRules {
    EncodeRules {
        store_host: ([192, 0, 2, 10], 10911).into(),
        checksum: Checksum::Record,
        max_body_bytes: 1_000,
        born: Timestamp(1),
    }
}

/// How many edges were tried, and at which of them something else came than is due.
#[derive(Default)]
struct Table {
    tried: u64,
    wrong: Vec<String>,
}

impl Table {
    fn edge(&mut self, what: &str, holds: bool) {
        self.tried += 1;
        if !holds {
            self.wrong.push(what.to_owned());
        }
    }
}

fn stamps(table: &mut Table) {
    let message = Message::new("orders", "paid").key("k");
    for number in OFFSETS.into_iter().filter(|n| *n <= MOST) {
        for time in [i64::MIN, -1, 0, 1, i64::from(i32::MAX) + 1, i64::MAX] {
            let mut encoded = encode(&message, &rules(), Vec::new()).unwrap();
            // Where the record stands, where it is queued, and when it was stored, each at its edge.
            let bytes = encoded.stamp(LogOffset(number), QueueOffset(number), Timestamp(time)).concat();
            let read = decode(LogOffset(number), Bytes::from(bytes.clone()), Verify::Ours).unwrap();
            let same = (read.position.offset.0, read.queue_offset.0, read.stored.0) == (number, number, time);
            table.edge(&format!("stamped {number}, {time}"), same);
            let elsewhere = decode(LogOffset(number ^ 1), Bytes::from(bytes), Verify::Ours);
            table.edge(&format!("{number} read elsewhere"), elsewhere.is_err());
        }
    }
}

fn lengths(table: &mut Table) {
    let takes = |message: &Message| encode(message, &rules(), Vec::new()).map(drop);
    let refused = |taken: Result<(), Error>| matches!(taken, Err(Error::InvalidMessage(_)));
    for (bytes, fits) in [(0, true), (1, true), (999, true), (1_000, true), (1_001, false), (1 << 20, false)]
    {
        let taken = takes(&Message::new("orders", vec![1; bytes]));
        table.edge(&format!("a body of {bytes}"), if fits { taken.is_ok() } else { refused(taken) });
    }
    for (queue, fits) in [(0, true), (i32::MAX as u32, true), (1 << 31, false), (u32::MAX, false)] {
        let taken = takes(&Message::new("orders", "x").queue(queue));
        table.edge(&format!("queue {queue}"), if fits { taken.is_ok() } else { refused(taken) });
    }
    for topic_bytes in [0, 1, 126, 127, 128, 255, 256, 40_000] {
        let taken = takes(&Message::new(&*"t".repeat(topic_bytes), "x"));
        let fits = (1..=255).contains(&topic_bytes);
        table.edge(&format!("a topic of {topic_bytes}"), taken.is_ok() == fits && (fits || refused(taken)));
    }
    // The longest that fits is found from both sides; RocketMQ's length field is a signed 16-bit number (spec 2.3).
    let property = |bytes: usize| takes(&Message::new("orders", "x").property("p", &"v".repeat(bytes)));
    let most = (0..40_000).rev().find(|bytes| property(*bytes).is_ok()).unwrap();
    table.edge(&format!("a property of {most}"), (32_000..32_767).contains(&most));
    table.edge("a property one longer", refused(property(most + 1)));
    for bytes in [32_766, 32_767, 32_768, 65_535, 65_536, 1 << 20] {
        table.edge(&format!("a property of {bytes}"), refused(property(bytes)));
    }
}

/// A record that ends with its segment's last byte, one byte before it, and so on.
fn last_bytes_of_a_segment(table: &mut Table) {
    let overhead = {
        let store = opened(&SimDisk::new());
        u64::from(store.append_and_wait(&Message::new("orders", "")).unwrap().position.len)
    };
    // Of a segment the last eight bytes are kept for the blank record behind the last one (spec 2.4).
    for spare in 0..=16 {
        let disk = SimDisk::new();
        let store = opened(&disk);
        let first = store.append_and_wait(&Message::new("orders", vec![1; 30_000])).unwrap().position;
        let left = SEGMENT_BYTES - first.end().0;
        let body = usize::try_from(left - overhead - spare).unwrap();
        let second = store.append_and_wait(&Message::new("orders", vec![2; body])).unwrap().position;
        let third = store.append_and_wait(&Message::new("orders", "behind")).unwrap().position;
        let rolled = if second.offset == first.end() { third } else { second };
        table.edge(&format!("{spare} bytes to spare"), rolled.offset.0 == SEGMENT_BYTES);
        store.close().unwrap();
        let store = opened(&disk);
        let lengths: Vec<usize> = store.scan(LogOffset(0)).map(|r| r.unwrap().body().len()).collect();
        table.edge(&format!("{spare} bytes to spare, reopened"), lengths == [30_000, body, 6]);
    }
}

/// A log that goes on at an offset that others cannot count to.
fn far_logs(table: &mut Table) {
    for number in OFFSETS {
        let base = number / SEGMENT_BYTES * SEGMENT_BYTES;
        let disk = SimDisk::new();
        let path = Path::new(ROOT).join("commitlog").join(format!("{base:020}"));
        disk.write_file(path, vec![0; usize::try_from(SEGMENT_BYTES).unwrap()]).unwrap();
        let store = match Store::open(ROOT, options(&disk)) {
            Ok(store) => store,
            Err(Error::Foreign { .. } | Error::Corrupt(_)) => {
                table.edge(&format!("a log at {base} is refused"), base + (SEGMENT_BYTES - 1) > MOST);
                continue;
            }
            Err(other) => panic!("a log at {base}: {other}"),
        };
        let mut positions = Vec::new();
        let end = loop {
            match store.append_and_wait(&Message::new("orders", vec![7; 20_000]).key("k")) {
                Ok(stored) => positions.push(stored.position.offset),
                Err(error) => break Some(error),
            }
            if positions.len() == 7 {
                break None;
            }
        };
        let is_last = matches!(end, Some(Error::InvalidMessage(_)));
        table.edge(&format!("a log at {base}: {end:?}"), end.is_none() || (is_last && base > MOST / 2));
        while store.step() {}
        let read: Vec<_> = store.scan(store.marks().first).map(|r| r.unwrap().position.offset).collect();
        table.edge(&format!("a log at {base} is read"), read == positions);
        let found = store.find("orders", "k").map(Result::unwrap).count();
        table.edge(&format!("a log at {base} is found by key"), found == positions.len());
        store.close().unwrap();
        let store = opened(&disk);
        let queued = store.queue("orders", 0).read_from(QueueOffset(0)).map(Result::unwrap).count();
        table.edge(&format!("a log at {base} is opened again"), queued == positions.len());
    }
}

fn questions(table: &mut Table) {
    let store = opened(&SimDisk::new());
    for n in 0..20 {
        store.append_and_wait(&Message::new("orders", vec![n; 100]).key("k")).unwrap();
    }
    while store.step() {}
    let queue = store.queue("orders", 0);
    let is_outside = |error: Error| matches!(error, Error::OutOfRange { .. });
    for number in OFFSETS.into_iter().skip(2) {
        let (at, of) = (LogOffset(number), QueueOffset(number));
        table.edge(&format!("record at {number}"), store.record_at(at).is_err_and(is_outside));
        table.edge(&format!("raw at {number}"), store.raw(at, u64::MAX).is_err_and(is_outside));
        let scanned = store.scan(at).take(2).filter(Result::is_ok).count();
        table.edge(&format!("scan from {number}"), scanned == 0);
        table.edge(&format!("queue offset {number}"), queue.record_at(of).is_err_and(is_outside));
        table.edge(&format!("queue from {number}"), queue.read_from(of).take(2).all(|r| r.is_err()));
        let fetched = queue.fetch(&Fetch::from(of).max_bytes(u64::MAX).max_count(u32::MAX)).unwrap();
        table.edge(&format!("fetch from {number}"), fetched.records.is_empty());
        // A mark that is never reached is waited for in vain, and no longer than was said.
        table.edge(&format!("reach {number}"), !store.flushed().reach(at).is_reached());
    }
    for time in [i64::MIN, -1, 0, 1, i64::MAX - 1, i64::MAX] {
        for bound in [Bound::First, Bound::Last] {
            let found = queue.offset_at_time(Timestamp(time), bound);
            table.edge(&format!("offset at time {time}"), found.is_ok_and(|at| at.0 <= 20));
        }
    }
    table.edge("a fetch of nothing", queue.fetch(&Fetch::from(QueueOffset(0)).max_count(0)).is_ok());
    for signed in [i64::MIN, -1, 0, i64::MAX] {
        table.edge(&format!("from {signed}"), queue.fetch(&Fetch::from_signed(signed)).is_ok());
    }
    store.remove_before(LogOffset(u64::MAX)).unwrap();
    table.edge("what is asked to go, but for the last segment", store.scan(LogOffset(0)).count() == 20);
}

fn shapes(table: &mut Table) {
    let mut shape = |what: &str, set: &dyn Fn(Options) -> Options, fits: bool| {
        let opened = Store::open(ROOT, set(options(&SimDisk::new())));
        let holds = match &opened {
            Ok(_) => fits,
            Err(Error::InvalidOptions(_)) => !fits,
            Err(_) => false,
        };
        table.edge(&format!("{what}: {opened:?}"), holds);
    };
    for (bytes, fits) in [
        (0, false),
        (1, false),
        ((64 << 10) - 1, false),
        (64 << 10, true),
        ((64 << 10) + 1, true),
        (1 << 31, false),
        (1 << 32, false),
        (u64::MAX, false),
    ] {
        shape(&format!("segments of {bytes}"), &|o| o.segment_bytes(bytes), fits);
    }
    for (entries, fits) in
        [(0, false), (1, true), (107_374_182, true), (107_374_183, false), (u32::MAX, false)]
    {
        shape(&format!("queue files of {entries}"), &|o| o.queue_segment_entries(entries), fits);
    }
    for (bytes, fits) in [(0, false), (1, true), (60_000, true), (u32::MAX, false)] {
        shape(&format!("messages of {bytes}"), &|o| o.max_message_bytes(bytes), fits);
    }
    for (files, fits) in [(0, false), (15, false), (16, true), (1_000_000, true), (1_000_001, false)] {
        shape(&format!("{files} open files"), &|o| o.open_files(files), fits);
    }
    for (segments, fits) in [(0, false), (1, true), (1_000_000, true), (1_000_001, false), (u32::MAX, false)]
    {
        shape(&format!("{segments} open segments"), &|o| o.open_segments(segments), fits);
    }
    shape("no slots", &|o| o.index_slots(0), false);
    shape("slots beyond a file", &|o| o.index_slots(u32::MAX), false);
    shape("one entry, which is never used", &|o| o.index_entries(1), false);
    shape("entries beyond a file", &|o| o.index_entries(u32::MAX), false);
}

#[test]
fn no_number_at_an_edge_wraps_or_panics() {
    let mut table = Table::default();
    for edges in [stamps, lengths, last_bytes_of_a_segment, far_logs, questions, shapes] {
        edges(&mut table);
    }
    println!("{} edges", table.tried);
    assert!(table.wrong.is_empty(), "{:#?}", table.wrong);
    assert!(table.tried >= 300);
}
