//! Everything on the simulated disk, and the changes that turn one state into the next.
//!
//! A change is plain data and applying it cannot fail: what is recorded is what happened, and replaying it gives the
//! same state. Whether a change is allowed is asked before, in the calls.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::file::File;
use super::names::{FileId, Names};
use super::pages::{PAGE_BYTES_U64, Pages, len_u64};
use super::rng::Rng;
use crate::disk::BootId;

/// One step from a state to the next.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Create {
        path: Arc<Path>,
        id: FileId,
        len: u64,
        blocks: bool,
    },
    Write {
        id: FileId,
        offset: u64,
        bytes: Bytes,
    },
    /// A write at the end, which moves: of the lock file alone, all other lengths are fixed.
    Append {
        id: FileId,
        bytes: Bytes,
    },
    Reserve {
        id: FileId,
    },
    /// A sync that began when `upto` changes had been made, and ended now.
    Sync {
        id: FileId,
        upto: u64,
    },
    /// The same, failed; pages revert by this seed, if any.
    FailedSync {
        id: FileId,
        upto: u64,
        revert_seed: Option<u64>,
    },
    /// In one step, in place of what stood at `to`, if anything.
    Rename {
        from: Arc<Path>,
        to: Arc<Path>,
    },
    /// One more name.
    Link {
        from: Arc<Path>,
        to: Arc<Path>,
    },
    Remove {
        path: Arc<Path>,
    },
    MoveFolder {
        from: Arc<Path>,
        to: Arc<Path>,
    },
    RemoveFolder {
        dir: Arc<Path>,
    },
    SyncFolder {
        dir: Arc<Path>,
    },
    AddFolder {
        path: Arc<Path>,
    },
    /// Set-up of a test: a durable file.
    Plant {
        path: Arc<Path>,
        id: FileId,
        bytes: Bytes,
    },
    /// Damage done by a test: bytes change in the cache and on the medium.
    Rot {
        id: FileId,
        offset: u64,
        bytes: Bytes,
    },
}

/// What a process sees of the disk, and what a power cut would leave of it. Clones share all bytes.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// How many changes were made: the clock of this disk.
    pub(super) changes: u64,
    pub(super) next_id: FileId,
    pub(super) names: Names,
    pub(super) files: BTreeMap<FileId, File>,
    pub(super) capacity_bytes: Option<u64>,
    pub(super) boot: BootId,
}

impl State {
    pub(super) fn new(boot: BootId) -> State {
        State {
            changes: 0,
            next_id: 1,
            names: Names::new(),
            files: BTreeMap::new(),
            capacity_bytes: None,
            boot,
        }
    }

    /// The file of this name.
    pub(super) fn file(&self, path: &Path) -> Option<&File> {
        self.files.get(&self.names.file(path)?)
    }

    pub(super) fn apply(&mut self, change: &Change) {
        self.changes += 1;
        let now = self.changes;
        match change {
            Change::Create { path, id, len, blocks } => {
                self.files.insert(*id, File::new(now, *len, *blocks));
                self.next_id = self.next_id.max(*id + 1);
                self.names.change(now, None, Some((path, *id)));
            }
            Change::Write { id, offset, bytes } => self.with(*id, |file| file.write(now, *offset, bytes)),
            Change::Append { id, bytes } => self.with(*id, |file| {
                let end = file.len;
                file.len = end.saturating_add(len_u64(bytes.len()));
                file.write(now, end, bytes);
            }),
            Change::Reserve { id } => self.with(*id, |file| file.blocks = true),
            Change::Sync { id, upto } => self.with(*id, |file| file.sync(*upto)),
            Change::FailedSync { id, upto, revert_seed } => {
                let rng = revert_seed.map(|seed| Rng::part(seed, now));
                self.with(*id, |file| file.fail_sync(*upto, rng));
            }
            Change::Rename { from, to } => self.rename(now, from, to),
            Change::Link { from, to } => {
                if let Some(id) = self.names.file(from) {
                    self.names.change(now, None, Some((to, id)));
                    self.with(id, |file| file.linked = true);
                }
            }
            Change::MoveFolder { from, to } => self.names.move_folder(now, from, to),
            Change::RemoveFolder { dir } => self.names.remove_folder(now, dir),
            Change::Remove { path } => {
                let id = self.names.file(path);
                self.names.change(now, Some(path), None);
                self.unname(id);
            }
            Change::SyncFolder { dir } => {
                self.names.sync(dir);
                self.forget_the_unreachable();
            }
            Change::AddFolder { path } => self.names.add_folder(path),
            Change::Plant { path, id, bytes } => self.plant(now, path, *id, bytes),
            Change::Rot { id, offset, bytes } => self.with(*id, |file| file.rot(*offset, bytes)),
        }
    }

