//! The laws of the house, kept by reading its source: who may import whom, what may stand where, how long it may be.
//!
//! Every law is a function from a tree of files to the breaches in it. A law's test holds it against `src/`; its
//! twin shows that it finds a breach, so that no law can hold because its reader is blind.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "tests may stop at the first surprise"
)]

#[path = "house/source.rs"]
mod source;

use std::collections::{BTreeMap, BTreeSet};

use sawlog::clock::Timestamp;
use sawlog::message::{Checksum, EncodeRules, encode};
use sawlog::{LogOffset, Message, QueueOffset};
use source::{Source, Tree};

const MOST_LINES: usize = 500;
const MOST_FUNCTION_LINES: usize = 70;

/// The rooms by floor. On the ground, floor 0, each may import those named before it; above, any from floors below.
const FLOORS: [&[&str]; 6] = [
    &["disk", "offset", "clock", "sync", "error", "layout", "worker", "histogram", "trace"],
    &["segment", "message", "flush"],
    &["commit_log", "consume_queue", "key_index", "checkpoint"],
    &["dispatch", "replica", "groups"],
    &["recovery", "retention"],
    &["store", "inspect"],
];

/// Imports that a floor would allow and a law forbids: `message/` does no I/O.
const NEVER: [(&str, &str); 1] = [("message", "disk")];

type Breaches = Vec<String>;

fn breach(file: &Source, line: usize, what: impl std::fmt::Display) -> String {
    format!("src/{}:{line}: {what}", file.path)
}

fn held(law: fn(&Tree) -> Breaches) {
    let breaches = law(&Tree::ours());
    assert!(breaches.is_empty(), "the house's law is broken:\n  {}\n", breaches.join("\n  "));
}

/// The law finds exactly `places` (as `file:line`) in a tree of made-up files; the other rooms are there and empty.
fn finds(law: fn(&Tree) -> Breaches, files: &[(&str, &str)], places: &[&str]) {
    let mut all: Vec<_> = files.iter().map(|(p, t)| ((*p).to_owned(), (*t).to_owned())).collect();
    for room in FLOORS.iter().copied().flatten() {
        if !files.iter().any(|(path, _)| path.split(['/', '.']).next() == Some(room)) {
            all.push((format!("{room}.rs"), String::new()));
        }
    }
    let found = law(&Tree::new(all));
    let shown: Vec<_> =
        found.iter().map(|b| b.splitn(3, ':').take(2).collect::<Vec<_>>().join(":")).collect();
    assert_eq!(shown, places, "{found:#?}");
}

/// Floor and place on it; among rooms of one floor above the ground nobody is lower.
fn rank(room: &str) -> Option<(usize, usize)> {
    FLOORS.iter().enumerate().find_map(|(floor, rooms)| {
        let place = rooms.iter().position(|r| *r == room)?;
        Some((floor, if floor == 0 { place } else { 0 }))
    })
}

fn floors(tree: &Tree) -> Breaches {
    let mut breaches = Vec::new();
    for file in tree.files.iter().filter(|f| !f.is_tool() && f.path != "lib.rs") {
        let room = file.room();
        let Some(own) = rank(&room) else {
            breaches.push(breach(file, 1, format!("`{room}` has no floor; give it one in this test")));
            continue;
        };
        for reference in tree.references(file) {
            let line = reference.line;
            match reference.module.first() {
                None => breaches.push(breach(file, line, "imports the crate's root; name the room")),
                Some(other) if *other == room => {}
                Some(other) if NEVER.contains(&(&room, other)) => {
                    breaches.push(breach(file, line, format!("`{room}` may never know `{other}`")));
                }
                Some(other) if rank(other).is_some_and(|rank| rank < own) => {}
                Some(other) => {
                    breaches.push(breach(file, line, format!("`{room}` may not import `{other}`")));
                }
            }
        }
    }
    breaches
}

#[test]
fn a_room_imports_only_from_floors_below() {
    held(floors);
}

#[test]
fn an_import_upward_sideways_or_unnamed_is_found() {
    let one = |path: &str, text: &str, places: &[&str]| {
        finds(floors, &[("lib.rs", "pub use error::Error;"), (path, text)], places);
    };
    one("disk/mod.rs", "use std::io;\nuse crate::offset::LogOffset;", &["src/disk/mod.rs:2"]);
    one("disk/os.rs", "use crate::Error;", &["src/disk/os.rs:1"]);
    one("segment/mod.rs", "//! S\n\nuse crate::{disk::Disk, message::Record};", &["src/segment/mod.rs:3"]);
    one("segment/list.rs", "fn f() { super::super::flush::go() }", &["src/segment/list.rs:1"]);
    one("message/mod.rs", "use crate::disk::Disk;", &["src/message/mod.rs:1"]);
    one("commit_log/mod.rs", "fn f() { super::dispatch::go() }", &["src/commit_log/mod.rs:1"]);
    one("attic.rs", "", &["src/attic.rs:1"]);
    one("inspect.rs", "use crate::Nothing;", &["src/inspect.rs:1"]);
    one(
        "sync.rs",
        "mod inner {\n    use super::Mutex;\n    use super::super::worker::W;\n}",
        &["src/sync.rs:3"],
    );
    let fine = "use crate::{disk::{self, Disk}, Error};\n#[cfg(test)]\nmod tests { use crate::store::Store; }\n\
                // use crate::store::Store;\n/// [`x`](crate::store)\nconst A: &str = \"crate::store::B\";";
    one("segment/mod.rs", fine, &[]);
}

