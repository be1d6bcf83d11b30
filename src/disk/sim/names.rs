//! The names on the simulated disk: those there are, those that a power cut cannot take, and the changes in between.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// What a file is known by, whatever its names are.
pub(super) type FileId = u64;

/// Folders and file names. Folders are durable as soon as they are made, as the trait says of `create_dirs`.
#[derive(Clone, Debug)]
pub(super) struct Names {
    folders: Arc<BTreeSet<Arc<Path>>>,
    present: Arc<BTreeMap<Arc<Path>, FileId>>,
    durable: Arc<BTreeMap<Arc<Path>, FileId>>,
    unsynced: Vec<NameChange>,
}

/// One change of names. It survives wholly or not at all.
#[derive(Clone, Debug)]
pub(super) struct NameChange {
    /// When it was made, in the count that writes share.
    pub(super) at: u64,
    taken: Option<Arc<Path>>,
    given: Option<(Arc<Path>, FileId)>,
}

impl NameChange {
    fn paths(&self) -> impl Iterator<Item = &Arc<Path>> {
        self.taken.iter().chain(self.given.iter().map(|(path, _)| path))
    }

    fn apply(&self, names: &mut BTreeMap<Arc<Path>, FileId>) {
        if let Some(path) = &self.taken {
            names.remove(path);
        }
        if let Some((path, id)) = &self.given {
            names.insert(path.clone(), *id);
        }
    }
}

impl Names {
    pub(super) fn new() -> Names {
        let root = Arc::from(Path::new("/"));
        Names {
            folders: Arc::new(BTreeSet::from([root])),
            present: Arc::default(),
            durable: Arc::default(),
            unsynced: Vec::new(),
        }
    }

    pub(super) fn file(&self, path: &Path) -> Option<FileId> {
        self.present.get(path).copied()
    }

    pub(super) fn is_folder(&self, path: &Path) -> bool {
        self.folders.contains(path)
    }

    pub(super) fn files(&self) -> impl Iterator<Item = (&Arc<Path>, FileId)> {
        self.present.iter().map(|(path, id)| (path, *id))
    }

    pub(super) fn folders(&self) -> impl Iterator<Item = &Arc<Path>> {
        self.folders.iter()
    }

    /// The files that stand directly in this folder.
    pub(super) fn files_in<'a>(&'a self, dir: &'a Path) -> impl Iterator<Item = (&'a Arc<Path>, FileId)> {
        self.present
            .range::<Path, _>((Bound::Excluded(dir), Bound::Unbounded))
            .take_while(move |(path, _)| path.starts_with(dir))
            .filter(move |(path, _)| path.parent() == Some(dir))
            .map(|(path, id)| (path, *id))
    }

    /// The folders that stand directly in this folder.
    pub(super) fn folders_in<'a>(&'a self, dir: &'a Path) -> impl Iterator<Item = &'a Arc<Path>> {
        self.folders
            .range::<Path, _>((Bound::Excluded(dir), Bound::Unbounded))
            .take_while(move |path| path.starts_with(dir))
            .filter(move |path| path.parent() == Some(dir))
    }

    /// Whether a power cut may still bring this file back, or leave it.
    pub(super) fn may_return(&self, id: FileId) -> bool {
        self.durable.values().any(|known| *known == id)
            || self.unsynced.iter().any(|change| change.given.as_ref().is_some_and(|(_, given)| *given == id))
    }

    pub(super) fn add_folder(&mut self, path: &Arc<Path>) {
        Arc::make_mut(&mut self.folders).insert(path.clone());
    }

    /// Takes the one name away, if any, and gives the other, if any, in one step.
    pub(super) fn change(&mut self, at: u64, taken: Option<&Arc<Path>>, given: Option<(&Arc<Path>, FileId)>) {
        let given = given.map(|(path, id)| (path.clone(), id));
        let change = NameChange { at, taken: taken.cloned(), given };
        change.apply(Arc::make_mut(&mut self.present));
        self.unsynced.push(change);
    }

    /// Makes durable what changed in this folder. A rename between two folders is one change, so that either
    /// folder's sync makes the whole of it durable; so is everything earlier that it builds on.
    pub(super) fn sync(&mut self, dir: &Path) {
        self.settle(|path| path.parent() == Some(dir));
    }

    /// A name that stands for this file at once and durably: for the set-up of tests.
    pub(super) fn plant(&mut self, path: &Arc<Path>, id: FileId) {
        self.settle(|changed| changed == &**path);
        Arc::make_mut(&mut self.present).insert(path.clone(), id);
        Arc::make_mut(&mut self.durable).insert(path.clone(), id);
    }

    fn settle(&mut self, touched: impl Fn(&Path) -> bool) {
        let mut needed: BTreeSet<Arc<Path>> = BTreeSet::new();
        let mut kept = Vec::new();
        let mut settled = Vec::new();
        for change in self.unsynced.drain(..).rev() {
            if change.paths().any(|path| touched(path) || needed.contains(path)) {
                needed.extend(change.paths().cloned());
                settled.push(change);
            } else {
                kept.push(change);
            }
        }
        kept.reverse();
        self.unsynced = kept;
        if self.unsynced.is_empty() {
            self.durable = self.present.clone();
            return;
        }
        let durable = Arc::make_mut(&mut self.durable);
        settled.iter().rev().for_each(|change| change.apply(durable));
    }

    /// The moment of the oldest change that a power cut may take.
    pub(super) fn oldest_unsynced(&self) -> Option<u64> {
        self.unsynced.first().map(|change| change.at)
    }

    /// What a power cut leaves, all of it durable. Changes of one name keep their order: who loses the first loses
    /// the second; otherwise a file whose name was synced could vanish under another's.
    pub(super) fn survivors(&self, mut survives: impl FnMut(&NameChange) -> bool) -> Names {
        let mut present = self.durable.clone();
        let mut lost: BTreeSet<&Arc<Path>> = BTreeSet::new();
        for change in &self.unsynced {
            if survives(change) && !change.paths().any(|path| lost.contains(path)) {
                change.apply(Arc::make_mut(&mut present));
            } else {
                lost.extend(change.paths());
            }
        }
        let durable = present.clone();
        Names { folders: self.folders.clone(), present, durable, unsynced: Vec::new() }
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
