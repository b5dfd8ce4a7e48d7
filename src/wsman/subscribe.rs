//! The Subscribe message inside an EnumerateResponse: a subscription as a host is told of it.
//!
//! Written in the order of Windows' collector, for whether Windows minds the order is not known. Read in
//! any order, with `ReferenceProperties` or `ReferenceParameters`.
//!
//! Source: captured messages; MS-WSMV 3.1.4.1.30, 4.6.

mod read;

use super::bookmark::Bookmark;
use super::duration::{RetrySeconds, Seconds};
use super::envelope;
use super::fault::Refusal;
use super::guid::Guid;
use super::header::{Header, OptionValue, locale};
use super::ns::{self, Ns, action};
use super::put::put;
use super::reference::{self, Reference};
use super::subscription::{Content, Encoding, Endpoint, Oversize, Policy, Retry, Subscription};
use super::xml::Reader;
use read::Subscribe;
use std::borrow::Cow;

/// One subscription in an EnumerateResponse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer<'a> {
    pub version: Guid,
    pub message_id: Guid,
    pub operation_id: Guid,
    /// What the host is to return with each message, verbatim.
    pub references: Vec<Reference<'a>>,
    pub subscription: Cow<'a, Subscription>,
    pub endpoint: Cow<'a, Endpoint>,
    pub bookmark: Option<Bookmark<'a>>,
}

const WRONG: Refusal = Refusal::InvalidBody("a Subscription holds a Version and a Subscribe message");

