//! Writing a folder, and bringing it to its end: closed, killed, cut, recovered, robbed of files.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sawlog::clock::{Clock, HandClock, SystemClock};
use sawlog::disk::sim::{SimDisk, Survivors};
use sawlog::{Message, Store};

use super::case::{Case, Deleted, Ending};
use super::script::{Script, Step, take};
use crate::dice::Dice;

/// Set in the process that writes and is killed: seed, folder of all stores, and the numbers of its own.
pub(crate) const VICTIM: &str = "SAWLOG_INTEROP_VICTIM";
/// What the victim's lines begin with: the harness talks, too.
const MARK: &str = "took ";
/// Inside the simulated disk.
const ROOT: &str = "/store";

/// A folder that was written, and what must be in it.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) case: Case,
    pub(crate) root: PathBuf,
    /// All that may be in the log, in its order.
    pub(crate) messages: Vec<Message>,
    /// So many of them must be there.
    pub(crate) promised: usize,
}

/// The script of a folder as far as it was carried out.
struct Progress {
    script: Script,
    by_hand: bool,
    messages: Vec<Message>,
    acknowledged: usize,
}

impl Progress {
    fn new(case: &Case) -> Progress {
        Progress {
            script: Script::new(case),
            by_hand: case.ending.survivors().is_some(),
            messages: Vec::new(),
            acknowledged: 0,
        }
    }

    /// One step of the script, and whether the store acknowledged it.
    fn go(&mut self, store: &Store) -> bool {
        let step = self.script.step();
        let acknowledged = take(store, &step, self.by_hand).unwrap();
        self.note(&step);
        if acknowledged {
            self.acknowledged = self.messages.len();
        }
        acknowledged
    }

    fn note(&mut self, step: &Step) {
        self.messages.extend_from_slice(step.messages());
    }

    fn is_enough(&self, case: &Case, store: &Store) -> bool {
        let segments = store.marks().accepted.0 / case.segment_bytes + 1;
        self.messages.len() as u64 >= case.messages && segments >= case.segments
    }

    fn written(self, case: &Case, root: &Path, promised: usize) -> Written {
        Written { case: case.clone(), root: root.to_path_buf(), messages: self.messages, promised }
    }
}

/// Writes all these folders, side by side where processes are killed, and brings each to its end.
pub(crate) fn write_all(seed: u64, cases: &[Case], parent: &Path) -> Vec<Written> {
    let (killed, others): (Vec<_>, Vec<_>) = cases.iter().cloned().partition(|c| c.ending.is_killed());
    let mut written = write_and_kill(seed, &killed, parent);
    for case in others {
        let root = case.folder(parent);
        written.push(match case.ending.survivors() {
            Some(model) => cut(&case, &root, model),
            None => closed(&case, &root),
        });
    }
    for one in &written {
        finish(one);
    }
    written.sort_by_key(|one| one.case.number);
    written
}

/// What happens to a folder once it was written.
fn finish(one: &Written) {
    match one.case.ending {
        Ending::Recovered | Ending::CutRecovered(_) => {
            let store = Store::open(&one.root, one.case.options()).unwrap();
            let report = store.recovery().clone();
            assert!(!report.clean_shutdown && !report.foreign_writer, "{}: {report}", one.case);
            assert!(report.cuts.iter().all(|cut| !cut.damage), "{}: {report}", one.case);
            store.close().unwrap();
        }
        Ending::CutStripped(_) | Ending::Deleted(Deleted::QueuesIndexCheckpoint) => {
            remove(&one.root, &["consumequeue", "index", "checkpoint"]);
        }
        Ending::Deleted(Deleted::Queues) => remove(&one.root, &["consumequeue"]),
        Ending::Deleted(Deleted::Index) => remove(&one.root, &["index"]),
        Ending::Deleted(Deleted::Own) => remove(&one.root, &["sawlog"]),
        Ending::Closed | Ending::Killed | Ending::Cut(_) => {}
    }
}

fn remove(root: &Path, names: &[&str]) {
    for name in names {
        let path = root.join(name);
        if path.is_dir() {
            std::fs::remove_dir_all(path).unwrap();
        } else if path.exists() {
            std::fs::remove_file(path).unwrap();
        }
    }
}

fn closed(case: &Case, root: &Path) -> Written {
    let store = Store::open(root, case.options()).unwrap();
    let mut progress = Progress::new(case);
    while !progress.is_enough(case, &store) {
        progress.go(&store);
    }
    store.close().unwrap();
    let promised = progress.messages.len();
    progress.written(case, root, promised)
}

