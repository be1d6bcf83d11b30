//! The fuzzer's model, run over its checked-in seeds and over inputs drawn by chance: a first look without a fuzzer.

#[path = "../../fuzz/model/ops.rs"]
mod ops;

use std::panic::catch_unwind;

fn run(name: &str, input: &[u8]) {
    let ended = catch_unwind(|| ops::run(input));
    assert!(ended.is_ok(), "{name}: {input:?}");
}

#[test]
fn every_known_input_keeps_the_promises() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/ops_with_faults");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        run(&path.to_string_lossy(), &std::fs::read(&path).unwrap());
        count += 1;
    }
    assert!(count >= 5);
}

#[test]
fn operations_drawn_by_chance_keep_the_promises() {
    let quick = std::env::var_os("SAWLOG_QUICK").is_some();
    let seeds = if quick { 300 } else { 3000 };
    // On two threads: a run is one thread's alone.
    std::thread::scope(|scope| {
        for first in 0..2 {
            scope.spawn(move || {
                (first..seeds).step_by(2).for_each(|seed| run(&format!("seed {seed}"), &drawn(seed)))
            });
        }
    });
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
