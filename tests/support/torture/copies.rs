//! Copies of a store's folder that are taken while it is being written (promises A8).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use sawlog::disk::sim::{Replay, SimDisk, Survivors};
use sawlog::{Error, LogOffset, Store};

use super::super::dice::Dice;
use super::super::expected::{Expected, ROOT};
use super::super::oracle::{Verdict, check_log, examine};
use super::super::workload::{Size, Workload, clock, options};
use super::{Bar, Job, Until};

/// A copying program reads so much at once, at most; between two reads the store goes on.
const PIECE_BYTES: u64 = 32 << 10;
/// The one way of copying that copies no moment.
const FILE_BY_FILE: &str = "file by file";
/// Copies taken from one run of the workload.
const COPIES: usize = 100;

pub(super) fn bars() -> Vec<Bar> {
    vec![Bar {
        names: &["A8"],
        tries: "copied while written: at one moment (file system, device), and file by file, each at another",
        until: Until::Cases(10_000),
        job: copies,
    }]
}

/// A run in which no topic is dropped: of that a copy may have one half, and which one is not promised.
fn undropped(job: &Job<'_>) -> Workload {
    let runs = (0..).map(|part| Workload::run(Dice::part(job.shared_seed(), part), Size::STANDARD));
    runs.into_iter().find(|work| work.log.dropped.is_empty()).unwrap()
}

fn copies(job: &Job<'_>) {
    let work = undropped(job);
    let mut replay = work.disk.replay();
    let steps = replay.len() / COPIES;
    for number in 0..COPIES {
        let at = number * steps;
        replay.advance_to(at);
        job.case(&format!("copied at {at}"), |dice| at_one_moment(job, &replay, &work.log, dice));
        job.case(&format!("copied file by file from {at} on"), |dice| {
            let mut walk = work.disk.replay();
            walk.advance_to(at);
            let copy = file_by_file(&mut walk, dice)?;
            opens_or_is_refused(job, FILE_BY_FILE, &copy, &work.log, dice)
        });
        if job.is_over() {
            return;
        }
    }
}

/// A snapshot of the file system, or of the device below it. The first holds what a process would read; the second
/// what a power cut would leave, and is opened as after one, or by the very system that it was taken from.
fn at_one_moment(job: &Job<'_>, replay: &Replay, log: &Expected, dice: &mut Dice) -> Verdict {
    let at = replay.position();
    let flushed = log.end_of_last(|t| t.flushed.is_by(at));
    let written = log.end_of_last(|t| t.flushed.is_by(at) || t.written.is_by(at));
    let cut = |dice: &mut Dice| replay.power_cut(dice.draw(), Survivors::ALL[dice.below(5) as usize]);
    let (copy, end, what) = match dice.below(3) {
        0 => (moved(&replay.kill())?, written, "of the file system"),
        1 => (cut(dice), flushed, "of the device, opened after a restart"),
        // No power was cut as far as the store can see: what lies behind a hole then counts as damage (rule 2).
        _ => {
            let copy = moved(&cut(dice))?;
            return opens_or_is_refused(job, "of the device, opened without a restart", &copy, log, dice);
        }
    };
    examine(&copy, log, log.promised(end, at), dice.draw())?;
    job.met(format!("{what}: opened with all that was promised"), 1);
    Ok(())
}

/// The files alone, on a disk of its own, and all of them durable there.
fn moved(copy: &SimDisk) -> Verdict<SimDisk> {
    let there = SimDisk::new();
    for (path, _) in copy.files() {
        let bytes = copy.read_file(&path).map_err(|e| e.to_string())?;
        there.write_file(&path, bytes).map_err(|e| e.to_string())?;
    }
    Ok(there)
}

/// What `cp -r` makes of a folder in use: each folder is listed when it is entered, each file read in pieces, and
/// between any two of these steps the store goes on. What is gone when its turn comes is left out.
fn file_by_file(walk: &mut Replay, dice: &mut Dice) -> Verdict<SimDisk> {
    let copy = SimDisk::new();
    // Some copy while little happens, some while much does.
    let pace = [1, 5, 40][dice.below(3) as usize];
    let mut folders = vec![PathBuf::from(ROOT)];
    while let Some(folder) = folders.pop() {
        let mut inside: Vec<_> = below(&walk.kill(), &folder).into_iter().collect();
        if dice.percent(50) {
            inside.reverse();
        }
        for (path, is_file) in inside {
            match is_file {
                true => copy_file(walk, &path, &copy, pace, dice)?,
                false => folders.push(path),
            }
        }
    }
    Ok(copy)
}

