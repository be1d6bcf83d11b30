//! Written by Java, opened by us: closed in order, halted, and killed with `kill -9` in the middle of its writing.
//!
//! One JVM writes a group of folders at once and is then killed, so that one kill gives many folders. Before anybody
//! opens such a folder it is copied; Java opens the copy and answers, we open the folder, and both must say the same.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Instant;

use sawlog::flush::{AsyncFlush, SyncFlush};
use sawlog::message::Checksum;
use sawlog::{Options, Store};

use crate::answers::{Answers, Index, keys_are_found};
use crate::dice::Dice;
use crate::java::{Config, Fault, Java, JavaStore, Put, is_here, say};
use crate::messages::{Generator, Sent, Taste, is_stored};
use crate::seen::{self, Seen};
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

/// What one folder was given.
#[derive(Default)]
struct Written {
    acknowledged: Vec<(Sent, Put)>,
    /// Sent, and not answered: a prefix of it may be there.
    under_way: Vec<Sent>,
}

impl Plan {
    /// The folder of a seed; a large one has more than 10,000 messages over forty queues.
    fn new(seed: u64, large: bool) -> Plan {
        let mut dice = Dice::new(seed);
        let (closed, many_segments) = (seed.is_multiple_of(2), seed / 2 % 2 == 0);
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

/// Writes a folder as planned. It tells `ready` when it has ended in order, or from now on writes until the JVM goes.
fn write(
    store: JavaStore<'_>,
    dir: &Path,
    plan: &Plan,
    ready: &SyncSender<()>,
    more: &SyncSender<()>,
) -> Written {
    let opened = store.open(dir, &plan.config).unwrap_or_else(|fault| panic!("{}: {fault:?}", plan.name()));
    assert!(!opened.abort && opened.end == 0, "{opened:?}");
    let mut generator = Generator::new(plan.seed, plan.taste);
    let mut dice = Dice::new(Dice::part(plan.seed, 1));
    let (mut written, mut told) = (Written::default(), false);
    loop {
        let enough = written.acknowledged.len() as u64 >= plan.puts;
        if enough && plan.closed {
            assert!(store.close().unwrap(), "{}: Java did not close in order", plan.name());
            let _ = ready.send(());
            return written;
        }
        if enough && !told {
            let _ = ready.send(());
            told = true;
        }
        let chunk: Vec<Sent> = (0..=dice.below(30)).map(|_| generator.next()).collect();
        match store.put(&chunk.iter().map(Sent::json).collect::<Vec<_>>()) {
            Ok(puts) => written.acknowledged.extend(chunk.into_iter().zip(puts)),
            Err(Fault::Gone) if told => {
                written.under_way = chunk;
                return written;
            }
            Err(fault) => panic!("{}: {fault:?}", plan.name()),
        }
        // Once it is ready, every further acknowledgement waits until somebody takes note of it, or nobody does.
        let _ = told && more.send(()).is_ok();
    }
}

/// All folders of a group, written by one JVM, which ends by `kill -9` or by a halt in the middle of it.
fn write_all(plans: &[Plan], root: &Path, halts: bool) -> Vec<Written> {
    let java = Java::start();
    std::thread::scope(|scope| {
        let ((ready, all_ready), (more, acknowledged)) = (sync_channel(plans.len()), sync_channel(0));
        let threads: Vec<_> = plans
            .iter()
            .map(|plan| {
                let (java, ready, more) = (&java, ready.clone(), more.clone());
                let dir = root.join(plan.name());
                scope.spawn(move || write(java.store(&plan.name()), &dir, plan, &ready, &more))
            })
            .collect();
        drop((ready, more));
        // A thread that failed is told of when it is joined.
        let _ = all_ready.iter().take(plans.len()).count();
        end_in_the_middle(&java, acknowledged, plans[0].seed, halts);
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Lets the writers go on for some puts that a seed chooses, and ends the JVM while the next are under way.
fn end_in_the_middle(java: &Java, acknowledged: Receiver<()>, seed: u64, halts: bool) {
    let puts = Dice::new(Dice::part(seed, 2)).below(60) as usize;
    let _ = acknowledged.iter().take(puts).count();
    // From here on nobody holds the writers up.
    drop(acknowledged);
    if halts { java.halt() } else { java.kill() }
}

/// What Java acknowledged is there, as it was sent, where Java said; behind it, at most what was under way.
fn hold_against_puts(log: &[Seen], written: &Written, why: &str) {
    let mut left = log.iter();
    for (sent, put) in &written.acknowledged {
        assert_eq!(put.status, "PUT_OK", "{sent:?}; {why}");
        assert_eq!(put.offsets.len(), sent.messages.len(), "{put:?}; {why}");
        for (n, (message, at)) in sent.messages.iter().zip(&put.offsets).enumerate() {
            let seen = left.next().unwrap_or_else(|| panic!("lost what Java acknowledged: {put:?}; {why}"));
            is_stored(message, sent.store_host, seen).unwrap_or_else(|not| panic!("{not}; {why}"));
            assert_eq!((seen.offset, seen.stored), (*at, put.stored), "{put:?}; {why}");
            let queued = if seen.is_queued() { put.queue_offset + n as u64 } else { 0 };
            assert_eq!(seen.queue_offset, queued, "{put:?}: {seen:?}; {why}");
        }
    }
    let mut under_way = written
        .under_way
        .iter()
        .flat_map(|sent| sent.messages.iter().map(|message| (message, sent.store_host)));
    for seen in left {
        let (message, store_host) =
            under_way.next().unwrap_or_else(|| panic!("nobody wrote {seen:?}; {why}"));
        is_stored(message, store_host, seen).unwrap_or_else(|not| panic!("{not}; {why}"));
    }
}

/// Java's answers over a copy, then ours over the folder, then ours after we have appended and opened it again.
fn hold(java: &Java, root: &Path, plan: &Plan, written: &Written) -> usize {
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
    assert!(report.set_aside.is_empty() && report.queues_moved_back.is_empty(), "{report}; {why}");
    assert!(report.side_damage.is_empty(), "{report}; {why}");
    let log = seen::log(&ours);
    hold_against_puts(&log, written, &why);
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
        let written = write_all(&plans, root.path(), nth % 2 == 1);
        let java = Java::start();
        std::thread::scope(|scope| {
            let (java, root) = (&java, root.path());
            let threads: Vec<_> = plans
                .iter()
                .zip(&written)
                .map(|(plan, written)| scope.spawn(move || hold(java, root, plan, written)))
                .collect();
            lost += threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>();
        });
        messages += written
            .iter()
            .flat_map(|written| &written.acknowledged)
            .map(|(sent, _)| sent.messages.len())
            .sum::<usize>();
    }
    say(&format!(
        "written by Java: {messages} messages acknowledged, all there; {lost} keys that Java lost itself (H10); {:?}",
        began.elapsed()
    ));
}
