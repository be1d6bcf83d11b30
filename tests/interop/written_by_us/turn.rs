//! One folder's way: we read a copy of it, Java reads and extends it, and we take it back.

use std::collections::BTreeMap;
use std::path::Path;

use sawlog::clock::Timestamp;
use sawlog::message::Checksum;
use sawlog::{Error, Message, OnDamage, Store};

use super::case::{Case, Ending};
use super::facts::{Ours, is_of};
use super::held::{Held, Javas, hold_keys, hold_times, refused};
use super::script::{DROPPED, QUEUES, topics};
use super::torn::torn_entries;
use super::writing::Written;
use crate::copy_folder;
use crate::java::{Java, JavaStore, message_json};

/// What there was to see in a folder.
#[derive(Debug, Default)]
pub(crate) struct Examined {
    pub(crate) messages: u64,
    /// Known exceptions that were met, by what they are.
    pub(crate) exceptions: Vec<&'static str>,
}

/// Set: what fails is kept on the disk, as it was before anybody opened it and as it is now.
pub(crate) const KEEP: &str = "SAWLOG_INTEROP_KEEP";

/// How many messages Java adds, and then we.
const ADDED: u64 = 40;

pub(crate) fn examine(java: &Java, written: &Written, scratch: &Path) -> Held<Examined> {
    let Written { case, root, .. } = written;
    std::fs::create_dir_all(scratch).map_err(|e| e.to_string())?;
    let copy = scratch.join("copy");
    copy_folder(root, &copy);
    if std::env::var_os(KEEP).is_some() {
        copy_folder(root, &scratch.join("before"));
    }
    let store = Store::open(&copy, case.options()).map_err(|e| format!("our own copy: {e}"))?;
    let ours = Ours::read(&store);
    let mut seen = Examined { messages: ours.log.len() as u64, ..Examined::default() };
    as_promised(written, &ours, &mut seen)?;

    let torn = if case.ending.is_raw_cut() { torn_entries(root, &ours) } else { 0 };
    let name = case.number.to_string();
    let java = java.store(&name);
    let opened = java.open(root, &case.java_config());
    if torn > 0 {
        let is_refused = opened.is_err();
        store.close().map_err(|e| e.to_string())?;
        torn_queues(java, is_refused, written, &ours, &mut seen)?;
        return std::fs::remove_dir_all(scratch).map_err(|e| e.to_string()).map(|()| seen);
    }
    let opened = opened.map_err(refused)?;
    if opened.abort != case.ending.is_unclean() {
        return Err("Java found an abort mark where none was due, or none where one was".into());
    }
    if opened.end as u64 > ours.end && case.ending.is_raw_cut() && !case.java_checks_records {
        seen.exceptions.push("Java takes a torn record for whole, of which it checks the body alone (H1)");
        store.close().map_err(|e| e.to_string())?;
        let behind = the_log_alone(java, &ours)?;
        take_back(written, &ours, &behind, &mut seen)?;
        return std::fs::remove_dir_all(scratch).map_err(|e| e.to_string()).map(|()| seen);
    }
    let unqueued: Vec<_> = ours.log.iter().filter(|f| !f.is_queued()).map(|f| f.offset).collect();
    let javas = Javas::read(java, &unqueued)?;
    javas.equal(&ours)?;
    hold_keys(java, case, &ours)?;
    hold_times(java, case, &ours, &store)?;
    store.close().map_err(|e| e.to_string())?;

    let added = put(java, case, &ours)?;
    if !java.close().map_err(refused)? {
        return Err("Java's abort mark stayed behind its close".into());
    }
    seen.messages += added.len() as u64;
    take_back(written, &ours, &Behind { clean: true, more: false, added }, &mut seen)?;
    std::fs::remove_dir_all(scratch).map_err(|e| e.to_string())?;
    Ok(seen)
}

