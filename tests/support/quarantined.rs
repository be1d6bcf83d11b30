//! A store with damage in its log that was opened to step over it: nothing damaged is served, all else is, every lost
//! message is told, and what is put back is there again.

use std::collections::{BTreeMap, BTreeSet};

use sawlog::disk::sim::SimDisk;
use sawlog::message::Transaction;
use sawlog::{Error, LogOffset, LogRange, Message, OnDamage, QueueOffset, Store};

use super::aged::{Aged, Hurt};
use super::derived::{derived_bytes, difference};
use super::expected::{Expected, ROOT, Taken};
use super::oracle::Verdict;
use super::workload::{QUEUES, TOPICS, clock, options};

/// What was seen of a store with listed damage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) parts: Vec<LogRange>,
    /// Sound records that lie in a part: nothing told where they begin.
    pub(crate) sacrificed: u64,
    pub(crate) lost: u64,
}

/// How the log is looked at: all of it, with this rule for damage.
pub(crate) fn look(disk: &SimDisk, rule: OnDamage) -> Result<Store, Error> {
    Store::open(ROOT, options(disk, &clock(), true).on_damage(rule).rebuild_derived())
}

/// Opens a damaged store, checks it, appends, closes, opens it again with the default rule and checks that; then puts
/// the bytes back and finds everything.
pub(crate) fn judge(
    disk: &SimDisk,
    aged: &Aged,
    hurts: &[Hurt],
    mend: Option<&dyn Fn(&SimDisk)>,
) -> Verdict<Seen> {
    let store = look(disk, OnDamage::Quarantine).map_err(|e| format!("refused: {e}"))?;
    let seen = check(&store, aged, &aged.log, hurts)?;
    let mut log = aged.log.cut(store.marks().visible);
    log.bytes.clear();
    for (topic, id) in TOPICS.iter().flat_map(|topic| (0..QUEUES).map(move |id| (*topic, id))) {
        let due = store.queue(topic, id).max();
        let message = Message::new(topic, "behind the damage").queue(id).key("AaBB");
        let stored = store.append_and_wait(&message).map_err(|e| format!("append: {e}"))?;
        if stored.queue_offset != due {
            return Err(format!("{topic}/{id} goes on at {}, not at {due}", stored.queue_offset));
        }
        log.taken.push(Taken::new(&message, &stored));
    }
    while store.step() {}
    store.close().map_err(|e| format!("close: {e}"))?;
    let was = derived_bytes(disk);
    let store =
        Store::open(ROOT, options(disk, &clock(), true)).map_err(|e| format!("known, refused: {e}"))?;
    same_parts(&store, &seen)?;
    check(&store, aged, &log, hurts).map_err(|e| format!("opened again: {e}"))?;
    store.close().map_err(|e| format!("close: {e}"))?;
    let store = look(disk, OnDamage::Refuse).map_err(|e| format!("known, refused when looked at: {e}"))?;
    same_parts(&store, &seen)?;
    store.close().map_err(|e| format!("close: {e}"))?;
    if let Some(what) = difference(&derived_bytes(disk), &was) {
        return Err(format!("not as derived afresh: {what}"));
    }
    if let Some(mend) = mend {
        mend(disk);
        let store = Store::open(ROOT, options(disk, &clock(), true)).map_err(|e| format!("mended: {e}"))?;
        if !store.quarantined().is_empty() || store.recovery().lifted != seen.parts {
            return Err(format!("mended, and still listed: {:?}", store.quarantined()));
        }
        check_with(&store, aged, &log, (&[], &seen.parts)).map_err(|e| format!("mended: {e}"))?;
    }
    Ok(seen)
}

fn same_parts(store: &Store, seen: &Seen) -> Verdict {
    match store.quarantined() == seen.parts {
        true => Ok(()),
        false => Err(format!("listed {:?}, then {:?}", seen.parts, store.quarantined())),
    }
}

/// All that must hold of an open store whose log was `log` before it was hurt.
pub(crate) fn check(store: &Store, aged: &Aged, log: &Expected, hurts: &[Hurt]) -> Verdict<Seen> {
    check_with(store, aged, log, (hurts, &[]))
}

