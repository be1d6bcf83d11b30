//! The models.

mod log;
mod marks;

/// A model's name, how often a schedule may take the processor from a thread that could go on, and what it does.
type Model = (&'static str, usize, fn());

pub(crate) const ALL: &[Model] = &[
    ("a waiter that a sync covers, and one behind it", 3, marks::two_waiters),
    ("a waiter when the mark fails", 4, marks::failing),
    ("a future polled while the mark moves", 4, marks::a_future),
    ("an event whose news one waiter passes on to the other", 5, marks::an_event_that_one_passes_on),
    ("a worker that falls asleep while it is rung", 4, marks::a_bell),
    ("group commit: two producers and the flusher", 2, log::group_commit),
    ("group commit: producers that flush by themselves", 2, log::fused_producers),
    ("a sync that fails under two producers", 3, log::failed_sync),
    ("a roll-over under a reader and the keeper", 3, log::roll_over),
    ("a tail and the janitor, who make pages side by side", 3, log::make_ready),
    ("a segment removed under a reader and a producer", 3, log::retire_while_read),
    ("a closing under a producer and the flusher", 3, log::close_while_appending),
    ("a change of the policy under a producer", 2, log::change_while_appending),
];
