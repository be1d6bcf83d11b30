//! `sawlog bench` at a rate: how long acknowledgements take under each policy, as a table, a histogram and a picture.
//!
//! With a rate, a message counts from the moment at which it should have gone out, whether its producer was free or
//! still waited for the one before. So a disk that stalls for a second costs all messages of that second their wait,
//! and not one message (no coordinated omission). Without a rate each producer sends as soon as it can, and a message
//! counts from its call.

mod chart;
mod table;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::Receiver;
use hdrhistogram::Histogram;
use sawlog::clock::{Clock, SystemClock};
use sawlog::disk::Description;
use sawlog::{Message, Store};
use serde_json::json;

use super::folder::Folder;
use super::output::JsonFile;
use super::work::{Job, histogram};
use super::{Args, Policy, on_interrupt, report, say};
use crate::failure::{Failure, Result};

/// A sleeping thread wakes up so much too late, at the most; the rest of a wait it stays awake.
const WAKES_LATE: Duration = Duration::from_micros(100);
const DEFAULT_PRODUCERS: u32 = 4;
/// The steps of a histogram's file between two halvings of what is left to 100 %.
const TICKS: u32 = 5;
/// A nanosecond in the unit of a histogram's file, milliseconds.
const NS_PER_MS: f64 = 1e6;

/// One policy's run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) policy: Policy,
    /// From the intended sending, or the call, to the acknowledgement, in nanoseconds.
    pub(crate) waits: Histogram<u64>,
    pub(crate) took: Duration,
    pub(crate) syncs: u64,
    /// Messages that the rate asked for and that were not sent before the end.
    pub(crate) unsent: u64,
}

impl Run {
    /// Messages a second.
    pub(crate) fn rate(&self) -> f64 {
        f64_of(self.waits.len()) / self.took.as_secs_f64().max(1e-9)
    }
}

/// See the file's text.
pub(crate) fn run(args: &Args) -> Result<()> {
    let interrupted = on_interrupt()?;
    let folder = Folder::new(args.on.as_deref().or(args.dir.as_deref()), args.keep)?;
    let disk = folder.describe()?;
    let policies =
        if args.policy.is_empty() { vec![Policy::Sync, Policy::Async] } else { args.policy.clone() };
    let stores = if args.keep { policies.len() as u64 } else { 1 };
    let log_limit = folder.log_limit(stores, args.segment_bytes)?;
    // Before a minute of work.
    let svg = args.svg.as_deref().map(JsonFile::open).transpose()?;
    let json_file = args.json.as_deref().map(JsonFile::open).transpose()?;
    say(&heading(args, &folder, &disk))?;
    let mut runs = Vec::new();
    for (number, policy) in policies.into_iter().enumerate() {
        let row = folder.row(number)?;
        row.settle()?;
        runs.push(one(args, policy, &row, log_limit, &interrupted)?);
        row.remove()?;
    }
    folder.remove()?;
    for run in &runs {
        if let Some(prefix) = &args.hdr {
            let mut name = prefix.clone().into_os_string();
            name.push(format!(".{}.hgrm", short(run.policy)));
            JsonFile::open(std::path::Path::new(&name))?.write(&distribution(&run.waits))?;
        }
    }
    if let Some(svg) = svg {
        svg.write(&chart::svg(&runs, &title(args)))?;
    }
    if let Some(file) = json_file {
        file.write(&format!("{:#}\n", json_of(args, &disk, &runs)))?;
    }
    say(&table::text(&runs))
}

fn heading(args: &Args, folder: &Folder, disk: &Description) -> String {
    let device = if disk.device.is_empty() { "an unknown device" } else { &disk.device };
    let mut lines = vec![
        format!("sawlog {} on {device} ({})", env!("CARGO_PKG_VERSION"), disk.file_system),
        title(args),
        format!("in {}{}", folder.path().display(), if args.keep { ", which stays" } else { "" }),
    ];
    lines.extend(report::warning(disk).map(str::to_owned));
    lines.join("\n")
}

fn title(args: &Args) -> String {
    let (producers, seconds) = (producers(args), args.seconds.as_secs_f64());
    let some = if producers == 1 { "producer" } else { "producers" };
    let pace = match args.rate {
        Some(rate) => format!("{rate} messages a second, counted from when each was due"),
        None => "as fast as they are acknowledged".to_owned(),
    };
    format!("{} bytes, {producers} {some}, {pace}, {seconds} s", args.bytes)
}

fn producers(args: &Args) -> u32 {
    args.producers.unwrap_or(DEFAULT_PRODUCERS)
}

fn one(args: &Args, policy: Policy, row: &Folder, log_limit: u64, interrupted: &AtomicBool) -> Result<Run> {
    let job = Job {
        policy,
        producers: producers(args),
        first_producer: 0,
        run: 0,
        body_bytes: usize::try_from(args.bytes).map_err(|e| Failure::Usage(e.to_string()))?,
        segment_bytes: args.segment_bytes,
        log_limit,
    };
    let store = job.open(row.path())?;
    let clock = SystemClock::new();
    let done: Result<Vec<_>> = thread::scope(|scope| {
        // Nobody sends: a wait of bounded length.
        let (_never, wait) = crossbeam_channel::bounded::<()>(0);
        let producers: Vec<_> = (0..job.producers)
            .map(|number| {
                let pace = Pace::new(args, job.producers, number);
                let (job, store, clock, wait) = (&job, &store, &clock, wait.clone());
                scope.spawn(move || produce(job, store, (number, pace), clock, &wait, interrupted))
            })
            .collect();
        let joined = producers.into_iter().map(|each| each.join());
        joined.map(|done| done.map_err(|_| Failure::Broken("a producer panicked".into()))?).collect()
    });
    let took = clock.elapsed();
    if interrupted.load(Ordering::Relaxed) {
        return Err(Failure::Interrupted);
    }
    let mut run = Run { policy, waits: histogram()?, took, syncs: store.marks().syncs, unsent: 0 };
    for (waits, unsent) in done? {
        run.waits += waits;
        run.unsent += unsent;
    }
    store.close()?;
    Ok(run)
}

