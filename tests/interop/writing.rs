//! Java writes many folders at once, and its JVM then goes in the middle of it: one kill gives many folders.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::dice::Dice;
use crate::java::{Config, Fault, Java, JavaStore, Put};
use crate::messages::{Generator, Sent, is_stored};
use crate::seen::Seen;

/// What Java is to write into one folder.
pub(crate) struct Job {
    /// Names the seed.
    pub(crate) name: String,
    pub(crate) dir: PathBuf,
    pub(crate) config: Config,
    pub(crate) messages: Generator,
    /// Puts, each of one message or a batch, before it ends.
    pub(crate) puts: u64,
    /// Closed in order; else the JVM goes while it writes.
    pub(crate) closes: bool,
}

/// What was sent into one folder.
#[derive(Default)]
pub(crate) struct Written {
    /// Acknowledged, with Java's answer where it was Java who wrote.
    pub(crate) certain: Vec<(Sent, Option<Put>)>,
    /// Behind that, sent and not answered: a prefix may be there.
    pub(crate) under_way: Vec<Sent>,
}

/// How the JVM goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// `kill -9`.
    Killed,
    /// `Runtime.halt`.
    Halted,
}

/// One JVM writes all of them. It goes when the jobs that close have closed and the others have written enough, while
/// those write on. `seed` chooses for how long.
pub(crate) fn write_all(jobs: Vec<Job>, end: End, seed: u64) -> Vec<Written> {
    let java = Java::start();
    std::thread::scope(|scope| {
        let ((ready, all_ready), (more, acknowledged)) = (sync_channel(jobs.len()), sync_channel(0));
        let threads: Vec<_> = jobs
            .into_iter()
            .map(|job| {
                let (java, ready, more) = (&java, ready.clone(), more.clone());
                scope.spawn(move || write(java.store(&job.name.clone()), job, Some(ready), &more))
            })
            .collect();
        drop((ready, more));
        // Each gives its sender up when it is ready, or when it failed, which is told when it is joined.
        let _ = all_ready.iter().count();
        go_in_the_middle(&java, acknowledged, end, seed);
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn write(
    store: JavaStore<'_>,
    mut job: Job,
    mut ready: Option<SyncSender<()>>,
    more: &SyncSender<()>,
) -> Written {
    let why = format!("{} ({:?})", job.name, job.config);
    store.open(&job.dir, &job.config).unwrap_or_else(|fault| panic!("{fault:?}; {why}"));
    let mut dice = Dice::new(job.puts);
    let mut written = Written::default();
    loop {
        let enough = written.certain.len() as u64 >= job.puts;
        if enough && job.closes {
            assert!(store.close().unwrap(), "Java did not close in order; {why}");
            return written;
        }
        if enough {
            drop(ready.take());
        }
        let chunk: Vec<Sent> = (0..=dice.below(job.puts.min(30))).map(|_| job.messages.next()).collect();
        match store.put(&chunk.iter().map(Sent::json).collect::<Vec<_>>()) {
            Ok(puts) => written.certain.extend(chunk.into_iter().zip(puts.into_iter().map(Some))),
            Err(Fault::Gone) if enough => {
                written.under_way = chunk;
                return written;
            }
            Err(fault) => panic!("{fault:?}; {why}"),
        }
        // Once it is ready, it goes on when somebody takes note of each acknowledgement, or nobody does any more.
        let _ = enough && more.send(()).is_ok();
    }
}

/// Lets the writers go on for some puts that a seed chooses, and ends the JVM while the next are under way.
fn go_in_the_middle(java: &Java, acknowledged: Receiver<()>, end: End, seed: u64) {
    let puts = Dice::new(Dice::part(seed, 2)).below(60) as usize;
    let _ = acknowledged.iter().take(puts).count();
    // From here on nobody holds the writers up.
    drop(acknowledged);
    match end {
        End::Killed => java.kill(),
        End::Halted => java.halt(),
    }
}

/// All of the log is what was sent, one part after the other: what was acknowledged, where the answer said, and of what
/// was under way a prefix, which is certain from now on.
pub(crate) fn hold(log: &[Seen], parts: &mut [Written], why: &str) {
    let mut left = log.iter();
    for part in parts {
        for (sent, put) in &part.certain {
            for (n, message) in sent.messages.iter().enumerate() {
                let seen =
                    left.next().unwrap_or_else(|| panic!("lost what was acknowledged: {sent:?}; {why}"));
                is_stored(message, sent.store_host, seen).unwrap_or_else(|not| panic!("{not}; {why}"));
                if let Some(put) = put {
                    let queued = if seen.is_queued() { put.queue_offset + n as u64 } else { 0 };
                    let answer = (put.status.as_str(), put.offsets[n], put.stored, queued);
                    assert_eq!(
                        answer,
                        ("PUT_OK", seen.offset, seen.stored, seen.queue_offset),
                        "{seen:?}; {why}"
                    );
                }
            }
        }
        'there: for sent in std::mem::take(&mut part.under_way) {
            for (n, message) in sent.messages.iter().enumerate() {
                let seen = left.as_slice().first();
                if seen.is_none_or(|seen| is_stored(message, sent.store_host, seen).is_err()) {
                    // A batch is not one piece across a crash (H33).
                    let messages = sent.messages[..n].to_vec();
                    part.certain.extend((n > 0).then_some((Sent { messages, ..sent }, None)));
                    break 'there;
                }
                left.next();
            }
            part.certain.push((sent, None));
        }
    }
    assert_eq!(left.next(), None, "nobody sent that; {why}");
}
