//! What lies in the queues' folders, found without touching it: [`QueueSurvey`].

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use crate::consume_queue::ENTRY_BYTES;
use crate::disk::{self, Disk};
use crate::error::{Error, Result};
use crate::layout;
use crate::offset::{LogOffset, QueueOffset};

/// What is on disk of all queues.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct QueueSurvey {
    /// How many entries a file has, as most of them say; `None` where there is no file.
    pub(crate) entries_per_segment: Option<u32>,
    /// For each queue, by topic and id, the first queue offset of each of its files, ascending. Queues without a
    /// sound file are left out.
    pub(crate) queues: BTreeMap<(String, u32), Vec<QueueOffset>>,
    /// Files that cannot be a queue's. RocketMQ refuses the store for all of them but an empty one that sorts last,
    /// which it deletes (spec 9.3).
    pub(crate) odd: Vec<Odd>,
}

/// A file in a queue's folder that is none of its segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Odd {
    /// The file.
    pub(crate) path: PathBuf,
    /// Whether it has length 0 and can be removed without losing anything.
    pub(crate) empty: bool,
    /// What is wrong with it.
    pub(crate) why: String,
}

/// What is known of one queue from elsewhere: it has the entries from `first` up to `next`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// The first queue offset of its first file that counts, whether a blank stands there or an entry; the same as
    /// `next` if it has no file. Files before it were retired, and may still be there.
    pub(crate) first: QueueOffset,
    /// The queue offset that its next message gets.
    pub(crate) next: QueueOffset,
}

impl QueueSurvey {
    /// Looks at the folder of all queues. A missing one holds nothing.
    ///
    /// Folders inside a queue's folder, folders of queues whose name is no number (or not written as RocketMQ writes
    /// it), topics whose name is not UTF-8 and files beside the topics' folders are passed over, as RocketMQ does
    /// (spec 9.9).
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn of(disk: &dyn Disk, dir: &Path) -> Result<QueueSurvey> {
        let mut queues = Vec::new();
        for topic in folders(disk, dir)? {
            let Some(name) = utf8_name(&topic.path) else { continue };
            for queue in folders(disk, &topic.path)? {
                let Some(id) = queue_id(&queue.name) else { continue };
                queues.push(((name.clone(), id), queue.path));
            }
        }
        let found = files_of(disk, queues)?;
        let common = common_bytes(found.iter().flat_map(|(_, files)| files).map(|file| file.len));
        let mut survey =
            QueueSurvey { entries_per_segment: common.map(|(_, n)| n), ..QueueSurvey::default() };
        let mut sound = Vec::with_capacity(found.len());
        for (queue, files) in found {
            let mut bases = Vec::new();
            for file in files {
                match base(&file, common.map(|(bytes, _)| bytes)) {
                    Ok(base) => bases.push(base),
                    Err(why) => survey.odd.push(Odd { empty: file.len == 0, path: file.path, why }),
                }
            }
            bases.sort_unstable();
            if !bases.is_empty() {
                sound.push((queue, bases));
            }
        }
        // Made of all at once: one by one each is searched for its place.
        survey.queues = sound.into_iter().collect();
        Ok(survey)
    }

    /// Whether all files are there that hold the entries of the queues known: none missing at either end or between.
    /// What is in the files is not looked at.
    pub(crate) fn covers(&self, known: &BTreeMap<(String, u32), Known>, entries_per_segment: u32) -> bool {
        let per_segment = u64::from(entries_per_segment);
        if per_segment == 0 {
            return false;
        }
        known.iter().filter(|(_, known)| known.first < known.next).all(|(queue, known)| {
            let Some(bases) = self.queues.get(queue) else { return false };
            if self.entries_per_segment != Some(entries_per_segment) {
                return false;
            }
            let (first, last) = (known.first.0 / per_segment, known.next.0.saturating_sub(1) / per_segment);
            let Some(from) = bases.iter().position(|base| base.0 / per_segment == first) else {
                return false;
            };
            let run = bases.iter().skip(from).zip(first..).take_while(|(base, n)| base.0 / per_segment == *n);
            u64::try_from(run.count()).is_ok_and(|segments| segments > last - first)
        })
    }
}

