//! One pull from a queue: what is wanted ([`Fetch`]), and RocketMQ's answer to it ([`Batch`], [`Status`]).
//!
//! The order of the tests is RocketMQ's, to the entry (spec 11.1), but that an entry which cannot be read hides no
//! other one (H16), that what cannot be read is said, and that a pull which retention overtakes ends before the first
//! message that it took: the next pull is told that its offset is before the start.

use crate::commit_log::Window;
use crate::consume_queue::{ConsumeQueue, Entry};
use crate::error::{Error, Result};
use crate::message::Record;
use crate::offset::QueueOffset;
use crate::store::reader::{Bounds, Filter, Led, Queue};

/// RocketMQ's limits for messages that are in memory (`maxTransferCountOnMessageInMemory`,
/// `maxTransferBytesOnMessageInMemory`).
const DEFAULT_COUNT: u32 = 32;
const DEFAULT_BYTES: u64 = 256 * 1024;
/// `maxFilterMessageSize` as entries.
const DEFAULT_SCANNED: u32 = 800;
/// How many entries are read together at first, and at most.
const FIRST_ENTRIES: u32 = 40;
const MOST_ENTRIES: u32 = 1024;

/// What one pull wants: [`Queue::fetch`], [`Queue::raw`].
///
/// ```
/// use sawlog::{Fetch, Filter, QueueOffset};
///
/// let wanted = Fetch::from(QueueOffset(7)).max_count(10).filter(Filter::tags(["paid", "sent"]));
/// assert!(format!("{wanted:?}").contains("paid"));
/// ```
#[derive(Clone, Debug)]
pub struct Fetch {
    /// `None`: before the start of any queue.
    from: Option<QueueOffset>,
    max_count: u32,
    max_bytes: u64,
    max_scanned: Option<u32>,
    filter: Filter,
}

impl Fetch {
    /// Messages from `from` on.
    #[must_use]
    pub fn from(from: QueueOffset) -> Fetch {
        Fetch {
            from: Some(from),
            max_count: DEFAULT_COUNT,
            max_bytes: DEFAULT_BYTES,
            max_scanned: None,
            filter: Filter::all(),
        }
    }

    /// The same from the signed number of a RocketMQ pull request. A negative one is before the start.
    #[must_use]
    pub fn from_signed(from: i64) -> Fetch {
        Fetch { from: u64::try_from(from).ok().map(QueueOffset), ..Fetch::from(QueueOffset(0)) }
    }

    /// The most messages. 0 counts as 1, as with RocketMQ: the first message wanted is always given. Default: 32.
    #[must_use]
    pub fn max_count(self, count: u32) -> Fetch {
        Fetch { max_count: count, ..self }
    }

    /// The most bytes of records together, whole records counted; the first one is given however long it is.
    /// Default: 256 KiB.
    #[must_use]
    pub fn max_bytes(self, bytes: u64) -> Fetch {
        Fetch { max_bytes: bytes, ..self }
    }

    /// The most queue entries to look at, wanted or not, before the answer is given with what there is. 0 counts as
    /// 1, so that every pull gets on. Default: 800, or the most messages if that is more.
    #[must_use]
    pub fn max_scanned(self, entries: u32) -> Fetch {
        Fetch { max_scanned: Some(entries), ..self }
    }

    /// Which messages are wanted. Default: all.
    #[must_use]
    pub fn filter(self, filter: impl Into<Filter>) -> Fetch {
        Fetch { filter: filter.into(), ..self }
    }

    pub(super) fn filter_ref(&self) -> &Filter {
        &self.filter
    }

    fn scan_limit(&self) -> u32 {
        self.max_scanned.unwrap_or(DEFAULT_SCANNED.max(self.max_count)).max(1)
    }

    /// Whether a further record of `len` bytes is too much for a batch that holds `count` of `bytes` together.
    fn is_full(&self, count: u32, bytes: u64, len: u32) -> bool {
        count > 0 && (count >= self.max_count || bytes.saturating_add(u64::from(len)) > self.max_bytes)
    }
}