    /// A file removed earlier, and closed since, is no longer there; a recorded write to it changes nothing.
    fn with(&mut self, id: FileId, change: impl FnOnce(&mut File)) {
        if let Some(file) = self.files.get_mut(&id) {
            change(file);
        }
    }

    fn rename(&mut self, now: u64, from: &Arc<Path>, to: &Arc<Path>) {
        let replaced = self.names.file(to);
        if let Some(id) = self.names.file(from) {
            self.names.change(now, Some(from), Some((to, id)));
            self.unname(replaced);
        }
    }

    fn plant(&mut self, now: u64, path: &Arc<Path>, id: FileId, bytes: &Bytes) {
        let replaced = self.names.file(path);
        for folder in path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()) {
            self.names.add_folder(&Arc::from(folder));
        }
        let mut content = Pages::default();
        content.write(0, bytes);
        self.files.insert(id, File::settled(now, len_u64(bytes.len()), true, content));
        self.next_id = self.next_id.max(id + 1);
        self.names.plant(path, id);
        self.unname(replaced);
    }

    /// The file gave up a name: its room is free when that was the last one and its last handle is closed.
    fn unname(&mut self, id: Option<FileId>) {
        if let Some(id) = id {
            // Asking all names is dear.
            let linked = self.files.get(&id).is_some_and(|file| file.linked) && self.names.has(id);
            self.with(id, |file| file.named = linked);
            self.forget_the_unreachable();
        }
    }

    pub(super) fn close_handle(&mut self, id: FileId) {
        self.with(id, |file| file.handles = file.handles.saturating_sub(1));
        if self.files.get(&id).is_some_and(|file| !file.named) {
            self.forget_the_unreachable();
        }
    }

    fn forget_the_unreachable(&mut self) {
        let names = &self.names;
        self.files.retain(|id, file| file.named || file.handles > 0 || names.may_return(*id));
    }

    /// Room taken by the files that have a name, or that somebody still has open.
    pub(super) fn used_bytes(&self) -> u64 {
        let there = self.files.values().filter(|file| file.named || file.handles > 0);
        there.fold(0, |sum, file| sum.saturating_add(file.allocated().saturating_mul(PAGE_BYTES_U64)))
    }

    /// Room left. Without a set capacity there are 2^40 bytes.
    pub(super) fn free_bytes(&self) -> u64 {
        self.total_bytes().saturating_sub(self.used_bytes())
    }

    pub(super) fn total_bytes(&self) -> u64 {
        self.capacity_bytes.unwrap_or(1 << 40)
    }

    /// Whether so many more pages fit.
    pub(super) fn has_room(&self, pages: u64) -> bool {
        // Counting is dear: without a set capacity nothing is counted.
        pages == 0
            || self.capacity_bytes.is_none()
            || pages.saturating_mul(PAGE_BYTES_U64) <= self.free_bytes()
    }

    /// The state that the next process finds when this one dies with the power on.
    pub(super) fn after_death(&self) -> State {
        let mut next = self.clone();
        next.files.values_mut().for_each(|file| file.handles = 0);
        next.forget_the_unreachable();
        next
    }

    /// A number over all names and all bytes as a process reads them.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut sum = Fingerprint::default();
        self.names.folders().for_each(|path| sum.add(path.as_os_str().as_encoded_bytes()));
        for (path, id) in self.names.files() {
            sum.add(path.as_os_str().as_encoded_bytes());
            let Some(file) = self.files.get(&id) else { continue };
            sum.add(&file.len.to_be_bytes());
            for (index, page) in file.cached.iter().filter(|(_, page)| page.iter().any(|byte| *byte != 0)) {
                sum.add(&index.to_be_bytes());
                sum.add(page);
            }
        }
        sum.0
    }
}

/// A running checksum of eight bytes at a time; each part counts with its length.
#[derive(Default)]
struct Fingerprint(u64);

impl Fingerprint {
    fn add(&mut self, bytes: &[u8]) {
        self.mix(len_u64(bytes.len()));
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.mix(u64::from_be_bytes(*word)));
        rest.iter().for_each(|byte| self.mix(u64::from(*byte)));
    }

    fn mix(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
        self.0 = mixed ^ (mixed >> 32);
    }
}
