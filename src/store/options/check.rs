//! What can be wrong with the options before a file is touched.

use super::{Options, SEGMENT_BYTES};
use crate::error::{Error, Result};
use crate::key_index;

/// RocketMQ's positions in a file of 20-byte entries are 31-bit numbers.
const QUEUE_ENTRIES: std::ops::RangeInclusive<u32> = 1..=((1 << 31) - 1) / 20;
const INDEX_BYTES_MAX: u64 = (1 << 31) - 1;
const OPEN_SEGMENTS: std::ops::RangeInclusive<u32> = 1..=1_000_000;
const OPEN_FILES: std::ops::RangeInclusive<u32> = 16..=1_000_000;

impl Options {
    /// Looks at everything that can be wrong before a file is touched.
    pub(in crate::store) fn check(&self) -> Result<()> {
        let refuse = |why: String| Err(Error::InvalidOptions(why.into()));
        if let Some(bytes) = self.segment_bytes.filter(|b| !SEGMENT_BYTES.contains(b)) {
            let (least, most) = (SEGMENT_BYTES.start(), SEGMENT_BYTES.end());
            return refuse(format!("segment_bytes is {bytes}, it must be within {least} and {most}"));
        }
        if let Some(bytes) = self.max_message_bytes.filter(|b| !(1..=1 << 30).contains(b)) {
            return refuse(format!("max_message_bytes is {bytes}, it must be within 1 and {}", 1 << 30));
        }
        if let (Some(message), Some(segment)) = (self.max_message_bytes, self.segment_bytes)
            && u64::from(message) >= segment
        {
            return refuse(format!("max_message_bytes {message} does not fit into segment_bytes {segment}"));
        }
        self.retention.check()?;
        self.check_derived()
    }

    fn check_derived(&self) -> Result<()> {
        let refuse = |why: String| Err(Error::InvalidOptions(why.into()));
        if let Some(entries) = self.queue_segment_entries.filter(|e| !QUEUE_ENTRIES.contains(e)) {
            let most = QUEUE_ENTRIES.end();
            return refuse(format!("queue_segment_entries is {entries}, it must be within 1 and {most}"));
        }
        let key_index::Geometry { slots, entries } = self.index;
        if slots == 0 || entries < 2 || self.index.file_bytes() > INDEX_BYTES_MAX {
            return refuse(format!("an index file of {slots} slots and {entries} entries cannot be"));
        }
        if !OPEN_FILES.contains(&self.open_files) {
            let (least, most) = (OPEN_FILES.start(), OPEN_FILES.end());
            return refuse(format!(
                "open_files is {}, it must be within {least} and {most}",
                self.open_files
            ));
        }
        if !OPEN_SEGMENTS.contains(&self.open_segments) {
            let (least, most) = (OPEN_SEGMENTS.start(), OPEN_SEGMENTS.end());
            let found = self.open_segments;
            return refuse(format!("open_segments is {found}, it must be within {least} and {most}"));
        }
        Ok(())
    }
}
