//! The fuzzer's models, run over its checked-in seeds and over inputs drawn by chance: a first look without a fuzzer.

#[path = "../../fuzz/model/lib.rs"]
mod model;

use std::panic::catch_unwind;

use model::{Area, damaged, ops};

type Target = (&'static str, fn(&[u8]));

const OPS: Target = ("ops_with_faults", ops::run);
const DAMAGED: [Target; 3] = [
    ("open_any_bytes", |input| damaged::run(Area::Everything, input)),
    ("queue_and_index_files", |input| damaged::run(Area::Derived, input)),
    ("mark_and_checkpoint", |input| damaged::run(Area::Marks, input)),
];

fn run((target, run): Target, name: &str, input: &[u8]) {
    let ended = catch_unwind(|| run(input));
    assert!(ended.is_ok(), "{target}, {name}: {input:?}");
}

fn run_the_known(target: Target) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target.0);
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        run(target, &path.to_string_lossy(), &std::fs::read(&path).unwrap());
        count += 1;
    }
    assert!(count >= 5, "{}: {count}", target.0);
}

/// On two threads: a run is one thread's alone.
fn run_by_chance(target: Target, seeds: u64) {
    let seeds = if std::env::var_os("SAWLOG_QUICK").is_some() { seeds / 10 } else { seeds };
    std::thread::scope(|scope| {
        for first in 0..2 {
            scope.spawn(move || {
                (first..seeds).step_by(2).for_each(|seed| run(target, &format!("seed {seed}"), &drawn(seed)))
            });
        }
    });
}

#[test]
fn every_known_input_keeps_the_promises() {
    run_the_known(OPS);
}

#[test]
fn operations_drawn_by_chance_keep_the_promises() {
    run_by_chance(OPS, 3000);
}

#[test]
fn every_known_damage_is_refused_located_or_harmless() {
    DAMAGED.into_iter().for_each(run_the_known);
}

#[test]
fn damage_drawn_by_chance_is_refused_located_or_harmless() {
    DAMAGED.into_iter().for_each(|target| run_by_chance(target, 2000));
}

fn drawn(seed: u64) -> Vec<u8> {
    let mut random = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed + 1);
    let next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(40 + (seed % 400) as usize).collect()
}
