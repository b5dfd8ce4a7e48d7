//! What several scenarios need.

pub(crate) mod authority;
pub(crate) mod backends;
pub(crate) mod dice;
pub(crate) mod domain;
pub(crate) mod host;
pub(crate) mod lab;
pub(crate) mod link;
pub(crate) mod live_log;
pub(crate) mod once;
pub(crate) mod process;
pub(crate) mod sentinel;
pub(crate) mod small_disk;
pub(crate) mod splunk;
pub(crate) mod store;
pub(crate) mod web;
