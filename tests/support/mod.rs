//! What several scenarios need.

pub(crate) mod live_log;
