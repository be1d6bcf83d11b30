//! May the files of queues and key index be relied on, and up to where?
//!
//! They may, up to the place in `sawlog/queues`, if that file is whole, says that the files are durable, bears the last
//! writer's name, nobody else wrote since, and every file that it speaks of is there with the right length.

use std::collections::BTreeMap;

use crate::checkpoint::{IndexFileMark, IndexMark, Snapshot};
use crate::consume_queue::{Known, QueueSurvey};
use crate::key_index::{Geometry, IndexSurvey, KeyIndex, KnownFile};
use crate::offset::LogOffset;
use crate::recovery::before::Before;

/// The files as they were found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DerivedFiles<'a> {
    pub(crate) queues: &'a QueueSurvey,
    pub(crate) index: &'a IndexSurvey,
    pub(crate) entries_per_segment: u32,
    /// How index files are divided; `None`: there is to be no index.
    pub(crate) geometry: Option<Geometry>,
}

impl DerivedFiles<'_> {
    /// Up to where they hold everything; `None` if they cannot be relied on.
    pub(crate) fn whole_to(&self, before: &Before) -> Option<LogOffset> {
        let snapshot = before.snapshot.as_ref().filter(|_| before.is_ours())?;
        self.are_whole(snapshot, before).then_some(snapshot.derived_to)
    }

    fn are_whole(&self, snapshot: &Snapshot, before: &Before) -> bool {
        let ours = before.mark.as_ref().is_some_and(|mark| mark.writer == snapshot.writer);
        let has_queues = self.queues.odd.is_empty()
            && (self.queues.entries_per_segment.is_none()
                || snapshot.entries_per_segment == self.entries_per_segment)
            && self.queues.covers(&known_queues(snapshot), self.entries_per_segment);
        let has_index = self.geometry.is_none_or(|geometry| {
            snapshot.index.as_ref().is_some_and(|index| {
                (index.slots, index.entries) == (geometry.slots, geometry.entries)
                    && KeyIndex::covers(self.index, &known_index(index))
            })
        });
        ours && snapshot.has_files && has_queues && has_index
    }
}

/// The queues that a snapshot speaks of.
pub(crate) fn known_queues(snapshot: &Snapshot) -> BTreeMap<(String, u32), Known> {
    let known = snapshot.queues.iter().filter_map(|((topic, id), mark)| {
        let topic = String::from_utf8(topic.clone()).ok()?;
        Some(((topic, *id), Known { first: mark.first, next: mark.next }))
    });
    known.collect()
}

/// The index files that a snapshot speaks of.
pub(crate) fn known_index(mark: &IndexMark) -> Vec<KnownFile> {
    let known = |file: &IndexFileMark| KnownFile {
        name: file.name,
        next_entry: file.next_entry,
        begin_time: file.begin_time.0,
        end_time: file.end_time.0,
        begin_offset: file.begin_offset,
        end_offset: file.end_offset,
        sealed: file.sealed,
    };
    mark.files.iter().map(known).collect()
}
