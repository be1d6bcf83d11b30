//! Written by us, opened by RocketMQ's own store: every message that we promised is read back by Java's `getMessage`,
//! `queryMessage` and `getOffsetInQueueByTime` as we read it, Java goes on writing, and we take the folder back.
//!
//! `SAWLOG_INTEROP_FOLDERS` says how many folders (12; CI: 200), `SAWLOG_INTEROP_SEED` which; a folder that fails is
//! made again alone by `SAWLOG_INTEROP_ONLY=<its number>`; with `SAWLOG_INTEROP_KEEP=1` its files stay.

mod case;
mod facts;
mod held;
mod script;
mod torn;
mod turn;
mod writing;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use case::Case;
use turn::Examined;
use writing::{VICTIM, Written, write_all};

use crate::java::{Java, is_here, say};
use crate::{first_seed, folders, number};

/// Folders that are written at once, and lie on the disk at once.
const GROUP: usize = 48;
/// Folders that Java has open at once: its shutdown sleeps for seconds.
const SIDE_BY_SIDE: usize = 16;

/// What the killed process does, if this process is one.
#[test]
fn the_victim() {
    if let Ok(told) = std::env::var(VICTIM) {
        writing::be_the_victim(&told);
    }
}

#[test]
fn rocketmq_reads_what_we_wrote_however_it_ended() {
    if std::env::var_os(VICTIM).is_some() || !is_here("rocketmq_reads_what_we_wrote_however_it_ended") {
        return;
    }
    let java = Java::start();
    let seed = first_seed();
    let numbers = match number("SAWLOG_INTEROP_ONLY") {
        Some(number) => number..number + 1,
        None => 0..folders(),
    };
    let cases: Vec<_> = numbers.map(|number| Case::new(seed, number)).collect();
    let began = Instant::now();
    say(&format!("{} folders of seed {seed}", cases.len()));
    let mut tally = BTreeMap::<String, Tally>::new();
    let mut failures = Vec::new();
    for group in cases.chunks(GROUP) {
        let parent = tempfile::tempdir().unwrap();
        let written = write_all(seed, group, parent.path());
        for (case, seen) in examine_all(&java, &written, parent.path()) {
            let tally = tally.entry(format!("{:?}", case.ending)).or_default();
            tally.folders += 1;
            match seen {
                Ok(seen) => tally.add(&seen),
                Err(why) => failures.push(format!("{case}: {why}")),
            }
        }
        if !failures.is_empty() && std::env::var_os(turn::KEEP).is_some() {
            say(&format!("kept: {}", parent.keep().display()));
        }
    }
    for (ending, Tally { folders, messages, exceptions }) in &tally {
        say(&format!("{ending}: {folders} folders, {messages} messages"));
        exceptions.iter().for_each(|(what, times)| say(&format!("  {times} times: {what}")));
    }
    say(&format!("{:.1} s", began.elapsed().as_secs_f64()));
    assert!(failures.is_empty(), "{} folders differ:\n{}", failures.len(), failures.join("\n"));
}

#[derive(Default)]
struct Tally {
    folders: u64,
    messages: u64,
    /// Known exceptions, by what they are.
    exceptions: BTreeMap<&'static str, u64>,
}

impl Tally {
    fn add(&mut self, seen: &Examined) {
        self.messages += seen.messages;
        for what in &seen.exceptions {
            *self.exceptions.entry(what).or_default() += 1;
        }
    }
}

/// Has all these folders examined, some at a time.
fn examine_all(
    java: &Java,
    written: &[Written],
    parent: &std::path::Path,
) -> Vec<(Case, Result<Examined, String>)> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE.min(written.len()) {
            scope.spawn(|| {
                while let Some(one) = written.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        turn::examine(java, one, &parent.join(format!("{:04}-scratch", one.case.number)))
                    }));
                    let seen = seen.unwrap_or_else(|_| Err("panicked, see above".into()));
                    done.lock().unwrap().push((one.case.clone(), seen));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|(case, _)| case.number);
    done
}
