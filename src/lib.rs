#![doc = include_str!("../README.md")]

#[cfg_attr(not(test), expect(dead_code, unused_imports, reason = "the store will be its only user"))]
mod checkpoint;
pub mod clock;
pub mod disk;
mod error;
pub mod flush;
mod layout;
pub mod message;
mod offset;
mod sync;
mod worker;

pub use error::{Corruption, Damage, Error, Level, Result};
pub use message::{Checksum, Message, MessageId, Record, Topic};
pub use offset::{LogOffset, Position, QueueOffset};
