//! What the last writer left behind besides the log: our mark, ranges and queues, the abort mark, Java's checkpoint.

use crate::checkpoint::{JavaCheckpoint, Mark, MarkFile, Quarantine, Ranges, Snapshot, State, WriterId};
use crate::clock::Timestamp;
use crate::disk::{Access, BootId, Disk};
use crate::error::{Corruption, Damage, Error, Result};
use crate::layout::Layout;
use crate::offset::LogOffset;
use crate::recovery::OnDamage;
use crate::segment::Survey;

/// The longest `abort` that is looked at; ours has some 60 bytes, Java's a process id.
const ABORT_BYTES: u64 = 128;

/// The last writer's traces.
#[derive(Debug)]
pub(crate) struct Before {
    pub(crate) mark: Option<Mark>,
    /// The mark file is beyond use, and the options say to do without.
    pub(crate) mark_is_bad: bool,
    pub(crate) ranges: Ranges,
    pub(crate) quarantine: Quarantine,
    /// The list of damage is beyond use, and the options say to look for the damage again.
    pub(crate) quarantine_is_bad: bool,
    pub(crate) snapshot: Option<Snapshot>,
    pub(crate) abort: Option<Abort>,
    pub(crate) boot: BootId,
    /// Java's checkpoint: records stored up to here had been flushed (spec 5.1); `None` if there is no such file.
    pub(crate) java_flushed: Option<Timestamp>,
    pub(crate) side_damage: Vec<Corruption>,
}

/// Who wrote the abort mark that is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Abort {
    Ours(WriterId),
    Foreign,
}

/// The content of our abort mark: the process id first, as RocketMQ writes it, then the writer, so that we can see
/// whether another program has written since. RocketMQ ignores the content (spec 5.2).
pub(crate) fn abort_text(writer: WriterId) -> String {
    format!("{} sawlog {writer}", std::process::id())
}

fn parse_abort(text: &[u8]) -> Abort {
    let text = std::str::from_utf8(text).unwrap_or_default();
    let words = text.split_ascii_whitespace().collect::<Vec<_>>();
    match words.as_slice() {
        [_, "sawlog", writer] => WriterId::parse(writer).map_or(Abort::Foreign, Abort::Ours),
        _ => Abort::Foreign,
    }
}

impl Before {
    /// Reads all of it; touches nothing.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the mark or the ranges are damaged, or the ranges missing, and `on_damage` refuses, or if the list of damage is and
    /// `on_damage` would not make it anew; [`Error::Io`].
    pub(crate) fn read(disk: &dyn Disk, layout: &Layout, on_damage: OnDamage) -> Result<Before> {
        let own = layout.own();
        let mut side_damage = Vec::new();
        let (mark, mark_is_bad) = spare(MarkFile::read(disk, &own), on_damage, &mut side_damage)?;
        let ranges = match (Ranges::load(disk, &own), &mark) {
            // Each open saves the ranges before the mark: without them rot of a record would go unseen.
            (Ok(None), Some(_)) => {
                let (path, at) = (own.join("ranges"), LogOffset::ZERO);
                Err(Error::Corrupt(Corruption { path, at, what: Damage::NoRanges }))
            }
            (loaded, _) => loaded,
        };
        let (ranges, _) = spare(ranges, on_damage, &mut side_damage)?;
        let is_listed = mark.as_ref().is_some_and(|mark| mark.is_listed);
        let (quarantine, quarantine_is_bad) = match Quarantine::load(disk, &own, is_listed) {
            // Any other rule would refuse, or cut, what is listed there.
            Err(Error::Corrupt(damage)) if on_damage == OnDamage::Quarantine => {
                side_damage.push(damage);
                (Quarantine::default(), true)
            }
            list => (list?, false),
        };
        let (snapshot, damaged) = Snapshot::load_or_none(disk, &own)?;
        side_damage.extend(damaged);
        let abort = read_small(disk, &layout.abort(), ABORT_BYTES)?.map(|text| parse_abort(&text));
        let java_flushed = JavaCheckpoint::load(disk, &layout.checkpoint())?.map(|saved| saved.physic);
        let (ranges, boot) = (ranges.unwrap_or_default(), disk.boot_id());
        Ok(Before {
            mark,
            mark_is_bad,
            ranges,
            quarantine,
            quarantine_is_bad,
            snapshot,
            abort,
            boot,
            java_flushed,
            side_damage,
        })
    }

