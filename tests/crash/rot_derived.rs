//! Bits flip and pages vanish in queue and index files, which have no checksums: what is read is the right record or
//! a typed error, and [`Options::rebuild_derived`](sawlog::Options::rebuild_derived) mends it.
//!
//! What RocketMQ's format cannot tell stays untold: a flipped tag hash hides a message from a filter by that tag, and
//! a flipped index entry, slot or header hides a record from a look-up by key. Neither hides it from its queue.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sawlog::disk::sim::SimDisk;
use sawlog::{Error, Fetch, LogOffset, QueueOffset, Status, Store};

use crate::support::at_rest::at_rest;
use crate::support::derived::{DerivedBytes, check_derived, derived_bytes, difference, fresh};
use crate::support::dice::Dice;
use crate::support::expected::{Expected, ROOT, Taken};
use crate::support::oracle::{Verdict, check_log};
use crate::support::workload::{clock, options};

/// A closed store, what its log holds, and what is derived from that.
struct Sound {
    disk: SimDisk,
    log: Expected,
    fresh: DerivedBytes,
}

impl Sound {
    fn new(seed: u64) -> Sound {
        let (disk, log) = at_rest(seed, true);
        Sound { fresh: fresh(&disk), disk, log }
    }

    fn files(&self, dir: &str) -> Vec<(PathBuf, u64)> {
        let dir = Path::new(ROOT).join(dir);
        self.disk.files().into_iter().filter(|(path, _)| path.starts_with(&dir)).collect()
    }

    fn queues(&self) -> BTreeMap<(&str, u32), Vec<&Taken>> {
        let mut queues: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for taken in &self.log.taken {
            let queue = (taken.message.topic.as_str(), taken.message.queue_id);
            queues.entry(queue).or_default().push(taken);
        }
        queues
    }

    /// Opens what is damaged, reads everything, and has it mended. Says how many answers were errors.
    fn judge(&self, disk: &SimDisk) -> Verdict<u64> {
        let store = Store::open(ROOT, options(disk, &clock(), true)).map_err(|e| format!("refused: {e}"))?;
        if check_log(&store, &self.log)? != self.log.end() {
            return Err(format!("the log: {}", store.recovery()));
        }
        let mut errors = 0;
        for ((topic, id), want) in self.queues() {
            errors += read_one_by_one(&store, topic, id, &want)?;
            pull(&store, topic, id, &want)?;
        }
        errors += self.look_up(&store)?;
        store.close().map_err(|e| format!("close: {e}"))?;
        let mended = Store::open(ROOT, options(disk, &clock(), true).rebuild_derived());
        let mended = mended.map_err(|e| format!("mending: {e}"))?;
        check_derived(&mended, &self.log, self.log.end(), (0, 0))?;
        mended.close().map_err(|e| format!("mended and closed: {e}"))?;
        match difference(&derived_bytes(disk), &self.fresh) {
            Some(why) => Err(format!("not mended: {why}")),
            None => Ok(errors),
        }
    }

    /// Nothing is found that does not carry the key, nothing twice, and in order.
    fn look_up(&self, store: &Store) -> Verdict<u64> {
        let mut errors = 0;
        let mut keys: BTreeMap<(&str, String), Vec<&Taken>> = BTreeMap::new();
        for taken in &self.log.taken {
            for key in taken.message.keys().iter().flat_map(|keys| keys.split(' ')) {
                let all = keys.entry((taken.message.topic.as_str(), key.to_owned())).or_default();
                all.push(taken);
            }
        }
        for ((topic, key), carriers) in &keys {
            let mut below = LogOffset(u64::MAX);
            for found in store.find(topic, key).at_most(u32::MAX) {
                let found = match found {
                    Ok(found) => found,
                    Err(error) if is_typed(&error) => {
                        errors += 1;
                        continue;
                    }
                    Err(error) => return Err(format!("{key} of {topic}: {error}")),
                };
                let at = found.position.offset;
                let carrier = carriers.iter().find(|taken| taken.position.offset == at);
                carrier.ok_or_else(|| format!("{key} of {topic}: found {found:?}"))?.check(&found)?;
                if at >= below {
                    return Err(format!("{key} of {topic}: {at} is found behind {below}"));
                }
                below = at;
            }
        }
        Ok(errors)
    }
}

fn is_typed(error: &Error) -> bool {
    matches!(error, Error::Corrupt(_))
}

/// Every offset on its own: its record, or an error that says that it is damaged.
fn read_one_by_one(store: &Store, topic: &str, id: u32, want: &[&Taken]) -> Verdict<u64> {
    let queue = store.queue(topic, id);
    let mut errors = 0;
    let bounds = (queue.min().map_err(|e| e.to_string())?.0, queue.max().0);
    if bounds != (0, want.len() as u64) {
        return Err(format!("{topic}/{id} holds {bounds:?}, the log has {}", want.len()));
    }
    for taken in want {
        match queue.record_at(taken.queue_offset) {
            Ok(read) => taken.check(&read).map_err(|e| format!("a wrong record: {e}"))?,
            Err(error) if is_typed(&error) => errors += 1,
            Err(error) => return Err(format!("{topic}/{id} at {}: {error}", taken.queue_offset)),
        }
    }
    Ok(errors)
}

