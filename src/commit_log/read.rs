//! Reading: one record, many in order, and raw bytes for a pull reply or a replica. Nothing above the visible mark.
//!
//! Below the log's first byte everything answers `OutOfRange`, also to a reader that retention has overtaken: a segment
//! leaves the list before its file goes, so whatever a look at it ends with, the front has moved by then. What a reader
//! holds it reads to the end.
//!
//! In a quarantined part everything answers `Quarantined`, and a scan goes on behind it.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::commit_log::CommitLog;
use crate::disk;
use crate::error::{Corruption, Damage, Error, Result};
use crate::message::{self, Peek, Record, Verify};
use crate::offset::{LogOffset, LogRange};
use crate::segment::Segment;

/// How much a scan looks at together: free where the disk is mapped, one read where it is not.
const CHUNK_BYTES: u64 = 1 << 20;
const HEAD_BYTES: usize = 8;
/// What is looked at of a record in front of its body, and behind it where topic and properties are short.
const HEAD_LOOK_BYTES: usize = 128;
const TAIL_LOOK_BYTES: usize = 128;

/// Raw bytes of the log as they lie in one segment's file.
#[derive(Clone, Debug)]
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

/// Records in log order, from a place on; see [`Store::scan`](crate::Store::scan).
#[derive(Debug)]
pub struct Scan {
    log: Arc<CommitLog>,
    at: LogOffset,
    segment: Option<Arc<Segment>>,
    chunk: Bytes,
    chunk_at: LogOffset,
    /// Nobody looks at what it has shown once the store is closed: it may look at what no sync covers without a copy.
    of_the_store: bool,
    /// A record was found where it began.
    has_read: bool,
    ended: Option<Error>,
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

    fn out_of_range(&self, asked: LogOffset) -> Error {
        Error::OutOfRange { asked: asked.0, first: self.first().0, next: self.readable().0 }
    }

    /// What a look at `at` found, unless it failed because that part of the log has been removed meanwhile.
    fn unless_removed<T>(&self, at: LogOffset, found: Result<T>) -> Result<T> {
        match found {
            Err(_) if at < self.first() => Err(self.out_of_range(at)),
            found => found,
        }
    }

