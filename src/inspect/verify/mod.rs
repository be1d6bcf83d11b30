//! [`verify`]: every byte of log, queues and key index held against each other.
//!
//! The log is read once, its segments by several threads; each record is checked, and the queue entry at its offset and
//! the index entries of its keys are looked at on the way. Then each queue's entries are read and counted against what
//! the records confirmed, and each index file's hash table is built up anew from its entries.
//!
//! Memory, for each thread: two pieces of the log of 1 MiB, or of the longest record; 64 MiB of queue entries at the
//! most, 4 KB for each queue up to 16,000 queues; 320 KiB of index entries. While a hash table is checked, 4 bytes for
//! each slot (20 MB with RocketMQ's geometry). For all together some 200 bytes for each queue file and segment, and for
//! each place that is damaged.

mod entries;
mod fault;
mod index;
mod index_scope;
mod log_end;
mod peek;
mod pool;
mod queues;
mod result;
mod scope;
mod segment;
mod small;

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use crate::error::Result;
use crate::inspect::Look;
use crate::offset::LogOffset;
use entries::{Entries, Found, MOST_TOLD};
use index::{Cursor, KeysFound};
use log_end::LogEnd;
use queues::Seen;
use scope::Scope;
use segment::SegmentDone;

pub use fault::{Fault, FaultKind, MessageName};
pub use result::{Progress, Stage, Told, Verification};

/// So many threads are used at most, unless more are asked for.
const MOST_THREADS: usize = 8;

/// What is to be verified, and by how many threads.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # use sawlog::{LogOffset, Message, Options, Store, inspect};
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 20))?;
/// # store.append(&Message::new("orders", "paid"))?.wait()?;
/// # store.close()?;
/// use std::ops::ControlFlow;
///
/// let options = inspect::VerifyOptions::new().from(LogOffset(0)).threads(1);
/// let verified = inspect::verify(folder.path(), &options, |told| {
///     if let inspect::Told::Fault(fault) = told {
///         eprintln!("{fault}\n    {}", fault.kind.meaning());
///     }
///     ControlFlow::Continue(())
/// })?;
/// assert_eq!((verified.complete, verified.damages()), (true, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct VerifyOptions {
    from: Option<LogOffset>,
    threads: Option<usize>,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        VerifyOptions::new()
    }
}

impl VerifyOptions {
    /// Everything, by as many threads as there are processors, 8 at the most.
    #[must_use]
    pub fn new() -> VerifyOptions {
        VerifyOptions { from: None, threads: None }
    }

    /// From this place of the log on, at which a record must begin: where an earlier verification was broken off
    /// ([`Verification::resume_from`]). Default: the log's first record.
    #[must_use]
    pub fn from(self, from: LogOffset) -> VerifyOptions {
        VerifyOptions { from: Some(from), ..self }
    }

    /// So many threads. 0 counts as 1. Default: as many as there are processors, 8 at the most.
    #[must_use]
    pub fn threads(self, threads: usize) -> VerifyOptions {
        VerifyOptions { threads: Some(threads.max(1)), ..self }
    }

    fn count(&self) -> usize {
        let processors = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.unwrap_or_else(|| processors().min(MOST_THREADS))
    }
}

/// What is handed to the caller, and what becomes of it.
struct Teller<'t, T: FnMut(Told<'_>) -> ControlFlow<()>> {
    told: &'t mut T,
    result: Verification,
    /// The caller wants no more of the log; what was begun is brought to an end.
    broken_off: bool,
    stage: Stage,
    of_bytes: u64,
}

