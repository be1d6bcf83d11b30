//! Is this a record, and is it whole? Answered without a copy or an allocation, for scans at the speed of memory.

use std::net::{Ipv4Addr, SocketAddr};

use super::SysFlags;
use super::checksum;
use super::short::Short;
use super::wire::{
    BLANK_BYTES, FRONT_BYTES, MAGIC_BLANK, MAGIC_V1, MAGIC_V2, MAX_PROPERTIES_BYTES, MIN_RECORD_BYTES,
    Reader, V1_TOPIC_BYTES,
};
use crate::clock::Timestamp;
use crate::error::Damage;
use crate::offset::{LogOffset, QueueOffset};

/// What the first eight bytes at a place in the log say.
///
/// ```
/// use sawlog::message::{Peek, blank, peek};
///
/// assert_eq!(peek(&[0; 8]), Peek::Unwritten);
/// assert_eq!(peek(&blank(300)), Peek::Blank { len: 300 });
/// assert!(matches!(peek(b"GET / HT"), Peek::Garbage { .. }));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peek {
    /// A record of `len` bytes, at least 92. It may still be damaged: [`check`] tells.
    Record {
        /// The stored length; never above 2³¹ − 1. Nothing says yet that so many bytes are there.
        len: u32,
    },
    /// A blank record: nothing up to the end of the segment (spec 2.2).
    Blank {
        /// The stored length, at least 8: what was left of the segment, if it is true.
        len: u32,
    },
    /// Zeros: nothing was written here.
    Unwritten,
    /// Anything else.
    Garbage {
        /// Why it is no record.
        damage: Damage,
    },
}

/// Reads the first eight bytes at a place in the log: length and magic number.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # use sawlog::{Message, Options, Store};
/// # use sawlog::message::{Peek, peek};
/// let ack = store.append(&Message::new("orders", "paid"))?;
/// ack.wait()?;
/// let raw = store.raw(ack.position().offset, 8)?;
/// let Peek::Record { len } = peek(raw.bytes.first_chunk().expect("8 bytes")) else { panic!("no record") };
/// assert_eq!(len, ack.position().len);
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn peek(head: &[u8; 8]) -> Peek {
    let [l0, l1, l2, l3, m0, m1, m2, m3] = *head;
    let len = i32::from_be_bytes([l0, l1, l2, l3]);
    let magic = u32::from_be_bytes([m0, m1, m2, m3]);
    let least = match magic {
        MAGIC_V1 | MAGIC_V2 => MIN_RECORD_BYTES,
        MAGIC_BLANK => BLANK_BYTES,
        0 if len == 0 => return Peek::Unwritten,
        _ => return Peek::Garbage { damage: Damage::BadMagic { found: magic } },
    };
    match u32::try_from(len) {
        Ok(len) if len < least => Peek::Garbage { damage: Damage::BadLength { len: len.cast_signed() } },
        Ok(len) if magic == MAGIC_BLANK => Peek::Blank { len },
        Ok(len) => Peek::Record { len },
        Err(_) => Peek::Garbage { damage: Damage::BadLength { len } },
    }
}

/// Whether a blank record begins here for RocketMQ: it goes by the magic alone and never looks at the length (spec 2.2).
/// A broker whose power was cut goes on behind a blank record of which only that had reached the disk.
#[must_use]
pub(crate) fn is_blank(head: &[u8; 8]) -> bool {
    let [_, _, _, _, m0, m1, m2, m3] = *head;
    u32::from_be_bytes([m0, m1, m2, m3]) == MAGIC_BLANK
}

/// The written part of a blank record that claims `len` bytes, itself included, up to the segment's end (spec 2.2).
/// `len` is at least 8: a record fits only if it leaves room for this.
///
/// ```
/// use sawlog::message::{BLANK_BYTES, MAGIC_BLANK, blank};
///
/// let left = 300; // in the segment: too little for the next record
/// let bytes = blank(left);
/// assert_eq!(bytes.len(), BLANK_BYTES as usize);
/// assert_eq!((&bytes[..4], &bytes[4..]), (&left.to_be_bytes()[..], &MAGIC_BLANK.to_be_bytes()[..]));
/// ```
#[must_use]
pub fn blank(len: u32) -> [u8; 8] {
    let [l0, l1, l2, l3] = len.to_be_bytes();
    let [m0, m1, m2, m3] = MAGIC_BLANK.to_be_bytes();
    [l0, l1, l2, l3, m0, m1, m2, m3]
}

