//! Java and we append to the same folder in turns, five times each. A turn ends in order, or with `kill -9` in the
//! middle of the writing. Every message of all turns is there in the end, for both.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sawlog::flush::{AsyncFlush, SyncFlush};
use sawlog::message::Checksum;
use sawlog::{Options, Store};

use crate::answers::{Answers, Index, keys_are_found};
use crate::dice::Dice;
use crate::java::{Config, Java, is_here, say};
use crate::messages::{Generator, Sent, Taste};
use crate::seen::{self, Seen};
use crate::writing::{self, End, Job, Written, write_all};
use crate::{copy_folder, first_seed, folders};

/// Turns of Java and of us together.
const TURNS: u64 = 10;
/// Folders that go through their turns side by side.
const GROUP: u64 = 20;
/// Set for the process that is killed: seed, turn and folder.
const VICTIM: &str = "SAWLOG_INTEROP_VICTIM";
/// Before each acknowledgement of the victim's: the harness talks, too.
const MARK: &str = "ack ";

/// One folder, and what its seed makes of it.
struct Plan {
    seed: u64,
    config: Config,
    sync: bool,
    checksum: Checksum,
    taste: Taste,
}

impl Plan {
    fn new(seed: u64) -> Plan {
        let mut dice = Dice::new(Dice::part(seed, 20));
        let record_crc = dice.percent(50);
        let config = Config {
            segment_bytes: 64 << 10 << dice.below(3),
            queue_entries: [30, 300][dice.below(2) as usize],
            index_slots: 50 + dice.below(200) as u32,
            index_entries: 300 + dice.below(2_000) as u32,
            sync: dice.percent(50),
            record_crc,
            more: Vec::new(),
        };
        // A broker that verifies checksums of records takes one that lacks it for the log's end (H9); one that does not
        // reads both.
        let checksum = if record_crc || dice.percent(50) { Checksum::Record } else { Checksum::Body };
        let taste = Taste { queues: 3 + dice.below(38) as u32, body_bytes: 1_200, longest_bytes: 4 << 10 };
        Plan { seed, config, sync: dice.percent(50), checksum, taste }
    }

    fn name(&self) -> String {
        format!("seed {}", self.seed)
    }

    fn options(&self) -> Options {
        let options = Options::new()
            .segment_bytes(self.config.segment_bytes)
            .max_message_bytes((self.config.segment_bytes / 2) as u32)
            .queue_segment_entries(self.config.queue_entries)
            .index_slots(self.config.index_slots)
            .index_entries(self.config.index_entries)
            .checksum(self.checksum);
        if self.sync { options.flush(SyncFlush) } else { options.flush(AsyncFlush::default()) }
    }

    fn messages(&self, turn: u64) -> Generator {
        Generator::new(Dice::part(self.seed, 30 + turn), self.taste)
    }

    fn is_cut(&self, turn: u64) -> bool {
        Dice::new(Dice::part(self.seed, 60 + turn)).percent(50)
    }

    /// Puts before a turn ends.
    fn puts(&self, turn: u64) -> u64 {
        30 + Dice::new(Dice::part(self.seed, 90 + turn)).below(60)
    }

    /// Our store gives its own address to every record.
    fn ours(&self, sent: Sent) -> Sent {
        Sent { store_host: "127.0.0.1:10911".parse().unwrap(), ..sent }
    }
}

/// Java's turn in all folders at once; those that are to be cut go down with the JVM when the others are closed.
fn javas_turns(plans: &[Plan], root: &Path, turn: u64) -> Vec<Written> {
    let job = |plan: &Plan| Job {
        name: plan.name(),
        dir: root.join(plan.name()),
        config: plan.config.clone(),
        messages: plan.messages(turn),
        puts: plan.puts(turn),
        closes: !plan.is_cut(turn),
    };
    write_all(plans.iter().map(job).collect(), End::Killed, plans[0].seed + turn)
}

/// Our turn in order: all that was sent so far is held against the store, then we append and close.
fn our_turn(dir: &Path, plan: &Plan, turn: u64, before: &mut [Written]) -> Written {
    let why = format!("turn {turn} of {} ({:?})", plan.name(), plan.config);
    let store = Store::open(dir, plan.options()).unwrap_or_else(|error| panic!("{error}; {why}"));
    hold(&store, before, &why);
    let (mut generator, mut done) = (plan.messages(turn), Written::default());
    for _ in 0..plan.puts(turn) {
        let sent = plan.ours(generator.next());
        store.append_batch(&sent.messages).unwrap_or_else(|error| panic!("{error}; {why}")).forget();
        done.certain.push((sent, None));
    }
    store.close().unwrap_or_else(|error| panic!("{error}; {why}"));
    done
}

