//! The index follows the log's front: files whose records are all gone go (spec 4.8).

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use super::KeyIndex;
use super::file::IndexFile;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::offset::LogOffset;

/// What went, or is about to.
#[derive(Debug, Default)]
pub(super) struct Retired {
    /// Files that are still on the disk, or whose removal is not durable; oldest first.
    files: VecDeque<Arc<IndexFile>>,
    /// Store time of the last key in the newest of all that went.
    pub(super) sealed_end: Option<Timestamp>,
}

impl KeyIndex {
    /// Full files whose last key's record lies below `log_first`, the first byte that the log has, count no more: no
    /// search begun from now on looks at them, and they are not captured. Never the last file, nor one with entries
    /// in memory. Touches memory alone; says whether there was one. [`KeyIndex::remove_retired`] removes them.
    pub(crate) fn forget_before(&self, log_first: LogOffset) -> bool {
        let mut files = self.files.write();
        // All but the last one are full, and what is full and written will be sealed if it is not.
        let is_gone = |file: &Arc<IndexFile>| file.is_written() && file.head().end_offset < log_first;
        let most = files.len().saturating_sub(1);
        let gone = files.iter().take(most).take_while(|file| is_gone(file)).count();
        let mut retired = self.retired.lock();
        for file in files.drain(..gone) {
            file.retire();
            retired.sealed_end = Some(file.head().end_time);
            retired.files.push_back(file);
        }
        gone > 0
    }

    /// Removes the files that count no more, oldest first, each durably before the next. Gives how many bytes they
    /// measured. Searches that are under way finish without them.
    ///
    /// # Errors
    /// [`Error::Io`]; call again to go on. [`Error::Failed`] after a failed sync.
    pub(crate) fn remove_retired(&self) -> Result<u64> {
        let mut freed = 0_u64;
        loop {
            // Given back before the disk is asked: nobody waits for that.
            let oldest = self.retired.lock().files.front().cloned();
            let Some(file) = oldest else { return Ok(freed) };
            self.still_good()?;
            match self.disk.remove(&file.path) {
                Ok(()) => freed = freed.saturating_add(self.geometry.file_bytes()),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(Error::io("removing", &file.path, e)),
            }
            self.disk.sync_dir(&self.dir).map_err(|e| Error::io("syncing the folder", &self.dir, e))?;
            let mut retired = self.retired.lock();
            if retired.files.front().is_some_and(|front| front.name == file.name) {
                retired.files.pop_front();
            }
        }
    }

    /// [`KeyIndex::forget_before`] and [`KeyIndex::remove_retired`]. A crash before `sawlog/queues` is saved again
    /// leaves files missing that it counts on, and costs deriving everything anew: who can, saves it in between.
    ///
    /// # Errors
    /// As [`KeyIndex::remove_retired`].
    #[cfg(test)]
    pub(crate) fn retire_before(&self, log_first: LogOffset) -> Result<u64> {
        self.forget_before(log_first);
        self.remove_retired()
    }
}
