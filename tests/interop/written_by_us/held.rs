//! What Java answers about a folder of ours, held against what we answer over a copy of it.

use std::collections::{BTreeMap, BTreeSet};

use sawlog::clock::Timestamp;
use sawlog::{Bound, Store};

use super::case::{Case, Deleted, Ending};
use super::facts::{Ours, QueueFacts, Queues, is_indexed, tags_code};
use super::script::DROPPED;
use crate::java::{Fault, JavaStore, KeyAsk, TimeAsk};
use crate::seen::Seen;

/// RocketMQ looks at no more index entries for one query (`maxMsgsNumBatch`, spec 4.7).
const MOST_FOUND: u32 = 64;
/// Times are asked for in so many queues, at so many moments of each; keys so many.
const TIMED_QUEUES: usize = 12;
const TIMES: usize = 8;
const KEYS: usize = 60;

/// Nothing, or how the two differ.
pub(crate) type Held<T = ()> = Result<T, String>;

/// A folder as Java reads it.
#[derive(Debug)]
pub(crate) struct Javas {
    /// By log offset.
    pub(crate) seen: BTreeMap<u64, Seen>,
    pub(crate) queues: Queues,
    pub(crate) end: u64,
}

pub(crate) fn refused(fault: Fault) -> String {
    format!("Java: {fault:?}")
}

impl Javas {
    /// All messages of all queues, by `getMessage`, and those that stand in no queue by their place.
    pub(crate) fn read(java: JavaStore<'_>, unqueued: &[u64]) -> Held<Javas> {
        let mut javas = Javas { seen: BTreeMap::new(), queues: Queues::new(), end: 0 };
        for queue in java.read().map_err(refused)? {
            if queue.topic != DROPPED && !queue.odd.is_empty() {
                return Err(format!(
                    "a pull of {}/{} finds nothing: {:?}",
                    queue.topic, queue.queue, queue.odd
                ));
            }
            let mut facts = QueueFacts { min: queue.min, max: queue.max, entries: Vec::new() };
            for seen in queue.messages {
                let code = seen.tags_code.ok_or("Java tells no tags code")?;
                facts.entries.push((seen.queue_offset, code, seen.offset));
                javas.seen.insert(seen.offset, seen.untagged());
            }
            // An object for a queue that was only asked for, without a message, is none (spec H42).
            if facts.max > facts.min {
                javas.queues.insert((queue.topic, queue.queue), facts);
            }
        }
        for seen in java.look(unqueued).map_err(refused)?.into_iter().flatten() {
            javas.seen.insert(seen.offset, seen);
        }
        javas.end = java.log().map_err(refused)?.1 as u64;
        Ok(javas)
    }

    /// Every record of our log, byte by byte and field by field; every queue, entry by entry.
    pub(crate) fn equal(&self, ours: &Ours) -> Held {
        if self.end != ours.end {
            return Err(format!("Java's log ends at {}, ours at {}", self.end, ours.end));
        }
        for mine in &ours.log {
            match self.seen.get(&mine.offset) {
                Some(java) if java == mine => {}
                // What was dropped is in no queue, with us as with Java; it stays in the log.
                None if mine.topic == DROPPED => {}
                java => return Err(format!("a record differs\n ours {mine:?}\n Java {java:?}")),
            }
        }
        if let Some((at, seen)) = self.seen.iter().find(|(at, _)| ours.at(**at).is_none()) {
            return Err(format!("Java reads a record at {at} where none is: {seen:?}"));
        }
        let names = |queues: &Queues| -> BTreeSet<_> {
            queues.keys().filter(|(topic, _)| topic != DROPPED).cloned().collect()
        };
        let (javas, mine) = (names(&self.queues), names(&ours.queues));
        if javas != mine {
            return Err(format!("queues differ: {:?}", javas.symmetric_difference(&mine)));
        }
        for name in &mine {
            queue_equal(name, &ours.queues[name], &self.queues[name])?;
        }
        self.dropped(ours)
    }

    /// A broker knows nothing of dropped topics: it may number them anew, and show records again. What it shows must
    /// still be what was written.
    fn dropped(&self, ours: &Ours) -> Held {
        for ((topic, id), queue) in self.queues.iter().filter(|((topic, _), _)| topic == DROPPED) {
            for (at, code, offset) in &queue.entries {
                let seen = ours.at(*offset);
                let right = seen.is_some_and(|seen| {
                    (&seen.topic, seen.queue, seen.queue_offset, tags_code(seen)) == (topic, *id, *at, *code)
                });
                if !right {
                    return Err(format!("{topic}/{id} {at} points at {offset}: {seen:?}"));
                }
            }
        }
        Ok(())
    }
}

