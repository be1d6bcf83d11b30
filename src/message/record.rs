//! A stored message, and how it is read from its bytes.

use bytes::Bytes;
use std::net::SocketAddr;

use super::check::{Head, Verify, check};
use super::derived::derivable;
use super::{Message, MessageId, Properties, Topic};
use crate::clock::Timestamp;
use crate::error::Damage;
use crate::offset::{LogOffset, Position, QueueOffset};

/// What is stored: a message, and what appending made of it.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # use sawlog::{Message, Options, Store};
/// store.append(&Message::new("orders", "paid").queue(3).tag("vip").key("order-42"))?.wait()?;
/// let record = store.record_at(store.marks().first)?;
/// assert_eq!((record.topic().as_str(), record.queue_id(), &record.body()[..]), ("orders", 3, &b"paid"[..]));
/// assert_eq!(record.message.tags().as_deref(), Some("vip"));
/// assert!(record.carries("order-42") && record.is_queued());
/// println!("{} of {}, stored {}", record.message_id(), record.queue_offset, record.stored);
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// The message. Its properties are as stored: with a record checksum, that is the last of them (`__CRC32#`).
    pub message: Message,
    /// Where the record lies.
    pub position: Position,
    /// Its ordinal in its queue; 0 for prepared and rolled-back messages, which are not queued (spec 2.9).
    pub queue_offset: QueueOffset,
    /// When it was appended.
    pub stored: Timestamp,
    /// The address of the store that appended it.
    pub store_host: SocketAddr,
    /// The body's checksum as stored: 31 bits (spec 2.6).
    pub body_crc: u32,
}

impl Record {
    /// The record of which `head` is the head, and which stands within `bytes`: its parts are slices of them.
    #[inline(always)]
    pub(crate) fn of(at: LogOffset, head: &Head<'_>, bytes: &Bytes) -> Record {
        let message = Message {
            topic: Topic::within(head.topic, bytes),
            body: bytes.slice_ref(head.body),
            queue_id: head.queue_id,
            properties: Properties::within(head.properties, bytes),
            flag: head.flag,
            sys_flags: head.sys_flags,
            born: Some(head.born),
            born_host: head.born_host,
            reconsume_times: head.reconsume_times,
            prepared_offset: head.prepared_offset,
            refused: None,
        };
        Record {
            message,
            position: Position { offset: at, len: head.len },
            queue_offset: head.queue_offset,
            stored: head.stored,
            store_host: head.store_host,
            body_crc: head.body_crc,
        }
    }

    /// The id under which RocketMQ's tools find it: the store's address and the log offset (spec 2.12).
    #[must_use]
    pub fn message_id(&self) -> MessageId {
        MessageId { host: self.store_host, offset: self.position.offset }
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.message.topic
    }

    /// The queue, within the topic.
    #[must_use]
    pub fn queue_id(&self) -> u32 {
        self.message.queue_id
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.message.body
    }

    /// Whether it can be found by this key: the key is its unique id, or one of its keys (spec 4.4).
    #[must_use]
    pub fn carries(&self, key: &str) -> bool {
        let found = derivable(self.message.properties.as_bytes());
        let among = |keys: &str| keys.split(' ').any(|one| one == key);
        !key.is_empty()
            && (found.unique.is_some_and(|id| id == key) || found.keys.is_some_and(|keys| among(&keys)))
    }

    /// Whether it has a place in its queue (spec 2.9).
    #[must_use]
    pub fn is_queued(&self) -> bool {
        self.message.sys_flags.is_queued()
    }
}

/// Reads the record at the front of `bytes`, which stands at `at` in the log. The body is a slice of `bytes` and keeps
/// them alive, and so are topic and properties unless they are short.
///
/// # Errors
/// As [`check`].
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # use sawlog::{Message, Options, Store};
/// # use sawlog::message::{Verify, decode};
/// # store.append(&Message::new("orders", "paid"))?.wait()?;
/// let raw = store.raw(store.marks().first, 1 << 20)?; // as a replica gets it
/// let record = decode(raw.offset, raw.bytes, Verify::Ours).expect("a whole record");
/// assert_eq!(record.body(), "paid");
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn decode(at: LogOffset, bytes: Bytes, verify: Verify) -> Result<Record, Damage> {
    let head = check(at, &bytes, verify)?;
    Ok(Record::of(at, &head, &bytes))
}
