//! The pipeline file: what was written, then what was checked.
