//! What an open store costs that has nothing to do.

use std::time::{Duration, Instant};

use super::{Figures, Setup, Task};
use crate::measure::{Bodies, anonymous_bytes, context_switches, cpu_seconds, descriptors};

/// What was begun by opening or by the last message comes to its end first: ASYNC's latest sync is due after 10 s, and the
/// files of many queues take a while. In measures of how long it is looked at: at least, and at most.
const SETTLING: (f64, f64) = (1.2, 12.0);

/// A store without a message, or with some in each of so many queues.
pub(super) fn idle(task: &Task, figures: &Figures<'_>) {
    let bodies = Bodies::new(task.size_bytes);
    let memory = anonymous_bytes();
    let files = descriptors();
    let engine = task.open(&Setup { queues: task.load.max(1), ..task.setup() });
    for number in 0..task.load * 4 {
        engine.append_to(number % task.load, bodies.at(number));
    }
    if task.load > 0 {
        engine.wait_indexed();
        engine.finish();
    }
    settle(task, figures);
    let (switches, cpu) = (context_switches(), cpu_seconds());
    std::thread::sleep(Duration::from_secs_f64(task.seconds));
    // One is this thread's own.
    figures.tell("switches_per_s", (context_switches() - switches).saturating_sub(1) as f64 / task.seconds);
    figures.tell("cpu_ms_per_s", (cpu_seconds() - cpu) * 1e3 / task.seconds);
    figures.tell("memory_mib", anonymous_bytes().saturating_sub(memory) as f64 / f64::from(1 << 20));
    figures.tell("descriptors", descriptors().saturating_sub(files) as f64);
}

/// Until a tenth of the time passes without a switch, or the patience is over.
fn settle(task: &Task, figures: &Figures<'_>) {
    let began = Instant::now();
    std::thread::sleep(Duration::from_secs_f64(task.seconds * SETTLING.0));
    let step = Duration::from_secs_f64(task.seconds / 10.0);
    while began.elapsed().as_secs_f64() < task.seconds * SETTLING.1 {
        let switches = context_switches();
        std::thread::sleep(step);
        if context_switches() - switches <= 1 {
            break;
        }
    }
    figures.tell("settled_s", began.elapsed().as_secs_f64());
}
