//! Readers that retention overtakes, at every call that they make to the disk; and what opening does when a sweep was
//! cut short.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;

use super::meddler::Meddler;
use super::*;
use crate::disk::sim::{Aim, Fault, FaultKind, Survivors};
use crate::store::reader::Bound::{First, Last};
use crate::{Fetch, Filter, Status};

/// Messages in the store, in three segments and a bit.
const MESSAGES: u64 = 100;
/// When the first of them was stored, in ms; one follows the other by a millisecond.
const START_MS: i64 = 1_000_000;

/// A store with messages that carry a key each, closed.
fn filled() -> SimDisk {
    let (disk, clock) = (SimDisk::new(), Arc::new(HandClock::new(Timestamp(START_MS))));
    let store = open(&disk, &clock);
    for n in 0..MESSAGES {
        let message = Message::new("t", vec![b'x'; 1_500]).key("k");
        let queue = u32::from(n % 10 == 0);
        store.append(&message.queue(queue)).unwrap().forget();
        clock.turn(std::time::Duration::from_millis(1));
    }
    while store.step() {}
    store.close().unwrap();
    disk
}

fn open_over(disk: impl Disk + 'static) -> Store {
    let clock = Arc::new(HandClock::new(Timestamp(START_MS + 10_000)));
    let options = Options::new().disk(disk).clock(clock).segment_bytes(SEGMENT).by_hand();
    let options = options.index_slots(7).index_entries(50).queue_segment_entries(PER_FILE);
    Store::open("/store", options.flush(AsyncFlush::default())).unwrap()
}

/// The base of the last segment: where the log begins after a sweep of all it can do without.
fn new_first(store: &Store) -> LogOffset {
    store.inner.log.segments().last().unwrap().base()
}

/// A whole sweep: the log's list, its files, and what is derived.
fn sweep(store: &Store, disk: &SimDisk) {
    remove_segments(store, disk, new_first(store));
    store.inner.recorder.retire(&store.inner.log).unwrap();
}

/// The first part of a sweep: said in the mark, out of the log's list, and the files gone.
fn remove_segments(store: &Store, disk: &SimDisk, first: LogOffset) {
    let log = &store.inner.log;
    store.inner.keeper.say_first(log, first).unwrap();
    for segment in log.segments().forget_before(first) {
        disk.remove(segment.path()).unwrap();
    }
}

/// The queue offsets that are left in queue 0.
fn left(store: &Store) -> RangeInclusive<u64> {
    let first = new_first(store);
    let records = store.scan(first).map(Result::unwrap).filter(|record| record.queue_id() == 0);
    let left: Vec<_> = records.map(|record| record.queue_offset.0).collect();
    left[0]..=*left.last().unwrap()
}

/// Runs `read` over a store that is swept before its first call to the disk, its second, and so on, until it makes
/// no more; each time with nothing open yet. Says how many calls that were.
fn at_every_call(read: impl Fn(&Store, RangeInclusive<u64>)) -> u64 {
    let base = filled();
    let kept = left(&open_over(base.kill()));
    for nth in 0.. {
        let disk = base.kill();
        let meddler = Meddler::new(&disk);
        let store = open_over(meddler.clone());
        let sweeping = store.clone();
        meddler.before(nth, move || sweep(&sweeping, &disk));
        read(&store, kept.clone());
        if meddler.give_up() {
            return nth;
        }
    }
    0
}

fn is_told(error: &Error, kept: &RangeInclusive<u64>, asked: u64) -> bool {
    let next = kept.end() + 1;
    matches!(error, Error::OutOfRange { asked: a, first, next: n } if *a == asked && first == kept.start() && *n == next)
}

#[test]
fn an_iterator_gives_its_messages_or_says_where_to_begin_anew() {
    let calls = at_every_call(|store, kept| {
        let mut next = 0;
        for record in store.queue("t", 0).read_from(QueueOffset(0)) {
            match record {
                Ok(record) => assert_eq!(record.queue_offset.0, next),
                Err(error) => {
                    assert!(is_told(&error, &kept, next), "{next}: {error}");
                    next = *kept.start();
                    break;
                }
            }
            next += 1;
        }
        let rest = store.queue("t", 0).read_from(QueueOffset(next));
        assert_eq!(rest.map(Result::unwrap).last().map_or(next - 1, |r| r.queue_offset.0), *kept.end());
    });
    assert!(calls > 50, "{calls}");
}

