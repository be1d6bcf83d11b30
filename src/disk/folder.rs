//! Folders and names: what is there, making folders, and making names durable.
#![expect(clippy::disallowed_methods, reason = "this room is the door to the file system")]

use std::ffi::{CStr, OsStr};
use std::fs::{self, File, Metadata};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir};
use rustix::io::{Errno, retry_on_intr};

use super::Entry;
use super::given_up::GivenUp;

/// A folder costs five calls and a file in it one more; what is a folder itself is not looked at. A store has one for
/// each queue, and opening it goes through all of them.
pub(super) fn list(dir: &Path) -> io::Result<Vec<Entry>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = retry_on_intr(|| rustix::fs::open(dir, flags, Mode::empty()))?;
    let mut buffer = [const { MaybeUninit::uninit() }; NAMES_BYTES];
    let mut names = RawDir::new(&folder, &mut buffer);
    let mut entries = Vec::new();
    while let Some(found) = names.next() {
        let found = found?;
        let name = found.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let Some((len, is_dir)) = look(&folder, name, found.file_type())? else { continue };
        let path = dir.join(OsStr::from_bytes(name.to_bytes()));
        entries.push(Entry { name: name.to_string_lossy().into_owned(), path, len, is_dir });
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// The length of what bears this name, and whether it is a folder; links are followed. A link to nowhere is shown, as an
/// empty file; a name that went away since the folder was read is not.
fn look(folder: &OwnedFd, name: &CStr, kind: FileType) -> io::Result<Option<(u64, bool)>> {
    if kind == FileType::Directory {
        return Ok(Some((0, true)));
    }
    match rustix::fs::statat(folder, name, AtFlags::empty()) {
        Ok(data) => match FileType::from_raw_mode(data.st_mode) {
            FileType::Directory => Ok(Some((0, true))),
            _ => Ok(Some((u64::try_from(data.st_size).unwrap_or(0), false))),
        },
        Err(Errno::NOENT) => {
            Ok(rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok().then_some((0, false)))
        }
        Err(error) => Err(error.into()),
    }
}

/// So many bytes of names are asked for at once.
const NAMES_BYTES: usize = 16 << 10;

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
