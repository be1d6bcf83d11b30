//! The least that a buffered log can do: frames gathered in 256 KiB, one positioned write for each, a sync every half
//! second and the next segment made ahead, both beside the producer.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

const STAGING_BYTES: usize = 256 << 10;
const SYNC_EVERY: Duration = Duration::from_millis(500);
/// Length and checksum of the body, and its number.
const FRAME_BYTES: usize = 16;

/// One producer's log.
pub(crate) struct Raw {
    shared: Arc<Shared>,
    helper: Option<JoinHandle<()>>,
    staging: Vec<u8>,
    segment: Arc<File>,
    /// Where the staging buffer goes in the segment.
    at: u64,
    frames: u64,
}

/// What producer and helper hand to each other.
struct Shared {
    dir: PathBuf,
    segment_bytes: u64,
    hands: Mutex<Hands>,
    bell: Condvar,
}

#[derive(Default)]
struct Hands {
    /// Made, and not used yet.
    next: Option<Arc<File>>,
    /// How many segments there are, that one included.
    made: u64,
    /// Written since their last sync.
    dirty: Vec<Arc<File>>,
    done: bool,
}

impl Raw {
    pub(crate) fn new(dir: &Path, segment_bytes: u64) -> Raw {
        std::fs::create_dir_all(dir).expect("a folder");
        let hands = Hands { made: 1, ..Hands::default() };
        let shared =
            Shared { dir: dir.to_path_buf(), segment_bytes, hands: Mutex::new(hands), bell: Condvar::new() };
        let shared = Arc::new(shared);
        let segment = shared.make(0);
        let helper = Arc::clone(&shared);
        let helper = std::thread::spawn(move || helper.help());
        let staging = Vec::with_capacity(STAGING_BYTES + (1 << 20));
        Raw { shared, helper: Some(helper), staging, segment, at: 0, frames: 0 }
    }

    pub(crate) fn append(&mut self, body: &[u8]) {
        self.staging.extend_from_slice(&(body.len() as u32).to_be_bytes());
        self.staging.extend_from_slice(&crc32fast::hash(body).to_be_bytes());
        self.staging.extend_from_slice(&self.frames.to_be_bytes());
        self.staging.extend_from_slice(body);
        self.frames += 1;
        if self.staging.len() + FRAME_BYTES + body.len() > STAGING_BYTES {
            self.write();
        }
    }

    /// How many segments were begun.
    pub(crate) fn segments(&self) -> u64 {
        let hands = self.shared.hands.lock().unwrap();
        hands.made - u64::from(hands.next.is_some())
    }

    fn write(&mut self) {
        if self.at + self.staging.len() as u64 > self.shared.segment_bytes {
            self.segment = self.shared.take_next();
            self.at = 0;
        }
        self.segment.write_all_at(&self.staging, self.at).expect("a write");
        self.at += self.staging.len() as u64;
        self.staging.clear();
        let mut hands = self.shared.hands.lock().unwrap();
        if hands.dirty.last().is_none_or(|last| !Arc::ptr_eq(last, &self.segment)) {
            hands.dirty.push(Arc::clone(&self.segment));
        }
    }

    /// Everything written and synced.
    pub(crate) fn finish(mut self) {
        self.write();
        self.shared.hands.lock().unwrap().done = true;
        self.shared.bell.notify_all();
        self.helper.take().map(JoinHandle::join).expect("a helper").expect("no panic");
    }
}

impl Shared {
    fn make(&self, number: u64) -> Arc<File> {
        let path = self.dir.join(format!("{number:020}"));
        let file = OpenOptions::new().create_new(true).read(true).write(true).open(path).expect("a segment");
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, self.segment_bytes)
            .expect("room for a segment");
        file.sync_all().expect("a sync");
        File::open(&self.dir).and_then(|dir| dir.sync_all()).expect("a sync of the folder");
        Arc::new(file)
    }

    fn take_next(&self) -> Arc<File> {
        let mut hands = self.hands.lock().unwrap();
        while hands.next.is_none() {
            self.bell.notify_all();
            hands = self.bell.wait(hands).unwrap();
        }
        self.bell.notify_all();
        hands.next.take().expect("just looked")
    }

    /// Syncs what was written, twice a second, and has the next segment ready as soon as one was taken.
    fn help(&self) {
        let mut hands = self.hands.lock().unwrap();
        let mut last_sync = std::time::Instant::now();
        loop {
            if hands.next.is_none() && !hands.done {
                let number = hands.made;
                drop(hands);
                let made = self.make(number);
                hands = self.hands.lock().unwrap();
                (hands.next, hands.made) = (Some(made), number + 1);
                self.bell.notify_all();
            }
            let age = last_sync.elapsed();
            if age >= SYNC_EVERY || hands.done {
                let (dirty, done) = (std::mem::take(&mut hands.dirty), hands.done);
                drop(hands);
                for file in dirty {
                    file.sync_data().expect("a sync");
                }
                if done {
                    return;
                }
                last_sync = std::time::Instant::now();
                hands = self.hands.lock().unwrap();
                continue;
            }
            hands = self.bell.wait_timeout(hands, SYNC_EVERY - age).unwrap().0;
        }
    }
}
