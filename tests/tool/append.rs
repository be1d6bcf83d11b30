//! `sawlog append`: what is printed is in the store, however the command ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use sawlog::{Options, Store};
use serde_json::Value;

use crate::{copy, data, tool};

fn start(words: &[&str], dir: &Path) -> Child {
    let mut command = tool(words, dir);
    command
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Exit code, standard output and standard error of a run with this input.
fn append(words: &[&str], dir: &Path, input: &[u8]) -> (i32, String, String) {
    let mut child = start(words, dir);
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        // One that refuses its input closes it.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().unwrap()
    });
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn bodies(root: &Path) -> Vec<String> {
    let store = Store::open(root, Options::new()).unwrap();
    let all =
        store.scan(store.marks().first).map(|r| String::from_utf8_lossy(r.unwrap().body()).into_owned());
    let all = all.collect();
    store.close().unwrap();
    all
}

#[test]
fn each_line_is_a_message_and_its_offsets_are_printed() {
    let folder = tempfile::tempdir().unwrap();
    let words =
        ["append", "s", "--create", "--segment-bytes", "65536", "--topic", "orders", "--key-from", "field:2"];
    let done = append(&words, folder.path(), b"pay 42\n\nship 43 \xFF");
    assert_eq!(done, (0, "orders/0 0  @0\norders/0 1  @131\norders/0 2  @248\n".into(), String::new()));
    let words =
        ["append", "s", "--topic", "orders", "--queue", "3", "--tag", "late", "--json", "--flush", "async"];
    let (code, out, err) = append(&words, folder.path(), b"more\n");
    let line: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &err[..]), (0, ""));
    assert_eq!(
        (&line["line"], &line["queue"], &line["queue_offset"], &line["topic"]),
        (&1.into(), &3.into(), &0.into(), &"orders".into())
    );
    let (_, out, _) = crate::answer_of(
        tool(&["find", "s", "--topic", "orders", "--key", "42", "--json"], folder.path())
            .current_dir(folder.path()),
    );
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["body"], "pay 42");
    assert_eq!(bodies(&folder.path().join("s")), ["pay 42", "", "ship 43 \u{FFFD}", "more"]);
}

#[test]
fn a_store_that_java_wrote_is_gone_on_with_in_its_own_geometry() {
    let folder = tempfile::tempdir().unwrap();
    copy(&data().join("rocketmq-5.3.3/plain"), &folder.path().join("s"));
    // How the broker divides its index files stands in none of them; a wrong guess would make them anew otherwise.
    let index = || -> std::collections::BTreeSet<u64> {
        let files = std::fs::read_dir(folder.path().join("s/index")).unwrap();
        files.map(|file| file.unwrap().metadata().unwrap().len()).collect()
    };
    let before = index();
    let (code, out, err) = append(&["append", "s", "--topic", "orders"], folder.path(), b"one\n");
    assert_eq!((code, &err[..]), (0, ""));
    assert!(out.starts_with("orders/0 0  @"), "{out}");
    assert_eq!(index(), before);
    let (code, out, _) = crate::answer_of(tool(&["verify", "s"], folder.path()).current_dir(folder.path()));
    assert_eq!(code, 0, "{out}");
}

#[test]
fn a_line_that_is_too_long_is_named_and_those_before_it_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let input = [&b"first\n"[..], &vec![b'x'; (4 << 20) + 1], b"\nlast\n"].concat();
    let words = ["append", "s", "--create", "--topic", "orders"];
    let (code, out, err) = append(&words, folder.path(), &input);
    assert_eq!((code, &out[..]), (2, "orders/0 0  @0\n"));
    let [stored, why] = &err.lines().collect::<Vec<_>>()[..] else { panic!("{err}") };
    assert_eq!(*stored, "sawlog: 1 line is stored");
    assert!(why.starts_with("sawlog: line 2 of standard input: longer than 4194304 bytes"), "{why}");
    assert_eq!(bodies(&folder.path().join("s")), ["first"]);
}

#[test]
fn what_cannot_be_appended_to_is_refused_before_anything_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(append(&["append", "nowhere", "--topic", "orders"], folder.path(), b"x\n").0, 3);
    assert!(!folder.path().join("nowhere").exists());
    assert_eq!(append(&["append", "s", "--create", "--topic", "a/b"], folder.path(), b"x\n").0, 2);
    assert!(!folder.path().join("s").exists());
    let store = Store::open(folder.path().join("s"), Options::new()).unwrap();
    let (code, _, err) = append(&["append", "s", "--topic", "orders"], folder.path(), b"x\n");
    let holder = format!("is held by process {}", std::process::id());
    assert!(code == 3 && err.contains(&holder), "{err}");
    store.close().unwrap();
}

#[test]
fn an_interrupted_one_has_printed_all_that_it_took() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = start(&["append", "s", "--create", "--topic", "orders"], folder.path());
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"one\ntwo\n").unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    out.read_line(&mut first).unwrap();
    // The input stays open: it waits for more.
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let (mut rest, mut err) = (String::new(), String::new());
    out.read_to_string(&mut rest).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(input);
    let printed = 1 + rest.lines().count();
    assert!(err.ends_with("sawlog: interrupted\n"), "{err}");
    assert_eq!(bodies(&folder.path().join("s")).len(), printed);
    let survey = sawlog::inspect::survey(folder.path().join("s")).unwrap();
    assert!(survey.abort.is_none(), "it was closed in order");
}

#[test]
fn when_nobody_reads_the_offsets_the_lines_are_stored_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = start(&["append", "s", "--create", "--topic", "orders"], folder.path());
    drop(child.stdout.take());
    let lines: String = (0..20_000).map(|n| format!("{n}\n")).collect();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), &output.stderr[..]), (Some(0), &b""[..]));
    assert_eq!(bodies(&folder.path().join("s")).len(), 20_000);
}
