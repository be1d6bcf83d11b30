//! Message → bytes: all that can be done before the append lock is taken.

use std::borrow::Cow;
use std::net::SocketAddr;

use super::checksum::{self, BLANK_TRAILER, TRAILER_BYTES, TRAILER_NAME, Tail};
use super::wire::{
    AT_BODY_CRC, AT_BORN_HOST, AT_LOG_OFFSET, AT_QUEUE_OFFSET, AT_STORED, FIXED_BYTES, HEAD_BYTES, MAGIC_V1,
    MAGIC_V2, MAX_PROPERTIES_BYTES, RECORD_OVERHEAD_BYTES, V1_TOPIC_BYTES, V6_EXTRA_BYTES, host,
};
use super::{Message, SysFlags, properties};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::offset::{LogOffset, QueueOffset};

/// How much of a record its checksum covers.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # use sawlog::{LogOffset, Message, Options, Store};
/// # use sawlog::message::{Checksum, Trailer, Verify, check};
/// let options = Options::new().segment_bytes(1 << 16).checksum(Checksum::Body);
/// let store = Store::open(folder.path(), options)?;
/// store.append(&Message::new("orders", "paid"))?.wait()?;
/// let raw = store.raw(LogOffset(0), 1 << 20)?;
/// let head = check(raw.offset, &raw.bytes, Verify::Legacy).expect("a record");
/// assert_eq!(head.trailer(), Trailer::Missing); // the topic may rot unseen
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Checksum {
    /// The whole record: a property of twenty bytes at its end (spec 2.7; RocketMQ's `enabledAppendPropCRC`).
    #[default]
    Record,
    /// The body alone: RocketMQ's default. Damage elsewhere goes unnoticed (H1), and a record that no sync covered may
    /// be found torn in its topic or properties after a power cut.
    Body,
}

/// What encoding needs to know besides the message.
///
/// ```
/// use sawlog::Message;
/// use sawlog::clock::Timestamp;
/// use sawlog::message::{Checksum, EncodeRules, encode};
///
/// let rules = EncodeRules {
///     store_host: "192.0.2.1:10911".parse()?,
///     checksum: Checksum::Record,
///     max_body_bytes: 1024,
///     born: Timestamp(1_700_000_000_000),
/// };
/// assert!(encode(&Message::new("orders", vec![0; 1024]), &rules, Vec::new()).is_ok());
/// assert!(encode(&Message::new("orders", vec![0; 1025]), &rules, Vec::new()).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct EncodeRules {
    /// The address that stands in every record and in its message id.
    pub store_host: SocketAddr,
    /// How much of the record its checksum covers.
    pub checksum: Checksum,
    /// The longest body, in bytes (RocketMQ's `maxMessageSize`); a record may take 65,536 more (spec 2.8).
    pub max_body_bytes: u32,
    /// When a message that does not say it was born.
    pub born: Timestamp,
}

/// A record that lacks only what the append lock decides: its place, its ordinal, its time.
///
/// The body stays where it is in the message: what is stored is copied once, into the segment.
///
/// ```
/// # use sawlog::clock::Timestamp;
/// # use sawlog::message::{Checksum, EncodeRules, encode};
/// # use sawlog::{LogOffset, Message, QueueOffset};
/// # let (checksum, born) = (Checksum::Record, Timestamp(1_700_000_000_000));
/// # let rules = EncodeRules { store_host: "192.0.2.1:10911".parse()?, checksum, max_body_bytes: 4096, born };
/// let message = Message::new("orders", "paid").queue(3);
/// let mut encoded = encode(&message, &rules, Vec::new())?;
/// assert_eq!((encoded.topic(), encoded.queue_id(), encoded.is_queued()), (&b"orders"[..], 3, true));
///
/// let bytes = encoded.stamp(LogOffset(4096), QueueOffset(7), Timestamp(1_700_000_000_123)).concat();
/// assert_eq!(bytes.len(), encoded.len() as usize);
/// let buf = encoded.into_buf(); // for the next message
/// # drop(buf);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Encoded<'m> {
    /// All but the body; with a short body, everything.
    buf: Vec<u8>,
    /// Where in `buf` the body's place is; the end of `buf` if the body is in it.
    split: usize,
    /// Empty if it is in `buf`.
    body: &'m [u8],
    len: u32,
    topic_at: usize,
    topic_len: usize,
    queue_id: u32,
    is_queued: bool,
    stored_at: usize,
    trailer: Trailer,
}

