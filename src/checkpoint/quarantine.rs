//! `sawlog/quarantine`: the parts of the log that are damaged, and that everything steps over.
//!
//! Written before the store that found them opens, and whenever they change. The mark says that there is a list, so
//! that a missing one is never taken for an undamaged log.

use std::path::Path;

use crate::checkpoint::fields::{Fault, Fields, Parsed};
use crate::checkpoint::whole_file::WholeFile;
use crate::disk::Disk;
use crate::error::{Corruption, Damage, Error, Result};
use crate::offset::{LogOffset, LogRange};

const FILE: WholeFile =
    WholeFile { name: "quarantine", new_name: "quarantine.new", magic: 0x5341_5758, version: 1, oldest: 1 };
/// The length of one part in the file, in bytes.
const PART_BYTES: u64 = 16;

/// Damaged parts of the log, ascending and apart from each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Quarantine {
    list: Vec<LogRange>,
}

impl Quarantine {
    /// The list last saved in the folder `dir`; an empty one if none ever was. `is_listed` is what the mark says of it.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the file is damaged, or missing though there should be one; [`Error::Foreign`] if a newer
    /// program wrote it; [`Error::Io`].
    pub(crate) fn load(disk: &dyn Disk, dir: &Path, is_listed: bool) -> Result<Quarantine> {
        let path = dir.join(FILE.name);
        match FILE.load(disk, dir)? {
            Some(payload) => Quarantine::decode(&payload.bytes).map_err(|fault| fault.in_file(&path)),
            None if is_listed => {
                Err(Error::Corrupt(Corruption { path, at: LogOffset::ZERO, what: Damage::NoQuarantineList }))
            }
            None => Ok(Quarantine::default()),
        }
    }

    /// Puts this list in the place of the one saved; after Ok a power cut leaves it.
    ///
    /// # Errors
    /// [`Error::Io`]; the old list or the new one is there then.
    pub(crate) fn save(&self, disk: &dyn Disk, dir: &Path) -> Result<()> {
        FILE.save(disk, dir, &self.encode())
    }

    /// The damaged part that holds this byte.
    pub(crate) fn at(&self, at: LogOffset) -> Option<LogRange> {
        let before = self.list.partition_point(|part| part.from <= at);
        self.list.get(before.checked_sub(1)?).copied().filter(|part| part.contains(at))
    }

    /// Where the first damaged part begins of those that begin behind this byte.
    pub(crate) fn next_from(&self, at: LogOffset) -> Option<LogOffset> {
        self.list.get(self.list.partition_point(|part| part.from <= at)).map(|part| part.from)
    }

    /// Takes a part on the list; those that it meets become one with it.
    pub(crate) fn add(&mut self, part: LogRange) {
        let mut all = std::mem::take(&mut self.list);
        all.push(part);
        all.sort_unstable();
        for part in all {
            match self.list.last_mut() {
                Some(last) if part.from <= last.to => last.to = last.to.max(part.to),
                _ => self.list.push(part),
            }
        }
    }

    /// The log ends at `end`: nothing is listed beyond it.
    pub(crate) fn cut(&mut self, end: LogOffset) {
        self.list.retain(|part| part.from < end);
        self.list.iter_mut().for_each(|part| part.to = part.to.min(end));
    }

    /// The log begins at `first`: parts that end before it are forgotten. Says whether there were any.
    pub(crate) fn retire(&mut self, first: LogOffset) -> bool {
        let before = self.list.len();
        self.list.retain(|part| part.to > first);
        self.list.len() < before
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The parts, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = LogRange> {
        self.list.iter().copied()
    }

    /// `count u32`, then `from u64, to u64` for each.
    pub(super) fn encode(&self) -> Vec<u8> {
        let count = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        let mut out = count.to_be_bytes().to_vec();
        for part in &self.list {
            out.extend_from_slice(&part.from.0.to_be_bytes());
            out.extend_from_slice(&part.to.0.to_be_bytes());
        }
        out
    }

    /// Parts that are out of order, empty or not apart are nothing that [`Quarantine::encode`] made.
    pub(super) fn decode(payload: &[u8]) -> Parsed<Quarantine> {
        let total = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let mut fields = Fields(payload);
        let count = u64::from(fields.u32().ok_or(Fault::Damaged(Damage::Cut))?);
        let parts = count.saturating_mul(PART_BYTES).saturating_add(4);
        let bad = Fault::Damaged(Damage::BadSize { total, parts });
        if u64::from(total) != parts {
            return Err(bad);
        }
        let mut list: Vec<LogRange> = Vec::with_capacity(usize::try_from(count).map_err(|_| bad.clone())?);
        for _ in 0..count {
            let (from, to) = fields.u64().zip(fields.u64()).ok_or(bad.clone())?;
            let part = LogRange { from: LogOffset(from), to: LogOffset(to) };
            let is_apart = list.last().is_none_or(|last| last.to < part.from);
            if !is_apart || part.to <= part.from || part.to > LogOffset::MAX {
                return Err(bad);
            }
            list.push(part);
        }
        Ok(Quarantine { list })
    }
}
