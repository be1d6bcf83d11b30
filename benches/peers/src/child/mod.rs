//! One engine, one work, one process: so that no engine's threads and memory burden the next.

mod append;
mod grow;
mod idle;
mod reopen;
mod tail;

use std::path::PathBuf;
use std::sync::Arc;

use crate::args::number;
use crate::engines::{self, Engine, Setup};
use crate::measure::warm_memory;
use crate::row::Row;
use crate::works::Work;

/// What a child is told.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) work: Work,
    pub(crate) engine: String,
    pub(crate) dir: PathBuf,
    pub(crate) size_bytes: usize,
    pub(crate) load: usize,
    pub(crate) seconds: f64,
    pub(crate) warm_mib: usize,
    /// The length of a segment, unless the work says another.
    pub(crate) segment_mib: u64,
    /// Messages a second, for `tail`; 0: as many as there can be.
    pub(crate) rate: f64,
    /// Fill for `W6`, and die of it.
    pub(crate) fills: bool,
}

impl Task {
    /// As `rounds` writes it: each word behind its name.
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Task, String> {
        let words: Vec<_> = words.collect();
        let word = |name: &str| {
            let at = words.iter().position(|word| word == name);
            at.and_then(|at| words.get(at + 1)).ok_or_else(|| format!("a child wants {name}"))
        };
        Ok(Task {
            work: Work::named(word("--work")?).ok_or("no such work")?,
            engine: word("--engine")?.clone(),
            dir: word("--dir")?.into(),
            size_bytes: number(word("--size")?)?,
            load: number(word("--load")?)?,
            seconds: number(word("--seconds")?)?,
            warm_mib: number(word("--warm")?)?,
            segment_mib: number(word("--segment")?)?,
            rate: number(word("--rate")?)?,
            fills: number(word("--fills")?)?,
        })
    }

    fn setup(&self) -> Setup {
        let durable = matches!(self.work, Work::W1 | Work::W2 | Work::W2a);
        Setup { dir: self.dir.clone(), durable, segment_bytes: self.segment_mib << 20, queues: 1 }
    }

    fn open(&self, setup: &Setup) -> Arc<dyn Engine> {
        engines::open(&self.engine, setup).expect("an engine of this build")
    }

    /// At most so many messages, and no more than about 1 GiB of bodies.
    fn count(&self, most: usize) -> usize {
        most.min((1 << 30) / self.size_bytes)
    }
}

/// The figures of a run, printed one a line behind this word, for engines print what they like.
pub(crate) const MARK: &str = "figure: ";

struct Figures<'a>(&'a Task);

impl Figures<'_> {
    fn tell(&self, metric: &str, value: f64) {
        self.tell_of(self.0.work.name(), metric, value);
    }

    fn tell_of(&self, work: &str, metric: &str, value: f64) {
        let row = Row {
            round: 0,
            work: work.to_owned(),
            engine: self.0.engine.clone(),
            size_bytes: self.0.size_bytes,
            load: self.0.load,
            metric: metric.to_owned(),
            value,
        };
        println!("{MARK}{row}");
    }
}

pub(crate) fn run(task: &Task) -> ! {
    warm_memory(task.warm_mib);
    let figures = Figures(task);
    match task.work {
        Work::W1 | Work::W2 => append::durable(task, &figures),
        Work::W2a => append::in_flight(task, &figures),
        Work::W3 | Work::W4 => append::buffered(task, &figures),
        work if work.is_reopening() && task.fills => reopen::fill(task),
        Work::W6 | Work::W6Mark | Work::W6Unsynced => reopen::reopen(task, &figures),
        Work::W7 | Work::Queues => grow::queues(task, &figures),
        Work::Segments => grow::segments(task, &figures),
        Work::Tail => tail::at_a_rate(task, &figures),
        Work::Idle => idle::idle(task, &figures),
    }
    // What engines do at their end is no part of any work.
    std::process::exit(0);
}
