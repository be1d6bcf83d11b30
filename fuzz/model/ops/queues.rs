//! Queues, look-ups by key and by time, held against the plain list of what was appended.

use std::collections::BTreeMap;

use sawlog::clock::Timestamp;
use sawlog::disk::sim::SimDisk;
use sawlog::{Batch, Bound, Fetch, Filter, LogOffset, Queue, QueueOffset, Record, Result, Store};

use super::{QUEUES, Sent, TAG, TOPICS};

/// The messages of each queue, those of each key: what was sent and is derived by now.
struct Maps<'a> {
    queues: BTreeMap<(&'a str, u32), Vec<&'a Sent>>,
    keys: BTreeMap<(&'a str, &'a str), Vec<&'a Sent>>,
}

impl<'a> Maps<'a> {
    fn of(sent: &'a [Sent], until: LogOffset) -> Maps<'a> {
        let mut maps = Maps { queues: BTreeMap::new(), keys: BTreeMap::new() };
        for one in sent.iter().take_while(|one| one.told.position.end() <= until) {
            maps.queues.entry((one.topic, one.queue)).or_default().push(one);
            maps.keys.entry((one.topic, &one.key)).or_default().push(one);
        }
        maps
    }
}

/// Everything that readers of queues see is what was sent, and all of it.
///
/// # Errors
/// What a call of the disk answered.
pub(super) fn hold_all(disk: &SimDisk, store: &Store, sent: &[Sent]) -> Result<()> {
    let maps = Maps::of(sent, readable(store));
    for (topic, queue) in TOPICS.into_iter().flat_map(|topic| QUEUES.map(|queue| (topic, queue))) {
        hold_queue(disk, store, topic, queue, maps.queues.get(&(topic, queue)).map_or(&[], Vec::as_slice))?;
    }
    let empty = |(_, list): &(&(&str, u32), &Vec<&Sent>)| !list.is_empty();
    let mut topics: Vec<_> = maps.queues.iter().filter(empty).map(|((topic, _), _)| *topic).collect();
    topics.dedup();
    assert_eq!(store.topics(), topics);
    maps.keys.iter().try_for_each(|((topic, key), want)| hold_key(store, topic, key, want))
}

/// One queue, one key, one moment, as `chance` says.
///
/// # Errors
/// What a call of the disk answered.
pub(super) fn hold_some(disk: &SimDisk, store: &Store, sent: &[Sent], chance: u64) -> Result<()> {
    let maps = Maps::of(sent, readable(store));
    let pick = |len: usize, part: u64| usize::try_from(chance / part).map_or(0, |n| n % len);
    let (topic, queue) = (TOPICS[pick(TOPICS.len(), 1)], QUEUES[pick(QUEUES.len(), 3)]);
    let there = maps.queues.get(&(topic, queue)).map_or(&[][..], Vec::as_slice);
    match chance / 12 % 4 {
        0 => hold_queue(disk, store, topic, queue, there),
        1 => hold_pull(disk, store, topic, queue, there, QueueOffset(pick(there.len() + 3, 50) as u64)),
        2 => hold_times(store, topic, queue, there, pick(there.len().max(1), 50)),
        _ => match maps.keys.iter().nth(pick(maps.keys.len().max(1), 50)) {
            Some(((topic, key), want)) => hold_key(store, topic, key, want),
            None => hold_key(store, topic, "k0", &[]),
        },
    }
}

/// Up to here queues and key index may be read.
fn readable(store: &Store) -> LogOffset {
    store.dispatched().at().min(store.marks().visible)
}

fn is(record: &Record, sent: &Sent) -> bool {
    record.position == sent.told.position
        && record.queue_offset == sent.told.queue_offset
        && record.topic().as_str() == sent.topic
        && record.queue_id() == sent.queue
        && record.body() == &sent.body
}

fn hold_queue(disk: &SimDisk, store: &Store, topic: &str, id: u32, want: &[&Sent]) -> Result<()> {
    let queue = store.queue(topic, id);
    let ends = ends(disk, &queue)?;
    assert_eq!((ends.min.0, ends.max.0), (0, want.len() as u64), "{topic}/{id}: {}", store.recovery());
    assert_eq!(queue.min()?, ends.min);
    let mut reads = queue.read_from(QueueOffset(0));
    for one in want {
        let record = reads.next().expect("a message that was sent")?;
        assert!(is(&record, one), "{topic}/{id}: {record:?}, sent at {:?}", one.told);
    }
    match reads.next() {
        None => Ok(()),
        Some(Err(error)) => Err(error),
        Some(Ok(phantom)) => panic!("a phantom in {topic}/{id}: {phantom:?}"),
    }
}

/// Where a queue begins and ends, asked of a pull. `max` says the same, unless the disk failed while it looked: it cannot
/// say that, and answers with the end of all that was taken.
fn ends(disk: &SimDisk, queue: &Queue) -> Result<Batch> {
    let ends = queue.fetch(&Fetch::from(QueueOffset(u64::MAX)))?;
    let fired = disk.faults_fired();
    let max = queue.max();
    assert!(max == ends.max || max > ends.max && disk.faults_fired() > fired, "{max}: {ends:?}");
    Ok(ends)
}

/// A pull for one tag, from any place in the queue or beyond.
fn hold_pull(
    disk: &SimDisk,
    store: &Store,
    topic: &str,
    id: u32,
    want: &[&Sent],
    from: QueueOffset,
) -> Result<()> {
    let queue = store.queue(topic, id);
    let mut next = from;
    let mut got = Vec::new();
    let end = ends(disk, &queue)?.max;
    while next < end {
        let batch = queue.fetch(&Fetch::from(next).max_count(5).filter(Filter::tags([TAG])))?;
        assert!(batch.next > next, "a pull that does not get on: {batch:?}");
        next = batch.next;
        got.extend(batch.records);
    }
    let tagged: Vec<_> = want.iter().skip(from.0 as usize).filter(|one| one.tagged).collect();
    assert_eq!(got.len(), tagged.len(), "{topic}/{id} from {from}");
    assert!(got.iter().zip(tagged).all(|(record, one)| is(record, one)), "{topic}/{id} from {from}");
    Ok(())
}

/// Moments around that of one message. Store times never step back.
fn hold_times(store: &Store, topic: &str, id: u32, want: &[&Sent], near: usize) -> Result<()> {
    let queue = store.queue(topic, id);
    let stored = want.get(near).map_or(Timestamp(0), |one| one.told.stored);
    for at in [stored.0 - 1, stored.0, stored.0 + 1].map(Timestamp) {
        let first = want.iter().position(|one| one.told.stored >= at).unwrap_or(want.len());
        let last = want.iter().rposition(|one| one.told.stored <= at).unwrap_or(0);
        assert_eq!(queue.offset_at_time(at, Bound::First)?.0, first as u64, "{topic}/{id} at {at:?}");
        assert_eq!(queue.offset_at_time(at, Bound::Last)?.0, last as u64, "{topic}/{id} at {at:?}");
    }
    Ok(())
}

/// All records of the key, newest first; and those of a stretch of time.
fn hold_key(store: &Store, topic: &str, key: &str, want: &[&Sent]) -> Result<()> {
    let found: Vec<_> = store.find(topic, key).at_most(u32::MAX).collect::<Result<_>>()?;
    let at = |records: &[Record]| records.iter().map(|r| r.position.offset).collect::<Vec<_>>();
    let sent =
        |want: &mut dyn Iterator<Item = &&Sent>| want.map(|s| s.told.position.offset).collect::<Vec<_>>();
    assert_eq!(at(&found), sent(&mut want.iter().rev()), "{key} of {topic}: {}", store.recovery());
    assert!(found.iter().zip(want.iter().rev()).all(|(record, one)| is(record, one)), "{key} of {topic}");
    let Some(middle) = want.get(want.len() / 2).map(|one| one.told.stored) else { return Ok(()) };
    let range = Timestamp(middle.0 - 700)..=middle;
    let found: Vec<_> = store.find(topic, key).between(range.clone()).at_most(3).collect::<Result<_>>()?;
    let mut wanted = want.iter().rev().filter(|one| range.contains(&one.told.stored)).take(3);
    assert_eq!(at(&found), sent(&mut wanted), "{key} of {topic} in {range:?}");
    Ok(())
}
