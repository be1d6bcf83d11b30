//! What a power cut leaves: the models, and the cut itself.

use super::file::{File, Write};
use super::pages::{Pages, len_u64};
use super::rng::Rng;
use super::state::{Change, State};
use crate::disk::BootId;

/// How much of what was not synced survives a power cut. What was synced survives under every model.
///
/// The seed of the cut decides wherever a model leaves a choice. Except under the first two models, lengths are
/// decided apart from the data (a file that was never synced may be short or empty, and what lies beyond its end is
/// gone), and each change of names apart from everything else; but changes of one name keep their order.
///
/// ```
/// use sawlog::disk::sim::{SimDisk, Survivors};
/// use sawlog::{Level, Message, Options, Store};
///
/// let disk = SimDisk::new();
/// let store = Store::open("/store", Options::new().disk(disk.clone()).segment_bytes(1 << 16))?;
/// store.append_with(&Message::new("orders", "paid"), Level::Flushed)?.wait()?;
/// store.append(&Message::new("orders", "sent"))?.wait()?; // no sync covers this one
/// for (model, seed) in Survivors::ALL.into_iter().zip(0..) {
///     let after = Store::open("/store", Options::new().disk(disk.power_cut(seed, model)))?;
///     assert!((1..=2).contains(&after.scan(after.marks().first).count()), "{model:?}, {seed}");
/// }
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Survivors {
    /// Nothing: the disk as its syncs left it. A file whose name alone was synced is empty.
    Nothing,
    /// Everything, as if the power had stayed.
    Everything,
    /// What was done first: of each file the first so many writes, the last of them perhaps torn. By seed the files
    /// are cut at moments of their own, or the whole disk, names and lengths too, at one moment.
    Prefix,
    /// Any subset of the 512-byte sectors of each write, whatever the order of the writes.
    Sectors,
    /// Any subset of single bytes.
    Bytes,
}

impl Survivors {
    /// Every model, to sweep over.
    pub const ALL: [Survivors; 5] =
        [Survivors::Nothing, Survivors::Everything, Survivors::Prefix, Survivors::Sectors, Survivors::Bytes];
}

/// The least a medium writes at once.
const SECTOR_BYTES: u64 = 512;

/// The state that the next start of the machine finds.
pub(super) fn power_cut(state: &State, seed: u64, model: Survivors) -> State {
    let mut rng = Rng::part(seed, 0);
    let one_moment = (model == Survivors::Prefix && rng.coin()).then(|| moment(state, &mut rng));
    let names_kept = rng.below(17);
    let names = state.names.survivors(|change| match (model, one_moment) {
        (Survivors::Nothing, _) => false,
        (Survivors::Everything, _) => true,
        (_, Some(moment)) => change.at <= moment,
        (_, None) => rng.sixteenths(names_kept),
    });
    let files = names
        .files()
        .filter_map(|(_, id)| {
            let cut = Cut { model, one_moment, rng: Rng::part(seed, id) };
            let file = state.files.get(&id)?;
            Some((id, File { linked: file.linked, ..cut.file(file) }))
        })
        .collect();
    State {
        changes: state.changes,
        next_id: state.next_id,
        names,
        files,
        capacity_bytes: state.capacity_bytes,
        boot: next_boot(state.boot, seed),
    }
}

/// A moment between the oldest change that may be lost and now.
fn moment(state: &State, rng: &mut Rng) -> u64 {
    // Files that only an open handle holds are gone whatever happens.
    let reachable = state.files.iter().filter(|(id, file)| file.named || state.names.may_return(**id));
    let moments = reachable.flat_map(|(_, file)| {
        let created = (file.durable_len < file.len).then_some(file.created);
        created.into_iter().chain(file.unsynced.first().map(|write| write.at))
    });
    let oldest = moments.chain(state.names.oldest_unsynced()).min().unwrap_or(state.changes);
    oldest.saturating_sub(1) + rng.below(state.changes.saturating_sub(oldest) + 2)
}

/// Another identity for each seed, and never the one before.
fn next_boot(boot: BootId, seed: u64) -> BootId {
    let mut id = [0; 16];
    let words = boot.0.as_chunks::<8>().0.iter().fold(0, |sum, word| sum ^ u64::from_be_bytes(*word));
    let mut rng = Rng::part(seed, words);
    for half in id.as_chunks_mut::<8>().0 {
        *half = (rng.draw() | 1).to_be_bytes();
    }
    if id == boot.0 { BootId(id.map(|byte| !byte)) } else { BootId(id) }
}

/// The cut through one file.
struct Cut {
    model: Survivors,
    one_moment: Option<u64>,
    rng: Rng,
}

impl Cut {
    fn file(mut self, file: &File) -> File {
        if file.is_settled() || self.model == Survivors::Everything {
            return File::settled(file.created, file.len, file.blocks, file.cached.clone());
        }
        let len = self.len(file);
        let blocks = file.durable_blocks
            || (file.blocks
                && self.model != Survivors::Nothing
                && (self.one_moment.is_some() || self.rng.coin()));
        let mut content = file.durable.clone();
        match self.model {
            Survivors::Nothing | Survivors::Everything => {}
            Survivors::Prefix => self.prefix(&file.unsynced, &mut content),
            Survivors::Sectors => self.sectors(&file.unsynced, &mut content),
            Survivors::Bytes => self.bytes(&file.unsynced, &mut content),
        }
        if len < file.len {
            content.truncate(len);
        }
        File::settled(file.created, len, blocks, content)
    }

