//! Carries events from where they happen, often under locks, to listeners, which are called with none.
//!
//! Whoever meets an event puts it into a queue. A worker of its own, which there is only if there is a listener, takes
//! it out and calls. The queue is bounded, so that a listener which hangs costs memory once and nothing more.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::commit_log::{Synced, Told};
use crate::error::{Corruption, Error};
use crate::offset::LogOffset;
use crate::recovery::RecoveryReport;
use crate::store::listener::{Damaged, Failed, Flushed, FoundBy, Listener, Rolled};
use crate::store::swept::Swept;
use crate::sync::Mutex;
use crate::trace;
use crate::worker::{Bell, Next};

/// From so many events on flushes that follow each other are told as one.
const MERGE_FROM: usize = 64;
/// The most events that wait.
const MOST_EVENTS: usize = 1024;
/// The most places of damage that are remembered, so that each is told once.
const MOST_PLACES: usize = 1024;
/// How long the worker rests behind a call: under load it wakes so often and no more.
const REST: Duration = Duration::from_millis(1);

/// Those who are told.
#[derive(Clone, Default)]
pub(crate) struct Listeners(pub(super) Vec<Arc<dyn Listener>>);

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listeners({})", self.0.len())
    }
}

#[derive(Debug)]
enum Event {
    Recovered(Arc<RecoveryReport>),
    Rolled(Rolled),
    Flushed(Flushed),
    Swept(Swept),
    Damaged(Damaged),
    Failed(Failed),
}

/// See the file's text. It counts, too, what nobody else does.
#[derive(Debug)]
pub(crate) struct Herald {
    listeners: Listeners,
    bell: Arc<Bell>,
    events: Mutex<VecDeque<Event>>,
    /// Somebody is calling listeners: one at a time.
    is_telling: AtomicBool,
    places: Mutex<BTreeSet<(PathBuf, LogOffset)>>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    damaged: AtomicU64,
    unheard: AtomicU64,
    panics: AtomicU64,
    swept_segments: AtomicU64,
    swept_bytes: AtomicU64,
}

/// What a herald has counted since the store was opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    pub(crate) damaged_places: u64,
    pub(crate) unheard_events: u64,
    pub(crate) panics: u64,
    pub(crate) swept_segments: u64,
    pub(crate) swept_bytes: u64,
}

impl Herald {
    pub(crate) fn new(listeners: Listeners, bell: Arc<Bell>) -> Arc<Herald> {
        Arc::new(Herald {
            listeners,
            bell,
            events: Mutex::default(),
            is_telling: AtomicBool::new(false),
            places: Mutex::default(),
            counts: Counts::default(),
        })
    }

    /// Whether anybody listens.
    pub(crate) fn is_heard(&self) -> bool {
        !self.listeners.0.is_empty()
    }

    pub(crate) fn heard(&self) -> Heard {
        let Counts { damaged, unheard, panics, swept_segments, swept_bytes } = &self.counts;
        let load = |n: &AtomicU64| n.load(Ordering::Relaxed);
        Heard {
            damaged_places: load(damaged),
            unheard_events: load(unheard),
            panics: load(panics),
            swept_segments: load(swept_segments),
            swept_bytes: load(swept_bytes),
        }
    }

    /// What the log tells, under its locks.
    pub(crate) fn told(&self, what: Told<'_>) {
        match what {
            Told::Rolled { from, to } => self.put(|| Event::Rolled(Rolled { from, to })),
            Told::Synced(synced) => self.synced(synced),
            Told::Damaged(damage) => self.damaged(damage, FoundBy::Reading),
        }
    }

    pub(crate) fn recovered(&self, report: &RecoveryReport) {
        let cut = report.cuts.iter().filter(|cut| cut.damage).map(|cut| &cut.why);
        let listed = report.quarantined.iter().map(|listed| &listed.why);
        let damage: Vec<_> = cut.chain(listed).chain(&report.side_damage).collect();
        self.put(|| Event::Recovered(Arc::new(report.clone())));
        for damage in damage {
            self.damaged(damage, FoundBy::Opening);
        }
    }

