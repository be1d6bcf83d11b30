//! A store at rest of whose derived files some are lost: the next open makes them anew, equal to fresh ones.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sawlog::disk::Disk;
use sawlog::disk::sim::SimDisk;
use sawlog::{LogOffset, Message, Store};

use super::derived::{DerivedBytes, check_derived, derived_bytes, difference};
use super::dice::Dice;
use super::expected::{Expected, ROOT, Taken};
use super::oracle::{Verdict, check_log};
use super::workload::{QUEUES, TOPICS, clock, options};

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
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) files: Vec<PathBuf>,
    /// Its loss goes unnoticed: nothing of ours depends on it.
    pub(crate) is_javas: bool,
    /// Bytes of the same length in its place are told from its own.
    pub(crate) has_checksum: bool,
}

pub(crate) fn parts(disk: &SimDisk) -> Vec<Part> {
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
pub(crate) enum Loss {
    Deleted,
    Emptied,
    Cut,
    Garbage,
}

pub(crate) fn lose(disk: &SimDisk, part: &Part, loss: Loss, dice: &mut Dice) {
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
pub(crate) fn judge(
    disk: &SimDisk,
    log: &Expected,
    fresh: &DerivedBytes,
    must_rebuild: Option<bool>,
) -> Verdict {
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
