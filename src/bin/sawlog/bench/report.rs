//! What a bench tells: one table for people, the same as JSON for programs.

use std::path::Path;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use hdrhistogram::Histogram;
use sawlog::disk::Description;
use serde_json::{Value, json};

use super::verify::Reopened;
use super::work::Written;
use super::{Args, Policy};

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) policy: Policy,
    pub(crate) producers: u32,
    pub(crate) body_bytes: u64,
    pub(crate) written: Written,
    pub(crate) reopened: Reopened,
}

/// The row's figures, each worked out once for both readers.
struct Figures {
    messages: u64,
    messages_per_s: f64,
    mib_per_s: f64,
    p50_us: f64,
    p99_us: f64,
    p999_us: f64,
    syncs_per_s: f64,
    /// Messages per sync; `None` if the row was too short for one.
    mean_batch: Option<f64>,
    recovery_ms: f64,
    /// `None` if the writer was killed.
    dispatch_lag_ms: Option<f64>,
    queue_messages_per_s: f64,
    queue_mib_per_s: f64,
    find_p50_us: f64,
    find_p99_us: f64,
}

const MIB: f64 = 1_048_576.0;

impl Row {
    fn figures(&self) -> Figures {
        let Written { tallies, waits, took, syncs, dispatch_lag, .. } = &self.written;
        let messages: u64 = tallies.iter().map(|tally| tally.count).sum();
        let seconds = took.as_secs_f64().max(1e-9);
        let messages_per_s = messages as f64 / seconds;
        let us = |of: &Histogram<u64>, quantile| of.value_at_quantile(quantile) as f64 / 1000.0;
        let ms = |took: Duration| took.as_secs_f64() * 1000.0;
        let consumed = &self.reopened.consumed;
        let queue_messages_per_s = consumed.records as f64 / consumed.took.as_secs_f64().max(1e-9);
        Figures {
            messages,
            messages_per_s,
            mib_per_s: messages_per_s * self.body_bytes as f64 / MIB,
            p50_us: us(waits, 0.5),
            p99_us: us(waits, 0.99),
            p999_us: us(waits, 0.999),
            syncs_per_s: *syncs as f64 / seconds,
            mean_batch: (*syncs > 0).then(|| messages as f64 / *syncs as f64),
            recovery_ms: ms(self.reopened.took),
            dispatch_lag_ms: dispatch_lag.map(ms),
            queue_messages_per_s,
            queue_mib_per_s: queue_messages_per_s * self.body_bytes as f64 / MIB,
            find_p50_us: us(&consumed.finds, 0.5),
            find_p99_us: us(&consumed.finds, 0.99),
        }
    }

    fn name(&self) -> String {
        match self.written.kills {
            0 => self.policy.to_string(),
            kills => format!("{}, killed {kills}x", self.policy),
        }
    }

    fn json(&self) -> Value {
        let (f, findings) = (self.figures(), &self.reopened.findings);
        json!({
            "policy": self.policy.to_string(),
            "producers": self.producers,
            "killed": self.written.kills > 0,
            "kills": self.written.kills,
            "messages": f.messages,
            "messages_per_s": f.messages_per_s,
            "mib_per_s": f.mib_per_s,
            "p50_us": f.p50_us,
            "p99_us": f.p99_us,
            "p999_us": f.p999_us,
            "syncs_per_s": f.syncs_per_s,
            "mean_batch": f.mean_batch,
            "recovery_ms": f.recovery_ms,
            "dispatch_lag_ms": f.dispatch_lag_ms,
            "queue_records_read": self.reopened.consumed.records,
            "queue_messages_per_s": f.queue_messages_per_s,
            "queue_mib_per_s": f.queue_mib_per_s,
            "finds": self.reopened.consumed.finds.len(),
            "find_p50_us": f.find_p50_us,
            "find_p99_us": f.find_p99_us,
            "records_read": findings.records,
            "lost": findings.lost,
            "duplicated": findings.duplicated,
            "wrong": findings.wrong,
            "unacknowledged": findings.unacknowledged,
            "faults": findings.faults,
        })
    }

    fn cells(&self) -> Vec<String> {
        let f = self.figures();
        vec![
            self.name(),
            self.producers.to_string(),
            grouped(f.messages_per_s),
            format!("{:.1}", f.mib_per_s),
            micros(f.p50_us),
            micros(f.p99_us),
            micros(f.p999_us),
            if f.syncs_per_s < 100.0 { format!("{:.1}", f.syncs_per_s) } else { grouped(f.syncs_per_s) },
            match f.mean_batch {
                None => "–".into(),
                Some(batch) if batch < 1000.0 => format!("{batch:.1}"),
                Some(batch) => grouped(batch),
            },
            format!("{:.1}", f.recovery_ms),
            self.reopened.findings.lost.to_string(),
            self.reopened.findings.duplicated.to_string(),
            self.reopened.findings.wrong.to_string(),
        ]
    }

