//! A real process is killed with `kill -9` while it opens, appends, rolls over and closes, again and again: nothing
//! that it acknowledged is lost, nothing is there twice, and queues and keys are what the log says.
//!
//! The binary runs itself once more as the victim, which tells each acknowledgement on its standard output. The parent
//! kills it so many milliseconds after it was started, or after its first acknowledgement, as a seed says. Both
//! policies promise the same here, since a killed process leaves the page cache behind: every acknowledgement counts.
//!
//! `SAWLOG_KILLS` says how often in all, shared among the tests; 45 by default. Each prints kills, records and losses.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    clippy::print_stdout,
    dead_code,
    missing_docs,
    reason = "tests may stop at the first surprise"
)]

#[path = "support/dice.rs"]
mod dice;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use dice::Dice;
use sawlog::flush::{AsyncFlush, SyncFlush};
use sawlog::{LogOffset, Message, Options, QueueOffset, Retention, Store};

const VICTIM: &str = "SAWLOG_KILL_VICTIM";
/// What the parent reads before the victim's first acknowledgement: the harness talks, too.
const MARK: &str = "ack ";
const THREADS: u64 = 3;
const TESTS: u64 = 3;
/// A store that has grown so large makes place for a fresh one.
const MOST_BYTES: u64 = 24 << 20;
/// So many records are looked up by key after each kill: the newest, which the kill may have hurt, and some others.
const LOOK_UPS: usize = 600;

/// How the next victim flushes.
#[derive(Clone, Copy, PartialEq)]
enum Policy {
    Sync,
    Async,
    /// Drawn anew for each life of a store.
    Changing,
}

/// Files so short that each life begins some of every kind.
fn options(sync: bool) -> Options {
    let options = Options::new().segment_bytes(1 << 20).retention(Retention::keep_all().refuse_above(None));
    let options = options.queue_segment_entries(1_000).index_slots(1 << 10).index_entries(1 << 12);
    if sync { options.flush(SyncFlush) } else { options.flush(AsyncFlush::default()) }
}

/// The body of message `n` of thread `thread` in life `life`: its name, and bytes that follow from it.
fn body(life: u64, thread: u64, n: u64) -> String {
    let len = (life * 31 + thread * 7 + n * 13) % 900;
    let filler: String = (0..len).map(|i| char::from(b'a' + ((i + n) % 26) as u8)).collect();
    format!("{life}/{thread}/{n} {filler}")
}

fn key(life: u64, thread: u64, n: u64) -> String {
    format!("{life}-{thread}-{n}")
}

fn message(life: u64, thread: u64, n: u64) -> Message {
    let message = Message::new(["a", "b"][(n % 2) as usize], body(life, thread, n));
    message.queue((n % 3) as u32).key(&key(life, thread, n))
}

fn parse(body: &str) -> (u64, u64, u64) {
    let name: Vec<u64> =
        body.split(' ').next().unwrap().split('/').map(|part| part.parse().unwrap()).collect();
    (name[0], name[1], name[2])
}

/// One thread of the victim: appends in every way, and tells what was acknowledged.
fn append(store: &Store, life: u64, thread: u64, rounds: std::ops::Range<u64>, out: &Mutex<std::io::Stdout>) {
    for n in rounds {
        if n % 5 == thread {
            let batch: Vec<_> = (0..4).map(|i| message(life, thread, n * 4 + i)).collect();
            store.append_batch(&batch).unwrap().wait().unwrap();
        } else {
            for i in 0..3 {
                store.append(&message(life, thread, n * 4 + i)).unwrap().forget();
            }
            store.append_and_wait(&message(life, thread, n * 4 + 3)).unwrap();
        }
        let mut out = out.lock().unwrap();
        // The parent may be gone; then so is the reason to go on.
        if writeln!(out, "{MARK}{thread} {}", n * 4 + 3).and_then(|()| out.flush()).is_err() {
            std::process::exit(1);
        }
    }
}

/// What the killed process does, if this process is one: append from several threads, for ever; or close and open
/// again every so many rounds, so that the kill may meet it there.
#[test]
fn the_victim() {
    let Ok(told) = std::env::var(VICTIM) else { return };
    let mut told = told.splitn(4, ',');
    let sync = told.next().unwrap() == "sync";
    let [life, rounds]: [u64; 2] = [told.next(), told.next()].map(|number| number.unwrap().parse().unwrap());
    let root = told.next().unwrap();
    let out = Mutex::new(std::io::stdout());
    for from in (0_u64..).step_by(rounds as usize) {
        let store = Store::open(root, options(sync)).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (store, out) = (&store, &out);
                scope.spawn(move || append(store, life, thread, from..from + rounds, out));
            }
        });
        store.close().unwrap();
    }
}

