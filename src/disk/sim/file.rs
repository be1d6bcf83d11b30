//! One file on the simulated disk: its bytes as written, as synced, and the writes in between.

use bytes::Bytes;

use super::pages::{PAGE_BYTES_U64, Pages, len_u64};
use super::rng::Rng;

/// A write that no sync has covered yet.
#[derive(Clone, Debug)]
pub(super) struct Write {
    /// When it was made, in the count that all changes of the disk share.
    pub(super) at: u64,
    pub(super) offset: u64,
    pub(super) bytes: Bytes,
    /// A sync that should have covered it failed: the cache takes it for clean, and no later sync covers it.
    pub(super) given_up: bool,
}

impl Write {
    pub(super) fn end(&self) -> u64 {
        self.offset.saturating_add(len_u64(self.bytes.len()))
    }

    /// The part of this write that lies in `from..to`, if any.
    fn part(&self, from: u64, to: u64) -> Option<Write> {
        let (from, to) = (from.max(self.offset), to.min(self.end()));
        if from >= to {
            return None;
        }
        let first = usize::try_from(from - self.offset).ok()?;
        let last = usize::try_from(to - self.offset).ok()?;
        Some(Write { offset: from, bytes: self.bytes.slice(first..last), ..self.clone() })
    }
}

/// A file, whatever its name. Between all calls `cached` is `durable` with the unsynced writes on top of it, in order.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) len: u64,
    /// The length that no power cut takes away: 0 until the first sync.
    pub(super) durable_len: u64,
    /// When it was created, in the count that all changes of the disk share.
    pub(super) created: u64,
    /// Every block was allocated, not only those written to.
    pub(super) blocks: bool,
    /// That is so even after a power cut.
    pub(super) durable_blocks: bool,
    pub(super) cached: Pages,
    pub(super) durable: Pages,
    pub(super) unsynced: Vec<Write>,
    /// It has a name: its space counts.
    pub(super) named: bool,
    /// It may have several.
    pub(super) linked: bool,
    /// Open handles: while there are some, the bytes stay readable without a name.
    pub(super) handles: u64,
}

impl File {
    pub(super) fn new(created: u64, len: u64, blocks: bool) -> File {
        File {
            len,
            durable_len: 0,
            created,
            blocks,
            durable_blocks: false,
            cached: Pages::default(),
            durable: Pages::default(),
            unsynced: Vec::new(),
            named: true,
            linked: false,
            handles: 0,
        }
    }

    /// A file all of which is durable.
    pub(super) fn settled(created: u64, len: u64, blocks: bool, content: Pages) -> File {
        File {
            durable_len: len,
            durable_blocks: blocks,
            cached: content.clone(),
            durable: content,
            ..File::new(created, len, blocks)
        }
    }

    pub(super) fn is_settled(&self) -> bool {
        self.unsynced.is_empty() && self.durable_len == self.len && self.durable_blocks == self.blocks
    }

    /// Pages of room that it takes.
    pub(super) fn allocated(&self) -> u64 {
        if self.blocks { self.len.div_ceil(PAGE_BYTES_U64) } else { self.cached.kept() }
    }

    pub(super) fn write(&mut self, at: u64, offset: u64, bytes: &Bytes) {
        if bytes.is_empty() {
            return;
        }
        self.cached.write(offset, bytes);
        self.unsynced.push(Write { at, offset, bytes: bytes.clone(), given_up: false });
    }

    /// Makes durable what was written up to `upto` and was not given up.
    pub(super) fn sync(&mut self, upto: u64) {
        self.durable_len = self.len;
        self.durable_blocks = self.blocks;
        let covered = |write: &Write| write.at <= upto && !write.given_up;
        if self.unsynced.iter().all(covered) {
            self.durable = self.cached.clone();
            self.unsynced.clear();
            return;
        }
        let mut left: Vec<Write> = Vec::new();
        for write in std::mem::take(&mut self.unsynced) {
            if covered(&write) {
                // What lies below durable bytes can no longer come up.
                without(&mut left, write.offset, write.end());
                self.durable.write(write.offset, &write.bytes);
            } else {
                left.push(write);
            }
        }
        self.unsynced = left;
    }

    /// What a failed sync does: what was written up to `upto` counts as clean and may never reach the disk. With a
    /// generator, pages chosen by it show their durable content again at once; those written to later stay.
    pub(super) fn fail_sync(&mut self, upto: u64, revert: Option<Rng>) {
        self.unsynced.iter_mut().filter(|write| write.at <= upto).for_each(|write| write.given_up = true);
        let Some(mut rng) = revert else { return };
        for (index, _) in self.cached.clone().iter() {
            let start = index * PAGE_BYTES_U64;
            let end = start.saturating_add(PAGE_BYTES_U64);
            let touches = |write: &&Write| write.offset < end && start < write.end();
            let mut touching = self.unsynced.iter().filter(touches).peekable();
            if touching.peek().is_some() && touching.all(|write| write.given_up) && rng.coin() {
                without(&mut self.unsynced, start, end);
                self.cached.adopt(index, &self.durable);
            }
        }
    }

    /// Changes bytes behind everybody's back, in the cache and on the medium.
    pub(super) fn rot(&mut self, offset: u64, bytes: &[u8]) {
        let end = offset.saturating_add(len_u64(bytes.len()));
        without(&mut self.unsynced, offset, end);
        self.cached.write(offset, bytes);
        self.durable.write(offset, bytes);
    }
}

/// Cuts `from..to` out of the writes.
fn without(writes: &mut Vec<Write>, from: u64, to: u64) {
    if writes.iter().any(|write| write.offset < to && from < write.end()) {
        *writes = writes
            .iter()
            .flat_map(|write| [write.part(0, from), write.part(to, u64::MAX)])
            .flatten()
            .collect();
    }
}
