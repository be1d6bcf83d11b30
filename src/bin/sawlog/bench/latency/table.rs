//! The percentiles as a table with bars, for a terminal.

use comfy_table::Table;
use comfy_table::presets::UTF8_BORDERS_ONLY;

use super::{Run, f64_of};

/// What is shown of a distribution.
pub(super) const QUANTILES: [(&str, f64); 6] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999), ("max", 1.0)];

/// The longest bar, in characters.
const BAR: f64 = 24.0;
/// Where a bar begins, in nanoseconds: a bar's length tells orders of magnitude.
const LEAST_NS: f64 = 100.0;

/// See the file's text.
pub(super) fn text(runs: &[Run]) -> String {
    let mut lines = Vec::new();
    let most = runs.iter().map(|run| run.waits.max()).max().unwrap_or(0);
    for run in runs {
        let mut table = Table::new();
        table.load_preset(UTF8_BORDERS_ONLY);
        for (name, quantile) in QUANTILES {
            let wait = run.waits.value_at_quantile(quantile);
            table.add_row([name.to_owned(), shown(wait), bar(wait, most)]);
        }
        let unsent = match run.unsent {
            0 => String::new(),
            unsent => format!("; {unsent} were due and never sent, for the disk did not keep up"),
        };
        let (count, rate, syncs) = (run.waits.len(), run.rate(), run.syncs);
        lines.push(format!("{}: {count} messages, {rate:.0} a second, {syncs} syncs{unsent}", run.policy));
        lines.push(table.to_string());
    }
    lines.join("\n")
}

/// Nanoseconds as people say them.
pub(super) fn shown(wait_ns: u64) -> String {
    let ns = f64_of(wait_ns);
    match wait_ns {
        0..1_000 => format!("{wait_ns} ns"),
        1_000..1_000_000 => format!("{:.1} µs", ns / 1e3),
        1_000_000..1_000_000_000 => format!("{:.2} ms", ns / 1e6),
        _ => format!("{:.2} s", ns / 1e9),
    }
}

fn bar(wait_ns: u64, most_ns: u64) -> String {
    let decades = |ns: u64| (f64_of(ns) / LEAST_NS).max(1.0).log10();
    let part = decades(wait_ns) / decades(most_ns).max(f64::MIN_POSITIVE);
    let mut bar = String::new();
    let mut length = 0.5;
    while length < part * BAR && length < BAR {
        bar.push('█');
        length += 1.0;
    }
    bar
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
