//! `sawlog bench`: writes, closes, reopens, kills, recovers, reads everything back, verifies it, and prints one table.

mod body;
mod child;
mod folder;
mod kill;
mod latency;
mod output;
mod progress;
mod queues;
mod report;
mod verify;
mod work;

use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::ValueEnum;
use sawlog::clock::{Clock, SystemClock};
use sawlog::disk::Description;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::failure::{Failure, Result};
use body::{HEAD_BYTES, mix};
use folder::Folder;
use output::JsonFile;
use progress::Progress;
use report::Row;
use work::Job;

pub(crate) use child::{ChildArgs, run as run_child};

pub(crate) const EXAMPLES: &str = "\
Examples:
  sawlog bench                             about 50 s under the system's temporary folder
  sawlog bench --dir /var/lib/data         on the disk that counts
  sawlog bench --seconds 1 --json now.json a quick look, and the same for a program
  sawlog bench --bytes 64K --segment-bytes 1G
                                           long messages, RocketMQ's own segments
  sawlog bench /var/lib/data --rate 5000 --policy sync --seconds 60 --svg sync.svg --hdr sync
                                           how long acknowledgements take at a rate: sync.svg, sync.sync.hgrm

With DIR, or one of --rate, --producers, --policy, --hdr and --svg, it measures the wait for acknowledgements under each
policy and nothing else. At a rate a message counts from the moment at which it was due, so that a stall costs every
message that it holds up (no coordinated omission).

Every row starts with an empty store. Its folder is removed at the end, however that comes.
Exit codes: 0 sound; 1 a message is missing, there twice or wrong, or the run failed; 2 the command line,
or the disk that it names, cannot do; 130 interrupted.";

/// The longest body: what a store takes unless told otherwise.
const MOST_BODY_BYTES: u64 = 4 << 20;
/// What a record takes besides its body, generously.
const RECORD_EXTRA_BYTES: u64 = 1024;

/// What the user may choose.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Measure waits, in a fresh folder in this one
    #[arg(conflicts_with = "dir", value_name = "DIR")]
    pub(crate) on: Option<PathBuf>,
    /// Work in a fresh folder in this one, which must exist: name the disk to be measured [default: the system's
    /// temporary folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// How long each row writes, in seconds; its log ends at 2 GiB at the latest
    #[arg(long, value_name = "N", default_value = "4", value_parser = seconds)]
    pub(crate) seconds: Duration,
    /// Length of a message's body; K, M and G may follow the number
    #[arg(long, visible_alias = "size", value_name = "BYTES", default_value = "1K", value_parser = size)]
    pub(crate) bytes: u64,
    /// Length of a segment's file, 64K to 2G less one
    #[arg(long, value_name = "BYTES", default_value = "256M", value_parser = size)]
    pub(crate) segment_bytes: u64,
    /// Write the same as one JSON object
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Messages a second, of all producers together [default: each as soon as the one before is acknowledged]
    #[arg(long, value_name = "N", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// So many threads append, 1 to 1024 [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) producers: Option<u32>,
    /// This policy alone; may be given again [default: both]
    #[arg(long, value_enum)]
    pub(crate) policy: Vec<Policy>,
    /// Write the distribution of each policy's waits, in the form of HdrHistogram's tools, to FILE.POLICY.hgrm
    #[arg(long, value_name = "FILE")]
    pub(crate) hdr: Option<PathBuf>,
    /// Draw the percentiles of each policy's waits
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// Leave the stores where they are
    #[arg(long)]
    pub(crate) keep: bool,
}

/// RocketMQ's two flush policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Policy {
    Sync,
    Async,
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Policy::Sync => "SYNC_FLUSH",
            Policy::Async => "ASYNC_FLUSH",
        })
    }
}

/// Policy, producers, and how often the writer is killed.
const ROWS: [(Policy, u32, u32); 7] = [
    (Policy::Sync, 1, 0),
    (Policy::Sync, 16, 0),
    (Policy::Sync, 64, 0),
    (Policy::Async, 1, 0),
    (Policy::Async, 4, 0),
    (Policy::Sync, 16, 3),
    (Policy::Async, 4, 3),
];

/// See the file's text.
pub(crate) fn run(args: &Args) -> Result<()> {
    args.check()?;
    if args.measures_waits() {
        return latency::run(args);
    }
    let clock = SystemClock::new();
    let interrupted = on_interrupt()?;
    let folder = Folder::new(args.dir.as_deref(), args.keep)?;
    let disk = folder.describe()?;
    let log_limit = folder.log_limit(if args.keep { ROWS.len() as u64 } else { 1 }, args.segment_bytes)?;
    let json_file = args.json.as_deref().map(JsonFile::open).transpose()?;
    say(&heading(args, &folder, &disk, log_limit))?;
    let mut rows = Vec::new();
    let failure = all_rows(args, &folder, log_limit, &interrupted, &mut rows).err();
    // Before the table: a reader that goes away must not leave it behind.
    let removed = folder.remove();
    if let Some(file) = json_file {
        let why = failure.as_ref().map(Failure::to_string);
        let json = report::json(&rows, args, &disk, clock.elapsed(), why);
        file.write(&format!("{json:#}\n"))?;
    }
    if !rows.is_empty() {
        say(&report::table(&rows, &disk))?;
        say(&format!("Took {:.1} s in all.", clock.elapsed().as_secs_f64()))?;
    }
    match failure.or(removed.err()) {
        Some(failure) => Err(failure),
        None if rows.iter().all(|row| row.reopened.findings.is_sound()) => Ok(()),
        None => Err(Failure::Unsound("not every acknowledged message is there, once and whole".into())),
    }
}

