//! Ten thousand queues in one store on a real disk, with RocketMQ's own file lengths: how many descriptors, how much
//! memory, and is every message there after a close and after `kill -9`?
//!
//! One test, in a binary of its own: it counts the descriptors of its process. What memory a store takes is measured
//! in a fresh process, which is this binary once more, and which is killed afterwards.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests may stop at the first surprise"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use sawlog::{Fetch, Message, Options, QueueOffset, Retention, Status, Store, inspect};

const TOPICS: u32 = 100;
/// Queues of each topic; with `SAWLOG_QUEUES_OF_EACH=1000` there are 100,000 in all, which takes minutes, and with 20
/// still four for each descriptor.
const QUEUES: u32 = 100;
const EACH: u32 = 3;
/// What may be open for the queues.
const OPEN_FILES: usize = 512;
/// And beside them: lock, mark, abort and small files while they are written, the log's segments (each with one
/// descriptor for records and one for zeroing ahead), a live index file with its making, what the test itself holds.
const OTHER_FILES: usize = 32;
const MOST_BYTES: u64 = 64 << 20;
const CHILD: &str = "SAWLOG_QUEUES_ROOT";
/// What the parent reads before the child's figures: the harness talks, too.
const MARK: &str = "resident ";

/// RocketMQ's lengths for queue and index files, by default; a shorter log, whose mapped pages are not what is asked.
fn options() -> Options {
    let options = Options::new().segment_bytes(16 << 20).open_files(u32::try_from(OPEN_FILES).unwrap());
    options.retention(Retention::keep_all().refuse_above(None))
}

fn queues() -> u32 {
    std::env::var("SAWLOG_QUEUES_OF_EACH").map_or(QUEUES, |queues| queues.parse().unwrap())
}

/// Memory grows with the queues that are in use, descriptors do not.
fn most_bytes() -> u64 {
    MOST_BYTES * u64::from(queues()).div_ceil(u64::from(QUEUES))
}

fn topic(n: u32) -> String {
    format!("topic-{n:02}")
}

fn body(topic: u32, queue: u32, n: u32) -> String {
    format!("message {n} of {topic}/{queue}")
}

/// One message into each queue.
fn round(store: &Store, n: u32) {
    let mut last = None;
    for t in 0..TOPICS {
        for queue in 0..queues() {
            let message =
                Message::new(topic(t), body(t, queue, n)).queue(queue).key(&format!("{t}-{queue}-{n}"));
            last = Some(store.append(&message).unwrap());
        }
    }
    let last = last.unwrap();
    last.wait().unwrap();
    store.dispatched().reach(last.end()).wait().unwrap();
}

/// Every queue of every topic has `each` messages, those that were sent, in order.
fn read_all(store: &Store, each: u32) {
    assert_eq!(store.topics(), (0..TOPICS).map(topic).collect::<Vec<_>>());
    for t in 0..TOPICS {
        let name = topic(t);
        assert_eq!(store.queues_of(&name), (0..queues()).collect::<Vec<_>>());
        for id in 0..queues() {
            let queue = store.queue(&name, id);
            assert_eq!((queue.min().unwrap().0, queue.max().0), (0, u64::from(each)), "{queue:?}");
            for (n, record) in (0..).zip(queue.read_from(QueueOffset(0))) {
                let record = record.unwrap();
                assert_eq!(record.body(), body(t, id, n).as_bytes());
                assert_eq!(record.queue_offset.0, u64::from(n));
                assert!(n < each);
            }
            let end = queue.fetch(&Fetch::from(queue.max())).unwrap();
            assert_eq!(end.status, Status::AtEnd);
        }
    }
    for (t, queue, n) in [(0, 0, 0), (TOPICS - 1, queues() - 1, each - 1), (50, queues() / 2, 1)] {
        let found: Vec<_> = store.find(&topic(t), &format!("{t}-{queue}-{n}")).map(Result::unwrap).collect();
        assert_eq!((found.len(), found[0].queue_id(), found[0].queue_offset.0), (1, queue, u64::from(n)));
    }
}

