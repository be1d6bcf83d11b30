//! The log itself on the simulated disk, in segments of a few records: group commit, roll-over, retention, closing.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use loom::thread::{self, JoinHandle};

use crate::clock::{HandClock, Timestamp};
use crate::commit_log::{CommitLog, How, Patience, QueueOffsets, Setup, Start, Terms, Way};
use crate::disk::sim::{Aim, Fault, FaultKind, OpKind, SimDisk, Survivors};
use crate::disk::{Access, Disk};
use crate::error::{Error, Level, Result};
use crate::flush::{Current, Flush, GroupCommit, SyncFlush};
use crate::message::{self, Checksum, EncodeRules, Message, Verify};
use crate::offset::{LogOffset, Position};
use crate::segment::{SegmentList, Survey};
use crate::sync::mailbox::Receiver;
use crate::worker::{self, Bell};

/// Two records and a blank one.
const SEGMENT_BYTES: u64 = 260;
const DIR: &str = "/log";

/// A log that begins, its disk, and its flusher's bell.
struct World {
    disk: SimDisk,
    log: Arc<CommitLog>,
    bell: Arc<Bell>,
    heard: Option<Receiver<()>>,
}

fn world(way: Way) -> World {
    let disk = SimDisk::new();
    disk.create_dirs(Path::new(DIR)).unwrap();
    world_on(disk, way, LogOffset(0))
}

/// A log that ends at `end`; of what is there no file is open yet.
fn world_on(disk: SimDisk, way: Way, end: LogOffset) -> World {
    let door: Arc<dyn Disk> = Arc::new(disk.clone());
    let found = Survey::of(&disk, Path::new(DIR)).unwrap();
    let segments = SegmentList::new(door, PathBuf::from(DIR), SEGMENT_BYTES, &found, Access::Write);
    let segment = segments.find(end).unwrap_or_else(|| segments.roll().unwrap());
    let (bell, heard) = worker::bell();
    let readers_see = if way == Way::Staged { Level::Flushed } else { Level::Written };
    let other = || worker::bell().0;
    let setup = Setup {
        clock: Arc::new(HandClock::new(Timestamp(1))),
        flusher: Arc::clone(&bell),
        janitor: other(),
        keeper: other(),
        follower: other(),
        terms: Terms { way, window_bytes: 1 << 20, readers_see },
        verify_on_read: true,
        ours: Vec::new(),
        quarantined: Vec::new(),
        on_failure: Box::new(|_| Vec::new()),
        watch: None,
    };
    let (queues, last_stored) = (QueueOffsets::default(), Timestamp(0));
    let start = Start { end, segment, queues, last_stored };
    World { disk, log: Arc::new(CommitLog::new(segments, setup, start)), bell, heard: Some(heard) }
}

fn push(log: &CommitLog, body: &'static str, level: Level) -> Result<Position> {
    let store_host = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let born = Timestamp(1);
    let rules = EncodeRules { store_host, checksum: Checksum::Body, max_body_bytes: 100, born };
    let message = Message::new("t", body);
    let mut record = [message::encode(&message, &rules, Vec::new())?];
    let mut position = None;
    let how = How { level, patience: Patience::Waits, now: Timestamp(1) };
    log.push(&mut record, how, |one| position = Some(one.position))?;
    Ok(position.unwrap())
}

impl World {
    /// The flusher's thread, as the store runs it.
    fn flusher(&mut self) -> JoinHandle<()> {
        let (log, bell, heard) = (Arc::clone(&self.log), Arc::clone(&self.bell), self.heard.take().unwrap());
        thread::spawn(move || {
            let commit = GroupCommit::new(log, Arc::new(Current::new(Arc::new(SyncFlush))));
            let step: worker::Step = Box::new(move || commit.step());
            worker::run(&bell, &heard, &crate::sync::Mutex::new(step));
        })
    }

