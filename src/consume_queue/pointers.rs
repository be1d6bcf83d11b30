//! [`Pointers`]: where the queues' files say that records begin, for a log of which a part cannot be read.
//!
//! Entries are hints (promises rule 5): what one says is held against the record that stands there. A record that names
//! the place, the queue and the offset of an entry pointing at it was vouched for by two files.

use std::path::{Path, PathBuf};

use crate::consume_queue::rebuild::is_unreadable;
use crate::consume_queue::{ENTRY_BYTES, Entry, QueueSurvey};
use crate::disk::{Access, Disk};
use crate::error::{Error, Result};
use crate::layout;
use crate::offset::{LogOffset, QueueOffset};

/// How much of a file is read at once; a multiple of an entry's length.
const STEP_BYTES: u64 = 64 * 1020;

/// The files of all queues as they lie there.
#[derive(Debug)]
pub(crate) struct Pointers<'a> {
    disk: &'a dyn Disk,
    dir: PathBuf,
    survey: &'a QueueSurvey,
}

/// What one entry claims.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim<'a> {
    pub(crate) topic: &'a str,
    pub(crate) queue_id: u32,
    pub(crate) queue_offset: QueueOffset,
    pub(crate) entry: Entry,
}

impl<'a> Pointers<'a> {
    /// The files that `survey` has found in `dir`.
    pub(crate) fn new(disk: &'a dyn Disk, dir: PathBuf, survey: &'a QueueSurvey) -> Pointers<'a> {
        Pointers { disk, dir, survey }
    }

    /// The first place behind `from` and before `to` that an entry points at and of which `is_true` says that the
    /// claim is. A file that cannot be read claims nothing.
    ///
    /// Costs reading every queue file, but those that are full and point below `from` alone.
    ///
    /// # Errors
    /// Those of `is_true`; [`Error::Io`] of a read that might go well another time.
    pub(crate) fn first_between(
        &self,
        from: LogOffset,
        to: LogOffset,
        mut is_true: impl FnMut(&Claim<'_>) -> Result<bool>,
    ) -> Result<Option<LogOffset>> {
        let mut best = None;
        for ((topic, queue_id), bases) in &self.survey.queues {
            let folder = self.dir.join(topic).join(queue_id.to_string());
            for base in bases {
                let path = folder.join(layout::segment_name(LogOffset(base.0.saturating_mul(ENTRY_BYTES))));
                let found = self.each_in(
                    &path,
                    |index, entry| {
                        if entry.at <= from || entry.at >= best.unwrap_or(to) {
                            return Ok(());
                        }
                        let queue_offset = QueueOffset(base.0.saturating_add(index));
                        if is_true(&Claim { topic, queue_id: *queue_id, queue_offset, entry })? {
                            best = Some(entry.at);
                        }
                        Ok(())
                    },
                    from,
                );
                match found {
                    Err(error) if is_unreadable(&error) && names(&error, &path) => {}
                    found => found?,
                }
            }
        }
        Ok(best)
    }

    /// The entries of one file with their numbers in it; none if all of them point below `from`.
    fn each_in(
        &self,
        path: &Path,
        mut each: impl FnMut(u64, Entry) -> Result<()>,
        from: LogOffset,
    ) -> Result<()> {
        let file = self.disk.open(path, Access::Read).map_err(|e| Error::io("opening", path, e))?;
        let len = file.len() / ENTRY_BYTES * ENTRY_BYTES;
        let read =
            |at: u64, bytes: &mut [u8]| file.read_at(at, bytes).map_err(|e| Error::io("reading", path, e));
        let mut last = [0; 20];
        read(len.saturating_sub(ENTRY_BYTES), &mut last)?;
        if Entry::decode(&last).is_some_and(|last| last.at < from) {
            return Ok(());
        }
        let mut at = 0;
        while at < len {
            let step = STEP_BYTES.min(len - at);
            let mut bytes = vec![0; usize::try_from(step).unwrap_or(0)];
            read(at, &mut bytes)?;
            // Behind the last entry there are zeros up to the file's end.
            if bytes.iter().all(|byte| *byte == 0) {
                break;
            }
            for (number, bytes) in (at / ENTRY_BYTES..).zip(bytes.as_chunks::<20>().0) {
                Entry::decode(bytes).map_or(Ok(()), |entry| each(number, entry))?;
            }
            at += step;
        }
        Ok(())
    }
}

/// Whether the error is about this file.
fn names(error: &Error, file: &Path) -> bool {
    match error {
        Error::Io { path, .. } | Error::Geometry { path, .. } => path == file,
        _ => false,
    }
}
