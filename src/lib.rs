#![doc = include_str!("../README.md")]
// Compiled by the tests, as the README is.
#![cfg_attr(doctest, doc = include_str!("../MIGRATING.md"))]
#![cfg_attr(doctest, doc = include_str!("../README.zh-CN.md"))]

mod checkpoint;
pub mod clock;
mod commit_log;
mod consume_queue;
pub mod disk;
mod dispatch;
mod error;
pub mod flush;
mod histogram;
pub mod inspect;
mod key_index;
mod layout;
pub mod message;
mod offset;
mod recovery;
mod retention;
mod segment;
mod store;
mod sync;
mod trace;
mod worker;

pub use commit_log::{Raw, Scan};
pub use consume_queue::Bound;
pub use dispatch::DelayLevels;
pub use error::{Corruption, Damage, Error, Level, Result};
pub use histogram::Histogram;
pub use message::{Message, Record};
pub use offset::{LogOffset, LogRange, Position, QueueOffset};
pub use recovery::{Cut, MovedBack, OnDamage, Quarantined, RecoveryProgress, RecoveryReport};
pub use retention::{Retention, Why};
pub use store::{
    Ack, Batch, Damaged, Failed, Fetch, Filter, Find, Flushed, FoundBy, Listener, Marks, News, Options,
    Queue, RawBatch, Records, Rolled, Stats, Status, Store, Stored, Swept, Writable,
};
