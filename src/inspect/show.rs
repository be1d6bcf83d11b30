//! A survey for people: plain lines, no colours, nothing left out but queues beyond the first few.

use std::fmt::{self, Display, Formatter};

use crate::disk::Holder;
use crate::inspect::{Holds, Opening, Recovery, Survey, WriterState};
use crate::recovery::counted;

/// So many queues are named; of more a survey's fields tell.
const SHOWN_QUEUES: usize = 20;
/// So many segments are named one by one.
const SHOWN_SEGMENTS: usize = 20;

impl Display for Survey {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let system = if self.file_system.is_empty() { "an unknown file system" } else { &self.file_system };
        writeln!(f, "{} on {system}, {}", self.root.display(), holder(self.holder))?;
        self.show_log(f)?;
        self.show_derived(f)?;
        self.show_own(f)?;
        for odd in &self.odd {
            writeln!(f, "odd: {}: {}", odd.path.display(), odd.why)?;
        }
        for (path, bytes) in &self.kept {
            writeln!(f, "kept by an earlier recovery: {}, {bytes} bytes", path.display())?;
        }
        write!(f, "{}", self.opening)
    }
}

fn holder(holder: Holder) -> String {
    match holder {
        Holder::Nobody => "held by nobody".into(),
        Holder::Held { pid: Some(pid) } => format!("held by process {pid}"),
        Holder::Held { pid: None } => "held by a process that cannot be named".into(),
        Holder::Unknown => "and it cannot be told whether somebody holds it".into(),
    }
}

impl Survey {
    fn show_log(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(bytes) = self.segment_bytes else { return writeln!(f, "log: no segment") };
        let first = self.segments.first().map(|s| s.base).unwrap_or_default();
        let count = self.segments.len();
        let segments = counted(count as u64, "segment", "segments");
        writeln!(f, "log: {segments} of {bytes} bytes from offset {first} on")?;
        for segment in self.segments.iter().take(SHOWN_SEGMENTS) {
            writeln!(f, "  {:020}  {}", segment.base.0, segment.holds)?;
        }
        if count > SHOWN_SEGMENTS {
            writeln!(f, "  and {} more", count - SHOWN_SEGMENTS)?;
        }
        for (from, to) in &self.missing {
            writeln!(f, "  MISSING: {from} to {to}, where no file is")?;
        }
        for part in &self.quarantined {
            writeln!(f, "  QUARANTINED: {} to {}, damage that is stepped over", part.from, part.to)?;
        }
        Ok(())
    }

    fn show_derived(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.queue_segment_entries {
            Some(entries) => writeln!(f, "queues: {} with files of {entries} entries", self.queues.len())?,
            None => writeln!(f, "queues: no file")?,
        }
        for queue in self.queues.iter().take(SHOWN_QUEUES) {
            let (min, max) = (queue.min, queue.max);
            writeln!(f, "  {}/{}: {min} to {max}, {} bytes", queue.topic, queue.id, queue.bytes)?;
        }
        if self.queues.len() > SHOWN_QUEUES {
            writeln!(f, "  and {} more", self.queues.len() - SHOWN_QUEUES)?;
        }
        let Some(index) = &self.index else { return writeln!(f, "key index: no file") };
        let files = counted(index.files.len() as u64, "file", "files");
        match index.geometry {
            Some((slots, entries)) => {
                writeln!(f, "key index: {files} of {slots} slots and {entries} entries")?
            }
            None => writeln!(f, "key index: {files}, divided in a way that cannot be told")?,
        }
        for file in &index.files {
            let name = file.path.file_name().unwrap_or_default().display();
            match (file.keys, file.stored) {
                (Some(keys), Some((from, to))) => {
                    let keys = counted(u64::from(keys), "key", "keys");
                    writeln!(f, "  {name}: {keys}, stored {from} to {to}")?
                }
                _ => writeln!(f, "  {name}: its header was not written yet")?,
            }
        }
        Ok(())
    }

