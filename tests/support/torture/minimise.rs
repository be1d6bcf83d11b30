//! What of an image must have survived for a violation: found by leaving out as much as can be left out.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::PathBuf;

use sawlog::disk::Disk;
use sawlog::disk::sim::SimDisk;

/// What a medium writes at once; nothing smaller is told apart.
const SECTOR_BYTES: usize = 512;
/// So often an image is judged at most.
const MOST_TRIALS: u32 = 400;

/// One thing in which an image differs from the one where nothing survived.
#[derive(Clone, Debug)]
enum Extent {
    /// The file is there, with this length, all zeros where the bare image had nothing.
    File(PathBuf, usize),
    /// The name is gone.
    Gone(PathBuf),
    /// These bytes.
    Bytes(PathBuf, Range<usize>, Vec<u8>),
}

fn paths(disk: &SimDisk) -> BTreeSet<PathBuf> {
    disk.files().into_iter().map(|(path, _)| path).collect()
}

fn differences(image: &SimDisk, bare: &SimDisk) -> Vec<Extent> {
    let (ours, theirs) = (paths(image), paths(bare));
    let mut all: Vec<_> = theirs.difference(&ours).cloned().map(Extent::Gone).collect();
    for path in ours {
        let Ok(now) = image.read_file(&path) else { continue };
        let was = bare.read_file(&path).ok();
        if was.as_ref().is_none_or(|was| was.len() != now.len()) {
            all.push(Extent::File(path.clone(), now.len()));
        }
        let mut was = was.unwrap_or_default();
        was.resize(now.len(), 0);
        let sectors = (0..now.len()).step_by(SECTOR_BYTES).map(|at| at..(at + SECTOR_BYTES).min(now.len()));
        let changed = sectors.filter(|sector| now[sector.clone()] != was[sector.clone()]);
        all.extend(changed.map(|sector| Extent::Bytes(path.clone(), sector.clone(), now[sector].to_vec())));
    }
    all
}

/// The bare image with some of the extents.
fn with(bare: &SimDisk, extents: &[Extent]) -> SimDisk {
    let disk = bare.kill();
    for extent in extents {
        match extent {
            Extent::Gone(path) => drop(disk.remove(path)),
            Extent::File(path, len) => {
                let mut bytes = disk.read_file(path).unwrap_or_default();
                bytes.resize(*len, 0);
                let _ = disk.write_file(path, bytes);
            }
            // Beyond the end of a file whose length did not survive, nothing did.
            Extent::Bytes(path, range, bytes) => drop(disk.overwrite(path, range.start as u64, bytes)),
        }
    }
    disk
}

/// The survivors without any of which (as far as was tried) there is no violation, one a line.
pub(super) fn least_extents(image: &SimDisk, bare: &SimDisk, violates: impl Fn(&SimDisk) -> bool) -> String {
    let mut left = differences(image, bare);
    let all = left.len();
    if !violates(&with(bare, &left)) {
        return format!("{all} extents survived; put together from them it does not show");
    }
    let (mut trials, mut chunk) = (0, left.len().div_ceil(2).max(1));
    while trials < MOST_TRIALS && !left.is_empty() {
        let mut at = 0;
        while at < left.len() && trials < MOST_TRIALS {
            let to = (at + chunk).min(left.len());
            let fewer = [&left[..at], &left[to..]].concat();
            trials += 1;
            if violates(&with(bare, &fewer)) {
                left = fewer;
            } else {
                at = to;
            }
        }
        if chunk == 1 {
            break;
        }
        chunk = chunk.div_ceil(2);
    }
    let mut text = format!("{} of {all} surviving extents are enough ({trials} trials):", left.len());
    for extent in &left {
        let _ = match extent {
            Extent::Gone(path) => write!(text, "\n  {} is gone", path.display()),
            Extent::File(path, len) => write!(text, "\n  {} is there, {len} bytes long", path.display()),
            Extent::Bytes(path, range, _) => {
                write!(text, "\n  {}: bytes {} to {}", path.display(), range.start, range.end)
            }
        };
    }
    text
}

#[test]
fn only_the_extents_that_matter_are_left() {
    let bare = SimDisk::new();
    bare.write_file("/a", vec![0; 10_000]).unwrap();
    bare.write_file("/b", "here").unwrap();
    let image = bare.kill();
    image.overwrite("/a", 0, &[1; 9_000]).unwrap();
    image.write_file("/c", "new").unwrap();
    image.remove("/b".as_ref()).unwrap();
    let violates = |disk: &SimDisk| {
        disk.read_file("/a").is_ok_and(|bytes| bytes[4_100] == 1) && disk.read_file("/b").is_err()
    };
    let text = least_extents(&image, &bare, violates);
    assert!(text.starts_with("2 of 21 surviving"), "{text}");
    assert!(text.contains("/b is gone") && text.contains("/a: bytes 4096 to 4608"), "{text}");
}
