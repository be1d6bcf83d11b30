//! Queue files, index files and what we know of them are lost at rest: the next open makes them anew from the log,
//! equal to what a first derivation makes (promises C5).

use std::path::{Path, PathBuf};

use sawlog::disk::Disk;
use sawlog::disk::sim::{Fault, FaultKind, SimDisk};
use sawlog::{Message, QueueOffset, Store};

use crate::support::at_rest::{Loss, at_rest, judge, lose, parts};
use crate::support::derived::fresh;
use crate::support::dice::Dice;
use crate::support::expected::ROOT;
use crate::support::workload::{clock, options};

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
