//! What the readers of one store share: its segments and our own small files, as they were when last looked at.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::checkpoint::{Ranges, Snapshot, State};
use crate::consume_queue::QueueSurvey;
use crate::disk::{Access, Disk, Holder};
use crate::error::{Corruption, Damage, Error, Result};
use crate::inspect::queue_files::QueueFiles;
use crate::inspect::{Look, parts};
use crate::layout::Layout;
use crate::message::{self, Peek, Record, Verify};
use crate::offset::{LogOffset, Position};
use crate::recovery::{self, Before, OnDamage};
use crate::segment::{Segment, SegmentList};
use crate::sync::Mutex;

/// So many segments are kept open for reading here and there.
const MOST_OPEN: usize = 64;

/// See the file's text.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) look: Look,
    pub(super) layout: Layout,
    view: Mutex<View>,
}

#[derive(Debug)]
struct View {
    list: Arc<SegmentList>,
    /// Bases of the segments that were read from through this list.
    opened: BTreeSet<LogOffset>,
    known: Arc<Known>,
    /// Up to where a broker's queues hold everything; it only grows.
    dispatched: Option<LogOffset>,
}

/// What our own small files say, and who has the store open.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) held: bool,
    /// Whether sawlog wrote last.
    pub(super) ours: bool,
    /// Whether it closed in order.
    pub(super) closed: bool,
    /// Below this place every byte of the log was durable, and so written, if sawlog wrote last.
    pub(super) durable: LogOffset,
    /// Where the log begins, if sawlog wrote last and has said it.
    first: Option<LogOffset>,
    pub(super) ranges: Ranges,
    /// What is derived, if the files hold it and sawlog wrote last.
    pub(super) derived: Option<Snapshot>,
    /// The same, whatever it is worth: for the topics that were dropped.
    pub(super) snapshot: Option<Snapshot>,
}

impl Known {
    fn of(look: &Look, layout: &Layout) -> Result<Known> {
        let before = Before::read(&*look.disk, layout, OnDamage::FirstBroken)?;
        let holder = look.disk.holder(&layout.lock());
        let holder = holder.map_err(|e| Error::io("asking who holds", &layout.lock(), e))?;
        let ours = before.is_ours();
        let mark = before.mark.as_ref().filter(|_| ours);
        let writer = mark.map(|mark| mark.writer);
        let derived = before.snapshot.clone().filter(|s| s.has_files && Some(s.writer) == writer);
        Ok(Known {
            held: matches!(holder, Holder::Held { .. }),
            ours,
            closed: mark.is_some_and(|mark| mark.state == State::Closed),
            durable: mark.map_or(LogOffset::ZERO, |mark| mark.durable),
            first: before.first(),
            ranges: recovery::known_ranges(&before, ours),
            derived,
            snapshot: before.snapshot,
        })
    }

    pub(super) fn verify_at(&self, at: LogOffset) -> Verify {
        if self.ranges.contains(at) { Verify::Ours } else { Verify::Legacy }
    }

    /// Below this place records of the topic do not count: it was dropped.
    pub(super) fn dropped_below(&self, topic: &str) -> LogOffset {
        let dropped = self.snapshot.as_ref().and_then(|s| s.dropped.get(topic.as_bytes()));
        dropped.copied().unwrap_or_default()
    }
}

impl Shared {
    pub(super) fn new(look: &Look) -> Result<Shared> {
        let look = look.clone();
        let layout = parts::store_at(&look)?;
        recovery::refuse_unreadable_kinds(&*look.disk, &layout)?;
        let known = Arc::new(Known::of(&look, &layout)?);
        let list = segment_list(&look, &layout, &known)?;
        let view = Mutex::new(View { list, opened: BTreeSet::new(), known, dispatched: None });
        Ok(Shared { look, layout, view })
    }

    pub(super) fn disk(&self) -> &dyn Disk {
        &*self.look.disk
    }

    /// Looks at folder, mark and snapshot again.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Foreign`] if a newer program wrote our own files.
    pub(super) fn refresh(&self) -> Result<()> {
        // The mark first: what it says is durable lies in files that were there before.
        let known = Arc::new(Known::of(&self.look, &self.layout)?);
        let list = segment_list(&self.look, &self.layout, &known)?;
        let mut view = self.view.lock();
        (view.list, view.known) = (list, known);
        view.opened.clear();
        Ok(())
    }

    pub(super) fn list(&self) -> Arc<SegmentList> {
        Arc::clone(&self.view.lock().list)
    }

    pub(super) fn known(&self) -> Arc<Known> {
        Arc::clone(&self.view.lock().known)
    }

    /// The segment that holds `at`, looked for again if it is not there.
    pub(super) fn segment(&self, at: LogOffset) -> Result<Arc<Segment>> {
        if let Some(found) = self.segment_now(at) {
            return Ok(found);
        }
        self.refresh()?;
        self.segment_now(at).ok_or_else(|| self.out_of_range(at))
    }

