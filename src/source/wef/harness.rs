//! A collector without sockets and a machine that speaks to it, for tests.

use super::answers::Reply;
use super::hosts::Hosts;
use super::room::Room;
use super::session::{Collector, Incoming, Peer};
use super::subscription::{Subscribed, Subscriptions};
use super::{Limits, Trust};
use crate::auth::{MachineKey, Principal, Scheme};
use crate::basin::{Basin, BasinConfig, Budget, DiskConfig, Full, MemoryConfig, OutputSpec, Reader, Start};
use crate::source::Report;
use crate::units::ByteSize;
use crate::wsman::charset::{self, Charset};
use crate::wsman::ns::{self, action, resource};
use crate::wsman::request::Message as Soap;
use crate::wsman::sldc::{Encoder, Scheme as Coding};
use crate::wsman::subscription::{Thumbprint, delivery_path};
use crate::wsman::{Answer, Bookmark, Events, Guid, Header, QueryList, Reference, Request, Subscription};
use bytes::Bytes;
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

pub(super) const LOGONS: Guid = Guid([1; 16]);
pub(super) const SYSTEM: Guid = Guid([2; 16]);

pub(super) struct Harness {
    pub(super) collector: Collector,
    pub(super) reader: Reader,
}

impl Harness {
    /// Over a basin in memory, whose output confirms when told.
    pub(super) fn memory() -> Self {
        let config = BasinConfig { disk: None, memory: Some(MemoryConfig::default()) };
        Self::over(&config, Trust::Tag)
    }

    pub(super) fn disk(path: &Path) -> Self {
        Self::disk_with(path, Trust::Tag)
    }

    pub(super) fn disk_with(path: &Path, trust: Trust) -> Self {
        let config = BasinConfig { disk: Some(DiskConfig::new(path)), ..BasinConfig::default() };
        Self::over(&config, trust)
    }

    fn over(config: &BasinConfig, trust: Trust) -> Self {
        let output = OutputSpec { name: "all".into(), start: Start::Oldest, full: Full::Wait };
        let basin = Basin::open(config, &[output], &Budget::new(ByteSize::mib(64))).unwrap().0;
        let reader = basin.reader("all").unwrap();
        let limits = Limits { hold_max: Duration::from_secs(50), expanded_bytes_max: 640 << 10 };
        let subscriptions = Subscriptions::new(vec![
            subscribed(LOGONS, "logons", "Security", "*[System[(EventID=4624)]]"),
            subscribed(SYSTEM, "system", "System", "*"),
        ]);
        let report = Report::new("dc");
        let hosts = Arc::new(Hosts::new());
        let collector = Collector::new("dc", basin, subscriptions, limits, trust, hosts, report).unwrap();
        Self { collector, reader }
    }

    /// Texts of the next batch, which is confirmed.
    pub(super) async fn next(&mut self) -> Vec<String> {
        let delivery = self.reader.next().await.unwrap();
        self.reader.cursor().confirm(delivery.position, Bytes::new());
        let batch = &delivery.batch;
        let text = |index| String::from_utf8(batch.event(index).to_vec()).unwrap();
        (0..batch.events.len()).map(text).collect()
    }

    pub(super) fn findings(&self) -> Vec<String> {
        self.collector.report.findings().iter().map(ToString::to_string).collect()
    }

    pub(super) async fn close(self) {
        self.collector.basin.clone().close().await;
    }
}

fn subscribed(id: Guid, name: &str, channel: &str, xpath: &str) -> Subscribed {
    let query = QueryList::of([(channel, xpath)]);
    let subscription = Subscription { name: name.into(), query, ..Subscription::default() };
    Subscribed::of(id, subscription)
}

/// A Windows host.
pub(super) struct Machine {
    pub(super) peer: Peer,
    pub(super) machine_id: String,
    pub(super) charset: Charset,
    pub(super) is_sldc: bool,
    pub(super) envelope_bytes_max: u32,
}

impl Machine {
    pub(super) fn new(name: &str) -> Self {
        let principal = Principal {
            name: name.into(),
            machine: MachineKey::parse(name).unwrap(),
            scheme: Scheme::Certificate { issuer: Thumbprint([3; 20]) },
        };
        let address = "192.0.2.7".parse().unwrap();
        let authority = "col.example.org:5986".into();
        Self {
            peer: Peer { principal: Some(principal), address, is_tls: true, authority },
            machine_id: name.into(),
            charset: Charset::Utf16,
            is_sldc: true,
            envelope_bytes_max: 512_000,
        }
    }