/// Which checksums a record must satisfy.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # use sawlog::{Damage, LogOffset, Message, Options, Store};
/// # use sawlog::message::{Verify, check};
/// # store.append(&Message::new("orders", "paid"))?.wait()?;
/// let mut bytes = store.raw(LogOffset(0), 1 << 20)?.bytes.to_vec();
/// bytes[16] ^= 1; // a byte outside of the body
/// assert!(check(LogOffset(0), &bytes, Verify::Structure).is_ok());
/// assert!(check(LogOffset(0), &bytes, Verify::Legacy).is_ok());
/// assert_eq!(check(LogOffset(0), &bytes, Verify::Ours), Err(Damage::BadRecordChecksum));
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verify {
    /// None: the structure alone.
    Structure,
    /// The body's, unless the body is empty (spec 2.6). A record checksum may be missing or wrong: a Java broker
    /// copies ours along when it re-puts a message (promises rule 6).
    Legacy,
    /// The record's, which must be there. It covers the body too, so the body's own is not computed again.
    Ours,
}

/// What stands where a record checksum can stand.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # use sawlog::{LogOffset, Message, Options, Store};
/// # use sawlog::message::{Trailer, Verify, check};
/// # store.append(&Message::new("orders", "paid"))?.wait()?;
/// let raw = store.raw(LogOffset(0), 1 << 20)?;
/// let head = check(raw.offset, &raw.bytes, Verify::Structure).expect("a record");
/// assert_eq!(head.trailer(), Trailer::Right); // a broker's records say `Missing`
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trailer {
    /// No checksum.
    Missing,
    /// A checksum of something else.
    Wrong,
    /// The checksum of this record.
    Right,
}

/// A record found whole, as slices of the bytes that were checked.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # use sawlog::{LogOffset, Message, Options, Store};
/// # use sawlog::message::{Verify, check};
/// # store.append(&Message::new("orders", "paid").queue(3))?.wait()?;
/// let raw = store.raw(LogOffset(0), 1 << 20)?;
/// let head = check(raw.offset, &raw.bytes, Verify::Ours).expect("a whole record");
/// assert_eq!((head.topic, head.queue_id, head.body), ("orders", 3, &b"paid"[..]));
/// assert_eq!(head.record.as_ptr(), raw.bytes.as_ptr()); // nothing was copied
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// The whole record.
    pub record: &'a [u8],
    /// Its length in bytes.
    pub len: u32,
    /// The body's checksum as stored.
    pub body_crc: u32,
    /// The queue, within the topic.
    pub queue_id: u32,
    /// The application's flag.
    pub flag: i32,
    /// The ordinal in the queue; 0 for what is not queued (spec 2.9).
    pub queue_offset: QueueOffset,
    /// The system flags.
    pub sys_flags: SysFlags,
    /// When the producer made it.
    pub born: Timestamp,
    /// Where the producer made it.
    pub born_host: SocketAddr,
    /// When it was appended.
    pub stored: Timestamp,
    /// The address of the store that appended it.
    pub store_host: SocketAddr,
    /// How often it was consumed before.
    pub reconsume_times: i32,
    /// Where its half message lies, for committed transactions.
    pub prepared_offset: i64,
    /// The body.
    pub body: &'a [u8],
    /// The topic.
    pub topic: &'a str,
    /// The packed properties, trailer included.
    pub properties: &'a [u8],
}

impl Head<'_> {
    /// Whether the record carries a checksum over itself, and the right one. Costs one pass over the record if there
    /// is one.
    #[must_use]
    #[inline]
    pub fn trailer(&self) -> Trailer {
        match checksum::trailer_digits(self.properties) {
            None => Trailer::Missing,
            Some(digits) if checksum::digits_fit(self.record, digits) => Trailer::Right,
            Some(_) => Trailer::Wrong,
        }
    }
}

