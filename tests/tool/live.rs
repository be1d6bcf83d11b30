//! Beside a store that another process is writing: surveyed, verified, followed, and no fault found.

use std::io::Read;
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use sawlog::disk::Holder;
use sawlog::inspect::{self, Opening, Reader};
use sawlog::{Error, LogOffset, Message, Options, QueueOffset, Store};
use serde_json::Value;

use crate::{answer, tool};

/// The writing child of `sawlog bench`; it ends when its standard input does.
struct Writer {
    child: Child,
    _input: Option<ChildStdin>,
}

impl Writer {
    fn start(root: &Path, policy: &str) -> Writer {
        let root_text = root.to_str().unwrap();
        let words = [
            ["bench-child", "--root"],
            [root_text, "--policy"],
            [policy, "--producers"],
            ["4", "--first-producer"],
            ["0", "--run"],
            ["7", "--bytes"],
            ["300", "--segment-bytes"],
            ["1M", "--log-limit"],
        ];
        let words = [words.as_flattened(), &["40000000"]].concat();
        let mut command = tool(&words, root.parent().unwrap());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut reports = child.stdout.take().unwrap();
        // The first report says that the store is open.
        reports.read_exact(&mut [0; 44]).unwrap();
        thread::spawn(move || std::io::copy(&mut reports, &mut std::io::sink()));
        let input = child.stdin.take();
        Writer { child, _input: input }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads everything there is; the records follow each other without a hole, in the log and in each queue.
fn read_on(scan: &mut inspect::Follow, next: &mut std::collections::HashMap<(String, u32), u64>) -> u64 {
    let mut records = 0;
    for record in scan {
        let record = record.unwrap();
        records += 1;
        let queue = next.entry((record.topic().to_string(), record.queue_id())).or_default();
        assert_eq!(record.queue_offset.0, *queue, "{:?}", record.position);
        *queue += 1;
    }
    records
}

#[test]
fn a_store_is_looked_into_while_another_process_writes_it() {
    for policy in ["async", "sync"] {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("store");
        let writer = Writer::start(&root, policy);
        let path = root.to_str().unwrap();
        let reader = Reader::open(&root).unwrap();
        let mut scan = reader.scan(LogOffset(0));
        let mut next = std::collections::HashMap::new();
        let (mut records, mut verified, mut rounds) = (0, 0, 0);
        let began = Instant::now();
        // Until much was written and some of it is durable, or for as long as a slow machine deserves.
        while (records < 60_000 || rounds < 3 || verified == 0) && began.elapsed() < Duration::from_secs(20) {
            rounds += 1;
            records += read_on(&mut scan, &mut next);
            let survey = inspect::survey(&root).unwrap();
            assert_eq!(survey.holder, Holder::Held { pid: Some(writer.child.id()) });
            assert!(matches!(survey.opening, Opening::Held) && survey.odd.is_empty(), "{survey}");
            let (code, out, err) = answer(&["verify", path, "--json"], folder.path());
            assert_eq!((code, &err[..]), (0, ""), "{out}");
            let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let [done] = &lines[..] else { panic!("{policy}: {out}") };
            assert_eq!(done["complete"], true);
            verified = done["records"].as_u64().unwrap();
            // By queue, up to what is there now, through files and log.
            let queue = reader.queue("bench-orders", 1);
            let (min, max) = (queue.min().unwrap(), queue.max().unwrap());
            let middle = QueueOffset(max.0 / 2);
            let read: Vec<_> = queue.read_from(middle).take(100).map(|r| r.unwrap().queue_offset.0).collect();
            assert_eq!(read, (middle.0..middle.0 + read.len() as u64).collect::<Vec<_>>());
            assert_eq!(min, QueueOffset(0));
            if let Some(at) = max.0.checked_sub(1) {
                let newest = queue.record_at(QueueOffset(at)).unwrap();
                let message = &newest.message;
                let key = message.unique_id().or(message.keys()).expect("bench gives each one a key");
                let found = reader.find("bench-orders", &key).at_most(1).next().unwrap().unwrap();
                assert_eq!(found, newest);
            }
        }
        assert!(
            matches!(Store::open(&root, Options::new()), Err(Error::Locked { .. })),
            "looking freed the lock"
        );
        drop(writer);
        records += read_on(&mut scan, &mut next);
        let (code, out, err) = answer(&["verify", path], folder.path());
        assert_eq!(code, 0, "{out}{err}");
        let store = Store::open(&root, Options::new()).unwrap();
        let here = store.scan(store.marks().first).map(Result::unwrap).count() as u64;
        println!(
            "{policy}: {records} followed in {rounds} rounds, {verified} verified beside the writer, {here} there"
        );
        assert_eq!(here, records, "{policy}: {}", store.recovery());
        assert!(records > 1000 && verified > 0);
    }
}

#[test]
fn a_followed_tail_prints_what_comes_and_ends_when_asked() {
    use rustix::process::{Pid, Signal, kill_process};
    use std::io::{BufRead, BufReader};
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("store");
    let store = Store::open(&root, Options::new().segment_bytes(1 << 16)).unwrap();
    store.append_and_wait(&Message::new("orders", "first").queue(1)).unwrap();
    let words = ["tail", root.to_str().unwrap(), "--topic", "orders", "-f", "--json"];
    let mut child = tool(&words, folder.path()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut body = || -> Value {
        serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap()["body"].clone()
    };
    assert_eq!(body(), "first");
    // Over several segments, with another topic between.
    for n in 0..1000 {
        store.append(&Message::new("payments", vec![b'x'; 300])).unwrap().forget();
        store.append(&Message::new("orders", format!("{n}"))).unwrap().forget();
    }
    for n in 0..1000 {
        assert_eq!(body(), n.to_string());
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    store.close().unwrap();
}
