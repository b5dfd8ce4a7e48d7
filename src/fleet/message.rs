//! What a host says, in the words of Windows: captured messages come out of here byte for byte when their
//! values are put in.

use super::form::{Form, Hole};
use crate::wsman::ns::{self, action, resource};
use crate::wsman::reference::Endpoint;
use crate::wsman::request::SubscriptionEnd;
use crate::wsman::subscription::Subscription;
use crate::wsman::wsman_fault::ProviderFault;
use crate::wsman::{Bookmark, Events, Guid, Header, Message, Offer, Reference, Request, WsmanFault};
use std::borrow::Cow;
use std::time::Duration;

/// Largest answer a host takes, as it says itself.
pub(super) const ENVELOPE_BYTES_MAX: u32 = 512_000;
/// `MaxBatchItems` of Windows.
const ELEMENTS_MAX: u32 = 32_000;
pub(super) const OPERATION_TIMEOUT: Duration = Duration::from_secs(60);
const END_TIMEOUT: Duration = Duration::from_millis(500);
/// What Windows says when its event log goes away.
const ERROR_SERVICE_GONE: u32 = 1717;

/// Who speaks, and as which message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller<'a> {
    pub(super) machine: &'a str,
    pub(super) session: Guid,
    pub(super) message: Guid,
    pub(super) operation: Guid,
}

/// A subscription as the collector gave it out, and what follows from it for every delivery.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) version: Guid,
    pub(super) subscription: Subscription,
    /// Where deliveries go, as it is written.
    pub(super) address: String,
    references: Vec<Reference<'static>>,
    /// Of a delivery up to its first event, and behind its last.
    head: Form,
    tail: Form,
    pub(super) event_open: Form,
    pub(super) event_close: Form,
}

/// The captured question for subscriptions.
pub(super) fn enumerate(caller: Caller<'_>, to: &str) -> String {
    let header = Header {
        to: Some(to.into()),
        resource: Some(resource::SUBSCRIPTION_MANAGER.into()),
        action: Some(action::ENUMERATE.into()),
        operation_timeout: Some(OPERATION_TIMEOUT),
        ..header_of(caller)
    };
    written(header, Message::Enumerate { optimized: true, max_elements: Some(ELEMENTS_MAX) })
}

/// What Windows says last on a connection, about the operation that ends.
pub(super) fn end(message: Guid, operation: Guid) -> String {
    let header = Header {
        to: Some(ns::ANONYMOUS.into()),
        resource: Some(resource::FULL_DUPLEX.into()),
        action: Some(action::END.into()),
        message_id: Some(format!("uuid:{message}").into()),
        operation_id: Some(format!("uuid:{operation}").into()),
        ..Header::default()
    };
    written(header, Message::FullDuplex)
}

