//! [`Follow`]: records in log order, up to what is not yet whole, and on from there.

use std::sync::Arc;

use bytes::Bytes;

use super::view::{Known, Shared};
use crate::commit_log::{Visit, Walk};
use crate::error::{Corruption, Damage, Error, Result};
use crate::message::{self, Peek, Record, Verify};
use crate::offset::LogOffset;
use crate::segment::SegmentList;

/// Records in log order; see [`Reader::scan`](super::Reader::scan).
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # use sawlog::{Message, Options, Store, inspect};
/// let reader = inspect::Reader::open(folder.path())?;
/// let mut scan = reader.scan(reader.first()?);
/// assert!(scan.next().is_none()); // nothing yet
/// let ack = store.append(&Message::new("orders", "paid"))?;
/// ack.wait()?;
/// assert_eq!(scan.next().transpose()?.expect("goes on").body(), "paid");
/// assert_eq!(scan.position(), ack.end());
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Follow {
    shared: Arc<Shared>,
    walk: Walk<Arc<SegmentList>>,
    known: Arc<Known>,
    /// Nothing stood here when it was last asked.
    waiting: bool,
    ended: Option<Error>,
}

/// What was made of a valid record.
enum Seen {
    Whole(Record),
    /// Its properties hold a byte that no text has: it may be half copied, and nothing vouches for it.
    Doubtful(Record),
}

impl Follow {
    pub(super) fn new(shared: &Arc<Shared>, from: LogOffset) -> Follow {
        let walk = Walk::new(shared.list(), from);
        Follow { shared: Arc::clone(shared), walk, known: shared.known(), waiting: false, ended: None }
    }

    /// Where the next record begins, or would.
    #[must_use]
    pub fn position(&self) -> LogOffset {
        self.walk.place()
    }

    /// Begins anew at the same place, with files and marks as they are now.
    fn look_again(&mut self) -> Result<()> {
        self.shared.refresh()?;
        self.known = self.shared.known();
        self.walk = Walk::new(self.shared.list(), self.walk.place());
        Ok(())
    }

    fn visit(&mut self) -> Result<Visit<Seen>> {
        let known = &self.known;
        let seen = self.walk.visit(
            |at| known.verify_at(at),
            |at, head| {
                let record = message::decode(at, Bytes::copy_from_slice(head.record), Verify::Structure)?;
                // Only a checksum over the whole record tells that all of it has arrived.
                let doubtful = known.held && !known.ranges.contains(at) && head.properties.contains(&0);
                Ok(if doubtful { Seen::Doubtful(record) } else { Seen::Whole(record) })
            },
        );
        Ok(match seen {
            // Removed since it was listed.
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Visit::NoSegment(self.walk.place())
            }
            Ok(Visit::Record(at, end, Ok(seen))) => Visit::Record(at, end, seen),
            Ok(Visit::Record(at, end, Err(damage))) => {
                Visit::Broken(at, damage, u32::try_from(end.since(at)).ok())
            }
            Ok(Visit::Blank(at)) => Visit::Blank(at),
            Ok(Visit::Broken(at, damage, claims)) => Visit::Broken(at, damage, claims),
            Ok(Visit::NoSegment(at)) => Visit::NoSegment(at),
            Err(error) => return Err(error),
        })
    }

    fn read(&mut self) -> Result<Option<Record>> {
        if self.waiting && self.is_unwritten()? {
            return Ok(None);
        }
        self.waiting = false;
        let mut fresh = false;
        loop {
            match self.visit()? {
                Visit::Record(_, _, Seen::Whole(record)) => return Ok(Some(record)),
                Visit::Record(at, _, Seen::Doubtful(record)) => {
                    if !self.is_unwritten()? {
                        return Ok(Some(record));
                    }
                    self.walk.jump(at);
                    return Ok(None);
                }
                Visit::Blank(_) => {
                    // Another segment, another list: the files of those behind are closed.
                    self.look_again()?;
                    fresh = true;
                }
                // What was read before may be older than what stands there now.
                Visit::Broken(..) | Visit::NoSegment(_) if !fresh => {
                    self.look_again()?;
                    fresh = true;
                }
                Visit::Broken(at, damage, claims) => return self.judge(at, damage, claims),
                Visit::NoSegment(at) => return self.at_no_segment(at),
            }
        }
    }

    /// Whether zeros stand where the next record will: the cheap look of somebody who waits.
    fn is_unwritten(&self) -> Result<bool> {
        let at = self.walk.place();
        let list = self.shared.list();
        let Some(segment) = list.find(at).filter(|s| s.end().since(at) >= 8) else { return Ok(false) };
        let mut head = [0; 8];
        match segment.read(at, &mut head) {
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
            Ok(()) => Ok(message::peek(&head) == Peek::Unwritten),
        }
    }

    /// No valid record stands here: is it not yet whole, or damage? It is damage if it was durable once, or if a valid
    /// record stands behind it where one must begin: a writer writes one behind the other.
    fn judge(&mut self, at: LogOffset, damage: Damage, claims: Option<u32>) -> Result<Option<Record>> {
        let list = self.shared.list();
        let own_end = claims.map(|len| at.plus(u64::from(len)));
        let bases = list.all();
        let later = bases.iter().map(|s| s.base()).filter(|base| *base > at);
        let proven =
            at < self.known.durable || own_end.into_iter().chain(later).any(|at| self.is_valid(&list, at));
        if !proven {
            self.waiting = true;
            return Ok(None);
        }
        // It may have been completed, and more been written behind it, between the two looks.
        self.walk = Walk::new(Arc::clone(&list), at);
        match self.visit()? {
            Visit::Record(_, _, Seen::Whole(record) | Seen::Doubtful(record)) => Ok(Some(record)),
            Visit::Blank(_) => self.read(),
            _ => {
                let path = list.find(at).map_or_else(|| list.dir().to_path_buf(), |s| s.path().clone());
                Err(Error::Corrupt(Corruption { path, at, what: damage }))
            }
        }
    }

    fn is_valid(&self, list: &Arc<SegmentList>, at: LogOffset) -> bool {
        let mut walk = Walk::new(Arc::clone(list), at);
        let known = &self.known;
        matches!(walk.visit(|at| known.verify_at(at), |_, _| ()), Ok(Visit::Record(..)))
    }

    fn at_no_segment(&mut self, at: LogOffset) -> Result<Option<Record>> {
        let list = self.shared.list();
        let corrupt = |what| Error::Corrupt(Corruption { path: list.dir().to_path_buf(), at, what });
        if list.first().is_some_and(|first| at < first) {
            return Err(self.shared.out_of_range(at));
        }
        if list.last().is_some_and(|last| last.base() > at) {
            return Err(corrupt(Damage::MissingSegment));
        }
        if at < self.known.durable {
            return Err(corrupt(Damage::EndsEarly { durable: self.known.durable }));
        }
        Ok(None)
    }
}

/// Ends at what is not yet whole, and goes on from there when asked again and more has come. An error stays: every
/// later call answers with the same one. [`Error::OutOfRange`] says that retention has overtaken this reader, or that
/// it began outside of the log: begin again at [`Reader::first`](super::Reader::first).
impl Iterator for Follow {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Result<Record>> {
        if let Some(error) = &self.ended {
            return Some(Err(error.clone()));
        }
        self.read().map_err(|error| self.ended.insert(error).clone()).transpose()
    }
}
