//! Single bits flip in a store at rest: every bit of every file of a small one, and a sample of a large one, with the
//! record checksum and with RocketMQ's default, the checksum of the body alone (promises C1).

use std::path::{Path, PathBuf};

use sawlog::disk::sim::SimDisk;
use sawlog::message::Checksum;
use sawlog::{Error, LogOffset, Message, Options, Store};

use super::super::dice::Dice;
use super::super::expected::{ROOT, Taken};
use super::super::oracle::Verdict;
use super::super::workload::{clock, options};
use super::{Bar, Job, Until};

/// Into so many jobs the bits of the small store are dealt.
const SLICES: u64 = 80;
const SAMPLE_JOBS: u64 = 100;
const SAMPLE_BITS: u64 = 1_000;

pub(super) fn bars() -> Vec<Bar> {
    vec![
        Bar {
            names: &["C1"],
            tries: "every bit of every file of a store with 66 KiB of log, record checksum",
            until: Until::Jobs(SLICES),
            job: |job| every_bit(job, Checksum::Record),
        },
        Bar {
            names: &["C1-body"],
            tries: "the same with the checksum of the body alone: counted, not promised",
            until: Until::Jobs(SLICES),
            job: |job| every_bit(job, Checksum::Body),
        },
        Bar {
            names: &["C1-16M"],
            tries: "a sample of the log's bits in a store of 16 MiB, record checksum",
            until: Until::Jobs(SAMPLE_JOBS),
            job: |job| sample(job, Checksum::Record),
        },
        Bar {
            names: &["C1-16M-body"],
            tries: "the same with the checksum of the body alone: counted, not promised",
            until: Until::Jobs(SAMPLE_JOBS),
            job: |job| sample(job, Checksum::Body),
        },
    ]
}

/// A closed store and what it holds.
struct Rest {
    disk: SimDisk,
    taken: Vec<Taken>,
    checksum: Checksum,
    segment_bytes: u64,
}

impl Rest {
    fn new(seed: u64, checksum: Checksum, segment_bytes: u64, log_bytes: u64, body_bytes: u64) -> Rest {
        let mut rest = Rest { disk: SimDisk::new(), taken: Vec::new(), checksum, segment_bytes };
        let store = Store::open(ROOT, rest.options(&rest.disk)).unwrap();
        let mut dice = Dice::new(seed);
        while rest.taken.last().is_none_or(|last| last.position.end() < LogOffset(log_bytes)) {
            let number = rest.taken.len();
            let body = dice.below(body_bytes) as usize;
            let mut message =
                Message::new(["orders", "p"][number % 2], dice.bytes(body)).queue(number as u32 / 2 % 2);
            if number.is_multiple_of(2) {
                message = message.tag("vip").key(&format!("order-{number}"));
            }
            let stored = store.append_and_wait(&message).unwrap();
            rest.taken.push(Taken::new(&message, &stored));
            while number.is_multiple_of(7) && store.step() {}
        }
        store.close().unwrap();
        rest
    }

    fn options(&self, disk: &SimDisk) -> Options {
        options(disk, &clock(), false).checksum(self.checksum).segment_bytes(self.segment_bytes)
    }

