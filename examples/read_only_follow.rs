//! Another process looks on: it follows a store that a broker has open, without its lock and without changing a byte,
//! across rolls of the log and across the broker's end.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use sawlog::inspect::{Follow, Reader};
use sawlog::{Error, LogOffset, Message, Options, Store};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// So many messages are written; every tenth one is of the topic that is wanted.
const MESSAGES: u64 = 20_000;

/// What stands for another process here: it knows the folder, and nothing else.
struct Onlooker {
    reader: Reader,
    scan: Follow,
    seen: u64,
}

impl Onlooker {
    fn new(root: &std::path::Path) -> Outcome<Onlooker> {
        let reader = Reader::open(root)?;
        let scan = reader.scan(reader.first()?);
        Ok(Onlooker { reader, scan, seen: 0 })
    }

    /// All there is now, and the place to go on with.
    fn catch_up(&mut self) -> Outcome<LogOffset> {
        let mut next = LogOffset(0);
        while let Some(record) = self.scan.next() {
            match record {
                Ok(record) => {
                    next = record.position.end();
                    if record.topic().as_str() == "orders" {
                        assert_eq!(record.body(), &format!("{}", self.seen * 10));
                        self.seen += 1;
                    }
                }
                // Retention was faster: on with what is left.
                Err(Error::OutOfRange { .. }) => self.scan = self.reader.scan(self.reader.first()?),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(next)
    }
}

fn write(store: &Store) -> Outcome {
    for n in 0..MESSAGES {
        let topic = if n % 10 == 0 { "orders" } else { "other" };
        store.append(&Message::new(topic, format!("{n}")))?.forget();
    }
    Ok(())
}

fn main() -> Outcome {
    let folder = tempfile::tempdir()?;
    let root = folder.path().join("store");
    let store = Store::open(&root, Options::new().segment_bytes(256 << 10))?;
    let mut onlooker = Onlooker::new(&root)?;
    let (ended, ends) = std::sync::mpsc::channel();
    std::thread::scope(|scope| -> Outcome {
        scope.spawn(|| ended.send(write(&store)));
        // Nobody wakes one who looks on from outside: it looks again every few milliseconds.
        let written = loop {
            onlooker.catch_up()?;
            if let Ok(written) = ends.recv_timeout(Duration::from_millis(5)) {
                break written;
            }
        };
        println!("{} seen when the writer was done", onlooker.seen);
        written
    })?;
    store.close()?;
    let end = onlooker.catch_up()?;
    println!("{} of {MESSAGES} were orders; the log ends at {end}", onlooker.seen);
    assert_eq!(onlooker.seen, MESSAGES / 10, "every order was seen once, in order");
    Ok(())
}