/// Among the files and folders of each folder, a circle of imports.
fn circles(tree: &Tree) -> Breaches {
    let mut edges: BTreeMap<(Vec<String>, String), BTreeSet<String>> = BTreeMap::new();
    for file in tree.files.iter().filter(|f| !f.is_tool()) {
        let from = file.module();
        for reference in tree.references(file) {
            let shared = from.iter().zip(&reference.module).take_while(|(a, b)| a == b).count();
            if let (Some(a), Some(b)) = (from.get(shared), reference.module.get(shared)) {
                edges.entry((from[..shared].to_vec(), a.clone())).or_default().insert(b.clone());
            }
        }
    }
    let folders: BTreeSet<_> = edges.keys().map(|(folder, _)| folder.clone()).collect();
    let mut breaches = Vec::new();
    for folder in folders {
        let mut left: BTreeMap<&String, &BTreeSet<String>> =
            edges.iter().filter(|((f, _), _)| *f == folder).map(|((_, a), to)| (a, to)).collect();
        // Whoever imports nobody that is left stands in no circle.
        while let Some(free) = left.iter().find(|(_, to)| !to.iter().any(|b| left.contains_key(b))) {
            let free = *free.0;
            left.remove(free);
        }
        if !left.is_empty() {
            let names: Vec<_> = left.keys().map(|n| n.as_str()).collect();
            breaches.push(format!("src/{}:1: a circle among {}", folder.join("/"), names.join(", ")));
        }
    }
    breaches
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    held(circles);
}

#[test]
fn a_circle_is_found_through_whatever_names_it() {
    let room = |a: &'static str, b: &'static str| {
        [
            ("disk/mod.rs", "mod a;\nmod b;\nmod c;\npub use b::Bee;"),
            ("disk/a.rs", a),
            ("disk/b.rs", b),
            ("disk/c.rs", "use super::a::X;"),
        ]
    };
    finds(circles, &room("use crate::disk::b::B;", "use super::a::A;"), &["src/disk:1"]);
    finds(circles, &room("use super::Bee;", "use crate::disk::a::A;"), &["src/disk:1"]);
    finds(circles, &room("use super::{Disk, Bee};", "use super::Disk;"), &[]);
    let nested = [
        ("disk/mod.rs", ""),
        ("disk/sim/mod.rs", ""),
        ("disk/sim/cut.rs", "use crate::disk::os::A;"),
        ("disk/os.rs", "use super::sim::B;"),
    ];
    finds(circles, &nested, &["src/disk:1"]);
}

fn options(tree: &Tree) -> Breaches {
    let outside = tree.files.iter().filter(|f| f.room() != "store" && f.path != "lib.rs" && !f.is_tool());
    let mut breaches = Vec::new();
    for file in outside {
        let reaching =
            tree.references(file).into_iter().filter(|r| r.module.starts_with(&own(&["store", "options"])));
        breaches.extend(reaching.map(|r| breach(file, r.line, "options are imported by `store/` alone")));
    }
    breaches
}

fn own(names: &[&str]) -> Vec<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

#[test]
fn options_are_imported_by_the_store_alone() {
    held(options);
}

#[test]
fn options_in_another_room_are_found() {
    let store = [("store/mod.rs", "pub use options::Options;"), ("store/options.rs", "")];
    let with = |text: &'static str| [store[0], store[1], ("recovery/plan.rs", text)];
    finds(options, &with("\nuse crate::store::options::Options;"), &["src/recovery/plan.rs:2"]);
    finds(options, &with("use crate::store::Options;"), &["src/recovery/plan.rs:1"]);
    finds(options, &with("use crate::store::Store;"), &[]);
}

