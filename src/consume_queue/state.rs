//! What one queue knows of itself: where it begins and ends, which files it has, and the entries not yet in them.
//!
//! ```text
//! first               in files            written               next
//!   |---- in files ------|---- lead: blanks ----|---- pending ------|
//!   |------------- patches may replace any of these ----|
//! ```
//! `lead` is not 0 only between the first entry of a queue and its first file. Pure: no file is touched here.

use std::collections::{BTreeMap, VecDeque};

use crate::consume_queue::entry::{BLANK, Entry};
use crate::consume_queue::{MOST_BLANKS, Put};
use crate::offset::LogOffset;

/// The most entries in one write call: 1.25 MiB.
const MOST_AT_ONCE: usize = 64 * 1024;
/// What a patch costs in memory: key, entry, and its share of a tree node, in bytes.
const PATCH_BYTES: usize = 48;

/// One queue. All numbers but `segments` are queue offsets.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The files there are, by number, ascending; those beyond `next` hold nothing that counts.
    pub(super) segments: Vec<u64>,
    first: u64,
    written: u64,
    lead: u64,
    /// Up to here pending entries are on their way into a file: no change of them would get there.
    writing: u64,
    /// Encoded, from `written` on.
    pending: VecDeque<[u8; 20]>,
    /// By position below `written`, or below `writing`: what replaces the entry there.
    patches: BTreeMap<u64, [u8; 20]>,
    /// Behind the newest record put since the queue was opened.
    pub(super) newest: LogOffset,
    /// Where what stands in files ended before the queue was derived anew; 0 if it was not.
    pub(super) stood_to: u64,
    least: Option<Least>,
    edge: Option<Edge>,
    /// Counts what may lower a minimum: replacements, and new beginnings.
    turns: u32,
    /// In the table's list of queues with something to write.
    pub(super) to_write: bool,
    /// In the table's list of queues whose readers are to be told.
    pub(super) to_tell: bool,
    /// The names of the files found at opening are on their way to being durable.
    pub(super) named: bool,
}

/// A minimum that was found.
#[derive(Clone, Copy, Debug)]
struct Least {
    log_first: LogOffset,
    at: u64,
    /// The queue's end at which it holds; `u64::MAX` if an entry was found, so that it holds at any.
    next: u64,
}

/// Where the log's front must have come before a queue's first file may go.
#[derive(Clone, Copy, Debug)]
struct Edge {
    segment: u64,
    /// The record of the file's last entry.
    last: LogOffset,
}

/// A queue's first file, which others follow, so that it may go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Front {
    pub(super) segment: u64,
    /// The first position in it that counts.
    pub(super) from: u64,
    /// The record of its last entry, if that was looked up before.
    pub(super) last: Option<LogOffset>,
    /// To be handed back with what is found.
    pub(super) turns: u32,
}

/// What a read finds in memory, and what it has to look for in files.
#[derive(Debug)]
pub(super) struct Plan {
    /// How many entries from the start of the read stand in files.
    pub(super) in_files: u64,
    /// Those behind them.
    pub(super) in_memory: Vec<Option<Entry>>,
    /// Replacements, by distance from the start.
    pub(super) patches: Vec<(u64, Entry)>,
}

/// Bytes to be written to one segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    /// The position of the first of them.
    pub(super) from: u64,
    /// How many of them are pending entries; what stands before those are blanks.
    pub(super) entries: usize,
    /// The segment.
    pub(super) segment: u64,
    /// Whether it has no file yet.
    pub(super) is_new: bool,
    /// Whether the queue has none at all.
    pub(super) is_first: bool,
}

impl State {
    /// A queue with these files and the entries from `first` up to `next` in them.
    pub(super) fn new(segments: Vec<u64>, first: u64, next: u64) -> State {
        let first = first.min(next);
        State { segments, first, written: next, writing: next, ..State::default() }
    }

    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// Behind the newest record that was put.
    pub(super) fn newest(&self) -> LogOffset {
        self.newest
    }

