//! What a queue promises, on the simulated disk.
