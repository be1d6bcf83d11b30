//! Queue entries held against the log: what was found record by record must be all that stands in the files.
//!
//! Every entry is read once and counted. Where the count is that of the entries confirmed by their records, each of
//! them was: a record confirms one entry at most. Only where it is not are entries looked at one by one.

use crate::consume_queue::{ENTRY_BYTES, Entry};
use crate::error::Result;
use crate::inspect::queue_files::Stands;
use crate::inspect::verify::entries::Found;
use crate::inspect::verify::fault::{Fault, FaultKind, MessageName};
use crate::inspect::verify::peek::peek_at;
use crate::inspect::verify::scope::{QueueScope, Scope};
use crate::offset::{LogOffset, QueueOffset};

/// Entries read by one call: 160 KiB.
const TOGETHER: usize = 8192;

/// The part of the log that was looked at, and what is known to be unreadable in it.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    pub(super) from: LogOffset,
    pub(super) to: LogOffset,
    /// Whether `to` is where the log ends: nothing lies behind it.
    pub(super) is_end: bool,
    /// Parts without a valid record, ascending.
    pub(super) bad: &'a [(LogOffset, LogOffset)],
}

impl Seen<'_> {
    fn is_bad(&self, at: LogOffset) -> bool {
        let index = self.bad.partition_point(|(from, _)| *from <= at).checked_sub(1);
        index.and_then(|index| self.bad.get(index)).is_some_and(|(_, to)| at < *to)
    }
}

/// What an entry is to this verification.
enum Counts {
    /// It leads into the part that was looked at.
    Here,
    /// It need not lead anywhere.
    Passed,
    /// It leads nowhere.
    Nowhere,
}

/// Reads all entries of one queue. Answers how many there are, and the fault if some lead nowhere.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io).
pub(super) fn check(
    scope: &Scope,
    seen: &Seen<'_>,
    found: &Found,
    number: u32,
) -> Result<(u64, Option<Fault>)> {
    let Some(queue) = scope.queue(number) else { return Ok((0, None)) };
    let confirmed = found.confirmed.get(&number).copied().unwrap_or(0);
    let (mut entries, mut here, mut nowhere) = (0, 0_u64, false);
    each(scope, queue, |at, stands| {
        entries += u64::from(stands != Stands::Unwritten);
        match counts(scope, seen, queue, at, stands) {
            Counts::Here => here += 1,
            Counts::Nowhere => nowhere = true,
            Counts::Passed => {}
        }
        Ok(())
    })?;
    // Those that were told as pointing at another record may still point into this part.
    let fault = if nowhere || here > confirmed { look(scope, seen, found, (number, queue))? } else { None };
    Ok((entries, fault))
}

fn each(scope: &Scope, queue: &QueueScope, mut each: impl FnMut(u64, Stands) -> Result<()>) -> Result<()> {
    let mut files = scope.files(queue);
    for base in files.bases().to_vec() {
        let mut at = base.0;
        loop {
            // The next file's turn comes by its own base: between two there may be a gap.
            let read = files.read_in(&*scope.parts.disk, base, at, TOGETHER)?;
            if read.is_empty() {
                break;
            }
            for bytes in &read {
                each(at, Stands::of(bytes))?;
                at = at.saturating_add(1);
            }
        }
    }
    Ok(())
}

fn counts(scope: &Scope, seen: &Seen<'_>, queue: &QueueScope, at: u64, stands: Stands) -> Counts {
    let Stands::Entry(Entry { at: place, .. }) = stands else {
        let is_rubbish = stands == Stands::Rubbish && at < queue.believed_to && seen.is_end;
        return if is_rubbish { Counts::Nowhere } else { Counts::Passed };
    };
    // A drop that was cut short has left the files there.
    let is_dropped = scope.is_dropped(&queue.topic, place);
    if is_dropped || place < seen.from || at >= queue.believed_to || seen.is_bad(place) {
        return Counts::Passed;
    }
    if place < seen.to {
        return Counts::Here;
    }
    // Behind what was looked at: on its way, or in a later part; at rest, behind the log's end.
    let is_nowhere = seen.is_end && !scope.held;
    if is_nowhere { Counts::Nowhere } else { Counts::Passed }
}

/// Looks at the entries one by one: at the record of each.
fn look(
    scope: &Scope,
    seen: &Seen<'_>,
    found: &Found,
    (number, queue): (u32, &QueueScope),
) -> Result<Option<Fault>> {
    let per_segment = u64::from(scope.parts.queues.entries_per_segment.unwrap_or(1)).max(1);
    let mut fault: Option<Fault> = None;
    each(scope, queue, |at, stands| {
        let what = match (counts(scope, seen, queue, at, stands), stands) {
            _ if found.told.contains(&(number, at)) => return Ok(()),
            (Counts::Passed, _) => return Ok(()),
            (Counts::Here, Stands::Entry(entry)) if is_its_own(scope, queue, at, entry)? => return Ok(()),
            (Counts::Here, Stands::Entry(entry)) => {
                format!("it points at log offset {}, another record's or none", entry.at)
            }
            (_, Stands::Entry(entry)) => {
                format!("it points at log offset {}, behind the log's end", entry.at)
            }
            _ => "it is no entry".to_owned(),
        };
        let log = if let Stands::Entry(entry) = stands { Some(entry.at) } else { None };
        let fault = fault.get_or_insert_with(|| Fault {
            kind: FaultKind::StaleEntry,
            path: scope.entry_path(&queue.topic, queue.id, at),
            at: (at % per_segment).saturating_mul(ENTRY_BYTES),
            log,
            log_to: None,
            message: Some(MessageName {
                topic: queue.topic.clone(),
                queue_id: queue.id,
                queue_offset: QueueOffset(at),
            }),
            count: 0,
            quarantined: false,
            what,
        });
        fault.count += 1;
        Ok(())
    })?;
    Ok(fault)
}

fn is_its_own(scope: &Scope, queue: &QueueScope, at: u64, entry: Entry) -> Result<bool> {
    let own = peek_at(scope, entry.at, |head| {
        head.sys_flags.is_queued()
            && (head.topic, head.queue_id, head.queue_offset.0) == (queue.topic.as_str(), queue.id, at)
    });
    Ok(own?.unwrap_or(false))
}
