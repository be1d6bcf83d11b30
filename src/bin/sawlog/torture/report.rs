//! What a torture tells: one table for people, the same as JSON for programs.

use std::sync::atomic::Ordering;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use super::support::torture::{Bar, Tally};

/// One sweep, done.
pub(crate) struct Row {
    bars: String,
    tries: &'static str,
    cases: u64,
    pub(crate) violated: u64,
    /// The command that tries the first ones again, and what was seen.
    pub(crate) violations: Vec<(String, String)>,
    met: Vec<(String, u64)>,
    took: Duration,
    /// The time was over before all had been tried.
    cut_short: bool,
}

impl Row {
    pub(crate) fn new(bar: &Bar, tally: &Tally, took: Duration, seed: u64, cut_short: bool) -> Row {
        let first = bar.names.first().copied().unwrap_or_default();
        let again = |case: u64| {
            format!(
                "cargo run --release --features cli,sim -- torture --seed {seed} --bar {first} --case {case}"
            )
        };
        Row {
            bars: bar.title(),
            tries: bar.tries,
            cases: tally.cases.load(Ordering::Relaxed),
            violated: tally.violated.load(Ordering::Relaxed),
            violations: tally.kept().into_iter().map(|v| (again(v.case), v.why)).collect(),
            met: tally.all_met(),
            took,
            cut_short,
        }
    }
}

/// The table, and below it what was met and what was violated.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["bar", "cases", "violations", "s", "what is tried"]);
    for row in rows {
        let short = if row.cut_short { " (cut short)" } else { "" };
        table.add_row([
            row.bars.clone(),
            row.cases.to_string(),
            row.violated.to_string(),
            format!("{:.1}", row.took.as_secs_f64()),
            format!("{}{short}", row.tries),
        ]);
    }
    for column in 1..4 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = vec![table.to_string()];
    for row in rows.iter().filter(|row| !row.met.is_empty()) {
        let met: Vec<_> = row.met.iter().map(|(what, times)| format!("{what} {times}")).collect();
        text.push(format!("{}: {}", row.bars, met.join(", ")));
    }
    for (again, why) in rows.iter().flat_map(|row| &row.violations) {
        text.push(format!("VIOLATION {why}\n  again: {again}"));
    }
    text.join("\n")
}

pub(crate) fn json(rows: &[Row], seed: u64, threads: usize, took: Duration) -> Value {
    let row = |row: &Row| {
        let met: serde_json::Map<_, _> =
            row.met.iter().map(|(what, times)| (what.clone(), json!(times))).collect();
        let violations: Vec<_> =
            row.violations.iter().map(|(again, why)| json!({ "again": again, "why": why })).collect();
        json!({
            "bars": row.bars, "tries": row.tries, "cases": row.cases, "violations": row.violated,
            "first_violations": violations, "met": met, "seconds": row.took.as_secs_f64(),
            "cut_short": row.cut_short,
        })
    };
    json!({
        "seed": seed, "threads": threads, "seconds": took.as_secs_f64(),
        "bars": rows.iter().map(row).collect::<Vec<_>>(),
    })
}
