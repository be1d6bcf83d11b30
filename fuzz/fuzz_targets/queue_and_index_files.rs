//! Any bytes: queues, index files and what we note of both damaged; see `damaged` in the model.

#![no_main]

use std::alloc::System;

use cap::Cap;
use libfuzzer_sys::fuzz_target;
use sawlog_fuzz::{Area, damaged};

/// A length that is believed before it is checked ends the run: all files together have a few hundred KiB. A
/// queue that jumps a million positions holds as many blanks, 20 MB, in a buffer that grew by doubling.
#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, 128 << 20);

fuzz_target!(|input: &[u8]| damaged::run(Area::Derived, input));
