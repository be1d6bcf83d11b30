//! What sawlog is to reach, and what it has reached.

use std::fmt::Write;

use super::number;
use crate::figures::{Figures, Of, lower_bound, spread};

const OURS: &str = "sawlog";
const SIZE: usize = 1024;

/// What a figure is held against.
#[derive(Clone, Copy)]
enum Bar {
    /// The median ratio to this metric of the baseline is at least so much.
    Ratio(&'static str, f64),
    /// The same, for the lower confidence bound of the mean ratio.
    SurelyRatio(&'static str, f64),
    /// The median ratio is at most so much.
    RatioAtMost(&'static str, f64),
    /// The median is at most so much.
    AtMost(f64),
    /// The median is so much, but for one in a hundred.
    Is(f64),
}

struct Target {
    what: &'static str,
    work: &'static str,
    load: usize,
    metric: &'static str,
    bar: Bar,
}

const fn target(
    what: &'static str,
    (work, load, metric): (&'static str, usize, &'static str),
    bar: Bar,
) -> Target {
    Target { what, work, load, metric, bar }
}

const RATE: &str = "per_s";

const TARGETS: [Target; 22] = [
    target("W1 SYNC, 1 producer, lower bound", ("W1", 1, RATE), Bar::SurelyRatio(RATE, 0.95)),
    target("W1 device flushes an acknowledgement", ("W1", 1, "flushes"), Bar::Is(1.0)),
    target("W2 SYNC, 16 producers", ("W2", 16, RATE), Bar::Ratio(RATE, 1.0)),
    target("W2 SYNC, 64 producers", ("W2", 64, RATE), Bar::Ratio(RATE, 1.0)),
    target("W2a one submitter, 64 in flight / raw's 64 threads", ("W2a", 64, RATE), Bar::Ratio(RATE, 1.4)),
    target("W2a one submitter, 256 in flight / raw's 64 threads", ("W2a", 256, RATE), Bar::Ratio(RATE, 1.9)),
    target("W3 ASYNC, 1 producer, appended", ("W3", 1, RATE), Bar::Ratio(RATE, 1.5)),
    target("W3 the same, until dispatched", ("W3", 1, "indexed_per_s"), Bar::Ratio(RATE, 1.0)),
    target("W4 ASYNC, 4 producers, appended", ("W4", 4, RATE), Bar::Ratio(RATE, 1.5)),
    target("W4 the same, until dispatched", ("W4", 4, "indexed_per_s"), Bar::Ratio(RATE, 1.0)),
    target("W4 ASYNC, 16 producers, appended", ("W4", 16, RATE), Bar::Ratio(RATE, 1.5)),
    target("W4 the same, until dispatched", ("W4", 16, "indexed_per_s"), Bar::Ratio(RATE, 1.0)),
    target("W5 a queue in order, verified", ("W5", 1, RATE), Bar::Ratio(RATE, 1.0)),
    target("W5 the same, as stored bytes", ("W5", 1, "stored_per_s"), Bar::Ratio(RATE, 1.5)),
    target("W6 reopen 1 GiB, every checksum, time", ("W6", 1, "ms"), Bar::RatioAtMost("ms", 1.2)),
    target("W6 reopen with a fresh mark, ms", ("W6-mark", 1, "ms"), Bar::AtMost(50.0)),
    target(
        "W7 10,000 queues, until indexed",
        ("W7", 10_000, "indexed_per_s"),
        Bar::Ratio("indexed_per_s", 1.0),
    ),
    target(
        "p99.9 of an ASYNC append at half the maximum rate",
        ("tail", 1, "p999_us"),
        Bar::RatioAtMost("p999_us", 1.5),
    ),
    target("idle: context switches a second", ("idle", 0, "switches_per_s"), Bar::AtMost(0.1)),
    target("idle: memory, MiB", ("idle", 0, "memory_mib"), Bar::AtMost(10.0)),
    target("idle with 10,000 queues: memory, MiB", ("idle", 10_000, "memory_mib"), Bar::AtMost(64.0)),
    target(
        "idle with 10,000 queues: context switches a second",
        ("idle", 10_000, "switches_per_s"),
        Bar::AtMost(0.1),
    ),
];

pub(super) fn write(figures: &Figures, out: &mut String) {
    out.push_str("\n## Where sawlog is to stand\n\n");
    out.push_str("| bodies of 1 KiB | reached | range | to be reached | rounds | |\n| --- | --- | --- | --- | --- | --- |\n");
    for target in &TARGETS {
        if let Some(line) = target.line(figures) {
            let _ = writeln!(out, "{line}");
        }
    }
}

impl Target {
    /// `None`: it was not measured.
    fn line(&self, figures: &Figures) -> Option<String> {
        let of = Of { work: self.work, size: SIZE, load: self.load, metric: self.metric };
        let ratios = |metric| figures.ratios(OURS, of, metric);
        let values = match self.bar {
            Bar::Ratio(metric, _) | Bar::SurelyRatio(metric, _) | Bar::RatioAtMost(metric, _) => {
                spread(ratios(metric))?
            }
            Bar::AtMost(_) | Bar::Is(_) => figures.spread(OURS, of)?,
        };
        let reached = match self.bar {
            Bar::SurelyRatio(metric, _) => lower_bound(&ratios(metric)).unwrap_or(values.least),
            _ => values.median,
        };
        let (bar, holds) = match self.bar {
            Bar::Ratio(_, bar) | Bar::SurelyRatio(_, bar) => (format!(">= {bar}"), reached >= bar),
            Bar::RatioAtMost(_, bar) | Bar::AtMost(bar) => (format!("<= {bar}"), reached <= bar),
            Bar::Is(bar) => (format!("{bar}"), (reached - bar).abs() <= bar / 100.0),
        };
        Some(format!(
            "| {} | **{}** | {} to {} | {bar} | {} | {} |",
            self.what,
            number(reached),
            number(values.least),
            number(values.most),
            values.count,
            if holds { "reached" } else { "missed" }
        ))
    }
}
