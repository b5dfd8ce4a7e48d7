//! Forebay takes Windows events in, holds them until every output has them, and loses none.

pub mod auth;
pub mod basin;
pub mod cli;
pub mod config;
pub mod event;
pub mod evtx;
pub mod filter;
pub mod finding;
pub mod fleet;
pub mod format;
pub mod kerberos;
pub mod pipeline;
pub mod sink;
pub mod source;
pub mod telemetry;
pub mod units;
pub mod wsman;
