//! `sawlog repair`: dry unless told otherwise, keeps what it cuts, and leaves a store that opens.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use sawlog::{Options, Store};
use serde_json::Value;

use crate::{copy, data, state, tool};

fn run(words: &[&str], dir: &Path) -> (i32, String, String) {
    crate::answer_of(tool(words, dir).current_dir(dir))
}

/// A copy of a store that Java wrote, damaged.
fn damaged(damage: impl Fn(&Path)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(&data().join("rocketmq-5.3.3/plain"), &folder.path().join("s"));
    damage(&folder.path().join("s"));
    folder
}

fn write_at(path: &Path, at: u64, bytes: &[u8]) {
    fs::OpenOptions::new().write(true).open(path).unwrap().write_all_at(bytes, at).unwrap();
}

fn rot(store: &Path) {
    write_at(&store.join("commitlog/00000000000000065536"), 100, b"?");
}

#[test]
fn a_dry_run_changes_nothing_and_says_what_would_be_done() {
    let folder = damaged(rot);
    let before = state(folder.path());
    for words in [
        &["repair", "s"][..],
        &["repair", "s", "--damage", "cut"],
        &["repair", "s", "--damage", "quarantine"],
        &["repair", "s", "--rebuild", "--json"],
    ] {
        let (code, out, _) = run(words, folder.path());
        assert_eq!(code, 1, "{out}");
        assert!(words.contains(&"--json") || out.contains("nothing was changed"), "{out}");
    }
    assert!(state(folder.path()) == before);
    let (code, out, _) = run(&["repair", "s", "--damage", "cut"], folder.path());
    assert!(code == 1 && out.contains("would: cut the log at damage"), "{out}");
}

#[test]
fn damage_that_is_to_stay_is_left_with_apply_too() {
    let folder = damaged(rot);
    let before = state(folder.path());
    let (code, out, _) = run(&["repair", "s", "--apply"], folder.path());
    assert!(code == 1 && out.contains("would not open"), "{out}");
    assert!(state(folder.path()) == before);
}

#[test]
fn a_sound_store_is_left_as_it_is() {
    let folder = damaged(|_| {});
    let before = state(folder.path());
    let (code, out, err) = run(&["repair", "s", "--apply"], folder.path());
    assert_eq!((code, &err[..]), (0, ""));
    assert!(out.ends_with("there is nothing to do\n"), "{out}");
    assert!(state(folder.path()) == before);
}

#[test]
fn queues_and_index_are_made_anew_and_the_old_ones_are_kept_beside() {
    let folder = damaged(|store| {
        write_at(&store.join("consumequeue/TopicB/0/00000000000000000000"), 40, &[0; 60]);
        fs::remove_file(store.join("consumequeue/TopicB/0/00000000000000001200")).unwrap();
    });
    assert_eq!(run(&["verify", "s", "--quiet"], folder.path()).0, 1);
    let queue = state(&folder.path().join("s/consumequeue"));
    let (code, out, err) = run(&["repair", "s", "--rebuild", "--apply"], folder.path());
    assert_eq!((code, &err[..]), (0, ""), "{out}");
    assert!(
        out.contains("queues and key index made anew from the log") && out.contains("after: sound"),
        "{out}"
    );
    let kept = state(&folder.path().join("s.before-repair/consumequeue"));
    let bytes = |state: std::collections::BTreeMap<_, (u64, i64, i64, String)>| -> Vec<_> {
        state.into_values().map(|(len, _, _, hash)| (len, hash)).collect()
    };
    assert_eq!(bytes(kept), bytes(queue));
    // Once more it would be copied over the first copy.
    assert_eq!(run(&["repair", "s", "--rebuild", "--apply"], folder.path()).0, 2);
    assert_eq!(run(&["repair", "s", "--rebuild", "--apply", "--no-aside"], folder.path()).0, 0);
}

#[test]
fn damage_is_cut_when_told_so_and_what_was_cut_is_kept() {
    let folder = damaged(rot);
    let log = fs::read(folder.path().join("s/commitlog/00000000000000065536")).unwrap();
    let (code, out, err) =
        run(&["repair", "s", "--damage", "cut", "--apply", "--aside", "old", "--json"], folder.path());
    assert_eq!((code, &err[..]), (0, ""), "{out}");
    let done: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!((&done["applied"], &done["after"]["damages"]), (&true.into(), &0.into()));
    let cuts = done["report"]["cuts"].as_array().unwrap();
    assert!(
        !cuts.is_empty()
            && cuts.iter().all(|cut| folder.path().join(cut["saved"].as_str().unwrap()).is_file()),
        "{out}"
    );
    assert_eq!(fs::read(folder.path().join("old/commitlog/00000000000000065536")).unwrap(), log);
    let store =
        Store::open(folder.path().join("s"), Options::new().index_slots(100).index_entries(400)).unwrap();
    store.close().unwrap();
}