/// By pulls, one further after an error: each message is there or was an error.
fn pull(store: &Store, topic: &str, id: u32, want: &[&Taken]) -> Verdict {
    let queue = store.queue(topic, id);
    let mut next = QueueOffset(0);
    while next.0 < want.len() as u64 {
        match queue.fetch(&Fetch::from(next)) {
            Ok(batch) => {
                let due = want.iter().skip(next.0 as usize).take(batch.records.len());
                for (taken, read) in due.zip(&batch.records) {
                    taken.check(read).map_err(|e| format!("pulled: {e}"))?;
                }
                let passed = batch.next.0 - next.0;
                if batch.status != Status::Found || passed != batch.records.len() as u64 {
                    return Err(format!("{topic}/{id} from {next}: passed over in silence: {batch:?}"));
                }
                next = batch.next;
            }
            Err(error) if is_typed(&error) => next = QueueOffset(next.0 + 1),
            Err(error) => return Err(format!("{topic}/{id} from {next}: {error}")),
        }
    }
    Ok(())
}

#[derive(Default)]
struct Count {
    cases: u64,
    errors: u64,
    failures: Vec<String>,
}

impl Count {
    fn add(&mut self, what: &str, verdict: Verdict<u64>) {
        self.cases += 1;
        match verdict {
            Ok(errors) => self.errors += errors,
            Err(why) => self.failures.push(format!("{what}: {why}")),
        }
    }

    fn end(self, least: u64) {
        let Count { cases, errors, failures } = self;
        println!("{cases} cases, {errors} answers were errors");
        let shown = failures.iter().take(4).cloned().collect::<Vec<_>>().join("\n\n");
        assert!(failures.is_empty(), "{} of {cases} failed:\n{shown}", failures.len());
        assert!(cases >= least, "only {cases}");
    }
}

#[test]
fn a_flipped_bit_in_a_queue_file_is_an_error_for_its_message_and_for_no_other() {
    let mut count = Count::default();
    for seed in [0, 1] {
        let sound = Sound::new(seed);
        let mut dice = Dice::new(seed);
        for (path, len) in sound.files("consumequeue") {
            for _ in 0..12 {
                let bit = dice.below(len * 8);
                let disk = sound.disk.kill();
                disk.flip(&path, bit).unwrap();
                let errors = sound.judge(&disk);
                // All of an entry but its tag is bound to its record; behind the last one nobody looks.
                let is_bound = bit / 8 % 20 < 12
                    && sound.disk.read_file(&path).unwrap()[(bit / 160 * 20) as usize..]
                        .iter()
                        .take(20)
                        .any(|byte| *byte != 0);
                let errors = errors.and_then(|errors| match errors == u64::from(is_bound) {
                    true => Ok(errors),
                    false => Err(format!("{errors} errors")),
                });
                count.add(&format!("bit {bit} of {}", path.display()), errors);
            }
        }
    }
    assert!(count.errors > 50);
    count.end(400);
}

#[test]
fn a_flipped_bit_in_an_index_file_never_brings_a_wrong_record() {
    let mut count = Count::default();
    for seed in [0, 1] {
        let sound = Sound::new(seed);
        let mut dice = Dice::new(seed);
        for (path, len) in sound.files("index") {
            // The header's bits, and some of slots and entries.
            let header = (0..320).step_by(7).map(|bit| bit + dice.below(7)).collect::<Vec<_>>();
            let other = (0..60).map(|_| 320 + dice.below(len * 8 - 320)).collect::<Vec<_>>();
            for bit in header.into_iter().chain(other).filter(|bit| *bit < len * 8) {
                let disk = sound.disk.kill();
                disk.flip(&path, bit).unwrap();
                count.add(&format!("bit {bit} of {}", path.display()), sound.judge(&disk));
            }
        }
    }
    count.end(400);
}

#[test]
fn files_of_zeros_or_of_garbage_serve_nothing_wrong_and_are_mended() {
    let mut count = Count::default();
    let sound = Sound::new(2);
    let mut dice = Dice::new(2);
    let files = [sound.files("consumequeue"), sound.files("index")].concat();
    for (path, len) in files {
        for kind in ["zeros", "garbage", "another's"] {
            let disk = sound.disk.kill();
            let bytes = match kind {
                "zeros" => vec![0; len as usize],
                "garbage" => dice.bytes(len as usize),
                _ => {
                    let same = |(_, other): &(PathBuf, u64)| *other == len;
                    let dir = path.parent().unwrap().strip_prefix(ROOT).unwrap().iter().next().unwrap();
                    let others = sound.files(dir.to_str().unwrap());
                    let others: Vec<_> = others.into_iter().filter(same).collect();
                    sound.disk.read_file(&others[dice.below(others.len() as u64) as usize].0).unwrap()
                }
            };
            disk.write_file(&path, bytes).unwrap();
            count.add(&format!("{kind} in {}", path.display()), sound.judge(&disk));
        }
    }
    count.end(60);
}

/// Nothing of ours goes by RocketMQ's checkpoint as long as our own mark is there.
#[test]
fn whatever_stands_in_the_checkpoint_harms_nobody() {
    for closed in [true, false] {
        let (disk, log) = at_rest(5, closed);
        let path = Path::new(ROOT).join("checkpoint");
        let Ok(was) = disk.read_file(&path) else { panic!("no checkpoint") };
        let mut dice = Dice::new(5);
        for case in 0..120 {
            let copy = disk.kill();
            match case {
                0 => copy.write_file(&path, "").unwrap(),
                1 => copy.write_file(&path, vec![0xFF; was.len()]).unwrap(),
                2 => copy.write_file(&path, vec![0x7F; 39]).unwrap(),
                3..40 => copy.write_file(&path, dice.bytes(was.len())).unwrap(),
                _ => copy.flip(&path, dice.below(24 * 8)).unwrap(),
            }
            let store = Store::open(ROOT, options(&copy, &clock(), true)).unwrap();
            assert!(!store.recovery().rebuilt, "case {case}: {}", store.recovery());
            let end = check_log(&store, &log).unwrap();
            assert_eq!(end, log.end(), "case {case}");
            check_derived(&store, &log, end, (0, 0)).unwrap();
            store.close().unwrap();
        }
    }
}
