//! Does it do what it says? Through the public API, on the simulated disk wherever the order of events counts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    reason = "tests may stop at the first surprise"
)]

mod acks;
mod append;
mod applied;
mod bad_input;
mod bad_stores;
mod bounds;
mod broker_between;
mod changing;
mod changing_faults;
mod changing_threads;
mod closing;
mod evidence;
mod failures;
mod flush_policy;
mod found;
mod fuzzed;
mod given_up_list;
mod idle;
mod inspect;
mod java_stores;
mod keys;
mod kinds;
mod listeners;
#[cfg(feature = "metrics")]
mod metered;
mod numbering;
#[cfg(feature = "metrics")]
#[path = "../../examples/prometheus.rs"]
#[expect(dead_code, reason = "its main is for the example")]
mod prometheus;
mod quarantine;
mod queues;
mod reopen;
mod retention;
mod segments;
mod space;
mod stale_looks;
mod stats;
#[cfg(feature = "tracing")]
mod traced;
mod underfoot;
mod verdicts;
mod waiting;
mod watched;
mod world;
