//! What a store does when its process runs into a limit: descriptors, the length of a file, address space, mappings.
//!
//! Always the same (promises D4): an error value that names the file, no panic, no signal, nothing lost that was
//! acknowledged, and work goes on when the limit is lifted. Each case runs in a process of its own, because a limit
//! holds for all of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    dead_code,
    missing_docs,
    reason = "tests may stop at the first surprise"
)]

#[path = "support/process.rs"]
mod process;

use std::path::Path;

use memmap2::{Mmap, MmapMut};
use process::{again, ended_well, held, part, say, told};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sawlog::flush::{AsyncFlush, SyncFlush};
use sawlog::{Error, Message, Options, Store};

const SEGMENT_BYTES: u64 = 256 << 10;

fn options(sync: bool) -> Options {
    let options = Options::new()
        .segment_bytes(SEGMENT_BYTES)
        .max_message_bytes(16 << 10)
        .index_slots(64)
        .index_entries(1_024)
        .queue_segment_entries(64)
        .open_files(16)
        .open_segments(8);
    if sync { options.flush(SyncFlush) } else { options.flush(AsyncFlush::default()) }
}

fn message(n: u64) -> Message {
    let body = format!("{n} {}", "x".repeat(6_000));
    Message::new("orders", body).queue(u32::try_from(n % 20).unwrap()).key(&format!("k{n}"))
}

fn number(body: &[u8]) -> u64 {
    let text = std::str::from_utf8(body).unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

/// What was acknowledged, and how the attempts ended.
#[derive(Default)]
struct Tally {
    acknowledged: Vec<u64>,
    refused: u64,
    next: u64,
}

/// Only these may come out of a limit: the system's word with the file's name, a lack of room, the lasting state.
fn is_typed(error: &Error) -> bool {
    matches!(error, Error::Io { .. } | Error::Full { .. } | Error::Failed(_) | Error::Closed)
}

impl Tally {
    /// Appends `count` messages and notes which were acknowledged.
    fn append(&mut self, store: &Store, count: u64) {
        for _ in 0..count {
            let n = self.next;
            self.next += 1;
            match store.append(&message(n)).and_then(|ack| ack.wait()) {
                Ok(()) => self.acknowledged.push(n),
                Err(error) => {
                    assert!(is_typed(&error), "{error:?}");
                    self.refused += 1;
                }
            }
        }
    }

    /// Opens, appends, reads and closes; whatever of it the limit allows.
    fn live(&mut self, root: &Path, sync: bool, count: u64) -> Result<(), Error> {
        let store = Store::open(root, options(sync))?;
        self.append(&store, count);
        for read in store.scan(store.marks().first) {
            if read.is_err() {
                break;
            }
        }
        let _ = store.find("orders", "k1").last();
        let _ = store.drop_topic("nobody");
        store.close()
    }

    /// Without limits: all that was acknowledged is there, once, and more is taken.
    fn judge(&mut self, root: &Path) {
        let store = Store::open(root, options(true)).unwrap();
        let found: Vec<u64> =
            store.scan(store.marks().first).map(|read| number(read.unwrap().body())).collect();
        assert!(found.is_sorted_by(|a, b| a < b), "out of order, or twice: {found:?}");
        let lost: Vec<_> = self.acknowledged.iter().filter(|n| found.binary_search(n).is_err()).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        let mut queued = 0;
        for id in store.queues_of("orders") {
            for read in store.queue("orders", id).read_from(sawlog::QueueOffset(0)) {
                read.unwrap();
                queued += 1;
            }
        }
        assert_eq!(queued, found.len(), "queues and log differ");
        let before = self.acknowledged.len();
        self.append(&store, 3);
        assert_eq!(self.acknowledged.len(), before + 3);
        store.close().unwrap();
    }
}

/// An allocator that has room already, and asks the kernel for no more: what fails then is the store's own mapping and
/// no allocation, which would end any process.
const AMPLE_HEAP: [(&str, &str); 4] = [
    ("MALLOC_ARENA_MAX", "1"),
    ("MALLOC_TOP_PAD_", "134217728"),
    ("MALLOC_TRIM_THRESHOLD_", "1073741824"),
    ("MALLOC_MMAP_THRESHOLD_", "1073741824"),
];

fn limit(resource: Resource, to: Option<u64>) {
    let maximum = getrlimit(resource).maximum;
    setrlimit(resource, Rlimit { current: to.or(maximum), maximum }).unwrap();
}

/// The first number that no descriptor has: a limit counts numbers, not descriptors.
fn lowest_free_descriptor() -> u64 {
    let taken = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.unwrap().file_name().into_string().ok()?.parse().ok()
    };
    let taken: Vec<u64> = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(taken).collect();
    (0..).find(|n| !taken.contains(n)).unwrap()
}

