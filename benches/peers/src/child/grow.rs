//! W7, and whether an append's cost grows with queues or with segments.

use std::time::{Duration, Instant};

use super::{Figures, Setup, Task};
use crate::measure::{Bodies, Waits, cpu_seconds};
use crate::works::Work;

/// Appends that count, where it is asked how their cost grows.
const COUNTED: usize = 1 << 18;
const SHORT_SEGMENT_BYTES: u64 = 16 << 20;

/// Round robin over the queues by one buffered producer; W7 counts until every message is found through its queue.
pub(super) fn queues(task: &Task, figures: &Figures<'_>) {
    let engine = task.open(&Setup { queues: task.load, ..task.setup() });
    let bodies = Bodies::new(task.size_bytes);
    let of_scaling = task.work == Work::Queues;
    if of_scaling {
        // Each queue exists before it counts.
        for queue in 0..task.load {
            engine.append_to(queue, bodies.at(queue));
        }
        engine.wait_indexed();
    }
    let count = if of_scaling { COUNTED } else { task.count(1 << 20) };
    let limit = Duration::from_secs_f64(task.seconds);
    let mut waits = Waits::with_capacity(count);
    let cpu = cpu_seconds();
    let began = Instant::now();
    let mut before = began;
    for number in 0..count {
        assert!(engine.append_to(number % task.load, bodies.at(number)), "an engine with queues");
        let now = Instant::now();
        waits.push((now - before).as_nanos());
        before = now;
        if now - began > limit {
            break;
        }
    }
    let (took, count) = (began.elapsed(), waits.count() as f64);
    if !of_scaling {
        engine.wait_indexed();
        figures.tell("indexed_per_s", count / began.elapsed().as_secs_f64());
    }
    figures.tell("per_s", count / took.as_secs_f64());
    figures.tell("p50_us", waits.per_mille(500));
    figures.tell("p99_us", waits.per_mille(990));
    figures.tell("cpu_us", (cpu_seconds() - cpu) * 1e6 / count);
}

/// What an append costs where so many segments stand behind it.
pub(super) fn segments(task: &Task, figures: &Figures<'_>) {
    let engine = task.open(&Setup { segment_bytes: SHORT_SEGMENT_BYTES, ..task.setup() });
    let bodies = Bodies::new(task.size_bytes);
    let each = SHORT_SEGMENT_BYTES as usize / (task.size_bytes + 128);
    for number in 0..each * (task.load - 1) {
        engine.append(0, bodies.at(number));
    }
    engine.finish();
    let mut waits = Waits::with_capacity(COUNTED);
    let began = Instant::now();
    let mut before = began;
    for number in 0..COUNTED / 4 {
        engine.append(0, bodies.at(number));
        let now = Instant::now();
        waits.push((now - before).as_nanos());
        before = now;
    }
    figures.tell("per_s", waits.count() as f64 / began.elapsed().as_secs_f64());
    figures.tell("p50_us", waits.per_mille(500));
    figures.tell("p99_us", waits.per_mille(990));
}
