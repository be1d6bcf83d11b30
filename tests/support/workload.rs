//! The standard workload: three topics of four queues, both policies, many rolls, batches, transactions, flushes,
//! turns of the clock, changes of the policy, a close and a reopening in the middle. One thread; a seed decides everything.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use sawlog::clock::{HandClock, Timestamp};
use sawlog::disk::sim::SimDisk;
use sawlog::flush::{AsyncFlush, Reached, SyncFlush};
use sawlog::message::{SysFlags, Transaction};
use sawlog::{Ack, Error, Level, LogOffset, Message, Options, Result, Store};

use super::dice::Dice;
use super::expected::{Dropped, Expected, ROOT, SEGMENT_BYTES, Taken, When};

/// The last one is where messages wait for their time: its queue entries carry that in place of a tag.
pub(crate) const TOPICS: [&str; 4] =
    ["orders", "p", "a-topic-with-a-rather-long-name", "SCHEDULE_TOPIC_XXXX"];
/// Some hash alike, as the hash of Java's strings goes.
const TAGS: [&str; 4] = ["vip", "Aa", "BB", "paid"];
const KEYS: [&str; 8] = ["AaAa", "BBBB", "AaBB", "k", "order-17", "order-18", "BBAa", "a\u{e4}\u{1f600}"];
pub(crate) const QUEUES: u32 = 4;
/// The longest body: some records fill most of a segment.
const LONGEST_BODY: u64 = 40 << 10;
const START: Timestamp = Timestamp(1_700_000_000_000);

/// A clock for one run.
pub(crate) fn clock() -> Arc<HandClock> {
    Arc::new(HandClock::new(START))
}

/// How every store here is opened.
pub(crate) fn options(disk: &SimDisk, clock: &Arc<HandClock>, sync: bool) -> Options {
    let options = Options::new()
        .disk(disk.clone())
        .clock(Arc::clone(clock))
        .segment_bytes(SEGMENT_BYTES)
        .max_message_bytes(LONGEST_BODY as u32)
        .queue_segment_entries(8)
        .index_slots(16)
        .index_entries(24)
        .by_hand();
    if sync { options.flush(SyncFlush) } else { options.flush(AsyncFlush::default()) }
}

/// Writes down when it is woken: at the very operation behind which the store told it.
struct Told {
    disk: SimDisk,
    when: When,
}

impl Wake for Told {
    fn wake(self: Arc<Self>) {
        self.when.note(self.disk.recorded());
    }
}

/// How much a workload does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) steps: u64,
    /// Close and open again in the middle.
    pub(crate) reopens: bool,
    /// Close at the end.
    pub(crate) closes: bool,
}

impl Size {
    pub(crate) const STANDARD: Size = Size { steps: 120, reopens: true, closes: true };
}

/// A workload under way; what it appended stands in `log`.
pub(crate) struct Workload {
    pub(crate) disk: SimDisk,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) log: Expected,
    /// What faults answered, if there are faults: the workload goes on, as a user might.
    pub(crate) refusals: Vec<Error>,
    /// Behind how many recorded operations the first of them came.
    pub(crate) refused_at: Option<usize>,
    /// The messages of the append under which the store failed: a prefix of them may be there.
    pub(crate) unknown: Vec<Message>,
    pub(crate) acks: Vec<(Ack, When, LogOffset)>,
    dice: Dice,
    sync: bool,
    /// Whether it has its segments written with zeros before they are opened.
    prewrites: bool,
    store: Option<Store>,
    waiting: Vec<(Pin<Box<Reached>>, When)>,
    /// Counts unique ids.
    named: u64,
}

impl Workload {
    pub(crate) fn new(seed: u64, disk: SimDisk) -> Workload {
        Workload {
            disk,
            clock: clock(),
            log: Expected::default(),
            refusals: Vec::new(),
            refused_at: None,
            unknown: Vec::new(),
            acks: Vec::new(),
            dice: Dice::new(seed),
            sync: seed.is_multiple_of(2),
            prewrites: seed % 4 == 2,
            store: None,
            waiting: Vec::new(),
            named: 0,
        }
    }

    /// Runs it on a healthy, recording disk, where nothing may fail.
    pub(crate) fn run(seed: u64, size: Size) -> Workload {
        let mut work = Workload::new(seed, SimDisk::recording());
        work.go(size).expect("a healthy disk");
        assert!(work.refusals.is_empty(), "a healthy disk refused: {:?}", work.refusals);
        work.log.check_dense().unwrap();
        work.log.read_bytes(&work.disk, LogOffset(0));
        work
    }