    fn reading_cells(&self) -> Vec<String> {
        let f = self.figures();
        vec![
            self.name(),
            self.producers.to_string(),
            f.dispatch_lag_ms.map_or_else(|| "–".into(), |ms| format!("{ms:.1}")),
            grouped(f.queue_messages_per_s),
            format!("{:.1}", f.queue_mib_per_s),
            micros(f.find_p50_us),
            micros(f.find_p99_us),
        ]
    }
}

/// The tables, and under them what a reader of them should know.
pub(crate) fn table(rows: &[Row], disk: &Description) -> String {
    let writing = one_table(rows, &WRITING, Row::cells);
    let reading = one_table(rows, &READING, Row::reading_cells);
    format!("{writing}\n{reading}\n{}", notes(rows, disk))
}

const WRITING: [&str; 13] = [
    "policy",
    "prod.",
    "messages/s",
    "MiB/s",
    "p50 µs",
    "p99 µs",
    "p99.9 µs",
    "syncs/s",
    "batch",
    "reopen ms",
    "lost",
    "dup.",
    "wrong",
];
const READING: [&str; 7] =
    ["policy", "prod.", "dispatch lag ms", "through queues/s", "MiB/s", "by key p50 µs", "p99 µs"];

fn one_table(rows: &[Row], header: &[&str], cells: impl Fn(&Row) -> Vec<String>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_header(header.iter().copied());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for row in rows {
        table.add_row(cells(row));
    }
    table
}

fn notes(rows: &[Row], disk: &Description) -> String {
    let read: u64 = rows.iter().map(|row| row.reopened.findings.records).sum();
    let mut lines = vec![format!(
        "Read back {} records after reopening, through their queues and in log order: every checksum, every byte of \
         every body, every queue's numbers; and a thousand of each row by key.",
        grouped(read as f64)
    )];
    lines.push(
        "SYNC_FLUSH acknowledges after a sync, ASYNC_FLUSH once the page cache holds the message; batch is messages \
         per sync."
            .into(),
    );
    lines.push(
        "The dispatch lag is the time from the last acknowledgement until every message was in its queue; reading \
         through queues is timed in one thread, with every body made again and compared."
            .into(),
    );
    for row in rows.iter().filter(|row| row.written.kills > 0) {
        let (kills, beside) = (row.written.kills, row.reopened.findings.unacknowledged);
        let kept = match (row.reopened.findings.lost, row.reopened.findings.duplicated) {
            (0, 0) => "nothing acknowledged was lost or there twice".to_owned(),
            (lost, twice) => format!("{lost} acknowledged messages were lost, {twice} were there twice"),
        };
        lines.push(format!(
            "{}: a writing process was killed (SIGKILL) {kills} times; {kept}; {beside} not yet acknowledged were there.",
            row.policy
        ));
    }
    lines.extend(rows.iter().flat_map(|row| {
        row.reopened
            .findings
            .faults
            .iter()
            .map(move |fault| format!("FAULT in {}, {}: {fault}", row.name(), row.producers))
    }));
    lines.extend(warning(disk).map(str::to_owned));
    lines.join("\n")
}

/// What must be said of this disk.
pub(crate) fn warning(disk: &Description) -> Option<&'static str> {
    disk.in_memory.then_some(
        "WARNING: this is a memory file system. A sync is free here and keeps nothing: these figures say nothing \
         about a disk. Name one with --dir.",
    )
}

/// The whole run as one object.
pub(crate) fn json(
    rows: &[Row],
    args: &Args,
    disk: &Description,
    wall: Duration,
    failure: Option<String>,
) -> Value {
    let sound = failure.is_none() && rows.iter().all(|row| row.reopened.findings.is_sound());
    json!({
        "sawlog": env!("CARGO_PKG_VERSION"),
        "disk": disk.device,
        "file_system": disk.file_system,
        "in_memory": disk.in_memory,
        "dir": args.dir.as_deref().map(Path::to_string_lossy),
        "seconds": args.seconds.as_secs_f64(),
        "bytes": args.bytes,
        "segment_bytes": args.segment_bytes,
        "wall_s": wall.as_secs_f64(),
        "sound": sound,
        "failure": failure,
        "rows": rows.iter().map(Row::json).collect::<Vec<_>>(),
    })
}

fn micros(us: f64) -> String {
    if us < 100.0 { format!("{us:.1}") } else { grouped(us) }
}

/// A whole number with its thousands apart.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut out = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n) % 3 == 0 {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
