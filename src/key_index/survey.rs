//! What lies in the index folder, and what we know of the files there, without touching them.

use std::io;
use std::path::{Path, PathBuf};

use super::name;
use super::shape::{Geometry, Header};
use crate::clock::Timestamp;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::offset::LogOffset;

/// A file in the index folder that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Odd {
    /// The file or folder.
    pub(crate) path: PathBuf,
    /// What is wrong with it.
    pub(crate) why: String,
}

/// The index folder as it is found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct IndexSurvey {
    /// Index files by their names as numbers, ascending.
    pub(crate) files: Vec<u64>,
    /// What RocketMQ would take for an index file and we cannot use. Other names are not mentioned: RocketMQ skips
    /// them as well (spec 1.3).
    pub(crate) odd: Vec<Odd>,
}

impl IndexSurvey {
    /// Looks at an index folder. A missing folder is an empty one.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder cannot be listed.
    pub(crate) fn of(disk: &dyn Disk, dir: &Path, geometry: Geometry) -> Result<IndexSurvey> {
        let entries = match disk.list(dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(IndexSurvey::default()),
            Err(e) => return Err(Error::io("listing", dir, e)),
        };
        let mut survey = IndexSurvey::default();
        let expected = geometry.file_bytes();
        for entry in entries {
            if !is_number(&entry.name) {
                continue;
            }
            let why = match ours(&entry.name) {
                _ if entry.is_dir => "a folder, named as an index file".to_owned(),
                None => "no index file of ours has such a number for a name".to_owned(),
                // RocketMQ extends it, or uses the front of it, whatever that holds (spec 4.8, H40).
                Some(_) if entry.len != expected => {
                    format!("{} bytes where this geometry has {expected}: another geometry", entry.len)
                }
                Some(name) => {
                    survey.files.push(name);
                    continue;
                }
            };
            survey.odd.push(Odd { path: entry.path, why });
        }
        survey.files.sort_unstable();
        Ok(survey)
    }

    /// Whether these are the files of a store that knows `known`: all of them are here, nothing is odd, and what
    /// else is here is older or newer than all of them. An older file was retired, and its removal cut short; a newer
    /// one was made behind the last snapshot and holds nothing that will not be derived again. Opening removes both.
    pub(super) fn is_covered_by(&self, known: &[KnownFile]) -> bool {
        let names = known.iter().map(|file| file.name);
        let older = known.first().map_or(0, |first| self.files.partition_point(|name| *name < first.name));
        let here = self.files.iter().skip(older).take(known.len());
        self.odd.is_empty() && names.eq(here.copied())
    }
}

/// Whether Java parses this name as a number; it takes digits of any script, and a sign.
fn is_number(name: &str) -> bool {
    let digits = name.strip_prefix(['+', '-']).unwrap_or(name);
    let all_ascii = digits.bytes().all(|b| b.is_ascii_digit());
    // A number beyond 64 bits is none to Java. Digits of other scripts are not worth reading.
    !digits.is_empty()
        && digits.chars().all(char::is_numeric)
        && (!all_ascii || digits.parse::<u64>().is_ok_and(|number| number <= i64::MAX.unsigned_abs()))
}

/// The number that a name of ours stands for.
pub(super) fn ours(name: &str) -> Option<u64> {
    name.parse().ok().filter(|number| name::digits(*number) == name)
}

/// What must be remembered of an index file to build it up again from its entries (house 8): its header's content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct KnownFile {
    /// Its name as a number.
    pub(crate) name: u64,
    /// Entries `1 .. next_entry` are counted; in a snapshot that was saved, they are whole and durable.
    pub(crate) next_entry: u32,
    /// Store time of the first key in ms; before there is one, what the file inherited (spec 4.2).
    pub(crate) begin_time: i64,
    /// Store time of the last key in ms.
    pub(crate) end_time: i64,
    /// Where the first key's record lies.
    pub(crate) begin_offset: LogOffset,
    /// Where the last key's record lies.
    pub(crate) end_offset: LogOffset,
    /// Full, with its slots and header in the file, all durable.
    pub(crate) sealed: bool,
}

impl KnownFile {
    pub(super) fn new(name: u64, head: &Header, sealed: bool) -> KnownFile {
        KnownFile {
            name,
            next_entry: head.next_entry,
            begin_time: head.begin_time.0,
            end_time: head.end_time.0,
            begin_offset: head.begin_offset,
            end_offset: head.end_offset,
            sealed,
        }
    }

    /// The header that goes with it, but for the slots used.
    pub(super) fn header(&self, slots_used: u32) -> Header {
        Header {
            begin_time: Timestamp(self.begin_time),
            end_time: Timestamp(self.end_time),
            begin_offset: self.begin_offset,
            end_offset: self.end_offset,
            slots_used,
            next_entry: self.next_entry,
        }
    }
}
