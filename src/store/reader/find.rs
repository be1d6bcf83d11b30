//! [`Find`]: the records of a topic that carry a key, newest first.
//!
//! Index entries are no evidence (promises rule 5): a hash stands for many keys, times are cut to seconds, and after
//! a crash RocketMQ enters keys twice (H10, H35). Whatever the index names is held against the record.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::commit_log::CommitLog;
use crate::dispatch::Dispatcher;
use crate::error::{Damage, Error, Result};
use crate::key_index::Search;
use crate::message::Record;
use crate::offset::LogOffset;
use crate::store::reader::Sources;

/// RocketMQ's `maxMsgsNumBatch`.
const DEFAULT_COUNT: u32 = 64;

/// Records that carry a key, newest first; see [`Store::find`](crate::Store::find). Say what is wanted before the
/// first record is taken.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # use sawlog::{Message, Options, Store};
/// # let mut stored = Vec::new();
/// for body in ["created", "paid", "sent"] {
///     stored.push(store.append_and_wait(&Message::new("orders", body).key("order-42"))?);
/// }
/// store.dispatched().reach(stored[2].position.end()).wait()?;
/// let times = stored[0].stored..=stored[2].stored;
/// let mut found = store.find("orders", "order-42").between(times).at_most(2);
/// assert_eq!(found.next().transpose()?.expect("the newest").body(), "sent");
/// assert_eq!(found.count(), 1);
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Find {
    log: Arc<CommitLog>,
    dispatcher: Arc<Dispatcher>,
    topic: String,
    key: String,
    range: RangeInclusive<Timestamp>,
    left: u32,
    search: Option<Search>,
    /// What was given back already, as a record or an error.
    told: HashSet<LogOffset>,
}

impl Find {
    pub(super) fn new(sources: &Sources, topic: &str, key: &str) -> Find {
        Find {
            log: Arc::clone(&sources.log),
            dispatcher: Arc::clone(&sources.dispatcher),
            topic: topic.to_owned(),
            key: key.to_owned(),
            range: Timestamp(i64::MIN)..=Timestamp(i64::MAX),
            left: DEFAULT_COUNT,
            search: None,
            told: HashSet::new(),
        }
    }

    /// Only records stored within these times, both included, to the millisecond. Default: any.
    #[must_use]
    pub fn between(self, stored: RangeInclusive<Timestamp>) -> Find {
        Find { range: stored, ..self }
    }

    /// The most records. Default: 64, as with RocketMQ (`maxMsgsNumBatch`).
    #[must_use]
    pub fn at_most(self, records: u32) -> Find {
        Find { left: records, ..self }
    }

    /// The record at a place that the index names, if it is one that is wanted.
    fn wanted_at(&self, at: LogOffset) -> Result<Option<Record>> {
        // Of a batch that is being derived nothing is shown before all of it is.
        let is_derived = at < self.dispatcher.readable();
        if !is_derived || self.told.contains(&at) || self.dispatcher.derived().is_dropped(&self.topic, at) {
            return Ok(None);
        }
        match self.log.record_at(at) {
            Ok(record) => Ok(self.is_wanted(&record).then_some(record)),
            // Before the log's first byte, or not to be seen yet.
            Err(Error::OutOfRange { .. }) => Ok(None),
            Err(error @ Error::Corrupt(_)) if !is_damaged_record(&error) => Ok(None),
            Err(error) => self.log.told(Err(error)),
        }
    }

    fn is_wanted(&self, record: &Record) -> bool {
        record.topic().as_str() == self.topic
            && self.range.contains(&record.stored)
            && record.carries(&self.key)
    }

    fn next_place(&mut self) -> Option<Result<LogOffset>> {
        let search = match &mut self.search {
            Some(search) => search,
            none => {
                let Some(keys) = &self.dispatcher.derived().keys else {
                    self.left = 0;
                    return Some(Err(Error::InvalidOptions("the key index is switched off".into())));
                };
                none.insert(keys.search(&self.topic, &self.key, self.range.clone()))
            }
        };
        search.next()
    }
}

/// Whether a record stands there and is damaged. Anything else that is no record may be the fault of whoever named the
/// place, such as the index.
pub(in crate::store) fn is_damaged_record(error: &Error) -> bool {
    let Error::Corrupt(place) = error else { return false };
    matches!(place.what, Damage::BadBodyChecksum | Damage::BadRecordChecksum | Damage::NoRecordChecksum)
}

/// An error is an item of its own: a damaged record ([`Error::Corrupt`]) hides no other one, and the search goes on
/// behind it. [`Error::Failed`] among the items says that a sync of the index failed, and that records may be missed
/// until the store is opened again. If the key index is switched off, the one item is [`Error::InvalidOptions`].
impl Iterator for Find {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Result<Record>> {
        while self.left > 0 {
            let at = match self.next_place()? {
                Ok(at) => at,
                Err(error) => return Some(Err(error)),
            };
            let found = self.wanted_at(at);
            if !matches!(found, Ok(None)) {
                self.told.insert(at);
                self.left -= 1;
                return found.transpose();
            }
        }
        None
    }
}
