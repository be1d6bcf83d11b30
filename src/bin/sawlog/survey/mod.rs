//! `sawlog survey`: what is in a store, with a picture of its log.

mod json;
mod picture;

use comfy_table::Table;
use comfy_table::presets::UTF8_BORDERS_ONLY;
use sawlog::clock::Timestamp;
use sawlog::disk::Holder;
use sawlog::inspect::{Opening, Survey, WriterState};

use crate::failure::{Failure, Result};
use crate::output::{Kind, Out};
use crate::store::StoreArgs;
use crate::verify::count;

pub(crate) const EXAMPLES: &str = "\
Examples:
  sawlog survey /var/lib/store
  sawlog survey /var/lib/store --json | jq .opening

Exit codes: 0 it opens, or somebody has it open; 1 opening would refuse it as damaged; 2 usage; 3 it is no
store, or cannot be read.";

/// So many queues are shown unless all are asked for.
const SHOWN_QUEUES: usize = 40;

/// See the file's text.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// Show every queue
    #[arg(long)]
    all: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// See the file's text.
pub(crate) fn run(args: &Args) -> Result<()> {
    let survey = args.store.look().survey().map_err(Failure::of_store)?;
    let mut out = Out::new();
    if args.json {
        out.line(json::survey(&survey))?;
    } else {
        show(&survey, args.all, &mut out)?;
    }
    out.flush()?;
    match survey.opening {
        Opening::Refused { why, .. } => Err(Failure::of_store(why)),
        _ => Ok(()),
    }
}

fn show(survey: &Survey, all: bool, out: &mut Out) -> Result<()> {
    let held = match survey.holder {
        Holder::Nobody => "held by nobody".to_owned(),
        Holder::Held { pid: Some(pid) } => format!("held by process {pid}"),
        Holder::Held { pid: None } => "held by a process that cannot be named".into(),
        _ => "it cannot be told whether somebody holds it".into(),
    };
    let system = if survey.file_system.is_empty() { "an unknown file system" } else { &survey.file_system };
    out.line(format_args!("{} on {system}; {held}", out.paint(Kind::Name, survey.root.display())))?;
    out.line("")?;
    log(survey, out)?;
    queues(survey, all, out)?;
    index(survey, out)?;
    marks(survey, out)?;
    let mut odd = survey.odd.iter().peekable();
    if odd.peek().is_some() {
        out.line("")?;
    }
    for odd in odd {
        out.line(format_args!("{} {}: {}", out.paint(Kind::Bad, "odd"), odd.path.display(), odd.why))?;
    }
    for (path, bytes) in &survey.kept {
        out.line(format_args!("kept by an earlier recovery: {}, {bytes} bytes", path.display()))?;
    }
    out.line("")?;
    let kind = match &survey.opening {
        Opening::Refused { .. } => Kind::Bad,
        Opening::Opens(_) => Kind::Good,
        _ => Kind::Plain,
    };
    out.line(out.paint(kind, &survey.opening))
}

fn log(survey: &Survey, out: &mut Out) -> Result<()> {
    let Some(bytes) = survey.segment_bytes else { return out.line("log: no segment") };
    let first = survey.segments.first().map(|s| s.base).unwrap_or_default();
    let segments = count(survey.segments.len() as u64, "segment", "segments");
    out.line(format_args!("log: {segments} of {bytes} bytes, from offset {first} on"))?;
    picture::draw(survey, out)?;
    for (from, to) in &survey.missing {
        out.line(format_args!("  {} {from} to {to}, where no file is", out.paint(Kind::Bad, "missing:")))?;
    }
    for part in &survey.quarantined {
        out.line(format_args!(
            "  {} {} to {}, damage that is stepped over",
            out.paint(Kind::Bad, "quarantined:"),
            part.from,
            part.to
        ))?;
    }
    Ok(())
}

