//! One request and its answer, without the connection it came on.
//!
//! ```text
//! Incoming ─► Message ─┬─ Enumerate ──────────────────────► subscriptions, each with its bookmark
//!                      ├─ Events ─► delivery ─► basin ─────► Ack, or busy
//!                      ├─ Heartbeat, SubscriptionEnd ──────► Ack, at once
//!                      ├─ End ─────────────────────────────► 204
//!                      └─ nothing of ours ─────────────────► a fault, and a finding that names the host
//! ```
//! Promise: an `Ack` of events means that the basin keeps them. An answer is due before the host stops
//! waiting for it. Dropping `answer` withdraws what no write has begun for.
//! Must not know: sockets, HTTP beyond status and path.

use super::answers::{Answers, BUSY, Reply};
use super::aside::Aside;
use super::fair::Shares;
use super::hosts::Hosts;
use super::incoming::{Body, Message, What, Wrong, WrongLength};
use super::names::Names;
use super::pending::Pending;
use super::room::{Room, Rooms};
use super::subscription::Subscriptions;
use super::{Limits, Trust};
use crate::auth::{MachineKey, Principal};
use crate::basin::Basin;
use crate::finding::Finding;
use crate::source::{Report, batch};
use crate::wsman::charset::Charset;
use crate::wsman::{Identity, Refusal, Reply as Soap, sldc, subscription};
use bytes::Bytes;
use std::borrow::Cow;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::num::NonZero;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::time::Instant;

/// Who asks, and by which way.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    /// None: nobody, as yet. Such a one may only ask who we are.
    pub(super) principal: Option<Principal>,
    pub(super) address: IpAddr,
    pub(super) is_tls: bool,
    /// `Host` of its request: under which name it knows us.
    pub(super) authority: Box<str>,
}

/// A request with its whole body.
#[derive(Debug)]
pub(super) struct Incoming<'a> {
    pub(super) path: &'a str,
    /// `Content-Encoding: SLDC`.
    pub(super) is_sldc: bool,
    /// Charset of the content type.
    pub(super) charset_hint: Option<&'a str>,
    pub(super) body: Bytes,
    /// What `admit` gave for it.
    pub(super) room: Room,
    /// When its first byte came: the host's patience began about then.
    pub(super) arrived: Instant,
}

/// Answers requests. One for each source.
pub(super) struct Collector {
    pub(super) source: Box<str>,
    pub(super) basin: Basin,
    pub(super) subscriptions: Subscriptions,
    pub(super) limits: Limits,
    pub(super) trust: Trust,
    pub(super) hosts: Arc<Hosts>,
    pub(super) answers: Answers,
    pub(super) report: Report,
    pub(super) names: Names,
    /// By the key of the bookmark.
    pub(super) pending: Pending<Box<str>>,
    pub(super) rooms: Rooms,
    /// Bytes that are being expanded and read off the workers.
    turns: Shares,
    aside: Aside,
}

/// An authenticated host, as findings and the table name it.
pub(super) struct Who<'a> {
    pub(super) principal: &'a Principal,
    /// Which it is: the one that signed in, by its whole name where the proved one may be cut.
    pub(super) machine: Cow<'a, MachineKey>,
    pub(super) address: IpAddr,
}

impl Collector {
    /// # Errors
    /// When the system has no random numbers, or no more threads.
    pub(super) fn new(
        source: &str,
        basin: Basin,
        subscriptions: Subscriptions,
        limits: Limits,
        trust: Trust,
        hosts: Arc<Hosts>,
        report: Report,
    ) -> io::Result<Self> {
        let threads = thread::available_parallelism().map_or(1, NonZero::get).max(ASIDE_THREADS_MIN);
        Ok(Self {
            source: source.into(),
            rooms: Rooms::new(basin.budget().clone()),
            turns: Shares::new(ENVELOPE_BYTES * threads as u64),
            aside: Aside::new(threads)?,
            names: Names::recall(source, &basin.bookmarks(&format!("{source}/"))),
            basin,
            subscriptions,
            limits,
            trust,
            hosts,
            answers: Answers::new(source)?,
            report,
            pending: Pending::default(),
        })
    }

    /// Waits for memory for a body, before it is read. None: the host is to come again later.
    pub(super) async fn admit(&self, peer: &Peer, body_bytes: usize, arrived: Instant) -> Option<Room> {
        let address = peer.address.to_string();
        let host = peer.principal.as_ref().map_or(&*address, |principal| principal.machine.as_str());
        let room = self.rooms.admit(host, body_bytes);
        let room = tokio::time::timeout_at(arrived + self.limits.hold_max, room).await.ok();
        if room.is_none()
            && let Some(who) = self.who(peer, None)
        {
            self.refused(&who);
        }
        room
    }

