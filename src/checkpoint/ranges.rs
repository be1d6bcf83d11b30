//! `sawlog/ranges`: the parts of the log that we wrote with a checksum in every record.
//!
//! There a record without one is damage; elsewhere it means that somebody else wrote it (promises rule 6).

use std::path::Path;

use crate::checkpoint::fields::{Fault, Fields, Parsed};
use crate::checkpoint::whole_file::WholeFile;
use crate::disk::Disk;
use crate::error::{Damage, Result};
use crate::offset::LogOffset;

const FILE: WholeFile =
    WholeFile { name: "ranges", new_name: "ranges.new", magic: 0x5341_5752, version: 1, oldest: 1 };
/// The end of a range that is still being written.
const OPEN: u64 = u64::MAX;

/// Parts `[from, to)` of the log: sorted, apart from each other, the last one perhaps open at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranges {
    list: Vec<(u64, u64)>,
}

impl Ranges {
    /// The ranges last saved in the folder `dir`; `None` if none ever were.
    ///
    /// # Errors
    /// [`Error::Corrupt`](crate::error::Error::Corrupt) if the file is damaged,
    /// [`Error::Foreign`](crate::error::Error::Foreign) if a newer program wrote it,
    /// [`Error::Io`](crate::error::Error::Io).
    pub(crate) fn load(disk: &dyn Disk, dir: &Path) -> Result<Option<Ranges>> {
        let Some(payload) = FILE.load(disk, dir)? else { return Ok(None) };
        Ranges::decode(&payload.bytes).map(Some).map_err(|fault| fault.in_file(&dir.join(FILE.name)))
    }

    /// Puts these ranges in the place of those saved; after Ok a power cut leaves them. To be called before the
    /// first record of a newly opened range can become durable, and after a closed one ended.
    ///
    /// # Errors
    /// [`Error::Io`](crate::error::Error::Io); the old ranges or the new ones are there then.
    pub(crate) fn save(&self, disk: &dyn Disk, dir: &Path) -> Result<()> {
        FILE.save(disk, dir, &self.encode())
    }

    /// Whether the record at `offset` is one of ours.
    pub(crate) fn contains(&self, offset: LogOffset) -> bool {
        let before = self.list.partition_point(|(from, _)| *from <= offset.0);
        before.checked_sub(1).and_then(|i| self.list.get(i)).is_some_and(|(_, to)| offset.0 < *to)
    }

    /// From `offset` on we write. What stood beyond it is gone: the log ends there.
    pub(crate) fn open_at(&mut self, offset: LogOffset) {
        self.cut(offset);
        match self.list.last_mut() {
            Some((_, to)) if *to == offset.0 => *to = OPEN,
            _ => self.list.push((offset.0, OPEN)),
        }
    }

    /// From `offset` on somebody else wrote, or we write without record checksums. Nothing if no range is open.
    pub(crate) fn close_at(&mut self, offset: LogOffset) {
        if self.list.last().is_some_and(|(_, to)| *to == OPEN) {
            self.cut(offset);
        }
    }

    /// The log was cut at `at`: nothing beyond it is ours any more, and no range is open beyond it.
    pub(crate) fn cut(&mut self, at: LogOffset) {
        self.list.retain(|(from, _)| *from < at.0);
        if let Some((_, to)) = self.list.last_mut() {
            *to = at.0.min(*to);
        }
    }

    /// The log begins at `first` now: ranges that end before it are forgotten. Says whether there were any.
    pub(crate) fn retire(&mut self, first: LogOffset) -> bool {
        let before = self.list.len();
        self.list.retain(|(_, to)| *to > first.0);
        self.list.len() < before
    }

    /// The ranges in ascending order; an open end is `u64::MAX`.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (LogOffset, LogOffset)> {
        self.list.iter().map(|(from, to)| (LogOffset(*from), LogOffset(*to)))
    }

    /// `count u32`, then `from u64, to u64` for each.
    pub(super) fn encode(&self) -> Vec<u8> {
        let count = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        let mut out = count.to_be_bytes().to_vec();
        for (from, to) in &self.list {
            out.extend_from_slice(&from.to_be_bytes());
            out.extend_from_slice(&to.to_be_bytes());
        }
        out
    }

    /// Ranges that are out of order, empty, overlapping or not merged are nothing that [`Ranges::encode`] made.
    pub(super) fn decode(payload: &[u8]) -> Parsed<Ranges> {
        let total = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let mut fields = Fields(payload);
        let count = u64::from(fields.u32().ok_or(Fault::Damaged(Damage::Cut))?);
        let parts = count.saturating_mul(16).saturating_add(4);
        let bad = Fault::Damaged(Damage::BadSize { total, parts });
        if u64::from(total) != parts {
            return Err(bad);
        }
        let mut list: Vec<(u64, u64)> = Vec::with_capacity(usize::try_from(count).map_err(|_| bad.clone())?);
        for _ in 0..count {
            let (from, to) = fields.u64().zip(fields.u64()).ok_or(bad.clone())?;
            let apart = list.last().is_none_or(|(_, end)| *end < from);
            if !apart || to <= from {
                return Err(bad);
            }
            list.push((from, to));
        }
        Ok(Ranges { list })
    }
}
