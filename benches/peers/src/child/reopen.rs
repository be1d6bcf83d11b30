//! W6: a writer is killed, and the time counts until every message is verified and appends are taken.

use std::time::{Duration, Instant};

use rustix::process::{Signal, getpid, kill_process};

use super::{Figures, Setup, Task};
use crate::measure::{Bodies, cpu_seconds};
use crate::works::Work;

/// A record is longer than its body; all of them lie in one segment of 1 GiB, which is looked at as a whole.
const RECORD_EXTRA_BYTES: usize = 256;
/// For what a fresh mark saves: there is a segment behind which nothing has to be looked at.
const SHORT_SEGMENT_BYTES: u64 = 64 << 20;

fn setup(task: &Task) -> Setup {
    let setup = task.setup();
    match task.work {
        Work::W6Mark => Setup { segment_bytes: SHORT_SEGMENT_BYTES, ..setup },
        _ => setup,
    }
}

/// What knows that bytes are durable is written about once a second; the writer dies later than that.
const REST: Duration = Duration::from_millis(2500);

/// 1 GiB of log, made durable, or not even that; then the end, without a word to anybody.
pub(super) fn fill(task: &Task) {
    let engine = task.open(&setup(task));
    let bodies = Bodies::new(task.size_bytes);
    let began = Instant::now();
    for number in 0..(1 << 30) / (task.size_bytes + RECORD_EXTRA_BYTES) {
        engine.append(0, bodies.at(number));
        if began.elapsed().as_secs_f64() > task.seconds {
            break;
        }
    }
    if task.work != Work::W6Unsynced {
        engine.finish();
        std::thread::sleep(REST.min(Duration::from_secs_f64(task.seconds)));
    }
    kill_process(getpid(), Signal::KILL).expect("the end");
}

pub(super) fn reopen(task: &Task, figures: &Figures<'_>) {
    let (cpu, began) = (cpu_seconds(), Instant::now());
    let engine = task.open(&setup(task));
    figures.tell("ms", began.elapsed().as_secs_f64() * 1e3);
    figures.tell("cpu_ms", (cpu_seconds() - cpu) * 1e3);
    if let Some((records, rewritten_bytes)) = engine.recovered() {
        figures.tell("records", records as f64);
        figures.tell("rewritten_mib", rewritten_bytes as f64 / f64::from(1 << 20));
    }
    let body = Bodies::new(task.size_bytes).at(0);
    engine.append(0, body);
}
