//! Reads a store back as consumers do: each queue of each topic from its first message on, and messages by key.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use sawlog::clock::{Clock, SystemClock};
use sawlog::{QueueOffset, Record, Store};

use super::body::{LANES, Number, Tally, mix, queue_of};
use super::progress::Progress;
use super::verify::{Findings, Seen, Verifier};
use super::work::histogram;
use crate::failure::{Failure, Result};

/// How many messages are looked up by key.
const FINDS: u64 = 1000;

/// What reading through queues and keys took.
#[derive(Debug)]
pub(crate) struct Consumed {
    /// Records read through queues.
    pub(crate) records: u64,
    /// How long that took, with every body made again and compared.
    pub(crate) took: Duration,
    /// The time of each look-up by key, in nanoseconds, up to and with its record.
    pub(crate) finds: Histogram<u64>,
}

impl Consumed {
    /// Nothing was read.
    pub(crate) fn nothing() -> Result<Consumed> {
        Ok(Consumed { records: 0, took: Duration::ZERO, finds: histogram()? })
    }
}

/// The record as the verifier wants it.
pub(crate) fn seen(record: &Record) -> Seen<'_> {
    Seen {
        topic: record.topic().as_str(),
        queue: record.queue_id(),
        queue_offset: record.queue_offset.0,
        offset: record.position.offset.0,
        body: record.body(),
    }
}

/// Reads all queues to their ends, one after the other.
pub(crate) fn read(
    store: &Store,
    verifier: &mut Verifier,
    messages: u64,
    interrupted: &AtomicBool,
    progress: &Progress,
) -> Result<Consumed> {
    let clock = SystemClock::new();
    let mut consumed = Consumed::nothing()?;
    for (topic, id) in (0..LANES).map(queue_of) {
        verifier.begin_queue();
        for record in store.queue(topic.as_str(), id).read_from(QueueOffset(0)) {
            if consumed.records % 4096 == 0 {
                progress.reading(consumed.records as f64 / messages as f64 / 2.0);
                if interrupted.load(Ordering::Relaxed) {
                    return Err(Failure::Interrupted);
                }
            }
            consumed.records += 1;
            match record {
                Ok(record) => verifier.see(seen(&record)),
                // It would answer the same for ever; what lies behind counts as lost.
                Err(error) => {
                    verifier.wrong(|| format!("queue {topic}/{id} ends early: {error}"));
                    break;
                }
            }
        }
    }
    consumed.took = clock.elapsed();
    Ok(consumed)
}

/// Looks up a thousand acknowledged messages, spread over all, by their unique keys.
pub(crate) fn find(
    store: &Store,
    run: u64,
    tallies: &[Tally],
    consumed: &mut Consumed,
    findings: &mut Findings,
) {
    let clock = SystemClock::new();
    let mut key = String::new();
    for n in 0..FINDS {
        let Some(number) = drawn(run, n, tallies) else { return };
        let (topic, _) = queue_of(number.lane());
        number.write_key(&mut key);
        let began = clock.elapsed();
        let found: Vec<_> = store.find(topic.as_str(), &key).collect();
        let took = clock.elapsed().saturating_sub(began);
        consumed.finds.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        match &found[..] {
            [Ok(record)] if Number::read(record.body()) == Some(number) => {}
            [] => findings.wrong(|| format!("the key {key} finds nothing")),
            [Err(error)] => findings.wrong(|| format!("the key {key} finds an error: {error}")),
            found => findings.wrong(|| format!("the key {key} finds {} records, or another", found.len())),
        }
    }
}

/// One of the acknowledged messages; `None` if there is none.
fn drawn(run: u64, n: u64, tallies: &[Tally]) -> Option<Number> {
    let draw = mix(run ^ mix(n));
    let all = tallies.iter().map(|tally| tally.count).sum::<u64>();
    let mut left = draw.checked_rem(all)?;
    for (producer, tally) in (0..).zip(tallies) {
        match left.checked_sub(tally.count) {
            Some(beyond) => left = beyond,
            None => return Some(Number { run, producer, sequence: left }),
        }
    }
    None
}

#[cfg(test)]
#[path = "queues_tests.rs"]
mod tests;
