//! When bytes become durable, and who is told: policies that decide, marks that only grow, and the flusher.
//!
//! This room knows offsets and nothing else: neither messages nor files.
//!
//! # Group commit
//!
//! A sync costs the same for one record as for a thousand: some 100 µs on a good disk, 10 ms on a poor one. Whoever
//! syncs for each record appends at the pace of the disk's syncs. Here nobody does. While one sync runs others append,
//! and the next sync carries them all:
//!
//! ```text
//!  producer 1  ─a──────────────────✓──────────────────
//!  producer 2  ──b─────────────────✓─d────────────────✓
//!  producer 3  ─────────c─────────────────────────────✓
//!  flusher     ───[ sync: a b ]────│[ sync: c d ]─────│
//!                                  flushed = end of b   flushed = end of d
//! ```
//!
//! There is no timer in it, and no batch size: the slower the disk, the larger the batches. A lone producer waits for
//! one sync and for nothing else. Those who wait do so for a number: a sync that returns Ok moves the flushed mark to
//! the end that was sampled before it began, and one event wakes everybody below.
//!
//! ```text
//!  log    ├───────────────┬─────────────────┬──────────┬─ ─ ─ ─
//!         0            flushed           written    accepted
//!         └ a power cut   └ a killed        └ gathered, and
//!           leaves this     process leaves    written with the
//!           at least        this at least     next sync
//! ```
//!
//! A mark moves at the end of a record or of a whole batch, never inside, and never back. When a sync fails nobody
//! knows what reached the disk, and asking again may be answered Ok without a byte being written; so the mark stays,
//! everybody who waits is told, and the store takes no more until it is opened again.
//!
//! # Policies
//!
//! What an acknowledgement means, and when a sync begins, says a [`FlushPolicy`]: [`SyncFlush`] and [`AsyncFlush`] are
//! RocketMQ's two; one of your own is asked what it wants whenever something changed. Whatever it answers, a window of
//! bytes bounds what is appended and not durable: from half of it on the flusher flushes unasked.
//!
//! ```
//! # let folder = tempfile::tempdir()?;
//! # use sawlog::flush::SyncFlush;
//! # use sawlog::{Message, Options, Store};
//! let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16).flush(SyncFlush))?;
//! let message = Message::new("orders", "paid");
//! let acks = (0..100).map(|_| store.append(&message)).collect::<Result<Vec<_>, _>>()?;
//! for ack in acks {
//!     ack.wait()?;
//! }
//! let marks = store.marks();
//! assert_eq!(marks.flushed, marks.accepted);
//! println!("{} syncs for a hundred records", marks.syncs);
//! # store.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod current;
mod group_commit;
mod policy;
mod watermark;

pub(crate) use current::Current;
pub(crate) use group_commit::{Flush, GroupCommit};
pub use policy::{AsyncFlush, Decision, FlushPolicy, Progress, SyncFlush};
pub use watermark::{Reached, Watermark};
