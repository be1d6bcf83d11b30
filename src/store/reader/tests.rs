//! Reading, over a log with queues and index that a few lines here derive from it.
