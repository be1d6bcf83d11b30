//! Reads a store back and holds every message against what its producer was told.
//!
//! Twice: through the queues, as consumers do, and in log order. Both verify every checksum. Here every byte of every body is made again from its number and compared, every
//! queue is counted, and every acknowledged message is looked for: there, once, where its acknowledgement said.

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sawlog::Store;
use sawlog::clock::{Clock, SystemClock};
use sawlog::message::Topic;

use super::body::{LANES, Number, Tally, place, queue_of};
use super::progress::Progress;
use super::queues::{self, Consumed, seen};
use super::work::{Job, Written};
use crate::failure::{Failure, Result};

/// So many faults are told in words; the others are counted.
const TOLD: usize = 5;

/// What reading back showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// Records read.
    pub(crate) records: u64,
    /// Acknowledged messages that are not there.
    pub(crate) lost: u64,
    /// Records whose message had been read before.
    pub(crate) duplicated: u64,
    /// Everything else that is not as it should be.
    pub(crate) wrong: u64,
    /// Messages that are there and whose acknowledgement had not been heard of when the process was killed.
    pub(crate) unacknowledged: u64,
    /// The first faults, in words.
    pub(crate) faults: Vec<String>,
}

/// One record as it was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'r> {
    pub(crate) topic: &'r str,
    pub(crate) queue: u32,
    pub(crate) queue_offset: u64,
    pub(crate) offset: u64,
    pub(crate) body: &'r [u8],
}

/// The messages of one producer.
#[derive(Debug)]
struct Producer {
    told: Tally,
    /// One bit a sequence number.
    seen: Vec<u64>,
    /// As [`Tally::places`], of those acknowledged and seen.
    places: u64,
    seen_acked: u64,
    /// Behind the highest sequence number seen, since a queue began.
    next: u64,
}

/// Holds records against what is known of the messages sent. Memory: two bits a message at most.
#[derive(Debug)]
pub(crate) struct Verifier {
    run: u64,
    producers: Vec<Producer>,
    /// How many messages a producer may have in the log beyond those acknowledged.
    in_flight: u64,
    lanes: Vec<(Topic, u32)>,
    next_queue_offsets: Vec<u64>,
    made: Vec<u8>,
    findings: Findings,
}

impl Findings {
    pub(crate) fn is_sound(&self) -> bool {
        self.lost == 0 && self.duplicated == 0 && self.wrong == 0
    }

    fn fault(&mut self, what: impl FnOnce() -> String) {
        if self.faults.len() < TOLD {
            self.faults.push(what());
        }
    }

    pub(crate) fn wrong(&mut self, what: impl FnOnce() -> String) {
        self.wrong += 1;
        self.fault(what);
    }

    /// What the log shows, and what its queues do: a message that is not as it should be in both counts once.
    pub(crate) fn with_queues(mut self, queues: Findings) -> Findings {
        let (read, through) = (self.records, queues.records);
        if read != through {
            self.wrong(|| format!("{read} records are in the log and {through} in queues"));
        }
        self.lost = self.lost.max(queues.lost);
        self.duplicated = self.duplicated.max(queues.duplicated);
        self.wrong += queues.wrong;
        for fault in queues.faults {
            self.fault(|| format!("through queues: {fault}"));
        }
        self
    }
}

impl Verifier {
    /// `killed`: each producer may have one message in the log whose acknowledgement it could not report.
    pub(crate) fn new(run: u64, body_bytes: usize, tallies: &[Tally], killed: bool) -> Verifier {
        let in_flight = u64::from(killed);
        let producer = |told: &Tally| {
            let words = (told.count + in_flight).div_ceil(64);
            let seen = vec![0; usize::try_from(words).unwrap_or(0)];
            Producer { told: *told, seen, places: 0, seen_acked: 0, next: 0 }
        };
        let lanes: Vec<_> = (0..LANES).map(queue_of).collect();
        Verifier {
            run,
            producers: tallies.iter().map(producer).collect(),
            in_flight,
            next_queue_offsets: vec![0; lanes.len()],
            lanes,
            made: vec![0; body_bytes],
            findings: Findings::default(),
        }
    }

    /// What comes now is another queue: from here on a producer's messages are in order again.
    pub(crate) fn begin_queue(&mut self) {
        self.producers.iter_mut().for_each(|producer| producer.next = 0);
    }

    /// Something about the store as a whole.
    pub(crate) fn wrong(&mut self, what: impl FnOnce() -> String) {
        self.findings.wrong(what);
    }

    /// Looks at the next record: in log order, or in queue order after [`Verifier::begin_queue`].
    pub(crate) fn see(&mut self, seen: Seen<'_>) {
        self.findings.records += 1;
        self.count_in_queue(&seen);
        let at = seen.offset;
        let Some(number) = Number::read(seen.body).filter(|number| number.run == self.run) else {
            return self.findings.wrong(|| format!("the record at {at} is none of this run"));
        };
        number.fill(&mut self.made);
        if self.made != seen.body {
            self.findings
                .wrong(|| format!("the record at {at} has another body than was sent as {number:?}"));
        }
        let lane = usize::try_from(number.lane()).ok().and_then(|lane| self.lanes.get(lane));
        if lane.is_none_or(|(topic, queue)| topic.as_str() != seen.topic || *queue != seen.queue) {
            self.findings.wrong(|| format!("the record at {at} is in queue {}/{}", seen.topic, seen.queue));
        }
        self.count_for_producer(number, &seen);
    }

