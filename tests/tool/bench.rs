//! `sawlog bench` from outside: what it prints, what it answers, what it leaves behind.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use sawlog::{Options, Store};
use serde_json::Value;

use crate::{answer, tool};

fn names(dir: &Path) -> Vec<String> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

const SHORT: [&str; 5] = ["bench", "--seconds", "0.2", "--segment-bytes", "16M"];

#[test]
fn a_short_bench_loses_nothing_doubles_nothing_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let json = tempfile::NamedTempFile::new().unwrap();
    let arguments = [&SHORT[..], &["--json", json.path().to_str().unwrap()]].concat();
    let (code, out, err) = answer(&arguments, dir.path());
    assert_eq!((code, &err[..]), (0, ""), "{out}");
    assert!(names(dir.path()).is_empty());

    let told: Value = serde_json::from_slice(&fs::read(json.path()).unwrap()).unwrap();
    assert_eq!(told["sawlog"], env!("CARGO_PKG_VERSION"));
    assert_eq!(told["sound"], true);
    assert!(told["disk"].is_string() && told["in_memory"].is_boolean());
    assert!(out.contains(told["file_system"].as_str().unwrap()));
    let rows = told["rows"].as_array().unwrap();
    let kinds: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row["policy"].as_str().unwrap(),
                row["producers"].as_u64().unwrap(),
                row["killed"].as_bool().unwrap(),
            )
        })
        .collect();
    let (sync, not) = ("SYNC_FLUSH", "ASYNC_FLUSH");
    let all = [(sync, 1, false), (sync, 16, false), (sync, 64, false), (not, 1, false), (not, 4, false)];
    assert_eq!(kinds, [&all[..], &[(sync, 16, true), (not, 4, true)]].concat());
    for row in rows {
        for none in ["lost", "duplicated", "wrong"] {
            assert_eq!(row[none], 0, "{row:#}");
        }
        let number = |name: &str| row[name].as_f64().unwrap();
        let positive = ["messages", "messages_per_s", "mib_per_s", "p50_us", "recovery_ms"];
        let reading = ["queue_messages_per_s", "queue_mib_per_s", "find_p50_us"];
        for some in positive.into_iter().chain(reading) {
            assert!(number(some) > 0.0, "{some}: {row:#}");
        }
        assert!(number("p50_us") <= number("p99_us") && number("p99_us") <= number("p999_us"), "{row:#}");
        // What was acknowledged was read, and at most what was in flight beside it.
        assert_eq!(
            row["records_read"].as_u64().unwrap(),
            row["messages"].as_u64().unwrap() + row["unacknowledged"].as_u64().unwrap()
        );
        assert_eq!((&row["queue_records_read"], &row["finds"]), (&row["records_read"], &1000.into()));
        assert!(number("find_p50_us") <= number("find_p99_us"), "{row:#}");
        // A killed writer has no end at which the dispatcher could lag.
        assert_eq!(row["dispatch_lag_ms"].is_null(), row["killed"].as_bool().unwrap(), "{row:#}");
        if row["policy"] == sync {
            assert!(number("syncs_per_s") > 0.0 && number("mean_batch") > 0.0, "{row:#}");
        }
    }
    // The tables say the same: a line for each row in each, in the first with its three zeros at the end.
    let lines: Vec<_> = out.lines().filter(|line| line.contains("C_FLUSH") && line.contains('│')).collect();
    assert_eq!(lines.len(), 2 * rows.len(), "{out}");
    for line in &lines[..rows.len()] {
        let zeros: Vec<_> =
            line.split(['│', '┆']).rev().map(str::trim).filter(|cell| !cell.is_empty()).take(3).collect();
        assert_eq!(zeros, ["0"; 3], "{line}");
    }
}

#[test]
fn kept_stores_are_stores() {
    let dir = tempfile::tempdir().unwrap();
    let arguments =
        [&SHORT[..3], &["--segment-bytes", "1M", "--keep", "--dir", dir.path().to_str().unwrap()]].concat();
    let elsewhere = tempfile::tempdir().unwrap();
    let (code, out, err) = answer(&arguments, elsewhere.path());
    assert_eq!(code, 0, "{out}{err}");
    let [bench] = &names(dir.path())[..] else { panic!("not one folder") };
    for row in 0..7 {
        let root = dir.path().join(bench).join(format!("row-{row}"));
        let store = Store::open(root, Options::new()).unwrap();
        assert!(store.recovery().clean_shutdown);
        assert!(store.scan(store.marks().first).all(|record| record.is_ok()));
        assert_eq!(store.topics(), ["bench-orders", "bench-payments", "bench-stock", "bench-trail"]);
    }
}