    /// Opens, does all steps, closes. Errors of appends are gathered; those of opening and closing end it, and so does
    /// a store that has failed, which then stays open.
    pub(crate) fn go(&mut self, size: Size) -> Result<()> {
        self.open()?;
        for step in 0..size.steps {
            if size.reopens && step == size.steps / 2 {
                self.close()?;
                if self.dice.percent(50) {
                    self.sync = !self.sync;
                }
                self.open()?;
            }
            self.one_step();
            if let Some(failure) = self.store.as_ref().and_then(Store::failure) {
                return Err(failure);
            }
        }
        if size.closes { self.close() } else { Ok(()) }
    }

    pub(crate) fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    pub(crate) fn take_store(&mut self) -> Option<Store> {
        self.store.take()
    }

    fn open(&mut self) -> Result<()> {
        let options = options(&self.disk, &self.clock, self.sync);
        self.store = Some(Store::open(ROOT, options.prewrite(self.prewrites))?);
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        let done = self.store.take().map_or(Ok(()), Store::close);
        self.note_marks(self.log.end(), done.is_ok());
        done
    }

    fn one_step(&mut self) {
        let roll = self.dice.below(100);
        match roll {
            0..46 => self.append(None),
            46..54 => {
                let level = if self.dice.percent(60) { Level::Flushed } else { Level::Written };
                self.append(Some(level));
            }
            54..64 => self.batch(),
            64..69 => self.append_and_wait(),
            69..73 => self.try_append(),
            73..78 => self.with_store(|store| store.flush().map(drop)),
            78 => self.drop_topic(),
            79..90 => self.step(),
            90 => self.change_policy(),
            91..98 => {
                self.clock.turn(Duration::from_millis(self.dice.below(3_000)));
                self.step();
            }
            // The wall clock jumps back an hour, or far ahead: only store times may notice.
            98 => self.clock.jump_to(Timestamp(START.0 - 3_600_000)),
            _ => self.clock.jump_to(Timestamp(START.0 + self.dice.below(10_000) as i64)),
        }
    }

    /// Drops a topic, sometimes; after one attempt that failed no other, so that only of the last one it is unknown
    /// whether it counts.
    fn drop_topic(&mut self) {
        let topic = TOPICS[self.dice.below(TOPICS.len() as u64) as usize];
        let Some(store) = self.store.clone() else { return };
        if self.log.dropped.iter().any(|dropped| dropped.done.is_never()) {
            return;
        }
        // All that was taken, dispatched or not.
        let (below, asked) = (store.marks().accepted, When::at(self.disk.recorded()));
        self.log.dropped.push(Dropped { topic, below, asked, done: When::never() });
        match store.drop_topic(topic) {
            Ok(()) => self.log.dropped.last().into_iter().for_each(|d| d.done.note(self.disk.recorded())),
            Err(error) => self.refusals.push(error),
        }
        self.note_written(&store);
    }

    /// The other policy takes the place of the one in force.
    fn change_policy(&mut self) {
        let Some(store) = self.store.clone() else { return };
        let done =
            if self.sync { store.set_flush(AsyncFlush::default()) } else { store.set_flush(SyncFlush) };
        match done {
            Ok(()) => self.sync = !self.sync,
            Err(error) => self.refusals.push(error),
        }
        self.note_written(&store);
    }

    fn step(&mut self) {
        self.with_store(|store| {
            for _ in 0..8 {
                if !store.step() {
                    break;
                }
            }
            Ok(())
        });
    }

    fn with_store(&mut self, act: impl FnOnce(&Store) -> Result<()>) {
        if let Some(store) = self.store.clone() {
            if let Err(error) = act(&store) {
                self.refusals.push(error);
            }
            self.note_written(&store);
        }
    }

    /// A message by chance.
    pub(crate) fn message(&mut self) -> Message {
        let dice = &mut self.dice;
        let body_bytes = match dice.below(40) {
            0 => 8_000 + dice.below(LONGEST_BODY - 8_000),
            1..4 => 0,
            _ => dice.below(4_096),
        };
        let topic = TOPICS[dice.below(TOPICS.len() as u64) as usize];
        let mut message = Message::new(topic, dice.bytes(body_bytes as usize))
            .queue(dice.below(u64::from(QUEUES)) as u32)
            .reconsume_times(dice.below(3) as i32);
        if dice.percent(40) {
            message = message.tag(TAGS[dice.below(TAGS.len() as u64) as usize]);
        }
        if dice.percent(30) {
            for _ in 0..=dice.below(3) {
                message = message.key(KEYS[dice.below(KEYS.len() as u64) as usize]);
            }
        }
        if dice.percent(25) {
            self.named += 1;
            message = message.unique_key(&format!("AC11000117AC18B4AAC2{:012X}", self.named));
        }
        if topic == TOPICS[3] && dice.percent(80) {
            message = message.property("DELAY", &dice.below(20).to_string());
        }
        if dice.percent(6) {
            message = message.wait(false);
        }
        let part = match dice.below(20) {
            0 => Transaction::Prepared,
            1 => Transaction::Rollback,
            2 => Transaction::Commit,
            _ => Transaction::None,
        };
        message.sys_flags(SysFlags::default().with_transaction(part))
    }