    /// What comes of a flip: everything that the store answers is right or says what is damaged.
    fn judge(&self, disk: &SimDisk, in_log: Option<u64>, read: &[Taken]) -> Verdict<&'static str> {
        let store = match Store::open(ROOT, self.options(disk)) {
            Ok(store) => store,
            Err(Error::Corrupt(_)) => return Ok("refused, with the place"),
            Err(Error::Foreign { .. } | Error::Geometry { .. }) => return Ok("refused"),
            Err(other) => return Err(format!("refused with {other}")),
        };
        let mut came = "harmless";
        for taken in read {
            let position = taken.position;
            let is_hit = in_log.is_some_and(|at| position.offset.0 <= at && at < position.end().0);
            match store.record_at(position.offset) {
                Ok(record) => taken.check(&record).map_err(|e| format!("wrong record served: {e}"))?,
                Err(Error::Corrupt(_)) if is_hit => came = "located when read",
                Err(error) => return Err(format!("lost: {position:?}: {error}; {}", store.recovery())),
            }
            let queue = store.queue(taken.message.topic.as_str(), taken.message.queue_id);
            match queue.record_at(taken.queue_offset) {
                Ok(record) => taken.check(&record).map_err(|e| format!("wrong record in its queue: {e}"))?,
                Err(Error::Corrupt(_)) if is_hit => {}
                Err(Error::Corrupt(_)) if in_log.is_none() => came = "located when read",
                Err(error) => return Err(format!("lost to its queue: {position:?}: {error}")),
            }
            for key in taken
                .message
                .keys()
                .iter()
                .flat_map(|keys| keys.split(' '))
                .take(usize::from(in_log.is_none()))
            {
                came = match store.find(taken.message.topic.as_str(), key).next() {
                    Some(Ok(record)) => {
                        taken.check(&record).map(|()| came).map_err(|e| format!("by key: {e}"))?
                    }
                    Some(Err(Error::Corrupt(_))) => "located when read",
                    Some(Err(error)) => return Err(format!("by key: {error}")),
                    None => "hidden from a look-up by key",
                };
            }
        }
        Ok(came)
    }

    /// With the body's checksum alone, harm that nobody sees is counted; with the record's it is a violation.
    fn count(
        &self,
        job: &Job<'_>,
        what: &str,
        path: &Path,
        in_log: bool,
        verdict: Verdict<&'static str>,
    ) -> Verdict {
        let folder = path.strip_prefix(ROOT).ok().and_then(|path| path.iter().next()).unwrap_or_default();
        match verdict {
            Ok(came) => job.met(format!("{}: {came}", folder.display()), 1),
            Err(why) if self.checksum == Checksum::Record || !in_log => return Err(format!("{what}: {why}")),
            Err(why) => {
                let kind = why.split(':').next().unwrap_or_default();
                job.met(format!("{}: UNSEEN, {kind}", folder.display()), 1);
            }
        }
        Ok(())
    }
}

/// Which byte of the log a byte of this file is.
fn in_log(path: &Path, byte: u64) -> Option<u64> {
    let is_segment = path.parent().is_some_and(|dir| dir.ends_with("commitlog"));
    let base: u64 = path.file_name()?.to_str()?.parse().ok()?;
    is_segment.then_some(base + byte)
}

fn every_bit(job: &Job<'_>, checksum: Checksum) {
    // All slices are of one store; the nightly form goes on with others.
    let rest = Rest::new(Dice::part(job.seed, job.number / SLICES), checksum, 64 << 10, 66 << 10, 2_000);
    let end = rest.taken.last().unwrap().position.end().0;
    let mut number = 0_u64;
    for (path, len) in rest.disk.files() {
        for bit in 0..len * 8 {
            // What lies behind the last record is zeros that nobody reads; one bit in so many is enough.
            let is_behind = in_log(&path, bit / 8).is_some_and(|at| at >= end + 256);
            number += u64::from(!is_behind || bit % 1_009 == 0);
            if is_behind && bit % 1_009 != 0 || number % SLICES != job.number % SLICES {
                continue;
            }
            flip_and_judge(job, &rest, &path, bit, &rest.taken);
        }
        if job.is_over() {
            return;
        }
    }
}

fn flip_and_judge(job: &Job<'_>, rest: &Rest, path: &PathBuf, bit: u64, read: &[Taken]) {
    let what = format!("bit {bit} of {}", path.display());
    let at = in_log(path, bit / 8);
    job.case(&what, |_| {
        let disk = rest.disk.kill();
        disk.flip(path, bit).map_err(|e| e.to_string())?;
        rest.count(job, &what, path, at.is_some(), rest.judge(&disk, at, read))
    });
}

fn sample(job: &Job<'_>, checksum: Checksum) {
    let segment_bytes = 4 << 20;
    let rest = Rest::new(job.seed, checksum, segment_bytes, 16 << 20, 24_000);
    let end = rest.taken.last().unwrap().position.end().0;
    let mut dice = Dice::new(job.shared_seed());
    for _ in 0..SAMPLE_BITS {
        let bit = dice.below(end * 8);
        let base = bit / 8 / segment_bytes * segment_bytes;
        let path = super::super::expected::segment_path(base);
        // The record that is hit, those beside it, and the ends of the log.
        let hit = rest.taken.partition_point(|taken| taken.position.end().0 <= bit / 8);
        let beside = &rest.taken[hit.saturating_sub(2)..(hit + 3).min(rest.taken.len())];
        let ends = [&rest.taken[..1], &rest.taken[rest.taken.len() - 1..]].concat();
        flip_and_judge(job, &rest, &path, bit - base * 8, &[beside, &ends].concat());
        if job.is_over() {
            return;
        }
    }
}
