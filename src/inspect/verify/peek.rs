//! A look at single records of the log, here and there.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::commit_log::{Visit, Walk};
use crate::disk::Access;
use crate::error::{Error, Result};
use crate::inspect::verify::scope::Scope;
use crate::message::{Head, Verify};
use crate::offset::LogOffset;
use crate::segment::{SegmentList, Survey};

/// A list of one segment: its file is closed when the job is done.
pub(super) fn one(scope: &Scope, base: LogOffset, path: PathBuf) -> Arc<SegmentList> {
    let bytes = scope.parts.log.segment_bytes.unwrap_or(1);
    let found = Survey { segments: vec![(base, path)], segment_bytes: Some(bytes), empty_last: None };
    let (disk, dir) = (Arc::clone(&scope.parts.disk), scope.parts.layout.commit_log());
    Arc::new(SegmentList::new(disk, dir, bytes, &found, Access::Read))
}

/// Shows the record at `at` to `each`; `None` if none begins there.
///
/// # Errors
/// [`Error::Io`].
pub(super) fn peek_at<R>(
    scope: &Scope,
    at: LogOffset,
    each: impl FnOnce(&Head<'_>) -> R,
) -> Result<Option<R>> {
    let segments = &scope.parts.log.segments;
    let index = segments.partition_point(|(base, _)| *base <= at).checked_sub(1);
    let Some((base, path)) = index.and_then(|index| segments.get(index)) else { return Ok(None) };
    let mut walk = Walk::new(one(scope, *base, path.clone()), at);
    match walk.visit(|_| Verify::Structure, |_, head| each(head)) {
        Ok(Visit::Record(_, _, made)) => Ok(Some(made)),
        Ok(_) => Ok(None),
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
