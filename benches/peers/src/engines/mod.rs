//! The engines, one file each, and what the works ask of all of them.
//!
//! An engine that fails ends its process: what it has measured until then is no figure.

use std::path::PathBuf;
use std::sync::Arc;

#[cfg(feature = "commitlog")]
mod commitlog;
#[cfg(feature = "fjall")]
mod fjall;
#[cfg(feature = "okaywal")]
mod okaywal;
#[cfg(feature = "raft-engine")]
mod raft_engine;
#[cfg(feature = "raw")]
mod raw;
#[cfg(feature = "rocketmq-store")]
mod rocketmq_store;
#[cfg(feature = "sawlog")]
mod sawlog;
#[cfg(feature = "walrus-rust")]
mod walrus_rust;

/// How an engine is opened.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// Its own folder; what is there is recovered.
    pub(crate) dir: PathBuf,
    /// Whether `append_durable` is going to be called; `append` if not.
    pub(crate) durable: bool,
    /// The length of its files, in bytes, where it can be chosen.
    pub(crate) segment_bytes: u64,
    /// How many queues [`Engine::append_to`] is going to use.
    pub(crate) queues: usize,
}

/// How a log is read from its front to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reading {
    /// Every message, decoded, its checksum compared.
    Verified,
    /// The stored bytes, for a reply that carries them on.
    Stored,
}

/// What a work asks of an engine. Bodies live as long as the process, so that nobody has to copy or count them.
pub(crate) trait Engine: Send + Sync {
    /// Returns when the engine says that the message is taken.
    fn append(&self, producer: usize, body: &'static [u8]);

    /// Returns when the engine says that the message survives a power cut.
    fn append_durable(&self, producer: usize, body: &'static [u8]);

    /// A durable append by one thread that goes on meanwhile. `false`: the engine has no such thing.
    ///
    /// `in_flight` acknowledgements may be outstanding; `answered` is called for each message, in order.
    fn submit(&self, _in_flight: usize, _next: &mut Next<'_>, _answered: &mut dyn FnMut()) -> bool {
        false
    }

    /// Appends to one of [`Setup::queues`]. `false`: the engine has no queues.
    fn append_to(&self, _queue: usize, _body: &'static [u8]) -> bool {
        false
    }

    /// Returns when every message can be found through its queue.
    fn wait_indexed(&self) {}

    /// Bytes that are taken and not yet found through their queues.
    fn unindexed_bytes(&self) -> u64 {
        0
    }

    /// Makes everything durable.
    fn finish(&self);

    /// Reads everything that producer 0 has appended, in order; says how many messages that is. `None`: it cannot.
    fn scan(&self, _how: Reading) -> Option<u64> {
        None
    }

    /// What opening had to do: records checked and bytes written again, where the engine tells.
    fn recovered(&self) -> Option<(u64, u64)> {
        None
    }
}

/// Gives the next body to submit; `None` when the work is over.
pub(crate) type Next<'a> = dyn FnMut() -> Option<&'static [u8]> + 'a;

type Open = fn(&Setup) -> Arc<dyn Engine>;

/// Those that this build has, the baseline first.
const ALL: &[(&str, Open)] = &[
    #[cfg(feature = "raw")]
    ("raw", raw::open),
    #[cfg(feature = "sawlog")]
    ("sawlog", sawlog::open),
    #[cfg(feature = "commitlog")]
    ("commitlog", commitlog::open),
    #[cfg(feature = "fjall")]
    ("fjall", fjall::open),
    #[cfg(feature = "okaywal")]
    ("okaywal", okaywal::open),
    #[cfg(feature = "raft-engine")]
    ("raft-engine", raft_engine::open),
    #[cfg(feature = "walrus-rust")]
    ("walrus-rust", walrus_rust::open),
    #[cfg(feature = "rocketmq-store")]
    ("rocketmq-store", rocketmq_store::open),
];

pub(crate) fn names() -> Vec<&'static str> {
    ALL.iter().map(|(name, _)| *name).collect()
}

/// `None`: this build does not have it.
pub(crate) fn open(name: &str, setup: &Setup) -> Option<Arc<dyn Engine>> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, open)| open(setup))
}