    fn header(&self, action: &'static str) -> Header<'_> {
        Header {
            action: Some(action.into()),
            message_id: Some("uuid:02020202-0202-8202-8202-020202020202".into()),
            to: Some("https://col.example.org:5986/wsman".into()),
            reply_to: Some(ns::ANONYMOUS.into()),
            machine_id: Some(self.machine_id.as_str().into()),
            max_envelope_size: Some(self.envelope_bytes_max),
            operation_timeout: Some(Duration::from_secs(60)),
            ..Header::default()
        }
    }

    /// The body of a message.
    pub(super) fn body(&self, header: Header<'_>, message: Soap<'_>) -> Bytes {
        let (mut text, mut units) = (String::new(), Vec::new());
        Request { header, message }.write(&mut text);
        charset::encode(&text, self.charset, &mut units);
        if !self.is_sldc {
            return units.into();
        }
        let mut body = Vec::new();
        Encoder::default().encode(&units, Coding::One, &mut body);
        body.into()
    }

    /// The same with header blocks of any kind.
    pub(super) fn events_with(&self, events: &[String], blocks: &str) -> Bytes {
        let plain =
            Machine { peer: self.peer.clone(), machine_id: self.machine_id.clone(), is_sldc: false, ..*self };
        let mut text = Vec::new();
        charset::decode(&plain.events(events, None), None, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap().replace("<w:AckRequested/>", blocks);
        let (mut units, mut body) = (Vec::new(), Vec::new());
        charset::encode(&text, self.charset, &mut units);
        if !self.is_sldc {
            return units.into();
        }
        Encoder::default().encode(&units, Coding::One, &mut body);
        body.into()
    }

    pub(super) fn events(&self, events: &[String], bookmark: Option<&str>) -> Bytes {
        let mut text = String::new();
        let mut ranges = Vec::new();
        for event in events {
            let start = text.len() as u32;
            text.push_str(event);
            ranges.push(start..text.len() as u32);
        }
        let header = Header {
            bookmark: bookmark.map(|text| Bookmark::kept(text.to_owned())),
            references: vec![Reference::identifier(Guid([5; 16]).to_string())],
            ack_requested: true,
            ..self.header(action::EVENTS)
        };
        let events = Events { text: Cow::Owned(text), ranges, ..Events::default() };
        self.body(header, Soap::Events(events))
    }

    pub(super) async fn post(&self, to: &Harness, path: &str, body: Bytes) -> Reply {
        let arrived = Instant::now();
        let room = to.collector.admit(&self.peer, body.len(), arrived).await.unwrap_or_default();
        self.post_in(to, path, body, room, arrived).await
    }

    pub(super) async fn post_in(
        &self,
        to: &Harness,
        path: &str,
        body: Bytes,
        room: Room,
        arrived: Instant,
    ) -> Reply {
        let charset_hint = Some(self.charset.name());
        let incoming = Incoming { path, is_sldc: self.is_sldc, charset_hint, body, room, arrived };
        to.collector.answer(&self.peer, incoming).await
    }

    pub(super) async fn deliver(
        &self,
        to: &Harness,
        subscription: Guid,
        events: &[String],
        bookmark: Option<&str>,
    ) -> Reply {
        self.post(to, &delivery_path(subscription), self.events(events, bookmark)).await
    }

    /// A message without events.
    pub(super) async fn send(
        &self,
        to: &Harness,
        path: &str,
        action: &'static str,
        message: Soap<'_>,
    ) -> Reply {
        let header = Header { ack_requested: true, ..self.header(action) };
        self.post(to, path, self.body(header, message)).await
    }

    /// Asks for subscriptions.
    pub(super) async fn ask(&self, to: &Harness) -> Reply {
        let header = Header {
            resource: Some(resource::SUBSCRIPTION_MANAGER.into()),
            ..self.header(action::ENUMERATE)
        };
        // This is never compressed.
        let plain = Machine { peer: self.peer.clone(), machine_id: String::new(), is_sldc: false, ..*self };
        let body = plain.body(header, Soap::Enumerate { optimized: true, max_elements: Some(32_000) });
        plain.post(to, "/wsman/SubscriptionManager/WEC", body).await
    }

    pub(super) async fn enumerate(&self, to: &Harness) -> String {
        let reply = self.ask(to).await;
        assert_eq!(reply.status, 200);
        text_of(&reply)
    }

    /// The bookmark that a subscription is given.
    pub(super) async fn bookmark(&self, to: &Harness, subscription: Guid) -> Option<String> {
        let text = self.enumerate(to).await;
        let answer = Answer::parse(&text).unwrap();
        let crate::wsman::Reply::EnumerateResponse(offers) = answer.reply else { panic!("{text}") };
        let path = delivery_path(subscription);
        let offer = offers.into_iter().find(|offer| offer.endpoint.address.ends_with(&path)).unwrap();
        offer.bookmark.and_then(|bookmark| bookmark.text().map(str::to_owned))
    }
}

/// The text of an answer.
pub(super) fn text_of(reply: &Reply) -> String {
    let mut text = Vec::new();
    charset::decode(reply.body.as_ref().expect("a body"), None, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// An event as Windows writes it.
pub(super) fn event(channel: &str, record: u64, computer: &str) -> String {
    format!(
        "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='P'/>\
         <EventID>1</EventID><TimeCreated SystemTime='2026-01-02T03:04:{:02}.6789012Z'/>\
         <EventRecordID>{record}</EventRecordID><Channel>{channel}</Channel><Computer>{computer}</Computer>\
         </System><EventData><Data Name='a'>{record}</Data></EventData></Event>",
        record % 60
    )
}

pub(super) fn bookmark(channel: &str, record: u64) -> String {
    format!(
        "<BookmarkList><Bookmark Channel=\"{channel}\" RecordId=\"{record}\" IsCurrent=\"true\"/></BookmarkList>"
    )
}
