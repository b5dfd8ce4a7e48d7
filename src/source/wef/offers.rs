//! Subscriptions on their way to a host, each with the bookmark that the host left here last.
//!
//! Must not know: HTTP, how events are kept.

use super::answers::Reply;
use super::hosts::host::Host;
use super::incoming::Message;
use super::session::{Collector, Peer, Who};
use super::stored::Stored;
use super::subscription::Subscribed;
use crate::auth::Scheme;
use crate::event::Timestamp;
use crate::finding::Finding;
use crate::source::batch;
use crate::wsman::subscription::{Endpoint, Policy, delivery_path};
use crate::wsman::{Bookmark, Offer, Reference, Refusal, Reply as Soap};
use std::borrow::Cow;

impl Collector {
    /// All subscriptions of the host, each with the bookmark it left here last.
    pub(super) fn enumerate(&self, peer: &Peer, who: &Who<'_>, path: &str, message: &Message) -> Reply {
        let now = batch::now();
        let scheme = if peer.is_tls { "HTTPS" } else { "HTTP" };
        let policy = match who.principal.scheme {
            Scheme::Certificate { issuer } => Policy::Certificate { issuer },
            Scheme::Kerberos if peer.is_tls => Policy::KerberosHttps,
            Scheme::Kerberos => Policy::KerberosHttp,
            Scheme::Basic => Policy::Open,
        };
        let mut offers = Vec::new();
        for subscribed in self.subscriptions.for_machine(&who.principal.name, &who.machine, path) {
            let address = format!("{scheme}://{}{}", peer.authority, delivery_path(subscribed.id));
            let endpoint = Endpoint { address, policy: policy.clone() };
            let bookmark = self.bookmark(who, subscribed);
            let version = subscribed.subscription.version(&endpoint);
            offers.push((
                subscribed,
                Offer {
                    version,
                    message_id: self.answers.id(),
                    operation_id: self.answers.id(),
                    references: vec![Reference::identifier(version.to_string())],
                    subscription: Cow::Borrowed(&subscribed.subscription),
                    endpoint: Cow::Owned(endpoint),
                    bookmark,
                },
            ));
        }
        self.hosts.heard(who.machine(), now, |host| offered(host, who, &offers, now));
        let offers = offers.into_iter().map(|(_, offer)| offer).collect();
        let (id, charset) = (message.message_id.as_deref(), message.charset);
        let reply = self.answers.soap(Soap::EnumerateResponse(offers), id, charset);
        let (bytes, max) = (reply.body.as_ref().map_or(0, |body| body.len()), message.envelope_bytes_max);
        let Some(max) = max.filter(|max| bytes > *max as usize) else { return reply };
        self.trouble(who, "envelope", || Finding {
            what: format!("{who} cannot be given its subscriptions"),
            why: format!("they take {bytes} bytes, and the host takes {max} in one envelope"),
            fix: "give it fewer or shorter subscriptions, or raise MaxEnvelopeSizekb of its WinRM client"
                .into(),
        });
        self.answers.fault(&Refusal::AnswerTooLarge, id, charset)
    }

    fn bookmark(&self, who: &Who<'_>, subscribed: &Subscribed) -> Option<Bookmark<'static>> {
        let earliest = || subscribed.subscription.read_existing.then_some(Bookmark::Earliest);
        let Some(value) = self.basin.bookmark(&self.key(who, subscribed.id)) else {
            let of = |machine: &str| self.basin.bookmark(&self.key_of(machine, subscribed.id));
            if self.names.is_shared(who.machine()) {
                // The one that is there may be of the other machine, and skip what this one has not sent.
                return of(who.machine()).map_or_else(earliest, |_| Some(Bookmark::Earliest));
            }
            let value = self.names.earlier(&who.machine).and_then(|cut| of(cut.as_str()));
            let bookmark = value.and_then(|value| Stored::read(&value).map(|text| text.to_owned()));
            return bookmark.map(Bookmark::kept).or_else(earliest);
        };
        let bookmark = Stored::read(&value).map(|text| Bookmark::kept(text.to_owned()));
        let why = match bookmark {
            Some(Bookmark::Unusable(error)) => error.to_string(),
            Some(bookmark) => return Some(bookmark),
            None => "it is of no form that this version knows".into(),
        };
        self.trouble(who, "stored bookmark", || Finding {
            what: format!("the bookmark of {who} for `{}` cannot be given back", subscribed.name),
            why,
            fix: "the host begins as if it had none; a newer forebay may have written it".into(),
        });
        earliest()
    }
}

fn offered(host: &mut Host, who: &Who<'_>, offers: &[(&Subscribed, Offer<'_>)], now: Timestamp) {
    host.signed_in(&who.principal.name, who.address);
    host.last_enumerate = now;
    host.subscriptions.retain(|known| offers.iter().any(|(subscribed, _)| known.id == Some(subscribed.id)));
    for (subscribed, offer) in offers {
        let subscription = host.subscription(subscribed.id);
        subscription.offered = Some(offer.version);
        subscription.heartbeat_seconds = subscribed.subscription.heartbeat.as_secs();
        if subscription.last_seen == Timestamp::default() {
            subscription.last_seen = now;
        }
        if matches!(offer.bookmark, Some(Bookmark::Kept(_))) {
            subscription.bookmark_given = now;
        }
    }
}