impl<T: FnMut(Told<'_>) -> ControlFlow<()>> Teller<'_, T> {
    fn fault(&mut self, fault: &Fault) {
        self.result.count(fault);
        self.broken_off |= (self.told)(Told::Fault(fault)).is_break();
    }

    fn faults(&mut self, faults: impl IntoIterator<Item = Fault>) {
        faults.into_iter().for_each(|fault| self.fault(&fault));
    }

    fn tick(&mut self, scope: &Scope) -> ControlFlow<()> {
        let progress = Progress {
            stage: self.stage,
            bytes: scope.seen_bytes.load(Ordering::Relaxed).min(self.of_bytes),
            of_bytes: self.of_bytes,
            records: scope.seen_records.load(Ordering::Relaxed),
            faults: self.result.faults(),
        };
        self.broken_off |= (self.told)(Told::Progress(progress)).is_break();
        if self.broken_off { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// See [`verify`](super::verify()).
pub(super) fn verify<T: FnMut(Told<'_>) -> ControlFlow<()>>(
    look: &Look,
    options: &VerifyOptions,
    told: &mut T,
) -> Result<Verification> {
    let scope = Scope::new(look, options.from)?;
    let of_bytes = segments(&scope).map(|(base, _)| bytes_of(&scope, *base)).sum();
    let result = Verification::new(scope.from);
    let mut teller = Teller { told, result, broken_off: false, stage: Stage::Log, of_bytes };
    teller.faults(small::faults(&scope));
    let LogSeen { from: seen_from, to: seen_to, is_end, bad, found } =
        log(&scope, options.count(), &mut teller)?;
    if found.behind > 0 && !scope.held {
        teller.fault(&small::behind(&scope, found.behind));
    }
    teller.result.behind = found.behind;
    let was_broken_off = teller.broken_off;
    scope.stop.store(false, Ordering::Relaxed);
    let seen = Seen { from: seen_from, to: seen_to, is_end, bad: &bad };
    let whole = queues_pass(&scope, &seen, &found, options.count(), (&mut teller, was_broken_off))?;
    let done = whole && !was_broken_off && tables_pass(&scope, options.count(), &mut teller)?;
    let mut result = teller.result;
    result.complete = done;
    result.resume_from = match (done, whole) {
        (true, _) => None,
        (false, true) if was_broken_off => Some(seen_to),
        (false, _) => Some(scope.from),
    };
    result.to = result.resume_from.unwrap_or(seen_to);
    result.records = scope.seen_records.load(Ordering::Relaxed);
    Ok(result)
}

/// The segments that hold a byte of what is to be looked at.
fn segments(scope: &Scope) -> impl Iterator<Item = &(LogOffset, std::path::PathBuf)> {
    let bytes = scope.parts.log.segment_bytes.unwrap_or(0);
    let all = scope.parts.log.segments.iter();
    all.filter(move |(base, _)| base.plus(bytes) > scope.from && *base < scope.limit)
}

fn bytes_of(scope: &Scope, base: LogOffset) -> u64 {
    base.plus(scope.parts.log.segment_bytes.unwrap_or(0)).since(base.max(scope.from))
}

/// What was read of the log.
struct LogSeen {
    from: LogOffset,
    to: LogOffset,
    /// Whether that is where it ends.
    is_end: bool,
    /// What in it cannot be read.
    bad: Vec<(LogOffset, LogOffset)>,
    /// What its records say of the queues.
    found: Found,
}

/// Reads the log.
fn log<T: FnMut(Told<'_>) -> ControlFlow<()>>(
    scope: &Scope,
    threads: usize,
    teller: &mut Teller<'_, T>,
) -> Result<LogSeen> {
    let jobs: Vec<_> = segments(scope).cloned().collect();
    let first = jobs.first().map_or(scope.from, |(base, _)| (*base).max(scope.from));
    let (mut all, mut end) = (Found::default(), LogEnd::new(first));
    let shared = std::cell::RefCell::new(&mut *teller);
    let (mut from, mut to) = (scope.from, first);
    let absorbed = pool::in_order(
        (jobs.len(), threads),
        &scope.stop,
        || Entries::new(scope),
        |entries, number| {
            let Some((base, path)) = jobs.get(number).cloned() else { return Ok(None) };
            segment::check(scope, entries, (base, path), base.max(scope.from))
        },
        |_, mut done| {
            let mut teller = shared.borrow_mut();
            if done.gone {
                // Retention was there: the log begins behind it now.
                from = done.base.plus(scope.parts.log.segment_bytes.unwrap_or(0));
                end = LogEnd::new(from);
                return Ok(());
            }
            if let Some(at) = end.gap_before(&done).filter(|_| scope.held) {
                let before = jobs.iter().rfind(|(base, _)| *base <= at).cloned();
                let again = before.map(|job| segment::check(scope, &mut Entries::new(scope), job, at));
                if let Some(mut again) = again.transpose()?.flatten() {
                    teller.faults(gather(scope, &mut all, &mut again));
                    teller.faults(end.again(scope, again));
                }
            }
            to = done.to;
            let bytes = done.to.since(done.base.max(scope.from));
            teller.result.bytes += bytes;
            teller.faults(gather(scope, &mut all, &mut done));
            teller.result.keys += done.keys.keys;
            teller.faults(end.take(scope, done));
            Ok(())
        },
        || shared.borrow_mut().tick(scope),
    )?;
    if absorbed < jobs.len() {
        return Ok(LogSeen { from, to, is_end: false, bad: end.bad, found: all });
    }
    let (ended, bad) = end.end(scope);
    teller.faults(ended.faults);
    let at = ended.at.min(scope.limit);
    teller.result.log_end = Some(at);
    if let Some(index) = scope.index.as_ref().filter(|_| !scope.held) {
        // Entries for places behind the end.
        let mut keys = KeysFound::default();
        keys.end(&mut Cursor::new(index, &*scope.parts.disk, at)?, LogOffset(u64::MAX))?;
        teller.faults(keys.faults());
    }
    Ok(LogSeen { from, to: at, is_end: true, bad, found: all })
}

/// What the records of a segment say of queues and index, added to the rest; the faults in it.
fn gather(scope: &Scope, all: &mut Found, done: &mut SegmentDone) -> Vec<Fault> {
    let mut faults = done.found.faults(scope);
    faults.extend(done.keys.faults());
    for (number, count) in std::mem::take(&mut done.found.confirmed) {
        *all.confirmed.entry(number).or_default() += count;
    }
    if all.told.len() < MOST_TOLD {
        all.told.extend(std::mem::take(&mut done.found.told));
    }
    all.behind += done.found.behind;
    faults
}

/// Reads the queues' entries. Answers whether all were read.
fn queues_pass<T: FnMut(Told<'_>) -> ControlFlow<()>>(
    scope: &Scope,
    seen: &Seen<'_>,
    found: &Found,
    threads: usize,
    (teller, is_ending): (&mut Teller<'_, T>, bool),
) -> Result<bool> {
    teller.stage = Stage::Queues;
    let count = scope.queues.len();
    let shared = std::cell::RefCell::new(teller);
    let absorbed = pool::in_order(
        (count, threads),
        &scope.stop,
        || (),
        |(), number| {
            let Ok(number) = u32::try_from(number) else { return Ok(None) };
            queues::check(scope, seen, found, number).map(Some)
        },
        |_, (entries, fault)| {
            let mut teller = shared.borrow_mut();
            teller.result.queues += 1;
            teller.result.entries += entries;
            teller.faults(fault);
            Ok(())
        },
        || match shared.borrow_mut().tick(scope) {
            // The end was asked for before: this is what it takes.
            ControlFlow::Break(()) if is_ending => ControlFlow::Continue(()),
            other => other,
        },
    )?;
    Ok(absorbed == count)
}

/// Builds up the hash tables of the index files. Answers whether all were looked at.
fn tables_pass<T: FnMut(Told<'_>) -> ControlFlow<()>>(
    scope: &Scope,
    threads: usize,
    teller: &mut Teller<'_, T>,
) -> Result<bool> {
    teller.stage = Stage::Index;
    let Some(index) = &scope.index else { return Ok(true) };
    let files: Vec<_> = index.files.iter().filter(|file| file.has_slots).collect();
    let shared = std::cell::RefCell::new(teller);
    let absorbed = pool::in_order(
        (files.len(), threads),
        &scope.stop,
        || (),
        |(), number| match files.get(number) {
            Some(file) => index::check_table(&*scope.parts.disk, index, file).map(Some),
            None => Ok(None),
        },
        |_, fault| {
            shared.borrow_mut().faults(fault);
            Ok(())
        },
        || shared.borrow_mut().tick(scope),
    )?;
    Ok(absorbed == files.len())
}