/// From so many queues on their folders are read by several threads: for fewer, starting them costs more.
const SHARED_FROM: usize = 4_096;
/// More threads than that wait for each other in the kernel.
const MOST_THREADS: usize = 8;

type Key = (String, u32);

/// The files in each queue's folder. With 200,000 queues this is most of what opening costs.
fn files_of(disk: &dyn Disk, queues: Vec<(Key, PathBuf)>) -> Result<Vec<(Key, Vec<disk::Entry>)>> {
    let look = |queues: Vec<(Key, PathBuf)>| {
        let mut found = Vec::with_capacity(queues.len());
        for (key, folder) in queues {
            let mut files = list(disk, &folder)?;
            files.retain(|file| !file.is_dir);
            found.push((key, files));
        }
        Ok(found)
    };
    if queues.len() < SHARED_FROM {
        return look(queues);
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    let share = queues.len().div_ceil(threads);
    let (mut found, mut left) = (Vec::with_capacity(queues.len()), queues);
    std::thread::scope(|scope| {
        let mut shares = Vec::new();
        while !left.is_empty() {
            let rest = left.split_off(share.min(left.len()));
            let queues = std::mem::replace(&mut left, rest);
            shares.push(scope.spawn(|| look(queues)));
        }
        for share in shares {
            found.extend(share.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(found)
    })
}

/// What a folder holds; a missing one holds nothing.
pub(super) fn list(disk: &dyn Disk, dir: &Path) -> Result<Vec<disk::Entry>> {
    match disk.list(dir) {
        Ok(entries) => Ok(entries),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(Error::io("listing", dir, e)),
    }
}

fn folders(disk: &dyn Disk, dir: &Path) -> Result<Vec<disk::Entry>> {
    let mut entries = list(disk, dir)?;
    entries.retain(|entry| entry.is_dir);
    Ok(entries)
}

fn utf8_name(path: &Path) -> Option<String> {
    Some(path.file_name()?.to_str()?.to_owned())
}

/// A queue's id as RocketMQ writes it: an `i32` that is not negative, in decimal, without leading zeros.
fn queue_id(name: &str) -> Option<u32> {
    let id = name.parse::<u32>().ok().filter(|id| *id <= i32::MAX.unsigned_abs())?;
    (id.to_string() == name).then_some(id)
}

/// The length that most files have, in bytes and in entries, among the lengths that a segment can have: a positive
/// multiple of an entry's. Among equals the longest, because a file that was cut is shorter.
fn common_bytes(lengths: impl Iterator<Item = u64>) -> Option<(u64, u32)> {
    let mut counts: HashMap<u64, u64> = HashMap::new();
    lengths.for_each(|len| *counts.entry(len).or_default() += 1);
    let possible = counts.into_iter().filter_map(|(len, count)| {
        let entries = u32::try_from(len / ENTRY_BYTES).ok().filter(|_| len > 0 && len % ENTRY_BYTES == 0)?;
        Some((count, len, entries))
    });
    possible.max().map(|(_, len, entries)| (len, entries))
}

/// The queue offset of a file's first entry, or why it is no segment of a queue.
fn base(file: &disk::Entry, common_bytes: Option<u64>) -> std::result::Result<QueueOffset, String> {
    let Some(base) = layout::parse_segment_name(&file.name) else {
        return Err("no segment of a queue has such a name; move it out of the queue's folder".into());
    };
    if layout::segment_name(base) != file.name {
        return Err(
            "its name has more digits than RocketMQ writes; another file may stand for the same place".into(),
        );
    }
    if file.len == 0 {
        return Err("an empty file".into());
    }
    match common_bytes {
        Some(common) if file.len != common => {
            Err(format!("it has {} bytes where the other queue files have {common}", file.len))
        }
        None => Err(format!("its {} bytes are no multiple of an entry's {ENTRY_BYTES}", file.len)),
        Some(common) if base.0 % common != 0 || base.plus(common) > LogOffset::MAX => {
            Err(format!("its name is no multiple of its length {common}"))
        }
        Some(_) => Ok(QueueOffset(base.0 / ENTRY_BYTES)),
    }
}