#[test]
fn with_any_few_descriptors_a_store_opens_or_says_why_not() {
    let name = "with_any_few_descriptors_a_store_opens_or_says_why_not";
    let Some(dir) = part() else {
        let folder = tempfile::tempdir().unwrap();
        println!("{}", told(name, folder.path()).join("\n"));
        return;
    };
    let mut opened = 0;
    let before = held().0;
    for spare in 0..48 {
        // New stores, and one that grows from life to life.
        for (folder, sync) in [(format!("new-{spare}"), true), ("old".to_owned(), spare % 2 == 0)] {
            let root = dir.join(folder);
            let mut tally = Tally { next: spare * 1_000, ..Tally::default() };
            limit(Resource::Nofile, Some(lowest_free_descriptor() + spare));
            let end = tally.live(&root, sync, 90);
            limit(Resource::Nofile, None);
            if let Err(error) = &end {
                assert!(is_typed(error), "{spare} descriptors: {error:?}");
            }
            opened += u64::from(!tally.acknowledged.is_empty());
            tally.judge(&root);
            assert_eq!(held().0, before, "descriptors are left behind");
        }
    }
    assert!(opened > 20, "a store needs 48 descriptors?");
    say(&format!(
        "descriptors: 96 lives with 0 to 47 to spare, {opened} of them took messages, none lost any"
    ));
}

#[test]
fn a_store_that_runs_out_of_descriptors_goes_on_when_there_are_some() {
    let name = "a_store_that_runs_out_of_descriptors_goes_on_when_there_are_some";
    let Some(dir) = part() else {
        let folder = tempfile::tempdir().unwrap();
        println!("{}", told(name, folder.path()).join("\n"));
        return;
    };
    let mut stood = 0;
    for spare in 0..12 {
        let root = dir.join(format!("{spare}"));
        let mut tally = Tally::default();
        let store = Store::open(&root, options(spare % 2 == 0)).unwrap();
        tally.append(&store, 10);
        limit(Resource::Nofile, Some(lowest_free_descriptor() + spare));
        tally.append(&store, 150);
        // What readers see, they see: what is in files that cannot be opened now is an error value.
        for read in store.scan(store.marks().first) {
            if let Err(error) = read {
                assert!(is_typed(&error), "{error:?}");
                break;
            }
        }
        limit(Resource::Nofile, None);
        if store.failure().is_none() {
            let before = tally.acknowledged.len();
            tally.append(&store, 150);
            assert_eq!(tally.acknowledged.len(), before + 150, "descriptors are back, and it does not go on");
            stood += 1;
        }
        let _ = store.close();
        tally.judge(&root);
    }
    say(&format!("descriptors taken from an open store 12 times: {stood} went on without being reopened"));
}

