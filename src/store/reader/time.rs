//! Look-up by store time: a halving search that reads the few bytes of a record's head.

use crate::clock::Timestamp;
use crate::consume_queue::{Bound, ConsumeQueue, Entry, Probe, search};
use crate::error::Result;
use crate::message::{MAGIC_V1, MAGIC_V2, SysFlags};
use crate::offset::QueueOffset;
use crate::store::reader::{Led, Queue, wrong_entry};

/// A record's bytes up to and with its store time, if its born host is an IPv6 one (spec 2.1).
const HEAD_BYTES: u64 = 76;
/// Where the fields stand (spec 2.1). An IPv6 born host is 12 bytes longer and moves the store time.
const AT_MAGIC: usize = 4;
const AT_QUEUE_ID: usize = 12;
const AT_QUEUE_OFFSET: usize = 20;
const AT_LOG_OFFSET: usize = 28;
const AT_SYS_FLAGS: usize = 36;
const AT_STORED: usize = 56;
const V6_EXTRA: usize = 12;

/// How many entries are read together over a stretch of blanks.
const BLANKS_TOGETHER: usize = 512;

pub(super) fn offset_at(queue: &Queue, time: Timestamp, bound: Bound) -> Result<QueueOffset> {
    let bounds = queue.bounds()?;
    let Some(files) = queue.files() else { return Ok(bounds.max) };
    let (min, max) = (bounds.min.0, bounds.max.0);
    let found = search(min, max, bound, time, |at| probe(queue, files, at, max))?;
    // The front may have moved meanwhile.
    Ok(QueueOffset(found).max(queue.bounds()?.min))
}

fn probe(queue: &Queue, files: &ConsumeQueue, at: u64, max: u64) -> Result<Probe> {
    let found = match files.entry(QueueOffset(at))? {
        Some(entry) => Some((QueueOffset(at), entry)),
        None => next_message(files, at, max)?,
    };
    let (at, entry) = match found {
        Some(found) => found,
        // Files that were retired meanwhile hold nothing, either.
        None => match files.first().0.checked_sub(1).filter(|retired| at <= *retired) {
            Some(retired) => return Ok(Probe { at: retired.min(max), stored: None }),
            // Blanks up to the end: whatever was asked for lies before them.
            None => return Ok(Probe { at: max, stored: Some(Timestamp(i64::MAX)) }),
        },
    };
    let stored = match queue.led(files, at, entry, |log| log.raw(entry.at, HEAD_BYTES))? {
        Led::Gone => None,
        Led::Here(raw) => {
            let head = head(&raw.bytes).ok_or_else(|| wrong_entry(files, at, entry))?;
            if !is_ours(&head, queue, at, entry) {
                return Err(wrong_entry(files, at, entry));
            }
            Some(head.stored)
        }
    };
    Ok(Probe { at: at.0, stored })
}

/// The first entry behind a blank.
pub(super) fn next_message(files: &ConsumeQueue, at: u64, max: u64) -> Result<Option<(QueueOffset, Entry)>> {
    let mut at = at;
    while at < max {
        let left = usize::try_from(max.saturating_sub(at)).unwrap_or(usize::MAX);
        let entries = files.read(QueueOffset(at), left.min(BLANKS_TOGETHER))?;
        if entries.is_empty() {
            return Ok(None);
        }
        for entry in entries {
            match entry {
                Some(entry) => return Ok(Some((QueueOffset(at), entry))),
                None => at = at.saturating_add(1),
            }
        }
    }
    Ok(None)
}

/// The fields in the first bytes of a record that tell whose it is, and when it was stored.
struct Head {
    len: i32,
    queue_id: i32,
    queue_offset: i64,
    log_offset: i64,
    stored: Timestamp,
}

fn head(bytes: &[u8]) -> Option<Head> {
    let magic = u32::from_be_bytes(field(bytes, AT_MAGIC)?);
    let sys_flags = SysFlags(i32::from_be_bytes(field(bytes, AT_SYS_FLAGS)?));
    let extra = if sys_flags.has(SysFlags::BORN_HOST_V6) { V6_EXTRA } else { 0 };
    let head = Head {
        len: i32::from_be_bytes(field(bytes, 0)?),
        queue_id: i32::from_be_bytes(field(bytes, AT_QUEUE_ID)?),
        queue_offset: i64::from_be_bytes(field(bytes, AT_QUEUE_OFFSET)?),
        log_offset: i64::from_be_bytes(field(bytes, AT_LOG_OFFSET)?),
        stored: Timestamp(i64::from_be_bytes(field(bytes, AT_STORED + extra)?)),
    };
    matches!(magic, MAGIC_V1 | MAGIC_V2).then_some(head)
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn is_ours(head: &Head, queue: &Queue, at: QueueOffset, entry: Entry) -> bool {
    u32::try_from(head.len) == Ok(entry.len)
        && u32::try_from(head.queue_id) == Ok(queue.id())
        && u64::try_from(head.queue_offset) == Ok(at.0)
        && u64::try_from(head.log_offset) == Ok(entry.at.0)
}
