//! Any bytes: operations, faults, deaths and power cuts on a simulated disk; see the model beside this folder.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../model/ops.rs"]
mod ops;

fuzz_target!(|input: &[u8]| ops::run(input));
