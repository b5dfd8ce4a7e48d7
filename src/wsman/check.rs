//! What Windows hosts handle silently, said before they meet it: limits of queries and subscriptions.
//!
//! A host that gets a query it cannot take logs a number on the host and sends nothing; a channel that
//! joins a subscription later sends its whole history. Each such thing has a name here, its limit beside
//! it, and words that say what to do. Unknown channels are not found here: which exist, hosts know.
//!
//! Sources: MS-WSMV 3.1.4.1.30; MS-EVEN6 2.2.16; Microsoft, "Query Schema"; numbers in brackets are what a
//! host logs (Windows SDK, wsmerror.h and winerror.h).

use super::fault::ENVELOPE_BYTES_MIN;
use super::query::{PartKind, QueryList};
use super::subscription::{Endpoint, Policy, Subscription};
use std::fmt;

/// Most channels of one subscription.
pub const CHANNELS_MAX: usize = 256;
/// Most comparisons of one Select or Suppress. Windows' pages say 20, 22 and 32; 23 were seen to fail.
pub const EXPRESSIONS_MAX: usize = 22;
/// Longest name: hosts keep their bookmarks in a registry value of that name.
pub const NAME_CHARS_MAX: usize = 128;
/// What a host takes as one answer, in bytes of UTF-16, unless it was told otherwise.
pub const ANSWER_BYTES_MAX: usize = 512_000;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Hosts refuse the subscription, or part of it.
    Error,
    /// It works, but hardly as meant.
    Warning,
}

/// Something a host would not say, or not where anyone looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    NoName,
    LongName { chars: usize },
    NothingSelected { query: usize },
    NoChannel { query: usize },
    NoExpression { channel: String },
    SavedLog { path: String },
    Wildcard { path: String },
    DirectChannel { channel: String },
    TooManyChannels { count: usize },
    TooManyExpressions { channel: String, count: usize },
    SuppressAlone { channel: String },
    ChannelAdded { channel: String },
    SmallEnvelope { bytes: u32 },
    LargeSubscription { bytes: usize },
    NoElements,
    NoHeartbeat,
    HalfRetry,
    Locale { name: String },
    Parsed,
    Scheme { address: String },
    KerberosByAddress { host: String },
    Localhost,
}

