//! One run of the tests with one change on.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::tree::Problem;

pub(crate) struct Suite {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    /// Parts of the names of tests that are not run.
    pub(crate) skip: Vec<String>,
    pub(crate) limit: Duration,
}

/// How the tests took it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A test failed, or the program ended badly.
    Caught(String),
    /// It did not come to an end.
    TimedOut(String),
    Missed,
}

/// Every suite in turn, until one notices.
pub(crate) fn run(root: &Path, suites: &[Suite], number: u32) -> Result<Outcome, Problem> {
    for suite in suites {
        match one(root, suite, number)? {
            Outcome::Missed => {}
            noticed => return Ok(noticed),
        }
    }
    Ok(Outcome::Missed)
}

fn one(root: &Path, suite: &Suite, number: u32) -> Result<Outcome, Problem> {
    let mut child = Command::new(&suite.program)
        .args(suite.skip.iter().flat_map(|part| ["--skip", part.as_str()]))
        .current_dir(root)
        .env("SAWLOG_MUTANT", number.to_string())
        .env("SAWLOG_QUICK", "1")
        .env("CARGO_MANIFEST_DIR", root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()?;
    let (told, lines) = mpsc::channel();
    let output = BufReader::new(child.stdout.take().ok_or("no output")?);
    let reader = std::thread::spawn(move || {
        for line in output.split(b'\n').map_while(Result::ok) {
            // Nobody listens once a test has failed.
            let _ = told.send(String::from_utf8_lossy(&line).into_owned());
        }
    });
    let until = Instant::now() + suite.limit;
    let outcome = loop {
        match lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) if line.starts_with("test ") && line.ends_with("FAILED") => {
                let test = line.split_whitespace().nth(1).unwrap_or_default();
                break Outcome::Caught(format!("{}: {test}", suite.name));
            }
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) => break Outcome::TimedOut(suite.name.clone()),
            Err(RecvTimeoutError::Disconnected) => {
                let status = child.wait()?;
                break if status.success() {
                    Outcome::Missed
                } else {
                    Outcome::Caught(format!("{}: {status}", suite.name))
                };
            }
        }
    };
    end(&mut child);
    drop(lines);
    reader.join().map_err(|_| "the reader of the tests' output panicked")?;
    Ok(outcome)
}

/// With all that it started.
fn end(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
}
