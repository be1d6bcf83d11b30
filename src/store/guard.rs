//! The disk's guard: above a part in use nothing more is taken, and it ends by itself (spec 10.2, promises rule 15).
//!
//! The append road reads one flag. Who finds it set looks at the disk again, at most ten times a second, so that it
//! clears without a thread and without a restart.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::disk::{Disk, Space};
use crate::error::{Error, Result};
use crate::retention::shortfall_bytes;
use crate::sync::Mutex;

/// How often a refused append looks at the disk again.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// See the file's text.
#[derive(Debug)]
pub(crate) struct Guard {
    disk: Arc<dyn Disk>,
    /// The log's folder: its file system counts.
    dir: PathBuf,
    is_shut: AtomicBool,
    /// Bytes of a segment that was not made because it would have gone above the limit.
    wanted_bytes: AtomicU64,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    refuse_above: Option<f64>,
    /// What refused appends are told.
    free: u64,
    needed: u64,
    /// When a refused append last looked; `None`: none has since the guard shut.
    looked_at: Option<Duration>,
}

impl Seen {
    fn refusal(&self) -> Error {
        Error::Full { free: self.free, needed: self.needed }
    }
}

impl Guard {
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: PathBuf, refuse_above: Option<f64>) -> Guard {
        let seen = Seen { refuse_above, free: 0, needed: 0, looked_at: None };
        let (is_shut, wanted_bytes) = (AtomicBool::new(false), AtomicU64::new(0));
        Guard { disk, dir, is_shut, wanted_bytes, seen: Mutex::new(seen) }
    }

    /// Whether appends are refused; one relaxed load.
    pub(crate) fn is_shut(&self) -> bool {
        self.is_shut.load(Ordering::Relaxed)
    }

    /// Bytes that the next segment lacked when it was last to be made; 0 if it did not.
    pub(crate) fn wanted_bytes(&self) -> u64 {
        self.wanted_bytes.load(Ordering::Relaxed)
    }

    /// Another limit, from the next look on.
    pub(crate) fn set_limit(&self, refuse_above: Option<f64>) {
        self.seen.lock().refuse_above = refuse_above;
    }

    /// The room on the log's file system.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn space(&self) -> Result<Space> {
        self.disk.space(&self.dir).map_err(|e| Error::io("asking for the room of", &self.dir, e))
    }

    /// Looks at the disk, and shuts or opens.
    ///
    /// # Errors
    /// [`Error::Io`]; it stays as it was.
    pub(crate) fn look(&self) -> Result<()> {
        let mut seen = self.seen.lock();
        self.look_held(&mut seen)
    }

    fn look_held(&self, seen: &mut Seen) -> Result<()> {
        let short = match seen.refuse_above {
            None => 0,
            Some(limit) => {
                let space = self.space()?;
                seen.free = space.free;
                shortfall_bytes(space, 0, limit)
            }
        };
        seen.needed = short;
        let was_shut = self.is_shut.swap(short > 0, Ordering::Relaxed);
        if !was_shut {
            seen.looked_at = None;
        }
        Ok(())
    }

    /// For an append that found it shut: looks again if it is time. `Ok(false)`: it was not time, and the answer of
    /// the last look stands.
    ///
    /// # Errors
    /// [`Error::Io`]; it stays as it was.
    pub(crate) fn look_again(&self, now: Duration) -> Result<bool> {
        let mut seen = self.seen.lock();
        if seen.looked_at.is_some_and(|at| now.saturating_sub(at) < LOOK_EVERY) {
            return Ok(false);
        }
        seen.looked_at = Some(now);
        self.look_held(&mut seen).map(|()| true)
    }

    /// What a refused append is told; Ok if none is refused.
    ///
    /// # Errors
    /// [`Error::Full`].
    pub(crate) fn answer(&self) -> Result<()> {
        let seen = self.seen.lock();
        if self.is_shut() { Err(seen.refusal()) } else { Ok(()) }
    }

    /// Whether a segment of so many bytes may be made: it must not bring the disk above the limit. A disk that does
    /// not say how full it is says so when the file is made.
    ///
    /// # Errors
    /// [`Error::Full`].
    pub(crate) fn admit(&self, bytes: u64) -> Result<()> {
        let limit = self.seen.lock().refuse_above;
        let Some((limit, space)) = limit.zip(self.space().ok()) else { return Ok(()) };
        let needed = shortfall_bytes(space, bytes, limit);
        self.wanted_bytes.store(if needed > 0 { bytes } else { 0 }, Ordering::Relaxed);
        if needed > 0 { Err(Error::Full { free: space.free, needed }) } else { Ok(()) }
    }
}
