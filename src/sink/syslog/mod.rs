//! Syslog receivers: RFC 5424 or RFC 3164 over TCP, TLS or UDP.
//!
//! | file | what |
//! |---|---|
//! | `header` | what stands before the payload |
//! | `datagram` | UDP |
//!
//! Syslog has no acknowledgement. Over TCP and TLS a batch is confirmed when the kernel of the receiver's machine has
//! acknowledged all of it and the connection is open at that moment; what a receiver had not read by the time it
//! died is lost with it, so where that matters RELP is the way. What is not confirmed is sent again, so there may be
//! duplicates after a cut. UDP is best effort: nobody knows what arrives.
//! An event longer than `message_size_max` is refused, and goes to the dead letter; nothing is ever cut.
//! Must not know: what a payload means.

mod datagram;
pub mod header;

use super::receiver::{
    Frames, MESSAGE_BYTES_MAX, Manner, Receivers, Streams, check_patience, connect_default,
};
use super::{Attachment, Closing, Encoded, Head, Sending, Sink, SinkError};
use crate::auth::tls::outgoing;
use crate::filter::OneOrMany;
use crate::finding::Finding;
use crate::format::Framing as Payload;
use crate::units::{ByteSize, Span};
use datagram::Datagrams;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// `sink.syslog = { address = "siem.example.org:6514", tls = {} }`: a batch over TCP is confirmed when the receiver's
/// machine has acknowledged its bytes; what a dying receiver had not read is lost, so use `sink.relp` where that
/// matters. `transport = "udp"` is best effort.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Host and port of the receiver, or a list of receivers that are tried in turn: one that fails is left for the
    /// next. Names are looked up at each connection.
    pub address: OneOrMany<String>,
    #[serde(default)]
    pub transport: Transport,
    /// TLS, with `transport = "tcp"`.
    pub tls: Option<outgoing::Config>,
    /// How messages are told apart on a connection; octet counting, if not given.
    pub framing: Option<Framing>,
    #[serde(default)]
    pub header: header::Config,
    /// Longest message, header included, as the receiver is set to take: rsyslog takes 8 KiB unless
    /// `maxMessageSize` says otherwise, syslog-ng 64 KiB unless `log-msg-size` does, and both cut what is longer
    /// without a word. A longer event goes to the dead letter. Not given: 64 KiB over TCP, 8 KiB over UDP.
    pub message_size_max: Option<ByteSize>,
    /// How long a connection may take, TLS included; addresses of one name share it.
    #[serde(default = "connect_default")]
    pub connect_timeout: Span,
    /// A receiver that takes nothing for so long is left, and what it did not confirm is sent again.
    #[serde(default = "confirm_default")]
    pub confirm_timeout: Span,
}

/// Longer than a receiver that rotates its files or restarts its database stands still.
fn confirm_default() -> Span {
    Span::secs(60)
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// A connection; `tls` makes it a sealed one.
    #[default]
    Tcp,
    /// One datagram for each event. Best effort: what the network or a full receiver drops is gone, unseen.
    Udp,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Framing {
    /// The number of bytes stands before each message (RFC 6587 3.4.1, RFC 5425): any byte may stand in it.
    #[default]
    OctetCounting,
    /// Each message ends with LF (RFC 6587 3.4.2), for old receivers. Formats write their events on one line; an LF
    /// or a NUL that stands in a payload all the same becomes a blank.
    Line,
}

/// Most bytes of a datagram over IPv4.
pub const DATAGRAM_BYTES_MAX: u64 = 65_507;

/// The sink.
pub struct Syslog {
    header: header::Config,
    way: Way,
}

enum Way {
    Tcp(Streams),
    Udp(Datagrams),
}

impl Config {
    /// Bytes of a message, at most.
    fn message_bytes_max(&self) -> Result<usize, SinkError> {
        let (usual, largest) = match self.transport {
            Transport::Tcp => (64 << 10, MESSAGE_BYTES_MAX),
            Transport::Udp => (8 << 10, DATAGRAM_BYTES_MAX),
        };
        let size = self.message_size_max.map_or(usual, |size| size.0);
        // What every receiver of RFC 5424 must be able to take.
        if !(480..=largest).contains(&size) {
            let why = format!("a message may have 480 bytes to {}", ByteSize(largest));
            return Err(SinkError::Setting { setting: "message_size_max", why });
        }
        Ok(usize::try_from(size).unwrap_or(usize::MAX))
    }

    /// # Errors
    /// Names the setting that cannot be.
    pub fn open(&self) -> Result<Syslog, SinkError> {
        let wrong = |setting, why: &str| SinkError::Setting { setting, why: why.into() };
        self.header.open()?;
        let bytes_max = self.message_bytes_max()?;
        for (setting, span) in
            [("connect_timeout", self.connect_timeout), ("confirm_timeout", self.confirm_timeout)]
        {
            check_patience(setting, span)?;
        }
        let receivers = self.receivers()?;
        let way = match self.transport {
            Transport::Tcp => {
                let frames = match self.framing.unwrap_or_default() {
                    Framing::OctetCounting => Frames::Counted,
                    Framing::Line => Frames::Lines,
                };
                let (patience, setting) = (self.confirm_timeout.0, "confirm_timeout");
                let manner = Manner { frames, message_bytes_max: bytes_max, patience, setting };
                Way::Tcp(Streams::new(receivers, manner))
            }
            Transport::Udp if self.tls.is_some() => {
                return Err(wrong("tls", "UDP has no TLS here; write `transport = \"tcp\"`"));
            }
            Transport::Udp if self.framing.is_some() => {
                return Err(wrong("framing", "a datagram is a message, so there is nothing to tell apart"));
            }
            Transport::Udp => Way::Udp(Datagrams::new(receivers, bytes_max)),
        };
        Ok(Syslog { header: self.header.clone(), way })
    }

    /// What would keep it from delivering, as far as a connection tells.
    pub(super) async fn probe(&self, output: &str) -> Vec<Finding> {
        match self.open().map(|syslog| syslog.way) {
            Ok(Way::Tcp(streams)) => streams.probe(output).await,
            Ok(Way::Udp(datagrams)) => datagrams.probe(output).await,
            Err(_) => Vec::new(),
        }
    }

    fn receivers(&self) -> Result<Receivers, SinkError> {
        Receivers::new(&self.address, self.tls.as_ref(), self.connect_timeout.0, self.confirm_timeout.0)
    }
}

impl Sink for Syslog {
    fn attach(&mut self, attachment: Attachment) {
        match &mut self.way {
            Way::Tcp(streams) => streams.attach(attachment),
            Way::Udp(datagrams) => datagrams.receivers.attach(attachment),
        }
    }

    fn send<'s>(&'s mut self, batch: &'s Arc<Encoded>) -> Sending<'s> {
        match &mut self.way {
            Way::Tcp(streams) => Box::pin(streams.send(batch)),
            Way::Udp(datagrams) => Box::pin(datagrams.send(batch)),
        }
    }

    fn framing(&self, _: Payload) -> Payload {
        Payload::None
    }

    fn head(&self) -> Option<Box<dyn Head>> {
        // Checked when the sink was opened.
        let writer = self.header.open().ok()?;
        Some(Box::new(writer))
    }

    fn close(&mut self) -> Closing<'_> {
        Box::pin(async move {
            if let Way::Tcp(streams) = &mut self.way {
                streams.close().await;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
