//! `OnDamage::Quarantine`: the store opens, damage is listed and stepped over, and everything else goes on.

use std::ops::ControlFlow;

use sawlog::flush::SyncFlush;
use sawlog::{
    Damage, Error, Fetch, LogOffset, LogRange, Message, OnDamage, Options, Position, QueueOffset, Retention,
    Status, Store, Stored, inspect,
};

use crate::world::{SEGMENT, World, settle};

/// Queues that the messages go to in turns.
const QUEUES: u32 = 2;
/// What tells the messages apart.
fn body(n: u64) -> String {
    format!("{n:08}{}", "x".repeat(200))
}

fn message(n: u64) -> Message {
    Message::new("orders", body(n)).queue((n % u64::from(QUEUES)) as u32).key(&format!("key-{n}"))
}

/// A store with so many messages, closed in order, and where they lie.
fn filled(world: &World, count: u64) -> Vec<Stored> {
    let store = world.sync();
    let stored = (0..count).map(|n| store.append_and_wait(&message(n)).unwrap()).collect();
    settle(&store);
    store.close().unwrap();
    stored
}

fn segment_of(at: LogOffset) -> (String, u64) {
    let base = at.0 / SEGMENT * SEGMENT;
    (format!("/store/commitlog/{base:020}"), base)
}

/// Turns a bit of the byte so far behind the record's beginning.
fn rot(world: &World, at: Position, byte: u64) {
    let (path, base) = segment_of(at.offset);
    world.disk.flip(path, (at.offset.0 - base + byte) * 8).unwrap();
}

fn quarantining(world: &World) -> Options {
    // All of the log is looked at, wherever the last open ended.
    world.options(SyncFlush).on_damage(OnDamage::Quarantine).rebuild_derived()
}

fn open(world: &World) -> Store {
    Store::open("/store", quarantining(world)).unwrap()
}

fn part(stored: &Stored) -> LogRange {
    LogRange { from: stored.position.offset, to: stored.position.end() }
}

/// What a scan from the log's first byte shows: bodies' numbers, and errors.
fn scanned(store: &Store) -> Vec<Result<u64, Error>> {
    store.scan(store.marks().first).take(1_000).map(|read| read.map(|r| number(r.body()))).collect()
}

fn number(body: &[u8]) -> u64 {
    std::str::from_utf8(&body[..8]).unwrap().parse().unwrap()
}

/// The same of a queue.
fn queued(store: &Store, id: u32, from: u64) -> Vec<Result<u64, Error>> {
    let records = store.queue("orders", id).read_from(QueueOffset(from));
    records.take(1_000).map(|read| read.map(|r| number(r.body()))).collect()
}

fn numbers(read: &[Result<u64, Error>]) -> Vec<u64> {
    read.iter().filter_map(|read| read.as_ref().ok().copied()).collect()
}

fn is_part(error: &Error, part: LogRange) -> bool {
    matches!(error, Error::Quarantined { from, to } if (*from, *to) == (part.from, part.to))
}

#[test]
fn the_store_opens_and_lists_the_record_that_rotted() {
    let world = World::new();
    let stored = filled(&world, 20);
    rot(&world, stored[7].position, 100);
    let store = open(&world);
    assert_eq!(store.quarantined(), [part(&stored[7])]);
    let report = store.recovery();
    assert_eq!((report.quarantined.len(), report.cuts.len(), report.rebuilt), (1, 0, true));
    assert_eq!(report.quarantined[0].part, part(&stored[7]));
    assert_eq!(report.quarantined[0].why.what, Damage::BadRecordChecksum);
    assert!(report.to_string().contains("quarantined"), "{report}");
    assert!(world.has("sawlog/quarantine"));
    assert_eq!(store.stats().damaged_places, 1, "told to whoever watches, too");
}