    /// Queues count from 0, without a hole.
    fn count_in_queue(&mut self, seen: &Seen<'_>) {
        let lane = self.lanes.iter().position(|(t, q)| *q == seen.queue && t.as_str() == seen.topic);
        let Some(next) = lane.and_then(|lane| self.next_queue_offsets.get_mut(lane)) else { return };
        let expected = std::mem::replace(next, seen.queue_offset.saturating_add(1));
        if expected != seen.queue_offset {
            let Seen { topic, queue, queue_offset, offset, .. } = seen;
            self.findings.wrong(|| {
                format!("the record at {offset} is number {queue_offset} of {topic}/{queue}, not {expected}")
            });
        }
    }

    fn count_for_producer(&mut self, number: Number, seen: &Seen<'_>) {
        let Number { producer: name, sequence, .. } = number;
        let (at, findings) = (seen.offset, &mut self.findings);
        let producer = usize::try_from(name).ok().and_then(|name| self.producers.get_mut(name));
        let known = |p: &&mut Producer| sequence < p.told.count + self.in_flight;
        let Some(producer) = producer.filter(known) else {
            return findings.wrong(|| format!("the record at {at} was never acknowledged: {number:?}"));
        };
        let Some(word) = usize::try_from(sequence / 64).ok().and_then(|word| producer.seen.get_mut(word))
        else {
            return findings.wrong(|| format!("the record at {at} counts too far: {number:?}"));
        };
        let bit = 1 << (sequence % 64);
        if *word & bit != 0 {
            findings.duplicated += 1;
            return findings.fault(|| format!("the record at {at} was there before: {number:?}"));
        }
        *word |= bit;
        if sequence < producer.next {
            findings.wrong(|| format!("the record at {at} comes after later ones: {number:?}"));
        }
        producer.next = producer.next.max(sequence + 1);
        if sequence < producer.told.count {
            producer.seen_acked += 1;
            producer.places = producer.places.wrapping_add(place(sequence, at, seen.queue_offset));
        } else {
            findings.unacknowledged += 1;
        }
    }

    /// What was found, once everything there is was seen.
    pub(crate) fn finish(mut self) -> Findings {
        for (name, producer) in self.producers.iter().enumerate() {
            let missing = producer.told.count - producer.seen_acked;
            if missing > 0 {
                self.findings.lost += missing;
                self.findings
                    .fault(|| format!("producer {name}: {missing} acknowledged messages are not there"));
            } else if producer.places != producer.told.places {
                self.findings
                    .wrong(|| format!("producer {name}: messages are not where it was told they are"));
            }
        }
        self.findings
    }
}

/// What opening a row's store again showed.
#[derive(Debug)]
pub(crate) struct Reopened {
    /// How long opening took.
    pub(crate) took: Duration,
    pub(crate) consumed: Consumed,
    pub(crate) findings: Findings,
}

/// Opens the store again, measures that, and reads everything.
pub(crate) fn reopen(
    job: &Job,
    root: &Path,
    written: &Written,
    interrupted: &AtomicBool,
    progress: &Progress,
) -> Result<Reopened> {
    let killed = written.kills > 0;
    let verifier = || Verifier::new(job.run, job.body_bytes, &written.tallies, killed);
    let clock = SystemClock::new();
    let store = match job.open(root) {
        Ok(store) => store,
        // Nothing can be read: all is lost.
        Err(failure) => {
            let took = clock.elapsed();
            let mut findings = verifier().finish();
            findings.wrong(|| format!("the store does not open again: {failure}"));
            return Ok(Reopened { took, consumed: Consumed::nothing()?, findings });
        }
    };
    let took = clock.elapsed();
    let messages = written.tallies.iter().map(|tally| tally.count).sum::<u64>().max(1);
    let mut through = verifier();
    if store.recovery().clean_shutdown == killed {
        let report = store.recovery();
        through.wrong(|| format!("reopening took it for another end than it had: {report}"));
    }
    let mut consumed = queues::read(&store, &mut through, messages, interrupted, progress)?;
    let mut through = through.finish();
    queues::find(&store, job.run, &written.tallies, &mut consumed, &mut through);
    let mut in_order = verifier();
    scan(&store, &mut in_order, messages, interrupted, progress)?;
    store.close()?;
    Ok(Reopened { took, consumed, findings: in_order.finish().with_queues(through) })
}

fn scan(
    store: &Store,
    verifier: &mut Verifier,
    messages: u64,
    interrupted: &AtomicBool,
    progress: &Progress,
) -> Result<()> {
    for (n, record) in (0_u64..).zip(store.scan(store.marks().first)) {
        if n % 4096 == 0 {
            progress.reading(0.5 + n as f64 / messages as f64 / 2.0);
            if interrupted.load(Ordering::Relaxed) {
                return Err(Failure::Interrupted);
            }
        }
        match record {
            Ok(record) => verifier.see(seen(&record)),
            // It would answer the same for ever; what lies behind counts as lost.
            Err(error) => {
                verifier.wrong(|| format!("reading ends early: {error}"));
                return Ok(());
            }
        }
    }
    Ok(())
}
