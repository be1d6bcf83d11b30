//! What Java answers over a folder, and how ours is held against it: queues, keys, times, ends.
//!
//! Where Java's answer may differ, the hazard of the spec that says so is named; ours must then be what the log says.

use std::collections::{BTreeMap, BTreeSet};

use sawlog::clock::Timestamp;
use sawlog::message::{SysFlags, Transaction};
use sawlog::{Bound, Store};

use crate::dice::Dice;
use crate::java::{Fault, JavaStore, KeyAsk, TimeAsk};
use crate::seen::{self, Seen, SeenQueue};

/// The most index entries that Java looks at for one query (`maxMsgsNumBatch`).
const MOST_FOUND: u32 = 64;
const KEY_ASKS: usize = 40;
const TIME_ASKS: usize = 60;

/// Everything that Java answers to a reader of one folder.
pub(crate) struct Answers {
    pub(crate) log: (i64, i64),
    pub(crate) queues: Vec<SeenQueue>,
    keys: Vec<(KeyAsk, Vec<u64>)>,
    times: Vec<(TimeAsk, u64)>,
}

/// What may be missing in an answer of Java's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Index {
    /// Java finds every key.
    Whole,
    /// Java has removed its newest index file after a crash and finds older keys no more (spec H10).
    H10,
}

impl Answers {
    /// Reads all and asks for some keys and times that `dice` draws, once dispatch has caught up.
    pub(crate) fn of_java(store: JavaStore<'_>, dice: &mut Dice) -> Result<Answers, Fault> {
        let queues = store.read()?;
        let (keys, times) = (key_asks(&queues, dice), time_asks(&queues, dice));
        let found = store.query(&keys)?;
        let offsets = store.time(&times)?;
        Ok(Answers {
            log: store.log()?,
            queues,
            keys: keys.into_iter().zip(found).collect(),
            times: times.into_iter().zip(offsets).collect(),
        })
    }

    /// Holds our store against all of it. `why` names the seed.
    pub(crate) fn hold_against(&self, ours: &Store, index: Index, why: &str) {
        seen::hold_against_java(&self.queues, &seen::ours(ours), why);
        let marks = ours.marks();
        assert_eq!(
            (marks.first.0 as i64, marks.visible.0 as i64),
            self.log,
            "first and end of the log; {why}"
        );
        self.hold_times(ours, why);
        self.hold_keys(ours, index, why);
    }

    fn hold_times(&self, ours: &Store, why: &str) {
        for (ask, java) in &self.times {
            let bound = if ask.upper { Bound::Last } else { Bound::First };
            let found = ours.queue(&ask.topic, ask.queue).offset_at_time(Timestamp(ask.at), bound).unwrap();
            assert_eq!(found.0, *java, "{ask:?}; {why}");
        }
    }

    fn hold_keys(&self, ours: &Store, index: Index, why: &str) {
        let log = seen::log(ours);
        let sizes: BTreeMap<u64, &Seen> = log.iter().map(|seen| (seen.offset, seen)).collect();
        for (ask, java) in &self.keys {
            let fits = |seen: &&Seen| {
                seen.topic == ask.topic
                    && seen.keys().contains(&ask.key)
                    && (ask.begin..=ask.end).contains(&seen.stored)
                    && SysFlags(seen.sys).transaction() != Transaction::Rollback
            };
            let truth: Vec<u64> = log.iter().filter(fits).map(|seen| seen.offset).rev().collect();
            let found = ours.find(&ask.topic, &ask.key).between(Timestamp(ask.begin)..=Timestamp(ask.end));
            let mine: Vec<u64> =
                found.at_most(ask.most).map(|record| record.unwrap().position.offset.0).collect();
            assert_eq!(mine, truth[..truth.len().min(ask.most as usize)], "{ask:?} by us; {why}");
            // Java compares no keys, so it lists what collides (H35), and twice what a restart entered twice (H10).
            let java_true: BTreeSet<u64> = java.iter().copied().filter(|at| truth.contains(at)).collect();
            for at in java.iter().filter(|at| !truth.contains(at)) {
                assert!(
                    sizes.contains_key(at),
                    "Java's index leads to {at}, where nothing is: {ask:?}; {why}"
                );
            }
            let all = java.len() < ask.most.min(MOST_FOUND) as usize;
            // Java cuts times to seconds, and takes what falls below the begin by that for too old (H35).
            let sharp = truth.iter().all(|at| sizes[at].stored >= ask.begin + 1000);
            if index == Index::Whole && all && sharp {
                assert_eq!(
                    java_true.iter().rev().copied().collect::<Vec<_>>(),
                    truth,
                    "{ask:?} by Java; {why}"
                );
            }
        }
    }