/// How [`Encoded::stamp`] comes by the record's checksum.
#[derive(Clone, Copy, Debug)]
enum Trailer {
    None,
    /// One pass over the record, inside the lock: the cheaper way where all of it is in the buffer.
    Whole,
    /// The pass over all behind the head is done.
    Joined(Tail),
}

/// Shorter bodies are copied into the buffer: that, one pass over the whole and one copy out of it cost no more than
/// joining two checksums and three copies (measured: equal from 200 bytes to 500), and the disk gets one part.
const BORROW_FROM_BYTES: usize = 512;

/// The checked lengths and the fitting parts of a record about to be written.
struct Plan<'a> {
    sys_flags: SysFlags,
    queue_id: u32,
    body_len: u32,
    properties: Cow<'a, [u8]>,
    /// The properties need a separator before the trailer.
    separator: bool,
    properties_len: u16,
    v2: bool,
    body_at: u32,
    total: u32,
}

/// Turns a message into a record, blank but for its place, its ordinal and its store time. Takes no lock; `buf` is
/// cleared and reused.
///
/// # Errors
/// [`Error::InvalidMessage`], naming the number and the limit: a topic that [`Topic::check`](super::Topic::check)
/// refuses, a queue id above 2³¹ − 1, a property that a setter refused, properties above 32,767 bytes with separator and
/// trailer, a body above `max_body_bytes`, or a record above `max_body_bytes` + 65,536 (spec 2.8).
///
/// ```
/// # use sawlog::clock::Timestamp;
/// # use sawlog::message::{Checksum, EncodeRules, encode};
/// # use sawlog::{Error, Message};
/// # let (checksum, born) = (Checksum::Record, Timestamp(1_700_000_000_000));
/// # let rules = EncodeRules { store_host: "192.0.2.1:10911".parse()?, checksum, max_body_bytes: 4096, born };
/// let message = Message::new("orders", "paid");
/// let buf = encode(&message, &rules, Vec::new())?.into_buf();
/// // The same buffer again; this topic could not be the name of a folder.
/// let message = Message::new("or/ders", "paid");
/// assert!(matches!(encode(&message, &rules, buf), Err(Error::InvalidMessage(_))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn encode<'m>(message: &'m Message, rules: &EncodeRules, mut buf: Vec<u8>) -> Result<Encoded<'m>> {
    let plan = Plan::of(message, rules)?;
    let (body_crc, mut hasher) = checksum::body_hasher(&message.body);
    let is_borrowed = message.body.len() >= BORROW_FROM_BYTES;
    let body: &[u8] = if is_borrowed { &message.body } else { &[] };
    buf.clear();
    buf.reserve((plan.total as usize).saturating_sub(body.len()).max(HEAD_BYTES));
    put_head(&mut buf, message, rules, &plan, body_crc);
    let behind_head = buf.len();
    if !is_borrowed {
        buf.extend_from_slice(&message.body);
    }
    let topic_len = message.topic.len();
    // Topic::check has bounded the length; a version 1 record holds it in the low byte.
    let [high, low] = u16::try_from(topic_len).unwrap_or_default().to_be_bytes();
    if plan.v2 {
        buf.push(high);
    }
    buf.push(low);
    let topic_at = buf.len();
    buf.extend_from_slice(message.topic.as_bytes());
    buf.extend_from_slice(&plan.properties_len.to_be_bytes());
    buf.extend_from_slice(&plan.properties);
    if plan.separator {
        buf.push(0x02);
    }
    let mut trailer = Trailer::None;
    if rules.checksum == Checksum::Record {
        trailer = Trailer::Whole;
        if is_borrowed {
            let tail_len = plan.total.saturating_sub(plan.body_at).saturating_sub(TRAILER_BYTES);
            hasher.update(buf.get(behind_head..).unwrap_or_default());
            trailer = Trailer::Joined(Tail::new(tail_len, hasher.finalize()));
        }
        buf.extend_from_slice(BLANK_TRAILER);
    }
    let born_extra = if message.born_host.is_ipv6() { V6_EXTRA_BYTES as usize } else { 0 };
    Ok(Encoded {
        split: if is_borrowed { behind_head } else { buf.len() },
        body,
        len: plan.total,
        topic_at,
        topic_len,
        queue_id: plan.queue_id,
        is_queued: plan.sys_flags.is_queued(),
        stored_at: AT_STORED + born_extra,
        trailer,
        buf,
    })
}

