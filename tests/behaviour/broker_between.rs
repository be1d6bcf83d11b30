//! A store with listed damage that a Java broker has had in between. It knows of no list: it cuts the log at the damage
//! and writes on, in the very file, with records that carry no checksum of ours. Behind its end the old ones still stand.

use std::time::Duration;

use sawlog::disk::Disk;
use sawlog::disk::sim::OpKind;
use sawlog::flush::SyncFlush;
use sawlog::message::Checksum;
use sawlog::{Damage, Error, LogOffset, LogRange, Message, OnDamage, Options, Store};

use crate::world::{SEGMENT, World, bodies, settle, sized};

const LOG: &str = "/store/commitlog/00000000000000000000";
/// So many of ours; the broker cuts before this one.
const OURS: u64 = 20;
const HURT: u64 = 7;
const HOUR: Duration = Duration::from_secs(3_600);

/// All of the log is looked at, wherever the last open ended.
fn listing(world: &World) -> Options {
    world.options(SyncFlush).on_damage(OnDamage::Quarantine).rebuild_derived()
}

fn ours(n: u64) -> Message {
    Message::new("orders", format!("ours {n:08}{}", "x".repeat(200))).queue((n % 2) as u32)
}

/// What shows that a broker was here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    /// Its clock is right, and it has left its checkpoint.
    Both,
    /// Its clock is right; the checkpoint was lost.
    Time,
    /// Its clock is behind ours: only the checkpoint is not the one that we left.
    Checkpoint,
}

/// Our store with its damage listed, then a broker's records from there on; and where those end.
fn taken_over(sign: Sign, records: u64, checksum: Checksum) -> (World, LogOffset, LogRange) {
    let theirs: Vec<_> = (0..records).map(|n| Message::new("orders", format!("broker {n}"))).collect();
    taken_over_at((0, HURT), sign, &theirs, checksum)
}

/// The same behind so many other messages, with the damage in this one of ours, and these messages of the broker.
fn taken_over_at(
    (front, hurt): (u64, u64),
    sign: Sign,
    theirs: &[Message],
    checksum: Checksum,
) -> (World, LogOffset, LogRange) {
    let world = World::new();
    let store = world.sync();
    for _ in 0..front {
        store.append_and_wait(&sized(700)).unwrap();
    }
    let append = |n| {
        if n == hurt {
            world.clock.turn(2 * HOUR);
        }
        store.append_and_wait(&ours(n)).unwrap()
    };
    let stored: Vec<_> = (0..OURS).map(append).collect();
    settle(&store);
    store.close().unwrap();
    let place = stored[hurt as usize].position;
    let base = place.offset.0 / SEGMENT * SEGMENT;
    let file = format!("/store/commitlog/{base:020}");
    world.disk.flip(&file, (place.offset.0 - base + 100) * 8).unwrap();
    let part = LogRange { from: place.offset, to: place.end() };
    let store = Store::open("/store", listing(&world)).unwrap();
    assert_eq!(store.quarantined(), [part]);
    store.close().unwrap();

    // The same log up to the damage, and what a broker would write then.
    let other = World::new();
    let store = other.sync();
    for _ in 0..front {
        store.append_and_wait(&sized(700)).unwrap();
    }
    for n in 0..hurt {
        store.append_and_wait(&ours(n)).unwrap();
    }
    store.close().unwrap();
    other.clock.turn(if sign == Sign::Checkpoint { HOUR } else { 3 * HOUR });
    let store = Store::open("/store", other.options(SyncFlush).checksum(checksum)).unwrap();
    for message in theirs {
        store.append_and_wait(message).unwrap();
    }
    let end = store.marks().flushed;
    settle(&store);
    store.close().unwrap();
    let log = other.disk.read_file(&file).unwrap();
    let (from, to) = ((part.from.0 - base) as usize, (end.0 - base) as usize);
    assert_eq!(log[..from], world.disk.read_file(&file).unwrap()[..from]);
    world.disk.overwrite(&file, part.from.0 - base, &log[from..to]).unwrap();
    for (path, _) in other.disk.files() {
        let is_derived = path.starts_with("/store/consumequeue") || path.starts_with("/store/index");
        if is_derived || path.ends_with("checkpoint") {
            world.disk.write_file(&path, other.disk.read_file(&path).unwrap()).unwrap();
        }
    }
    if sign == Sign::Time {
        world.disk.remove("/store/checkpoint".as_ref()).unwrap();
    }
    (world, end, part)
}

