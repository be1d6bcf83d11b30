//! What is wrong with files beside the log: foreign ones, missing ones, our own small ones.

use crate::consume_queue::ENTRY_BYTES;
use crate::error::Damage;
use crate::inspect::verify::fault::{Fault, FaultKind, MessageName};
use crate::inspect::verify::scope::Scope;
use crate::layout;
use crate::offset::{LogOffset, QueueOffset};
use crate::recovery::counted;

/// The faults that names, lengths and checksums show.
pub(super) fn faults(scope: &Scope) -> Vec<Fault> {
    let parts = &scope.parts;
    let mut faults = Vec::new();
    let foreign = |path: &std::path::Path, why: &str| {
        Fault::of_file(FaultKind::ForeignFile, path.to_path_buf(), why.to_owned())
    };
    faults.extend(parts.odd_log.iter().map(|odd| foreign(&odd.path, &odd.why)));
    faults.extend(parts.queues.odd.iter().map(|odd| foreign(&odd.path, &odd.why)));
    faults.extend(parts.odd_index.iter().map(|odd| foreign(&odd.path, &odd.why)));
    for damage in &parts.before.side_damage {
        let fault = Fault::of_file(FaultKind::SideFile, damage.path.clone(), damage.what.to_string());
        faults.push(Fault { at: damage.at.0, ..fault });
    }
    if let Some((from, to)) = parts.missing_front() {
        let place = (parts.layout.commit_log(), from);
        let what = Damage::MissingSegment.to_string();
        faults.push(Fault::of_log(FaultKind::MissingSegment, place, (from, to), what));
    }
    if let Some(error) = &parts.own_error {
        faults.push(Fault::of_file(FaultKind::SideFile, parts.layout.own(), error.to_string()));
    }
    faults.extend(missing_queue_files(scope));
    faults.extend(missing_index_files(scope));
    faults
}

/// Files missing between two of a queue, and queues of which sawlog knows entries and no file is there.
fn missing_queue_files(scope: &Scope) -> Vec<Fault> {
    let per_segment = u64::from(scope.parts.queues.entries_per_segment.unwrap_or(1)).max(1);
    let missing = |topic: &str, id: u32, from: u64, to: u64| Fault {
        at: 0,
        message: Some(MessageName { topic: topic.to_owned(), queue_id: id, queue_offset: QueueOffset(from) }),
        count: to.saturating_sub(from).max(1),
        ..Fault::of_file(
            FaultKind::MissingFile,
            scope.entry_path(topic, id, from),
            format!("no file holds the entries {from} to {to}"),
        )
    };
    let mut faults = Vec::new();
    for ((topic, id), bases) in &scope.parts.queues.queues {
        for (base, next) in bases.iter().zip(bases.iter().skip(1)) {
            let end = base.0.saturating_add(per_segment);
            if end < next.0 {
                faults.push(missing(topic, *id, end, next.0));
            }
        }
    }
    let snapshot = scope.parts.before.snapshot.as_ref().filter(|s| scope.ours && s.has_files);
    for ((topic, id), mark) in snapshot.iter().flat_map(|s| &s.queues).filter(|(_, m)| m.first < m.next) {
        let Ok(topic) = std::str::from_utf8(topic) else { continue };
        let end = match scope.number(topic, *id).and_then(|number| scope.queue(number)) {
            Some(queue) => queue.end,
            None => mark.first.0,
        };
        let begin = scope.parts.queues.queues.get(&(topic.to_owned(), *id)).and_then(|bases| bases.first());
        // Beside its writer the front may have been removed since the snapshot was read.
        if let Some(begin) = begin.filter(|begin| mark.first < **begin && !scope.held) {
            faults.push(missing(topic, *id, mark.first.0, begin.0));
        }
        let last_file = mark.next.0.saturating_sub(1) / per_segment;
        if end / per_segment < last_file && end < mark.next.0 {
            faults.push(missing(topic, *id, end, mark.next.0));
        }
    }
    faults
}

fn missing_index_files(scope: &Scope) -> Vec<Fault> {
    let parts = &scope.parts;
    let snapshot = parts.before.snapshot.as_ref().filter(|s| scope.ours && s.has_files);
    let known = snapshot.and_then(|s| s.index.as_ref()).map(|index| index.files.as_slice());
    let is_there = |name: u64| parts.index.iter().any(|place| place.name == name);
    let missing = known.unwrap_or_default().iter().filter(|file| !is_there(file.name));
    missing
        .map(|file| {
            let path = parts.layout.index().join(layout::index_name(file.name));
            let keys = u64::from(file.next_entry.saturating_sub(1));
            let held = format!("it held {}", counted(keys, "key", "keys"));
            let fault = Fault::of_file(FaultKind::MissingFile, path, held);
            Fault { log: Some(file.begin_offset), log_to: Some(file.end_offset), count: keys.max(1), ..fault }
        })
        .collect()
}

/// Records whose entries are on their way.
pub(super) fn behind(scope: &Scope, count: u64) -> Fault {
    let some = counted(count, "record is not in its queue's files", "records are not in their queues' files");
    let what = format!("{some} yet ({} bytes)", count * ENTRY_BYTES);
    let fault = Fault::of_file(FaultKind::Behind, scope.parts.layout.consume_queues(), what);
    Fault { log: None::<LogOffset>, ..fault }
}
