//! Receivers at the far end of a connection: who they are, tried in turn, and the line to one of them.
//!
//! | file | what |
//! |---|---|
//! | `address` | host and port, one or several |
//! | `local` | a Unix socket of this machine |
//! | `line` | one connection: writes, reads, what the kernel still holds |
//! | `stream` | messages on a line where nothing is answered: when a batch is confirmed |
//! | `queue` | what the kernel still holds, as it says |
//! | `trouble` | what went wrong, in words for an operator |
//!
//! A name is looked up at each connection, so a receiver may move. One that fails is left for the next of the
//! list, in a circle; one that works is kept. Files of TLS may change; they count for the next connection.
//! Promise: a connection has its time-outs before it has its first byte. Must not know: what is said on it.

mod address;
mod line;
mod local;
mod queue;
mod stream;
mod trouble;

pub(super) use line::{Line, Turn};
pub use local::Mode;
pub(super) use local::{Local, Stamp};
pub(super) use queue::unacknowledged;
pub(super) use stream::{Frames, LOOK_MAX, LOOK_MIN, Manner, Progress, Streams};
pub(super) use trouble::Trouble;

use super::dial::first_that_answers;
use super::{Attachment, Refusal, SendError, SinkError};
use crate::auth::tls::outgoing::{self, Client};
use crate::filter::OneOrMany;
use crate::finding::Finding;
use crate::units::Span;
use address::Address;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::lookup_host;
use tokio::time::{Instant, timeout};

/// Longest message that can be set.
pub const MESSAGE_BYTES_MAX: u64 = 16 << 20;

pub(super) fn connect_default() -> Span {
    Span::secs(10)
}

/// A time-out that ends nothing before it began, or never.
pub(super) fn check_patience(setting: &'static str, span: Span) -> Result<(), SinkError> {
    if (Span::millis(100)..=Span::secs(3600)).contains(&span) {
        return Ok(());
    }
    Err(SinkError::Setting { setting, why: "write `100ms` to `1h`".into() })
}

/// Why an event is not sent that is longer than the receiver takes.
pub(super) fn too_long(item: usize, bytes: usize, bytes_max: usize) -> Refusal {
    let reason = format!("the message has {bytes} bytes, and `message_size_max` is {bytes_max}");
    Refusal { item: item as u32, reason }
}

/// Receivers that do the same.
#[derive(Clone)]
pub(super) struct Receivers {
    places: Vec<Place>,
    tls: Option<Arc<Client>>,
    connect_timeout: Duration,
    /// After so long without a sign of life of the far end, its kernel or its program, a connection is given up.
    silence_max: Duration,
    /// Which one is tried next.
    next: usize,
    attachment: Option<Attachment>,
}

/// Where a receiver is.
#[derive(Clone)]
enum Place {
    Host(Address),
    Local(Local),
}

impl Receivers {
    /// # Errors
    /// Names the setting that cannot be.
    pub(super) fn new(
        addresses: &OneOrMany<String>,
        tls: Option<&outgoing::Config>,
        connect_timeout: Duration,
        silence_max: Duration,
    ) -> Result<Self, SinkError> {
        let places = address::parse(addresses)?.into_iter().map(Place::Host).collect();
        if let Some(Err((setting, why))) = tls.map(outgoing::Config::check) {
            return Err(SinkError::Setting { setting, why });
        }
        let tls = tls.map(|tls| Arc::new(Client::new(tls)));
        Ok(Self { places, tls, connect_timeout, silence_max, next: 0, attachment: None })
    }

    /// The one behind a socket of this machine.
    pub(super) fn local(local: Local, connect_timeout: Duration, silence_max: Duration) -> Self {
        let places = vec![Place::Local(local)];
        Self { places, tls: None, connect_timeout, silence_max, next: 0, attachment: None }
    }

    pub(super) fn attach(&mut self, attachment: Attachment) {
        self.attachment = Some(attachment);
    }