#[test]
fn a_pull_never_passes_over_what_went_meanwhile() {
    let wanted = |from| Fetch::from(QueueOffset(from)).max_count(7);
    let calls = at_every_call(|store, kept| {
        for raw in [false, true] {
            let (mut next, mut expected) = (0, 0);
            loop {
                let queue = store.queue("t", 0);
                let (status, count, to, min) = if raw {
                    let batch = queue.raw(&wanted(next)).unwrap();
                    let bytes: usize = batch.pieces.iter().map(|piece| piece.bytes.len()).sum();
                    assert_eq!(bytes as u64, batch.bytes);
                    (batch.status, u64::from(batch.count), batch.next.0, batch.min.0)
                } else {
                    let batch = queue.fetch(&wanted(next)).unwrap();
                    assert_eq!(
                        offsets(&batch.records),
                        (next..next + batch.records.len() as u64).collect::<Vec<_>>()
                    );
                    (batch.status, batch.records.len() as u64, batch.next.0, batch.min.0)
                };
                match status {
                    Status::Found => assert_eq!(to, next + count),
                    Status::BeforeStart => {
                        assert_eq!((to, min, count), (*kept.start(), to, 0));
                        expected = *kept.start();
                    }
                    Status::AtEnd => break,
                    other => panic!("{other:?} at {next}"),
                }
                expected += count;
                assert_eq!(to, expected);
                next = to;
            }
            assert_eq!(next, kept.end() + 1);
        }
    });
    assert!(calls > 90, "{calls}");
}

#[test]
fn one_message_is_there_or_out_of_range() {
    for asked in [0, 7, 29, 80] {
        let calls = at_every_call(|store, kept| {
            match store.queue("t", 0).record_at(QueueOffset(asked)) {
                Ok(record) => assert_eq!(record.queue_offset.0, asked),
                Err(error) => assert!(is_told(&error, &kept, asked), "{error}"),
            }
            let wanted = Fetch::from(QueueOffset(asked)).max_count(1).filter(Filter::by(|_| true));
            let batch = store.queue("t", 0).fetch(&wanted).unwrap();
            let expected = batch.records.first().map_or(Status::BeforeStart, |_| Status::Found);
            assert_eq!(batch.status, expected);
        });
        assert!(calls > 3, "{calls}");
    }
}

#[test]
fn a_look_up_by_time_answers_what_is_or_what_was() {
    for (ms, bound) in [(0, First), (5, First), (90, First), (0, Last), (5, Last), (90, Last), (9_999, First)]
    {
        let time = Timestamp(START_MS + ms);
        let store = open_over(filled());
        let was = store.queue("t", 0).offset_at_time(time, bound).unwrap().0;
        let calls = at_every_call(|store, kept| {
            for _ in 0..2 {
                let at = store.queue("t", 0).offset_at_time(time, bound).unwrap().0;
                let is_swept = store.inner.log.first() > LogOffset::ZERO;
                let is = was.max(*kept.start());
                assert!(at == is || (!is_swept && at == was), "{ms} {bound:?}: {at}, not {is} nor {was}");
            }
        });
        assert!(calls > 10, "{calls}");
    }
}

#[test]
fn a_look_up_by_key_gives_what_is_left_without_a_word_about_the_rest() {
    let calls = at_every_call(|store, _| {
        let found: Vec<_> = store.find("t", "k").at_most(1_000).map(|r| r.unwrap().position.offset).collect();
        let left: Vec<_> = store.scan(new_first(store)).map(|r| r.unwrap().position.offset).collect();
        assert!(found.is_sorted_by(|a, b| a > b));
        assert!(found.iter().rev().copied().skip(found.len() - left.len()).eq(left));
    });
    assert!(calls > 100, "{calls}");
}

#[test]
fn a_scan_and_single_records_of_the_log_are_there_or_out_of_range() {
    let calls = at_every_call(|store, _| {
        let first = new_first(store);
        let out = |error: &Error, at: LogOffset| matches!(error, Error::OutOfRange { asked, first: f, .. } if *asked == at.0 && *f == first.0);
        let mut scan = store.scan(LogOffset::ZERO);
        let mut last = None;
        loop {
            let at = scan.position();
            match scan.next() {
                Some(Ok(record)) => last = Some(record),
                Some(Err(error)) => break assert!(out(&error, scan.position()) && at < first, "{error}"),
                None => break assert_eq!(last.unwrap().position.end(), store.marks().visible),
            }
        }
        for at in [0, SEGMENT, SEGMENT * 2].map(LogOffset) {
            let looks =
                [store.record_at(at).map(|r| r.position.offset), store.raw(at, 100).map(|raw| raw.offset)];
            for look in looks {
                match look {
                    Ok(found) => assert_eq!(found, at),
                    Err(error) => assert!(out(&error, at), "{error}"),
                }
            }
        }
    });
    assert!(calls > 5, "{calls}");
}