/// The same where these parts were listed once: numbers that only their records told may have been given again.
fn check_with(
    store: &Store,
    aged: &Aged,
    log: &Expected,
    (hurts, mended): (&[Hurt], &[LogRange]),
) -> Verdict<Seen> {
    let mut seen = Seen { parts: store.quarantined(), ..Seen::default() };
    let is_hurt = |taken: &Taken| hurts.iter().any(|hurt| hurt.touches(taken));
    for part in &seen.parts {
        let is_meant = hurts.iter().any(|hurt| hurt.from < part.to.0 && part.from.0 < hurt.to);
        if !is_meant {
            return Err(format!("{part} is listed, hurt was {hurts:?}; {}", store.recovery()));
        }
    }
    let end = store.marks().visible;
    let mut lost = BTreeSet::new();
    for taken in &log.taken {
        let at = taken.position.offset;
        let inside = seen.parts.iter().find(|part| at < part.to && part.from < taken.position.end());
        if inside.is_some_and(|part| at < part.from || part.to < taken.position.end()) {
            return Err(format!("{inside:?} begins or ends within {taken:?}"));
        }
        match (store.record_at(at), inside) {
            (Ok(read), None) => taken.check(&read)?,
            (Err(Error::Quarantined { from, to }), Some(part)) if (from, to) == (part.from, part.to) => {
                lost.insert(at);
                seen.sacrificed += u64::from(!is_hurt(taken));
                check_sacrifice(aged, log, taken, is_hurt(taken), store)?;
            }
            // An unsynced tail, cut and reported.
            (Err(Error::OutOfRange { .. }), None) if at >= end && taken.position.end() > aged.marked => {}
            (other, _) => return Err(format!("{taken:?} answers {other:?}; {}", store.recovery())),
        }
    }
    seen.lost = lost.len() as u64;
    let live = |taken: &&Taken| !lost.contains(&taken.position.offset) && taken.position.end() <= end;
    check_scan(store, &seen, log.taken.iter().filter(live))?;
    check_queues(store, aged, log, (&lost, mended), end)?;
    check_keys(store, log, &lost, end)?;
    Ok(seen)
}

/// In a store that was closed every queued record has an entry that points at it, so none is lost beside damage.
fn check_sacrifice(aged: &Aged, log: &Expected, taken: &Taken, is_hurt: bool, store: &Store) -> Verdict {
    let has_entry = taken.message.sys_flags.is_queued() && !is_dropped(log, taken);
    match aged.is_closed && has_entry && !is_hurt {
        true => Err(format!("{} is sound, and lost beside damage: {}", taken.told(), store.recovery())),
        false => Ok(()),
    }
}

fn is_dropped(log: &Expected, taken: &Taken) -> bool {
    let topic = taken.message.topic.as_str();
    log.dropped.iter().any(|dropped| dropped.topic == topic && taken.position.offset < dropped.below)
}

/// The records, and each part once, where it lies.
fn check_scan<'t>(store: &Store, seen: &Seen, live: impl Iterator<Item = &'t Taken>) -> Verdict {
    let (mut live, mut parts) = (live.peekable(), seen.parts.iter().peekable());
    for read in store.scan(store.marks().first) {
        match read {
            Ok(read) => live.next().ok_or("the scan shows more than there was")?.check(&read)?,
            Err(Error::Quarantined { from, to }) => {
                let part = parts.next().ok_or("the scan tells damage that is not listed")?;
                if (from, to) != (part.from, part.to) {
                    return Err(format!("the scan tells {from} to {to}, listed is {part}"));
                }
            }
            Err(error) => return Err(format!("scan: {error}")),
        }
    }
    match (live.next(), parts.next()) {
        (None, None) => Ok(()),
        left => Err(format!("the scan leaves out {left:?}; {}", store.recovery())),
    }
}