/// Our turn in a process of its own, which is killed in the middle of it.
fn our_cut_turn(dir: &Path, plan: &Plan, turn: u64) -> Written {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "turns::the_victim", "--nocapture", "--test-threads", "1"])
        .env(VICTIM, format!("{},{turn},{}", plan.seed, dir.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let mut acknowledged = 0;
    while acknowledged < plan.puts(turn) {
        let line =
            lines.next().unwrap_or_else(|| panic!("the victim ended by itself: {}", plan.name())).unwrap();
        acknowledged += u64::from(line.contains(MARK));
    }
    victim.kill().unwrap();
    // What it had said before it died counts as well; its last line may be cut short.
    let rest: Vec<String> = lines.map_while(Result::ok).filter(|line| line.contains(MARK)).collect();
    acknowledged += rest.len().saturating_sub(1) as u64;
    victim.wait().unwrap();
    let mut generator = plan.messages(turn);
    let certain = (0..acknowledged).map(|_| (plan.ours(generator.next()), None)).collect();
    // Nobody knows how far it came.
    let under_way = (0..10_000).map(|_| plan.ours(generator.next())).collect();
    Written { certain, under_way }
}

/// What the killed process does, if this process is one: append for ever, and tell each acknowledgement.
#[test]
fn the_victim() {
    let Ok(told) = std::env::var(VICTIM) else { return };
    let mut told = told.splitn(3, ',');
    let plan = Plan::new(told.next().unwrap().parse().unwrap());
    let turn = told.next().unwrap().parse().unwrap();
    let store = Store::open(told.next().unwrap(), plan.options()).unwrap();
    let mut generator = plan.messages(turn);
    let mut out = std::io::stdout();
    for n in 0.. {
        store.append_batch(&generator.next().messages).unwrap().wait().unwrap();
        // The parent may be gone; then so is the reason to go on.
        if writeln!(out, "{MARK}{n}").and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}

/// The log is what was sent in all turns, and queues and keys are what the log says.
fn hold(store: &Store, turns: &mut [Written], why: &str) {
    let why = format!("{}; {why}", store.recovery());
    let log = seen::log(store);
    writing::hold(&log, turns, &why);
    let mut queued: Vec<Seen> = seen::ours(store).into_iter().flat_map(|queue| queue.messages).collect();
    queued.sort_by_key(|seen| seen.offset);
    assert!(log.iter().filter(|seen| seen.is_queued()).eq(&queued), "queues hold other records; {why}");
    keys_are_found(store, &log, &why);
}

/// The end: both read all of it, and answer alike.
fn hold_both(java: &Java, dir: &Path, plan: &Plan, turns: &mut [Written]) -> usize {
    let why = format!("the end of {} ({:?})", plan.name(), plan.config);
    let copy = PathBuf::from(format!("{} for java", dir.display()));
    copy_folder(dir, &copy);
    let ours = Store::open(dir, plan.options()).unwrap_or_else(|error| panic!("{error}; {why}"));
    hold(&ours, turns, &why);
    let store = java.store(copy.to_str().unwrap());
    store.open(&copy, &plan.config).unwrap_or_else(|fault| panic!("{fault:?}; {why}"));
    let mut dice = Dice::new(Dice::part(plan.seed, 21));
    let answers = Answers::of_java(store, &mut dice).unwrap_or_else(|fault| panic!("{fault:?}; {why}"));
    answers.hold_against(&ours, Index::H10, &why);
    let count = seen::log(&ours).len();
    ours.close().unwrap();
    std::fs::remove_dir_all(dir).unwrap();
    count
}

fn take_turns(first: u64, count: u64) -> usize {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let plans: Vec<Plan> = (first..first + count).map(Plan::new).collect();
    let mut turns: Vec<Vec<Written>> = plans.iter().map(|_| Vec::new()).collect();
    for turn in 0..TURNS {
        if turn % 2 == 0 {
            for (turns, done) in turns.iter_mut().zip(javas_turns(&plans, root, turn)) {
                turns.push(done);
            }
            continue;
        }
        std::thread::scope(|scope| {
            for (plan, turns) in plans.iter().zip(&mut turns) {
                let dir = root.join(plan.name());
                scope.spawn(move || {
                    let done = match plan.is_cut(turn) {
                        true => our_cut_turn(&dir, plan, turn),
                        false => our_turn(&dir, plan, turn, turns),
                    };
                    turns.push(done);
                });
            }
        });
    }
    let java = Java::start();
    std::thread::scope(|scope| {
        let threads: Vec<_> = plans
            .iter()
            .zip(&mut turns)
            .map(|(plan, turns)| {
                let (java, dir) = (&java, root.join(plan.name()));
                scope.spawn(move || hold_both(java, &dir, plan, turns))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

#[test]
fn java_and_we_append_in_turns_and_both_read_it_all() {
    if std::env::var(VICTIM).is_ok() || !is_here("java_and_we_append_in_turns_and_both_read_it_all") {
        return;
    }
    let (began, first) = (std::time::Instant::now(), first_seed());
    let count = folders().div_ceil(5);
    say(&format!("in turns: {count} folders, {TURNS} turns each, seeds {first} to {}", first + count - 1));
    let mut messages = 0;
    for from in (first..first + count).step_by(GROUP as usize) {
        messages += take_turns(from, GROUP.min(first + count - from));
    }
    say(&format!("in turns: {messages} messages, all there for both; {:?}", began.elapsed()));
}
