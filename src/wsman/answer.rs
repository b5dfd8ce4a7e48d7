//! What a collector answers, both ways: written by the collector, read by the fleet.
//!
//! Ours carry no OperationID, though Windows' do: it promises that answers are kept to be sent again, and
//! we keep none (MS-WSMV 3.1.4.1.39). Who reads accepts it.
//!
//! Promise: `parse(write(x)) == x`; with an OperationID in its header, what Windows was captured to
//! answer is written byte for byte.

use super::envelope;
use super::fault::{Fault, Refusal};
use super::guid::Guid;
use super::header::Header;
use super::ns::{self, Ns, action};
use super::put::{Text, put};
use super::subscribe::Offer;
use super::xml::{Element, Reader};

/// Most subscriptions in one answer; what an envelope holds is about 50.
pub const SUBSCRIPTIONS_MAX: usize = 1000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    pub header: Header<'a>,
    pub reply: Reply<'a>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// All subscriptions the host has from now on; what it had besides it gives up.
    EnumerateResponse(Vec<Offer<'a>>),
    Ack,
    Fault(Fault),
    Identified(Identity),
}

/// Who answers an Identify.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    pub protocol: String,
    pub vendor: String,
    pub product: String,
}

impl<'a> Answer<'a> {
    /// An answer of ours to a message: `relates_to` is its id, byte for byte.
    pub fn new(reply: Reply<'a>, message_id: Guid, relates_to: Option<&'a str>) -> Self {
        let action = match &reply {
            Reply::EnumerateResponse(_) => action::ENUMERATE_RESPONSE,
            Reply::Ack => action::ACK,
            Reply::Fault(fault) => fault.action(),
            Reply::Identified(_) => return Self { header: Header::default(), reply },
        };
        let header = Header {
            action: Some(action.into()),
            message_id: Some(format!("uuid:{message_id}").into()),
            to: Some(ns::ANONYMOUS.into()),
            relates_to: relates_to.map(Into::into),
            sequence_id: (!matches!(reply, Reply::Fault(_))).then_some(1),
            ..Header::default()
        };
        Self { header, reply }
    }

    /// Appends the envelope.
    pub fn write(&self, out: &mut String) {
        const LANGUAGE: &str = r#" xml:lang="en-US""#;
        let (s, a, e, n, w, p) =
            (Ns::Soap, Ns::Addressing, Ns::Eventing, Ns::Enumeration, Ns::Wsman, Ns::MsWsman);
        match &self.reply {
            Reply::EnumerateResponse(_) => envelope::open(out, LANGUAGE, &[s, a, n, w, p]),
            Reply::Ack => envelope::open(out, LANGUAGE, &[s, a, w, p]),
            Reply::Fault(_) => envelope::open(out, LANGUAGE, &[s, a, e, n, w, p]),
            Reply::Identified(_) => {
                let identity = format!(r#" xmlns:wsmid="{}""#, ns::IDENTITY);
                envelope::open_with(out, LANGUAGE, &[s, a, w, p], &identity);
            }
        }
        self.header.write_answer(out);
        out.push_str("</s:Header><s:Body>");
        match &self.reply {
            Reply::EnumerateResponse(offers) => {
                out.push_str("<n:EnumerateResponse><n:EnumerationContext></n:EnumerationContext><w:Items>");
                offers.iter().for_each(|offer| offer.write(out));
                out.push_str("</w:Items><w:EndOfSequence/></n:EnumerateResponse>");
            }
            Reply::Ack => {}
            Reply::Fault(fault) => fault.write(out),
            Reply::Identified(identity) => identity.write(out),
        }
        out.push_str(envelope::CLOSE);
    }

    /// Reads an envelope.
    ///
    /// # Errors
    /// Why it is no answer.
    pub fn parse(text: &'a str) -> Result<Self, Refusal> {
        let mut header = Header::default();
        let mut reader = Reader::new(text);
        let body = envelope::read_start(&mut reader, &mut header)?;
        let reply = reply(&mut reader, &header, body.as_ref())?;
        match body {
            Some(_) => envelope::read_tail(&mut reader)?,
            None => envelope::read_end(&mut reader)?,
        }
        envelope::read_eof(&mut reader)?;
        Ok(Self { header, reply })
    }
}

fn reply<'a>(
    reader: &mut Reader<'a>,
    header: &Header<'a>,
    body: Option<&Element<'a>>,
) -> Result<Reply<'a>, Refusal> {
    let action = header.action.as_deref();
    match body {
        Some(body) if body.is(Ns::Soap, "Fault") => Ok(Reply::Fault(Fault::read(reader, body)?)),
        Some(body) if body.is(Ns::Identity, "IdentifyResponse") => {
            Ok(Reply::Identified(Identity::read(reader)?))
        }
        None if action == Some(action::ACK) => Ok(Reply::Ack),
        Some(body)
            if action == Some(action::ENUMERATE_RESPONSE)
                && body.is(Ns::Enumeration, "EnumerateResponse") =>
        {
            Ok(Reply::EnumerateResponse(offers(reader)?))
        }
        _ => match action {
            None => Err(Refusal::HeaderMissing("Action")),
            Some(action::ACK | action::ENUMERATE_RESPONSE) => {
                Err(Refusal::InvalidBody("the body of the answer is not what its action says"))
            }
            Some(other) => Err(Refusal::ActionNotSupported(other.to_owned())),
        },
    }
}

/// Items of the optimised form stand in the namespace of WS-Management, others in that of enumeration.
fn offers<'a>(reader: &mut Reader<'a>) -> Result<Vec<Offer<'a>>, Refusal> {
    let mut offers = Vec::new();
    while let Some(part) = reader.child()? {
        if !(matches!(part.ns, Ns::Wsman | Ns::Enumeration) && part.local == "Items") {
            reader.skip()?;
            continue;
        }
        while let Some(item) = reader.child()? {
            if !item.is(Ns::Subscription, "Subscription") {
                return Err(Refusal::InvalidBody("Items holds Subscriptions and nothing else"));
            }
            if offers.len() == SUBSCRIPTIONS_MAX {
                return Err(Refusal::InvalidBody("more than 1000 subscriptions"));
            }
            offers.push(Offer::read(reader)?);
        }
    }
    Ok(offers)
}

impl Identity {
    /// What we say of ourselves to anyone who asks, signed in or not.
    pub fn of(vendor: &str, product: &str) -> Self {
        Self { protocol: ns::WSMAN.into(), vendor: vendor.into(), product: product.into() }
    }

    fn write(&self, out: &mut String) {
        put(
            out,
            format_args!(
                "<wsmid:IdentifyResponse><wsmid:ProtocolVersion>{}</wsmid:ProtocolVersion>\
                 <wsmid:ProductVendor>{}</wsmid:ProductVendor>\
                 <wsmid:ProductVersion>{}</wsmid:ProductVersion></wsmid:IdentifyResponse>",
                Text(&self.protocol),
                Text(&self.vendor),
                Text(&self.product)
            ),
        );
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Refusal> {
        let mut identity = Self::default();
        while let Some(part) = reader.child()? {
            match (part.ns, part.local) {
                (Ns::Identity, "ProtocolVersion") => identity.protocol = reader.field()?.into_owned(),
                (Ns::Identity, "ProductVendor") => identity.vendor = reader.field()?.into_owned(),
                (Ns::Identity, "ProductVersion") => identity.product = reader.field()?.into_owned(),
                _ => reader.skip()?,
            }
        }
        Ok(identity)
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
