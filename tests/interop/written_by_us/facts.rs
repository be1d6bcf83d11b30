//! A store as we read it, and what must be true of each message because we know what was appended.

use std::collections::BTreeMap;

use sawlog::message::java_hash;
use sawlog::{Message, QueueOffset, Store};

use super::script::DELAY_TOPIC;
use crate::seen::Seen;

/// RocketMQ's delay levels, in seconds; level 1 is the first.
const DELAYS: [i64; 18] =
    [1, 5, 10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200];

/// Whether it is the message that was appended, as far as the message tells.
pub(crate) fn is_of(seen: &Seen, message: &Message) -> bool {
    let mut properties = seen.properties.clone();
    properties.remove("__CRC32#");
    let asked: BTreeMap<_, _> =
        message.properties.iter().map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
    seen.topic == *message.topic
        && seen.queue == message.queue_id
        && seen.body == message.body
        && properties == asked
        && seen.flag == message.flag
        // The two bits that tell the address families are the store's.
        && seen.sys & !0x30 == message.sys_flags.0
        && message.born.is_none_or(|born| born.0 == seen.born)
        && seen.born_host == message.born_host
        && seen.reconsume == message.reconsume_times
        && seen.prepared == message.prepared_offset
}

/// Whether it stands in the key index: not rolled back (spec 4.6).
pub(crate) fn is_indexed(seen: &Seen) -> bool {
    seen.sys & 0xC != 0xC
}

/// What its queue entry carries (spec 3.2, 3.3).
pub(crate) fn tags_code(seen: &Seen) -> i64 {
    let level = seen.properties.get("DELAY").filter(|_| seen.topic == DELAY_TOPIC);
    match level.and_then(|level| level.parse::<usize>().ok()).filter(|level| *level > 0) {
        Some(level) => seen.stored + DELAYS[level.min(DELAYS.len()) - 1] * 1000,
        None => seen.properties.get("TAGS").map_or(0, |tags| i64::from(java_hash(tags))),
    }
}

/// One queue: its ends, and of each message that can be read the queue offset asked for, the tags code in its entry,
/// and where its record is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct QueueFacts {
    pub(crate) min: u64,
    pub(crate) max: u64,
    pub(crate) entries: Vec<(u64, i64, u64)>,
}

pub(crate) type Queues = BTreeMap<(String, u32), QueueFacts>;

/// A store as we read it.
#[derive(Clone, Debug)]
pub(crate) struct Ours {
    /// All records, in log order.
    pub(crate) log: Vec<Seen>,
    pub(crate) queues: Queues,
    pub(crate) end: u64,
}

impl Ours {
    /// Reads all of a store, through the log and through the queues.
    pub(crate) fn read(store: &Store) -> Ours {
        let log = crate::seen::log(store);
        let end = store.marks().visible;
        store.dispatched().reach(end).wait().unwrap();
        let mut queues = Queues::new();
        for topic in store.topics() {
            for id in store.queues_of(&topic) {
                let queue = store.queue(&topic, id);
                let (min, max) = (queue.min().unwrap(), queue.max());
                let mut facts = QueueFacts { min: min.0, max: max.0, entries: Vec::new() };
                for (record, at) in queue.read_from(min).zip(min.0..) {
                    let record = record.unwrap();
                    assert_eq!(record.queue_offset, QueueOffset(at), "{topic}/{id}");
                    let offset = record.position.offset.0;
                    let seen = find(&log, offset).expect("a queue's record is in the log");
                    facts.entries.push((at, tags_code(seen), offset));
                }
                assert_eq!(facts.entries.len() as u64, max.0 - min.0, "{topic}/{id} is dense");
                if max > min {
                    queues.insert((topic.clone(), id), facts);
                }
            }
        }
        Ours { log, queues, end: end.0 }
    }

    pub(crate) fn at(&self, offset: u64) -> Option<&Seen> {
        find(&self.log, offset)
    }
}

fn find(log: &[Seen], offset: u64) -> Option<&Seen> {
    log.binary_search_by_key(&offset, |seen| seen.offset).ok().map(|at| &log[at])
}
