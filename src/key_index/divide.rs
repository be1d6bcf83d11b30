//! How many slots and entries an index file has, which no field of it says.

use std::collections::HashMap;
use std::io;

use super::shape::{ENTRY_LEN, Entry, EntryBytes, Geometry, HEADER_LEN, Header};
use crate::disk::DiskFile;

/// RocketMQ's own (spec 4.1).
pub(crate) const DEFAULT: Geometry = Geometry { slots: 5_000_000, entries: 20_000_000 };
/// Bytes read by one call: 320 KiB, a multiple of an entry's.
const PIECE_BYTES: usize = ENTRY_LEN * 16_384;
/// Entries that must form chains before a division is believed.
const ENOUGH: u32 = 64;

/// How a file is divided, as far as its entries show it. They fill it to the end, 20 bytes each; the first key's is known by the record that the
/// header names. What stands before are the slots.
///
/// # Errors
/// What the disk says.
pub(crate) fn divide(file: &dyn DiskFile) -> io::Result<Option<Geometry>> {
    // Entry 0 is never used. One slot at least stands before it.
    let front = Geometry { slots: 0, entries: 1 }.file_bytes();
    let least = Geometry { slots: 1, entries: 1 }.file_bytes();
    let Some(rest) = file.len().checked_sub(least) else { return Ok(None) };
    let mut bytes = [0; HEADER_LEN];
    file.read_at(0, &mut bytes)?;
    let Some(head) = Header::decode(&bytes).filter(|head| head.next_entry > 1) else { return Ok(None) };
    let (mut at, mut bytes) = (least + rest % ENTRY_LEN as u64, vec![0; PIECE_BYTES]);
    while at < file.len() {
        let step = bytes.len().min(usize::try_from(file.len() - at).unwrap_or(usize::MAX));
        let Some(piece) = bytes.get_mut(..step) else { break };
        file.read_at(at, piece)?;
        for (entry, first_at) in piece.as_chunks::<ENTRY_LEN>().0.iter().zip((at..).step_by(ENTRY_LEN)) {
            if !Entry::decode(entry).is_some_and(|entry| entry.at == head.begin_offset && entry.prev == 0) {
                continue;
            }
            let slots = u32::try_from((first_at - front) / 4).unwrap_or(0);
            let entries = u32::try_from((file.len() - first_at) / ENTRY_LEN as u64 + 1).unwrap_or(0);
            let geometry = Geometry { slots, entries };
            let fits = geometry.file_bytes() == file.len() && head.next_entry <= entries;
            if fits && is_chained(file, geometry, &head)? {
                return Ok(Some(geometry));
            }
        }
        at += step as u64;
    }
    Ok(None)
}

/// Whether the first entries name each other as putting them one after the other makes them.
fn is_chained(file: &dyn DiskFile, geometry: Geometry, head: &Header) -> io::Result<bool> {
    let (mut newest, mut before) = (HashMap::new(), head.begin_offset);
    for number in 1..head.next_entry.min(ENOUGH) {
        let mut bytes = EntryBytes::default();
        file.read_at(geometry.entry_at(number), &mut bytes)?;
        let Some(entry) = Entry::decode(&bytes) else { return Ok(false) };
        let prev = newest.insert(geometry.slot_of(entry.hash), number).unwrap_or(0);
        if entry.prev != prev || entry.at < before || entry.at > head.end_offset {
            return Ok(false);
        }
        before = entry.at;
    }
    // Of few keys the slots must tell, too: zeros could be entries of anything. Most of them, for one may be damaged, and
    // the answer must not hang on which one is looked at.
    let mut right = 0;
    for (slot, number) in &newest {
        let mut word = [0; 4];
        file.read_at(geometry.slot_at(*slot), &mut word)?;
        right += usize::from((*number..head.next_entry).contains(&u32::from_be_bytes(word)));
    }
    Ok(right > newest.len() / 2)
}
