//! Written by Java, opened by us: closed in order, halted, and killed with `kill -9` in the middle of its writing.
//!
//! One JVM writes a group of folders at once and is then killed, so that one kill gives many folders. Before anybody
//! opens such a folder it is copied; Java opens the copy and answers, we open the folder, and both must say the same.

use std::path::Path;
use std::time::Instant;

use sawlog::flush::{AsyncFlush, SyncFlush};
use sawlog::message::Checksum;
use sawlog::{Options, Store};

use crate::answers::{Answers, Index, keys_are_found};
use crate::dice::Dice;
use crate::java::{Config, Java, is_here, say};
use crate::messages::{Generator, Sent, Taste};
use crate::seen;
use crate::writing::{self, End, Job, Written, write_all};
use crate::{copy_folder, first_seed, folders};

/// The most folders that one JVM writes at once.
const GROUP: u64 = 20;
/// What we append to a folder of Java's.
const APPENDED: usize = 200;

/// What becomes of one folder.
#[derive(Clone, Debug)]
struct Plan {
    seed: u64,
    config: Config,
    taste: Taste,
    /// Puts, each of one message or a batch, before it ends.
    puts: u64,
    /// Closed in order; else its JVM goes while it writes.
    closed: bool,
}

impl Plan {
    /// The folder of a seed; a large one has more than 10,000 messages over forty queues.
    fn new(seed: u64, large: bool) -> Plan {
        let mut dice = Dice::new(seed);
        let (closed, many_segments) = (seed.is_multiple_of(2), (seed / 2).is_multiple_of(2));
        let segment_bytes = match (large, many_segments) {
            (true, true) => 256 << 10,
            (true, false) => 8 << 20,
            (false, true) => 64 << 10 << dice.below(2),
            (false, false) => 2 << 20,
        };
        let config = Config {
            segment_bytes,
            queue_entries: [30, 300, 3_000][dice.below(3) as usize],
            index_slots: 50 + dice.below(200) as u32,
            // Small, so that a large folder has several index files.
            index_entries: if large { 5_000 } else { 300 + dice.below(2_000) as u32 },
            sync: dice.percent(50),
            record_crc: dice.percent(50),
            more: Vec::new(),
        };
        // Seven segments of some hundred messages; or small messages in one.
        let body_bytes = if many_segments && !large { segment_bytes / 32 } else { 120 };
        let taste = Taste {
            queues: if large { 40 } else { 3 + dice.below(38) as u32 },
            body_bytes,
            longest_bytes: segment_bytes.min(256 << 10) / 16,
        };
        Plan { seed, config, taste, puts: if large { 9_000 } else { 250 + dice.below(150) }, closed }
    }

    fn name(&self) -> String {
        format!("seed {}", self.seed)
    }

    fn job(&self, root: &Path) -> Job {
        Job {
            name: self.name(),
            dir: root.join(self.name()),
            config: self.config.clone(),
            messages: Generator::new(self.seed, self.taste),
            puts: self.puts,
            closes: self.closed,
        }
    }

    /// How we open it: in Java's shape, and with the checksums that Java is told to verify (H9).
    fn options(&self) -> Options {
        let checksum = if self.config.record_crc { Checksum::Record } else { Checksum::Body };
        let options = Options::new()
            .index_slots(self.config.index_slots)
            .index_entries(self.config.index_entries)
            .checksum(checksum);
        if self.seed.is_multiple_of(3) {
            options.flush(SyncFlush)
        } else {
            options.flush(AsyncFlush::default())
        }
    }
}

