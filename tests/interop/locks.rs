//! Who holds a folder keeps the other out: RocketMQ's store by its lock file, and ours by the same.
//!
//! RocketMQ recovers before it asks for the lock (spec H4). So a broker that is started by mistake on a folder of
//! ours is refused, but it has removed and written files by then; what that costs is shown here.

use std::collections::BTreeMap;
use std::path::Path;

use sawlog::flush::{AsyncFlush, SyncFlush};
use sawlog::{Error, Message, Options, Store};

use crate::answers::keys_are_found;
use crate::copy_folder;
use crate::dice::Dice;
use crate::java::{Config, Fault, Java, is_here, say};
use crate::messages::{Generator, Taste};
use crate::seen::{self, Seen};

const TASTE: Taste = Taste { queues: 12, body_bytes: 900, longest_bytes: 4 << 10 };

/// Every file below a folder, with its length and a checksum of its bytes; but not its lock: whoever closes that file
/// gives up what his process holds of it.
fn listing(root: &Path) -> BTreeMap<String, (u64, u32)> {
    let mut all = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path != root.join("lock") {
                let bytes = std::fs::read(&path).unwrap();
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                all.insert(name, (bytes.len() as u64, crc32fast::hash(&bytes)));
            }
        }
    }
    all
}

/// What differs between two listings, a line each.
fn changes(before: &BTreeMap<String, (u64, u32)>, after: &BTreeMap<String, (u64, u32)>) -> Vec<String> {
    let mut changes = Vec::new();
    for (name, was) in before {
        match after.get(name) {
            None => changes.push(format!("removed {name}")),
            Some(is) if is != was => changes.push(format!("changed {name}")),
            Some(_) => {}
        }
    }
    changes
        .extend(after.keys().filter(|name| !before.contains_key(*name)).map(|name| format!("added {name}")));
    changes
}

fn config() -> Config {
    Config { segment_bytes: 64 << 10, queue_entries: 30, ..Config::new() }
}

fn options(sync: bool) -> Options {
    let config = config();
    let options = Options::new()
        .segment_bytes(config.segment_bytes)
        .max_message_bytes(20 << 10)
        .queue_segment_entries(config.queue_entries)
        .index_slots(config.index_slots)
        .index_entries(config.index_entries);
    if sync { options.flush(SyncFlush) } else { options.flush(AsyncFlush::default()) }
}

/// Appends batches; the log as it is when the last of them is acknowledged, or why the store takes no more.
fn append(store: &Store, generator: &mut Generator, count: usize) -> Result<(), Error> {
    for _ in 0..count {
        store.append_batch(&generator.next().messages)?.wait()?;
    }
    Ok(())
}

/// Opens it, and holds it against the log that it had: all of it, or at least as much of it.
fn holds(root: &Path, sync: bool, log: &[Seen], clean: bool, why: &str) {
    let store = Store::open(root, options(sync)).unwrap_or_else(|error| panic!("{error}; {why}"));
    let report = store.recovery().to_string();
    assert_eq!(store.recovery().clean_shutdown, clean, "{report}; {why}");
    let found = seen::log(&store);
    assert!(found.len() >= log.len() && found[..log.len()] == *log, "{report}; {why}");
    let mut queues: Vec<Seen> = seen::ours(&store).into_iter().flat_map(|queue| queue.messages).collect();
    queues.sort_by_key(|seen| seen.offset);
    assert!(found.iter().filter(|seen| seen.is_queued()).eq(&queues), "{report}; {why}");
    keys_are_found(&store, &found, why);
    store.close().unwrap_or_else(|error| panic!("{error}; {why}"));
}

