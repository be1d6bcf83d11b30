//! `sawlog/mark`: how far the log was durable, who wrote it last, and how that ended.
//!
//! Two slots of 4,096 bytes. A save writes the slot that does not count and syncs it; only then does it count. So a
//! power cut in a save tears at most the slot that did not count, and the mark before it stands (promises rule 2).
//!
//! ```text
//! 0   magic 'SAWM'     u32       48  end            u64
//! 4   version          u32       56  boot           16 bytes
//! 8   generation       u64       72  writer         16 bytes
//! 16  durable          u64       88  state          u32   1 open, 2 closed, 3 failed
//! 24  window_bytes     u64       92  first          u64
//! 32  segment_bytes    u64      100  flags          u32   bit 0: there is a list of quarantined damage
//! 40  ours_from        u64      104  zeros
//!                              4092  CRC-32         u32   of the 4,092 bytes before it
//! ```
//! Version 1 had zeros in the place of `first`, which is not known then. Version 2 is written as long as no flag is
//! set, version 3 with one: a program that does not know of the list must not take the store for undamaged.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::checkpoint::fields::{Fault, Fields, Parsed};
use crate::checkpoint::whole_file::remove_left_over;
use crate::disk::{Access, BootId, Disk, DiskFile, Reserve};
use crate::error::{Damage, Error, Result};
use crate::offset::LogOffset;

const NAME: &str = "mark";
const NEW_NAME: &str = "mark.new";
const MAGIC: u32 = 0x5341_574D;
const VERSION: u32 = 3;
/// Without flags.
const VERSION_2: u32 = 2;
/// Without the log's first byte.
const VERSION_1: u32 = 1;
const SLOT_BYTES: u64 = 4096;
const FILE_BYTES: u64 = 2 * SLOT_BYTES;
const SLOT_LEN: usize = 4096;
/// There is a list of quarantined damage.
const IS_LISTED: u32 = 1;
const CRC_AT: usize = SLOT_LEN - 4;
/// Nobody saves that often: a slot that says more was not written by us.
const MOST_GENERATIONS: u64 = u64::MAX >> 1;
/// Nor that often; but a slot may say so. From here on the count begins anew when the file is opened, so that no save
/// of this opening comes to a generation that the next one would refuse.
const MANY_GENERATIONS: u64 = MOST_GENERATIONS >> 1;

/// Who wrote: a number drawn anew each time a store is opened for writing.
///
/// It also stands in our `abort` file; a difference shows that another program wrote since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WriterId(pub(crate) [u8; 16]);

impl WriterId {
    /// The number in 32 hex digits, as [`Display`](fmt::Display) writes it; `None` for anything else.
    pub(crate) fn parse(text: &str) -> Option<WriterId> {
        let hex = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let number = u128::from_str_radix(text, 16).ok()?;
        hex.then(|| WriterId(number.to_be_bytes()))
    }
}

impl fmt::Display for WriterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// How the last writer stands, or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It is writing, or was killed.
    Open,
    /// It closed cleanly at [`Mark::end`].
    Closed,
    /// A sync failed under it; what lies beyond the durable offset may never have reached the disk.
    Failed,
}

/// What the mark says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// How many saves there were; the higher one counts. [`MarkFile::save`] sets it.
    pub(crate) generation: u64,
    /// A sync that returned Ok covers every byte of the log before this place.
    pub(crate) durable: LogOffset,
    /// The most bytes that the writer has let stand between durable and appended, of all that is not durable yet.
    pub(crate) window_bytes: u64,
    /// The length of a log segment.
    pub(crate) segment_bytes: u64,
    /// From here on the log was written by us, under the window; before it, perhaps by others.
    pub(crate) ours_from: LogOffset,
    /// The run of the system in which it was written: if it is still the same, no power was cut.
    pub(crate) boot: BootId,
    /// Who wrote it.
    pub(crate) writer: WriterId,
    /// How the writer stands, or ended.
    pub(crate) state: State,
    /// Where the log ended when it was closed cleanly; means nothing in the other states.
    pub(crate) end: LogOffset,
    /// Where the log begins: said before a segment is removed, so that one that is missing without that is noticed.
    /// `None` in a mark of version 1, and such a mark is written as one: the same bytes as were read.
    pub(crate) first: Option<LogOffset>,
    /// Whether damage is listed in `sawlog/quarantine`: said when the list is durable, so that one that got lost is
    /// noticed.
    pub(crate) is_listed: bool,
}

/// The mark file, open for saving.
#[derive(Debug)]
pub(crate) struct MarkFile {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    /// The slot and generation that count: durable, and never written over.
    newest: Option<(u64, u64)>,
}

impl MarkFile {
    /// What the mark in the folder `dir` says, touching nothing; `None` if there is no file, or none was ever saved
    /// in it.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if neither slot is whole, [`Error::Foreign`] if the file has another length than 8,192
    /// bytes or a newer program wrote it, [`Error::Io`].
    pub(crate) fn read(disk: &dyn Disk, dir: &Path) -> Result<Option<Mark>> {
        let path = dir.join(NAME);
        match disk.open(&path, Access::Read) {
            Ok(file) => Ok(read_newest(file.as_ref(), &path)?.map(|(_, mark)| mark)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io("opening", &path, e)),
        }
    }

