//! Where the fields of a record stand, and the numbers that say what begins here (spec 2.1, 2.2, 2.4).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::error::Damage;

/// Magic number of a record whose topic length is one byte.
pub const MAGIC_V1: u32 = 0xDAA3_20A7;
/// Magic number of a record whose topic length is two bytes.
pub const MAGIC_V2: u32 = 0xDAA3_20AB;
/// Magic number of a blank record, which claims the rest of a segment.
pub const MAGIC_BLANK: u32 = 0xCBD4_3194;

/// Length of a blank record's written part; the rest of the segment behind it is never looked at (spec 2.2).
pub const BLANK_BYTES: u32 = 8;
/// What a record takes at least: all fixed fields with IPv4 hosts, and a topic of one byte (spec 2.1).
pub const MIN_RECORD_BYTES: u32 = 92;
/// All fixed fields of a version 1 record with IPv4 hosts.
pub(super) const FIXED_BYTES: u32 = 91;
/// What stands in front of the body, its length included, with IPv4 hosts.
pub(super) const FRONT_BYTES: usize = 88;
/// The same with IPv6 hosts, the most that it can be.
pub(super) const HEAD_BYTES: usize = FRONT_BYTES + 2 * V6_EXTRA_BYTES as usize;
/// What an IPv6 host takes more than an IPv4 one.
pub(super) const V6_EXTRA_BYTES: u32 = 12;
/// The longest topic whose length a version 1 record can hold, its length byte being signed.
pub(super) const V1_TOPIC_BYTES: usize = 127;
/// The most bytes of properties, trailer included: their length is a signed 16-bit number.
pub const MAX_PROPERTIES_BYTES: u32 = 32_767;
/// What a record may take beyond the longest body (spec 2.8).
pub const RECORD_OVERHEAD_BYTES: u32 = 65_536;

pub(super) const AT_BODY_CRC: usize = 8;
pub(super) const AT_QUEUE_OFFSET: usize = 20;
pub(super) const AT_LOG_OFFSET: usize = 28;
pub(super) const AT_BORN_HOST: usize = 48;
/// With an IPv4 born host; an IPv6 one moves it by [`V6_EXTRA_BYTES`].
pub(super) const AT_STORED: usize = 56;

/// A host, address and then the port as 32 bits (spec 2.4), and how many of these bytes it is: 8, and 0 behind them, or
/// 20.
#[inline]
pub(super) fn host(host: SocketAddr) -> ([u8; 20], usize) {
    let port = u32::from(host.port()).to_be_bytes();
    let mut bytes = [0; 20];
    match host.ip() {
        IpAddr::V4(ip) => {
            bytes[..4].copy_from_slice(&ip.octets());
            bytes[4..8].copy_from_slice(&port);
            (bytes, 8)
        }
        IpAddr::V6(ip) => {
            bytes[..16].copy_from_slice(&ip.octets());
            bytes[16..].copy_from_slice(&port);
            (bytes, 20)
        }
    }
}

/// Bytes read from the front, each read once; nothing is copied.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    total: u32,
    /// What all parts so far ask for, also where the record is too short for them.
    parts: u64,
}

impl<'a> Reader<'a> {
    /// Reads `record`, whose length is `total`.
    pub(super) fn new(record: &'a [u8], total: u32) -> Reader<'a> {
        Reader { rest: record, total, parts: 0 }
    }

    /// The next `N` bytes.
    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        self.parts = self.parts.saturating_add(N as u64);
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(|| self.size())?;
        self.rest = rest;
        Ok(*taken)
    }

    /// The next `len` bytes.
    pub(super) fn slice(&mut self, len: u32) -> Result<&'a [u8], Damage> {
        self.parts = self.parts.saturating_add(u64::from(len));
        let (taken, rest) = self.rest.split_at_checked(len as usize).ok_or_else(|| self.size())?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn i32(&mut self) -> Result<i32, Damage> {
        self.take().map(i32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64, Damage> {
        self.take().map(i64::from_be_bytes)
    }

    /// A host of the family that the system flags name (spec 2.4).
    pub(super) fn host(&mut self, v6: bool) -> Result<SocketAddr, Damage> {
        let ip = if v6 {
            IpAddr::V6(Ipv6Addr::from(self.take::<16>()?))
        } else {
            IpAddr::V4(Ipv4Addr::from(self.take::<4>()?))
        };
        let port = self.i32()?;
        u16::try_from(port).map(|port| SocketAddr::new(ip, port)).map_err(|_| Damage::BadPort { port })
    }

    /// All bytes must have been read: the size equation (spec 2.1).
    pub(super) fn end(&self) -> Result<(), Damage> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.size()) }
    }

    fn size(&self) -> Damage {
        Damage::BadSize { total: self.total, parts: self.parts }
    }
}