/// For each thread of a life, the last of its messages that was acknowledged, all before it included.
type Acknowledged = BTreeMap<(u64, u64), u64>;

/// Hears what the victim says until it says no more. The last line may be cut short by the kill, and then says less
/// than was acknowledged: it is left out.
fn hear(victim: &mut Child, life: u64, first: Sender<()>) -> std::thread::JoinHandle<Acknowledged> {
    let mut out = BufReader::new(victim.stdout.take().unwrap());
    std::thread::spawn(move || {
        let (mut heard, mut line) = (Acknowledged::new(), String::new());
        while out.read_line(&mut line).is_ok_and(|len| len > 0) {
            // The harness begins a line of its own before the first acknowledgement.
            if let (Some((_, told)), true) = (line.trim_end().split_once(MARK), line.ends_with('\n')) {
                let (thread, n) = told.split_once(' ').unwrap();
                heard.insert((life, thread.parse().unwrap()), n.parse().unwrap());
                let _ = first.send(());
            }
            line.clear();
        }
        heard
    })
}

/// Mostly short: the beginning of a life is where most happens for the first time.
fn patience(dice: &mut Dice) -> Duration {
    let most = match dice.below(20) {
        0 => 1_000,
        1..=4 => 200,
        5..=9 => 50,
        _ => 15,
    };
    Duration::from_millis(1 + dice.below(most))
}

/// Runs a victim, kills it, and says what it had acknowledged.
fn run_and_kill(root: &Path, sync: bool, life: u64, dice: &mut Dice) -> Acknowledged {
    let rounds = if dice.percent(30) { 1 + dice.below(30) } else { 1 << 40 };
    let what = format!("{},{life},{rounds},{}", if sync { "sync" } else { "async" }, root.display());
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_victim", "--nocapture", "--test-threads", "1"])
        .env(VICTIM, what)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (first, is_first) = channel();
    let heard = hear(&mut victim, life, first);
    if dice.percent(75) {
        is_first.recv().expect("the victim ended by itself");
    }
    // Nobody sleeps: the end of the victim would end this at once.
    let (deadline, patience) = (std::time::Instant::now(), patience(dice));
    while let Some(left) = patience.checked_sub(deadline.elapsed()) {
        assert_ne!(
            is_first.recv_timeout(left),
            Err(RecvTimeoutError::Disconnected),
            "the victim ended by itself"
        );
    }
    victim.kill().unwrap();
    assert!(!victim.wait().unwrap().success());
    heard.join().unwrap()
}

/// What a look at a store came to.
#[derive(Default)]
struct Sums {
    kills: u64,
    folders: u64,
    acknowledged: u64,
    records: u64,
    lost: u64,
    unclean: u64,
}

/// The log against all that was ever acknowledged in it. Gives back each record's name by queue, in log order.
type Queues = BTreeMap<(String, u32), Vec<((u64, u64, u64), LogOffset)>>;

fn check_log(store: &Store, acknowledged: &Acknowledged, sums: &mut Sums) -> Queues {
    let mut seen = BTreeMap::<(u64, u64), BTreeSet<u64>>::new();
    let mut queues = Queues::new();
    for record in store.scan(store.marks().first) {
        let record = record.unwrap();
        let text = std::str::from_utf8(record.body()).unwrap();
        let (life, thread, n) = parse(text);
        assert_eq!(text, body(life, thread, n), "a body that nobody wrote");
        let sent = message(life, thread, n);
        assert_eq!((record.topic(), record.queue_id()), (&sent.topic, sent.queue_id));
        assert!(seen.entry((life, thread)).or_default().insert(n), "{life}/{thread}/{n} is there twice");
        let queue = queues.entry((record.topic().to_string(), record.queue_id())).or_default();
        assert_eq!(record.queue_offset.0, queue.len() as u64, "a gap in a queue, or a double");
        queue.push(((life, thread, n), record.position.offset));
        sums.records += 1;
    }
    for (of, last) in acknowledged {
        let found = seen.get(of).map_or(0, |found| found.range(..=*last).count() as u64);
        sums.acknowledged += last + 1;
        sums.lost += last + 1 - found;
        assert_eq!(found, last + 1, "{of:?} lost what was acknowledged");
    }
    for (of, found) in seen {
        // A thread appends one after the other: what is there is a prefix of what it sent.
        assert_eq!(found.last().map_or(0, |last| last + 1), found.len() as u64, "{of:?} has a hole");
    }
    queues
}

