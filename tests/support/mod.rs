//! What several scenarios need.

pub mod live_log;
