//! The rounds: every engine in turn, each in a process of its own, in a fresh folder, with a `sync` before.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::args::Args;
use crate::child::MARK;
use crate::figures::Figures;
use crate::honesty;
use crate::measure::device_flushes;
use crate::row::{HEADER, Row};
use crate::works::{Plan, Work};

/// In a smoke run nothing is large, and nobody waits for memory.
const SMOKE_SEGMENT_MIB: u64 = 64;
const SEGMENT_MIB: u64 = 1024;
/// Long enough for the disk to hold up whoever writes more than it takes.
const FULL_RATE_SECONDS: f64 = 6.0;

pub(crate) fn run_all(args: &Args) -> std::io::Result<()> {
    fs::create_dir_all(&args.out)?;
    fs::create_dir_all(&args.dir)?;
    let path = args.out.join("peers.csv");
    if !args.keeps {
        fs::write(&path, format!("{HEADER}\n"))?;
    }
    let earlier = Figures::load(&path)?;
    let mut file = fs::OpenOptions::new().append(true).open(path)?;
    for &work in &args.works {
        let plan = work.plan();
        let sizes: Vec<_> = args.sizes.iter().filter(|&&size| plan.of_all_sizes || size == 1024).collect();
        for &size in sizes {
            let loads = if args.is_smoke { &plan.loads[..1] } else { plan.loads };
            for &load in loads {
                let first = earlier.next_round(work.name(), size, load);
                repeat(args, work, &plan, (size, load), first, &mut file)?;
            }
        }
    }
    Ok(())
}

/// The order turns around from round to round; baseline and sawlog stay neighbours.
fn repeat(
    args: &Args,
    work: Work,
    plan: &Plan,
    (size, load): (usize, usize),
    first_round: u32,
    file: &mut fs::File,
) -> std::io::Result<()> {
    let mut engines: Vec<_> = args.engines.iter().filter(|engine| work.is_for(engine)).collect();
    let seconds = args.seconds.unwrap_or(plan.seconds);
    let mut run = Run { args, work, plan, size, load, seconds, rate: 0.0 };
    if work == Work::Tail {
        let full = Run { seconds: seconds.min(FULL_RATE_SECONDS), ..run };
        run.rate = args.rate.unwrap_or_else(|| full.half_of_the_most(&engines));
    }
    if first_round % 2 == 1 {
        engines.reverse();
    }
    for round in first_round..first_round + args.rounds.unwrap_or(plan.rounds) {
        for engine in &engines {
            let rows = match run.once(engine) {
                // A peer that fails has no figure; the others go on.
                Err(error) if !args.is_smoke => {
                    eprintln!("{}: {error}", work.name());
                    continue;
                }
                rows => rows?,
            };
            for row in rows {
                writeln!(file, "{}", Row { round, ..row })?;
            }
        }
        engines.reverse();
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct Run<'a> {
    args: &'a Args,
    work: Work,
    plan: &'a Plan,
    size: usize,
    load: usize,
    seconds: f64,
    rate: f64,
}

impl Run<'_> {
    /// What the slowest engine takes when nothing holds it back, halved.
    fn half_of_the_most(&self, engines: &[&String]) -> f64 {
        let most = |engine: &&String| {
            let rows = self.once(engine).unwrap_or_default();
            rows.iter().find(|row| row.metric == "per_s").map_or(f64::MAX, |row| row.value)
        };
        engines.iter().map(most).fold(f64::MAX, f64::min) / 2.0
    }

    fn once(&self, engine: &str) -> std::io::Result<Vec<Row>> {
        let dir = self.args.dir.join(engine);
        remove(&dir)?;
        fs::create_dir_all(&dir)?;
        rustix::fs::sync();
        if self.work.is_reopening() {
            self.child(engine, &dir, true)?;
            rustix::fs::sync();
        }
        let mut rows = self.child(engine, &dir, false)?;
        remove(&dir)?;
        if self.work == Work::W1 && device_flushes(&self.args.dir).is_none_or(|flushes| flushes == 0) {
            rows.extend(self.count_syncs(engine, &dir)?);
            remove(&dir)?;
        }
        for row in &rows {
            if ["per_s", "ms", "p999_us", "switches_per_s"].contains(&row.metric.as_str()) {
                eprintln!("{row}");
            }
        }
        Ok(rows)
    }

    /// The same once more, slowly, with its sync calls counted.
    fn count_syncs(&self, engine: &str, dir: &Path) -> std::io::Result<Option<Row>> {
        fs::create_dir_all(dir)?;
        let counts = self.args.out.join("syncs.txt");
        let Some(traced) = honesty::traced(&self.command(engine, dir, false)?, &counts) else {
            return Ok(None);
        };
        let rows = figures_of(traced, engine, false)?;
        let count = rows.iter().find(|row| row.metric == "count");
        let syncs = honesty::counted(&counts) as f64;
        Ok(count.map(|row| Row { metric: "syncs".into(), value: syncs / row.value, ..row.clone() }))
    }

    fn child(&self, engine: &str, dir: &Path, fills: bool) -> std::io::Result<Vec<Row>> {
        figures_of(self.command(engine, dir, fills)?, engine, fills)
    }

    fn command(&self, engine: &str, dir: &Path, fills: bool) -> std::io::Result<Command> {
        let smoke = self.args.is_smoke;
        let words = [
            ("--work", self.work.name().to_owned()),
            ("--engine", engine.to_owned()),
            ("--size", self.size.to_string()),
            ("--load", self.load.to_string()),
            ("--seconds", self.seconds.to_string()),
            ("--warm", if smoke { 0 } else { self.plan.warm_mib }.to_string()),
            ("--segment", if smoke { SMOKE_SEGMENT_MIB } else { SEGMENT_MIB }.to_string()),
            ("--rate", self.rate.to_string()),
            ("--fills", fills.to_string()),
        ];
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("child").arg("--dir").arg(dir);
        for (name, value) in words {
            command.args([name, &value]);
        }
        command.env("WALRUS_DATA_DIR", dir).env("WALRUS_QUIET", "1");
        Ok(command)
    }
}

/// The figures that it tells.
fn figures_of(mut command: Command, engine: &str, fills: bool) -> std::io::Result<Vec<Row>> {
    let output = command.stderr(Stdio::inherit()).output()?;
    // The one that fills dies by its own hand.
    if !fills && !output.status.success() {
        return Err(std::io::Error::other(format!("{engine} failed: {}", output.status)));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let figures = text.lines().filter_map(|line| line.strip_prefix(MARK));
    figures.map(|line| line.parse().map_err(std::io::Error::other)).collect()
}

fn remove(dir: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
