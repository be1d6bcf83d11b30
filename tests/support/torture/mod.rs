//! The promises, each tried many times over: bars, their sweeps, and what came of them. `sawlog torture` frames it.
//!
//! A bar is swept in jobs, a job judges cases one after the other. A case is known by its number, and its chance is
//! its own: whatever happens to the others, the same seed, bar and number try the same again.

mod bits;
mod bodies;
mod bound;
mod copies;
mod faults;
mod limits;
mod minimise;
mod pages;
mod power;
mod space;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sawlog::disk::sim::{SimDisk, Survivors};

use super::dice::Dice;
use super::oracle::Verdict;

/// Cases of one job are numbered below this; a case's number is its job's, so many times, and its own.
const JOB_CASES: u64 = 10_000_000;
/// Of so many violations of a bar the words are kept.
const KEPT_VIOLATIONS: usize = 5;

/// How much is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Minutes, beside other tests.
    Short,
    /// The counts that are promised.
    Whole,
    /// Four times as many, and no time limit: an hour or two on two cores, so that it is run.
    Nightly,
}

/// How far a bar is swept.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// Job after job, until so many cases have been judged in all.
    Cases(u64),
    /// So many jobs, each to its end.
    Jobs(u64),
}

impl Until {
    /// Whether job `number` is to be done, when so many cases have been judged.
    fn wants(self, form: Form, number: u64, judged: u64) -> bool {
        let (of, whole) = match self {
            Until::Cases(cases) => (judged, cases),
            Until::Jobs(jobs) => (number, jobs),
        };
        match form {
            Form::Short => of < whole.div_ceil(20),
            Form::Whole => of < whole,
            Form::Nightly => of < whole * 4,
        }
    }
}

/// One sweep, which may serve several bars of the scoreboard at once.
#[derive(Clone, Copy)]
pub(crate) struct Bar {
    /// As the scoreboard names them.
    pub(crate) names: &'static [&'static str],
    /// What is tried, in a few words.
    pub(crate) tries: &'static str,
    pub(crate) until: Until,
    job: fn(&Job<'_>),
}

impl Bar {
    pub(crate) fn title(&self) -> String {
        self.names.join(" ")
    }
}

/// All that is there, in the order in which it is swept.
pub(crate) fn bars() -> Vec<Bar> {
    [
        power::bars(),
        bound::bars(),
        copies::bars(),
        faults::bars(),
        bits::bars(),
        pages::bars(),
        bodies::bars(),
        space::bars(),
        limits::bars(),
    ]
    .concat()
}

/// A promise that was not kept.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) case: u64,
    pub(crate) why: String,
}

/// What a sweep has seen so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) cases: AtomicU64,
    pub(crate) violated: AtomicU64,
    /// Kept from the first few.
    violations: Mutex<Vec<Violation>>,
    /// How often what was met, in words of the sweep.
    met: Mutex<BTreeMap<String, u64>>,
    /// Nobody waits for more.
    pub(crate) is_over: AtomicBool,
}

impl Tally {
    /// The first violations.
    pub(crate) fn kept(&self) -> Vec<Violation> {
        self.violations.lock().unwrap().clone()
    }

    /// What was met, in order of its words.
    pub(crate) fn all_met(&self) -> Vec<(String, u64)> {
        self.met.lock().unwrap().clone().into_iter().collect()
    }

    fn violation(&self, case: u64, why: String) {
        self.violated.fetch_add(1, Ordering::Relaxed);
        let mut kept = self.violations.lock().unwrap();
        if kept.len() < KEPT_VIOLATIONS {
            kept.push(Violation { case, why });
        }
    }
}

/// A part of a sweep, done by one thread.
pub(crate) struct Job<'a> {
    pub(crate) seed: u64,
    pub(crate) number: u64,
    form: Form,
    /// Of this job only this case is judged.
    only: Option<u64>,
    next: Cell<u64>,
    tally: &'a Tally,
}

