//! Does it work with RocketMQ's own store? Written by us and opened by Java, written by Java and opened by us, both at
//! the same folder in turns, and who may hold it. Needs Maven and a JDK; without them every test says that it was
//! skipped, which fails where `CI=true`.
//!
//! `SAWLOG_INTEROP_FOLDERS=200` asks for so many folders each way; the default is a dozen. `SAWLOG_INTEROP_SEED` moves
//! the seeds, and each failure names its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    dead_code,
    missing_docs,
    reason = "tests may stop at the first surprise"
)]

mod answers;
mod java;
mod locks;
mod messages;
mod seen;
mod smoke;
mod turns;
mod writing;
mod written_by_java;
mod written_by_us;

#[path = "../support/dice.rs"]
mod dice;

use std::path::Path;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// How many folders each way.
fn folders() -> u64 {
    let default = if std::env::var_os("SAWLOG_QUICK").is_some() { 4 } else { 12 };
    number("SAWLOG_INTEROP_FOLDERS").unwrap_or(default)
}

/// The first of the seeds.
fn first_seed() -> u64 {
    number("SAWLOG_INTEROP_SEED").unwrap_or(0)
}

/// A copy of a folder and all that is in it but its lock: whoever closes that file gives up what his process holds of it.
fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() == "lock" {
            continue;
        }
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}
