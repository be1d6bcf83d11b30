//! Opening again: after a close, a kill, a power cut anywhere; and over files that are not what is known of them.

use std::path::Path;

use super::{
    Put, assert_all_found, contents, dir, last_file, many, open, settle, small, try_open, undisturbed,
};
use crate::disk::sim::{OpKind, SimDisk, Survivors};
use crate::error::Error;
use crate::key_index::{Geometry, IndexSurvey, KeyIndex, KnownFile, name};
use crate::offset::LogOffset;

/// What a snapshot says, and from which record on the dispatcher goes on with it.
#[derive(Clone, Debug, Default)]
struct Saved {
    known: Vec<KnownFile>,
    next: usize,
}

/// Feeds `puts` in steps as dispatcher and recorder do; the answer is the snapshots, and where in the disk's recording
/// each was saved. In one step of four the index is closed and opened again. In the others entries behind the
/// snapshot reach the file, too; then the process starts anew from it.
fn recorded_run(disk: &SimDisk, geometry: Geometry, puts: &[Put]) -> Vec<(usize, Saved)> {
    let mut index = open(disk, geometry, &[]);
    let mut saves = vec![(0, Saved::default())];
    for (step, chunk) in puts.chunks(5).enumerate() {
        let next = step * 5 + chunk.len();
        chunk.iter().for_each(|put| put.feed(&index));
        let known = index.capture();
        puts.iter().skip(next).take(step % 4).for_each(|put| put.feed(&index));
        index.write_out(LogOffset::MAX).unwrap();
        index.sync().unwrap();
        saves.push((disk.recorded(), Saved { known: known.clone(), next }));
        if step % 4 == 0 {
            index.close().unwrap();
            saves.push((disk.recorded(), Saved { known: index.capture(), next }));
        }
        index = open(disk, geometry, &saves.last().unwrap().1.known);
    }
    saves
}

/// What stands in the index folder means what RocketMQ would take it for: a header that is zeros, or whose slots are
/// those that its entries make.
fn assert_java_can_read(disk: &SimDisk, geometry: Geometry) {
    for file in contents(disk) {
        let word = |at: usize| u32::from_be_bytes(file[at..at + 4].try_into().unwrap());
        let next = word(36);
        if next == 0 {
            continue;
        }
        let mut slots = vec![0; geometry.slots as usize];
        for number in 1..next {
            let at = usize::try_from(geometry.entry_at(number)).unwrap();
            let slot = &mut slots[(word(at) % geometry.slots) as usize];
            assert_eq!(word(at + 16), *slot);
            *slot = number;
        }
        let on_disk: Vec<_> = (0..slots.len()).map(|slot| word(40 + 4 * slot)).collect();
        assert_eq!(on_disk, slots);
        assert_eq!(word(32) as usize, slots.iter().filter(|slot| **slot != 0).count());
    }
}

/// Goes on from a snapshot as after a restart, to the end; everything is found and the bytes are as ever.
fn assert_goes_on(disk: &SimDisk, geometry: Geometry, saved: &Saved, puts: &[Put], whole: &[Vec<u8>]) {
    let survey = IndexSurvey::of(disk, dir(), geometry).unwrap();
    assert!(KeyIndex::covers(&survey, &saved.known), "{survey:?} {saved:?}");
    let index = open(disk, geometry, &saved.known);
    assert_eq!(index.capture(), saved.known);
    assert_all_found(&index, &puts[..saved.next]);
    puts[saved.next..].iter().for_each(|put| put.feed(&index));
    settle(&index);
    assert_all_found(&index, puts);
    index.close().unwrap();
    assert!(contents(disk) == whole, "other bytes");
}

/// The last snapshot that was saved when so many operations were done.
fn saved_at(saves: &[(usize, Saved)], position: usize) -> &Saved {
    &saves.iter().rev().find(|(at, _)| *at <= position).unwrap().1
}

#[test]
fn a_power_cut_or_a_kill_anywhere_loses_nothing_behind_the_snapshot() {
    for geometry in [small(3, 25), small(50, 60), small(1, 1_000)] {
        let disk = SimDisk::recording();
        let puts = many(60);
        let whole = undisturbed(geometry, &puts);
        let saves = recorded_run(&disk, geometry, &puts);
        assert!(saves.len() > 12);
        let mut walk = disk.replay();
        loop {
            let position = walk.position();
            let saved = saved_at(&saves, position);
            for (seed, model) in (position as u64..).zip(Survivors::ALL) {
                assert_goes_on(&walk.power_cut(seed, model), geometry, saved, &puts, &whole);
                assert_goes_on(&walk.power_cut_within(seed, model), geometry, saved, &puts, &whole);
            }
            let killed = walk.kill();
            assert_java_can_read(&killed, geometry);
            assert_goes_on(&killed, geometry, saved, &puts, &whole);
            if walk.step().is_none() {
                break;
            }
        }
    }
}

