//! Appends at a steady rate while segments roll; each waits from the moment at which it was due, so that a stall costs
//! every message that it holds up.

use std::time::{Duration, Instant};

use super::{Figures, Setup, Task};
use crate::measure::{Bodies, Waits};

const ROLL_EVERY_SECONDS: f64 = 2.0;
const RECORD_EXTRA_BYTES: f64 = 100.0;
const MIB: u64 = 1 << 20;

/// Without a rate: as fast as it goes, which says what the maximum is.
pub(super) fn at_a_rate(task: &Task, figures: &Figures<'_>) {
    let rolled = task.rate * (task.size_bytes as f64 + RECORD_EXTRA_BYTES) * ROLL_EVERY_SECONDS;
    let segment_bytes = match task.rate > 0.0 {
        true => (rolled as u64 / MIB * MIB).clamp(16 * MIB, 1024 * MIB),
        false => 512 * MIB,
    };
    let engine = task.open(&Setup { segment_bytes, ..task.setup() });
    let bodies = Bodies::new(task.size_bytes);
    let gap = if task.rate > 0.0 { 1.0 / task.rate } else { 0.0 };
    let mut waits = Waits::with_capacity((task.rate * task.seconds) as usize + 1);
    let limit = Duration::from_secs_f64(task.seconds);
    let began = Instant::now();
    let mut now = Duration::ZERO;
    while now < limit {
        let due = Duration::from_secs_f64(gap * waits.count() as f64);
        // Sleeping would be measured with the append.
        while now < due {
            std::hint::spin_loop();
            now = began.elapsed();
        }
        engine.append(0, bodies.at(waits.count()));
        now = began.elapsed();
        waits.push((now.saturating_sub(due)).as_nanos());
    }
    figures.tell("per_s", waits.count() as f64 / began.elapsed().as_secs_f64());
    if task.rate > 0.0 {
        figures.tell("segment_mib", (segment_bytes / MIB) as f64);
        for (name, share) in [("p50_us", 500), ("p99_us", 990), ("p999_us", 999), ("max_us", 1000)] {
            figures.tell(name, waits.per_mille(share));
        }
        let count = waits.count() as f64;
        for (micros, beyond) in waits.beyond() {
            figures.tell(&format!("beyond_{micros}_us"), beyond as f64 / count);
        }
    }
}
