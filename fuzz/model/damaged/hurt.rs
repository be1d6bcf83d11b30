//! One piece of damage: bytes, pages, lengths and names of files, as the input says.

use std::path::{Path, PathBuf};

use sawlog::disk::Disk;
use sawlog::disk::sim::SimDisk;

use super::super::input::Input;
use super::Area;
use super::stores::Sound;

const PAGE: u64 = 4096;
/// The most that one damage lengthens a file by.
const MOST_MORE_BYTES: u64 = 128 * 1024;
/// Our own files that carry checksums.
const FRAMED: [(&str, u32); 2] =
    [("/store/sawlog/ranges", 0x5341_5752), ("/store/sawlog/queues", 0x5341_5751)];
const MARK: &str = "/store/sawlog/mark";
const MARK_SLOT: usize = 4096;
/// Where the mark's fields begin.
const MARK_FIELDS: [usize; 12] = [0, 4, 8, 16, 24, 32, 40, 48, 56, 72, 88, 92];
/// Names that something might stand under.
const NAMES: [&str; 16] = [
    "abort",
    "checkpoint",
    "lock",
    "commitlog/00000000000000000000",
    "commitlog/00000000000000065536",
    "commitlog/00000000000000131072",
    "commitlog/00000000000000196608",
    "commitlog/09223372036854710272",
    "commitlog/00000000000000000001",
    "consumequeue/a/0/00000000000000000000",
    "consumequeue/a/0/00000000000000000080",
    "consumequeue/topic/3/09223372036854775760",
    "index/20231114221320000",
    "index/99999999999999999",
    "sawlog/mark",
    "sawlog/queues",
];

/// Damages `disk` once.
pub(super) fn hurt(disk: &SimDisk, area: Area, before: &Sound, op: u8, input: &mut Input<'_>) {
    let files = files(disk, area);
    let Some((path, len)) = files.get(usize::from(input.byte()) % files.len().max(1)) else { return };
    match op % 16 {
        0 | 1 => overwrite(disk, (path, *len), input),
        2 | 3 => put_number(disk, (path, *len), before, input),
        4 => drop(disk.flip(path, input.below((*len).saturating_mul(8).max(1)))),
        5 => drop(disk.tear(path, input.below(len.div_ceil(PAGE).max(1)))),
        6 => copy_page(disk, &files, (path, *len), input),
        7 => resize(disk, path, input.below(*len), 0),
        8 => resize(disk, path, len + input.below(MOST_MORE_BYTES), input.byte()),
        9 => drop(disk.remove(path)),
        10 => {
            let to = named(area, input, path);
            let _ = disk.read_file(path).and_then(|bytes| disk.write_file(to, bytes));
        }
        11 => {
            let to = named(area, input, path);
            let _ = disk.rename(path, &to);
        }
        12 => swap(disk, &files, path, input),
        13 => {
            let count = usize::from(input.byte());
            let _ = disk.write_file(path, input.bytes(count).to_vec());
        }
        14 => hit_a_record(disk, area, before, input),
        _ => ours(disk, area, before, input),
    }
}

/// The files of this area, and their lengths.
fn files(disk: &SimDisk, area: Area) -> Vec<(PathBuf, u64)> {
    disk.files()
        .into_iter()
        .filter(|(path, _)| path.to_str().is_some_and(|path| area.contains(path)))
        .collect()
}

fn overwrite(disk: &SimDisk, (path, len): (&Path, u64), input: &mut Input<'_>) {
    let (at, count) = (input.below(len), usize::from(input.byte() % 40));
    let bytes = input.bytes(count);
    let room = usize::try_from(len - at.min(len)).unwrap_or(0);
    let _ = disk.overwrite(path, at, &bytes[..bytes.len().min(room)]);
}

/// A number of four or eight bytes that somebody might not expect.
fn number(before: &Sound, input: &mut Input<'_>) -> u64 {
    let near = u64::from(input.byte() % 3);
    let place = |nth: usize| before.sent.keys().nth(nth % before.sent.len().max(1)).copied().unwrap_or(0);
    let base = match input.byte() {
        0 => 0,
        1 => u64::MAX,
        2 => i64::MAX.unsigned_abs(),
        3 => 1 << 63,
        4 => u64::from(u32::MAX),
        5 => 0x7FFF_FFFF,
        6 => 0x8000_0000,
        7 => 1 << 32 | 0x7FFF_FFFF,
        8 => 65_536,
        9 => 4096,
        10 => 20,
        11 => 1 << 40,
        12 => 2 << 40,
        13 => before.sent.last_key_value().map_or(0, |(at, _)| *at),
        14 => before.sent.last_key_value().map_or(0, |(_, last)| last.position.end().0),
        nth @ 15..64 => place(usize::from(nth)),
        small => u64::from(small),
    };
    base.wrapping_add(near).wrapping_sub(1)
}

/// Puts one at a place where numbers stand, counted from the file's front.
fn put_number(disk: &SimDisk, (path, len): (&Path, u64), before: &Sound, input: &mut Input<'_>) {
    let at = input.below(len) & !3;
    let value = number(before, input).to_be_bytes();
    let _ = match input.byte() % 2 {
        0 => disk.overwrite(path, at, &value[4..]),
        _ => disk.overwrite(path, at, &value),
    };
}

