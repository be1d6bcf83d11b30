//! A histogram of fixed buckets: each is twice as wide as the one before, so that noting a value is one addition.
//!
//! It costs the same memory whatever is noted, never allocates, and is read while it is written.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering};

/// One bucket for 0, then one for each power of two, the last one for all that is greater: 2³⁸ microseconds are three
/// days, 2³⁸ bytes 256 GiB.
const BUCKETS: usize = 40;

/// How often values of each size came up, as of one moment; see [`Stats`](crate::Stats).
///
/// A bucket holds 0, or 1, or 2 and 3, or 4 to 7, and so on: what it says of a single value is right within a factor
/// of two. The unit is that of the field that holds it.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # use sawlog::{Message, Options, Store};
/// let store = Store::open(folder.path(), Options::new())?;
/// store.append_batch(&[Message::new("orders", "1"), Message::new("orders", "2")])?.forget();
/// store.flush()?;
/// let records = store.stats().batch_records;
/// assert_eq!((records.count(), records.sum(), records.max()), (1, 2, 2));
/// assert_eq!((records.mean(), records.per_mille(990)), (2, 2));
/// assert_eq!(records.buckets().collect::<Vec<_>>(), [(3, 1)]); // one value of 2 or 3
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; BUCKETS],
    sum: u64,
    max: u64,
}

impl Histogram {
    /// How many values were noted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |all, count| all.saturating_add(*count))
    }

    /// What they add up to.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The greatest; 0 if there is none.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The mean, rounded down; 0 if there is none.
    #[must_use]
    pub fn mean(&self) -> u64 {
        self.sum.checked_div(self.count()).unwrap_or(0)
    }

    /// A value that so many thousandths of all values do not exceed: 500 for the median, 999 for the slowest in a
    /// thousand. Rounded up to the end of its bucket, and never above [`Histogram::max`]. Range: 0 ..= 1000.
    #[must_use]
    pub fn per_mille(&self, share: u32) -> u64 {
        let wanted = u128::from(self.count()) * u128::from(share.min(1000));
        let mut below = 0_u128;
        for (end, count) in self.buckets() {
            below += u128::from(count) * 1000;
            if below >= wanted {
                return end.min(self.max);
            }
        }
        self.max
    }

    /// The buckets that hold something, smallest first: the greatest value that each could hold, and how many it does.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let ends = (0..BUCKETS).map(end_of);
        ends.zip(self.counts).filter(|(_, count)| *count > 0)
    }
}

/// The greatest value of a bucket.
fn end_of(bucket: usize) -> u64 {
    let bits = u32::try_from(bucket).unwrap_or(u32::MAX);
    if bucket + 1 == BUCKETS { u64::MAX } else { 1_u64.checked_shl(bits).map_or(u64::MAX, |end| end - 1) }
}

/// A histogram in the making.
#[derive(Debug)]
pub(crate) struct Tally {
    counts: [AtomicU64; BUCKETS],
    sum: AtomicU64,
    max: AtomicU64,
}

impl Default for Tally {
    fn default() -> Tally {
        Tally { counts: array::from_fn(|_| AtomicU64::new(0)), sum: 0.into(), max: 0.into() }
    }
}

impl Tally {
    pub(crate) fn note(&self, value: u64) {
        // As many bits as the value has: 0 for 0, 1 for 1, 2 for 2 and 3.
        let bits = usize::try_from(u64::BITS - value.leading_zeros()).unwrap_or(usize::MAX);
        if let Some(count) = self.counts.get(bits.min(BUCKETS - 1)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(value, Ordering::Relaxed);
        self.max.fetch_max(value, Ordering::Relaxed);
    }

    /// What was noted so far. A value that is being noted may stand in the sum and not yet in its bucket.
    pub(crate) fn snapshot(&self) -> Histogram {
        let mut counts = [0; BUCKETS];
        for (count, noted) in counts.iter_mut().zip(&self.counts) {
            *count = noted.load(Ordering::Relaxed);
        }
        let (sum, max) = (self.sum.load(Ordering::Relaxed), self.max.load(Ordering::Relaxed));
        Histogram { counts, sum, max }
    }
}

#[cfg(test)]
#[path = "histogram_tests.rs"]
mod tests;
