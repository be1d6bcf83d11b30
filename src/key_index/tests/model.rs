//! Anything at random, held against a plain list of what was put.

use proptest::prelude::*;

use super::{ALL, Put, START_MS, assert_all_found, contents, open, settle, small, undisturbed};
use crate::clock::Timestamp;
use crate::disk::sim::{SimDisk, Survivors};
use crate::key_index::{KeyIndex, KnownFile};
use crate::offset::LogOffset;

/// One step of the work.
#[derive(Clone, Debug)]
enum Step {
    /// Records come, so many ms apart, with these keys.
    Put {
        after_ms: i64,
        topic: u8,
        keys: Vec<u8>,
    },
    /// The log is flushed up to the record that is so many before the last.
    WriteOut {
        back: usize,
    },
    Sync,
    /// What is known is captured, written out, synced and saved; so many further records come meanwhile.
    Save {
        ahead: u8,
    },
    /// A clean end and a start.
    CloseAndOpen,
    /// The process dies, or the power; the next one starts from what was saved.
    Kill,
    PowerCut {
        seed: u64,
        model: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let keys = proptest::collection::vec(0..12_u8, 0..5);
    prop_oneof![
        12 => (0..3_000_i64, 0..3_u8, keys)
            .prop_map(|(after_ms, topic, keys)| Step::Put { after_ms, topic, keys }),
        3 => (0..6_usize).prop_map(|back| Step::WriteOut { back }),
        1 => Just(Step::Sync),
        3 => (0..4_u8).prop_map(|ahead| Step::Save { ahead }),
        1 => Just(Step::CloseAndOpen),
        1 => Just(Step::Kill),
        2 => (any::<u64>(), 0..5_usize).prop_map(|(seed, model)| Step::PowerCut { seed, model }),
    ]
}

/// Names of keys: `Aa` and `BB` collide, the last one has the hash 0 under the topic `T`.
const KEYS: [&str; 12] = ["Aa", "BB", "AaAa", "BBBB", "AaBB", "a", "b", "1", "2", "order 3", "é", "jllgvmc"];

struct World {
    disk: SimDisk,
    index: KeyIndex,
    geometry: super::Geometry,
    puts: Vec<Put>,
    /// What was saved, and how many records were in it.
    saved: (Vec<KnownFile>, usize),
}

impl World {
    fn put(&mut self, after_ms: i64, topic: u8, keys: &[u8]) {
        let at = self.puts.last().map_or(0, |put| put.at + 1 + u64::from(topic));
        let before = self.puts.last().map_or(START_MS, |put| put.stored_ms);
        let topic = ["T", "U", "标签"][usize::from(topic)].to_owned();
        let keys = keys.iter().map(|key| KEYS[usize::from(*key)].to_owned()).collect();
        let put = Put { at, stored_ms: before + after_ms, topic, keys };
        put.feed(&self.index);
        self.puts.push(put);
    }

    /// The next process: it opens what was saved, and puts the records behind that again.
    fn restart(&mut self, disk: SimDisk) {
        self.disk = disk;
        self.index = open(&self.disk, self.geometry, &self.saved.0);
        assert_all_found(&self.index, &self.puts[..self.saved.1]);
        self.puts[self.saved.1..].iter().for_each(|put| put.feed(&self.index));
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Put { after_ms, topic, keys } => self.put(*after_ms, *topic, keys),
            Step::WriteOut { back } => {
                let last = self.puts.iter().rev().nth(*back).map_or(0, |put| put.at);
                self.index.write_out(LogOffset(last)).unwrap();
            }
            Step::Sync => self.index.sync().unwrap(),
            Step::Save { ahead } => {
                let captured = (self.index.capture(), self.puts.len());
                let derived_to = self.puts.last().map_or(0, |put| put.at + 1);
                (0..*ahead).for_each(|n| self.put(100, 0, &[n, 5]));
                self.index.write_out(LogOffset(derived_to)).unwrap();
                self.index.sync().unwrap();
                self.saved = captured;
            }
            Step::CloseAndOpen => {
                settle(&self.index);
                self.index.close().unwrap();
                self.saved = (self.index.capture(), self.puts.len());
                self.restart(self.disk.kill());
            }
            Step::Kill => self.restart(self.disk.kill()),
            Step::PowerCut { seed, model } => {
                self.restart(self.disk.power_cut(*seed, Survivors::ALL[*model]));
            }
        }
    }

    /// In a range of time everything is found that was stored there, and nothing that was not near it.
    fn assert_found_by_time(&self, from_ms: i64, to_ms: i64) {
        for (topic, key) in [("T", "Aa"), ("U", "a"), ("标签", "é"), ("T", "jllgvmc")] {
            let range = Timestamp(from_ms)..=Timestamp(to_ms);
            let found: Vec<_> = self.index.search(topic, key, range).map(|at| at.unwrap().0).collect();
            assert!(found.is_sorted_by(|a, b| a > b), "{found:?}");
            for put in self.puts.iter().filter(|put| put.may_have(topic, key)) {
                let inside = (from_ms..=to_ms).contains(&put.stored_ms);
                let near = (from_ms - 1_000..=to_ms + 1_000).contains(&put.stored_ms);
                let is_found = found.contains(&put.at);
                assert!(is_found || !inside, "{put:?} is missing in {found:?}");
                assert!(near || !is_found, "{put:?} is too far away");
            }
            let all: Vec<_> = self.index.search(topic, key, ALL).map(|at| at.unwrap().0).collect();
            assert!(found.iter().all(|at| all.contains(at)));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_everything_put_is_found_and_the_bytes_are_the_same(
        slots in 1..9_u32, entries in prop_oneof![2..6_u32, 6..60_u32],
        steps in proptest::collection::vec(step(), 1..70), from in -2_000..60_000_i64, len in 0..20_000_i64,
    ) {
        let (disk, geometry) = (SimDisk::new(), small(slots, entries));
        let index = open(&disk, geometry, &[]);
        let mut world = World { disk, index, geometry, puts: Vec::new(), saved: (Vec::new(), 0) };
        for step in &steps {
            world.run(step);
        }
        assert_all_found(&world.index, &world.puts);
        world.assert_found_by_time(START_MS + from, START_MS + from + len);
        settle(&world.index);
        world.assert_found_by_time(START_MS + from, START_MS + from + len);
        world.index.close().unwrap();
        assert_all_found(&world.index, &world.puts);
        assert!(contents(&world.disk) == undisturbed(geometry, &world.puts), "other bytes");
    }
}
