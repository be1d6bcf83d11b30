//! What every command prints, to the letter: over stores that Java wrote, and over damaged copies of them.
//!
//! `SAWLOG_BLESS=1 cargo test --features cli --test tool golden` writes the files anew; read what has changed.

use std::fs;
use std::path::Path;

use crate::{answer_of, copy, data, state, tool};

/// What differs from machine to machine and from run to run.
fn same_everywhere(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let mut line = line.to_owned();
        if let Some((before, after)) =
            line.split_once(" on ").filter(|(_, after)| after.contains("; held by"))
        {
            let held = after.split_once("; ").unwrap().1;
            line = format!("{before} on FILE-SYSTEM; {held}");
        }
        if let Some((before, after)) = line.split_once("\"file_system\":\"") {
            line = format!("{before}\"file_system\":\"FILE-SYSTEM\"{}", after.split_once('"').unwrap().1);
        }
        if let Some((before, after)) = line.split_once("/s); ") {
            line = format!("{}(RATE/s); {after}", &before[..before.rfind('(').unwrap()]);
        }
        // How much of a sparse file is data, each file system says otherwise.
        if let Some((before, _)) = line.split_once(" segments linked, ") {
            line = format!("{before} segments linked, BYTES copied");
        }
        lines.push(line);
    }
    lines.join("\n") + if text.ends_with('\n') { "\n" } else { "" }
}

