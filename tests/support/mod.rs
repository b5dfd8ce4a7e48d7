//! What several scenarios need.

pub(crate) mod dice;
pub(crate) mod live_log;
pub(crate) mod process;
