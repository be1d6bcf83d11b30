//! Does what the plan says, in an order that may stop anywhere and be begun again.
//!
//! Put aside what will be cut, durably; say in the mark that a sync may have failed, and lower it if the cut goes
//! below it; remove later segments, last to
//! first; make the names of those left durable; zero the tail and sync (promises rule 3); write what nothing proves
//! durable again and sync (rule 4).

use std::path::Path;

use crate::checkpoint::{Mark, MarkFile, State};
use crate::disk::{Access, Disk, Reserve};
use crate::error::{Error, Result};
use crate::layout::{self, Layout};
use crate::offset::LogOffset;
use crate::recovery::{Cut, Plan};
use crate::segment::{Segment, SegmentList};

/// How much is written again at once.
const STEP_BYTES: usize = 1 << 20;

/// Applies `plan`, and completes its report. `mark` is the open mark file and what it says.
///
/// # Errors
/// [`Error::Io`]: opening may be tried again; nothing is lost by the half that was done.
pub(crate) fn apply(
    plan: &mut Plan,
    disk: &dyn Disk,
    layout: &Layout,
    segments: &SegmentList,
    mark: (&mut MarkFile, Option<Mark>),
) -> Result<()> {
    let end = plan.report.log_end;
    segments.keep_from(LogOffset::ZERO);
    clear_making(disk, segments.dir())?;
    if let (Some(to), Some(segment)) = (plan.cut_to, segments.find(end)) {
        let saved = save_cut(disk, layout, &segment, end, to)?;
        let (why, damage) = (plan.why.clone(), plan.damage);
        plan.report.cuts.push(Cut { from: end, to, saved, why, damage });
    }
    let writes = plan.zero_to.is_some() || plan.rewrite_from < end;
    if let (true, (file, Some(old))) = (writes || plan.lower_mark, mark) {
        // A sync may fail from here on; the next open must know, even if nothing can be written then.
        let durable = if plan.lower_mark { end } else { old.durable };
        file.save(Mark { durable, state: State::Failed, ..old })?;
    }
    remove_later(plan, disk, layout, segments)?;
    // Whoever made the segments may have died before their names were durable; what is appended now relies on them.
    let dir = segments.dir();
    disk.sync_dir(dir).map_err(|e| Error::io("syncing the folder", dir, e))?;
    if let Some(segment) = segments.find(end) {
        if let Some(to) = plan.zero_to {
            segment.zero(end, to)?;
        }
        segment.sync()?;
    }
    rewrite(plan, segments)
}

/// Segments that were being made when the last writer ended hold nothing.
fn clear_making(disk: &dyn Disk, dir: &Path) -> Result<()> {
    let making = layout::making(dir);
    let entries = match disk.list(&making) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::io("listing", &making, e)),
    };
    for entry in entries.iter().filter(|e| !e.is_dir) {
        disk.remove(&entry.path).map_err(|e| Error::io("removing", &entry.path, e))?;
    }
    Ok(())
}

/// Copies `[from, to)` aside, durably, and says where. A copy that is there already, from a recovery that was itself
/// cut short, is taken if it is the same.
fn save_cut(
    disk: &dyn Disk,
    layout: &Layout,
    segment: &Segment,
    from: LogOffset,
    to: LogOffset,
) -> Result<std::path::PathBuf> {
    let path = free_cut_name(disk, layout, from, Some((segment, to)))?;
    let own = layout.own();
    if disk.entry(&path).map_err(|e| Error::io("looking at", &path, e))?.is_none() {
        let fresh = own.join("cut.new");
        match disk.remove(&fresh) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("removing", &fresh, e));
            }
            _ => {}
        }
        let io = |e| Error::io("saving what is cut to", &fresh, e);
        let copy = disk.create(&fresh, to.since(from), Reserve::Blocks).map_err(io)?;
        for_each_piece(segment, from, to, |at, bytes| copy.write_at(at.since(from), bytes).map_err(io))?;
        copy.sync().map_err(io)?;
        disk.rename(&fresh, &path).map_err(io)?;
    }
    disk.sync_dir(&own).map_err(|e| Error::io("syncing the folder", &own, e))?;
    Ok(path)
}

