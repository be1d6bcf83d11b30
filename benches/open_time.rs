//! How long it takes to open a store whose process was killed: one of many queue files, and one of a long log whose
//! checkpoint is a second old; with a warm cache, a cold one, and without what the store knows of itself.
//!
//! ```sh
//! cargo bench --bench open_time                       # 200,000 queue files, 20 GiB of log: takes minutes and the room
//! SAWLOG_OPEN_QUEUES=0 SAWLOG_OPEN_LOG_MIB=4096 SAWLOG_BENCH_DIR=/data cargo bench --bench open_time
//! ```
//!
//! With `SAWLOG_OPEN_ROOT` the stores are made there, and left there for another run.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "a bench measures time and may stop at the first surprise"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use sawlog::flush::AsyncFlush;
use sawlog::{Message, Options, Retention, Store};

mod support;
mod unsynced;

/// Queues of one topic.
const QUEUES_OF_EACH: u64 = 1_000;
const BODY_BYTES: usize = 1024;
const WARM_ROUNDS: usize = 5;
/// What a child process is to do, and where.
const JOB: &str = "SAWLOG_OPEN_JOB";
const MARK: &str = "opened in ";

fn main() {
    if let Ok(job) = std::env::var(JOB) {
        child(&job);
    }
    // Whoever asks for another bench by name.
    if std::env::args().skip(1).any(|argument| !argument.starts_with('-') && !"open_time".contains(&argument))
    {
        return;
    }
    let is_smoke = std::env::args().any(|argument| argument == "--test");
    let (queues, log_mib) = if is_smoke { (300, 48) } else { (200_000, 20 << 10) };
    let size = |name: &str, or: u64| std::env::var(name).map_or(or, |size| size.parse().expect("a number"));
    let (queues, log_mib) = (size("SAWLOG_OPEN_QUEUES", queues), size("SAWLOG_OPEN_LOG_MIB", log_mib));
    let kept = std::env::var_os("SAWLOG_OPEN_ROOT").map(PathBuf::from);
    let folder = kept.is_none().then(support::folder);
    let root = kept.unwrap_or_else(|| folder.as_ref().expect("one of both").path().to_path_buf());
    println!("{:<44} {:>10} {:>10}", "opening a store that was killed", "warm, ms", "cold, ms");
    if queues > 0 {
        let store = root.join(format!("queues-{queues}"));
        make(&store, "queues", queues);
        measure(&store, &format!("{queues} queue files"));
        without(&store, "the same without sawlog/queues", "sawlog/queues");
    }
    if log_mib > 0 {
        let store = root.join(format!("log-{log_mib}"));
        make(&store, "log", log_mib);
        measure(&store, &format!("{log_mib} MiB of log, checkpoint 1 s old"));
        without(&store, "the same without sawlog/mark", "sawlog/mark");
    }
}

/// This program once more, which ends without closing its store.
fn again(job: &str, store: &Path, size: u64) -> String {
    let run = Command::new(std::env::current_exe().unwrap())
        .env(JOB, format!("{job} {size} {}", store.display()))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(told.contains(MARK), "{told}{}", String::from_utf8_lossy(&run.stderr));
    told
}

fn make(store: &Path, job: &str, size: u64) {
    if !store.exists() {
        again(job, store, size);
    }
}

/// How long one opening took, and the first lines of what it reported.
fn open(store: &Path) -> (Duration, String) {
    let told = again("open", store, 0);
    let line = told.lines().find_map(|line| line.strip_prefix(MARK)).unwrap();
    let (took, report) = line.split_once(" us; ").unwrap();
    (Duration::from_micros(took.parse().unwrap()), report.to_owned())
}

fn measure(store: &Path, name: &str) {
    open(store);
    let mut warm: Vec<_> = (0..WARM_ROUNDS).map(|_| open(store)).collect();
    warm.sort();
    let (took, report) = &warm[WARM_ROUNDS / 2];
    row(name, *took, cold(store));
    println!("    {report}");
}