    /// How many of the keys that were asked for Java did not find all records of, which the log has (H10).
    pub(crate) fn keys_that_java_lost(&self) -> usize {
        let messages: Vec<&Seen> = self.queues.iter().flat_map(|queue| &queue.messages).collect();
        let lost = |(ask, java): &&(KeyAsk, Vec<u64>)| {
            java.len() < ask.most.min(MOST_FOUND) as usize
                && messages.iter().any(|seen| {
                    seen.topic == ask.topic
                        && seen.keys().contains(&ask.key)
                        && (ask.begin..=ask.end).contains(&seen.stored)
                        && !java.contains(&seen.offset)
                })
        };
        self.keys.iter().filter(lost).count()
    }
}

/// Every key of the log, up to a few hundred, is found by us with all its records, newest first.
pub(crate) fn keys_are_found(ours: &Store, log: &[Seen], why: &str) {
    let mut truth: BTreeMap<(String, String), Vec<u64>> = BTreeMap::new();
    for seen in log.iter().rev() {
        if SysFlags(seen.sys).transaction() != Transaction::Rollback {
            for key in seen.keys() {
                truth.entry((seen.topic.clone(), key)).or_default().push(seen.offset);
            }
        }
    }
    let step = truth.len() / 300 + 1;
    for ((topic, key), places) in truth.iter().step_by(step) {
        let found = ours.find(topic, key).at_most(u32::MAX);
        let found: Vec<u64> = found.map(|record| record.unwrap().position.offset.0).collect();
        assert_eq!(found, *places, "{topic} {key}; {why}");
    }
}

fn key_asks(queues: &[SeenQueue], dice: &mut Dice) -> Vec<KeyAsk> {
    let keyed: Vec<&Seen> =
        queues.iter().flat_map(|queue| &queue.messages).filter(|seen| !seen.keys().is_empty()).collect();
    let mut asks = Vec::new();
    for n in 0..KEY_ASKS {
        if keyed.is_empty() {
            break;
        }
        let seen = keyed[dice.below(keyed.len() as u64) as usize];
        let keys = seen.keys();
        let key = keys.iter().nth(dice.below(keys.len() as u64) as usize).unwrap().clone();
        let (begin, end) = match n % 4 {
            // To the millisecond, and wide.
            0 => (seen.stored, seen.stored),
            1 => (seen.stored - 1, i64::MAX / 2),
            _ => (0, i64::MAX / 2),
        };
        let key = if n == 3 { "no-such-key".to_owned() } else { key };
        asks.push(KeyAsk {
            topic: seen.topic.clone(),
            key,
            most: if n % 5 == 0 { 4 } else { 64 },
            begin,
            end,
        });
    }
    asks
}

fn time_asks(queues: &[SeenQueue], dice: &mut Dice) -> Vec<TimeAsk> {
    let filled: Vec<&SeenQueue> = queues.iter().filter(|queue| !queue.messages.is_empty()).collect();
    let mut asks = Vec::new();
    for n in 0..TIME_ASKS {
        if filled.is_empty() {
            break;
        }
        let queue = filled[dice.below(filled.len() as u64) as usize];
        let at = match n {
            0 | 1 => 0,
            2 | 3 => i64::MAX / 2,
            _ => {
                let near = queue.messages[dice.below(queue.messages.len() as u64) as usize].stored;
                near - 2 + dice.below(5) as i64
            }
        };
        asks.push(TimeAsk { topic: queue.topic.clone(), queue: queue.queue, at, upper: n % 2 == 1 });
    }
    asks
}