    fn segment_now(&self, at: LogOffset) -> Option<Arc<Segment>> {
        let mut view = self.view.lock();
        let found = view.list.find(at)?;
        if view.opened.insert(found.base()) && view.opened.len() > MOST_OPEN {
            // A list keeps its files open: begin another one, and leave this one to those who still read from it.
            view.opened.clear();
            view.list = Arc::new(view.list.reopened(Access::Read));
            return view.list.find(at);
        }
        Some(found)
    }

    pub(super) fn out_of_range(&self, at: LogOffset) -> Error {
        let list = self.list();
        let (first, end) =
            (list.first().unwrap_or_default(), list.last().map_or(LogOffset::ZERO, |s| s.end()));
        Error::OutOfRange { asked: at.0, first: first.0, next: end.0 }
    }

    /// The record that begins at `at`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], [`Error::Corrupt`], [`Error::Io`].
    pub(super) fn record_at(&self, at: LogOffset) -> Result<Record> {
        let segment = self.segment(at)?;
        let corrupt = |what| Error::Corrupt(Corruption { path: segment.path().clone(), at, what });
        let left = segment.end().since(at);
        let mut head = [0; 8];
        if left < 8 {
            return Err(corrupt(Damage::Cut));
        }
        self.read(&segment, at, &mut head)?;
        let len = match message::peek(&head) {
            Peek::Record { len } if u64::from(len) <= left => len,
            Peek::Record { .. } => return Err(corrupt(Damage::Cut)),
            Peek::Blank { len } => return Err(corrupt(Damage::BadBlank { len, left })),
            Peek::Unwritten => return Err(corrupt(Damage::Unwritten)),
            Peek::Garbage { damage } => return Err(corrupt(damage)),
        };
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        self.read(&segment, at, &mut bytes)?;
        message::decode(at, bytes.into(), self.known().verify_at(at)).map_err(corrupt)
    }

    pub(super) fn raw(&self, position: Position) -> Result<Bytes> {
        let segment = self.segment(position.offset)?;
        if position.end() > segment.end() {
            return Err(self.out_of_range(position.end()));
        }
        let mut bytes = vec![0; usize::try_from(position.len).unwrap_or(0)];
        self.read(&segment, position.offset, &mut bytes)?;
        Ok(bytes.into())
    }

    /// A file that has vanished since it was listed was removed by retention.
    fn read(&self, segment: &Segment, at: LogOffset, out: &mut [u8]) -> Result<()> {
        match segment.read(at, out) {
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                self.refresh()?;
                Err(self.out_of_range(at))
            }
            other => other,
        }
    }

    /// A topic's folder; `None` for a name that no folder can have.
    pub(super) fn topic_dir(&self, topic: &str) -> Option<PathBuf> {
        let is_name = !topic.is_empty() && topic != "." && topic != ".." && !topic.contains(['/', '\0']);
        is_name.then(|| self.layout.consume_queues().join(topic))
    }

    /// Up to where queues and index of a store that sawlog did not write last hold everything: behind the newest
    /// record of any queue. RocketMQ derives in log order, by one thread, and writes entries at once (spec 8).
    pub(super) fn dispatched(&self) -> Result<LogOffset> {
        if let Some(known) = self.view.lock().dispatched {
            return Ok(known);
        }
        let survey = QueueSurvey::of(self.disk(), &self.layout.consume_queues())?;
        let per_segment = survey.entries_per_segment.unwrap_or(1);
        let mut dispatched = LogOffset::ZERO;
        for ((topic, id), bases) in survey.queues {
            let mut files = QueueFiles::new(&self.layout, &topic, id, per_segment, bases);
            let end = files.end(self.disk())?;
            let last = files.last_entry(self.disk(), end)?;
            dispatched = dispatched.max(last.map_or(LogOffset::ZERO, |entry| entry.end()));
        }
        let dispatched = dispatched.max(self.list().first().unwrap_or_default());
        self.view.lock().dispatched = Some(dispatched);
        Ok(dispatched)
    }

    /// Up to where every record is in the files of queues and index, as far as that is known.
    pub(super) fn derived_to(&self) -> Result<LogOffset> {
        let known = self.known();
        let first = self.list().first().unwrap_or_default();
        match &known.derived {
            Some(snapshot) => Ok(snapshot.derived_to.max(first)),
            // Being made anew, queue by queue.
            None if known.ours => Ok(first),
            None => self.dispatched(),
        }
    }
}

fn segment_list(look: &Look, layout: &Layout, known: &Known) -> Result<Arc<SegmentList>> {
    let dir = layout.commit_log();
    let (mut found, _) = parts::log_files(&*look.disk, &dir)?;
    if let Some(first) = known.first {
        found.give_up(first);
    }
    let bytes = found.segment_bytes.unwrap_or(1);
    Ok(Arc::new(SegmentList::new(Arc::clone(&look.disk), dir, bytes, &found, Access::Read)))
}
