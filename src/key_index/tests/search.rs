//! Looking up: collisions, times, files live and sealed, and chains that are not what they should be.

use super::{
    ALL, Put, START_MS, assert_all_found, contents, dir, found, last_file, many, open, settle, small,
};
use crate::clock::Timestamp;
use crate::disk::sim::{Aim, Fault, FaultKind, OpKind, SimDisk};
use crate::key_index::{KeyIndex, name};
use crate::offset::LogOffset;

fn within(index: &KeyIndex, key: &str, from_ms: i64, to_ms: i64) -> Vec<u64> {
    let range = Timestamp(from_ms)..=Timestamp(to_ms);
    index.search("T", key, range).map(|at| at.unwrap().0).collect()
}

#[test]
fn keys_are_found_newest_first_whether_their_entries_are_in_memory_or_in_the_file() {
    let disk = SimDisk::new();
    // Entries of one chunk of memory and of several; files that fill in the middle of a message.
    for (geometry, count) in [(small(3, 50), 200), (small(1, 7), 40), (small(1000, 5_000), 1_100)] {
        let disk = disk.kill();
        let index = open(&disk, geometry, &[]);
        let puts = many(count);
        puts.iter().for_each(|put| put.feed(&index));
        assert_all_found(&index, &puts);
        for up_to in [0, 1, 100, 101, count * 50, count * 80] {
            index.write_out(LogOffset(up_to)).unwrap();
            assert_all_found(&index, &puts);
        }
        index.sync().unwrap();
        assert_all_found(&index, &puts);
        settle(&index);
        assert_eq!(index.pending_bytes(), 0);
        index.close().unwrap();
        assert_all_found(&index, &puts);
    }
}

#[test]
fn keys_that_collide_find_each_other_and_the_caller_decides() {
    let index = open(&SimDisk::new(), small(100, 100), &[]);
    let puts = [
        Put::new(1, "T", &["Aa"]),
        Put::new(2, "T", &["BB"]),
        Put::new(3, "T", &["Aa", "BB"]),
        Put::new(4, "T", &["jllgvmc"]),
        Put::new(5, "T", &["c"]),
    ];
    puts.iter().for_each(|put| put.feed(&index));
    // The third is there twice, and answered once.
    assert_eq!(found(&index, "T", "Aa"), [3, 2, 1]);
    assert_eq!(found(&index, "T", "BB"), [3, 2, 1]);
    assert_eq!(found(&index, "T", "jllgvmc"), [4], "its hash counts as 0");
    assert_eq!(found(&index, "U", "Aa"), [] as [u64; 0]);
}

#[test]
fn a_search_in_a_range_of_time_finds_all_that_was_stored_in_it() {
    let disk = SimDisk::new();
    let index = open(&disk, small(2, 9), &[]);
    for n in 0..60_i64 {
        let put = Put::new(u64::try_from(n).unwrap(), "T", &["k", "other"]);
        Put { stored_ms: START_MS + n * 350, ..put }.feed(&index);
    }
    index.write_out(LogOffset(30)).unwrap();
    index.sync().unwrap();
    for from in (-2_000..23_000).step_by(37) {
        for len in [0, 1, 349, 350, 999, 1_000, 7_000] {
            let (from_ms, to_ms) = (START_MS + from, START_MS + from + len);
            let within = within(&index, "k", from_ms, to_ms);
            let stored = |n: u64| START_MS + i64::try_from(n).unwrap() * 350;
            let inside = (0..60).rev().filter(|n| (from_ms..=to_ms).contains(&stored(*n)));
            for at in inside {
                assert!(within.contains(&at), "{at} of {from} to {len}: {within:?}");
            }
            assert!(within.iter().all(|n| (from_ms - 1_000..=to_ms + 1_000).contains(&stored(*n))));
            assert!(within.is_sorted_by(|a, b| a > b));
        }
    }
    assert_eq!(within(&index, "k", i64::MAX, i64::MIN), [] as [u64; 0]);
}