fn without(store: &Path, name: &str, file: &str) {
    // As often as it is opened, it is there again.
    fs::remove_file(store.join(file)).unwrap();
    let (took, report) = open(store);
    row(name, took, None);
    println!("    {report}");
}

fn row(name: &str, warm: Duration, cold: Option<Duration>) {
    let ms = |took: Duration| format!("{:.0}", took.as_secs_f64() * 1e3);
    println!("{name:<44} {:>10} {:>10}", ms(warm), cold.map_or_else(|| "-".into(), ms));
}

/// The same when the page cache has nothing, where this process may say so.
fn cold(store: &Path) -> Option<Duration> {
    rustix::fs::sync();
    match fs::write("/proc/sys/vm/drop_caches", "3") {
        Ok(()) => Some(open(store).0),
        Err(error) => {
            eprintln!("not measured cold: /proc/sys/vm/drop_caches: {error}");
            None
        }
    }
}

fn child(job: &str) -> ! {
    let mut words = job.splitn(3, ' ');
    let (job, size, store) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
    let (size, root) = (size.parse().unwrap(), Path::new(store));
    let _open = match job {
        "queues" => make_queues(root, size),
        "log" => make_log(root, size),
        "open" => {
            let began = Instant::now();
            let store = Store::open(root, options()).unwrap();
            let took = began.elapsed();
            let report = store.recovery().to_string().replace('\n', " ");
            println!("{MARK}{} us; {report}", took.as_micros());
            store
        }
        _ => panic!("no such job: {job}"),
    };
    // Not closed, as a killed process leaves it.
    std::process::abort()
}

fn options() -> Options {
    Options::new().retention(Retention::keep_all().refuse_above(None))
}

fn append(store: &Store, n: u64, body: bytes::Bytes, (topics, queues): (u64, u64)) {
    let queue = n % (topics * queues);
    let message = Message::new(format!("topic-{:03}", queue / queues), body).queue((queue % queues) as u32);
    store.append(&message.key(&format!("key-{n}"))).unwrap().forget();
}

/// So many queues of one file each, then a second's records that no checkpoint covers.
fn make_queues(root: &Path, queues: u64) -> Store {
    let of_each = QUEUES_OF_EACH.min(queues);
    let (spread, bodies) = ((queues / of_each, of_each), support::bodies(64));
    // A new file costs a sync, twice with its folder's; here one of the whole file system is enough at the end.
    let options = || options().segment_bytes(256 << 20).queue_segment_entries(1_000);
    let store = Store::open(root, options().disk(unsynced::Unsynced::default())).unwrap();
    (0..queues).for_each(|n| append(&store, n, bodies[n as usize % bodies.len()].clone(), spread));
    store.close().unwrap();
    rustix::fs::sync();
    let store = Store::open(root, options()).unwrap();
    let began = Instant::now();
    let mut n = queues;
    while began.elapsed() < Duration::from_secs(1) && n < queues + 100_000 {
        append(&store, n, bodies[n as usize % bodies.len()].clone(), spread);
        n += 1;
    }
    store.flush().unwrap();
    println!("{MARK}{n} records");
    store
}

/// So long a log of records of 1 KiB under ASYNC_FLUSH, killed under load where its last segment is all but full: of all
/// places where a process may die, the one that leaves most to be looked at.
fn make_log(root: &Path, mib: u64) -> Store {
    let bytes = mib << 20;
    let segment_bytes = (bytes / 16).next_power_of_two().clamp(1 << 20, 1 << 30);
    let options = options().segment_bytes(segment_bytes).flush(AsyncFlush::default());
    let store = Store::open(root, options.max_message_bytes(64 << 10)).unwrap();
    let bodies = support::bodies(BODY_BYTES);
    let mut n = 0;
    while store.marks().accepted.0 < bytes - segment_bytes / 16 {
        append(&store, n, bodies[n as usize % bodies.len()].clone(), (1, 4));
        n += 1;
    }
    println!("{MARK}{n} records");
    store
}