    fn append(&mut self, level: Option<Level>) {
        let message = self.message();
        let Some(store) = self.store.clone() else { return };
        let took = match level {
            Some(level) => store.append_with(&message, level),
            None => store.append(&message),
        };
        self.took(&store, &[message], took);
    }

    fn try_append(&mut self) {
        let message = self.message();
        let Some(store) = self.store.clone() else { return };
        match store.try_append(&message) {
            // Would have waited for the next segment: an answer like any other.
            Err(Error::Busy { .. }) => {}
            took => self.took(&store, &[message], took),
        }
    }

    fn append_and_wait(&mut self) {
        let message = self.message();
        let Some(store) = self.store.clone() else { return };
        match store.append_and_wait(&message) {
            Ok(stored) => {
                let taken = Taken::new(&message, &stored);
                let acknowledged = if self.sync && message.waits() { &taken.flushed } else { &taken.written };
                acknowledged.note(self.disk.recorded());
                self.remember(&store, taken);
            }
            Err(error) => self.refused(&[message], error),
        }
        self.note_written(&store);
    }

    fn batch(&mut self) {
        let many = 2 + self.dice.below(5);
        let messages: Vec<Message> = (0..many).map(|_| self.message()).collect();
        if messages.iter().map(|m| m.body.len() as u64 + 300).sum::<u64>() > SEGMENT_BYTES {
            return;
        }
        let Some(store) = self.store.clone() else { return };
        let took = store.append_batch(&messages);
        self.took(&store, &messages, took);
    }

    fn took(&mut self, store: &Store, messages: &[Message], took: Result<Ack>) {
        match took {
            Ok(ack) => {
                let told = When::never();
                for (message, stored) in messages.iter().zip(ack.all()) {
                    let mut taken = Taken::new(message, &stored);
                    match ack.level() {
                        Level::Written => taken.written = told.clone(),
                        Level::Flushed => taken.flushed = told.clone(),
                    }
                    self.remember(store, taken);
                }
                let end = ack.end();
                self.listen(ack, told, end);
            }
            Err(error) => self.refused(messages, error),
        }
        self.note_written(store);
    }

    /// Nothing is appended to a store that has failed: whoever hears of it was there when it did.
    fn refused(&mut self, messages: &[Message], error: Error) {
        if matches!(error, Error::Failed(_)) {
            self.unknown = messages.to_vec();
        }
        self.refused_at.get_or_insert(self.disk.recorded());
        self.refusals.push(error);
    }

    /// Asks the ack once, with a waker that notes the moment.
    fn listen(&mut self, mut ack: Ack, told: When, end: LogOffset) {
        let waker = Waker::from(Arc::new(Told { disk: self.disk.clone(), when: told.clone() }));
        match Pin::new(&mut ack).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(Ok(())) => told.note(self.disk.recorded()),
            Poll::Ready(Err(error)) => self.refusals.push(error),
            Poll::Pending => self.acks.push((ack, told, end)),
        }
    }

    /// Every record is followed to the flushed mark too, whatever its append waits for.
    fn remember(&mut self, store: &Store, taken: Taken) {
        let mut reached = Box::pin(store.flushed().reach(taken.position.end()));
        let told = taken.flushed.clone();
        let waker = Waker::from(Arc::new(Told { disk: self.disk.clone(), when: told.clone() }));
        match reached.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(Ok(())) => told.note(self.disk.recorded()),
            Poll::Ready(Err(error)) => self.refusals.push(error),
            Poll::Pending => self.waiting.push((reached, told)),
        }
        self.log.taken.push(taken);
    }

    /// A failing store wakes its waiters too: takes back what was noted for those whose promise does not hold.
    pub(crate) fn believe_no_failures(&mut self) {
        self.acks.iter().filter(|(ack, ..)| !ack.is_done()).for_each(|(_, told, _)| told.forget());
        self.waiting.iter().filter(|(reached, _)| !reached.is_reached()).for_each(|(_, told)| told.forget());
    }

    fn note_written(&mut self, store: &Store) {
        self.note_marks(store.marks().written, true);
    }

    fn note_marks(&mut self, written: LogOffset, fine: bool) {
        let now = self.disk.recorded();
        let news = self.log.taken.iter().rev().take(200);
        for taken in news.filter(|t| fine && t.position.end() <= written) {
            taken.written.note(now);
        }
    }
}
