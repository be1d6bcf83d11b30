//! Name/value pairs as RocketMQ packs them: `name 0x01 value 0x02`, again and again (spec 2.5).

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use super::short::Short;
use super::text::java_text;
use crate::error::{Error, Result};

/// Stands between a name and its value.
pub(super) const NAME_END: u8 = 0x01;
/// Stands behind a value.
pub(super) const PAIR_END: u8 = 0x02;

/// Names of properties that the store itself, or RocketMQ's code around it, looks at (spec 2.11).
///
/// ```
/// use sawlog::Message;
/// use sawlog::message::names;
///
/// let message = Message::new("orders", "paid").property(names::TAGS, "vip").property(names::WAIT, "false");
/// assert_eq!(message.tags().as_deref(), Some("vip"));
/// assert!(!message.waits());
/// ```
pub mod names {
    /// Space-separated keys under which the message can be found.
    pub const KEYS: &str = "KEYS";
    /// The tag; its hash stands in the queue entry (spec 3.2).
    pub const TAGS: &str = "TAGS";
    /// The unique id that the producer gave; can be found as a key can.
    pub const UNIQ_KEY: &str = "UNIQ_KEY";
    /// `false`: the producer does not wait for a sync nor for replicas.
    pub const WAIT: &str = "WAIT";
    /// The delay level, as a decimal number.
    pub const DELAY: &str = "DELAY";
    /// The record's checksum (spec 2.7).
    pub const CRC32: &str = "__CRC32#";
}

/// The properties of a message, kept as the bytes that are stored.
///
/// Order, duplicates, and whether the last pair is terminated stay as they are (5.2.0 and later terminate it, some
/// earlier releases do not). What is read out of them is what a RocketMQ broker reads (spec 2.5): pairs with an empty
/// name or value are not there (H41), of two pairs with one name the later counts, malformed UTF-8 is shown with
/// U+FFFD.
///
/// ```
/// use sawlog::message::Properties;
///
/// let mut properties = Properties::new();
/// properties.set("shop", "7")?;
/// properties.set("till", "2")?;
/// properties.set("shop", "8")?; // in place of the first
/// assert_eq!(properties.find("shop").as_deref(), Some("8"));
///
/// properties.remove("till");
/// assert_eq!(properties.iter().count(), 1);
/// assert_eq!(properties.as_bytes(), b"shop\x018\x02");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Properties(Inner);

/// Read ones are a slice of their record, or a copy in place if they are short; built ones a buffer that can grow.
#[derive(Clone)]
enum Inner {
    Short(Short),
    Shared(Bytes),
    Own(Vec<u8>),
}

impl Properties {
    /// No properties.
    #[must_use]
    pub const fn new() -> Properties {
        Properties(Inner::Own(Vec::new()))
    }

    /// These bytes, verbatim.
    #[must_use]
    pub fn from_raw(bytes: Bytes) -> Properties {
        Properties(Inner::Shared(bytes))
    }

    /// The properties that stand in these bytes.
    #[inline(always)]
    pub(super) fn within(properties: &[u8], bytes: &Bytes) -> Properties {
        Properties(match Short::of(properties) {
            Some(short) => Inner::Short(short),
            None => Inner::Shared(bytes.slice_ref(properties)),
        })
    }