fn queue_equal(name: &(String, u32), ours: &QueueFacts, java: &QueueFacts) -> Held {
    if ours == java {
        return Ok(());
    }
    let at = ours.entries.iter().zip(&java.entries).position(|(a, b)| a != b);
    let at = at.unwrap_or(ours.entries.len().min(java.entries.len()));
    Err(format!(
        "queue {name:?}: ours {}..{} with {} entries, Java's {}..{} with {}; the first that differs: {:?}, Java's {:?}",
        ours.min,
        ours.max,
        ours.entries.len(),
        java.min,
        java.max,
        java.entries.len(),
        ours.entries.get(at),
        java.entries.get(at)
    ))
}

/// Every key of a choice of records is found by `queryMessage`: all records that carry it, and of others only records
/// whose key hashes alike (H35).
pub(crate) fn hold_keys(java: JavaStore<'_>, case: &Case, ours: &Ours) -> Held {
    if case.ending == Ending::Deleted(Deleted::Index) {
        // A broker does not make a deleted index anew after a clean end: MIGRATING.md says what to remove with it.
        return Ok(());
    }
    let mut dice = case.dice("keys");
    let mut all = BTreeMap::<(String, String), Vec<u64>>::new();
    for seen in ours.log.iter().filter(|seen| is_indexed(seen) && seen.topic != DROPPED) {
        for key in seen.keys() {
            all.entry((seen.topic.clone(), key)).or_default().push(seen.offset);
        }
    }
    let mut asked: Vec<_> =
        all.into_iter().filter(|(_, places)| places.len() <= MOST_FOUND as usize).collect();
    while asked.len() > KEYS {
        asked.swap_remove(dice.below(asked.len() as u64) as usize);
    }
    let ask = |((topic, key), _): &((String, String), Vec<u64>)| KeyAsk {
        topic: topic.clone(),
        key: key.clone(),
        most: MOST_FOUND,
        begin: 0,
        end: i64::MAX,
    };
    let asks: Vec<_> = asked.iter().map(ask).collect();
    for (((topic, key), places), found) in asked.iter().zip(java.query(&asks).map_err(refused)?) {
        let missing: Vec<_> = places.iter().filter(|at| !found.contains(at)).collect();
        // Those that hash alike share the 64 with them.
        if !missing.is_empty() && found.len() < MOST_FOUND as usize {
            return Err(format!("{topic}#{key}: Java finds {found:?}, and not {missing:?}"));
        }
        if let Some(at) = found.iter().find(|at| ours.at(**at).is_none()) {
            return Err(format!("{topic}#{key}: Java finds {at}, where no record begins"));
        }
    }
    Ok(())
}

/// `getOffsetInQueueByTime`, at and between the store times of a choice of queues, is what ours answers.
pub(crate) fn hold_times(java: JavaStore<'_>, case: &Case, ours: &Ours, store: &Store) -> Held {
    let mut dice = case.dice("times");
    let mut queues: Vec<_> = ours.queues.iter().filter(|((topic, _), _)| topic != DROPPED).collect();
    while queues.len() > TIMED_QUEUES {
        queues.swap_remove(dice.below(queues.len() as u64) as usize);
    }
    let (mut asks, mut mine) = (Vec::new(), Vec::new());
    for ((topic, id), queue) in queues {
        for _ in 0..TIMES {
            let (_, _, offset) = queue.entries[dice.below(queue.entries.len() as u64) as usize];
            let at = ours.at(offset).unwrap().stored + dice.below(3) as i64 - 1;
            for (upper, bound) in [(false, Bound::First), (true, Bound::Last)] {
                asks.push(TimeAsk { topic: topic.clone(), queue: *id, at, upper });
                let found = store.queue(topic, *id).offset_at_time(Timestamp(at), bound);
                mine.push(found.map_err(|e| e.to_string())?.0);
            }
        }
    }
    for ((ask, mine), java) in asks.iter().zip(mine).zip(java.time(&asks).map_err(refused)?) {
        if java != mine {
            return Err(format!("{ask:?}: Java says {java}, we {mine}"));
        }
    }
    Ok(())
}