/// Java believes torn queue entries (H32), and may not even start with them. All that it needs is in the log, which it
/// reads right, and we put the store in order again.
fn torn_queues(
    java: JavaStore<'_>,
    is_refused: bool,
    written: &Written,
    ours: &Ours,
    seen: &mut Examined,
) -> Held {
    if !is_refused {
        seen.exceptions.push("Java keeps queue entries that the power cut tore (H32)");
        let behind = the_log_alone(java, ours)?;
        return take_back(written, ours, &behind, seen);
    }
    seen.exceptions.push("Java does not start over queue entries that the power cut tore (H32)");
    java.close().map_err(refused)?;
    let Written { case, root, .. } = written;
    let store = Store::open(root, case.options()).map_err(|e| format!("behind a refused Java: {e}"))?;
    let report = store.recovery().clone();
    let after = Ours::read(&store);
    if report.cuts.iter().any(|cut| cut.damage) || after.log != ours.log || after.queues != ours.queues {
        return Err(format!("behind a refused Java: {report}"));
    }
    go_on(case, root, store, &after)
}

/// Where queue entries are torn, the log is what can be held: every record, by its place.
fn the_log_alone(java: JavaStore<'_>, ours: &Ours) -> Held<Behind> {
    let places: Vec<_> = ours.log.iter().map(|seen| seen.offset).collect();
    let found = java.look(&places).map_err(refused)?;
    let same = found.iter().zip(&ours.log).all(|(java, ours)| java.as_ref() == Some(ours));
    if !same || found.len() != places.len() {
        return Err("Java's log differs".into());
    }
    let clean = java.close().map_err(refused)?;
    Ok(Behind { clean, more: true, added: Added::new() })
}

/// The log is a prefix of what was appended, and holds all that was promised.
fn as_promised(written: &Written, ours: &Ours, examined: &mut Examined) -> Held {
    let Written { case, messages, promised, .. } = written;
    if ours.log.len() < *promised {
        return Err(format!("{promised} messages were promised, we read {}", ours.log.len()));
    }
    for (n, seen) in ours.log.iter().enumerate() {
        if messages.get(n).is_some_and(|message| is_of(seen, message)) {
            continue;
        }
        // With the body's checksum alone, nothing tells that the rest of an unsynced record is torn.
        if n < *promised || case.checksum == Checksum::Record || case.ending.survivors().is_none() {
            return Err(format!("message {n} is not what was appended: {seen:?}, {:?}", messages.get(n)));
        }
        examined.exceptions.push("a torn record is taken for whole, of which the body alone is checked (H1)");
    }
    let segments = ours.end / case.segment_bytes + 1;
    let is_whole = case.ending == Ending::Closed;
    if is_whole && segments != case.segments {
        return Err(format!("{segments} segments, {} were asked for", case.segments));
    }
    Ok(())
}

/// What Java added: the message, and the places it got in its queue and in the log.
type Added = Vec<(Message, u64, u64)>;

/// What Java has left.
struct Behind {
    /// Its abort mark is gone. It stays where dispatch could not follow the log to its end (H43).
    clean: bool,
    /// The log may hold torn records that Java takes for whole, behind those that we do.
    more: bool,
    added: Added,
}

/// Java goes on where we stopped: each queue's next number follows on our last one.
fn put(java: JavaStore<'_>, case: &Case, ours: &Ours) -> Held<Added> {
    let mut dice = case.dice("added");
    let mut names = topics();
    names.push("javas_own".to_owned());
    let (mut next, mut added) = (BTreeMap::new(), Added::new());
    for n in 0..ADDED {
        let topic = names[dice.below(names.len() as u64) as usize].clone();
        let queue = dice.below(QUEUES) as u32;
        let message = Message::new(topic.as_str(), dice.bytes(n as usize * 7))
            .queue(queue)
            .flag(n as i32)
            .born(Timestamp(1_700_000_000_000 + n as i64))
            .born_host("203.0.113.9:4711".parse().unwrap())
            .tag("java")
            .key(&format!("java-{n}"))
            .unique_key(&format!("JAVA{n:028X}"));
        let first = |name| ours.queues.get(name).map_or(0, |queue| queue.max);
        let name = (topic, queue);
        let at = next.entry(name.clone()).or_insert_with(|| first(&name));
        added.push((message, *at, 0));
        *at += 1;
    }
    let asked: Vec<_> = added.iter().map(|(message, ..)| message_json(message, case.store_host)).collect();
    let answers = java.put(&asked).map_err(refused)?;
    for ((message, at, place), put) in added.iter_mut().zip(answers) {
        if put.status != "PUT_OK" || put.queue_offset != *at || put.offsets.len() != 1 {
            return Err(format!("{}/{} should have given {at}: {put:?}", message.topic, message.queue_id));
        }
        *place = put.offsets[0];
    }
    Ok(added)
}

