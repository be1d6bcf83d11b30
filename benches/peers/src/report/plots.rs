//! Waits by producers, throughput by size, what grows with queues and segments, and the tail.

use super::bytes;
use crate::figures::{Figures, Of};
use crate::plot::{Line, Panel, svg};

/// File name and content; a plot of nothing is left out.
pub(super) fn all(figures: &Figures) -> Vec<(&'static str, String)> {
    let named = [
        ("latency.svg", waits(figures)),
        ("throughput.svg", throughput(figures)),
        ("scaling.svg", scaling(figures)),
        ("tail.svg", tail(figures)),
    ];
    let mut engines: Vec<&str> = Vec::new();
    for work in ["W1", "W2", "W3", "W4", "queues", "segments", "tail"] {
        for engine in figures.engines(work) {
            if !engines.contains(&engine) {
                engines.push(engine);
            }
        }
    }
    let drawn = named.into_iter().filter(|(_, panels)| panels.iter().any(|panel| !panel.lines.is_empty()));
    drawn.map(|(name, panels)| (name, svg(&panels, &engines))).collect()
}

/// One line for each engine that was measured at one of these places at least.
fn panel(
    figures: &Figures,
    (title, x_name, y_name): (String, &'static str, &'static str),
    places: &[(String, Of<'_>)],
) -> Panel {
    let mut lines: Vec<Line> = Vec::new();
    for (_, of) in places {
        for engine in figures.engines(of.work) {
            let ys: Vec<_> = places.iter().map(|(_, of)| Some(figures.spread(engine, *of)?.median)).collect();
            if !lines.iter().any(|line| line.engine == engine) && ys.iter().any(Option::is_some) {
                lines.push(Line { engine: engine.to_owned(), ys });
            }
        }
    }
    Panel { title, x_name, y_name, xs: places.iter().map(|(x, _)| x.clone()).collect(), lines }
}

fn waits(figures: &Figures) -> Vec<Panel> {
    let names = [("p50_us", "p50"), ("p99_us", "p99"), ("p999_us", "p99.9")];
    let durable = [("W1", 1), ("W2", 16), ("W2", 64)];
    let buffered = [("W3", 1), ("W4", 4), ("W4", 16)];
    let one = |(policy, loads): (&str, [(&'static str, usize); 3])| {
        names.map(|(metric, name)| {
            let place = |(work, load): (&'static str, usize)| {
                (load.to_string(), Of { work, size: 1024, load, metric })
            };
            let title = format!("{policy}, 1 KiB: {name}");
            panel(figures, (title, "producers", "microseconds"), &loads.map(place))
        })
    };
    [one(("SYNC", durable)), one(("ASYNC", buffered))].into_iter().flatten().collect()
}

fn throughput(figures: &Figures) -> Vec<Panel> {
    let works = [("W1", "SYNC, one producer"), ("W3", "ASYNC, one producer"), ("W5", "read in order")];
    let one = |(work, name): (&'static str, &str)| {
        let sizes = figures.shapes(work).into_iter();
        let places: Vec<_> =
            sizes.map(|(size, load)| (bytes(size), Of { work, size, load, metric: "per_s" })).collect();
        panel(figures, (name.to_owned(), "body", "messages a second"), &places)
    };
    works.map(one).into()
}

fn scaling(figures: &Figures) -> Vec<Panel> {
    let works =
        [("queues", "p50_us", "Append by queues, p50"), ("segments", "p50_us", "Append by segments, p50")];
    let one = |(work, metric, name): (&'static str, &'static str, &str)| {
        let loads = figures.shapes(work).into_iter();
        let places: Vec<_> =
            loads.map(|(size, load)| (load.to_string(), Of { work, size, load, metric })).collect();
        panel(figures, (name.to_owned(), work, "microseconds"), &places)
    };
    works.map(one).into()
}

fn tail(figures: &Figures) -> Vec<Panel> {
    let mut beyond: Vec<(u32, &str)> = figures
        .metrics("tail", "beyond_")
        .into_iter()
        .filter_map(|metric| {
            Some((metric.strip_prefix("beyond_")?.strip_suffix("_us")?.parse().ok()?, metric))
        })
        .collect();
    beyond.sort_unstable();
    let short = |micros: u32| match micros {
        m if m >= 1 << 20 => format!("{}s", m >> 20),
        m if m >= 1 << 10 => format!("{}m", m >> 10),
        m => m.to_string(),
    };
    let places: Vec<_> = beyond
        .into_iter()
        .map(|(micros, metric)| (short(micros), Of { work: "tail", size: 1024, load: 1, metric }))
        .collect();
    let title = "ASYNC at half the maximum rate".to_owned();
    vec![panel(figures, (title, "microseconds (m: thousands)", "share that waits longer"), &places)]
}