    fn verify_at(&self, at: LogOffset) -> Verify {
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
    fn sound_until(&self, at: LogOffset, until: LogOffset) -> LogOffset {
        let parts = &self.setup.quarantined;
        let next = parts.get(parts.partition_point(|part| part.to <= at));
        next.map_or(until, |part| until.min(part.from.max(at)))
    }

    /// The segment that holds `at`, and how many readable bytes it has from there on, up to the next damage.
    fn readable_from(&self, at: LogOffset) -> Result<(Arc<Segment>, u64)> {
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
    fn view(&self, segment: &Segment, at: LogOffset, len: usize) -> Result<Bytes> {
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

    /// Records from `from` on.
    pub(crate) fn scan(self: &Arc<Self>, from: LogOffset) -> Scan {
        let (log, chunk) = (Arc::clone(self), Bytes::new());
        Scan {
            log,
            at: from,
            segment: None,
            chunk,
            chunk_at: from,
            of_the_store: false,
            has_read: false,
            ended: None,
        }
    }

    /// The same for a follower that ends before the folder's lock is given back: it copies nothing where the disk is
    /// mapped.
    pub(crate) fn follow(self: &Arc<Self>, from: LogOffset) -> Scan {
        Scan { of_the_store: true, ..self.scan(from) }
    }
}

fn quarantined(part: LogRange) -> Error {
    Error::Quarantined { from: part.from, to: part.to }
}

/// The length of the record whose first bytes are given.
fn record_len(head: &[u8], left: u64) -> std::result::Result<usize, Damage> {
    let head = head.first_chunk::<HEAD_BYTES>().ok_or(Damage::Cut)?;
    match message::peek(head) {
        Peek::Record { len } if u64::from(len) <= left => usize::try_from(len).map_err(|_| Damage::Cut),
        Peek::Record { .. } => Err(Damage::Cut),
        Peek::Blank { len } => Err(Damage::BadBlank { len, left }),
        Peek::Unwritten => Err(Damage::Unwritten),
        Peek::Garbage { damage } => Err(damage),
    }
}

impl Scan {
    /// Where the next record begins, or would.
    #[must_use]
    pub fn position(&self) -> LogOffset {
        self.at
    }

    /// The same under a name that no iterator has.
    pub(crate) fn place(&self) -> LogOffset {
        self.at
    }

    /// The bytes from the scan's place on that lie in the same segment and are readable: at least `need` of them, if
    /// there are so many.
    fn look(&mut self, need: u64) -> Result<Option<Bytes>> {
        let limit = self.log.readable();
        if self.at >= limit {
            return Ok(None);
        }
        let holds = |s: &Arc<Segment>, at| s.base() <= at && at < s.end();
        let segment = match self.segment.take().filter(|s| holds(s, self.at)) {
            Some(segment) => segment,
            None => self.log.segments().find(self.at).ok_or_else(|| self.log.out_of_range(self.at))?,
        };
        let left = limit.min(segment.end()).since(self.at);
        let skip = self.at.since(self.chunk_at);
        let have = (self.chunk.len() as u64).saturating_sub(skip);
        // Nothing of a chunk of another segment lies behind this segment's base.
        if self.chunk_at < segment.base() || have < need.min(left) || have == 0 {
            let len = usize::try_from(left.min(CHUNK_BYTES.max(need))).unwrap_or(usize::MAX);
            self.chunk = match self.of_the_store {
                true => segment.view(self.at, len)?,
                false => self.log.view(&segment, self.at, len)?,
            };
            self.chunk_at = self.at;
        }
        self.segment = Some(segment);
        let skip = usize::try_from(self.at.since(self.chunk_at)).unwrap_or(usize::MAX);
        Ok(Some(self.chunk.slice(skip.min(self.chunk.len())..)))
    }

    /// The bytes of the record at the scan's place, which moves behind them; `None` at the visible mark. Nothing is
    /// checked but the length.
    fn next_bytes(&mut self) -> Result<Option<(LogOffset, Arc<Segment>, Bytes)>> {
        let found = self.step();
        self.log.unless_removed(self.at, found)
    }

    fn step(&mut self) -> Result<Option<(LogOffset, Arc<Segment>, Bytes)>> {
        loop {
            let Some(head) = self.look(HEAD_BYTES as u64)? else { return Ok(None) };
            // Behind the look, which finds that this part of the log has been removed.
            if let Some(part) = self.log.quarantined_at(self.at) {
                self.at = part.to;
                self.segment = None;
                return Err(quarantined(part));
            }
            let Some(segment) = self.segment.clone() else { return Ok(None) };
            let at = self.at;
            let corrupt = |what| Error::Corrupt(Corruption { path: segment.path().clone(), at, what });
            // By the magic alone, as recovery took it in the parts of the log that a broker wrote.
            if head.first_chunk::<HEAD_BYTES>().is_some_and(message::is_blank) {
                self.at = segment.end();
                continue;
            }
            let left = self.log.readable().min(segment.end()).since(at);
            let len = record_len(&head, left).map_err(corrupt)?;
            let Some(bytes) = self.look(len as u64)? else { return Ok(None) };
            if bytes.len() < len {
                return Err(corrupt(Damage::Cut));
            }
            self.at = at.plus(len as u64);
            return Ok(Some((at, segment, bytes.slice(..len))));
        }
    }

    fn read(&mut self) -> Result<Option<Record>> {
        let Some((at, segment, bytes)) = self.next_bytes()? else { return Ok(None) };
        let verify = self.log.verify_at(at);
        message::decode(at, bytes, verify).map(Some).map_err(|what| {
            self.at = at;
            Error::Corrupt(Corruption { path: segment.path().clone(), at, what })
        })
    }

    /// Shows the records up to `until`, or so many of them, to `each`, for what follows the log; tells how many. With
    /// the structure alone checked, but those below `unchecked_to` as a reader would: neither has this process written
    /// them nor has recovery checked them.
    /// Steps over what is quarantined.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if no record stands where one should; [`Error::Io`].
    pub(crate) fn follow(
        &mut self,
        until: LogOffset,
        most_records: usize,
        unchecked_to: LogOffset,
        mut each: impl FnMut(LogOffset, &message::Head<'_>),
    ) -> Result<usize> {
        let mut records = 0;
        while self.at < until && records < most_records {
            // One by itself, which goes on in the next chunk or segment, and says what is wrong.
            let found = match self.next_bytes() {
                Err(error) if error.is_quarantined() => continue,
                found => found?,
            };
            let Some((at, segment, bytes)) = found else { break };
            let corrupt = |what| Error::Corrupt(Corruption { path: segment.path().clone(), at, what });
            let verify = if at < unchecked_to { self.log.verify_at(at) } else { Verify::Structure };
            // Whoever asks again is told again: nothing is passed over because nobody could read it.
            let head = message::check(at, &bytes, verify).inspect_err(|_| self.at = at).map_err(corrupt)?;
            each(at, &head);
            records += 1;
            if self.at >= unchecked_to {
                let sound_until = self.log.sound_until(self.at, until);
                records += self.follow_in_chunk(sound_until, most_records - records, &mut each);
            }
        }
        Ok(records)
    }

    /// Those that lie whole in the chunk at hand, up to whatever is not one. Nothing is counted or cloned for each, and
    /// the next is asked for while one is looked at: another processor has just written it, and waiting for it was
    /// half of what following cost.
    fn follow_in_chunk(
        &mut self,
        until: LogOffset,
        most_records: usize,
        each: &mut impl FnMut(LogOffset, &message::Head<'_>),
    ) -> usize {
        let chunk = self.chunk.clone();
        let skip = usize::try_from(self.at.since(self.chunk_at)).unwrap_or(usize::MAX);
        let mut rest = chunk.get(skip..).unwrap_or_default();
        let mut records = 0;
        while self.at < until && records < most_records {
            let Some(Peek::Record { len }) = rest.first_chunk().map(message::peek) else { break };
            let Some((record, next)) = rest.split_at_checked(len as usize) else { break };
            disk::ask_for(next.get(..HEAD_LOOK_BYTES).unwrap_or(next));
            // Where its end will be, if it is as long as this one.
            let tail = record.len().saturating_sub(TAIL_LOOK_BYTES);
            disk::ask_for(next.get(tail..record.len()).unwrap_or_default());
            let Ok(head) = message::check(self.at, record, Verify::Structure) else { break };
            each(self.at, &head);
            self.at = self.at.plus(u64::from(len));
            rest = next;
            records += 1;
        }
        records
    }
}

/// Ends at the visible mark, and goes on from there when called again after it has moved. An error stays: every
/// later call answers with the same one. So does [`Error::OutOfRange`], which a scan meets that begins below the log's
/// first byte, or that retention has overtaken: records between are lost to it, and it does not pass over them in
/// silence. A new scan from the `first` in the error goes on.
///
/// [`Error::Quarantined`] does not stay: it names a damaged part of the log, and the next call goes on behind it.
impl Iterator for Scan {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Result<Record>> {
        if let Some(error) = &self.ended {
            return Some(Err(error.clone()));
        }
        match self.read() {
            Ok(record) => {
                self.has_read |= record.is_some();
                record.map(Ok)
            }
            Err(error) if error.is_quarantined() => Some(Err(error)),
            Err(error) => {
                // Where a scan begins is its caller's word: no record there is no damage yet.
                let found = if self.has_read { self.log.told(Err(error)) } else { Err(error) };
                self.ended = found.as_ref().err().cloned();
                Some(found)
            }
        }
    }
}
