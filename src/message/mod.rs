//! A message as bytes: encoded before the append lock is taken, stamped inside, checked and decoded when read.
//!
//! The byte layout is RocketMQ's (spec 2). Nothing here reads or writes files, and no bytes can make it panic.
//!
//! ```text
//!    4        4       4          4 + 4     8 + 8
//!  ┌────────┬───────┬──────────┬─────────┬───────────────┬──────────────┬──────┬───────┬────────────┐
//!  │ length │ magic │ body     │ queue,  │ queue offset, │ flags, times │ body │ topic │ properties │
//!  │        │       │ checksum │ flag    │ log offset    │ and hosts    │      │       │     … CRC32│
//!  └────────┴───────┴──────────┴─────────┴───────────────┴──────────────┴──────┴───────┴────────────┘
//!                                         stamped under    one time of                   over all of
//!                                         the append lock  these, too                    the record
//! ```
//!
//! Everything but the two offsets and the store time is encoded, and all checksums but that of these few bytes are
//! computed, before the append lock is taken: producers wait for each other as long as a copy takes. FORMAT.md has
//! every byte.
//!
//! ```
//! use sawlog::clock::Timestamp;
//! use sawlog::message::{Checksum, EncodeRules, Verify, decode, encode};
//! use sawlog::{LogOffset, Message, QueueOffset};
//!
//! let rules = EncodeRules {
//!     store_host: "192.0.2.1:10911".parse()?,
//!     checksum: Checksum::Record,
//!     max_body_bytes: 4 << 20,
//!     born: Timestamp(1_700_000_000_000),
//! };
//! let message = Message::new("orders", "paid").tag("vip");
//! let mut encoded = encode(&message, &rules, Vec::new())?;
//! let bytes = encoded.stamp(LogOffset(0), QueueOffset(7), Timestamp(1_700_000_000_123)).concat();
//!
//! let record = decode(LogOffset(0), bytes.into(), Verify::Ours).expect("a whole record");
//! assert_eq!((record.body(), record.queue_offset), (&message.body, QueueOffset(7)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod check;
mod checksum;
mod derived;
mod encode;
mod hash;
mod message_id;
mod polynomial;
mod properties;
mod record;
mod short;
mod sys_flags;
mod text;
mod topic;
mod wire;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::Bytes;

use crate::clock::Timestamp;

pub use check::{Head, Peek, Trailer, Verify, blank, check, peek};
pub(crate) use check::{check_plain, is_blank};
pub use derived::{Derivable, derivable};
pub use encode::{Checksum, EncodeRules, Encoded, encode};
pub use hash::java_hash;
pub use message_id::{BadMessageId, MessageId};
pub use properties::{Properties, names};
pub use record::{Record, decode};
pub use sys_flags::{Codec, SysFlags, Transaction};
pub use topic::Topic;
pub use wire::{
    BLANK_BYTES, MAGIC_BLANK, MAGIC_V1, MAGIC_V2, MAX_PROPERTIES_BYTES, MIN_RECORD_BYTES,
    RECORD_OVERHEAD_BYTES,
};

/// What is appended: a topic, a body, and what goes with them.
///
/// Its fields can be read; the methods of the same names set them, one after the other. They never fail and never
/// panic: what cannot be stored is said by the append.
///
/// ```
/// use sawlog::message::Message;
///
/// let message = Message::new("orders", "paid").queue(3).tag("vip").key("order-42").property("shop", "7");
/// assert_eq!(message.queue_id, 3);
/// assert_eq!((message.tags().as_deref(), message.keys().as_deref()), (Some("vip"), Some("order-42")));
/// assert_eq!(message.born("2024-05-01".parse()?).born.map(|at| at.0), Some(1_714_521_600_000));
/// # Ok::<(), sawlog::clock::BadTime>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The name under which it is queued. [`Topic::check`] says what is allowed.
    pub topic: Topic,
    /// The content, as it is to be stored; the store never looks into it.
    pub body: Bytes,
    /// The queue, within the topic. Range: 0 to 2³¹ − 1. Default: 0.
    pub queue_id: u32,
    /// Names and values. Default: none.
    pub properties: Properties,
    /// The application's flag; means nothing to the store. Default: 0.
    pub flag: i32,
    /// The system flags. Default: none.
    pub sys_flags: SysFlags,
    /// When the producer made it. Default: when it is appended, by the store's clock.
    pub born: Option<Timestamp>,
    /// Where the producer made it. Default: 127.0.0.1, port 0.
    pub born_host: SocketAddr,
    /// How often it was consumed before. Default: 0.
    pub reconsume_times: i32,
    /// For the message of a committed transaction: the log offset of its half message. Means nothing to the store,
    /// which keeps any number. Default: 0.
    pub prepared_offset: i64,
    /// The first thing that a setter was given and could not take.
    refused: Option<Cow<'static, str>>,
}

