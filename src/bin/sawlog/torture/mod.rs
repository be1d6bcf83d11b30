//! `sawlog torture`: tries the promises on the simulated disk, on all cores, and prints one table.
//!
//! What is tried stands in `tests/support`, which the crate's own crash tests share; here is the frame.

mod report;
#[path = "../../../../tests/support/mod.rs"]
#[expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "tests may stop at the first surprise; a sweep counts it as a violation"
)]
mod support;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use sawlog::clock::{Clock, SystemClock};

use crate::failure::{Failure, Result};
use report::Row;
use support::torture::{Bar, Form, Tally, bars, replay, sweep};

pub(crate) const EXAMPLES: &str = "\
Examples:
  sawlog torture                       everything, with the counts that PROMISES.md states
  sawlog torture --short               a twentieth of it, minutes at most
  sawlog torture --bar A1,B3 --seed 7  two bars, with other chances
  sawlog torture --seed 7 --bar A1 --case 123   one case again, as a violation printed it";

/// How often the bar on the terminal is drawn.
const DRAWN_EVERY: Duration = Duration::from_millis(200);

/// What the command takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Chance: the same seed tries the same cases
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// These bars alone, by the names of PROMISES.md, a comma between
    #[arg(long, value_name = "BARS", value_delimiter = ',')]
    bar: Vec<String>,
    /// Ends after so many minutes, whatever has been tried by then
    #[arg(long, value_name = "M")]
    minutes: Option<f64>,
    /// A twentieth of the counts
    #[arg(long, conflicts_with = "nightly")]
    short: bool,
    /// Four times the counts
    #[arg(long)]
    nightly: bool,
    /// Tries one case again; with one --bar
    #[arg(long, value_name = "N", requires = "bar")]
    case: Option<u64>,
    /// Writes the same as one JSON object
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Args {
    fn form(&self) -> Form {
        match (self.short, self.nightly) {
            (true, _) => Form::Short,
            (_, true) => Form::Nightly,
            _ => Form::Whole,
        }
    }

    /// The bars that are meant, each sweep once.
    fn bars(&self) -> Result<Vec<Bar>> {
        let all = bars();
        let unknown = self.bar.iter().find(|name| !all.iter().any(|bar| bar.names.contains(&name.as_str())));
        if let Some(unknown) = unknown {
            let known: Vec<_> = all.iter().map(Bar::title).collect();
            return Err(Failure::Usage(format!("no bar {unknown}; there are {}", known.join(" "))));
        }
        let is_meant =
            |bar: &Bar| self.bar.is_empty() || self.bar.iter().any(|n| bar.names.contains(&n.as_str()));
        Ok(all.into_iter().filter(is_meant).collect())
    }

    fn time_left(&self, elapsed: Duration) -> Result<Duration> {
        let Some(minutes) = self.minutes else { return Ok(Duration::MAX) };
        let all = Duration::try_from_secs_f64(minutes * 60.0)
            .map_err(|e| Failure::Usage(format!("--minutes {minutes}: {e}")))?;
        Ok(all.saturating_sub(elapsed))
    }
}

/// See the file's text.
pub(crate) fn run(args: &Args) -> Result<()> {
    let (clock, bars) = (SystemClock::new(), args.bars()?);
    if let (Some(case), [bar]) = (args.case, bars.as_slice()) {
        return one_case(args.seed, bar, case);
    }
    if args.case.is_some() {
        return Err(Failure::Usage("--case takes one --bar".into()));
    }
    args.time_left(Duration::ZERO)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let progress = Progress::new(bars.len());
    let mut rows = Vec::new();
    for (number, bar) in bars.iter().enumerate() {
        let before = clock.elapsed();
        // Each bar gets its share of the time that is left, so that none goes without.
        let share = u32::try_from(bars.len() - number).unwrap_or(1);
        let left = args.time_left(before)? / share;
        let tally = Tally::default();
        tally.is_over.store(left.is_zero(), Ordering::Relaxed);
        swept(bar, args, threads, left, &tally, &progress);
        let took = clock.elapsed().saturating_sub(before);
        rows.push(Row::new(bar, &tally, took, args.seed, tally.is_over.load(Ordering::Relaxed)));
    }
    drop(progress);
    if let Some(path) = &args.json {
        write(path, &format!("{:#}\n", report::json(&rows, args.seed, threads, clock.elapsed())))?;
    }
    say(&report::table(&rows))?;
    say(&format!("Seed {}, {threads} threads, {:.1} s in all.", args.seed, clock.elapsed().as_secs_f64()))?;
    match rows.iter().map(|row| row.violated).sum::<u64>() {
        0 => Ok(()),
        violated => Err(Failure::Unsound(format!("{violated} violations, the first of each bar above"))),
    }
}

/// Sweeps a bar while this thread draws, and calls it off when its time is over.
fn swept(bar: &Bar, args: &Args, threads: usize, left: Duration, tally: &Tally, progress: &Progress) {
    let (done, told) = channel::<()>();
    let clock = SystemClock::new();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            sweep(bar, args.seed, args.form(), threads, tally);
            drop(done);
        });
        while let Err(RecvTimeoutError::Timeout) = told.recv_timeout(DRAWN_EVERY) {
            progress.draw(bar, tally);
            if clock.elapsed() >= left {
                tally.is_over.store(true, Ordering::Relaxed);
            }
        }
    });
    progress.next();
}

fn one_case(seed: u64, bar: &Bar, case: u64) -> Result<()> {
    let tally = Tally::default();
    replay(bar, seed, case, &tally);
    let tried = tally.cases.load(Ordering::Relaxed);
    let row = Row::new(bar, &tally, Duration::ZERO, seed, false);
    match (row.violations.first(), tried) {
        (Some((_, why)), _) => Err(Failure::Unsound(format!("{} case {case}: {why}", bar.title()))),
        (None, 0) => Err(Failure::Usage(format!("{} has no case {case} for seed {seed}", bar.title()))),
        (None, _) => say(&format!("{} case {case}: the promise holds", bar.title())),
    }
}

/// The bar on a terminal's standard error; nothing where there is no terminal.
struct Progress {
    bar: ProgressBar,
}

impl Progress {
    fn new(bars: usize) -> Progress {
        let bar = ProgressBar::new(u64::try_from(bars).unwrap_or(1));
        if let Ok(style) = ProgressStyle::with_template("[{elapsed_precise}] {bar:32} {pos}/{len}  {msg}") {
            bar.set_style(style);
        }
        Progress { bar }
    }

    fn draw(&self, bar: &Bar, tally: &Tally) {
        let (cases, violated) = (tally.cases.load(Ordering::Relaxed), tally.violated.load(Ordering::Relaxed));
        self.bar.set_message(format!("{}: {cases} cases, {violated} violations", bar.title()));
    }

    fn next(&self) {
        self.bar.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A closed standard output is no panic.
fn say(text: &str) -> Result<()> {
    writeln!(std::io::stdout().lock(), "{text}").map_err(|e| Failure::Broken(format!("printing: {e}")))
}

fn write(path: &Path, text: &str) -> Result<()> {
    use rustix::fs::{Mode, OFlags, open};
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
    let file = open(path, flags, Mode::from_raw_mode(0o666))
        .map_err(|e| Failure::Usage(format!("cannot write {}: {e}", path.display())))?;
    let mut file = std::fs::File::from(file);
    file.write_all(text.as_bytes()).map_err(|e| Failure::io("writing", path, &e))
}
