//! [`RawBatch`]: a pull as stored bytes, in as few pieces as they lie in.

use crate::commit_log::{Raw, Window};
use crate::consume_queue::{ConsumeQueue, Entry};
use crate::error::{Corruption, Error, Result};
use crate::message::{self, Head, Verify};
use crate::offset::{LogOffset, QueueOffset};
use crate::store::reader::fetch::{Answer, Fetch, Status, Verdict, scan};
use crate::store::reader::{Bounds, Led, Queue, run_bytes, wrong_entry};

/// How many records ahead memory is asked for: what is looked at of one takes a tenth of the time that fetching it
/// does.
const ASK_AHEAD: usize = 8;

/// What one pull found, as raw stored bytes; see [`Queue::raw`]. Its other fields are those of
/// [`Batch`](crate::Batch).
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # use sawlog::{Fetch, Message, Options, QueueOffset, Status, Store};
/// # store.append_batch(&[Message::new("orders", "paid"), Message::new("orders", "sent")])?.forget();
/// let queue = store.queue("orders", 0);
/// queue.wait(QueueOffset(1)).wait()?;
/// let batch = queue.raw(&Fetch::from(QueueOffset(0)))?;
/// assert_eq!((batch.status, batch.count, batch.next), (Status::Found, 2, QueueOffset(2)));
/// assert_eq!(batch.pieces.len(), 1); // they lie side by side
/// assert_eq!(batch.pieces[0].bytes.len() as u64, batch.bytes);
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RawBatch {
    /// Why it is as it is.
    pub status: Status,
    /// The records, in order, one behind the other. Each piece is a run of whole records of one segment. Its bytes stay
    /// whatever happens; its file may be removed by retention before it is opened.
    pub pieces: Vec<Raw>,
    /// How many records there are in the pieces together.
    pub count: u32,
    /// The offset to ask for next.
    pub next: QueueOffset,
    /// The first offset that the queue has.
    pub min: QueueOffset,
    /// The queue's end.
    pub max: QueueOffset,
    /// What the pieces measure together, in bytes.
    pub bytes: u64,
    /// How many entries were looked at.
    pub scanned: u32,
}

pub(super) fn fetch(queue: &Queue, wanted: &Fetch) -> Result<RawBatch> {
    loop {
        let front = queue.log().first();
        match fetch_once(queue, wanted) {
            // Retention took a run between the look at its records and the one at all of them. What is there now?
            Err(Error::OutOfRange { .. }) if queue.log().first() > front => {}
            other => return other,
        }
    }
}

fn fetch_once(queue: &Queue, wanted: &Fetch) -> Result<RawBatch> {
    let (mut runs, mut window) = (Runs::default(), Window::default());
    let filters = wanted.filter_ref().needs_record();
    let answer = scan(queue, wanted, |files, at, entry, ahead| {
        let place = (entry.at, entry.len, queue.topic());
        let is_ours = |head: &Head<'_>| queue.is_ours_by_head(head, at, entry);
        if !filters && window.has_record(queue.log(), place, || run_bytes(entry, ahead), is_ours) {
            if let Some(Some(soon)) = ahead.get(ASK_AHEAD) {
                window.ask_for_ends(soon.at, soon.len);
            }
            runs.push_shown(entry, &window, queue.log().segments().segment_bytes());
            return Ok(Verdict::Taken);
        }
        let found = queue.led(files, at, entry, |log| log.raw(entry.at, u64::from(entry.len)))?;
        let Led::Here(raw) = found else { return Ok(Verdict::Gone) };
        if !is_wanted(queue, wanted, files, at, entry, &raw)? {
            return Ok(Verdict::Unwanted);
        }
        runs.push(raw, queue.log().segments().segment_bytes());
        Ok(Verdict::Taken)
    })?;
    let pieces = runs.into_pieces(queue, &window)?;
    let Answer { status, next, bounds: Bounds { min, max }, count, bytes, scanned } = answer;
    Ok(RawBatch { status, pieces, count, next, min, max, bytes, scanned })
}

/// Whether the filter wants the record in these bytes, which must be the entry's own.
fn is_wanted(
    queue: &Queue,
    wanted: &Fetch,
    files: &ConsumeQueue,
    at: QueueOffset,
    entry: Entry,
    raw: &Raw,
) -> Result<bool> {
    let corrupt = |what| Error::Corrupt(Corruption { path: raw.path.clone(), at: raw.offset, what });
    if wanted.filter_ref().needs_record() {
        let record = message::decode(entry.at, raw.bytes.clone(), Verify::Structure).map_err(corrupt)?;
        return match queue.is_ours(&record, at, entry) {
            true => Ok(wanted.filter_ref().wants(&record)),
            false => Err(wrong_entry(files, at, entry)),
        };
    }
    let head = message::check(entry.at, &raw.bytes, Verify::Structure).map_err(corrupt)?;
    if queue.is_ours_by_head(&head, at, entry) { Ok(true) } else { Err(wrong_entry(files, at, entry)) }
}

/// Records that lie side by side in one file, joined.
#[derive(Default)]
struct Runs {
    runs: Vec<Run>,
}

struct Run {
    at: LogOffset,
    bytes: u64,
    /// All of it, where a further look at it would not be free.
    held: Option<Raw>,
}

impl Runs {
    /// Takes one more record; says whether it goes on with the last run.
    fn extend(&mut self, at: LogOffset, len: u64, segment_bytes: u64) -> bool {
        let follows =
            |run: &&mut Run| run.at.plus(run.bytes) == at && run.at.0 / segment_bytes == at.0 / segment_bytes;
        match self.runs.last_mut().filter(follows) {
            Some(run) => {
                run.bytes = run.bytes.saturating_add(len);
                run.held = None;
                true
            }
            None => {
                self.runs.push(Run { at, bytes: len, held: None });
                false
            }
        }
    }

    fn push(&mut self, raw: Raw, segment_bytes: u64) {
        if !self.extend(raw.offset, raw.bytes.len() as u64, segment_bytes)
            && let Some(run) = self.runs.last_mut()
        {
            run.held = Some(raw);
        }
    }

    /// The same for a record that the window shows.
    #[inline]
    fn push_shown(&mut self, entry: Entry, window: &Window, segment_bytes: u64) {
        self.extend(entry.at, u64::from(entry.len), segment_bytes);
        if let Some(run) = self.runs.last_mut().filter(|_| window.is_copy()) {
            run.held = window.raw(run.at, run.bytes);
        }
    }

    /// Where the disk is mapped a second look costs nothing; elsewhere only runs of several reads pay for one.
    fn into_pieces(self, queue: &Queue, window: &Window) -> Result<Vec<Raw>> {
        let piece = |Run { at, bytes, held }: Run| match held.or_else(|| window.raw(at, bytes)) {
            Some(raw) => Ok(raw),
            None => queue.log().raw(at, bytes),
        };
        self.runs.into_iter().map(piece).collect()
    }
}