/// Writes all fields before the body; those that [`Encoded::stamp`] fills in are 0. Gathered in one array, because each
/// growth of the buffer asks for its room; with IPv4 hosts its end stays unused.
fn put_head(buf: &mut Vec<u8>, message: &Message, rules: &EncodeRules, plan: &Plan<'_>, body_crc: u32) {
    let magic = if plan.v2 { MAGIC_V2 } else { MAGIC_V1 };
    let mut head = [0; HEAD_BYTES];
    head[..4].copy_from_slice(&plan.total.to_be_bytes());
    head[4..8].copy_from_slice(&magic.to_be_bytes());
    head[AT_BODY_CRC..12].copy_from_slice(&body_crc.to_be_bytes());
    head[12..16].copy_from_slice(&plan.queue_id.to_be_bytes());
    head[16..AT_QUEUE_OFFSET].copy_from_slice(&message.flag.to_be_bytes());
    head[36..40].copy_from_slice(&plan.sys_flags.0.to_be_bytes());
    head[40..AT_BORN_HOST].copy_from_slice(&message.born.unwrap_or(rules.born).0.to_be_bytes());
    // As many bytes as an IPv6 host has in any case: what follows an IPv4 one is written over it.
    let (born_host, born_host_bytes) = host(message.born_host);
    put(&mut head, AT_BORN_HOST, born_host);
    let store_host_at = AT_BORN_HOST + born_host_bytes + 8;
    let (store_host, store_host_bytes) = host(rules.store_host);
    put(&mut head, store_host_at, store_host);
    let back_at = store_host_at + store_host_bytes;
    let mut back = [0; 16];
    back[..4].copy_from_slice(&message.reconsume_times.to_be_bytes());
    back[4..12].copy_from_slice(&message.prepared_offset.to_be_bytes());
    back[12..].copy_from_slice(&plan.body_len.to_be_bytes());
    put(&mut head, back_at, back);
    buf.extend_from_slice(&head);
    buf.truncate(back_at + 16);
}

