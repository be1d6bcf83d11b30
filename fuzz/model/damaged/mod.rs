//! Sound stores whose files are damaged as the input says, and what must hold of them all the same.
//!
//! Nothing panics, every refusal is typed and changes nothing, what is served was appended, and a store that opens
//! takes appends, closes, and opens again to the same bytes.

mod hurt;
mod judge;
mod stores;

use super::input::Input;

/// More damage than this at once teaches nothing new.
const MOST_HURTS: usize = 24;

/// Which files an input damages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// Any file of the store.
    Everything,
    /// Consume queues, index files, and our own file that speaks of both.
    Derived,
    /// Mark, ranges and queues of ours, RocketMQ's checkpoint and abort mark.
    Marks,
}

impl Area {
    fn contains(self, path: &str) -> bool {
        let inside = path.strip_prefix("/store/").unwrap_or_default();
        match self {
            Area::Everything => true,
            Area::Derived => {
                inside.starts_with("consumequeue/")
                    || inside.starts_with("index/")
                    || inside == "sawlog/queues"
            }
            Area::Marks => inside.starts_with("sawlog/") || ["checkpoint", "abort", "lock"].contains(&inside),
        }
    }
}

/// Damages a store as the bytes say, and looks at what comes of it.
///
/// # Panics
/// If the store breaks a promise.
pub fn run(area: Area, input: &[u8]) {
    let mut input = Input(input);
    let stores = stores::all();
    let (which, how) = (input.byte(), input.byte());
    let before = &stores[usize::from(which) % stores.len()];
    let disk = before.disk.kill();
    for _ in 0..MOST_HURTS {
        let Some(op) = input.next() else { break };
        hurt::hurt(&disk, area, before, op, &mut input);
    }
    judge::judge(disk, before, how);
}
