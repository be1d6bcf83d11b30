//! The name under which messages are queued.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use bytes::Bytes;

use super::short::Short;
use crate::error::{Error, Result};

/// A topic: text that is cheap to clone. Up to 32 bytes stand in place; a longer one is shared, as a slice of its
/// record's bytes if it was read.
///
/// Any text is a `Topic`; [`Topic::check`] says which can be appended to.
///
/// ```
/// use sawlog::Message;
/// use sawlog::message::Topic;
///
/// let orders = Topic::from_static("orders"); // or from a `&str` or a `String`
/// let message = Message::new(&orders, "paid");
/// assert_eq!(message.topic.as_str(), "orders");
/// assert!(Topic::check(&message.topic).is_ok());
/// assert!(Topic::check("or/ders").is_err());
/// ```
#[derive(Clone)]
pub struct Topic(Name);

#[derive(Clone)]
enum Name {
    Short(Short),
    Shared(Bytes),
}

impl Topic {
    /// The most bytes a topic may have: its queues stand in a folder of its name, and no file system takes more.
    pub const MAX_BYTES: usize = 255;

    /// A topic known when the program is built; costs nothing.
    #[must_use]
    pub const fn from_static(name: &'static str) -> Topic {
        Topic(Name::Shared(Bytes::from_static(name.as_bytes())))
    }

    /// A topic from bytes that need no copy; `None` if they are not UTF-8.
    #[must_use]
    pub fn from_utf8(name: Bytes) -> Option<Topic> {
        std::str::from_utf8(&name).is_ok().then_some(Topic(Name::Shared(name)))
    }

    /// The name that stands in these bytes.
    #[inline(always)]
    pub(super) fn within(name: &str, bytes: &Bytes) -> Topic {
        Topic(match Short::of(name.as_bytes()) {
            Some(short) => Name::Short(short),
            None => Name::Shared(bytes.slice_ref(name.as_bytes())),
        })
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Every way of making one has seen a `str`, so the check cannot fail; without `unsafe` it must be asked
        // again, which costs some 10 ns.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The name's bytes.
    #[must_use]
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Name::Short(name) => name.as_bytes(),
            Name::Shared(name) => name,
        }
    }

    /// The name's length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether there is no name; no message is appended to such a topic.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }

    /// [`Topic::check`] of this one, which most often need not be read as text for it.
    #[inline]
    pub(super) fn check_own(&self) -> Result<()> {
        if is_plain(self.as_bytes()) { Ok(()) } else { Topic::check(self) }
    }

    /// Whether messages may be appended under this name: it becomes the name of a folder.
    ///
    /// # Errors
    /// [`Error::InvalidMessage`] if it is empty, longer than [`Topic::MAX_BYTES`], `.` or `..`, or holds a `/` or a
    /// control character. RocketMQ is stricter (127 bytes but for retry topics, and only `%|a-zA-Z0-9_-`, spec 2.8)
    /// where its brokers take messages from clients; its store is not.
    pub fn check(name: &str) -> Result<()> {
        if is_plain(name.as_bytes()) {
            return Ok(());
        }
        let refuse = |why: String| Err(Error::InvalidMessage(why.into()));
        if name.is_empty() {
            return refuse("the topic is empty".into());
        }
        if name.len() > Self::MAX_BYTES {
            return refuse(format!("the topic has {} bytes, the limit is {}", name.len(), Self::MAX_BYTES));
        }
        if name == "." || name == ".." {
            return refuse(format!("the topic {name:?} cannot be the name of a folder"));
        }
        match name.chars().find(|c| *c == '/' || c.is_control()) {
            Some(bad) => refuse(format!("the topic {name:?} holds {bad:?}, which no folder's name may")),
            None => Ok(()),
        }
    }
}

/// Whether a name is what most are, ASCII that can be seen: then a byte is a character. One that begins with a dot is
/// looked at more closely.
#[inline]
fn is_plain(name: &[u8]) -> bool {
    // Without a way out in the middle: names are short, and many bytes are looked at at once.
    let visible = |all, byte: &u8| all & (byte.wrapping_sub(b'!') <= b'~' - b'!') & (*byte != b'/');
    name.len() <= Topic::MAX_BYTES
        && name.first().is_some_and(|first| *first != b'.')
        && name.iter().fold(true, visible)
}

impl Deref for Topic {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Topic {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl From<&str> for Topic {
    fn from(name: &str) -> Topic {
        Topic(match Short::of(name.as_bytes()) {
            Some(short) => Name::Short(short),
            None => Name::Shared(Bytes::copy_from_slice(name.as_bytes())),
        })
    }
}

impl From<String> for Topic {
    fn from(name: String) -> Topic {
        Topic(match Short::of(name.as_bytes()) {
            Some(short) => Name::Short(short),
            None => Name::Shared(name.into()),
        })
    }
}

impl From<&Topic> for Topic {
    fn from(topic: &Topic) -> Topic {
        topic.clone()
    }
}

impl Default for Topic {
    fn default() -> Topic {
        Topic::from_static("")
    }
}

impl PartialEq for Topic {
    fn eq(&self, other: &Topic) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Topic {}

impl PartialOrd for Topic {
    fn partial_cmp(&self, other: &Topic) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Topic {
    fn cmp(&self, other: &Topic) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for Topic {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl PartialEq<str> for Topic {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for Topic {
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
#[path = "topic_tests.rs"]
mod tests;