/// The most descriptors that this process held while `work` ran, counted every two milliseconds.
fn descriptors(work: impl FnOnce()) -> usize {
    let (done, is_done) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let counter = scope.spawn(move || {
            let mut most = 0;
            while is_done.recv_timeout(Duration::from_millis(2)) == Err(RecvTimeoutError::Timeout) {
                most = most.max(fs::read_dir("/proc/self/fd").unwrap().count());
            }
            most
        });
        work();
        drop(done);
        counter.join().unwrap()
    })
}

/// A figure of this process, in bytes: `VmRSS`, or `VmHWM`, the most that it was.
fn memory(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

/// What the process does that is measured, and then killed.
fn child(root: &str) {
    let before = memory("VmRSS");
    let store = Store::open(root, options()).unwrap();
    let dispatched = store.dispatched().reach(store.marks().flushed);
    dispatched.wait().unwrap();
    let opened = memory("VmRSS") - before;
    let most = memory("VmHWM") - before;
    round(&store, EACH);
    let written = memory("VmRSS") - before;
    store.flush().unwrap();
    println!("\n{MARK}{opened} {most} {written}");
    // Until it is killed; or its parent dies, which closes the pipe.
    let _ = std::io::stdin().read(&mut [0]);
    std::process::exit(1);
}

/// Every byte is held against every other, with few descriptors.
fn verify(root: &Path) {
    let done = inspect::verify(root, &inspect::VerifyOptions::new(), |told| {
        if let inspect::Told::Fault(fault) = told {
            assert!(!fault.kind.is_damage(), "{fault}");
        }
        ControlFlow::Continue(())
    });
    let done = done.unwrap();
    assert_eq!((done.complete, done.queues, done.damages()), (true, u64::from(TOPICS * queues()), 0));
}

/// Opens the store in a process of its own, which appends another message to each queue and is killed. What memory
/// it took: opened, at most while opening, after the round.
fn opened_and_killed(root: &Path) -> [u64; 3] {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "ten_thousand_queues_need_512_descriptors_and_64_mib", "--nocapture"])
        .env(CHILD, root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let told = lines.find_map(|line| line.unwrap().strip_prefix(MARK).map(str::to_owned));
    child.kill().unwrap();
    child.wait().unwrap();
    let told = told.expect("the child has died by itself");
    let figures: Vec<u64> = told.split(' ').map(|figure| figure.parse().unwrap()).collect();
    figures.try_into().unwrap()
}

#[test]
fn ten_thousand_queues_need_512_descriptors_and_64_mib() {
    if let Ok(root) = std::env::var(CHILD) {
        return child(&root);
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let clock = Instant::now();
    let told = |what: &str| println!("{:>7.2} s  {what}", clock.elapsed().as_secs_f64());

    let most = descriptors(|| {
        let store = Store::open(root, options()).unwrap();
        (0..EACH).for_each(|n| round(&store, n));
        told("appended and derived");
        read_all(&store, EACH);
        told("read from memory and files");
        store.close().unwrap();
        told("closed");
    });
    assert!((1..=OPEN_FILES + OTHER_FILES).contains(&most), "{most} descriptors while writing");

    let figures @ [opened, peak, written] = opened_and_killed(root);
    told("opened, appended to and killed in another process");
    println!("resident: {figures:?} bytes; {most} descriptors");
    assert!(opened <= most_bytes(), "an idle store takes {opened} bytes");
    assert!(peak <= most_bytes(), "opening takes {peak} bytes");
    assert!(written <= most_bytes(), "a store that was appended to takes {written} bytes");

    for end in ["a kill", "a close"] {
        let most = descriptors(|| verify(root));
        told("verified");
        assert!((1..=OTHER_FILES).contains(&most), "{most} descriptors while verifying after {end}");
        let most = descriptors(|| {
            let store = Store::open(root, options()).unwrap();
            told("opened");
            assert_eq!(store.recovery().clean_shutdown, end == "a close");
            assert!(!store.recovery().rebuilt, "{}", store.recovery());
            read_all(&store, EACH + 1);
            told("read from files");
            store.close().unwrap();
            told("closed");
        });
        assert!((1..=OPEN_FILES + OTHER_FILES).contains(&most), "{most} descriptors after {end}");
    }
}
