//! `sawlog append`: each line of standard input becomes a message; where each one stands is printed once it is kept.

mod key;
mod lines;

use std::collections::VecDeque;

use bytes::Bytes;
use clap::ValueEnum;
use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};
use sawlog::flush::{AsyncFlush, SyncFlush};
use sawlog::message::Topic;
use sawlog::{Ack, Message, Store};
use serde_json::json;

use crate::failure::{Failure, Result};
use crate::interrupt::{EVERY, Interrupt};
use crate::output::{Kind, Out};
use crate::store::StoreArgs;
use key::KeyFrom;
use lines::{Line, MOST_LINE_BYTES};

pub(crate) const EXAMPLES: &str = "\
Examples:
  sawlog append /var/lib/store --topic orders < orders.txt
  journalctl -f -o json | sawlog append /var/lib/store --topic syslog --key-from json:/_SYSTEMD_UNIT --quiet
  tail -F access.log | sawlog append /var/lib/store --topic web --key-from field:1 --tag access --json
  printf 'one\\ntwo\\n' | sawlog append new-store --create --topic orders

A line is the bytes before its line feed, and may be empty; the longest has 4 MiB. What is printed is in the store:
under --flush sync on the disk, under --flush async in the page cache, from where the end of the command brings
it to the disk. An interruption (Ctrl-C) stops the reading; what was taken is printed, and the store closed in
order. If nobody reads the offsets any more the lines are stored without them. A line that is refused ends
the command; those before it are stored. Old segments are never removed by it.
Exit codes: 0 all lines are stored; 1 the store is damaged, or failed; 2 usage, or a line that cannot be stored;
3 it is no store, or locked; 130 interrupted.";

/// So many messages may wait for their sync: one sync carries them all.
const MOST_WAITING: usize = 4096;
const LEAST_SEGMENT_BYTES: u64 = 64 << 10;
/// The longest file that RocketMQ maps.
const MOST_SEGMENT_BYTES: u64 = (2 << 30) - 1;

/// See the file's text.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// The topic
    #[arg(long)]
    topic: String,
    /// The queue
    #[arg(long, value_name = "ID", default_value = "0")]
    queue: u32,
    /// The tag of each message
    #[arg(long)]
    tag: Option<String>,
    /// Where a line's key stands: field:N (the N-th word), field:N:SEP (between separators), json:/POINTER (RFC 6901).
    /// A line without one has no key; words of a key are several keys
    #[arg(long, value_name = "RULE")]
    key_from: Option<KeyFrom>,
    /// When a message is printed
    #[arg(long, value_enum, default_value = "sync")]
    flush: When,
    /// Begin a store where there is none
    #[arg(long)]
    create: bool,
    /// Length of a segment's file in bytes, 65536 to 2147483647, of a store that is begun [default: 1 GiB]
    #[arg(long, value_name = "BYTES", requires = "create", value_parser = clap::value_parser!(u64).range(LEAST_SEGMENT_BYTES..=MOST_SEGMENT_BYTES))]
    segment_bytes: Option<u64>,
    /// Print nothing but an error
    #[arg(long, conflicts_with = "json")]
    quiet: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// RocketMQ's two flush policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum When {
    /// Once a sync covers it
    Sync,
    /// Once it is in the page cache
    Async,
}

/// See the file's text.
pub(crate) fn run(args: &Args) -> Result<()> {
    let interrupt = Interrupt::listen()?;
    Topic::check(&args.topic)?;
    let store = open(args)?;
    let lines = lines::of(std::io::stdin());
    let mut appending = Appending {
        args,
        store: &store,
        out: Out::new(),
        heard: !args.quiet,
        waiting: VecDeque::new(),
        kept: 0,
    };
    let taken = appending.take_all(&lines, &interrupt);
    let settled = appending.settle_all();
    let kept = appending.kept;
    let closed = store.close().map_err(Failure::from);
    let done = settled.and(closed).and(taken);
    if done.is_err() && !args.quiet {
        eprintln!("sawlog: {kept} {} stored", if kept == 1 { "line is" } else { "lines are" });
    }
    done
}

fn open(args: &Args) -> Result<Store> {
    let options = args.store.options(args.create).map_err(|failure| match failure {
        Failure::Unreadable(why) if !args.create && !args.store.is_there() => {
            Failure::Unreadable(format!("{why}; --create begins a store there"))
        }
        failure => failure,
    })?;
    let options = match args.flush {
        When::Sync => options.flush(SyncFlush),
        When::Async => options.flush(AsyncFlush::default()),
    };
    let options = match args.segment_bytes {
        Some(bytes) => options.segment_bytes(bytes),
        None => options,
    };
    Store::open(&args.store.dir, options).map_err(Failure::of_store)
}