/// Opening stepped over what the broker had written where a listed part had been, found the old records behind it, and
/// served those: what had been cut rose again, and the broker's messages were gone.
#[test]
fn a_brokers_end_inside_a_listed_part_is_where_the_log_ends() {
    for sign in [Sign::Both, Sign::Time, Sign::Checkpoint] {
        let (world, end, part) = taken_over(sign, 1, Checksum::Body);
        assert!(part.from < end && end < part.to, "{end} lies in {part}");
        let before = world.disk.fingerprint();
        let Err(Error::Corrupt(why)) = Store::open("/store", world.options(SyncFlush)) else {
            panic!("{sign:?}: opened")
        };
        assert_eq!(why.at, end, "{sign:?}: {why}");
        assert_eq!(world.disk.fingerprint(), before);

        let rule = world.options(SyncFlush).on_damage(OnDamage::FirstBroken);
        let store = Store::open("/store", rule).unwrap();
        let report = store.recovery();
        assert!(report.foreign_writer && store.quarantined().is_empty(), "{sign:?}: {report}");
        let read = bodies(&store);
        assert_eq!(read.len() as u64, HURT + 1, "{sign:?}");
        assert_eq!(read.last().unwrap(), "broker 0", "{sign:?}");
        let cut = &report.cuts[0];
        assert_eq!((cut.from, cut.damage), (end, true));
        let kept = world.disk.read_file(&cut.saved).unwrap();
        let last = format!("ours {:08}", OURS - 1);
        assert!(kept.windows(last.len()).any(|bytes| bytes == last.as_bytes()), "what it had cut is kept");
        store.append_and_wait(&Message::new("orders", "next")).unwrap();
        store.close().unwrap();
        assert_eq!(bodies(&world.sync()).len() as u64, HURT + 2, "{sign:?}");
    }
}

#[test]
fn stepping_over_what_the_broker_cut_ends_at_what_was_durable_and_shows_none_of_it() {
    for sign in [Sign::Both, Sign::Time, Sign::Checkpoint] {
        let (world, end, _) = taken_over(sign, 1, Checksum::Body);
        let rule = world.options(SyncFlush).on_damage(OnDamage::Quarantine);
        let store = Store::open("/store", rule).unwrap();
        let [listed] = store.quarantined()[..] else { panic!("{:?}", store.quarantined()) };
        assert_eq!((listed.from, listed.to), (end, store.marks().visible), "{sign:?}");
        let read: Vec<_> = store.scan(LogOffset(0)).filter_map(Result::ok).collect();
        assert_eq!(read.len() as u64, HURT + 1, "{sign:?}");
        store.append_and_wait(&Message::new("orders", "next")).unwrap();
        store.close().unwrap();
        assert_eq!(
            world.sync().scan(LogOffset(0)).filter_map(Result::ok).count() as u64,
            HURT + 2,
            "{sign:?}"
        );
    }
}

#[test]
fn a_broker_that_wrote_beyond_the_listed_part_is_refused_where_it_ended_too() {
    for checksum in [Checksum::Body, Checksum::Record] {
        let (world, end, part) = taken_over(Sign::Both, 5, checksum);
        assert!(end > part.to);
        let Err(Error::Corrupt(why)) = Store::open("/store", world.options(SyncFlush)) else {
            panic!("opened")
        };
        assert_eq!(why.at, end, "{checksum:?}: {why}");
    }
}

/// Of one record of its own that is longer than the part there is nothing behind it that would have to be no record.
#[test]
fn a_broker_whose_only_record_reaches_beyond_the_listed_part_is_seen_whatever_its_clock_says() {
    let long = Message::new("orders", "x".repeat(1_000));
    let (world, end, part) = taken_over_at((0, HURT), Sign::Checkpoint, &[long], Checksum::Body);
    assert!(end > part.to);
    let Err(Error::Corrupt(why)) = Store::open("/store", world.options(SyncFlush)) else { panic!("opened") };
    assert_eq!(why.at, end, "{why}");
}

