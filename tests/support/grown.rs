//! A running store whose front is swept away, and what must hold of any image of it: finished, or as before.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sawlog::clock::HandClock;
use sawlog::disk::sim::{Replay, SimDisk, Survivors};
use sawlog::{LogOffset, Message, Retention, Store};

use super::derived::check_derived;
use super::dice::Dice;
use super::expected::{Dropped, Expected, Promised, ROOT, SEGMENT_BYTES, Taken, When};
use super::oracle::{Verdict, check_log, examine, open};
use super::workload::{QUEUES, TOPICS, clock, options};

/// A running store of some segments, part of it flushed, and what is in it.
pub(crate) struct Grown {
    pub(crate) disk: SimDisk,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) store: Store,
    pub(crate) log: Expected,
    /// So many topics were dropped.
    dropped: usize,
    /// Where the sweep is to make it begin.
    pub(crate) goal: LogOffset,
    pub(crate) seed: u64,
}

impl Grown {
    pub(crate) fn new(seed: u64) -> Grown {
        let (disk, clock) = (SimDisk::new(), clock());
        let store = Store::open(ROOT, options(&disk, &clock, seed.is_multiple_of(2))).unwrap();
        let mut grown =
            Grown { disk, clock, store, log: Expected::default(), dropped: 0, goal: LogOffset(0), seed };
        let mut dice = Dice::new(seed);
        for number in 0..260 {
            grown.append(number, &mut dice);
            grown.clock.turn(Duration::from_millis(dice.below(700)));
            match dice.below(20) {
                // Behind here nothing is flushed, dispatched or written down: more than two segments.
                _ if number >= 150 => {}
                0..10 => drop(grown.store.step()),
                10..13 => drop(grown.store.flush().unwrap()),
                _ => {}
            }
            if number == 60 && seed % 4 >= 2 {
                grown.drop_topic(TOPICS[1]);
            }
        }
        let active = grown.log.end().0 / SEGMENT_BYTES;
        assert!(active >= 4, "{active}");
        grown.goal = LogOffset((active - dice.below(3)) * SEGMENT_BYTES);
        grown.log.read_bytes(&grown.disk, LogOffset(0));
        // Of staged records nobody knows the bytes yet.
        grown.log.bytes.clear();
        grown
    }

    fn append(&mut self, number: u64, dice: &mut Dice) {
        let (topic, queue) = match number % 3 {
            0 => (TOPICS[0], 0),
            // Of one queue all records lie in the front that goes.
            _ if number < 30 => (TOPICS[2], 3),
            _ => (TOPICS[dice.below(4) as usize], dice.below(u64::from(QUEUES) - 1) as u32),
        };
        let body_bytes = dice.below(3_500) as usize;
        let mut message = Message::new(topic, dice.bytes(body_bytes)).queue(queue);
        if number.is_multiple_of(2) {
            message = message.tag("vip").key(&format!("key-{}", dice.below(12)));
        }
        let ack = self.store.append(&message).unwrap();
        self.log.taken.push(Taken::new(&message, &ack.all().next().unwrap()));
        ack.forget();
    }

    fn drop_topic(&mut self, topic: &'static str) {
        let below = self.store.marks().accepted;
        self.store.drop_topic(topic).unwrap();
        self.dropped += 1;
        self.log.dropped.push(Dropped { topic, below, asked: When::at(0), done: When::at(0) });
    }

    pub(crate) fn promised(&self) -> Promised {
        Promised { end: self.store.marks().flushed, dropped: (self.dropped, self.dropped) }
    }

    /// Sweeps by asking, or by a rule in the worker's turn.
    pub(crate) fn sweep(&self) -> sawlog::Result<()> {
        if self.seed.is_multiple_of(3) {
            let left = (self.log.end().0.div_ceil(SEGMENT_BYTES) * SEGMENT_BYTES).saturating_sub(self.goal.0);
            self.store.set_retention(Retention::keep_all().max_bytes(left))?;
            self.store.sweep().map(drop)
        } else {
            self.store.remove_before(self.goal).map(drop)
        }
    }

    /// The same log, which may begin at one of these places.
    pub(crate) fn beginning_at(&self, fronts: &[LogOffset]) -> Expected {
        Expected { fronts: fronts.to_vec(), ..self.log.clone() }
    }
}

/// No file of the log lies before its first byte.
pub(crate) fn check_files(disk: &SimDisk, store: &Store) -> Verdict {
    let first = store.marks().first;
    let before = disk.files().into_iter().find(|(path, _)| {
        let base = path.file_name().and_then(|name| name.to_str()?.parse::<u64>().ok());
        path.to_string_lossy().contains("commitlog") && base.is_some_and(|base| base < first.0)
    });
    before.map_or(Ok(()), |(path, _)| Err(format!("{} is left, the log begins at {first}", path.display())))
}

/// Whatever a cut leaves a broker may open, which refuses a log with a gap.
fn check_no_gap(image: &SimDisk) -> Verdict {
    let log = Path::new(ROOT).join("commitlog");
    let files = image.files().into_iter().filter(|(path, _)| path.parent() == Some(&*log));
    let bases: Vec<u64> =
        files.map(|(path, _)| path.file_name().unwrap().to_str().unwrap().parse().unwrap()).collect();
    match bases.windows(2).all(|two| two[0] + SEGMENT_BYTES == two[1]) {
        true => Ok(()),
        false => Err(format!("segments {bases:?}")),
    }
}

/// An image, opened, is finished or as before; and it can be swept (again) then.
pub(crate) fn check_image(
    image: &SimDisk,
    grown: &Grown,
    log: &Expected,
    promised: Promised,
    dice: &mut Dice,
) -> Verdict {
    check_no_gap(image)?;
    let again = image.kill();
    examine(image, log, promised, dice.draw())?;
    let opened = open(&again, dice.percent(50), log, promised)?;
    check_files(&again, &opened.store)?;
    opened.store.remove_before(grown.goal).map_err(|e| format!("swept again: {e}"))?;
    let log = grown.beginning_at(&[grown.goal.min(LogOffset(opened.end.0 / SEGMENT_BYTES * SEGMENT_BYTES))]);
    let end = check_log(&opened.store, &log)?;
    check_derived(&opened.store, &log, end, promised.dropped)?;
    check_files(&again, &opened.store)
}

pub(crate) fn images(replay: &Replay, seed: u64) -> Vec<(String, SimDisk)> {
    let part = |n: u64| Dice::part(seed, n);
    let mut images = Vec::new();
    for (n, model) in (0..).zip(Survivors::ALL) {
        images.push((format!("cut, {model:?}"), replay.power_cut(part(n), model)));
        images.push((format!("cut within, {model:?}"), replay.power_cut_within(part(10 + n), model)));
    }
    images.push(("killed".into(), replay.kill()));
    images.push(("killed within".into(), replay.kill_within(part(20))));
    images
}