    pub(super) fn next(&self) -> u64 {
        self.written.saturating_add(count(self.pending.len()))
    }

    /// Up to where entries (and blanks) stand in files.
    pub(super) fn in_files(&self) -> u64 {
        self.written.saturating_sub(self.lead)
    }

    pub(super) fn is_in_files(&self, at: u64) -> bool {
        (self.first..self.in_files()).contains(&at)
    }

    pub(super) fn has_entries(&self) -> bool {
        self.first < self.next()
    }

    /// What waits for being written, in bytes of memory.
    pub(super) fn held_bytes(&self) -> u64 {
        count(self.pending.len() * BLANK.len() + self.patches.len() * PATCH_BYTES)
    }

    pub(super) fn has_work(&self) -> bool {
        !self.pending.is_empty() || !self.patches.is_empty()
    }

    /// Forgets all entries; the numbering goes on at `next`. The files are the caller's to remove.
    pub(super) fn clear(&mut self, next: u64) {
        self.pending = VecDeque::new();
        self.patches.clear();
        (self.first, self.written, self.writing, self.lead) = (next, next, next, 0);
        self.forget_min();
    }

    pub(super) fn put(&mut self, at: u64, entry: Entry, per_segment: u64) -> Put {
        let next = self.next();
        let bytes = entry.encode();
        let outcome = if !self.has_entries() {
            // The first file begins at its own boundary, with blanks up to the entry (spec 3.4, step 3).
            self.clear(at);
            self.lead = at % per_segment;
            self.first = at.saturating_sub(self.lead);
            self.pending.push_back(bytes);
            Put::Appended
        } else if at < self.first {
            return Put::Refused("it lies below the first position of its queue");
        } else if at < next {
            self.replace(at, bytes);
            Put::Replaced
        } else {
            match usize::try_from(at.saturating_sub(next)) {
                Ok(0) => {
                    self.pending.push_back(bytes);
                    Put::Appended
                }
                Ok(gap) if gap <= MOST_BLANKS => {
                    self.pending.extend(std::iter::repeat_n(BLANK, gap));
                    self.pending.push_back(bytes);
                    Put::Gap(count(gap))
                }
                _ => return Put::Refused("it would leave more than 1,000,000 positions of its queue empty"),
            }
        };
        self.newest = self.newest.max(entry.end());
        outcome
    }

    /// The queue goes on at `next`, and positions up to there without an entry hold blanks; a queue that has no entry
    /// begins there. Nothing if `next` is not ahead, or so far ahead that it is a wrong number.
    pub(super) fn fill(&mut self, next: u64) {
        let gap = usize::try_from(next.saturating_sub(self.next())).unwrap_or(usize::MAX);
        match gap {
            0 => {}
            gap if gap > MOST_BLANKS => {}
            _ if !self.has_entries() => self.clear(next),
            gap => self.pending.extend(std::iter::repeat_n(BLANK, gap)),
        }
    }

    fn replace(&mut self, at: u64, bytes: [u8; 20]) {
        let pending = at.checked_sub(self.written).and_then(|i| usize::try_from(i).ok());
        if let Some(slot) = pending.and_then(|i| self.pending.get_mut(i)) {
            *slot = bytes;
        }
        if at < self.writing.max(self.written) {
            self.patches.insert(at, bytes);
        }
        self.forget_min();
    }

    fn forget_min(&mut self) {
        (self.least, self.edge) = (None, None);
        self.turns = self.turns.wrapping_add(1);
    }

    /// What a read of `[from, end)` takes, both within the queue.
    pub(super) fn plan(&self, from: u64, end: u64) -> Plan {
        let end = end.max(from);
        let in_files = self.in_files().clamp(from, end);
        let blanks = self.written.clamp(in_files, end) - in_files;
        let room = usize::try_from(end - in_files).unwrap_or(0);
        let mut in_memory = Vec::with_capacity(room);
        in_memory.extend((0..blanks).map(|_| None));
        let skip = usize::try_from(from.saturating_sub(self.written)).unwrap_or(usize::MAX);
        let left = room.saturating_sub(in_memory.len());
        in_memory.extend(self.pending.iter().skip(skip).take(left).map(Entry::decode));
        let patches = self.patches.range(from..end);
        let patches = patches.filter_map(|(at, bytes)| Some((at - from, Entry::decode(bytes)?))).collect();
        Plan { in_files: in_files - from, in_memory, patches }
    }

