//! Puts the entries of many records: a queue is looked up once for all that follow each other, and changed under its
//! lock once for many of them.

use std::sync::Arc;

use crate::consume_queue::{ConsumeQueue, ENTRY_BYTES, Entry, Put, QueueTable};
use crate::offset::{LogOffset, QueueOffset};

/// How many queues are remembered: a topic has four to sixteen. One that takes another's place costs a look-up.
const RECENT: usize = 16;
/// After so many entries a queue is changed, so that none grows by megabytes at once.
const MOST_GATHERED: usize = 1024;

/// How often an entry did not stand where its queue went on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Odd {
    /// A position that an earlier entry has: the later one stands in the queue.
    pub(crate) replaced: u64,
    /// Positions without an entry.
    pub(crate) missing: u64,
    /// Entries that no queue can hold at the position that they name.
    pub(crate) refused: u64,
}

impl Odd {
    fn count(&mut self, put: Put) {
        let (of, by) = match put {
            Put::Appended => return,
            Put::Replaced => (&mut self.replaced, 1),
            Put::Gap(missing) => (&mut self.missing, missing),
            Put::Refused(_) => (&mut self.refused, 1),
        };
        *of = of.saturating_add(by);
    }
}

/// Gathers entries. Readers find them once [`Putting::done`] has been called, or sooner.
pub(crate) struct Putting<'t> {
    table: &'t QueueTable,
    recent: [Option<Recent>; RECENT],
    odd: Odd,
}

struct Recent {
    queue: Arc<ConsumeQueue>,
    entries: Vec<(QueueOffset, Entry)>,
}

impl<'t> Putting<'t> {
    pub(crate) fn new(table: &'t QueueTable) -> Putting<'t> {
        Putting { table, recent: [const { None }; RECENT], odd: Odd::default() }
    }

    pub(crate) fn put(&mut self, topic: &str, id: u32, at: QueueOffset, entry: Entry) {
        let Putting { table, recent, odd } = self;
        // The queues of a topic stand side by side, and those of another begin elsewhere.
        let place =
            topic.bytes().next_back().map_or(0, usize::from).wrapping_mul(5).wrapping_add(topic.len());
        let place = place.wrapping_add(usize::try_from(id).unwrap_or(0)) % RECENT;
        let Some(slot) = recent.get_mut(place) else { return };
        let is_it =
            |recent: &&mut Recent| recent.queue.folder.id == id && *recent.queue.folder.topic == *topic;
        if let Some(recent) = slot.as_mut().filter(is_it) {
            recent.entries.push((at, entry));
            if recent.entries.len() >= MOST_GATHERED {
                recent.put_down(table, odd);
            }
            return;
        }
        let mut entries = match slot.take() {
            Some(mut other) => {
                other.put_down(table, odd);
                other.entries
            }
            None => Vec::new(),
        };
        entries.push((at, entry));
        *slot = Some(Recent { queue: table.queue_or_new(topic, id), entries });
    }

    /// Everything is in its queue.
    pub(crate) fn done(mut self) -> Odd {
        for recent in self.recent.iter_mut().flatten() {
            recent.put_down(self.table, &mut self.odd);
        }
        self.odd
    }
}

impl Recent {
    fn put_down(&mut self, table: &QueueTable, odd: &mut Odd) {
        table.put_to(&self.queue, &self.entries, |put| odd.count(put));
        self.entries.clear();
    }
}

impl QueueTable {
    /// Puts entries, for readers to see at once. A queue without entries begins where it is told to; the front of its
    /// first file is filled with blanks (spec 3.4). `each` is told what became of every one of them.
    fn put_to(&self, queue: &Arc<ConsumeQueue>, entries: &[(QueueOffset, Entry)], mut each: impl FnMut(Put)) {
        let per_segment = self.shared.files.entries_per_segment();
        let (to_write, to_tell) = queue.change(|state| {
            let mut fine = false;
            for (at, entry) in entries {
                let put = match queue.refused.or_else(|| refusal(*at, *entry, per_segment)) {
                    Some(why) => Put::Refused(why),
                    None => state.put(at.0, *entry, per_segment),
                };
                fine |= !matches!(put, Put::Refused(_));
                each(put);
            }
            // Who asks for news later is told the newest entry by the mark's first position.
            let told = queue.news.get().is_some();
            let to_write = fine && !std::mem::replace(&mut state.to_write, true);
            let to_tell = fine && told && !std::mem::replace(&mut state.to_tell, true);
            (to_write, to_tell)
        });
        if to_write {
            self.to_write.lock().push(Arc::clone(queue));
        }
        if to_tell {
            self.to_tell.lock().push(Arc::clone(queue));
        }
    }

    /// Puts one entry.
    #[cfg(test)]
    pub(crate) fn put(&self, topic: &str, id: u32, at: QueueOffset, entry: Entry) -> Put {
        let mut became = Put::Refused("not put");
        self.put_to(&self.queue_or_new(topic, id), &[(at, entry)], |put| became = put);
        became
    }
}

/// Why no queue can hold this entry at this position.
fn refusal(at: QueueOffset, entry: Entry, per_segment: u64) -> Option<&'static str> {
    // The byte position of the file's end must be a number that RocketMQ can hold (spec 1.2).
    if at.0 >= (LogOffset::MAX.0 / ENTRY_BYTES).saturating_sub(per_segment) {
        return Some("its position is beyond what the names of RocketMQ's files can hold");
    }
    (!entry.is_sound()).then_some("no record has such a place or length")
}