#[test]
fn a_scan_tells_the_damage_once_and_goes_on_behind_it() {
    let world = World::new();
    let stored = filled(&world, 20);
    rot(&world, stored[7].position, 100);
    let store = open(&world);
    let read = scanned(&store);
    assert_eq!(read.len(), 20);
    assert!(is_part(read[7].as_ref().unwrap_err(), part(&stored[7])));
    assert_eq!(numbers(&read), (0..20).filter(|n| *n != 7).collect::<Vec<_>>());
    // The same from within, by place, and as bytes.
    let inside = stored[7].position.offset.plus(5);
    assert!(is_part(&store.scan(inside).next().unwrap().unwrap_err(), part(&stored[7])));
    assert!(is_part(&store.record_at(stored[7].position.offset).unwrap_err(), part(&stored[7])));
    assert!(is_part(&store.raw(inside, 10).unwrap_err(), part(&stored[7])));
    let before = store.raw(LogOffset(0), u64::MAX).unwrap();
    assert_eq!(before.bytes.len() as u64, stored[7].position.offset.0, "raw bytes end before the damage");
    let behind = store.raw(stored[7].position.end(), u64::MAX).unwrap();
    assert_eq!(behind.offset.plus(behind.bytes.len() as u64), store.marks().visible);
}

#[test]
fn a_queue_tells_the_hole_and_the_offset_behind_it() {
    let world = World::new();
    let stored = filled(&world, 20);
    rot(&world, stored[7].position, 100);
    let store = open(&world);
    let lost = stored[7].queue_offset;
    let read = queued(&store, 1, 0);
    assert_eq!(read.len(), 10, "{read:?}");
    let Err(Error::QuarantinedMessages { at, next, from, to }) = &read[3] else { panic!("{:?}", read[3]) };
    assert_eq!((*at, *next, *from, *to), (lost, lost.next(), part(&stored[7]).from, part(&stored[7]).to));
    assert_eq!(numbers(&read), [1, 3, 5, 9, 11, 13, 15, 17, 19]);
    assert_eq!(numbers(&queued(&store, 0, 0)), (0..10).map(|n| 2 * n).collect::<Vec<_>>());
    let queue = store.queue("orders", 1);
    assert!(matches!(queue.record_at(lost), Err(Error::QuarantinedMessages { .. })));
    assert!(store.find("orders", "key-7").next().is_none(), "the index has no key of a lost record");
    assert_eq!(store.find("orders", "key-9").map(Result::unwrap).count(), 1);
}

#[test]
fn a_pull_ends_before_the_hole_and_the_next_one_says_why() {
    let world = World::new();
    let stored = filled(&world, 20);
    rot(&world, stored[7].position, 100);
    let store = open(&world);
    let queue = store.queue("orders", 1);
    for raw in [false, true] {
        let pull = |from: QueueOffset| match raw {
            true => {
                queue.raw(&Fetch::from(from)).map(|batch| (batch.status, batch.count as usize, batch.next))
            }
            false => {
                queue.fetch(&Fetch::from(from)).map(|batch| (batch.status, batch.records.len(), batch.next))
            }
        };
        assert_eq!(pull(QueueOffset(0)).unwrap(), (Status::Found, 3, QueueOffset(3)));
        let Err(Error::QuarantinedMessages { next, .. }) = pull(QueueOffset(3)) else { panic!("no error") };
        assert_eq!(pull(next).unwrap(), (Status::Found, 6, QueueOffset(10)));
    }
}

