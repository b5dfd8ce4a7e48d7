//! What a running forebay tells of itself: metrics (every name once), logs, probes, the service
//! manager's notifications, the control socket.
//!
//! Promise: nothing here changes where an event goes, and no event content passes through.
//! Must not know: events, sinks, formats.

mod admit;
mod book;
pub mod control;
pub mod http;
pub mod logs;
pub mod metrics;
pub mod notify;
mod page;
pub mod status;

pub use metrics::{Metrics, metrics};
pub use status::{Phase, Status};