    /// The answer to a request.
    pub(super) async fn answer(&self, peer: &Peer, mut request: Incoming<'_>) -> Reply {
        let message = match self.read(peer, &mut request).await {
            Ok(message) => message,
            Err(reply) => return reply,
        };
        let (charset, id) = (message.charset, message.message_id.as_deref());
        if let What::Identify = message.what {
            let identity = Identity::of("Forebay", &format!("Forebay {}", env!("CARGO_PKG_VERSION")));
            return self.answers.soap(Soap::Identified(identity), id, charset);
        }
        let Some(who) = self.who(peer, message.machine_id.as_deref()) else {
            return self.answers.fault(&Refusal::AccessDenied, id, charset);
        };
        if let Some(WrongLength { declared, decoded }) = message.wrong_length {
            self.trouble(&who, "length", || Finding {
                what: format!("{who} sent a body that says it expands to {declared} bytes"),
                why: format!("it expands to {decoded}, and was taken"),
                fix: "look at what stands between the host and this collector and changes bodies".into(),
            });
        }
        match &message.what {
            What::Duplex => {
                self.seen(&who);
                Reply::empty(204)
            }
            What::Enumerate => self.enumerate(peer, &who, request.path, &message),
            What::Identify => Reply::empty(204),
            What::Fault(reason) => {
                self.trouble(&who, "fault", || Finding {
                    what: format!("{who} reports a fault"),
                    why: reason.escape_debug().to_string(),
                    fix: "the host's Eventlog-ForwardingPlugin log has the same with more words".into(),
                });
                Reply::empty(204)
            }
            _ => self.of_subscription(&who, request, message).await,
        }
    }

    /// What belongs to a subscription of the host.
    async fn of_subscription(&self, who: &Who<'_>, request: Incoming<'_>, message: Message) -> Reply {
        let (charset, id) = (message.charset, message.message_id.clone());
        let Some(subscription) = subscription::subscription_of(request.path) else {
            self.refused(who);
            self.trouble(who, "path", || Finding {
                what: format!("{who} delivered to `{}`", request.path.escape_debug()),
                why: "no subscription has that address".into(),
                fix: "the host comes back with the right one when it asks for its subscriptions again".into(),
            });
            return Reply::empty(404);
        };
        let known = self.subscriptions.by_id(subscription);
        let Some(subscribed) = known.filter(|known| known.is_for(&who.principal.name, &who.machine)) else {
            // It gives the subscription up, and asks what it has instead (MS-WSMV 3.1.4.1.30.2).
            self.refused(who);
            return self.answers.fault(&Refusal::DeliveryRefused, id.as_deref(), charset);
        };
        match &message.what {
            What::Delivery(_) => return self.deliver(who, subscribed, request, message).await,
            What::Dropped(count) => self.dropped(who, subscribed, *count),
            What::Ended { status, fault } => self.ended(who, subscribed, status.as_deref(), fault.as_ref()),
            _ => self.heard(who, subscribed, message.version, |_, _| {}),
        }
        self.answers.soap(Soap::Ack, id.as_deref(), charset)
    }

    /// Off the worker when it is long.
    async fn read(&self, peer: &Peer, request: &mut Incoming<'_>) -> Result<Message, Reply> {
        let charset = request.charset_hint.and_then(Charset::from_name);
        let expanded = expanded_bytes(&request.body, request.is_sldc).min(self.limits.expanded_bytes_max);
        let address = peer.address.to_string();
        let host = peer.principal.as_ref().map_or(&*address, |principal| principal.machine.as_str());
        if expanded > SMALL_EXPANDED_BYTES {
            let bytes = request.body.len() + text_bytes(expanded, charset);
            let grown = self.rooms.grow(host, &mut request.room, bytes);
            let grown = tokio::time::timeout_at(request.arrived + self.limits.hold_max, grown).await;
            if grown.is_err() {
                if let Some(who) = self.who(peer, None) {
                    self.refused(&who);
                }
                return Err(BUSY);
            }
        }
        let machine = peer.principal.as_ref().filter(|_| self.trust != Trust::Relay);
        let machine = machine.map(|principal| principal.machine.clone());
        let (body, is_sldc) = (request.body.clone(), request.is_sldc);
        let bytes_max = self.limits.expanded_bytes_max;
        let read = move || {
            let body = Body { bytes: &body, is_sldc, charset, bytes_max };
            match machine {
                Some(machine) => body.read(Some(&|name| machine.same_machine(name))),
                None => body.read(None),
            }
        };
        let inline_max = if request.room.is_one_of_many() { SMALL_EXPANDED_BYTES } else { INLINE_BYTES_MAX };
        let read = if expanded <= inline_max {
            read()
        } else {
            let _turn = self.turns.take(host, expanded as u64).await;
            let Some(read) = self.aside.run(read).await else {
                return Err(Reply { close: true, ..Reply::empty(500) });
            };
            read
        };
        // What it holds from here on are its events.
        request.body = Bytes::new();
        read.map_err(|wrong| self.wrong(peer, &wrong))
    }

