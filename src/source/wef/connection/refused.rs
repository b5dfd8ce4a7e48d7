//! Requests that are refused before their body is read: what is answered, and what is told.

use super::{Connection, response};
use crate::auth::tls::Refusal;
use crate::finding::Finding;
use crate::source::wef::answers::{BUSY, Reply};
use crate::source::wef::http::Answer;
use crate::source::wef::request::Unfit;
use crate::source::wef::session::Peer;
use hyper::StatusCode;
use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// What is wrong with a request before it is read.
pub(super) enum Refused {
    Unfit(Unfit),
    /// The peer has to prove who it is.
    Unknown {
        why: &'static str,
    },
    /// Another token is due, and the answer has ours.
    More,
    /// Its ticket was not taken; why is told.
    Ticket,
    /// Its certificate is not taken any more.
    Void(Refusal),
    /// It tried too often.
    TooOften {
        wait: Duration,
    },
    /// We cannot tell just now.
    Busy,
}

impl<S> Connection<'_, S> {
    /// The answer, and whether the connection ends with it.
    pub(super) fn refuse(&self, refused: &Refused) -> (Answer, bool) {
        let peer = Arc::clone(&self.peer.lock().unwrap_or_else(PoisonError::into_inner));
        match refused {
            Refused::Unfit(unfit) => {
                self.tell(&peer, unfit);
                let (mut answer, close) = response(unfit.reply());
                if unfit.status == StatusCode::METHOD_NOT_ALLOWED {
                    answer.headers.push(("allow", "POST".into()));
                }
                (answer, close)
            }
            Refused::Unknown { why } => {
                // A first request without credentials is how many clients begin.
                if !why.is_empty() {
                    self.denied(why);
                }
                self.challenge()
            }
            Refused::More => response(Reply::empty(401)),
            Refused::Ticket => self.challenge(),
            Refused::TooOften { wait } => {
                self.denied("too many attempts failed");
                let (mut answer, close) = response(Reply { close: true, ..Reply::empty(429) });
                answer.headers.push(("retry-after", (wait.as_secs() + 1).to_string()));
                (answer, close)
            }
            Refused::Void(refusal) => {
                let address = self.caller.address;
                self.site.complaints.tell(address, "tls", || refusal.finding(address));
                response(Reply { close: true, ..Reply::empty(403) })
            }
            Refused::Busy => response(Reply { close: true, ..BUSY }),
        }
    }

    /// In which ways the peer may sign in.
    fn challenge(&self) -> (Answer, bool) {
        let (mut answer, close) = response(Reply::empty(401));
        let tickets = self.site.tickets.is_some();
        let ways = [(tickets, "Kerberos"), (tickets, "Negotiate")];
        let ways = ways.into_iter().chain([(self.site.passwords.is_some(), "Basic realm=\"WSMAN\"")]);
        answer
            .headers
            .extend(ways.filter(|(is_open, _)| *is_open).map(|(_, way)| ("www-authenticate", way.into())));
        (answer, close)
    }

    fn denied(&self, why: &str) {
        let address = self.caller.address;
        self.site.complaints.tell(address, "sign-in", || Finding {
            what: format!("{address} could not sign in"),
            why: why.into(),
            fix: "compare user and password with the line in `auth.basic.passwords`".into(),
        });
    }

    pub(super) fn tell(&self, peer: &Peer, unfit: &Unfit) {
        self.site.complaints.tell(peer.address, unfit.kind, || Finding {
            what: format!("{} {}", Named(peer), unfit.what),
            why: format!("it was refused with status {}", unfit.status.as_u16()),
            fix: unfit.fix.into(),
        });
    }
}

/// A peer as findings name it.
struct Named<'p>(&'p Peer);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.principal {
            Some(principal) => write!(f, "{} ({})", principal.name.escape_debug(), self.0.address),
            None => write!(f, "{}", self.0.address),
        }
    }
}
