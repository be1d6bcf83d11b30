//! All queues, by topic and id: [`QueueTable`].

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;

use foldhash::fast::RandomState;

use crate::consume_queue::files::{Files, Folder};
use crate::consume_queue::record::Recorder;
use crate::consume_queue::state::State;
use crate::consume_queue::{ConsumeQueue, Geometry, Known, QueueSurvey, Shared};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::offset::{LogOffset, QueueOffset};
use crate::sync::{Mutex, RwLock};

/// The queues of a store.
#[derive(Debug)]
pub(crate) struct QueueTable {
    pub(super) shared: Arc<Shared>,
    queues: RwLock<Queues>,
    /// Queues with entries to be written.
    pub(super) to_write: Mutex<Vec<Arc<ConsumeQueue>>>,
    /// Queues with news that somebody has asked for.
    pub(super) to_tell: Mutex<Vec<Arc<ConsumeQueue>>>,
    /// Held by whoever writes, syncs or removes files.
    pub(super) recorder: Mutex<Recorder>,
}

#[derive(Debug, Default)]
struct Queues {
    topics: HashMap<Arc<str>, BTreeMap<u32, Arc<ConsumeQueue>>, RandomState>,
    /// Counts the queues ever made: their numbers.
    made: u32,
}

impl Queues {
    fn find(&self, topic: &str, id: u32) -> Option<&Arc<ConsumeQueue>> {
        self.topics.get(topic)?.get(&id)
    }

    fn add(&mut self, shared: &Arc<Shared>, topic: &str, id: u32, state: State) -> Arc<ConsumeQueue> {
        let topic =
            self.topics.get_key_value(topic).map_or_else(|| topic.into(), |(name, _)| Arc::clone(name));
        let queues = self.topics.entry(Arc::clone(&topic)).or_default();
        let made = &mut self.made;
        let queue = queues.entry(id).or_insert_with(|| {
            // Four billion queues have no room in memory, so no number comes twice.
            *made = made.wrapping_add(1);
            Arc::new(ConsumeQueue::new(shared, Folder { number: *made, topic, id }, state))
        });
        Arc::clone(queue)
    }
}