#[test]
fn what_the_user_can_put_right_answers_2() {
    let dir = tempfile::tempdir().unwrap();
    let wrong: [&[&str]; 9] = [
        &[],
        &["mill"],
        &["bench", "--seconds", "0"],
        &["bench", "--bytes", "3"],
        &["bench", "--bytes", "8M"],
        &["bench", "--segment-bytes", "10K"],
        &["bench", "--segment-bytes", "4G", "--seconds", "0.1"],
        &["bench", "--dir", "/nowhere/at/all"],
        &["bench", "--json", "/nowhere/at/all.json"],
    ];
    for arguments in wrong {
        let (code, out, err) = answer(arguments, dir.path());
        assert_eq!(code, 2, "{arguments:?}: {out}{err}");
        assert!(!err.is_empty(), "{arguments:?}");
        assert!(names(dir.path()).is_empty(), "{arguments:?}");
    }
}

#[test]
fn help_shows_examples_and_hides_the_child() {
    let dir = tempfile::tempdir().unwrap();
    let (code, out, _) = answer(&["bench", "--help"], dir.path());
    assert_eq!(code, 0);
    assert!(out.contains("Examples:") && out.contains("--dir") && out.contains("--json"), "{out}");
    let (code, out, _) = answer(&["--help"], dir.path());
    assert_eq!(code, 0);
    assert!(out.contains("bench") && !out.contains("bench-child"), "{out}");
}

/// Interrupted in the middle, the tool ends in order: its folder goes and its own child with it.
#[test]
fn an_interrupted_bench_takes_its_folder_away() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let dir = tempfile::tempdir().unwrap();
        let mut child = tool(&["bench", "--seconds", "600"], dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The heading is printed when the folder is there and signals are listened for.
        let mut heading = BufReader::new(child.stdout.take().unwrap()).lines();
        let found = heading.any(|line| line.unwrap().starts_with("in /"));
        assert!(found);
        assert_eq!(names(dir.path()).len(), 1);
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130));
        assert!(names(dir.path()).is_empty(), "{signal:?}");
    }
}

#[cfg(feature = "sim")]
#[test]
fn a_torture_of_two_bars_counts_them_and_one_case_can_be_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("figures.json");
    let arguments = ["torture", "--bar", "C2,D7", "--short", "--seed", "3", "--json", json.to_str().unwrap()];
    let (code, out, err) = answer(&arguments, dir.path());
    assert_eq!((code, &err[..]), (0, ""), "{out}");
    let told: Value = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
    let bars = told["bars"].as_array().unwrap();
    let counted: Vec<_> =
        bars.iter().map(|bar| (bar["bars"].as_str().unwrap(), bar["violations"].as_u64())).collect();
    assert_eq!(counted, [("C2", Some(0)), ("D7", Some(0))]);
    assert!(bars.iter().all(|bar| bar["cases"].as_u64().unwrap() >= 500), "{out}");

    let again = answer(&["torture", "--bar", "D7", "--seed", "3", "--case", "7"], dir.path());
    assert_eq!((again.0, &again.1[..]), (0, "D7 case 7: the promise holds\n"), "{}", again.2);
    let (code, _, err) = answer(&["torture", "--bar", "Z9"], dir.path());
    assert!(code == 2 && err.contains("no bar Z9"), "{code}: {err}");
}

#[test]
fn waits_are_measured_at_a_rate_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (svg, hdr, json) = (at("w.svg"), at("w"), at("w.json"));
    let words = [
        ["bench", folder.path().to_str().unwrap(), "--rate", "400", "--seconds", "0.5", "--producers", "2"],
        ["--segment-bytes", "1M", "--svg", &svg, "--hdr", &hdr, "--json", &json],
    ]
    .concat();
    let (code, out, err) = answer(&words, folder.path());
    assert_eq!((code, &err[..]), (0, ""), "{out}");
    assert!(out.contains("SYNC_FLUSH: ") && out.contains("ASYNC_FLUSH: ") && out.contains("p99.99"), "{out}");
    let done: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    for run in done["runs"].as_array().unwrap() {
        // Each message that was due is measured, or told to be unsent.
        assert_eq!(run["messages"].as_u64().unwrap() + run["unsent"].as_u64().unwrap(), 200, "{done}");
    }
    assert_eq!(fs::read_to_string(&svg).unwrap().matches("<polyline").count(), 2);
    for policy in ["sync", "async"] {
        let text = fs::read_to_string(format!("{hdr}.{policy}.hgrm")).unwrap();
        assert!(text.contains("1/(1-Percentile)"), "{text}");
    }
    let mut left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["w.async.hgrm", "w.json", "w.svg", "w.sync.hgrm"], "the stores are gone");
}
