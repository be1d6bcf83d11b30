//! Work shared among threads, its results taken in order.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, unbounded};

use crate::error::Result;

/// How often whoever waits is told how far it is.
const TICK: Duration = Duration::from_millis(100);

/// Does the jobs `0 .. count` on so many threads, and gives each result to `absorb` in the order of the jobs. `tick` is
/// called ten times a second at least, and may break off: jobs that were begun end by themselves when they see `stop`,
/// and what comes behind the first one that was not ended is dropped. Answers how many jobs were absorbed.
///
/// # Errors
/// The first one of a job or of `absorb`.
pub(super) fn in_order<W, D: Send>(
    (count, threads): (usize, usize),
    stop: &AtomicBool,
    worker: impl Fn() -> W + Sync,
    job: impl Fn(&mut W, usize) -> Result<Option<D>> + Sync,
    mut absorb: impl FnMut(usize, D) -> Result<()>,
    mut tick: impl FnMut() -> ControlFlow<()>,
) -> Result<usize> {
    let next = AtomicUsize::new(0);
    let (done, results) = unbounded();
    let mut absorbed = 0;
    let mut outcome = Ok(());
    std::thread::scope(|threads_of| {
        for _ in 0..threads.clamp(1, count.max(1)) {
            let (done, next, worker, job) = (done.clone(), &next, &worker, &job);
            threads_of.spawn(move || {
                let mut worker = worker();
                while !stop.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count || done.send((number, job(&mut worker, number))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(done);
        let mut waiting: BTreeMap<usize, D> = BTreeMap::new();
        loop {
            match results.recv_timeout(TICK) {
                Ok((number, Ok(Some(made)))) => {
                    waiting.insert(number, made);
                }
                Ok((_, Ok(None))) | Err(RecvTimeoutError::Timeout) => {}
                Ok((_, Err(error))) => {
                    outcome = Err(error);
                    stop.store(true, Ordering::Relaxed);
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
            while let (Some(made), true) = (waiting.remove(&absorbed), outcome.is_ok()) {
                outcome = absorb(absorbed, made);
                absorbed += 1;
            }
            if outcome.is_err() || tick().is_break() {
                stop.store(true, Ordering::Relaxed);
            }
        }
    });
    outcome.map(|()| absorbed)
}
