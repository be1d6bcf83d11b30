//! A consistent copy of a store: hard links for sealed segments, copies for the rest, verified before it gets its name.
//!
//! Two names of one file are one file: what is written through one is seen through the other. So only segments are
//! linked into which nobody writes:
//! - appends go to the tail, which is copied, as is the segment made ahead of it;
//! - retention, of sawlog and of RocketMQ, removes names, and the other name keeps the bytes;
//! - recovery writes again, and zeroes, from the durable mark on, and all that is linked lies below it; a linked file
//!   is synced before it counts, so that no power cut can give a Java broker's recovery a reason to cut in it. What a
//!   foreign writer left is written again with the same bytes, whoever opens it first;
//! - what lies behind a linked segment and is put aside is renamed, which leaves the other name alone.
//!
//! One case is left: `OnDamage::FirstBroken`, and a Java broker after a crash, cut the log at damage, and zero or write
//! over the rest of that segment. A verified snapshot has no damage; bytes that rot later rot under both names, and such
//! a cut then goes through both. Recovery keeps what it cuts; for a copy that shares nothing with its store there is
//! [`SnapshotOptions::copy_all`].

mod copy;
mod log;

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::checkpoint::{Mark, MarkFile, QueueMark, Snapshot, State};
use crate::disk::{Disk, Holder, Lock};
use crate::error::{Error, Result};
use crate::inspect::parts::{self, log_files};
use crate::inspect::{Fault, Look, Told, Verification, VerifyOptions};
use crate::layout::Layout;
use crate::offset::LogOffset;
use crate::recovery::{self, Before, OnDamage};
use copy::Copier;

/// How often a copy is begun anew because retention has removed what was just to be copied.
const MOST_ATTEMPTS: u32 = 5;

/// How a snapshot is made.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # use sawlog::{Options, Store, inspect};
/// # use std::ops::ControlFlow;
/// # let (root, out) = (folder.path().join("store"), folder.path().join("copy"));
/// # Store::open(&root, Options::new().segment_bytes(1 << 16))?.close()?;
/// use sawlog::inspect::{SnapshotOptions, VerifyOptions};
///
/// let options = SnapshotOptions::new().copy_all().verify(VerifyOptions::new().threads(1));
/// let made = inspect::snapshot(&root, &out, &options, |_| ControlFlow::Continue(()))?;
/// assert_eq!((made.kept, made.linked_segments), (true, 0)); // it shares nothing
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct SnapshotOptions {
    copy_all: bool,
    keep_damaged: bool,
    verify: VerifyOptions,
}

impl SnapshotOptions {
    /// Links where it can, verifies, and keeps only what is sound.
    #[must_use]
    pub fn new() -> SnapshotOptions {
        SnapshotOptions::default()
    }

    /// Links nothing: the copy shares no byte with the store. Default: sealed segments are linked.
    #[must_use]
    pub fn copy_all(self) -> SnapshotOptions {
        SnapshotOptions { copy_all: true, ..self }
    }

    /// A copy in which damage is found is kept all the same: it has the damage of the store. Default: it is removed.
    #[must_use]
    pub fn keep_damaged(self) -> SnapshotOptions {
        SnapshotOptions { keep_damaged: true, ..self }
    }

    /// How it is verified. Default: wholly, by as many threads as there are processors, 8 at the most.
    #[must_use]
    pub fn verify(self, verify: VerifyOptions) -> SnapshotOptions {
        SnapshotOptions { verify, ..self }
    }
}

/// What whoever waits for a snapshot is told; by answering so it is broken off, and nothing is left of it.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # use sawlog::{Options, Store, inspect};
/// # use std::ops::ControlFlow;
/// # let (root, out) = (folder.path().join("store"), folder.path().join("copy"));
/// # Store::open(&root, Options::new().segment_bytes(1 << 16))?.close()?;
/// use sawlog::inspect::{SnapshotOptions, SnapshotTold};
///
/// let mut copied = 0;
/// let made = inspect::snapshot(&root, &out, &SnapshotOptions::new(), |told| {
///     if let SnapshotTold::Copied(bytes) = told {
///         copied = bytes;
///     }
///     ControlFlow::Continue(()) // or `Break`, and nothing is left of it
/// })?;
/// assert!(made.kept && copied <= made.copied_bytes);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum SnapshotTold<'t> {
    /// So many bytes were copied.
    Copied(u64),
    /// All is copied, and is being verified. Faults name the file in the copy where [`SnapshotOptions::keep_damaged`]
    /// is set, and otherwise the store's, whose bytes are the same.
    Verifying(Told<'t>),
}