/// Runs these command lines in a folder and holds what comes of them against a file.
fn golden(name: &str, dir: &Path, runs: &[&str]) {
    let mut text = String::new();
    for run in runs {
        let words: Vec<_> = run.split(' ').filter(|word| !word.is_empty()).collect();
        let mut command = tool(&words, dir);
        if let Ok(lines) = fs::File::open(dir.join("lines")) {
            command.stdin(lines);
        }
        let (code, out, err) = answer_of(command.current_dir(dir));
        text.push_str(&format!("$ sawlog {run}\n{}", same_everywhere(&out)));
        err.lines().for_each(|line| text.push_str(&format!("! {line}\n")));
        text.push_str(&format!("= {code}\n\n"));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tool/golden").join(format!("{name}.txt"));
    if std::env::var_os("SAWLOG_BLESS").is_some() {
        fs::write(path, text).unwrap();
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    if text != expected {
        let differs = text.lines().zip(expected.lines()).position(|(a, b)| a != b);
        let line = differs.unwrap_or(text.lines().count().min(expected.lines().count()));
        let at = |text: &str| text.lines().nth(line).unwrap_or("(nothing)").to_owned();
        panic!(
            "{name}.txt, line {}:\n  expected {}\n  found    {}\n{}",
            line + 1,
            at(&expected),
            at(&text),
            "SAWLOG_BLESS=1 writes it anew"
        );
    }
}

/// Over the stores as they are; not a byte nor a time of change differs afterwards.
fn over_stores(name: &str, runs: &[&str]) {
    let before = state(&data());
    golden(name, &data(), runs);
    assert!(state(&data()) == before, "{name}: a store was changed by looking");
}

/// Over a copy that is damaged first.
fn over_damage(name: &str, damage: impl Fn(&Path), runs: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    copy(&data().join("rocketmq-5.3.3/plain"), &store);
    damage(&store);
    let before = state(&store);
    golden(name, folder.path(), runs);
    assert!(state(&store) == before, "{name}: the store was changed by looking");
}

fn write_at(path: &Path, at: u64, bytes: &[u8]) {
    use std::os::unix::fs::FileExt;
    fs::OpenOptions::new().write(true).open(path).unwrap().write_all_at(bytes, at).unwrap();
}

#[test]
fn surveys() {
    over_stores(
        "survey",
        &[
            "survey rocketmq-5.3.3/plain",
            "survey rocketmq-5.3.3/killed --json",
            "survey rocketmq-5.3.3/rebuilt",
            "survey rocketmq-4.9.8/clean",
            "survey .",
            "survey rocketmq-5.3.3/plain.jsonl",
        ],
    );
}

#[test]
fn verifications() {
    over_stores(
        "verify",
        &[
            "verify rocketmq-5.3.3/plain",
            "verify rocketmq-5.3.3/propcrc --json",
            "verify rocketmq-5.3.3/killed",
            "verify rocketmq-5.3.3/rebuilt --threads 1",
            "verify rocketmq-4.9.8/clean --quiet",
            "verify rocketmq-4.9.8/killed --from 65536",
            "verify nowhere",
        ],
    );
}

#[test]
fn dumps() {
    over_stores(
        "dump",
        &[
            "dump rocketmq-5.3.3/plain --limit 3",
            "dump rocketmq-5.3.3/plain --limit 1 --raw --body hex",
            "dump rocketmq-5.3.3/rebuilt --limit 2 --body base64",
            "dump rocketmq-5.3.3/plain --topic TopicB --queue 0 --from 100 --to 102",
            "dump rocketmq-5.3.3/plain --from 302 --to 700",
            "dump rocketmq-5.3.3/plain --topic batch-1 --key b2-3",
            "dump rocketmq-5.3.3/plain --topic TopicB --time 2025-10-10T08:53:20.139Z..2025-10-10T08:53:20.140Z --limit 2",
            "dump rocketmq-5.3.3/plain --topic TopicB --queue 1 --time 2026-01-01",
            "dump rocketmq-5.3.3/plain --from 5",
            "dump rocketmq-5.3.3/plain --queue 5",
            "dump rocketmq-5.3.3/plain --time yesterday",
        ],
    );
}

#[test]
fn findings_and_offsets_and_tails() {
    over_stores(
        "find",
        &[
            "find rocketmq-5.3.3/plain --topic batch-1 --key b2-3",
            "find rocketmq-5.3.3/plain --topic batch-1 --key batch --limit 2 --json",
            "find rocketmq-5.3.3/plain --topic TopicB --key 75A5ED2F2E9AAA6E5ED35B234D124C93",
            "find rocketmq-5.3.3/plain --topic TopicB --key nothing",
            "offsets rocketmq-5.3.3/plain --topic TopicB --time 2025-10-10T08:55:00Z",
            "offsets rocketmq-5.3.3/plain --topic TopicB --time 1760086500000 --bound last --queue 0 --json",
            "offsets rocketmq-5.3.3/plain --topic nothing --time 2025-10-10",
            "offsets rocketmq-5.3.3/plain --topic TopicB --time soon",
            "tail rocketmq-5.3.3/plain --topic TopicB -n 4",
            "tail rocketmq-5.3.3/plain --topic TopicB --queue 2 -n 1 --json",
            "tail rocketmq-5.3.3/plain --topic nothing",
        ],
    );
}

#[test]
fn a_record_that_rotted() {
    let rot = |store: &Path| write_at(&store.join("commitlog/00000000000000065536"), 100, b"?");
    let runs = [
        "survey store",
        "verify store",
        "verify store --json",
        "verify store --quiet",
        "dump store --from 65536 --limit 1",
        "tail store --topic TopicB -n 1",
    ];
    over_damage("rot", rot, &runs);
}

#[test]
fn repairs_that_are_thought_over() {
    let rot = |store: &Path| write_at(&store.join("commitlog/00000000000000065536"), 100, b"?");
    let runs = [
        "repair store",
        "repair store --damage cut",
        "repair store --damage quarantine",
        "repair store --rebuild --json",
        "repair store --apply",
        "repair store --aside old",
        "repair nowhere",
    ];
    over_damage("repair", rot, &runs);
    over_stores(
        "repair-sound",
        &["repair rocketmq-5.3.3/plain --apply", "repair rocketmq-5.3.3/plain --rebuild"],
    );
}

#[test]
fn what_snapshot_and_append_refuse() {
    let runs = [
        "snapshot rocketmq-5.3.3/plain rocketmq-4.9.8",
        "snapshot rocketmq-5.3.3/plain rocketmq-5.3.3/plain/copy",
        "snapshot nowhere copy",
        "snapshot rocketmq-5.3.3/plain",
        "append nowhere --topic orders",
        "append rocketmq-5.3.3/plain --topic a/b",
        "append rocketmq-5.3.3/plain --topic orders --key-from regex:x",
        "append nowhere --topic orders --segment-bytes 65536",
    ];
    over_stores("refusals", &runs);
}

#[test]
fn a_segment_that_is_missing() {
    let missing = |store: &Path| fs::remove_file(store.join("commitlog/00000000000000131072")).unwrap();
    over_damage("missing-segment", missing, &["survey store", "verify store"]);
}

#[test]
fn a_tail_that_is_torn() {
    let torn = |store: &Path| {
        write_at(
            &store.join("commitlog/00000000000000262144"),
            8196,
            &[0, 0, 1, 0, 0xDA, 0xA3, 0x20, 0xA7, 1],
        );
    };
    over_damage("torn-tail", torn, &["survey store", "verify store"]);
}

#[test]
fn queues_and_index_that_do_not_fit_the_log() {
    let damage = |store: &Path| {
        let queue = store.join("consumequeue/TopicB/0");
        write_at(&queue.join("00000000000000000000"), 40, &[0; 60]);
        write_at(&queue.join("00000000000000000600"), 7, &[9]);
        fs::remove_file(store.join("consumequeue/TopicB/0/00000000000000001200")).unwrap();
        fs::write(store.join("consumequeue/TopicB/0/notes"), "x").unwrap();
        let mut index: Vec<_> =
            fs::read_dir(store.join("index")).unwrap().map(|e| e.unwrap().path()).collect();
        index.sort();
        // A slot, and the place of an entry.
        write_at(&index[0], 40 + 4 * 7, &[0; 4]);
        write_at(&index[1], 40 + 400 + 20 * 5 + 8, &[0xFF]);
    };
    over_damage("derived", damage, &["survey store", "verify store", "verify store --json"]);
}

#[test]
fn what_is_appended_and_copied() {
    let folder = tempfile::tempdir().unwrap();
    copy(&data().join("rocketmq-5.3.3/plain"), &folder.path().join("store"));
    fs::write(folder.path().join("lines"), "pay 42\n\nship 43").unwrap();
    golden(
        "append-snapshot",
        folder.path(),
        &[
            "append store --topic new --key-from field:2",
            "append store --topic new --queue 3 --flush async",
            "append begun --create --segment-bytes 65536 --topic new --quiet",
            "snapshot store copy",
            "snapshot begun whole --copy --quiet",
            "verify copy",
        ],
    );
}
