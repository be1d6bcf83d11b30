//! What all commands on a store have in common: which one, and what its files do not say.

use std::path::PathBuf;

use sawlog::disk::{Disk, Holder, OsDisk};
use sawlog::inspect::{Look, Opening, Reader, Survey};
use sawlog::{DelayLevels, Error, Options, Retention};

use crate::failure::{Failure, Result};

/// See the file's text.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct StoreArgs {
    /// The store's folder: what a broker calls storePathRootDir
    pub(crate) dir: PathBuf,
    /// Hash slots of an index file, where it is neither RocketMQ's default nor to be seen (maxHashSlotNum)
    #[arg(long, value_name = "N", requires = "index_entries", hide_short_help = true)]
    index_slots: Option<u32>,
    /// Places for entries in an index file (maxIndexNum)
    #[arg(long, value_name = "N", requires = "index_slots", hide_short_help = true)]
    index_entries: Option<u32>,
    /// The broker's delay levels (messageDelayLevel), such as "1s 5s 10s"
    #[arg(long, value_name = "LEVELS", hide_short_help = true)]
    delay_levels: Option<DelayLevels>,
}

impl StoreArgs {
    pub(crate) fn look(&self) -> Look {
        let mut look = Look::at(&self.dir);
        if let (Some(slots), Some(entries)) = (self.index_slots, self.index_entries) {
            look = look.index_geometry(slots, entries);
        }
        match &self.delay_levels {
            Some(levels) => look.delay_levels(levels.clone()),
            None => look,
        }
    }

    pub(crate) fn reader(&self) -> Result<Reader> {
        self.look().reader().map_err(Failure::of_store)
    }
    /// Whether anything has the store's name.
    pub(crate) fn is_there(&self) -> bool {
        matches!(OsDisk::new().entry(&self.dir), Ok(Some(_)) | Err(_))
    }

    /// Options for opening the store to write: those that its files show, and nothing of it may be removed for its
    /// age. Whoever holds it is noticed before anything is touched. Where there is no store, one may be begun if
    /// `create` says so.
    pub(crate) fn options(&self, create: bool) -> Result<Options> {
        let mut options = Options::new().retention(Retention::keep_all());
        if let Some(levels) = &self.delay_levels {
            options = options.delay_levels(levels.clone());
        }
        let survey = match self.look().survey() {
            Ok(survey) => survey,
            // A folder that is no store yet. One of another kind is refused by the opening itself.
            Err(Error::Foreign { .. }) if create => return Ok(options),
            Err(error) => return Err(Failure::of_store(error)),
        };
        if matches!(survey.opening, Opening::Held) {
            return Err(locked(&survey));
        }
        // A wrong division would have the index made anew.
        let given = self.index_slots.zip(self.index_entries);
        Ok(match given.or(survey.index.and_then(|index| index.geometry)) {
            Some((slots, entries)) => options.index_slots(slots).index_entries(entries),
            None => options,
        })
    }
}

/// Says on standard error that there is no such queue: an empty answer may be a slip of the pen.
pub(crate) fn say_if_absent(reader: &Reader, topic: &str, queue: Option<u32>) -> Result<()> {
    let queues = reader.queues_of(topic).map_err(Failure::of_store)?;
    match queue {
        _ if queues.is_empty() => eprintln!("sawlog: the topic {topic} has no queue here"),
        Some(id) if !queues.contains(&id) => eprintln!("sawlog: the topic {topic} has no queue {id} here"),
        _ => {}
    }
    Ok(())
}

/// What opening a store answers that somebody has open.
pub(crate) fn locked(survey: &Survey) -> Failure {
    let pid = match survey.holder {
        Holder::Held { pid } => pid,
        _ => None,
    };
    Failure::of_store(Error::Locked { root: survey.root.clone(), pid })
}
