//! Entries that are not in the file yet, as the bytes they will be there.

use std::collections::VecDeque;

use super::shape::{Entry, EntryBytes};
use crate::offset::LogOffset;

/// Entries that are allocated, and given back, together: 20 KiB.
const CHUNK: usize = 1024;

/// A queue of entries with consecutive numbers.
#[derive(Debug)]
pub(super) struct Pending {
    /// The number of the first entry held, or of the next one if none is.
    first: u32,
    /// All but the last are full.
    chunks: VecDeque<Vec<EntryBytes>>,
    /// How many entries of the first chunk are gone.
    gone: usize,
}

impl Pending {
    /// An empty queue whose next entry has the number `first`.
    pub(super) fn from(first: u32) -> Pending {
        Pending { first, chunks: VecDeque::new(), gone: 0 }
    }

    /// The number of the first entry held; all before it are in the file.
    pub(super) fn first(&self) -> u32 {
        self.first
    }

    pub(super) fn is_empty(&self) -> bool {
        self.at(0).is_none()
    }

    pub(super) fn push(&mut self, entry: EntryBytes) {
        match self.chunks.back_mut().filter(|chunk| chunk.len() < CHUNK) {
            Some(chunk) => chunk.push(entry),
            None => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(entry);
                self.chunks.push_back(chunk);
            }
        }
    }

    /// The entry of this number, if it is held.
    pub(super) fn entry(&self, number: u32) -> Option<&EntryBytes> {
        self.at(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    fn at(&self, index: usize) -> Option<&EntryBytes> {
        let index = index.checked_add(self.gone)?;
        self.chunks.get(index / CHUNK)?.get(index % CHUNK)
    }

    /// Appends the entries from the front on to `out` whose records lie before `up_to`, at most `most` of them; the
    /// answer is how many. They stay here until [`Pending::drop_front`].
    pub(super) fn copy_front(&self, up_to: LogOffset, most: u32, out: &mut Vec<u8>) -> u32 {
        let mut copied = 0;
        let entries = self.chunks.iter().flatten().skip(self.gone);
        for entry in entries.take_while(|entry| Entry::offset(entry) < up_to) {
            if copied == most {
                break;
            }
            out.extend_from_slice(entry);
            copied += 1;
        }
        copied
    }

    /// Gives the first `count` entries up, and the memory of whole chunks back.
    pub(super) fn drop_front(&mut self, count: u32) {
        self.first = self.first.saturating_add(count);
        self.gone = self.gone.saturating_add(usize::try_from(count).unwrap_or(usize::MAX));
        while self.gone >= CHUNK && self.chunks.pop_front().is_some() {
            self.gone -= CHUNK;
        }
        if self.is_empty() {
            // One chunk stays, for the next entries.
            self.chunks.truncate(1);
            self.chunks.iter_mut().for_each(Vec::clear);
            self.gone = 0;
        }
    }
}

#[cfg(test)]
#[path = "pending_tests.rs"]
mod tests;
