//! The `sawlog` tool: looks into a store of sawlog's or RocketMQ's, fills, copies and mends it, and measures a disk.
#![expect(clippy::print_stderr, reason = "a tool talks to its user")]

mod append;
mod bench;
mod completions;
mod dump;
mod failure;
mod fill;
mod find;
mod interrupt;
mod man;
mod offsets;
mod output;
mod records;
mod repair;
mod snapshot;
mod store;
mod survey;
mod tail;
#[cfg(feature = "sim")]
mod torture;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::Failure;

const EXIT_CODES: &str = "\
Exit codes:
  0    all is well
  1    damage was found; of bench: a message is missing, there twice or wrong, or the run failed
  2    the command line, or what it names, cannot do
  3    the store is locked, cannot be read, or is none
  130  interrupted

The commands that look (survey, verify, dump, tail, find, offsets) open files for reading alone and
take no lock: they work beside a running broker, and change no byte.";

/// Looks into the store of sawlog or of an Apache RocketMQ broker, fills, copies and mends it, and measures disks.
#[derive(Debug, Parser)]
#[command(name = "sawlog", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what is in a store, and what opening it would do.
    #[command(after_help = survey::EXAMPLES)]
    Survey(survey::Args),
    /// Hold every byte of log, queues and key index against each other.
    #[command(after_help = verify::EXAMPLES)]
    Verify(verify::Args),
    /// Print messages as JSON lines.
    #[command(after_help = dump::EXAMPLES)]
    Dump(dump::Args),
    /// Print the newest messages of a topic, and go on with those that come.
    #[command(after_help = tail::EXAMPLES)]
    Tail(tail::Args),
    /// Find the messages of a topic that carry a key, newest first.
    #[command(after_help = find::EXAMPLES)]
    Find(find::Args),
    /// Tell each queue's offset at a time.
    #[command(after_help = offsets::EXAMPLES)]
    Offsets(offsets::Args),
    /// Store each line of standard input as a message.
    #[command(after_help = append::EXAMPLES)]
    Append(append::Args),
    /// Copy a store consistently, sealed segments by hard links, and verify the copy.
    #[command(after_help = snapshot::EXAMPLES)]
    Snapshot(snapshot::Args),
    /// Mend a store: cut a torn tail, step over damage or cut at it, make queues and key index anew.
    #[command(after_help = repair::EXAMPLES)]
    Repair(repair::Args),
    /// Write, close, reopen, kill, recover, read everything back and verify it; print one table.
    #[command(after_help = bench::EXAMPLES)]
    Bench(bench::Args),
    /// What `bench` starts and kills.
    #[command(hide = true)]
    BenchChild(bench::ChildArgs),
    /// Print completions for a shell.
    #[command(after_help = completions::EXAMPLES)]
    Completions(completions::Args),
    /// Print the manual page.
    #[command(after_help = man::EXAMPLES)]
    Man,
    /// Try the promises on a simulated disk: power cuts, failing calls, rot; print one table.
    #[cfg(feature = "sim")]
    #[command(after_help = torture::EXAMPLES)]
    Torture(torture::Args),
    /// Built without what it needs.
    #[cfg(not(feature = "sim"))]
    #[command(hide = true)]
    Torture {
        /// Whatever they are.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Survey(args) => survey::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Dump(args) => dump::run(&args),
        Command::Tail(args) => tail::run(&args),
        Command::Find(args) => find::run(&args),
        Command::Offsets(args) => offsets::run(&args),
        Command::Append(args) => append::run(&args),
        Command::Snapshot(args) => snapshot::run(&args),
        Command::Repair(args) => repair::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::BenchChild(args) => bench::run_child(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man => man::run(),
        #[cfg(feature = "sim")]
        Command::Torture(args) => torture::run(&args),
        #[cfg(not(feature = "sim"))]
        Command::Torture { .. } => Err(Failure::Usage(
            "this one was built without the simulated disk: build it with --features cli,sim".into(),
        )),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Unheard) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("sawlog: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}