#[test]
fn the_first_key_behind_a_pause_is_found_at_its_own_time() {
    // RocketMQ misses it: the first key of a file counts seconds from the end of the file before, and then becomes
    // the begin to which they are added (spec 4.2).
    let index = open(&SimDisk::new(), small(2, 3), &[]);
    Put { stored_ms: START_MS, ..Put::new(1, "T", &["a", "b"]) }.feed(&index);
    let late = START_MS + 3_600_000;
    Put { stored_ms: late, ..Put::new(2, "T", &["c"]) }.feed(&index);
    assert_eq!(within(&index, "c", late, late), [2]);
    settle(&index);
    index.close().unwrap();
    assert_eq!(within(&index, "c", late, late), [2]);
    assert_eq!(within(&index, "c", late + 1, late + 9_000_000), [] as [u64; 0]);
}

#[test]
fn times_beyond_what_an_entry_can_count_are_still_found() {
    let index = open(&SimDisk::new(), small(2, 100), &[]);
    Put { stored_ms: 1, ..Put::new(1, "T", &["k"]) }.feed(&index);
    Put { stored_ms: 4_000_000_000_000, ..Put::new(2, "T", &["k"]) }.feed(&index);
    assert_eq!(within(&index, "k", 3_999_999_999_999, 4_000_000_000_000), [2]);
    assert_eq!(within(&index, "k", 0, 2), [1]);
    // A record that has no time, and one from before 1970, in a log of others.
    let index = open(&SimDisk::new(), small(2, 100), &[]);
    Put { stored_ms: -5, ..Put::new(1, "T", &["k"]) }.feed(&index);
    Put { stored_ms: START_MS, ..Put::new(2, "T", &["k"]) }.feed(&index);
    assert_eq!(within(&index, "k", START_MS - 1, START_MS + 1), [2]);
    assert_eq!(within(&index, "k", -5, -5), [2, 1]);
}

#[test]
fn a_chain_that_turns_back_or_points_nowhere_ends() {
    let disk = SimDisk::new();
    let index = open(&disk, small(1, 6), &[]);
    (1..=5).for_each(|at| Put::new(at, "T", &["k"]).feed(&index));
    settle(&index);
    let path = last_file(&index);
    let entry_at = |number: u64| 44 + 20 * number;
    let forge = |at: u64, number: i32| disk.overwrite(&path, at, &number.to_be_bytes()).unwrap();
    assert_eq!(found(&index, "T", "k"), [5, 4, 3, 2, 1]);
    for (prev, answer) in [(3, vec![5, 4, 3]), (5, vec![5, 4, 3]), (900, vec![5, 4, 3]), (-1, vec![5, 4])] {
        forge(entry_at(3) + 16, prev);
        assert_eq!(found(&index, "T", "k"), answer, "{prev}");
    }
    forge(entry_at(3) + 16, 2);
    for slot in [0, -1, 6, i32::MAX, i32::MIN] {
        forge(40, slot);
        assert_eq!(found(&index, "T", "k"), [] as [u64; 0], "{slot}");
    }
    forge(40, 5);
    forge(entry_at(4) + 12, -7);
    assert_eq!(found(&index, "T", "k"), [5]);
}

#[test]
fn an_unreadable_file_is_told_and_the_older_ones_are_still_searched() {
    let disk = SimDisk::new();
    let index = open(&disk, small(4, 3), &[]);
    (1..=8).for_each(|at| Put::new(at, "T", &["k"]).feed(&index));
    settle(&index);
    let second = name::digits(index.capture()[1].name);
    let aim = Aim::anything().kind(OpKind::Read).path(second.as_str());
    disk.fail_at_aimed(aim, 1, Fault::persistent(FaultKind::Eio));
    let found: Vec<_> = index.search("T", "k", ALL).collect();
    let shown: Vec<_> = found.iter().map(|at| at.as_ref().map_or(0, |at| at.0)).collect();
    assert_eq!(shown, [8, 7, 6, 5, 0, 2, 1]);
    let error = found[4].as_ref().unwrap_err().to_string();
    assert!(error.starts_with("reading ") && error.contains(&second), "{error}");
}