#[test]
fn the_log_s_first_byte_is_no_other_record_and_what_is_held_stays() {
    let disk = filled();
    let store = open_over(disk.clone());
    let held = store.queue("t", 0).record_at(QueueOffset(0)).unwrap();
    let text = held.body().to_vec();
    sweep(&store, &disk);
    // RocketMQ answers with the oldest record that there is (spec H18).
    let error = store.record_at(LogOffset::ZERO).unwrap_err();
    assert!(
        matches!(error, Error::OutOfRange { asked: 0, first, .. } if first == new_first(&store).0),
        "{error}"
    );
    assert!(store.scan(LogOffset::ZERO).next().unwrap().is_err());
    assert_eq!(held.body().to_vec(), text);
}

/// What must hold when a store was swept, or will be by its opening.
fn check_swept(store: &Store, disk: &SimDisk, kept: &RangeInclusive<u64>) {
    assert!(!store.recovery().rebuilt && store.recovery().queues_moved_back.is_empty());
    let queue = store.queue("t", 0);
    assert_eq!((queue.min().unwrap().0, queue.max().0), (*kept.start(), kept.end() + 1));
    assert!(
        queue.read_from(queue.min().unwrap()).map(Result::unwrap).map(|r| r.queue_offset.0).eq(kept.clone())
    );
    assert!(is_told(&queue.record_at(QueueOffset(0)).unwrap_err(), kept, 0));
    let survey = QueueSurvey::of(disk, Path::new("/store/consumequeue")).unwrap();
    let per_file = u64::from(PER_FILE);
    for ((_, id), bases) in &survey.queues {
        let min = store.queue("t", *id).min().unwrap().0;
        assert_eq!(bases[0].0 / per_file, min / per_file, "no file before the front");
        assert!(bases.windows(2).all(|pair| pair[0].0 + per_file == pair[1].0), "no hole");
    }
    let files: Vec<_> =
        disk.files().into_iter().filter(|(path, _)| path.starts_with("/store/index")).collect();
    let in_log = store.scan(store.marks().first).count();
    assert!(files.len() <= in_log / 49 + 2, "{} index files for {in_log} records", files.len());
    assert_eq!(store.find("t", "k").at_most(1_000).map(Result::unwrap).count(), in_log);
}

#[test]
fn a_sweep_cut_between_segments_and_queues_is_finished_at_opening() {
    let disk = filled();
    let kept = left(&open_over(disk.kill()));
    let store = open_over(disk.clone());
    let first = new_first(&store);
    store.inner.keeper.say_first(&store.inner.log, first).unwrap();
    store.close().unwrap();
    for base in (0..first.0).step_by(usize::try_from(SEGMENT).unwrap()) {
        disk.remove(Path::new(&format!("/store/commitlog/{base:020}"))).unwrap();
    }
    let store = open_over(disk.clone());
    check_swept(&store, &disk, &kept);
    let ack = store.append(&Message::new("t", "next")).unwrap();
    assert_eq!(ack.queue_offset().0, kept.end() + 1);
    store.close().unwrap();
    assert!(!open_over(disk.clone()).recovery().rebuilt);
}

#[test]
fn a_power_cut_anywhere_in_a_sweep_leaves_a_store_that_finishes_it() {
    let disk = filled();
    let kept = left(&open_over(disk.kill()));
    let store = open_over(disk.clone());
    remove_segments(&store, &disk, new_first(&store));
    disk.sync_dir(Path::new("/store/commitlog")).unwrap();
    disk.start_recording();
    store.inner.recorder.retire(&store.inner.log).unwrap();
    check_swept(&store, &disk, &kept);
    let mut walk = disk.replay();
    loop {
        for (seed, model) in (walk.position() as u64..).zip(Survivors::ALL) {
            let after = walk.power_cut_within(seed, model);
            check_swept(&open_over(after.clone()), &after, &kept);
        }
        if walk.step().is_none() {
            break;
        }
    }
    assert!(walk.position() > 20, "{}", walk.position());
}

#[test]
fn a_call_that_fails_in_a_sweep_is_told_and_the_next_one_goes_on() {
    let base = filled();
    let kept = left(&open_over(base.kill()));
    for nth in 1.. {
        let disk = base.kill();
        let store = open_over(disk.clone());
        remove_segments(&store, &disk, new_first(&store));
        disk.fail_at_aimed(Aim::anything(), nth, Fault::once(FaultKind::Eio));
        let swept = store.inner.recorder.retire(&store.inner.log);
        let fired = disk.faults_fired();
        disk.clear_faults();
        if fired == 0 {
            swept.unwrap();
            assert!(nth > 30, "{nth}");
            break;
        }
        // A half-made file of our own that could not be removed is no failure of the sweep.
        let error = swept.unwrap_err();
        if !matches!(error, Error::Failed(_)) {
            store.inner.recorder.retire(&store.inner.log).unwrap();
            check_swept(&store, &disk, &kept);
        }
        drop(store);
        let again = open_over(disk.clone());
        check_swept(&again, &disk, &kept);
    }
}