/// Where the last record of the log is the listed one, all that we wrote is older than the broker's, too.
#[test]
fn a_broker_that_cut_our_last_record_is_seen_by_its_time_alone() {
    let short = Message::new("orders", "broker 0");
    let (world, end, part) = taken_over_at((0, OURS - 1), Sign::Time, &[short], Checksum::Body);
    assert!(part.from < end && end < part.to, "{end} lies in {part}");
    let rule = world.options(SyncFlush).on_damage(OnDamage::FirstBroken);
    let store = Store::open("/store", rule).unwrap();
    assert!(store.recovery().foreign_writer, "{}", store.recovery());
    let read = bodies(&store);
    assert_eq!((read.len() as u64, &**read.last().unwrap()), (OURS, "broker 0"));
}

/// Where our own traces end says nothing then: all of the log is looked at, from its front.
#[test]
fn a_log_that_a_broker_had_in_between_is_scanned_from_its_front() {
    let short = Message::new("orders", "broker 0");
    let (world, end, _) = taken_over_at((100, HURT), Sign::Both, &[short], Checksum::Body);
    let rule = world.options(SyncFlush).on_damage(OnDamage::FirstBroken);
    let store = Store::open("/store", rule).unwrap();
    let report = store.recovery();
    assert!(report.foreign_writer && report.log_end == end, "{report}");
    assert_eq!((report.scanned_from, report.records), (LogOffset(0), 100 + HURT + 1), "{report}");
}

#[test]
fn a_broker_that_wrote_more_than_it_had_cut_is_followed() {
    let (world, end, _) = taken_over(Sign::Both, 60, Checksum::Body);
    let store = world.sync();
    let report = store.recovery();
    assert!(report.foreign_writer && report.cuts.is_empty() && store.quarantined().is_empty(), "{report}");
    assert_eq!((report.log_end, bodies(&store).len() as u64), (end, HURT + 60));
    store.close().unwrap();
}

/// A rotten record may look like a broker's: its own checksum is lost, and its body's is right.
#[test]
fn a_listed_record_that_lost_its_checksum_stays_listed() {
    let world = World::new();
    let store = world.sync();
    let stored: Vec<_> = (0..OURS).map(|n| store.append_and_wait(&ours(n)).unwrap()).collect();
    store.close().unwrap();
    let hurt = stored[HURT as usize].position;
    let log = world.disk.read_file(LOG).unwrap();
    let record = &log[hurt.offset.0 as usize..hurt.end().0 as usize];
    let name = record.windows(9).position(|bytes| bytes == b"__CRC32#\x01").unwrap() as u64;
    world.disk.flip(LOG, (hurt.offset.0 + name) * 8).unwrap();
    let store = Store::open("/store", listing(&world)).unwrap();
    assert_eq!(store.recovery().quarantined[0].why.what, Damage::NoRecordChecksum);
    store.close().unwrap();
    for _ in 0..2 {
        let store = world.sync();
        assert_eq!(store.quarantined(), [LogRange { from: hurt.offset, to: hurt.end() }]);
        assert!(!store.recovery().foreign_writer);
        store.close().unwrap();
    }
}

/// Behind each damaged place the rest of the log was read, to see whether a record stands there, and every file of the
/// queues, to see where the next one begins: with a thousand bad places in a long log opening took days, and told nobody.
#[test]
fn many_damaged_parts_cost_a_few_reads_each_however_long_the_log_is() {
    let reads = |hurt: usize| {
        let world = World::new();
        let store = world.sync();
        let stored: Vec<_> = (0..1_600).map(|n| store.append_and_wait(&ours(n)).unwrap()).collect();
        settle(&store);
        store.close().unwrap();
        assert!(world.log_files().len() >= 8, "{:?}", world.log_files());
        for (n, stored) in stored.iter().step_by(20).take(hurt).enumerate() {
            let (at, base) = (stored.position.offset.0, stored.position.offset.0 / SEGMENT * SEGMENT);
            // By turns in the body, and in the length, where only a queue entry tells the record's end.
            let byte = if n % 2 == 0 { 100 } else { 2 };
            world.disk.flip(format!("/store/commitlog/{base:020}"), (at - base + byte) * 8).unwrap();
        }
        let before = world.disk.operations_of(OpKind::Read);
        let store = Store::open("/store", listing(&world)).unwrap();
        assert_eq!(store.quarantined().len(), hurt);
        world.disk.operations_of(OpKind::Read) - before
    };
    let (none, many) = (reads(0), reads(60));
    assert!(many - none <= 12 * 60, "{none} reads of a sound log, {many} with 60 bad records");
}