impl Job<'_> {
    /// A seed for what all cases of this job share.
    fn shared_seed(&self) -> u64 {
        Dice::part(self.seed, self.number)
    }

    fn is_over(&self) -> bool {
        let is_past = self.only.is_some_and(|only| self.next.get() > only);
        is_past || self.tally.is_over.load(Ordering::Relaxed)
    }

    /// Counts something that was met.
    fn met(&self, what: impl Into<String>, times: u64) {
        *self.tally.met.lock().unwrap().entry(what.into()).or_default() += times;
    }

    /// Judges the next case. What it throws dice for is its own.
    fn case(&self, what: &str, judge: impl FnOnce(&mut Dice) -> Verdict) {
        self.judge(what, judge);
    }

    /// Judges the next case, which cannot be tried without those before it: alone, it is tried behind them.
    fn chained_case(&self, what: &str, judge: impl FnOnce(&mut Dice) -> Verdict) {
        let index = self.next.get();
        if self.only.is_some_and(|only| index < only) {
            self.next.set(index + 1);
            let mut dice = Dice::new(Dice::part(self.shared_seed(), index));
            let _ = judge(&mut dice);
        } else {
            self.judge(what, judge);
        }
    }

    /// Leaves the next case out.
    fn skip(&self) {
        self.next.set(self.next.get() + 1);
    }

    /// Judges the next case, which is an image. `make` is told with which survivors; should it be a violation, the
    /// same image with nothing kept that could be lost says which extents must survive for that.
    fn image(
        &self,
        what: &str,
        model: Survivors,
        make: impl Fn(u64, Survivors) -> SimDisk,
        judge: impl Fn(&SimDisk, &mut Dice) -> Verdict,
    ) {
        self.judge(what, |dice| {
            let (seed, dice) = (dice.draw(), dice.clone());
            let judged = |disk: &SimDisk| {
                let verdict = catch_unwind(AssertUnwindSafe(|| judge(disk, &mut dice.clone())));
                verdict.unwrap_or_else(|_| Err("panicked, see above".into()))
            };
            let Err(why) = judged(&make(seed, model)) else { return Ok(()) };
            let (image, bare) = (make(seed, model), make(seed, Survivors::Nothing));
            let extents = minimise::least_extents(&image, &bare, |disk| judged(disk).is_err());
            Err(format!("{why}\n{extents}"))
        });
    }

    fn judge(&self, what: &str, judge: impl FnOnce(&mut Dice) -> Verdict) {
        let index = self.next.get();
        self.next.set(index + 1);
        let is_late = self.tally.is_over.load(Ordering::Relaxed);
        if self.only.is_some_and(|only| only != index) || is_late {
            return;
        }
        let case = self.number * JOB_CASES + index;
        let mut dice = Dice::new(Dice::part(self.shared_seed(), index));
        self.tally.cases.fetch_add(1, Ordering::Relaxed);
        let verdict = catch_unwind(AssertUnwindSafe(|| judge(&mut dice)));
        if let Err(why) = verdict.unwrap_or_else(|_| Err("panicked, see above".into())) {
            self.tally.violation(case, format!("{what}: {why}"));
        }
    }
}

/// Sweeps one bar with so many threads, until all has been tried or `tally.is_over`.
pub(crate) fn sweep(bar: &Bar, seed: u64, form: Form, threads: usize, tally: &Tally) {
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let judged = tally.cases.load(Ordering::Relaxed);
                    let is_over = tally.is_over.load(Ordering::Relaxed);
                    if is_over || !bar.until.wants(form, number, judged) {
                        break;
                    }
                    run(bar, Job { seed, number, form, only: None, next: 0.into(), tally });
                }
            });
        }
    });
}

/// One case again.
pub(crate) fn replay(bar: &Bar, seed: u64, case: u64, tally: &Tally) {
    let (number, only) = (case / JOB_CASES, Some(case % JOB_CASES));
    run(bar, Job { seed, number, form: Form::Nightly, only, next: 0.into(), tally });
}

/// What a job does before its first case may panic as well: on a healthy disk nothing may.
fn run(bar: &Bar, job: Job<'_>) {
    if catch_unwind(AssertUnwindSafe(|| (bar.job)(&job))).is_err() {
        job.tally
            .violation(job.number * JOB_CASES + job.next.get(), "panicked between cases, see above".into());
    }
}
