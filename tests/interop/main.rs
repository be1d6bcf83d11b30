//! Does it work with RocketMQ's own store? Written by us and opened by Java, written by Java and opened by us, both at
//! the same folder in turns, and who may hold it. Needs Maven and a JDK; without them every test says that it was
//! skipped, which fails where `CI=true`.
//!
//! `SAWLOG_INTEROP_FOLDERS=200` asks for so many folders each way; the default is a dozen. `SAWLOG_INTEROP_SEED` moves
//! the seeds, and each failure names its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    missing_docs,
    dead_code,
    reason = "tests may stop at the first surprise"
)]

mod java;
mod seen;
mod smoke;

#[path = "../support/dice.rs"]
mod dice;
