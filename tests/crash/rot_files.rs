//! Files are lost, cut short, emptied or filled with rubbish: typed refusals, or a store with every record it had.

use std::path::Path;

use sawlog::disk::Disk;
use sawlog::disk::sim::SimDisk;
use sawlog::{Damage, Error, LogOffset, Message, OnDamage, Store};

use crate::support::aged::Aged;
use crate::support::dice::Dice;
use crate::support::expected::{ROOT, SEGMENT_BYTES, segment_path};
use crate::support::oracle::{check_log, open};
use crate::support::workload::{QUEUES, TOPICS, clock, options};

fn aged() -> [Aged; 4] {
    [Aged::closed(0), Aged::closed(1), Aged::killed(2), Aged::killed(3)]
}

fn try_open(disk: &SimDisk, on_damage: OnDamage) -> sawlog::Result<Store> {
    Store::open(ROOT, options(disk, &clock(), true).on_damage(on_damage))
}

/// The bases of all segments with a record.
fn bases(aged: &Aged) -> Vec<u64> {
    (0..aged.log.end().0.div_ceil(SEGMENT_BYTES)).map(|n| n * SEGMENT_BYTES).collect()
}

/// Opens, holds the whole log, and every queue goes on where it ended.
fn goes_on(disk: &SimDisk, aged: &Aged, what: &str) {
    let opened = open(disk, true, &aged.log, aged.log.end()).unwrap_or_else(|why| panic!("{what}: {why}"));
    let next = aged.log.next_offsets();
    for (topic, queue) in TOPICS.iter().flat_map(|t| (0..QUEUES).map(move |q| (*t, q))) {
        let due = next.get(&(topic.to_string(), queue)).copied().unwrap_or(0);
        let ack = opened.store.append(&Message::new(topic, "next").queue(queue)).unwrap();
        assert_eq!(ack.queue_offset().0, due, "{what}: {topic} {queue}");
    }
    opened.store.close().unwrap();
}

#[test]
fn a_lost_last_segment_is_refused_as_a_log_that_ends_early() {
    for aged in [Aged::closed(0), Aged::closed(1)] {
        let disk = aged.copy();
        let last = *bases(&aged).last().unwrap();
        disk.remove(&segment_path(last)).unwrap();
        let Err(Error::Corrupt(why)) = try_open(&disk, OnDamage::Refuse) else { panic!("opened") };
        assert!(matches!(why.what, Damage::EndsEarly { .. } | Damage::MissingSegment), "{why}");
        let store = try_open(&disk, OnDamage::FirstBroken).unwrap();
        assert!(check_log(&store, &aged.log).unwrap() <= LogOffset(last));
    }
}

#[test]
fn a_lost_segment_in_the_middle_is_refused_at_its_place() {
    let mut looked = 0;
    for aged in aged() {
        let bases = bases(&aged);
        for lost in &bases[1..bases.len() - 1] {
            looked += 1;
            let disk = aged.copy();
            disk.remove(&segment_path(*lost)).unwrap();
            let Err(Error::Corrupt(why)) = try_open(&disk, OnDamage::Refuse) else {
                panic!("opened without the segment at {lost} of {bases:?}")
            };
            assert_eq!(why.what, Damage::MissingSegment);
            assert!(why.at.0 <= *lost && *lost - SEGMENT_BYTES < why.at.0, "{why}, lost {lost}");
            let store = try_open(&disk, OnDamage::FirstBroken).unwrap();
            let end = check_log(&store, &aged.log).unwrap();
            assert!(end.0 <= *lost && *lost - SEGMENT_BYTES < end.0, "ends at {end}, lost {lost}");
            // What stood behind the gap is kept whole.
            for base in bases.iter().filter(|base| *base > lost) {
                let cut = store.recovery().cuts.iter().find(|cut| cut.from.0 == *base).expect("a cut");
                let was = aged.disk.read_file(segment_path(*base)).unwrap();
                assert_eq!(disk.read_file(&cut.saved).unwrap(), was);
            }
        }
    }
    assert!(looked >= 3, "only {looked}");
}

#[test]
fn a_segment_of_another_length_is_refused_by_its_name() {
    for aged in aged() {
        for base in bases(&aged) {
            let path = segment_path(base);
            let was = aged.disk.read_file(&path).unwrap();
            let longer = [was.clone(), vec![0; 4096]].concat();
            for bytes in [was[..was.len() - 1].to_vec(), was[..1].to_vec(), was[..4096].to_vec(), longer] {
                let disk = aged.copy();
                let len = bytes.len();
                disk.write_file(&path, bytes).unwrap();
                let before = disk.fingerprint();
                match try_open(&disk, OnDamage::Refuse) {
                    Err(Error::Geometry { .. } | Error::Foreign { .. } | Error::Corrupt(_)) => {}
                    other => panic!("{} with {len} bytes: {other:?}", path.display()),
                }
                assert_eq!(disk.fingerprint(), before);
            }
        }
    }
}