/// We open what Java closed: all of before is there unchanged, and all that Java added; and we go on.
fn take_back(written: &Written, before: &Ours, behind: &Behind, seen: &mut Examined) -> Held {
    let Written { case, root, .. } = written;
    let added = &behind.added;
    let store = match Store::open(root, case.options()) {
        // What Java leaves behind its log's end it does not erase (H26). A whole record among it, where nobody says
        // which of the two wrote it, could be the rest of a log with damage in it: the operator must look.
        Err(Error::Corrupt(_)) if case.ending.is_raw_cut() => {
            seen.exceptions
                .push("Java left whole records behind its log, and we ask for OnDamage::FirstBroken (H26)");
            Store::open(root, case.options().on_damage(OnDamage::FirstBroken))
        }
        opened => opened,
    };
    let store = store.map_err(|e| format!("behind Java: {e}"))?;
    let report = store.recovery().clone();
    let stale = report.cuts.iter().all(|cut| case.ending.is_raw_cut() && cut.from == report.log_end);
    let clean = behind.clean && report.cuts.iter().all(|cut| !cut.damage);
    if !report.foreign_writer || report.clean_shutdown != clean || !stale {
        return Err(format!("behind Java, {seen:?}: {report}"));
    }
    if report.cuts.iter().any(|cut| !cut.damage) {
        seen.exceptions.push("Java left bytes of the torn tail behind its log, and we cut them (H26)");
    }
    let after = Ours::read(&store);
    let known = before.log.len();
    let is_all = after.log.len() == known + added.len() || behind.more && after.log.len() >= known;
    if !is_all || after.log[..known] != before.log[..] {
        let at = after.log.iter().zip(&before.log).position(|(a, b)| a != b);
        let (count, added) = (after.log.len(), added.len());
        return Err(format!(
            "behind Java {count} records of {known} and {added}; the first that differs: {at:?}"
        ));
    }
    for (seen, (message, at, place)) in after.log[known..].iter().zip(added) {
        let same = (seen.offset, seen.queue_offset) == (*place, *at) && is_of(seen, message);
        let key = message.keys().unwrap().into_owned();
        let found: Vec<_> = store.find(&message.topic, &key).map(|r| r.unwrap().position.offset.0).collect();
        let queue = &after.queues[&(seen.topic.clone(), seen.queue)];
        let entry = queue.entries.iter().find(|entry| entry.0 == *at);
        if !same || found != [*place] || entry.is_none_or(|entry| entry.2 != *place) {
            return Err(format!("what Java added differs: {seen:?}, found at {found:?}, entry {entry:?}"));
        }
    }
    for (name, queue) in before.queues.iter().filter(|((topic, _), _)| topic != DROPPED) {
        let now = &after.queues[name];
        if now.min != queue.min || now.entries[..queue.entries.len()] != queue.entries[..] {
            return Err(format!("the queue {name:?} has changed behind Java"));
        }
    }
    go_on(case, root, store, &after)
}

/// Twenty more of ours, a close and a look.
fn go_on(case: &Case, root: &Path, store: Store, after: &Ours) -> Held {
    for n in 0..20_u32 {
        let message = Message::new("orders", format!("once more {n}")).queue(n % 4).key("once-more");
        store.append_and_wait(&message).map_err(|e| e.to_string())?;
    }
    let last = Ours::read(&store).log;
    store.close().map_err(|e| e.to_string())?;
    let store = Store::open(root, case.options()).map_err(|e| e.to_string())?;
    let report = store.recovery().clone();
    if report.foreign_writer || !report.clean_shutdown || report.rebuilt {
        return Err(format!("behind us: {report}"));
    }
    let again = Ours::read(&store).log;
    if again != last || last.len() != after.log.len() + 20 || last[..after.log.len()] != after.log[..] {
        return Err("behind us the log is another".into());
    }
    store.close().map_err(|e| e.to_string())
}
