//! A backup of a store that is being written: sealed segments by hard links, the rest by copies, verified before it
//! gets its name. Then the store is lost, and the backup takes its place.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "an example shows what it does, and loses its own store"
)]

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use sawlog::flush::SyncFlush;
use sawlog::inspect::{self, SnapshotOptions};
use sawlog::{Message, Options, Store};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// Messages before the backup, and as many while it is being made and behind it.
const EACH: u64 = 2000;

fn produce(store: &Store, from: u64) -> Outcome {
    for n in from..from + EACH {
        store.append(&Message::new("orders", format!("order {n}")).key(&format!("order-{n}")))?.wait()?;
    }
    Ok(())
}

fn count(root: &Path) -> Outcome<u64> {
    let store = Store::open(root, Options::new())?;
    let mut count = 0;
    for record in store.scan(store.marks().first) {
        assert_eq!(record?.body(), &format!("order {count}"), "none is missing, none is there twice");
        count += 1;
    }
    store.close()?;
    Ok(count)
}

fn main() -> Outcome {
    let folder = tempfile::tempdir()?;
    let (root, backup) = (folder.path().join("store"), folder.path().join("store-monday"));
    let options = || Options::new().segment_bytes(64 << 10).flush(SyncFlush);

    // Of a store at rest a snapshot has everything.
    let store = Store::open(&root, options())?;
    produce(&store, 0)?;
    store.close()?;
    let made = inspect::snapshot(&root, &backup, &SnapshotOptions::new(), |_| ControlFlow::Continue(()))?;
    println!(
        "at rest: the log to {}, {} segments linked, {} bytes copied",
        made.to, made.linked_segments, made.copied_bytes
    );
    assert!(made.kept && !made.live);

    // Beside its writer it has what the mark said was durable when it began, and whole records alone.
    let store = Store::open(&root, options())?;
    let live = folder.path().join("store-tuesday");
    std::thread::scope(|scope| -> Outcome {
        let producer = scope.spawn(|| produce(&store, EACH).map_err(|error| error.to_string()));
        let made = inspect::snapshot(&root, &live, &SnapshotOptions::new(), |_| ControlFlow::Continue(()))?;
        println!("beside the writer: the log to {}, {} segments linked", made.to, made.linked_segments);
        assert!(made.kept && made.live);
        Ok(producer.join().map_err(|_| "the producer panicked")??)
    })?;
    store.close()?;

    // The store is lost. A backup is a store: it opens, and goes on.
    fs::remove_dir_all(&root)?;
    let (monday, tuesday) = (count(&backup)?, count(&live)?);
    println!("in the backups: {monday} and {tuesday} messages");
    assert_eq!(monday, EACH, "what was linked outlives the other name");
    assert!((EACH..=2 * EACH).contains(&tuesday));
    Ok(())
}
