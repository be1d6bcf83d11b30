//! A small file system, filled and freed a thousand times under a running store: no signal, no restart, and all that
//! was acknowledged can be read until retention removes it (promises D1, D2).
//!
//! Each file system is mounted by a child process in a mount namespace of its own, so that nothing of it is seen
//! outside and nothing is left behind. Where that is not allowed the test says so and passes.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    clippy::print_stdout,
    missing_docs,
    reason = "tests may stop at the first surprise"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sawlog::clock::{Clock, SystemClock, Timestamp};
use sawlog::disk::{Disk, OsDisk, Reserve};
use sawlog::flush::{AsyncFlush, SyncFlush};
use sawlog::{Ack, Error, Message, Options, QueueOffset, Retention, Store};

/// Set in the child: `<kind> <folder to mount in>`.
const CHILD: &str = "SAWLOG_SMALL_DISK";
/// What the child says when it may not mount, and before its figures.
const LEFT_OUT: &str = "left out: ";
const FIGURES: &str = "figures: ";
const CYCLES: u64 = 1000;
const SEGMENT: u64 = 256 << 10;
/// How long after room was made an append may still be refused.
const PATIENCE: Duration = Duration::from_secs(5);

fn main_in_child(kind: &str, folder: &Path) {
    if let Err(why) = mount(kind, folder) {
        return println!("{LEFT_OUT}{why}");
    }
    let mut figures = Figures::default();
    for sync in [true, false] {
        cycles(&folder.join(format!("store-{sync}")), &folder.join("ballast"), sync, &mut figures);
        fs::remove_dir_all(folder.join(format!("store-{sync}"))).unwrap();
    }
    println!("{FIGURES}{kind}: {figures:?}");
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let done = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    match done {
        Ok(done) if done.status.success() => Ok(()),
        Ok(done) => Err(format!("{program}: {}", String::from_utf8_lossy(&done.stderr).trim())),
        Err(error) => Err(format!("{program}: {error}")),
    }
}

fn mount(kind: &str, folder: &Path) -> Result<(), String> {
    let at = folder.to_str().unwrap();
    match kind {
        "tmpfs" => run("mount", &["-t", "tmpfs", "-o", "size=16m", "tmpfs", at]),
        _ => {
            let image = folder.with_extension("image");
            fs::File::create(&image).and_then(|file| file.set_len(32 << 20)).map_err(|e| e.to_string())?;
            let image = image.to_str().unwrap();
            run("mkfs.ext4", &["-q", "-F", image])?;
            run("mount", &["-o", "loop", image, at])
        }
    }
}

/// A clock whose seconds go by fifty times as fast, so that a store looks at a full disk every two milliseconds.
#[derive(Debug, Default)]
struct Fast(SystemClock);

impl Clock for Fast {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
    fn elapsed(&self) -> Duration {
        self.0.elapsed() * 50
    }
}

#[derive(Debug, Default)]
struct Figures {
    cycles: u64,
    stored: u64,
    refused: u64,
    segments_swept: u64,
    records_read: u64,
    longest_wait: Duration,
}

fn body(n: u64) -> Vec<u8> {
    format!("{n:010}").repeat(1 + (n % 1500) as usize).into_bytes()
}

/// Somebody else's file, so long that so many bytes are free.
fn leave_free(ballast: &Path, free: u64) {
    let _ = fs::remove_file(ballast);
    let disk = OsDisk::new();
    let space = disk.space(ballast.parent().unwrap()).unwrap();
    // A file system needs some of it for itself; or the store was faster.
    let mut bytes = space.free.saturating_sub(free);
    while disk.create(ballast, bytes, Reserve::Blocks).is_err() {
        bytes = bytes.saturating_sub(16 << 10);
    }
}

struct Cycle<'a> {
    store: &'a Store,
    next: u64,
    figures: &'a mut Figures,
}

