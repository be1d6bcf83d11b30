//! A process whose memory ends at any allocation: it aborts, and what lies on the disk is a store (promises B6).
//!
//! Rust answers an allocation that fails with an abort, and so does this crate: nothing is unwound, no destructor
//! writes anything. For the disk it is `kill -9` at a place of the allocator's choosing. No allocator of our own finds
//! these places (that would be `unsafe`): each child gets a limit on its data (RLIMIT_DATA) which holds it to what it
//! has, eats what its heap has left, and gives so many bytes back.
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

#[path = "support/dice.rs"]
mod dice;
#[path = "support/process.rs"]
mod process;

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use dice::Dice;
use process::{again, part, say, words};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use sawlog::flush::{AsyncFlush, SyncFlush};
use sawlog::{Error, Message, Options, QueueOffset, Store};

/// Children that run out of memory while they append, and as many while they open.
const CHILDREN: u64 = 150;
const QUICK_CHILDREN: u64 = 20;
/// Messages that a child appends if its memory lasts.
const MESSAGES: u64 = 400;
/// What a child says whose store cannot be opened for lack of a thread.
const REFUSED: &str = "refused";

/// One arena that grows by pages: what a limit leaves is what every thread has. And no backtrace: std's report of the
/// failure allocates for it, under a lock that its report of *that* failure waits for (seen with 1.90: it hangs).
const ONE_HEAP: [(&str, &str); 4] = [
    ("MALLOC_ARENA_MAX", "1"),
    ("MALLOC_TOP_PAD_", "0"),
    ("MALLOC_MMAP_THRESHOLD_", "1073741824"),
    ("RUST_BACKTRACE", "0"),
];

fn options(sync: bool) -> Options {
    let options = Options::new()
        .segment_bytes(128 << 10)
        .max_message_bytes(16 << 10)
        .index_slots(64)
        .index_entries(512)
        .queue_segment_entries(64);
    if sync { options.flush(SyncFlush) } else { options.flush(AsyncFlush::default()) }
}

fn message(n: u64) -> Message {
    let body = format!("{n} {}", "x".repeat(usize::try_from(n * 37 % 1_500).unwrap()));
    Message::new("orders", body).queue(u32::try_from(n % 5).unwrap()).key(&format!("k{}", n % 50))
}

fn number(body: &[u8]) -> u64 {
    std::str::from_utf8(body).unwrap().split(' ').next().unwrap().parse().unwrap()
}

/// Takes all memory that there is but `spare_bytes`. What is returned holds it.
fn eat_all_but(spare_bytes: usize) -> Vec<Vec<u8>> {
    let mut eaten = Vec::with_capacity(100_000);
    let spare = Vec::<u8>::with_capacity(spare_bytes);
    let maximum = getrlimit(Resource::Data).maximum;
    // Below what is in use: nothing that the heap has not got already.
    setrlimit(Resource::Data, Rlimit { current: Some(4096), maximum }).unwrap();
    for bytes in [1 << 20, 64 << 10, 4 << 10, 512, 64, 24] {
        loop {
            let mut bite = Vec::new();
            if eaten.len() == eaten.capacity() || bite.try_reserve_exact(bytes).is_err() {
                break;
            }
            eaten.push(bite);
        }
    }
    drop(spare);
    eaten
}

/// Appends, says what was acknowledged, and reads now and then, until memory ends.
fn work(store: &Store, first: u64, spare_bytes: usize) {
    for n in first..first + MESSAGES {
        // So that memory never lasts.
        Vec::<u8>::with_capacity(200 + spare_bytes / 200).leak();
        if store.append_and_wait(&message(n)).is_ok() {
            say(&format!("{n}"));
        }
        if n % 40 == 0 {
            let _ = store.find("orders", "k1").next();
            let _ = store.flush();
        }
    }
}