/// What a snapshot is made of.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # use sawlog::{Message, Options, Store, inspect};
/// # use sawlog::inspect::SnapshotOptions;
/// # use std::ops::ControlFlow;
/// # let (root, out) = (folder.path().join("store"), folder.path().join("copy"));
/// let store = Store::open(&root, Options::new().segment_bytes(1 << 16))?;
/// store.append(&Message::new("orders", "paid"))?.wait()?;
/// store.flush()?;
/// # store.close()?;
/// let made = inspect::snapshot(&root, &out, &SnapshotOptions::new(), |_| ControlFlow::Continue(()))?;
/// assert!(made.kept && !made.live && made.to > made.first);
/// assert_eq!(made.verified.map(|verified| verified.damages()), Some(0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SnapshotMade {
    /// Whether it stands under its name: not if it was broken off, or is damaged and damaged ones are not wanted.
    pub kept: bool,
    /// Whether somebody had the store open meanwhile.
    pub live: bool,
    /// Where its log begins.
    pub first: LogOffset,
    /// Up to here the log was taken; what a crash left beyond it in a store at rest is in the copy, too.
    pub to: LogOffset,
    /// Segments that it shares with the store.
    pub linked_segments: u64,
    /// Bytes that were copied, without the holes of sparse files.
    pub copied_bytes: u64,
    /// What verifying it found; `None` if it was broken off before.
    pub verified: Option<Verification>,
}