#[test]
fn the_first_and_the_last_messages_of_a_queue_leave_holes_that_are_told() {
    for (lost, at) in [(vec![0_usize, 2], 0), (vec![16, 18], 8)] {
        let world = World::new();
        let stored = filled(&world, 20);
        lost.iter().for_each(|n| rot(&world, stored[*n].position, 100));
        let store = open(&world);
        assert_eq!(store.quarantined().len(), 2);
        let queue = store.queue("orders", 0);
        assert_eq!(queue.max(), QueueOffset(10), "the numbering stays");
        let read = queued(&store, 0, 0);
        let holes = read.iter().filter_map(|read| match read {
            Err(Error::QuarantinedMessages { at, next, .. }) => Some((at.0, next.0)),
            Err(other) => panic!("{other}"),
            Ok(_) => None,
        });
        assert_eq!(holes.collect::<Vec<_>>(), [(at, at + 2)]);
        assert_eq!(numbers(&read).len(), 8);
        let pulled = queue.fetch(&Fetch::from(QueueOffset(at)));
        assert!(matches!(pulled, Err(Error::QuarantinedMessages { .. })), "{pulled:?}");
        assert!(matches!(queue.record_at(QueueOffset(at + 1)), Err(Error::QuarantinedMessages { .. })));
        // Nobody gets a number that was given before, now or after another open.
        let next = store.append_and_wait(&message(20)).unwrap();
        assert_eq!(next.queue_offset, QueueOffset(10));
        store.close().unwrap();
        let store = world.sync();
        assert_eq!(numbers(&queued(&store, 0, 0)).len(), 9);
        assert_eq!(store.append(&message(22)).unwrap().queue_offset(), QueueOffset(11));
    }
}

#[test]
fn a_queue_of_which_all_is_lost_goes_on_with_its_numbers() {
    let world = World::new();
    let store = world.sync();
    for n in 0..3 {
        store.append_and_wait(&message(n)).unwrap();
    }
    let only = store.append_and_wait(&Message::new("rare", "00000000")).unwrap();
    store.append_and_wait(&message(4)).unwrap();
    store.close().unwrap();
    rot(&world, only.position, 90);
    let store = open(&world);
    let queue = store.queue("rare", 0);
    assert_eq!((queue.min().unwrap(), queue.max()), (QueueOffset(1), QueueOffset(1)));
    let first = queue.read_from(QueueOffset(0)).next().unwrap();
    assert!(matches!(first, Err(Error::QuarantinedMessages { next: QueueOffset(1), .. })), "{first:?}");
    assert_eq!(store.append(&Message::new("rare", "00000001")).unwrap().queue_offset(), QueueOffset(1));
}

#[test]
fn a_record_whose_length_is_gone_ends_where_a_queue_entry_points() {
    for byte in [0, 1, 3, 4, 7] {
        let world = World::new();
        let stored = filled(&world, 20);
        rot(&world, stored[7].position, byte);
        let store = open(&world);
        assert_eq!(store.quarantined(), [part(&stored[7])], "byte {byte}");
        assert_eq!(numbers(&scanned(&store)).len(), 19);
    }
}

#[test]
fn neighbours_that_rotted_are_one_part() {
    let world = World::new();
    let stored = filled(&world, 20);
    for n in [7, 8, 9, 12] {
        rot(&world, stored[n].position, 4);
    }
    let store = open(&world);
    let long = LogRange { from: stored[7].position.offset, to: stored[9].position.end() };
    assert_eq!(store.quarantined(), [long, part(&stored[12])]);
    assert_eq!(scanned(&store).iter().filter(|read| read.is_err()).count(), 2);
}

#[test]
fn the_last_record_of_the_log_is_listed_up_to_what_was_durable_and_appending_goes_on_behind() {
    let world = World::new();
    let stored = filled(&world, 5);
    rot(&world, stored[4].position, 4);
    let store = open(&world);
    assert_eq!(store.quarantined(), [part(&stored[4])]);
    assert!(store.recovery().cuts.is_empty());
    let next = store.append_and_wait(&message(6)).unwrap();
    assert_eq!(next.position.offset, stored[4].position.end());
    assert_eq!(next.queue_offset, QueueOffset(3));
    store.close().unwrap();
    let store = world.sync();
    assert_eq!(numbers(&scanned(&store)), [0, 1, 2, 3, 6]);
}

