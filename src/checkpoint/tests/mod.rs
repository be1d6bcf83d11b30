//! The files held against what may happen to them: to their bytes, and to the disk below them.

mod bytes;
mod files;
mod java;
mod quarantine;
mod queues;

use crate::checkpoint::queues::{IndexFileMark, IndexMark, QueueMark, Snapshot};
use crate::checkpoint::{Mark, State, WriterId};
use crate::clock::Timestamp;
use crate::disk::BootId;
use crate::disk::sim::{SimDisk, Survivors};
use crate::offset::{LogOffset, QueueOffset};

fn mark(generation: u64) -> Mark {
    Mark {
        generation,
        durable: LogOffset(0x0102_0304_0506),
        window_bytes: 4 << 20,
        segment_bytes: 1 << 30,
        ours_from: LogOffset(182),
        boot: BootId([0xB0; 16]),
        writer: WriterId([0x77; 16]),
        state: State::Closed,
        end: LogOffset(0x0102_0304_0600),
        first: Some(LogOffset(0x4000_0000)),
        is_listed: false,
    }
}

/// A snapshot with something of everything; its numbers follow from `n`.
fn snapshot(n: u64) -> Snapshot {
    let time = |ms: u64| Timestamp(1_700_000_000_000 + ms.cast_signed());
    let queue = |id: u32| {
        let first = QueueOffset(n + u64::from(id));
        ((format!("topic-{}", id % 7).into_bytes(), id), QueueMark { first, next: QueueOffset(first.0 + n) })
    };
    let file = |name: u64| IndexFileMark {
        name: 20_231_114_221_320_123 + name,
        next_entry: 1 + u32::try_from(n).unwrap(),
        begin_time: time(n),
        end_time: time(2 * n),
        begin_offset: LogOffset(n),
        end_offset: LogOffset(2 * n),
        sealed: name == 0,
    };
    Snapshot {
        derived_to: LogOffset(n * 100),
        last_stored: time(n),
        writer: WriterId([0x5A; 16]),
        has_files: n.is_multiple_of(2),
        entries_per_segment: 300_000,
        queues: (0..40).map(queue).collect(),
        index: Some(IndexMark { slots: 500, entries: 2000, files: vec![file(0), file(1)] }),
        dropped: [(b"gone".to_vec(), LogOffset(n)), (b"gone too".to_vec(), LogOffset(0))].into(),
    }
}

/// Every disk that a power cut between or within the recorded operations may leave, with the position of the cut.
fn each_power_cut(disk: &SimDisk, mut check: impl FnMut(usize, &SimDisk)) {
    let mut walk = disk.replay();
    loop {
        for model in Survivors::ALL {
            for seed in 0..12 {
                check(walk.position(), &walk.power_cut(seed, model));
                check(walk.position(), &walk.power_cut_within(seed, model));
            }
        }
        if walk.step().is_none() {
            return;
        }
    }
}
