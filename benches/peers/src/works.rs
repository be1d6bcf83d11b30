//! The works, by name: what is done, how long, and with what load. `child/` does them.

/// A work as the command line names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    W1,
    W2,
    W2a,
    W3,
    W4,
    W6,
    W6Mark,
    W6Unsynced,
    W7,
    Tail,
    Idle,
    Queues,
    Segments,
}

pub(crate) const ALL: [Work; 13] = [
    Work::W1,
    Work::W2,
    Work::W2a,
    Work::W3,
    Work::W4,
    Work::W6,
    Work::W6Mark,
    Work::W6Unsynced,
    Work::W7,
    Work::Tail,
    Work::Idle,
    Work::Queues,
    Work::Segments,
];

/// Most of the memory that is free: for works that fill so much of it that the page cache comes upon any. Takes seconds.
const MOST: usize = usize::MAX;

/// What a work's loads are, and how it is repeated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) loads: &'static [usize],
    /// Whether it is done with bodies of all sizes, or with 1 KiB alone.
    pub(crate) of_all_sizes: bool,
    pub(crate) rounds: u32,
    /// How long one run goes on, in seconds; those that count messages stop earlier.
    pub(crate) seconds: f64,
    /// Memory that is used once before, in MiB: about what the work leaves in the page cache, or [`MOST`].
    pub(crate) warm_mib: usize,
}

impl Work {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Work::W1 => "W1",
            Work::W2 => "W2",
            Work::W2a => "W2a",
            Work::W3 => "W3",
            Work::W4 => "W4",
            Work::W6 => "W6",
            Work::W6Mark => "W6-mark",
            Work::W6Unsynced => "W6-unsynced",
            Work::W7 => "W7",
            Work::Tail => "tail",
            Work::Idle => "idle",
            Work::Queues => "queues",
            Work::Segments => "segments",
        }
    }

    /// Whether a writer is killed first, and its log opened.
    pub(crate) fn is_reopening(self) -> bool {
        matches!(self, Work::W6 | Work::W6Mark | Work::W6Unsynced)
    }

    /// W5 is done behind W3, on what that has written.
    pub(crate) fn named(name: &str) -> Option<Work> {
        let name = if name.eq_ignore_ascii_case("W5") { "W3" } else { name };
        ALL.into_iter().find(|work| work.name().eq_ignore_ascii_case(name))
    }

    pub(crate) fn plan(self) -> Plan {
        let plan = |loads, of_all_sizes, rounds, seconds, warm_mib| Plan {
            loads,
            of_all_sizes,
            rounds,
            seconds,
            warm_mib,
        };
        match self {
            Work::W1 => plan(&[1], true, 15, 2.0, 1536),
            Work::W2 => plan(&[16, 64], false, 5, 2.0, 2048),
            Work::W2a => plan(&[64, 256], false, 5, 2.0, 2560),
            Work::W3 => plan(&[1], true, 5, 4.0, MOST),
            Work::W4 => plan(&[4, 16], false, 5, 4.0, MOST),
            Work::W6 | Work::W6Mark | Work::W6Unsynced => plan(&[1], false, 5, 120.0, MOST),
            Work::W7 => plan(&[10_000], false, 5, 6.0, MOST),
            Work::Tail => plan(&[1], false, 3, 20.0, MOST),
            Work::Idle => plan(&[0, 10_000], false, 1, 10.0, 256),
            Work::Queues => plan(&[10, 100, 1_000, 10_000, 100_000], false, 3, 20.0, 1024),
            Work::Segments => plan(&[1, 10, 100], false, 3, 20.0, MOST),
        }
    }

    /// Works that need queues, or a rate that `raw` sets, are for those that have them.
    pub(crate) fn is_for(self, engine: &str) -> bool {
        match self {
            Work::W7 | Work::Queues => ["raw", "sawlog", "rocketmq-store"].contains(&engine),
            Work::W2a => ["raw", "sawlog"].contains(&engine),
            Work::Tail | Work::Idle | Work::Segments | Work::W6Mark | Work::W6Unsynced => {
                ["raw", "sawlog"].contains(&engine)
            }
            _ => true,
        }
    }
}
