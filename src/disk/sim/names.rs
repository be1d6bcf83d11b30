//! The names on the simulated disk: those there are, those that a power cut cannot take, and the changes in between.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use super::paths::{Key, bytes, is_at_or_below, is_in, moved, prefix};

/// What a file is known by, whatever its names are.
pub(super) type FileId = u64;

/// What each name of a file stands for.
type Files = BTreeMap<Key, FileId>;

/// The folders there are.
type Folders = BTreeSet<Key>;

/// Folders and file names. A file may have several. Folders are durable as soon as they are made, as the trait says of
/// `create_dirs`; their removal and their renaming are changes of names like others.
#[derive(Clone, Debug)]
pub(super) struct Names {
    folders: Arc<Folders>,
    durable_folders: Arc<Folders>,
    present: Arc<Files>,
    durable: Arc<Files>,
    unsynced: Vec<NameChange>,
}

/// One change of names. It survives wholly or not at all.
#[derive(Clone, Debug)]
pub(super) struct NameChange {
    /// When it was made, in the count that writes share.
    pub(super) at: u64,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    /// The one name goes, if any, and the other comes, if any.
    File { taken: Option<Arc<Path>>, given: Option<(Arc<Path>, FileId)> },
    /// A folder and all in it go from the one name to the other.
    MovedFolder { from: Arc<Path>, to: Arc<Path> },
    /// A folder in which nothing was goes.
    RemovedFolder(Arc<Path>),
}

impl NameChange {
    /// The names that it is about.
    fn paths(&self) -> impl Iterator<Item = &Arc<Path>> {
        let (one, other) = match &self.what {
            What::File { taken, given } => (taken.as_ref(), given.as_ref().map(|(path, _)| path)),
            What::MovedFolder { from, to } => (Some(from), Some(to)),
            What::RemovedFolder(dir) => (Some(dir), None),
        };
        one.into_iter().chain(other)
    }

    /// The folders that it is about: whatever is done below them afterwards builds on it.
    fn folders(&self) -> impl Iterator<Item = &Arc<Path>> {
        let is_file = matches!(self.what, What::File { .. });
        self.paths().filter(move |_| !is_file)
    }

    fn apply(&self, names: &mut Arc<Files>, folders: &mut Arc<Folders>) {
        match &self.what {
            What::File { taken, given } => {
                let names = Arc::make_mut(names);
                if let Some(path) = taken {
                    names.remove(bytes(path));
                }
                if let Some((path, id)) = given {
                    names.insert(Key(path.clone()), *id);
                }
            }
            What::MovedFolder { from, to } => {
                *names = Arc::new(names.iter().map(|(key, id)| (key.moved(from, to), *id)).collect());
                *folders = Arc::new(folders.iter().map(|key| key.moved(from, to)).collect());
            }
            What::RemovedFolder(dir) => {
                Arc::make_mut(folders).remove(bytes(dir));
            }
        }
    }

    /// The same change, once a folder that it lies in has another name.
    fn follow(&mut self, old: &Path, new: &Path) {
        match &mut self.what {
            What::File { taken, given } => {
                let paths = taken.iter_mut().chain(given.iter_mut().map(|(path, _)| path));
                paths.for_each(|path| *path = moved(path, old, new));
            }
            What::MovedFolder { from, to } => {
                (*from, *to) = (moved(from, old, new), moved(to, old, new));
            }
            What::RemovedFolder(dir) => *dir = moved(dir, old, new),
        }
    }
}

impl Names {
    pub(super) fn new() -> Names {
        let root = Key(Arc::from(Path::new("/")));
        Names {
            folders: Arc::new(BTreeSet::from([root.clone()])),
            durable_folders: Arc::new(BTreeSet::from([root])),
            present: Arc::default(),
            durable: Arc::default(),
            unsynced: Vec::new(),
        }
    }

    pub(super) fn file(&self, path: &Path) -> Option<FileId> {
        self.present.get(bytes(path)).copied()
    }

