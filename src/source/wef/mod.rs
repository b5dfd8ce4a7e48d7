//! Windows Event Forwarding: machines push their events to us and get an `Ack` when those are kept.
//!
//! ```text
//! connection ─► session ─┬─► delivery ─► basin
//!   (HTTP, TLS)          ├─► subscriptions ─► the host
//!                        └─► hosts (who, when, how much, what is wrong)
//! ```
//!
//! | file | what |
//! |---|---|
//! | `written` | the source: its keys, checked and run |
//! | `entrance`, `listener`, `admission`, `proxy` | who gets in |
//! | `http` | heads, bodies and answers on a connection |
//! | `connection`, `clock`, `request` | who asks, what a body is, how long everything may take |
//! | `complaints` | what is wrong with peers that nobody knows yet |
//! | `session`, `answers` | one request and its answer, without sockets |
//! | `incoming`, `run` | from a body to a message, its events in one buffer |
//! | `delivery`, `pending`, `stored` | events into the basin: one delivery at a time of each stream, never twice |
//! | `subscription`, `offers`, `known` | what hosts are asked for; what they were asked for before |
//! | `hosts` | the host table |
//! | `names` | which machine a name is of, where it may be cut or is that of two |
//! | `room`, `fair`, `turns` | memory for requests, shared out by host, and how many of one are worked on |
//! | `aside` | threads of lower rank for bodies that take long |
//!
//! Promise: an `Ack` means kept; a bookmark moves only with its events. Must not know: outputs, formats.

mod admission;
mod answers;
mod aside;
mod clock;
mod complaints;
mod connection;
mod delivery;
pub mod entrance;
mod fair;
#[cfg(test)]
mod harness;
mod hosts;
mod http;
mod incoming;
mod known;
mod listener;
mod names;
#[cfg(test)]
mod names_tests;
mod offers;
mod pending;
pub mod proxy;
mod request;
mod room;
mod run;
mod session;
mod stored;
mod subscription;
mod turns;
mod written;

pub use subscription::{Config as SubscriptionConfig, Doubt, QUERY_BYTES_MAX, check};
pub use written::{Config, Wef};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What becomes of events that name another computer than the one which signed in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// They go to the dead letter of each output instead.
    Strict,
    /// They are marked, and go on.
    #[default]
    Tag,
    /// Hosts forward events of others: nobody asks.
    Relay,
}

/// What bounds a request, once its body is here.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// How long a delivery waits for the basin before the host is told to come again. Windows gives a
    /// request 60 s.
    hold_max: Duration,
    /// Most bytes of a body after decompression.
    expanded_bytes_max: usize,
}

impl Trust {
    fn fix(self) -> &'static str {
        match self {
            Self::Strict => {
                "its events are in the dead letter; set `trust = \"relay\"` if it forwards for others"
            }
            _ => "its events are marked; set `trust = \"relay\"` if it forwards for others",
        }
    }
}
