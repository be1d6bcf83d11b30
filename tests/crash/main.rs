//! Does it keep its promise? Power cuts, faults, killed processes, and the one suite that every disk passes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    missing_docs,
    clippy::print_stdout,
    reason = "tests may stop at the first surprise"
)]

mod conformance;
mod derived_files;
mod inspect;
mod io_faults;
mod judge;
mod power_cut;
mod quarantine;
mod real_disks;
mod recovery_cut;
mod retention;
mod rot;
mod rot_derived;
mod rot_files;
mod snapshot;
mod stories;

#[path = "../support/mod.rs"]
mod support;