#[test]
fn what_is_listed_is_known_to_the_stricter_rules_and_new_damage_is_judged_by_them() {
    let world = World::new();
    let stored = filled(&world, 20);
    rot(&world, stored[7].position, 100);
    open(&world).close().unwrap();
    for rule in [OnDamage::Refuse, OnDamage::FirstBroken] {
        let options = world.options(SyncFlush).on_damage(rule).rebuild_derived();
        let store = Store::open("/store", options).unwrap();
        assert_eq!(store.quarantined(), [part(&stored[7])]);
        assert_eq!(numbers(&scanned(&store)).len(), 19);
        store.close().unwrap();
    }
    rot(&world, stored[11].position, 100);
    let strict = world.options(SyncFlush).rebuild_derived();
    let Err(Error::Corrupt(why)) = Store::open("/store", strict) else { panic!("opened") };
    assert_eq!(why.at, stored[11].position.offset);
    let cutting = world.options(SyncFlush).on_damage(OnDamage::FirstBroken).rebuild_derived();
    let store = Store::open("/store", cutting).unwrap();
    assert_eq!(store.marks().visible, stored[11].position.offset);
    assert_eq!(store.quarantined(), [part(&stored[7])]);
}

#[test]
fn a_part_whose_bytes_were_put_back_is_lifted_and_its_messages_are_back() {
    let world = World::new();
    let stored = filled(&world, 20);
    rot(&world, stored[7].position, 100);
    let store = open(&world);
    let next = store.append_and_wait(&message(21)).unwrap();
    store.close().unwrap();
    rot(&world, stored[7].position, 100);
    let store = world.sync();
    assert_eq!((store.quarantined(), &*store.recovery().lifted), (vec![], &[part(&stored[7])][..]));
    assert_eq!(numbers(&scanned(&store)).len(), 21);
    assert_eq!(numbers(&queued(&store, 1, 0)), [1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21]);
    assert_eq!(next.queue_offset, QueueOffset(10));
    assert_eq!(store.find("orders", "key-7").map(Result::unwrap).count(), 1);
    store.close().unwrap();
    let store = world.sync();
    assert!(store.recovery().lifted.is_empty() && store.recovery().clean_shutdown);
    assert!(!store.recovery().rebuilt);
}

#[test]
fn of_a_part_that_was_put_back_in_its_front_alone_the_rest_stays_listed() {
    let world = World::new();
    let stored = filled(&world, 20);
    [7, 8].iter().for_each(|n| rot(&world, stored[*n].position, 100));
    open(&world).close().unwrap();
    rot(&world, stored[7].position, 100);
    let store = world.sync();
    assert_eq!((store.quarantined(), &*store.recovery().lifted), (vec![part(&stored[8])], &[][..]));
    assert_eq!(numbers(&scanned(&store)).len(), 19);
}

#[test]
fn a_list_that_is_lost_or_rotten_is_never_an_undamaged_log() {
    for lost in [true, false] {
        let world = World::new();
        let stored = filled(&world, 20);
        rot(&world, stored[7].position, 100);
        open(&world).close().unwrap();
        match lost {
            true => sawlog::disk::Disk::remove(&world.disk, "/store/sawlog/quarantine".as_ref()).unwrap(),
            false => world.disk.flip("/store/sawlog/quarantine", 8 * 22).unwrap(),
        }
        for rule in [OnDamage::Refuse, OnDamage::FirstBroken] {
            let before = world.disk.fingerprint();
            let refused = Store::open("/store", world.options(SyncFlush).on_damage(rule));
            let Err(Error::Corrupt(why)) = refused else { panic!("{rule:?}: {refused:?}") };
            assert!(why.path.ends_with("sawlog/quarantine"), "{why}");
            assert_eq!(world.disk.fingerprint(), before);
        }
        let store = Store::open("/store", world.options(SyncFlush).on_damage(OnDamage::Quarantine)).unwrap();
        assert_eq!(store.quarantined(), [part(&stored[7])]);
        assert_eq!(store.recovery().side_damage.len(), 1);
    }
}

