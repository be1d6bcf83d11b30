//! The next queue offset of every (topic, queue id): the tail's table, and what recovery fills.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::RandomState;

use crate::offset::QueueOffset;

/// Queue ids up to here lie in a plain list; RocketMQ's topics have a handful of queues each.
const DENSE: usize = 1024;

/// Next offsets of all queues. A queue that is not here starts at 0.
#[derive(Clone, Debug, Default)]
pub(crate) struct QueueOffsets {
    /// Hashed once per append, under the append lock.
    topics: HashMap<Box<[u8]>, Topic, RandomState>,
}

#[derive(Clone, Debug, Default)]
struct Topic {
    dense: Vec<u64>,
    sparse: BTreeMap<u32, u64>,
}

impl Topic {
    fn slot(&mut self, queue_id: u32) -> &mut u64 {
        let index = usize::try_from(queue_id).unwrap_or(usize::MAX);
        if index >= DENSE {
            return self.sparse.entry(queue_id).or_default();
        }
        if index >= self.dense.len() {
            self.dense.resize(index + 1, 0);
        }
        // The list was just made long enough; the other arm is never taken.
        match self.dense.get_mut(index) {
            Some(slot) => slot,
            None => self.sparse.entry(queue_id).or_default(),
        }
    }
}

impl QueueOffsets {
    /// Does something with a queue's next offset. Only a new topic's first append allocates.
    fn with<R>(&mut self, topic: &[u8], queue_id: u32, change: impl FnOnce(&mut u64) -> R) -> R {
        if let Some(found) = self.topics.get_mut(topic) {
            return change(found.slot(queue_id));
        }
        let mut fresh = Topic::default();
        let done = change(fresh.slot(queue_id));
        self.topics.insert(topic.into(), fresh);
        done
    }

    /// Takes the next offset.
    pub(crate) fn take(&mut self, topic: &[u8], queue_id: u32) -> QueueOffset {
        self.with(topic, queue_id, |next| {
            let taken = *next;
            *next = taken.saturating_add(1);
            QueueOffset(taken)
        })
    }

    /// Gives the last taken offset back: its record was not written.
    pub(crate) fn untake(&mut self, topic: &[u8], queue_id: u32) {
        self.with(topic, queue_id, |next| *next = next.saturating_sub(1));
    }

    /// The queue has records below `least`.
    pub(crate) fn raise(&mut self, topic: &[u8], queue_id: u32, least: QueueOffset) {
        self.with(topic, queue_id, |next| *next = (*next).max(least.0));
    }

    /// The queue goes on at `next`, whatever was counted.
    pub(crate) fn set(&mut self, topic: &[u8], queue_id: u32, next: QueueOffset) {
        self.with(topic, queue_id, |n| *n = next.0);
    }

    /// The next offset of one queue.
    pub(crate) fn next(&self, topic: &[u8], queue_id: u32) -> QueueOffset {
        let found = self.topics.get(topic).and_then(|t| {
            let dense = usize::try_from(queue_id).ok().and_then(|i| t.dense.get(i));
            dense.or_else(|| t.sparse.get(&queue_id)).copied()
        });
        QueueOffset(found.unwrap_or(0))
    }

    /// Every queue that has had a record.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], u32, QueueOffset)> {
        self.topics.iter().flat_map(|(topic, queues)| {
            let dense = queues.dense.iter().zip(0_u32..).map(|(n, id)| (id, *n));
            let sparse = queues.sparse.iter().map(|(id, n)| (*id, *n));
            let used = dense.chain(sparse).filter(|(_, next)| *next > 0);
            used.map(|(id, next)| (&**topic, id, QueueOffset(next)))
        })
    }
}

#[cfg(test)]
#[path = "queue_offsets_tests.rs"]
mod tests;
