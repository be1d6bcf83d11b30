//! The newest messages of a topic, and what comes behind them.

use std::collections::VecDeque;
use std::sync::Arc;

use super::follow::Follow;
use super::queue::QueueReader;
use super::view::Shared;
use crate::error::{Error, Result};
use crate::inspect::queue_files::Stands;
use crate::message::Record;
use crate::offset::LogOffset;

/// The last `count` messages that are whole, and a scan that stands behind them.
///
/// From the queues' files come those up to the place that they hold everything to; the log gives the rest.
pub(super) fn latest(
    shared: &Arc<Shared>,
    topic: &str,
    queue: Option<u32>,
    queues: &[u32],
    count: usize,
) -> Result<(Vec<Record>, Follow)> {
    shared.refresh()?;
    let (from, dropped) = (shared.derived_to()?, shared.known().dropped_below(topic));
    let mut places = Vec::new();
    for id in queues {
        let least = shared.list().first().unwrap_or_default().max(dropped);
        places.extend(last_places(shared, topic, *id, count, (least, from))?);
        // Never more than is wanted, however many queues there are.
        places.sort_unstable();
        places.drain(..places.len().saturating_sub(count));
    }
    let mut found = VecDeque::new();
    for at in places {
        match shared.record_at(at) {
            Ok(record) => found.push_back(record),
            // Removed meanwhile.
            Err(Error::OutOfRange { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let wanted = |record: &Record| {
        record.is_queued()
            && record.topic().as_str() == topic
            && queue.is_none_or(|id| record.queue_id() == id)
            && record.position.offset >= dropped
    };
    found.retain(wanted);
    let mut scan = Follow::new(shared, from);
    for record in scan.by_ref() {
        let record = record?;
        if wanted(&record) {
            found.push_back(record);
            found.drain(..found.len().saturating_sub(count));
        }
    }
    Ok((found.into(), scan))
}

/// The places of the last entries of one queue that point into a part of the log.
fn last_places(
    shared: &Arc<Shared>,
    topic: &str,
    id: u32,
    count: usize,
    (least, end): (LogOffset, LogOffset),
) -> Result<Vec<LogOffset>> {
    let disk = shared.disk();
    let mut files = QueueReader::new(shared, topic, id).files()?;
    let written = files.end(disk)?;
    let to = files.partition(disk, (files.first(), written), |entry| entry.at < end)?;
    let mut at = to.saturating_sub(u64::try_from(count).unwrap_or(u64::MAX)).max(files.first());
    let mut places = Vec::new();
    while at < to {
        let read = files.read(disk, at, usize::try_from(to - at).unwrap_or(usize::MAX).min(count.max(1)))?;
        if read.is_empty() {
            break;
        }
        at = at.saturating_add(read.len() as u64);
        places.extend(read.iter().filter_map(|bytes| match Stands::of(bytes) {
            Stands::Entry(entry) if least <= entry.at && entry.at < end => Some(entry.at),
            _ => None,
        }));
    }
    Ok(places)
}