    /// Opens the mark for saving, making an empty one if there is none; the answer of [`MarkFile::read`] beside it.
    ///
    /// After Ok the mark read is durable, and so are the names in the folder: a killed process may have left both in
    /// the page cache alone (promises rule 4). The slot is written again for that, because after a failed sync a
    /// sync alone writes nothing; the same bytes in the same place cannot tear. Costs two syncs.
    ///
    /// # Errors
    /// As [`MarkFile::read`].
    pub(crate) fn open_or_create(disk: &dyn Disk, dir: &Path) -> Result<(MarkFile, Option<Mark>)> {
        let path = dir.join(NAME);
        let file = match disk.open(&path, Access::Write) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                create(disk, dir, |new| disk.rename(new, &path))?
            }
            Err(e) => return Err(Error::io("opening", &path, e)),
        };
        let mut newest = read_newest(file.as_ref(), &path)?;
        let mut this = MarkFile { file, path, newest: None };
        if let Some((slot, mark)) = &mut newest {
            this.write(*slot, mark)?;
            this.sync()?;
            if mark.generation > MANY_GENERATIONS {
                this.count_anew(*slot, mark)?;
            }
            this.newest = Some((*slot, mark.generation));
        }
        disk.sync_dir(dir).map_err(|e| Error::io("syncing", dir, e))?;
        Ok((this, newest.map(|(_, mark)| mark)))
    }

    /// Says the same with the first two generations. The slot that counts is written last: until it is whole, the other
    /// one says what it said.
    fn count_anew(&self, slot: u64, mark: &mut Mark) -> Result<()> {
        for (at, generation) in [(1 - slot.min(1), 1), (slot, 2)] {
            mark.generation = generation;
            self.write(at, mark)?;
            self.sync()?;
        }
        Ok(())
    }

    /// Puts an empty mark in the place of a damaged one, for a caller who was told to go on without what it said.
    /// After Ok the next [`MarkFile::save`] is the first.
    ///
    /// # Errors
    /// [`Error::Io`]; the damaged mark is still there then, or the empty one already is.
    pub(crate) fn start_anew(disk: &dyn Disk, dir: &Path) -> Result<MarkFile> {
        let path = dir.join(NAME);
        let file = create(disk, dir, |new| disk.replace(new, &path))?;
        disk.sync_dir(dir).map_err(|e| Error::io("syncing", dir, e))?;
        Ok(MarkFile { file, path, newest: None })
    }

    /// Saves a mark and returns it with its generation; after Ok a power cut leaves it.
    ///
    /// The first save of all fills both slots, one after the other, so that from then on one bad slot never leaves
    /// the file without a mark. One sync; two the first time.
    ///
    /// # Errors
    /// [`Error::Io`]. The mark before it still counts then; the new one may be found on reopening, or not.
    pub(crate) fn save(&mut self, mark: Mark) -> Result<Mark> {
        let first = self.newest.is_none();
        let saved = self.save_once(mark)?;
        if first { self.save_once(mark) } else { Ok(saved) }
    }

    /// Writes a mark and does not sync it: for [`State::Failed`], when the disk no longer deserves trust. It
    /// survives a killed process and may survive a power cut; a later [`MarkFile::save`] writes over it.
    ///
    /// # Errors
    /// [`Error::Io`]. The mark before it still counts then.
    pub(crate) fn save_unsynced(&self, mark: Mark) -> Result<()> {
        let (slot, generation) = self.next();
        self.write(slot, &Mark { generation, ..mark })
    }

    fn save_once(&mut self, mark: Mark) -> Result<Mark> {
        let (slot, generation) = self.next();
        let mark = Mark { generation, ..mark };
        self.write(slot, &mark)?;
        self.sync()?;
        self.newest = Some((slot, generation));
        Ok(mark)
    }

    /// The slot that does not count, and the generation that would make it count.
    fn next(&self) -> (u64, u64) {
        match self.newest {
            Some((slot, generation)) => (1 - slot.min(1), generation.saturating_add(1)),
            None => (0, 1),
        }
    }

    fn write(&self, slot: u64, mark: &Mark) -> Result<()> {
        self.file
            .write_at(slot * SLOT_BYTES, &encode_slot(mark))
            .map_err(|e| Error::io("writing", &self.path, e))
    }

    fn sync(&self) -> Result<()> {
        self.file.sync().map_err(|e| Error::io("syncing", &self.path, e))
    }
}

/// Makes an all-zero mark under another name, syncs it, and has it named. Its folder is synced by the caller.
fn create(
    disk: &dyn Disk,
    dir: &Path,
    name: impl FnOnce(&Path) -> io::Result<()>,
) -> Result<Box<dyn DiskFile>> {
    let new = dir.join(NEW_NAME);
    remove_left_over(disk, &new)?;
    let file = disk.create(&new, FILE_BYTES, Reserve::Blocks).map_err(|e| Error::io("creating", &new, e))?;
    file.sync().map_err(|e| Error::io("syncing", &new, e))?;
    name(&new).map_err(|e| Error::io("renaming", &new, e))?;
    Ok(file)
}