    /// The name of the one that is tried next, and its addresses.
    ///
    /// # Errors
    /// When there are none.
    pub(super) async fn look_up(&self) -> Result<(String, Vec<SocketAddr>), Trouble> {
        match &self.places[self.next] {
            Place::Host(address) => Ok((address.to_string(), addresses(address).await?)),
            Place::Local(local) => Err(Trouble::no_address(&local.to_string())),
        }
    }

    /// Each of them alone, with nobody who is told.
    pub(super) fn each(&self) -> impl Iterator<Item = Self> {
        self.places.iter().map(|place| Self {
            places: vec![place.clone()],
            next: 0,
            attachment: None,
            ..self.clone()
        })
    }

    /// A line to the first that answers; `greet` is what both say before it is of use.
    ///
    /// # Errors
    /// Of the last one, when none does. Each is told.
    pub(super) async fn connect<T>(
        &mut self,
        greet: impl AsyncFn(Line) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let mut last = None;
        for _ in 0..self.places.len() {
            let place = &self.places[self.next];
            let opened = async {
                let line = self.open(place).await?;
                greet(line).await
            };
            let opened = match timeout(self.connect_timeout, opened).await {
                Ok(opened) => opened,
                Err(_) => Err(match place {
                    Place::Host(address) => Trouble::no_greeting(address.to_string(), self.connect_timeout),
                    Place::Local(local) => local.queue_is_full(),
                }),
            };
            match opened {
                Ok(opened) => return Ok(opened),
                Err(trouble) => {
                    self.tell(&trouble);
                    self.move_on();
                    last = Some(trouble);
                }
            }
        }
        Err(last.unwrap_or_else(|| Trouble::other("nobody", "no receiver is given", "name one in `address`")))
    }

    /// The one in use has failed: the next connection is to another, where there is one.
    pub(super) fn move_on(&mut self) {
        self.next = (self.next + 1) % self.places.len().max(1);
    }

    /// Tells an operator, and what the lane is told.
    pub(super) fn failed(&mut self, trouble: Trouble) -> SendError {
        self.tell(&trouble);
        self.move_on();
        trouble.into()
    }

    pub(super) fn tell(&self, trouble: &Trouble) {
        if let Some(attachment) = &self.attachment {
            (attachment.report)(trouble.finding(&attachment.output));
        }
    }

    /// Tries each of them; with `greet` as `connect`.
    pub(super) async fn probe<T>(
        &self,
        output: &str,
        greet: impl AsyncFn(Line) -> Result<T, Trouble>,
    ) -> Vec<Finding> {
        let mut findings = Vec::new();
        for mut one in self.each() {
            findings.extend(one.connect(&greet).await.err().map(|trouble| trouble.finding(output)));
        }
        findings
    }

    /// Takes what will be trouble though it is none yet.
    fn report(&self) -> impl Fn(Finding) + Send + Sync + use<> {
        let attachment = self.attachment.clone();
        move |finding| {
            if let Some(attachment) = &attachment {
                (attachment.report)(finding);
            }
        }
    }

    async fn open(&self, place: &Place) -> Result<Line, Trouble> {
        let (peer, until) = (place.to_string(), Instant::now() + self.connect_timeout);
        let address = match place {
            Place::Host(address) => address,
            Place::Local(local) => return Ok(Line::local(local.connect().await?, Arc::from(&*peer))),
        };
        let opened = first_that_answers(&addresses(address).await?, until).await;
        let stream = opened.map_err(|error| match error {
            Some(error) => Trouble::connecting(&peer, &error),
            None => Trouble::no_address(&peer),
        })?;
        let line = Line::new(stream, Arc::from(&*peer), self.silence_max);
        match &self.tls {
            Some(tls) => line.secure(tls, address.host(), &self.report()).await,
            None => Ok(line),
        }
    }
}

/// What its name stands for.
async fn addresses(address: &Address) -> Result<Vec<SocketAddr>, Trouble> {
    let found = lookup_host((address.host(), address.port())).await;
    Ok(found.map_err(|error| Trouble::not_found(&address.to_string(), &error))?.collect())
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(address) => address.fmt(f),
            Self::Local(local) => local.fmt(f),
        }
    }
}

#[cfg(test)]
pub(in crate::sink) mod tests;
