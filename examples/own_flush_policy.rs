//! A flush policy of one's own: at 64 KiB, or 2 ms after the first byte, whichever comes first.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use sawlog::flush::{Decision, FlushPolicy, Progress};
use sawlog::{Level, Message, Options, Store};

const ENOUGH_BYTES: u64 = 64 * 1024;
const PATIENCE: Duration = Duration::from_millis(2);

/// Trades a little latency for fewer syncs.
#[derive(Debug)]
struct Gathered;

impl FlushPolicy for Gathered {
    /// An append is acknowledged when a sync covers it.
    fn ack_when(&self) -> Level {
        Level::Flushed
    }

    fn decide(&self, progress: &Progress) -> Decision {
        if progress.unflushed_bytes == 0 {
            Decision::Sleep
        } else if progress.unflushed_bytes >= ENOUGH_BYTES || progress.waiting_for >= PATIENCE {
            Decision::Flush
        } else {
            Decision::SleepFor(PATIENCE - progress.waiting_for)
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let store = Store::open(folder.path(), Options::new().flush(Gathered).segment_bytes(16 << 20))?;

    // A lone message waits for company, 2 ms and no longer.
    store.append(&Message::new("lines", "all alone"))?.wait()?;
    println!("one message: {} sync", store.marks().syncs);
    assert_eq!(store.marks().syncs, 1);

    // A crowd does not wait for the clock: 1,000 messages of a kilobyte are seventeen times 64 KiB.
    let line = Message::new("lines", vec![b'.'; 1024]);
    let before = store.marks();
    let mut last = store.append(&line)?;
    for _ in 1..1000 {
        last = store.append(&line)?;
    }
    last.wait()?;
    let marks = store.marks();
    let syncs = marks.syncs - before.syncs;
    let kib = marks.flushed.since(before.flushed) / 1024 / syncs.max(1);
    println!("1000 messages: {syncs} syncs of {kib} KiB on average");
    assert_eq!(marks.flushed, marks.accepted);
    assert!(syncs < 500, "gathering is what it is for");
    Ok(store.close()?)
}