impl<'a> Offer<'a> {
    pub(super) fn write(&self, out: &mut String) {
        let Self { version, .. } = self;
        let uri = ns::SUBSCRIPTION;
        put(out, format_args!(r#"<m:Subscription xmlns:m="{uri}"><m:Version>uuid:{version}</m:Version>"#));
        let namespaces = [Ns::Soap, Ns::Addressing, Ns::Eventing, Ns::Enumeration, Ns::Wsman, Ns::MsWsman];
        envelope::open(out, "", &namespaces);
        self.header().write_request(out);
        out.push_str("</s:Header><s:Body><e:Subscribe>");
        self.write_body(out);
        out.push_str("</e:Subscribe></s:Body></s:Envelope></m:Subscription>");
    }

    fn header(&self) -> Header<'_> {
        let subscription = self.subscription.as_ref();
        let option = |name: &'static str, value: Option<&'static str>| OptionValue {
            name: name.into(),
            value: value.map(Into::into),
        };
        let mut options = vec![OptionValue {
            name: "SubscriptionName".into(),
            value: Some(subscription.name.as_str().into()),
        }];
        if subscription.compressed {
            options.push(option("Compression", Some("SLDC")));
        }
        if subscription.cdata {
            options.push(option("CDATA", None));
        }
        options.push(option("ContentFormat", Some(content_name(subscription.content))));
        if subscription.ignore_channel_error {
            options.push(option("IgnoreChannelError", None));
        }
        if subscription.read_existing {
            options.push(option("ReadExistingEvents", None));
        }
        Header {
            to: Some(ns::ANONYMOUS.into()),
            resource: Some(ns::resource::EVENT_LOG.into()),
            reply_to: Some(ns::ANONYMOUS.into()),
            action: Some(action::SUBSCRIBE.into()),
            max_envelope_size: Some(subscription.max_envelope_bytes),
            message_id: Some(format!("uuid:{}", self.message_id).into()),
            locale: Some("en-US".into()),
            data_locale: Some("en-US".into()),
            operation_id: Some(format!("uuid:{}", self.operation_id).into()),
            sequence_id: Some(1),
            options,
            ..Header::default()
        }
    }

    fn write_body(&self, out: &mut String) {
        let subscription = self.subscription.as_ref();
        let endpoint = reference::Endpoint {
            address: Some(self.endpoint.address.as_str().into()),
            references: self.references.clone(),
        };
        out.push_str("<e:EndTo>");
        endpoint.write(out);
        put(out, format_args!(r#"</e:EndTo><e:Delivery Mode="{}">"#, action::EVENTS));
        put(
            out,
            format_args!("<w:Heartbeats>{}</w:Heartbeats><e:NotifyTo>", Seconds(subscription.heartbeat)),
        );
        endpoint.write(out);
        write_policy(&self.endpoint.policy, out);
        let Retry { interval, total } = subscription.retry;
        let interval = RetrySeconds(interval);
        put(
            out,
            format_args!(r#"</e:NotifyTo><w:ConnectionRetry Total="{total}">{interval}</w:ConnectionRetry>"#),
        );
        if let Some(events) = subscription.max_elements {
            put(out, format_args!("<w:MaxElements>{events}</w:MaxElements>"));
        }
        put(out, format_args!("<w:MaxTime>{}</w:MaxTime>", Seconds(subscription.max_time)));
        put(
            out,
            format_args!(
                r#"<w:MaxEnvelopeSize Policy="{}">{}</w:MaxEnvelopeSize>"#,
                oversize_name(subscription.oversize),
                subscription.max_envelope_bytes
            ),
        );
        locale(out, "w:Locale", subscription.locale.as_deref());
        locale(out, "p:DataLocale", subscription.data_locale.as_deref());
        let encoding = encoding_name(subscription.encoding);
        put(out, format_args!("<w:ContentEncoding>{encoding}</w:ContentEncoding></e:Delivery>"));
        if let Some(expires) = subscription.expires {
            put(out, format_args!("<e:Expires>{}</e:Expires>", Seconds(expires)));
        }
        put(out, format_args!(r#"<w:Filter Dialect="{}">"#, ns::EVENT_QUERY));
        subscription.query.write(out);
        out.push_str("</w:Filter>");
        if let Some(bookmark) = &self.bookmark {
            bookmark.write(out);
        }
        out.push_str("<w:SendBookmarks/>");
    }

    /// Reads `m:Subscription`, whose start was just read.
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, Refusal> {
        let (mut version, mut subscribe) = (None, None);
        while let Some(part) = reader.child()? {
            match (part.ns, part.local) {
                (Ns::Subscription, "Version") => version = Guid::parse(&reader.field()?),
                (Ns::Soap, "Envelope") => subscribe = Some(Subscribe::read(reader)?),
                _ => reader.skip()?,
            }
        }
        let (Some(version), Some(subscribe)) = (version, subscribe) else { return Err(WRONG) };
        subscribe.offer(version)
    }
}

fn write_policy(policy: &Policy, out: &mut String) {
    let profile = match policy {
        Policy::KerberosHttp => ns::PROFILE_KERBEROS_HTTP,
        Policy::KerberosHttps => ns::PROFILE_KERBEROS_HTTPS,
        Policy::Certificate { .. } => ns::PROFILE_CERTIFICATE,
        Policy::Open => return,
    };
    put(
        out,
        format_args!(
            r#"<c:Policy xmlns:c="{}" xmlns:auth="{}"><c:ExactlyOne><c:All><auth:Authentication Profile="{profile}">"#,
            ns::POLICY,
            ns::AUTHENTICATION
        ),
    );
    if let Policy::Certificate { issuer } = policy {
        put(
            out,
            format_args!(
                r#"<auth:ClientCertificate><auth:Thumbprint Role="issuer">{issuer}</auth:Thumbprint></auth:ClientCertificate>"#
            ),
        );
    }
    out.push_str("</auth:Authentication></c:All></c:ExactlyOne></c:Policy>");
}

fn content_name(content: Content) -> &'static str {
    match content {
        Content::RenderedText => "RenderedText",
        Content::Raw => "Raw",
    }
}

fn oversize_name(oversize: Oversize) -> &'static str {
    match oversize {
        Oversize::CancelSubscription => "CancelSubscription",
        Oversize::Skip => "Skip",
        Oversize::Notify => "Notify",
    }
}

fn encoding_name(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Utf16 => "UTF-16",
        Encoding::Utf8 => "UTF-8",
    }
}
