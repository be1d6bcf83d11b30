//! The journal of a recording disk, and walking it again: the disk as it was after each operation.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::SimDisk;
use super::faults::OpKind;
use super::pages::len_u64;
use super::state::{Change, State};
use super::survivors::{Survivors, part_of, power_cut};

/// One operation that a recording disk carried out.
///
/// ```
/// use std::path::Path;
/// use sawlog::disk::sim::{OpKind, SimDisk};
/// use sawlog::disk::{Disk, Reserve};
///
/// let disk = SimDisk::recording();
/// let file = disk.create(Path::new("/a"), 8, Reserve::Blocks)?;
/// file.write_at(4, b"paid")?;
/// let mut replay = disk.replay();
/// replay.advance_to(1);
/// let write = replay.next_op().expect("the second operation");
/// assert_eq!((write.index, write.kind, write.offset, write.len), (1, OpKind::Write, 4, 4));
/// assert_eq!(write.path, Path::new("/a"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpInfo {
    /// Its place in the record, from 0.
    pub index: usize,
    /// What it was. Taking a lock is two operations where the file is missing (its creation and its content), and
    /// `create_dirs` is one for each folder that was missing.
    pub kind: OpKind,
    /// The file or folder, from the root on; of a rename the old name.
    pub path: PathBuf,
    /// For writes, where in the file; 0 otherwise.
    pub offset: u64,
    /// For writes and creations, how many bytes; 0 otherwise.
    pub len: u64,
}

/// A change, and the call that made it; none for what tests do to a disk behind everybody's back.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) call: Option<(OpKind, Arc<Path>)>,
    pub(super) change: Change,
}

/// The state in which recording began, and all changes since.
#[derive(Clone, Debug)]
pub(super) struct Journal {
    pub(super) start: State,
    pub(super) steps: Vec<Step>,
    /// How many of the steps were calls.
    pub(super) calls: usize,
}

/// A walk through what a disk recorded, from [`SimDisk::replay`]. It stands between two operations, before the first
/// one to begin with; from there it makes disks as a power cut or the death of the process would have left them at
/// that moment. Disks share all bytes that they do not change, so that one costs little, and never change the walk.
///
/// ```
/// use std::path::Path;
/// use sawlog::disk::sim::{SimDisk, Survivors};
/// use sawlog::{Message, Options, Store};
///
/// let disk = SimDisk::recording();
/// let store = Store::open("/store", Options::new().disk(disk.clone()).segment_bytes(64 << 10))?;
/// store.append(&Message::new("orders", "paid"))?.wait()?;
/// store.close()?;
///
/// // Wherever the power was cut, the store opens.
/// let mut replay = disk.replay();
/// while replay.step().is_some() {
///     let image = replay.power_cut(7, Survivors::Sectors);
///     Store::open("/store", Options::new().disk(image).segment_bytes(64 << 10))?.close()?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Replay {
    state: State,
    steps: Arc<Vec<Step>>,
    next_step: usize,
    position: usize,
    len: usize,
}

impl Replay {
    pub(super) fn new(journal: &Journal) -> Replay {
        let mut replay = Replay {
            state: journal.start.clone(),
            steps: Arc::new(journal.steps.clone()),
            next_step: 0,
            position: 0,
            len: journal.calls,
        };
        replay.apply_set_up();
        replay
    }

    /// How many operations were recorded.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many operations have been applied: the walk stands before the one with this index.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// The operation that [`Replay::step`] would apply; `None` at the end.
    #[must_use]
    pub fn next_op(&self) -> Option<OpInfo> {
        let step = self.steps.get(self.next_step)?;
        let (kind, path) = step.call.as_ref()?;
        let (offset, len) = match &step.change {
            Change::Write { offset, bytes, .. } => (*offset, len_u64(bytes.len())),
            Change::Create { len, .. } => (0, *len),
            _ => (0, 0),
        };
        Some(OpInfo { index: self.position, kind: *kind, path: path.to_path_buf(), offset, len })
    }

    /// Applies the next operation and says what it was; `None` at the end.
    pub fn step(&mut self) -> Option<OpInfo> {
        let info = self.next_op()?;
        let step = self.steps.get(self.next_step)?;
        self.state.apply(&step.change);
        self.next_step += 1;
        self.position += 1;
        self.apply_set_up();
        Some(info)
    }

    /// Steps until so many operations have been applied, or to the end. Going back needs a new walk.
    pub fn advance_to(&mut self, position: usize) {
        while self.position < position && self.step().is_some() {}
    }

    /// What a test did to the disk itself belongs to the operation before.
    fn apply_set_up(&mut self) {
        while let Some(step) = self.steps.get(self.next_step).filter(|step| step.call.is_none()) {
            self.state.apply(&step.change);
            self.next_step += 1;
        }
    }

    /// The disk after a power cut between the last operation and the next one.
    #[must_use]
    pub fn power_cut(&self, seed: u64, model: Survivors) -> SimDisk {
        SimDisk::from_state(power_cut(&self.state, seed, model))
    }

    /// The disk after a power cut within the next operation: of a write or a creation a part was done; a rename or
    /// a removal was done or not; a sync had covered nothing for sure, and anything may have survived all the same.
    #[must_use]
    pub fn power_cut_within(&self, seed: u64, model: Survivors) -> SimDisk {
        match self.part_of_next(seed) {
            Some(state) => SimDisk::from_state(power_cut(&state, seed, model)),
            None => self.power_cut(seed, model),
        }
    }

    /// The disk after the death of the process between the last operation and the next one: nothing is lost, but a
    /// later power cut can still take what was not synced.
    #[must_use]
    pub fn kill(&self) -> SimDisk {
        SimDisk::from_state(self.state.after_death())
    }

    /// The disk after the death of the process within the next operation, as [`Replay::power_cut_within`].
    #[must_use]
    pub fn kill_within(&self, seed: u64) -> SimDisk {
        match self.part_of_next(seed) {
            Some(state) => SimDisk::from_state(state.after_death()),
            None => self.kill(),
        }
    }

    fn part_of_next(&self, seed: u64) -> Option<State> {
        let part = part_of(&self.steps.get(self.next_step)?.change, seed)?;
        let mut state = self.state.clone();
        state.apply(&part);
        Some(state)
    }
}

impl std::fmt::Debug for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replay")
            .field("position", &self.position)
            .field("len", &self.len)
            .field("next", &self.next_op())
            .finish()
    }
}
