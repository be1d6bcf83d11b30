//! A disk in memory that forgets, tears, fails and fills: [`SimDisk`], for tests of this crate and of its users.
//!
//! For every file it keeps the bytes as written and the bytes as synced, for every folder the names as present and
//! the names as synced. From that it makes, by a seed and a model, the disk that a power cut may leave
//! ([`SimDisk::power_cut`]): all that was synced, and of the rest what the model says. A recording disk can be walked
//! through again, operation by operation ([`SimDisk::replay`]), so that a workload can be cut everywhere.
//!
//! There is no clock and no chance in it but the seeds it is given: used from one thread, the same calls give the
//! same disk, to the bit. What it assumes of a real disk is what the [crate's own disk room](super) says, and no more.
//!
//! ```
//! use std::path::Path;
//! use sawlog::disk::sim::{SimDisk, Survivors};
//! use sawlog::disk::{Disk, Reserve};
//!
//! let disk = SimDisk::new();
//! disk.create_dirs(Path::new("/store"))?;
//! let file = disk.create(Path::new("/store/a"), 8, Reserve::Blocks)?;
//! disk.sync_dir(Path::new("/store"))?;
//! file.write_at(0, b"safe")?;
//! file.sync()?;
//! file.write_at(4, b"lost")?;
//!
//! let after = disk.power_cut(1, Survivors::Nothing);
//! assert_eq!(after.read_file("/store/a")?, b"safe\0\0\0\0");
//! # Ok::<(), std::io::Error>(())
//! ```

mod calls;
mod faults;
mod file;
mod handle;
mod names;
mod pages;
mod paths;
mod replay;
mod rng;
mod set_up;
mod state;
mod survivors;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::thread::ThreadId;

use parking_lot::{Mutex, MutexGuard};

pub use faults::{Aim, Fault, FaultKind, OpKind};
pub use replay::{OpInfo, Replay};
pub use survivors::Survivors;

use super::BootId;
use faults::{Call, Script};
use replay::{Journal, Step};
use state::{Change, State};

/// A simulated disk. Clones are handles of one disk; [`SimDisk::power_cut`] and [`SimDisk::kill`] make new ones.
///
/// Paths begin at the root: relative ones are taken from there. A file may have several names ([`Disk::link`]), and its
/// bytes last as long as a name or an open handle holds them; symbolic links do not exist.
///
/// [`Disk::link`]: super::Disk::link
///
/// Where real disks differ from each other it takes the harsher side, with three exceptions, in which all that we
/// know agree: a change of names is atomic, a folder made by `create_dirs` lasts, and after a failed `sync_dir` a
/// repeated one can be trusted (a file's failed `sync` cannot).
///
/// ```
/// use sawlog::disk::sim::{Fault, FaultKind, SimDisk, Survivors};
/// use sawlog::{Level, Message, Options, Store};
///
/// let disk = SimDisk::new();
/// let options = || Options::new().disk(disk.clone()).segment_bytes(1 << 16);
/// let store = Store::open("/store", options())?;
/// store.append_with(&Message::new("orders", "paid"), Level::Flushed)?.wait()?;
///
/// disk.fail_at(1, Fault::persistent(FaultKind::Eio)); // the disk dies,
/// let sent = store.append_with(&Message::new("orders", "sent"), Level::Flushed).and_then(|ack| ack.wait());
/// assert!(sent.is_err());
/// let after = disk.power_cut(7, Survivors::Nothing); // and then the power goes
/// let store = Store::open("/store", Options::new().disk(after))?;
/// assert_eq!(store.scan(store.marks().first).count(), 1);
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SimDisk {
    shared: Arc<Mutex<Inner>>,
}

/// What a lock guards: the disk, and what the running process and the test have set on it.
struct Inner {
    state: State,
    locked: BTreeSet<Arc<Path>>,
    script: Script,
    revert_seed: Option<u64>,
    journal: Option<Journal>,
    /// Who wrote last; and whether several threads have written or synced.
    user: Option<ThreadId>,
    is_shared: bool,
}

impl Inner {
    /// Notes which thread writes or syncs. Says whether others do too.
    fn note_user(&mut self) -> bool {
        let user = std::thread::current().id();
        self.is_shared |= self.user.replace(user).is_some_and(|before| before != user);
        self.is_shared
    }

    /// Applies a change, and records it if recording is on.
    fn commit(&mut self, call: Option<(OpKind, &Arc<Path>)>, change: Change) {
        self.state.apply(&change);
        if let Some(journal) = &mut self.journal {
            journal.calls += usize::from(call.is_some());
            journal.steps.push(Step { call: call.map(|(kind, path)| (kind, path.clone())), change });
        }
    }
}

impl SimDisk {
    /// An empty disk with a root folder and without a capacity.
    #[must_use]
    pub fn new() -> SimDisk {
        SimDisk::from_state(State::new(BootId([0x5A; 16])))
    }

    /// An empty disk that records from the beginning.
    #[must_use]
    pub fn recording() -> SimDisk {
        let disk = SimDisk::new();
        disk.start_recording();
        disk
    }

    fn from_state(state: State) -> SimDisk {
        let inner = Inner {
            state,
            locked: BTreeSet::new(),
            script: Script::default(),
            revert_seed: None,
            journal: None,
            user: None,
            is_shared: false,
        };
        SimDisk { shared: Arc::new(Mutex::new(inner)) }
    }

    /// The disk that a power cut now would leave: a new one, after a restart of the machine (another boot id), with
    /// no lock held, no fault to come, not recording. This one goes on as if nothing had happened.
    #[must_use]
    pub fn power_cut(&self, seed: u64, model: Survivors) -> SimDisk {
        SimDisk::from_state(survivors::power_cut(&self.inner().state, seed, model))
    }