    /// The record survives a power cut now, with this body.
    fn is_durable(&self, position: Position, body: &'static str) -> bool {
        let left = self.disk.power_cut(1, Survivors::Nothing);
        let base = position.offset.0 / SEGMENT_BYTES * SEGMENT_BYTES;
        let Ok(file) = left.read_file(format!("{DIR}/{base:020}")) else { return false };
        let from = usize::try_from(position.offset.0 - base).unwrap();
        let bytes = file[from..from + usize::try_from(position.len).unwrap()].to_vec();
        message::decode(position.offset, bytes.into(), Verify::Legacy).is_ok_and(|r| r.body() == body)
    }
}

/// Two producers and the flusher, which is rung if it sleeps. Who is told so is durable, and can be read.
pub(super) fn group_commit() {
    commit(|world| world.bell.ring_if_idle());
}

/// Two producers that flush by themselves unless somebody does; the flusher hears from them alone.
pub(super) fn fused_producers() {
    commit(|world| world.log.flush_if_nobody_does().unwrap());
}

fn commit(ask: fn(&World)) {
    let mut world = world(Way::Staged);
    let flusher = world.flusher();
    let world = Arc::new(world);
    let produce = move |world: &World, body| {
        let position = push(&world.log, body, Level::Flushed).unwrap();
        ask(world);
        world.log.flushed().reach(position.end()).wait().unwrap();
        assert!(world.is_durable(position, body));
        assert_eq!(world.log.record_at(position.offset).unwrap().body(), body);
    };
    let other = {
        let world = Arc::clone(&world);
        thread::spawn(move || produce(&world, "other"))
    };
    produce(&world, "own");
    other.join().unwrap();
    world.bell.tell_to_stop();
    flusher.join().unwrap();
}

/// The same on a disk whose first sync fails: everybody hears it, and nobody is told that his record is durable.
pub(super) fn failed_sync() {
    let world = world(Way::Staged);
    world.disk.fail_at_aimed(Aim::anything().kind(OpKind::Sync), 1, Fault::once(FaultKind::Eio));
    let producers = ["one", "two"].map(|body| {
        let log = Arc::clone(&world.log);
        thread::spawn(move || {
            let position = push(&log, body, Level::Flushed)?;
            log.flush_if_nobody_does()?;
            log.flushed().reach(position.end()).wait()
        })
    });
    for told in producers.map(|producer| producer.join().unwrap()) {
        assert!(matches!(told, Err(Error::Failed(_))), "{told:?}");
    }
}

/// One appends over the end of a segment, one makes the next, one reads along.
pub(super) fn roll_over() {
    let world = world(Way::Direct);
    let reader = {
        let log = Arc::clone(&world.log);
        thread::spawn(move || {
            let mut scan = log.scan(LogOffset(0));
            let mut bodies = Vec::new();
            while bodies.len() < 3 {
                match scan.next() {
                    Some(record) => bodies.push(record.unwrap().body().clone()),
                    None => log.visible().reach(scan.position().plus(1)).wait().unwrap(),
                }
            }
            bodies
        })
    };
    let keeper = {
        let log = Arc::clone(&world.log);
        thread::spawn(move || log.segments().prepare(false).unwrap())
    };
    let places = ["one", "two", "three"].map(|body| push(&world.log, body, Level::Written).unwrap());
    assert_eq!(places[2].offset.0, SEGMENT_BYTES, "{places:?}");
    keeper.join().unwrap();
    assert_eq!(reader.join().unwrap(), ["one", "two", "three"]);
}

/// One appends over the end of a segment, one makes pages ready ahead of it, which are zeroed by that, one writes by
/// position as the flusher would. Nothing that was appended is zeroed, and nobody waits for ever.
pub(super) fn make_ready() {
    let world = world(Way::Direct);
    world.log.segments().prepare(false).unwrap();
    let janitor = {
        let log = Arc::clone(&world.log);
        thread::spawn(move || log.segments().make_pages_ahead(|| log.accepted(), 4 * SEGMENT_BYTES).unwrap())
    };
    let writer = {
        let log = Arc::clone(&world.log);
        let at = LogOffset(2 * SEGMENT_BYTES - 4);
        thread::spawn(move || {
            let next = log.segments().prepared().or_else(|| log.segments().last());
            next.unwrap().write(at, &[7; 4]).unwrap();
        })
    };
    let places = ["one", "two", "three"].map(|body| push(&world.log, body, Level::Written).unwrap());
    janitor.join().unwrap();
    writer.join().unwrap();
    for (place, body) in places.into_iter().zip(["one", "two", "three"]) {
        assert_eq!(world.log.record_at(place.offset).unwrap().body(), body);
    }
    let file = world.disk.read_file(format!("{DIR}/{SEGMENT_BYTES:020}")).unwrap();
    assert!(file.ends_with(&[7; 4]), "what was written by position stands");
}