fn all_rows(
    args: &Args,
    folder: &Folder,
    log_limit: u64,
    interrupted: &AtomicBool,
    rows: &mut Vec<Row>,
) -> Result<()> {
    let progress = Progress::new(ROWS.len());
    let now = SystemClock::new().now().0.unsigned_abs();
    for (number, (policy, producers, kills)) in ROWS.into_iter().enumerate() {
        let job = Job {
            policy,
            producers,
            first_producer: 0,
            run: mix(now ^ (u64::from(std::process::id()) << 44) ^ (number as u64) << 40),
            body_bytes: usize::try_from(args.bytes).map_err(|e| Failure::Usage(e.to_string()))?,
            segment_bytes: args.segment_bytes,
            log_limit,
        };
        let killed = if kills > 0 { ", killed while it writes" } else { "" };
        progress.row(number, format!("{policy}, {producers} producers{killed}"));
        let row = folder.row(number)?;
        row.settle()?;
        let written = if kills > 0 {
            kill::write_and_kill(&job, row.path(), args.seconds, kills, interrupted, &progress)?
        } else {
            work::write(&job, row.path(), args.seconds, interrupted, &progress)?
        };
        let reopened = verify::reopen(&job, row.path(), &written, interrupted, &progress)?;
        row.remove()?;
        rows.push(Row { policy, producers, body_bytes: args.bytes, written, reopened });
    }
    Ok(())
}

impl Args {
    fn measures_waits(&self) -> bool {
        let files = self.hdr.is_some() || self.svg.is_some();
        self.on.is_some()
            || self.rate.is_some()
            || self.producers.is_some()
            || !self.policy.is_empty()
            || files
    }

    /// What must be known before a folder is made.
    fn check(&self) -> Result<()> {
        let head = HEAD_BYTES as u64;
        if !(head..=MOST_BODY_BYTES).contains(&self.bytes) {
            return Err(Failure::Usage(format!("--bytes must be within {head} and {MOST_BODY_BYTES}")));
        }
        if self.bytes + RECORD_EXTRA_BYTES > self.segment_bytes {
            return Err(Failure::Usage(
                "a message must fit into a segment: see --bytes, --segment-bytes".into(),
            ));
        }
        Ok(())
    }
}

fn heading(args: &Args, folder: &Folder, disk: &Description, log_limit: u64) -> String {
    let device = if disk.device.is_empty() { "an unknown device" } else { &disk.device };
    let mut lines = vec![
        format!("sawlog {} on {device} ({})", env!("CARGO_PKG_VERSION"), disk.file_system),
        format!(
            "{} rows of {} s or {} MiB of log, bodies of {} bytes over 4 topics of 4 queues, segments of {} bytes",
            ROWS.len(),
            args.seconds.as_secs_f64(),
            log_limit >> 20,
            args.bytes,
            args.segment_bytes
        ),
        format!("in {}{}", folder.path().display(), if args.keep { ", which stays" } else { "" }),
    ];
    lines.extend(report::warning(disk).map(str::to_owned));
    lines.join("\n")
}

/// A closed standard output is no panic.
fn say(text: &str) -> Result<()> {
    writeln!(std::io::stdout().lock(), "{text}").map_err(|e| Failure::Broken(format!("printing: {e}")))
}

/// The first signal asks for an orderly end, which removes the folder; a second one ends at once.
fn on_interrupt() -> Result<Arc<AtomicBool>> {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        let at_once = signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&asked));
        at_once
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&asked)))
            .map_err(|e| Failure::Broken(format!("listening for signals: {e}")))?;
    }
    Ok(asked)
}

fn seconds(text: &str) -> std::result::Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|s| Duration::try_from_secs_f64(s).ok());
    let range = Duration::from_millis(50)..=Duration::from_secs(3600);
    seconds.filter(|s| range.contains(s)).ok_or_else(|| "a number of seconds, 0.05 to 3600".into())
}

fn rate(text: &str) -> std::result::Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| (0.01..=1e7).contains(rate));
    rate.ok_or_else(|| "messages a second, 0.01 to 10000000".into())
}

/// Bytes: a number, and K, M or G for 2¹⁰, 2²⁰, 2³⁰.
fn size(text: &str) -> std::result::Result<u64, String> {
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (text.get(..at), 1 << 10),
        Some((at, 'm' | 'M')) => (text.get(..at), 1 << 20),
        Some((at, 'g' | 'G')) => (text.get(..at), 1 << 30),
        _ => (Some(text), 1),
    };
    let number: Option<u64> = digits.and_then(|digits| digits.parse().ok());
    number.and_then(|n| n.checked_mul(unit)).ok_or_else(|| "a number of bytes, such as 1000, 64K, 1G".into())
}

#[cfg(test)]
mod tests;
