//! [`RawBatch`]: a pull as stored bytes, in as few pieces as they lie in.

use crate::commit_log::Raw;
use crate::consume_queue::{ConsumeQueue, Entry};
use crate::error::{Corruption, Error, Result};
use crate::message::{self, Verify};
use crate::offset::{LogOffset, QueueOffset};
use crate::store::reader::fetch::{Answer, Fetch, Status, Verdict, scan};
use crate::store::reader::{Bounds, Led, Queue, wrong_entry};

/// What one pull found, as raw stored bytes; see [`Queue::raw`]. Its other fields are those of
/// [`Batch`](crate::Batch).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RawBatch {
    /// Why it is as it is.
    pub status: Status,
    /// The records, in order, one behind the other. Each piece is a run of whole records of one segment. Its bytes stay
    /// whatever happens; its file may be removed by retention before it is opened.
    pub pieces: Vec<Raw>,
    /// How many records there are in the pieces together.
    pub count: u32,
    /// The offset to ask for next.
    pub next: QueueOffset,
    /// The first offset that the queue has.
    pub min: QueueOffset,
    /// The queue's end.
    pub max: QueueOffset,
    /// What the pieces measure together, in bytes.
    pub bytes: u64,
    /// How many entries were looked at.
    pub scanned: u32,
}

pub(super) fn fetch(queue: &Queue, wanted: &Fetch) -> Result<RawBatch> {
    loop {
        let front = queue.log().first();
        match fetch_once(queue, wanted) {
            // Retention took a run between the look at its records and the one at all of them. What is there now?
            Err(Error::OutOfRange { .. }) if queue.log().first() > front => {}
            other => return other,
        }
    }
}

fn fetch_once(queue: &Queue, wanted: &Fetch) -> Result<RawBatch> {
    let mut runs = Runs::default();
    let answer = scan(queue, wanted, |files, at, entry| {
        let found = queue.led(files, at, entry, |log| log.raw(entry.at, u64::from(entry.len)))?;
        let Led::Here(raw) = found else { return Ok(Verdict::Gone) };
        if !is_wanted(queue, wanted, files, at, entry, &raw)? {
            return Ok(Verdict::Unwanted);
        }
        runs.push(raw);
        Ok(Verdict::Taken)
    })?;
    let pieces = runs.into_pieces(queue)?;
    let Answer { status, next, bounds: Bounds { min, max }, count, bytes, scanned } = answer;
    Ok(RawBatch { status, pieces, count, next, min, max, bytes, scanned })
}

/// Whether the filter wants the record in these bytes, which must be the entry's own.
fn is_wanted(
    queue: &Queue,
    wanted: &Fetch,
    files: &ConsumeQueue,
    at: QueueOffset,
    entry: Entry,
    raw: &Raw,
) -> Result<bool> {
    let corrupt = |what| Error::Corrupt(Corruption { path: raw.path.clone(), at: raw.offset, what });
    if wanted.filter_ref().needs_record() {
        let record = message::decode(entry.at, raw.bytes.clone(), Verify::Structure).map_err(corrupt)?;
        return match queue.is_ours(&record, at, entry) {
            true => Ok(wanted.filter_ref().wants(&record)),
            false => Err(wrong_entry(files, at, entry)),
        };
    }
    let head = message::check(entry.at, &raw.bytes, Verify::Structure).map_err(corrupt)?;
    let is_ours = head.len == entry.len
        && head.queue_offset == at
        && head.queue_id == queue.id()
        && head.sys_flags.is_queued()
        && head.topic == queue.topic();
    if is_ours { Ok(true) } else { Err(wrong_entry(files, at, entry)) }
}

/// Records that lie side by side in one file, joined.
#[derive(Default)]
struct Runs {
    /// The first record of each run, and the bytes of the whole run.
    runs: Vec<(Raw, u64)>,
}

impl Runs {
    fn push(&mut self, raw: Raw) {
        let len = raw.bytes.len() as u64;
        if let Some((first, total)) = self.runs.last_mut()
            && follows(first, *total, &raw)
        {
            *total = total.saturating_add(len);
            return;
        }
        self.runs.push((raw, len));
    }

    /// Where the disk is mapped a second look costs nothing; elsewhere only runs of several records pay for one.
    fn into_pieces(self, queue: &Queue) -> Result<Vec<Raw>> {
        let log = queue.log();
        let piece = |(first, total): (Raw, u64)| {
            if first.bytes.len() as u64 == total { Ok(first) } else { log.raw(first.offset, total) }
        };
        self.runs.into_iter().map(piece).collect()
    }
}

fn follows(first: &Raw, total: u64, raw: &Raw) -> bool {
    let end: LogOffset = first.offset.plus(total);
    end == raw.offset && first.path == raw.path
}
