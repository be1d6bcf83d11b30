//! The killing parent: starts a writing child, reads what it was acknowledged, kills it at an uneven moment.

use std::io::{BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use sawlog::clock::{Clock, SystemClock};

use super::body::{Tally, mix};
use super::child::{ChildArgs, READY, REPORT_BYTES, Report};
use super::progress::Progress;
use super::work::{GLANCE, Job, Written, histogram};
use crate::failure::{Failure, Result};

/// A child opens within this time, or the row fails.
const PATIENCE: Duration = Duration::from_secs(60);
const SIGKILL: i32 = 9;

/// Whatever happens to the parent's thread, no child goes on writing.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Either may find the child gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the reading thread tells the one that holds the knife.
#[derive(Debug, Default)]
struct Seen {
    ready: AtomicBool,
    /// The highest place in the log that was reported.
    offset: AtomicU64,
}

/// Runs `kills` children one after the other on one store, which each of them recovers first, and kills them.
pub(crate) fn write_and_kill(
    job: &Job,
    root: &Path,
    limit: Duration,
    kills: u32,
    interrupted: &AtomicBool,
    progress: &Progress,
) -> Result<Written> {
    let mut written = nothing(0, kills)?;
    for round in 0..kills {
        let job = Job {
            first_producer: job.producers * round,
            log_limit: job.log_limit / u64::from(kills) * u64::from(round + 1),
            ..*job
        };
        // Between half and one and a half of a fair share: no two rows kill at the same moment.
        let jitter = u32::try_from(mix(job.run ^ u64::from(round)) % 1000).unwrap_or(500);
        let moment = limit / kills * (500 + jitter) / 1000;
        let told = |now: Duration| {
            let share = now.as_secs_f64() / moment.as_secs_f64();
            progress.writing((f64::from(round) + share.min(1.0)) / f64::from(kills));
        };
        one_child(&job, root, moment, interrupted, told, &mut written)?;
    }
    Ok(written)
}

fn one_child(
    job: &Job,
    root: &Path,
    moment: Duration,
    interrupted: &AtomicBool,
    told: impl Fn(Duration),
    written: &mut Written,
) -> Result<()> {
    let (mut child, out, err) = start(job, root)?;
    let (seen, clock) = (Seen::default(), SystemClock::new());
    let (heard, died_early) = thread::scope(|scope| {
        let (ended, end) = mpsc::channel::<()>();
        let reader = scope.spawn(|| {
            // Dropped when the pipe has ended.
            let _ended = ended;
            listen(job, out, &seen)
        });
        let mut writing_since = None;
        let mut glance = GLANCE;
        let died_early = loop {
            match end.recv_timeout(glance) {
                Err(RecvTimeoutError::Timeout) => {}
                _ => break true,
            }
            let now = clock.elapsed();
            if seen.ready.load(Ordering::Relaxed) {
                let since = *writing_since.get_or_insert(now);
                let wrote = now.saturating_sub(since);
                told(wrote);
                glance = GLANCE.min(moment.saturating_sub(wrote)).max(Duration::from_millis(1));
                if wrote >= moment || seen.offset.load(Ordering::Relaxed) >= job.log_limit {
                    written.took += wrote;
                    break false;
                }
            }
            if interrupted.load(Ordering::Relaxed) || (writing_since.is_none() && now >= PATIENCE) {
                break false;
            }
        };
        drop(child.0.kill());
        // What the pipe still holds was acknowledged too.
        (reader.join(), died_early)
    });
    let status = child.0.wait().map_err(|e| Failure::io("waiting for the child in", root, &e))?;
    if interrupted.load(Ordering::Relaxed) {
        return Err(Failure::Interrupted);
    }
    if died_early || status.signal() != Some(SIGKILL) || !seen.ready.load(Ordering::Relaxed) {
        let mut why = String::new();
        let _ = err.take(4096).read_to_string(&mut why);
        return Err(Failure::Broken(format!("the writing child ended by itself ({status}): {}", why.trim())));
    }
    let heard = heard.map_err(|_| Failure::Broken("the listener panicked".into()))??;
    written.tallies.extend(heard.tallies);
    written.waits += heard.waits;
    written.syncs += heard.syncs;
    Ok(())
}

fn start(job: &Job, root: &Path) -> Result<(Killed, ChildStdout, ChildStderr)> {
    let own = std::env::current_exe().map_err(|e| Failure::Broken(format!("finding this program: {e}")))?;
    let child = Command::new(&own)
        .args(ChildArgs::words(job, root))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // An interrupt from the keyboard is for the parent, which then kills.
        .process_group(0)
        .spawn()
        .map_err(|e| Failure::io("starting", &own, &e))?;
    let mut child = Killed(child);
    match (child.0.stdout.take(), child.0.stderr.take()) {
        (Some(out), Some(err)) => Ok((child, out, err)),
        _ => Err(Failure::Broken("the child has no pipes".into())),
    }
}

/// Nothing written yet by so many producers.
fn nothing(producers: usize, kills: u32) -> Result<Written> {
    let (tallies, took) = (vec![Tally::default(); producers], Duration::ZERO);
    Ok(Written { tallies, waits: histogram()?, took, syncs: 0, dispatch_lag: None, kills })
}

/// Reads reports until the pipe ends.
fn listen(job: &Job, out: ChildStdout, seen: &Seen) -> Result<Written> {
    let producers = usize::try_from(job.producers).unwrap_or(0);
    let mut heard = nothing(producers, 1)?;
    let mut out = BufReader::with_capacity(1 << 16, out);
    let mut bytes = [0; REPORT_BYTES];
    // A report is written whole or not at all, so the pipe ends between two of them.
    while out.read_exact(&mut bytes).is_ok() {
        let Report { acked, syncs } = Report::from_bytes(&bytes);
        heard.syncs = heard.syncs.max(syncs);
        if acked.producer == READY {
            seen.ready.store(true, Ordering::Relaxed);
            continue;
        }
        let at = acked.producer.checked_sub(job.first_producer).and_then(|n| usize::try_from(n).ok());
        match at.and_then(|at| heard.tallies.get_mut(at)) {
            Some(tally) if tally.count == acked.sequence => tally.add(acked.place()),
            _ => return Err(Failure::Broken(format!("the child reported out of turn: {acked:?}"))),
        }
        heard.waits.saturating_record(acked.wait_ns);
        seen.offset.fetch_max(acked.offset, Ordering::Relaxed);
    }
    Ok(heard)
}
