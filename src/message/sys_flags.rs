//! The system flags of a record: thirty-two bits that RocketMQ and the store share (spec 2.3).

use std::fmt;

/// The system flags (`sysFlag`, spec 2.3). Any number is allowed; unknown bits are kept.
///
/// The two address bits follow the hosts: encoding sets and clears them, whatever the message says.
///
/// ```
/// use sawlog::message::{SysFlags, Transaction};
///
/// let flags = SysFlags(0).with(SysFlags::MULTI_TAGS, true).with_transaction(Transaction::Prepared);
/// assert!(flags.has(SysFlags::MULTI_TAGS) && !flags.is_queued());
/// assert_eq!(flags, SysFlags(0x6));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct SysFlags(pub i32);

/// What a message is in a transaction (bits 2 and 3, spec 2.3).
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # use sawlog::{Message, Options, QueueOffset, Store};
/// # use sawlog::message::{SysFlags, Transaction};
/// let half = SysFlags::default().with_transaction(Transaction::Prepared);
/// let ack = store.append(&Message::new("orders", "paid").sys_flags(half))?;
/// store.dispatched().reach(ack.end()).wait()?;
/// assert_eq!(store.queue("orders", 0).max(), QueueOffset(0)); // stored, and in no queue
/// let record = store.record_at(ack.position().offset)?;
/// assert_eq!(record.message.sys_flags.transaction(), Transaction::Prepared);
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Transaction {
    /// No part of one: an ordinary message.
    #[default]
    None,
    /// A half message: stored, not yet to be delivered; it takes no queue offset (spec 2.9).
    Prepared,
    /// The message of a committed transaction.
    Commit,
    /// The mark of a transaction given up; it takes no queue offset (spec 2.9).
    Rollback,
}

/// How a compressed body is compressed (bits 8 to 10, spec 2.3). The store never looks into bodies.
///
/// ```
/// use sawlog::Message;
/// use sawlog::message::{Codec, SysFlags};
///
/// let flags = SysFlags::default().with_codec(Codec::Zstd);
/// let message = Message::new("orders", "what zstd made of it").sys_flags(flags);
/// assert!(message.sys_flags.has(SysFlags::COMPRESSED));
/// assert_eq!(message.sys_flags.codec(), Codec::Zstd);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Codec {
    /// Zlib: the numbers 0 (old clients) and 3.
    Zlib,
    /// LZ4.
    Lz4,
    /// Zstandard.
    Zstd,
    /// A number without a meaning yet, 4 to 7; RocketMQ's clients refuse such a body.
    Reserved(u8),
}

impl SysFlags {
    /// The body is compressed; [`SysFlags::codec`] says how.
    pub const COMPRESSED: SysFlags = SysFlags(0x001);
    /// The topic filters by several tags; it does not change the tag's hash (spec 3.2).
    pub const MULTI_TAGS: SysFlags = SysFlags(0x002);
    /// The producer's address is an IPv6 one.
    pub const BORN_HOST_V6: SysFlags = SysFlags(0x010);
    /// The store's address is an IPv6 one.
    pub const STORE_HOST_V6: SysFlags = SysFlags(0x020);
    /// The message is a batch that the consumer must split.
    pub const NEED_UNWRAP: SysFlags = SysFlags(0x040);
    /// The body is an encoded batch with one entry in a batch queue.
    pub const INNER_BATCH: SysFlags = SysFlags(0x080);

    const TRANSACTION: i32 = 0x00C;
    const CODEC: i32 = 0x700;

    /// Whether all bits of `other` are set.
    #[must_use]
    pub const fn has(self, other: SysFlags) -> bool {
        self.0 & other.0 == other.0
    }

    /// These flags with the bits of `other` set or cleared.
    #[must_use]
    pub const fn with(self, other: SysFlags, on: bool) -> SysFlags {
        if on { SysFlags(self.0 | other.0) } else { SysFlags(self.0 & !other.0) }
    }

    /// What the message is in a transaction.
    #[must_use]
    pub const fn transaction(self) -> Transaction {
        match self.0 & Self::TRANSACTION {
            0x4 => Transaction::Prepared,
            0x8 => Transaction::Commit,
            0xC => Transaction::Rollback,
            _ => Transaction::None,
        }
    }

    /// These flags with another part in a transaction.
    #[must_use]
    pub const fn with_transaction(self, transaction: Transaction) -> SysFlags {
        let bits = match transaction {
            Transaction::None => 0x0,
            Transaction::Prepared => 0x4,
            Transaction::Commit => 0x8,
            Transaction::Rollback => 0xC,
        };
        SysFlags(self.0 & !Self::TRANSACTION | bits)
    }

    /// How the body is compressed; means something only if [`SysFlags::COMPRESSED`] is set.
    #[must_use]
    pub const fn codec(self) -> Codec {
        match (self.0 & Self::CODEC) >> 8 {
            0 | 3 => Codec::Zlib,
            1 => Codec::Lz4,
            2 => Codec::Zstd,
            4 => Codec::Reserved(4),
            5 => Codec::Reserved(5),
            6 => Codec::Reserved(6),
            _ => Codec::Reserved(7),
        }
    }

    /// These flags saying that the body is compressed in this way. Zlib is written as 3, as new clients do.
    #[must_use]
    pub const fn with_codec(self, codec: Codec) -> SysFlags {
        let bits = match codec {
            Codec::Lz4 => 0x100,
            Codec::Zstd => 0x200,
            Codec::Zlib => 0x300,
            Codec::Reserved(4) => 0x400,
            Codec::Reserved(5) => 0x500,
            Codec::Reserved(6) => 0x600,
            Codec::Reserved(_) => 0x700,
        };
        SysFlags(self.0 & !Self::CODEC | bits).with(Self::COMPRESSED, true)
    }

    /// Whether a message with these flags takes its place in a queue: ordinary and committed ones do; prepared and
    /// rolled-back ones store queue offset 0 and leave the queue as it is (spec 2.9).
    #[must_use]
    pub const fn is_queued(self) -> bool {
        matches!(self.transaction(), Transaction::None | Transaction::Commit)
    }
}

impl fmt::Debug for SysFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SysFlags({:#05X})", self.0)
    }
}

#[cfg(test)]
#[path = "sys_flags_tests.rs"]
mod tests;
