//! Queue files, index files and what we know of them are lost at rest: the next open makes them anew from the log,
//! equal to what a first derivation makes (promises C5).

use std::path::{Path, PathBuf};
use std::time::Duration;

use sawlog::disk::Disk;
use sawlog::disk::sim::{Fault, FaultKind, SimDisk};
use sawlog::{LogOffset, Message, QueueOffset, Store};

use crate::support::derived::{DerivedBytes, check_derived, derived_bytes, difference, fresh};
use crate::support::dice::Dice;
use crate::support::expected::{Expected, ROOT, Taken};
use crate::support::oracle::{Verdict, check_log};
use crate::support::workload::{QUEUES, TOPICS, clock, options};

/// A store at rest: its log is in several segments, one of its queues in more than three files, its index in more
/// than three. Closed, or killed with records behind the last place that the derived files are known to hold.
pub(crate) fn at_rest(seed: u64, closed: bool) -> (SimDisk, Expected) {
    let (disk, clock) = (SimDisk::new(), clock());
    let store = Store::open(ROOT, options(&disk, &clock, seed.is_multiple_of(2))).unwrap();
    let (mut log, mut dice) = (Expected::default(), Dice::new(seed));
    for number in 0..160 {
        let topic = TOPICS[dice.below(4) as usize];
        // Every third one goes to the first queue of all.
        let (topic, queue) =
            if number % 3 == 0 { (TOPICS[0], 0) } else { (topic, dice.below(u64::from(QUEUES)) as u32) };
        let body_bytes = dice.below(3_000) as usize;
        let mut message = Message::new(topic, dice.bytes(body_bytes)).queue(queue);
        if number % 2 == 0 {
            message = message.tag("vip").key(&format!("key-{}", dice.below(12))).key("AaBB");
        }
        if number % 5 == 0 {
            message = message.unique_key(&format!("AC11000117AC18B4AAC2{number:012X}"));
        }
        let stored = store.append_and_wait(&message).unwrap();
        log.taken.push(Taken::new(&message, &stored));
        clock.turn(Duration::from_millis(dice.below(700)));
        while dice.percent(60) && store.step() {}
    }
    match closed {
        true => store.close().unwrap(),
        false => {
            store.flush().unwrap();
            let killed = disk.kill();
            drop(store);
            log.read_bytes(&killed, LogOffset(0));
            return (killed, log);
        }
    }
    log.read_bytes(&disk, LogOffset(0));
    (disk, log)
}

/// A part that may be lost: the files that belong to it.
struct Part {
    name: &'static str,
    files: Vec<PathBuf>,
    /// Its loss goes unnoticed: nothing of ours depends on it.
    is_javas: bool,
    /// Bytes of the same length in its place are told from its own.
    has_checksum: bool,
}

fn parts(disk: &SimDisk) -> Vec<Part> {
    let under = |dir: &str| {
        let dir = Path::new(ROOT).join(dir);
        disk.files()
            .into_iter()
            .map(|(path, _)| path)
            .filter(|path| path.starts_with(&dir))
            .collect::<Vec<_>>()
    };
    let part =
        |name, files: &[PathBuf]| Part { name, files: files.to_vec(), is_javas: false, has_checksum: false };
    let (all, first_queue, index) = (under("consumequeue"), under("consumequeue/orders/0"), under("index"));
    assert!(first_queue.len() > 3 && index.len() > 3, "{first_queue:?} {index:?}");
    let middle = first_queue.len() / 2;
    vec![
        part("consumequeue", &all),
        part("one queue", &under("consumequeue/p/1")),
        part("first queue file", &first_queue[..1]),
        part("middle queue file", &first_queue[middle..=middle]),
        part("last queue file", &first_queue[first_queue.len() - 1..]),
        part("index", &index),
        part("first index file", &index[..1]),
        part("last index file", &index[index.len() - 1..]),
        Part { has_checksum: true, ..part("sawlog/queues", &[Path::new(ROOT).join("sawlog/queues")]) },
        Part {
            is_javas: true,
            has_checksum: true,
            ..part("checkpoint", &[Path::new(ROOT).join("checkpoint")])
        },
    ]
}

/// How a part is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    Deleted,
    Emptied,
    Cut,
    Garbage,
}

