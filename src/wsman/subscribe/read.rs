//! Reads a Subscribe message: what the simulated host, or a host's own collector, is told.

use super::{Offer, WRONG};
use crate::wsman::bookmark::Bookmark;
use crate::wsman::duration;
use crate::wsman::envelope;
use crate::wsman::fault::Refusal;
use crate::wsman::guid::Guid;
use crate::wsman::header::Header;
use crate::wsman::ns::{self, Ns};
use crate::wsman::query::QueryList;
use crate::wsman::reference::{self, plain};
use crate::wsman::subscription::{
    Content, Encoding, Endpoint, Oversize, Policy, Retry, Subscription, Thumbprint,
};
use crate::wsman::xml::{Reader, XmlError};
use std::borrow::Cow;
use std::time::Duration;

/// What has been read so far.
pub(super) struct Subscribe<'a> {
    header: Header<'a>,
    subscription: Subscription,
    notify_to: reference::Endpoint<'a>,
    policy: Policy,
    bookmark: Option<Bookmark<'a>>,
    has_query: bool,
}

impl<'a> Subscribe<'a> {
    /// Reads the envelope whose start was just read, to its end.
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, Refusal> {
        let mut header = Header::default();
        let body = envelope::read_head(reader, &mut header)?;
        body.filter(|body| body.is(Ns::Eventing, "Subscribe")).ok_or(WRONG)?;
        // What is not said is not wanted.
        let subscription = Subscription {
            content: Content::Raw,
            ignore_channel_error: false,
            compressed: false,
            cdata: false,
            locale: None,
            data_locale: None,
            ..Subscription::default()
        };
        let mut subscribe = Self {
            header,
            subscription,
            notify_to: reference::Endpoint::default(),
            policy: Policy::Open,
            bookmark: None,
            has_query: false,
        };
        subscribe.options();
        subscribe.body(reader)?;
        envelope::read_tail(reader)?;
        Ok(subscribe)
    }