    /// The stored bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Inner::Short(short) => short.as_bytes(),
            Inner::Shared(bytes) => bytes,
            Inner::Own(bytes) => bytes,
        }
    }

    /// Whether there is not a single byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }

    /// The pairs in stored order, duplicates included.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        pairs(self.as_bytes()).map(|(name, value)| (java_text(name), java_text(value)))
    }

    /// The value of the last pair with this name. Costs one walk over the bytes, from the end.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Cow<'_, str>> {
        find(self.as_bytes(), name)
    }

    /// Sets a property, in place of all pairs of the same name. An empty value removes it: RocketMQ drops pairs with
    /// empty values when it reads them (H41), so that would be all anybody sees of it.
    ///
    /// # Errors
    /// [`Error::InvalidMessage`] if the name is empty, or name or value hold a byte 0x01 or 0x02: these separate
    /// pairs, and nothing escapes them (spec 2.5). Nothing was changed then.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        self.put(name, value).map_err(Error::InvalidMessage)
    }

    /// [`Properties::set`], saying why not in words alone.
    pub(super) fn put(&mut self, name: &str, value: &str) -> std::result::Result<(), Cow<'static, str>> {
        if name.is_empty() {
            return Err("a property has an empty name".into());
        }
        if name.bytes().chain(value.bytes()).any(|b| b == NAME_END || b == PAIR_END) {
            return Err(
                format!("the property {name:?} holds a byte 0x01 or 0x02, which separate pairs").into()
            );
        }
        self.remove(name);
        if value.is_empty() {
            return Ok(());
        }
        let mut bytes = match std::mem::take(self).0 {
            Inner::Short(short) => short.as_bytes().to_vec(),
            Inner::Shared(bytes) => bytes.into(),
            Inner::Own(bytes) => bytes,
        };
        if !is_terminated(&bytes) {
            bytes.push(PAIR_END);
        }
        bytes.reserve(name.len().saturating_add(value.len()).saturating_add(2));
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(NAME_END);
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(PAIR_END);
        self.0 = Inner::Own(bytes);
        Ok(())
    }

    /// Takes away every pair with this name; the other bytes stay as they are.
    pub fn remove(&mut self, name: &str) {
        if let Cow::Owned(rest) = without(self.as_bytes(), name) {
            self.0 = Inner::Own(rest);
        }
    }
}

/// The pairs that a broker sees in these bytes.
fn pairs(bytes: &[u8]) -> impl DoubleEndedIterator<Item = (&[u8], &[u8])> {
    bytes.split(|b| *b == PAIR_END).filter_map(|chunk| {
        let (name, value) = split_name(chunk)?;
        (!name.is_empty() && !value.is_empty()).then_some((name, value))
    })
}

/// Name and value of one chunk; the value may hold further 0x01 (spec 2.5).
fn split_name(chunk: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = chunk.iter().position(|b| *b == NAME_END)?;
    let (name, rest) = chunk.split_at_checked(at)?;
    Some((name, rest.get(1..)?))
}

/// The value of the last pair with this name in packed properties.
pub(super) fn find<'a>(bytes: &'a [u8], name: &str) -> Option<Cow<'a, str>> {
    if bytes.is_empty() {
        return None;
    }
    // A stored name with malformed bytes is read with U+FFFD in it; only a name that asks for one can mean it.
    let lossy = name.contains(char::REPLACEMENT_CHARACTER);
    pairs(bytes)
        .rev()
        .find(|(found, _)| *found == name.as_bytes() || (lossy && java_text(found) == name))
        .map(|(_, value)| java_text(value))
}

/// The same bytes without the chunks of this name; borrowed if there are none, which costs one walk.
pub(super) fn without<'a>(bytes: &'a [u8], name: &str) -> Cow<'a, [u8]> {
    let is_it = |chunk: &[u8]| {
        let chunk = chunk.strip_suffix(&[PAIR_END]).unwrap_or(chunk);
        split_name(chunk).is_some_and(|(found, _)| found == name.as_bytes())
    };
    let chunks = || bytes.split_inclusive(|b| *b == PAIR_END);
    if !chunks().any(is_it) {
        return Cow::Borrowed(bytes);
    }
    let mut rest = Vec::with_capacity(bytes.len());
    chunks().filter(|chunk| !is_it(chunk)).for_each(|chunk| rest.extend_from_slice(chunk));
    Cow::Owned(rest)
}

/// Whether a pair may follow these bytes at once: there are none, or the last pair is terminated.
pub(super) fn is_terminated(bytes: &[u8]) -> bool {
    bytes.last().is_none_or(|last| *last == PAIR_END)
}

impl Default for Properties {
    fn default() -> Self {
        Properties::new()
    }
}

impl From<Bytes> for Properties {
    fn from(bytes: Bytes) -> Properties {
        Properties::from_raw(bytes)
    }
}

impl PartialEq for Properties {
    fn eq(&self, other: &Properties) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Properties {}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
#[path = "properties_tests.rs"]
mod tests;
