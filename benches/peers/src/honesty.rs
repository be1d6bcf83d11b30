//! Sync calls, counted by `strace`, where the device does not say how often it was flushed.

use std::path::Path;
use std::process::Command;

const CALLS: [&str; 5] = ["fsync", "fdatasync", "msync", "sync_file_range", "syncfs"];

/// `command` under `strace`, which writes its counts into `file`. `None`: there is no `strace`.
pub(crate) fn traced(command: &Command, file: &Path) -> Option<Command> {
    Command::new("strace").arg("-V").output().ok()?;
    let mut traced = Command::new("strace");
    traced.args(["-f", "-c", "-qq", "-o"]).arg(file).args(["-e", &format!("trace={}", CALLS.join(","))]);
    traced.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        traced.env(name, value.unwrap_or_default());
    }
    Some(traced)
}

/// How many sync calls the counts speak of.
pub(crate) fn counted(file: &Path) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let calls = text.lines().filter_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let is_sync = fields.last().is_some_and(|name| CALLS.contains(name));
        is_sync.then(|| fields.get(3)?.parse::<u64>().ok())?
    });
    calls.sum()
}