/// Checks the record at the front of `bytes`, which stands at `at` in the log; `bytes` may go on behind it.
///
/// Everything is checked that RocketMQ checks on recovery (spec 2.14), and: that no length is negative, that the
/// record names its own place (H27), that the topic is text, that the ports are ports, and that the record checksum
/// is there and right where `verify` says so. Allocates nothing; costs some 20 ns and one pass over what the checksum
/// covers.
///
/// # Errors
/// The first [`Damage`] found. Where `bytes` ends before the record does: [`Damage::Cut`]. A blank record is
/// [`Damage::BadMagic`], as no message stands there; look with [`peek`] first.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # use sawlog::{Damage, LogOffset, Message, Options, Store};
/// # use sawlog::message::{Verify, check};
/// # store.append_batch(&[Message::new("orders", "paid"), Message::new("orders", "sent")])?.wait()?;
/// let raw = store.raw(LogOffset(0), 1 << 20)?;
/// let (mut at, mut rest, mut records) = (raw.offset, &raw.bytes[..], 0);
/// while !rest.is_empty() {
///     let head = check(at, rest, Verify::Ours).expect("a whole record");
///     (at, rest, records) = (at.plus(head.len.into()), &rest[head.len as usize..], records + 1);
/// }
/// assert_eq!(records, 2);
/// assert_eq!(check(raw.offset, &raw.bytes[..40], Verify::Ours), Err(Damage::Cut));
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn check(at: LogOffset, bytes: &[u8], verify: Verify) -> Result<Head<'_>, Damage> {
    let head = match parse_plain(at, bytes, "") {
        Some(head) => head,
        None => parse(at, bytes)?,
    };
    match verify {
        Verify::Structure => {}
        Verify::Legacy if head.body.is_empty() => {}
        Verify::Legacy => {
            if checksum::stored_crc(head.body) != head.body_crc {
                return Err(Damage::BadBodyChecksum);
            }
        }
        Verify::Ours => match head.trailer() {
            Trailer::Missing => return Err(Damage::NoRecordChecksum),
            Trailer::Wrong => return Err(Damage::BadRecordChecksum),
            Trailer::Right => {}
        },
    }
    Ok(head)
}

/// [`check`] for who asks at every record: `None` for one with IPv6 hosts, and for one that is not whole, of which
/// `check` tells what is wrong. The `topic` that is expected need not be read as text again; any other is found, too.
///
/// Inlined, so that the head's parts stay in registers: written to memory and moved as a whole, they would have to
/// arrive there first, behind all of the checksum.
#[inline(always)]
pub(crate) fn check_plain<'a>(
    at: LogOffset,
    bytes: &'a [u8],
    verify: Verify,
    topic: &'a str,
) -> Option<Head<'a>> {
    let head = parse_plain(at, bytes, topic)?;
    let is_whole = match verify {
        Verify::Structure => true,
        Verify::Legacy => head.body.is_empty() || checksum::stored_crc(head.body) == head.body_crc,
        Verify::Ours => head.trailer() == Trailer::Right,
    };
    is_whole.then_some(head)
}

/// What [`parse`] finds, for a record with IPv4 hosts and nothing wrong; of anything else `None`. All that stands in
/// front of the body has one place then, and one look at its length.
#[inline(always)]
fn parse_plain<'a>(at: LogOffset, bytes: &'a [u8], known_topic: &'a str) -> Option<Head<'a>> {
    let (words, _) = bytes.first_chunk::<FRONT_BYTES>()?.as_chunks::<4>();
    let [
        len,
        magic,
        body_crc,
        queue_id,
        flag,
        queue0,
        queue1,
        place0,
        place1,
        sys_flags,
        born0,
        born1,
        born_ip,
        born_port,
        stored0,
        stored1,
        store_ip,
        store_port,
        reconsumed,
        prepared0,
        prepared1,
        body_len,
    ] = words
    else {
        return None;
    };
    let word = |bytes: &[u8; 4]| u32::from_be_bytes(*bytes);
    let long = |high, low| u64::from(word(high)) << 32 | u64::from(word(low));
    let positive = |bytes| Some(word(bytes)).filter(|n| *n <= i32::MAX.unsigned_abs());
    let host = |ip, port| {
        let port = u16::try_from(word(port)).ok()?;
        Some(SocketAddr::new(Ipv4Addr::from_bits(word(ip)).into(), port))
    };
    let len = positive(len).filter(|len| *len >= MIN_RECORD_BYTES)?;
    let sys_flags = SysFlags(word(sys_flags).cast_signed());
    let is_v2 = word(magic) == MAGIC_V2;
    let is_plain = (is_v2 || word(magic) == MAGIC_V1)
        && !sys_flags.has(SysFlags::BORN_HOST_V6)
        && !sys_flags.has(SysFlags::STORE_HOST_V6)
        && long(place0, place1) == at.0
        && at.0 <= i64::MAX.unsigned_abs();
    if !is_plain {
        return None;
    }
    let record = bytes.get(..len as usize)?;
    let (body, topic, properties) = parse_behind_front(record, is_v2, positive(body_len)?, known_topic)?;
    Some(Head {
        record,
        len,
        body_crc: word(body_crc),
        queue_id: positive(queue_id)?,
        flag: word(flag).cast_signed(),
        queue_offset: Some(QueueOffset(long(queue0, queue1))).filter(|n| n.0 <= i64::MAX.unsigned_abs())?,
        sys_flags,
        born: Timestamp(long(born0, born1).cast_signed()),
        born_host: host(born_ip, born_port)?,
        stored: Timestamp(long(stored0, stored1).cast_signed()),
        store_host: host(store_ip, store_port)?,
        reconsume_times: word(reconsumed).cast_signed(),
        prepared_offset: long(prepared0, prepared1).cast_signed(),
        body,
        topic,
        properties,
    })
}

