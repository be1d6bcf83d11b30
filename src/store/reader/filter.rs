//! [`Filter`]: which messages a pull wants, by tag and by the user's own rule.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::message::{Record, java_hash};

/// Stands for every tag in a tag expression, if it stands alone.
const EVERY_TAG: &str = "*";

/// A rule of the user.
type Own = Arc<dyn Fn(&Record) -> bool + Send + Sync>;

/// Which messages a [`Fetch`](crate::Fetch) wants. The default wants all.
///
/// A queue entry holds a hash of its message's tag, so that most of what is not wanted is passed over without a look
/// at the log. Hashes of different tags may be equal: RocketMQ's broker sends such a message all the same, and its
/// client compares the text. Filters made from tags compare it here; those made by [`Filter::tag_hashes`] do as the
/// broker does.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # use sawlog::{Fetch, Filter, Message, Options, QueueOffset, Store};
/// for (tag, body) in [("paid", "1"), ("sent", "22"), ("paid", "333")] {
///     store.append(&Message::new("orders", body).tag(tag))?.forget();
/// }
/// let queue = store.queue("orders", 0);
/// queue.wait(QueueOffset(2)).wait()?;
/// let count = |filter: Filter| {
///     queue.fetch(&Fetch::from(QueueOffset(0)).filter(filter)).map(|batch| batch.records.len())
/// };
/// assert_eq!(count(Filter::tags(["paid"]))?, 2);
/// assert_eq!(count(Filter::expression("paid || sent")?)?, 3);
/// assert_eq!(count(Filter::by(|record| record.body().len() > 1))?, 2);
/// assert_eq!(count(Filter::tags(["paid"]).and(|record| record.body().len() > 1))?, 1);
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct Filter {
    tags: Tags,
    own: Option<Own>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Tags {
    #[default]
    Every,
    /// Hash and text of each.
    Named(Vec<(i32, String)>),
    Hashes(Vec<i32>),
}

impl Filter {
    /// Every message.
    #[must_use]
    pub fn all() -> Filter {
        Filter::default()
    }

    /// Messages with one of these tags; none if there is no tag given. A message's `TAGS` is one tag as a whole,
    /// whatever stands in it (spec 3.2).
    #[must_use]
    pub fn tags<T: AsRef<str>>(tags: impl IntoIterator<Item = T>) -> Filter {
        let named = tags.into_iter().map(|tag| (java_hash(tag.as_ref()), tag.as_ref().to_owned()));
        Filter { tags: Tags::Named(named.collect()), own: None }
    }

    /// RocketMQ's tag expression: tags with `||` between them, as in `"paid || sent"`. Empty, or `*` alone: every
    /// message. Beside others a `*` is the tag of that name, as it is to RocketMQ.
    ///
    /// # Errors
    /// [`Error::InvalidOptions`] if nothing stands between the bars.
    pub fn expression(expression: &str) -> Result<Filter> {
        let trimmed = expression.trim();
        if trimmed.is_empty() || trimmed == EVERY_TAG {
            return Ok(Filter::all());
        }
        let mut tags = trimmed.split("||").map(str::trim).filter(|tag| !tag.is_empty()).peekable();
        if tags.peek().is_none() {
            return Err(Error::InvalidOptions(
                format!("the tag expression {expression:?} names no tag").into(),
            ));
        }
        Ok(Filter::tags(tags))
    }

    /// Messages whose entry holds one of these hashes, whatever their tag's text: what RocketMQ's broker does with a
    /// subscription's code set. A message without a tag has the hash 0. In the delay topic the field holds the time
    /// of delivery, whose low 32 bits are compared all the same, as there (spec 3.2, 3.3).
    #[must_use]
    pub fn tag_hashes(hashes: impl IntoIterator<Item = i32>) -> Filter {
        Filter { tags: Tags::Hashes(hashes.into_iter().collect()), own: None }
    }

    /// The user's own rule. It is asked in the thread that fetches, with the record decoded.
    #[must_use]
    pub fn by(wants: impl Fn(&Record) -> bool + Send + Sync + 'static) -> Filter {
        Filter { tags: Tags::Every, own: Some(Arc::new(wants)) }
    }

    /// This filter, and of what it lets through only what the user's own rule wants. A rule set before goes on to
    /// count: it is asked first.
    #[must_use]
    pub fn and(self, wants: impl Fn(&Record) -> bool + Send + Sync + 'static) -> Filter {
        let Filter { tags, own } = self;
        let own: Own = match own {
            Some(first) => Arc::new(move |record| first(record) && wants(record)),
            None => Arc::new(wants),
        };
        Filter { tags, own: Some(own) }
    }

    /// Whether an entry with this tag code may be wanted. The low 32 bits count (spec 3.2).
    pub(super) fn wants_code(&self, code: i64) -> bool {
        let [.., a, b, c, d] = code.to_be_bytes();
        let hash = i32::from_be_bytes([a, b, c, d]);
        match &self.tags {
            Tags::Every => true,
            Tags::Named(tags) => tags.iter().any(|(wanted, _)| *wanted == hash),
            Tags::Hashes(hashes) => hashes.contains(&hash),
        }
    }

    /// Whether [`Filter::wants`] has to see the record.
    pub(super) fn needs_record(&self) -> bool {
        self.own.is_some() || matches!(self.tags, Tags::Named(_))
    }

    /// Whether a record is wanted whose entry may be.
    pub(super) fn wants(&self, record: &Record) -> bool {
        let tag_fits = match &self.tags {
            Tags::Every | Tags::Hashes(_) => true,
            Tags::Named(tags) => {
                record.message.tags().is_some_and(|tag| tags.iter().any(|(_, wanted)| *wanted == *tag))
            }
        };
        tag_fits && self.own.as_ref().is_none_or(|wants| wants(record))
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = self.own.as_ref().map(|_| "the user's own");
        f.debug_struct("Filter").field("tags", &self.tags).field("own", &own).finish()
    }
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
