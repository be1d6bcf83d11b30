//! What all commands that look into a store have in common: which one, and what its files do not say.

use std::path::PathBuf;

use sawlog::DelayLevels;
use sawlog::inspect::{Look, Reader};

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
}
