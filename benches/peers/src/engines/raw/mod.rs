//! The baseline: the least that a log can do for the same bytes. A frame is length, checksum, number and body.
//!
//! Durable: frames gather in one buffer; whoever finds nobody leading writes all of it with one positioned write into
//! blocks that hold zeros already, syncs, and wakes its batch with one call. Buffered: 256 KiB are gathered under the
//! lock and written there; a helper syncs twice a second. In both the helper makes the next segment ahead.
//!
//! It promises less than any engine here: a killed process loses what is gathered, and there is one reader, who reads all.

mod frame;
mod group;
mod segment;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::{Engine, Reading, Setup};
use segment::Segment;

const GATHERED_BYTES: usize = 256 << 10;
const SYNC_EVERY: Duration = Duration::from_millis(500);

struct Raw {
    dir: PathBuf,
    segment_bytes: u64,
    zeroed: bool,
    state: Mutex<State>,
    helper: Condvar,
    /// Where batches wait, even and odd ones apart; see `group`.
    slots: [AtomicU32; 2],
}

struct State {
    /// Frames that are in no file yet, and the log offset at which they go there.
    gathered: Vec<u8>,
    at: u64,
    /// The other buffer, empty while nobody leads.
    spare: Vec<u8>,
    frames: u64,
    segment: Arc<Segment>,
    next: Option<Arc<Segment>>,
    /// Somebody waits for `next`.
    is_waited: bool,
    /// Segments that were made, `next` included.
    made: u64,
    /// Full ones that no sync covers.
    full: Vec<Arc<Segment>>,
    is_dirty: bool,
    /// The number of the batch that gathers, and whether somebody leads an earlier one.
    batch: u32,
    is_led: bool,
    /// Entries of queues: 20 bytes each.
    queues: Vec<Vec<u8>>,
}

pub(super) fn open(setup: &Setup) -> Arc<dyn Engine> {
    std::fs::create_dir_all(&setup.dir).expect("a folder");
    let (mut frames, mut at, mut made) = (0, 0, 0);
    while let Some(map) = segment::map(&setup.dir, made, setup.segment_bytes) {
        let found = frame::walk(&map);
        frames += found.0;
        at = made * setup.segment_bytes + found.1;
        made += 1;
    }
    let zeroed = setup.durable;
    let current = at / setup.segment_bytes;
    let segment = Arc::new(Segment::open(&setup.dir, current, setup.segment_bytes, zeroed));
    let state = State {
        gathered: Vec::with_capacity(4 << 20),
        at,
        spare: Vec::with_capacity(4 << 20),
        frames,
        segment,
        next: None,
        is_waited: false,
        made: made.max(current + 1),
        full: Vec::new(),
        is_dirty: false,
        batch: 2,
        is_led: false,
        queues: vec![Vec::with_capacity(4096); if setup.queues > 1 { setup.queues } else { 0 }],
    };
    let raw = Arc::new(Raw {
        dir: setup.dir.clone(),
        segment_bytes: setup.segment_bytes,
        zeroed,
        state: Mutex::new(state),
        helper: Condvar::new(),
        slots: [AtomicU32::new(0), AtomicU32::new(0)],
    });
    let helper = Arc::clone(&raw);
    std::thread::spawn(move || helper.help());
    raw
}

impl Raw {
    /// Makes the next segment once half of one is used, and syncs what was written, if that is not a producer's affair.
    fn help(&self) {
        let mut synced = Instant::now();
        let mut state = self.state.lock();
        loop {
            if self.is_next_wanted(&state) {
                let number = state.made;
                state.made += 1;
                drop(state);
                let made = Arc::new(Segment::open(&self.dir, number, self.segment_bytes, self.zeroed));
                state = self.state.lock();
                (state.next, state.is_waited) = (Some(made), false);
                self.helper.notify_all();
            }
            if !state.is_dirty || self.zeroed {
                self.helper.wait(&mut state);
            } else if let Some(left) = SYNC_EVERY.checked_sub(synced.elapsed()) {
                self.helper.wait_for(&mut state, left);
            } else {
                drop(state);
                self.sync();
                synced = Instant::now();
                state = self.state.lock();
            }
        }
    }

