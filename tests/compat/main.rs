//! Is it RocketMQ's? Golden bytes, and stores that Java wrote.

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
    reason = "tests may stop at the first surprise, and read files as they lie"
)]

mod expect;
mod fixtures;
mod golden;