impl QueueTable {
    /// The queues as far as `known` says, whose word it is that the entries below `next` are whole and durable; files
    /// are not looked at. What stands in files behind them, and the files of queues that are not known, counts for
    /// nothing and is overwritten when entries are put; [`QueueTable::trim`] clears it away.
    ///
    /// `making` is a folder of the same file system where new files are made; what a crash left there is removed.
    ///
    /// # Errors
    /// [`Error::Io`] while clearing `making`.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        making: PathBuf,
        geometry: Geometry,
        survey: &QueueSurvey,
        known: &BTreeMap<(String, u32), Known>,
    ) -> Result<QueueTable> {
        let table = QueueTable::empty(disk, dir, making, geometry)?;
        let per_segment = table.shared.files.entries_per_segment();
        let mut queues = table.queues.write();
        for (key, bases) in &survey.queues {
            let first = bases.first().copied().unwrap_or_default();
            let known = known.get(key).copied().unwrap_or(Known { first, next: first });
            let segments = segments(bases, per_segment);
            queues.add(&table.shared, &key.0, key.1, State::new(segments, known.first.0, known.next.0));
        }
        for (key, known) in known.iter().filter(|(key, _)| !survey.queues.contains_key(*key)) {
            // Without files nothing can be read, whatever it is that is known.
            queues.add(&table.shared, &key.0, key.1, State::new(Vec::new(), known.next.0, known.next.0));
        }
        drop(queues);
        Ok(table)
    }

    fn empty(disk: Arc<dyn Disk>, dir: PathBuf, making: PathBuf, geometry: Geometry) -> Result<QueueTable> {
        let files = Files::new(disk, dir, making, geometry);
        files.remove_left_overs()?;
        let shared = Shared { files, held_bytes: AtomicU64::new(0), failed: OnceLock::new() };
        Ok(QueueTable {
            shared: Arc::new(shared),
            queues: RwLock::default(),
            to_write: Mutex::default(),
            to_tell: Mutex::default(),
            recorder: Mutex::default(),
        })
    }

    /// The queue, if there was ever a reason to know it.
    pub(crate) fn queue(&self, topic: &str, id: u32) -> Option<Arc<ConsumeQueue>> {
        self.queues.read().find(topic, id).cloned()
    }

    /// The queue; a new one stands in memory alone until its first entry is written (spec H42).
    pub(crate) fn queue_or_new(&self, topic: &str, id: u32) -> Arc<ConsumeQueue> {
        self.queue(topic, id)
            .unwrap_or_else(|| self.queues.write().add(&self.shared, topic, id, State::default()))
    }

    /// How many topics and queues are known, with or without entries: nothing is made to count them.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let queues = self.queues.read();
        (queues.topics.len(), queues.topics.values().map(BTreeMap::len).sum())
    }

    /// How many files of queues are open.
    pub(crate) fn open_files(&self) -> usize {
        self.shared.files.open_files()
    }

    /// The topics with a queue that has a file or an entry, sorted.
    pub(crate) fn topics(&self) -> Vec<String> {
        let queues = self.queues.read();
        let some = queues.topics.iter().filter(|(_, queues)| queues.values().any(|queue| queue.is_there()));
        let mut topics: Vec<String> = some.map(|(topic, _)| topic.to_string()).collect();
        topics.sort_unstable();
        topics
    }

    /// The ids of a topic's queues that have a file or an entry, ascending.
    pub(crate) fn queues_of(&self, topic: &str) -> Vec<u32> {
        let queues = self.queues.read();
        let queues = queues.topics.get(topic).into_iter().flatten();
        queues.filter(|(_, queue)| queue.is_there()).map(|(id, _)| *id).collect()
    }

    /// A topic's queues, with or without entries.
    pub(super) fn of_topic(&self, topic: &str) -> Vec<Arc<ConsumeQueue>> {
        self.queues
            .read()
            .topics
            .get(topic)
            .map_or_else(Vec::new, |queues| queues.values().cloned().collect())
    }

    /// Every queue, with or without entries.
    pub(super) fn all(&self) -> Vec<Arc<ConsumeQueue>> {
        self.all_where(|_| true)
    }

    /// Every queue of which this is true. To be answered from memory: who makes a queue waits for it.
    pub(super) fn all_where(&self, is_wanted: impl Fn(&State) -> bool) -> Vec<Arc<ConsumeQueue>> {
        let queues = self.queues.read();
        let all = queues.topics.values().flat_map(BTreeMap::values);
        all.filter(|queue| is_wanted(&queue.state.read())).cloned().collect()
    }

    /// Moves the marks of the queues that entries were put to since the last time. The wakers are to be woken when
    /// the caller holds no lock.
    #[must_use = "futures wait for these to be woken"]
    pub(crate) fn tell(&self) -> Vec<Waker> {
        let queues = std::mem::take(&mut *self.to_tell.lock());
        let mut wakers = Vec::new();
        for queue in queues {
            let mut state = queue.state.write();
            state.to_tell = false;
            let newest = state.newest;
            drop(state);
            wakers.extend(queue.news.get().into_iter().flat_map(|news| news.advance(newest)));
        }
        wakers
    }

    /// Ends all marks, those made later too: there will be no more news.
    #[must_use = "futures wait for these to be woken"]
    pub(crate) fn fail(&self, error: &Error) -> Vec<Waker> {
        let _ = self.shared.failed.set(error.clone());
        let mut wakers = Vec::new();
        for queue in self.all() {
            // A mark is made under this lock: it is there now, or will find the failure.
            let state = queue.state.write();
            let news = queue.news.get();
            drop(state);
            wakers.extend(news.into_iter().flat_map(|news| news.fail(error.clone())));
        }
        wakers
    }

    /// Where each queue begins and ends as put so far; those without an entry only if their numbering is to go on.
    pub(crate) fn known(&self) -> BTreeMap<(String, u32), Known> {
        let known = self.all().into_iter().filter_map(|queue| {
            let state = queue.state.read();
            let (first, next) = (QueueOffset(state.first()), QueueOffset(state.next()));
            (next.0 > 0).then(|| ((queue.folder.topic.to_string(), queue.folder.id), Known { first, next }))
        });
        known.collect()
    }

    /// Writes to files the entries whose records end at or below `up_to`, which must be flushed, and gives their
    /// memory back. They are durable after [`QueueTable::sync`].
    ///
    /// # Errors
    /// [`Error::Io`]. With a full disk [`Error::is_full`] holds: what was not written stays in memory, and a later call
    /// goes on. A failed sync, which is final.
    pub(crate) fn write_out(&self, up_to: LogOffset) -> Result<()> {
        let mut recorder = self.recorder.lock();
        self.shared.files.check()?;
        let mut left = Vec::new();
        let mut queues = std::mem::take(&mut *self.to_write.lock()).into_iter();
        let mut outcome = Ok(());
        for queue in queues.by_ref() {
            let written = queue.write_out(up_to, &mut recorder);
            if !matches!(written, Ok(false)) {
                left.push(queue);
            }
            outcome = written.map(|_| ());
            if outcome.is_err() {
                break;
            }
        }
        left.extend(queues);
        self.to_write.lock().append(&mut left);
        recorder.rest();
        outcome
    }

    /// Memory held by entries that are not in files yet, in bytes.
    pub(crate) fn pending_bytes(&self) -> u64 {
        self.shared.held_bytes.load(Ordering::Relaxed)
    }

    /// Makes durable all that was written so far, and the names of new files.
    ///
    /// # Errors
    /// [`Error::Failed`] if the sync of a file failed: final, for every later write and sync too (promises rule 1).
    /// [`Error::Io`] if that of a folder did: call again.
    pub(crate) fn sync(&self) -> Result<()> {
        let _recorder = self.recorder.lock();
        self.shared.files.sync()
    }

    /// Says where the numbering of a queue without entries goes on: its records have expired or were dropped. A queue
    /// that has entries goes on behind them, whatever is said here.
    pub(crate) fn set_next(&self, topic: &str, id: u32, next: QueueOffset) {
        self.queue_or_new(topic, id).change(|state| {
            if !state.has_entries() {
                state.clear(next.0);
            }
        });
    }

    /// After a rebuild of queues whose log has damaged parts: the numbering of each goes on at `least`, or where its
    /// files had ended before, if that is further. Blanks stand for what lies in between, so that no message gets a
    /// number that a lost one had.
    pub(crate) fn fill_up(&self, least: impl Fn(&str, u32) -> QueueOffset) {
        for queue in self.all() {
            let least = least(&queue.folder.topic, queue.folder.id).0;
            let to_write = queue.change(|state| {
                state.fill(least);
                state.fill(state.stood_to);
                state.has_work() && !std::mem::replace(&mut state.to_write, true)
            });
            if to_write {
                self.to_write.lock().push(Arc::clone(&queue));
            }
        }
    }

    /// A table in which of each queue's files only that counts what `kept` says: it is given the queue and the range of
    /// positions that its files hold from the first one on without a gap, and answers where the kept front ends.
    ///
    /// # Errors
    /// Those of `kept`; [`Error::Io`] while clearing `making`.
    pub(super) fn rebuilt(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        making: PathBuf,
        geometry: Geometry,
        survey: &QueueSurvey,
        kept: impl Fn(&ConsumeQueue, u64, u64) -> Result<Option<u64>>,
    ) -> Result<QueueTable> {
        let table = QueueTable::empty(disk, dir, making, geometry)?;
        let per_segment = table.shared.files.entries_per_segment();
        for (key, bases) in &survey.queues {
            let segments = segments(bases, per_segment);
            let Some(first) = segments.first().copied() else { continue };
            let run = segments.iter().zip(first..).take_while(|(segment, n)| *segment == n).count();
            let end = first.saturating_add(u64::try_from(run).unwrap_or(0));
            let (from, to) = (first.saturating_mul(per_segment), end.saturating_mul(per_segment));
            let state = State::new(segments, from, from);
            let queue = table.queues.write().add(&table.shared, &key.0, key.1, state);
            if let Some(next) = kept(&queue, from, to)? {
                queue.change(|state| state.keep_front(from, next));
            }
        }
        Ok(table)
    }
}

impl ConsumeQueue {
    /// Whether it has a file or an entry.
    fn is_there(&self) -> bool {
        let state = self.state.read();
        state.has_entries() || !state.segments.is_empty()
    }
}

/// The numbers of the files that begin at these queue offsets; those that do not begin where a file of this length
/// can are left out.
fn segments(bases: &[QueueOffset], per_segment: u64) -> Vec<u64> {
    bases.iter().filter(|base| base.0 % per_segment == 0).map(|base| base.0 / per_segment).collect()
}
