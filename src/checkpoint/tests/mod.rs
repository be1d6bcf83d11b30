//! The three files held against what may happen to them: to their bytes, and to the disk below them.

mod bytes;
mod files;

use super::{Mark, State, WriterId};
use crate::disk::BootId;
use crate::offset::LogOffset;

fn mark(generation: u64) -> Mark {
    Mark {
        generation,
        durable: LogOffset(0x0102_0304_0506),
        window_bytes: 4 << 20,
        segment_bytes: 1 << 30,
        ours_from: LogOffset(182),
        boot: BootId([0xB0; 16]),
        writer: WriterId([0x77; 16]),
        state: State::Closed,
        end: LogOffset(0x0102_0304_0600),
    }
}