    /// How many pending entries may be written: those before and with the last one up to which all end at or below
    /// `up_to`. Blanks go with the entry behind them; those that [`State::fill`] put at the end, with what is before.
    pub(super) fn due(&self, up_to: LogOffset) -> usize {
        due(self.pending.iter(), up_to)
    }

    /// Copies the next bytes to be written to `buffer`: of the `due` entries as many as fit into one segment and one
    /// call. `None` if nothing is due. [`State::written`] or [`State::not_written`] must follow.
    pub(super) fn take(
        &mut self,
        due_entries: usize,
        up_to: LogOffset,
        per_segment: u64,
        buffer: &mut Vec<u8>,
    ) -> Option<Piece> {
        let segment = self.written / per_segment;
        let room = per_segment - self.written % per_segment;
        let most = due_entries.min(MOST_AT_ONCE).min(usize::try_from(room).unwrap_or(usize::MAX));
        // Entries may have been replaced, since they were counted, by some that are not due.
        let late = |bytes: &[u8; 20]| Entry::decode(bytes).is_some_and(|entry| entry.end() > up_to);
        let entries = self.pending.iter().take(most).take_while(|bytes| !late(bytes)).count();
        if entries == 0 {
            return None;
        }
        buffer.clear();
        for _ in 0..self.lead {
            buffer.extend_from_slice(&BLANK);
        }
        self.pending.iter().take(entries).for_each(|bytes| buffer.extend_from_slice(bytes));
        self.writing = self.written.saturating_add(count(entries));
        let is_new = self.segments.binary_search(&segment).is_err();
        Some(Piece { from: self.in_files(), entries, segment, is_new, is_first: self.segments.is_empty() })
    }

    /// The bytes of the piece stand in their file.
    pub(super) fn written(&mut self, piece: Piece) {
        if piece.is_new {
            let place = self.segments.partition_point(|segment| *segment < piece.segment);
            self.segments.insert(place, piece.segment);
        }
        self.pending.drain(..piece.entries.min(self.pending.len()));
        self.written = self.writing;
        self.lead = 0;
    }

    /// The piece could not be written, or not all of it: the entries stay, with what has replaced them meanwhile.
    pub(super) fn not_written(&mut self) {
        self.patches.split_off(&self.written);
        self.writing = self.written;
    }

    /// Gives memory back.
    pub(super) fn shrink(&mut self) {
        if self.pending.capacity() > 4 * self.pending.len() {
            self.pending.shrink_to(2 * self.pending.len());
        }
    }

    /// Copies the next patches to be written to `buffer`, from `from` on: a run of neighbours within one segment whose
    /// records end at or below `up_to`. Gives the position of the first.
    pub(super) fn take_patches(
        &self,
        from: u64,
        up_to: LogOffset,
        per_segment: u64,
        buffer: &mut Vec<u8>,
    ) -> Option<u64> {
        let is_due = |bytes: &[u8; 20]| Entry::decode(bytes).is_none_or(|entry| entry.end() <= up_to);
        let due = self.patches.range(from..self.in_files().max(from)).filter(|(_, bytes)| is_due(bytes));
        buffer.clear();
        let mut start = None;
        for (expected, (at, bytes)) in (0..MOST_AT_ONCE).zip(due) {
            let start = *start.get_or_insert(*at);
            if *at != start + count(expected) || at / per_segment != start / per_segment {
                break;
            }
            buffer.extend_from_slice(bytes);
        }
        start
    }

    /// Those patches stand in their file; one that was replaced meanwhile stays.
    pub(super) fn patched(&mut self, from: u64, bytes: &[u8]) {
        for (at, bytes) in (from..).zip(bytes.as_chunks::<20>().0) {
            if self.patches.get(&at) == Some(bytes) {
                self.patches.remove(&at);
            }
        }
    }