impl Message {
    /// A message with this content.
    #[must_use]
    pub fn new(topic: impl Into<Topic>, body: impl Into<Bytes>) -> Message {
        Message {
            topic: topic.into(),
            body: body.into(),
            queue_id: 0,
            properties: Properties::new(),
            flag: 0,
            sys_flags: SysFlags::default(),
            born: None,
            born_host: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            reconsume_times: 0,
            prepared_offset: 0,
            refused: None,
        }
    }

    /// The queue, within the topic.
    #[must_use]
    pub fn queue(mut self, id: u32) -> Message {
        self.queue_id = id;
        self
    }

    /// The tag, by which consumers choose. An empty one takes it away.
    #[must_use]
    pub fn tag(self, tag: &str) -> Message {
        self.property(names::TAGS, tag)
    }

    /// One more key under which the message can be found. Keys are stored in one text with spaces between, so a key
    /// with a space in it would be two: it is refused when the message is appended, as an empty one is.
    #[must_use]
    pub fn key(mut self, key: &str) -> Message {
        if key.is_empty() || key.contains(' ') {
            self.refuse(format!("the key {key:?} is empty or holds a space, which separates keys").into());
            return self;
        }
        let keys = self.properties.find(names::KEYS).map(|keys| format!("{keys} {key}"));
        self.property(names::KEYS, keys.as_deref().unwrap_or(key))
    }

    /// The unique id that the producer gives to the message; it can be found by it as by a key.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
    /// # use sawlog::{Message, Options, Store};
    /// let id = "C0A8000700002A9F0000000000001000";
    /// let ack = store.append(&Message::new("orders", "paid").unique_key(id))?;
    /// store.dispatched().reach(ack.end()).wait()?;
    /// assert_eq!(store.find("orders", id).count(), 1);
    /// # store.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn unique_key(self, id: &str) -> Message {
        self.property(names::UNIQ_KEY, id)
    }

    /// A property, in place of one of the same name; an empty value takes it away (see [`Properties::set`]).
    #[must_use]
    pub fn property(mut self, name: &str, value: &str) -> Message {
        if let Err(why) = self.properties.put(name, value) {
            self.refuse(why);
        }
        self
    }

    /// All properties at once, packed as they are to be stored (spec 2.5). They are stored verbatim, well-formed or
    /// not, and replace what was set before.
    #[must_use]
    pub fn raw_properties(mut self, bytes: Bytes) -> Message {
        self.properties = Properties::from_raw(bytes);
        self
    }

    /// The application's flag.
    #[must_use]
    pub fn flag(mut self, flag: i32) -> Message {
        self.flag = flag;
        self
    }

    /// The system flags. The two address bits are set by the hosts, whatever is given here.
    #[must_use]
    pub fn sys_flags(mut self, flags: SysFlags) -> Message {
        self.sys_flags = flags;
        self
    }

    /// When the producer made it.
    #[must_use]
    pub fn born(mut self, at: Timestamp) -> Message {
        self.born = Some(at);
        self
    }

    /// Where the producer made it.
    #[must_use]
    pub fn born_host(mut self, host: SocketAddr) -> Message {
        self.born_host = host;
        self
    }

    /// How often it was consumed before.
    #[must_use]
    pub fn reconsume_times(mut self, times: i32) -> Message {
        self.reconsume_times = times;
        self
    }

    /// The log offset of the half message of a committed transaction.
    #[must_use]
    pub fn prepared_offset(mut self, offset: i64) -> Message {
        self.prepared_offset = offset;
        self
    }

    /// `false`: the append answers as soon as the message is written, whatever the policy promises (spec 2.11).
    ///
    /// ```
    /// use sawlog::Message;
    ///
    /// let metric = Message::new("metrics", "load 0.7").wait(false);
    /// assert!(!metric.waits());
    /// assert!(metric.wait(true).waits());
    /// ```
    #[must_use]
    pub fn wait(self, waits: bool) -> Message {
        self.property(names::WAIT, if waits { "" } else { "false" })
    }

    /// Whether the append is to wait for what the policy promises: unless the property `WAIT` is `false`.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.properties.is_empty() || self.properties.find(names::WAIT).is_none_or(|wait| wait != "false")
    }

    /// The tag, if there is one.
    #[must_use]
    pub fn tags(&self) -> Option<Cow<'_, str>> {
        self.properties.find(names::TAGS)
    }

    /// The keys as they are stored: split at spaces, and skip what is empty between two of them (spec 4.6).
    #[must_use]
    pub fn keys(&self) -> Option<Cow<'_, str>> {
        self.properties.find(names::KEYS)
    }

    /// The unique id that the producer gave, if it did.
    #[must_use]
    pub fn unique_id(&self) -> Option<Cow<'_, str>> {
        self.properties.find(names::UNIQ_KEY)
    }

    fn refuse(&mut self, why: Cow<'static, str>) {
        self.refused.get_or_insert(why);
    }

    fn refusal(&self) -> Option<&Cow<'static, str>> {
        self.refused.as_ref()
    }
}
