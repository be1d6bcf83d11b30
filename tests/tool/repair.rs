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
