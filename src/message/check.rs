//! Is this a record, and is it whole? Answered without a copy or an allocation, for scans at the speed of memory.

use std::net::SocketAddr;

use super::SysFlags;
use super::checksum;
use super::wire::{BLANK_BYTES, MAGIC_BLANK, MAGIC_V1, MAGIC_V2, MIN_RECORD_BYTES, Reader};
use crate::clock::Timestamp;
use crate::error::Damage;
use crate::offset::{LogOffset, QueueOffset};

/// What the first eight bytes at a place in the log say.
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
#[must_use]
pub fn blank(len: u32) -> [u8; 8] {
    let [l0, l1, l2, l3] = len.to_be_bytes();
    let [m0, m1, m2, m3] = MAGIC_BLANK.to_be_bytes();
    [l0, l1, l2, l3, m0, m1, m2, m3]
}

/// Which checksums a record must satisfy.
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
#[derive(Clone, Copy, Debug)]
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
pub fn check(at: LogOffset, bytes: &[u8], verify: Verify) -> Result<Head<'_>, Damage> {
    let head = parse(at, bytes)?;
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
