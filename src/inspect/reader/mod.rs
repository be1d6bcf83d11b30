//! Reading a store beside its writer: [`Reader`].
//!
//! A queue entry or an index entry is no evidence here either: it is held against its record before that is served.

mod follow;
mod keys;
mod latest;
mod queue;
mod view;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::Result;
use crate::inspect::{Look, folder};
use crate::message::Record;
use crate::offset::{LogOffset, Position};

pub use follow::Follow;
pub use keys::KeySearch;
pub use queue::{QueueFollow, QueueReader};
use view::Shared;

/// Reads a store that another process may be writing: in log order, by queue, by key, by time. Cheap to clone.
///
/// What is not yet whole is not shown, and all readers go on when more has come: ask again. Nothing tells this process
/// that something came; whoever follows asks from time to time. What is shown may not be durable yet: after a power
/// cut it may be gone, unless its place is below the mark that a [`Survey`](super::Survey) shows.
///
/// ```
/// # use sawlog::{Message, Options, QueueOffset, Store};
/// # let folder = tempfile::tempdir()?;
/// use sawlog::inspect::Reader;
///
/// let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// store.append(&Message::new("orders", "paid").key("order-42"))?.wait()?;
///
/// let reader = Reader::open(folder.path())?; // perhaps in another process
/// assert_eq!(reader.scan(reader.first()?).count(), 1);
/// assert_eq!(reader.queue("orders", 0).record_at(QueueOffset(0))?.body(), "paid");
/// assert_eq!(reader.find("orders", "order-42").count(), 1);
/// let (latest, _) = reader.latest("orders", Some(0), 10)?;
/// assert_eq!(reader.raw(latest[0].position)?.len(), latest[0].position.len as usize);
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Reader {
    shared: Arc<Shared>,
}

impl Reader {
    /// A reader of the store in this folder.
    ///
    /// # Errors
    /// [`Error::Foreign`](crate::Error::Foreign) if there is no store, or one of a kind that is not read, or if a newer
    /// program wrote its `sawlog` folder; [`Error::Io`](crate::Error::Io).
    pub fn open(root: impl AsRef<Path>) -> Result<Reader> {
        Look::at(root).reader()
    }

    pub(super) fn new(look: &Look) -> Result<Reader> {
        Ok(Reader { shared: Arc::new(Shared::new(look)?) })
    }

    /// The first byte of the log that is there now; retention moves it.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    pub fn first(&self) -> Result<LogOffset> {
        self.shared.refresh()?;
        Ok(self.shared.list().first().unwrap_or_default())
    }

    /// Records from `from` on, which must be a record's beginning, such as [`Reader::first`].
    #[must_use]
    pub fn scan(&self, from: LogOffset) -> Follow {
        Follow::new(&self.shared, from)
    }

    /// The record that begins at `at`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) if no file holds this place;
    /// [`Error::Corrupt`](crate::Error::Corrupt) if no valid record begins there; [`Error::Io`](crate::Error::Io).
    pub fn record_at(&self, at: LogOffset) -> Result<Record> {
        self.shared.record_at(at)
    }

    /// The bytes of a record, as they are stored.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) if no file holds all of them;
    /// [`Error::Io`](crate::Error::Io).
    pub fn raw(&self, position: Position) -> Result<Bytes> {
        self.shared.raw(position)
    }

    /// The topics that have a folder among the queues, sorted.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    pub fn topics(&self) -> Result<Vec<String>> {
        let entries = folder::list(self.shared.disk(), &self.shared.layout.consume_queues())?;
        let named = entries.into_iter().filter(|entry| entry.is_dir);
        Ok(named.filter_map(|entry| Some(entry.path.file_name()?.to_str()?.to_owned())).collect())
    }

    /// The ids of a topic's queues that have a folder, ascending.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    pub fn queues_of(&self, topic: &str) -> Result<Vec<u32>> {
        let Some(dir) = self.shared.topic_dir(topic) else { return Ok(Vec::new()) };
        let entries = folder::list(self.shared.disk(), &dir)?;
        let named = entries.into_iter().filter(|entry| entry.is_dir);
        let mut ids: Vec<u32> = named.filter_map(|entry| entry.name.parse().ok()).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// One queue of one topic, there or not.
    #[must_use]
    pub fn queue(&self, topic: &str, id: u32) -> QueueReader {
        QueueReader::new(&self.shared, topic, id)
    }

    /// The records of a topic that carry a key, or this unique id, newest first.
    #[must_use]
    pub fn find(&self, topic: &str, key: &str) -> KeySearch {
        KeySearch::new(&self.shared, topic, key)
    }

    /// The last `count` queued records of a topic, or of one queue of it, in log order; and a reader of all that comes
    /// behind them, of this topic and others.
    ///
    /// # Errors
    /// As [`QueueReader::read_from`]'s items.
    pub fn latest(&self, topic: &str, queue: Option<u32>, count: usize) -> Result<(Vec<Record>, Follow)> {
        let queues = match queue {
            Some(id) => vec![id],
            None => self.queues_of(topic)?,
        };
        latest::latest(&self.shared, topic, queue, &queues, count)
    }
}
