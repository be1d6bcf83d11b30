//! `sawlog tail`: the newest messages of a topic, and on request those that come.

use crossbeam_channel::RecvTimeoutError;
use sawlog::inspect::{Follow, Reader};
use sawlog::{Error, Record};
use serde_json::Value;

use crate::failure::{Failure, Result};
use crate::interrupt::{EVERY, Interrupt};
use crate::output::Out;
use crate::records::{self, BodyAs};
use crate::store::{StoreArgs, say_if_absent};

pub(crate) const EXAMPLES: &str = "\
Examples:
  sawlog tail /var/lib/store --topic orders
  sawlog tail /var/lib/store --topic orders --queue 3 -n 100
  sawlog tail /var/lib/store --topic orders -f --json | jq .body

With -f it works beside the broker that writes, and ends with Ctrl-C (exit code 0). What it shows may not be
durable yet.";

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
    /// So many messages to begin with
    #[arg(short = 'n', long, value_name = "N", default_value = "10")]
    count: usize,
    /// Go on with those that come, until interrupted
    #[arg(short, long)]
    follow: bool,
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
    let mut out = Out::new();
    let (latest, scan) = reader.latest(&args.topic, args.queue, args.count).map_err(Failure::of_store)?;
    if latest.is_empty() {
        say_if_absent(&reader, &args.topic, args.queue)?;
    }
    for record in latest {
        show(args, &record, &mut out)?;
    }
    out.flush()?;
    if args.follow { follow(args, &reader, scan, &mut out, &interrupt) } else { Ok(()) }
}

fn follow(args: &Args, reader: &Reader, scan: Follow, out: &mut Out, interrupt: &Interrupt) -> Result<()> {
    // Nobody sends: a wait of bounded length.
    let (_never, wait) = crossbeam_channel::bounded::<()>(0);
    let mut scan = scan;
    while !interrupt.is_asked() {
        match scan.next() {
            Some(Ok(record)) => {
                if is_wanted(args, &record) {
                    show(args, &record, out)?;
                }
            }
            Some(Err(Error::OutOfRange { .. })) => {
                // Retention has overtaken us: on with what is left.
                scan = reader.scan(reader.first().map_err(Failure::of_store)?);
            }
            Some(Err(error)) => {
                out.flush()?;
                return Err(Failure::of_store(error));
            }
            None => {
                out.flush()?;
                if wait.recv_timeout(EVERY) == Err(RecvTimeoutError::Disconnected) {
                    break;
                }
            }
        }
    }
    out.flush()
}

fn is_wanted(args: &Args, record: &Record) -> bool {
    record.is_queued()
        && record.topic().as_str() == args.topic
        && args.queue.is_none_or(|id| record.queue_id() == id)
}

fn show(args: &Args, record: &Record, out: &mut Out) -> Result<()> {
    if args.json {
        out.line(Value::Object(records::json(record, args.body)))
    } else {
        let line = records::line(record, out);
        out.line(line)
    }
}
