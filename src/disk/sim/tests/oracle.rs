//! Random work on the disk beside a plain book of what may be there afterwards.

use std::collections::BTreeMap;

use super::super::rng::Rng;
use super::*;

/// What one file may hold: for each byte the durable value first, then those that may have come over it, each with
/// whether a failed sync gave it up.
struct Book {
    bytes: Vec<Vec<(u8, bool)>>,
    synced: bool,
}

impl Book {
    fn sync(&mut self) {
        self.synced = true;
        for values in &mut self.bytes {
            // The durable value stands first and may not be mistaken for a new one.
            let newest = values.iter().skip(1).rposition(|(_, given_up)| !given_up).map(|i| i + 1);
            if let Some(newest) = newest {
                *values = vec![(values[newest].0, false)];
            }
        }
    }

    fn give_up(&mut self) {
        self.bytes.iter_mut().flat_map(|values| values.iter_mut().skip(1)).for_each(|value| value.1 = true);
    }

    fn allows(&self, found: &[u8]) -> bool {
        let length =
            if self.synced { found.len() == self.bytes.len() } else { found.len() <= self.bytes.len() };
        length && found.iter().zip(&self.bytes).all(|(byte, values)| values.iter().any(|(v, _)| v == byte))
    }

    /// Without anything that was not synced.
    fn least(&self) -> Vec<u8> {
        let bytes = self.bytes.iter().map(|values| values[0].0);
        if self.synced { bytes.collect() } else { Vec::new() }
    }

    fn most(&self) -> Vec<u8> {
        self.bytes.iter().map(|values| values[values.len() - 1].0).collect()
    }
}

/// The disk, and what the book says of it: for every name the files (or none) that may stand there, the durable one
/// first and the present one last.
struct Bench {
    disk: SimDisk,
    rng: Rng,
    files: Vec<Book>,
    handles: Vec<Box<dyn DiskFile>>,
    names: BTreeMap<String, Vec<Option<usize>>>,
}

impl Bench {
    fn new(seed: u64) -> Bench {
        let disk = SimDisk::new();
        disk.create_dirs(p("/x")).unwrap();
        disk.create_dirs(p("/y")).unwrap();
        let names = (0..8).map(|i| (format!("/{}/{}", ["x", "y"][i % 2], i / 2), vec![None])).collect();
        Bench { disk, rng: Rng::part(seed, 77), files: Vec::new(), handles: Vec::new(), names }
    }

    fn any_name(&mut self) -> (String, Option<usize>) {
        let (name, files) = self.names.iter().nth(self.rng.below_len(8)).unwrap();
        (name.clone(), *files.last().unwrap())
    }

    fn set(&mut self, name: &str, file: Option<usize>) {
        self.names.get_mut(name).unwrap().push(file);
    }

    fn work(&mut self) {
        let (name, here) = self.any_name();
        match self.rng.below(16) {
            0..2 if here.is_none() => {
                let len = 1 + self.rng.below_len(9000);
                let file = self.disk.create(p(&name), u64::try_from(len).unwrap(), Reserve::Sparse).unwrap();
                self.files.push(Book { bytes: vec![vec![(0, false)]; len], synced: false });
                self.handles.push(file);
                self.set(&name, Some(self.files.len() - 1));
            }
            2..9 if here.is_some() => self.write(here.unwrap()),
            9..11 if here.is_some() => self.sync(here.unwrap()),
            11 if here.is_some() => {
                self.disk.remove(p(&name)).unwrap();
                self.set(&name, None);
            }
            12..14 => {
                let (to, there) = self.any_name();
                if here.is_some() && to != name {
                    if there.is_some() {
                        self.disk.replace(p(&name), p(&to)).unwrap();
                    } else {
                        self.disk.rename(p(&name), p(&to)).unwrap();
                    }
                    self.set(&name, None);
                    self.set(&to, here);
                }
            }
            14 => {
                let dir = if self.rng.coin() { "/x" } else { "/y" };
                self.disk.sync_dir(p(dir)).unwrap();
                for (_, files) in self.names.iter_mut().filter(|(name, _)| name.starts_with(dir)) {
                    *files = vec![*files.last().unwrap()];
                }
            }
            _ => {}
        }
    }

    fn write(&mut self, file: usize) {
        let len = self.files[file].bytes.len();
        let offset = self.rng.below_len(len);
        let count = 1 + self.rng.below_len((len - offset).min(1500));
        let first = u8::try_from(self.rng.below(256)).unwrap();
        let bytes: Vec<u8> = (0..=255).cycle().skip(first.into()).take(count).collect();
        self.handles[file].write_at(u64::try_from(offset).unwrap(), &bytes).unwrap();
        for (values, byte) in self.files[file].bytes[offset..].iter_mut().zip(&bytes) {
            values.push((*byte, false));
        }
    }

    fn sync(&mut self, file: usize) {
        let fails = self.rng.below(4) == 0;
        if fails {
            self.disk.fail_at(1, Fault::once(FaultKind::Eio));
        }
        assert_eq!(self.handles[file].sync().is_err(), fails);
        if fails { self.files[file].give_up() } else { self.files[file].sync() }
    }

    fn check(&self, seed: u64, model: Survivors) {
        let after = self.disk.power_cut(seed, model);
        for (name, files) in &self.names {
            let found = after.read_file(name).ok();
            let fits = |file: &Option<usize>| match (&found, file) {
                (None, None) => true,
                (Some(found), Some(file)) => self.files[*file].allows(found),
                _ => false,
            };
            assert!(files.iter().any(fits), "{name}, seed {seed}, {model:?}");
            let exactly = match model {
                Survivors::Everything => files.last().unwrap().map(|file| self.files[file].most()),
                // Who syncs one folder of a rename settles the name in the other one, too.
                Survivors::Nothing if files.len() == 1 => files[0].map(|file| self.files[file].least()),
                _ => continue,
            };
            assert!(found == exactly, "{name}, seed {seed}, {model:?}");
        }
        // The next process reads all that was written, and can lose no more than this one.
        assert_eq!(self.disk.kill().power_cut(seed, model).fingerprint(), after.fingerprint());
    }
}

#[test]
fn nothing_synced_is_ever_lost_under_any_model() {
    for seed in 0..40 {
        let mut bench = Bench::new(seed);
        for step in 0..120 {
            bench.work();
            if step % 8 == 7 {
                Survivors::ALL.into_iter().for_each(|model| bench.check(seed * 1000 + step, model));
            }
        }
    }
}