/// See [`snapshot`](super::snapshot()).
pub(super) fn snapshot(
    look: &Look,
    out: &Path,
    options: &SnapshotOptions,
    told: &mut dyn FnMut(SnapshotTold<'_>) -> ControlFlow<()>,
) -> Result<SnapshotMade> {
    let layout = parts::store_at(look)?;
    recovery::refuse_unreadable_kinds(&*look.disk, &layout)?;
    let temporary = temporary(look, &layout, out)?;
    let mut attempt = 1;
    loop {
        let made = once(look, &layout, (&temporary, out), options, told);
        if made.as_ref().is_ok_and(|made| made.kept) {
            return made;
        }
        // What failed first is what the caller must hear.
        let removed = copy::remove_tree(&*look.disk, &temporary);
        match made {
            Err(Error::Io { source, .. })
                if source.kind() == io::ErrorKind::NotFound && attempt < MOST_ATTEMPTS =>
            {
                attempt += 1;
            }
            Ok(made) => return removed.map(|()| made),
            Err(error) => return Err(error),
        }
    }
}

/// Where the copy is made; `out` must be free, and not lie within the store.
fn temporary(look: &Look, layout: &Layout, out: &Path) -> Result<PathBuf> {
    let refuse = |why: String| Err(Error::InvalidOptions(why.into()));
    let name = out.file_name().map(|name| name.to_string_lossy().into_owned());
    let Some(name) = name else {
        return refuse(format!("{} names no folder that could be made", out.display()));
    };
    let temporary = out.with_file_name(format!(".{name}.snapshot-{}", std::process::id()));
    for path in [out, &temporary] {
        if look.disk.entry(path).map_err(|e| Error::io("looking at", path, e))?.is_some() {
            return refuse(format!(
                "{} is there already; name a folder that is not, or remove it",
                path.display()
            ));
        }
    }
    if out.starts_with(layout.root()) {
        return refuse(format!("{} lies within the store; name a folder outside of it", out.display()));
    }
    Ok(temporary)
}

fn once(
    look: &Look,
    layout: &Layout,
    (temporary, out): (&Path, &Path),
    options: &SnapshotOptions,
    told: &mut dyn FnMut(SnapshotTold<'_>) -> ControlFlow<()>,
) -> Result<SnapshotMade> {
    let disk = &*look.disk;
    let held = lock(look, layout)?;
    let mut copier = Copier::new(disk, !options.copy_all, told);
    let taken = if held.is_some() {
        at_rest(&mut copier, layout, temporary)?
    } else {
        beside_the_writer(&mut copier, layout, temporary)?
    };
    // From here on the copy alone is looked at.
    drop(held);
    let (linked_segments, copied_bytes, broken_off) = (copier.linked, copier.bytes, copier.broken_off);
    let mut made = SnapshotMade {
        kept: false,
        live: taken.live,
        first: taken.first,
        to: taken.to,
        linked_segments,
        copied_bytes,
        verified: None,
    };
    if broken_off {
        return Ok(made);
    }
    let copy = Look { root: temporary.to_path_buf(), ..look.clone() };
    // By the name that the copy will have, or the store's where nothing will be left of the copy.
    let shown = if options.keep_damaged { out } else { layout.root() };
    let verified = copy.verify(&options.verify, |each| match each {
        Told::Fault(fault) => {
            let inside = fault.path.strip_prefix(temporary).unwrap_or(&fault.path);
            let what = fault.what.replace(&*temporary.to_string_lossy(), &shown.to_string_lossy());
            let fault = Fault { path: shown.join(inside), what, ..fault.clone() };
            told(SnapshotTold::Verifying(Told::Fault(&fault)))
        }
        each => told(SnapshotTold::Verifying(each)),
    })?;
    let sound = verified.damages() == 0 || options.keep_damaged;
    // What a broker wrote says nowhere where it ends.
    made.to = if made.live { made.to } else { verified.log_end.unwrap_or(made.to) };
    made.kept = verified.complete && sound;
    made.verified = Some(verified);
    if made.kept {
        disk.rename_folder(temporary, out).map_err(|e| Error::io("giving the snapshot its name", out, e))?;
        let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if let Err(error) = disk.sync_dir(parent) {
            // A copy whose name a power cut may take is none: it goes as any other that could not be made.
            let _ = disk.rename_folder(out, temporary);
            return Err(Error::io("syncing the folder", parent, error));
        }
    }
    Ok(made)
}

/// The store's lock; `None` if somebody has it.
fn lock(look: &Look, layout: &Layout) -> Result<Option<Box<dyn Lock>>> {
    let path = layout.lock();
    match look.disk.lock(&path) {
        Ok(lock) => Ok(Some(lock)),
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(e) => Err(Error::io("locking", &path, e)),
    }
}

/// The process that has the store, if that can be told.
fn holder(disk: &dyn Disk, layout: &Layout) -> Option<u32> {
    match disk.holder(&layout.lock()) {
        Ok(Holder::Held { pid }) => pid,
        _ => None,
    }
}

/// What was taken of the log.
struct Taken {
    live: bool,
    first: LogOffset,
    to: LogOffset,
}

/// Of a store that nobody has open: every file as it is.
fn at_rest(copier: &mut Copier<'_>, layout: &Layout, to: &Path) -> Result<Taken> {
    let before = Before::read(copier.disk, layout, OnDamage::FirstBroken)?;
    let (mut survey, odd) = log_files(copier.disk, &layout.commit_log())?;
    let sealed = match &before.mark {
        Some(mark) if before.is_ours() => mark.durable,
        // Whoever closed in order has written all of it; the tail is the last segment in which a record begins.
        _ if before.is_clean() => log::tail_of(copier.disk, &survey)?,
        _ => LogOffset::ZERO,
    };
    if let Some(first) = before.first() {
        survey.give_up(first);
    }
    copier.tree(layout.root(), to, &|path, is_dir| {
        (is_dir && path == layout.commit_log())
            || path == layout.lock()
            || is_left_over(layout, path)
            || is_itself(path, to)
    })?;
    log::segments(copier, &survey, (sealed, None), to)?;
    // Files that are no segments are as much part of a damaged store as the others.
    log::odd(copier, &odd, to)?;
    let first = survey.segments.first().map_or(LogOffset::ZERO, |(base, _)| *base);
    let bytes = survey.segment_bytes.unwrap_or(0);
    let end = survey.segments.last().map_or(first, |(base, _)| base.plus(bytes));
    let mark = before.mark.filter(|_| before.is_ours());
    let to = mark.map_or(end, |mark| if mark.state == State::Closed { mark.end } else { mark.durable });
    Ok(Taken { live: false, first, to })
}

/// Of a store that sawlog is writing: what its mark says is durable, and what was derived from that. The copy is what a
/// power cut at that moment might have left, and opens as that.
fn beside_the_writer(copier: &mut Copier<'_>, layout: &Layout, to: &Path) -> Result<Taken> {
    let copy = Layout::new(to);
    copier.folder(to)?;
    // First what may only say less than the files that are copied behind it.
    copier.file(&layout.checkpoint(), &copy.checkpoint(), true)?;
    copier.tree(&layout.own(), &copy.own(), &|path, _| {
        is_left_over(layout, path) || path.file_name().is_some_and(|name| name == "mark")
    })?;
    let derived = Snapshot::load(copier.disk, &copy.own())?;
    let before = Before::read(copier.disk, layout, OnDamage::FirstBroken)?;
    let mark = before.mark.filter(|mark| before.is_ours() && mark.state == State::Open);
    let Some(mark) = mark else {
        return Err(Error::Locked { root: layout.root().to_path_buf(), pid: holder(copier.disk, layout) });
    };
    // What is derived was durable before it was derived, and the mark may lag behind that.
    let derived = derived.filter(|derived| derived.has_files && derived.writer == mark.writer);
    let end = derived.as_ref().map_or(mark.durable, |derived| derived.derived_to.max(mark.durable));
    let (mut survey, _) = log_files(copier.disk, &layout.commit_log())?;
    if let Some(first) = mark.first {
        survey.give_up(first);
    }
    // Recovery may write what lies above the mark, whatever was derived from it.
    log::segments(copier, &survey, (mark.durable, Some(end)), to)?;
    let apart = [layout.commit_log(), layout.own(), layout.lock(), layout.checkpoint(), layout.abort()];
    copier.tree(layout.root(), to, &|path, _| {
        apart.iter().any(|apart| apart.as_path() == path) || is_itself(path, to)
    })?;
    copier.file(&layout.abort(), &copy.abort(), false)?;
    let after = Before::read(copier.disk, layout, OnDamage::FirstBroken)?;
    if after.mark.is_none_or(|after| after.first != mark.first) || has_shrunk(derived.clone(), after.snapshot)
    {
        // As if a file had been removed while it was copied, which also happens.
        return Err(Error::io("copying", layout.root(), io::ErrorKind::NotFound.into()));
    }
    // Files of queues were copied later than the log, and may lead behind its end: whoever opens the copy makes them
    // anew, and clears away what they hold too much.
    if let Some(derived) = derived {
        Snapshot { has_files: false, index: None, ..derived }.save(copier.disk, &copy.own())?;
    }
    let (mut file, _) = MarkFile::open_or_create(copier.disk, &copy.own())?;
    file.save(Mark { durable: end, ..mark })?;
    copier.sync_folder(&copy.own())?;
    copier.sync_folder(to)?;
    let first = survey.segments.first().map_or(LogOffset::ZERO, |(base, _)| *base);
    Ok(Taken { live: true, first, to: end })
}

/// Whether files that `before` counts on may have been removed since: their going is said in `sawlog/queues` first.
fn has_shrunk(before: Option<Snapshot>, after: Option<Snapshot>) -> bool {
    let Some(before) = before else { return false };
    let Some(after) = after else { return true };
    let first_index = |snapshot: &Snapshot| Some(snapshot.index.as_ref()?.files.first()?.name);
    let index = first_index(&before);
    let queue = |(queue, mark): (_, &QueueMark)| {
        // One without a file has none that could go.
        mark.first < mark.next && after.queues.get(queue).is_none_or(|now| now.first > mark.first)
    };
    (index.is_some() && index != first_index(&after)) || before.queues.iter().any(queue)
}

/// Whether this is the copy that is being made, which by a link or another spelling may lie within the store after all.
fn is_itself(path: &Path, copy: &Path) -> bool {
    path.file_name() == copy.file_name()
}

/// What was being made, or was cut or put aside once: no part of the store.
fn is_left_over(layout: &Layout, path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    path.parent() == Some(layout.own().as_path())
        && (matches!(&*name, "making" | "aside") || name.starts_with("cut") || name.ends_with(".new"))
}
