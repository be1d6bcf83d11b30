//! What is counted beside messages: waits, processor time, the device's flushes, switches between threads, memory.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Bodies that no engine gains by compressing: windows into one pool of pseudo-random bytes, made beforehand.
pub(crate) struct Bodies {
    pool: &'static [u8],
    bytes: usize,
}

const WINDOWS: usize = 4096;
const WINDOW_STEP_BYTES: usize = 64;

impl Bodies {
    pub(crate) fn new(bytes: usize) -> Bodies {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let words = (WINDOWS * WINDOW_STEP_BYTES + bytes).div_ceil(8);
        let word = |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_be_bytes()
        };
        let pool: Vec<u8> = (0..words).flat_map(word).collect();
        Bodies { pool: pool.leak(), bytes }
    }

    pub(crate) fn at(&self, number: usize) -> &'static [u8] {
        let from = number % WINDOWS * WINDOW_STEP_BYTES;
        &self.pool[from..from + self.bytes]
    }
}

/// Waits, in nanoseconds; the longest that is told apart is 4 s.
#[derive(Default)]
pub(crate) struct Waits(Vec<u32>);

impl Waits {
    pub(crate) fn with_capacity(count: usize) -> Waits {
        Waits(Vec::with_capacity(count))
    }

    pub(crate) fn push(&mut self, nanos: u128) {
        self.0.push(u32::try_from(nanos).unwrap_or(u32::MAX));
    }

    pub(crate) fn extend(&mut self, other: Waits) {
        self.0.extend(other.0);
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// What that share of the messages, in thousandths, waited at most, in microseconds.
    pub(crate) fn per_mille(&mut self, share: usize) -> f64 {
        self.0.sort_unstable();
        let at = (self.0.len() * share / 1000).min(self.0.len().saturating_sub(1));
        self.0.get(at).map_or(0.0, |nanos| f64::from(*nanos) / 1e3)
    }

    /// How many waited longer than each power of two, in microseconds, as long as there are any.
    pub(crate) fn beyond(&mut self) -> impl Iterator<Item = (u32, usize)> + '_ {
        self.0.sort_unstable();
        let count_beyond = |micros: u32| self.0.len() - self.0.partition_point(|nanos| nanos / 1000 < micros);
        (0..22)
            .map(|power| 1 << power)
            .map(move |micros| (micros, count_beyond(micros)))
            .take_while(|(_, n)| *n > 0)
    }
}

/// This process's time on processors so far, in seconds.
pub(crate) fn cpu_seconds() -> f64 {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9
}

/// Flushes that the block device under `dir` has completed: what reached it, whichever call asked. `None`: it does not
/// say.
pub(crate) fn device_flushes(dir: &Path) -> Option<u64> {
    let device = fs::metadata(dir).ok()?.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let counters = fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat")).ok()?;
    counters.split_whitespace().nth(15)?.parse().ok()
}

/// How often threads of this process were taken from a processor or gave it back, all together.
pub(crate) fn context_switches() -> u64 {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let texts = tasks.filter_map(|task| fs::read_to_string(task.path().join("status")).ok());
    let of_one = |text: String| -> u64 {
        let lines = text.lines().filter(|line| line.contains("ctxt_switches"));
        lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum()
    };
    texts.map(of_one).sum()
}

/// Memory of this process that is no page of a file, in bytes.
pub(crate) fn anonymous_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("RssAnon:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// How many files and sockets this process has open.
pub(crate) fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// Memory that a virtual machine has given back to its host is slow when it is used again: use so much of it once
/// before, and nine tenths of what is free at most. Of a machine of 24 GiB 3 GiB were not enough for W3: the page cache
/// takes what it comes upon, and three of eleven runs took up to twice as long.
pub(crate) fn warm_memory(mib: usize) {
    let mut memory = vec![0_u8; mib.saturating_mul(1 << 20).min(free_memory_bytes() / 10 * 9)];
    for page in memory.chunks_mut(4096) {
        page[0] = 1;
    }
    std::hint::black_box(&memory);
}

/// What this process may still take: of the machine's memory, and of what its control group (version 2) is held to.
fn free_memory_bytes() -> usize {
    let all = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let free = all.lines().find_map(|line| line.strip_prefix("MemFree:"));
    let kib = free.and_then(|free| free.split_whitespace().next()?.parse::<usize>().ok());
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    // A group is held to the least of its own limit and those above it; within a container its own folder is the root.
    let groups = Path::new("/sys/fs/cgroup").join(own);
    let rooms =
        groups.ancestors().take_while(|group| group.starts_with("/sys/fs/cgroup")).filter_map(|group| {
            let number = |name| fs::read_to_string(group.join(name)).ok()?.trim().parse::<usize>().ok();
            // No limit is a word, and no number.
            Some(number("memory.max")?.saturating_sub(number("memory.current")?))
        });
    rooms.chain([kib.unwrap_or(0) * 1024]).min().unwrap_or(0)
}
