//! Destinations: bytes out, answer in. Retry, batching and cursors are the lane's.
//!
//! Must not know: filters, the basin.
