//! A real process is killed with `kill -9` while it appends, again and again over one growing store: nothing that it
//! acknowledged is lost, nothing is there twice, every queue stays dense.
//!
//! The binary runs itself once more as the victim, which tells each acknowledgement on its standard output. The parent
//! kills it after it has read a number of them that a seed chooses: nobody sleeps, and no clock is asked.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests may stop at the first surprise"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use sawlog::flush::{AsyncFlush, SyncFlush};
use sawlog::{Message, Options, Retention, Store};

const VICTIM: &str = "SAWLOG_KILL_VICTIM";
/// What the parent reads before the victim's first acknowledgement: the harness talks, too.
const MARK: &str = "ack ";
const THREADS: u64 = 3;
const KILLS: u64 = 10;

fn options(sync: bool) -> Options {
    let options = Options::new().segment_bytes(1 << 20).retention(Retention::keep_all().refuse_above(None));
    if sync { options.flush(SyncFlush) } else { options.flush(AsyncFlush::default()) }
}

/// The body of message `n` of thread `thread` in life `life`: its name, and bytes that follow from it.
fn body(life: u64, thread: u64, n: u64) -> String {
    let len = (life * 31 + thread * 7 + n * 13) % 900;
    let filler: String = (0..len).map(|i| char::from(b'a' + ((i + n) % 26) as u8)).collect();
    format!("{life}/{thread}/{n} {filler}")
}

fn message(life: u64, thread: u64, n: u64) -> Message {
    Message::new(["a", "b"][(n % 2) as usize], body(life, thread, n)).queue((n % 3) as u32)
}

fn parse(body: &str) -> (u64, u64, u64) {
    let name: Vec<u64> =
        body.split(' ').next().unwrap().split('/').map(|part| part.parse().unwrap()).collect();
    (name[0], name[1], name[2])
}

/// What the killed process does, if this process is one: append from several threads, in every way, for ever.
#[test]
fn the_victim() {
    let Ok(told) = std::env::var(VICTIM) else { return };
    let mut told = told.splitn(3, ',');
    let (sync, life, root) =
        (told.next().unwrap() == "sync", told.next().unwrap().parse().unwrap(), told.next().unwrap());
    let store = Store::open(root, options(sync)).unwrap();
    let out = Arc::new(Mutex::new(std::io::stdout()));
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let (store, out) = (store.clone(), Arc::clone(&out));
            std::thread::spawn(move || {
                for n in 0.. {
                    let acknowledged = if n % 5 == thread {
                        let batch: Vec<_> = (0..4).map(|i| message(life, thread, n * 4 + i)).collect();
                        store.append_batch(&batch).unwrap().wait().unwrap();
                        n * 4 + 3
                    } else {
                        for i in 0..3 {
                            store.append(&message(life, thread, n * 4 + i)).unwrap().forget();
                        }
                        store.append_and_wait(&message(life, thread, n * 4 + 3)).unwrap();
                        n * 4 + 3
                    };
                    let mut out = out.lock().unwrap();
                    // The parent may be gone; then so is the reason to go on.
                    if writeln!(out, "{MARK}{thread} {acknowledged}").and_then(|()| out.flush()).is_err() {
                        return;
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

/// Runs a victim until it has acknowledged so often, and kills it. For each thread, the last of its messages that
/// were acknowledged, all before it included.
fn run_and_kill(root: &Path, sync: bool, life: u64, acknowledgements: u64) -> BTreeMap<u64, u64> {
    let what = format!("{},{life},{}", if sync { "sync" } else { "async" }, root.display());
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_victim", "--nocapture", "--test-threads", "1"])
        .env(VICTIM, what)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let mut last = BTreeMap::new();
    let mut note = |line: &str| {
        // The harness begins a line of its own before the first acknowledgement.
        let Some((_, told)) = line.split_once(MARK) else { return false };
        let mut numbers = told.split(' ').map(|number| number.parse::<u64>());
        match (numbers.next(), numbers.next()) {
            (Some(Ok(thread)), Some(Ok(n))) => last.insert(thread, n),
            _ => panic!("{line:?}"),
        };
        true
    };
    let mut read = 0;
    while read < acknowledgements {
        let line = lines.next().expect("the victim ended by itself").unwrap();
        read += u64::from(note(&line));
    }
    victim.kill().unwrap();
    // What it had said before it died counts as well; its very last line may be cut short.
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    let whole = rest.len().saturating_sub(1);
    for line in &rest[..whole] {
        note(line);
    }
    assert!(!victim.wait().unwrap().success());
    last
}

/// Everything in the store, held against everything that was ever acknowledged.
fn hold_against(store: &Store, acknowledged: &BTreeMap<(u64, u64), u64>) {
    let mut seen = BTreeMap::<(u64, u64), BTreeSet<u64>>::new();
    let mut queues = BTreeMap::<(String, u32), u64>::new();
    for record in store.scan(store.marks().first) {
        let record = record.unwrap();
        let text = std::str::from_utf8(record.body()).unwrap();
        let (life, thread, n) = parse(text);
        assert_eq!(text, body(life, thread, n), "a body that nobody wrote");
        let sent = message(life, thread, n);
        assert_eq!((record.topic(), record.queue_id()), (&sent.topic, sent.queue_id));
        assert!(seen.entry((life, thread)).or_default().insert(n), "{life}/{thread}/{n} is there twice");
        let next = queues.entry((record.topic().to_string(), record.queue_id())).or_default();
        assert_eq!(record.queue_offset.0, *next, "a gap in a queue, or a double");
        *next += 1;
    }
    for (of, last) in acknowledged {
        let found = seen.get(of).map_or(0, |found| found.range(..=*last).count() as u64);
        assert_eq!(found, last + 1, "{of:?} lost what was acknowledged");
    }
    for (of, found) in seen {
        // A thread appends one after the other: what is there is a prefix of what it sent.
        assert_eq!(found.last().map_or(0, |last| last + 1), found.len() as u64, "{of:?} has a hole");
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

fn kill_again_and_again(sync: bool, seed: u64) {
    if std::env::var(VICTIM).is_ok() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut acknowledged, mut random) = (BTreeMap::new(), seed);
    for life in 0..KILLS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let after = 1 + (random >> 33) % 200;
        for (thread, n) in run_and_kill(folder.path(), sync, life, after) {
            acknowledged.insert((life, thread), n);
        }
        // Every second time a copy is looked at, and the next victim finds the store as this one left it.
        let copy = tempfile::tempdir().unwrap();
        let looked_at = if life % 2 == 0 { folder.path() } else { copy.path() };
        if life % 2 != 0 {
            copy_folder(folder.path(), copy.path());
        }
        let store = Store::open(looked_at, options(sync)).unwrap();
        let report = store.recovery();
        assert!(!report.clean_shutdown && !report.foreign_writer, "{report}");
        assert!(report.cuts.iter().all(|cut| !cut.damage), "{report}");
        hold_against(&store, &acknowledged);
        store.close().unwrap();
    }
    assert!(acknowledged.len() as u64 >= KILLS, "{acknowledged:?}");
}

#[test]
fn ten_kills_under_sync_flush_lose_nothing_acknowledged() {
    kill_again_and_again(true, 1);
}

#[test]
fn ten_kills_under_async_flush_lose_nothing_acknowledged() {
    kill_again_and_again(false, 2);
}