impl<'a> Plan<'a> {
    fn of(message: &'a Message, rules: &EncodeRules) -> Result<Plan<'a>> {
        if let Some(why) = message.refusal() {
            return Err(Error::InvalidMessage(why.clone()));
        }
        message.topic.check_own()?;
        let queue_id = message.queue_id;
        if i32::try_from(queue_id).is_err() {
            return Err(too_large("queue id", u64::from(queue_id), u64::from(i32::MAX.unsigned_abs())));
        }
        let body_len = at_most("bytes of body", message.body.len(), rules.max_body_bytes)?;

        let record = rules.checksum == Checksum::Record;
        let mut properties = Cow::Borrowed(message.properties.as_bytes());
        // The name holds a `#`, few other properties do: a fast search spares the slow one.
        if record && properties.contains(&b'#') {
            properties = properties::without(message.properties.as_bytes(), TRAILER_NAME);
        }
        let separator = record && !properties::is_terminated(&properties);
        let trailer_len = if record { TRAILER_BYTES as usize } else { 0 };
        let properties_len =
            properties.len().saturating_add(usize::from(separator)).saturating_add(trailer_len);
        let properties_len = at_most(
            "bytes of properties, separator and checksum included",
            properties_len,
            MAX_PROPERTIES_BYTES,
        )?;

        // The bits follow the hosts, or the record would not be what its length says (spec 2.3).
        let (born_v6, store_v6) = (message.born_host.is_ipv6(), rules.store_host.is_ipv6());
        let sys_flags =
            message.sys_flags.with(SysFlags::BORN_HOST_V6, born_v6).with(SysFlags::STORE_HOST_V6, store_v6);
        let v2 = message.topic.len() > V1_TOPIC_BYTES;
        let hosts_extra = V6_EXTRA_BYTES * (u32::from(born_v6) + u32::from(store_v6));
        let parts = u64::from(FIXED_BYTES + u32::from(v2) + hosts_extra)
            + u64::from(body_len)
            + message.topic.len() as u64
            + u64::from(properties_len);
        let limit = rules.max_body_bytes.saturating_add(RECORD_OVERHEAD_BYTES).min(i32::MAX.unsigned_abs());
        let total = u32::try_from(parts).ok().filter(|total| *total <= limit);
        Ok(Plan {
            sys_flags,
            queue_id,
            body_len,
            properties,
            separator,
            // at_most has bounded it by 32,767.
            properties_len: u16::try_from(properties_len).unwrap_or_default(),
            v2,
            body_at: FIXED_BYTES - 3 + hosts_extra,
            total: total.ok_or_else(|| too_large("bytes of record", parts, u64::from(limit)))?,
        })
    }
}

fn at_most(what: &str, len: usize, limit: u32) -> Result<u32> {
    let fits = u32::try_from(len).ok().filter(|len| *len <= limit);
    fits.ok_or_else(|| too_large(what, len as u64, u64::from(limit)))
}

fn too_large(what: &str, found: u64, limit: u64) -> Error {
    Error::InvalidMessage(format!("{what}: {found}, the limit is {limit}").into())
}

impl Encoded<'_> {
    /// The record's whole length in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "no record is empty")]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// The topic, as it stands in the record.
    #[must_use]
    pub fn topic(&self) -> &[u8] {
        self.buf.get(self.topic_at..).and_then(|rest| rest.get(..self.topic_len)).unwrap_or_default()
    }

    /// The queue, within the topic.
    #[must_use]
    pub fn queue_id(&self) -> u32 {
        self.queue_id
    }

    /// Whether it takes a place in its queue (spec 2.9): prepared and rolled-back messages do not, and store queue
    /// offset 0 whatever [`Encoded::stamp`] is given.
    #[must_use]
    pub fn is_queued(&self) -> bool {
        self.is_queued
    }

    /// Fills in what was left blank, and the record's checksum over it; the answer is the finished record, in parts
    /// that stand one behind the other (`concat` makes one of them; some may be empty). May be called again, to put
    /// the same record elsewhere.
    ///
    /// This runs inside the append lock. It costs three stores, and with [`Checksum::Record`] some 30 ns.
    pub fn stamp(&mut self, log: LogOffset, queue: QueueOffset, stored: Timestamp) -> [&[u8]; 3] {
        let queue = if self.is_queued { queue } else { QueueOffset(0) };
        put(&mut self.buf, AT_QUEUE_OFFSET, queue.0.to_be_bytes());
        put(&mut self.buf, AT_LOG_OFFSET, log.0.to_be_bytes());
        put(&mut self.buf, self.stored_at, stored.0.to_be_bytes());
        let crc = match self.trailer {
            Trailer::None => None,
            Trailer::Whole => {
                let covered = self.buf.len().saturating_sub(TRAILER_BYTES as usize);
                Some(checksum::crc(self.buf.get(..covered).unwrap_or_default()))
            }
            Trailer::Joined(tail) => Some(tail.join(self.buf.get(..self.split).unwrap_or_default())),
        };
        if let Some(crc) = crc {
            checksum::put_digits(&mut self.buf, crc);
        }
        let (head, tail) = self.buf.split_at_checked(self.split).unwrap_or_default();
        [head, self.body, tail]
    }

    /// The buffer, to be used again for the next message.
    #[must_use]
    pub fn into_buf(self) -> Vec<u8> {
        self.buf
    }
}

/// Writes one field. Every place is within the fixed part that encode has written.
fn put<const N: usize>(buf: &mut [u8], at: usize, field: [u8; N]) {
    if let Some(slot) = buf.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *slot = field;
    }
}