#[test]
fn the_one_that_runs_out_of_memory() {
    let Some(dir) = part() else { return };
    let root = dir.parent().unwrap();
    let name = dir.file_name().unwrap().to_str().unwrap();
    let [when, life, spare_bytes] = name.split('-').collect::<Vec<_>>()[..] else { panic!("{name}") };
    let (life, spare_bytes) = (life.parse::<u64>().unwrap(), spare_bytes.parse().unwrap());
    let (options, first) = (options(life.is_multiple_of(2)), life * 1_000);
    if when == "open" {
        // A thread's stack is more memory than there is: by hand, opening ends at an allocation.
        let options = if life % 3 == 0 { options } else { options.by_hand() };
        let eaten = eat_all_but(spare_bytes);
        match Store::open(root, options) {
            Ok(store) => work(&store, first, spare_bytes),
            Err(Error::Io { .. }) => say(REFUSED),
            Err(other) => panic!("{other}"),
        }
        drop(eaten);
    } else {
        let store = Store::open(root, options).unwrap();
        // Each thread has begun by then: what std does at its start is not what is tried.
        let ack = store.append(&message(first)).unwrap();
        store.flush().unwrap();
        store.dispatched().reach(ack.end()).wait().unwrap();
        let eaten = eat_all_but(spare_bytes);
        work(&store, first + 1, spare_bytes);
        store.close().unwrap();
        drop(eaten);
    }
}

/// Everything that was acknowledged is there, once, in order, in its queue; and more is taken.
fn judge(root: &Path, acknowledged: &BTreeSet<u64>) {
    let store = Store::open(root, options(true)).unwrap();
    let found: Vec<u64> = store.scan(store.marks().first).map(|read| number(read.unwrap().body())).collect();
    assert!(found.is_sorted_by(|a, b| a < b), "out of order, or twice: {found:?}");
    let lost: Vec<_> = acknowledged.iter().filter(|n| found.binary_search(n).is_err()).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}; {}", store.recovery());
    let queued = |id| store.queue("orders", id).read_from(QueueOffset(0)).map(Result::unwrap).count();
    assert_eq!((0..5).map(queued).sum::<usize>(), found.len(), "queues and log differ");
    assert!(store.recovery().side_damage.is_empty(), "{}", store.recovery());
    store.close().unwrap();
}

fn run_out(when: &str) {
    let children = if std::env::var_os("SAWLOG_QUICK").is_some() { QUICK_CHILDREN } else { CHILDREN };
    let folder = tempfile::tempdir().unwrap();
    let (mut dice, mut acknowledged, mut aborted, mut refused) = (Dice::new(6), BTreeSet::new(), 0, 0);
    let mut in_opening = 0;
    for life in 0..children {
        // From a few bytes to what a whole life takes, as many of each size.
        let spare_bytes = dice.below(1 << (5 + life % 20));
        let place = folder.path().join(format!("{when}-{life}-{spare_bytes}"));
        let run = again("the_one_that_runs_out_of_memory", &place).envs(ONE_HEAP).output().unwrap();
        let told = words(&run.stdout);
        let errors = String::from_utf8_lossy(&run.stderr);
        if told.iter().any(|word| word == REFUSED) {
            assert!(run.status.success(), "{:?}\n{errors}", run.status);
            refused += 1;
            continue;
        }
        let is_abort = run.status.signal() == Some(Signal::ABORT.as_raw());
        // Rust's own word, the kernel's, and that of the C library where a thread keeps its variables.
        let words = ["memory allocation of", "Cannot allocate memory", "out of memory"];
        assert!(
            is_abort && words.iter().any(|word| errors.contains(word)),
            "{spare_bytes} bytes: {:?}\n{errors}",
            run.status
        );
        aborted += 1;
        in_opening += u64::from(told.is_empty());
        acknowledged.extend(told.iter().map(|word| word.parse::<u64>().unwrap()));
        judge(folder.path(), &acknowledged);
    }
    assert!(!acknowledged.is_empty());
    println!(
        "{when}: {aborted} children aborted, {in_opening} of them before an acknowledgement, {refused} were refused a \
         thread; {} messages acknowledged, none lost",
        acknowledged.len()
    );
}

#[test]
fn memory_that_ends_while_appending_is_an_abort_that_loses_nothing_acknowledged() {
    if part().is_none() {
        run_out("append");
    }
}

#[test]
fn memory_that_ends_while_opening_is_an_abort_that_loses_nothing_acknowledged() {
    if part().is_none() {
        run_out("open");
    }
}