#[test]
fn retention_takes_listed_damage_off_with_its_segment() {
    let world = World::new();
    let stored = filled(&world, 600);
    rot(&world, stored[7].position, 100);
    rot(&world, stored[590].position, 100);
    let store = open(&world);
    assert_eq!(store.quarantined().len(), 2);
    let last = stored[590].position.offset.0 / SEGMENT * SEGMENT;
    store.remove_before(LogOffset(last)).unwrap();
    assert_eq!(store.quarantined(), [part(&stored[590])]);
    assert!(matches!(store.record_at(stored[7].position.offset), Err(Error::OutOfRange { .. })));
    let queue = store.queue("orders", 0);
    assert!(matches!(queue.record_at(QueueOffset(1)), Err(Error::OutOfRange { .. })), "expired, not damaged");
    store.close().unwrap();
    let listed = world.disk.read_file("/store/sawlog/quarantine").unwrap();
    assert_eq!(listed[16..20], [0, 0, 0, 1], "one part is left on the disk");
    let store = world.sync();
    assert_eq!(store.quarantined(), [part(&stored[590])]);
}

#[test]
fn a_damaged_segment_expires_by_the_age_of_what_can_be_read_in_it() {
    let world = World::new();
    let stored = filled(&world, 600);
    rot(&world, stored[0].position, 100);
    rot(&world, stored[100].position, 100);
    let day = std::time::Duration::from_secs(86_400);
    let store =
        Store::open("/store", quarantining(&world).retention(Retention::keep_all().max_age(day))).unwrap();
    world.clock.turn(2 * day);
    let swept = store.sweep().unwrap();
    assert!(swept.segments > 0 && store.quarantined().is_empty(), "{swept:?}");
}

/// A broken record may say that it was stored long ago, or in a distant future. The segment before it went too early then,
/// and none ever went; nobody had asked whether the record is listed.
#[test]
fn the_store_time_of_a_listed_record_decides_nothing() {
    let world = World::new();
    let stored = filled(&world, 600);
    let first_of = |n: u64| stored.iter().find(|s| s.position.offset.0 == n * SEGMENT).unwrap();
    // The lowest bit of the third byte of eight takes 35 years away, that of the second puts 8,919 years on.
    rot(&world, first_of(1).position, 58);
    rot(&world, first_of(0).position, 57);
    let day = std::time::Duration::from_secs(86_400);
    let rules = Retention::keep_all().max_age(day);
    let store = Store::open("/store", quarantining(&world).retention(rules)).unwrap();
    assert_eq!(store.quarantined().len(), 2);
    assert_eq!(store.sweep().unwrap().segments, 0, "nothing is a day old");
    world.clock.turn(2 * day);
    assert!(store.sweep().unwrap().segments > 1, "everything is");
}

#[test]
fn a_page_of_zeros_is_one_part_and_everything_around_it_is_served() {
    let world = World::new();
    let stored = filled(&world, 100);
    world.disk.tear(segment_of(LogOffset(0)).0, 2).unwrap();
    let hit = |s: &&Stored| s.position.offset.0 < 3 * 4096 && s.position.end().0 > 2 * 4096;
    let lost: Vec<_> = stored.iter().filter(hit).collect();
    let store = open(&world);
    let whole = LogRange { from: lost[0].position.offset, to: lost[lost.len() - 1].position.end() };
    assert_eq!(store.quarantined(), [whole]);
    assert_eq!(numbers(&scanned(&store)).len(), 100 - lost.len());
}

#[test]
fn a_whole_segment_that_is_missing_is_refused() {
    let world = World::new();
    filled(&world, 900);
    sawlog::disk::Disk::remove(&world.disk, segment_of(LogOffset(SEGMENT)).0.as_ref()).unwrap();
    let Err(Error::Corrupt(why)) = Store::open("/store", quarantining(&world)) else { panic!("opened") };
    assert_eq!(why.what, Damage::MissingSegment);
}

