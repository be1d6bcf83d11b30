//! What stands under a folder: its file system, the room on it, the run of the system, and which disk suits it.
#![expect(clippy::disallowed_methods, reason = "this room is the door to the file system")]

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::{BootId, Description, Space};

/// What an allocated block is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Allocation {
    /// A write into it needs no further room: it may be written through a mapping.
    Holds,
    /// The same, in memory.
    InMemory,
    /// A later write may still find the disk full, or the device gone: through a mapping that would be a signal.
    PromisesNothing,
}

/// File systems by the number that statfs gives (statfs(2), linux/magic.h), with their names.
const KNOWN: &[(u32, &str, Allocation)] = &[
    (0x0000_EF53, "ext4", Allocation::Holds),
    (0x5846_5342, "xfs", Allocation::Holds),
    (0x0102_1994, "tmpfs", Allocation::InMemory),
    (0x8584_58F6, "ramfs", Allocation::InMemory),
    (0x9123_683E, "btrfs", Allocation::PromisesNothing),
    (0x2FC1_2FC1, "zfs", Allocation::PromisesNothing),
    (0xCA45_1A4E, "bcachefs", Allocation::PromisesNothing),
    (0xF2F5_2010, "f2fs", Allocation::PromisesNothing),
    (0x794C_7630, "overlay", Allocation::PromisesNothing),
    (0x0000_6969, "nfs", Allocation::PromisesNothing),
    (0x6573_5546, "fuse", Allocation::PromisesNothing),
    (0xFF53_4D42, "cifs", Allocation::PromisesNothing),
    (0xFE53_4D42, "smb2", Allocation::PromisesNothing),
    (0x0102_1997, "9p", Allocation::PromisesNothing),
    (0x00C3_6400, "ceph", Allocation::PromisesNothing),
];

/// Whether an allocated block under this folder can be written without further room. The folder need not exist yet:
/// then what stands above it decides. No, if the system will not say.
pub(super) fn promises_by_allocating(dir: &Path) -> bool {
    existing_file_system(dir).is_some_and(|number| allocation(number) != Allocation::PromisesNothing)
}

fn existing_file_system(dir: &Path) -> Option<u32> {
    for at in dir.ancestors() {
        let at = if at.as_os_str().is_empty() { Path::new(".") } else { at };
        match file_system_number(at) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            found => return found.ok(),
        }
    }
    None
}

fn file_system_number(dir: &Path) -> io::Result<u32> {
    let number = rustix::fs::statfs(dir)?.f_type;
    // Numbers are 32 bits wide; the field is a signed word, wider on most machines. 0 is nobody's.
    Ok(u32::try_from(number).unwrap_or(0))
}

/// Whether this folder lies on ext4; on its forerunners as well, which have the same number and the same driver.
pub(super) fn is_ext4(dir: &Path) -> bool {
    file_system_number(dir).is_ok_and(|number| number == 0xEF53)
}

fn allocation(number: u32) -> Allocation {
    KNOWN.iter().find(|known| known.0 == number).map_or(Allocation::PromisesNothing, |known| known.2)
}

pub(super) fn space(dir: &Path) -> io::Result<Space> {
    let found = rustix::fs::statvfs(dir)?;
    let used = found.f_blocks.saturating_sub(found.f_bfree);
    Ok(Space {
        total: used.saturating_add(found.f_bavail).saturating_mul(found.f_frsize),
        free: found.f_bavail.saturating_mul(found.f_frsize),
    })
}

pub(super) fn boot_id() -> BootId {
    fs::read("/proc/sys/kernel/random/boot_id").ok().and_then(|text| parse_boot_id(&text)).unwrap_or_default()
}

/// 32 hexadecimal digits with dashes between, and nothing else.
fn parse_boot_id(text: &[u8]) -> Option<BootId> {
    let mut digits =
        text.trim_ascii().iter().filter(|byte| **byte != b'-').map(|byte| (*byte as char).to_digit(16));
    let mut id = [0; 16];
    for byte in &mut id {
        let (high, low) = (digits.next()??, digits.next()??);
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    digits.next().is_none().then_some(BootId(id))
}

pub(super) fn describe(dir: &Path) -> io::Result<Description> {
    let number = file_system_number(dir)?;
    let in_memory = allocation(number) == Allocation::InMemory;
    // The table of mounts knows the exact name and the device; without it the number must do.
    if let Some((file_system, device)) = mount_of(dir) {
        return Ok(Description { file_system, device, in_memory });
    }
    let file_system = match KNOWN.iter().find(|known| known.0 == number) {
        Some(known) => known.1.to_owned(),
        None => format!("file system {number:#010x}"),
    };
    Ok(Description { file_system, device: String::new(), in_memory })
}

fn mount_of(dir: &Path) -> Option<(String, String)> {
    let dir = fs::canonicalize(dir).ok()?;
    let table = fs::read("/proc/self/mountinfo").ok()?;
    find_mount(&table, &dir)
}

/// Kind and device of the mount that a path lies on: of the longest mount points above it the last one, which
/// covers the others. The line's fields stand in proc(5).
fn find_mount(table: &[u8], path: &Path) -> Option<(String, String)> {
    let mut best: Option<(usize, String, String)> = None;
    for line in table.split(|byte| *byte == b'\n') {
        let Some((point, kind, device)) = mount_line(line) else { continue };
        let depth = point.components().count();
        if path.starts_with(&point) && best.as_ref().is_none_or(|best| best.0 <= depth) {
            best = Some((depth, kind, device));
        }
    }
    best.map(|(_, kind, device)| (kind, device))
}

fn mount_line(line: &[u8]) -> Option<(PathBuf, String, String)> {
    let mut fields = line.split(|byte| *byte == b' ');
    let point = PathBuf::from(OsString::from_vec(unescape(fields.nth(4)?)));
    // Options and any number of tags stand between; a lone dash ends them.
    fields.find(|field| *field == b"-")?;
    let mut text = || Some(String::from_utf8_lossy(&unescape(fields.next()?)).into_owned());
    Some((point, text()?, text()?))
}

/// Blanks, tabs, line ends and backslashes are written as a backslash and three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if *first == b'\\' => {
                out.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            _ => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

#[cfg(test)]
#[path = "host_tests.rs"]
mod tests;
