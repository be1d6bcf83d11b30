//! Looking into what crashes and rot leave behind: nothing is changed, a crash is no damage, and every flipped bit that
//! counts is found.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use sawlog::disk::sim::{SimDisk, Survivors};
use sawlog::inspect::{Fault, FaultKind, Look, Opening, Told, Verification, VerifyOptions};
use sawlog::{DelayLevels, Error, OnDamage, Store};

use crate::support::aged::Aged;
use crate::support::dice::Dice;
use crate::support::expected::ROOT;
use crate::support::one_in;
use crate::support::oracle::Verdict;
use crate::support::workload::{Size, Workload, clock, options};

fn look(disk: &SimDisk) -> Look {
    Look::at(ROOT).disk(disk.clone()).delay_levels(DelayLevels::default())
}

fn verify(disk: &SimDisk, threads: usize) -> Result<(Verification, Vec<Fault>), Error> {
    let mut faults = Vec::new();
    let done = look(disk).verify(&VerifyOptions::new().threads(threads), |told| {
        if let Told::Fault(fault) = told {
            faults.push(fault.clone());
        }
        ControlFlow::Continue(())
    })?;
    assert!(done.complete, "{done}");
    Ok((done, faults))
}

/// What a crash has left is no damage to whoever verifies it, opening takes it as the survey says, and looking changes
/// nothing.
pub(crate) fn examine_by_looking(disk: &SimDisk) -> Verdict {
    let before = disk.fingerprint();
    let (done, faults) = verify(disk, 1).map_err(|e| format!("verifying: {e}"))?;
    if done.damages() > 0 {
        return Err(format!("looks damaged: {faults:#?}"));
    }
    let survey = look(disk).survey().map_err(|e| format!("surveying: {e}"))?;
    if disk.fingerprint() != before {
        return Err("looking has changed something".into());
    }
    same_as_opening(disk, &survey.opening, "as it was left");
    Ok(())
}

/// What the survey says that opening would do is what opening does.
fn same_as_opening(disk: &SimDisk, opening: &Opening, what: &str) {
    let opened = Store::open(ROOT, options(&disk.kill(), &clock(), true).on_damage(OnDamage::Refuse));
    match (opening, opened) {
        (Opening::Opens(plan), Ok(store)) => {
            let report = store.recovery();
            assert_eq!(plan.log_end, report.log_end, "{what}: {opening}\n{report}");
            assert_eq!(plan.records, report.records, "{what}");
            assert_eq!(plan.clean_shutdown, report.clean_shutdown, "{what}");
            assert_eq!(plan.foreign_writer, report.foreign_writer, "{what}");
            assert_eq!(plan.removed_segments, report.removed_segments, "{what}");
            assert_eq!(plan.rewritten_bytes, report.rewritten_bytes, "{what}");
            let mut cuts: Vec<_> = report.cuts.iter().map(|cut| (cut.from, cut.damage)).collect();
            cuts.sort_unstable();
            assert_eq!(
                plan.cuts.iter().map(|cut| (cut.from, cut.damage)).collect::<Vec<_>>(),
                cuts,
                "{what}"
            );
            if plan.records > 0 {
                assert_eq!(plan.derive_from.is_none(), report.rebuilt, "{what}: {opening}\n{report}");
            }
        }
        (Opening::Refused { why, .. }, Err(error)) => {
            assert_eq!(why.to_string(), error.to_string(), "{what}");
        }
        (told, came) => panic!("{what}: told {told}, came {came:?}"),
    }
}

