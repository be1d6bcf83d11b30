//! Group commit: one leads, the others of its batch wait, and one of the next batch is called to lead.
//!
//! A batch of number n waits on the slot n & 1, whose value only grows: n is being gathered or written, is called to
//! lead, is led, is done.

use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::MutexGuard;
use rustix::thread::futex;

use super::{Raw, State, frame};

fn called(batch: u32) -> u32 {
    batch.wrapping_mul(4).wrapping_add(1)
}

fn led(batch: u32) -> u32 {
    called(batch).wrapping_add(1)
}

fn done(batch: u32) -> u32 {
    called(batch).wrapping_add(2)
}

fn wake(slot: &AtomicU32, most: u32) {
    futex::wake(slot, futex::Flags::PRIVATE, most).expect("a wake-up");
}

impl Raw {
    fn slot(&self, batch: u32) -> &AtomicU32 {
        &self.slots[(batch & 1) as usize]
    }

    pub(super) fn join_a_batch(&self, body: &[u8]) {
        let mut state = self.state.lock();
        frame::push(&mut state, body);
        let batch = state.batch;
        if !state.is_led {
            state.is_led = true;
            return self.lead(state, batch);
        }
        drop(state);
        let slot = self.slot(batch);
        loop {
            let seen = slot.load(Ordering::Acquire);
            if seen.wrapping_sub(done(batch)).cast_signed() >= 0 {
                return;
            }
            if seen == called(batch) {
                if slot.compare_exchange(seen, led(batch), Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                    return self.lead(self.state.lock(), batch);
                }
            } else {
                // Interrupted, or the value has changed: look again.
                let _ = futex::wait(slot, futex::Flags::PRIVATE, seen, None);
            }
        }
    }

    fn lead(&self, mut state: MutexGuard<'_, State>, batch: u32) {
        let spare = std::mem::take(&mut state.spare);
        let mut gathered = std::mem::replace(&mut state.gathered, spare);
        state.batch = batch.wrapping_add(1);
        let (segment, at) = self.place(&mut state, gathered.len() as u64);
        drop(state);
        segment.write(&gathered, at);
        segment.sync();
        gathered.clear();
        self.slot(batch).store(done(batch), Ordering::Release);
        let mut state = self.state.lock();
        state.spare = gathered;
        let next = batch.wrapping_add(1);
        let is_next_there = !state.gathered.is_empty();
        if is_next_there {
            self.slot(next).store(called(next), Ordering::Release);
        } else {
            state.is_led = false;
        }
        drop(state);
        if is_next_there {
            wake(self.slot(next), 1);
        }
        wake(self.slot(batch), i32::MAX.cast_unsigned());
    }
}
