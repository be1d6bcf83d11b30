//! `sawlog/queues`: the next offset of each queue, as derived from the log up to a place.
//!
//! Synced before a segment is removed, so that a queue whose records have all expired never restarts at 0 (promises
//! rule 5, spec 18.2). What the log or the queue's own file says may be higher; the highest counts.

use std::collections::BTreeMap;
use std::path::Path;

use crate::checkpoint::fields::{Fault, Fields, Parsed};
use crate::checkpoint::whole_file::WholeFile;
use crate::disk::Disk;
use crate::error::{Corruption, Damage, Error, Result};
use crate::offset::{LogOffset, QueueOffset};

const FILE: WholeFile = WholeFile { name: "queues", new_name: "queues.new", magic: 0x5341_5751, version: 1 };
/// An entry with an empty topic: the least that one takes.
const LEAST_ENTRY_BYTES: u64 = 14;

/// The next offset of every queue at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// Every record before this place is counted.
    pub(crate) derived_to: LogOffset,
    /// By topic (its UTF-8 bytes, at most 65,535) and queue id: the offset that the queue's next message gets.
    pub(crate) next: BTreeMap<(Vec<u8>, u32), QueueOffset>,
}

impl Snapshot {
    /// The snapshot last saved in the folder `dir`; `None` if none ever was.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the file is damaged, [`Error::Foreign`] if a newer program wrote it, [`Error::Io`].
    pub(crate) fn load(disk: &dyn Disk, dir: &Path) -> Result<Option<Snapshot>> {
        let Some(payload) = FILE.load(disk, dir)? else { return Ok(None) };
        Snapshot::decode(&payload).map(Some).map_err(|fault| fault.in_file(&dir.join(FILE.name)))
    }

    /// The same for a caller that can scan the log from its start instead: a damaged file counts as none, and the
    /// damage stands beside it, to be reported.
    ///
    /// # Errors
    /// [`Error::Foreign`] if a newer program wrote the file, [`Error::Io`].
    pub(crate) fn load_or_none(
        disk: &dyn Disk,
        dir: &Path,
    ) -> Result<(Option<Snapshot>, Option<Corruption>)> {
        match Snapshot::load(disk, dir) {
            Ok(snapshot) => Ok((snapshot, None)),
            Err(Error::Corrupt(damage)) => Ok((None, Some(damage))),
            Err(other) => Err(other),
        }
    }

    /// Puts this snapshot in the place of the one saved; after Ok a power cut leaves it.
    ///
    /// # Errors
    /// [`Error::InvalidMessage`] if a topic is longer than 65,535 bytes (nothing was written), [`Error::Io`] (the
    /// old snapshot or the new one is there then).
    pub(crate) fn save(&self, disk: &dyn Disk, dir: &Path) -> Result<()> {
        FILE.save(disk, dir, &self.encode()?)
    }

    /// `derived_to u64, count u32`, then `topic length u16, topic, queue id u32, next u64` for each, ascending.
    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        let mut out = self.derived_to.0.to_be_bytes().to_vec();
        out.extend_from_slice(&u32::try_from(self.next.len()).unwrap_or(u32::MAX).to_be_bytes());
        for ((topic, queue_id), next) in &self.next {
            let len = u16::try_from(topic.len())
                .map_err(|_| Error::InvalidMessage("a topic is longer than 65,535 bytes".into()))?;
            out.extend_from_slice(&len.to_be_bytes());
            out.extend_from_slice(topic);
            out.extend_from_slice(&queue_id.to_be_bytes());
            out.extend_from_slice(&next.0.to_be_bytes());
        }
        Ok(out)
    }

    /// Entries out of order, twice the same queue, or bytes left over are nothing that [`Snapshot::encode`] made.
    pub(super) fn decode(payload: &[u8]) -> Parsed<Snapshot> {
        let cut = Fault::Damaged(Damage::Cut);
        let total = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let mut fields = Fields(payload);
        let derived_to = LogOffset(fields.u64().ok_or(cut.clone())?);
        let count = fields.u32().ok_or(cut.clone())?;
        let parts = u64::from(count).saturating_mul(LEAST_ENTRY_BYTES).saturating_add(12);
        let bad = Fault::Damaged(Damage::BadSize { total, parts });
        if parts > u64::from(total) {
            return Err(bad);
        }
        let mut next = BTreeMap::new();
        for _ in 0..count {
            let len = fields.u16().ok_or(cut.clone())?;
            let topic = fields.bytes(usize::from(len)).ok_or(cut.clone())?.to_vec();
            let (queue_id, offset) = fields.u32().zip(fields.u64()).ok_or(cut.clone())?;
            let key = (topic, queue_id);
            if next.last_key_value().is_some_and(|(last, _)| *last >= key) {
                return Err(bad);
            }
            next.insert(key, QueueOffset(offset));
        }
        if fields.0.is_empty() { Ok(Snapshot { derived_to, next }) } else { Err(bad) }
    }
}
