//! What was written as values of the protocol, and what hosts would make of it.

use super::channels;
use super::doubt::{Doubt, Doubts};
use super::hosts::Hosts;
use super::written::{Config, Format, Oversize, Preset};
use super::{Subscribed, id, same_path};
use crate::wsman::check::{self, ANSWER_BYTES_MAX, Problem, Severity};
use crate::wsman::subscription::{self, Content, Retry};
use crate::wsman::{Guid, Subscription};
use std::collections::BTreeMap;
use std::time::Duration;

/// Longest time that Windows can count, in milliseconds of 32 bits.
const TIME_MAX: Duration = Duration::from_millis(u32::MAX as u64);
/// Most subscriptions of a source; what an answer holds is about 50.
const SUBSCRIPTIONS_MAX: usize = crate::wsman::answer::SUBSCRIPTIONS_MAX;

/// Those that are right, and everything that is wrong or doubtful.
pub(super) fn check(source: &str, written: &BTreeMap<String, Config>) -> (Vec<Subscribed>, Vec<Doubt>) {
    let (mut all, mut told) = (Vec::new(), Vec::new());
    for (name, config) in written {
        let mut doubts = Doubts::of(name);
        let subscribed = subscribed(source, name, config, &mut doubts);
        all.extend(subscribed.filter(|_| !doubts.has_errors()));
        told.extend(doubts.into_all());
    }
    told.extend(twice(&all));
    let mut doubts = Doubts::default();
    together(&all, &mut doubts);
    told.extend(doubts.into_all());
    (all, told)
}

fn subscribed(source: &str, name: &str, config: &Config, doubts: &mut Doubts) -> Option<Subscribed> {
    let id = match &config.id {
        None => Some(id(source, name)),
        Some(text) => Guid::parse(text),
    };
    if id.is_none() {
        let what =
            "this is no GUID; write one such as `219C5353-5F3D-4CD7-A644-F6B69E57C1C1`, or leave it out";
        doubts.error(&["id"], what);
    }
    if name.chars().any(char::is_control) {
        doubts.error(&[], "the name holds control characters; hosts show it in their log");
    }
    if config.uri.as_ref().is_some_and(|uri| !uri.starts_with('/') || uri.contains(char::is_whitespace)) {
        doubts.error(
            &["uri"],
            "this is no path; write what follows the port in the group policy, such as `/wsman/servers`",
        );
    }
    for (key, span) in
        [("max_time", config.max_time), ("heartbeat", config.heartbeat), ("expires", config.expires)]
    {
        if span.is_some_and(|span| span.0 > TIME_MAX) {
            doubts.error(&[key], "longer than hosts can count; write 49d or less");
        }
    }
    if config.expires.is_some_and(|span| span.0.is_zero()) {
        doubts.error(&["expires"], "hosts would give it up at once; write a day or more, or leave it out");
    }
    let hosts = Hosts::new(&config.enabled_for, doubts);
    let query = config.query.compile(doubts)?;
    let subscription = subscription(name, config, query);
    for problem in check::check(&subscription) {
        tell(&problem, config, doubts);
    }
    for channel in subscription.query.channels() {
        let is_own = config.own_channels.iter().any(|own| own.eq_ignore_ascii_case(channel));
        if !is_own && let Some(what) = channels::doubt(channel) {
            doubts.warning(&keys_of_channel(config, channel), what);
        }
    }
    Some(Subscribed {
        id: id?,
        name: name.into(),
        subscription,
        hosts,
        uri: config.uri.as_deref().map(Into::into),
    })
}

fn subscription(name: &str, config: &Config, query: crate::wsman::QueryList) -> Subscription {
    let (max_time, heartbeat) = match config.preset {
        Preset::Normal => (900, 900),
        Preset::MinLatency => (30, 3600),
        Preset::MinBandwidth => (21_600, 21_600),
    };
    let locale = (config.locale != "host").then(|| config.locale.clone());
    let data_locale = match config.data_locale.as_deref() {
        Some("host") => None,
        Some(name) => Some(name.to_owned()),
        None => locale.clone(),
    };
    Subscription {
        name: name.into(),
        query,
        content: match config.format {
            Format::RenderedText => Content::RenderedText,
            Format::Raw => Content::Raw,
        },
        read_existing: config.read_existing,
        compressed: config.compression,
        heartbeat: config.heartbeat.map_or_else(|| Duration::from_secs(heartbeat), |span| span.0),
        max_time: config.max_time.map_or_else(|| Duration::from_secs(max_time), |span| span.0),
        max_elements: config.max_elements,
        max_envelope_bytes: u32::try_from(config.max_envelope.0).unwrap_or(u32::MAX),
        oversize: match config.oversize {
            Oversize::Notify => subscription::Oversize::Notify,
            Oversize::Skip => subscription::Oversize::Skip,
            Oversize::CancelSubscription => subscription::Oversize::CancelSubscription,
        },
        retry: Retry { interval: config.retry.interval.0, total: config.retry.total },
        locale,
        data_locale,
        expires: config.expires.map(|span| span.0),
        ..Subscription::default()
    }
}