/// One removes the first segment, one reads in it, one appends.
pub(super) fn retire_while_read() {
    let world = world(Way::Direct);
    for body in ["one", "two", "three"] {
        push(&world.log, body, Level::Written).unwrap();
    }
    let end = world.log.flush().unwrap();
    let world = world_on(world.disk.kill(), Way::Direct, end);
    let sweeper = {
        let (log, disk) = (Arc::clone(&world.log), world.disk.clone());
        thread::spawn(move || {
            for segment in log.segments().forget_before(LogOffset(SEGMENT_BYTES)) {
                disk.remove(segment.path()).unwrap();
            }
        })
    };
    let reader = {
        let log = Arc::clone(&world.log);
        thread::spawn(move || {
            let mut bodies = Vec::new();
            for record in log.scan(LogOffset(0)) {
                match record {
                    Ok(record) => bodies.push(record.body().clone()),
                    Err(Error::OutOfRange { first: SEGMENT_BYTES, .. }) => break,
                    Err(other) => panic!("{other}"),
                }
            }
            let all = ["one", "two", "three", "four"];
            assert_eq!(bodies, all[..bodies.len()]);
        })
    };
    push(&world.log, "four", Level::Written).unwrap();
    sweeper.join().unwrap();
    reader.join().unwrap();
    assert_eq!(world.log.first(), LogOffset(SEGMENT_BYTES));
}

/// One appends while the log is closed as the store closes it. What was taken is durable, and its producer is told.
pub(super) fn close_while_appending() {
    let mut world = world(Way::Staged);
    let flusher = world.flusher();
    let producer = {
        let log = Arc::clone(&world.log);
        let bell = Arc::clone(&world.bell);
        thread::spawn(move || {
            let position = push(&log, "late", Level::Flushed)?;
            bell.ring_if_idle();
            log.flushed().reach(position.end()).wait().unwrap();
            Ok(position)
        })
    };
    world.log.close();
    world.log.flush().unwrap();
    world.bell.tell_to_stop();
    flusher.join().unwrap();
    let _ = world.log.fail_and_tell(Error::Closed);
    match producer.join().unwrap() {
        Ok(position) => assert!(world.is_durable(position, "late")),
        Err(refused) => assert!(matches!(refused, Error::Closed), "{refused}"),
    }
}

/// One appends and waits while the terms change from staged to direct writes. It is told, and the log has no hole.
pub(super) fn change_while_appending() {
    let mut world = world(Way::Staged);
    let flusher = world.flusher();
    let producer = {
        let log = Arc::clone(&world.log);
        thread::spawn(move || {
            let position = push(&log, "one", Level::Flushed).unwrap();
            log.flush_if_nobody_does().unwrap();
            log.flushed().reach(position.end()).wait().unwrap();
            position
        })
    };
    let terms = Terms { way: Way::Direct, window_bytes: 1 << 20, readers_see: Level::Written };
    world.log.change(terms, || {}).unwrap();
    push(&world.log, "two", Level::Written).unwrap();
    let one = producer.join().unwrap();
    assert!(world.is_durable(one, "one"));
    let read: Vec<_> = world.log.scan(LogOffset(0)).map(|r| r.unwrap().body().clone()).collect();
    assert_eq!(read.len(), 2, "{read:?}");
    world.bell.tell_to_stop();
    flusher.join().unwrap();
}
