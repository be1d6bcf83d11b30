//! Who is woken as the tail goes on, and how much may be stored together: a log alone on the simulated disk, without
//! workers, whose bells are listened to.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::*;
use crate::clock::HandClock;
use crate::commit_log::{Setup, Start, Terms};
use crate::disk::sim::SimDisk;
use crate::disk::{Access, Disk};
use crate::message::{Checksum, EncodeRules, Message, encode};
use crate::segment::{SegmentList, Survey};
use crate::sync::mailbox::Receiver;
use crate::worker;

const DIR: &str = "/log";
const SEGMENT: u64 = 64 << 10;
/// Janitor and keeper are woken four times in a segment.
const STEP: u64 = SEGMENT / 4;
/// One record, with all that it carries.
const RECORD: u64 = 1 << 10;

struct World {
    log: CommitLog,
    janitor: Receiver<()>,
    keeper: Receiver<()>,
    flusher: Receiver<()>,
}

fn world(way: Way, window_bytes: u64) -> World {
    let disk = SimDisk::new();
    disk.create_dirs(Path::new(DIR)).unwrap();
    let found = Survey::of(&disk, Path::new(DIR)).unwrap();
    let segments = SegmentList::new(Arc::new(disk), PathBuf::from(DIR), SEGMENT, &found, Access::Write);
    let segment = segments.roll().unwrap();
    let [(flusher, flusher_hears), (janitor, janitor_hears), (keeper, keeper_hears), (follower, _)] =
        [(); 4].map(|()| worker::bell());
    let readers_see = if way == Way::Staged { Level::Flushed } else { Level::Written };
    let setup = Setup {
        clock: Arc::new(HandClock::new(Timestamp(1))),
        flusher,
        janitor,
        keeper,
        follower,
        terms: Terms { way, window_bytes, readers_see },
        verify_on_read: true,
        ours: Vec::new(),
        quarantined: Vec::new(),
        on_failure: Box::new(|_| Vec::new()),
        watch: None,
    };
    let (queues, last_stored) = (QueueOffsets::default(), Timestamp(0));
    let log = CommitLog::new(segments, setup, Start { end: LogOffset(0), segment, queues, last_stored });
    World { log, janitor: janitor_hears, keeper: keeper_hears, flusher: flusher_hears }
}

/// Appends one record of so many bytes; where it ends.
fn push(log: &CommitLog, len: u64) -> Result<LogOffset> {
    let store_host = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let rules =
        EncodeRules { store_host, checksum: Checksum::Body, max_body_bytes: 1 << 30, born: Timestamp(1) };
    let around = u64::from(encode(&Message::new("t", ""), &rules, Vec::new()).unwrap().len());
    let message = Message::new("t", vec![b'x'; usize::try_from(len - around).unwrap()]);
    let mut record = [encode(&message, &rules, Vec::new()).unwrap()];
    let mut end = LogOffset(0);
    let how = How { level: Level::Written, patience: Patience::Waits, now: Timestamp(1) };
    log.push(&mut record, how, |one| end = one.position.end())?;
    Ok(end)
}

/// Where each was woken, up to the segment's last record.
fn woken(world: &World) -> [Vec<u64>; 3] {
    let bells = [&world.janitor, &world.keeper, &world.flusher];
    for bell in bells {
        // What was rung while the log was made.
        while bell.try_recv().is_ok() {}
    }
    let mut woken = [const { Vec::new() }; 3];
    for _ in 1..SEGMENT / RECORD {
        let end = push(&world.log, RECORD).unwrap();
        for (bell, woken) in bells.iter().zip(&mut woken) {
            woken.extend(bell.try_recv().ok().map(|()| end.0));
        }
    }
    woken
}

#[test]
fn the_tail_wakes_the_others_by_steps_and_each_only_for_what_it_has_to_do() {
    let world = world(Way::Direct, 4 * STEP);
    // Half a window that no sync covers; the next segment once the tail is in this one's second half.
    assert_eq!(woken(&world), [vec![STEP, 2 * STEP, 3 * STEP], vec![3 * STEP], vec![2 * STEP, 3 * STEP]]);
}

#[test]
fn nobody_is_woken_to_make_a_segment_that_is_made() {
    let world = world(Way::Direct, 64 * STEP);
    world.log.segments().prepare(false).unwrap();
    assert_eq!(woken(&world), [vec![STEP, 2 * STEP, 3 * STEP], vec![], vec![]]);
}

#[test]
fn what_is_stored_together_fills_half_the_window_but_for_a_blank_record() {
    let limit = STEP / 2 - BLANK_BYTES;
    let world = world(Way::Direct, STEP);
    let error = push(&world.log, limit + 1).unwrap_err();
    assert!(matches!(&error, Error::InvalidMessage(why) if why.contains(&limit.to_string())), "{error}");
    assert_eq!(push(&world.log, limit).unwrap(), LogOffset(limit));
}

/// Pages ahead of the tail are protected again behind a sync; where the flusher writes what was staged there are none.
/// It has nothing more to do then.
#[test]
fn a_sync_wakes_the_janitor_where_records_go_straight_to_the_page_cache_and_nobody_else() {
    for way in [Way::Direct, Way::Staged] {
        let world = world(way, 64 * STEP);
        push(&world.log, RECORD).unwrap();
        while world.janitor.try_recv().is_ok() {}
        while world.flusher.try_recv().is_ok() {}
        world.log.flush().unwrap();
        assert_eq!(world.janitor.try_recv().is_ok(), way == Way::Direct, "{way:?}");
        assert!(world.flusher.try_recv().is_err(), "{way:?}: the flusher");
    }
}

/// The window may be full to its last byte; only the next append makes room first.
#[test]
fn a_window_that_is_just_full_is_not_flushed_for() {
    let world = world(Way::Direct, 16 * RECORD);
    for _ in 0..16 {
        push(&world.log, RECORD).unwrap();
    }
    assert_eq!(world.log.flushed().at(), LogOffset(0));
    // Somebody else had made the room that a producer waited for.
    world.log.open_window(LogOffset(0)).unwrap();
    assert_eq!(world.log.flushed().at(), LogOffset(0));
    push(&world.log, RECORD).unwrap();
    assert_eq!(world.log.flushed().at(), LogOffset(16 * RECORD));
}

#[test]
fn a_closed_log_takes_nothing_and_still_flushes() {
    let world = world(Way::Direct, 16 * RECORD);
    push(&world.log, RECORD).unwrap();
    world.log.close();
    assert!(matches!(push(&world.log, RECORD), Err(Error::Closed)));
    assert_eq!(world.log.flush().unwrap(), LogOffset(RECORD));
}
