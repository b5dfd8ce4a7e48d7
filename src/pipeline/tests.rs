//! Whole pipelines in one process.
