//! HTTP/1.1 for hosts: heads, bodies into memory of just their size, answers in one write.
//!
//! ```text
//! stream ─► Wire ─► Head (owned, gone with its request)
//!             └───► Body ─► bytes of the request, read into their place
//! ```
//! Our own because of what lies between a request and its answer: here a connection waits for memory and for
//! the disk, thousands at once, and a general server keeps a read buffer for each meanwhile. This one keeps
//! what was read too far, and nothing else.
//!
//! Promise: no byte of a body is read before it is asked for, none of the next request with it; what two
//! readers could understand in two ways is refused. Must not know: WS-Management, who asks.

mod head;
mod wire;

pub(super) use head::{Framing, Head, Unfit as UnfitHead};
pub(super) use wire::{Answer, Body, Broken, Unread, Wire};
