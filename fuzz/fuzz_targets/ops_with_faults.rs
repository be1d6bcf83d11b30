//! Any bytes: operations, faults, deaths and power cuts on a simulated disk; see `ops` in the model.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sawlog_fuzz::ops;

fuzz_target!(|input: &[u8]| ops::run(input));
