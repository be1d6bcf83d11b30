//! The id of a stored message: which store, and where in its log (spec 2.12).

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use crate::offset::LogOffset;

/// RocketMQ's offset message id. Its text is upper-case hexadecimal: 32 characters for an IPv4 store, 56 for IPv6.
///
/// It is unique only within the life of one log, since it names a place in it.
///
/// ```
/// use sawlog::LogOffset;
/// use sawlog::message::MessageId;
///
/// let id = MessageId { host: "192.168.0.7:10911".parse()?, offset: LogOffset(4_096) };
/// let text = id.to_string();
/// assert_eq!(text, "C0A8000700002A9F0000000000001000");
/// assert_eq!(text.parse::<MessageId>()?, id);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageId {
    /// The store's address.
    pub host: SocketAddr,
    /// The record's first byte in the log.
    pub offset: LogOffset,
}

/// A text that is no message id: not 32 or 56 hexadecimal digits, a port above 65535, or an offset above 2⁶³ − 1.
///
/// ```
/// use sawlog::message::{BadMessageId, MessageId};
///
/// assert_eq!("order-42".parse::<MessageId>(), Err(BadMessageId));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a message id: 32 or 56 hexadecimal digits that hold an address, a port and an offset")]
pub struct BadMessageId;

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.ip() {
            IpAddr::V4(ip) => write!(f, "{:08X}", ip.to_bits())?,
            IpAddr::V6(ip) => write!(f, "{:032X}", ip.to_bits())?,
        }
        write!(f, "{:08X}{:016X}", self.host.port(), self.offset.0)
    }
}

impl FromStr for MessageId {
    type Err = BadMessageId;

    /// Reads the text that [`MessageId`] displays; lower-case digits are taken too, as RocketMQ takes them.
    fn from_str(text: &str) -> Result<MessageId, BadMessageId> {
        // `from_str_radix` would take a sign.
        if !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(BadMessageId);
        }
        let ip_digits = match text.len() {
            32 => 8,
            56 => 32,
            _ => return Err(BadMessageId),
        };
        let (ip, rest) = text.split_at_checked(ip_digits).ok_or(BadMessageId)?;
        let (port, offset) = rest.split_at_checked(8).ok_or(BadMessageId)?;
        let ip_bits = u128::from_str_radix(ip, 16).map_err(|_| BadMessageId)?;
        let ip = match u32::try_from(ip_bits) {
            Ok(bits) if ip_digits == 8 => IpAddr::V4(bits.into()),
            _ => IpAddr::V6(ip_bits.into()),
        };
        let port = u32::from_str_radix(port, 16).ok().and_then(|port| u16::try_from(port).ok());
        let offset = i64::from_str_radix(offset, 16).ok().and_then(|offset| u64::try_from(offset).ok());
        Ok(MessageId {
            host: SocketAddr::new(ip, port.ok_or(BadMessageId)?),
            offset: LogOffset(offset.ok_or(BadMessageId)?),
        })
    }
}

#[cfg(test)]
#[path = "message_id_tests.rs"]
mod tests;