/// Writes on a simulated disk, cuts the power there, and puts what the model leaves into real files.
fn cut(case: &Case, root: &Path, model: Survivors) -> Written {
    // Today, so that nothing has expired when it comes to real files.
    let (disk, clock) = (SimDisk::new(), Arc::new(HandClock::new(SystemClock::new().now())));
    let options = case.options().disk(disk.clone()).clock(Arc::clone(&clock)).by_hand();
    let store = Store::open(ROOT, options).unwrap();
    let mut progress = Progress::new(case);
    let mut dice = case.dice("cut");
    // Where each message's record ends, in order: told by the marks, for one producer appends one by one.
    let mut ends = Vec::new();
    let mut go = |progress: &mut Progress| {
        progress.go(&store);
        ends.resize(progress.messages.len(), store.marks().accepted);
    };
    while !progress.is_enough(case, &store) {
        go(&mut progress);
        match dice.below(100) {
            0..2 => clock.turn(Duration::from_millis(dice.below(2_500))),
            2..20 => clock.turn(Duration::from_millis(dice.below(3))),
            _ => {}
        }
        if dice.percent(12) {
            for _ in 0..dice.below(8) {
                store.step();
            }
        }
    }
    for _ in 0..dice.below(40) {
        go(&mut progress);
    }
    let flushed = store.marks().flushed;
    let image = disk.power_cut(dice.draw(), model);
    drop(store);
    for (path, len) in image.files() {
        let target = root.join(path.strip_prefix(ROOT).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        let mut bytes = image.read_file(&path).unwrap();
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        bytes.truncate(used);
        let mut file = std::fs::File::create(target).unwrap();
        file.write_all(&bytes).unwrap();
        file.set_len(len).unwrap();
    }
    // A folder may have kept its name and lost its files.
    std::fs::create_dir_all(root.join("commitlog")).unwrap();
    let promised = ends.partition_point(|end| *end <= flushed);
    progress.written(case, root, promised)
}

/// What the process does that is to be killed: it writes its folders, all at once, each from a thread of its own, and
/// tells how many messages of each the store has acknowledged.
pub(crate) fn be_the_victim(told: &str) {
    let mut told = told.splitn(3, ',');
    let seed = told.next().unwrap().parse().unwrap();
    let numbers: Vec<u64> = told.next().unwrap().split('+').map(|n| n.parse().unwrap()).collect();
    let parent = PathBuf::from(told.next().unwrap());
    let out = Arc::new(Mutex::new(std::io::stdout()));
    let writers: Vec<_> = numbers
        .into_iter()
        .map(|number| {
            let (case, parent, out) = (Case::new(seed, number), parent.clone(), Arc::clone(&out));
            std::thread::spawn(move || write_until_killed(&case, &parent, &out))
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    // All folders are written: stays with its stores open until it is killed.
    loop {
        std::thread::park();
    }
}

fn write_until_killed(case: &Case, parent: &Path, out: &Mutex<std::io::Stdout>) {
    let store = Store::open(case.folder(parent), case.options()).unwrap();
    let mut progress = Progress::new(case);
    let tell = |progress: &Progress| {
        let line = format!("{MARK}{} {} {}\n", case.number, progress.acknowledged, progress.messages.len());
        let mut out = out.lock().unwrap();
        out.write_all(line.as_bytes()).and_then(|()| out.flush()).is_ok()
    };
    let mut n = 0;
    while !progress.is_enough(case, &store) {
        progress.go(&store);
        n += 1;
        if n % 16 == 0 && !tell(&progress) {
            return;
        }
    }
    // Some die while they write on, some idle; none is closed.
    let on = case.dice("on").below(60);
    for _ in 0..on {
        progress.go(&store);
    }
    tell(&progress);
    std::mem::forget(store);
}

/// Runs the victim over these folders until each has acknowledged enough, and kills it.
fn write_and_kill(seed: u64, cases: &[Case], parent: &Path) -> Vec<Written> {
    if cases.is_empty() {
        return Vec::new();
    }
    let goals: BTreeMap<u64, u64> = cases.iter().map(|case| (case.number, goal(case))).collect();
    let numbers: Vec<_> = cases.iter().map(|case| case.number.to_string()).collect();
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "written_by_us::the_victim", "--nocapture", "--test-threads", "1"])
        .env(VICTIM, format!("{seed},{},{}", numbers.join("+"), parent.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let mut told = BTreeMap::<u64, (usize, usize)>::new();
    let mut note = |line: &str| {
        let Some((_, line)) = line.split_once(MARK) else { return };
        let numbers: Vec<u64> = line.split(' ').map(|n| n.parse().unwrap()).collect();
        let [number, acknowledged, made] = numbers[..] else { panic!("{line:?}") };
        told.insert(number, (acknowledged as usize, made as usize));
    };
    let mut waiting = goals.clone();
    while !waiting.is_empty() {
        let line = lines.next().expect("the victim ended by itself").unwrap();
        note(&line);
        if let Some((_, line)) = line.split_once(MARK) {
            let numbers: Vec<u64> = line.split(' ').map(|n| n.parse().unwrap()).collect();
            waiting.retain(|number, goal| *number != numbers[0] || numbers[2] < *goal);
        }
    }
    victim.kill().unwrap();
    // What it had said before it died counts as well; its very last line may be cut short.
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    for line in &rest[..rest.len().saturating_sub(1)] {
        note(line);
    }
    assert!(!victim.wait().unwrap().success());
    cases.iter().map(|case| killed(case, parent, told[&case.number].0)).collect()
}

/// When the process may be killed as far as this folder goes: with all that is asked for, or in the middle.
fn goal(case: &Case) -> u64 {
    let mut dice: Dice = case.dice("goal");
    if case.is_large() { 10_500 } else { case.messages / 3 + dice.below(case.messages * 2 / 3) }
}

/// The script is the same each time: what the victim may have written is what it would write again, and somewhat more.
fn killed(case: &Case, parent: &Path, acknowledged: usize) -> Written {
    let mut progress = Progress::new(case);
    let most = case.messages as usize * 3 + 1000;
    while progress.messages.len() < most {
        let step = progress.script.step();
        progress.note(&step);
    }
    progress.written(case, &case.folder(parent), acknowledged)
}