    /// The minimum found before for this start of the log, if it still holds.
    pub(super) fn known_min(&self, log_first: LogOffset) -> Option<u64> {
        let holds = |least: &Least| least.log_first == log_first && least.at >= self.first;
        let least = self.least.filter(holds)?;
        (least.next == u64::MAX || least.next == self.next()).then_some(least.at)
    }

    /// Where the search for a minimum begins and ends, and a number to hand back with what it finds. The front of the
    /// log never moves back, so it begins at what was found before.
    pub(super) fn min_search(&self, log_first: LogOffset) -> (u64, u64, u32) {
        let least = self.least.filter(|least| least.log_first <= log_first);
        let from = least.map_or(self.first, |least| least.at.max(self.first));
        (from, self.next(), self.turns)
    }

    /// Keeps a minimum that was found by a search that ended at `next`, unless it may have become wrong meanwhile.
    pub(super) fn keep_min(&mut self, log_first: LogOffset, at: u64, next: u64, turns: u32) {
        if self.turns == turns {
            let next = if at < next { u64::MAX } else { next };
            self.least = Some(Least { log_first, at, next });
        }
    }

    /// The last file that entries count in: it carries the numbering, and stays (spec 10.3).
    fn last_segment(&self, per_segment: u64) -> Option<u64> {
        let counts = |segment: &u64| segment.saturating_mul(per_segment) < self.in_files();
        let end = self.segments.partition_point(counts);
        self.segments.get(end.checked_sub(1)?).copied()
    }

    /// The first file, if others that hold entries follow it.
    pub(super) fn front(&self, per_segment: u64) -> Option<Front> {
        let segment = self.first / per_segment;
        self.last_segment(per_segment).filter(|last| segment < *last)?;
        let edge = self.edge.filter(|edge| edge.segment == segment);
        Some(Front { segment, from: self.first, last: edge.map(|edge| edge.last), turns: self.turns })
    }

    /// Keeps where the last entry of the first file points, unless that may have changed meanwhile.
    pub(super) fn keep_edge(&mut self, front: Front, last: LogOffset) {
        if self.turns == front.turns {
            self.edge = Some(Edge { segment: front.segment, last });
        }
    }

    /// The queue begins behind that file, unless it does already or an entry of it may have been replaced.
    pub(super) fn pass(&mut self, front: Front, per_segment: u64) -> bool {
        let holds = |now: Front| now.segment == front.segment && now.turns == front.turns;
        let passes = self.front(per_segment).is_some_and(holds);
        if passes {
            self.first = front.segment.saturating_add(1).saturating_mul(per_segment);
            // Nobody reads what would replace entries there, and its file goes.
            self.patches = self.patches.split_off(&self.first);
        }
        passes
    }

    /// The oldest file with nothing but what lies before the first entry; never the last one.
    pub(super) fn retired(&self, per_segment: u64) -> Option<u64> {
        let oldest = self.segments.first().copied()?;
        let is_passed = oldest < self.first / per_segment;
        (is_passed && oldest < self.last_segment(per_segment)?).then_some(oldest)
    }

    /// For how many pending entries memory is held.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.pending.capacity()
    }

    /// Of the files' entries those from `first` up to `next` count.
    pub(super) fn keep_front(&mut self, first: u64, next: u64) {
        self.clear(next);
        self.first = first.min(next);
    }
}

fn due<'a>(pending: impl Iterator<Item = &'a [u8; 20]>, up_to: LogOffset) -> usize {
    let (mut due, mut seen) = (0, 0);
    for bytes in pending {
        match Entry::decode(bytes) {
            Some(entry) if entry.end() > up_to => return due,
            Some(_) => due = seen + 1,
            None => {}
        }
        seen += 1;
    }
    // All of it, and blanks at its end have nothing to wait for.
    seen
}

/// A number of things in memory, which always fits.
fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