fn copy_page(disk: &SimDisk, files: &[(PathBuf, u64)], (path, len): (&Path, u64), input: &mut Input<'_>) {
    let Some((other, _)) = files.get(usize::from(input.byte()) % files.len()) else { return };
    let Ok(bytes) = disk.read_file(other) else { return };
    let pages = bytes.chunks(PAGE as usize).collect::<Vec<_>>();
    let Some(page) = pages.get(usize::from(input.byte()) % pages.len().max(1)) else { return };
    let at = u64::from(input.byte()) % len.div_ceil(PAGE).max(1) * PAGE;
    let room = usize::try_from(len.saturating_sub(at)).unwrap_or(0);
    let _ = disk.overwrite(path, at, &page[..page.len().min(room)]);
}

fn resize(disk: &SimDisk, path: &Path, len: u64, fill: u8) {
    let Ok(mut bytes) = disk.read_file(path) else { return };
    bytes.resize(usize::try_from(len).unwrap_or(0), fill);
    let _ = disk.write_file(path, bytes);
}

/// One of the known names, or one beside `path`.
fn named(area: Area, input: &mut Input<'_>, path: &Path) -> PathBuf {
    let (which, digit) = (input.byte(), input.byte());
    let name = NAMES.get(usize::from(which)).map(|name| Path::new("/store").join(name));
    let beside = || {
        let own = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut name = own.into_bytes();
        let place = usize::from(which) % name.len().max(1);
        if let Some(byte) = name.get_mut(place) {
            *byte = if digit < 200 { b'0' + digit % 10 } else { b'a' + digit % 26 };
        }
        path.with_file_name(String::from_utf8_lossy(&name).as_ref())
    };
    name.filter(|name| name.to_str().is_some_and(|name| area.contains(name))).unwrap_or_else(beside)
}

fn swap(disk: &SimDisk, files: &[(PathBuf, u64)], path: &Path, input: &mut Input<'_>) {
    let Some((other, _)) = files.get(usize::from(input.byte()) % files.len()) else { return };
    let (Ok(one), Ok(two)) = (disk.read_file(path), disk.read_file(other)) else { return };
    let _ = disk.write_file(path, two);
    let _ = disk.write_file(other, one);
}

/// Damages the log at the front of a record, where its lengths and numbers stand; for other areas nothing.
fn hit_a_record(disk: &SimDisk, area: Area, before: &Sound, input: &mut Input<'_>) {
    let nth = usize::from(input.byte());
    if area != Area::Everything || before.sent.is_empty() {
        return;
    }
    let at = before.sent.keys().nth(nth % before.sent.len()).copied().unwrap_or(0);
    let (base, within) = (at / 65_536 * 65_536, u64::from(input.byte()));
    let count = usize::from(input.byte() % 9);
    let bytes = input.bytes(count);
    let _ = disk.overwrite(format!("/store/commitlog/{base:020}"), at - base + within, bytes);
}

/// One of our own files, made right again behind the damage; or a new one around the bytes of the input.
fn ours(disk: &SimDisk, area: Area, before: &Sound, input: &mut Input<'_>) {
    let how = input.byte();
    if area == Area::Everything && how & 3 != 0 {
        // Elsewhere checksums stand in the way of damage mostly, as they do outside.
        return;
    }
    match how / 4 % 4 {
        0 if area != Area::Derived => seal_mark(disk),
        0 | 1 => FRAMED.iter().for_each(|(path, _)| seal(disk, path)),
        2 if area != Area::Derived => {
            let field = MARK_FIELDS[usize::from(input.byte()) % MARK_FIELDS.len()];
            let value = number(before, input).to_be_bytes();
            let slots = input.byte();
            let value = if [0, 4, 88].contains(&field) { &value[4..] } else { &value[..] };
            for slot in (0..2).filter(|slot| slots & (1 << slot) == 0) {
                let _ = disk.overwrite(MARK, (slot * MARK_SLOT + field) as u64, value);
            }
            seal_mark(disk);
        }
        _ => {
            let (path, magic) = FRAMED[usize::from(how / 16 % 2)];
            let (version, count) = (u32::from(input.byte() % 4), usize::from(input.byte()));
            let payload = input.bytes(count);
            let head = [magic.to_be_bytes(), version.to_be_bytes()].concat();
            let bytes = [&head, &(payload.len() as u64).to_be_bytes()[..], payload, &[0; 4]].concat();
            if area.contains(path) && disk.write_file(path, bytes).is_ok() {
                seal(disk, path);
            }
        }
    }
}

/// Makes the checksums of both slots right.
fn seal_mark(disk: &SimDisk) {
    let Ok(mut bytes) = disk.read_file(MARK) else { return };
    for slot in bytes.chunks_exact_mut(MARK_SLOT).filter(|slot| slot.iter().any(|byte| *byte != 0)) {
        let (front, crc) = slot.split_at_mut(MARK_SLOT - 4);
        crc.copy_from_slice(&crc32fast::hash(front).to_be_bytes());
    }
    let _ = disk.write_file(MARK, bytes);
}

/// Makes the length and the checksum of a framed file right.
fn seal(disk: &SimDisk, path: &str) {
    let Ok(mut bytes) = disk.read_file(path) else { return };
    let Some(payload) = bytes.len().checked_sub(20) else { return };
    bytes[8..16].copy_from_slice(&(payload as u64).to_be_bytes());
    let end = bytes.len() - 4;
    let crc = crc32fast::hash(&bytes[..end]);
    bytes[end..].copy_from_slice(&crc.to_be_bytes());
    let _ = disk.write_file(path, bytes);
}
