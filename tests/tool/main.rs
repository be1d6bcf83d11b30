//! The tool from outside: what it prints, what it answers, what it leaves behind.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    clippy::print_stdout,
    missing_docs,
    reason = "tests may stop at the first surprise"
)]

mod append;
mod bench;
mod golden;
mod live;
mod manners;
mod repair;
mod snapshot;
mod terminal;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn tool(arguments: &[&str], dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sawlog"));
    command.args(arguments).env("TMPDIR", dir).env_remove("NO_COLOR").stdin(Stdio::null());
    command
}

fn answer(arguments: &[&str], dir: &Path) -> (i32, String, String) {
    answer_of(&mut tool(arguments, dir))
}

/// Exit code, standard output and standard error.
fn answer_of(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// The folder of stores that Java wrote. Nothing in it is ever written to.
fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Every file of a folder: its length, when it was changed, and a hash of its bytes.
fn state(dir: &Path) -> BTreeMap<PathBuf, (u64, i64, i64, String)> {
    let mut all = BTreeMap::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let data = fs::metadata(&folder).unwrap();
        all.insert(folder.clone(), (0, data.mtime(), data.mtime_nsec(), String::new()));
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let data = fs::metadata(&path).unwrap();
            let hash = sha1_smol::Sha1::from(fs::read(&path).unwrap()).digest().to_string();
            all.insert(path, (data.len(), data.mtime(), data.mtime_nsec(), hash));
        }
    }
    all
}
