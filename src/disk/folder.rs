//! Folders and names: what is there, making folders, and making names durable.
#![expect(clippy::disallowed_methods, reason = "this room is the door to the file system")]

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use super::Entry;
use super::given_up::GivenUp;

pub(super) fn list(dir: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for found in fs::read_dir(dir)? {
        let path = found?.path();
        match fs::metadata(&path) {
            Ok(data) => entries.push(describe(path, &data)),
            // A link to nowhere is shown, as an empty file; a name that went away since the folder was read is not.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if fs::symlink_metadata(&path).is_ok() {
                    entries.push(Entry { name: name(&path), path, len: 0, is_dir: false });
                }
            }
            Err(error) => return Err(error),
        }
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

pub(super) fn entry(path: &Path) -> io::Result<Option<Entry>> {
    match fs::metadata(path) {
        Ok(data) => Ok(Some(describe(path.to_path_buf(), &data))),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn describe(path: PathBuf, data: &Metadata) -> Entry {
    let is_dir = data.is_dir();
    Entry { name: name(&path), path, len: if is_dir { 0 } else { data.len() }, is_dir }
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

pub(super) fn sync(dir: &Path) -> io::Result<()> {
    let folder = File::open(dir)?;
    if !folder.metadata()?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    folder.sync_all()?;
    GivenUp::of(dir)?.ask()
}

pub(super) fn create_dirs(dir: &Path) -> io::Result<()> {
    let mut missing = Vec::new();
    let mut existing = None;
    for at in dir.ancestors().filter(|at| !at.as_os_str().is_empty()) {
        match fs::metadata(at) {
            Ok(data) if data.is_dir() => {
                existing = Some(at);
                break;
            }
            Ok(_) => return Err(io::ErrorKind::NotADirectory.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push(at),
            Err(error) => return Err(error),
        }
    }
    if let Some(above) = existing.and_then(parent) {
        // Whoever made this folder may have died before its name was durable. One that stands in a place that
        // we may not even open was made by an administrator, not by us.
        match sync(above) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            other => other?,
        }
    }
    for at in missing.into_iter().rev() {
        match fs::create_dir(at) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_dir(at)? => {}
            other => other?,
        }
        if let Some(above) = parent(at) {
            sync(above)?;
        }
    }
    Ok(())
}

fn is_dir(path: &Path) -> io::Result<bool> {
    Ok(entry(path)?.is_some_and(|entry| entry.is_dir))
}

fn parent(path: &Path) -> Option<&Path> {
    path.parent().map(|above| if above.as_os_str().is_empty() { Path::new(".") } else { above })
}
