//! What the test binaries share: chance by seed, a standard workload, and what must hold of the log after a crash.
#![allow(dead_code, reason = "each test binary uses its part of it")]

pub(crate) mod derived;
pub(crate) mod dice;
pub(crate) mod expected;
pub(crate) mod oracle;
pub(crate) mod workload;
