//! Looking into a store without touching it: what is told of sound, running, killed and damaged ones.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sawlog::clock::Timestamp;
use sawlog::disk::sim::SimDisk;
use sawlog::disk::{Disk, Holder, OsDisk};
use sawlog::inspect::{
    Fault, FaultKind, Holds, Look, Opening, Reader, Told, Verification, VerifyOptions, WriterState,
};
use sawlog::{Bound, DelayLevels, Error, LogOffset, Message, QueueOffset, Record, Store};

use crate::watched::Watched;
use crate::world::*;

fn look(disk: &SimDisk) -> Look {
    Look::at("/store").disk(disk.clone())
}

fn verify(look: &Look) -> (Verification, Vec<Fault>) {
    let mut faults = Vec::new();
    let done = look.verify(&VerifyOptions::new().threads(2), |told| {
        if let Told::Fault(fault) = told {
            faults.push(fault.clone());
        }
        ControlFlow::Continue(())
    });
    (done.unwrap(), faults)
}

/// The kinds of damage that are found, each once.
fn kinds(disk: &SimDisk) -> Vec<FaultKind> {
    let mut kinds: Vec<_> = verify(&look(disk)).1.iter().map(|fault| fault.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

fn message(n: u64) -> Message {
    let topic = ["orders", "payments"][(n % 2) as usize];
    let body = format!("{n:0400}");
    Message::new(topic, body)
        .queue((n % 3) as u32)
        .key(&format!("key-{n}"))
        .tag("vip")
        .unique_key(&format!("id-{n}"))
}

/// Some hundred messages over several segments and queue files.
fn filled(world: &World, count: u64) -> Store {
    let store = world.sync();
    for n in 0..count {
        world.clock.turn(std::time::Duration::from_millis(10));
        store.append(&message(n)).unwrap().forget();
    }
    store.flush().unwrap();
    settle(&store);
    store
}

fn closed(count: u64) -> World {
    let world = World::new();
    filled(&world, count).close().unwrap();
    world
}

fn bodies_of(records: impl Iterator<Item = sawlog::Result<Record>>) -> Vec<u64> {
    records.map(|r| std::str::from_utf8(r.unwrap().body()).unwrap().parse().unwrap()).collect()
}

#[test]
fn a_closed_store_is_told_as_it_is_and_verified_as_sound() {
    let world = closed(500);
    let before = world.disk.fingerprint();
    let survey = look(&world.disk).survey().unwrap();
    assert_eq!(survey.holder, Holder::Nobody);
    assert_eq!(survey.segment_bytes, Some(SEGMENT));
    assert!(survey.segments.len() > 3 && survey.missing.is_empty());
    assert!(survey.segments.iter().all(|s| matches!(s.holds, Holds::Records { first_stored: Some(_) })));
    let queues: Vec<_> = survey.queues.iter().map(|q| (q.topic.as_str(), q.id, q.min.0, q.max.0)).collect();
    let each = |topic, id, max| (topic, id, 0, max);
    let (orders, payments) = ("orders", "payments");
    assert_eq!(
        queues,
        [
            each(orders, 0, 84),
            each(orders, 1, 83),
            each(orders, 2, 83),
            each(payments, 0, 83),
            each(payments, 1, 84),
            each(payments, 2, 83)
        ]
    );
    assert_eq!(survey.queue_segment_entries, Some(32));
    let index = survey.index.as_ref().unwrap();
    assert_eq!(index.geometry, Some((64, 256)));
    assert_eq!(index.files.iter().map(|file| file.keys.unwrap()).sum::<u32>(), 1000);
    let mark = survey.mark.as_ref().unwrap();
    assert_eq!((mark.state, mark.same_boot), (WriterState::Closed, Some(true)));
    let Opening::Opens(plan) = &survey.opening else { panic!("{}", survey.opening) };
    assert!(plan.clean_shutdown && plan.cuts.is_empty() && plan.log_end == mark.durable);
    assert_eq!(plan.derive_from, Some(plan.log_end));
    let text = survey.to_string();
    for part in ["held by nobody", "orders/0: 0 to 84", "closed in order", "key index"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let (done, faults) = verify(&look(&world.disk));
    assert_eq!(faults, []);
    assert_eq!((done.records, done.entries, done.keys, done.behind), (500, 500, 1000, 0));
    assert!(done.complete && done.log_end == Some(plan.log_end) && done.to_string().contains("sound"));
    assert_eq!(world.disk.fingerprint(), before);
}

#[test]
fn what_is_no_store_is_refused_by_its_name() {
    let disk = SimDisk::new();
    disk.create_dirs(Path::new("/empty")).unwrap();
    disk.write_file("/file", "x").unwrap();
    for path in ["/empty", "/file", "/nowhere"] {
        let look = Look::at(path).disk(disk.clone());
        for refused in [look.survey().map(drop), look.reader().map(drop)] {
            assert!(
                matches!(&refused, Err(Error::Foreign { path: p, .. }) if p == Path::new(path)),
                "{refused:?}"
            );
        }
    }
    let world = closed(10);
    world.disk.write_file("/store/batchconsumequeue/t/0/00000000000000000000", vec![0; 46]).unwrap();
    assert!(matches!(look(&world.disk).reader(), Err(Error::Foreign { .. })));
    let survey = look(&world.disk).survey().unwrap();
    assert!(matches!(survey.opening, Opening::Refused { why: Error::Foreign { .. }, .. }));
}

#[test]
fn a_running_store_is_followed_by_scan_queue_key_and_time() {
    let world = World::new();
    let store = filled(&world, 100);
    let survey = look(&world.disk).survey().unwrap();
    assert!(matches!((survey.holder, &survey.opening), (Holder::Held { .. }, Opening::Held)));
    let reader = look(&world.disk).reader().unwrap();
    let mut scan = reader.scan(reader.first().unwrap());
    let mut queue = reader.queue("payments", 1).read_from(QueueOffset(5));
    assert_eq!(bodies_of(scan.by_ref()), (0..100).collect::<Vec<_>>());
    let of_queue = |from: u64, to: u64| (from..to).filter(|n| n % 2 == 1 && n % 3 == 1).collect::<Vec<_>>();
    assert_eq!(bodies_of(queue.by_ref()), of_queue(31, 100));
    // Much comes, over several segments and queue files, and is seen by whoever asks again.
    for round in 0..5_u64 {
        for n in round * 100 + 100..round * 100 + 200 {
            world.clock.turn(std::time::Duration::from_millis(10));
            store.append(&message(n)).unwrap().forget();
        }
        store.flush().unwrap();
        let (from, to) = (round * 100 + 100, round * 100 + 200);
        assert_eq!(bodies_of(scan.by_ref()), (from..to).collect::<Vec<_>>());
        assert_eq!(bodies_of(queue.by_ref()), of_queue(from, to));
        assert_eq!(scan.next().map(drop), None);
        // Whether queues and index are in files yet or not.
        for settled in [false, true] {
            if settled {
                settle(&store);
            }
            let max = reader.queue("payments", 1).max().unwrap();
            assert_eq!(max.0 as usize, of_queue(0, to).len());
            for n in [0, from, to - 1] {
                let topic = ["orders", "payments"][(n % 2) as usize];
                let found = bodies_of(reader.find(topic, &format!("key-{n}")));
                assert_eq!(found, [n], "{settled}");
                assert_eq!(bodies_of(reader.find(topic, &format!("id-{n}"))), [n]);
                let stored = Timestamp(START.0 + 10 * (n as i64 + 1));
                let queue = reader.queue(topic, (n % 3) as u32);
                let at = queue.offset_at_time(stored, Bound::First).unwrap();
                assert_eq!(bodies_of(queue.read_from(at).take(1)), [n], "{settled}");
                assert_eq!(queue.offset_at_time(stored, Bound::Last).unwrap(), at);
            }
            let queue = reader.queue("payments", 1);
            assert_eq!(queue.offset_at_time(Timestamp(i64::MAX), Bound::First).unwrap(), max);
            assert_eq!(queue.offset_at_time(Timestamp(i64::MAX), Bound::Last).unwrap().0, max.0 - 1);
            let (latest, _) = reader.latest("orders", None, 4).unwrap();
            let expected: Vec<_> = (0..to).filter(|n| n % 2 == 0).rev().take(4).collect();
            assert_eq!(
                latest
                    .iter()
                    .rev()
                    .map(Ok::<_, Error>)
                    .map(|r| { std::str::from_utf8(r.unwrap().body()).unwrap().parse::<u64>().unwrap() })
                    .collect::<Vec<_>>(),
                expected
            );
        }
        let (done, faults) = verify(&look(&world.disk));
        assert_eq!(faults, [], "{done}");
    }
    store.close().unwrap();
    assert_eq!(scan.next().map(drop), None);
    assert_eq!(reader.topics().unwrap(), ["orders", "payments"]);
    assert_eq!(reader.queues_of("orders").unwrap(), [0, 1, 2]);
}

#[test]
fn a_killed_store_is_read_to_its_end_though_its_files_lag() {
    let world = World::new();
    let store = world.sync();
    for n in 0..300 {
        store.append(&message(n)).unwrap().forget();
    }
    store.flush().unwrap();
    let disk = world.disk.kill();
    let reader = look(&disk).reader().unwrap();
    assert_eq!(bodies_of(reader.scan(LogOffset(0))).len(), 300);
    let mut all = Vec::new();
    for topic in ["orders", "payments"] {
        for id in 0..3 {
            let queue = reader.queue(topic, id);
            let read = bodies_of(queue.read_from(QueueOffset(0)));
            assert_eq!((queue.min().unwrap().0, queue.max().unwrap().0), (0, read.len() as u64));
            all.extend(read);
        }
    }
    all.sort_unstable();
    assert_eq!(all, (0..300).collect::<Vec<_>>());
    assert_eq!(bodies_of(reader.find("orders", "key-298")), [298]);
    let (done, faults) = verify(&look(&disk));
    assert_eq!((done.damages(), done.records), (0, 300), "{faults:?}");
    assert!(done.behind > 0 && faults.iter().any(|fault| fault.kind == FaultKind::Behind));
}

#[test]
fn a_torn_tail_is_no_damage_and_rot_is_located_with_its_message() {
    let world = World::new();
    let store = filled(&world, 200);
    let last = all(&store).pop().unwrap();
    let disk = world.disk.kill();
    let path = |at: LogOffset| format!("/store/commitlog/{:020}", at.0 / SEGMENT * SEGMENT);
    // Above the durable mark, half of a record.
    let end = last.position.end();
    disk.overwrite(path(end), end.0 % SEGMENT, &[0, 0, 1, 0, 0xDA, 0xA3, 0x20, 0xA7, 1, 2, 3]).unwrap();
    let (done, faults) = verify(&look(&disk));
    assert_eq!((done.damages(), done.log_end), (0, Some(end)), "{faults:?}");
    let tail = faults.iter().find(|fault| fault.kind == FaultKind::TornTail).unwrap();
    assert_eq!((tail.log, tail.log_to), (Some(end), Some(end.plus(11))));
    let Opening::Opens(plan) = look(&disk).survey().unwrap().opening else { panic!() };
    assert_eq!((plan.cuts[0].from, plan.cuts[0].to, plan.cuts[0].damage), (end, end.plus(11), false));
    // A reader stops before it without a word; it may become whole.
    assert_eq!(look(&disk).reader().unwrap().scan(LogOffset(0)).filter(Result::is_ok).count(), 200);

    drop(store);
    let world = closed(200);
    world.disk.flip(path(LogOffset(0)), 8 * 100).unwrap();
    let (done, faults) = verify(&look(&world.disk));
    let [rot] = &faults[..] else { panic!("{faults:#?}") };
    assert_eq!((rot.kind, rot.log, rot.at, done.records), (FaultKind::Rot, Some(LogOffset(0)), 0, 199));
    let message = rot.message.as_ref().unwrap();
    assert_eq!((message.topic.as_str(), message.queue_id, message.queue_offset.0), ("orders", 0, 0));
    assert!(rot.to_string().contains("orders/0 offset 0"), "{rot}");
    let mut scan = look(&world.disk).reader().unwrap().scan(LogOffset(0));
    assert!(matches!(scan.next(), Some(Err(Error::Corrupt(place))) if place.at == LogOffset(0)));
}

#[test]
fn every_kind_of_damage_is_told_by_its_name() {
    use FaultKind::*;
    let queue = "/store/consumequeue/orders/0/00000000000000000000";
    let index = |world: &World| {
        let files = world.disk.files().into_iter().map(|(path, _)| path);
        files.filter(|path| path.starts_with("/store/index")).min().unwrap()
    };
    let damaged = |damage: &dyn Fn(&World)| {
        let world = closed(500);
        damage(&world);
        let before = world.disk.fingerprint();
        let kinds = kinds(&world.disk);
        assert_eq!(world.disk.fingerprint(), before);
        kinds
    };
    let remove = |world: &World, path: &str| world.disk.remove(Path::new(path)).unwrap();
    assert_eq!(damaged(&|_| {}), []);
    assert_eq!(damaged(&|w| w.disk.overwrite(queue, 40, &[0; 20]).unwrap()), [LostEntry]);
    assert_eq!(damaged(&|w| w.disk.flip(queue, 40 * 8 + 60).unwrap()), [StaleEntry]);
    // A tag, and a length.
    assert_eq!(damaged(&|w| w.disk.flip(queue, 59 * 8).unwrap()), [StaleEntry]);
    assert_eq!(damaged(&|w| w.disk.flip(queue, 51 * 8).unwrap()), [StaleEntry]);
    assert_eq!(damaged(&|w| remove(w, queue)), [LostEntry, MissingFile]);
    assert_eq!(damaged(&|w| remove(w, "/store/commitlog/00000000000000065536")), [MissingSegment]);
    let last = |w: &World| w.log_files().pop().unwrap().0;
    assert_eq!(
        damaged(&|w| remove(w, &format!("/store/commitlog/{}", last(w)))),
        [EndsEarly, StaleEntry, StaleKey]
    );
    assert_eq!(damaged(&|w| w.disk.tear("/store/commitlog/00000000000000065536", 3).unwrap()), [Rot]);
    let two_records_gone = |w: &World| {
        let scan = look(&w.disk).reader().unwrap().scan(LogOffset(SEGMENT));
        let end = scan.take(2).map(|r| r.unwrap().position.end()).last().unwrap();
        w.disk
            .overwrite(
                "/store/commitlog/00000000000000065536",
                0,
                &vec![0; end.since(LogOffset(SEGMENT)) as usize],
            )
            .unwrap();
    };
    assert_eq!(damaged(&two_records_gone), [Hole]);
    assert_eq!(damaged(&|w| w.disk.write_file("/store/commitlog/notes", "x").unwrap()), [ForeignFile]);
    assert_eq!(damaged(&|w| w.disk.write_file(format!("{queue}x"), "x").unwrap()), [ForeignFile]);
    assert_eq!(damaged(&|w| w.disk.flip("/store/sawlog/queues", 99).unwrap()), [SideFile]);
    assert_eq!(damaged(&|w| w.disk.flip("/store/sawlog/ranges", 99).unwrap()), [SideFile]);
    // A slot, a key's hash, a key's place.
    assert_eq!(damaged(&|w| w.disk.overwrite(index(w), 40, &[0; 4]).unwrap()), [BrokenIndex]);
    let entries = 40 + 64 * 4;
    let hash = damaged(&|w| w.disk.flip(index(w), (entries + 5 * 20 + 3) * 8).unwrap());
    assert_eq!(hash, [LostKey, StaleKey, BrokenIndex]);
    let place = damaged(&|w| w.disk.flip(index(w), (entries + 5 * 20 + 10) * 8).unwrap());
    assert!(place.contains(&StaleKey), "{place:?}");
    let gone = damaged(&|w| w.disk.remove(&index(w)).unwrap());
    // One record has its first key in the file that is gone, and its second in the next.
    assert_eq!(gone, [LostKey, MissingFile]);
}

#[test]
fn faults_side_by_side_are_one_and_say_how_many() {
    let world = closed(500);
    let queue = "/store/consumequeue/orders/0/00000000000000000000";
    world.disk.overwrite(queue, 20 * 10, &[0; 20 * 7]).unwrap();
    let (_, faults) = verify(&look(&world.disk));
    let lost: u64 = faults.iter().map(|fault| fault.count).sum();
    assert_eq!(lost, 7);
    // One for each segment that holds some of them.
    assert!(faults.len() <= 2, "{faults:#?}");
    let first = faults[0].message.as_ref().unwrap();
    assert_eq!((first.queue_offset.0, faults[0].at), (10, 200));
    assert!(faults[0].path == Path::new(queue) && faults[0].kind.meaning().contains("rebuild_derived"));
}

#[test]
fn a_verification_that_is_broken_off_says_where_to_go_on_and_the_parts_make_a_whole() {
    let world = closed(2000);
    world.disk.flip("/store/consumequeue/orders/0/00000000000000000640", 8 * 5).unwrap();
    world.disk.flip("/store/commitlog/00000000000000131072", 8 * 300).unwrap();
    let look = look(&world.disk);
    let (whole, mut expected) = verify(&look);
    let (mut from, mut records, mut rounds) = (LogOffset(0), 0, 0);
    let mut faults: Vec<Fault> = Vec::new();
    loop {
        rounds += 1;
        let mut seen = 0;
        // One thread, broken off at the first tick of each round but the last ones.
        let options = VerifyOptions::new().threads(1).from(from);
        let done = look.verify(&options, |told| match told {
            Told::Fault(fault) => {
                faults.push(fault.clone());
                ControlFlow::Continue(())
            }
            _ => {
                seen += 1;
                if seen == 3 && rounds < 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            }
        });
        let done = done.unwrap();
        records += done.records;
        match done.resume_from {
            None => break assert!(done.complete),
            Some(next) => {
                assert!(!done.complete && next >= from && done.to == next);
                from = next;
            }
        }
    }
    assert!(rounds > 1, "nothing was broken off");
    // What was counted in a segment that was broken off is counted again.
    assert!(records >= whole.records);
    let order = |fault: &Fault| (fault.kind, fault.path.clone(), fault.at);
    faults.sort_by_key(order);
    faults.dedup();
    expected.sort_by_key(order);
    assert_eq!(faults, expected);
}

#[test]
fn java_stores_are_sound_and_no_byte_of_them_changes() {
    for name in
        ["4.9.8/clean", "4.9.8/killed", "5.3.3/plain", "5.3.3/propcrc", "5.3.3/killed", "5.3.3/rebuilt"]
    {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(format!("rocketmq-{name}"));
        let disk = SimDisk::new();
        disk.copy_in(&OsDisk::new(), &data, "/store").unwrap();
        let before = disk.fingerprint();
        let mut here = look(&disk);
        if name.starts_with("4.9.8") {
            here = here.delay_levels(DelayLevels::parse("1s 2s 3s").unwrap());
        }
        let (done, faults) = verify(&here);
        assert_eq!(faults, [], "{name}");
        assert!(done.keys > 0 && done.entries > 0 && done.complete, "{name}: {done}");
        let survey = here.survey().unwrap();
        let (slots, entries) = survey.index.as_ref().unwrap().geometry.expect("seen from the entries");
        assert_eq!((slots, entries), (100, if name.starts_with("4.9.8") { 400 } else { 1000 }), "{name}");
        let Opening::Opens(plan) = &survey.opening else { panic!("{name}: {}", survey.opening) };
        assert!(plan.foreign_writer && plan.clean_shutdown != name.ends_with("killed"), "{name}");
        assert_eq!(plan.records, done.records, "{name}");
        let reader = here.reader().unwrap();
        let scanned: Vec<_> = reader.scan(reader.first().unwrap()).map(Result::unwrap).collect();
        assert_eq!(scanned.len() as u64, done.records, "{name}");
        for record in &scanned {
            let (topic, id) = (record.topic().as_str(), record.queue_id());
            if record.is_queued() {
                assert_eq!(
                    &reader.queue(topic, id).record_at(record.queue_offset).unwrap(),
                    record,
                    "{name}"
                );
            }
        }
        assert_eq!(disk.fingerprint(), before, "{name}");
    }
}

#[test]
fn a_dropped_topic_is_not_missed_and_not_shown() {
    let world = World::new();
    let store = filled(&world, 100);
    store.drop_topic("orders").unwrap();
    store.append(&Message::new("orders", "100").key("key-0")).unwrap().forget();
    store.flush().unwrap();
    settle(&store);
    store.close().unwrap();
    let (done, faults) = verify(&look(&world.disk));
    assert_eq!(faults, [], "{done}");
    let reader = look(&world.disk).reader().unwrap();
    assert_eq!(bodies_of(reader.queue("orders", 0).read_from(QueueOffset(0))), [100]);
    assert_eq!(bodies_of(reader.queue("orders", 1).read_from(QueueOffset(0))), [] as [u64; 0]);
    assert_eq!(bodies_of(reader.find("orders", "key-0")), [100]);
    let (latest, _) = reader.latest("orders", None, 5).unwrap();
    assert_eq!(latest.len(), 1);
    let survey = look(&world.disk).survey().unwrap();
    assert_eq!(survey.snapshot.unwrap().dropped[0].0, "orders");
}

#[test]
fn the_holder_of_a_real_store_is_named_and_asking_takes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), sawlog::Options::new().segment_bytes(SEGMENT)).unwrap();
    store.append_and_wait(&numbered(1)).unwrap();
    for _ in 0..3 {
        let survey = sawlog::inspect::survey(folder.path()).unwrap();
        assert_eq!(survey.holder, Holder::Held { pid: Some(std::process::id()) });
    }
    assert!(matches!(Store::open(folder.path(), sawlog::Options::new()), Err(Error::Locked { .. })));
    let reader = Reader::open(folder.path()).unwrap();
    assert_eq!(bodies_of(reader.scan(reader.first().unwrap())), [1]);
    store.close().unwrap();
    assert_eq!(sawlog::inspect::survey(folder.path()).unwrap().holder, Holder::Nobody);
}

