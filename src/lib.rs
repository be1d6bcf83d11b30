#![doc = include_str!("../README.md")]

mod checkpoint;
pub mod clock;
mod commit_log;
#[cfg_attr(not(test), expect(dead_code, reason = "used by the dispatcher"))]
mod consume_queue;
pub mod disk;
mod error;
pub mod flush;
mod layout;
pub mod message;
mod offset;
mod recovery;
mod segment;
mod store;
mod sync;
mod worker;

pub use commit_log::{Raw, Scan};
pub use error::{Corruption, Damage, Error, Level, Result};
pub use message::{Message, Record};
pub use offset::{LogOffset, Position, QueueOffset};
pub use recovery::{Cut, MovedBack, OnDamage, RecoveryProgress, RecoveryReport};
pub use store::{Ack, Marks, Options, Store, Stored};
