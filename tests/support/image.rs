//! The image that a stop leaves: which workload, stopped where and how.

use std::fmt;

use sawlog::disk::sim::{Replay, SimDisk, Survivors};

use super::dice::Dice;
use super::expected::{Expected, Promised};

/// How the machine or the process stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stop {
    Cut(Survivors),
    CutWithin(Survivors),
    Kill,
    KillWithin,
}

impl Stop {
    pub(crate) fn all() -> impl Iterator<Item = Stop> {
        let cuts = Survivors::ALL.into_iter().flat_map(|model| [Stop::Cut(model), Stop::CutWithin(model)]);
        cuts.chain([Stop::Kill, Stop::KillWithin])
    }

    pub(crate) fn loses_power(self) -> bool {
        matches!(self, Stop::Cut(_) | Stop::CutWithin(_))
    }
}

/// One image: which workload, stopped where and how. Its text is what `SAWLOG_IMAGE` takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Image {
    pub(crate) workload: u64,
    pub(crate) operation: usize,
    pub(crate) stop: Stop,
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{:?}", self.workload, self.operation, self.stop)
    }
}

impl Image {
    pub(crate) fn parse(text: &str) -> Option<Image> {
        let mut parts = text.splitn(3, ':');
        let (workload, operation) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let name = parts.next()?;
        let stop = Stop::all().find(|stop| format!("{stop:?}") == name)?;
        Some(Image { workload, operation, stop })
    }

    pub(crate) fn seed(&self) -> u64 {
        let stop = Stop::all().position(|stop| stop == self.stop).unwrap() as u64;
        Dice::part(Dice::part(self.workload, self.operation as u64), stop)
    }

    pub(crate) fn of(&self, replay: &Replay) -> SimDisk {
        match self.stop {
            Stop::Cut(model) => replay.power_cut(self.seed(), model),
            Stop::CutWithin(model) => replay.power_cut_within(self.seed(), model),
            Stop::Kill => replay.kill(),
            Stop::KillWithin => replay.kill_within(self.seed()),
        }
    }

    /// What must be there: after a power cut all that was acknowledged as flushed, after a kill all as written.
    pub(crate) fn promised(&self, log: &Expected) -> Promised {
        let by = self.operation;
        let end = match self.stop.loses_power() {
            true => log.end_of_last(|t| t.flushed.is_by(by)),
            false => log.end_of_last(|t| t.flushed.is_by(by) || t.written.is_by(by)),
        };
        log.promised(end, by)
    }
}