/// Retention moves the log's first byte under a reader: what goes is no fault, what stays is read on.
#[test]
fn what_retention_removes_is_not_missed() {
    let world = World::new();
    let store = filled(&world, 500);
    let reader = look(&world.disk).reader().unwrap();
    let mut early = reader.scan(LogOffset(0));
    let mut late = reader.scan(LogOffset(0));
    assert_eq!(bodies_of(late.by_ref().take(450)).len(), 450);
    assert!(early.next().is_some());
    store.remove_before(LogOffset(2 * SEGMENT)).unwrap();
    settle(&store);
    let first = reader.first().unwrap();
    assert_eq!(first, LogOffset(2 * SEGMENT));
    // A reader that was overtaken in the segment that it holds reads to its end, and is told there.
    assert!(
        matches!(early.find(Result::is_err), Some(Err(Error::OutOfRange { first: f, .. })) if f == first.0)
    );
    assert_eq!(bodies_of(late.by_ref()), (450..500).collect::<Vec<_>>());
    let left = bodies_of(reader.scan(first));
    assert_eq!(*left.last().unwrap(), 499);
    let queue = reader.queue("orders", 0);
    let min = queue.min().unwrap();
    assert!(min.0 > 0 && queue.max().unwrap().0 == 84);
    let of_queue: Vec<_> = left.iter().copied().filter(|n| n % 6 == 0).collect();
    assert_eq!(bodies_of(queue.read_from(QueueOffset(0))), of_queue);
    assert_eq!(bodies_of(reader.find("orders", "key-0")), [] as [u64; 0]);
    assert_eq!(bodies_of(reader.find("orders", "key-498")), [498]);
    for _ in 0..2 {
        let (done, faults) = verify(&look(&world.disk));
        assert_eq!(faults, [], "{done}");
        assert_eq!((done.from, done.records), (first, left.len() as u64));
        if store.failure().is_none() {
            store.clone().close().unwrap();
        }
    }
    // Without its first segment the log begins too late.
    world.disk.remove(Path::new("/store/commitlog/00000000000000131072")).unwrap();
    let survey = look(&world.disk).survey().unwrap();
    assert_eq!(survey.missing, [(first, first.plus(SEGMENT))]);
    assert_eq!(kinds(&world.disk), [FaultKind::MissingSegment]);
}

