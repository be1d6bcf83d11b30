//! Queue entries that a power cut tore, where RocketMQ believes them: it looks at no more than whether an entry's size
//! is above zero, and only in the last three files of a queue (spec 9.4, H32).

use std::path::Path;

use super::facts::{Ours, QueueFacts};

const ENTRY_BYTES: usize = 20;
/// So many files of a queue are looked at by RocketMQ's recovery.
const LOOKED_AT: usize = 3;

/// How many entries there are in the files of a cut store that are not the right ones, and that RocketMQ keeps.
pub(crate) fn torn_entries(root: &Path, ours: &Ours) -> usize {
    let of = |((topic, id), queue): (&(String, u32), &QueueFacts)| {
        torn_in(&root.join("consumequeue").join(topic).join(id.to_string()), ours, queue)
    };
    ours.queues.iter().map(of).sum()
}

fn torn_in(folder: &Path, ours: &Ours, queue: &QueueFacts) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut torn = 0;
    for (nth, file) in files.iter().enumerate() {
        let base: u64 = file.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let bytes = std::fs::read(file).unwrap();
        let is_trusted = nth + LOOKED_AT < files.len();
        for (found, at) in bytes.chunks_exact(ENTRY_BYTES).zip(base / ENTRY_BYTES as u64..) {
            let is_entry = i32::from_be_bytes(found[8..12].try_into().unwrap()) > 0;
            if !is_entry && !is_trusted {
                // Zeros are where RocketMQ cuts, and from where it derives again.
                break;
            }
            let right = queue.entries.iter().find(|entry| entry.0 == at).is_some_and(|(_, code, offset)| {
                let size = ours.at(*offset).unwrap().size;
                let right = [&offset.to_be_bytes()[..], &size.to_be_bytes(), &code.to_be_bytes()].concat();
                right == found
            });
            torn += usize::from(!right && at >= queue.min);
        }
    }
    torn
}