/// Why a batch is as it is: RocketMQ's `GetMessageStatus`, and what its broker answers to the pull (spec 11.1).
///
/// `OFFSET_FOUND_NULL` has no counterpart: a queue file that is gone or cannot be read is an error, which names it.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # use sawlog::{Fetch, Filter, Message, Options, QueueOffset, Status, Store};
/// let queue = store.queue("orders", 0);
/// assert_eq!(queue.fetch(&Fetch::from(QueueOffset(0)))?.status, Status::Empty);
/// store.append(&Message::new("orders", "1").tag("paid"))?.forget();
/// queue.wait(QueueOffset(0)).wait()?;
/// assert_eq!(queue.fetch(&Fetch::from(QueueOffset(0)))?.status, Status::Found);
/// assert_eq!(queue.fetch(&Fetch::from(QueueOffset(1)))?.status, Status::AtEnd);
/// let sent = Fetch::from(QueueOffset(0)).filter(Filter::tags(["sent"]));
/// assert_eq!(queue.fetch(&sent)?.status, Status::NoMatch);
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Status {
    /// Messages are here (`FOUND`). A broker answers with them.
    Found,
    /// Messages were looked at, the filter wanted none (`NO_MATCHED_MESSAGE`). A broker lets the client ask again at
    /// once, from [`Batch::next`].
    NoMatch,
    /// The offset is the end of the queue (`OFFSET_OVERFLOW_ONE`). A broker lets the client wait for news.
    AtEnd,
    /// The offset is beyond the end (`OFFSET_OVERFLOW_BADLY`); `next` is the end. A broker answers "offset moved".
    BeyondEnd,
    /// The offset is before the first message (`OFFSET_TOO_SMALL`); `next` is the first one's. A broker answers
    /// "offset moved".
    BeforeStart,
    /// The queue never had a message (`NO_MESSAGE_IN_QUEUE`); `next` is 0. Also for a queue that does not exist, as
    /// RocketMQ makes one to look at (spec H42). A broker lets the client wait if it asked for 0, and answers
    /// "offset moved" if not.
    Empty,
    /// Entries were looked at which have no message, and never had one, or whose message is gone though an earlier one
    /// is there (`MESSAGE_WAS_REMOVING`). A broker lets the client ask again at once, from [`Batch::next`]. Where
    /// retention has moved the queue's front past the offset, the answer is [`Status::BeforeStart`] instead.
    Removed,
}

/// What one pull found; see [`Queue::fetch`].
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # use sawlog::{Fetch, Message, Options, QueueOffset, Status, Store};
/// # store.append_batch(&[Message::new("orders", "paid"), Message::new("orders", "sent")])?.forget();
/// let queue = store.queue("orders", 0);
/// queue.wait(QueueOffset(1)).wait()?;
/// let (mut next, mut bodies) = (QueueOffset(0), Vec::new());
/// loop {
///     let batch = queue.fetch(&Fetch::from(next).max_count(1))?;
///     if batch.status == Status::AtEnd {
///         break; // wait for news
///     }
///     bodies.extend(batch.records.iter().map(|record| record.body().clone()));
///     next = batch.next;
/// }
/// assert_eq!(bodies, ["paid", "sent"]);
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Batch {
    /// Why it is as it is.
    pub status: Status,
    /// The messages, in order. Their bodies are slices of the log and hold its segment alive.
    pub records: Vec<Record>,
    /// The offset to ask for next: behind the last entry that was looked at, wanted or not.
    pub next: QueueOffset,
    /// The first offset that the queue has.
    pub min: QueueOffset,
    /// The queue's end.
    pub max: QueueOffset,
    /// What the records measure together, in bytes.
    pub bytes: u64,
    /// How many entries were looked at.
    pub scanned: u32,
}

/// An answer without its messages.
pub(super) struct Answer {
    pub(super) status: Status,
    pub(super) next: QueueOffset,
    pub(super) bounds: Bounds,
    pub(super) count: u32,
    pub(super) bytes: u64,
    pub(super) scanned: u32,
}

