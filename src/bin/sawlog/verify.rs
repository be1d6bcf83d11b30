//! `sawlog verify`: every byte of log, queues and key index against each other, with a bar and a rate.

use std::ops::ControlFlow;

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use sawlog::LogOffset;
use sawlog::clock::{Clock, SystemClock};
use sawlog::inspect::{
    Fault, FaultKind, Look, Progress, SegmentFound, Stage, Told, Verification, VerifyOptions,
};
use serde_json::{Value, json};

use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::output::{Kind, Out};
use crate::store::StoreArgs;

pub(crate) const EXAMPLES: &str = "\
Examples:
  sawlog verify /var/lib/store
  sawlog verify /var/lib/store --json > faults.jsonl      the faults, and at the end one object for all
  sawlog verify /var/lib/store --from 107374182400        go on where an interrupted one ended
  sawlog verify /var/lib/store --quiet || alert           the exit code alone

What a crash leaves and opening puts right (a torn tail, queues behind the log) is told and is no damage.
Exit codes: 0 no damage; 1 damage was found; 2 usage; 3 it is no store, or cannot be read; 130 interrupted.";

/// See the file's text.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// From this offset of the log on, at which a record must begin
    #[arg(long, value_name = "OFFSET")]
    from: Option<u64>,
    /// Threads that read the log [default: one for each processor, at most 8]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Print nothing but an error
    #[arg(long, conflicts_with = "json")]
    quiet: bool,
    /// The faults as one JSON object a line, and at the end one for the whole
    #[arg(long)]
    json: bool,
}

/// See the file's text.
pub(crate) fn run(args: &Args) -> Result<()> {
    let interrupt = Interrupt::listen()?;
    let mut options = VerifyOptions::new();
    if let Some(from) = args.from {
        begins(&args.store.look(), LogOffset(from))?;
        options = options.from(LogOffset(from));
    }
    if let Some(threads) = args.threads {
        options = options.threads(threads);
    }
    let (clock, mut out) = (SystemClock::new(), Out::new());
    let show = Show { quiet: args.quiet, json: args.json };
    let done = look_over(&args.store.look(), &options, show, &mut out, &interrupt)?;
    if !args.quiet {
        let line = match args.json {
            true => verification_json(&done).to_string(),
            false => summary(&done, clock.elapsed().as_secs_f64(), &out),
        };
        out.line(line)?;
        out.flush()?;
    }
    match (done.damages(), done.complete) {
        (0, true) => Ok(()),
        (0, false) => Err(Failure::Interrupted),
        (damages, _) => Err(Failure::Damaged(places(damages))),
    }
}

/// Refuses a place within a record: what stands there is no damage. Walks the records of one segment up to it; behind
/// damage it cannot tell, and lets the place be.
fn begins(look: &Look, from: LogOffset) -> Result<()> {
    let survey = look.survey().map_err(Failure::of_store)?;
    let holds = |segment: &&SegmentFound| segment.base <= from && from < segment.base.plus(segment.len);
    let Some(segment) = survey.segments.iter().find(holds).filter(|segment| segment.base < from) else {
        return Ok(());
    };
    let reader = look.reader().map_err(Failure::of_store)?;
    for record in reader.scan(segment.base) {
        let Ok(record) = record else { return Ok(()) };
        let at = record.position.offset;
        let next = at.plus(u64::from(record.position.len));
        if at < from && from < next {
            let why = format!("no record begins at {from}: one reaches from {at} to {next}");
            return Err(Failure::Usage(why));
        }
        if from <= at {
            break;
        }
    }
    Ok(())
}

/// What of the faults is printed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Show {
    pub(crate) quiet: bool,
    pub(crate) json: bool,
}

