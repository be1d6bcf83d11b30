//! Who else may open a store that is open: nobody, by whatever way they come, and whatever becomes of its holder.
//!
//! Five ways to come (promises E2): the same process, another one, a forked one, a symbolic link, another mount path;
//! and the lock that a Java broker takes, in both directions. And what leaves the holder when it starts a program or
//! is ended by a signal (E6): nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    dead_code,
    missing_docs,
    reason = "tests may stop at the first surprise"
)]

#[path = "support/process.rs"]
mod process;

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use process::{Other, again, on_a_mount, part, photograph, say, told, until_told_to_end};
use rustix::process::{Pid, Signal, kill_process};
use sawlog::flush::{AsyncFlush, SyncFlush};
use sawlog::{Error, Message, Options, Store};

fn options() -> Options {
    Options::new().segment_bytes(64 << 10).index_slots(16).index_entries(64).queue_segment_entries(32)
}

fn filled(root: &Path) -> Store {
    let store = Store::open(root, options().flush(SyncFlush)).unwrap();
    for n in 0..10 {
        store.append(&Message::new("orders", format!("{n}")).key("k")).unwrap().wait().unwrap();
    }
    store.dispatched().reach(store.marks().flushed).wait().unwrap();
    store
}

/// What an attempt to open came to, in a word.
fn attempt(root: &Path) -> &'static str {
    match Store::open(root, options()) {
        Ok(store) => {
            store.close().unwrap();
            "opened"
        }
        Err(Error::Locked { .. }) => "locked",
        Err(other) => panic!("{other}"),
    }
}

/// Opens the folder and holds it until told to end. Played by the tests that name it.
#[test]
fn the_holder() {
    let Some(dir) = part() else { return };
    let store = filled(&dir);
    say("open");
    until_told_to_end();
    store.close().unwrap();
}

/// Tries to open the folder once.
#[test]
fn the_stranger() {
    if let Some(dir) = part() {
        say(attempt(&dir));
    }
}

fn a_holder(root: &Path) -> Other {
    let mut holder = Other::start(again("the_holder", root));
    assert_eq!(holder.word().as_deref(), Some("open"));
    holder
}

fn a_stranger(root: &Path) -> String {
    told("the_stranger", root).remove(0)
}

#[test]
fn a_second_opener_in_the_same_process_is_refused_and_touches_nothing() {
    // In a process of its own: its descriptors are counted.
    let name = "a_second_opener_in_the_same_process_is_refused_and_touches_nothing";
    let Some(dir) = part() else {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(told(name, folder.path()), ["done"]);
        return;
    };
    let (root, link) = (dir.join("store"), dir.join("link"));
    std::fs::create_dir(&root).unwrap();
    std::os::unix::fs::symlink(&root, &link).unwrap();
    let store = filled(&root);
    let ways = [root.clone(), link, root.join("."), root.join("../store"), dir.join("./store")];
    for way in &ways {
        assert_eq!(attempt(way), "locked", "{}", way.display());
    }
    // A thousand refusals leave no descriptor behind, and the lock stays ours through all of them.
    let before = process::held().0;
    for _ in 0..1_000 {
        assert_eq!(attempt(&root), "locked");
    }
    // The store's own threads may open a few files of queues meanwhile.
    assert!(process::held().0 <= before + 16, "{before} descriptors before, {} now", process::held().0);
    assert_eq!(a_stranger(&root), "locked");
    store.append(&Message::new("orders", "on")).unwrap().wait().unwrap();
    assert!(store.failure().is_none());
    store.close().unwrap();
    assert_eq!(a_stranger(&root), "opened");
    say("done");
}

