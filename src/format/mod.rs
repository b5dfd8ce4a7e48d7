//! Event to bytes, one file per shape; each is written once for both encodings.
//!
//! Pure. Must not know: sinks, batches.
