//! [`Pointers`]: where the queues' files say that records begin, for a log of which a part cannot be read.
//!
//! Entries are hints (promises rule 5): what one says is held against the record that stands there. A record that names
//! the place, the queue and the offset of an entry pointing at it was vouched for by two files.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::path::{Path, PathBuf};

use crate::consume_queue::rebuild::is_unreadable;
use crate::consume_queue::{ENTRY_BYTES, Entry, QueueSurvey};
use crate::disk::{Access, Disk};
use crate::error::{Error, Result};
use crate::layout;
use crate::offset::{LogOffset, QueueOffset};

/// How much of a file is read at once; a multiple of an entry's length.
const STEP_BYTES: u64 = 64 * 1020;
/// So many claims are kept in memory: some 8 MB.
const MOST_CLAIMS: usize = 128 << 10;

/// The files of all queues as they lie there.
#[derive(Debug)]
pub(crate) struct Pointers<'a> {
    disk: &'a dyn Disk,
    dir: PathBuf,
    survey: &'a QueueSurvey,
}

/// What one entry claims.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim<'a> {
    pub(crate) topic: &'a str,
    pub(crate) queue_id: u32,
    pub(crate) queue_offset: QueueOffset,
    pub(crate) entry: Entry,
}

impl<'a> Pointers<'a> {
    /// The files that `survey` has found in `dir`.
    pub(crate) fn new(disk: &'a dyn Disk, dir: PathBuf, survey: &'a QueueSurvey) -> Pointers<'a> {
        Pointers { disk, dir, survey }
    }

    /// The first place behind `from` and before `to` that an entry points at and of which `is_true` says that the
    /// claim is. A file that cannot be read claims nothing. Places are asked about in ascending order.
    ///
    /// `gathered` keeps what was read for the next call. Costs reading every queue file that points behind `from`, once
    /// for each 131,072 places that are passed, however many calls that takes.
    ///
    /// # Errors
    /// Those of `is_true`; [`Error::Io`] of a read that might go well another time.
    pub(crate) fn first_between(
        &self,
        gathered: &mut Gathered<'a>,
        from: LogOffset,
        to: LogOffset,
        mut is_true: impl FnMut(&Claim<'_>) -> Result<bool>,
    ) -> Result<Option<LogOffset>> {
        let mut from = from;
        loop {
            if !gathered.holds(from) {
                self.gather(gathered, from)?;
            }
            let start = gathered.claims.partition_point(|claim| claim.entry.at <= from);
            let here = gathered.claims.get(start..).unwrap_or_default();
            for claim in here.iter().take_while(|claim| claim.entry.at < to) {
                if is_true(claim)? {
                    return Ok(Some(claim.entry.at));
                }
            }
            let Some(end) = gathered.to.filter(|end| *end < to) else { return Ok(None) };
            // The last place itself may have claims that were left out; one that fills all there is room for is passed.
            let before = LogOffset(end.0.saturating_sub(1));
            from = if before > from { before } else { end };
        }
    }

    /// The claims of the nearest places behind `from`.
    fn gather(&self, gathered: &mut Gathered<'a>, from: LogOffset) -> Result<()> {
        let mut nearest = Nearest { heap: BinaryHeap::new(), most: gathered.most, was_full: false };
        for ((topic, queue_id), bases) in &self.survey.queues {
            let folder = self.dir.join(topic).join(queue_id.to_string());
            for base in bases {
                let path = folder.join(layout::segment_name(LogOffset(base.0.saturating_mul(ENTRY_BYTES))));
                let claims = |index: u64, entry| {
                    let queue_offset = QueueOffset(base.0.saturating_add(index));
                    Claim { topic, queue_id: *queue_id, queue_offset, entry }
                };
                match self.each_in(&path, from, &mut nearest, claims) {
                    Err(error) if is_unreadable(&error) && names(&error, &path) => {}
                    other => other?,
                }
            }
        }
        (gathered.from, gathered.to) = (Some(from), nearest.end());
        gathered.claims = nearest.heap.into_sorted_vec().into_iter().map(|ByPlace(claim)| claim).collect();
        Ok(())
    }

    /// Takes the entries of one file that point behind `from`, as far as they are near enough.
    fn each_in(
        &self,
        path: &Path,
        from: LogOffset,
        nearest: &mut Nearest<'a>,
        claim: impl Fn(u64, Entry) -> Claim<'a>,
    ) -> Result<()> {
        let file = self.disk.open(path, Access::Read).map_err(|e| Error::io("opening", path, e))?;
        let len = file.len() / ENTRY_BYTES * ENTRY_BYTES;
        let read =
            |at: u64, bytes: &mut [u8]| file.read_at(at, bytes).map_err(|e| Error::io("reading", path, e));
        let mut last = [0; 20];
        read(len.saturating_sub(ENTRY_BYTES), &mut last)?;
        if Entry::decode(&last).is_some_and(|last| last.at < from) {
            return Ok(());
        }
        let mut at = 0;
        while at < len {
            let step = STEP_BYTES.min(len - at);
            let mut bytes = vec![0; usize::try_from(step).unwrap_or(0)];
            read(at, &mut bytes)?;
            let (mut pointing, mut far) = (0_u64, 0_u64);
            for (number, bytes) in (at / ENTRY_BYTES..).zip(bytes.as_chunks::<20>().0) {
                let Some(entry) = Entry::decode(bytes) else { continue };
                pointing += 1;
                if entry.at > from && !nearest.take(claim(number, entry)) {
                    far += 1;
                }
            }
            // Behind the last entry there are zeros up to the file's end; and where all is too far, more is further.
            if bytes.iter().all(|byte| *byte == 0) || (pointing > 0 && far == pointing) {
                break;
            }
            at += step;
        }
        Ok(())
    }
}

