//! This test binary once more, as another process: to be killed, limited, or refused.
//!
//! Such a test asks [`part`] first: where that answers, it is the other process, and works in the folder it was given.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

/// The folder that the other process works in; set means: this is the other process.
const PART: &str = "SAWLOG_PART";
/// What comes before each word that the other process says: the harness talks, too.
const MARK: &str = "says: ";

/// The folder to work in, if this is the other process.
pub(crate) fn part() -> Option<PathBuf> {
    std::env::var_os(PART).map(PathBuf::from)
}

/// This binary, set to run one test as another process.
pub(crate) fn again(test: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads", "1"]).env(PART, dir);
    command
}

/// What the other process says, on a line of its own and at once.
pub(crate) fn say(word: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "\n{MARK}{word}").and_then(|()| out.flush());
}

/// The words in what a process has printed.
pub(crate) fn words(out: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(out);
    text.lines().filter_map(|line| line.strip_prefix(MARK)).map(str::to_owned).collect()
}

/// Runs another process to its end, which must be a good one, and gives back its words.
pub(crate) fn told(test: &str, dir: &Path) -> Vec<String> {
    ended_well(&again(test, dir).output().unwrap())
}

/// The words of a process that has ended, which must have been a good end: no panic, no signal.
pub(crate) fn ended_well(run: &Output) -> Vec<String> {
    let (out, errors) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success() && out.contains("1 passed"), "{:?}\n{out}\n{errors}", run.status);
    words(&run.stdout)
}

/// A process that says words and lives until it is told to end, or killed.
pub(crate) struct Other {
    pub(crate) child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Other {
    pub(crate) fn start(mut command: Command) -> Other {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Other { child, lines }
    }

    /// The next word; `None` if the process ends without one.
    pub(crate) fn word(&mut self) -> Option<String> {
        self.lines.find_map(|line| line.ok()?.strip_prefix(MARK).map(str::to_owned))
    }

    /// Kills it, with `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        assert!(!self.child.wait().unwrap().success());
    }

    /// Closes its input, which asks it to end, and waits until it has.
    pub(crate) fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

/// Waits until whoever started this process closes its input, or is gone.
pub(crate) fn until_told_to_end() {
    let _ = std::io::stdin().read(&mut [0]);
}

/// Every file under a folder, as it is: time of change, length, content; folders with their time.
pub(crate) fn photograph(dir: &Path) -> BTreeMap<PathBuf, (std::time::SystemTime, Vec<u8>)> {
    let mut all = BTreeMap::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let found = entry.metadata().unwrap();
            let changed = found.modified().unwrap();
            if found.is_dir() {
                folders.push(entry.path());
                all.insert(entry.path(), (changed, Vec::new()));
            } else if entry.file_name() == "lock" {
                // Reading it would drop the lock of a process that holds it.
                all.insert(entry.path(), (changed, found.len().to_be_bytes().to_vec()));
            } else {
                all.insert(entry.path(), (changed, std::fs::read(entry.path()).unwrap()));
            }
        }
    }
    all
}

/// How many descriptors and mappings this process has.
pub(crate) fn held() -> (usize, usize) {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().count();
    (descriptors, std::fs::read_to_string("/proc/self/maps").unwrap().lines().count())
}

/// Runs one test in a mount name space of its own, after a shell has run `mount` with the folder as `$DIR`; `None`
/// where mounting is not allowed. The mounts, and the loop devices under them, end with the process. What happens
/// after the mounting is never taken for a refusal of it.
pub(crate) fn on_a_mount(test: &str, dir: &Path, mount: &str, more: &[(&str, &str)]) -> Option<Vec<String>> {
    let script = format!("( {mount} ) >&2 || exit 99\necho mounted\nexec \"$@\"");
    for way in ["-m", "-rm"] {
        let inner = again(test, dir);
        let mut command = Command::new("unshare");
        command.args([way, "sh", "-c", &script, "sh"]).arg(inner.get_program()).args(inner.get_args());
        let Ok(run) = command.env("DIR", dir).env(PART, dir).envs(more.iter().copied()).output() else {
            return None;
        };
        if String::from_utf8_lossy(&run.stdout).contains("mounted") {
            return Some(ended_well(&run));
        }
    }
    None
}
