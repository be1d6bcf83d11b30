#![doc = include_str!("../README.md")]

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
pub use offset::{LogOffset, Position, QueueOffset};
