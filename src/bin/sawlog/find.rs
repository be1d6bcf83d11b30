//! `sawlog find`: the messages of a topic that carry a key, newest first.

use comfy_table::Table;
use comfy_table::presets::UTF8_BORDERS_ONLY;
use serde_json::Value;

use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::output::Out;
use crate::records::{self, BodyAs, HEADINGS, Times};
use crate::store::{StoreArgs, say_if_absent};

pub(crate) const EXAMPLES: &str = "\
Examples:
  sawlog find /var/lib/store --topic orders --key order-42
  sawlog find /var/lib/store --topic orders --key C0A8000100002A9F0000000000001234 --json";

/// See the file's text.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// The topic
    #[arg(long)]
    topic: String,
    /// The key, or the unique id
    #[arg(long)]
    key: String,
    /// Only messages stored in this time: WHEN, WHEN..WHEN, ..WHEN, as RFC 3339 or milliseconds
    #[arg(long, value_name = "WHEN", value_parser = Times::parse)]
    time: Option<Times>,
    /// At most so many messages
    #[arg(long, value_name = "N", default_value = "64")]
    limit: usize,
    /// How bodies are printed in JSON
    #[arg(long, value_enum, default_value = "text", value_name = "FORM")]
    body: BodyAs,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// See the file's text.
pub(crate) fn run(args: &Args) -> Result<()> {
    let interrupt = Interrupt::listen()?;
    let reader = args.store.reader()?;
    let times = args.time.unwrap_or(Times::ALL);
    let found = reader.find(&args.topic, &args.key).between(times.from..=times.to).at_most(args.limit);
    let (mut out, mut table, mut failed) = (Out::new(), Table::new(), None);
    table.load_preset(UTF8_BORDERS_ONLY).set_header(HEADINGS);
    let mut count = 0_u64;
    for record in found {
        interrupt.check()?;
        count += 1;
        match record {
            Ok(record) if args.json => out.line(Value::Object(records::json(&record, args.body)))?,
            Ok(record) => {
                table.add_row(records::row(&record));
            }
            // It hides no other one.
            Err(error) => failed = Some(Failure::of_store(error)),
        }
    }
    if !args.json {
        match table.row_count() {
            0 => out.line(format_args!("no message of {} carries the key {}", args.topic, args.key))?,
            _ => out.line(table)?,
        }
    }
    out.flush()?;
    if count == 0 {
        say_if_absent(&reader, &args.topic, None)?;
    }
    failed.map_or(Ok(()), Err)
}