#[test]
fn a_second_opener_in_another_process_is_refused_and_touches_nothing() {
    if part().is_some() {
        return;
    }
    for end in ["a kill", "a close"] {
        let folder = tempfile::tempdir().unwrap();
        let (root, link) = (folder.path().join("store"), folder.path().join("link"));
        std::fs::create_dir(&root).unwrap();
        std::os::unix::fs::symlink(&root, &link).unwrap();
        drop(filled(&root));
        let holder = a_holder(&root);
        // Its recorder and keeper write by the clock: what they leave is there once nothing changes any more.
        let still = || {
            let mut last = photograph(&root);
            loop {
                let (quiet, clock) =
                    (std::sync::mpsc::channel::<()>(), std::time::Duration::from_millis(300));
                let _ = quiet.1.recv_timeout(clock);
                let now = photograph(&root);
                if now == last {
                    return now;
                }
                last = now;
            }
        };
        let before = still();
        for _ in 0..20 {
            assert_eq!((attempt(&root), attempt(&link)), ("locked", "locked"));
        }
        assert_eq!((a_stranger(&root).as_str(), a_stranger(&link).as_str()), ("locked", "locked"));
        assert!(before == photograph(&root), "a refused opener has touched the store");
        // The lock falls with its holder, however that ends; no file needs to be removed.
        match end {
            "a kill" => holder.kill(),
            _ => holder.end(),
        }
        let store = Store::open(&root, options()).unwrap();
        assert_eq!(store.recovery().clean_shutdown, end == "a close");
        assert_eq!(store.scan(store.marks().first).count(), 20);
        store.close().unwrap();
    }
}

