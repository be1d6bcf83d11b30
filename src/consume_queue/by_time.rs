//! Look-up by store time in anything that is numbered in the order of storing: a halving search.

use crate::clock::Timestamp;
use crate::error::Result;

/// Which of the messages around a moment is meant (`BoundaryType`, spec 11.4).
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # use sawlog::{Bound, Message, Options, QueueOffset, Store};
/// # use sawlog::clock::Timestamp;
/// let ack = store.append_batch(&[Message::new("orders", "paid"), Message::new("orders", "sent")])?;
/// let (queue, stored) = (store.queue("orders", 0), ack.stored());
/// queue.wait(QueueOffset(1)).wait()?;
/// assert_eq!(queue.offset_at_time(stored, Bound::First)?, QueueOffset(0));
/// assert_eq!(queue.offset_at_time(stored, Bound::Last)?, QueueOffset(1));
/// let later = Timestamp(stored.0 + 1);
/// assert_eq!(queue.offset_at_time(later, Bound::First)?, queue.max()); // none yet
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Bound {
    /// The first message at or after it (`LOWER`). The default.
    #[default]
    First,
    /// The last message at or before it (`UPPER`).
    Last,
}

/// What stands at an offset of the queue, or at the next one that is no blank.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe {
    /// The offset.
    pub(crate) at: u64,
    /// When it was stored. `None`: removed by retention, and so before everything that is there.
    pub(crate) stored: Option<Timestamp>,
}

/// The answer within `[min, max]`, at logarithmic cost.
pub(crate) fn search(
    min: u64,
    max: u64,
    bound: Bound,
    time: Timestamp,
    mut probe: impl FnMut(u64) -> Result<Probe>,
) -> Result<u64> {
    let is_before = |stored: Option<Timestamp>| match bound {
        Bound::First => stored.is_none_or(|stored| stored < time),
        Bound::Last => stored.is_none_or(|stored| stored <= time),
    };
    // Everything below `low` is before the border, everything from `high` on is not. Blanks go with what follows.
    let (mut low, mut high) = (min, max);
    let mut first_behind = max;
    while low < high {
        let middle = low.midpoint(high);
        let found = probe(middle)?;
        if is_before(found.stored) {
            low = found.at.saturating_add(1);
        } else {
            high = middle;
            first_behind = found.at;
        }
    }
    Ok(match bound {
        Bound::First => first_behind,
        // What stands below the border is no blank, for a blank goes with what follows.
        Bound::Last => low.saturating_sub(1).max(min),
    })
}

#[cfg(test)]
#[path = "by_time_tests.rs"]
mod tests;