    fn show_own(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(mark) = &self.mark {
            let state = match mark.state {
                WriterState::Open => "writing, or killed",
                WriterState::Closed => "closed in order",
                WriterState::Failed => "a sync failed under it",
            };
            let boot = match mark.same_boot {
                Some(true) => "the system has run on since",
                Some(false) => "the system was started again since",
                None => "whether the system has run on since is not known",
            };
            writeln!(f, "sawlog wrote from {} on ({state}; {boot})", mark.ours_from)?;
            writeln!(f, "  durable up to {}, window {} bytes", mark.durable, mark.window_bytes)?;
        }
        for (from, to) in &self.ranges {
            let to = if to.0 == u64::MAX { "on".to_owned() } else { format!("to {to}") };
            writeln!(f, "  records with checksums of their own from {from} {to}")?;
        }
        if let Some(snapshot) = &self.snapshot {
            let files = if snapshot.has_files { "durable in files" } else { "counted, not in files" };
            let queues = counted(snapshot.queues, "queue", "queues");
            writeln!(f, "  {queues} derived up to {}, {files}", snapshot.derived_to)?;
            for (topic, to) in &snapshot.dropped {
                writeln!(f, "  topic {topic} was dropped: its records below {to} do not count")?;
            }
        }
        if let Some(abort) = &self.abort {
            let who = if abort.ours { "sawlog" } else { "another program" };
            let pid = abort.pid.map(|pid| format!(" (process {pid})")).unwrap_or_default();
            writeln!(f, "abort: {who}{pid} has it open, or did not close it in order")?;
        }
        if let Some(checkpoint) = &self.checkpoint {
            let (log, queues, index) = (checkpoint.log, checkpoint.queues, checkpoint.index);
            writeln!(f, "checkpoint: log {log}, queues {queues}, index {index}")?;
        }
        Ok(())
    }
}

impl Display for Holds {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Holds::Records { first_stored: Some(stored) } => write!(f, "records, stored from {stored} on"),
            Holds::Records { first_stored: None } => write!(f, "records"),
            Holds::Blank => write!(f, "an end-of-segment record alone"),
            Holds::Nothing => write!(f, "nothing yet"),
            Holds::Unreadable(damage) => write!(f, "UNREADABLE: {damage}"),
            Holds::Gone => write!(f, "gone since the folder was listed"),
        }
    }
}

impl Display for Opening {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Opening::Held => write!(f, "opening: refused as long as somebody has it open"),
            Opening::Opens(recovery) => write!(f, "opening: {recovery}"),
            Opening::Refused { why, first_broken } => {
                write!(f, "opening: REFUSED: {why}")?;
                match first_broken {
                    Some(recovery) => write!(f, "\nwith OnDamage::FirstBroken: {recovery}"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl Display for Recovery {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let closed = if self.clean_shutdown { "closed in order" } else { "not closed in order" };
        let who = if self.foreign_writer { " by another program" } else { "" };
        let (from, end) = (self.scanned_from, self.log_end);
        let records = counted(self.records, "record", "records");
        write!(f, "{closed}{who}; {records} checked from {from} on; the log ends at {end}")?;
        if self.rewritten_bytes > 0 {
            write!(f, "\n  {} bytes would be made durable again", self.rewritten_bytes)?;
        }
        if self.removed_segments > 0 {
            let segments = counted(self.removed_segments, "segment", "segments");
            write!(f, "\n  {segments} that retention has given up would be removed")?;
        }
        for part in &self.lifted {
            write!(f, "\n  sound again, and would be taken off the list of damage: {part}")?;
        }
        match self.derive_from {
            None if self.records > 0 => write!(f, "\n  queues and key index would be made anew")?,
            Some(from) if from < end => {
                write!(f, "\n  queues and key index would be derived from {from} on")?
            }
            _ => {}
        }
        for cut in &self.cuts {
            let kind = if cut.damage { "damage" } else { "unsynced tail" };
            write!(f, "\n  would be cut, and kept aside: {} to {} ({kind}: {})", cut.from, cut.to, cut.why)?;
        }
        for moved in &self.queues_moved_back {
            let (topic, id) = (&moved.topic, moved.queue_id);
            write!(f, "\n  queue {topic}/{id} once ended at {}, ends at {} now", moved.was, moved.is)?;
        }
        for damage in &self.side_damage {
            write!(f, "\n  would be done without: {damage}")?;
        }
        Ok(())
    }
}