/// Queues and key index against the log.
fn check_derived(store: &Store, log: &Queues, dice: &mut Dice) {
    let mut all = Vec::new();
    for topic in ["a", "b"] {
        for id in store.queues_of(topic) {
            let queue = store.queue(topic, id);
            let want = log.get(&(topic.to_owned(), id)).map_or(&[][..], Vec::as_slice);
            assert_eq!(queue.max().0, want.len() as u64, "{topic}/{id}");
            let mut read = queue.read_from(QueueOffset(0));
            for (_, offset) in want {
                assert_eq!(read.next().unwrap().unwrap().position.offset, *offset, "{topic}/{id}");
            }
            assert!(read.next().is_none());
        }
    }
    for ((topic, id), records) in log {
        assert!(store.queues_of(topic).contains(id), "{topic}/{id} has records and is no queue");
        all.extend(records.iter().map(|(name, offset)| (topic.as_str(), *name, *offset)));
    }
    all.sort_by_key(|(_, _, offset)| *offset);
    let newest = all.len().saturating_sub(LOOK_UPS / 2);
    let mut picked: Vec<_> = all[newest..].to_vec();
    picked.extend((0..LOOK_UPS / 2).filter_map(|_| {
        if all.is_empty() { None } else { all.get(dice.below(all.len() as u64) as usize).copied() }
    }));
    for (topic, (life, thread, n), offset) in picked {
        let found: Vec<_> =
            store.find(topic, &key(life, thread, n)).map(|r| r.unwrap().position.offset).collect();
        assert_eq!(found, [offset], "by the key of {life}/{thread}/{n}");
    }
    for thread in 0..THREADS {
        assert!(store.find("a", &key(1 << 40, thread, 0)).next().is_none(), "a key that nobody sent");
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

/// Opens the killed store, holds it against what was acknowledged, and closes it.
fn judge(root: &Path, sync: bool, acknowledged: &Acknowledged, dice: &mut Dice, sums: &mut Sums) -> u64 {
    let store = Store::open(root, options(sync)).unwrap();
    let report = store.recovery();
    assert!(report.cuts.iter().all(|cut| !cut.damage), "{report}");
    assert!(!report.foreign_writer || report.records == 0, "{report}");
    assert!(report.side_damage.is_empty() && report.queues_moved_back.is_empty(), "{report:?}");
    sums.unclean += u64::from(!report.clean_shutdown);
    sums.acknowledged = 0;
    sums.records = 0;
    let log = check_log(&store, acknowledged, sums);
    check_derived(&store, &log, dice);
    let end = store.marks().accepted.0;
    store.close().unwrap();
    end
}

fn kills() -> u64 {
    let kills: u64 = std::env::var("SAWLOG_KILLS").map_or(45, |kills| kills.parse().unwrap());
    kills.div_ceil(TESTS)
}

fn kill_again_and_again(policy: Policy, seed: u64) {
    if std::env::var(VICTIM).is_ok() {
        return;
    }
    let (mut dice, mut total) = (Dice::new(seed), Sums::default());
    while total.kills < kills() {
        let folder = tempfile::tempdir().unwrap();
        let (mut acknowledged, mut sums) = (Acknowledged::new(), Sums::default());
        let lives = 1 + dice.below(20);
        for life in 0..lives.min(kills() - total.kills) {
            let sync = policy == Policy::Sync || policy == Policy::Changing && dice.percent(50);
            acknowledged.extend(run_and_kill(folder.path(), sync, life, &mut dice));
            total.kills += 1;
            // Every second time a copy is looked at, and the next victim finds the store as this one left it.
            let copy = tempfile::tempdir().unwrap();
            let looked_at: PathBuf = if dice.percent(50) {
                folder.path().to_path_buf()
            } else {
                copy_folder(folder.path(), copy.path());
                copy.path().to_path_buf()
            };
            let look = policy == Policy::Sync || policy == Policy::Changing && dice.percent(50);
            if judge(&looked_at, look, &acknowledged, &mut dice, &mut sums) > MOST_BYTES {
                break;
            }
        }
        total.folders += 1;
        total.acknowledged += sums.acknowledged;
        total.records += sums.records;
        total.lost += sums.lost;
        total.unclean += sums.unclean;
    }
    let Sums { kills, folders, acknowledged, records, lost, unclean } = total;
    println!(
        "{kills} kills of {folders} stores, {unclean} found open: {records} records, {acknowledged} acknowledged, {lost} lost"
    );
    assert!(acknowledged > kills && unclean * 2 > kills, "the victims had no time to live");
}

#[test]
fn kills_under_sync_flush_lose_nothing_acknowledged() {
    kill_again_and_again(Policy::Sync, 1);
}

#[test]
fn kills_under_async_flush_lose_nothing_acknowledged() {
    kill_again_and_again(Policy::Async, 2);
}

#[test]
fn kills_under_a_policy_that_changes_lose_nothing_acknowledged() {
    kill_again_and_again(Policy::Changing, 3);
}
