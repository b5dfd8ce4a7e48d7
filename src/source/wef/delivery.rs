//! Events on their way into the basin.
//!
//! ```text
//! delivered ─► tagged by trust ─► newest of its stream? ─► kept before? ── yes ──────────► Ack
//!                                   │ no: busy               └ no ─► append ─┬─ kept ────► Ack
//!                                                                            └─ lost, late ► 503
//! ```
//! A bookmark is stored in the frame of its events under `<source>/<machine>/<subscription>`, with a
//! checksum of their text in front: a delivery that is equal in both to the one kept last came again
//! because its answer was lost, also when a crash lies in between.
//!
//! Must not know: HTTP, how a body was read.

use super::Trust;
use super::answers::{BUSY, Reply};
use super::hosts::host::Host;
use super::incoming::{Delivered, Mark, Message, What};
use super::session::{Collector, Incoming, Who};
use super::stored::Stored;
use super::subscription::Subscribed;
use crate::event::{EventBatch, Note, NoteKind, Origin, Outcome, Timestamp};
use crate::finding::Finding;
use crate::source::{Counts, batch};
use crate::wsman::{Guid, Reply as Soap};
use std::sync::Arc;

/// What became of a delivery.
enum Fate {
    Kept,
    /// It had been kept before.
    Resent,
    Lost,
}

impl Collector {
    /// Acknowledged only when the basin answers for it.
    pub(super) async fn deliver(
        &self,
        who: &Who<'_>,
        subscribed: &Subscribed,
        request: Incoming<'_>,
        message: Message,
    ) -> Reply {
        let deadline = self.deadline(request.arrived, message.timeout);
        let Message { charset, message_id, machine_id, version, what: What::Delivery(mut delivered), .. } =
            message
        else {
            return BUSY;
        };
        self.look_at(who, subscribed, machine_id.as_deref(), &mut delivered);
        let mut room = request.room;
        let key = self.key(who, subscribed.id);
        let stored = match &delivered.bookmark {
            Mark::Kept(text) => Some(Stored::new(text, &delivered.text)),
            _ => None,
        };
        let notes = std::mem::take(&mut delivered.notes);
        let batch = EventBatch {
            text: delivered.text.clone(),
            events: std::mem::take(&mut delivered.events),
            origin: Arc::new(self.origin(who, subscribed)),
            bookmark: stored.as_ref().map(|stored| stored.bookmark(&key)),
            notes,
        };
        let (events, weight) = (batch.events.len() as u64, batch.weight());
        let fate = if batch.events.is_empty() && batch.bookmark.is_none() {
            Some(Fate::Kept)
        } else {
            room.shrink_to(weight);
            let place = self.pending.begin(key.as_str().into());
            let kept = place.run(|| async {
                if stored.is_some_and(|stored| self.basin.bookmark(&key).as_ref() == Some(stored.value())) {
                    return Fate::Resent;
                }
                self.rooms.grow(who.machine(), &mut room, weight).await;
                match self.basin.append_reserved(batch).await {
                    Outcome::Kept => Fate::Kept,
                    Outcome::Lost => Fate::Lost,
                }
            });
            tokio::time::timeout_at(deadline, kept).await.ok().flatten()
        };
        match fate {
            Some(Fate::Kept) => {
                self.kept(who, subscribed, version, events, &delivered);
                self.answers.soap(Soap::Ack, message_id.as_deref(), charset)
            }
            Some(Fate::Resent) => {
                self.report.resent();
                self.heard(who, subscribed, version, |host, _| host.resent += 1);
                self.answers.soap(Soap::Ack, message_id.as_deref(), charset)
            }
            Some(Fate::Lost) | None => {
                self.report.refused();
                self.heard(who, subscribed, version, |host, _| host.refused += 1);
                BUSY
            }
        }
    }