#[test]
fn a_limit_on_the_length_of_files_is_an_error_value_and_no_signal() {
    let name = "a_limit_on_the_length_of_files_is_an_error_value_and_no_signal";
    let Some(dir) = part() else {
        let folder = tempfile::tempdir().unwrap();
        println!("{}", told(name, folder.path()).join("\n"));
        return;
    };
    let limits = [0, 1, 3, 4, 5, 100, 511, 512, 1_000, 1_279, 1_280, 4_096, 8_192, 20_000, 65_536]
        .into_iter()
        .chain([SEGMENT_BYTES - 1, SEGMENT_BYTES, SEGMENT_BYTES + 1]);
    let mut took = 0;
    for (at, most) in limits.enumerate() {
        for new in [true, false] {
            let root = dir.join(format!("{most}-{new}"));
            let mut tally = Tally::default();
            if !new {
                tally.live(&root, at % 2 == 0, 20).unwrap();
            }
            limit(Resource::Fsize, Some(most));
            let before = tally.acknowledged.len();
            let end = tally.live(&root, at % 2 == 0, 90);
            limit(Resource::Fsize, None);
            if let Err(error) = &end {
                assert!(is_typed(error), "{most} bytes: {error:?}");
            }
            assert!(most < SEGMENT_BYTES || end.is_ok(), "{most} bytes are enough: {end:?}");
            took += u64::from(tally.acknowledged.len() > before);
            tally.judge(&root);
        }
    }
    say(&format!(
        "file length: 36 lives under 18 limits, {took} of them took messages, no signal, nothing lost"
    ));
}

/// One case in a process of its own: an allocation that fails elsewhere in the process would end it.
#[test]
fn the_one_without_address_space() {
    let Some(dir) = part() else { return };
    let (root, spare) = (dir.parent().unwrap(), dir.file_name().unwrap().to_str().unwrap());
    let spare_bytes = spare.parse::<u64>().unwrap() << 20;
    let options = || options(true).segment_bytes(16 << 20);
    let mut tally = Tally::default();
    let store = Store::open(root, options()).unwrap();
    tally.append(&store, 10);
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = status.split(' ').next().unwrap().parse().unwrap();
    limit(Resource::As, Some(pages * 4096 + spare_bytes));
    // Three segments more, each a mapping.
    tally.append(&store, 8_000);
    let failed = store.failure().is_some_and(|error| is_typed(&error));
    // A second store beside it: threads and mappings, or a word why not.
    let beside = Store::open(root.join("beside"), options());
    let word = match &beside {
        Ok(_) => "opens",
        Err(error) if is_typed(error) => "is refused",
        Err(other) => panic!("{other:?}"),
    };
    drop(beside);
    limit(Resource::As, None);
    drop(store);
    let store = Store::open(root, options()).unwrap();
    let found = store.scan(store.marks().first).map(|read| number(read.unwrap().body())).collect::<Vec<_>>();
    assert!(tally.acknowledged.iter().all(|n| found.binary_search(n).is_ok()), "acknowledged and lost");
    store.close().unwrap();
    say(&format!(
        "{spare} MiB to spare: {} of 8010 taken, failed: {failed}, a second store {word}",
        tally.acknowledged.len()
    ));
}

#[test]
fn without_address_space_for_a_mapping_there_is_an_error_value() {
    if part().is_some() {
        return;
    }
    let mut refused = 0;
    for spare in [1, 8, 15, 17, 40, 100] {
        let folder = tempfile::tempdir().unwrap();
        let mut other = again("the_one_without_address_space", &folder.path().join(format!("{spare}")));
        let run = other.envs(AMPLE_HEAP).output().unwrap();
        let words = ended_well(&run);
        refused += u64::from(words[0].contains("is refused"));
        println!("{}", words[0]);
    }
    assert!(refused > 0, "no limit was ever met");
}

/// So many mappings that the kernel gives this process but a few more: neighbours differ, so that it cannot join them.
fn all_mappings_but(spare: usize) -> Option<Vec<(Mmap, MmapMut)>> {
    let most: usize = std::fs::read_to_string("/proc/sys/vm/max_map_count").ok()?.trim().parse().ok()?;
    if most > 200_000 {
        return None;
    }
    let mut all = Vec::with_capacity(most / 2);
    while let (Ok(one), Ok(other)) = (MmapMut::map_anon(4096), MmapMut::map_anon(4096)) {
        let Ok(one) = one.make_read_only() else { break };
        all.push((one, other));
    }
    all.truncate(all.len().saturating_sub(spare));
    Some(all)
}