#[test]
fn damage_is_stepped_over_when_told_so() {
    let folder = damaged(rot);
    let (code, out, _) = run(&["repair", "s", "--damage", "quarantine", "--apply"], folder.path());
    assert!(code == 1 && out.contains("stepped over from now on: "), "{out}");
    let store =
        Store::open(folder.path().join("s"), Options::new().index_slots(100).index_entries(400)).unwrap();
    assert_eq!(store.quarantined().len(), 1);
    store.close().unwrap();
}

/// A store that sawlog wrote and closed: 150 messages of 1,000 bytes in three segments.
fn written() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::new().segment_bytes(64 << 10).index_slots(100).index_entries(400);
    let store = Store::open(folder.path().join("s"), options).unwrap();
    for n in 0..150 {
        let message = sawlog::Message::new("orders", format!("{n:01000}")).key(&format!("k-{n}"));
        store.append(&message).unwrap().forget();
    }
    store.close().unwrap();
    folder
}

fn segment(folder: &tempfile::TempDir, base: u64) -> std::path::PathBuf {
    folder.path().join(format!("s/commitlog/{base:020}"))
}

/// How many messages a scan of the closed store finds, none of them damaged.
fn messages(folder: &tempfile::TempDir) -> usize {
    let options = Options::new().index_slots(100).index_entries(400);
    let store = Store::open(folder.path().join("s"), options).unwrap();
    assert!(store.quarantined().is_empty());
    let count = store.scan(store.marks().first).map(Result::unwrap).count();
    store.close().unwrap();
    count
}

/// Opening a store that was closed in order looks at its last segment alone: `--damage cut` did nothing about rot in
/// front of it, and said that there was nothing to do.
#[test]
fn damage_that_opening_does_not_come_to_is_cut_too() {
    let folder = written();
    write_at(&segment(&folder, 0), 2_500, b"?");
    let (code, out, _) = run(&["repair", "s", "--damage", "cut"], folder.path());
    assert!(
        code == 1 && out.contains("would: look through all of the log, and end it at the first"),
        "{out}"
    );
    let (code, out, err) = run(&["repair", "s", "--damage", "cut", "--apply"], folder.path());
    assert_eq!((code, &err[..]), (0, ""), "{out}");
    assert!(out.contains("after: sound"), "{out}");
    assert_eq!(messages(&folder), 2);
}

/// What was on the list could not be cut by any words: `--damage cut` went on with the list, and a broker could never
/// have the store back.
#[test]
fn a_listed_part_is_cut_when_told_so() {
    let folder = written();
    write_at(&segment(&folder, 0), 2_500, b"?");
    let (code, out, _) =
        run(&["repair", "s", "--damage", "quarantine", "--apply", "--no-aside"], folder.path());
    assert!(code == 1 && out.contains("stepped over from now on: "), "{out}");
    let (code, out, err) = run(&["repair", "s", "--damage", "cut", "--apply"], folder.path());
    assert_eq!((code, &err[..]), (0, ""), "{out}");
    assert_eq!(messages(&folder), 2);
}

/// Bytes were put back into a listed part, and a repair without words said that it left the damage where it was.
#[test]
fn bytes_that_were_put_back_are_taken_off_the_list() {
    let folder = written();
    let whole = fs::read(segment(&folder, 0)).unwrap();
    write_at(&segment(&folder, 0), 2_500, b"?");
    run(&["repair", "s", "--damage", "quarantine", "--apply", "--no-aside"], folder.path());
    write_at(&segment(&folder, 0), 2_500, &whole[2_500..2_501]);
    let (_, out, _) = run(&["repair", "s"], folder.path());
    assert!(
        out.contains("would: open it: ") && out.contains("would be taken off the list of damage"),
        "{out}"
    );
    let (code, out, err) = run(&["repair", "s", "--apply"], folder.path());
    assert_eq!((code, &err[..]), (0, ""), "{out}");
    assert_eq!(messages(&folder), 150);
}

/// The last file of the log had fewer bytes than the others, as a copy that broke off leaves it: every command line
/// ended with the advice that the store would not open.
#[test]
fn a_file_that_was_cut_short_is_filled_up_and_the_log_ends_where_its_records_do() {
    let folder = written();
    let last = segment(&folder, 128 << 10);
    let whole = fs::read(&last).unwrap();
    fs::OpenOptions::new().write(true).open(&last).unwrap().set_len(8_000).unwrap();
    let before = state(folder.path());
    for words in [&["repair", "s"][..], &["repair", "s", "--apply"]] {
        let (code, out, _) = run(words, folder.path());
        assert!(code == 1 && out.contains("--damage cut"), "{out}");
    }
    let (code, out, _) = run(&["repair", "s", "--damage", "cut"], folder.path());
    assert!(code == 1 && out.contains("with zeros from 8000 bytes to 65536"), "{out}");
    assert!(state(folder.path()) == before);
    let (code, out, err) = run(&["repair", "s", "--damage", "cut", "--apply"], folder.path());
    assert_eq!((code, &err[..]), (0, ""), "{out}");
    let mended = fs::read(&last).unwrap();
    assert_eq!(mended.len(), 64 << 10);
    // Whole records of 8,000 bytes stay, and nothing else.
    let kept = messages(&folder);
    assert!((118..126).contains(&kept), "{kept}");
    assert_eq!(&mended[..6_000], &whole[..6_000]);
    assert_eq!(
        fs::read(folder.path().join(format!("s.before-repair/commitlog/{:020}", 128 << 10))).unwrap(),
        whole[..8_000]
    );
    assert!(!folder.path().join("s/sawlog/filling").exists());
}