    /// Nothing is known of the last writer.
    pub(crate) fn unknown(boot: BootId) -> Before {
        Before {
            mark: None,
            mark_is_bad: false,
            ranges: Ranges::default(),
            quarantine: Quarantine::default(),
            quarantine_is_bad: false,
            snapshot: None,
            abort: None,
            boot,
            java_flushed: None,
            side_damage: Vec::new(),
        }
    }

    /// Whether sawlog wrote last: our mark, and no trace of anybody since.
    pub(crate) fn is_ours(&self) -> bool {
        match (&self.mark, self.abort) {
            (None, _) | (Some(_), Some(Abort::Foreign)) => false,
            // We remove our abort mark only after the mark says Closed: without it somebody else closed the store.
            (Some(mark), None) => mark.state == State::Closed,
            (Some(mark), Some(Abort::Ours(writer))) => mark.writer == writer,
        }
    }

    /// Where we closed the log, if nobody has opened it since.
    pub(crate) fn closed_at(&self) -> Option<LogOffset> {
        let mark = self.mark.as_ref().filter(|mark| self.is_ours() && mark.state == State::Closed);
        mark.map(|mark| mark.end)
    }

    /// Where the log begins, if sawlog wrote last and has said it. What lies before was being removed when it ended;
    /// if the log begins behind it a segment is missing.
    pub(crate) fn first(&self) -> Option<LogOffset> {
        self.mark.as_ref().filter(|_| self.is_ours())?.first
    }

    /// A log's only file, by itself, sets the length of all: if our mark says more, it was cut short, and the rest must not
    /// be taken for a whole segment.
    ///
    /// # Errors
    /// [`Error::Geometry`] with the file.
    pub(crate) fn refuse_short(&self, survey: &Survey) -> Result<()> {
        let known = self.mark.as_ref().filter(|_| self.is_ours()).map(|mark| mark.segment_bytes);
        match (known, survey.segment_bytes, &survey.segments[..]) {
            (Some(expected), Some(found), [(_, path)]) if found < expected => {
                Err(Error::Geometry { path: path.clone(), found, expected })
            }
            _ => Ok(()),
        }
    }

    /// Whether the last writer, whoever it was, closed in order.
    pub(crate) fn is_clean(&self) -> bool {
        match &self.mark {
            Some(mark) if self.is_ours() => mark.state == State::Closed,
            _ => self.abort.is_none(),
        }
    }
}

/// What was read of a file of our own, and whether that is damaged and must be done without.
fn spare<T>(
    read: Result<Option<T>>,
    on_damage: OnDamage,
    side_damage: &mut Vec<Corruption>,
) -> Result<(Option<T>, bool)> {
    match read {
        Err(Error::Corrupt(damage)) if on_damage != OnDamage::Refuse => {
            side_damage.push(damage);
            Ok((None, true))
        }
        other => other.map(|found| (found, false)),
    }
}

/// The first bytes of a file, if it is there; never more than `most`.
fn read_small(disk: &dyn Disk, path: &std::path::Path, most: u64) -> Result<Option<Vec<u8>>> {
    let file = match disk.open(path, Access::Read) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("opening", path, e)),
    };
    let mut bytes = vec![0; usize::try_from(file.len().min(most)).unwrap_or(0)];
    file.read_at(0, &mut bytes).map_err(|e| Error::io("reading", path, e))?;
    Ok(Some(bytes))
}

#[cfg(test)]
#[path = "before_tests.rs"]
mod tests;
