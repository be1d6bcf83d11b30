//! Look into a store without touching it: [`survey`] what is there, read it with a [`Reader`].
//!
//! All of this but [`snapshot`] opens files for reading alone, takes no lock, changes no byte and reads by position, never through a
//! mapping, so that a failing device is an error and no signal. It works on a store that another process is writing, a
//! RocketMQ broker or a [`Store`](crate::Store): files that grow, roll or vanish meanwhile are no errors. Nor need a store
//! at rest be opened to be read: whatever a crash left, on a medium that is full or that nobody may write to, all that
//! was durable is there, by log order, queue, time and key. On a folder that is no store it answers [`Error::Foreign`](crate::Error::Foreign).
//!
//! ```
//! # let folder = tempfile::tempdir()?;
//! # use sawlog::{Message, Options, Store, inspect};
//! let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 20))?;
//! store.append(&Message::new("orders", "paid").queue(3))?.wait()?;
//!
//! // The store is open, perhaps in another process: whoever looks need not wait for that to end.
//! let reader = inspect::Reader::open(folder.path())?;
//! let mut scan = reader.scan(reader.first()?);
//! assert_eq!(scan.next().transpose()?.expect("a record").body(), "paid");
//! assert!(scan.next().is_none());
//! store.append(&Message::new("orders", "sent").queue(3))?.wait()?;
//! assert_eq!(scan.next().transpose()?.expect("goes on").body(), "sent");
//!
//! println!("{}", inspect::survey(folder.path())?);
//! # store.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod folder;
mod index_files;
mod opening;
mod parts;
mod queue_files;
mod reader;
mod show;
mod snapshot;
mod survey;
mod verify;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Disk, OsDisk};
use crate::dispatch::DelayLevels;
use crate::error::Result;
use crate::key_index::Geometry;

pub use folder::OddFile;
pub use opening::{Opening, PlannedCut, Recovery};

pub use reader::{Follow, KeySearch, QueueFollow, QueueReader, Reader};
pub use snapshot::{SnapshotMade, SnapshotOptions, SnapshotTold};
pub use survey::{
    AbortFound, CheckpointFound, Holds, IndexFileFound, IndexFound, MarkFound, QueueFound, SegmentFound,
    SnapshotFound, Survey, WriterState,
};
pub use verify::{Fault, FaultKind, MessageName, Progress, Stage, Told, Verification, VerifyOptions};

/// Where to look, and what no file of the store says.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # use sawlog::{Options, Store, disk::OsDisk};
/// # Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?.close()?;
/// use sawlog::inspect::Look;
///
/// let look = Look::at(folder.path()).disk(OsDisk::new()).index_geometry(5_000_000, 20_000_000);
/// assert!(look.survey()?.odd.is_empty());
/// assert!(look.reader()?.topics()?.is_empty());
///
/// let refused = Look::at("/nowhere/at/all").survey().unwrap_err();
/// assert!(refused.to_string().contains("/nowhere/at/all"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Look {
    root: PathBuf,
    disk: Arc<dyn Disk>,
    index: Option<Geometry>,
    delay_levels: Option<DelayLevels>,
}

impl Look {
    /// At the store in this folder, on the machine's disk.
    #[must_use]
    pub fn at(root: impl AsRef<Path>) -> Look {
        let root = root.as_ref().to_path_buf();
        Look { root, disk: Arc::new(OsDisk::new()), index: None, delay_levels: None }
    }

    /// On this disk. Nothing of it but reading is used. Default: [`OsDisk`].
    #[must_use]
    pub fn disk(self, disk: impl Disk + 'static) -> Look {
        Look { disk: Arc::new(disk), ..self }
    }

    /// How index files are divided: RocketMQ's `maxHashSlotNum` and `maxIndexNum`, which no field of a broker's files says.
    /// Default: what sawlog wrote down, else RocketMQ's default if the files' length fits, else the division that the
    /// entries of the oldest file fit.
    #[must_use]
    pub fn index_geometry(self, slots: u32, entries: u32) -> Look {
        Look { index: Some(Geometry { slots, entries }), ..self }
    }

    /// The delay levels of whoever wrote the store (RocketMQ's `messageDelayLevel`), which stand in no file.
    /// Default: unknown; the delivery times in the queues of delayed messages are not checked then.
    #[must_use]
    pub fn delay_levels(self, levels: DelayLevels) -> Look {
        Look { delay_levels: Some(levels), ..self }
    }

    /// What is there; see [`survey`].
    ///
    /// # Errors
    /// [`Error::Foreign`](crate::Error::Foreign) if there is no store; [`Error::Io`](crate::Error::Io) if a folder
    /// cannot be listed or a file not be read.
    pub fn survey(&self) -> Result<Survey> {
        survey::survey(self)
    }

