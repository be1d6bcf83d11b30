//! The `sawlog` tool: `sawlog bench` does the whole main job of the store on a disk of yours, and checks every byte.
#![expect(clippy::print_stderr, reason = "a tool talks to its user")]

mod bench;
mod failure;
#[cfg(feature = "sim")]
mod torture;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

const EXIT_CODES: &str = "\
Exit codes:
  0    all is well
  1    a message is missing, there twice or wrong, or the run failed
  2    the command line, or the disk that it names, cannot do
  130  interrupted";

/// An append-only, segmented commit log, byte-compatible with Apache RocketMQ's store.
#[derive(Debug, Parser)]
#[command(name = "sawlog", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write, close, reopen, kill, recover, read everything back and verify it; print one table.
    #[command(after_help = bench::EXAMPLES)]
    Bench(bench::Args),
    /// What `bench` starts and kills.
    #[command(hide = true)]
    BenchChild(bench::ChildArgs),
    /// Try the promises on a simulated disk: power cuts, failing calls, rot; print one table.
    #[cfg(feature = "sim")]
    #[command(after_help = torture::EXAMPLES)]
    Torture(torture::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Bench(args) => bench::run(&args),
        Command::BenchChild(args) => bench::run_child(&args),
        #[cfg(feature = "sim")]
        Command::Torture(args) => torture::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("sawlog: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}
