//! One segment of the log: every record of it checked, and held against queues and index on the way.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::commit_log::{Visit, Walk};
use crate::error::{Damage, Error, Result};
use crate::inspect::queue_files::Stands;
use crate::inspect::verify::entries::{Entries, Found};
use crate::inspect::verify::fault::MessageName;
use crate::inspect::verify::index::{Cursor, KeysFound};
use crate::inspect::verify::peek::one;
use crate::inspect::verify::scope::Scope;
use crate::message::{self, Head, Verify};
use crate::offset::LogOffset;
use crate::recovery::last_nonzero;
use crate::segment::{Segment, SegmentList};

/// After so many records the counts that others see are brought up to date, and it is asked whether to go on.
const TELL_EVERY: u64 = 256;
/// How many entries of each queue are looked at for places at which a record should begin.
const HINTS: usize = 64;

/// What was found in one segment.
#[derive(Debug)]
pub(super) struct SegmentDone {
    pub(super) base: LogOffset,
    pub(super) path: PathBuf,
    /// Behind the last byte that was looked at.
    pub(super) to: LogOffset,
    pub(super) records: u64,
    /// Parts without a valid record, with one behind them.
    pub(super) bad: Vec<Bad>,
    /// Where it ends before its file does.
    pub(super) open: Option<Open>,
    /// The end of the last record that a record before it, or the segment's base, vouches for.
    pub(super) vouched_to: Option<LogOffset>,
    pub(super) found: Found,
    pub(super) keys: KeysFound,
    /// The file has vanished: retention was there.
    pub(super) gone: bool,
}

/// A part of the log in which no valid record stands.
#[derive(Clone, Debug)]
pub(super) struct Bad {
    pub(super) from: LogOffset,
    pub(super) to: LogOffset,
    pub(super) what: String,
    pub(super) zeros: bool,
    /// The message that stood there, as far as its head can be read.
    pub(super) message: Option<MessageName>,
}

/// The end of what is valid in a segment.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) at: LogOffset,
    pub(super) damage: Damage,
    /// Behind the last byte that is not zero, if there is one.
    pub(super) last_nonzero: Option<LogOffset>,
    pub(super) message: Option<MessageName>,
}

/// Goes on within a segment that was begun.
struct Job<'s> {
    scope: &'s Scope,
    list: Arc<SegmentList>,
    segment: Arc<Segment>,
    cursor: Option<Cursor<'s>>,
    done: SegmentDone,
    /// The walk was resumed at a place for which a queue entry alone vouches.
    by_hint: bool,
}

/// Looks at a segment from `from` on. `None`: the caller wants no more.
///
/// # Errors
/// [`Error::Io`] where queues or index cannot be read. A log that cannot be read is a fault.
pub(super) fn check(
    scope: &Scope,
    entries: &mut Entries,
    (base, path): (LogOffset, PathBuf),
    from: LogOffset,
) -> Result<Option<SegmentDone>> {
    let list = one(scope, base, path.clone());
    let Some(segment) = list.last() else { return Ok(None) };
    let cursor = match &scope.index {
        Some(index) => Some(Cursor::new(index, &*scope.parts.disk, from)?),
        None => None,
    };
    let done = SegmentDone {
        base,
        path,
        to: from,
        records: 0,
        bad: Vec::new(),
        open: None,
        vouched_to: None,
        found: Found::default(),
        keys: KeysFound::default(),
        gone: false,
    };
    let job = Job { scope, list, segment, cursor, done, by_hint: false };
    job.run(entries, from)
}