/// Five messages more for queue 0, in a segment of their own, between others for which segments roll; all in files,
/// which are said to be whole.
fn go_on(world: &World, store: &Store) {
    for round in 0..8 {
        store.append(&sized(40_000).queue(1)).unwrap().forget();
        for n in (0..5).filter(|_| round == 4) {
            store.append(&numbered(n)).unwrap().forget();
        }
        store.flush().unwrap();
        world.clock.turn(Duration::from_secs(2));
        settle(store);
    }
}

/// A reader that knows of the first segment alone, though the writer has gone on `rounds` times since, and does so again
/// upon its `nth` look from now on. The number of its looks so far, too.
fn reader_that_is_overtaken(rounds: u64, nth: u64) -> (Reader, Arc<AtomicU64>) {
    let world = World::new();
    let store = world.sync();
    store.append(&sized(SEGMENT as usize / 2).queue(1)).unwrap().forget();
    store.append(&sized(SEGMENT as usize / 3).queue(1)).unwrap().forget();
    store.flush().unwrap();
    settle(&store);
    let looks = Arc::new(AtomicU64::new(u64::MAX / 2));
    let (seen, world) = (Arc::clone(&looks), Arc::new(world));
    let (writer, its_world) = (store.clone(), Arc::clone(&world));
    let watched = Watched::new(&world.disk, move |_, _| {
        if seen.fetch_add(1, Ordering::SeqCst) == nth {
            go_on(&its_world, &writer);
        }
        Ok(())
    });
    let reader = Look::at("/store").disk(watched.and_reads()).reader().unwrap();
    (0..rounds).for_each(|_| go_on(&world, &store));
    looks.store(0, Ordering::SeqCst);
    (reader, looks)
}