/// What became of an entry that was looked at.
pub(super) enum Verdict {
    Taken,
    Unwanted,
    Gone,
}

pub(super) fn fetch(queue: &Queue, wanted: &Fetch) -> Result<Batch> {
    let (mut records, mut window) = (Vec::new(), Window::default());
    let answer = scan(queue, wanted, |files, at, entry, ahead| {
        if let Some((head, bytes)) = queue.head_through(&mut window, (at, entry), ahead) {
            records.push(Record::of(entry.at, &head, bytes));
            // The rare case, so that the other needs no copy.
            let is_wanted = records.last().is_some_and(|record| wanted.filter.wants(record));
            return Ok(if is_wanted {
                Verdict::Taken
            } else {
                records.pop().map_or(Verdict::Gone, |_| Verdict::Unwanted)
            });
        }
        Ok(match queue.record(files, at, entry)? {
            Led::Gone => Verdict::Gone,
            Led::Here(record) if !wanted.filter.wants(&record) => Verdict::Unwanted,
            Led::Here(record) => {
                records.push(record);
                Verdict::Taken
            }
        })
    })?;
    let Answer { status, next, bounds: Bounds { min, max }, bytes, scanned, .. } = answer;
    Ok(Batch { status, records, next, min, max, bytes, scanned })
}

/// Looks at entries as RocketMQ does, and has `look` take the records. It is shown the entries behind each as well, as
/// far as the batch may take them.
pub(super) fn scan(
    queue: &Queue,
    wanted: &Fetch,
    mut look: impl FnMut(&ConsumeQueue, QueueOffset, Entry, &[Option<Entry>]) -> Result<Verdict>,
) -> Result<Answer> {
    loop {
        let bounds = queue.bounds()?;
        let from = match judge(wanted.from, bounds) {
            Ok(from) => from,
            Err((Status::BeforeStart, next)) => {
                return before_start(queue, wanted, bounds)
                    .map(|()| nothing(Status::BeforeStart, next, bounds));
            }
            Err((status, next)) => return Ok(nothing(status, next, bounds)),
        };
        let Some(files) = queue.files() else { return Ok(nothing(Status::Empty, from, bounds)) };
        let answer = Pull::new(queue, files, wanted, bounds, from).run(&mut look)?;
        // Not one entry, though the offset was in the queue: its front was removed since. What stands there now?
        if answer.scanned > 0 {
            return Ok(answer);
        }
    }
}

/// The tests before the first entry is looked at: the offset to begin with, or the answer and where to go on.
fn judge(
    from: Option<QueueOffset>,
    bounds: Bounds,
) -> std::result::Result<QueueOffset, (Status, QueueOffset)> {
    let Bounds { min, max } = bounds;
    match from {
        _ if max == QueueOffset(0) => Err((Status::Empty, QueueOffset(0))),
        None => Err((Status::BeforeStart, min)),
        Some(from) if from < min => Err((Status::BeforeStart, min)),
        Some(from) if from == max => Err((Status::AtEnd, from)),
        Some(from) if from > max => Err((Status::BeyondEnd, max)),
        Some(from) => Ok(from),
    }
}

/// Messages before the first one that damage took, and not retention, are an error and no status.
fn before_start(queue: &Queue, wanted: &Fetch, bounds: Bounds) -> Result<()> {
    match wanted.from.map(|from| queue.before_start(bounds, from)).transpose()? {
        Some(error) if error.is_quarantined() => Err(error),
        _ => Ok(()),
    }
}

fn nothing(status: Status, next: QueueOffset, bounds: Bounds) -> Answer {
    Answer { status, next, bounds, count: 0, bytes: 0, scanned: 0 }
}

/// One walk over the entries of one queue file: RocketMQ reads one a pull (`travelCqFileNumWhenGetMessage`).
struct Pull<'a> {
    queue: &'a Queue,
    files: &'a ConsumeQueue,
    wanted: &'a Fetch,
    answer: Answer,
}