impl Problem {
    pub fn severity(&self) -> Severity {
        match self {
            Self::LongName { .. }
            | Self::DirectChannel { .. }
            | Self::SuppressAlone { .. }
            | Self::ChannelAdded { .. }
            | Self::Wildcard { .. }
            | Self::Parsed
            | Self::Localhost => Severity::Warning,
            _ => Severity::Error,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoName => f.write_str("the subscription has no name; hosts show it in their log"),
            Self::LongName { chars } => write!(
                f,
                "the name has {chars} characters; hosts store bookmarks under it, so keep it below {NAME_CHARS_MAX}"
            ),
            Self::NothingSelected { query } => {
                write!(f, "query {query} selects nothing; write a Select, `*` for all events of a channel")
            }
            Self::NoChannel { query } => write!(
                f,
                "query {query} has a Select or Suppress without a channel; name one, such as `Path=\"Security\"`"
            ),
            Self::NoExpression { channel } => {
                write!(f, "the expression for `{channel}` is empty; write `*` for all events")
            }
            Self::SavedLog { path } => {
                write!(f, "`{path}` is a saved log; name a channel, such as `Security`")
            }
            Self::Wildcard { path } => {
                write!(f, "`{path}` has a wildcard, which hosts take literally; list the channels")
            }
            Self::DirectChannel { channel } => write!(
                f,
                "`{channel}` looks like an analytic or debug channel, which cannot be forwarded (15009)"
            ),
            Self::TooManyChannels { count } => write!(
                f,
                "{count} channels in one subscription; hosts take {CHANNELS_MAX} and call more an invalid query (15001); split it"
            ),
            Self::TooManyExpressions { channel, count } => write!(
                f,
                "{count} comparisons in one expression for `{channel}`; hosts take {EXPRESSIONS_MAX} and call more an invalid query (15001); write several Selects"
            ),
            Self::SuppressAlone { channel } => write!(
                f,
                "a Suppress for `{channel}` stands without a Select for the same channel in its query, so it does nothing"
            ),
            Self::ChannelAdded { channel } => write!(
                f,
                "`{channel}` is new in a live subscription: hosts send its whole history, whatever read_existing says; put new channels into a new subscription"
            ),
            Self::SmallEnvelope { bytes } => write!(
                f,
                "envelopes of {bytes} bytes; hosts refuse less than {ENVELOPE_BYTES_MIN} (2150858805)"
            ),
            Self::LargeSubscription { bytes } => write!(
                f,
                "the subscription takes {bytes} bytes on the wire; hosts take {ANSWER_BYTES_MAX} for all together (2150858790); split it among hosts"
            ),
            Self::NoElements => f.write_str("batches of at most 0 events; leave the limit out, or say 1 or more"),
            Self::NoHeartbeat => f.write_str("the heartbeat interval is nought (2150858916); say a second or more"),
            Self::HalfRetry => f.write_str(
                "retries and their interval go together: both nought for no retry, or neither (2150859103)",
            ),
            Self::Locale { name } => {
                write!(f, "`{name}` is no language; write one such as `en-US` (2150858915)")
            }
            Self::Parsed => f.write_str(
                "without CDATA hosts replace characters of events that XML cannot hold by `?`; leave CDATA on",
            ),
            Self::Scheme { address } => {
                write!(f, "`{address}` is no http or https address with a host in it (12005, 2150858901)")
            }
            Self::KerberosByAddress { host } => write!(
                f,
                "hosts cannot use Kerberos with the address `{host}` (2150859019); use the name that the service principal has"
            ),
            Self::Localhost => f.write_str("`localhost` is the host's own machine (2150859022); use this machine's name"),
        }
    }
}

/// Problems of a subscription, its query included.
pub fn check(subscription: &Subscription) -> Vec<Problem> {
    let mut problems = check_query(&subscription.query);
    let chars = subscription.name.chars().count();
    let retry = subscription.retry;
    let locales = [&subscription.locale, &subscription.data_locale];
    let found = [
        subscription.name.trim().is_empty().then_some(Problem::NoName),
        (chars > NAME_CHARS_MAX).then_some(Problem::LongName { chars }),
        (subscription.max_envelope_bytes < ENVELOPE_BYTES_MIN)
            .then_some(Problem::SmallEnvelope { bytes: subscription.max_envelope_bytes }),
        (subscription.max_elements == Some(0)).then_some(Problem::NoElements),
        subscription.heartbeat.is_zero().then_some(Problem::NoHeartbeat),
        (retry.interval.is_zero() != (retry.total == 0)).then_some(Problem::HalfRetry),
        (!subscription.cdata).then_some(Problem::Parsed),
    ];
    problems.extend(found.into_iter().flatten());
    for name in locales.into_iter().flatten().filter(|name| !is_language(name)) {
        let problem = Problem::Locale { name: name.clone() };
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
    let bytes = subscription.wire_bytes();
    if bytes > ANSWER_BYTES_MAX {
        problems.push(Problem::LargeSubscription { bytes });
    }
    problems
}

/// Problems of a query list alone.
pub fn check_query(list: &QueryList) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (number, query) in list.queries.iter().enumerate() {
        let query_number = number + 1;
        let path = |part: &super::query::Part| {
            part.path.as_deref().or(query.path.as_deref()).unwrap_or_default().trim().to_owned()
        };
        let selects = |channel: &str| {
            let select = |part: &&super::query::Part| part.kind == PartKind::Select;
            query.parts.iter().filter(select).any(|part| path(part).eq_ignore_ascii_case(channel))
        };
        if !query.parts.iter().any(|part| part.kind == PartKind::Select) {
            problems.push(Problem::NothingSelected { query: query_number });
        }
        for part in &query.parts {
            let channel = path(part);
            if channel.is_empty() {
                problems.push(Problem::NoChannel { query: query_number });
                continue;
            }
            if part.kind == PartKind::Suppress && !selects(&channel) {
                problems.push(Problem::SuppressAlone { channel: channel.clone() });
            }
            check_part(channel, &part.xpath, &mut problems);
        }
    }
    let count = list.channels().len();
    if count > CHANNELS_MAX {
        problems.push(Problem::TooManyChannels { count });
    }
    problems
}

