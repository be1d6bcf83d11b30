//! Which call errs, how, and how often: the fault script.

use std::io;
use std::ops::Range;
use std::path::Path;

use rustix::io::Errno;

/// A kind of call, for counting and for aiming faults.
///
/// ```
/// use std::path::Path;
/// use sawlog::disk::sim::{OpKind, SimDisk};
/// use sawlog::disk::{Disk, Reserve};
///
/// let disk = SimDisk::new();
/// let file = disk.create(Path::new("/a"), 8, Reserve::Blocks)?;
/// file.write_at(0, b"paid")?;
/// file.sync()?;
/// assert_eq!((disk.operations_of(OpKind::Sync), disk.operations()), (1, 3));
/// assert!(OpKind::Sync.changes_the_disk() && !OpKind::Read.changes_the_disk());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum OpKind {
    /// `Disk::create`.
    Create,
    /// `Disk::open`.
    Open,
    /// `DiskFile::read_at` and `DiskFile::view`.
    Read,
    /// `DiskFile::write_at` and `DiskFile::store_mapped`.
    Write,
    /// `DiskFile::sync`.
    Sync,
    /// `Disk::rename`.
    Rename,
    /// `Disk::replace`.
    Replace,
    /// `Disk::link`.
    Link,
    /// `Disk::remove`.
    Remove,
    /// `Disk::rename_folder`.
    RenameFolder,
    /// `Disk::remove_folder`.
    RemoveFolder,
    /// `Disk::sync_dir`.
    SyncDir,
    /// `Disk::create_dirs`.
    CreateDirs,
    /// `Disk::list`.
    List,
    /// `Disk::entry`.
    Entry,
    /// `Disk::lock`.
    Lock,
    /// `Disk::space` and `Disk::describe`.
    Space,
    /// `DiskFile::reserve`.
    Reserve,
}

impl OpKind {
    /// Every kind, to sweep over.
    pub const ALL: [OpKind; 18] = [
        OpKind::Create,
        OpKind::Open,
        OpKind::Read,
        OpKind::Write,
        OpKind::Sync,
        OpKind::Rename,
        OpKind::Replace,
        OpKind::Link,
        OpKind::Remove,
        OpKind::RenameFolder,
        OpKind::RemoveFolder,
        OpKind::SyncDir,
        OpKind::CreateDirs,
        OpKind::List,
        OpKind::Entry,
        OpKind::Lock,
        OpKind::Space,
        OpKind::Reserve,
    ];

    /// Whether a call of this kind may change what is on the disk, or what of it is durable.
    #[must_use]
    pub fn changes_the_disk(self) -> bool {
        !matches!(self, OpKind::Open | OpKind::Read | OpKind::List | OpKind::Entry | OpKind::Space)
    }
}

/// What a faulty call answers. Except for what is said here, it changes nothing.
///
/// ```
/// use std::path::Path;
/// use sawlog::disk::sim::{Fault, FaultKind, SimDisk};
/// use sawlog::disk::{Disk, Reserve};
///
/// let disk = SimDisk::new();
/// let file = disk.create(Path::new("/a"), 8, Reserve::Blocks)?;
/// disk.fail_at(1, Fault::once(FaultKind::ShortWrite(2)));
/// assert!(file.write_at(0, b"paid").is_err());
/// assert_eq!(disk.read_file("/a")?, b"pa\0\0\0\0\0\0");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// The medium failed.
    Eio,
    /// No space left.
    Enospc,
    /// The quota is used up.
    Edquot,
    /// The file system has become read-only.
    Erofs,
    /// So many bytes are written, at most one less than asked for; then the call errs (`WriteZero`). It counts and
    /// meets writes alone.
    ShortWrite(usize),
    /// So many bytes are read, at most one less than asked for; then the call errs (`UnexpectedEof`), and the rest of
    /// the room holds nothing. It counts and meets reads alone.
    ShortRead(usize),
    /// A signal came between, and nothing was done: what the door to the system goes on after by itself reaches nobody
    /// from a real disk, and is an error like any other where it does.
    Eintr,
    /// The system asks to be asked again later, and nothing was done.
    Eagain,
}

impl FaultKind {
    /// Whether a call of this kind can meet it.
    fn can_meet(self, kind: OpKind) -> bool {
        match self {
            FaultKind::ShortWrite(_) => kind == OpKind::Write,
            FaultKind::ShortRead(_) => kind == OpKind::Read,
            _ => true,
        }
    }

    pub(super) fn error(self) -> io::Error {
        match self {
            FaultKind::Eio => Errno::IO.into(),
            FaultKind::Enospc => Errno::NOSPC.into(),
            FaultKind::Edquot => Errno::DQUOT.into(),
            FaultKind::Erofs => Errno::ROFS.into(),
            FaultKind::ShortWrite(bytes) => {
                io::Error::new(io::ErrorKind::WriteZero, format!("only {bytes} bytes were written"))
            }
            FaultKind::ShortRead(bytes) => {
                io::Error::new(io::ErrorKind::UnexpectedEof, format!("only {bytes} bytes were read"))
            }
            FaultKind::Eintr => Errno::INTR.into(),
            FaultKind::Eagain => Errno::AGAIN.into(),
        }
    }
}