impl Task {
    pub(super) fn new(offer: &Offer<'_>) -> Self {
        let address = offer.endpoint.address.clone();
        let references: Vec<Reference<'static>> = offer.references.iter().map(owned).collect();
        let mark = |hole: Hole| hole.mark().to_string();
        let mut header = Header {
            to: Some(address.as_str().into()),
            machine_id: Some(mark(Hole::Machine).into()),
            action: Some(action::EVENTS.into()),
            message_id: Some(format!("uuid:{}", Hole::MessageId.mark()).into()),
            session_id: Some(format!("uuid:{}", Hole::SessionId.mark()).into()),
            operation_id: Some(format!("uuid:{}", Hole::OperationId.mark()).into()),
            operation_timeout: Some(OPERATION_TIMEOUT),
            bookmark: Some(Bookmark::Kept(mark(Hole::Bookmark).into())),
            ..common()
        };
        header.references.clone_from(&references);
        header.ack_requested = true;
        let text = written(header, Message::Events(Events::default()));
        let open = "<w:Events>";
        let split = text.find(open).map_or(text.len(), |at| at + open.len());
        let cdata = offer.subscription.cdata;
        let event_open =
            format!(r#"<w:Event Action="{}">{}"#, action::EVENT, if cdata { "<![CDATA[" } else { "" });
        let event_close = if cdata { "]]></w:Event>" } else { "</w:Event>" };
        Self {
            version: offer.version,
            subscription: offer.subscription.as_ref().clone(),
            address,
            references,
            head: Form::of_marked(&text[..split]),
            tail: Form::of_marked(&text[split..]),
            event_open: Form::of_marked(&event_open),
            event_close: Form::of_marked(event_close),
        }
    }

    /// Whether an offer means what this task was made of, but for its bookmark.
    pub(super) fn is_of(&self, offer: &Offer<'_>) -> bool {
        self.version == offer.version
            && self.address == offer.endpoint.address
            && self.references == offer.references
            && self.subscription == *offer.subscription
    }

    /// A delivery around its events.
    pub(super) fn delivery(&self) -> (&Form, &Form) {
        (&self.head, &self.tail)
    }

    pub(super) fn heartbeat(&self, caller: Caller<'_>) -> String {
        let header = Header {
            action: Some(action::HEARTBEAT.into()),
            operation_timeout: Some(OPERATION_TIMEOUT),
            ..self.header_of(caller)
        };
        written(header, Message::Heartbeat)
    }

    /// Event 111: the host begins without a bookmark, at this one.
    pub(super) fn beginning(&self, caller: Caller<'_>, bookmark: &str, time: &str) -> String {
        let event = format!(
            "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>\
             <Provider Name='Microsoft-Windows-EventForwarder'/><EventID>111</EventID>\
             <TimeCreated SystemTime='{time}'/><Computer>{}</Computer></System><SubscriptionBookmarkEvent>\
             <SubscriptionId></SubscriptionId></SubscriptionBookmarkEvent></Event>",
            caller.machine
        );
        let header = Header {
            action: Some(action::EVENTS.into()),
            operation_timeout: Some(OPERATION_TIMEOUT),
            bookmark: Some(Bookmark::Kept(bookmark.into())),
            ..self.header_of(caller)
        };
        let whole = 0..event.len() as u32;
        let events =
            Events { text: event.into(), ranges: Vec::new(), started: Vec::from([whole]), dropped: 0 };
        written(header, Message::Events(events))
    }

    /// The host shuts down.
    pub(super) fn subscription_end(&self, caller: Caller<'_>) -> String {
        let header = Header {
            action: Some(action::SUBSCRIPTION_END.into()),
            operation_timeout: Some(END_TIMEOUT),
            ..self.header_of(caller)
        };
        let manager = Endpoint {
            address: Some(self.address.as_str().into()),
            references: vec![Reference::identifier(caller.session.to_string())],
        };
        let failed = ProviderFault {
            provider: "Unknown provider".into(),
            path: "Unknown path".into(),
            error: Some("Windows Event Forward Plugin failed to read events.".into()),
            nested: None,
        };
        let fault = WsmanFault {
            code: ERROR_SERVICE_GONE,
            machine: caller.machine.into(),
            message: String::new(),
            provider: Some(Box::new(failed)),
        };
        let end = SubscriptionEnd {
            manager: Some(manager),
            status: Some("http://schemas.xmlsoap.org/ws/2004/08/eventing/SourceCancelling".into()),
            fault: Some(fault),
        };
        written(header, Message::SubscriptionEnd(end))
    }

    fn header_of<'a>(&'a self, caller: Caller<'a>) -> Header<'a> {
        Header {
            to: Some(self.address.as_str().into()),
            references: self.references.clone(),
            ack_requested: true,
            ..header_of(caller)
        }
    }
}

/// What every message of a host has.
fn common<'a>() -> Header<'a> {
    Header {
        reply_to: Some(ns::ANONYMOUS.into()),
        max_envelope_size: Some(ENVELOPE_BYTES_MAX),
        locale: Some("en-US".into()),
        data_locale: Some("en-US".into()),
        sequence_id: Some(1),
        ..Header::default()
    }
}

fn header_of(caller: Caller<'_>) -> Header<'_> {
    Header {
        machine_id: Some(caller.machine.into()),
        message_id: Some(format!("uuid:{}", caller.message).into()),
        session_id: Some(format!("uuid:{}", caller.session).into()),
        operation_id: Some(format!("uuid:{}", caller.operation).into()),
        ..common()
    }
}

fn written(header: Header<'_>, message: Message<'_>) -> String {
    let mut text = String::with_capacity(4096);
    Request { header, message }.write(&mut text);
    text
}

fn owned(reference: &Reference<'_>) -> Reference<'static> {
    let owned = |text: &Cow<'_, str>| Cow::Owned(text.clone().into_owned());
    Reference {
        prefix: owned(&reference.prefix),
        namespace: owned(&reference.namespace),
        name: owned(&reference.name),
        text: owned(&reference.text),
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
