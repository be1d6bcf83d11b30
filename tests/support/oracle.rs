//! What must hold of a store after a crash (house.md §10). Answers with words instead of panicking, so that the caller
//! can say which image it was.

use std::sync::Arc;

use sawlog::clock::HandClock;
use sawlog::disk::sim::{SimDisk, Survivors};
use sawlog::{LogOffset, Message, Store};

use super::derived::{check_derived, derived_bytes, difference, fresh};
use super::dice::Dice;
use super::expected::{Expected, Promised, ROOT, Taken, log_bytes};
use super::one_in;
use super::workload::{QUEUES, TOPICS, clock, options};

pub(crate) type Verdict<T = ()> = Result<T, String>;

/// Of one closed survivor in so many the queue and index files are held against fresh ones, byte for byte.
const BYTES_ONE_IN: u64 = 10;

/// An opened image and what it is judged by.
pub(crate) struct Opened {
    pub(crate) store: Store,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) end: LogOffset,
    /// So many of the dropped topics are gone.
    pub(crate) dropped: usize,
}

impl Opened {
    /// From now on it must be so, whatever happens.
    pub(crate) fn promised(&self) -> Promised {
        Promised { end: self.end, dropped: (self.dropped, self.dropped) }
    }
}

/// Opens with the default options, which refuse damage: a crash is never damage. The log must be a prefix of `log`,
/// byte for byte, that holds all that was promised; what was cut must be kept and reported; and queues and key index
/// are what the log says.
pub(crate) fn open(
    disk: &SimDisk,
    sync: bool,
    log: &Expected,
    promised: impl Into<Promised>,
) -> Verdict<Opened> {
    let promised = promised.into();
    let before = log_bytes(disk, LogOffset(u64::MAX >> 1));
    let clock = clock();
    // One in three of those that wait for syncs, as chance has it.
    let options = options(disk, &clock, sync).prewrite(promised.end.0.is_multiple_of(3));
    let store = Store::open(ROOT, options).map_err(|e| format!("refused: {e}"))?;
    let end = check_log(&store, log)?;
    if end < promised.end {
        return Err(format!("the log ends at {end}, {} was promised; {}", promised.end, store.recovery()));
    }
    check_report(disk, &store, &before)?;
    let dropped = check_derived(&store, log, end, promised.dropped)?;
    Ok(Opened { store, clock, end, dropped })
}

/// The whole log that the store shows must be a prefix of `log`. Returns its end.
pub(crate) fn check_log(store: &Store, log: &Expected) -> Verdict<LogOffset> {
    let marks = store.marks();
    let end = marks.visible;
    if !log.may_begin_at(marks.first) {
        return Err(format!("the log begins at {}; {}", marks.first, store.recovery()));
    }
    if !log.may_end_at(end) {
        return Err(format!("the log ends at {end}, which is no record's end; {}", store.recovery()));
    }
    check_bytes(store, log, end)?;
    check_scan(store, log, end)
}

fn check_bytes(store: &Store, log: &Expected, end: LogOffset) -> Verdict {
    if log.bytes.is_empty() {
        // Nobody knows them: appends failed half-way. The scan compares the records.
        return Ok(());
    }
    let mut at = store.marks().first;
    while at < end {
        let raw = store.raw(at, u64::MAX).map_err(|e| format!("raw({at}): {e}"))?;
        let from = at.0 as usize;
        let want = log.bytes.get(from..(from + raw.bytes.len()).min(log.bytes.len())).unwrap_or_default();
        // Behind the last record that was ever taken there is nothing but the rest of its segment.
        let (inside, beyond) = raw.bytes.split_at(want.len().min(raw.bytes.len()));
        if inside != want || beyond.iter().any(|b| *b != 0) {
            let place = from + want.iter().zip(inside).take_while(|(a, b)| a == b).count();
            let (is, was) = (raw.bytes.get(place - from), want.get(place - from));
            let place = LogOffset(place as u64);
            let lies = log.taken.iter().map(|taken| taken.position).find(|lies| place < lies.end());
            return Err(format!(
                "byte {place} is {is:?}, appended was {was:?}; {lies:?} ends behind it, the log at {end}"
            ));
        }
        at = at.plus(raw.bytes.len() as u64);
    }
    Ok(())
}

fn check_scan(store: &Store, log: &Expected, end: LogOffset) -> Verdict<LogOffset> {
    let first = store.marks().first;
    let mut scan = store.scan(first);
    for taken in log.up_to(end).iter().filter(|taken| taken.position.offset >= first) {
        match scan.next() {
            Some(Ok(read)) => taken.check(&read)?,
            Some(Err(error)) => return Err(format!("scan: {error}")),
            None => return Err(format!("hole: nothing at {} where {taken:?} was", scan.position())),
        }
    }
    match scan.next() {
        None => Ok(end),
        Some(more) => Err(format!("phantom: {more:?}")),
    }
}

/// A crash leaves no damage, and what is cut is kept as it was.
fn check_report(disk: &SimDisk, store: &Store, before: &[u8]) -> Verdict {
    let report = store.recovery();
    if let Some(wrong) = report.cuts.iter().find(|cut| cut.damage) {
        return Err(format!("taken for damage: {wrong:?}"));
    }
    if !report.side_damage.is_empty() || report.foreign_writer && !before.is_empty() {
        return Err(format!("damage or a foreigner seen where there was none: {report:?}"));
    }
    for cut in &report.cuts {
        let saved = disk.read_file(&cut.saved).map_err(|e| format!("what was cut is not kept: {e}"))?;
        let was = before.get(cut.from.0 as usize..cut.to.0 as usize).unwrap_or_default();
        if saved != was {
            return Err(format!("what was cut is not kept as it was: {cut:?}"));
        }
    }
    Ok(())
}