    fn len(&mut self, file: &File) -> u64 {
        if file.durable_len == file.len || self.model == Survivors::Nothing {
            return file.durable_len;
        }
        if let Some(moment) = self.one_moment {
            return if file.created <= moment { file.len } else { file.durable_len };
        }
        match self.rng.below(8) {
            0..4 => file.len,
            4..6 => file.durable_len,
            _ => file.durable_len + self.rng.below(file.len.saturating_sub(file.durable_len)),
        }
    }

    fn prefix(&mut self, writes: &[Write], content: &mut Pages) {
        let whole = match self.one_moment {
            Some(moment) => writes.partition_point(|write| write.at < moment),
            None => self.rng.below_len(writes.len() + 1),
        };
        for write in writes.iter().take(whole) {
            content.write(write.offset, &write.bytes);
        }
        let torn = writes.get(whole).filter(|write| self.one_moment.is_none_or(|moment| write.at <= moment));
        if let Some(write) = torn {
            let kept = if self.rng.coin() { self.rng.below_len(write.bytes.len() + 1) } else { 0 };
            content.write(write.offset, write.bytes.get(..kept).unwrap_or_default());
        }
    }

    /// How likely a sector survives differs from cut to cut: rare survivors and rare losses find other mistakes
    /// than even chances do.
    fn sectors(&mut self, writes: &[Write], content: &mut Pages) {
        let kept = 1 + self.rng.below(15);
        let rng = &mut self.rng;
        for write in writes {
            let mut offset = write.offset;
            content.merge(write.offset, &write.bytes, |old, new| {
                let (mut old, mut new) = (old, new);
                while !new.is_empty() {
                    let room = usize::try_from(SECTOR_BYTES - offset % SECTOR_BYTES).unwrap_or(new.len());
                    let here = room.min(new.len());
                    let (old_sector, old_rest) = old.split_at_mut(here);
                    let (new_sector, new_rest) = new.split_at(here);
                    if rng.sixteenths(kept) {
                        old_sector.copy_from_slice(new_sector);
                    }
                    offset = offset.saturating_add(len_u64(here));
                    (old, new) = (old_rest, new_rest);
                }
            });
        }
    }

    /// Runs of up to 64 bytes survive whole, not at all, or byte by byte.
    fn bytes(&mut self, writes: &[Write], content: &mut Pages) {
        let mixed = 1 + self.rng.below(16);
        let rng = &mut self.rng;
        for write in writes {
            content.merge(write.offset, &write.bytes, |old, new| {
                for (old, new) in old.chunks_mut(64).zip(new.chunks(64)) {
                    if rng.sixteenths(mixed) {
                        mix_bytes(old, new, rng.draw());
                    } else if rng.coin() {
                        old.copy_from_slice(new);
                    }
                }
            });
        }
    }
}

/// Takes each of at most 64 new bytes over or leaves the old one, by one bit of `chance` each. Eight at a time: byte
/// by byte, images with a megabyte unsynced take seven times as long.
fn mix_bytes(old: &mut [u8], new: &[u8], chance: u64) {
    const LOWEST_BITS: u64 = 0x0101_0101_0101_0101;
    let ((old, old_rest), (new, new_rest)) = (old.as_chunks_mut::<8>(), new.as_chunks::<8>());
    let mut chance = chance;
    for (old, new) in old.iter_mut().zip(new) {
        let taken = (chance & LOWEST_BITS) * 0xFF;
        let (before, after) = (u64::from_be_bytes(*old), u64::from_be_bytes(*new));
        *old = (before ^ ((before ^ after) & taken)).to_be_bytes();
        chance >>= 1;
    }
    // Each word has used the bits that stand eight apart and shifted the next ones down: these are fresh.
    for ((old, new), byte) in old_rest.iter_mut().zip(new_rest).zip(0..) {
        if (chance >> (byte * 8)) & 1 == 1 {
            *old = *new;
        }
    }
}

/// What of a change in progress is there when the process dies within it: nothing, or a part.
pub(super) fn part_of(change: &Change, seed: u64) -> Option<Change> {
    let mut rng = Rng::part(seed, u64::MAX);
    match change {
        Change::Write { id, offset, bytes } => {
            let done = rng.below_len(bytes.len() + 1);
            Some(Change::Write { id: *id, offset: *offset, bytes: bytes.slice(..done) })
        }
        Change::Append { id, bytes } => {
            let done = rng.below_len(bytes.len() + 1);
            Some(Change::Append { id: *id, bytes: bytes.slice(..done) })
        }
        Change::Create { path, id, len, .. } if rng.coin() => {
            // The name comes first, then the length, then the blocks.
            let len = if rng.coin() { rng.below(*len) } else { 0 };
            Some(Change::Create { path: path.clone(), id: *id, len, blocks: false })
        }
        Change::Rename { .. }
        | Change::Link { .. }
        | Change::Remove { .. }
        | Change::AddFolder { .. }
        | Change::MoveFolder { .. }
        | Change::RemoveFolder { .. }
            if rng.coin() =>
        {
            Some(change.clone())
        }
        _ => None,
    }
}
