//! Names of files and folders, and nothing else (spec 1.1, 1.2).

use std::path::{Path, PathBuf};

use crate::offset::LogOffset;

/// Where the parts of one store lie.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: &Path) -> Layout {
        Layout { root: root.to_path_buf() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of the log's segments.
    pub(crate) fn commit_log(&self) -> PathBuf {
        self.root.join("commitlog")
    }

    /// The lock that a Java broker also takes.
    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// RocketMQ's "did not shut down cleanly" mark (spec 5.2).
    pub(crate) fn abort(&self) -> PathBuf {
        self.root.join("abort")
    }

    /// RocketMQ's five progress values (spec 5.1).
    pub(crate) fn checkpoint(&self) -> PathBuf {
        self.root.join("checkpoint")
    }

    /// RocketMQ's consume queues, which it derives from the log.
    pub(crate) fn consume_queues(&self) -> PathBuf {
        self.root.join("consumequeue")
    }

    /// RocketMQ's key index files.
    pub(crate) fn index(&self) -> PathBuf {
        self.root.join("index")
    }

    /// Where queue and index files are made before they get their names.
    pub(crate) fn making_derived(&self) -> PathBuf {
        self.own().join("making")
    }

    /// Where files are put that stand among queues or index files and are none of ours; `again` numbers further ones
    /// of one name.
    pub(crate) fn aside(&self, name: &str, again: u32) -> PathBuf {
        self.own().join("aside").join(if again == 0 { name.to_owned() } else { format!("{name}.{again}") })
    }

    /// Our own folder; RocketMQ looks at none of it.
    pub(crate) fn own(&self) -> PathBuf {
        self.root.join("sawlog")
    }

    /// Where recovery keeps the bytes that it cut at `at`; `again` numbers further cuts at the same place.
    pub(crate) fn cut(&self, at: LogOffset, again: u32) -> PathBuf {
        let name = segment_name(at);
        self.own().join(if again == 0 { format!("cut-{name}") } else { format!("cut-{name}.{again}") })
    }
}

/// Where new segments are made: a folder inside the segments' own, because RocketMQ skips folders there (spec 9.9)
/// and a rename out of it never crosses file systems.
pub(crate) fn making(segments: &Path) -> PathBuf {
    segments.join("making")
}

/// A segment's file name: the offset of its first byte in twenty digits (spec 1.2).
pub(crate) fn segment_name(base: LogOffset) -> String {
    format!("{:020}", base.0)
}

/// A key index file's name: the moment of its creation in seventeen digits (spec 1.3).
pub(crate) fn index_name(moment: u64) -> String {
    format!("{moment:017}")
}

/// The offset that a segment's file name stands for; `None` if it is no segment's name.
pub(crate) fn parse_segment_name(name: &str) -> Option<LogOffset> {
    let digits = name.len() >= 20 && name.bytes().all(|b| b.is_ascii_digit());
    let base = digits.then(|| name.parse().ok()).flatten().map(LogOffset)?;
    (base <= LogOffset::MAX).then_some(base)
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