    fn wrong(&self, peer: &Peer, wrong: &Wrong) -> Reply {
        let (why, reply) = match wrong {
            Wrong::Body { why, too_large } => (why.clone(), Reply::empty(if *too_large { 413 } else { 400 })),
            Wrong::Message { charset, rejected } => {
                let reply = self.answers.fault(&rejected.why, rejected.relates_to.as_deref(), *charset);
                (rejected.why.to_string(), reply)
            }
        };
        let Some(who) = self.who(peer, None) else { return reply };
        self.refused(&who);
        self.trouble(&who, "body", || Finding {
            what: format!("{who} sent a message that was not understood"),
            why: why.escape_debug().to_string(),
            fix: "the host sends it again; if it goes on, look at what stands between it and this collector"
                .into(),
        });
        reply
    }

    /// Until when a message has to be answered.
    pub(super) fn deadline(&self, arrived: Instant, timeout: Option<Duration>) -> Instant {
        let patience = timeout.map_or(self.limits.hold_max, |timeout| timeout / 6 * 5);
        arrived + self.limits.hold_max.min(patience)
    }

    /// Who a peer is that has signed in; `said` is what it calls itself.
    fn who<'p>(&self, peer: &'p Peer, said: Option<&str>) -> Option<Who<'p>> {
        let principal = peer.principal.as_ref()?;
        let proved = &principal.machine;
        let machine = if proved.may_be_cut() {
            let left = || !self.basin.bookmarks(&format!("{}/{proved}/", self.source)).is_empty();
            Cow::Owned(self.names.whole(proved, said, left))
        } else {
            self.names.met(proved);
            Cow::Borrowed(proved)
        };
        Some(Who { principal, machine, address: peer.address })
    }

    fn seen(&self, who: &Who<'_>) {
        self.hosts
            .heard(who.machine(), batch::now(), |host| host.signed_in(&who.principal.name, who.address));
    }

    fn refused(&self, who: &Who<'_>) {
        self.report.refused();
        self.hosts.heard(who.machine(), batch::now(), |host| {
            host.signed_in(&who.principal.name, who.address);
            host.refused += 1;
        });
    }

    pub(super) fn trouble(&self, who: &Who<'_>, kind: &'static str, finding: impl FnOnce() -> Finding) {
        if let Some(finding) = self.hosts.trouble(who.machine(), kind, batch::now(), finding) {
            self.report.find(finding);
        }
    }
}

impl Who<'_> {
    pub(super) fn machine(&self) -> &str {
        self.machine.as_str()
    }
}

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.principal.name.escape_debug(), self.address)
    }
}

/// What a body expands to, as far as it says.
fn expanded_bytes(body: &[u8], is_sldc: bool) -> usize {
    match body.last_chunk::<{ sldc::TRAILER_BYTES }>() {
        Some(trailer) if is_sldc => u32::from_le_bytes(*trailer) as usize,
        _ => body.len(),
    }
}

/// Text of a body that expands to so much: most of it is ASCII. What is longer grows when that is known.
fn text_bytes(expanded: usize, charset: Option<Charset>) -> usize {
    match charset {
        Some(Charset::Utf8) => expanded,
        Some(Charset::Utf16) | None => expanded / 2,
    }
}

/// What expands to so little is read without room: all but deliveries, and small ones of those.
const SMALL_EXPANDED_BYTES: usize = 32 * 1024;
/// Longer ones are read on another thread. Half a millisecond of a worker is less than what the way to
/// another thread and back costs when all processors are busy. But a host that sends without a pause would
/// have the workers all the time.
const INLINE_BYTES_MAX: usize = 512 * 1024;
/// What is read off the workers at once: a full envelope for each thread there.
const ENVELOPE_BYTES: u64 = 512 << 10;
const ASIDE_THREADS_MIN: usize = 2;

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