impl Cycle<'_> {
    fn append(&mut self) -> sawlog::Result<Ack> {
        let ack = self.store.append(&Message::new("orders", body(self.next)))?;
        assert_eq!(ack.queue_offset(), QueueOffset(self.next));
        self.next += 1;
        self.figures.stored += 1;
        Ok(ack)
    }

    /// Appends until it is refused, or so often.
    fn fill(&mut self, most: u64) {
        for _ in 0..most {
            match self.append() {
                Ok(ack) => ack.forget(),
                Err(error) => {
                    assert!(error.is_full() && self.store.failure().is_none(), "{error}");
                    self.figures.refused += 1;
                    return;
                }
            }
        }
    }

    /// There is room: an append is taken, and durable or written as the policy says, before patience ends.
    fn resume(&mut self) {
        let since = Instant::now();
        loop {
            match self.append() {
                Ok(ack) => {
                    ack.wait().unwrap();
                    break;
                }
                Err(error) => {
                    assert!(error.is_full() && since.elapsed() < PATIENCE, "{error}");
                    std::thread::yield_now();
                }
            }
        }
        self.figures.longest_wait = self.figures.longest_wait.max(since.elapsed());
    }

    /// All that was stored from `from` on can be read, but what retention removes.
    fn read(&mut self, from: u64) {
        let queue = self.store.queue("orders", 0);
        let mut next = from;
        while next < self.next {
            queue.wait(QueueOffset(next)).wait().unwrap();
            for record in queue.read_from(QueueOffset(next)) {
                match record {
                    Ok(record) => {
                        assert_eq!(record.queue_offset.0, next);
                        assert!(record.message.body == body(next), "message {next}");
                        next += 1;
                        self.figures.records_read += 1;
                    }
                    Err(Error::OutOfRange { first, .. }) if first > next => {
                        next = first;
                        break;
                    }
                    Err(other) => panic!("message {next}: {other}"),
                }
            }
        }
    }
}

fn cycles(root: &Path, ballast: &Path, sync: bool, figures: &mut Figures) {
    let options = || {
        let options = Options::new().segment_bytes(SEGMENT).queue_segment_entries(256).index_slots(64);
        let options = options.index_entries(1024).clock(Fast::default()).retention(Retention::default());
        if sync { options.flush(SyncFlush) } else { options.flush(AsyncFlush::default()) }
    };
    let store = Store::open(root, options()).unwrap();
    let mut cycle = Cycle { store: &store, next: 0, figures };
    for n in 0..CYCLES / 2 {
        // Now there is room for some segments, now hardly for one, now not a byte.
        leave_free(ballast, (n % 8) * SEGMENT);
        cycle.fill(60);
        if n % 3 == 0 {
            // Whatever a sweep made free somebody takes.
            leave_free(ballast, 0);
            cycle.fill(60);
        }
        fs::remove_file(ballast).unwrap();
        cycle.resume();
        let from = if n % 20 == 0 { 0 } else { cycle.next.saturating_sub(60) };
        cycle.read(from);
        cycle.figures.cycles += 1;
    }
    let (next, first) = (cycle.next, store.marks().first);
    figures.segments_swept += first.0 / SEGMENT;
    store.close().unwrap();
    let store = Store::open(root, options()).unwrap();
    assert!(store.recovery().clean_shutdown && store.marks().first >= first);
    assert_eq!(store.queue("orders", 0).max().0, next);
    Cycle { store: &store, next, figures }.read(0);
    store.close().unwrap();
}

/// What the children run; nothing in the parent.
#[test]
fn child() {
    if let Ok(task) = std::env::var(CHILD) {
        let (kind, folder) = task.split_once(' ').unwrap();
        main_in_child(kind, Path::new(folder));
    }
}

fn on(kind: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mounted: PathBuf = folder.path().join("mounted");
    fs::create_dir(&mounted).unwrap();
    let this = std::env::current_exe().unwrap();
    let child = Command::new("unshare")
        .args(["--mount", "--"])
        .arg(this)
        .args(["--exact", "child", "--nocapture"])
        .env(CHILD, format!("{kind} {}", mounted.display()))
        .stdin(Stdio::null())
        .output();
    let child = match child {
        Ok(child) => child,
        Err(error) => return println!("{LEFT_OUT}{kind}: unshare: {error}"),
    };
    let (out, errors) = (String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
    if !child.status.success() && errors.starts_with("unshare:") {
        return println!("{LEFT_OUT}{kind}: {}", errors.trim());
    }
    assert!(child.status.success(), "{kind}: {}\n{out}\n{errors}", child.status);
    let said = out.lines().find_map(|line| {
        let at = line.find(LEFT_OUT).or_else(|| line.find(FIGURES))?;
        line.get(at..)
    });
    println!("{}", said.expect("neither figures nor a reason"));
}

#[test]
fn a_small_memory_file_system_is_filled_and_freed_a_thousand_times() {
    on("tmpfs");
}

#[test]
fn a_small_ext4_is_filled_and_freed_a_thousand_times() {
    on("ext4");
}