/// What stands in a folder: its path, and whether it is a file.
fn below(disk: &SimDisk, folder: &Path) -> BTreeSet<(PathBuf, bool)> {
    let inside = |path: PathBuf| {
        let rest = path.strip_prefix(folder).ok()?;
        let first = rest.components().next()?;
        Some((folder.join(first), rest.components().count() == 1))
    };
    disk.files().into_iter().filter_map(|(path, _)| inside(path)).collect()
}

fn copy_file(walk: &mut Replay, path: &Path, copy: &SimDisk, pace: u64, dice: &mut Dice) -> Verdict {
    let Ok(first) = walk.kill().read_file(path) else { return Ok(()) };
    let mut bytes = Vec::with_capacity(first.len());
    while bytes.len() < first.len() {
        for _ in 0..dice.below(pace + 1) {
            walk.step();
        }
        // An open file stays readable when its name is gone.
        let now = walk.kill().read_file(path).ok().filter(|now| now.len() == first.len());
        let now = now.as_ref().unwrap_or(&first);
        let to = (bytes.len() + PIECE_BYTES as usize).min(first.len());
        bytes.extend_from_slice(&now[bytes.len()..to]);
    }
    copy.write_file(path, bytes).map_err(|e| e.to_string())
}

/// Nothing is promised of which messages such a copy has; but what it shows is right, and what it cannot show it says.
fn opens_or_is_refused(
    job: &Job<'_>,
    what: &str,
    copy: &SimDisk,
    log: &Expected,
    dice: &mut Dice,
) -> Verdict {
    let store = match Store::open(ROOT, options(copy, &clock(), dice.percent(50))) {
        Ok(store) => store,
        Err(Error::Corrupt(_) | Error::Geometry { .. } | Error::Foreign { .. }) => {
            job.met(format!("{what}: refused, with the place"), 1);
            return Ok(());
        }
        Err(other) => return Err(format!("refused with {other}")),
    };
    if what == FILE_BY_FILE && tells_its_hole(&store, log)? {
        job.met(format!("{what}: opened, its log has a hole that is told"), 1);
        let again = copy.kill();
        drop(store);
        let all = options(&again, &clock(), true).rebuild_derived();
        return match Store::open(ROOT, all) {
            Err(Error::Corrupt(_)) => Ok(()),
            other => Err(format!("looked at all of its log, and has no hole: {other:?}")),
        };
    }
    let end = check_log(&store, log)?;
    let located = queues_serve_or_say(&store, log, end)?;
    let empty = if end == LogOffset(0) { ", empty" } else { "" };
    let how = if located > 0 { ", its queues have holes that are told when read" } else { empty };
    job.met(format!("{what}: opened{how}"), 1);
    let again = copy.kill();
    drop(store);
    let anew = options(&again, &clock(), true).rebuild_derived();
    let store = Store::open(ROOT, anew).map_err(|e| format!("opened again: {e}"))?;
    if check_log(&store, log)? != end {
        return Err(format!("ended at {end}, and when opened again at {}", store.marks().visible));
    }
    match queues_serve_or_say(&store, log, end)? {
        0 => Ok(()),
        holes => Err(format!("{holes} holes in queues that were made anew")),
    }
}

/// Whether a scan comes to damage. A segment may have been copied before its records came, and the mark, which says
/// that all of it is durable, after. Opening begins at the mark, and reads nothing before. What is served is right.
fn tells_its_hole(store: &Store, log: &Expected) -> Verdict<bool> {
    let first = store.marks().first;
    let is_damage = |error: &Error| matches!(error, Error::Corrupt(_));
    if !store.scan(first).any(|read| read.is_err_and(|error| is_damage(&error))) {
        return Ok(false);
    }
    let there = log.up_to(store.marks().visible).iter().filter(|taken| taken.position.offset >= first);
    for taken in there {
        match store.record_at(taken.position.offset) {
            Ok(read) => taken.check(&read)?,
            Err(error) if is_damage(&error) => {}
            Err(error) => return Err(format!("{taken:?}: {error}")),
        }
    }
    Ok(true)
}

/// A queue may be behind its log, or ahead of it: what it shows is right, and where it has a hole it says so. How many
/// records were answered with an error.
fn queues_serve_or_say(store: &Store, log: &Expected, end: LogOffset) -> Verdict<u64> {
    let mut located = 0;
    for taken in log.up_to(end).iter().filter(|taken| taken.message.sys_flags.is_queued()) {
        let queue = store.queue(taken.message.topic.as_str(), taken.message.queue_id);
        match queue.record_at(taken.queue_offset) {
            Ok(read) => taken.check(&read)?,
            Err(Error::Corrupt(_)) => located += 1,
            Err(error) => return Err(format!("{:?} of {queue:?}: {error}", taken.queue_offset)),
        }
    }
    Ok(located)
}