fn check_part(channel: String, xpath: &str, problems: &mut Vec<Problem>) {
    let lower = channel.to_ascii_lowercase();
    let of_channel = if lower.starts_with("file:") {
        Some(Problem::SavedLog { path: channel.clone() })
    } else if channel.contains(['*', '?']) {
        Some(Problem::Wildcard { path: channel.clone() })
    } else if lower.ends_with("/analytic") || lower.ends_with("/debug") {
        Some(Problem::DirectChannel { channel: channel.clone() })
    } else {
        None
    };
    problems.extend(of_channel.filter(|problem| !problems.contains(problem)));
    let count = expressions(xpath);
    if xpath.trim().is_empty() {
        problems.push(Problem::NoExpression { channel });
    } else if count > EXPRESSIONS_MAX {
        problems.push(Problem::TooManyExpressions { channel, count });
    }
}

/// Channels of `after` that `before` has not: their whole history comes.
pub fn check_change(before: &QueryList, after: &QueryList) -> Vec<Problem> {
    let known = before.channels();
    let is_new = |channel: &&str| !known.iter().any(|known| known.eq_ignore_ascii_case(channel));
    let added = after.channels().into_iter().filter(is_new);
    added.map(|channel| Problem::ChannelAdded { channel: channel.to_owned() }).collect()
}

/// Problems of the address hosts are sent to.
pub fn check_endpoint(endpoint: &Endpoint) -> Vec<Problem> {
    let address = endpoint.address.as_str();
    let host = address.split_once("://").and_then(|(scheme, rest)| {
        let known = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = match authority.strip_prefix('[') {
            Some(bracketed) => bracketed.split(']').next().unwrap_or_default(),
            None => authority.split(':').next().unwrap_or_default(),
        };
        (known && !host.is_empty()).then_some(host)
    });
    let Some(host) = host else { return vec![Problem::Scheme { address: address.to_owned() }] };
    let kerberos = matches!(endpoint.policy, Policy::KerberosHttp | Policy::KerberosHttps);
    let mut problems = Vec::new();
    if kerberos && host.parse::<std::net::IpAddr>().is_ok() {
        problems.push(Problem::KerberosByAddress { host: host.to_owned() });
    }
    if host.eq_ignore_ascii_case("localhost") {
        problems.push(Problem::Localhost);
    }
    problems
}

/// How many comparisons an expression makes: one more than it has `and` and `or` outside of quotes.
fn expressions(xpath: &str) -> usize {
    let (mut count, mut quote, mut word) = (1, None, String::new());
    for c in xpath.chars().chain([' ']) {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '@') => {
                word.push(c);
                continue;
            }
            None => {
                count += usize::from(word == "and" || word == "or");
                quote = matches!(c, '\'' | '"').then_some(c);
            }
        }
        word.clear();
    }
    count
}

/// The shape of a language tag (RFC 5646): letters, then letters and digits between hyphens.
fn is_language(name: &str) -> bool {
    let mut parts = name.split('-');
    let first = parts.next().unwrap_or_default();
    let letters = (2..=8).contains(&first.len()) && first.bytes().all(|byte| byte.is_ascii_alphabetic());
    letters
        && parts.all(|part| {
            (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