    /// The disk that the next process finds when this one dies now and the power stays: a new one with the same boot
    /// id, with all that was written, no lock held, no fault to come, not recording. What was not synced a later
    /// power cut can still take; what a failed sync gave up stays given up. This one goes on as if nothing had
    /// happened.
    ///
    /// ```
    /// use sawlog::disk::sim::SimDisk;
    /// use sawlog::{Message, Options, Store};
    ///
    /// let disk = SimDisk::new();
    /// let store = Store::open("/store", Options::new().disk(disk.clone()).segment_bytes(1 << 16))?;
    /// store.append(&Message::new("orders", "paid"))?.wait()?; // in the page cache
    /// let store = Store::open("/store", Options::new().disk(disk.kill()))?; // as another process would
    /// assert!(!store.recovery().clean_shutdown);
    /// assert_eq!(store.scan(store.marks().first).count(), 1);
    /// # Ok::<(), sawlog::Error>(())
    /// ```
    #[must_use]
    pub fn kill(&self) -> SimDisk {
        SimDisk::from_state(self.inner().state.after_death())
    }

    /// Records from now on all that changes the disk, forgetting what was recorded before. The record keeps every
    /// byte written.
    pub fn start_recording(&self) {
        let mut inner = self.inner();
        let start = inner.state.after_death();
        inner.journal = Some(Journal { start, steps: Vec::new(), calls: 0 });
    }

    /// How many operations have been recorded: the position in a [`Replay`] that corresponds to now. 0 if the disk
    /// is not recording.
    #[must_use]
    pub fn recorded(&self) -> usize {
        self.inner().journal.as_ref().map_or(0, |journal| journal.calls)
    }

    /// A walk through all that was recorded so far; an empty one if the disk is not recording.
    #[must_use]
    pub fn replay(&self) -> Replay {
        let inner = self.inner();
        match &inner.journal {
            Some(journal) => Replay::new(journal),
            None => Replay::new(&Journal { start: inner.state.after_death(), steps: Vec::new(), calls: 0 }),
        }
    }

    /// How many calls of any kind were made so far, failed ones included: what [`SimDisk::fail_at`] counts. Calls
    /// that cannot fail (lengths, hints, the boot id) and those that set up or look at a disk for a test do not count.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.inner().script.count_all()
    }

    /// How many of them were of this kind.
    #[must_use]
    pub fn operations_of(&self, kind: OpKind) -> u64 {
        self.inner().script.count(kind)
    }

    /// The `nth` call from now on meets this fault; 1 is the very next (0 too). Several faults may wait at once.
    pub fn fail_at(&self, nth: u64, fault: Fault) {
        self.fail_at_aimed(Aim::anything(), nth, fault);
    }

    /// The same, counting only calls that `aim` meets.
    pub fn fail_at_aimed(&self, aim: Aim, nth: u64, fault: Fault) {
        self.inner().script.arm(aim, nth, fault);
    }

    /// How many calls have met a fault.
    #[must_use]
    pub fn faults_fired(&self) -> u64 {
        self.inner().script.fired
    }

    /// Takes all waiting and persistent faults away: the disk is well again.
    pub fn clear_faults(&self) {
        self.inner().script.clear();
    }

    /// What the cache shows after a failed sync of a file: with `None` (the default) what was written; with a seed,
    /// pages of 4 KiB chosen by it show at once what is on the medium. Linux does either, by file system and luck.
    pub fn revert_after_failed_sync(&self, seed: Option<u64>) {
        self.inner().revert_seed = seed;
    }

    /// Limits the room for file content to so many bytes; allocation is in pages of 4 KiB. A removed file takes
    /// its room as long as a handle of it is open; folders and names take none. It may be changed at any time. Disks made by a power cut or a kill have the same limit. Less than is in use means: nothing free.
    ///
    /// ```
    /// use sawlog::disk::sim::SimDisk;
    /// use sawlog::{Options, Store};
    ///
    /// let disk = SimDisk::new();
    /// disk.capacity_bytes(64 << 10);
    /// let options = || Options::new().disk(disk.clone()).segment_bytes(1 << 16);
    /// assert!(Store::open("/store", options()).is_err_and(|error| error.is_full()));
    /// disk.capacity_bytes(64 << 20);
    /// Store::open("/store", options())?.close()?;
    /// # Ok::<(), sawlog::Error>(())
    /// ```
    pub fn capacity_bytes(&self, bytes: u64) {
        self.inner().state.capacity_bytes = Some(bytes);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.shared.lock()
    }

    /// Counts a call and lets it meet the script.
    fn enter(
        &self,
        kind: OpKind,
        path: &Path,
        bytes: Option<Range<u64>>,
    ) -> io::Result<MutexGuard<'_, Inner>> {
        let mut inner = self.inner();
        match inner.script.meet(&Call { kind, path, bytes }) {
            None => Ok(inner),
            Some(fault) => Err(fault.error()),
        }
    }
}

impl Default for SimDisk {
    fn default() -> Self {
        SimDisk::new()
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.inner();
        f.debug_struct("SimDisk")
            .field("files", &inner.state.names.files().count())
            .field("used_bytes", &inner.state.used_bytes())
            .field("changes", &inner.state.changes)
            .finish_non_exhaustive()
    }
}

fn err<T>(kind: io::ErrorKind, path: &Path, what: &str) -> io::Result<T> {
    Err(io::Error::new(kind, format!("simulated disk: {}: {what}", path.display())))
}
