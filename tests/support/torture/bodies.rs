//! Messages that look like something else, by the million (promises C6), and bits that flip on their way to the disk
//! (C7).

use bytes::Bytes;
use sawlog::clock::Timestamp;
use sawlog::disk::sim::{SimDisk, Survivors};
use sawlog::message::{Checksum, EncodeRules, Verify, decode, encode, peek};
use sawlog::{Error, LogOffset, Message, QueueOffset, Store};

use super::super::dice::Dice;
use super::super::expected::{Expected, ROOT, Taken, segment_path};
use super::super::oracle::Verdict;
use super::super::workload::{clock, options};
use super::{Bar, Job, Until};

/// Messages of one case of `C6-codec`.
const MESSAGES: u64 = 1_000;

pub(super) fn bars() -> Vec<Bar> {
    vec![
        Bar {
            names: &["C6-codec"],
            tries: "a thousand messages a case: checksum 0, markers, records in bodies; encoded and decoded",
            until: Until::Cases(10_000),
            job: round_trips,
        },
        Bar {
            names: &["C7"],
            tries: "a bit flips in the page cache between append and sync: never served, located when read",
            until: Until::Cases(10_000),
            job: flips_before_the_sync,
        },
    ]
}

fn round_trips(job: &Job<'_>) {
    let rules = |checksum| EncodeRules {
        store_host: ([192, 0, 2, 10], 10911).into(),
        checksum,
        max_body_bytes: 4 << 20,
        born: Timestamp(1_700_000_000_000),
    };
    for case in 0..100 {
        job.case(&format!("thousand {case}"), |dice| {
            let (mut buf, mut last, mut zero_sums) = (Vec::new(), Vec::new(), 0);
            for _ in 0..MESSAGES {
                let whole = dice.percent(70);
                let rules = rules(if whole { Checksum::Record } else { Checksum::Body });
                let message = message(dice, &last);
                let at = LogOffset(dice.draw() >> (2 + dice.below(60)));
                let queue_offset = QueueOffset(dice.draw() >> (2 + dice.below(60)));
                let stored = Timestamp((dice.draw() >> 2) as i64);
                let mut encoded = encode(&message, &rules, std::mem::take(&mut buf))
                    .map_err(|e| format!("{message:?}: {e}"))?;
                let bytes = encoded.stamp(at, queue_offset, stored).concat();
                buf = encoded.into_buf();
                let verify = if whole { Verify::Ours } else { Verify::Legacy };
                let read = decode(at, Bytes::from(bytes.clone()), verify)
                    .map_err(|e| format!("{message:?} was read as {e:?}"))?;
                let position = sawlog::Position { offset: at, len: bytes.len() as u32 };
                let head = peek(bytes.first_chunk().ok_or("shorter than a head")?);
                if format!("{head:?}") != format!("Record {{ len: {} }}", position.len) {
                    return Err(format!("a record of {} bytes begins as {head:?}", position.len));
                }
                let id = read.message_id();
                let taken =
                    Taken::new(&message, &sawlog::Stored { position, queue_offset, stored, message_id: id });
                taken.check(&read)?;
                if read.message.properties.find("odd") != message.properties.find("odd") {
                    return Err(format!("a property was {:?}", read.message.properties));
                }
                zero_sums += u64::from(!message.body.is_empty() && crc32fast::hash(&message.body) == 0);
                last = bytes;
            }
            job.met("messages", MESSAGES);
            job.met("of them with a body whose checksum is 0", zero_sums);
            Ok(())
        });
        if job.is_over() {
            return;
        }
    }
}

fn message(dice: &mut Dice, last: &[u8]) -> Message {
    let body = body(dice, last);
    let mut message = Message::new("orders", body).queue((dice.draw() >> 33) as u32);
    if dice.percent(30) {
        message = message.tag("vip").key("AaBB").key("\u{1f600}");
    }
    if dice.percent(30) {
        // Anything but the two separators and the end mark of RocketMQ's property text (spec 2.3).
        let letters = ['\0', '\u{3}', ' ', 'a', '\u{7f}', '\u{80}', '\u{e4}', '\u{20ac}', '\u{10ffff}'];
        let value: String =
            (0..1 + dice.below(12)).map(|_| letters[dice.below(letters.len() as u64) as usize]).collect();
        message = message.property("odd", &value);
    }
    message
}

