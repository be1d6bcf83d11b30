//! Producers: each appends message after message, waits for its acknowledgement and measures the wait.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use hdrhistogram::Histogram;
use sawlog::clock::{Clock, SystemClock};
use sawlog::flush::{AsyncFlush, SyncFlush};
use sawlog::message::names::UNIQ_KEY;
use sawlog::{Message, Options, Retention, Store};

use super::Policy;
use super::body::{LANES, Number, Tally, place, queue_of};
use super::progress::Progress;
use crate::failure::{Failure, Result};

/// How often a waiting main thread looks up.
pub(crate) const GLANCE: Duration = Duration::from_millis(50);

/// What one row's producers do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    pub(crate) policy: Policy,
    pub(crate) producers: u32,
    /// The number of the first producer; those of a killed one are never used again.
    pub(crate) first_producer: u32,
    pub(crate) run: u64,
    pub(crate) body_bytes: usize,
    pub(crate) segment_bytes: u64,
    /// Nobody appends once the log has grown beyond this.
    pub(crate) log_limit: u64,
}

/// What a row wrote, and what it was told.
#[derive(Debug)]
pub(crate) struct Written {
    /// One for each producer, in the order of their numbers.
    pub(crate) tallies: Vec<Tally>,
    /// The wait for each acknowledgement, in nanoseconds.
    pub(crate) waits: Histogram<u64>,
    pub(crate) took: Duration,
    pub(crate) syncs: u64,
    /// How long after the last acknowledgement all that was written was in its queue and in the key index; `None` if
    /// the writer was killed.
    pub(crate) dispatch_lag: Option<Duration>,
    /// How often the writing process was killed.
    pub(crate) kills: u32,
}

/// One acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Acked {
    pub(crate) producer: u32,
    pub(crate) sequence: u64,
    pub(crate) offset: u64,
    pub(crate) queue_offset: u64,
    /// From the call to the acknowledgement, in nanoseconds.
    pub(crate) wait_ns: u64,
}

impl Acked {
    pub(crate) fn place(&self) -> u64 {
        place(self.sequence, self.offset, self.queue_offset)
    }
}

/// From a nanosecond to a minute, to three digits.
pub(crate) fn histogram() -> Result<Histogram<u64>> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).map_err(|e| Failure::Broken(e.to_string()))
}

impl Job {
    /// Opens the row's store, which recovers what is there.
    pub(crate) fn open(&self, root: &Path) -> Result<Store> {
        // Every record is looked for afterwards: nothing may go by age, or because others fill the disk.
        let options = Options::new().segment_bytes(self.segment_bytes).retention(Retention::keep_all());
        let options = match self.policy {
            Policy::Sync => options.flush(SyncFlush),
            Policy::Async => options.flush(AsyncFlush::default()),
        };
        Ok(Store::open(root, options)?)
    }

    /// The work of one producer, until it is told to stop or the log is long enough. Each acknowledgement is `told`
    /// before the next message is appended.
    pub(crate) fn produce(
        &self,
        store: &Store,
        producer: u32,
        stop: &AtomicBool,
        mut told: impl FnMut(Acked) -> Result<()>,
    ) -> Result<()> {
        let clock = SystemClock::new();
        let mut messages: Vec<Message> = (0..LANES)
            .map(queue_of)
            .map(|(topic, queue)| Message::new(topic, Bytes::new()).queue(queue))
            .collect();
        let mut body = Bytes::from(vec![0; self.body_bytes]);
        let mut number = Number { run: self.run, producer, sequence: 0 };
        let mut key = String::new();
        while !stop.load(Ordering::Relaxed) {
            let Some(message) = usize::try_from(number.lane()).ok().and_then(|lane| messages.get_mut(lane))
            else {
                return Err(Failure::Broken("a message without a queue".into()));
            };
            // Nobody else holds the body any more: the same memory serves for every message.
            let mut fresh = body.try_into_mut().unwrap_or_else(|shared| shared[..].into());
            number.fill(&mut fresh);
            message.body = fresh.freeze();
            number.write_key(&mut key);
            message.properties.set(UNIQ_KEY, &key)?;
            let began = clock.elapsed();
            let (offset, queue_offset) = append(store, self.policy, message)?;
            let wait = clock.elapsed().saturating_sub(began);
            body = std::mem::take(&mut message.body);
            told(Acked {
                producer,
                sequence: number.sequence,
                offset,
                queue_offset,
                wait_ns: u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX),
            })?;
            if offset >= self.log_limit {
                return Ok(());
            }
            number.sequence += 1;
        }
        Ok(())
    }
}

/// One message, acknowledged as the policy has it: under ASYNC_FLUSH the ack's promise holds as soon as it is written.
fn append(store: &Store, policy: Policy, message: &Message) -> Result<(u64, u64)> {
    match policy {
        Policy::Sync => {
            let stored = store.append_and_wait(message)?;
            Ok((stored.position.offset.0, stored.queue_offset.0))
        }
        Policy::Async => {
            let ack = store.append(message)?;
            ack.wait()?;
            Ok((ack.position().offset.0, ack.queue_offset().0))
        }
    }
}

/// Writes for `limit` with all producers, in this process, and closes the store.
pub(crate) fn write(
    job: &Job,
    root: &Path,
    limit: Duration,
    interrupted: &AtomicBool,
    progress: &Progress,
) -> Result<Written> {
    let store = job.open(root)?;
    let (stop, clock) = (AtomicBool::new(false), SystemClock::new());
    let done: Result<Written> = thread::scope(|scope| {
        let (ended, ends) = mpsc::channel::<()>();
        let workers: Vec<_> = (0..job.producers)
            .map(|producer| {
                let (store, stop, ended) = (&store, &stop, ended.clone());
                scope.spawn(move || {
                    let done = measured(job, store, producer, stop);
                    // One that cannot go on, or a log that is long enough, ends the row.
                    stop.store(true, Ordering::Relaxed);
                    drop(ended);
                    done
                })
            })
            .collect();
        drop(ended);
        // The channel breaks when the last producer has ended.
        while ends.recv_timeout(GLANCE) == Err(RecvTimeoutError::Timeout) {
            let now = clock.elapsed();
            progress.writing(now.as_secs_f64() / limit.as_secs_f64());
            if now >= limit || interrupted.load(Ordering::Relaxed) {
                stop.store(true, Ordering::Relaxed);
            }
        }
        let took = clock.elapsed();
        let marks = store.marks();
        store.dispatched().reach(marks.visible).wait()?;
        let dispatch_lag = Some(clock.elapsed().saturating_sub(took));
        let (tallies, waits, syncs) = (Vec::new(), histogram()?, marks.syncs);
        let mut written = Written { tallies, waits, took, syncs, dispatch_lag, kills: 0 };
        for worker in workers {
            let (tally, waits) =
                worker.join().map_err(|_| Failure::Broken("a producer panicked".into()))??;
            written.tallies.push(tally);
            written.waits += waits;
        }
        Ok(written)
    });
    if interrupted.load(Ordering::Relaxed) {
        return Err(Failure::Interrupted);
    }
    let written = done?;
    store.close()?;
    Ok(written)
}

fn measured(job: &Job, store: &Store, producer: u32, stop: &AtomicBool) -> Result<(Tally, Histogram<u64>)> {
    let (mut tally, mut waits) = (Tally::default(), histogram()?);
    job.produce(store, job.first_producer + producer, stop, |acked| {
        tally.add(acked.place());
        waits.saturating_record(acked.wait_ns);
        Ok(())
    })?;
    Ok((tally, waits))
}