/// When a producer's messages are due.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// Between two of them; `None`: each as soon as the one before is acknowledged.
    every: Option<Duration>,
    /// The first one; producers take turns.
    first: Duration,
    until: Duration,
}

impl Pace {
    fn new(args: &Args, producers: u32, number: u32) -> Pace {
        let turn = args.rate.map(|rate| Duration::from_secs(1).div_f64(rate));
        let every = turn.map(|turn| turn.saturating_mul(producers));
        Pace { every, first: turn.unwrap_or_default().saturating_mul(number), until: args.seconds }
    }

    /// When the message with this number is due, from the run's beginning.
    fn due(&self, number: u32) -> Option<Duration> {
        self.every.map(|every| self.first.saturating_add(every.saturating_mul(number)))
    }
}

fn produce(
    job: &Job,
    store: &Store,
    (producer, pace): (u32, Pace),
    clock: &SystemClock,
    wait: &Receiver<()>,
    interrupted: &AtomicBool,
) -> Result<(Histogram<u64>, u64)> {
    let (mut waits, mut unsent) = (histogram()?, 0);
    let queue = producer % 4;
    let message = Message::new("bench-latency", Bytes::from(vec![b'x'; job.body_bytes])).queue(queue);
    for number in 0..u32::MAX {
        let due = pace.due(number);
        if due.unwrap_or_else(|| clock.elapsed()) >= pace.until {
            break;
        }
        // A disk that cannot keep up would have this go on long behind the end: it is counted instead.
        let late = clock.elapsed() >= pace.until.saturating_mul(2);
        if late || interrupted.load(Ordering::Relaxed) || store.marks().accepted.0 >= job.log_limit {
            unsent = pace.every.map_or(0, |_| left(&pace, number));
            break;
        }
        let began = match due {
            Some(due) => {
                rest_until(due, clock, wait);
                due
            }
            None => clock.elapsed(),
        };
        match job.policy {
            Policy::Sync => drop(store.append_and_wait(&message)?),
            Policy::Async => store.append(&message)?.wait()?,
        }
        let took = clock.elapsed().saturating_sub(began);
        waits.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }
    Ok((waits, unsent))
}

/// Messages from this number on that were due before the end.
fn left(pace: &Pace, number: u32) -> u64 {
    let (Some(every), Some(due)) = (pace.every, pace.due(number)) else { return 0 };
    let nanos = pace.until.saturating_sub(due).as_nanos();
    u64::try_from(nanos.div_ceil(every.as_nanos().max(1))).unwrap_or(u64::MAX)
}

fn rest_until(due: Duration, clock: &SystemClock, wait: &Receiver<()>) {
    loop {
        let left = due.saturating_sub(clock.elapsed());
        if left.is_zero() {
            return;
        }
        if left > WAKES_LATE {
            let _ = wait.recv_timeout(left.saturating_sub(WAKES_LATE));
        } else {
            thread::yield_now();
        }
    }
}

fn short(policy: Policy) -> &'static str {
    match policy {
        Policy::Sync => "sync",
        Policy::Async => "async",
    }
}

/// A histogram as HdrHistogram's own tools write and plot it, in milliseconds.
fn distribution(waits: &Histogram<u64>) -> String {
    let mut text = String::from("       Value     Percentile TotalCount 1/(1-Percentile)\n\n");
    let mut below = 0;
    for step in waits.iter_quantiles(TICKS) {
        below += step.count_since_last_iteration();
        let (value, quantile) = (f64_of(step.value_iterated_to()) / NS_PER_MS, step.quantile_iterated_to());
        if quantile < 1.0 {
            let inverse = 1.0 / (1.0 - quantile);
            text.push_str(&format!("{value:12.6} {quantile:14.12} {below:10} {inverse:14.2}\n"));
        } else {
            text.push_str(&format!("{value:12.6} {quantile:14.12} {below:10}\n"));
        }
    }
    let (mean, deviation) = (waits.mean() / NS_PER_MS, waits.stdev() / NS_PER_MS);
    text.push_str(&format!("#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]\n"));
    let (most, count) = (f64_of(waits.max()) / NS_PER_MS, waits.len());
    text.push_str(&format!("#[Max     = {most:12.3}, Total count    = {count:12}]\n"));
    text
}

fn json_of(args: &Args, disk: &Description, runs: &[Run]) -> serde_json::Value {
    let of_run = |run: &Run| {
        let waits: serde_json::Map<_, _> = table::QUANTILES
            .iter()
            .map(|(name, quantile)| ((*name).to_owned(), json!(run.waits.value_at_quantile(*quantile))))
            .collect();
        json!({
            "policy": run.policy.to_string(),
            "messages": run.waits.len(),
            "unsent": run.unsent,
            "seconds": run.took.as_secs_f64(),
            "messages_per_second": run.rate(),
            "syncs": run.syncs,
            "wait_ns": waits,
        })
    };
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "device": disk.device,
        "file_system": disk.file_system,
        "in_memory": disk.in_memory,
        "bytes": args.bytes,
        "producers": producers(args),
        "rate": args.rate,
        "runs": runs.iter().map(of_run).collect::<Vec<_>>(),
    })
}

/// To three digits at least, which is all that is shown.
pub(crate) fn f64_of(number: u64) -> f64 {
    Duration::from_nanos(number).as_secs_f64() * 1e9
}

#[cfg(test)]
mod tests;
