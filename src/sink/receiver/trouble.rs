//! What can be wrong with a receiver, each with what an operator can do.
//!
//! Texts hold no time and no count: one that repeats is then told once.

use crate::finding::Finding;
use crate::sink::SendError;
use crate::units::Span;
use std::io;
use std::time::Duration;

/// A receiver that did not do what it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sink) struct Trouble {
    peer: String,
    why: String,
    fix: String,
}

impl Trouble {
    pub(in crate::sink) fn other(
        peer: impl Into<String>,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { peer: peer.into(), why: why.into(), fix: fix.into() }
    }

    pub(in crate::sink) fn not_found(peer: &str, error: &io::Error) -> Self {
        let why = format!("its name cannot be looked up: {error}");
        Self::other(peer, why, "check the name in `address`, and the name service of this machine")
    }

    pub(in crate::sink) fn no_address(peer: &str) -> Self {
        Self::other(peer, "its name has no address", "check the name in `address`")
    }

    pub(in crate::sink) fn connecting(peer: &str, error: &io::Error) -> Self {
        let fix = match error.kind() {
            io::ErrorKind::ConnectionRefused => {
                "nobody listens there: start the receiver, or check the port in `address`"
            }
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
                "check the route to it, and the firewalls on the way"
            }
            _ => "check `address`, and the firewalls on the way",
        };
        Self::other(peer, format!("no connection: {error}"), fix)
    }

    pub(super) fn no_greeting(peer: String, after: Duration) -> Self {
        let why = format!("no connection within {}", Span(after));
        Self::other(
            peer,
            why,
            "see whether the receiver runs and a firewall lets it be reached; `connect_timeout` is the patience",
        )
    }

    pub(in crate::sink) fn silent(peer: &str, after: Duration, setting: &str) -> Self {
        let why = format!("it takes no more and answers nothing for {}", Span(after));
        let fix = format!(
            "see whether the receiver hangs or is overloaded; `{setting}` is the patience. What it did not confirm \
             is sent again"
        );
        Self::other(peer, why, fix)
    }

    pub(in crate::sink) fn closed(peer: &str) -> Self {
        Self::other(
            peer,
            "it closed the connection before all was confirmed",
            "see the receiver's own log: it may have been restarted, not take senders from this address, or not take \
             what it is sent. What is not confirmed is sent again",
        )
    }

    /// A connection that was there.
    pub(in crate::sink) fn broken(peer: &str, error: &io::Error) -> Self {
        if let Some(tls) = tls_error(error) {
            return Self::tls(peer, tls);
        }
        match error.kind() {
            // In which of these ways it is heard is chance.
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                Self::closed(peer)
            }
            io::ErrorKind::TimedOut => Self::other(
                peer,
                "the connection is dead: nothing of what was sent was acknowledged",
                "check the network between, and whether the receiver's machine runs",
            ),
            _ => Self::other(
                peer,
                format!("the connection broke: {error}"),
                "see the receiver's own log. What is not confirmed is sent again",
            ),
        }
    }

    /// In the words of who shook hands.
    pub(super) fn handshake(peer: &str, Finding { what, why, fix }: Finding) -> Self {
        Self::other(peer, format!("{what}: {why}"), fix)
    }

    /// After the handshake: with TLS 1.3 a receiver looks at our certificate when we are done.
    fn tls(peer: &str, error: &rustls::Error) -> Self {
        let (why, fix) = match error {
            rustls::Error::AlertReceived(alert) => (
                format!("it ended TLS with the alert {alert:?}"),
                "see the receiver's log: it may want a certificate of ours (`tls.certificate`, `tls.key`), or does \
                 not take the one it was shown",
            ),
            other => (format!("TLS failed: {other}"), "see the receiver's own log"),
        };
        Self::other(peer, why, fix)
    }

    pub(in crate::sink) fn finding(&self, output: &str) -> Finding {
        Finding {
            what: format!("output `{output}` cannot deliver to {}", self.peer),
            why: self.why.clone(),
            fix: self.fix.clone(),
        }
    }
}

impl From<Trouble> for SendError {
    fn from(trouble: Trouble) -> Self {
        Self::retry(trouble.peer, trouble.why)
    }
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref::<rustls::Error>()
}
