//! Kinds of store that a RocketMQ broker can write and that are not read here: each is refused by its name.
//!
//! Their log, or what is derived from it, is laid out otherwise. Opened all the same they would look like a store
//! with queues missing, or with damage in it, and be put right to death.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::{Disk, Entry};
use crate::error::{Error, Result};
use crate::layout::{Layout, parse_segment_name};

/// Folders below a kind's own that lead to its files: topic, queue, and one more.
const DEPTH: u32 = 4;

const BATCH: &str = "a file of batch queues (queue.type=BatchCQ), which are not read; open the store with a RocketMQ \
                     broker, or, to go without these topics, move the folder batchconsumequeue away";
const COMPACTION: &str = "a file of compacted topics (cleanup.policy=COMPACTION), which are not read; open the store \
                          with a RocketMQ broker, or, to go without these topics, move the folder compaction away";
const LIGHT: &str = "a file of a light queue (%LMQ%, enableLmq), which is not read; open the store with a RocketMQ \
                     broker, or, to go without these queues, move the topic's folder away";
const ROCKSDB: &str = "the consume queues are a RocksDB database (storeType=defaultRocksDB, or \
                       rocksdbCQDoubleWriteEnable), which is not read; open the store with a RocketMQ broker, or move \
                       the folder consumequeue away: the queues are derived from the log again";
const DLEDGER: &str = "a file of a DLedger log (enableDLegerCommitLog), whose records have another layout and are not \
                       read; open the store with a RocketMQ broker, or move the folder away if the log is in commitlog";
const SEVERAL_PATHS: &str = "segments stand at regular gaps: the log lies in several folders (storePathCommitLog names \
                             more than one path); move the segments of all of them into this one, and open again";

/// Refuses a store of a kind that is not read. Touches nothing. Folders that hold no file say nothing: a broker makes
/// some of them without need.
///
/// # Errors
/// [`Error::Foreign`] names the file that gives the kind away, says which kind it is and what to do; [`Error::Io`].
pub(crate) fn refuse_unreadable_kinds(disk: &dyn Disk, layout: &Layout) -> Result<()> {
    for entry in list(disk, layout.root())?.iter().filter(|e| e.is_dir) {
        match entry.name.as_str() {
            "batchconsumequeue" => refuse(first_file(disk, &entry.path, DEPTH)?, BATCH)?,
            "compaction" => compaction(disk, &entry.path)?,
            name if name.starts_with("dledger-") => refuse(first_file(disk, &entry.path, DEPTH)?, DLEDGER)?,
            _ => {}
        }
    }
    consume_queues(disk, &layout.consume_queues())?;
    commit_log(disk, layout)
}

/// Compacted topics lie in folders here. What lies beside these means nothing: a broker writes `position-checkpoint`
/// at every clean shutdown, compacted topics or not.
fn compaction(disk: &dyn Disk, dir: &Path) -> Result<()> {
    for entry in list(disk, dir)?.iter().filter(|e| e.is_dir) {
        refuse(first_file(disk, &entry.path, DEPTH)?, COMPACTION)?;
    }
    Ok(())
}

/// Where topics have folders, a RocksDB database has files (spec 1.1), and light queues names of their own (spec 3.9).
fn consume_queues(disk: &dyn Disk, dir: &Path) -> Result<()> {
    for entry in list(disk, dir)? {
        let is_database = entry.name == "CURRENT" || entry.name.starts_with("MANIFEST-");
        if !entry.is_dir && is_database {
            refuse(Some(entry.path), ROCKSDB)?;
        } else if entry.is_dir && entry.name.starts_with("%LMQ%") {
            refuse(first_file(disk, &entry.path, DEPTH)?, LIGHT)?;
        }
    }
    Ok(())
}

fn commit_log(disk: &dyn Disk, layout: &Layout) -> Result<()> {
    let dir = layout.commit_log();
    let entries = list(disk, &dir)?;
    for entry in entries.iter().filter(|e| e.is_dir && e.name.starts_with("dledger-")) {
        refuse(first_file(disk, &entry.path, DEPTH)?, DLEDGER)?;
    }
    // Where our mark lies, all segments were once in this folder: what is not there any more is missing.
    let mark = layout.own().join("mark");
    let is_ours = disk.entry(&mark).map_err(|e| Error::io("looking at", &mark, e))?.is_some();
    if !is_ours && stands_at_gaps(&entries) { refuse(Some(dir), SEVERAL_PATHS) } else { Ok(()) }
}

/// Of n log paths each holds every n-th segment (spec 1.5). Files of several lengths, or with other names, are none
/// of this: they are refused by what looks at segments.
fn stands_at_gaps(entries: &[Entry]) -> bool {
    let files = || entries.iter().filter(|e| !e.is_dir && e.len > 0);
    let Some(len) = files().map(|e| e.len).next() else { return false };
    let bases: Option<Vec<u64>> =
        files().map(|e| parse_segment_name(&e.name).filter(|_| e.len == len).map(|base| base.0)).collect();
    let bases = bases.unwrap_or_default();
    let mut gaps = bases.iter().zip(bases.iter().skip(1)).map(|(base, next)| next.saturating_sub(*base));
    let Some(gap) = gaps.next() else { return false };
    gap > len && gap.is_multiple_of(len) && gaps.all(|other| other == gap)
}

fn refuse(found: Option<PathBuf>, why: &'static str) -> Result<()> {
    found.map_or(Ok(()), |path| Err(Error::Foreign { path, why: why.into() }))
}

/// Any file in this folder or in those below it, `depth` levels down.
fn first_file(disk: &dyn Disk, dir: &Path, depth: u32) -> Result<Option<PathBuf>> {
    for entry in list(disk, dir)? {
        if !entry.is_dir {
            return Ok(Some(entry.path));
        }
        let Some(below) = depth.checked_sub(1) else { continue };
        if let Some(found) = first_file(disk, &entry.path, below)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// What a folder holds; nothing if there is no such folder.
fn list(disk: &dyn Disk, dir: &Path) -> Result<Vec<Entry>> {
    match disk.list(dir) {
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        listed => listed.map_err(|e| Error::io("listing", dir, e)),
    }
}
