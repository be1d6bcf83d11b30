//! The process that is killed: writes, and reports every acknowledgement through its standard output.
//!
//! A report goes out with one write before the producer's next append, so whatever the parent read was acknowledged,
//! and at most one message a producer can be in the log without a report.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::thread;

use super::output::write_all;
use super::work::{Acked, Job};
use super::{Policy, size};
use crate::failure::{Failure, Result};

/// Bytes of a report. A pipe takes so few whole or not at all (`PIPE_BUF`, pipe(7)).
pub(crate) const REPORT_BYTES: usize = 44;
/// Stands for the producer in the first report: the store is open.
pub(crate) const READY: u32 = u32::MAX;

/// How far a child writes beyond the place at which it is to be killed: it must still be writing then.
pub(crate) const OVERRUN_BYTES: u64 = 64 << 20;

/// What the parent says.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ChildArgs {
    #[arg(long)]
    root: PathBuf,
    #[arg(long, value_enum)]
    policy: Policy,
    #[arg(long)]
    producers: u32,
    #[arg(long)]
    first_producer: u32,
    #[arg(long)]
    run: u64,
    #[arg(long, value_parser = size)]
    bytes: u64,
    #[arg(long, value_parser = size)]
    segment_bytes: u64,
    #[arg(long)]
    log_limit: u64,
}

/// One report: an acknowledgement, and how many syncs the store has made so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) acked: Acked,
    pub(crate) syncs: u64,
}

impl Report {
    pub(crate) fn to_bytes(self) -> [u8; REPORT_BYTES] {
        let Acked { producer, sequence, offset, queue_offset, wait_ns } = self.acked;
        let mut bytes = [0; REPORT_BYTES];
        let words = [sequence, offset, queue_offset, wait_ns, self.syncs].map(u64::to_be_bytes);
        let all = producer.to_be_bytes().into_iter().chain(words.into_iter().flatten());
        for (byte, made) in bytes.iter_mut().zip(all) {
            *byte = made;
        }
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; REPORT_BYTES]) -> Report {
        let (producer, rest) = bytes.split_first_chunk().unwrap_or((&[0; 4], &[]));
        let mut words = rest.as_chunks().0.iter().map(|word| u64::from_be_bytes(*word));
        let mut word = || words.next().unwrap_or(0);
        let producer = u32::from_be_bytes(*producer);
        let acked =
            Acked { producer, sequence: word(), offset: word(), queue_offset: word(), wait_ns: word() };
        Report { acked, syncs: word() }
    }
}

impl ChildArgs {
    /// The same as a command line.
    pub(crate) fn words(job: &Job, root: &std::path::Path) -> Vec<std::ffi::OsString> {
        let policy = match job.policy {
            Policy::Sync => "sync",
            Policy::Async => "async",
        };
        let mut words: Vec<std::ffi::OsString> = vec!["bench-child".into(), "--root".into(), root.into()];
        let numbers = [
            ("--policy", policy.to_owned()),
            ("--producers", job.producers.to_string()),
            ("--first-producer", job.first_producer.to_string()),
            ("--run", job.run.to_string()),
            ("--bytes", job.body_bytes.to_string()),
            ("--segment-bytes", job.segment_bytes.to_string()),
            ("--log-limit", job.log_limit.saturating_add(OVERRUN_BYTES).to_string()),
        ];
        words.extend(numbers.into_iter().flat_map(|(name, value)| [name.into(), value.into()]));
        words
    }
}

/// Opens the store, says so, writes until it is killed. When the log is long enough it waits for that.
pub(crate) fn run(args: &ChildArgs) -> Result<()> {
    let job = Job {
        policy: args.policy,
        producers: args.producers,
        first_producer: args.first_producer,
        run: args.run,
        body_bytes: usize::try_from(args.bytes).map_err(|e| Failure::Usage(e.to_string()))?,
        segment_bytes: args.segment_bytes,
        log_limit: args.log_limit,
    };
    let store = job.open(&args.root)?;
    // Not through Rust's own buffer, which gathers lines.
    let out = io::stdout();
    let tell = |acked, syncs| write_all(&out, &Report { acked, syncs }.to_bytes()).map_err(|e| unheard(&e));
    let ready = Acked { producer: READY, sequence: 0, offset: 0, queue_offset: 0, wait_ns: 0 };
    tell(ready, store.marks().syncs)?;
    let never = AtomicBool::new(false);
    thread::scope(|scope| {
        for n in 0..job.producers {
            let (job, store, never, tell) = (&job, &store, &never, &tell);
            scope.spawn(move || {
                let producer = job.first_producer + n;
                let done = job.produce(store, producer, never, |acked| tell(acked, store.marks().syncs));
                if let Err(failure) = done {
                    eprintln!("{failure}");
                    std::process::exit(i32::from(failure.exit_code()));
                }
            });
        }
        // A parent that dies closes the pipe: nobody would kill this process then.
        let _ = io::stdin().read(&mut [0]);
        std::process::exit(1)
    })
}

fn unheard(error: &io::Error) -> Failure {
    Failure::Broken(format!("nobody listens: {error}"))
}

#[cfg(test)]
#[path = "child_tests.rs"]
mod tests;