/// Body, topic and properties of a record that [`parse_plain`] reads.
#[inline(always)]
fn parse_behind_front<'a>(
    record: &'a [u8],
    is_v2: bool,
    body_len: u32,
    known_topic: &'a str,
) -> Option<(&'a [u8], &'a str, &'a [u8])> {
    let (body, rest) = record.get(FRONT_BYTES..)?.split_at_checked(body_len as usize)?;
    let (topic_len, rest) = match is_v2 {
        true => rest.split_first_chunk().map(|(len, rest)| (u16::from_be_bytes(*len), rest))?,
        false => rest.split_first().map(|(len, rest)| (u16::from(*len), rest))?,
    };
    let most = if is_v2 { usize::from(i16::MAX.unsigned_abs()) } else { V1_TOPIC_BYTES };
    let topic_len = Some(usize::from(topic_len)).filter(|len| *len <= most)?;
    let (topic, rest) = rest.split_at_checked(topic_len)?;
    let (properties_len, properties) = rest.split_first_chunk()?;
    if usize::from(u16::from_be_bytes(*properties_len)) != properties.len()
        || properties.len() > MAX_PROPERTIES_BYTES as usize
    {
        return None;
    }
    // A longer one is shared as a slice of its record, and must stand there.
    let is_known = topic.len() <= Short::MOST && topic == known_topic.as_bytes();
    let topic = if is_known { known_topic } else { std::str::from_utf8(topic).ok()? };
    if topic.is_empty() {
        return None;
    }
    Some((body, topic, properties))
}

/// All but the checksums.
fn parse(at: LogOffset, bytes: &[u8]) -> Result<Head<'_>, Damage> {
    let first = bytes.first_chunk().ok_or(Damage::Cut)?;
    let len = match peek(first) {
        Peek::Record { len } => len,
        Peek::Blank { .. } => return Err(Damage::BadMagic { found: MAGIC_BLANK }),
        Peek::Unwritten => return Err(Damage::Unwritten),
        Peek::Garbage { damage } => return Err(damage),
    };
    let record = bytes.get(..len as usize).ok_or(Damage::Cut)?;
    let mut fields = Reader::new(record, len);
    fields.i32()?;
    let v2 = u32::from_be_bytes(fields.take()?) == MAGIC_V2;
    let body_crc = u32::from_be_bytes(fields.take()?);
    let queue_id = fields.i32()?;
    let flag = fields.i32()?;
    let queue_offset = fields.i64()?;
    let says = fields.i64()?;
    if u64::try_from(says) != Ok(at.0) {
        return Err(Damage::WrongPlace { says });
    }
    let sys_flags = SysFlags(fields.i32()?);
    let born = Timestamp(fields.i64()?);
    let born_host = fields.host(sys_flags.has(SysFlags::BORN_HOST_V6))?;
    let stored = Timestamp(fields.i64()?);
    let store_host = fields.host(sys_flags.has(SysFlags::STORE_HOST_V6))?;
    let reconsume_times = fields.i32()?;
    let prepared_offset = fields.i64()?;
    let body_len = not_negative(fields.i32()?, "body length")?;
    let body = fields.slice(body_len)?;
    let topic_len = match v2 {
        true => i32::from(i16::from_be_bytes(fields.take()?)),
        false => i32::from(i8::from_be_bytes(fields.take()?)),
    };
    let topic = fields.slice(not_negative(topic_len, "topic length")?)?;
    let properties_len = i32::from(i16::from_be_bytes(fields.take()?));
    let properties = fields.slice(not_negative(properties_len, "properties length")?)?;
    fields.end()?;
    let topic = std::str::from_utf8(topic).ok().filter(|topic| !topic.is_empty()).ok_or(Damage::BadTopic)?;
    let queue_offset = u64::try_from(queue_offset).map_err(|_| Damage::Negative { field: "queue offset" })?;
    Ok(Head {
        record,
        len,
        body_crc,
        queue_id: not_negative(queue_id, "queue id")?,
        flag,
        queue_offset: QueueOffset(queue_offset),
        sys_flags,
        born,
        born_host,
        stored,
        store_host,
        reconsume_times,
        prepared_offset,
        body,
        topic,
        properties,
    })
}

fn not_negative(number: i32, field: &'static str) -> Result<u32, Damage> {
    u32::try_from(number).map_err(|_| Damage::Negative { field })
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