impl Pull<'_> {
    fn new<'a>(
        queue: &'a Queue,
        files: &'a ConsumeQueue,
        wanted: &'a Fetch,
        bounds: Bounds,
        from: QueueOffset,
    ) -> Pull<'a> {
        Pull { queue, files, wanted, answer: nothing(Status::NoMatch, from, bounds) }
    }

    fn run(
        mut self,
        look: &mut impl FnMut(&ConsumeQueue, QueueOffset, Entry, &[Option<Entry>]) -> Result<Verdict>,
    ) -> Result<Answer> {
        let start = self.answer.next;
        // A batch of the size asked for is read at once; who filters goes on in longer steps.
        let mut together = self.wanted.max_count.clamp(FIRST_ENTRIES, MOST_ENTRIES);
        loop {
            let from = self.answer.next;
            let left = self.wanted.scan_limit().saturating_sub(self.answer.scanned);
            let in_queue = self.answer.bounds.max.0.saturating_sub(from.0);
            let most = u64::from(left.min(together)).min(in_queue);
            if most == 0 || (from > start && !self.is_one_file(start, from)) {
                return Ok(self.answer);
            }
            let entries = match self.files.read(from, usize::try_from(most).unwrap_or(usize::MAX)) {
                Ok(entries) if entries.is_empty() => return Ok(self.answer),
                // Said by the next pull, which begins here.
                Err(_) if self.answer.scanned > 0 => return Ok(self.answer),
                entries => entries?,
            };
            let mut rest = entries.as_slice();
            while let Some((entry, ahead)) = rest.split_first() {
                rest = ahead;
                match self.step(*entry, ahead, look) {
                    Ok(true) => {}
                    Err(error) if self.answer.scanned == 0 => return Err(error),
                    Ok(false) | Err(_) => return Ok(self.answer),
                }
            }
            together = MOST_ENTRIES;
        }
    }

    fn is_one_file(&self, a: QueueOffset, b: QueueOffset) -> bool {
        self.files.segment_of(a) == self.files.segment_of(b)
    }

    /// What is to be told of a position without a message, if damage took it.
    fn hole_here(&self, entry: Option<Entry>) -> Result<Option<Error>> {
        if entry.is_some() { Ok(None) } else { self.queue.hole(self.answer.bounds, self.answer.next) }
    }

    /// Looks at one entry; `false` if it is too much for this batch, or the queue's front has passed it.
    fn step(
        &mut self,
        entry: Option<Entry>,
        ahead: &[Option<Entry>],
        look: &mut impl FnMut(&ConsumeQueue, QueueOffset, Entry, &[Option<Entry>]) -> Result<Verdict>,
    ) -> Result<bool> {
        if let Some(error) = self.hole_here(entry)? {
            return Err(error);
        }
        let answer = &mut self.answer;
        let verdict = match entry {
            None => Verdict::Gone,
            // Before the filter is asked: a long message that nobody wants ends a batch, too.
            Some(entry) if self.wanted.is_full(answer.count, answer.bytes, entry.len) => return Ok(false),
            Some(entry) if entry.is_readable() && !self.wanted.filter.wants_code(entry.tag) => {
                Verdict::Unwanted
            }
            Some(entry) => {
                let most = self.wanted.max_count.saturating_sub(answer.count).saturating_sub(1);
                let ahead = ahead.get(..usize::try_from(most).unwrap_or(usize::MAX)).unwrap_or(ahead);
                let verdict = look(self.files, answer.next, entry, ahead)?;
                match verdict {
                    Verdict::Taken => {
                        answer.count = answer.count.saturating_add(1);
                        answer.bytes = answer.bytes.saturating_add(u64::from(entry.len));
                    }
                    Verdict::Gone if self.queue.passed_by_front(answer.next)?.is_some() => return Ok(false),
                    Verdict::Gone | Verdict::Unwanted => {}
                }
                verdict
            }
        };
        answer.status = match verdict {
            _ if answer.count > 0 => Status::Found,
            Verdict::Gone => Status::Removed,
            Verdict::Taken | Verdict::Unwanted => Status::NoMatch,
        };
        answer.scanned = answer.scanned.saturating_add(1);
        answer.next = answer.next.next();
        Ok(true)
    }
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
