//! What the test binaries share: chance by seed, a standard workload, and what must hold of the log after a crash.
#![allow(dead_code, reason = "each test binary uses its part of it")]

pub(crate) mod aged;
pub(crate) mod at_rest;
pub(crate) mod derived;
pub(crate) mod dice;
pub(crate) mod expected;
pub(crate) mod fault_case;
pub(crate) mod grown;
pub(crate) mod image;
pub(crate) mod nest;
pub(crate) mod oracle;
pub(crate) mod quarantined;
#[cfg(feature = "cli")]
pub(crate) mod torture;
pub(crate) mod workload;

/// `SAWLOG_QUICK=1` sweeps less, and asks for no least count.
pub(crate) fn quick() -> bool {
    std::env::var_os("SAWLOG_QUICK").is_some()
}

/// Of the long sweeps one case in so many is looked at, drawn by a seed, so that all of them together take three
/// minutes on two cores; with `SAWLOG_FULL=1` every one, which takes far longer.
pub(crate) fn one_in(cases: u64) -> u64 {
    if std::env::var_os("SAWLOG_FULL").is_some() { 1 } else { cases }
}
