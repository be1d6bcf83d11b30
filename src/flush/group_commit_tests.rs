use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::*;
use crate::error::Error;
use crate::flush::{AsyncFlush, FlushPolicy, SyncFlush};

/// A log that has so much to flush, and stands still under pressure at 100 bytes.
#[derive(Default)]
struct Log {
    unflushed_bytes: u64,
    waiting_for: Duration,
    is_over: bool,
    fails: bool,
    flushes: AtomicU64,
}

impl Flush for Log {
    fn flush(&self) -> Result<LogOffset> {
        self.flushes.fetch_add(1, Ordering::Relaxed);
        if self.fails { Err(Error::Closed) } else { Ok(LogOffset(self.unflushed_bytes)) }
    }

    fn pressure_bytes(&self) -> u64 {
        100
    }

    fn progress(&self) -> Option<Progress> {
        let Log { unflushed_bytes, waiting_for, .. } = *self;
        (!self.is_over).then_some(Progress { unflushed_bytes, wanted: false, waiting_for })
    }
}

fn step(log: Log, policy: impl FlushPolicy + 'static) -> (Next, u64) {
    let log = Arc::new(log);
    let next = GroupCommit::new(Arc::clone(&log), Arc::new(Current::new(Arc::new(policy)))).step();
    (next, log.flushes.load(Ordering::Relaxed))
}

#[test]
fn under_pressure_no_policy_is_asked() {
    let with = |unflushed_bytes| step(Log { unflushed_bytes, ..Log::default() }, AsyncFlush::default());
    assert!(matches!(with(99), (Next::After(_), 0)));
    assert!(matches!(with(100), (Next::Again, 1)));
}

#[test]
fn a_failed_flush_is_not_tried_again_and_a_log_that_is_over_is_let_be() {
    let failing = Log { unflushed_bytes: 1, fails: true, ..Log::default() };
    assert!(matches!(step(failing, SyncFlush), (Next::Wait, 1)));
    let over = Log { unflushed_bytes: 1, is_over: true, ..Log::default() };
    assert!(matches!(step(over, SyncFlush), (Next::Wait, 0)));
    assert!(matches!(step(Log::default(), SyncFlush), (Next::Wait, 0)));
}

#[test]
fn a_policy_that_sleeps_for_no_time_does_not_spin() {
    let hasty = AsyncFlush { interval: Duration::ZERO, least_bytes: 10, at_latest: Duration::from_nanos(2) };
    let log = Log { unflushed_bytes: 1, waiting_for: Duration::from_nanos(1), ..Log::default() };
    assert!(matches!(step(log, hasty), (Next::After(rest), 0) if rest == Duration::from_micros(50)));
}