impl Job<'_> {
    fn run(mut self, entries: &mut Entries, from: LogOffset) -> Result<Option<SegmentDone>> {
        let mut walk = Walk::new(Arc::clone(&self.list), from);
        let mut told = (from, 0);
        while walk.place() < self.scope.limit {
            if self.done.records >= told.1 + TELL_EVERY {
                if self.scope.stop.load(Ordering::Relaxed) {
                    return Ok(None);
                }
                told = self.tell(walk.place(), told);
            }
            match self.visit(&mut walk, entries) {
                Ok(Visit::Record(_, end, checked)) => {
                    checked?;
                    self.done.records += 1;
                    if !self.by_hint {
                        self.done.vouched_to = Some(end);
                    }
                }
                Ok(Visit::Blank(_) | Visit::NoSegment(_)) => break,
                Ok(Visit::Broken(at, damage, claims)) => {
                    let Some(to) = self.resume(at, damage, claims)? else { break };
                    walk.jump(to);
                    if let Some(cursor) = &mut self.cursor {
                        cursor.skip_to(to)?;
                    }
                }
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                    self.done.gone = true;
                    break;
                }
                Err(error) => {
                    let (from, to) = (walk.place(), self.segment.end());
                    let what = error.to_string();
                    self.done.bad.push(Bad { from, to, what, zeros: false, message: None });
                    walk.jump(to);
                    break;
                }
            }
        }
        self.done.to = walk.place().min(self.scope.limit);
        if let Some(cursor) = &mut self.cursor {
            // Where the log's end is not known yet, entries beyond are none of this segment's.
            let end = self.done.open.as_ref().map_or(self.segment.end(), |open| open.at);
            self.done.keys.end(cursor, end.min(self.scope.limit))?;
        }
        self.tell(self.segment.end(), told);
        if self.scope.held {
            // Retention may have been here, and have taken entries and keys with it.
            let (disk, path) = (&self.scope.parts.disk, &self.done.path);
            let entry = disk.entry(path).map_err(|e| Error::io("looking at", path, e))?;
            self.done.gone |= entry.is_none();
        }
        Ok(Some(self.done))
    }

    fn tell(&self, at: LogOffset, told: (LogOffset, u64)) -> (LogOffset, u64) {
        self.scope.seen_bytes.fetch_add(at.since(told.0), Ordering::Relaxed);
        self.scope.seen_records.fetch_add(self.done.records - told.1, Ordering::Relaxed);
        (at, self.done.records)
    }

    fn visit(
        &mut self,
        walk: &mut Walk<Arc<SegmentList>>,
        entries: &mut Entries,
    ) -> Result<Visit<Result<()>>> {
        let (scope, cursor) = (self.scope, &mut self.cursor);
        let SegmentDone { found, keys, .. } = &mut self.done;
        walk.visit(
            |at| scope.verify_at(at),
            |at, head| {
                let derivable = message::derivable(head.properties);
                entries.check(scope, found, at, head, &derivable)?;
                match cursor {
                    Some(cursor) => keys.check(scope, cursor, at, head, &derivable),
                    None => Ok(()),
                }
            },
        )
    }

    /// Where records go on behind a bad place, in the same segment.
    fn resume(&mut self, at: LogOffset, damage: Damage, claims: Option<u32>) -> Result<Option<LogOffset>> {
        let message = self.named(at)?;
        let last = last_nonzero(&self.segment, at, self.segment.end())?;
        let next = match last {
            None => None,
            Some(_) => self
                .by_own_ends(at, claims)?
                .map(|to| (to, false))
                .or(self.by_entries(at)?.map(|to| (to, true))),
        };
        let Some((to, by_hint)) = next else {
            self.done.open = Some(Open { at, damage, last_nonzero: last, message });
            return Ok(None);
        };
        let zeros = last_nonzero(&self.segment, at, to)?.is_none();
        self.by_hint |= by_hint;
        self.done.bad.push(Bad { from: at, to, what: damage.to_string(), zeros, message });
        Ok(Some(to))
    }

    /// Where the broken record ends, and those behind it that are broken too, if they say so and something valid
    /// follows.
    fn by_own_ends(&self, at: LogOffset, claims: Option<u32>) -> Result<Option<LogOffset>> {
        let (mut place, mut claims) = (at, claims);
        while let Some(len) = claims {
            place = place.plus(u64::from(len));
            match self.look(place)? {
                Visit::Record(..) | Visit::Blank(_) => return Ok(Some(place)),
                Visit::Broken(_, _, next) => claims = next,
                Visit::NoSegment(_) => break,
            }
        }
        Ok(None)
    }

    /// The first place behind, at which a queue entry says that a record begins, and one does.
    fn by_entries(&self, at: LogOffset) -> Result<Option<LogOffset>> {
        let (disk, end) = (&*self.scope.parts.disk, self.segment.end());
        let mut hints = Vec::new();
        for queue in &self.scope.queues {
            let mut files = self.scope.files(queue);
            let range = (files.first(), queue.end);
            let from = files.partition(disk, range, |entry| entry.at <= at)?;
            let entries = files.read(disk, from, HINTS)?;
            hints.extend(entries.iter().filter_map(|bytes| match Stands::of(bytes) {
                Stands::Entry(entry) if at < entry.at && entry.at < end => Some(entry.at),
                _ => None,
            }));
        }
        hints.sort_unstable();
        for hint in hints {
            if matches!(self.look(hint)?, Visit::Record(..)) {
                return Ok(Some(hint));
            }
        }
        Ok(None)
    }

    fn look(&self, at: LogOffset) -> Result<Visit<()>> {
        Walk::new(Arc::clone(&self.list), at).visit(|at| self.scope.verify_at(at), |_, _| ())
    }

    /// The message at a bad place, as its head tells.
    fn named(&self, at: LogOffset) -> Result<Option<MessageName>> {
        let mut walk = Walk::new(Arc::clone(&self.list), at);
        match walk.visit(|_| Verify::Structure, |_, head| name(head))? {
            Visit::Record(_, _, name) => Ok(name),
            _ => Ok(None),
        }
    }
}

fn name(head: &Head<'_>) -> Option<MessageName> {
    head.sys_flags.is_queued().then(|| MessageName {
        topic: head.topic.to_owned(),
        queue_id: head.queue_id,
        queue_offset: head.queue_offset,
    })
}