#[test]
fn a_torn_tail_stays_a_torn_tail() {
    let world = World::new();
    let store = world.sync();
    let kept = store.append_and_wait(&message(0)).unwrap();
    store.flush().unwrap();
    let (path, base) = segment_of(kept.position.end());
    let world = World::on(world.disk.kill());
    world.disk.overwrite(path, kept.position.end().0 - base, b"half a record").unwrap();
    let store = open(&world);
    assert!(store.quarantined().is_empty());
    assert_eq!(store.recovery().cuts.len(), 1);
    assert!(!store.recovery().cuts[0].damage && !world.has("sawlog/quarantine"));
}

/// A broker knows of no list: it cuts the log at the damage, or below, and writes on.
#[test]
fn damage_that_somebody_else_has_cut_off_and_written_over_is_forgotten() {
    for killed in [false, true] {
        let world = World::new();
        let stored = filled(&world, 20);
        [7, 9].iter().for_each(|n| rot(&world, stored[*n].position, 100));
        let store = open(&world);
        assert_eq!(store.quarantined().len(), 2);
        store.close().unwrap();
        // The same log up to the sixth record, and then others that begin elsewhere.
        let other = World::new();
        let store = other.sync();
        for n in 0..60 {
            let longer =
                Message::new("orders", format!("{}{}", body(n), "y".repeat(37))).queue((n % 2) as u32);
            store.append_and_wait(&if n < 6 { message(n) } else { longer }).unwrap();
        }
        settle(&store);
        store.close().unwrap();
        for (path, _) in other.disk.files() {
            if !path.starts_with("/store/sawlog") {
                world.disk.write_file(&path, other.disk.read_file(&path).unwrap()).unwrap();
            }
        }
        if killed {
            world.disk.write_file("/store/abort", "4711").unwrap();
        }
        let store = world.sync();
        assert!(store.recovery().foreign_writer);
        assert_eq!((store.quarantined(), store.recovery().lifted.len()), (vec![], 2));
        assert_eq!(numbers(&scanned(&store)), (0..60).collect::<Vec<_>>());
        assert!(store.recovery().cuts.is_empty(), "{}", store.recovery());
        store.close().unwrap();
    }
}

#[test]
fn a_whole_segment_of_zeros_is_one_part() {
    let world = World::new();
    let stored = filled(&world, 900);
    world.disk.write_file(segment_of(LogOffset(SEGMENT)).0, vec![0; SEGMENT as usize]).unwrap();
    let store = open(&world);
    assert_eq!(store.quarantined(), [LogRange { from: LogOffset(SEGMENT), to: LogOffset(2 * SEGMENT) }]);
    let kept = stored.iter().filter(|s| s.position.offset.0 / SEGMENT != 1).count();
    assert_eq!(numbers(&scanned(&store)).len(), kept);
    let holes = queued(&store, 0, 0).iter().filter(|read| read.is_err()).count();
    assert_eq!(holes, 1);
    store.close().unwrap();
    assert_eq!(numbers(&scanned(&world.sync())).len(), kept);
}

#[test]
fn a_survey_and_a_verification_name_the_parts_that_are_stepped_over() {
    let world = World::new();
    let stored = filled(&world, 20);
    rot(&world, stored[7].position, 100);
    open(&world).close().unwrap();
    rot(&world, stored[15].position, 100);
    let look = inspect::Look::at("/store").disk(world.disk.clone());
    let survey = look.survey().unwrap();
    assert_eq!(survey.quarantined, [part(&stored[7])]);
    assert!(survey.to_string().contains("QUARANTINED: "), "{survey}");
    let mut rots = Vec::new();
    look.verify(&inspect::VerifyOptions::new(), |told| {
        if let inspect::Told::Fault(fault) = told
            && fault.kind == inspect::FaultKind::Rot
        {
            rots.push((fault.log, fault.quarantined, fault.to_string().contains(", quarantined: ")));
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    let [listed, new] = [7, 15].map(|n| Some(stored[n].position.offset));
    assert_eq!(rots, [(listed, true, true), (new, false, false)]);
}
