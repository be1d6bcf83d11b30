//! The models.

mod marks;

/// A model's name, how often a schedule may take the processor from a thread that could go on, and what it does.
type Model = (&'static str, usize, fn());

pub(crate) const ALL: &[Model] = &[
    ("a waiter that a sync covers, and one behind it", 3, marks::two_waiters),
    ("a waiter when the mark fails", 4, marks::failing),
    ("a future polled while the mark moves", 4, marks::a_future),
    ("a worker that falls asleep while it is rung", 4, marks::a_bell),
];
