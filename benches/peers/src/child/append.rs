//! W1 to W5: appending by one, sixteen or sixty-four threads, durable or not; and reading what was appended.

use std::path::Path;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use super::{Figures, Task};
use crate::engines::{Engine, Reading};
use crate::measure::{Bodies, Waits, cpu_seconds, device_flushes};

/// What only the first appends of a run pay, such as the sync of a file's length, is paid before it counts.
const WARM_UP_EACH: usize = 32;
/// No run of this length gets further.
const ENDLESS: usize = 1 << 40;

/// Counters before a run.
struct Before {
    flushes: Option<u64>,
    cpu: f64,
}

impl Before {
    fn look(dir: &Path) -> Before {
        Before { flushes: device_flushes(dir), cpu: cpu_seconds() }
    }

    fn tell(self, task: &Task, figures: &Figures<'_>, took: Duration, mut waits: Waits) {
        let count = waits.count() as f64;
        figures.tell("count", count);
        figures.tell("per_s", count / took.as_secs_f64());
        for (name, share) in [("p50_us", 500), ("p99_us", 990), ("p999_us", 999), ("max_us", 1000)] {
            figures.tell(name, waits.per_mille(share));
        }
        figures.tell("cpu_us", (cpu_seconds() - self.cpu) * 1e6 / count);
        if let (Some(after), Some(before)) = (device_flushes(&task.dir), self.flushes) {
            figures.tell("flushes", (after - before) as f64 / count);
        }
    }
}

/// `count` messages shared by `producers` threads, or as many as there are within the time. How long that took, and
/// each append.
fn produce(
    engine: &Arc<dyn Engine>,
    (producers, count, seconds): (usize, usize, f64),
    bodies: &Arc<Bodies>,
    durable: bool,
) -> (Duration, Waits) {
    let ready = Arc::new(Barrier::new(producers + 1));
    let limit = Duration::from_secs_f64(seconds);
    let one = |producer: usize| {
        let (engine, bodies, ready) = (Arc::clone(engine), Arc::clone(bodies), Arc::clone(&ready));
        std::thread::spawn(move || {
            let each = count / producers;
            let mut waits = Waits::with_capacity(each.min(1 << 21));
            ready.wait();
            let began = Instant::now();
            let mut before = began;
            for number in 0..each {
                let body = bodies.at(number + producer * 977);
                match durable {
                    true => engine.append_durable(producer, body),
                    false => engine.append(producer, body),
                }
                let now = Instant::now();
                waits.push((now - before).as_nanos());
                before = now;
                if now - began > limit {
                    break;
                }
            }
            waits
        })
    };
    let threads: Vec<_> = (0..producers).map(one).collect();
    ready.wait();
    let began = Instant::now();
    let mut all = Waits::default();
    for thread in threads {
        all.extend(thread.join().expect("a producer"));
    }
    (began.elapsed(), all)
}

/// W1, W2.
pub(super) fn durable(task: &Task, figures: &Figures<'_>) {
    let engine = task.open(&task.setup());
    blocking(&engine, task, figures, task.load);
}

fn blocking(engine: &Arc<dyn Engine>, task: &Task, figures: &Figures<'_>, producers: usize) {
    let bodies = Arc::new(Bodies::new(task.size_bytes));
    produce(engine, (producers, WARM_UP_EACH * producers, 5.0), &bodies, true);
    let before = Before::look(&task.dir);
    let (took, waits) = produce(engine, (producers, ENDLESS, task.seconds), &bodies, true);
    before.tell(task, figures, took, waits);
}

/// W2a: one submitter. The baseline has no acknowledgements to keep in flight, so it is what 64 blocking threads reach.
pub(super) fn in_flight(task: &Task, figures: &Figures<'_>) {
    const BASELINE_PRODUCERS: usize = 64;
    let engine = task.open(&task.setup());
    let bodies = Bodies::new(task.size_bytes);
    let flow = |limit: Duration| {
        let (mut sent, mut waits) = (Vec::new(), Waits::default());
        let began = Instant::now();
        let sends = std::cell::RefCell::new(&mut sent);
        let mut next = || {
            let now = Instant::now();
            (now - began < limit).then(|| {
                let mut sent = sends.borrow_mut();
                sent.push(now);
                bodies.at(sent.len())
            })
        };
        let mut answered = || {
            let sent = sends.borrow()[waits.count()];
            waits.push(sent.elapsed().as_nanos());
        };
        let can = engine.submit(task.load, &mut next, &mut answered);
        can.then(|| (began.elapsed(), waits))
    };
    if flow(Duration::from_millis(100)).is_none() {
        return blocking(&engine, task, figures, BASELINE_PRODUCERS);
    }
    let before = Before::look(&task.dir);
    let (took, waits) = flow(Duration::from_secs_f64(task.seconds)).expect("as just before");
    before.tell(task, figures, took, waits);
}

/// W3 and W4; behind W3 comes W5.
pub(super) fn buffered(task: &Task, figures: &Figures<'_>) {
    let engine = task.open(&task.setup());
    let bodies = Arc::new(Bodies::new(task.size_bytes));
    let before = Before::look(&task.dir);
    let began = Instant::now();
    let load = (task.load, task.count(1 << 20), task.seconds);
    let (took, waits) = produce(&engine, load, &bodies, false);
    let behind = engine.unindexed_bytes();
    let count = waits.count();
    engine.wait_indexed();
    let until_indexed = began.elapsed();
    before.tell(task, figures, took, waits);
    figures.tell("indexed_per_s", count as f64 / until_indexed.as_secs_f64());
    figures.tell("unindexed_mib", behind as f64 / f64::from(1 << 20));
    if task.load == 1 {
        engine.finish();
        read(&engine, count as u64, figures);
    }
}

/// W5. Everything is in the page cache; no engine has mapped or looked at what is not its tail.
fn read(engine: &Arc<dyn Engine>, count: u64, figures: &Figures<'_>) {
    for (how, metric) in [(Reading::Verified, "per_s"), (Reading::Stored, "stored_per_s")] {
        let began = Instant::now();
        let Some(read) = engine.scan(how) else { continue };
        let took = began.elapsed();
        if read != count {
            // No figure for an engine that does not read what it was given.
            figures.tell_of("W5", "unread", count.abs_diff(read) as f64);
            continue;
        }
        figures.tell_of("W5", metric, count as f64 / took.as_secs_f64());
    }
}
