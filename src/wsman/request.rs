//! What a Windows host sends to a collector, both ways: read by the collector, written by the fleet.
//!
//! | message | body | answer |
//! |---|---|---|
//! | Enumerate | what may be asked for | EnumerateResponse |
//! | Events | `w:Events` | Ack, when they are kept |
//! | Heartbeat | an empty `w:Events` | Ack |
//! | DroppedEvents | a count | Ack |
//! | SubscriptionEnd | why | Ack |
//! | End, Cancel, … | nothing | HTTP 204 |
//! | Identify | `Identify`, and no header | IdentifyResponse |
//! | a fault | `s:Fault` | nothing |
//!
//! Promise: `parse(write(x)) == x`; what Windows was captured to send is written byte for byte.

use super::envelope;
use super::events::Events;
use super::fault::{ENVELOPE_BYTES_MIN, Fault, Refusal};
use super::header::Header;
use super::ns::{self, Ns, action, resource};
use super::put::{Text, put};
use super::reference::Endpoint;
use super::wsman_fault::WsmanFault;
use super::xml::{Element, Reader};
use std::borrow::Cow;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    pub header: Header<'a>,
    pub message: Message<'a>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    Enumerate {
        /// All in one answer, which is the only way subscriptions are given out.
        optimized: bool,
        max_elements: Option<u32>,
    },
    Events(Events<'a>),
    Heartbeat,
    /// How many the host says it left out.
    DroppedEvents(u64),
    SubscriptionEnd(SubscriptionEnd<'a>),
    /// End, Cancel, Acknowledge or Keepalive of a duplex connection, which the action tells.
    FullDuplex,
    Identify,
    Fault(Fault),
}

/// The host gives a subscription up; it comes back with its next Enumerate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscriptionEnd<'a> {
    pub manager: Option<Endpoint<'a>>,
    /// A URI such as `…/eventing/SourceShuttingDown`.
    pub status: Option<Cow<'a, str>>,
    pub fault: Option<WsmanFault>,
}

/// A request that is answered by a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// `a:MessageID` of it, as far as that was read.
    pub relates_to: Option<String>,
    pub why: Refusal,
}

impl<'a> Request<'a> {
    /// Reads an envelope. Ranges of events are offsets into `text`.
    ///
    /// # Errors
    /// What is to be answered instead.
    pub fn parse(text: &'a str) -> Result<Self, Rejected> {
        let mut header = Header::default();
        match read(text, &mut header) {
            Ok(message) => Ok(Self { header, message }),
            Err(why) => Err(Rejected { relates_to: header.message_id.map(Cow::into_owned), why }),
        }
    }

