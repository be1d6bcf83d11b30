//! The log's part of a snapshot: which segments are linked, which are copied, and up to where.

use std::path::Path;

use crate::disk::{Access, Disk, Reserve};
use crate::error::{Error, Result};
use crate::inspect::OddFile;
use crate::inspect::snapshot::copy::Copier;
use crate::layout::Layout;
use crate::offset::LogOffset;
use crate::segment::Survey;

/// Below `sealed` segments are linked; the others are copied, up to `end` if there is one, and none behind it.
pub(super) fn segments(
    copier: &mut Copier<'_>,
    survey: &Survey,
    (sealed, end): (LogOffset, Option<LogOffset>),
    to: &Path,
) -> Result<()> {
    let dir = Layout::new(to).commit_log();
    copier.folder(&dir)?;
    let bytes = survey.segment_bytes.unwrap_or(0);
    for (base, path) in &survey.segments {
        if end.is_some_and(|end| *base >= end) || copier.broken_off {
            break;
        }
        let Some(name) = path.file_name() else { continue };
        let target = dir.join(name);
        if base.plus(bytes) <= sealed && copier.link(path, &target)? {
            continue;
        }
        let most = end.map_or(bytes, |end| end.since(*base).min(bytes));
        copier.part(path, &target, most, Reserve::Blocks)?;
    }
    copier.sync_folder(&dir)
}

/// Files of the log's folder that are no segments.
pub(super) fn odd(copier: &mut Copier<'_>, odd: &[OddFile], to: &Path) -> Result<()> {
    let dir = Layout::new(to).commit_log();
    for path in odd.iter().map(|odd| &odd.path) {
        if let Some(name) = path.file_name() {
            copier.file(path, &dir.join(name), false)?;
        }
    }
    copier.sync_folder(&dir)
}

/// The base of the last segment that is begun: one made ahead of need holds zeros.
pub(super) fn tail_of(disk: &dyn Disk, survey: &Survey) -> Result<LogOffset> {
    for (base, path) in survey.segments.iter().rev() {
        let mut head = [0; 8];
        let file = disk.open(path, Access::Read).map_err(|e| Error::io("opening", path, e))?;
        file.read_at(0, &mut head).map_err(|e| Error::io("reading", path, e))?;
        if head != [0; 8] {
            return Ok(*base);
        }
    }
    Ok(LogOffset::ZERO)
}
