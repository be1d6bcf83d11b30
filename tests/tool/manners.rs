//! How the tool behaves among others: pipes that close, signals, help, shells, the manual.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use crate::{answer, data, tool};

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let store = data().join("rocketmq-5.3.3/plain");
    let mut child = tool(&["dump", store.to_str().unwrap()], &data())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut String::new()).unwrap();
    drop(out);
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((child.wait().unwrap().code(), &err[..]), (Some(0), ""));
}

#[test]
fn an_interrupted_dump_ends_with_a_whole_line() {
    let store = data().join("rocketmq-5.3.3/plain");
    // Far more than a pipe holds: it waits for its reader.
    let words = ["dump", store.to_str().unwrap(), "--raw"];
    let mut child = tool(&words, &data()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    out.read_line(&mut first).unwrap();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((child.wait().unwrap().code(), &err[..]), (Some(130), "sawlog: interrupted\n"));
    for line in [&first[..], &rest[..]].concat().lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
}

#[test]
fn every_command_tells_how_it_is_used_and_what_it_answers() {
    for command in [
        "survey",
        "verify",
        "dump",
        "tail",
        "find",
        "offsets",
        "append",
        "snapshot",
        "repair",
        "completions",
        "man",
    ] {
        let (code, out, _) = answer(&[command, "--help"], &data());
        assert_eq!(code, 0, "{command}");
        assert!(out.contains(&format!("Examples:\n  sawlog {command}")), "{out}");
        if !["completions", "man"].contains(&command) {
            assert!(out.contains("--json"), "{out}");
            assert_eq!(answer(&[command], &data()).0, 2, "{command}");
        }
    }
    let (_, out, _) = answer(&["--help"], &data());
    for code in ["0    all is well", "1    damage", "2    the command line", "3    the store is locked"] {
        assert!(out.contains(code), "{out}");
    }
}

#[test]
fn shells_and_the_manual_know_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, out, _) = answer(&["completions", shell], &data());
        assert!(code == 0 && ["survey", "verify", "offsets"].iter().all(|c| out.contains(c)), "{shell}");
    }
    assert_eq!(answer(&["completions", "tcsh"], &data()).0, 2);
    let (code, out, _) = answer(&["man"], &data());
    assert_eq!(code, 0);
    for part in [".TH sawlog 1", "SAWLOG VERIFY", "SAWLOG DUMP", "SAWLOG BENCH", "Exit codes"] {
        assert!(out.contains(part), "{part}");
    }
    assert!(!out.contains("bench-child") && !out.contains("BENCH-CHILD"));
}