#[test]
fn whatever_a_crash_leaves_is_no_damage_and_looking_changes_no_byte() {
    let mut seen: BTreeMap<FaultKind, u64> = BTreeMap::new();
    let (mut images, mut stores) = (0, 0);
    for workload in 0..4 {
        let work = Workload::run(workload, Size::STANDARD);
        let mut replay = work.disk.replay();
        loop {
            images += 1;
            if images % one_in(4) == 0 {
                let seed = Dice::part(workload, images);
                let models = Survivors::ALL;
                let model = models[usize::try_from(seed % models.len() as u64).unwrap()];
                let disk = if seed.is_multiple_of(7) { replay.kill() } else { replay.power_cut(seed, model) };
                let what = format!("workload {workload}, operation {images}, {model:?}");
                let before = disk.fingerprint();
                match verify(&disk, 1 + usize::try_from(seed % 2).unwrap()) {
                    // The folder's own name is not durable yet.
                    Err(Error::Foreign { path, why }) => {
                        assert!(replay.position() < 50, "{what}: {}: {why}", path.display());
                    }
                    Err(error) => panic!("{what}: {error}"),
                    Ok((done, faults)) => {
                        stores += 1;
                        assert_eq!(done.damages(), 0, "{what}: {faults:#?}");
                        faults.iter().for_each(|fault| *seen.entry(fault.kind).or_default() += 1);
                        let survey = look(&disk).survey().unwrap();
                        assert_eq!(disk.fingerprint(), before, "{what}: looking has changed something");
                        same_as_opening(&disk, &survey.opening, &what);
                        let Opening::Opens(plan) = &survey.opening else {
                            panic!("{what}: {}", survey.opening)
                        };
                        assert_eq!(done.log_end, Some(plan.log_end), "{what}: {faults:#?}");
                    }
                }
            }
            if replay.step().is_none() {
                break;
            }
        }
    }
    println!("{stores} stores of {images} images; {seen:?}");
    assert!(stores > 500, "only {stores}");
    assert!(seen.contains_key(&FaultKind::TornTail) && seen.contains_key(&FaultKind::Behind), "{seen:?}");
}

/// Which bytes of a file nobody looks at, because nothing stands there.
fn is_free(aged: &Aged, path: &Path, at: u64, bytes: &[u8]) -> bool {
    let at = usize::try_from(at).unwrap();
    if path.starts_with("/store/commitlog") {
        // Behind the head of an end-of-segment record, and between those and the segment's end.
        let base: u64 = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let place = base + at as u64;
        let last = aged.log.taken.iter().rfind(|taken| taken.position.offset.0 <= place);
        return last.is_none_or(|taken| place >= taken.position.end().0 + 8);
    }
    if path.starts_with("/store/index") {
        // Entry 0, and entries that were never used; what stands there is what never counts.
        let (slots, next) = (16, u32::from_be_bytes(bytes[36..40].try_into().unwrap()) as usize);
        let entries = 40 + slots * 4;
        // The time of the oldest file's first key is that of the file's begin (spec 4.2).
        let oldest = aged.disk.files().into_iter().map(|file| file.0).find(|p| p.starts_with("/store/index"));
        let first_time = oldest.as_deref() == Some(path) && (entries + 32..entries + 36).contains(&at);
        return first_time || (entries..entries + 20).contains(&at) || at >= entries + 20 * next;
    }
    false
}

#[test]
fn every_flipped_bit_of_log_queues_and_index_is_found() {
    let (mut found, mut free) = (BTreeMap::<FaultKind, u64>::new(), 0);
    for seed in 0..2 {
        let aged = Aged::closed(seed);
        let (sound, faults) = verify(&aged.copy(), 2).unwrap();
        assert_eq!(sound.faults(), 0, "{faults:#?}");
        assert_eq!(sound.records as usize, aged.log.taken.len());
        let mut dice = Dice::new(seed);
        let parts = ["/store/commitlog", "/store/consumequeue", "/store/index"];
        let files = aged.disk.files().into_iter();
        let files: Vec<(PathBuf, u64)> =
            files.filter(|(path, _)| parts.iter().any(|part| path.starts_with(part))).collect();
        for (path, len) in files {
            let bytes = aged.disk.read_file(&path).unwrap();
            // Of a long file some bits, of a short one all but a few.
            let bits = (len * 8).min(1600 / one_in(8));
            for _ in 0..bits {
                let bit = dice.below(len * 8);
                let disk = aged.copy();
                disk.flip(&path, bit).unwrap();
                let (done, faults) = verify(&disk, 1).unwrap();
                if done.faults() > 0 {
                    faults.iter().for_each(|fault| *found.entry(fault.kind).or_default() += 1);
                } else {
                    let is_free = is_free(&aged, &path, bit / 8, &bytes);
                    assert!(is_free, "seed {seed}: bit {bit} of {} was not found", path.display());
                    free += 1;
                }
            }
        }
    }
    println!("found {found:?}, {free} where nothing stands");
    for kind in [FaultKind::Rot, FaultKind::StaleEntry, FaultKind::StaleKey, FaultKind::BrokenIndex] {
        assert!(found.contains_key(&kind), "{kind}");
    }
}

