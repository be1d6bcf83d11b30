//! When bytes become durable, and who is told: policies that decide, marks that only grow, and the flusher.
//!
//! This room knows offsets and nothing else: neither messages nor files.

mod current;
mod group_commit;
mod policy;
mod watermark;

pub(crate) use current::Current;
pub use group_commit::Flush;
pub(crate) use group_commit::GroupCommit;
pub use policy::{AsyncFlush, Decision, FlushPolicy, Progress, SyncFlush};
pub use watermark::{Reached, Watermark};