fn queues(survey: &Survey, all: bool, out: &mut Out) -> Result<()> {
    out.line("")?;
    let count = survey.queues.len();
    let Some(entries) = survey.queue_segment_entries else { return out.line("queues: no file") };
    out.line(format_args!("queues: {count}, with files of {entries} entries"))?;
    let mut table = Table::new();
    table.load_preset(UTF8_BORDERS_ONLY).set_header(["queue", "min", "max", "files", "bytes"]);
    let shown = if all { count } else { SHOWN_QUEUES };
    for queue in survey.queues.iter().take(shown) {
        let name = format!("{}/{}", queue.topic, queue.id);
        let numbers = [queue.min.0, queue.max.0, queue.files, queue.bytes].map(|n| n.to_string());
        table.add_row(std::iter::once(name).chain(numbers));
    }
    out.line(table)?;
    if count > shown {
        out.line(format_args!("and {} more; --all shows them", count - shown))?;
    }
    Ok(())
}

fn index(survey: &Survey, out: &mut Out) -> Result<()> {
    out.line("")?;
    let Some(index) = &survey.index else { return out.line("key index: no file") };
    match index.geometry {
        Some((slots, entries)) => {
            let count = index.files.len();
            out.line(format_args!("key index: {count}, files of {slots} slots and {entries} entries"))?;
        }
        None => out.line("key index: divided in a way that its files do not tell; see --index-slots")?,
    }
    let mut table = Table::new();
    table.load_preset(UTF8_BORDERS_ONLY).set_header(["file", "keys", "first stored", "last stored", "bytes"]);
    for file in &index.files {
        let name = file.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let keys = file.keys.map_or_else(|| "-".into(), |keys| keys.to_string());
        let (from, to) =
            file.stored.map_or(("-".into(), "-".into()), |(from, to)| (from.to_string(), to.to_string()));
        table.add_row([name, keys, from, to, file.len.to_string()]);
    }
    out.line(table)
}

fn marks(survey: &Survey, out: &mut Out) -> Result<()> {
    out.line("")?;
    if let Some(mark) = &survey.mark {
        let state = match mark.state {
            WriterState::Open => "is writing, or was killed",
            WriterState::Closed => "closed in order",
            WriterState::Failed => "had a sync that failed",
        };
        let boot = match mark.same_boot {
            Some(true) => "; the system has run on since",
            Some(false) => "; the system was started again since",
            None => "",
        };
        out.line(format_args!("sawlog wrote from {} on, and {state}{boot}", mark.ours_from))?;
        out.line(format_args!("  durable up to {}, window {} bytes", mark.durable, mark.window_bytes))?;
    } else {
        out.line("sawlog has not written here")?;
    }
    for (from, to) in &survey.ranges {
        let to = if to.0 == u64::MAX { "on".to_owned() } else { format!("to {to}") };
        out.line(format_args!("  records with checksums of their own from {from} {to}"))?;
    }
    if let Some(snapshot) = &survey.snapshot {
        let files = if snapshot.has_files { "durable in files" } else { "counted, and not in files" };
        let (queues, to) = (count(snapshot.queues, "queue", "queues"), snapshot.derived_to);
        out.line(format_args!("  {queues} derived up to {to}, {files}"))?;
        for (topic, to) in &snapshot.dropped {
            out.line(format_args!("  topic {topic} was dropped: its records below {to} do not count"))?;
        }
    }
    if let Some(abort) = &survey.abort {
        let who = if abort.ours { "sawlog" } else { "another program" };
        let pid = abort.pid.map(|pid| format!(" (process {pid})")).unwrap_or_default();
        out.line(format_args!("abort: {who}{pid} has it open, or did not close it in order"))?;
    }
    if let Some(saved) = &survey.checkpoint {
        // A broker begins with zeros, and leaves the index's so until an index file is full.
        let time = |at: Timestamp| if at.0 == 0 { "nothing yet".into() } else { at.to_string() };
        let [log, queues, index] = [saved.log, saved.queues, saved.index].map(time);
        out.line(format_args!("checkpoint: log {log}, queues {queues}, index {index}"))?;
    }
    Ok(())
}