/// Java's answers over a copy, then ours over the folder, then ours after we have appended and opened it again.
fn hold(java: &Java, root: &Path, plan: &Plan, written: Written) -> usize {
    let why = format!("{} ({:?})", plan.name(), plan.config);
    let (dir, copy) = (root.join(plan.name()), root.join(format!("{} for java", plan.name())));
    copy_folder(&dir, &copy);
    let store = java.store(copy.to_str().unwrap());
    let opened = store.open(&copy, &plan.config).unwrap_or_else(|fault| panic!("{fault:?}; {why}"));
    assert_eq!(opened.abort, !plan.closed, "{why}");
    let mut dice = Dice::new(Dice::part(plan.seed, 3));
    let answers = Answers::of_java(store, &mut dice).unwrap_or_else(|fault| panic!("{fault:?}; {why}"));

    let ours = Store::open(&dir, plan.options()).unwrap_or_else(|error| panic!("{error}; {why}"));
    let report = ours.recovery();
    assert!(report.foreign_writer && report.clean_shutdown == plan.closed, "{report}; {why}");
    assert!(report.cuts.iter().all(|cut| !cut.damage) && report.cuts.len() <= 1, "{report}; {why}");
    assert!(report.cuts.is_empty() || !plan.closed, "{report}; {why}");
    let odd = (report.doubled, report.missing, report.misnumbered);
    assert_eq!(odd, (0, 0, 0), "{report}; {why}");
    assert!(report.queues_moved_back.is_empty(), "{report}; {why}");
    // A process that goes between making a file and giving it its length leaves an empty one.
    for aside in &report.set_aside {
        let is_empty = std::fs::metadata(aside).unwrap().len() == 0;
        assert!(is_empty && !plan.closed, "{}: {report}; {why}", aside.display());
    }
    assert!(report.side_damage.is_empty(), "{report}; {why}");
    let log = seen::log(&ours);
    writing::hold(&log, &mut [written], &why);
    let index = if opened.abort { Index::H10 } else { Index::Whole };
    answers.hold_against(&ours, index, &why);
    let lost = answers.keys_that_java_lost();
    log.iter().for_each(|seen| seen::by_place(&ours, seen));
    go_on(ours, &dir, plan, answers, &why);
    std::fs::remove_dir_all(&dir).unwrap();
    lost
}

/// We append, close, and open again: what was there is there, and what we added, in the log and in every queue.
fn go_on(ours: Store, dir: &Path, plan: &Plan, answers: Answers, why: &str) {
    let mut generator = Generator::new(Dice::part(plan.seed, 4), plan.taste);
    let before = seen::log(&ours).len();
    let mut count = 0;
    while count < APPENDED {
        let Sent { messages, .. } = generator.next();
        count += messages.len();
        ours.append_batch(&messages).unwrap_or_else(|error| panic!("{error}; {why}")).forget();
    }
    ours.flush().unwrap();
    let (log, queues) = (seen::log(&ours), seen::ours(&ours));
    assert_eq!(log.len(), before + count, "{why}");
    ours.close().unwrap_or_else(|error| panic!("{error}; {why}"));
    let mut tagged: Vec<_> = queues.clone();
    seen::tags_codes(dir, &mut tagged);
    for java in answers.queues.iter().filter(|queue| queue.max > queue.min) {
        let mine = tagged.iter().find(|mine| (&mine.topic, mine.queue) == (&java.topic, java.queue)).unwrap();
        assert_eq!(mine.messages[..java.messages.len()], java.messages[..], "with tags codes; {why}");
    }
    let again = Store::open(dir, plan.options()).unwrap_or_else(|error| panic!("{error}; {why}"));
    let report = again.recovery();
    assert!(report.clean_shutdown && !report.foreign_writer && report.cuts.is_empty(), "{report}; {why}");
    assert_eq!(seen::log(&again), log, "{why}");
    assert_eq!(seen::ours(&again), queues, "{why}");
    keys_are_found(&again, &log, why);
    again.close().unwrap();
}

#[test]
fn what_java_wrote_we_read_as_java_does() {
    if !is_here("what_java_wrote_we_read_as_java_does") {
        return;
    }
    let (began, count, first) = (Instant::now(), folders(), first_seed());
    say(&format!("written by Java: {count} folders, seeds {first} to {}", first + count - 1));
    let (mut lost, mut messages) = (0, 0);
    let group = GROUP.min(count.div_ceil(2));
    for from in (first..first + count).step_by(group as usize) {
        // One group is killed, the next halted. Of the first of each four folders are large, one of every kind.
        let nth = (from - first) / group;
        let large = if count > 12 { 2 } else { count / 12 };
        let plan = |seed| Plan::new(seed, seed - from < 4 && nth < large);
        let plans: Vec<_> = (from..(from + group).min(first + count)).map(plan).collect();
        let root = tempfile::tempdir().unwrap();
        let end = if nth % 2 == 0 { End::Killed } else { End::Halted };
        let written = write_all(plans.iter().map(|plan| plan.job(root.path())).collect(), end, from);
        messages += written
            .iter()
            .flat_map(|written| &written.certain)
            .map(|(sent, _)| sent.messages.len())
            .sum::<usize>();
        let java = Java::start();
        std::thread::scope(|scope| {
            let (java, root) = (&java, root.path());
            let threads: Vec<_> = plans
                .iter()
                .zip(written)
                .map(|(plan, written)| scope.spawn(move || hold(java, root, plan, written)))
                .collect();
            lost += threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>();
        });
    }
    say(&format!(
        "written by Java: {messages} messages acknowledged, all there; {lost} keys that Java lost itself (H10); {:?}",
        began.elapsed()
    ));
}