fn body(dice: &mut Dice, last: &[u8]) -> Vec<u8> {
    let mut body = match dice.below(7) {
        0 => vec![0; dice.below(300) as usize],
        1 => vec![0xFF; dice.below(300) as usize],
        // A whole record, or most of one.
        2 | 3 => last[..(dice.below(last.len() as u64 + 1) as usize).min(600)].to_vec(),
        // RocketMQ's magic codes, of a record and of a segment's end (spec 2.1, 2.4), and a length before them.
        4 => [[0, 0, 1, 0], 0xDAA3_20A7_u32.to_be_bytes()].concat().repeat(1 + dice.below(30) as usize),
        5 => [[0, 0, 0, 8], 0xCBD4_3194_u32.to_be_bytes()].concat().repeat(1 + dice.below(30) as usize),
        _ => {
            let len = dice.below(200) as usize;
            dice.bytes(len)
        }
    };
    if dice.percent(25) {
        // Four bytes behind any others make the CRC-32 of all of them 0: a checksum that looks like none.
        let end = !crc32fast::hash(&body) ^ 0x9226_F562;
        body.extend_from_slice(&end.swap_bytes().to_be_bytes());
    }
    body
}

fn flips_before_the_sync(job: &Job<'_>) {
    for case in 0..100 {
        job.case(&format!("flip {case}"), |dice| flip_before_the_sync(job, dice));
        if job.is_over() {
            return;
        }
    }
}

/// The sync succeeds and the append is acknowledged: nobody reads back what is handed to the disk. The record's own
/// checksum finds it afterwards.
fn flip_before_the_sync(job: &Job<'_>, dice: &mut Dice) -> Verdict {
    let disk = SimDisk::new();
    // A number that flips may lead a million positions on: in files of RocketMQ's length these are a handful.
    let opens = |disk: &SimDisk, sync| {
        Store::open(ROOT, options(disk, &clock(), sync).queue_segment_entries(300_000))
    };
    let store = opens(&disk, false).map_err(|e| e.to_string())?;
    let mut log = Expected::default();
    for _ in 0..4 {
        let body_bytes = dice.below(600) as usize;
        let message = Message::new("orders", dice.bytes(body_bytes)).key("AaBB").tag("vip");
        let stored = store.append_and_wait(&message).map_err(|e| e.to_string())?;
        log.taken.push(Taken::new(&message, &stored));
    }
    let hurt = dice.below(4) as usize;
    let place = log.taken[hurt].position;
    let bit = place.offset.0 * 8 + dice.below(u64::from(place.len) * 8);
    disk.flip(segment_path(0), bit).map_err(|e| e.to_string())?;
    store.flush().map_err(|e| format!("flush: {e}"))?;
    job.met("acknowledged as flushed all the same", 1);
    for (number, taken) in log.taken.iter().enumerate() {
        match (store.record_at(taken.position.offset), number == hurt) {
            (Ok(read), false) => taken.check(&read)?,
            (Err(Error::Corrupt(_)), true) => job.met("located when read", 1),
            (Ok(read), true) => return Err(format!("bit {bit}: served as {read:?}")),
            (Err(error), _) => return Err(format!("bit {bit}: {:?}: {error}", taken.position)),
        }
    }
    drop(store);
    let left = disk.power_cut(dice.draw(), Survivors::Nothing);
    match opens(&left, true) {
        Err(Error::Corrupt(_)) => job.met("refused when opened after a power cut", 1),
        Err(other) => return Err(format!("bit {bit}: refused with {other}")),
        Ok(store) => {
            for taken in &log.taken {
                if let Ok(read) = store.record_at(taken.position.offset) {
                    taken.check(&read)?;
                }
            }
            job.met("opened after a power cut, located there or cut and kept", 1);
        }
    }
    Ok(())
}