/// The record that is damaged is named, and what stands behind it is verified all the same.
#[test]
fn rot_in_a_record_is_located_and_its_neighbours_are_sound() {
    let aged = Aged::closed(1);
    let mut dice = Dice::new(5);
    for taken in &aged.log.taken {
        let disk = aged.copy();
        let (at, len) = (taken.position.offset.0, u64::from(taken.position.len));
        let base = at / (64 << 10) * (64 << 10);
        // Not in its length, which alone says where the next one begins.
        let bit = (at - base + 8) * 8 + dice.below((len - 8) * 8);
        disk.flip(crate::support::expected::segment_path(base), bit).unwrap();
        let (done, faults) = verify(&disk, 2).unwrap();
        let rot: Vec<_> = faults.iter().filter(|fault| fault.kind == FaultKind::Rot).collect();
        let [rot] = rot[..] else { panic!("{faults:#?}") };
        assert_eq!(rot.log, Some(taken.position.offset), "{rot}");
        assert_eq!(done.records as usize, aged.log.taken.len() - 1, "{faults:#?}");
        assert_eq!(faults.len(), 1, "nothing else is wrong: {faults:#?}");
        // The last one has no neighbour behind it: what is broken there reaches to the end.
        if taken.position.end() < aged.log.end() {
            assert!(rot.log_to.unwrap() <= taken.position.end().plus(64 << 10), "{rot}");
        }
    }
}

/// Any bytes anywhere, any length: looking answers, and never panics, hangs or changes anything.
#[test]
fn whatever_is_mangled_looking_answers_and_changes_nothing() {
    let (mut answers, mut damaged) = (0, 0);
    for seed in 0..6_u64 {
        let aged = if seed.is_multiple_of(2) { Aged::closed(seed) } else { Aged::killed(seed) };
        let files = aged.disk.files();
        let mut dice = Dice::new(seed);
        for _ in 0..240 / one_in(4) {
            let disk = aged.copy();
            for _ in 0..1 + dice.below(4) {
                let (path, len) = &files[dice.below(files.len() as u64) as usize];
                let bytes = [0x00, 0xFF, 0x7F, 0x80, 0xDA, dice.below(256) as u8];
                let some = vec![bytes[dice.below(6) as usize]; 1 + dice.below(64) as usize];
                match dice.below(8) {
                    0 => {
                        let kept = disk.read_file(path).unwrap_or_default();
                        disk.write_file(path, kept[..dice.below(kept.len() as u64 + 1) as usize].to_vec())
                            .unwrap();
                    }
                    1 => disk.write_file(path, vec![0; dice.below(len * 2 + 1) as usize]).unwrap(),
                    2 => disk.write_file(path, some).unwrap(),
                    3 => sawlog::disk::Disk::remove(&disk, path).unwrap_or(()),
                    _ => {
                        let left = disk.read_file(path).map_or(0, |bytes| bytes.len() as u64);
                        let at = dice.below(left.max(1));
                        let _ =
                            disk.overwrite(path, at, &some[..some.len().min((left - at.min(left)) as usize)]);
                    }
                }
            }
            let before = disk.fingerprint();
            let _ = look(&disk).survey().map(|survey| survey.to_string());
            damaged += u64::from(verify(&disk, 1).is_ok_and(|(done, _)| done.damages() > 0));
            if let Ok(reader) = look(&disk).reader() {
                let first = reader.first().unwrap_or_default();
                let _ = reader.scan(first).take_while(Result::is_ok).count();
                for topic in reader.topics().unwrap_or_default() {
                    let _ = reader.latest(&topic, None, 5);
                    let _ = reader.find(&topic, "k").count();
                    for id in reader.queues_of(&topic).unwrap_or_default() {
                        let queue = reader.queue(&topic, id);
                        let _ = (queue.min(), queue.max());
                        let _ = queue.read_from(sawlog::QueueOffset(0)).take_while(Result::is_ok).count();
                        let _ = queue
                            .offset_at_time(sawlog::clock::Timestamp(1_700_000_000_500), sawlog::Bound::Last);
                    }
                }
            }
            assert_eq!(disk.fingerprint(), before);
            answers += 1;
        }
    }
    println!("{answers} mangled stores, {damaged} of them damaged");
    assert!(damaged > answers / 3);
}