#[test]
fn a_search_begun_before_its_file_was_written_and_sealed_goes_on() {
    let disk = SimDisk::new();
    let index = open(&disk, small(4, 8), &[]);
    let puts: Vec<_> = (1..=20).map(|at| Put::new(at, "T", &["k"])).collect();
    puts.iter().for_each(|put| put.feed(&index));
    let mut search = index.search("T", "k", ALL);
    let mut found: Vec<_> = search.by_ref().take(3).map(|at| at.unwrap().0).collect();
    index.write_out(LogOffset(18)).unwrap();
    found.extend(search.by_ref().take(3).map(|at| at.unwrap().0));
    settle(&index);
    (21..=40).for_each(|at| Put::new(at, "T", &["k"]).feed(&index));
    settle(&index);
    found.extend(search.map(|at| at.unwrap().0));
    assert_eq!(found, (1..=20).rev().collect::<Vec<_>>());
    // Nobody holds the sealed files open: one handle, of the live one.
    assert_eq!(disk.open_handles(), 1);
}

#[test]
fn memory_is_given_back_as_entries_reach_the_file() {
    let disk = SimDisk::new();
    let index = open(&disk, small(4, 8), &[]);
    (1..=20).for_each(|at| Put::new(at, "T", &["k"]).feed(&index));
    assert_eq!((index.pending_bytes(), index.sealed_end()), (400, None));
    index.write_out(LogOffset(10)).unwrap();
    assert_eq!((index.pending_bytes(), index.sealed_end()), (220, None));
    assert_eq!(contents(&disk).len(), 2, "the third file was not needed yet");
    index.sync().unwrap();
    assert_eq!(index.sealed_end(), Some(Timestamp(START_MS + 7)));
    index.write_out(LogOffset::MAX).unwrap();
    assert_eq!((index.pending_bytes(), index.sealed_end()), (0, Some(Timestamp(START_MS + 7))));
    index.sync().unwrap();
    assert_eq!(index.sealed_end(), Some(Timestamp(START_MS + 14)));
    assert_eq!(contents(&disk)[2][..40], [0; 40], "the header of a live file stays away until it is closed");
    assert!(disk.files().iter().all(|(path, _)| path.starts_with(dir())));
}

#[test]
fn names_rise_whatever_the_clock_does() {
    let index = open(&SimDisk::new(), small(1, 2), &[]);
    // 2023-12-31 23:59:59.998; it stands still, jumps back, and goes on.
    let clock = [1_704_067_199_998, 1_704_067_199_998, 0, i64::MIN, 1_704_067_200_005];
    for (at, now) in (1..).zip(clock) {
        Put::new(at, "T", &["k"]).feed_at(&index, Timestamp(now));
    }
    let names: Vec<_> = index.capture().iter().map(|file| file.name).collect();
    let expected = [
        20_231_231_235_959_998,
        20_231_231_235_959_999,
        20_240_101_000_000_000,
        20_240_101_000_000_001,
        20_240_101_000_000_005,
    ];
    assert_eq!(names, expected);
}

#[test]
fn a_record_put_again_is_skipped_but_the_last_one_is_indexed_twice_and_answered_once() {
    let disk = SimDisk::new();
    let index = open(&disk, small(4, 9), &[]);
    for at in [1, 2, 2, 1, 3] {
        Put::new(at, "T", &["k"]).feed(&index);
    }
    assert_eq!(index.capture()[0].next_entry, 5);
    assert_eq!(found(&index, "T", "k"), [3, 2, 1]);
}

#[test]
fn one_thread_puts_and_one_writes_while_others_search() {
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
    const LAST: u64 = 3_000;
    let disk = SimDisk::new();
    let index = open(&disk, small(4, 400), &[]);
    let put = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for at in 1..=LAST {
                Put::new(at, "T", &["k", "other"]).feed(&index);
                put.store(at, SeqCst);
            }
        });
        scope.spawn(|| {
            loop {
                let up_to = put.load(SeqCst);
                index.write_out(LogOffset(up_to)).unwrap();
                index.sync().unwrap();
                if up_to == LAST {
                    break;
                }
            }
        });
        scope.spawn(|| {
            loop {
                let least = put.load(SeqCst);
                let found = found(&index, "T", "k");
                let newest = found.first().copied().unwrap_or(0);
                assert!(newest >= least && newest <= LAST);
                assert!(found.iter().copied().eq((1..=newest).rev()), "{least} {found:?}");
                if least == LAST {
                    break;
                }
            }
        });
    });
    settle(&index);
    assert_eq!(found(&index, "T", "k").len(), 3_000);
    assert_eq!(index.pending_bytes(), 0);
}
