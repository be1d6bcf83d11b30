//! Many records in log order.
//!
//! A chunk is looked at together: most records lie whole in the one at hand, and cost their checksum and little more.
//! Whatever is not so plain, a record that goes on in the next chunk, a segment's end, damage, is left to a look at that
//! one place, which says what is wrong. A scan goes on behind a quarantined part.

use std::sync::Arc;

use bytes::Bytes;

use crate::commit_log::CommitLog;
use crate::commit_log::read::{HEAD_BYTES, quarantined, record_len};
use crate::disk;
use crate::error::{Corruption, Damage, Error, Result};
use crate::message::{self, Peek, Record, Verify};
use crate::offset::LogOffset;
use crate::segment::Segment;

/// How much a scan looks at together: free where the disk is mapped, one read where it is not.
const CHUNK_BYTES: u64 = 1 << 20;
/// What is looked at of a record in front of its body, and behind it where topic and properties are short.
const HEAD_LOOK_BYTES: usize = 128;
const TAIL_LOOK_BYTES: usize = 128;
/// How far ahead of what is checked memory is asked for: what checking takes as long as fetching, from the next page
/// too, where the processor does not go by itself.
const AHEAD_BYTES: usize = 2048;

/// Records in log order, from a place on; see [`Store::scan`](crate::Store::scan).
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # use sawlog::{Message, Options, Store};
/// let mut scan = store.scan(store.marks().first);
/// assert!(scan.next().is_none()); // nothing yet
/// let ack = store.append(&Message::new("orders", "paid"))?;
/// ack.wait()?;
/// assert_eq!(scan.next().transpose()?.expect("goes on").body(), "paid");
/// assert_eq!(scan.position(), ack.end()); // where to begin the next time
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Scan {
    log: Arc<CommitLog>,
    at: LogOffset,
    segment: Option<Arc<Segment>>,
    chunk: Bytes,
    chunk_at: LogOffset,
    /// Up to here nothing speaks against the chunk but what its records say: it is readable, and not quarantined.
    sound_to: LogOffset,
    /// That of the last record: the next one's is most often the same, and need not be read as text again.
    topic: String,
    /// Nobody looks at what it has shown once the store is closed: it may look at what no sync covers without a copy.
    of_the_store: bool,
    /// A record was found where it began.
    has_read: bool,
    ended: Option<Error>,
}

impl CommitLog {
    /// Records from `from` on.
    pub(crate) fn scan(self: &Arc<Self>, from: LogOffset) -> Scan {
        let (log, chunk) = (Arc::clone(self), Bytes::new());
        Scan {
            log,
            at: from,
            segment: None,
            chunk,
            chunk_at: from,
            sound_to: LogOffset::ZERO,
            topic: String::new(),
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
            self.sound_to = self.log.sound_until(self.at, self.at.plus(self.chunk.len() as u64));
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

    /// The head of the record at the scan's place, if it lies in the chunk at hand and nothing is wrong with it.
    #[inline(always)]
    fn head_in_chunk(&self) -> Option<message::Head<'_>> {
        if self.at >= self.sound_to || self.log.has_failed() {
            return None;
        }
        let rest = self.chunk.get(usize::try_from(self.at.since(self.chunk_at)).ok()?..)?;
        let Peek::Record { len } = message::peek(rest.first_chunk()?) else { return None };
        let record = rest.get(..len as usize)?;
        let ahead = rest.get(AHEAD_BYTES..).unwrap_or_default();
        disk::ask_for(ahead.get(..record.len().min(AHEAD_BYTES)).unwrap_or(ahead));
        message::check_plain(self.at, record, self.log.verify_at(self.at), &self.topic)
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
        let Some(head) = self.head_in_chunk() else { return self.next_by_itself() };
        let new_topic =
            (!std::ptr::eq(head.topic.as_ptr(), self.topic.as_ptr())).then(|| head.topic.to_owned());
        let next = self.at.plus(u64::from(head.len));
        // Made in its place: a record is too long to be moved for nothing.
        let record = Some(Ok(Record::of(self.at, &head, &self.chunk)));
        self.at = next;
        if let Some(topic) = new_topic {
            self.topic = topic;
        }
        record
    }
}

impl Scan {
    #[inline(never)]
    fn next_by_itself(&mut self) -> Option<Result<Record>> {
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
