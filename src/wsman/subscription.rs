//! A subscription as data: all that a host must know, and the version that stands for it.
//!
//! The version is a hash of the Subscribe message itself, without what differs from answer to answer
//! (message ids, the bookmark). So it changes exactly when a host would see something else, and is the
//! same after a restart and on another node.
//!
//! Sources: MS-WSMV 2.2.4.41, 3.1.4.1.30; captured messages.

use super::guid::Guid;
use super::query::QueryList;
use super::subscribe::Offer;
use sha2::{Digest, Sha256};
use std::fmt;
use std::time::Duration;

/// What a host is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// What the host's own log calls it.
    pub name: String,
    pub query: QueryList,
    pub content: Content,
    /// Without a bookmark, start with all that is there.
    pub read_existing: bool,
    /// Go on when single channels of the query cannot be read.
    pub ignore_channel_error: bool,
    /// Deliveries come compressed (SLDC).
    pub compressed: bool,
    /// Event text comes as it is; else the host parses it, and replaces what is not XML by `?`.
    pub cdata: bool,
    /// How long a host is silent at most.
    pub heartbeat: Duration,
    /// How long the first event of a batch waits at most.
    pub max_time: Duration,
    /// Most events of a batch.
    pub max_elements: Option<u32>,
    pub max_envelope_bytes: u32,
    pub oversize: Oversize,
    pub retry: Retry,
    /// Language of rendered text, such as `en-US`.
    pub locale: Option<String>,
    /// Form of numbers and dates in it.
    pub data_locale: Option<String>,
    pub encoding: Encoding,
    /// How long the host keeps it without asking again.
    pub expires: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// With RenderingInfo: the message in words.
    RenderedText,
    Raw,
}

/// What a host does with an event that is larger than an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oversize {
    CancelSubscription,
    Skip,
    Notify,
}

/// How often a host tries a delivery again before it gives the subscription up until it asks anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    pub interval: Duration,
    pub total: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Utf16,
    Utf8,
}

/// Where the events are to be sent, and how the host signs in there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The name in it must be the one in the certificate or the service principal.
    pub address: String,
    pub policy: Policy,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Policy {
    KerberosHttp,
    KerberosHttps,
    /// A certificate that was issued by the CA with this thumbprint.
    Certificate {
        issuer: Thumbprint,
    },
    /// Nothing said, or nothing we know.
    Open,
}

/// SHA-1 of a certificate, as Windows names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thumbprint(pub [u8; 20]);

impl Default for Subscription {
    /// Windows' own choice for "minimise latency".
    fn default() -> Self {
        Self {
            name: String::new(),
            query: QueryList::default(),
            content: Content::RenderedText,
            read_existing: false,
            ignore_channel_error: true,
            compressed: true,
            cdata: true,
            heartbeat: Duration::from_secs(3600),
            max_time: Duration::from_secs(30),
            max_elements: None,
            max_envelope_bytes: 512_000,
            oversize: Oversize::Notify,
            retry: Retry { interval: Duration::from_secs(60), total: 5 },
            locale: Some("en-US".into()),
            data_locale: Some("en-US".into()),
            encoding: Encoding::Utf16,
            expires: None,
        }
    }
}

impl Subscription {
    /// What stands for this subscription at this endpoint.
    pub fn version(&self, endpoint: &Endpoint) -> Guid {
        let hash = Sha256::digest(self.message(endpoint).as_bytes());
        let mut bits = [0; 16];
        bits.copy_from_slice(&hash[..16]);
        Guid::from_bits(bits)
    }

    /// Bytes that it adds to an answer in UTF-16, give or take the address and the bookmark.
    pub fn wire_bytes(&self) -> usize {
        let endpoint = Endpoint { address: String::new(), policy: Policy::Open };
        2 * self.message(&endpoint).encode_utf16().count()
    }

    /// Its Subscribe message without what differs from answer to answer.
    fn message(&self, endpoint: &Endpoint) -> String {
        let nil = Guid([0; 16]);
        let offer = Offer {
            version: nil,
            message_id: nil,
            operation_id: nil,
            references: Vec::new(),
            subscription: std::borrow::Cow::Borrowed(self),
            endpoint: std::borrow::Cow::Borrowed(endpoint),
            bookmark: None,
        };
        let mut text = String::new();
        offer.write(&mut text);
        text
    }
}

/// The path below which deliveries arrive.
pub const DELIVERY_PATH: &str = "/wsman/subscriptions/";

/// Where deliveries of a subscription go; Windows' collector ends its paths this way.
pub fn delivery_path(subscription: Guid) -> String {
    format!("{DELIVERY_PATH}{subscription}/1")
}

/// The subscription that a delivery's path names, with or without what follows it.
pub fn subscription_of(path: &str) -> Option<Guid> {
    let rest = path.get(DELIVERY_PATH.len()..)?;
    if !path.as_bytes()[..DELIVERY_PATH.len()].eq_ignore_ascii_case(DELIVERY_PATH.as_bytes()) {
        return None;
    }
    let (name, rest) = rest.split_once('/').unwrap_or((rest, ""));
    Guid::parse(name).filter(|_| rest.is_empty() || rest == "1")
}

impl Thumbprint {
    /// 40 hex digits. Pasted ones come with blanks, colons and an invisible mark in front.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 20];
        let mut digits = 0;
        for c in text.chars() {
            if c.is_whitespace() || matches!(c, ':' | '\u{200e}' | '\u{200f}' | '\u{feff}') {
                continue;
            }
            let digit = c.to_digit(16)?;
            let byte: &mut u8 = bytes.get_mut(digits / 2)?;
            *byte = *byte << 4 | digit as u8;
            digits += 1;
        }
        (digits == 40).then_some(Self(bytes))
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
#[path = "subscription_tests.rs"]
mod tests;