    pub(super) fn offer(self, version: Guid) -> Result<Offer<'a>, Refusal> {
        let guid = |text: &Option<Cow<'_, str>>| text.as_deref().and_then(Guid::parse);
        let message_id = guid(&self.header.message_id).ok_or(Refusal::HeaderMissing("MessageID"))?;
        let address = self.notify_to.address.filter(|_| self.has_query).ok_or(WRONG)?.into_owned();
        Ok(Offer {
            version,
            message_id,
            operation_id: guid(&self.header.operation_id).unwrap_or(message_id),
            references: self.notify_to.references,
            subscription: Cow::Owned(self.subscription),
            endpoint: Cow::Owned(Endpoint { address, policy: self.policy }),
            bookmark: self.bookmark,
        })
    }

    fn options(&mut self) {
        for option in &self.header.options {
            let value = option.value.as_deref().unwrap_or_default();
            match option.name.as_ref() {
                "SubscriptionName" => self.subscription.name = value.to_owned(),
                "Compression" => self.subscription.compressed = value.eq_ignore_ascii_case("SLDC"),
                "CDATA" => self.subscription.cdata = true,
                "ContentFormat" if value == "RenderedText" => {
                    self.subscription.content = Content::RenderedText;
                }
                "IgnoreChannelError" => self.subscription.ignore_channel_error = true,
                "ReadExistingEvents" => self.subscription.read_existing = true,
                _ => {}
            }
        }
    }

    fn body(&mut self, reader: &mut Reader<'a>) -> Result<(), Refusal> {
        while let Some(part) = reader.child()? {
            match (part.ns, part.local) {
                (Ns::Eventing, "Delivery") => self.delivery(reader)?,
                (Ns::Eventing, "Expires") => self.subscription.expires = Some(span(reader)?),
                (Ns::Wsman | Ns::Eventing, "Filter") => self.filter(reader)?,
                (Ns::Wsman, "Bookmark") => self.bookmark = Some(Bookmark::read(reader)?),
                // EndTo equals NotifyTo (2150858902); SendBookmarks says nothing more.
                _ => reader.skip()?,
            }
        }
        Ok(())
    }

    /// Elements of the list, or its text escaped: a client library is known that sends that.
    fn filter(&mut self, reader: &mut Reader<'a>) -> Result<(), Refusal> {
        let raw = reader.raw()?;
        let escaped = plain(raw)?;
        let query = QueryList::parse(escaped.as_deref().unwrap_or(raw));
        self.subscription.query =
            query.map_err(|_| Refusal::InvalidBody("the Filter of a Subscribe holds one QueryList"))?;
        self.has_query = true;
        Ok(())
    }

    fn delivery(&mut self, reader: &mut Reader<'a>) -> Result<(), Refusal> {
        while let Some(part) = reader.child()? {
            let attribute = |ns, name| reader.attribute(&part, ns, name);
            match (part.ns, part.local) {
                (Ns::Wsman, "Heartbeats") => self.subscription.heartbeat = span(reader)?,
                (Ns::Eventing, "NotifyTo") => self.notify_to(reader)?,
                (Ns::Wsman, "ConnectionRetry") => {
                    let total = attribute(Ns::None, "Total")?.and_then(|total| total.parse().ok());
                    self.subscription.retry =
                        Retry { total: total.unwrap_or_default(), interval: span(reader)? };
                }
                (Ns::Wsman, "MaxElements") => self.subscription.max_elements = Some(number(reader)?),
                (Ns::Wsman, "MaxTime") => self.subscription.max_time = span(reader)?,
                (Ns::Wsman, "MaxEnvelopeSize") => {
                    self.subscription.oversize = match attribute(Ns::None, "Policy")?.as_deref() {
                        Some("Skip") => Oversize::Skip,
                        Some("Notify") => Oversize::Notify,
                        _ => Oversize::CancelSubscription,
                    };
                    self.subscription.max_envelope_bytes = number(reader)?;
                }
                (Ns::Wsman, "Locale") => {
                    self.subscription.locale = attribute(Ns::Xml, "lang")?;
                    reader.skip()?;
                }
                (Ns::MsWsman, "DataLocale") => {
                    self.subscription.data_locale = attribute(Ns::Xml, "lang")?;
                    reader.skip()?;
                }
                (Ns::Wsman, "ContentEncoding") => {
                    let utf8 = reader.field()?.eq_ignore_ascii_case("UTF-8");
                    self.subscription.encoding = if utf8 { Encoding::Utf8 } else { Encoding::Utf16 };
                }
                _ => reader.skip()?,
            }
        }
        Ok(())
    }

    fn notify_to(&mut self, reader: &mut Reader<'a>) -> Result<(), Refusal> {
        while let Some(part) = reader.child()? {
            if part.is(Ns::Policy, "Policy") {
                if let Some(policy) = policy(reader)?.filter(|_| self.policy == Policy::Open) {
                    self.policy = policy;
                }
            } else if !self.notify_to.take(reader, &part)? {
                reader.skip()?;
            }
        }
        Ok(())
    }
}

/// The first sign-in a policy names; whatever holds it is passed through.
fn policy(reader: &mut Reader<'_>) -> Result<Option<Policy>, XmlError> {
    let (mut open, mut policy, mut certificate) = (1_usize, None, false);
    while open > 0 {
        let Some(part) = reader.child()? else {
            open -= 1;
            continue;
        };
        match part.local {
            "Authentication" => {
                let profile = reader.attribute(&part, Ns::None, "Profile")?;
                certificate = profile.as_deref() == Some(ns::PROFILE_CERTIFICATE);
                let known = match profile.as_deref() {
                    Some(ns::PROFILE_KERBEROS_HTTP) => Some(Policy::KerberosHttp),
                    Some(ns::PROFILE_KERBEROS_HTTPS) => Some(Policy::KerberosHttps),
                    _ => None,
                };
                policy = policy.or(known);
                open += 1;
            }
            "Thumbprint" => {
                let issuer = Thumbprint::parse(&reader.field()?).filter(|_| certificate);
                policy = policy.or_else(|| issuer.map(|issuer| Policy::Certificate { issuer }));
            }
            _ => open += 1,
        }
    }
    Ok(policy)
}

fn span(reader: &mut Reader<'_>) -> Result<Duration, Refusal> {
    let text = reader.field()?;
    duration::parse(&text).ok_or(Refusal::InvalidBody("a Subscribe says a duration that is none"))
}

fn number(reader: &mut Reader<'_>) -> Result<u32, Refusal> {
    let text = reader.field()?;
    text.parse().map_err(|_| Refusal::InvalidBody("a Subscribe says a number that is none"))
}