    /// What is wrong with a delivery; none of it is a reason to refuse it.
    fn look_at(
        &self,
        who: &Who<'_>,
        subscribed: &Subscribed,
        machine_id: Option<&str>,
        delivered: &mut Delivered,
    ) {
        if let Mark::Unusable(why) = &delivered.bookmark {
            self.trouble(who, "bookmark", || Finding {
                what: format!("{who} sent a bookmark for `{}` that could not be given back", subscribed.name),
                why: why.escape_debug().to_string(),
                fix: "its events are kept; after a restart it repeats those since the bookmark before".into(),
            });
        }
        if let Some(wrong) = &delivered.wrong {
            self.trouble(who, "event", || Finding {
                what: format!("{who} delivered an event of `{}` that cannot be read", subscribed.name),
                why: wrong.to_string(),
                fix: "it is kept as it came, and written raw with the error beside it, or to the dead letter"
                    .into(),
            });
        }
        if self.trust == Trust::Relay {
            return;
        }
        let machine = &who.machine;
        let other = machine_id.filter(|name| !machine.same_machine(name));
        if let Some((name, _)) = &delivered.foreign {
            self.trouble(who, "computer", || Finding {
                what: format!("{who} delivers events of the computer `{}`", name.escape_debug()),
                why: "that is not the machine which signed in".into(),
                fix: self.trust.fix().into(),
            });
        }
        if let Some(name) = other {
            self.trouble(who, "machine id", || Finding {
                what: format!("{who} calls itself `{}`", name.escape_debug()),
                why: "that is not the machine which signed in".into(),
                fix: self.trust.fix().into(),
            });
            let detail: Box<str> = name.chars().take(255).collect::<String>().into();
            all_foreign(delivered, &detail);
        }
        if self.trust == Trust::Strict {
            for note in delivered.notes.iter_mut().filter(|note| note.kind == NoteKind::Foreign) {
                note.kind = NoteKind::Distrusted;
            }
        }
    }

    fn kept(
        &self,
        who: &Who<'_>,
        subscribed: &Subscribed,
        version: Option<Guid>,
        events: u64,
        delivered: &Delivered,
    ) {
        let (now, bytes) = (batch::now(), delivered.text.len() as u64);
        let counts = Counts { events, bytes, undecodable: delivered.undecodable, ..Counts::default() };
        self.report.kept(counts);
        let query = &subscribed.subscription.query;
        let (mut ignored, mut other) = (false, None);
        self.heard(who, subscribed, version, |host, id| {
            host.deliveries += 1;
            host.events += events;
            host.bytes += bytes;
            host.undecodable += delivered.undecodable;
            host.foreign += delivered.foreign.as_ref().map_or(0, |(_, count)| *count);
            host.dropped += delivered.dropped;
            host.started += delivered.started as u64;
            if let Some(newest) = delivered.newest {
                host.last_event = host.last_event.max(newest);
                host.lag_millis = millis_between(newest, now);
            }
            let subscription = host.subscription(id);
            for run in &delivered.runs {
                let is_whole = query.takes_all_of(&run.channel);
                let found = subscription.note(run, is_whole, who.address);
                other = other.or(found);
            }
            ignored = delivered.started > 0 && subscription.bookmark_given != Timestamp::default();
            subscription.bookmark_given = Timestamp::default();
        });
        if let Some(other) = other {
            self.names.share(who.machine());
            self.trouble(who, "two of one name", || Finding {
                what: format!("{who} and {other} are two machines that go by one name"),
                why: "their record ids come in turns, each going on from its own".into(),
                fix:
                    "give each a name and a certificate or password of its own; until then each address has \
                      bookmarks of its own, and a machine whose address changes sends its log once more"
                        .into(),
            });
        }
        if ignored {
            self.trouble(who, "bookmark ignored", || Finding {
                what: format!(
                    "{who} began `{}` anew although it had just been given its bookmark",
                    subscribed.name
                ),
                why: "it sent event 111, with which a host begins without a bookmark".into(),
                fix: "events that it raised before may be missing here; compare the record ids with its log"
                    .into(),
            });
        }
    }

