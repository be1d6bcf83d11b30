//! The same work on sawlog, on a bare loop (`raw`) and on other logs, on one disk, in alternation: figures as CSV, ratios
//! as tables, and plots. `--help` says how.

mod args;
mod child;
mod engines;
mod figures;
mod honesty;
mod machine;
mod measure;
mod plot;
mod report;
mod rounds;
mod row;
mod works;

use std::process::ExitCode;

use args::{Args, HELP};

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1).peekable();
    if words.next_if(|word| word == "child").is_some() {
        return match child::Task::parse(words) {
            Ok(task) => child::run(&task),
            Err(why) => fail(&why),
        };
    }
    if words.peek().is_some_and(|word| word == "--help" || word == "-h") {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let args = match Args::parse(words) {
        Ok(args) => args,
        Err(why) => return fail(&format!("{why}\n\n{HELP}")),
    };
    match measure_and_report(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

fn measure_and_report(args: &Args) -> std::io::Result<()> {
    if !args.only_reports {
        rounds::run_all(args)?;
    }
    report::write(args)
}

fn fail(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}