/// Java's recovery runs before it asks for the lock (H4): it removes the segment made ahead, writes queue files that we
/// have not written yet, and an index of its own. Our log makes its segment anew; a queue file that has become
/// Java's fails the store, which then takes no more until it is opened again. No message is lost either way.
#[test]
fn a_broker_started_on_a_folder_of_ours_is_refused_and_costs_no_message() {
    if !is_here("a_broker_started_on_a_folder_of_ours_is_refused_and_costs_no_message") {
        return;
    }
    let (java, mut went_on_after) = (Java::start(), 0);
    for case in 0..8_u64 {
        let (sync, shuts_down, settled) = (case & 1 == 0, case & 2 == 0, case & 4 == 0);
        let why = format!("sync {sync}, Java shuts down {shuts_down}, queue files written {settled}");
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("store");
        let mut generator = Generator::new(Dice::part(case, 7), TASTE);
        if settled {
            // Closed and opened again: queue files and index are there.
            let before = Store::open(&root, options(sync)).unwrap();
            append(&before, &mut generator, 300).unwrap();
            before.close().unwrap();
        }
        let ours = Store::open(&root, options(sync)).unwrap();
        append(&ours, &mut generator, if settled { 100 } else { 400 }).unwrap();
        let held = seen::log(&ours);
        let before = listing(&root);
        let name = format!("{case}");
        let refused = java.store(&name).open(&root, &config());
        let Err(Fault::Refused { error, abort: true }) = refused else { panic!("{refused:?}; {why}") };
        assert!(error.contains("Lock failed"), "{error}; {why}");
        if shuts_down {
            // What a broker does that was refused: its shutdown hook ends the store.
            let _ = java.store(&name).close();
        }
        for change in changes(&before, &listing(&root)) {
            // The segment made ahead goes, and may be made again by ours; no other of the log may be touched.
            let (what, file) = change.split_once(' ').unwrap();
            assert!(!file.starts_with("commitlog/") || what != "changed", "{change}; {why}");
        }
        // As a kill of ours would leave it now.
        let killed = folder.path().join("killed");
        copy_folder(&root, &killed);
        holds(&killed, sync, &held, false, &format!("killed, {why}"));

        assert!(seen::log(&ours) == held, "{why}");
        let went_on = append(&ours, &mut generator, 300);
        let held = seen::log(&ours);
        let ended = match went_on {
            Ok(()) => ours.close(),
            Err(error) => {
                drop(ours);
                Err(error)
            }
        };
        assert!(matches!(ended, Ok(()) | Err(Error::Failed(_) | Error::Io { .. })), "{ended:?}; {why}");
        went_on_after += u64::from(ended.is_ok());
        holds(&root, sync, &held, ended.is_ok(), &why);
        holds(&root, sync, &held, true, &why);
    }
    say(&format!(
        "a broker was started on 8 folders that we held: refused, {went_on_after} went on, no message lost"
    ));
}

#[test]
fn a_folder_that_a_broker_holds_is_locked_for_us_and_stays_as_it_is() {
    if !is_here("a_folder_that_a_broker_holds_is_locked_for_us_and_stays_as_it_is") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let java = Java::start();
    let store = java.store("holder");
    store.open(folder.path(), &config()).unwrap();
    let mut generator = Generator::new(3, TASTE);
    let mut put = |count| {
        let messages: Vec<_> = (0..count).map(|_| generator.next().json()).collect();
        assert!(store.put(&messages).unwrap().iter().all(|put| put.status == "PUT_OK"));
    };
    put(200);
    store.flush().unwrap();
    let queues = store.read().unwrap();
    let before = listing(folder.path());
    for _ in 0..3 {
        let refused = Store::open(folder.path(), options(true));
        assert!(matches!(refused, Err(Error::Locked { .. })), "{refused:?}");
    }
    assert_eq!(changes(&before, &listing(folder.path())), Vec::<String>::new());
    assert!(store.read().unwrap() == queues);
    put(200);
    let queues = store.read().unwrap();
    java.kill();
    let ours = Store::open(folder.path(), options(true)).unwrap();
    seen::hold_against_java(&queues, &seen::ours(&ours), "after the holder's death");
    ours.append(&Message::new("T", "ours now")).unwrap().wait().unwrap();
    ours.close().unwrap();
}
