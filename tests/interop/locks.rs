//! Who holds a folder keeps the other out: RocketMQ's store by its lock file, and ours by the same.
//!
//! RocketMQ recovers before it asks for the lock (spec H4). So a broker that is started by mistake on a folder of
//! ours is refused, but it has removed and written files by then; what that costs is shown here.

use std::collections::BTreeMap;
use std::path::Path;

use sawlog::flush::{AsyncFlush, SyncFlush};
use sawlog::{Error, Message, Options, Store};

use crate::copy_folder;
use crate::dice::Dice;
use crate::java::{Config, Fault, Java, is_here, say};
use crate::messages::{Generator, Taste};
use crate::seen::{self, Seen, SeenQueue};

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

fn append(store: &Store, generator: &mut Generator, count: usize) {
    for _ in 0..count {
        store.append_batch(&generator.next().messages).unwrap().wait().unwrap();
    }
}

fn all(store: &Store) -> (Vec<Seen>, Vec<SeenQueue>) {
    (seen::log(store), seen::ours(store))
}

#[test]
fn a_broker_started_on_a_folder_of_ours_is_refused_and_costs_no_message() {
    if !is_here("a_broker_started_on_a_folder_of_ours_is_refused_and_costs_no_message") {
        return;
    }
    let java = Java::start();
    for (seed, (sync, shuts_down)) in
        [(true, true), (true, false), (false, true), (false, false)].iter().enumerate()
    {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("store");
        let mut generator = Generator::new(Dice::part(seed as u64, 7), TASTE);
        let ours = Store::open(&root, options(*sync)).unwrap();
        append(&ours, &mut generator, 500);
        let held = all(&ours);
        let before = listing(&root);
        let name = format!("{seed}");
        let refused = java.store(&name).open(&root, &config());
        let after = listing(&root);
        let Err(Fault::Refused { error, abort: true }) = refused else { panic!("{refused:?}") };
        say(&format!("sync {sync}: {error}: {:#?}", changes(&before, &after)));
        if *shuts_down {
            say(&format!("{:?} {:#?}", java.store(&name).close(), changes(&after, &listing(&root))));
        }
        // As a kill of ours would leave it now.
        let killed = folder.path().join("killed");
        copy_folder(&root, &killed);
        let reopened = Store::open(&killed, options(*sync)).unwrap();
        say(&format!("{}", reopened.recovery()));
        assert!(all(&reopened) == held);
        reopened.close().unwrap();

        assert!(all(&ours) == held);
        append(&ours, &mut generator, 500);
        let held = all(&ours);
        copy_folder(&root, &folder.path().join("killed later"));
        let reopened = Store::open(folder.path().join("killed later"), options(*sync)).unwrap();
        say(&format!("{}", reopened.recovery()));
        assert!(all(&reopened) == held);
        reopened.close().unwrap();

        ours.close().unwrap();
        let again = Store::open(&root, options(*sync)).unwrap();
        say(&format!("{}", again.recovery()));
        assert!(all(&again) == held);
        again.close().unwrap();
    }
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
        assert!(matches!(refused, Err(Error::Locked(_))), "{refused:?}");
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
