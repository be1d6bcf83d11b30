//! Reading: one record, and raw bytes for a pull reply or a replica. Nothing above the visible mark.
//!
//! Below the log's first byte everything answers `OutOfRange`, also to a reader that retention has overtaken: a segment
//! leaves the list before its file goes, so whatever a look at it ends with, the front has moved by then. What a reader
//! holds it reads to the end.
//!
//! In a quarantined part everything answers `Quarantined`.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::commit_log::CommitLog;
use crate::error::{Corruption, Damage, Error, Result};
use crate::message::{self, Peek, Record, Verify};
use crate::offset::{LogOffset, LogRange};
use crate::segment::Segment;

pub(super) const HEAD_BYTES: usize = 8;

/// Raw bytes of the log as they lie in one segment's file.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # use sawlog::{Message, Options, Store};
/// # use std::io::{Read, Seek, SeekFrom};
/// store.append(&Message::new("orders", "paid"))?.wait()?;
/// let raw = store.raw(store.marks().first, 1 << 20)?;
/// let mut file = std::fs::File::open(&raw.path)?; // for `sendfile`
/// file.seek(SeekFrom::Start(raw.file_offset))?;
/// let mut bytes = vec![0; raw.bytes.len()];
/// file.read_exact(&mut bytes)?;
/// assert_eq!(bytes, raw.bytes);
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Raw {
    /// Where the bytes begin in the log.
    pub offset: LogOffset,
    /// The bytes; without a copy where the disk is mapped and a sync covers them. They hold their segment alive.
    pub bytes: Bytes,
    /// The file that holds them, for `sendfile`.
    pub path: PathBuf,
    /// Where they begin in that file, in bytes. Retention may remove the file at any moment; `bytes` stay.
    pub file_offset: u64,
}

impl CommitLog {
    /// The end of what may be read: the visible mark; after a failure what is durable, for the rest may be gone.
    pub(crate) fn readable(&self) -> LogOffset {
        match self.failure() {
            Some(_) => self.flushed().at().min(self.visible().at()),
            None => self.visible().at(),
        }
    }

    /// The first byte there is.
    pub(crate) fn first(&self) -> LogOffset {
        self.segments().first().unwrap_or_default()
    }

    pub(super) fn out_of_range(&self, asked: LogOffset) -> Error {
        Error::OutOfRange { asked: asked.0, first: self.first().0, next: self.readable().0 }
    }

    /// What a look at `at` found, unless it failed because that part of the log has been removed meanwhile.
    pub(super) fn unless_removed<T>(&self, at: LogOffset, found: Result<T>) -> Result<T> {
        match found {
            Err(_) if at < self.first() => Err(self.out_of_range(at)),
            found => found,
        }
    }

    pub(super) fn verify_at(&self, at: LogOffset) -> Verify {
        if !self.setup.verify_on_read {
            return Verify::Structure;
        }
        let ours = |(from, to): &(LogOffset, LogOffset)| *from <= at && at < *to;
        // The newest last: that is where most reads go.
        if self.setup.ours.iter().rev().any(ours) { Verify::Ours } else { Verify::Legacy }
    }

    /// The quarantined parts of what the log still has, ascending. They change only when the store is opened.
    pub(crate) fn quarantined(&self) -> impl Iterator<Item = LogRange> {
        let first = self.first();
        self.setup.quarantined.iter().copied().filter(move |part| part.to > first)
    }

    /// The quarantined part that holds this byte.
    pub(crate) fn quarantined_at(&self, at: LogOffset) -> Option<LogRange> {
        let parts = &self.setup.quarantined;
        let before = parts.partition_point(|part| part.from <= at);
        parts.get(before.checked_sub(1)?).copied().filter(|part| part.contains(at))
    }

    /// Where, from `at` on, the next quarantined part begins, if that is before `until`.
    pub(super) fn sound_until(&self, at: LogOffset, until: LogOffset) -> LogOffset {
        let parts = &self.setup.quarantined;
        let next = parts.get(parts.partition_point(|part| part.to <= at));
        next.map_or(until, |part| until.min(part.from.max(at)))
    }

