//! One call of a workload fails, once or for good, and what must hold of all that comes of it.

use sawlog::disk::sim::{Aim, Fault, FaultKind, OpKind, SimDisk, Survivors};
use sawlog::{Error, LogOffset, Store, Stored};

use super::dice::Dice;
use super::expected::{Expected, ROOT, Taken};
use super::oracle::{Verdict, examine};
use super::workload::{Size, Workload, clock, options};

const SIZE: Size = Size { steps: 50, reopens: true, closes: true };

/// How many operations behind a refused append the power is cut too.
const CUTS_BEHIND: usize = 12;

/// One fault of the sweep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) workload: u64,
    /// Syncs alone, or any call.
    pub(crate) syncs: bool,
    pub(crate) nth: u64,
    pub(crate) fault: Fault,
    /// After a failed sync the cache shows what is on the medium.
    pub(crate) reverts: bool,
}

impl Case {
    pub(crate) fn seed(&self) -> u64 {
        Dice::part(Dice::part(self.workload, self.nth), u64::from(self.fault.persistent))
    }

    fn disk(&self) -> SimDisk {
        let disk = SimDisk::recording();
        disk.revert_after_failed_sync(self.reverts.then_some(self.seed()));
        let aim = if self.syncs { Aim::anything().kind(OpKind::Sync) } else { Aim::anything() };
        disk.fail_at_aimed(aim, self.nth, self.fault);
        disk
    }

    /// Runs the workload into the fault and judges what comes of it. Says whether the fault was met.
    pub(crate) fn check(&self) -> Verdict<bool> {
        let disk = self.disk();
        let mut work = Workload::new(self.workload, disk.clone());
        let went = work.go(SIZE);
        let fired = disk.faults_fired() > 0;
        if !fired {
            return went.map(|()| false).map_err(|e| format!("failed without a fault: {e}"));
        }
        let typed = work.refusals.iter().chain(went.as_ref().err());
        // What a lock answers with when it is held by somebody else.
        let held = |e: &Error| matches!(e, Error::Locked { .. }) && self.fault.error == FaultKind::Eagain;
        if let Some(odd) = typed.clone().find(|e| !is_typed(e) && !held(e)) {
            return Err(format!("a fault answered with {odd}"));
        }
        let mut failed = typed.clone().any(|e| matches!(e, Error::Failed(_)));
        if let Some(store) = work.take_store() {
            failed |= store.failure().is_some();
            self.check_alive_or_ended(&mut work, &store)?;
        }
        work.believe_no_failures();
        self.check_survivors(&work, failed)?;
        if let (Some(at), false) = (work.refused_at, failed) {
            self.check_cuts_behind(&work, at)?;
        }
        Ok(true)
    }

    /// An append answered with an error and the store goes on. Wherever the power is cut from then on, what was
    /// refused is not there.
    fn check_cuts_behind(&self, work: &Workload, refused_at: usize) -> Verdict {
        let mut replay = work.disk.replay();
        let mut dice = Dice::new(self.seed());
        for at in refused_at..=(refused_at + CUTS_BEHIND).min(replay.len()) {
            replay.advance_to(at);
            for model in Survivors::ALL {
                let cut = replay.power_cut_within(dice.draw(), model);
                let flushed = work.log.end_of_last(|t| t.flushed.is_by(at));
                examine(&cut, &work.log, work.log.promised(flushed, at), dice.draw())
                    .map_err(|e| format!("refused at {refused_at}, cut at {at}, {model:?}: {e}"))?;
            }
        }
        Ok(())
    }

    /// A store that has failed stays so, tells everybody, and still reads what is durable; one that has not goes on.
    fn check_alive_or_ended(&self, work: &mut Workload, store: &Store) -> Verdict {
        let message = work.message();
        if store.failure().is_none() {
            work.disk.clear_faults();
            return match store.append_and_wait(&message) {
                Ok(_) => Err("the workload ended early though the store is alive".into()),
                Err(error) => Err(format!("alive, and yet: {error}")),
            };
        }
        let flushed = store.marks().flushed;
        work.disk.clear_faults();
        for _ in 0..3 {
            store.step();
        }
        match (store.append(&message), store.append_batch(&[message]), store.flush()) {
            (Err(Error::Failed(_)), Err(Error::Failed(_)), Err(Error::Failed(_))) => {}
            other => return Err(format!("a failed store answered {other:?}")),
        }
        if store.marks().flushed != flushed {
            return Err(format!(
                "flushed went from {flushed} to {} after the failure",
                store.marks().flushed
            ));
        }
        for (ack, _, end) in &work.acks {
            if ack.is_done() == ack.wait().is_err() {
                return Err(format!("the ack of {end} is neither kept nor told"));
            }
        }
        let read = store.scan(LogOffset(0)).map(|r| r.map(|r| r.position)).collect::<Result<Vec<_>, _>>();
        let read = read.map_err(|e| format!("reading durable records after the failure: {e}"))?;
        let durable = work.log.up_to(flushed);
        if store.marks().visible != flushed || !read.iter().eq(durable.iter().map(|t| &t.position)) {
            return Err(format!("{} records readable of {}", read.len(), durable.len()));
        }
        Ok(())
    }

    /// The disk is well again: in the same process, after its death, and after a power cut the store opens.
    fn check_survivors(&self, work: &Workload, failed: bool) -> Verdict {
        let (disk, now) = (&work.disk, usize::MAX - 1);
        disk.clear_faults();
        let flushed = work.log.end_of_last(|t| t.flushed.is_by(now));
        let written = work.log.end_of_last(|t| t.flushed.is_by(now) || t.written.is_by(now));
        let mut dice = Dice::new(self.seed());
        let cut = disk.power_cut(dice.draw(), Survivors::ALL[dice.below(5) as usize]);
        let killed = disk.kill();
        let log = with_unknown(&cut, work);
        examine(&cut, &log, log.promised(flushed, now), dice.draw())
            .map_err(|e| format!("power cut: {e}"))?;
        // After a failed sync the cache may show older bytes: then a kill can cost what a power cut can.
        let kept = if failed { flushed } else { written };
        for (survivor, what) in [(&killed, "killed"), (disk, "same process")] {
            let log = with_unknown(survivor, work);
            let examined = examine(survivor, &log, log.promised(kept, now), dice.draw());
            examined.map_err(|e| format!("{what}: {e}"))?;
        }
        Ok(())
    }
}

/// The log that is expected, with those messages of unknown outcome that are there: a prefix, behind all others.
fn with_unknown(image: &SimDisk, work: &Workload) -> Expected {
    let mut log = work.log.clone();
    let look = image.kill();
    let Ok(store) = Store::open(ROOT, options(&look, &clock(), true)) else { return log };
    let mut unknown = work.unknown.iter();
    let behind = log.end();
    for read in store.scan(LogOffset(0)).map_while(Result::ok).filter(|r| r.position.offset >= behind) {
        let Some(message) = unknown.next().filter(|m| m.body == read.body()) else { break };
        let (position, queue_offset, stored) = (read.position, read.queue_offset, read.stored);
        let stored = Stored { position, queue_offset, stored, message_id: read.message_id() };
        log.taken.push(Taken::new(message, &stored));
    }
    log
}

/// What a failing disk may be answered with.
pub(crate) fn is_typed(error: &Error) -> bool {
    match error {
        Error::Io { .. } | Error::Full { .. } | Error::Closed => true,
        Error::Failed(cause) => is_typed(cause),
        _ => false,
    }
}