    pub(super) fn is_folder(&self, path: &Path) -> bool {
        self.folders.contains(bytes(path))
    }

    pub(super) fn files(&self) -> impl Iterator<Item = (&Arc<Path>, FileId)> {
        self.present.iter().map(|(key, id)| (&key.0, *id))
    }

    pub(super) fn folders(&self) -> impl Iterator<Item = &Arc<Path>> {
        self.folders.iter().map(|key| &key.0)
    }

    /// The files that stand directly in this folder.
    pub(super) fn files_in<'a>(&'a self, dir: &'a Path) -> impl Iterator<Item = (&'a Arc<Path>, FileId)> {
        let within =
            self.present.range::<[u8], _>((Bound::Included(prefix(dir).as_slice()), Bound::Unbounded));
        let within = within.map(|(key, id)| (&key.0, *id)).take_while(|(path, _)| is_at_or_below(path, dir));
        within.filter(|(path, _)| is_in(path, dir))
    }

    /// The folders that stand directly in this folder.
    pub(super) fn folders_in<'a>(&'a self, dir: &'a Path) -> impl Iterator<Item = &'a Arc<Path>> {
        let within =
            self.folders.range::<[u8], _>((Bound::Included(prefix(dir).as_slice()), Bound::Unbounded));
        within.map(|key| &key.0).take_while(|path| is_at_or_below(path, dir)).filter(|path| is_in(path, dir))
    }

    /// Whether a power cut may still bring this file back, or leave it.
    pub(super) fn may_return(&self, id: FileId) -> bool {
        let gives = |change: &NameChange| match &change.what {
            What::File { given, .. } => given.as_ref().is_some_and(|(_, given)| *given == id),
            _ => false,
        };
        self.durable.values().any(|known| *known == id) || self.unsynced.iter().any(gives)
    }

    /// Whether any name leads to this file.
    pub(super) fn has(&self, id: FileId) -> bool {
        self.present.values().any(|known| *known == id)
    }

    pub(super) fn add_folder(&mut self, path: &Arc<Path>) {
        let is_above = |change: &NameChange| change.paths().any(|above| is_at_or_below(path, above));
        self.settle(None, is_above);
        Arc::make_mut(&mut self.folders).insert(Key(path.clone()));
        Arc::make_mut(&mut self.durable_folders).insert(Key(path.clone()));
    }

    /// Takes the one name away, if any, and gives the other, if any, in one step.
    pub(super) fn change(&mut self, at: u64, taken: Option<&Arc<Path>>, given: Option<(&Arc<Path>, FileId)>) {
        let given = given.map(|(path, id)| (path.clone(), id));
        self.make(at, What::File { taken: taken.cloned(), given });
    }

    /// Gives a folder and all in it another name.
    pub(super) fn move_folder(&mut self, at: u64, from: &Arc<Path>, to: &Arc<Path>) {
        self.make(at, What::MovedFolder { from: from.clone(), to: to.clone() });
    }

    /// Takes away a folder in which nothing is.
    pub(super) fn remove_folder(&mut self, at: u64, dir: &Arc<Path>) {
        self.make(at, What::RemovedFolder(dir.clone()));
    }

    fn make(&mut self, at: u64, what: What) {
        let change = NameChange { at, what };
        change.apply(&mut self.present, &mut self.folders);
        self.unsynced.push(change);
    }

    /// Makes durable what changed in this folder. A rename between two folders is one change, so that either
    /// folder's sync makes the whole of it durable; so is everything earlier that it builds on.
    pub(super) fn sync(&mut self, dir: &Path) {
        self.settle(Some(dir), |_| false);
    }

    /// A name that stands for this file at once and durably: for the set-up of tests.
    pub(super) fn plant(&mut self, path: &Arc<Path>, id: FileId) {
        self.settle(None, |change| change.paths().any(|changed| is_at_or_below(path, changed)));
        Arc::make_mut(&mut self.present).insert(Key(path.clone()), id);
        Arc::make_mut(&mut self.durable).insert(Key(path.clone()), id);
    }

    /// Makes durable what changed in the folder `dir`, what is `touched`, and what those build on.
    fn settle(&mut self, dir: Option<&Path>, touched: impl Fn(&NameChange) -> bool) {
        // All by the names of the moment: on the way back through the changes a moved folder gets its old one again.
        let mut dir: Option<Arc<Path>> = dir.map(Arc::from);
        let mut needed: BTreeSet<Key> = BTreeSet::new();
        let mut emptied: Vec<Arc<Path>> = Vec::new();
        let mut settles = Vec::with_capacity(self.unsynced.len());
        for change in self.unsynced.iter().rev() {
            let is_needed = |path: &Arc<Path>| {
                needed.contains(bytes(path)) || emptied.iter().any(|folder| is_at_or_below(path, folder))
            };
            let is_due = change.paths().any(|path| dir.as_deref().is_some_and(|dir| is_in(path, dir)))
                || change.paths().any(is_needed)
                || change.folders().any(|folder| needed.iter().any(|key| is_at_or_below(&key.0, folder)))
                || touched(change);
            if is_due {
                needed.extend(change.paths().cloned().map(Key));
            }
            match &change.what {
                What::MovedFolder { from, to } => {
                    dir = dir.map(|dir| moved(&dir, to, from));
                    needed = needed.iter().map(|key| key.moved(to, from)).collect();
                    emptied.iter_mut().for_each(|folder| *folder = moved(folder, to, from));
                }
                What::RemovedFolder(gone) if is_due => emptied.push(gone.clone()),
                _ => {}
            }
            settles.push(is_due);
        }
        let mut kept: Vec<NameChange> = Vec::new();
        let changes = std::mem::take(&mut self.unsynced);
        if settles.iter().all(|due| *due) {
            (self.durable, self.durable_folders) = (self.present.clone(), self.folders.clone());
            return;
        }
        for (change, is_due) in changes.into_iter().zip(settles.into_iter().rev()) {
            if !is_due {
                kept.push(change);
                continue;
            }
            change.apply(&mut self.durable, &mut self.durable_folders);
            if let What::MovedFolder { from, to } = &change.what {
                kept.iter_mut().for_each(|earlier| earlier.follow(from, to));
            }
        }
        self.unsynced = kept;
    }

    /// The moment of the oldest change that a power cut may take.
    pub(super) fn oldest_unsynced(&self) -> Option<u64> {
        self.unsynced.first().map(|change| change.at)
    }

    /// What a power cut leaves, all of it durable. Changes of one name keep their order: who loses the first loses
    /// the second; otherwise a file whose name was synced could vanish under another's.
    pub(super) fn survivors(&self, mut survives: impl FnMut(&NameChange) -> bool) -> Names {
        let (mut present, mut folders) = (self.durable.clone(), self.durable_folders.clone());
        let mut lost: BTreeSet<Key> = BTreeSet::new();
        let mut lost_folders: Vec<&Arc<Path>> = Vec::new();
        for change in &self.unsynced {
            let is_lost = |path: &Arc<Path>| {
                lost.contains(bytes(path)) || lost_folders.iter().any(|folder| is_at_or_below(path, folder))
            };
            let is_emptied = |dir: &Arc<Path>| !lost.iter().any(|key| is_at_or_below(&key.0, dir));
            let holds = match &change.what {
                What::RemovedFolder(dir) => is_emptied(dir),
                _ => true,
            };
            if survives(change) && holds && !change.paths().any(is_lost) {
                change.apply(&mut present, &mut folders);
                if let What::MovedFolder { from, to } = &change.what {
                    lost = lost.iter().map(|key| key.moved(from, to)).collect();
                }
            } else {
                lost.extend(change.paths().cloned().map(Key));
                lost_folders.extend(change.folders());
            }
        }
        let (durable, durable_folders) = (present.clone(), folders.clone());
        Names { folders, durable_folders, present, durable, unsynced: Vec::new() }
    }
}