fn doors(tree: &Tree) -> Breaches {
    let mut breaches = Vec::new();
    for file in &tree.files {
        if file.room() == "disk" || file.room() == "clock" {
            continue;
        }
        // The tool may hold a file that is no part of a store, such as a pipe; clippy keeps it from opening one.
        let mut lines = if file.is_tool() { Vec::new() } else { file.lines_using_std(&["std", "fs"]) };
        lines.extend(file.lines_using_std(&["std", "thread", "sleep"]));
        for call in ["SystemTime::now", "Instant::now", "thread::sleep"] {
            lines.extend(file.lines_with(call));
        }
        lines.sort_unstable();
        lines.dedup();
        let what = "files, time and sleep are for `disk/` and `clock/`";
        breaches.extend(lines.into_iter().map(|line| breach(file, line, what)));
    }
    breaches
}

#[test]
fn files_and_time_have_one_door_each() {
    held(doors);
}

#[test]
fn a_back_door_is_found() {
    let bad = "use std::{fs, io};\nuse std::{io::Read, thread::{sleep, spawn}};\nfn f() { std::fs::read(x) }\n\
               fn g() -> Instant { Instant::now() }\nfn h() { std::thread::sleep(d) }\nfn i() { SystemTime::now() }";
    let places: Vec<_> = (1..=6).map(|line| format!("src/worker.rs:{line}")).collect();
    finds(doors, &[("worker.rs", bad), ("disk/os.rs", bad), ("clock/mod.rs", bad)], &borrowed(&places));
    let tool = "use std::fs::File;\nfn f() { Instant::now() }";
    finds(doors, &[("bin/sawlog/main.rs", tool)], &["src/bin/sawlog/main.rs:2"]);
    finds(
        doors,
        &[("worker.rs", "use std::{io, thread};\nfn f() { thread::park() }\nfn my_thread::sleepy() {}")],
        &[],
    );
}