fn lose(disk: &SimDisk, part: &Part, loss: Loss, dice: &mut Dice) {
    for path in &part.files {
        let Ok(was) = disk.read_file(path) else { continue };
        match loss {
            Loss::Garbage if part.has_checksum => {
                disk.write_file(path, dice.bytes(was.len())).unwrap();
            }
            Loss::Emptied => disk.write_file(path, "").unwrap(),
            Loss::Cut => disk.write_file(path, was[..was.len() / 3].to_vec()).unwrap(),
            // Of the same length they would pass: no checksum stands in RocketMQ's files.
            Loss::Deleted | Loss::Garbage => disk.remove(path).unwrap(),
        }
    }
}

/// Opens, holds everything against the log, closes; holds the files against fresh ones; opens again.
fn judge(disk: &SimDisk, log: &Expected, fresh: &DerivedBytes, must_rebuild: Option<bool>) -> Verdict {
    let store = Store::open(ROOT, options(disk, &clock(), true)).map_err(|e| format!("refused: {e}"))?;
    let end = check_log(&store, log)?;
    if end != log.end() {
        return Err(format!("the log ends at {end}: {}", store.recovery()));
    }
    check_derived(&store, log, end, (0, 0))?;
    let rebuilt = store.recovery().rebuilt;
    if must_rebuild.is_some_and(|must| must != rebuilt) {
        return Err(format!("made anew: {rebuilt}; {}", store.recovery()));
    }
    store.close().map_err(|e| format!("close: {e}"))?;
    if let Some(why) = difference(&derived_bytes(disk), fresh) {
        return Err(format!("not as derived afresh: {why}"));
    }
    let store = Store::open(ROOT, options(disk, &clock(), false)).map_err(|e| format!("again: {e}"))?;
    if store.recovery().rebuilt || !store.recovery().clean_shutdown {
        return Err(format!("opened again: {}", store.recovery()));
    }
    check_derived(&store, log, check_log(&store, log)?, (0, 0)).map(drop)
}

#[test]
fn whichever_derived_files_are_lost_at_rest_they_are_made_anew_and_equal_to_fresh_ones() {
    let mut failures = Vec::new();
    let mut cases = 0;
    for (seed, closed) in [(0, true), (1, false)] {
        let (disk, log) = at_rest(seed, closed);
        let (fresh, parts) = (fresh(&disk), parts(&disk));
        let mut dice = Dice::new(seed + 100);
        for subset in 0..1_usize << parts.len() {
            for all_deleted in [true, false] {
                let copy = disk.kill();
                let lost = parts.iter().enumerate().filter(|(bit, _)| subset >> bit & 1 == 1);
                let mut how = Vec::new();
                for (_, part) in lost {
                    let loss = [Loss::Deleted, Loss::Emptied, Loss::Cut, Loss::Garbage];
                    let loss = if all_deleted { Loss::Deleted } else { loss[dice.below(4) as usize] };
                    lose(&copy, part, loss, &mut dice);
                    how.push((part.name, loss, part.is_javas));
                }
                // Of a killed store a file may be lost that is behind what is known to be whole.
                let must_rebuild = closed.then(|| how.iter().any(|(.., is_javas)| !is_javas));
                cases += 1;
                if let Err(why) = judge(&copy, &log, &fresh, must_rebuild) {
                    failures.push(format!("closed {closed}, {how:?}: {why}"));
                }
            }
        }
    }
    let shown = failures.iter().take(4).cloned().collect::<Vec<_>>().join("\n\n");
    assert!(failures.is_empty(), "{} of {cases} failed:\n{shown}", failures.len());
    assert!(cases == 4 << 10, "only {cases}");
}

/// What was dropped stands in `sawlog/queues` alone: with it, lost files are made anew without the topic; without it,
/// the records are in the log, and so in the queues again.
#[test]
fn a_dropped_topic_stays_dropped_whatever_else_is_lost() {
    for closed in [true, false] {
        let (disk, log) = at_rest(3, true);
        let store = Store::open(ROOT, options(&disk, &clock(), true)).unwrap();
        store.drop_topic("orders").unwrap();
        let next = log.next_offsets()[&("orders".to_owned(), 0)];
        assert_eq!(store.queue("orders", 0).min().unwrap(), QueueOffset(next));
        if closed {
            store.close().unwrap()
        } else {
            drop(disk.kill())
        }
        let rest = disk.kill();
        for part in parts_but_dropped(&rest) {
            let copy = rest.kill();
            part.iter().for_each(|path| copy.remove(path).unwrap());
            let store = Store::open(ROOT, options(&copy, &clock(), true)).unwrap();
            let queue = store.queue("orders", 0);
            assert_eq!((queue.min().unwrap().0, queue.max().0), (next, next), "lost {part:?}");
            assert_eq!(store.find("orders", "AaBB").count(), 0, "lost {part:?}");
            assert!(store.find("p", "AaBB").count() > 0);
            let ack = store.append(&Message::new("orders", "next")).unwrap();
            assert_eq!(ack.queue_offset(), QueueOffset(next));
        }
        let copy = rest.kill();
        copy.remove(&Path::new(ROOT).join("sawlog/queues")).unwrap();
        let store = Store::open(ROOT, options(&copy, &clock(), true)).unwrap();
        let queue = store.queue("orders", 0);
        assert_eq!((queue.min().unwrap().0, queue.max().0), (0, next));
    }
}

