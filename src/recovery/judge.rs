//! Unsynced tail, or damage? Promises rule 2 as a pure function.
//!
//! After a power cut unsynced pages survive in any order, so a good record behind a bad one is ordinary above the
//! durable mark. What is not ordinary can be proven: the last writer kept everything that no sync covered within a
//! window, and said in its mark how wide that is.

use crate::offset::LogOffset;

/// All that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// The first bad place.
    pub(crate) broken_at: LogOffset,
    /// The durable offset of the mark, if there is a mark.
    pub(crate) durable: Option<LogOffset>,
    /// The end of the last vouched valid record behind the bad place.
    pub(crate) valid_to: Option<LogOffset>,
    /// The last writer's window, if the bad place lies in what it wrote under that window.
    pub(crate) window_bytes: Option<u64>,
    /// Whether sawlog wrote last.
    pub(crate) ours: bool,
    /// Whether it closed in order.
    pub(crate) closed: bool,
    /// Whether the system has been running since: no power was cut.
    pub(crate) same_boot: bool,
    /// Whether a sync had failed under the last writer: then even without a power cut anything may be missing.
    pub(crate) failed: bool,
}

/// Whether it is damage. If not, it is an unsynced tail, or nothing at all.
pub(crate) fn is_damage(e: &Evidence) -> bool {
    if e.durable.is_some_and(|durable| e.broken_at < durable) {
        return true;
    }
    let Some(valid_to) = e.valid_to else { return false };
    let beyond_window =
        e.window_bytes.is_some_and(|window| valid_to.0.saturating_sub(window) > e.broken_at.0);
    beyond_window || !e.ours || e.closed || (e.same_boot && !e.failed)
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
