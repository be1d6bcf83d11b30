//! `sawlog offsets`: where in each queue of a topic a moment lies.

use clap::ValueEnum;
use comfy_table::Table;
use comfy_table::presets::UTF8_BORDERS_ONLY;
use sawlog::Bound;
use sawlog::clock::Timestamp;
use sawlog::inspect::QueueReader;
use serde_json::json;

use crate::failure::{Failure, Result};
use crate::output::Out;
use crate::records::moment;
use crate::store::{StoreArgs, say_if_absent};

pub(crate) const EXAMPLES: &str = "\
Examples:
  sawlog offsets /var/lib/store --topic orders --time 2024-05-01T09:30:00Z
  sawlog offsets /var/lib/store --topic orders --time 1714555800000 --queue 3 --json

The answers are RocketMQ's (getOffsetInQueueByTime): where no message fits, the queue's end or beginning.";

/// See the file's text.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// The topic
    #[arg(long)]
    topic: String,
    /// One queue alone
    #[arg(long, value_name = "ID")]
    queue: Option<u32>,
    /// The moment, as RFC 3339 or in milliseconds since 1970
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    time: Timestamp,
    /// Which message around it
    #[arg(long, value_enum, default_value = "first")]
    bound: Which,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// The same as [`Bound`], as words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    /// The first message stored at or after it
    First,
    /// The last message stored at or before it
    Last,
}

/// See the file's text.
pub(crate) fn run(args: &Args) -> Result<()> {
    let reader = args.store.reader()?;
    let queues = match args.queue {
        Some(id) => vec![id],
        None => reader.queues_of(&args.topic).map_err(Failure::of_store)?,
    };
    let (mut out, mut table) = (Out::new(), Table::new());
    table.load_preset(UTF8_BORDERS_ONLY).set_header(["queue", "offset", "stored", "of"]);
    say_if_absent(&reader, &args.topic, args.queue)?;
    if queues.is_empty() {
        return Ok(());
    }
    for id in queues {
        let found = offset(args, &reader.queue(&args.topic, id)).map_err(Failure::of_store)?;
        let stored = found.stored.map(|stored| stored.to_string());
        if args.json {
            out.line(json!({
                "topic": args.topic,
                "queue": id,
                "offset": found.offset,
                "stored": found.stored.map(|stored| stored.0),
                "stored_at": stored,
                "min": found.min,
                "max": found.max,
            }))?;
        } else {
            let range = format!("{} to {}", found.min, found.max);
            let queue = format!("{}/{id}", args.topic);
            table.add_row([queue, found.offset.to_string(), stored.unwrap_or_else(|| "-".into()), range]);
        }
    }
    if !args.json {
        out.line(table)?;
    }
    out.flush()
}

struct Found {
    offset: u64,
    /// When its message was stored, if there is one.
    stored: Option<Timestamp>,
    min: u64,
    max: u64,
}

fn offset(args: &Args, queue: &QueueReader) -> sawlog::Result<Found> {
    let bound = match args.bound {
        Which::First => Bound::First,
        Which::Last => Bound::Last,
    };
    let offset = queue.offset_at_time(args.time, bound)?;
    let (min, max) = (queue.min()?.0, queue.max()?.0);
    let there = (min..max).contains(&offset.0);
    let stored = if there { queue.read_from(offset).next().transpose()?.map(|r| r.stored) } else { None };
    Ok(Found { offset: offset.0, stored, min, max })
}