/// What a writer does between two looks of a reader may be seen or not, but never in part. A look at the files, and then
/// one at the log from where the files were whole by then, passed over what had come into files between; and the first
/// message of a queue that had none was looked for twice, and was a later one the second time.
#[test]
fn a_writer_between_any_two_looks_of_a_reader_hides_nothing() {
    for (rounds, what) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)] {
        let mut fired = 0;
        let before = rounds * 5;
        for nth in 0.. {
            let (reader, looks) = reader_that_is_overtaken(rounds, nth);
            let queue = reader.queue("orders", 0);
            match what {
                0 => assert_eq!(queue.min().unwrap(), QueueOffset(0), "{rounds}, look {nth}"),
                1 => {
                    let max = queue.max().unwrap().0;
                    assert!([before, before + 5].contains(&max), "{rounds}, look {nth}: {max}");
                }
                _ => {
                    let (mut records, mut seen) = (queue.read_from(QueueOffset(0)), Vec::new());
                    // Asked again, and once more behind the writer's turn, it has all.
                    for _ in 0..3 {
                        let is_behind = looks.load(Ordering::SeqCst) > nth;
                        seen.extend(records.by_ref().map(|r| r.unwrap().queue_offset.0));
                        if is_behind {
                            assert_eq!(seen.len() as u64, before + 5, "{rounds}, look {nth}: {seen:?}");
                        }
                    }
                    assert!(seen.iter().copied().eq(0..seen.len() as u64), "{rounds}, look {nth}: {seen:?}");
                }
            }
            if looks.load(Ordering::SeqCst) <= nth {
                break;
            }
            fired += 1;
        }
        assert!(fired > 2, "{rounds}, {what}: {fired}");
    }
}