fn check_queues(
    store: &Store,
    aged: &Aged,
    log: &Expected,
    (lost, mended): (&BTreeSet<LogOffset>, &[LogRange]),
    end: LogOffset,
) -> Verdict {
    let mut queues: BTreeMap<(&str, u32), Vec<&Taken>> = BTreeMap::new();
    for taken in log.taken.iter().filter(|t| t.message.sys_flags.is_queued() && t.position.end() <= end) {
        queues.entry((taken.message.topic.as_str(), taken.message.queue_id)).or_default().push(taken);
    }
    for ((topic, id), all) in queues {
        // Whether it was dropped nobody was told.
        if log.dropped.iter().any(|dropped| dropped.topic == topic && dropped.done.is_never()) {
            continue;
        }
        let queue = store.queue(topic, id);
        let wrong = |what: String| {
            let told =
                |taken: &&Taken| (taken.queue_offset.0, taken.position.offset.0, is_dropped(log, taken));
            let known: Vec<_> = all.iter().map(told).collect();
            Err(format!(
                "queue {topic}/{id} with {known:?} (number, place, dropped): {what}; {}",
                store.recovery()
            ))
        };
        let first = all.iter().filter(|taken| is_dropped(log, taken)).count();
        // The last one may have been given a number again that only lost ones had told; what is put back is above it.
        let behind =
            |all: &mut dyn Iterator<Item = &&Taken>| all.map(|t| t.queue_offset.0 + 1).max().unwrap_or(0);
        let total = behind(&mut all.iter());
        let is_live = |taken: &&&Taken| !lost.contains(&taken.position.offset);
        let least = behind(&mut all[first..].iter().filter(is_live));
        let max = queue.max().0;
        // What only the lost record itself has said is gone with it, unless files said it too.
        // Nor is that to be relied on: a broken record may name a queue that is not its own.
        let most = total + lost.len() as u64;
        if max < least || max > most || (aged.is_closed && max != total) {
            return wrong(format!("ends at {max}, {least} to {total} is right"));
        }
        // A number that nothing told but the lost record itself was given again. When that is put back the queue still
        // shows the later one (`FaultKind::Doubled`), and a scan both.
        let last_given: BTreeMap<u64, LogOffset> =
            all.iter().map(|taken| (taken.queue_offset.0, taken.position.offset)).collect();
        let counts = |taken: &&&Taken| last_given[&taken.queue_offset.0] == taken.position.offset;
        let mut told = BTreeSet::new();
        let was_listed = |taken: &Taken| mended.iter().any(|part| part.contains(taken.position.offset));
        let is_shown = |taken: &&&Taken| is_live(taken) && (counts(taken) || !was_listed(taken));
        // In the order of their numbers: what was put back may stand before the later one in the log.
        let mut live: Vec<_> = all[first..].iter().filter(is_shown).collect();
        live.sort_by_key(|taken| taken.queue_offset);
        let mut live = live.into_iter();
        // A number that a lost record's rotten queue id had taken was never given: the queue may begin behind it.
        let begins = all[first..].iter().map(|taken| taken.queue_offset.0).min().unwrap_or(first as u64);
        for read in queue.read_from(QueueOffset(begins.min(max))) {
            match read {
                Ok(read) => match live.next() {
                    Some(taken) => taken.check(&read)?,
                    None => return wrong(format!("shows {read:?}")),
                },
                Err(Error::QuarantinedMessages { at, next, .. }) if at < next => told.extend(at.0..next.0),
                Err(error) => return wrong(error.to_string()),
            }
        }
        if let Some(taken) = live.next() {
            return wrong(format!("ends before {taken:?}"));
        }
        for taken in all[first..].iter().filter(counts) {
            let (at, is_lost) = (taken.queue_offset.0, lost.contains(&taken.position.offset));
            if at < max && told.contains(&at) != is_lost {
                return wrong(format!("{at} is lost: {is_lost}, told: {told:?}"));
            }
        }
    }
    Ok(())
}

fn check_keys(store: &Store, log: &Expected, lost: &BTreeSet<LogOffset>, end: LogOffset) -> Verdict {
    let mut keys: BTreeMap<(&str, String), Vec<LogOffset>> = BTreeMap::new();
    for taken in log.taken.iter().filter(|t| t.position.end() <= end) {
        let named = taken
            .message
            .keys()
            .into_iter()
            .flat_map(|all| all.split(' ').map(String::from).collect::<Vec<_>>());
        let named: Vec<String> = named.chain(taken.message.unique_id().map(Into::into)).collect();
        let is_indexed = taken.message.sys_flags.transaction() != Transaction::Rollback;
        for key in named {
            let places = keys.entry((taken.message.topic.as_str(), key)).or_default();
            let at = taken.position.offset;
            if is_indexed && !lost.contains(&at) && !is_dropped(log, taken) && places.last() != Some(&at) {
                places.push(at);
            }
        }
    }
    for ((topic, key), want) in keys {
        if log.dropped.iter().any(|dropped| dropped.topic == topic && dropped.done.is_never()) {
            continue;
        }
        let found = store.find(topic, &key).at_most(u32::MAX).collect::<Result<Vec<_>, _>>();
        let found = found.map_err(|e| format!("key {key} of {topic}: {e}"))?;
        if !found.iter().map(|r| r.position.offset).eq(want.iter().rev().copied()) {
            return Err(format!("key {key} of {topic}: {} found, at {want:?} they are", found.len()));
        }
    }
    Ok(())
}