#[test]
fn a_restart_cut_short_can_be_repeated() {
    let geometry = small(3, 25);
    let (disk, puts) = (SimDisk::new(), many(40));
    let whole = undisturbed(geometry, &puts);
    let index = open(&disk, geometry, &[]);
    puts[..18].iter().for_each(|put| put.feed(&index));
    settle(&index);
    index.close().unwrap();
    let saved = Saved { known: index.capture(), next: 18 };
    puts[18..].iter().for_each(|put| put.feed(&index));
    settle(&index);
    // The power fails; then it fails again while the next process is at the same work.
    let second = disk.power_cut(5, Survivors::Sectors);
    second.start_recording();
    assert_goes_on(&second, geometry, &saved, &puts, &whole);
    let mut walk = second.replay();
    loop {
        for (seed, model) in (walk.position() as u64..).zip(Survivors::ALL) {
            assert_goes_on(&walk.power_cut_within(seed, model), geometry, &saved, &puts, &whole);
        }
        if walk.step().is_none() {
            break;
        }
    }
}

/// An index with a live file behind two sealed ones, all durable, and what is known of it.
fn with_files(geometry: Geometry, closed: bool) -> (SimDisk, Vec<KnownFile>, Vec<Put>) {
    let (disk, puts) = (SimDisk::new(), many(40));
    let index = open(&disk, geometry, &[]);
    puts.iter().for_each(|put| put.feed(&index));
    settle(&index);
    if closed {
        index.close().unwrap();
    }
    (disk.kill(), index.capture(), puts)
}

#[test]
fn what_stands_behind_the_entries_known_is_ignored_and_written_over() {
    let geometry = small(4, 500);
    let (disk, known, puts) = with_files(geometry, false);
    let whole = undisturbed(geometry, &many(60));
    let path = dir().join(name::digits(known[0].name));
    let behind = geometry.entry_at(known[0].next_entry);
    let len = geometry.file_bytes() - behind;
    disk.overwrite(&path, behind, &vec![0xA5; usize::try_from(len).unwrap()]).unwrap();
    // Header and slots of a live file are nothing to go by, either.
    disk.overwrite(&path, 0, &[0x77; 56]).unwrap();
    let index = open(&disk, geometry, &known);
    assert_all_found(&index, &puts);
    many(60)[40..].iter().for_each(|put| put.feed(&index));
    settle(&index);
    index.close().unwrap();
    let end = usize::try_from(geometry.entry_at(index.capture()[0].next_entry)).unwrap();
    assert_eq!(contents(&disk)[0][..end], whole[0][..end]);
}

#[test]
fn the_slots_of_a_closed_file_are_read_where_that_costs_less_and_built_up_where_they_cannot_be_true() {
    // Four slots of 16 bytes together, against some 80 entries of 20.
    let geometry = small(4, 500);
    let (disk, known, puts) = with_files(geometry, true);
    let path = dir().join(name::digits(known[0].name));
    let entry = geometry.entry_at(5);
    disk.start_recording();
    let reads = disk.operations_of(OpKind::Read);
    assert_all_found(&open(&disk, geometry, &known), &puts);
    assert!(disk.operations_of(OpKind::Read) > reads);
    // An entry that is not read while opening can be anything; the chain just ends there.
    let torn = disk.kill();
    torn.overwrite(&path, entry, &[0xFF; 20]).unwrap();
    open(&torn, geometry, &known);
    for slot in [known[0].next_entry, u32::MAX] {
        let torn = disk.kill();
        torn.overwrite(&path, 40, &slot.to_be_bytes()).unwrap();
        assert_all_found(&open(&torn, geometry, &known), &puts);
    }
    let torn = disk.kill();
    torn.overwrite(&path, 40, &[0; 4]).unwrap();
    assert_all_found(&open(&torn, geometry, &known), &puts);
    assert_eq!(disk.recorded(), 0, "opening writes nothing");
}

#[test]
fn a_file_closed_twice_without_a_key_in_between_stays_as_it_is() {
    let geometry = small(4, 500);
    let (disk, known, _) = with_files(geometry, true);
    let before = disk.fingerprint();
    let index = open(&disk, geometry, &known);
    index.close().unwrap();
    index.close().unwrap();
    assert_eq!(disk.fingerprint(), before);
    // Its header may have been in the page cache alone, left by a process that was killed: it is durable now.
    assert!(contents(&disk.power_cut(1, Survivors::Nothing)) == contents(&disk));
}

fn refused(disk: &SimDisk, geometry: Geometry, known: &[KnownFile]) -> String {
    let before = disk.fingerprint();
    let error = try_open(disk, geometry, known).unwrap_err();
    assert!(matches!(error, Error::Foreign { .. }), "{error}");
    assert_eq!(disk.fingerprint(), before);
    error.to_string()
}