#[test]
fn a_second_opener_on_another_mount_path_is_refused() {
    let name = "a_second_opener_on_another_mount_path_is_refused";
    if let Some(dir) = part() {
        let store = filled(&dir.join("one"));
        assert_eq!(attempt(&dir.join("two")), "locked");
        // Another process by the other path: the lock is the file's, not the path's.
        let mut other = Other::start(again("the_stranger", &dir.join("two")));
        assert_eq!(other.word().as_deref(), Some("locked"));
        other.end();
        store.close().unwrap();
        assert_eq!(attempt(&dir.join("two")), "opened");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mount = r#"mkdir "$DIR/one" "$DIR/two" && mount --bind "$DIR/one" "$DIR/two""#;
    if on_a_mount(name, folder.path(), mount, &[]).is_none() {
        println!("skipped: mounting is not allowed here");
    }
}

/// The two calls that std has no name for.
#[expect(unsafe_code, reason = "std starts programs and never only forks")]
mod libc {
    // SAFETY: `int fork(void)` and `void _exit(int)` of every C library; neither takes a pointer. The child below does
    // nothing but try to open a store and end: no thread but the caller lives on in it.
    unsafe extern "C" {
        pub(super) safe fn fork() -> i32;
        pub(super) safe fn _exit(status: i32) -> !;
    }
}

#[test]
fn a_forked_process_is_refused_and_its_end_does_not_free_the_store() {
    let name = "a_forked_process_is_refused_and_its_end_does_not_free_the_store";
    if let Some(dir) = part() {
        let store = filled(&dir);
        let child = libc::fork();
        if child == 0 {
            // It has every descriptor that its parent had, and a table that says the folder is held.
            let refused = matches!(Store::open(&dir, options()), Err(Error::Locked { .. }));
            libc::_exit(if refused { 7 } else { 8 });
        }
        let pid = Pid::from_raw(child).unwrap();
        let (_, status) =
            rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()).unwrap().unwrap();
        assert_eq!(status.exit_status(), Some(7), "the forked process was let in: {status:?}");
        // At its end the kernel closed its descriptors of the lock file; a lock belongs to a process.
        say(&a_stranger(&dir));
        store.append(&Message::new("orders", "on")).unwrap().wait().unwrap();
        store.close().unwrap();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(told(name, folder.path()), ["locked"]);
}

#[test]
fn a_forked_child_that_outlives_its_parent_holds_nothing() {
    let name = "a_forked_child_that_outlives_its_parent_holds_nothing";
    if let Some(dir) = part() {
        let _store = filled(&dir);
        if libc::fork() == 0 {
            say("forked");
            until_told_to_end();
            libc::_exit(0);
        }
        // The parent ends as if it were killed, while the child keeps copies of its descriptors.
        libc::_exit(0);
    }
    let folder = tempfile::tempdir().unwrap();
    let mut parent = Other::start(again(name, folder.path()));
    assert_eq!(parent.word().as_deref(), Some("forked"));
    let input = parent.child.stdin.take();
    parent.child.wait().unwrap();
    // The child lives on: it still waits for its input, which this process holds open.
    assert_eq!(attempt(folder.path()), "opened");
    drop(input);
}

#[test]
fn a_program_that_the_holder_starts_has_no_descriptor_and_no_lock() {
    let name = "a_program_that_the_holder_starts_has_no_descriptor_and_no_lock";
    if let Some(dir) = part() {
        let _store = filled(&dir);
        let list = Command::new("ls").args(["-l", "/proc/self/fd"]).output().unwrap();
        let list = String::from_utf8(list.stdout).unwrap();
        assert!(list.lines().count() >= 3, "{list}");
        let held: Vec<_> = list.lines().filter(|line| line.contains(dir.to_str().unwrap())).collect();
        assert!(held.is_empty(), "inherited: {held:?}");
        // It lives longer than its parent.
        let child = Command::new("cat").stdin(Stdio::inherit()).stdout(Stdio::null()).spawn().unwrap();
        // Nobody waits for it: this process is gone first.
        std::mem::forget(child);
        say("started");
        kill_process(rustix::process::getpid(), Signal::KILL).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let mut holder = Other::start(again(name, folder.path()));
    assert_eq!(holder.word().as_deref(), Some("started"));
    let input = holder.child.stdin.take();
    holder.child.wait().unwrap();
    assert_eq!(attempt(folder.path()), "opened");
    drop(input);
}

/// Whether this process was started so that the signal does nothing, as `nohup` does with HUP.
fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap() >> (signal.as_raw() - 1) & 1 == 1
}

#[test]
fn a_store_ended_by_any_signal_is_as_one_that_was_killed() {
    if part().is_some() {
        return;
    }
    for (signal, sync) in
        [(Signal::TERM, true), (Signal::HUP, false), (Signal::INT, true), (Signal::KILL, false)]
    {
        if is_ignored(signal) {
            println!("left out: {signal:?} is ignored by whoever started this test, and so by its children");
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        if !sync {
            let options = options().flush(AsyncFlush::default());
            Store::open(folder.path(), options).unwrap().close().unwrap();
        }
        let mut holder = a_holder(folder.path());
        let pid = Pid::from_raw(i32::try_from(holder.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        assert_eq!(holder.child.wait().unwrap().signal(), Some(signal.as_raw()));
        let store = Store::open(folder.path(), options()).unwrap();
        let report = store.recovery();
        assert!(!report.clean_shutdown && report.cuts.is_empty(), "{report}");
        assert_eq!(store.scan(store.marks().first).count(), 10);
        assert_eq!(store.find("orders", "k").count(), 10);
        store.close().unwrap();
    }
}

/// Takes the lock as `DefaultMessageStore` does: `tryLock(0, 1, false)` on a file opened `rw` (spec 5.3).
const JAVA_HOLDER: &str = r#"
import java.io.RandomAccessFile;
import java.nio.channels.FileLock;

public class Holder {
    public static void main(String[] args) throws Exception {
        RandomAccessFile file = new RandomAccessFile(args[0], "rw");
        FileLock lock = file.getChannel().tryLock(0, 1, false);
        System.out.println("\nsays: " + (lock == null ? "locked" : "open"));
        System.in.read();
    }
}
"#;

#[test]
fn a_store_and_a_java_broker_refuse_each_other() {
    if part().is_some() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("Holder.java");
    std::fs::write(&source, JAVA_HOLDER).unwrap();
    let root = folder.path().join("store");
    drop(filled(&root));
    let java = || {
        let mut command = Command::new("java");
        command.arg(&source).arg(root.join("lock")).stderr(Stdio::null());
        command
    };
    let has_compiler = Command::new("javac").arg("-version").output().is_ok_and(|run| run.status.success());
    if !has_compiler {
        println!("skipped: there is no Java that runs a source file here");
        return;
    }
    let mut broker = Other::start(java());
    assert_eq!(broker.word().as_deref(), Some("open"));
    let before = photograph(&root);
    assert_eq!((attempt(&root), a_stranger(&root).as_str()), ("locked", "locked"));
    assert!(before == photograph(&root), "a refused opener has touched the store");
    broker.kill();

    let store = filled(&root);
    assert_eq!(attempt(&root), "locked");
    let mut broker = Other::start(java());
    assert_eq!(broker.word().as_deref(), Some("locked"), "Java does not see our lock");
    broker.end();
    store.close().unwrap();
    let mut broker = Other::start(java());
    assert_eq!(broker.word().as_deref(), Some("open"));
    broker.end();
}