fn tell(problem: &Problem, config: &Config, doubts: &mut Doubts) {
    let keys = match problem {
        Problem::SmallEnvelope { .. } => vec!["max_envelope"],
        Problem::NoElements => vec!["max_elements"],
        Problem::NoHeartbeat => vec!["heartbeat"],
        Problem::HalfRetry => vec!["retry"],
        Problem::Locale { name } if *name == config.locale => vec!["locale"],
        Problem::Locale { .. } => vec!["data_locale"],
        Problem::NoExpression { channel }
        | Problem::DirectChannel { channel }
        | Problem::TooManyExpressions { channel, .. }
        | Problem::SuppressAlone { channel } => keys_of_channel(config, channel),
        Problem::SavedLog { path } | Problem::Wildcard { path } => keys_of_channel(config, path),
        Problem::TooManyChannels { .. } | Problem::NothingSelected { .. } | Problem::NoChannel { .. } => {
            vec!["query"]
        }
        _ => Vec::new(),
    };
    match problem.severity() {
        Severity::Error => doubts.error(&keys, problem),
        Severity::Warning => doubts.warning(&keys, problem),
    }
}

/// Where a channel was written down.
fn keys_of_channel<'c>(config: &'c Config, channel: &str) -> Vec<&'c str> {
    let query = &config.query;
    let is = |written: &&String| written.trim().eq_ignore_ascii_case(channel);
    let found = [
        ("channels", query.channels.keys().find(is)),
        ("xpath", query.xpath.keys().find(is)),
        ("suppress", query.suppress.keys().find(is)),
    ];
    match found.into_iter().find_map(|(key, channel)| Some((key, channel?))) {
        Some((key, channel)) => vec!["query", key, channel.as_str()],
        None if query.xml.is_some() => vec!["query", "xml"],
        None if query.file.is_some() => vec!["query", "file"],
        None => vec!["query"],
    }
}

/// Hosts and bookmarks know a subscription by its id and, without case, by its name.
fn twice(all: &[Subscribed]) -> Vec<Doubt> {
    let mut told = Vec::new();
    for (index, one) in all.iter().enumerate() {
        let mut doubts = Doubts::of(&one.name);
        for other in &all[..index] {
            if one.id == other.id {
                doubts.error(&["id"], format_args!("`{}` has the same; each needs its own", other.name));
            }
            if one.name.to_lowercase() == other.name.to_lowercase() {
                doubts.error(
                    &[],
                    format_args!(
                        "`{}` has the same name but for its case; hosts do not tell them apart",
                        other.name
                    ),
                );
            }
        }
        told.extend(doubts.into_all());
    }
    told
}

/// A host gets all of its subscriptions in one answer.
fn together(all: &[Subscribed], doubts: &mut Doubts) {
    if all.len() > SUBSCRIPTIONS_MAX {
        let count = all.len();
        doubts.error(
            &[],
            format_args!("{count} subscriptions; at most {SUBSCRIPTIONS_MAX} are offered, join some"),
        );
    }
    let mut paths: Vec<&str> = all.iter().filter_map(|one| one.uri.as_deref()).collect();
    paths.push("");
    for path in paths {
        let offered = |one: &&Subscribed| one.uri.as_ref().is_none_or(|uri| same_path(uri, path));
        let bytes: usize = all.iter().filter(offered).map(|one| one.subscription.wire_bytes()).sum();
        let for_all = |one: &&Subscribed| offered(one) && one.hosts.is_everyone();
        let at_least: usize = all.iter().filter(for_all).map(|one| one.subscription.wire_bytes()).sum();
        let fix = "hosts refuse longer answers (2150858790); join queries, or use `enabled_for` and `uri`";
        if at_least > ANSWER_BYTES_MAX {
            doubts.error(
                &[],
                format_args!(
                    "every host gets {at_least} bytes of subscriptions, more than {ANSWER_BYTES_MAX}; {fix}"
                ),
            );
        } else if bytes > ANSWER_BYTES_MAX {
            doubts.warning(
                &[],
                format_args!("a host that gets all subscriptions gets {bytes} bytes, more than {ANSWER_BYTES_MAX}; {fix}"),
            );
        }
    }
}
