//! What follows the log and derives from it.

mod delay;

pub use delay::DelayLevels;
#[expect(unused_imports, reason = "used by the dispatcher")]
pub(crate) use delay::{DELAY_TOPIC, delay_level};
