//! How many segments that nobody needs just now keep their descriptor and their mapping.
//!
//! A segment that was read stays open for the next reader. Beyond the bound the one unused for longest is closed, and
//! opened again when somebody asks for it. Never closed is one that somebody holds, and one that no sync covers: the
//! sync must see every error of the writes before it (promises rule 11). Views live on: they hold the mapping, not the
//! descriptor.

use std::collections::VecDeque;
use std::sync::Arc;
// Hints and a mark that only grows; no reader's answer depends on them, so they are none of a schedule's turns.
use std::sync::atomic::{AtomicU64, Ordering};

use crate::disk::DiskFile;
use crate::offset::LogOffset;
use crate::segment::Segment;
use crate::sync::RwLock;

/// How many stay open where nobody says.
const OPEN_SEGMENTS: usize = 256;

#[derive(Debug)]
pub(super) struct Bound {
    most: usize,
    /// Everything below is durable, or was not written through the files that are open.
    closable_to: AtomicU64,
    /// Counts openings. By it segments note their last use: as exact as choosing between them needs, and a reader that
    /// stays in one segment writes nothing.
    openings: AtomicU64,
}

impl Default for Bound {
    fn default() -> Bound {
        Bound { most: OPEN_SEGMENTS, closable_to: u64::MAX.into(), openings: 0.into() }
    }
}

impl Bound {
    pub(super) fn set_most(&mut self, most: usize) {
        self.most = most.max(1);
    }

    /// What ends at or below `to` may be closed. Gives back what could be before.
    pub(super) fn allow_to(&self, to: LogOffset) -> LogOffset {
        LogOffset(self.closable_to.swap(to.0, Ordering::AcqRel))
    }

    /// Somebody is about to use this segment.
    pub(super) fn note_use(&self, segment: &Segment) {
        let now = self.openings.load(Ordering::Relaxed);
        if segment.used.load(Ordering::Relaxed) != now {
            segment.used.store(now, Ordering::Relaxed);
        }
    }

    /// One more is about to be opened: closes others if there are too many, with no lock held.
    pub(super) fn make_room(&self, segments: &RwLock<VecDeque<Arc<Segment>>>) {
        self.openings.fetch_add(1, Ordering::Relaxed);
        self.close_surplus(segments, 1);
    }

    /// Closes others if there are too many beside so many `more`, with no lock held.
    pub(super) fn close_surplus(&self, segments: &RwLock<VecDeque<Arc<Segment>>>, more: usize) {
        if segments.read().len() > self.most {
            let idle = self.take_idle(&mut segments.write(), more);
            drop(idle);
        }
    }

    /// The files to be closed. Under the list's lock nobody gets hold of a segment that has no holder.
    fn take_idle(&self, segments: &mut VecDeque<Arc<Segment>>, more: usize) -> Vec<Box<dyn DiskFile>> {
        let closable_to = LogOffset(self.closable_to.load(Ordering::Acquire));
        let closable = segments.partition_point(|segment| segment.end() <= closable_to);
        let open = segments.iter().take(closable).filter(|segment| segment.is_open()).count();
        let Some(surplus) = (open + more).checked_sub(self.most).filter(|surplus| *surplus > 0) else {
            return Vec::new();
        };
        let idle = segments.iter_mut().take(closable).filter_map(Arc::get_mut);
        let mut idle: Vec<_> = idle.filter(|segment| segment.is_open()).collect();
        idle.sort_by_key(|segment| segment.used.load(Ordering::Relaxed));
        idle.into_iter().take(surplus).filter_map(Segment::close).collect()
    }
}
