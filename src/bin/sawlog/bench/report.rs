//! What a bench tells: one table for people, the same as JSON for programs.

use std::path::Path;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use sawlog::disk::Description;
use serde_json::{Value, json};

use super::verify::Findings;
use super::work::Written;
use super::{Args, Policy};

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) policy: Policy,
    pub(crate) producers: u32,
    pub(crate) body_bytes: u64,
    pub(crate) written: Written,
    /// How long opening the store again took.
    pub(crate) recovery: Duration,
    pub(crate) findings: Findings,
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
    mean_batch: f64,
    recovery_ms: f64,
}

const MIB: f64 = 1_048_576.0;

impl Row {
    fn figures(&self) -> Figures {
        let Written { tallies, waits, took, syncs, .. } = &self.written;
        let messages: u64 = tallies.iter().map(|tally| tally.count).sum();
        let seconds = took.as_secs_f64().max(1e-9);
        let messages_per_s = messages as f64 / seconds;
        let us = |quantile| waits.value_at_quantile(quantile) as f64 / 1000.0;
        Figures {
            messages,
            messages_per_s,
            mib_per_s: messages_per_s * self.body_bytes as f64 / MIB,
            p50_us: us(0.5),
            p99_us: us(0.99),
            p999_us: us(0.999),
            syncs_per_s: *syncs as f64 / seconds,
            mean_batch: messages as f64 / (*syncs).max(1) as f64,
            recovery_ms: self.recovery.as_secs_f64() * 1000.0,
        }
    }

    fn name(&self) -> String {
        match self.written.kills {
            0 => self.policy.to_string(),
            kills => format!("{}, killed {kills}x", self.policy),
        }
    }

    fn json(&self) -> Value {
        let f = self.figures();
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
            "records_read": self.findings.records,
            "lost": self.findings.lost,
            "duplicated": self.findings.duplicated,
            "wrong": self.findings.wrong,
            "unacknowledged": self.findings.unacknowledged,
            "faults": self.findings.faults,
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
            if f.mean_batch < 1000.0 { format!("{:.1}", f.mean_batch) } else { grouped(f.mean_batch) },
            format!("{:.1}", f.recovery_ms),
            self.findings.lost.to_string(),
            self.findings.duplicated.to_string(),
            self.findings.wrong.to_string(),
        ]
    }
}

/// The table, and under it what a reader of it should know.
pub(crate) fn table(rows: &[Row], disk: &Description) -> String {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_header([
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
    ]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for row in rows {
        table.add_row(row.cells());
    }
    format!("{table}\n{}", notes(rows, disk))
}

fn notes(rows: &[Row], disk: &Description) -> String {
    let read: u64 = rows.iter().map(|row| row.findings.records).sum();
    let mut lines = vec![format!(
        "Read back {} records after reopening: every checksum, every byte of every body, every queue's numbers.",
        grouped(read as f64)
    )];
    lines.push(
        "SYNC_FLUSH acknowledges after a sync, ASYNC_FLUSH once the page cache holds the message; batch is messages \
         per sync."
            .into(),
    );
    for row in rows.iter().filter(|row| row.written.kills > 0) {
        let (kills, beside) = (row.written.kills, row.findings.unacknowledged);
        let kept = match (row.findings.lost, row.findings.duplicated) {
            (0, 0) => "nothing acknowledged was lost or there twice".to_owned(),
            (lost, twice) => format!("{lost} acknowledged messages were lost, {twice} were there twice"),
        };
        lines.push(format!(
            "{}: a writing process was killed (SIGKILL) {kills} times; {kept}; {beside} not yet acknowledged were there.",
            row.policy
        ));
    }
    lines.extend(rows.iter().flat_map(|row| {
        row.findings
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
    let sound = failure.is_none() && rows.iter().all(|row| row.findings.is_sound());
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
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(["0", "999", "1 000", "1 234 568"], [0.4, 999.0, 1000.0, 1_234_567.8].map(grouped)[..]);
    }

    #[test]
    fn a_memory_file_system_is_warned_of() {
        let disk = |in_memory| Description { file_system: "x".into(), device: "y".into(), in_memory };
        assert!(table(&[], &disk(true)).contains("WARNING: this is a memory file system"));
        assert!(!table(&[], &disk(false)).contains("WARNING"));
    }
}