/// Verifies a store, with a bar, and prints each fault as it is found.
pub(crate) fn look_over(
    look: &Look,
    options: &VerifyOptions,
    show: Show,
    out: &mut Out,
    interrupt: &Interrupt,
) -> Result<Verification> {
    let bar = if show.quiet { ProgressBar::hidden() } else { bar() };
    let mut printed = Ok(());
    let done = look.verify(options, |told| {
        match told {
            Told::Fault(fault) if !show.quiet => {
                let line = if show.json { fault_json(fault).to_string() } else { fault_line(fault, out) };
                // The bar steps aside while a line is printed.
                let shown = bar.suspend(|| out.line(line).and_then(|()| out.flush()));
                if printed.is_ok() {
                    printed = shown;
                }
            }
            Told::Progress(progress) => progressed(&bar, &progress, "log"),
            _ => {}
        }
        if interrupt.is_asked() || printed.is_err() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    bar.finish_and_clear();
    printed?;
    done.map_err(Failure::of_store)
}

/// Moves the bar; `log` names the first stage.
pub(crate) fn progressed(bar: &ProgressBar, progress: &Progress, log: &'static str) {
    bar.set_length(progress.of_bytes);
    bar.set_position(progress.bytes);
    bar.set_message(match progress.stage {
        Stage::Queues => "queues",
        Stage::Index => "key index",
        _ => log,
    });
}

/// Draws on standard error, and only if that is a terminal.
pub(crate) fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    let template = "{msg:9} [{bar:40}] {bytes} of {total_bytes}, {binary_bytes_per_sec}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("█▌·"));
    }
    bar
}

pub(crate) fn fault_line(fault: &Fault, out: &Out) -> String {
    let kind = if fault.kind.is_damage() { Kind::Bad } else { Kind::Name };
    let text = fault.to_string();
    let rest = text.strip_prefix(fault.kind.name()).unwrap_or(&text);
    let meaning = out.paint(Kind::Aside, fault.kind.meaning());
    format!("{}{rest}\n    {meaning}", out.paint(kind, fault.kind.name()))
}

pub(crate) fn summary(done: &Verification, seconds: f64, out: &Out) -> String {
    let verdict = match (done.damages(), done.complete) {
        (0, true) => out.paint(Kind::Good, "sound"),
        (0, false) => "sound so far".to_owned(),
        (damages, _) => out.paint(Kind::Bad, places(damages)),
    };
    let rate = rate(done.bytes, seconds);
    let mut text = format!(
        "{verdict}: {}, {} of log from {} to {} ({rate}); {} of {}; {}",
        count(done.records, "record", "records"),
        HumanBytes(done.bytes),
        done.from,
        done.to,
        count(done.entries, "entry", "entries"),
        count(done.queues, "queue", "queues"),
        count(done.keys, "key", "keys")
    );
    for (kind, count) in done.counts.iter() {
        let shown = if kind.is_damage() { Kind::Bad } else { Kind::Name };
        text.push_str(&format!("\n  {} {}: {}", count, out.paint(shown, kind), kind.meaning()));
    }
    if let Some(next) = done.resume_from {
        text.push_str(&format!("\nbroken off; go on with --from {next}"));
    }
    text
}

pub(crate) fn places(damages: u64) -> String {
    count(damages, "place of damage", "places of damage")
}

/// So many of something, in words.
pub(crate) fn count(many: u64, one: &str, more: &str) -> String {
    format!("{many} {}", if many == 1 { one } else { more })
}

/// Bytes a second, as people say it.
fn rate(bytes: u64, seconds: f64) -> String {
    let whole = std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let nanos = whole.as_nanos().max(1);
    let each = u128::from(bytes).saturating_mul(1_000_000_000) / nanos;
    format!("{}/s", HumanBytes(u64::try_from(each).unwrap_or(u64::MAX)))
}

pub(crate) fn fault_json(fault: &Fault) -> Value {
    json!({
        "fault": fault.kind.name(),
        "damage": fault.kind.is_damage(),
        "path": fault.path,
        "at": fault.at,
        "log": fault.log.map(|at| at.0),
        "log_to": fault.log_to.map(|at| at.0),
        "topic": fault.message.as_ref().map(|message| &message.topic),
        "queue": fault.message.as_ref().map(|message| message.queue_id),
        "queue_offset": fault.message.as_ref().map(|message| message.queue_offset.0),
        "count": fault.count,
        "quarantined": fault.quarantined,
        "what": fault.what,
        "meaning": fault.kind.meaning(),
    })
}

pub(crate) fn verification_json(done: &Verification) -> Value {
    let count =
        |kind: &FaultKind| (kind.name().to_owned(), json!(done.counts.get(kind).copied().unwrap_or(0)));
    json!({
        "complete": done.complete,
        "damages": done.damages(),
        "from": done.from.0,
        "to": done.to.0,
        "resume_from": done.resume_from.map(|at| at.0),
        "log_end": done.log_end.map(|at| at.0),
        "records": done.records,
        "bytes": done.bytes,
        "queues": done.queues,
        "entries": done.entries,
        "keys": done.keys,
        "behind": done.behind,
        "counts": Value::Object(FaultKind::ALL.iter().map(count).collect()),
    })
}
