//! [`KeySearch`]: the records that carry a key, newest first, by the log's tail and the files of the key index.

use std::collections::{HashSet, VecDeque};
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::follow::Follow;
use super::view::{Known, Shared};
use crate::checkpoint::IndexFileMark;
use crate::clock::Timestamp;
use crate::disk::DiskFile;
use crate::error::{Damage, Error, Result};
use crate::inspect::index_files::{self, IndexPlace};
use crate::key_index::{Entry, EntryBytes, Geometry, TopicHash};
use crate::message::Record;
use crate::offset::LogOffset;

/// RocketMQ's `maxMsgsNumBatch`.
const DEFAULT_COUNT: usize = 64;
/// Entries read by one call where there is no chain to follow: 320 KiB.
const TOGETHER: u32 = 16_384;

/// Records that carry a key, newest first; see [`Reader::find`](super::Reader::find). Say what is wanted before the
/// first record is taken.
///
/// Where sawlog has not written an index file's slots yet, because the store is running or was killed, its entries are
/// read one after the other; and the log, where its records are not in the index yet.
///
/// ```
/// # use sawlog::{Message, Options, Store, inspect};
/// # use sawlog::clock::Timestamp;
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), Options::new().segment_bytes(1 << 16))?;
/// # store.append(&Message::new("orders", "paid").key("order-42"))?.wait()?;
/// # store.close()?;
/// let reader = inspect::Reader::open(folder.path())?;
/// let found = reader.find("orders", "order-42").at_most(10).between("2020-05-01".parse()?..=Timestamp(i64::MAX));
/// for record in found {
///     assert_eq!(record?.body(), "paid");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct KeySearch {
    shared: Arc<Shared>,
    topic: String,
    key: String,
    range: RangeInclusive<Timestamp>,
    left: usize,
    stage: Stage,
    /// What was given back already.
    told: HashSet<LogOffset>,
}

#[derive(Debug)]
enum Stage {
    New,
    /// Records found in the log's tail, newest last; then index files, newest last; then places of one of them, newest
    /// first.
    Going {
        tail: Vec<Record>,
        files: Vec<IndexPlace>,
        places: VecDeque<LogOffset>,
    },
}

impl KeySearch {
    pub(super) fn new(shared: &Arc<Shared>, topic: &str, key: &str) -> KeySearch {
        KeySearch {
            shared: Arc::clone(shared),
            topic: topic.to_owned(),
            key: key.to_owned(),
            range: Timestamp(i64::MIN)..=Timestamp(i64::MAX),
            left: DEFAULT_COUNT,
            stage: Stage::New,
            told: HashSet::new(),
        }
    }

    /// Only records stored within these times, both included. Default: any.
    #[must_use]
    pub fn between(self, stored: RangeInclusive<Timestamp>) -> KeySearch {
        KeySearch { range: stored, ..self }
    }

    /// The most records. Default: 64, as with RocketMQ.
    #[must_use]
    pub fn at_most(self, records: usize) -> KeySearch {
        KeySearch { left: records, ..self }
    }

    fn is_wanted(&self, record: &Record, dropped: LogOffset) -> bool {
        record.position.offset >= dropped
            && record.topic().as_str() == self.topic
            && self.range.contains(&record.stored)
            && record.carries(&self.key)
    }