/// The first cut name at this place that is free, or that holds the same bytes already.
fn free_cut_name(
    disk: &dyn Disk,
    layout: &Layout,
    from: LogOffset,
    same: Option<(&Segment, LogOffset)>,
) -> Result<std::path::PathBuf> {
    for again in 0..u32::MAX {
        let path = layout.cut(from, again);
        let entry = disk.entry(&path).map_err(|e| Error::io("looking at", &path, e))?;
        let Some(entry) = entry else { return Ok(path) };
        let Some((segment, to)) = same.filter(|(_, to)| to.since(from) == entry.len) else { continue };
        let old = disk.open(&path, Access::Read).map_err(|e| Error::io("opening", &path, e))?;
        let mut equal = true;
        for_each_piece(segment, from, to, |at, bytes| {
            let mut copy = vec![0; bytes.len()];
            old.read_at(at.since(from), &mut copy).map_err(|e| Error::io("reading", &path, e))?;
            equal &= copy == bytes;
            Ok(())
        })?;
        if equal {
            return Ok(path);
        }
    }
    Err(Error::Foreign { path: layout.own(), why: "no name is left for what is cut".into() })
}

fn for_each_piece(
    segment: &Segment,
    from: LogOffset,
    to: LogOffset,
    mut each: impl FnMut(LogOffset, &[u8]) -> Result<()>,
) -> Result<()> {
    let mut buffer = vec![0; STEP_BYTES.min(usize::try_from(to.since(from)).unwrap_or(STEP_BYTES))];
    let mut at = from;
    while at < to {
        let step = buffer.len().min(usize::try_from(to.since(at)).unwrap_or(usize::MAX));
        let Some(piece) = buffer.get_mut(..step) else { break };
        segment.read(at, piece)?;
        each(at, piece)?;
        at = at.plus(step as u64);
    }
    Ok(())
}

/// Takes away the segments behind the log's end, last to first: those that hold something are put aside whole, the
/// others (made ahead of need) are removed.
fn remove_later(plan: &mut Plan, disk: &dyn Disk, layout: &Layout, segments: &SegmentList) -> Result<()> {
    for (base, holds) in &plan.later {
        let Some(segment) = segments.last().filter(|s| s.base() == *base) else { continue };
        let path = segment.path();
        if *holds {
            let saved = put_aside(disk, layout, &segment)?;
            let own = layout.own();
            disk.sync_dir(&own).map_err(|e| Error::io("syncing the folder", &own, e))?;
            let (why, damage) = (plan.why.clone(), plan.damage);
            plan.report.cuts.push(Cut { from: *base, to: segment.end(), saved, why, damage });
        } else {
            disk.remove(path).map_err(|e| Error::io("removing", path, e))?;
        }
        let dir = segments.dir();
        disk.sync_dir(dir).map_err(|e| Error::io("syncing the folder", dir, e))?;
        segments.pop_last();
    }
    Ok(())
}

/// Gives a whole segment the name of a cut; where that lies on another file system it is copied and removed.
fn put_aside(disk: &dyn Disk, layout: &Layout, segment: &Segment) -> Result<std::path::PathBuf> {
    let path = segment.path();
    let saved = free_cut_name(disk, layout, segment.base(), None)?;
    match disk.rename(path, &saved) {
        Ok(()) => Ok(saved),
        Err(e) if e.kind() == std::io::ErrorKind::CrossesDevices => {
            let saved = save_cut(disk, layout, segment, segment.base(), segment.end())?;
            disk.remove(path).map_err(|e| Error::io("removing", path, e))?;
            Ok(saved)
        }
        Err(e) => Err(Error::io("putting aside", path, e)),
    }
}

/// Writes the same bytes again and syncs them: what survived in the page cache is not yet durable, and after a failed
/// sync the cache is clean but not on disk, so that a sync alone would write nothing.
fn rewrite(plan: &mut Plan, segments: &SegmentList) -> Result<()> {
    let (from, end) = (plan.rewrite_from, plan.report.log_end);
    for segment in segments.all_between(from, end) {
        let (from, to) = (from.max(segment.base()), end.min(segment.end()));
        for_each_piece(&segment, from, to, |at, bytes| segment.write(at, bytes))?;
        segment.sync()?;
    }
    plan.report.rewritten_bytes = end.since(from);
    Ok(())
}