#[test]
fn an_empty_last_file_is_taken_away_as_rocketmq_does_and_one_with_records_was_no_empty_file() {
    for aged in aged() {
        // A file that was being made.
        let disk = aged.copy();
        let names = disk.list(Path::new("/store/commitlog")).unwrap();
        let last = names.iter().rfind(|entry| !entry.is_dir).unwrap();
        let next = last.name.parse::<u64>().unwrap() + SEGMENT_BYTES;
        disk.write_file(segment_path(next), "").unwrap();
        goes_on(&disk, &aged, "an empty next file");

        // The last one with records, emptied: the mark knows better.
        let disk = aged.copy();
        let base = aged.marked.0.saturating_sub(1) / SEGMENT_BYTES * SEGMENT_BYTES;
        for behind in names.iter().filter(|entry| !entry.is_dir) {
            if behind.name.parse::<u64>().unwrap() > base {
                disk.remove(&behind.path).unwrap();
            }
        }
        disk.write_file(segment_path(base), "").unwrap();
        match try_open(&disk, OnDamage::Refuse) {
            Err(Error::Corrupt(why)) => assert!(why.at <= aged.marked, "{why}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn one_bad_slot_of_the_mark_harms_nobody_and_two_are_refused() {
    let mark = "/store/sawlog/mark";
    for aged in aged() {
        for slot in 0..2 {
            let mut dice = Dice::new(slot);
            for case in 0..40 {
                let disk = aged.copy();
                let at = slot * 4096;
                match case {
                    0 => disk.overwrite(mark, at, &[0xFF; 4096]).unwrap(),
                    1 => disk.overwrite(mark, at + 2048, &[0; 2048]).unwrap(),
                    2 => disk.overwrite(mark, at, &[0; 512]).unwrap(),
                    _ => disk.flip(mark, at * 8 + dice.below(100 * 8)).unwrap(),
                }
                let store =
                    try_open(&disk, OnDamage::Refuse).unwrap_or_else(|e| panic!("{slot} {case}: {e}"));
                assert_eq!(check_log(&store, &aged.log).unwrap(), aged.log.end(), "slot {slot}, case {case}");
            }
        }
        let disk = aged.copy();
        disk.flip(mark, 100).unwrap();
        disk.flip(mark, 4096 * 8 + 100).unwrap();
        let before = disk.fingerprint();
        let Err(Error::Corrupt(why)) = try_open(&disk, OnDamage::Refuse) else { panic!("opened") };
        assert_eq!(why.path, Path::new(mark));
        assert_eq!(disk.fingerprint(), before);
        let store = try_open(&disk, OnDamage::FirstBroken).unwrap();
        assert_eq!(check_log(&store, &aged.log).unwrap(), aged.log.end());
        assert_eq!(store.recovery().side_damage.len(), 1);
        store.close().unwrap();
        goes_on(&disk, &aged, "a mark begun anew");
    }
}

/// It is then opened as a store that somebody else wrote: with more suspicion, and nothing lost.
#[test]
fn a_lost_mark_costs_no_record() {
    for aged in aged() {
        let disk = aged.copy();
        disk.remove(Path::new("/store/sawlog/mark")).unwrap();
        let store = try_open(&disk, OnDamage::Refuse).unwrap();
        assert_eq!(check_log(&store, &aged.log).unwrap(), aged.log.end());
        store.close().unwrap();
        goes_on(&disk, &aged, "no mark");
    }
}

#[test]
fn the_queues_file_is_only_a_cache() {
    let queues = Path::new("/store/sawlog/queues");
    for aged in aged() {
        let disk = aged.copy();
        let _ = disk.remove(queues);
        goes_on(&disk, &aged, "queues deleted");
        let Ok(was) = aged.disk.read_file(queues) else { continue };
        let mut dice = Dice::new(3);
        for case in 0..60 {
            let disk = aged.copy();
            match case {
                0 => disk.write_file(queues, "").unwrap(),
                1 => disk.write_file(queues, vec![0xFF; 500]).unwrap(),
                2..20 => {
                    disk.write_file(queues, was[..dice.below(was.len() as u64) as usize].to_vec()).unwrap()
                }
                _ => disk.flip(queues, dice.below(was.len() as u64 * 8)).unwrap(),
            }
            // A version from the future is refused by its name, like every file of ours.
            match try_open(&disk, OnDamage::Refuse) {
                Ok(store) => {
                    assert_eq!(check_log(&store, &aged.log).unwrap(), aged.log.end(), "case {case}");
                    assert_eq!(store.recovery().side_damage.len(), 1, "case {case}");
                    assert!(store.recovery().rebuilt, "case {case}: relied on what nobody vouches for");
                    store.close().unwrap();
                    goes_on(&disk, &aged, &format!("queues damaged, {case}"));
                }
                Err(Error::Foreign { path, .. }) => assert_eq!(path, queues),
                Err(other) => panic!("case {case}: {other}"),
            }
        }
    }
}

/// Deleted, it had the store open as one without record checks, and a flipped bit outside of a body went unseen.
#[test]
fn the_ranges_file_is_refused_when_it_is_lost_or_rotten_and_costs_no_record() {
    let ranges = Path::new("/store/sawlog/ranges");
    for aged in aged() {
        let disk = aged.copy();
        disk.remove(ranges).unwrap();
        let Err(Error::Corrupt(why)) = try_open(&disk, OnDamage::Refuse) else { panic!("opened without it") };
        assert_eq!((&*why.path, why.what), (ranges, Damage::NoRanges));
        let store = try_open(&disk, OnDamage::FirstBroken).unwrap();
        assert_eq!(check_log(&store, &aged.log).unwrap(), aged.log.end());
        assert_eq!(store.recovery().side_damage.len(), 1);
        drop(store);
        let was = aged.disk.read_file(ranges).unwrap();
        for bit in 0..was.len() as u64 * 8 {
            let disk = aged.copy();
            disk.flip(ranges, bit).unwrap();
            match try_open(&disk, OnDamage::Refuse) {
                Err(Error::Corrupt(why)) => assert_eq!(why.path, ranges),
                Err(Error::Foreign { path, .. }) => assert_eq!(path, ranges),
                other => panic!("bit {bit}: {other:?}"),
            }
            if bit.is_multiple_of(13)
                && let Ok(store) = try_open(&disk, OnDamage::FirstBroken)
            {
                assert_eq!(check_log(&store, &aged.log).unwrap(), aged.log.end());
                assert_eq!(store.recovery().side_damage.len(), 1);
            }
        }
    }
}

/// The tail of a killed store's last record, cut at any length: always opens, says what it cut, keeps it.
#[test]
fn a_torn_last_record_always_opens_and_is_reported() {
    for seed in [0, 2, 3, 5] {
        let aged = Aged::killed(seed);
        let Some(last) = aged.log.taken.last().filter(|t| t.position.end() > aged.marked).cloned() else {
            continue;
        };
        let base = last.position.offset.0 / SEGMENT_BYTES * SEGMENT_BYTES;
        let inside = last.position.offset.0 - base;
        for kept in 0..u64::from(last.position.len) {
            let disk = aged.copy();
            let gone = vec![0; (u64::from(last.position.len) - kept) as usize];
            let was =
                disk.read_file(segment_path(base)).unwrap()[inside as usize..][..kept as usize].to_vec();
            disk.overwrite(segment_path(base), inside + kept, &gone).unwrap();
            let store =
                try_open(&disk, OnDamage::Refuse).unwrap_or_else(|e| panic!("{kept} bytes kept: {e}"));
            let end = check_log(&store, &aged.log).unwrap();
            assert!(end <= last.position.offset && aged.log.may_end_at(end), "{kept} bytes kept: {end}");
            assert!(aged.log.up_to(last.position.offset).last().is_none_or(|t| t.position.end() <= end));
            let shown = was.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1);
            let cuts = &store.recovery().cuts;
            assert_eq!(cuts.len(), usize::from(shown > 0), "{kept} bytes kept");
            if let Some(cut) = cuts.first() {
                assert!(!cut.damage && cut.from == last.position.offset);
                assert_eq!(disk.read_file(&cut.saved).unwrap(), was[..shown]);
            }
        }
    }
}

#[test]
fn whatever_stands_in_the_lock_and_abort_files_costs_no_record() {
    for aged in aged() {
        for name in ["lock", "abort"] {
            let path = Path::new(ROOT).join(name);
            for bytes in [&b""[..], b"x", b"4711", &[0xFF; 300], b"1 sawlog 00"] {
                let disk = aged.copy();
                disk.write_file(&path, bytes.to_vec()).unwrap();
                let store = try_open(&disk, OnDamage::Refuse).unwrap();
                assert_eq!(check_log(&store, &aged.log).unwrap(), aged.log.end(), "{name}: {bytes:?}");
            }
            let disk = aged.copy();
            let _ = disk.remove(&path);
            let store = try_open(&disk, OnDamage::Refuse).unwrap();
            assert_eq!(check_log(&store, &aged.log).unwrap(), aged.log.end(), "no {name}");
        }
    }
}