fn parts_but_dropped(disk: &SimDisk) -> Vec<Vec<PathBuf>> {
    let under = |dir: &str| {
        let dir = Path::new(ROOT).join(dir);
        disk.files()
            .into_iter()
            .map(|(path, _)| path)
            .filter(|path| path.starts_with(&dir))
            .collect::<Vec<_>>()
    };
    let (queues, index) = (under("consumequeue"), under("index"));
    let both = [queues.clone(), index.clone()].concat();
    vec![Vec::new(), queues, index.clone(), both, index[..1].to_vec(), under("checkpoint")]
}

/// The process was killed when a drop was said durably and the topic's files were still there. The next open finished
/// nothing: the files stayed for good, and a Java broker would have read the dropped messages in them.
#[test]
fn a_drop_that_a_crash_cut_short_is_finished_by_the_next_open() {
    let (rest, _) = at_rest(4, true);
    let disk = rest.kill();
    disk.start_recording();
    let store = Store::open(ROOT, options(&disk, &clock(), true)).unwrap();
    let from = disk.recorded();
    store.drop_topic("orders").unwrap();
    let to = disk.recorded();
    let mut replay = disk.replay();
    let mut finished = 0;
    for at in from..=to {
        replay.advance_to(at);
        let killed = replay.kill();
        let again = Store::open(ROOT, options(&killed, &clock(), true)).unwrap();
        let queue = again.queue("orders", 0);
        let is_dropped = queue.min().unwrap() == queue.max();
        again.close().unwrap();
        let topic = Path::new(ROOT).join("consumequeue/orders");
        let left = killed.files().into_iter().filter(|(path, _)| path.starts_with(&topic)).count();
        assert_eq!(left == 0, is_dropped, "stopped at {at} of {from} to {to}: {left} files");
        finished += u32::from(is_dropped);
    }
    assert!(finished > 3);
}

/// A drop whose first call failed was a drop for look-ups by key and none for the queues, and the next clean close
/// wrote that down: the records stood in their queues and were found by no key, for good.
#[test]
fn a_drop_that_fails_is_a_drop_or_none_and_never_half_of_one() {
    let (rest, log) = at_rest(6, true);
    let next = log.next_offsets()[&("orders".to_owned(), 0)];
    let is_dropped = |store: &Store| {
        let queue = store.queue("orders", 0);
        let in_queue = queue.min().unwrap().0 < next;
        assert_eq!(queue.max().0, next);
        let found = store.find("orders", "AaBB").filter(Result::is_ok).count();
        assert_eq!(in_queue, found > 0, "{found} found");
        !in_queue
    };
    let mut outcomes = [0; 2];
    for nth in 1.. {
        let disk = rest.kill();
        let store = Store::open(ROOT, options(&disk, &clock(), true)).unwrap();
        disk.fail_at(nth, Fault::once(FaultKind::Eio));
        let dropped = store.drop_topic("orders");
        if disk.faults_fired() == 0 {
            dropped.unwrap();
            break;
        }
        disk.clear_faults();
        assert!(dropped.is_err(), "call {nth} failed and nobody was told");
        let at_once = is_dropped(&store);
        let killed = is_dropped(&Store::open(ROOT, options(&disk.kill(), &clock(), true)).unwrap());
        assert!(killed || !at_once, "call {nth}: dropped, and back after a kill");
        let alive = store.failure().is_none();
        if store.close().is_ok() {
            assert!(alive);
            let again = Store::open(ROOT, options(&disk, &clock(), true)).unwrap();
            assert_eq!(is_dropped(&again), at_once, "call {nth}");
            again.drop_topic("orders").unwrap();
            assert!(is_dropped(&again));
        }
        outcomes[usize::from(at_once)] += 1;
    }
    assert!(outcomes.iter().all(|count| *count > 2), "{outcomes:?}");
}
