//! Plain sockets: a stream over TCP, TLS or a Unix socket, or datagrams to a Unix socket, with events and nothing else.
//!
//! | file | what |
//! |---|---|
//! | `datagram` | a datagram for each event, to a Unix socket |
//!
//! These protocols have no acknowledgement. Over TCP and TLS a batch is confirmed when the kernel of the receiver's
//! machine has acknowledged all of it and the connection is open at that moment: what a receiver had not read by the
//! time it died is lost with it. Of a Unix socket the system tells what its reader has not read, so a batch is confirmed
//! when the receiver has read all of it and is there: only what it had read and not yet written can be lost with it.
//! What is not confirmed is sent again, so there may be duplicates after a cut.
//! Must not know: what a payload means.

mod datagram;

use super::receiver::{
    Frames, Local, MESSAGE_BYTES_MAX, Manner, Mode, Receivers, Streams, check_patience, connect_default,
};
use super::{Attachment, Closing, Encoded, Sending, Sink, SinkError};
use crate::auth::tls::outgoing;
use crate::filter::OneOrMany;
use crate::finding::Finding;
use crate::format::Framing as Payload;
use crate::units::{ByteSize, Span};
use datagram::Datagrams;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// `sink.socket = { address = "agent.example.org:9000" }` or `{ path = "/run/agent.sock" }`: the bytes of events and
/// nothing else. Nobody answers: over TCP a batch is confirmed when the receiver's machine has acknowledged its bytes,
/// so what a dying receiver had not read is lost; over a Unix socket when the receiver has read it, so only what it had
/// not yet written is.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Host and port of the receiver over TCP, or a list of receivers that are tried in turn: one that fails is left
    /// for the next. Names are looked up at each connection. A connection that rests shows once a minute that the
    /// other end is there.
    pub address: Option<OneOrMany<String>>,
    /// Instead of `address`: path of a Unix socket on this machine, or `@name`, a name in the abstract namespace of
    /// Linux.
    pub path: Option<String>,
    #[serde(default)]
    pub mode: Mode,
    /// TLS, with `address`.
    pub tls: Option<outgoing::Config>,
    /// How events are told apart. Not given: on a stream as the format does it, which is `"line"` for all but
    /// `format.xml` with another `framing`; a datagram is an event, and has nothing more.
    pub framing: Option<Framing>,
    /// Longest event, framing included, as the receiver is set to take. A longer one goes to the dead letter, whole.
    /// Not given: 16 MiB on a stream, 1 MiB in a datagram, of which the system takes less where `net.core.wmem_max` is
    /// less than half of that.
    pub message_size_max: Option<ByteSize>,
    /// How long a connection may take, TLS included; addresses of one name share it.
    #[serde(default = "connect_default")]
    pub connect_timeout: Span,
    /// A receiver that takes nothing for so long is left, and what was not confirmed is sent again.
    #[serde(default = "write_default")]
    pub write_timeout: Span,
}

