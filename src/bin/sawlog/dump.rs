//! `sawlog dump`: messages as JSON lines.

use sawlog::inspect::Reader;
use sawlog::{Bound, Corruption, Error, LogOffset, LogRange, QueueOffset, Record};
use serde_json::Value;

use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::output::Out;
use crate::records::{self, BodyAs, Times};
use crate::store::{StoreArgs, say_if_absent};

pub(crate) const EXAMPLES: &str = "\
Examples:
  sawlog dump /var/lib/store --limit 10             the first ten messages of the log
  sawlog dump /var/lib/store --topic orders --queue 3 --from 1000 --to 1100
  sawlog dump /var/lib/store --topic orders --key order-42 --body hex
  sawlog dump /var/lib/store --time 2024-05-01..2024-05-02 | jq .body

One JSON object a line, in log order (with --queue: in queue order; with --key: newest first). Damage
that is listed (`sawlog repair --damage quarantine`) is stepped over, other damage ends the output; the exit code is 1
after both. `sawlog verify` tells where whole records begin behind it.";

/// See the file's text.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// Only messages of this topic
    #[arg(long)]
    topic: Option<String>,
    /// Only messages of this queue, in its order
    #[arg(long, requires = "topic", value_name = "ID")]
    queue: Option<u32>,
    /// From this offset on, in the log (there a record must begin) or, with --queue, in the queue
    #[arg(long, value_name = "OFFSET")]
    from: Option<u64>,
    /// Up to this offset, and without it
    #[arg(long, value_name = "OFFSET")]
    to: Option<u64>,
    /// Only messages that carry this key or unique id, newest first
    #[arg(long, requires = "topic", conflicts_with_all = ["queue", "from", "to"])]
    key: Option<String>,
    /// Only messages stored in this time: WHEN, WHEN..WHEN, ..WHEN, as RFC 3339 or milliseconds
    #[arg(long, value_name = "WHEN", value_parser = Times::parse)]
    time: Option<Times>,
    /// At most so many messages
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// The fields and bytes as they are stored, too
    #[arg(long)]
    raw: bool,
    /// How bodies are printed
    #[arg(long, value_enum, default_value = "text", value_name = "FORM")]
    body: BodyAs,
    /// JSON lines, which is all that this command prints
    #[arg(long, hide_short_help = true)]
    json: bool,
}

/// See the file's text.
pub(crate) fn run(args: &Args) -> Result<()> {
    let interrupt = Interrupt::listen()?;
    let reader = args.store.reader()?;
    let mut out = Out::new();
    let done = print(args, &reader, &mut out, &interrupt);
    // What was printed before a failure is shown before it.
    out.flush()?;
    done
}

fn print(args: &Args, reader: &Reader, out: &mut Out, interrupt: &Interrupt) -> Result<()> {
    let times = args.time.unwrap_or(Times::ALL);
    let mut left = args.limit.unwrap_or(usize::MAX);
    let mut failed = None;
    let (mut found, mut listed) = (records(args, reader, times, args.from)?, None);
    while let Some(record) = found.next() {
        interrupt.check()?;
        let record = match record {
            Ok(record) => record,
            // A damaged record hides no other one from a search by key; where one follows the other it ends, unless the
            // damage is on the list of what is stepped over.
            Err(Error::Corrupt(damage)) => {
                let next = behind(args, &damage, &mut listed)?;
                failed = Some(Failure::Damaged(told(args, &damage, next)));
                match next {
                    _ if args.key.is_some() => continue,
                    Some(next) => {
                        found = records(args, reader, times, Some(next.0))?;
                        continue;
                    }
                    None => break,
                }
            }
            Err(error) => return Err(Failure::of_store(error)),
        };
        if !times.hold(record.stored) || args.topic.as_ref().is_some_and(|t| record.topic().as_str() != t) {
            continue;
        }
        if left == 0 {
            break;
        }
        left -= 1;
        let mut object = records::json(&record, args.body);
        if args.raw {
            let bytes = reader.raw(record.position).map_err(Failure::of_store)?;
            object.insert("raw".into(), records::raw(&record, &bytes));
        }
        out.line(Value::Object(object))?;
    }
    let is_empty = left == args.limit.unwrap_or(usize::MAX);
    if let Some(topic) = args.topic.as_ref().filter(|_| is_empty) {
        out.flush()?;
        say_if_absent(reader, topic, args.queue)?;
    }
    failed.map_or(Ok(()), Err)
}

/// Where a listed part of the log ends that this damage lies in. What is listed is asked for once, at the first damage.
fn behind(args: &Args, damage: &Corruption, listed: &mut Option<Vec<LogRange>>) -> Result<Option<LogOffset>> {
    if args.queue.is_some() || args.key.is_some() {
        return Ok(None);
    }
    let listed = match listed {
        Some(known) => known,
        None => listed.insert(args.store.look().survey().map_err(Failure::of_store)?.quarantined),
    };
    Ok(listed.iter().find(|part| part.from <= damage.at && damage.at < part.to).map(|part| part.to))
}

fn told(args: &Args, damage: &Corruption, next: Option<LogOffset>) -> String {
    match next {
        Some(next) => format!("{damage}; listed, and stepped over up to {next}"),
        None if args.queue.is_some() || args.key.is_some() => damage.to_string(),
        None => format!("{damage}; go on behind it with --from, at a place that `sawlog verify` tells"),
    }
}

type Records = Box<dyn Iterator<Item = sawlog::Result<Record>>>;

fn records(args: &Args, reader: &Reader, times: Times, begin: Option<u64>) -> Result<Records> {
    let (from, to) = (begin.unwrap_or(0), args.to.unwrap_or(u64::MAX));
    Ok(match (&args.topic, args.queue, &args.key) {
        (Some(topic), _, Some(key)) => {
            let found = reader.find(topic, key).between(times.from..=times.to);
            Box::new(found.at_most(args.limit.unwrap_or(usize::MAX)))
        }
        (Some(topic), Some(queue), None) => {
            let queue = reader.queue(topic, queue);
            let from = match args.time {
                Some(times) => {
                    queue.offset_at_time(times.from, Bound::First).map_err(Failure::of_store)?.0.max(from)
                }
                None => from,
            };
            let below = move |record: &sawlog::Result<Record>| {
                record.as_ref().map_or(true, |record| record.queue_offset.0 < to)
            };
            Box::new(queue.read_from(QueueOffset(from)).take_while(below))
        }
        _ => {
            let first = reader.first().map_err(Failure::of_store)?;
            let from = if begin.is_some() { LogOffset(from) } else { first };
            let below = move |record: &sawlog::Result<Record>| {
                record.as_ref().map_or(true, |record| record.position.offset.0 < to)
            };
            Box::new(reader.scan(from).take_while(below))
        }
    })
}