#[test]
fn a_queue_whose_records_have_all_gone_goes_on_with_its_numbers() {
    let disk = filled();
    let store = open_over(disk.clone());
    store.append(&Message::new("old", "text").queue(5)).unwrap().forget();
    for _ in 0..200 {
        store.append(&Message::new("t", vec![b'y'; 1_000])).unwrap().forget();
    }
    while store.step() {}
    sweep(&store, &disk);
    let check = |store: &Store| {
        let old = store.queue("old", 5);
        assert_eq!((old.min().unwrap().0, old.max().0), (1, 1));
        let error = old.record_at(QueueOffset(0)).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { asked: 0, first: 1, next: 1 }), "{error}");
        let batch = old.fetch(&Fetch::from(QueueOffset(0))).unwrap();
        assert_eq!((batch.status, batch.next.0), (Status::BeforeStart, 1));
        assert_eq!(old.offset_at_time(Timestamp(0), First).unwrap().0, 1);
    };
    check(&store);
    store.close().unwrap();
    let store = open_over(disk.clone());
    check(&store);
    assert_eq!(store.append(&Message::new("old", "more").queue(5)).unwrap().queue_offset().0, 1);
    store.close().unwrap();
}

#[test]
fn nobody_waits_while_files_are_removed() {
    let disk = filled();
    let meddler = Meddler::new(&disk);
    let store = open_over(meddler.clone());
    remove_segments(&store, &disk, new_first(&store));
    let (other, removals) = (store.clone(), Arc::new(AtomicU64::new(0)));
    let counted = Arc::clone(&removals);
    meddler.at_removal(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        let (store, (done, told)) = (other.clone(), channel());
        // Another thread: whoever holds a lock here would wait for it.
        std::thread::spawn(move || {
            let ack = store.append(&Message::new("t", "meanwhile").key("k")).unwrap();
            while store.inner.sources.dispatcher.step().unwrap() {}
            let queue = store.queue("t", 0);
            let read = queue.read_from(queue.min().unwrap()).map(Result::unwrap).last().unwrap();
            assert_eq!(read.queue_offset, ack.queue_offset());
            assert_eq!(store.find("t", "k").next().unwrap().unwrap().queue_offset, ack.queue_offset());
            let _ = store.queue("new", 7).wait(QueueOffset(0)).is_here();
            done.send(()).unwrap();
        });
        told.recv_timeout(std::time::Duration::from_secs(60)).expect("somebody waits for a removal");
    });
    store.inner.recorder.retire(&store.inner.log).unwrap();
    assert!(removals.load(Ordering::Relaxed) > 5);
}

#[test]
fn a_dropped_topic_is_forgotten_when_nothing_is_left_of_it() {
    let (disk, clock) = (SimDisk::new(), Arc::new(HandClock::new(Timestamp(START_MS))));
    let store = open(&disk, &clock);
    let fill = |topic: &str| {
        for _ in 0..50 {
            store.append(&Message::new(topic, vec![b'x'; 1_500]).key("k")).unwrap().forget();
        }
        while store.step() {}
    };
    fill("old");
    store.drop_topic("old").unwrap();
    fill("t");
    store.drop_topic("t").unwrap();
    fill("u");
    let dropped = || store.inner.recorder.dispatcher().derived().dropped().into_keys().collect::<Vec<_>>();
    assert_eq!(dropped(), [b"old".to_vec(), b"t".to_vec()]);
    let first = LogOffset(SEGMENT);
    for (first, left) in [(first, 2), (LogOffset(2 * SEGMENT), 1)] {
        remove_segments(&store, &disk, first);
        store.inner.recorder.retire(&store.inner.log).unwrap();
        assert_eq!(dropped().len(), left);
        assert_eq!(store.find("t", "k").count(), 0);
        assert_eq!(store.queue("t", 0).max(), QueueOffset(50));
    }
    store.close().unwrap();
    let store = open(&disk, &clock);
    assert!(!store.recovery().rebuilt);
    assert_eq!(store.queue("old", 0).max(), QueueOffset(50));
    assert_eq!(store.append(&Message::new("old", "more")).unwrap().queue_offset(), QueueOffset(50));
}