/// Longer than a receiver that rotates its files or restarts its database stands still.
fn write_default() -> Span {
    Span::secs(60)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Framing {
    /// Each event ends with LF and holds none.
    Line,
    /// Four bytes, big-endian, before each event: how many bytes it has.
    Length,
    /// The number of bytes as text and a blank before each event, as syslog has it (RFC 6587 3.4.1).
    #[serde(alias = "octet_counting")]
    OctetCounting,
}

/// Largest datagram to a Unix socket: for each the system wants memory in one piece, and would be found to have none
/// again and again for one much larger.
pub const DATAGRAM_BYTES_MAX: u64 = 1 << 20;

/// The sink.
pub struct Socket {
    framing: Option<Framing>,
    way: Way,
}

enum Way {
    Stream(Streams),
    Datagram(Datagrams),
}

impl Config {
    /// # Errors
    /// Names the setting that cannot be.
    pub fn open(&self) -> Result<Socket, SinkError> {
        for (setting, span) in
            [("connect_timeout", self.connect_timeout), ("write_timeout", self.write_timeout)]
        {
            check_patience(setting, span)?;
        }
        let way = match (&self.address, &self.path) {
            (Some(address), None) => self.network(address)?,
            (None, Some(path)) => self.local(path)?,
            (Some(_), Some(_)) => {
                return Err(wrong("path", "there is an `address` too; keep one of them"));
            }
            (None, None) => {
                let why = "neither `address` nor `path` is given; write one such as `agent.example.org:9000`, or a \
                           path such as `/run/agent.sock`";
                return Err(wrong("address", why));
            }
        };
        Ok(Socket { framing: self.framing, way })
    }

    fn network(&self, address: &OneOrMany<String>) -> Result<Way, SinkError> {
        if self.mode == Mode::Datagram {
            let why = "datagrams go to a Unix socket, by its `path`; over a network `sink.syslog` has \
                       `transport = \"udp\"`, which is best effort";
            return Err(wrong("mode", why));
        }
        let silence_max = self.write_timeout.0;
        let receivers = Receivers::new(address, self.tls.as_ref(), self.connect_timeout.0, silence_max)?;
        Ok(Way::Stream(Streams::new(receivers, self.manner()?)))
    }

    fn local(&self, path: &str) -> Result<Way, SinkError> {
        if self.tls.is_some() {
            return Err(wrong("tls", "a socket of this machine has no TLS; leave it out"));
        }
        let local = Local::parse(path, self.mode)?;
        let receivers = Receivers::local(local.clone(), self.connect_timeout.0, self.write_timeout.0);
        let manner = self.manner()?;
        match (self.mode, self.framing) {
            (Mode::Stream, _) => Ok(Way::Stream(Streams::new(receivers, manner))),
            (Mode::Datagram, None | Some(Framing::Line)) => {
                Ok(Way::Datagram(Datagrams::new(receivers, local, manner)))
            }
            (Mode::Datagram, Some(_)) => Err(wrong(
                "framing",
                "a datagram is an event; leave it out, or write `line` for an LF at its end",
            )),
        }
    }

    fn manner(&self) -> Result<Manner, SinkError> {
        let frames = match self.framing {
            Some(Framing::OctetCounting) => Frames::Counted,
            // Written with the payload.
            Some(Framing::Line | Framing::Length) | None => Frames::Own,
        };
        let largest = match self.mode {
            Mode::Stream => MESSAGE_BYTES_MAX,
            Mode::Datagram => DATAGRAM_BYTES_MAX,
        };
        let size = self.message_size_max.map_or(largest, |size| size.0);
        if !(1024..=largest).contains(&size) {
            let why = format!("an event may have 1KiB to {}", ByteSize(largest));
            return Err(SinkError::Setting { setting: "message_size_max", why });
        }
        let message_bytes_max = usize::try_from(size).unwrap_or(usize::MAX);
        Ok(Manner { frames, message_bytes_max, patience: self.write_timeout.0, setting: "write_timeout" })
    }

    /// Whether an event can be too long for it.
    pub fn refuses(&self) -> bool {
        self.message_size_max.is_some() || self.mode == Mode::Datagram
    }

    /// What would keep it from delivering, as far as a connection tells.
    pub(super) async fn probe(&self, output: &str) -> Vec<Finding> {
        match self.open().map(|socket| socket.way) {
            Ok(Way::Stream(streams)) => streams.probe(output).await,
            Ok(Way::Datagram(datagrams)) => datagrams.probe(output),
            Err(_) => Vec::new(),
        }
    }
}

fn wrong(setting: &'static str, why: &str) -> SinkError {
    SinkError::Setting { setting, why: why.into() }
}

impl Sink for Socket {
    fn attach(&mut self, attachment: Attachment) {
        match &mut self.way {
            Way::Stream(streams) => streams.attach(attachment),
            Way::Datagram(datagrams) => datagrams.attach(attachment),
        }
    }

    fn send<'s>(&'s mut self, batch: &'s Arc<Encoded>) -> Sending<'s> {
        match &mut self.way {
            Way::Stream(streams) => Box::pin(streams.send(batch)),
            Way::Datagram(datagrams) => Box::pin(datagrams.send(batch)),
        }
    }

    fn framing(&self, format: Payload) -> Payload {
        match (self.framing, &self.way) {
            (Some(Framing::Line), _) => Payload::Line,
            (Some(Framing::Length), _) => Payload::Length,
            (Some(Framing::OctetCounting), _) | (None, Way::Datagram(_)) => Payload::None,
            (None, Way::Stream(_)) => format,
        }
    }

    fn close(&mut self) -> Closing<'_> {
        Box::pin(async move {
            if let Way::Stream(streams) = &mut self.way {
                streams.close().await;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
