//! The bytes of one file, in pages that images share until one of them writes.
//!
//! A clone costs one counter; the first write after it copies a short list and the pages that it touches. Pages that
//! were never written are not kept: they read as zeros.

use std::collections::BTreeMap;
use std::sync::Arc;

/// The granule of sharing, of allocation and of what reverts after a failed sync; Linux's page.
pub(super) const PAGE_BYTES: usize = 4096;
pub(super) const PAGE_BYTES_U64: u64 = 4096;
/// Pages in one group: a write after a clone copies one group's list, and the list of groups.
const GROUP_PAGES: usize = 64;

type Page = [u8; PAGE_BYTES];
type Group = Vec<Option<Arc<Page>>>;

#[derive(Clone, Debug, Default)]
pub(super) struct Pages {
    groups: Arc<BTreeMap<u64, Arc<Group>>>,
}

impl Pages {
    /// Fills `out` from `offset` on.
    pub(super) fn read(&self, offset: u64, out: &mut [u8]) {
        let mut at = offset;
        let mut rest = out;
        while !rest.is_empty() {
            let (index, within, here) = place(at, rest.len());
            let (now, later) = rest.split_at_mut(here);
            match self.page(index).and_then(|page| page.get(within..within + here)) {
                Some(bytes) => now.copy_from_slice(bytes),
                None => now.fill(0),
            }
            at = at.saturating_add(len_u64(here));
            rest = later;
        }
    }

    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        self.merge(offset, bytes, <[u8]>::copy_from_slice);
    }

    /// Lets `mix` bring the new bytes (second) into the old ones (first), page by page, in order.
    pub(super) fn merge(&mut self, offset: u64, bytes: &[u8], mut mix: impl FnMut(&mut [u8], &[u8])) {
        let mut at = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (index, within, here) = place(at, rest.len());
            let (now, later) = rest.split_at(here);
            let slot = self.slot(index);
            let page = Arc::make_mut(slot.get_or_insert_with(|| Arc::new([0; PAGE_BYTES])));
            if let Some(old) = page.get_mut(within..within + here) {
                mix(old, now);
            }
            at = at.saturating_add(len_u64(here));
            rest = later;
        }
    }

    /// Takes one page over from `other`, shared.
    pub(super) fn adopt(&mut self, index: u64, other: &Pages) {
        let theirs = other.shared_page(index).cloned();
        *self.slot(index) = theirs;
    }

    /// Drops everything from `len` on.
    pub(super) fn truncate(&mut self, len: u64) {
        let group_bytes = PAGE_BYTES_U64 * len_u64(GROUP_PAGES);
        let groups = Arc::make_mut(&mut self.groups);
        drop(groups.split_off(&len.div_ceil(group_bytes)));
        let first_gone = len.div_ceil(PAGE_BYTES_U64);
        if let Some(group) = groups.get_mut(&(first_gone / len_u64(GROUP_PAGES))) {
            Arc::make_mut(group).iter_mut().skip(slot_in_group(first_gone)).for_each(|page| *page = None);
        }
        let (index, within, _) = place(len, PAGE_BYTES);
        if within > 0 && self.page(index).is_some() {
            self.write(len, [0; PAGE_BYTES].get(within..).unwrap_or_default());
        }
    }

    /// How many pages are kept: those ever written.
    pub(super) fn kept(&self) -> u64 {
        self.iter().fold(0, |sum, _| sum + 1)
    }

    /// How many pages a write to this range would add.
    pub(super) fn missing(&self, offset: u64, len: usize) -> u64 {
        if len == 0 {
            return 0;
        }
        let last = offset.saturating_add(len_u64(len) - 1) / PAGE_BYTES_U64;
        (offset / PAGE_BYTES_U64..=last).fold(0, |sum, index| sum + u64::from(self.page(index).is_none()))
    }

    /// The kept pages and their numbers, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Page)> {
        self.groups.iter().flat_map(|(number, group)| {
            let first = number * len_u64(GROUP_PAGES);
            (first..).zip(group.iter()).filter_map(|(index, page)| Some((index, &**page.as_ref()?)))
        })
    }

    fn page(&self, index: u64) -> Option<&Page> {
        self.shared_page(index).map(|page| &**page)
    }

    fn shared_page(&self, index: u64) -> Option<&Arc<Page>> {
        self.groups.get(&(index / len_u64(GROUP_PAGES)))?.get(slot_in_group(index))?.as_ref()
    }

    fn slot(&mut self, index: u64) -> &mut Option<Arc<Page>> {
        let groups = Arc::make_mut(&mut self.groups);
        let group =
            groups.entry(index / len_u64(GROUP_PAGES)).or_insert_with(|| Arc::new(vec![None; GROUP_PAGES]));
        // The list has GROUP_PAGES places and the remainder is below that.
        #[expect(clippy::indexing_slicing, reason = "the index is a remainder of the length")]
        &mut Arc::make_mut(group)[slot_in_group(index)]
    }
}

/// The page that holds this offset, where in it, and how many of `wanted` bytes lie there.
fn place(offset: u64, wanted: usize) -> (u64, usize, usize) {
    let within = usize::try_from(offset % PAGE_BYTES_U64).unwrap_or(0);
    (offset / PAGE_BYTES_U64, within, wanted.min(PAGE_BYTES - within))
}

fn slot_in_group(index: u64) -> usize {
    usize::try_from(index % len_u64(GROUP_PAGES)).unwrap_or(0)
}

/// Lengths in memory are below 2^64 on every machine there is.
pub(super) fn len_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