/// Claims about the places behind one, in ascending order, kept from call to call.
#[derive(Debug)]
pub(crate) struct Gathered<'a> {
    /// So many are kept in memory.
    most: usize,
    /// They are about places behind this one; `None`: nothing was gathered yet.
    from: Option<LogOffset>,
    /// Below this place all claims are here; `None`: there are no others.
    to: Option<LogOffset>,
    claims: Vec<Claim<'a>>,
}

impl Default for Gathered<'_> {
    fn default() -> Self {
        Gathered::at_most(MOST_CLAIMS)
    }
}

impl Gathered<'_> {
    pub(super) fn at_most(most: usize) -> Self {
        Gathered { most, from: None, to: None, claims: Vec::new() }
    }

    /// Whether the next claim behind `from` is here, if there is one.
    fn holds(&self, from: LogOffset) -> bool {
        self.from.is_some_and(|start| start <= from) && self.to.is_none_or(|end| from.plus(1) < end)
    }
}

/// A claim, ordered by the place that it is about.
#[derive(Debug)]
struct ByPlace<'a>(Claim<'a>);

impl ByPlace<'_> {
    fn key(&self) -> (LogOffset, &str, u32, QueueOffset) {
        (self.0.entry.at, self.0.topic, self.0.queue_id, self.0.queue_offset)
    }
}

impl PartialEq for ByPlace<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for ByPlace<'_> {}

impl PartialOrd for ByPlace<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ByPlace<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// The nearest claims of all that were taken.
#[derive(Debug)]
struct Nearest<'a> {
    heap: BinaryHeap<ByPlace<'a>>,
    most: usize,
    was_full: bool,
}

impl<'a> Nearest<'a> {
    /// Whether it is near enough, for now.
    fn take(&mut self, claim: Claim<'a>) -> bool {
        if self.heap.len() < self.most {
            self.heap.push(ByPlace(claim));
            return true;
        }
        self.was_full = true;
        let Some(mut furthest) = self.heap.peek_mut() else { return false };
        let is_near = claim.entry.at < furthest.0.entry.at;
        if is_near {
            *furthest = ByPlace(claim);
        }
        is_near
    }

    /// The place of the furthest, if there were more than could be kept.
    fn end(&self) -> Option<LogOffset> {
        self.heap.peek().filter(|_| self.was_full).map(|furthest| furthest.0.entry.at)
    }
}

/// Whether the error is about this file.
fn names(error: &Error, file: &Path) -> bool {
    match error {
        Error::Io { path, .. } | Error::Geometry { path, .. } => path == file,
        _ => false,
    }
}