    fn is_next_wanted(&self, state: &State) -> bool {
        let is_half_full = state.at - state.segment.base > self.segment_bytes / 2;
        state.next.is_none() && (is_half_full || state.is_waited)
    }

    /// Room for `len` bytes behind the last, in the next segment if this one is too full.
    fn place(&self, state: &mut MutexGuard<'_, State>, len: u64) -> (Arc<Segment>, u64) {
        if state.at + len > state.segment.base + self.segment_bytes {
            while state.next.is_none() {
                state.is_waited = true;
                self.helper.notify_all();
                self.helper.wait(state);
            }
            let next = state.next.take().expect("just looked");
            let full = std::mem::replace(&mut state.segment, next);
            state.full.push(full);
            state.at = state.segment.base;
        }
        let at = state.at - state.segment.base;
        state.at += len;
        if !state.is_dirty || self.is_next_wanted(state) {
            state.is_dirty = true;
            self.helper.notify_all();
        }
        (Arc::clone(&state.segment), at)
    }

    fn write(&self, state: &mut MutexGuard<'_, State>) {
        let gathered = std::mem::take(&mut state.gathered);
        let (segment, at) = self.place(state, gathered.len() as u64);
        segment.write(&gathered, at);
        state.gathered = gathered;
        state.gathered.clear();
    }

    fn sync(&self) {
        let mut state = self.state.lock();
        state.is_dirty = false;
        let mut segments = std::mem::take(&mut state.full);
        segments.push(Arc::clone(&state.segment));
        drop(state);
        for segment in segments {
            segment.sync();
        }
    }

    fn gather(&self, body: &[u8], queue: Option<usize>) {
        let mut state = self.state.lock();
        let at = state.at + state.gathered.len() as u64;
        frame::push(&mut state, body);
        if let Some(queue) = queue {
            let entries = &mut state.queues[queue];
            entries.extend_from_slice(&at.to_be_bytes());
            entries.extend_from_slice(&((frame::HEAD_BYTES + body.len()) as u32).to_be_bytes());
            entries.extend_from_slice(&[0; 8]);
        }
        if state.gathered.len() >= GATHERED_BYTES {
            self.write(&mut state);
        }
    }
}

impl Engine for Raw {
    fn append(&self, _producer: usize, body: &'static [u8]) {
        self.gather(body, None);
    }

    fn append_durable(&self, _producer: usize, body: &'static [u8]) {
        self.join_a_batch(body);
    }

    fn append_to(&self, queue: usize, body: &'static [u8]) -> bool {
        self.gather(body, Some(queue));
        true
    }

    /// What was gathered for a queue goes to its file with one write.
    fn wait_indexed(&self) {
        let dir = self.dir.join("queues");
        std::fs::create_dir_all(&dir).expect("a folder");
        for (number, entries) in self.state.lock().queues.iter_mut().enumerate() {
            let file = OpenOptions::new().create(true).append(true).open(dir.join(number.to_string()));
            file.expect("a queue's file").write_all(entries).expect("a write");
            entries.clear();
        }
    }

    fn finish(&self) {
        let mut state = self.state.lock();
        if !state.gathered.is_empty() {
            self.write(&mut state);
        }
        drop(state);
        self.sync();
    }

    /// Always verified: it has no other way of knowing where a frame ends.
    fn scan(&self, how: Reading) -> Option<u64> {
        if let Reading::Stored = how {
            return None;
        }
        let maps = (0..).map_while(|number| segment::map(&self.dir, number, self.segment_bytes));
        Some(maps.map(|map| frame::walk(&map).0).sum())
    }
}