    pub(super) fn dropped(&self, who: &Who<'_>, subscribed: &Subscribed, count: u64) {
        self.heard(who, subscribed, None, |host, _| host.dropped += count);
        self.trouble(who, "dropped", || Finding {
            what: format!("{who} left out {count} events of `{}`", subscribed.name),
            why: "they did not fit into an envelope".into(),
            fix: "raise `max_envelope` of the subscription".into(),
        });
    }

    pub(super) fn ended(
        &self,
        who: &Who<'_>,
        subscribed: &Subscribed,
        status: Option<&str>,
        fault: Option<&(u32, Box<str>)>,
    ) {
        let status = status.and_then(|status| status.rsplit('/').next()).unwrap_or("no reason given");
        let why: Box<str> = match fault {
            Some((number, message)) if message.is_empty() => format!("{status}, {number}").into(),
            Some((number, message)) => format!("{status}, {number}: {message}").into(),
            None => status.into(),
        };
        self.heard(who, subscribed, None, |host, id| host.subscription(id).ended = Some(why.clone()));
        if !is_orderly(status, fault.map(|(number, _)| *number)) {
            self.trouble(who, "ended", || Finding {
                what: format!("{who} gave up `{}`", subscribed.name),
                why: why.escape_debug().to_string(),
                fix: "it comes back when it next asks for its subscriptions; its own log has the reason"
                    .into(),
            });
        }
    }

    /// Notes that a host was heard of on a subscription.
    pub(super) fn heard(
        &self,
        who: &Who<'_>,
        subscribed: &Subscribed,
        version: Option<Guid>,
        change: impl FnOnce(&mut Host, Guid),
    ) {
        let now = batch::now();
        self.hosts.heard(who.machine(), now, |host| {
            host.signed_in(&who.principal.name, who.address);
            let subscription = host.subscription(subscribed.id);
            subscription.last_seen = now;
            subscription.ended = None;
            subscription.heartbeat_seconds = subscribed.subscription.heartbeat.as_secs();
            subscription.version = version.or(subscription.version);
            change(host, subscribed.id);
        });
    }

    pub(super) fn key(&self, who: &Who<'_>, subscription: Guid) -> String {
        let machine = who.machine();
        if self.names.is_shared(machine) {
            return self.key_of(&format!("{machine}@{}", who.address), subscription);
        }
        self.key_of(machine, subscription)
    }

    pub(super) fn key_of(&self, machine: &str, subscription: Guid) -> String {
        format!("{}/{machine}/{subscription}", self.source)
    }

    fn origin(&self, who: &Who<'_>, subscribed: &Subscribed) -> Origin {
        Origin {
            source: self.source.clone(),
            host: Some(who.machine().into()),
            address: Some(who.address),
            subscription: Some(subscribed.name.clone()),
            file: None,
            received: batch::now(),
        }
    }
}

/// A machine that shuts down is no trouble, and a missing one shows in the host table.
fn is_orderly(status: &str, number: Option<u32>) -> bool {
    // RPC_S_UNKNOWN_IF: what Windows says at its shutdown, when the event log goes away before those who read it.
    const EVENT_LOG_GONE: u32 = 1717;
    status == "SourceShuttingDown" || status == "SourceCancelling" && number == Some(EVENT_LOG_GONE)
}

/// Marks the events of a host that calls itself otherwise; those that are marked keep their own reason.
fn all_foreign(delivered: &mut Delivered, name: &str) {
    let mut notes = std::mem::take(&mut delivered.notes).into_iter().peekable();
    let mut marked = Vec::with_capacity(delivered.events.len());
    for event in 0..delivered.events.len() as u32 {
        let mut is_marked = false;
        while let Some(note) = notes.next_if(|note| note.event == event) {
            is_marked |= note.kind == NoteKind::Foreign;
            marked.push(note);
        }
        if !is_marked {
            marked.push(Note { event, kind: NoteKind::Foreign, detail: name.into() });
        }
    }
    delivered.notes = marked;
}

fn millis_between(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.0.saturating_sub(from.0) / 1_000_000).unwrap_or_default()
}

#[cfg(test)]
#[path = "delivery_tests.rs"]
mod tests;