#[test]
fn entries_that_are_not_what_was_written_are_refused_with_their_place() {
    let geometry = small(4, 500);
    let (disk, known, _) = with_files(geometry, false);
    let path = dir().join(name::digits(known[0].name));
    let spoil = |at: u64, bytes: &[u8]| {
        let disk = disk.kill();
        disk.overwrite(&path, at, bytes).unwrap();
        refused(&disk, geometry, &known)
    };
    let entry = geometry.entry_at(9);
    for (at, bytes) in [
        (entry, &[0; 20][..]),
        (entry, &[0xFF]),
        (entry + 16, &9_u32.to_be_bytes()),
        (entry + 4, &u64::MAX.to_be_bytes()),
        (entry + 4, &1_u64.to_be_bytes()),
    ] {
        let text = spoil(at, bytes);
        assert!(text.contains(path.to_str().unwrap()) && text.contains("entry 9 "), "{text}");
        assert!(text.contains(&format!("at byte {entry}:")), "{text}");
    }
    let last = geometry.entry_at(known[0].next_entry - 1);
    assert!(spoil(last + 4, &[0; 8]).contains("out of order"));
    // A whole file of zeros, as a lost one is.
    let text = spoil(0, &vec![0; usize::try_from(geometry.file_bytes()).unwrap()]);
    assert!(text.contains("chain") || text.contains("order"), "{text}");
}

#[test]
fn files_that_contradict_what_is_known_are_refused() {
    let geometry = small(4, 20);
    let (disk, known, _) = with_files(geometry, false);
    assert!(known.len() > 3 && known[2].sealed && !known.last().unwrap().sealed);
    let path = |number: usize| dir().join(name::digits(known[number].name));
    let torn = disk.kill();
    torn.overwrite(path(1), 36, &[0; 4]).unwrap();
    assert!(refused(&torn, geometry, &known).contains("its header is not the one it was sealed with"));
    // One that is not known stands between the others; one is missing.
    let text = "the files are not those that are known";
    let without_second: Vec<_> = [&known[..1], &known[2..]].concat();
    assert!(refused(&disk, geometry, &without_second).contains(text));
    let mut more = known.clone();
    more.push(KnownFile { name: known.last().unwrap().name + 1, ..known[0].clone() });
    assert!(refused(&disk, geometry, &more).contains(text));
    let spoilt = |spoil: fn(&mut Vec<KnownFile>)| {
        let mut known = known.clone();
        spoil(&mut known);
        refused(&disk, geometry, &known)
    };
    assert!(spoilt(|known| known[0].next_entry -= 1).contains("do not follow each other"));
    assert!(spoilt(|known| known[0].sealed = false).contains("do not follow each other"));
    assert!(spoilt(|known| known.last_mut().unwrap().next_entry = 0).contains("0 entries"));
    assert!(spoilt(|known| known.last_mut().unwrap().next_entry = 21).contains("21 entries"));
    assert!(spoilt(|known| known.last_mut().unwrap().sealed = true).contains("entries are known"));
    assert!(spoilt(|known| known.last_mut().unwrap().begin_offset.0 += 1).contains("out of order"));
    assert!(spoilt(|known| known.last_mut().unwrap().end_offset.0 += 1).contains("not the last"));
}

#[test]
fn files_made_behind_the_snapshot_are_removed_and_made_again() {
    let geometry = small(4, 20);
    let (disk, known, puts) = with_files(geometry, false);
    let index = open(&disk, geometry, &known);
    let more = many(120);
    more[40..].iter().for_each(|put| put.feed(&index));
    settle(&index);
    assert!(contents(&disk).len() > known.len() + 2);
    let saved = Saved { known: known.clone(), next: puts.len() };
    let whole = undisturbed(geometry, &more);
    open(&disk, geometry, &known);
    assert_eq!(contents(&disk).len(), known.len());
    // The newer ones are gone for good once the next snapshot can be saved: none comes back between others.
    assert_goes_on(&disk, geometry, &saved, &more, &whole);
    let after = disk.power_cut(3, Survivors::Nothing);
    assert!(contents(&after) == whole);
}

#[test]
fn what_an_interrupted_making_left_is_in_nobodys_way() {
    let disk = SimDisk::new();
    let index = open(&disk, small(4, 8), &[]);
    Put::new(1, "T", &["k"]).feed(&index);
    let name = last_file(&index);
    let aside = Path::new("/store/sawlog/making").join(name.file_name().unwrap());
    disk.write_file(&aside, vec![1; 10]).unwrap();
    settle(&index);
    assert_eq!(disk.files(), [(name, 216)]);
}

#[test]
fn files_removed_by_opening_do_not_come_back_behind_the_next_sync() {
    let geometry = small(4, 20);
    let (disk, known, _) = with_files(geometry, false);
    let index = open(&disk, geometry, &known[..known.len() - 1]);
    index.sync().unwrap();
    let after = disk.power_cut(1, Survivors::Nothing);
    assert_eq!(contents(&after).len(), known.len() - 1);
}

#[test]
fn slots_that_a_torn_close_left_are_gone_when_the_file_is_closed_again() {
    let geometry = small(5_000, 500);
    let (disk, known, puts) = with_files(geometry, false);
    let path = dir().join(name::digits(known[0].name));
    disk.overwrite(&path, 40, &[0x11; 20_000]).unwrap();
    open(&disk, geometry, &known).close().unwrap();
    assert!(contents(&disk) == undisturbed(geometry, &puts));
}