    /// The segment that holds `at`, and how many readable bytes it has from there on, up to the next damage.
    pub(super) fn readable_from(&self, at: LogOffset) -> Result<(Arc<Segment>, u64)> {
        let limit = self.readable();
        if at >= limit {
            return Err(self.out_of_range(at));
        }
        let segment = self.segments().find(at).ok_or_else(|| self.out_of_range(at))?;
        if let Some(part) = self.quarantined_at(at) {
            return Err(quarantined(part));
        }
        let end = self.sound_until(at, limit.min(segment.end()));
        Ok((segment, end.since(at)))
    }

    /// Bytes of a segment; a copy of those that no sync covers yet. After a failed sync the store may be opened
    /// again in this process, and its recovery writes over them: a view would see that.
    pub(super) fn view(&self, segment: &Segment, at: LogOffset, len: usize) -> Result<Bytes> {
        if at.plus(len as u64) <= self.flushed().at() {
            return segment.view(at, len);
        }
        let mut copy = vec![0; len];
        segment.read(at, &mut copy)?;
        Ok(copy.into())
    }

    /// The record that begins at `at`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`]; [`Error::Corrupt`] if no valid record begins there; [`Error::Io`].
    pub(crate) fn record_at(&self, at: LogOffset) -> Result<Record> {
        self.unless_removed(at, self.look_at(at))
    }

    fn look_at(&self, at: LogOffset) -> Result<Record> {
        let (segment, left) = self.readable_from(at)?;
        let corrupt = |what| Error::Corrupt(Corruption { path: segment.path().clone(), at, what });
        let head_len = HEAD_BYTES.min(usize::try_from(left).unwrap_or(HEAD_BYTES));
        let head = self.view(&segment, at, head_len)?;
        let len = record_len(&head, left).map_err(corrupt)?;
        let bytes = self.view(&segment, at, len)?;
        message::decode(at, bytes, self.verify_at(at)).map_err(corrupt)
    }

    /// Up to `max_bytes` raw bytes from `at` on, all of one segment.
    pub(crate) fn raw(&self, at: LogOffset, max_bytes: u64) -> Result<Raw> {
        let (segment, left) = self.readable_from(at)?;
        let len = usize::try_from(left.min(max_bytes)).unwrap_or(usize::MAX);
        let bytes = self.unless_removed(at, self.view(&segment, at, len))?;
        Ok(Raw { offset: at, bytes, path: segment.path().clone(), file_offset: segment.inside(at) })
    }
}

pub(super) fn quarantined(part: LogRange) -> Error {
    Error::Quarantined { from: part.from, to: part.to }
}

/// The length of the record whose first bytes are given.
pub(super) fn record_len(head: &[u8], left: u64) -> std::result::Result<usize, Damage> {
    let head = head.first_chunk::<HEAD_BYTES>().ok_or(Damage::Cut)?;
    match message::peek(head) {
        Peek::Record { len } if u64::from(len) <= left => usize::try_from(len).map_err(|_| Damage::Cut),
        Peek::Record { .. } => Err(Damage::Cut),
        Peek::Blank { len } => Err(Damage::BadBlank { len, left }),
        Peek::Unwritten => Err(Damage::Unwritten),
        Peek::Garbage { damage } => Err(damage),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_claims_more_than_its_segment_has_is_cut_short() {
        let mut head = [0; HEAD_BYTES];
        head[..4].copy_from_slice(&200_u32.to_be_bytes());
        head[4..8].copy_from_slice(&message::MAGIC_V1.to_be_bytes());
        assert_eq!(record_len(&head, 200), Ok(200));
        assert_eq!(record_len(&head, 199), Err(Damage::Cut));
        assert_eq!(record_len(&head[..HEAD_BYTES - 1], 200), Err(Damage::Cut));
    }
}