/// The mark knows how long the only file was; by its files alone the log would have had segments of 8,000 bytes.
#[test]
fn the_only_file_of_a_log_is_filled_up_to_the_length_that_the_mark_says() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::new().segment_bytes(64 << 10).index_slots(100).index_entries(400);
    let store = Store::open(folder.path().join("s"), options).unwrap();
    for n in 0..20 {
        store.append(&sawlog::Message::new("orders", format!("{n:01000}"))).unwrap().forget();
    }
    store.close().unwrap();
    fs::OpenOptions::new().write(true).open(segment(&folder, 0)).unwrap().set_len(8_000).unwrap();
    let (code, out, err) = run(&["repair", "s", "--damage", "cut", "--apply"], folder.path());
    assert_eq!((code, &err[..]), (0, ""), "{out}");
    assert_eq!(fs::metadata(segment(&folder, 0)).unwrap().len(), 64 << 10);
    assert_eq!(messages(&folder), 7);
}

#[test]
fn a_copy_that_is_there_already_is_named_with_the_ways_round_it() {
    let folder = written();
    fs::create_dir(folder.path().join("s.before-repair")).unwrap();
    let (code, _, err) = run(&["repair", "s", "--rebuild", "--apply"], folder.path());
    assert!(code == 2 && err.contains("--aside") && err.contains("--no-aside"), "{err}");
}

#[test]
fn a_dump_steps_over_what_is_listed_and_ends_at_other_damage() {
    let folder = written();
    write_at(&segment(&folder, 0), 2_500, b"?");
    let (code, out, err) = run(&["dump", "s"], folder.path());
    assert!(code == 1 && err.contains("--from"), "{err}");
    assert_eq!(out.lines().count(), 2);
    run(&["repair", "s", "--damage", "quarantine", "--apply", "--no-aside"], folder.path());
    let (code, out, err) = run(&["dump", "s"], folder.path());
    assert!(code == 1 && err.contains("listed, and stepped over up to "), "{err}");
    assert_eq!(out.lines().count(), 149);
}

#[test]
fn a_verification_from_within_a_record_is_a_slip_and_no_damage() {
    let folder = written();
    let (code, _, err) = run(&["verify", "s", "--from", "5"], folder.path());
    assert!(code == 2 && err.contains("no record begins at 5: one reaches from 0 to "), "{err}");
    let next = err.trim_end().rsplit(' ').next().unwrap().to_owned();
    assert_eq!(run(&["verify", "s", "--from", &next], folder.path()).0, 0);
    assert_eq!(run(&["verify", "s", "--from", "65536"], folder.path()).0, 0);
}

#[test]
fn a_topic_or_queue_that_is_not_there_is_said_and_no_failure() {
    let folder = written();
    for words in [
        &["tail", "s", "--topic", "nope"][..],
        &["dump", "s", "--topic", "nope"],
        &["find", "s", "--topic", "nope", "--key", "k-1"],
        &["offsets", "s", "--topic", "nope", "--time", "2024-05-01"],
    ] {
        let (code, _, err) = run(words, folder.path());
        assert_eq!((code, &err[..]), (0, "sawlog: the topic nope has no queue here\n"), "{words:?}");
    }
    let (code, out, err) = run(&["dump", "s", "--topic", "orders", "--queue", "7"], folder.path());
    assert_eq!((code, &out[..], &err[..]), (0, "", "sawlog: the topic orders has no queue 7 here\n"));
}

#[test]
fn a_time_that_cannot_be_meant_is_refused() {
    let folder = written();
    for (time, word) in
        [("2020..2021", "milliseconds are 1970"), ("2024-05-02..2024-05-01", "before it begins")]
    {
        let (code, _, err) = run(&["dump", "s", "--time", time], folder.path());
        assert!(code == 2 && err.contains(word), "{err}");
    }
    assert_eq!(run(&["offsets", "s", "--topic", "orders", "--time", "2020"], folder.path()).0, 2);
}

#[test]
fn a_locked_store_is_refused() {
    let folder = damaged(|_| {});
    let lock = sawlog::disk::Disk::lock(&sawlog::disk::OsDisk::new(), &folder.path().join("s/lock")).unwrap();
    let (code, _, err) = run(&["repair", "s", "--rebuild", "--apply"], folder.path());
    let holder = format!("is held by process {}", std::process::id());
    assert!(code == 3 && err.contains(&holder), "{err}");
    drop(lock);
    assert!(!folder.path().join("s.before-repair").exists());
}
