//! Where figures come from: processors, memory, disk, file system, kernel, date.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The value behind the colon in the first line that begins so.
fn line_of(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim().to_owned())
}

/// A line each, for a list.
pub(crate) fn describe(dir: &Path) -> Vec<String> {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let model = line_of(&text("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown".into());
    let memory = line_of(&text("/proc/meminfo"), "MemTotal").unwrap_or_default();
    let kib: u64 = memory.split(' ').next().and_then(|kib| kib.parse().ok()).unwrap_or(0);
    vec![
        format!("processors: {cpus}, {model}"),
        format!("memory: {} GiB", kib >> 20),
        format!("disk: {}", disk(dir).unwrap_or_else(|| "unknown".into())),
        format!("file system: {}", file_system(dir).unwrap_or_else(|| "unknown".into())),
        format!("kernel: {}", text("/proc/sys/kernel/osrelease").trim()),
        format!("date: {}", today()),
    ]
}

fn device(dir: &Path) -> Option<String> {
    let device = fs::metadata(dir).ok()?.dev();
    Some(format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device)))
}

fn disk(dir: &Path) -> Option<String> {
    let sys = format!("/sys/dev/block/{}", device(dir)?);
    let uevent = text(&format!("{sys}/uevent"));
    let name = uevent.lines().find_map(|line| line.strip_prefix("DEVNAME="))?.to_owned();
    let sectors: u64 = text(&format!("{sys}/size")).trim().parse().ok()?;
    // A partition has no queue of its own.
    let queue = |what: &str| {
        let own = text(&format!("{sys}/queue/{what}"));
        let value = if own.is_empty() { text(&format!("{sys}/../queue/{what}")) } else { own };
        value.trim().to_owned()
    };
    let fua = if queue("fua") == "1" { "with FUA" } else { "without FUA" };
    Some(format!("{name}, {} GiB, {} cache {fua}", sectors >> 21, queue("write_cache")))
}

fn file_system(dir: &Path) -> Option<String> {
    let device = device(dir)?;
    let mounts = text("/proc/self/mountinfo");
    let line = mounts.lines().find(|line| line.split(' ').nth(2) == Some(device.as_str()))?;
    let options = line.split(' ').nth(5)?;
    let mut behind = line.split_once(" - ")?.1.split(' ');
    let (kind, more) = (behind.next()?, behind.nth(1)?);
    Some(format!("{kind}, mounted {options},{more}"))
}

/// Year, month and day, in UTC.
fn today() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut day = now.as_secs() / 86_400;
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while day >= 365 + u64::from(is_leap(year)) {
        day -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut month = 0;
    let days = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    while day >= days[month] {
        day -= days[month];
        month += 1;
    }
    format!("{year}-{:02}-{:02}", month + 1, day + 1)
}
