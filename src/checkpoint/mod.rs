//! What the store knows about itself between two runs: the four files of `<root>/sawlog`, and RocketMQ's `checkpoint`.
//!
//! - [`MarkFile`] (`mark`): how far the log was durable, who wrote it last, and how that ended.
//! - [`Ranges`] (`ranges`): the parts of the log that we wrote, each record with its own checksum.
//! - [`Quarantine`] (`quarantine`): the parts of the log that are damaged and stepped over.
//! - [`Snapshot`] (`queues`): what is derived up to a place of the log, and durable: each queue's offsets, the index.
//! - [`JavaCheckpoint`] (`checkpoint`): the same for a Java broker, by store time.
//!
//! Every function takes the path of the folder, or of Java's file: who names it is `layout`. The folder must be there.
//! No file is evidence about the log (promises rule 5) but the mark and the list of damage, and the mark only moves with what a sync returned
//! (rule 1).
//! All numbers are big-endian; every file is byte by byte in FORMAT.md.

mod fields;
mod java;
mod mark;
mod quarantine;
mod queues;
mod ranges;
mod whole_file;

pub(crate) use java::JavaCheckpoint;
pub(crate) use mark::{Mark, MarkFile, State, WriterId};
pub(crate) use quarantine::Quarantine;
pub(crate) use queues::Snapshot;
pub(crate) use queues::{IndexFileMark, IndexMark, QueueMark};
pub(crate) use ranges::Ranges;

#[cfg(test)]
mod tests;
