//! Look-up by store time: a halving search that reads the few bytes of a record's head.

use crate::clock::Timestamp;
use crate::consume_queue::{ConsumeQueue, Entry};
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

/// Which of the messages around a moment is meant (`BoundaryType`, spec 11.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Bound {
    /// The first message at or after it (`LOWER`). The default.
    #[default]
    First,
    /// The last message at or before it (`UPPER`).
    Last,
}

/// What stands at an offset of the queue, or at the next one that is no blank.
struct Probe {
    at: u64,
    /// `None`: removed by retention, and so before everything that is there.
    stored: Option<Timestamp>,
}

pub(super) fn offset_at(queue: &Queue, time: Timestamp, bound: Bound) -> Result<QueueOffset> {
    let bounds = queue.bounds()?;
    let Some(files) = queue.files() else { return Ok(bounds.max) };
    let (min, max) = (bounds.min.0, bounds.max.0);
    let found = search(min, max, bound, time, |at| probe(queue, files, at, max))?;
    // The front may have moved meanwhile.
    Ok(QueueOffset(found).max(queue.bounds()?.min))
}

/// The answer within `[min, max]`, at logarithmic cost.
fn search(
    min: u64,
    max: u64,
    bound: Bound,
    time: Timestamp,
    mut probe: impl FnMut(u64) -> Result<Probe>,
) -> Result<u64> {
    let is_before = |stored: Option<Timestamp>| match bound {
        Bound::First => stored.is_none_or(|stored| stored < time),
        Bound::Last => stored.is_none_or(|stored| stored <= time),
    };
    // Everything below `low` is before the border, everything from `high` on is not. Blanks go with what follows.
    let (mut low, mut high) = (min, max);
    let mut first_behind = max;
    while low < high {
        let middle = low.midpoint(high);
        let found = probe(middle)?;
        if is_before(found.stored) {
            low = found.at.saturating_add(1);
        } else {
            high = middle;
            first_behind = found.at;
        }
    }
    Ok(match bound {
        Bound::First => first_behind,
        // What stands below the border is no blank, for a blank goes with what follows.
        Bound::Last => low.saturating_sub(1).max(min),
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use Bound::{First, Last};

    /// Searches a made-up queue; `None` in it is a blank. Says how many probes it took, too.
    fn look(min: usize, stored: &[Option<i64>], time: i64, bound: Bound) -> (usize, usize) {
        let mut probes = 0;
        let max = stored.len() as u64;
        let found = search(min as u64, max, bound, Timestamp(time), |at| {
            probes += 1;
            let at = usize::try_from(at).unwrap();
            let at = (at..stored.len()).find(|at| stored[*at].is_some()).unwrap();
            Ok(Probe { at: at as u64, stored: stored[at].map(Timestamp) })
        });
        (usize::try_from(found.unwrap()).unwrap(), probes)
    }

    fn answers(min: usize, stored: &[i64], time: i64) -> (usize, usize) {
        let stored: Vec<_> = stored.iter().copied().map(Some).collect();
        (look(min, &stored, time, First).0, look(min, &stored, time, Last).0)
    }

    #[test]
    fn the_answers_are_those_of_rocketmq_also_between_and_beyond_equal_times() {
        let stored = [1_000_000, 1_000_000, 1_000_000, 1_000_100, 1_000_100, 1_000_100, 1_000_300, 1_000_300];
        // Spec 11.4, measured on RocketMQ.
        let table = [
            (999_999, (0, 0)),
            (1_000_000, (0, 2)),
            (1_000_050, (3, 2)),
            (1_000_100, (3, 5)),
            (1_000_200, (6, 5)),
            (1_000_300, (6, 7)),
            (1_000_301, (8, 7)),
        ];
        for (time, expected) in table {
            assert_eq!(answers(0, &stored, time), expected, "{time}");
        }
    }

    #[test]
    fn no_answer_lies_outside_of_the_queue() {
        assert_eq!(answers(0, &[], 5), (0, 0));
        assert_eq!(answers(2, &[1, 2, 3, 4], 0), (2, 2));
        assert_eq!(answers(2, &[1, 2, 3, 4], 9), (4, 3));
        assert_eq!(answers(4, &[1, 2, 3, 4], 2), (4, 4), "nothing is left");
        assert_eq!(answers(0, &[1, 2], i64::MIN), (0, 0));
        assert_eq!(answers(0, &[1, 2], i64::MAX), (2, 1));
    }

    #[test]
    fn a_blank_is_never_the_answer() {
        let stored = [Some(10), None, None, Some(20), None, Some(30)];
        for time in 0..40 {
            for bound in [First, Last] {
                let (found, _) = look(0, &stored, time, bound);
                assert!(found == 6 || stored[found].is_some(), "{time} {bound:?}: {found}");
            }
        }
        assert_eq!(look(0, &stored, 15, First).0, 3);
        assert_eq!(look(0, &stored, 15, Last).0, 0);
        assert_eq!(look(0, &stored, 29, First).0, 5);
    }

    #[test]
    fn every_answer_is_that_of_a_plain_walk_and_costs_few_probes() {
        let stored: Vec<_> = (0..1000_i64).map(|n| Some(n / 7 * 5)).collect();
        for time in -3..720 {
            let first = stored.iter().position(|s| s.unwrap() >= time).unwrap_or(1000);
            let last = stored.iter().rposition(|s| s.unwrap() <= time).unwrap_or(0);
            assert_eq!(look(0, &stored, time, First).0, first, "{time}");
            let (found, probes) = look(0, &stored, time, Last);
            assert_eq!(found, last, "{time}");
            assert!(probes <= 10, "{probes}");
        }
    }
}