    /// A store was not opened: what kept it from that is told here and now, if it is damage.
    pub(crate) fn not_opened(&self, error: &Error) {
        if let Error::Corrupt(damage) = error {
            self.damaged(damage, FoundBy::Opening);
            self.tell();
        }
    }

    pub(crate) fn swept(&self, swept: &Swept) {
        if swept.bytes == 0 && swept.derived_bytes == 0 {
            return;
        }
        self.counts.swept_segments.fetch_add(swept.segments, Ordering::Relaxed);
        self.counts.swept_bytes.fetch_add(swept.bytes.saturating_add(swept.derived_bytes), Ordering::Relaxed);
        self.put(|| Event::Swept(swept.clone()));
    }

    pub(crate) fn failed(&self, error: &Error) {
        trace::failure(error);
        if let Error::Failed(cause) = error
            && let Error::Corrupt(damage) = &**cause
        {
            self.damaged(damage, FoundBy::Reading);
        }
        self.put(|| Event::Failed(Failed { error: error.clone() }));
    }

    /// Damage at a place that was not told before.
    fn damaged(&self, damage: &Corruption, found_by: FoundBy) {
        let place = (damage.path.clone(), damage.at);
        let mut places = self.places.lock();
        if places.contains(&place) {
            return;
        }
        if places.len() >= MOST_PLACES {
            self.counts.unheard.fetch_add(1, Ordering::Relaxed);
            return;
        }
        places.insert(place);
        drop(places);
        self.counts.damaged.fetch_add(1, Ordering::Relaxed);
        trace::damage(damage);
        self.put(|| Event::Damaged(Damaged { corruption: damage.clone(), found_by }));
    }

    fn synced(&self, synced: Synced) {
        if !self.is_heard() {
            return;
        }
        let Synced { from, to, records, took } = synced;
        let mut events = self.events.lock();
        if events.len() >= MERGE_FROM
            && let Some(Event::Flushed(last)) = events.back_mut()
        {
            *last = Flushed {
                from: last.from,
                to,
                records: last.records.saturating_add(records),
                syncs: last.syncs.saturating_add(1),
                took: last.took.saturating_add(took),
                longest: last.longest.max(took),
            };
            return;
        }
        drop(events);
        // Under the flush lock: no other sync comes in between.
        self.put(|| Event::Flushed(Flushed { from, to, records, syncs: 1, took, longest: took }));
    }

    fn put(&self, event: impl FnOnce() -> Event) {
        if !self.is_heard() {
            return;
        }
        let mut events = self.events.lock();
        if events.len() >= MOST_EVENTS {
            self.counts.unheard.fetch_add(1, Ordering::Relaxed);
            return;
        }
        events.push_back(event());
        drop(events);
        self.bell.ring_if_idle();
    }

    /// One look of the worker.
    pub(crate) fn step(&self) -> Next {
        if self.tell() { Next::After(REST) } else { Next::Wait }
    }

    /// Calls listeners until nothing is left to tell; says whether there was anything. Whoever comes meanwhile, also a
    /// listener that is being called, leaves the rest to the one who does it.
    pub(crate) fn tell(&self) -> bool {
        let mut any = false;
        while !self.events.lock().is_empty() && !self.is_telling.swap(true, Ordering::SeqCst) {
            loop {
                // The lock is given back before anybody is called.
                let Some(event) = self.events.lock().pop_front() else { break };
                self.call(&event);
                any = true;
            }
            self.is_telling.store(false, Ordering::SeqCst);
        }
        any
    }

    fn call(&self, event: &Event) {
        for listener in &self.listeners.0 {
            let called = catch_unwind(AssertUnwindSafe(|| match event {
                Event::Recovered(report) => listener.recovered(report),
                Event::Rolled(rolled) => listener.rolled(rolled),
                Event::Flushed(flushed) => listener.flushed(flushed),
                Event::Swept(swept) => listener.swept(swept),
                Event::Damaged(damaged) => listener.damaged(damaged),
                Event::Failed(failed) => listener.failed(failed),
            }));
            if let Err(panic) = called {
                self.counts.panics.fetch_add(1, Ordering::Relaxed);
                // What was thrown may throw again when it goes.
                let _ = catch_unwind(AssertUnwindSafe(|| drop(panic)));
            }
        }
    }
}