struct Appending<'a> {
    args: &'a Args,
    store: &'a Store,
    out: Out,
    /// Whether somebody wants to hear the offsets.
    heard: bool,
    /// Appended and not printed, by the number of their line.
    waiting: VecDeque<(u64, Ack)>,
    /// Lines whose promise holds.
    kept: u64,
}

impl Appending<'_> {
    /// Takes lines until there are none, or until the end is asked for.
    fn take_all(&mut self, lines: &Receiver<Vec<Line>>, interrupt: &Interrupt) -> Result<()> {
        let mut number = 0;
        loop {
            interrupt.check()?;
            let batch = match lines.try_recv() {
                Ok(batch) => batch,
                Err(TryRecvError::Disconnected) => return Ok(()),
                // Nothing more just now: what was taken is told before it is waited for more.
                Err(TryRecvError::Empty) => {
                    self.settle_all()?;
                    match lines.recv_timeout(EVERY) {
                        Ok(batch) => batch,
                        Err(RecvTimeoutError::Disconnected) => return Ok(()),
                        Err(RecvTimeoutError::Timeout) => continue,
                    }
                }
            };
            for line in batch {
                interrupt.check()?;
                number += 1;
                self.take(number, line)?;
            }
        }
    }

    fn take(&mut self, number: u64, line: Line) -> Result<()> {
        let refused = |why: String| {
            Failure::Usage(format!(
                "line {number} of standard input: {why}; the lines before it are stored, it and those behind it are not"
            ))
        };
        let body = match line {
            Line::Whole(body) => body,
            Line::TooLong => return Err(refused(format!("longer than {MOST_LINE_BYTES} bytes"))),
            Line::Unreadable(error) => {
                return Err(Failure::Broken(format!("reading line {number} of standard input: {error}")));
            }
        };
        match self.store.append(&self.message(body)) {
            Ok(ack) => self.waiting.push_back((number, ack)),
            Err(error @ sawlog::Error::InvalidMessage(_)) => return Err(refused(error.to_string())),
            Err(error) => return Err(error.into()),
        }
        while self.waiting.len() >= MOST_WAITING || self.waiting.front().is_some_and(|(_, ack)| ack.is_done())
        {
            self.settle_one()?;
        }
        Ok(())
    }

    fn message(&self, body: Bytes) -> Message {
        let keys = self.args.key_from.as_ref().and_then(|from| from.key(&body)).unwrap_or_default();
        let message = Message::new(self.args.topic.as_str(), body).queue(self.args.queue);
        let message =
            keys.split(' ').filter(|key| !key.is_empty()).fold(message, |message, key| message.key(key));
        match &self.args.tag {
            Some(tag) => message.tag(tag),
            None => message,
        }
    }

    /// Waits for the oldest message and prints it.
    fn settle_one(&mut self) -> Result<()> {
        let Some((number, ack)) = self.waiting.pop_front() else { return Ok(()) };
        ack.wait()?;
        self.kept += 1;
        let printed = self.print(number, &ack);
        self.hear(printed)
    }

    fn settle_all(&mut self) -> Result<()> {
        while !self.waiting.is_empty() {
            self.settle_one()?;
        }
        let flushed = if self.heard { self.out.flush() } else { Ok(()) };
        self.hear(flushed)
    }

    /// That nobody listens any more is no reason to drop what is still to come.
    fn hear(&mut self, printed: Result<()>) -> Result<()> {
        match printed {
            Err(Failure::Unheard) => {
                self.heard = false;
                Ok(())
            }
            other => other,
        }
    }

    fn print(&mut self, number: u64, ack: &Ack) -> Result<()> {
        if !self.heard {
            return Ok(());
        }
        let (position, queue_offset) = (ack.position(), ack.queue_offset());
        if self.args.json {
            return self.out.line(json!({
                "line": number,
                "topic": self.args.topic,
                "queue": self.args.queue,
                "queue_offset": queue_offset.0,
                "offset": position.offset.0,
                "len": position.len,
                "message_id": ack.message_id().to_string(),
                "stored": ack.stored().0,
            }));
        }
        let queue = self.out.paint(Kind::Name, format_args!("{}/{}", self.args.topic, self.args.queue));
        let place = self.out.paint(Kind::Aside, format_args!("@{}", position.offset));
        self.out.line(format_args!("{queue} {queue_offset}  {place}"))
    }
}