/// The slot that counts, with its number.
fn read_newest(file: &dyn DiskFile, path: &Path) -> Result<Option<(u64, Mark)>> {
    if file.len() != FILE_BYTES {
        return Err(Error::Foreign {
            path: path.to_path_buf(),
            why: format!("{} bytes long where a mark has {FILE_BYTES}", file.len()).into(),
        });
    }
    let mut bytes = [0; SLOT_LEN];
    file.read_at(0, &mut bytes).map_err(|e| Error::io("reading", path, e))?;
    let first = decode_slot(&bytes);
    file.read_at(SLOT_BYTES, &mut bytes).map_err(|e| Error::io("reading", path, e))?;
    choose(first, decode_slot(&bytes)).map_err(|fault| fault.in_file(path))
}

/// What one slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// Zeros: never written.
    Blank,
    /// Torn, or damaged.
    Bad,
    /// Whole, and of a version that this program does not know.
    Newer(u32),
    /// Whole.
    Whole(Mark),
}

/// The bytes of a slot.
pub(super) fn encode_slot(mark: &Mark) -> Vec<u8> {
    let state: u32 = match mark.state {
        State::Open => 1,
        State::Closed => 2,
        State::Failed => 3,
    };
    let mut out = Vec::with_capacity(SLOT_LEN);
    out.extend_from_slice(&MAGIC.to_be_bytes());
    let version = match (mark.is_listed, mark.first) {
        (true, _) => VERSION,
        (false, Some(_)) => VERSION_2,
        (false, None) => VERSION_1,
    };
    out.extend_from_slice(&version.to_be_bytes());
    let offsets = [mark.durable.0, mark.window_bytes, mark.segment_bytes, mark.ours_from.0, mark.end.0];
    out.extend_from_slice(&mark.generation.to_be_bytes());
    for number in offsets {
        out.extend_from_slice(&number.to_be_bytes());
    }
    out.extend_from_slice(&mark.boot.0);
    out.extend_from_slice(&mark.writer.0);
    out.extend_from_slice(&state.to_be_bytes());
    out.extend_from_slice(&mark.first.map_or(0, |first| first.0).to_be_bytes());
    out.extend_from_slice(&if mark.is_listed { IS_LISTED } else { 0 }.to_be_bytes());
    out.resize(CRC_AT, 0);
    out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
    out
}

/// What the bytes of a slot say, whatever they are.
pub(super) fn decode_slot(bytes: &[u8]) -> Slot {
    let Some((content, crc)) = bytes.split_last_chunk::<4>() else { return Slot::Bad };
    if bytes.iter().all(|b| *b == 0) {
        return Slot::Blank;
    }
    if bytes.len() != SLOT_LEN || crc32fast::hash(content) != u32::from_be_bytes(*crc) {
        return Slot::Bad;
    }
    let mut fields = Fields(content);
    match (fields.u32(), fields.u32()) {
        (Some(MAGIC), Some(version @ VERSION_1..=VERSION)) => {
            decode_fields(fields, version).map_or(Slot::Bad, Slot::Whole)
        }
        (Some(MAGIC), Some(other)) => Slot::Newer(other),
        _ => Slot::Bad,
    }
}

fn decode_fields(mut fields: Fields<'_>, version: u32) -> Option<Mark> {
    let mark = Mark {
        generation: fields.u64().filter(|g| (1..=MOST_GENERATIONS).contains(g))?,
        durable: LogOffset(fields.u64()?),
        window_bytes: fields.u64()?,
        segment_bytes: fields.u64()?,
        ours_from: LogOffset(fields.u64()?),
        end: LogOffset(fields.u64()?),
        boot: BootId(fields.array()?),
        writer: WriterId(fields.array()?),
        state: match fields.u32()? {
            1 => State::Open,
            2 => State::Closed,
            3 => State::Failed,
            _ => return None,
        },
        first: Some(LogOffset(fields.u64()?)).filter(|_| version > VERSION_1),
        is_listed: fields.u32()? & IS_LISTED != 0,
    };
    Some(mark)
}

/// Which of two slots counts.
///
/// The first save goes to the first slot. Torn by a power cut it leaves that slot bad and the second one blank: no
/// mark was ever saved. In every other case one slot is whole, or the file is damaged.
pub(super) fn choose(first: Slot, second: Slot) -> Parsed<Option<(u64, Mark)>> {
    match (first, second) {
        (Slot::Newer(version), _) | (_, Slot::Newer(version)) => Err(Fault::Newer(version)),
        (Slot::Whole(a), Slot::Whole(b)) if b.generation > a.generation => Ok(Some((1, b))),
        (Slot::Whole(a), _) => Ok(Some((0, a))),
        (_, Slot::Whole(b)) => Ok(Some((1, b))),
        (Slot::Blank | Slot::Bad, Slot::Blank) => Ok(None),
        (_, Slot::Bad) => Err(Fault::Damaged(Damage::BadChecksum)),
    }
}