    /// Appends the envelope.
    pub fn write(&self, out: &mut String) {
        let (s, a, e, n, w, p) =
            (Ns::Soap, Ns::Addressing, Ns::Eventing, Ns::Enumeration, Ns::Wsman, Ns::MsWsman);
        match &self.message {
            Message::Identify if self.header == Header::default() => {
                put(
                    out,
                    format_args!(r#"<s:Envelope xmlns:s="{}" xmlns:wsmid="{}">"#, ns::SOAP, ns::IDENTITY),
                );
                out.push_str("<s:Header/><s:Body><wsmid:Identify/></s:Body></s:Envelope>");
                return;
            }
            Message::Enumerate { .. } => {
                let cim = format!(r#" xmlns:b="{}""#, ns::CIM_BINDING);
                envelope::open_with(out, "", &[s, a, n, w, p], &cim);
            }
            Message::Identify => {
                let identity = format!(r#" xmlns:wsmid="{}""#, ns::IDENTITY);
                envelope::open_with(out, "", &[s, a, w, p], &identity);
            }
            Message::FullDuplex => envelope::open(out, "", &[s, a, w, p]),
            Message::Fault(_) => envelope::open(out, r#" xml:lang="en-US""#, &[s, a, e, n, w, p]),
            _ => envelope::open(out, "", &[s, a, e, w, p]),
        }
        self.header.write_request(out);
        out.push_str("</s:Header><s:Body>");
        match &self.message {
            Message::Enumerate { optimized, max_elements } => {
                out.push_str("<n:Enumerate>");
                if *optimized {
                    out.push_str("<w:OptimizeEnumeration/>");
                }
                if let Some(most) = max_elements {
                    put(out, format_args!("<w:MaxElements>{most}</w:MaxElements>"));
                }
                out.push_str("</n:Enumerate>");
            }
            Message::Events(events) => events.write(out),
            Message::Heartbeat => out.push_str("<w:Events></w:Events>"),
            Message::DroppedEvents(count) => {
                put(out, format_args!("<w:DroppedEvents>{count}</w:DroppedEvents>"));
            }
            Message::SubscriptionEnd(end) => end.write(out),
            Message::FullDuplex => {}
            Message::Identify => out.push_str("<wsmid:Identify/>"),
            Message::Fault(fault) => fault.write(out),
        }
        out.push_str(envelope::CLOSE);
    }
}

fn read<'a>(text: &'a str, header: &mut Header<'a>) -> Result<Message<'a>, Refusal> {
    let mut reader = Reader::new(text);
    let body = envelope::read_start(&mut reader, header)?;
    let message = match &body {
        Some(body) if body.is(Ns::Identity, "Identify") => {
            reader.skip()?;
            Message::Identify
        }
        _ => {
            check(header)?;
            message(&mut reader, header, body.as_ref())?
        }
    };
    match body {
        Some(_) => envelope::read_tail(&mut reader)?,
        None => envelope::read_end(&mut reader)?,
    }
    envelope::read_eof(&mut reader)?;
    Ok(message)
}

/// What every message must have, before its body is looked at.
fn check(header: &Header<'_>) -> Result<(), Refusal> {
    if header.action.is_none() {
        return Err(Refusal::HeaderMissing("Action"));
    }
    if header.message_id.as_deref().is_none_or(str::is_empty) {
        return Err(Refusal::HeaderMissing("MessageID"));
    }
    if header.max_envelope_size.is_some_and(|bytes| bytes < ENVELOPE_BYTES_MIN) {
        return Err(Refusal::EnvelopeTooSmall);
    }
    Ok(())
}

fn message<'a>(
    reader: &mut Reader<'a>,
    header: &Header<'a>,
    body: Option<&Element<'a>>,
) -> Result<Message<'a>, Refusal> {
    let action = header.action.as_deref().unwrap_or_default();
    if let action::END | action::CANCEL | action::ACKNOWLEDGE | action::KEEPALIVE = action {
        if body.is_some() {
            reader.skip()?;
        }
        return Ok(Message::FullDuplex);
    }
    if action.ends_with("/fault") {
        let body = body.ok_or(Refusal::InvalidBody("a fault holds one s:Fault"))?;
        return Ok(Message::Fault(Fault::read(reader, body)?));
    }
    let known = [
        action::ENUMERATE,
        action::EVENTS,
        action::HEARTBEAT,
        action::DROPPED_EVENTS,
        action::SUBSCRIPTION_END,
    ];
    if !known.contains(&action) {
        return Err(Refusal::ActionNotSupported(action.to_owned()));
    }
    match header.reply_to.as_deref() {
        Some(ns::ANONYMOUS) => {}
        Some(_) => return Err(Refusal::AddressingMode),
        None => return Err(Refusal::HeaderMissing("ReplyTo")),
    }
    match action {
        action::ENUMERATE => enumerate(reader, header, body),
        action::SUBSCRIPTION_END => {
            let wrong = Refusal::InvalidBody("a SubscriptionEnd holds one e:SubscriptionEnd");
            body.filter(|body| body.is(Ns::Eventing, "SubscriptionEnd")).ok_or(wrong)?;
            Ok(Message::SubscriptionEnd(SubscriptionEnd::read(reader)?))
        }
        _ => delivery(reader, action, body),
    }
}

fn enumerate<'a>(
    reader: &mut Reader<'a>,
    header: &Header<'a>,
    body: Option<&Element<'a>>,
) -> Result<Message<'a>, Refusal> {
    match header.resource.as_deref() {
        Some(resource::SUBSCRIPTION_MANAGER) => {}
        Some(other) => return Err(Refusal::ResourceNotFound(other.to_owned())),
        None => return Err(Refusal::HeaderMissing("ResourceURI")),
    }
    let wrong = Refusal::InvalidBody("an Enumerate holds one n:Enumerate");
    body.filter(|body| body.is(Ns::Enumeration, "Enumerate")).ok_or(wrong)?;
    let (mut optimized, mut max_elements) = (false, None);
    while let Some(part) = reader.child()? {
        match (part.ns, part.local) {
            (Ns::Wsman, "OptimizeEnumeration") => {
                optimized = true;
                reader.skip()?;
            }
            (Ns::Wsman, "MaxElements") => {
                let most = reader.field()?;
                let most = most.parse().map_err(|_| Refusal::InvalidBody("MaxElements is no number"))?;
                max_elements = Some(most);
            }
            _ => reader.skip()?,
        }
    }
    Ok(Message::Enumerate { optimized, max_elements })
}

fn delivery<'a>(
    reader: &mut Reader<'a>,
    action: &str,
    body: Option<&Element<'a>>,
) -> Result<Message<'a>, Refusal> {
    let wrong = Refusal::InvalidBody("a delivery holds one w:Events");
    let Some(body) = body else {
        return if action == action::HEARTBEAT { Ok(Message::Heartbeat) } else { Err(wrong) };
    };
    if body.is(Ns::Wsman, "DroppedEvents") && action == action::DROPPED_EVENTS {
        let count = reader.field()?.parse();
        return Ok(Message::DroppedEvents(count.unwrap_or_default()));
    }
    if !body.is(Ns::Wsman, "Events") {
        return Err(wrong);
    }
    let events = Events::read(reader)?;
    let nothing = events.ranges.is_empty() && events.started.is_empty();
    match action {
        action::HEARTBEAT if nothing => Ok(Message::Heartbeat),
        action::DROPPED_EVENTS if nothing => Ok(Message::DroppedEvents(events.dropped)),
        // Whatever the action says, events that came are events.
        _ => Ok(Message::Events(events)),
    }
}

impl<'a> SubscriptionEnd<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Refusal> {
        let mut end = Self::default();
        while let Some(part) = reader.child()? {
            match (part.ns, part.local) {
                (Ns::Eventing, "SubscriptionManager") => {
                    end.manager = Some(Endpoint::read(reader)?);
                }
                (Ns::Eventing, "Status") => end.status = Some(reader.field()?),
                (Ns::WsmanFault, "WSManFault") => end.fault = Some(WsmanFault::read(reader, &part)?),
                _ => reader.skip()?,
            }
        }
        Ok(end)
    }

    fn write(&self, out: &mut String) {
        out.push_str("<e:SubscriptionEnd>");
        if let Some(manager) = &self.manager {
            out.push_str("<e:SubscriptionManager>");
            manager.write(out);
            out.push_str("</e:SubscriptionManager>");
        }
        if let Some(status) = &self.status {
            put(out, format_args!("<e:Status>{}</e:Status>", Text(status)));
        }
        if let Some(fault) = &self.fault {
            fault.write(out);
        }
        out.push_str("</e:SubscriptionEnd>");
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
