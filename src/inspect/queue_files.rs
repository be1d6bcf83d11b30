//! The files of one queue, read without believing them.

use std::path::{Path, PathBuf};

use crate::consume_queue::{ENTRY_BYTES, Entry};
use crate::disk::{Access, Disk, DiskFile};
use crate::error::{Error, Result};
use crate::layout::{Layout, segment_name};
use crate::offset::{LogOffset, QueueOffset};

/// How many entries are read together when one after the other is looked at.
const TOGETHER: usize = 1024;

/// An entry's bytes.
pub(super) type Raw = [u8; 20];

/// See the file's text. At most one file is open at a time.
#[derive(Debug)]
pub(super) struct QueueFiles {
    dir: PathBuf,
    per_segment: u64,
    /// The first offset of each file, ascending.
    bases: Vec<QueueOffset>,
    open: Option<(QueueOffset, Option<Box<dyn DiskFile>>)>,
    /// Every record below this place of the log has its entry in them, as far as that was known before they were looked
    /// for.
    pub(super) derived_to: LogOffset,
}

/// What stands at an offset of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stands {
    /// Zeros: nothing was written there.
    Unwritten,
    /// A blank, that stands for no message.
    Blank,
    Entry(Entry),
    /// Neither.
    Rubbish,
}

impl Stands {
    pub(super) fn of(bytes: &Raw) -> Stands {
        match Entry::within_queue(bytes) {
            _ if *bytes == [0; 20] => Stands::Unwritten,
            None => Stands::Blank,
            Some(entry) if entry.is_readable() => Stands::Entry(entry),
            Some(_) => Stands::Rubbish,
        }
    }
}

impl QueueFiles {
    /// The files of a queue whose first offsets are `bases`, ascending.
    pub(super) fn new(
        layout: &Layout,
        topic: &str,
        id: u32,
        per_segment: u32,
        bases: Vec<QueueOffset>,
    ) -> QueueFiles {
        let dir = layout.consume_queues().join(topic).join(id.to_string());
        QueueFiles {
            dir,
            per_segment: u64::from(per_segment).max(1),
            bases,
            open: None,
            derived_to: LogOffset::ZERO,
        }
    }

    pub(super) fn bases(&self) -> &[QueueOffset] {
        &self.bases
    }

    /// The offset of the first place that a file has room for.
    pub(super) fn first(&self) -> u64 {
        self.bases.first().map_or(0, |base| base.0)
    }

    /// The file that holds, or would hold, an offset.
    pub(super) fn path_of(&self, at: u64) -> PathBuf {
        let base = (at / self.per_segment).saturating_mul(self.per_segment).saturating_mul(ENTRY_BYTES);
        self.dir.join(segment_name(LogOffset(base)))
    }

    /// The bytes of at most `most` entries from `from` on, of one file; empty where no file holds `from`, or not any
    /// more.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn read(&mut self, disk: &dyn Disk, from: u64, most: usize) -> Result<Vec<Raw>> {
        let index = self.bases.partition_point(|base| base.0 <= from);
        let Some(base) = index.checked_sub(1).and_then(|i| self.bases.get(i)).copied() else {
            return Ok(Vec::new());
        };
        let left = base.0.saturating_add(self.per_segment).saturating_sub(from);
        if left == 0 {
            return Ok(Vec::new());
        }
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(most);
        let path = self.path_of(base.0);
        let Some(file) = self.file(disk, base, &path)? else { return Ok(Vec::new()) };
        let mut out = vec![[0; 20]; count];
        let at = (from - base.0).saturating_mul(ENTRY_BYTES);
        file.read_at(at, out.as_flattened_mut()).map_err(|e| Error::io("reading", &path, e))?;
        Ok(out)
    }

    /// The same, of the file that begins with `base` alone; empty behind its end.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn read_in(
        &mut self,
        disk: &dyn Disk,
        base: QueueOffset,
        from: u64,
        most: usize,
    ) -> Result<Vec<Raw>> {
        let is_inside = from < base.0.saturating_add(self.per_segment);
        if is_inside { self.read(disk, from, most) } else { Ok(Vec::new()) }
    }

    /// An open file; `None` if it has vanished.
    fn file(&mut self, disk: &dyn Disk, base: QueueOffset, path: &Path) -> Result<Option<&dyn DiskFile>> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != base) {
            let opened = match disk.open(path, Access::Read) {
                // A file of another length is shown to nobody: it was told among the odd ones.
                Ok(file) => Some(file).filter(|f| f.len() == self.per_segment.saturating_mul(ENTRY_BYTES)),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
                Err(e) => return Err(Error::io("opening", path, e)),
            };
            self.open = Some((base, opened));
        }
        Ok(self.open.as_ref().and_then(|(_, file)| file.as_deref()))
    }

    /// What stands at an offset.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn at(&mut self, disk: &dyn Disk, at: u64) -> Result<Stands> {
        Ok(self.read(disk, at, 1)?.first().map_or(Stands::Unwritten, Stands::of))
    }

    /// The offset behind the last entry that was written. Entries are written one behind the other, so that a halving
    /// search in the last file that begins with one finds it.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn end(&mut self, disk: &dyn Disk) -> Result<u64> {
        for base in self.bases.clone().into_iter().rev() {
            let (mut low, mut high) = (base.0, base.0.saturating_add(self.per_segment));
            while low < high {
                let middle = low.midpoint(high);
                let is_written = self.at(disk, middle)? != Stands::Unwritten;
                if is_written { low = middle + 1 } else { high = middle }
            }
            if low > base.0 {
                return Ok(low);
            }
        }
        Ok(self.first())
    }

    /// The first offset in `[from, to)` whose message, or the next one's if there is none, is not `before`; `to` if
    /// all are. For what is true of a front part of the queue alone.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn partition(
        &mut self,
        disk: &dyn Disk,
        (from, to): (u64, u64),
        before: impl Fn(Entry) -> bool,
    ) -> Result<u64> {
        let (mut low, mut high, mut found) = (from, to, to);
        while low < high {
            let middle = low.midpoint(high);
            match self.next_entry(disk, middle, high)? {
                Some((at, entry)) if before(entry) => low = at.saturating_add(1),
                Some((at, _)) => (high, found) = (middle, at),
                None => high = middle,
            }
        }
        Ok(found)
    }

    /// The first entry in `[from, to)`.
    pub(super) fn next_entry(&mut self, disk: &dyn Disk, from: u64, to: u64) -> Result<Option<(u64, Entry)>> {
        let (mut at, mut most) = (from, 1);
        while at < to {
            let read = self.read(disk, at, most)?;
            if read.is_empty() {
                return Ok(None);
            }
            for bytes in &read {
                match Stands::of(bytes) {
                    Stands::Entry(entry) if at < to => return Ok(Some((at, entry))),
                    _ => at = at.saturating_add(1),
                }
            }
            most = TOGETHER;
        }
        Ok(None)
    }

    /// The last entry below `end`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn last_entry(&mut self, disk: &dyn Disk, end: u64) -> Result<Option<Entry>> {
        // Behind the last entry stands nothing; before it, blanks at most where a queue was begun.
        match end.checked_sub(1).filter(|last| *last >= self.first()) {
            Some(last) => Ok(match self.at(disk, last)? {
                Stands::Entry(entry) => Some(entry),
                _ => None,
            }),
            None => Ok(None),
        }
    }
}
