//! Looking a key up: the chains of its hash, newest file first, newest entry first.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::Failed;
use super::file::{IndexFile, Reader};
use super::shape::Header;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::offset::LogOffset;

/// The records that may carry a key, newest first: each place once, though it may be indexed twice (H10).
///
/// The index knows hashes and whole seconds alone (H35): among the records may be some with another key or topic, or
/// stored less than a second outside of the range. The caller reads the record and decides. None is missed.
/// An error is one item; the rest of that file is left out, and older files follow. That a sync of the index failed is
/// one, too: a file may show what it held before, and records be missed.
#[derive(Debug)]
pub(crate) struct Search {
    /// Files yet to be searched, the newest last.
    files: Vec<Arc<IndexFile>>,
    hash: u32,
    from_ms: i64,
    to_ms: i64,
    chain: Option<Chain>,
    last: Option<LogOffset>,
    /// `None` once it was told.
    failed: Option<Failed>,
}

/// The chain that is being followed.
#[derive(Debug)]
struct Chain {
    file: Arc<IndexFile>,
    reader: Reader,
    head: Header,
    /// The next entry to look at; 0 at the end.
    number: u32,
}

impl Search {
    /// A search through `files`, oldest first.
    pub(super) fn new(
        files: &[Arc<IndexFile>],
        failed: Failed,
        hash: u32,
        range: &RangeInclusive<Timestamp>,
    ) -> Search {
        let (from_ms, to_ms) = (range.start().0, range.end().0);
        let holds = |file: &&Arc<IndexFile>| {
            let head = file.head();
            // In the files of others time may have stepped back.
            let (first, last) = (head.begin_time.min(head.end_time).0, head.begin_time.max(head.end_time).0);
            head.next_entry > 1 && first <= to_ms && from_ms <= last && from_ms <= to_ms
        };
        let files = files.iter().filter(holds).cloned().collect();
        Search { files, hash, from_ms, to_ms, chain: None, last: None, failed: Some(failed) }
    }

    /// The failure, once.
    fn failure(&mut self) -> Option<Error> {
        let error = self.failed.as_ref()?.lock().clone()?;
        self.failed = None;
        Some(error)
    }

    /// One step: an entry of the chain, or the next file. `None` if it brought nothing.
    fn step(&mut self) -> Result<Option<LogOffset>> {
        let Some(chain) = &mut self.chain else {
            if let Some(file) = self.files.pop() {
                self.chain = unless_retired(&file, Chain::start(&file, self.hash))?;
            }
            return Ok(None);
        };
        let number = chain.number;
        let entry = match number {
            0 => None,
            _ => unless_retired(&chain.file, chain.file.entry(number, &mut chain.reader))?.flatten(),
        };
        let Some(entry) = entry else {
            self.chain = None;
            return Ok(None);
        };
        let (earliest, latest) = chain.head.times(number, entry.seconds);
        // Numbers fall from step to step: no chain, forged or torn, is followed for more steps than there are
        // entries. The older entries of a chain are older records; none of them can be late enough any more.
        chain.number = if entry.prev < number && latest >= self.from_ms { entry.prev } else { 0 };
        let found = entry.hash == self.hash && earliest <= self.to_ms && self.from_ms <= latest;
        Ok(found.then_some(entry.at).filter(|at| self.last != Some(*at)))
    }
}

impl Chain {
    fn start(file: &Arc<IndexFile>, hash: u32) -> Result<Chain> {
        let mut reader = None;
        let (head, newest) = file.chain(hash, &mut reader)?;
        // Beyond the entries is where a slot points that is torn (spec 4.7).
        let number = if newest < head.next_entry { newest } else { 0 };
        Ok(Chain { file: Arc::clone(file), reader, head, number })
    }
}

/// What was found, or nothing if the file has been retired: its records are gone, so none of them is missed, and the
/// file may be, too.
fn unless_retired<T>(file: &IndexFile, found: Result<T>) -> Result<Option<T>> {
    match found {
        Err(_) if file.is_retired() => Ok(None),
        found => found.map(Some),
    }
}

impl Iterator for Search {
    type Item = Result<LogOffset>;

    fn next(&mut self) -> Option<Result<LogOffset>> {
        if let Some(error) = self.failure() {
            return Some(Err(error));
        }
        while self.chain.is_some() || !self.files.is_empty() {
            match self.step() {
                Ok(None) => {}
                Ok(Some(at)) => {
                    self.last = Some(at);
                    return Some(Ok(at));
                }
                Err(error) => {
                    self.chain = None;
                    return Some(Err(error));
                }
            }
        }
        // It may have failed on the way.
        self.failure().map(Err)
    }
}