#[test]
fn when_the_kernel_gives_no_more_mappings_there_is_an_error_value() {
    let name = "when_the_kernel_gives_no_more_mappings_there_is_an_error_value";
    let Some(dir) = part() else {
        let folder = tempfile::tempdir().unwrap();
        let run = again(name, folder.path()).envs(AMPLE_HEAP).output().unwrap();
        println!("{}", ended_well(&run).join("\n"));
        return;
    };
    let (mut refused, mut lives) = (0, 0);
    for spare in [0, 1, 2, 4, 8, 16] {
        let root = dir.join(format!("{spare}"));
        let mut tally = Tally::default();
        let store = Store::open(&root, options(spare % 2 == 0)).unwrap();
        tally.append(&store, 10);
        let Some(mappings) = all_mappings_but(spare) else {
            say("skipped: this kernel allows more mappings than can be made in a test");
            return;
        };
        tally.append(&store, 200);
        // No second store here: std itself ends a process that starts a thread without a mapping for its guard page.
        drop(mappings);
        refused += tally.refused;
        let _ = store.close();
        tally.judge(&root);
        lives += 1;
    }
    assert!(refused > 0, "the limit was never met");
    say(&format!("mappings: {lives} stores ran out of them, {refused} appends were refused, nothing lost"));
}

#[test]
fn descriptors_and_mappings_are_bounded_whatever_is_read_and_all_go_at_the_end() {
    let name = "descriptors_and_mappings_are_bounded_whatever_is_read_and_all_go_at_the_end";
    let Some(dir) = part() else {
        let folder = tempfile::tempdir().unwrap();
        println!("{}", told(name, folder.path()).join("\n"));
        return;
    };
    let before = held();
    let mut tally = Tally::default();
    let store = Store::open(&dir, options(false)).unwrap();
    // What is not flushed stays open: three segments, and the one made ahead.
    for _ in 0..20 {
        tally.append(&store, 100);
        store.flush().unwrap();
    }
    let segments = usize::try_from(store.marks().accepted.0 / SEGMENT_BYTES).unwrap() + 1;
    assert!(segments > 45, "{segments} segments are not many more than 8");
    let most = held();
    // Of the log each open segment is one descriptor and one mapping; of the queues no more files than the options
    // say; lock, mark, abort, index and small files are the rest.
    let (bound_files, bound_maps) = (before.0 + 8 + 5 + 16 + 12, before.1 + 8 + 5 + 40);
    assert!(most.0 <= bound_files, "{most:?} of {segments} segments");
    assert!(most.1 <= bound_maps, "{most:?} of {segments} segments");
    store.close().unwrap();
    let store = Store::open(&dir, options(false)).unwrap();
    let opened = held();
    assert!(opened.0 <= before.0 + 16 + 12, "an open store that nobody reads holds {opened:?}");
    for id in 0..20 {
        store.queue("orders", id).read_from(sawlog::QueueOffset(0)).for_each(|read| drop(read.unwrap()));
    }
    let read = held();
    assert!(read.0 <= bound_files && read.1 <= bound_maps, "{read:?} of {segments} segments");
    // Views keep their mapping, and no descriptor.
    let views: Vec<_> = store.scan(store.marks().first).map(|read| read.unwrap().message.body).collect();
    let viewed = held();
    assert!(viewed.0 <= bound_files, "{viewed:?} of {segments} segments");
    assert!(viewed.1 >= before.1 + segments, "{viewed:?} of {segments} segments: were they views?");
    for (n, body) in (0..).zip(&views) {
        assert_eq!(number(body), n);
    }
    drop(views);
    let dropped = held();
    assert!(dropped.1 <= bound_maps, "{dropped:?} of {segments} segments");
    store.close().unwrap();
    assert_eq!(held().0, before.0, "descriptors are left behind");
    say(&format!(
        "{segments} segments, 20 queues: (descriptors, mappings) {before:?} before, {most:?} written, {opened:?} opened, {read:?} read, {viewed:?} with views of all, {dropped:?} without"
    ));
}
