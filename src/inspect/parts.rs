//! The parts of a store as they are found: none of them is trusted, and nothing is refused for another one's sake.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::consume_queue::QueueSurvey;
use crate::disk::{Disk, Entry, Holder};
use crate::error::{Error, Result};
use crate::inspect::Look;
use crate::inspect::folder::{OddFile, list};
use crate::inspect::index_files::{self, IndexPlace};
use crate::key_index::Geometry;
use crate::layout::{self, Layout};
use crate::offset::LogOffset;
use crate::recovery::{Before, OnDamage};
use crate::segment::Survey;

/// See the file's text.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) layout: Layout,
    pub(super) holder: Holder,
    /// The segments that can be some, all of one length.
    pub(super) log: Survey,
    /// Segments that retention has given up and not removed yet.
    pub(super) given_up: Vec<PathBuf>,
    pub(super) odd_log: Vec<OddFile>,
    pub(super) queues: QueueSurvey,
    /// Index files, ascending by name.
    pub(super) index: Vec<IndexPlace>,
    pub(super) odd_index: Vec<OddFile>,
    /// How index files are divided; `None` where there are none, or where that cannot be told.
    pub(super) geometry: Option<Geometry>,
    pub(super) before: Before,
    /// Why our own files could not be read at all.
    pub(super) own_error: Option<Error>,
}

impl Parts {
    /// Looks at everything once.
    ///
    /// # Errors
    /// [`Error::Foreign`] if there is no store; [`Error::Io`].
    pub(super) fn of(look: &Look) -> Result<Parts> {
        let (disk, layout) = (Arc::clone(&look.disk), store_at(look)?);
        let holder =
            disk.holder(&layout.lock()).map_err(|e| Error::io("asking who holds", &layout.lock(), e))?;
        // The mark first: what it says is durable lies in files that were there before.
        let (before, own_error) = match Before::read(&*disk, &layout, OnDamage::FirstBroken) {
            Ok(before) => (before, None),
            Err(error) => (Before::unknown(disk.boot_id()), Some(error)),
        };
        let (mut log, odd_log) = log_files(&*disk, &layout.commit_log())?;
        let given_up = before.first().map_or_else(Vec::new, |first| log.give_up(first));
        let queues = QueueSurvey::of(&*disk, &layout.consume_queues())?;
        let (all, mut odd_index) = index_files::list(&*disk, &layout.index())?;
        let geometry = match look.index {
            Some(given) => Some(given),
            None => index_files::geometry(&*disk, &all, before.snapshot.as_ref())?,
        };
        let bytes = geometry.map(Geometry::file_bytes);
        let fits = |place: &IndexPlace| bytes.is_none_or(|bytes| bytes == place.len);
        let (index, other): (Vec<_>, Vec<_>) = all.into_iter().partition(fits);
        odd_index.extend(other.into_iter().map(|place| place.odd(bytes.unwrap_or(0))));
        Ok(Parts {
            disk,
            layout,
            holder,
            log,
            given_up,
            odd_log,
            queues,
            index,
            odd_index,
            geometry,
            before,
            own_error,
        })
    }

    /// Whether somebody has the store open, or may have.
    pub(super) fn is_held(&self) -> bool {
        matches!(self.holder, Holder::Held { .. })
    }

    /// The part of the log before its first segment that should be there: retention has not given it up.
    pub(super) fn missing_front(&self) -> Option<(LogOffset, LogOffset)> {
        let (from, to) = (self.before.first()?, self.log.segments.first()?.0);
        (from < to).then_some((from, to))
    }

    /// The first byte of the log that is there.
    pub(super) fn log_first(&self) -> LogOffset {
        self.log.segments.first().map_or(LogOffset::ZERO, |(base, _)| *base)
    }
}

/// Where the parts of the store lie. A store has a log, or our own folder, or at least queues from which nothing else is
/// left.
///
/// # Errors
/// [`Error::Foreign`] for a folder that is none; [`Error::Io`].
pub(super) fn store_at(look: &Look) -> Result<Layout> {
    let (disk, layout) = (&*look.disk, Layout::new(&look.root));
    let foreign =
        |why: &'static str| Err(Error::Foreign { path: layout.root().to_path_buf(), why: why.into() });
    let look = |path: &Path| disk.entry(path).map_err(|e| Error::io("looking at", path, e));
    match look(layout.root())? {
        None => return foreign("there is no such folder"),
        Some(entry) if !entry.is_dir => return foreign("a store is a folder, and this is none"),
        Some(_) => {}
    }
    for part in [layout.commit_log(), layout.consume_queues(), layout.own()] {
        if look(&part)?.is_some_and(|entry| entry.is_dir) {
            return Ok(layout);
        }
    }
    foreign(
        "no store: there is no folder commitlog in it; name the folder that a broker calls storePathRootDir",
    )
}

/// The files of a log that can be segments of one length, and those that cannot.
pub(super) fn log_files(disk: &dyn Disk, dir: &Path) -> Result<(Survey, Vec<OddFile>)> {
    let mut entries = list(disk, dir)?;
    entries.retain(|entry| !entry.is_dir);
    let common = common_bytes(&entries);
    let (mut survey, mut odd) = (Survey { segment_bytes: common, ..Survey::default() }, Vec::new());
    for entry in entries {
        match segment_base(&entry, common) {
            Ok(base) => survey.segments.push((base, entry.path)),
            Err(why) => odd.push(OddFile { path: entry.path, why }),
        }
    }
    survey.segments.sort_unstable_by_key(|(base, _)| *base);
    survey.segments.dedup_by_key(|(base, _)| *base);
    Ok((survey, odd))
}

fn segment_base(entry: &Entry, common: Option<u64>) -> std::result::Result<LogOffset, String> {
    let Some(base) = layout::parse_segment_name(&entry.name) else {
        return Err("no segment of a log has such a name; move the file out of the folder".into());
    };
    match common {
        _ if entry.len == 0 => Err("an empty file; opening removes it if it is the last one".into()),
        Some(common) if entry.len != common => {
            Err(format!("{} bytes where the log's other segments have {common}", entry.len))
        }
        Some(common) if base.0 % common == 0 && base.plus(common) <= LogOffset::MAX => Ok(base),
        _ => Err(format!("its name is no multiple of its length {}", entry.len)),
    }
}

/// The length that most segments have; among equals the longest, because a file that was cut is shorter.
fn common_bytes(entries: &[Entry]) -> Option<u64> {
    let mut counts: HashMap<u64, u64> = HashMap::new();
    let named = entries.iter().filter(|e| e.len > 0 && layout::parse_segment_name(&e.name).is_some());
    named.for_each(|entry| *counts.entry(entry.len).or_default() += 1);
    counts.into_iter().max_by_key(|(len, count)| (*count, *len)).map(|(len, _)| len)
}
