//! What follows the log and derives from it.

mod delay;

pub use delay::DelayLevels;
