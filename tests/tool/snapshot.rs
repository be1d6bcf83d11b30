//! `sawlog snapshot`: whole, verified, and never half-made; what is linked is what nobody writes into.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};
use sawlog::flush::SyncFlush;
use sawlog::{Message, Options, Store};
use serde_json::Value;

use crate::{copy, data, state, tool};

fn run(words: &[&str], dir: &Path) -> (i32, String, String) {
    crate::answer_of(tool(words, dir).current_dir(dir))
}

fn options() -> Options {
    Options::new().segment_bytes(1 << 16).flush(SyncFlush)
}

fn fill(store: &Store, count: usize) {
    for n in 0..count {
        store.append(&Message::new("orders", vec![b'x'; 500]).key(&format!("k{n}"))).unwrap().wait().unwrap();
    }
}

fn count(root: &Path) -> usize {
    let store = Store::open(root, Options::new()).unwrap();
    let count = store.scan(store.marks().first).map(Result::unwrap).count();
    store.close().unwrap();
    count
}

/// How many segments have two names.
fn linked(root: &Path) -> usize {
    let files = fs::read_dir(root.join("commitlog")).unwrap().map(|file| file.unwrap().metadata().unwrap());
    files.filter(|data| data.is_file() && data.nlink() > 1).count()
}

#[test]
fn a_store_at_rest_is_copied_whole_and_both_go_on_apart() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("s");
    let store = Store::open(&root, options()).unwrap();
    fill(&store, 400);
    store.close().unwrap();
    let before = state(&root.join("commitlog"));
    let (code, out, err) = run(&["snapshot", "s", "copy"], folder.path());
    assert_eq!((code, &err[..]), (0, ""), "{out}");
    assert!(
        out.starts_with("sound: copy holds the log from 0 to ")
            && out.contains(" 400 records, 400 entries of 1 queue, 400 keys; 3 segments linked"),
        "{out}"
    );
    assert!(state(&root.join("commitlog")) == before, "the store was changed");
    assert_eq!(linked(&root), 3);
    // Each goes on by itself; what is linked stays as it is.
    for (which, more) in [(&root, 300), (&folder.path().join("copy"), 100)] {
        let store = Store::open(which, options()).unwrap();
        fill(&store, more);
        store.close().unwrap();
        let (code, out, _) = run(&["verify", which.to_str().unwrap()], folder.path());
        assert_eq!(code, 0, "{out}");
    }
    assert_eq!((count(&root), count(&folder.path().join("copy"))), (700, 500));
    // The store goes; the copy keeps its bytes.
    fs::remove_dir_all(&root).unwrap();
    assert_eq!(count(&folder.path().join("copy")), 500);
}

#[test]
fn a_store_that_is_being_written_is_copied_up_to_what_is_durable() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("s");
    let store = Store::open(&root, options()).unwrap();
    // The mark follows what is durable once a second: on a quick machine four rounds are over before it says anything,
    // and nothing is linked then.
    let mut rounds = 0;
    while rounds < 4 || linked(&root) == 0 {
        let round = rounds;
        rounds += 1;
        assert!(rounds < 500, "sealed segments are linked beside the writer, too");
        fill(&store, 250);
        let copy = format!("copy-{round}");
        let (code, out, err) = run(&["snapshot", "s", &copy, "--json"], folder.path());
        assert_eq!((code, &err[..]), (0, ""), "{out}");
        // What its queues lack may be told first: that is no damage.
        let made: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
        assert_eq!((&made["kept"], &made["live"]), (&true.into(), &true.into()));
        let records = made["verification"]["records"].as_u64().unwrap() as usize;
        assert!(records <= 250 * (round + 1), "{out}");
        assert_eq!(count(&folder.path().join(&copy)), records);
        let (code, out, _) = run(&["verify", &copy], folder.path());
        assert_eq!(code, 0, "{out}");
        println!("round {round}: {records} records, {} linked", made["linked_segments"]);
    }
    store.close().unwrap();
    assert_eq!(count(&root), 250 * rounds);
}

