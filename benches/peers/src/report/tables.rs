//! Every engine, work by work, ratios first; and who acknowledges what no sync covers.

use std::fmt::Write;

use super::{bytes, number};
use crate::figures::{BASELINE, Figures, Of, spread};

/// A table: a metric of a work, and the baseline's metric that it is held against.
struct Table {
    title: &'static str,
    work: &'static str,
    metric: &'static str,
    baseline: &'static str,
    unit: &'static str,
}

const fn table(
    title: &'static str,
    (work, metric, baseline): (&'static str, &'static str, &'static str),
    unit: &'static str,
) -> Table {
    Table { title, work, metric, baseline, unit }
}

const TABLES: [Table; 17] = [
    table("W1: SYNC, one producer waits for each message", ("W1", "per_s", "per_s"), "/s"),
    table("W2: SYNC, 16 and 64 producers", ("W2", "per_s", "per_s"), "/s"),
    table(
        "W2a: SYNC, one submitter, 64 and 256 in flight (raw: 64 threads)",
        ("W2a", "per_s", "per_s"),
        "/s",
    ),
    table("W3: ASYNC, one producer", ("W3", "per_s", "per_s"), "/s"),
    table("W3 until dispatched, against raw's appends", ("W3", "indexed_per_s", "per_s"), "/s"),
    table("W4: ASYNC, 4 and 16 producers", ("W4", "per_s", "per_s"), "/s"),
    table("W4 until dispatched, against raw's appends", ("W4", "indexed_per_s", "per_s"), "/s"),
    table("W5: read all in order, verified", ("W5", "per_s", "per_s"), "/s"),
    table("W5 as stored bytes, against raw's verified", ("W5", "stored_per_s", "per_s"), "/s"),
    table("W6: reopen 1 GiB after a kill; less is better", ("W6", "ms", "ms"), " ms"),
    table("W6 with a fresh mark, segments of 64 MiB; less is better", ("W6-mark", "ms", "ms"), " ms"),
    table(
        "W6 killed behind the last append, nothing synced; less is better",
        ("W6-unsynced", "ms", "ms"),
        " ms",
    ),
    table("W7: 10,000 queues, appended", ("W7", "per_s", "per_s"), "/s"),
    table(
        "W7 until every message is found through its queue",
        ("W7", "indexed_per_s", "indexed_per_s"),
        "/s",
    ),
    table("Append with 10 to 100,000 queues, p50; less is better", ("queues", "p50_us", "p50_us"), " us"),
    table("The same, whole: appends a second", ("queues", "per_s", "per_s"), "/s"),
    table("Append behind 1 to 100 segments, p50; less is better", ("segments", "p50_us", "p50_us"), " us"),
];

const WAITS: [&str; 4] = ["p50_us", "p99_us", "p999_us", "max_us"];

pub(super) fn write(figures: &Figures, out: &mut String) {
    for table in &TABLES {
        table.write(figures, out);
    }
    for work in ["W1", "W2", "W2a", "W3", "W4", "tail"] {
        waits(figures, work, out);
    }
    plain(
        figures,
        "idle",
        "Idle",
        &["switches_per_s", "cpu_ms_per_s", "memory_mib", "descriptors", "settled_s"],
        out,
    );
    let opening = ["records", "rewritten_mib", "cpu_ms"];
    plain(figures, "W6", "W6: what opening did", &opening, out);
    plain(figures, "W6-mark", "W6 with a fresh mark: what opening did", &opening, out);
    plain(figures, "W6-unsynced", "W6 with nothing synced: what opening did", &opening, out);
    plain(figures, "W3", "W3: cost", &["cpu_us", "unindexed_mib"], out);
    honesty(figures, out);
}

fn heading(work: &str, (size, load): (usize, usize)) -> String {
    match work {
        "queues" | "W7" => format!("{load} queues"),
        "segments" => format!("{load} segments"),
        "idle" => format!("idle, {load} queues"),
        _ => format!("{}, {load}", bytes(size)),
    }
}

fn head(out: &mut String, title: &str, columns: impl Iterator<Item = String>) {
    let columns: Vec<_> = columns.collect();
    let _ = writeln!(out, "\n### {title}\n\n| engine | {} |", columns.join(" | "));
    let _ = writeln!(out, "| --- |{}", " --- |".repeat(columns.len()));
}

impl Table {
    fn write(&self, figures: &Figures, out: &mut String) {
        let shapes = figures.shapes(self.work);
        let engines = figures.engines(self.work);
        let of = |(size, load)| Of { work: self.work, size, load, metric: self.metric };
        let has = |engine: &&str| shapes.iter().any(|&shape| figures.spread(engine, of(shape)).is_some());
        if !engines.iter().any(has) {
            return;
        }
        head(out, self.title, shapes.iter().map(|&shape| heading(self.work, shape)));
        for engine in engines.iter().filter(|engine| has(engine)) {
            let cell = |&shape: &(usize, usize)| {
                let Some(value) = figures.spread(engine, of(shape)) else { return "-".to_owned() };
                let median = format!("{}{}", number(value.median), self.unit);
                if *engine == BASELINE {
                    return median;
                }
                match spread(figures.ratios(engine, of(shape), self.baseline)) {
                    Some(ratio) => format!(
                        "**{}** ({} to {}) {median}",
                        number(ratio.median),
                        number(ratio.least),
                        number(ratio.most)
                    ),
                    None => median,
                }
            };
            let cells: Vec<_> = shapes.iter().map(cell).collect();
            let _ = writeln!(out, "| {engine} | {} |", cells.join(" | "));
        }
    }
}

/// How long a message waits: medians of the rounds' percentiles.
fn waits(figures: &Figures, work: &str, out: &mut String) {
    let shapes: Vec<_> = figures.shapes(work).into_iter().filter(|shape| shape.0 == 1024).collect();
    if figures.metrics(work, WAITS[0]).is_empty() {
        return;
    }
    let title = format!("{work}: p50 / p99 / p99.9 / longest wait, in microseconds");
    head(out, &title, shapes.iter().map(|&shape| heading(work, shape)));
    for engine in figures.engines(work) {
        let cell = |&(size, load): &(usize, usize)| {
            let of = |metric| figures.spread(engine, Of { work, size, load, metric });
            let values: Vec<_> = WAITS.iter().filter_map(|metric| Some(number(of(metric)?.median))).collect();
            values.join(" / ")
        };
        let cells: Vec<_> = shapes.iter().map(cell).collect();
        let _ = writeln!(out, "| {engine} | {} |", cells.join(" | "));
    }
}

/// Medians as they are.
fn plain(figures: &Figures, work: &str, title: &str, metrics: &[&str], out: &mut String) {
    let shapes: Vec<_> = figures.shapes(work).into_iter().filter(|shape| shape.0 == 1024).collect();
    if shapes.is_empty() {
        return;
    }
    let columns = shapes.iter().flat_map(|&shape| {
        let of_one = move |metric: &&str| match work {
            "idle" => format!("{}: {metric}", heading(work, shape)),
            _ => (*metric).to_owned(),
        };
        metrics.iter().map(of_one)
    });
    head(out, title, columns);
    for engine in figures.engines(work) {
        let cells = shapes.iter().flat_map(|&(size, load)| {
            metrics.iter().map(move |metric| (Of { work, size, load, metric }, engine))
        });
        let cells: Vec<_> = cells
            .map(|(of, engine)| figures.spread(engine, of).map_or("-".to_owned(), |s| number(s.median)))
            .collect();
        let _ = writeln!(out, "| {engine} | {} |", cells.join(" | "));
    }
}

/// A device that flushes once for each message that a lone producer waits for has been asked to.
fn honesty(figures: &Figures, out: &mut String) {
    let of = |metric| Of { work: "W1", size: 1024, load: 1, metric };
    let Some(base) = figures.spread(BASELINE, of("flushes")) else { return };
    out.push_str("\n### Who acknowledges before a sync (W1, 1 KiB)\n\n");
    out.push_str(
        "| engine | device flushes a message | sync calls a message | |\n| --- | --- | --- | --- |\n",
    );
    for engine in figures.engines("W1") {
        let flushes = figures.spread(engine, of("flushes")).map(|spread| spread.median);
        let syncs = figures.spread(engine, of("syncs")).map(|spread| spread.median);
        // A device without a cache of its own is never asked to flush.
        let seen = if base.median > 0.5 { flushes } else { syncs };
        let verdict = match seen {
            Some(per_message) if per_message < 0.9 => "**acknowledges what no sync covers**",
            Some(per_message) if per_message > 1.5 => "durable, pays more than once",
            Some(_) => "durable",
            None => "cannot be told here",
        };
        let cell = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.3}"));
        let _ = writeln!(out, "| {engine} | {} | {} | {verdict} |", cell(flushes), cell(syncs));
    }
}