fn borrowed(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

fn unsafe_rooms(tree: &Tree) -> Breaches {
    let mut breaches = Vec::new();
    for file in &tree.files {
        for line in file.lines_with("unsafe") {
            let above = file.text.lines().take(line - 1).collect::<Vec<_>>();
            let comment = above.iter().rev().map(|l| l.trim_start());
            let reasoned = comment
                .take_while(|l| l.starts_with("//") || l.starts_with('#'))
                .any(|l| l.contains("SAFETY:"));
            if file.path != "disk/mapped.rs" {
                breaches.push(breach(file, line, "`unsafe` is for `disk/mapped.rs`"));
            } else if !reasoned {
                breaches.push(breach(file, line, "`unsafe` without a `// SAFETY:` above it"));
            }
        }
    }
    breaches
}

#[test]
fn unsafe_stands_in_one_room_and_gives_its_reason() {
    held(unsafe_rooms);
}

#[test]
fn unsafe_elsewhere_or_without_a_reason_is_found() {
    let reasoned = "// SAFETY: the mapping outlives the slice,\n// and nobody writes here.\nunsafe { go() }";
    finds(unsafe_rooms, &[("disk/mapped.rs", reasoned)], &[]);
    finds(unsafe_rooms, &[("disk/os.rs", reasoned)], &["src/disk/os.rs:3"]);
    finds(unsafe_rooms, &[("disk/mapped.rs", "// trust me\nunsafe { go() }")], &["src/disk/mapped.rs:2"]);
    finds(
        unsafe_rooms,
        &[("disk/os.rs", "#![expect(unsafe_code)] // unsafe\nconst A: &str = \"unsafe\";")],
        &[],
    );
}

fn lengths(tree: &Tree) -> Breaches {
    let mut breaches = Vec::new();
    for file in &tree.files {
        if file.lines > MOST_LINES {
            breaches.push(breach(file, 1, format!("{} lines; {MOST_LINES} are the most", file.lines)));
        }
        for (name, line, lines) in file.functions() {
            if lines > MOST_FUNCTION_LINES {
                let what = format!("`{name}` has {lines} lines; {MOST_FUNCTION_LINES} are the most");
                breaches.push(breach(file, line, what));
            }
        }
    }
    breaches
}

#[test]
fn files_and_functions_stay_short() {
    held(lengths);
}

#[test]
fn a_long_file_or_function_is_found_and_tests_may_be_long() {
    let lines = |n: usize| "// '{' \"{\n".repeat(n);
    let file = |text: String, places: &[&str]| finds(lengths, &[("offset.rs", &text)], places);
    file(lines(500), &[]);
    file(lines(501), &["src/offset.rs:1"]);
    let function =
        |inside: usize| format!("\nfn f(a: [u8; 2]) -> char {{\n{}'}}'\n}}\nfn g();\n", lines(inside));
    file(function(67), &[]);
    file(function(68), &["src/offset.rs:2"]);
    file(format!("#[cfg(test)]\nmod tests {{ {} }}\n{}", function(600), lines(400)), &[]);
}

fn names(tree: &Tree) -> Breaches {
    let two =
        tree.files.iter().filter(|f| f.path.trim_end_matches(".rs").split(['/', '_']).any(|w| w == "and"));
    let mut breaches: Breaches = two.map(|f| breach(f, 1, "a name with `and` is two files")).collect();
    for file in &tree.files {
        for (name, line, _) in file.functions().into_iter().filter(|(name, ..)| name.starts_with("get_")) {
            breaches.push(breach(file, line, format!("`{name}`: the house says what, not `get_`")));
        }
    }
    breaches
}

#[test]
fn names_say_one_thing() {
    held(names);
}

#[test]
fn a_name_with_and_or_get_is_found() {
    finds(
        names,
        &[("read_and_write.rs", ""), ("standing.rs", "fn budget_of() {}")],
        &["src/read_and_write.rs:1"],
    );
    finds(
        names,
        &[("offset.rs", "impl A {\n    pub const fn get_it(&self) -> u8 { 0 }\n}")],
        &["src/offset.rs:2"],
    );
}

fn roof(tree: &Tree) -> Breaches {
    let mut breaches = Vec::new();
    for file in tree.files.iter().filter(|f| f.path == "lib.rs") {
        for word in
            ["fn", "struct", "enum", "trait", "impl", "const", "static", "type", "union", "macro_rules"]
        {
            let lines = file.lines_with(word).into_iter();
            breaches
                .extend(lines.map(|line| breach(file, line, format!("`lib.rs` defines nothing: `{word}`"))));
        }
    }
    breaches
}

#[test]
fn the_roof_defines_nothing() {
    held(roof);
}

#[test]
fn a_definition_on_the_roof_is_found() {
    let text = "//! fn\nmod type_of;\npub use error::Error;\npub type Result = u8;";
    finds(roof, &[("lib.rs", text), ("error.rs", "struct A;")], &["src/lib.rs:4"]);
}

fn prints(tree: &Tree) -> Breaches {
    let mut breaches = Vec::new();
    for file in tree.files.iter().filter(|f| !f.is_tool()) {
        for word in ["println!", "eprintln!", "print!", "eprint!", "dbg!"] {
            let lines = file.lines_with(word).into_iter();
            breaches.extend(lines.map(|line| breach(file, line, "only the tool may print")));
        }
    }
    breaches
}

#[test]
fn only_the_tool_prints() {
    held(prints);
}

#[test]
fn a_print_is_found() {
    let text = "/// `println!(\"doc\")`\nfn f() { println!(\"x\") }";
    finds(prints, &[("store/mod.rs", text), ("bin/sawlog/main.rs", text)], &["src/store/mod.rs:2"]);
}

fn exceptions(tree: &Tree) -> Breaches {
    let mut breaches = Vec::new();
    for file in &tree.files {
        for line in file.lines_with("allow") {
            if file.code.lines().nth(line - 1).is_some_and(|l| l.contains("allow(")) {
                breaches.push(breach(file, line, "an exception is `expect` with a reason"));
            }
        }
    }
    breaches
}

#[test]
fn exceptions_are_expected_and_never_just_allowed() {
    held(exceptions);
}

#[test]
fn an_allowed_exception_is_found() {
    let text = "#[expect(dead_code, reason = \"x\")]\nfn allowed() {}\n#[allow(dead_code)]\nfn f() {}";
    finds(exceptions, &[("offset.rs", text)], &["src/offset.rs:3"]);
}

#[test]
fn the_example_in_the_format_document_is_what_we_write() {
    let message =
        Message::new("orders", "paid").tag("vip").key("order-42").born(Timestamp(1_700_000_000_000));
    let store_host = "127.0.0.1:10911".parse().unwrap();
    let rules =
        EncodeRules { store_host, checksum: Checksum::Record, max_body_bytes: 4 << 20, born: Timestamp(0) };
    let mut encoded = encode(&message, &rules, Vec::new()).unwrap();
    let bytes = encoded.stamp(LogOffset(0), QueueOffset(0), Timestamp(1_700_000_000_123)).concat();
    let rows = bytes.chunks(16).enumerate().map(|(i, row)| {
        let hex: Vec<_> = row.iter().map(|b| format!("{b:02X}")).collect();
        format!(" {i:X}0  {}   ", hex.join(" "))
    });
    let document = include_str!("../FORMAT.md");
    for row in rows {
        assert!(document.contains(&row), "FORMAT.md lacks the row {row}");
    }
}

#[test]
fn the_reader_sees_the_house() {
    let tree = Tree::ours();
    assert!(tree.files.iter().any(|f| f.path == "lib.rs"), "no files were read");
    let imports: usize = tree.files.iter().map(|f| tree.references(f).len()).sum();
    assert!(imports > 3, "hardly an import was seen: {imports}");
    let functions: usize = tree.files.iter().map(|f| f.functions().len()).sum();
    assert!(functions > 20, "hardly a function was seen: {functions}");
}
