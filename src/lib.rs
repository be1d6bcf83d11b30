#![doc = include_str!("../README.md")]

pub mod clock;
pub mod disk;
mod error;
pub mod message;
mod offset;

pub use error::{Corruption, Damage, Error, Level, Result};
pub use message::{Checksum, Message, MessageId, Record, Topic};
pub use offset::{LogOffset, Position, QueueOffset};