/// All that must hold of an image, one thing after the other, on a copy of it.
///
/// `seed` decides what is done with the survivor.
pub(crate) fn examine(
    image: &SimDisk,
    log: &Expected,
    promised: impl Into<Promised>,
    seed: u64,
) -> Verdict<LogOffset> {
    let mut dice = Dice::new(seed);
    let (sync, again_sync) = (dice.percent(50), dice.percent(50));
    let first = open(image, sync, log, promised)?;
    let (end, promised) = (first.end, first.promised());
    let begins = first.store.marks().first;

    // Opening is a barrier (A7): what was readable stays, whatever happens next; and it changes nothing more (5).
    let left = match dice.below(3) {
        0 => image.kill(),
        1 => image.power_cut(dice.draw(), Survivors::Nothing),
        _ => image.power_cut(dice.draw(), Survivors::ALL[dice.below(5) as usize]),
    };
    let again =
        open(&left, again_sync, log, promised).map_err(|e| format!("opened, crashed, opened again: {e}"))?;
    if again.end != end || !again.store.recovery().cuts.is_empty() {
        let report = again.store.recovery();
        return Err(format!("ended at {end}, and when opened again at {}: {report}", again.end));
    }
    if again.store.marks().first != begins || again.store.recovery().removed_segments > 0 {
        let report = again.store.recovery();
        return Err(format!("began at {begins}, then at {}: {report}", again.store.marks().first));
    }
    drop(first);
    second_life(&left, again, log, &mut dice).map_err(|e| format!("second life: {e}"))?;
    Ok(end)
}

/// The reopened store takes, syncs and reads new appends; another crash leaves what it acknowledged, and nothing of
/// what was cut rises again: new records have the lengths of the lost ones, so that stale ones would fit behind them.
fn second_life(disk: &SimDisk, opened: Opened, old: &Expected, dice: &mut Dice) -> Verdict {
    let Opened { store, end, dropped, .. } = opened;
    let dropped = (dropped, dropped);
    let mut log = old.cut(end);
    let lost = &old.taken[log.taken.len()..];
    let flushed_ones = dice.below(5) as usize;
    let reshaped = lost.iter().map(|t| reshaped(&t.message, dice)).take(flushed_ones + 2).collect::<Vec<_>>();
    let (kept, risked) = reshaped.split_at(flushed_ones.min(reshaped.len()));
    for message in kept {
        append(&store, &mut log, message)?;
    }
    if dice.percent(40) {
        // A message for every queue: each goes on where it ended.
        for (topic, queue) in TOPICS.iter().flat_map(|t| (0..QUEUES).map(move |q| (*t, q))) {
            append(&store, &mut log, &Message::new(topic, dice.bytes(16)).queue(queue))?;
        }
    }
    store.flush().map_err(|e| format!("flush: {e}"))?;
    let promised = log.end().max(end);
    log.read_bytes(disk, end);
    let read = check_log(&store, &log)?;
    if read < promised {
        return Err(format!("readable up to {read}, flushed up to {promised}"));
    }
    // Without threads somebody must dispatch.
    while store.step() {}
    check_derived(&store, &log, read, dropped)?;
    for message in risked {
        append(&store, &mut log, message)?;
    }
    log.read_bytes(disk, end);
    let model = if dice.percent(40) { Survivors::Nothing } else { Survivors::ALL[dice.below(5) as usize] };
    let left = disk.power_cut(dice.draw(), model);
    let promised = Promised { end: promised, dropped };
    let third = open(&left, dice.percent(50), &log, promised).map_err(|e| format!("after {model:?}: {e}"))?;
    let (end, promised) = (third.end, third.promised());
    third.store.close().map_err(|e| format!("close: {e}"))?;
    if third.dropped == 0 && log.fronts.is_empty() && dice.below(one_in(BYTES_ONE_IN)) == 0 {
        let differs = difference(&derived_bytes(&left), &fresh(&left));
        differs.map_or(Ok(()), |what| Err(format!("closed, and not as derived afresh: {what}")))?;
    }
    let last =
        open(&left, dice.percent(50), &log, promised).map_err(|e| format!("closed and reopened: {e}"))?;
    let report = last.store.recovery();
    if last.end != end || !report.clean_shutdown || !report.cuts.is_empty() {
        return Err(format!("closed at {end}, and then: {report}"));
    }
    Ok(())
}

/// Another message whose record is exactly as long.
fn reshaped(message: &Message, dice: &mut Dice) -> Message {
    let mut other = message.clone();
    other.body = dice.bytes(message.body.len()).into();
    other
}

fn append(store: &Store, log: &mut Expected, message: &Message) -> Verdict {
    let ack = store.append(message).map_err(|e| format!("append: {e}"))?;
    let stored = ack.all().next().ok_or("an ack of nothing")?;
    let (position, end) = (stored.position, log.end());
    if position.offset < end {
        return Err(format!("appended at {}, the log ended at {end}", position.offset));
    }
    let key = (message.topic.to_string(), message.queue_id);
    let next = log.next_offsets().get(&key).copied().unwrap_or(0);
    let due = if message.sys_flags.is_queued() { next } else { 0 };
    if stored.queue_offset.0 != due {
        return Err(format!("{key:?} goes on at {}, {due} is due", stored.queue_offset));
    }
    if let Some(last) = log.taken.last().filter(|last| stored.stored < last.stored) {
        return Err(format!("store time steps back from {:?} to {:?}", last.stored, stored.stored));
    }
    log.taken.push(Taken::new(message, &stored));
    Ok(())
}