#[test]
fn nothing_is_linked_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    copy(&data().join("rocketmq-5.3.3/plain"), &folder.path().join("s"));
    assert_eq!(run(&["snapshot", "s", "copy", "--copy"], folder.path()).0, 0);
    assert_eq!(linked(&folder.path().join("s")), 0);
    assert_eq!(run(&["snapshot", "s", "links"], folder.path()).0, 0);
    assert_eq!(linked(&folder.path().join("s")), 4);
    // Sawlog takes over the one whose segments are linked; the broker's store does not change by that.
    let before = state(&folder.path().join("s/commitlog"));
    let bytes = |state: std::collections::BTreeMap<_, (u64, i64, i64, String)>| -> Vec<_> {
        state.into_values().map(|(len, _, _, hash)| (len, hash)).collect()
    };
    let store =
        Store::open(folder.path().join("links"), Options::new().index_slots(100).index_entries(400)).unwrap();
    fill(&store, 300);
    store.close().unwrap();
    assert!(bytes(state(&folder.path().join("s/commitlog"))) == bytes(before));
}

#[test]
fn damage_is_told_and_the_copy_of_it_is_not_kept_unless_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("s");
    copy(&data().join("rocketmq-5.3.3/plain"), &root);
    let path = root.join("commitlog/00000000000000065536");
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (code, out, err) = run(&["snapshot", "s", "copy"], folder.path());
    assert!(code == 1 && err.contains("copy was not made") && out.contains("rot"), "{out}{err}");
    // The copy is gone: whoever looks for the damage finds it in the store.
    assert!(out.contains("s/commitlog/00000000000000065536"), "{out}");
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["s"], "nothing is left");
    let (code, out, err) = run(&["snapshot", "s", "copy", "--keep-damaged"], folder.path());
    assert!(code == 1 && err.contains("in the copy copy, as in the store"), "{err}");
    assert!(out.contains("copy/commitlog/00000000000000065536") && !out.contains(".snapshot-"), "{out}");
    assert!(folder.path().join("copy").is_dir());
}

#[test]
fn what_cannot_be_copied_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("s");
    copy(&data().join("rocketmq-5.3.3/plain"), &root);
    fs::create_dir(folder.path().join("there")).unwrap();
    assert_eq!(run(&["snapshot", "s", "there"], folder.path()).0, 2);
    assert_eq!(run(&["snapshot", "s", "s/inside"], folder.path()).0, 2);
    assert_eq!(run(&["snapshot", "nowhere", "copy"], folder.path()).0, 3);
    assert_eq!(run(&["snapshot", "s", "no/parent/there"], folder.path()).0, 0);
    assert!(folder.path().join("no/parent/there/commitlog").is_dir());
    // A broker is writing it: nothing says what is durable.
    let lock = sawlog::disk::Disk::lock(&sawlog::disk::OsDisk::new(), &root.join("lock")).unwrap();
    let (code, _, err) = run(&["snapshot", "s", "copy"], folder.path());
    let holder = format!("is held by process {}", std::process::id());
    assert!(code == 3 && err.contains(&holder), "{err}");
    drop(lock);
    assert!(!folder.path().join("copy").exists());
}

#[test]
fn an_interrupted_one_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("s"), options()).unwrap();
    fill(&store, 3000);
    store.close().unwrap();
    let mut child = tool(&["snapshot", "s", "copy", "--copy", "--quiet"], folder.path())
        .current_dir(folder.path())
        .spawn()
        .unwrap();
    while !fs::read_dir(folder.path()).unwrap().any(|e| e.unwrap().file_name() != "s")
        && child.try_wait().unwrap().is_none()
    {
        std::thread::yield_now();
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let code = child.wait().unwrap().code();
    let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    // A very fast one was done before it heard.
    match code {
        Some(130) => assert_eq!(names, ["s"]),
        other => assert_eq!((other, names), (Some(0), vec!["copy".into(), "s".into()])),
    }
}