/// A failure to come.
///
/// ```
/// use std::path::Path;
/// use sawlog::disk::Disk;
/// use sawlog::disk::sim::{Aim, Fault, FaultKind, OpKind, SimDisk};
///
/// let disk = SimDisk::new();
/// // The second sync of a folder from now on fails, and no other.
/// disk.fail_at_aimed(Aim::anything().kind(OpKind::SyncDir), 2, Fault::once(FaultKind::Eio));
/// assert!(disk.sync_dir(Path::new("/")).is_ok());
/// assert!(disk.sync_dir(Path::new("/")).is_err());
/// assert!(disk.sync_dir(Path::new("/")).is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What the call answers.
    pub error: FaultKind,
    /// From then on every call that the aim meets errs, until the faults are cleared; otherwise one alone.
    pub persistent: bool,
}

impl Fault {
    /// One call errs.
    #[must_use]
    pub fn once(error: FaultKind) -> Fault {
        Fault { error, persistent: false }
    }

    /// One call errs, and all after it that the aim meets.
    #[must_use]
    pub fn persistent(error: FaultKind) -> Fault {
        Fault { error, persistent: true }
    }
}

/// Which calls a fault may meet. The default: all.
///
/// ```
/// use std::path::Path;
/// use sawlog::disk::sim::{Aim, Fault, FaultKind, OpKind, SimDisk};
/// use sawlog::disk::{Disk, Reserve};
///
/// let disk = SimDisk::new();
/// let file = disk.create(Path::new("/a"), 8192, Reserve::Blocks)?;
/// let bad_page = Aim::anything().kind(OpKind::Read).path("/a").bytes(4096..8192);
/// disk.fail_at_aimed(bad_page, 1, Fault::persistent(FaultKind::Eio));
/// assert!(file.read_at(0, &mut [0; 4096]).is_ok());
/// assert!(file.read_at(4000, &mut [0; 200]).is_err());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Aim {
    kind: Option<OpKind>,
    path_part: Option<String>,
    bytes: Option<Range<u64>>,
}

impl Aim {
    /// Every call.
    #[must_use]
    pub fn anything() -> Aim {
        Aim::default()
    }

    /// Calls of this kind alone.
    #[must_use]
    pub fn kind(self, kind: OpKind) -> Aim {
        Aim { kind: Some(kind), ..self }
    }

    /// Calls alone whose path, from the root on, contains this text. An open file has the path that it was opened by;
    /// a rename has its old one.
    #[must_use]
    pub fn path(self, part: impl Into<String>) -> Aim {
        Aim { path_part: Some(part.into()), ..self }
    }

    /// Reads and writes alone that touch this range of the file, in bytes: one bad page of a medium, say.
    #[must_use]
    pub fn bytes(self, range: Range<u64>) -> Aim {
        Aim { bytes: Some(range), ..self }
    }

    fn meets(&self, call: &Call<'_>) -> bool {
        let range_met = |range: &Range<u64>| {
            call.bytes.as_ref().is_some_and(|touched| touched.start < range.end && range.start < touched.end)
        };
        self.kind.is_none_or(|kind| kind == call.kind)
            && self.bytes.as_ref().is_none_or(range_met)
            && self.path_part.as_ref().is_none_or(|part| call.path.to_string_lossy().contains(part.as_str()))
    }
}

/// A call as the script sees it.
pub(super) struct Call<'a> {
    pub(super) kind: OpKind,
    pub(super) path: &'a Path,
    /// The range of the file, for reads and writes.
    pub(super) bytes: Option<Range<u64>>,
}

#[derive(Clone, Debug)]
struct Armed {
    aim: Aim,
    calls_left: u64,
    fault: Fault,
}

/// The faults to come, and the counts of calls.
#[derive(Clone, Debug, Default)]
pub(super) struct Script {
    armed: Vec<Armed>,
    pub(super) fired: u64,
    counts: [u64; OpKind::ALL.len()],
}

impl Script {
    pub(super) fn arm(&mut self, aim: Aim, nth: u64, fault: Fault) {
        self.armed.push(Armed { aim, calls_left: nth.max(1), fault });
    }

    pub(super) fn clear(&mut self) {
        self.armed.clear();
    }

    /// Counts the call; the first fault that falls due for it is what happens to it.
    pub(super) fn meet(&mut self, call: &Call<'_>) -> Option<FaultKind> {
        if let Some(count) =
            OpKind::ALL.iter().position(|k| *k == call.kind).and_then(|i| self.counts.get_mut(i))
        {
            *count += 1;
        }
        let mut due = None;
        self.armed.retain_mut(|armed| {
            if !armed.fault.error.can_meet(call.kind) || !armed.aim.meets(call) {
                return true;
            }
            let left = armed.calls_left.saturating_sub(1);
            if left > 0 || due.is_some() {
                // Two due at once: the second one waits for the next call.
                armed.calls_left = left.max(1);
                return true;
            }
            due = Some(armed.fault.error);
            armed.fault.persistent
        });
        self.fired += u64::from(due.is_some());
        due
    }

    pub(super) fn count(&self, kind: OpKind) -> u64 {
        let counts = OpKind::ALL.iter().zip(&self.counts);
        counts.filter(|(known, _)| **known == kind).map(|(_, count)| *count).sum()
    }

    pub(super) fn count_all(&self) -> u64 {
        self.counts.iter().sum()
    }
}
