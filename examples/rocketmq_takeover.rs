//! Takes a RocketMQ broker's store over and hands it back: opens a copy of it, tells what is in it, reads, finds by
//! key, appends, closes, opens again and verifies. `MIGRATING.md` has the steps for a real broker.
//!
//! `cargo run --example rocketmq_takeover [STORE]`: the folder of a stopped broker's store, which is copied and not
//! touched; the copy stays, in the system's folder for temporary files. Without one, a store that RocketMQ 5.3.3 wrote
//! and that was killed, from this repository; that copy goes.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "an example shows what it does, and copies files of its own"
)]

use std::fs;
use std::path::{Path, PathBuf};

use sawlog::flush::SyncFlush;
use sawlog::{LogOffset, Message, Options, QueueOffset, Retention, Store, inspect};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// As the broker is configured. `maxHashSlotNum` and `maxIndexNum` stand in no file, but the entries of the index files
/// show them, unless there is none yet. The other lengths are read from the files by opening.
fn options(store: &Path) -> Outcome<Options> {
    // Nothing goes before it was looked at: records that were stored long ago would expire at once.
    let options = Options::new().flush(SyncFlush).retention(Retention::keep_all());
    let Some(index) = inspect::survey(store)?.index else { return Ok(options) };
    let Some((slots, entries)) = index.geometry else {
        println!("the index files do not show maxHashSlotNum and maxIndexNum: RocketMQ's defaults are taken");
        return Ok(options);
    };
    println!("maxHashSlotNum={slots} maxIndexNum={entries}, as the index files show");
    Ok(options.index_slots(slots).index_entries(entries))
}

fn copy(from: &Path, to: &Path) -> Outcome {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// A topic, its queue, and where the next message goes.
type Ends = Vec<(String, u32, QueueOffset)>;

/// What a broker's operator wants to see: the topics, their queues, and what they hold.
fn tell(store: &Store) -> Outcome<Ends> {
    let mut ends = Ends::new();
    for topic in store.topics() {
        for id in store.queues_of(&topic) {
            let queue = store.queue(&topic, id);
            let (min, max) = (queue.min()?, queue.max());
            println!("  {topic}/{id}: {min} to {max}");
            ends.push((topic.clone(), id, max));
        }
    }
    Ok(ends)
}

/// Every record of the log can be read, and every queue has its messages without a hole.
fn verify(store: &Store) -> Outcome<(u64, LogOffset)> {
    let mut records = 0;
    for record in store.scan(store.marks().first) {
        record?;
        records += 1;
    }
    for topic in store.topics() {
        for id in store.queues_of(&topic) {
            let queue = store.queue(&topic, id);
            let mut next = queue.min()?;
            for record in queue.read_from(next) {
                assert_eq!(record?.queue_offset, next);
                next = next.next();
            }
            assert_eq!(next, queue.max());
        }
    }
    Ok((records, store.marks().flushed))
}

fn main() -> Outcome {
    let given = std::env::args_os().nth(1).map(PathBuf::from);
    let keeps_copy = given.is_some();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/rocketmq-5.3.3/killed");
    let source = given.unwrap_or(fixture);
    let folder = tempfile::tempdir()?;
    let root = folder.path().join("store");
    copy(&source, &root)?;

    // Take over. If the broker was killed, what its last moments left is put in order, and the report says how.
    println!("{}", source.display());
    let options = options(&root)?;
    let store = Store::open(&root, options.clone())?;
    println!("{}", store.recovery());
    assert!(store.recovery().foreign_writer);
    let ends = tell(&store)?;
    let (theirs, end) = verify(&store)?;
    println!("{theirs} records, the log ends at {end}");

    // The last message of some queue, found again by its key.
    let mut keyed = None;
    for (topic, id, next) in &ends {
        let Some(last) = next.0.checked_sub(1) else { continue };
        let record = store.queue(topic, *id).record_at(QueueOffset(last))?;
        keyed = record.message.unique_id().map(|key| (topic.clone(), key.into_owned(), record.position));
        if keyed.is_some() {
            break;
        }
    }
    if let Some((topic, key, position)) = keyed {
        let mut found = store.find(&topic, &key).collect::<sawlog::Result<Vec<_>>>()?.into_iter();
        assert!(found.any(|record| record.position == position));
        println!("{topic}#{key} is at {}", position.offset);
    }

    // Go on where the broker stopped: each queue's numbers follow on.
    for (topic, id, next) in &ends {
        let message = Message::new(topic.as_str(), "written by sawlog").queue(*id).key("taken-over");
        let stored = store.append_and_wait(&message)?;
        assert_eq!(stored.queue_offset, *next);
    }
    store.close()?;

    // As a service would find it the next morning; and then hand it back.
    let store = Store::open(&root, options)?;
    println!("{}", store.recovery());
    assert!(store.recovery().clean_shutdown && !store.recovery().foreign_writer);
    let (records, end) = verify(&store)?;
    assert_eq!(records, theirs + ends.len() as u64);
    println!("{records} records, the log ends at {end}");
    store.close()?;

    // Closed in order, it is a store that a broker opens: no abort mark, queues and index whole, the lock free.
    assert!(!root.join("abort").exists() && root.join("checkpoint").exists());
    if keeps_copy {
        let root = folder.keep().join("store");
        println!("a broker can be started on the copy, with storePathRootDir={}", root.display());
    } else {
        println!("a broker could be started on the copy now; it is removed, for it was made for this run");
    }
    Ok(())
}
