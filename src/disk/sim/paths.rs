//! Paths on the simulated disk: from its root, compared by their bytes.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// A path as the key of a map, ordered by its bytes. `Path` itself is compared part by part, which was a quarter of
/// the time of a sweep over power cuts; paths made by [`absolute`] have one spelling, so that bytes tell the same.
#[derive(Clone, Debug)]
pub(super) struct Key(pub(super) Arc<Path>);

impl Key {
    /// Where it leads when a folder has another name.
    pub(super) fn moved(&self, from: &Path, to: &Path) -> Key {
        Key(moved(&self.0, from, to))
    }
}

/// What paths are compared by.
pub(super) fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        bytes(&self.0)
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        bytes(&self.0) == bytes(&other.0)
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Key) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Key) -> Ordering {
        bytes(&self.0).cmp(bytes(&other.0))
    }
}

/// What the names of all that is in a folder begin with, and no other name: they are neighbours in a map.
pub(super) fn prefix(dir: &Path) -> Vec<u8> {
    let mut prefix = bytes(dir).to_vec();
    if !prefix.ends_with(b"/") {
        prefix.push(b'/');
    }
    prefix
}

/// What is left of a path behind a folder in which it stands, at any depth.
fn rest<'a>(path: &'a Path, dir: &Path) -> Option<&'a [u8]> {
    let rest = bytes(path).strip_prefix(bytes(dir))?;
    if bytes(dir).ends_with(b"/") {
        Some(rest).filter(|rest| !rest.is_empty())
    } else {
        rest.strip_prefix(b"/")
    }
}

/// Whether a path is this folder, or stands in it at any depth.
pub(super) fn is_at_or_below(path: &Path, dir: &Path) -> bool {
    bytes(path) == bytes(dir) || rest(path, dir).is_some()
}

/// Whether a path stands directly in this folder.
pub(super) fn is_in(path: &Path, dir: &Path) -> bool {
    rest(path, dir).is_some_and(|rest| !rest.contains(&b'/'))
}

/// Where a path leads when a folder has another name.
pub(super) fn moved(path: &Arc<Path>, from: &Path, to: &Path) -> Arc<Path> {
    match path.strip_prefix(from) {
        Ok(rest) if rest.as_os_str().is_empty() => Arc::from(to),
        Ok(rest) => Arc::from(to.join(rest)),
        Err(_) => path.clone(),
    }
}

/// The path from the root, without `.` and `..`: relative paths are taken from the root.
pub(super) fn absolute(path: &Path) -> Arc<Path> {
    let mut whole = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(name) => whole.push(name),
            Component::ParentDir => drop(whole.pop()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    whole.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_only_begins_as_a_folders_does_is_not_in_it() {
        let at = |path: &str| absolute(Path::new(path));
        let (root, folder) = (at("/"), at("a"));
        for beside in ["a-b", "a.b", "ab/c", "b"] {
            assert!(!is_at_or_below(&at(beside), &folder) && !at(beside).starts_with(&folder), "{beside}");
            assert!(is_at_or_below(&at(beside), &root), "{beside}");
        }
        let [direct, deep] = ["a/x", "./b/../a/x/y"].map(at);
        assert!(is_in(&direct, &folder) && !is_in(&deep, &folder) && is_at_or_below(&deep, &folder));
        assert!(is_in(&folder, &root) && !is_in(&root, &root) && !is_in(&folder, &folder));
        assert!(is_at_or_below(&folder, &folder) && is_at_or_below(&root, &root));
        assert_eq!((prefix(&root), prefix(&folder)), (b"/".to_vec(), b"/a/".to_vec()));
    }
}
