//! Outputs over a network, each against a receiver that nobody here wrote where there is one: nothing that was
//! acknowledged to a host is lost, whatever dies, hangs, fills up or is cut off.
//!
//! How long one case goes on is said by the environment: `FOREBAY_CELL` in milliseconds around the fault.

pub(crate) mod crash;
mod receivers;
pub(crate) mod scene;
mod sockets;
