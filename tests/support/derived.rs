//! What must hold of queues and key index: they are what the log says, no more, no less (house.md §10, points 3 and 4).

use std::collections::BTreeMap;

use sawlog::message::Transaction;
use sawlog::{LogOffset, QueueOffset, Store};

use super::expected::{Expected, Taken};
use super::oracle::Verdict;
use super::workload::{QUEUES, TOPICS};

/// Every queue is dense from 0 and its records are those of the log up to `end`; every keyed record is found, newest
/// first, and nothing else is.
pub(crate) fn check_derived(store: &Store, log: &Expected, end: LogOffset) -> Verdict {
    // Without threads somebody must dispatch.
    store.step();
    let there = log.up_to(end);
    let mut queues: BTreeMap<(&str, u32), Vec<&Taken>> = BTreeMap::new();
    let mut keys: BTreeMap<(&str, String), Vec<&Taken>> = BTreeMap::new();
    for taken in there {
        let topic = taken.message.topic.as_str();
        if taken.message.sys_flags.is_queued() {
            queues.entry((topic, taken.message.queue_id)).or_default().push(taken);
        }
        if taken.message.sys_flags.transaction() != Transaction::Rollback
            && let Some(all) = taken.message.keys()
        {
            for key in all.split(' ') {
                keys.entry((topic, key.to_owned())).or_default().push(taken);
            }
        }
    }
    for topic in TOPICS {
        for id in 0..QUEUES {
            let want = queues.remove(&(topic, id)).unwrap_or_default();
            check_queue(store, topic, id, &want)?;
        }
    }
    keys.iter().try_for_each(|((topic, key), want)| check_key(store, topic, key, want))
}

fn check_queue(store: &Store, topic: &str, id: u32, want: &[&Taken]) -> Verdict {
    let queue = store.queue(topic, id);
    let wrong = |what: String| Err(format!("queue {topic}/{id}: {what}"));
    let min = queue.min().map_err(|e| format!("queue {topic}/{id}: min: {e}"))?;
    let max = queue.max();
    if (min.0, max.0) != (0, want.len() as u64) {
        return wrong(format!("holds {min} to {max}, the log has {}; {}", want.len(), store.recovery()));
    }
    let mut records = queue.read_from(QueueOffset(0));
    for taken in want {
        match records.next() {
            Some(Ok(read)) => taken.check(&read)?,
            Some(Err(error)) => return wrong(format!("{error}; wanted {taken:?}")),
            None => return wrong(format!("ends before {taken:?}")),
        }
    }
    match records.next() {
        None => Ok(()),
        Some(more) => wrong(format!("goes on with {more:?}")),
    }
}

fn check_key(store: &Store, topic: &str, key: &str, want: &[&Taken]) -> Verdict {
    let found = store.find(topic, key).at_most(u32::MAX).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|e| format!("key {key} of {topic}: {e}"))?;
    let places: Vec<_> = found.iter().map(|r| r.position.offset).collect();
    let wanted: Vec<_> = want.iter().rev().map(|t| t.position.offset).collect();
    match places == wanted {
        true => Ok(()),
        false => Err(format!("key {key} of {topic}: found at {places:?}, stored at {wanted:?}")),
    }
}