    /// Every byte of log, queues and index against each other; see [`verify`].
    ///
    /// # Errors
    /// As [`verify`].
    pub fn verify(
        &self,
        options: &VerifyOptions,
        mut told: impl FnMut(Told<'_>) -> ControlFlow<()>,
    ) -> Result<Verification> {
        verify::verify(self, options, &mut told)
    }

    /// A verified copy of the store in the folder `out`, which must not be there yet; see [`snapshot`]. Unlike the other
    /// calls it uses more of the disk than reading: links, copies, and the store's lock while nobody else has it.
    ///
    /// # Errors
    /// As [`snapshot`].
    pub fn snapshot(
        &self,
        out: impl AsRef<Path>,
        options: &SnapshotOptions,
        mut told: impl FnMut(SnapshotTold<'_>) -> ControlFlow<()>,
    ) -> Result<SnapshotMade> {
        snapshot::snapshot(self, out.as_ref(), options, &mut told)
    }

    /// A reader of this store.
    ///
    /// # Errors
    /// As [`Look::survey`].
    pub fn reader(&self) -> Result<Reader> {
        Reader::new(self)
    }
}

/// What is in a store: files, queues, marks, and what opening it would do.
///
/// Costs a listing of all folders, some 30 small reads a queue and, unless somebody has the store open, the reading
/// that opening would do: from the durable mark's segment on, or the whole log where nothing vouches for it.
///
/// # Errors
/// As [`Look::survey`].
///
/// ```
/// # use sawlog::{Message, Options, Store, inspect};
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # store.append(&Message::new("orders", "paid").key("order-42"))?.wait()?;
/// # store.close()?;
/// let survey = inspect::survey(folder.path())?;
/// assert_eq!((survey.segments.len(), survey.queues.len()), (1, 1));
/// println!("{survey}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn survey(root: impl AsRef<Path>) -> Result<Survey> {
    Look::at(root).survey()
}

/// Holds every byte of log, queues and key index against each other.
///
/// Faults are told as they are found; `told` breaks off by answering so, and the answer says where to go on. The log is
/// read once, by several threads; memory is bounded by 64 MiB a thread and 4 bytes for each slot of an index file,
/// however long the log is. Of a store that sawlog is writing, what was durable at the beginning is verified; of one
/// that a broker is writing, what is whole. Where a crash left something that opening puts right by itself, the fault
/// is told, and is no damage ([`FaultKind::is_damage`]).
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # use sawlog::{Message, Options, Store, inspect};
/// # use std::ops::ControlFlow;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 20))?;
/// # store.append(&Message::new("orders", "paid").queue(3))?.wait()?;
/// # store.close()?;
/// let options = inspect::VerifyOptions::new().threads(2);
/// let verified = inspect::verify(folder.path(), &options, |told| {
///     if let inspect::Told::Fault(fault) = told {
///         println!("{fault}; {}", fault.kind.meaning());
///     }
///     ControlFlow::Continue(())
/// })?;
/// assert!(verified.complete && verified.damages() == 0 && verified.records == 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Foreign`](crate::Error::Foreign) if there is no store, or one of a kind that is not read;
/// [`Error::Io`](crate::Error::Io) if a folder, a queue's file or an index file cannot be read. A log that cannot be
/// read is a fault.
pub fn verify(
    root: impl AsRef<Path>,
    options: &VerifyOptions,
    told: impl FnMut(Told<'_>) -> ControlFlow<()>,
) -> Result<Verification> {
    Look::at(root).verify(options, told)
}

/// A consistent copy of a store in the folder `out`, which must not be there yet: sealed segments by hard links where the
/// file system has them, the rest by copies; verified before it gets its name.
///
/// Of a store at rest, which is locked meanwhile, it is all that is there. Of one that sawlog is writing, in this process
/// or another, it is what the mark said was durable when the copy began, with the queues and the key index as far
/// as they were in files by then; it opens as after a crash at that moment, losing nothing of that. A store that a
/// broker is writing is refused: nothing says what of it is durable.
///
/// A linked segment is one file with two names. Nobody writes into such segments but whoever cuts the log at damage
/// (`OnDamage::FirstBroken`, and a Java broker after a crash), and then through both names: for a copy that shares nothing
/// use [`SnapshotOptions::copy_all`]. What was once cut or put aside is not copied.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # use sawlog::{Message, Options, Store, inspect};
/// # use std::ops::ControlFlow;
/// let root = folder.path().join("store");
/// let store = Store::open(&root, Options::new().segment_bytes(1 << 20))?;
/// store.append(&Message::new("orders", "paid").queue(3))?.wait()?;
/// store.close()?;
///
/// let out = folder.path().join("copy");
/// let made = inspect::snapshot(&root, &out, &inspect::SnapshotOptions::new(), |_| ControlFlow::Continue(()))?;
/// assert!(made.kept && made.verified.is_some_and(|verified| verified.records == 1));
/// let copy = Store::open(&out, Options::new())?;
/// assert_eq!(copy.scan(copy.marks().first).count(), 1);
/// # copy.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::InvalidOptions`](crate::Error::InvalidOptions) if `out` is there already or lies within the store;
/// [`Error::Locked`](crate::Error::Locked) if a broker has it, or another snapshot is being made of it at rest;
/// [`Error::Foreign`](crate::Error::Foreign) if there is no store; [`Error::Corrupt`](crate::Error::Corrupt) if its
/// small files are damaged and somebody has it open; [`Error::Io`](crate::Error::Io). Nothing stands under the name
/// `out` then.
pub fn snapshot(
    root: impl AsRef<Path>,
    out: impl AsRef<Path>,
    options: &SnapshotOptions,
    told: impl FnMut(SnapshotTold<'_>) -> ControlFlow<()>,
) -> Result<SnapshotMade> {
    Look::at(root).snapshot(out, options, told)
}