    fn start(&mut self) -> Result<()> {
        self.shared.refresh()?;
        let known = self.shared.known();
        let (files, _) = index_files::list(self.shared.disk(), &self.shared.layout.index())?;
        let indexed_to = self.indexed_to(&known, &files)?;
        let dropped = known.dropped_below(&self.topic);
        let (mut tail, mut failed) = (VecDeque::new(), None);
        for record in Follow::new(&self.shared, indexed_to) {
            match record {
                Ok(record) if self.is_wanted(&record, dropped) => {
                    tail.push_back(record);
                    tail.drain(..tail.len().saturating_sub(self.left));
                }
                Ok(_) => {}
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        // What was found before the damage, and in the files, is told behind it.
        self.stage = Stage::Going { tail: tail.into(), files, places: VecDeque::new() };
        failed.map_or(Ok(()), Err)
    }

    /// Up to where the files hold all keys, as far as that is known; what lies behind is looked for in the log.
    fn indexed_to(&self, known: &Known, files: &[IndexPlace]) -> Result<LogOffset> {
        let first = self.shared.list().first().unwrap_or_default();
        if known.ours {
            let derived = known.derived.as_ref().filter(|s| s.index.is_some());
            return Ok(derived.map_or(first, |s| s.derived_to.max(first)));
        }
        for place in files.iter().rev() {
            let Some(file) = index_files::open(self.shared.disk(), place)? else { continue };
            let head = index_files::header(&*file, &place.path)?.filter(|head| head.next_entry > 1);
            if let Some(head) = head {
                return Ok(head.end_offset.max(first));
            }
        }
        Ok(first)
    }

    fn step(&mut self) -> Result<Option<Record>> {
        if matches!(self.stage, Stage::New) {
            self.start()?;
        }
        let known = self.shared.known();
        let dropped = known.dropped_below(&self.topic);
        while let Stage::Going { tail, files, places } = &mut self.stage {
            if let Some(record) = tail.pop() {
                return Ok(Some(record));
            }
            let Some(at) = places.pop_front() else {
                let Some(place) = files.pop() else { return Ok(None) };
                let found = self.places_in(&known, &place)?;
                if let Stage::Going { places, .. } = &mut self.stage {
                    *places = found;
                }
                continue;
            };
            if self.told.contains(&at) {
                continue;
            }
            match self.shared.record_at(at) {
                Ok(record) if self.is_wanted(&record, dropped) => return Ok(Some(record)),
                // Another key of the same hash; removed by retention; no record, which is the index's fault.
                Ok(_) | Err(Error::OutOfRange { .. }) => {}
                Err(Error::Corrupt(place)) if !is_damaged_record(&place.what) => {}
                Err(error) => {
                    self.told.insert(at);
                    return Err(error);
                }
            }
        }
        Ok(None)
    }

    /// The places that one file names for this key, newest first.
    fn places_in(&self, known: &Known, place: &IndexPlace) -> Result<VecDeque<LogOffset>> {
        let disk = self.shared.disk();
        let index = known.snapshot.as_ref().and_then(|s| s.index.as_ref());
        let given = self.shared.look.index;
        let geometry = match given {
            Some(given) => Some(given),
            None => index_files::geometry(disk, std::slice::from_ref(place), known.snapshot.as_ref())?,
        };
        let (Some(geometry), Some(file)) = (geometry, index_files::open(disk, place)?) else {
            return Ok(VecDeque::new());
        };
        if geometry.file_bytes() != place.len {
            return Ok(VecDeque::new());
        }
        let search =
            InFile { file: &*file, place, geometry, hash: TopicHash::of(&self.topic).key(&self.key) };
        let mark = index.and_then(|index| index.files.iter().find(|file| file.name == place.name));
        match (known.ours && !known.closed, mark) {
            (true, Some(mark)) if !mark.sealed => search.one_by_one(mark),
            // Made since: what is in it is in the log's tail, too.
            (true, None) => Ok(VecDeque::new()),
            _ => search.chain(),
        }
    }
}

/// A search in one file.
struct InFile<'a> {
    file: &'a dyn DiskFile,
    place: &'a IndexPlace,
    geometry: Geometry,
    hash: u32,
}

impl InFile<'_> {
    /// Follows the chain from its slot.
    fn chain(&self) -> Result<VecDeque<LogOffset>> {
        let mut places = VecDeque::new();
        let Some(head) = index_files::header(self.file, &self.place.path)? else { return Ok(places) };
        let mut word = [0; 4];
        self.read(self.geometry.slot_at(self.geometry.slot_of(self.hash)), &mut word)?;
        let mut number = u32::from_be_bytes(word);
        let mut most = head.next_entry.min(self.geometry.entries);
        // Numbers fall from step to step: no chain, forged or torn, is followed for longer than there are entries.
        while (1..most).contains(&number) {
            let mut bytes = EntryBytes::default();
            self.read(self.geometry.entry_at(number), &mut bytes)?;
            let Some(entry) = Entry::decode(&bytes) else { break };
            if entry.hash == self.hash {
                places.push_back(entry.at);
            }
            (most, number) = (number, entry.prev);
        }
        Ok(places)
    }

    /// Looks at every entry that is known to be there.
    fn one_by_one(&self, mark: &IndexFileMark) -> Result<VecDeque<LogOffset>> {
        let mut places = VecDeque::new();
        let end = mark.next_entry.min(self.geometry.entries);
        let (mut number, mut bytes) = (1, Vec::new());
        while number < end {
            let count = (end - number).min(TOGETHER);
            bytes.resize(usize::try_from(count).unwrap_or(0).saturating_mul(20), 0);
            self.read(self.geometry.entry_at(number), &mut bytes)?;
            let entries = bytes.as_chunks::<20>().0.iter().filter_map(Entry::decode);
            entries.filter(|entry| entry.hash == self.hash).for_each(|entry| places.push_front(entry.at));
            number += count;
        }
        Ok(places)
    }

    fn read(&self, at: u64, out: &mut [u8]) -> Result<()> {
        self.file.read_at(at, out).map_err(|e| Error::io("reading", &self.place.path, e))
    }
}

/// Whether a record stands there and is damaged. Anything else that is no record may be the index's fault.
fn is_damaged_record(what: &Damage) -> bool {
    matches!(what, Damage::BadBodyChecksum | Damage::BadRecordChecksum | Damage::NoRecordChecksum)
}

/// An error is an item of its own: a damaged record hides no other one.
impl Iterator for KeySearch {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Result<Record>> {
        if self.left == 0 {
            return None;
        }
        let found = self.step().transpose()?;
        self.left -= 1;
        if let Ok(record) = &found {
            self.told.insert(record.position.offset);
        }
        Some(found)
    }
}
