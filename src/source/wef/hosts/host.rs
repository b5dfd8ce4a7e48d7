//! What is known of one host.

use crate::event::Timestamp;
use crate::source::wef::run::{self, Run};
use crate::wsman::Guid;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::Duration;

/// One machine. Times are zero for never.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::source::wef) struct Host {
    /// As it signed in last.
    pub(in crate::source::wef) name: Box<str>,
    pub(in crate::source::wef) address: Option<IpAddr>,
    #[serde(with = "Moment")]
    pub(in crate::source::wef) first_seen: Timestamp,
    /// Any message.
    #[serde(with = "Moment")]
    pub(in crate::source::wef) last_seen: Timestamp,
    /// When its newest event was created.
    #[serde(with = "Moment")]
    pub(in crate::source::wef) last_event: Timestamp,
    #[serde(with = "Moment")]
    pub(in crate::source::wef) last_enumerate: Timestamp,
    pub(in crate::source::wef) events: u64,
    pub(in crate::source::wef) bytes: u64,
    pub(in crate::source::wef) deliveries: u64,
    /// Deliveries that had been kept before, and were only acknowledged again.
    pub(in crate::source::wef) resent: u64,
    /// Deliveries that were not taken.
    pub(in crate::source::wef) refused: u64,
    /// Events that the host says it left out.
    pub(in crate::source::wef) dropped: u64,
    /// Times that it began a subscription without a bookmark.
    pub(in crate::source::wef) started: u64,
    pub(in crate::source::wef) undecodable: u64,
    /// Events that name another computer.
    pub(in crate::source::wef) foreign: u64,
    /// Received minus created, of the newest event of the last delivery.
    pub(in crate::source::wef) lag_millis: u64,
    pub(in crate::source::wef) findings: u64,
    pub(in crate::source::wef) last_finding: Option<Box<str>>,
    pub(in crate::source::wef) subscriptions: Vec<Subscription>,
    /// What was found of it lately, by kind: the same is told again only after a while.
    #[serde(skip)]
    pub(super) told: Vec<(&'static str, Timestamp)>,
}

/// One subscription of a host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::source::wef) struct Subscription {
    #[serde(with = "written")]
    pub(in crate::source::wef) id: Option<Guid>,
    /// That the host runs, as far as it said.
    #[serde(with = "written")]
    pub(in crate::source::wef) version: Option<Guid>,
    /// That it was told last.
    #[serde(with = "written")]
    pub(in crate::source::wef) offered: Option<Guid>,
    #[serde(with = "Moment")]
    pub(in crate::source::wef) last_seen: Timestamp,
    /// When it was last given a bookmark, and has not delivered since.
    #[serde(with = "Moment")]
    pub(in crate::source::wef) bookmark_given: Timestamp,
    pub(in crate::source::wef) heartbeat_seconds: u64,
    /// Why the host gave it up, until it comes back.
    pub(in crate::source::wef) ended: Option<Box<str>>,
    pub(in crate::source::wef) channels: Vec<Channel>,
}

/// One log of a host, as one subscription sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::source::wef) struct Channel {
    pub(in crate::source::wef) name: Box<str>,
    /// Record id of the last event.
    pub(in crate::source::wef) record: u64,
    #[serde(with = "Moment")]
    pub(in crate::source::wef) at: Timestamp,
    /// Gaps in the record ids, and how many are missing. None: the query leaves events out, so gaps say
    /// nothing.
    pub(in crate::source::wef) gaps: Option<u64>,
    pub(in crate::source::wef) missing: Option<u64>,
    /// Times that the log was cleared.
    pub(in crate::source::wef) resets: u64,
    /// Who sent the last event.
    #[serde(skip)]
    from: Option<IpAddr>,
    /// Who sent before, and the last record id from there.
    #[serde(skip)]
    before: Option<(IpAddr, u64)>,
}

impl Host {
    /// Notes the name and address it has now.
    pub(in crate::source::wef) fn signed_in(&mut self, name: &str, address: IpAddr) {
        self.address = Some(address);
        if *self.name != *name {
            self.name = name.into();
        }
    }

    /// The subscription's entry, made when there is none.
    pub(in crate::source::wef) fn subscription(&mut self, id: Guid) -> &mut Subscription {
        let id = Some(id);
        let index = match self.subscriptions.iter().position(|known| known.id == id) {
            Some(index) => index,
            None => {
                self.subscriptions.push(Subscription { id, ..Subscription::default() });
                self.subscriptions.len() - 1
            }
        };
        &mut self.subscriptions[index]
    }

    /// Whether it is time to tell something of this kind again.
    pub(super) fn may_tell(&mut self, kind: &'static str, now: Timestamp) -> bool {
        match self.told.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, last)) if now.0.saturating_sub(last.0) < nanos(TELL_AGAIN) => false,
            Some((_, last)) => {
                *last = now;
                true
            }
            None => {
                self.told.push((kind, now));
                true
            }
        }
    }
}

impl Subscription {
    /// Heartbeats that should have come since it was heard last.
    pub(in crate::source::wef) fn heartbeats_missed(&self, now: Timestamp) -> u64 {
        let silent = u64::try_from(now.0.saturating_sub(self.last_seen.0)).unwrap_or_default();
        let interval = self.heartbeat_seconds.saturating_mul(1_000_000_000);
        // A heartbeat is due an interval after the last message, and may be on its way.
        silent.saturating_sub(nanos(GRACE).unsigned_abs()).checked_div(interval).unwrap_or_default()
    }

    /// Notes the events of one channel that were kept; `is_whole` when the query leaves none out. The
    /// address of another machine, when two send under one name.
    pub(in crate::source::wef) fn note(
        &mut self,
        run: &Run,
        is_whole: bool,
        address: IpAddr,
    ) -> Option<IpAddr> {
        let channel = match self.channels.iter().position(|known| known.name == run.channel) {
            Some(index) => &mut self.channels[index],
            None if self.channels.len() == CHANNELS_MAX => return None,
            None => {
                self.channels.push(Channel {
                    name: run.channel.clone(),
                    record: run.first.saturating_sub(1),
                    at: run.first_at.unwrap_or_default(),
                    ..Channel::default()
                });
                let last = self.channels.len() - 1;
                &mut self.channels[last]
            }
        };
        let other = channel.other(run, address);
        let (mut gaps, mut missing) = (run.gaps, run.missing);
        channel.resets += run.resets;
        if run.first > channel.record {
            gaps += u64::from(run.first > channel.record + 1);
            missing += run.first - channel.record - 1;
        } else if run::is_reset(Some(channel.at), run.first_at) {
            channel.resets += 1;
        } else if run.last <= channel.record {
            // Sent again, all of it.
            return None;
        }
        if channel.from != Some(address) {
            channel.before = channel.from.map(|from| (from, channel.record));
            channel.from = Some(address);
        }
        channel.record = run.last;
        channel.at = run.last_at.unwrap_or(channel.at);
        if is_whole {
            *channel.gaps.get_or_insert_default() += gaps;
            *channel.missing.get_or_insert_default() += missing;
        } else {
            (channel.gaps, channel.missing) = (None, None);
        }
        other
    }
}

impl Channel {
    /// Whose record ids these do not go on from, though they do from those that came from this address
    /// before: one machine may move, and its log may be cleared, but then it does not go back to both.
    fn other(&self, run: &Run, address: IpAddr) -> Option<IpAddr> {
        let (before, record) = self.before.filter(|(before, _)| *before == address)?;
        let is_back = run.first <= self.record && run::is_reset(Some(self.at), run.first_at);
        let from = self.from.filter(|from| *from != before)?;
        (is_back && run.first > record).then_some(from)
    }
}

pub(super) fn nanos(span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}

/// How long a message may be on its way before it counts as missed.
const GRACE: Duration = Duration::from_secs(30);
/// The same kind of finding about a host is told this often.
const TELL_AGAIN: Duration = Duration::from_secs(600);
/// Channels of a subscription that are followed; Windows allows 256.
const CHANNELS_MAX: usize = 256;

#[derive(Serialize, Deserialize)]
#[serde(remote = "Timestamp")]
struct Moment(i64);

/// GUIDs as their text.
mod written {
    use crate::wsman::Guid;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "serde hands it over so")]
    pub(super) fn serialize<S: Serializer>(guid: &Option<Guid>, to: S) -> Result<S::Ok, S::Error> {
        match guid {
            Some(guid) => to.collect_str(guid),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Guid>, D::Error> {
        let text: Option<String> = Option::deserialize(from)?;
        Ok(text.as_deref().and_then(Guid::parse))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);

    fn run(first: u64, last: u64, second: i64) -> Run {
        let at = |second: i64| Some(Timestamp(second * 1_000_000_000));
        Run {
            channel: "System".into(),
            first,
            last,
            first_at: at(second),
            last_at: at(second + 1),
            gaps: 0,
            missing: 0,
            resets: 0,
        }
    }

    #[track_caller]
    fn check(runs: &[Run], expected: (u64, Option<u64>, Option<u64>, u64)) {
        let mut subscription = Subscription::default();
        runs.iter().for_each(|run| {
            subscription.note(run, true, HERE);
        });
        let channel = &subscription.channels[0];
        assert_eq!((channel.record, channel.gaps, channel.missing, channel.resets), expected);
    }

    #[test]
    fn record_ids_go_on_from_delivery_to_delivery() {
        check(&[run(5, 9, 0), run(10, 12, 5)], (12, Some(0), Some(0), 0));
        check(&[run(5, 9, 0), run(13, 14, 5)], (14, Some(1), Some(3), 0));
    }

    #[test]
    fn a_cleared_log_is_a_reset_and_a_repetition_is_none() {
        check(&[run(500, 900, 0), run(1, 3, 5)], (3, Some(0), Some(0), 1));
        check(&[run(5, 9, 10), run(5, 9, 10)], (9, Some(0), Some(0), 0));
        check(&[run(5, 9, 10), run(7, 12, 10)], (12, Some(0), Some(0), 0));
    }

    /// Two machines of one name, when the last of these runs came.
    #[track_caller]
    fn two(runs: &[(Run, IpAddr)], expected: Option<IpAddr>) {
        let mut subscription = Subscription::default();
        let mut found = None;
        for (run, address) in runs {
            assert_eq!(found, None, "too early");
            found = subscription.note(run, true, *address);
        }
        assert_eq!(found, expected);
    }

    #[test]
    fn record_ids_of_two_addresses_in_turns_are_two_machines() {
        let low = [(run(5, 9, 0), HERE), (run(5000, 5009, 1), THERE), (run(10, 12, 5), HERE)];
        two(&low, Some(THERE));
        let (high, more) = ((run(5010, 5012, 0), HERE), (run(5013, 5014, 20), HERE));
        two(&[high, (run(5, 9, 5), THERE), more, (run(10, 12, 30), THERE)], Some(HERE));
    }

    #[test]
    fn a_machine_that_moves_is_one() {
        let moves = [(run(5, 9, 0), HERE), (run(10, 12, 1), THERE), (run(13, 14, 5), HERE)];
        two(&moves, None);
        let cleared = [(run(500, 900, 0), HERE), (run(1, 9, 2), THERE), (run(10, 12, 5), HERE)];
        two(&cleared, None);
        let repeats = [(run(5, 9, 0), HERE), (run(10, 12, 5), THERE), (run(10, 14, 5), HERE)];
        two(&repeats, None);
    }

    #[test]
    fn gaps_say_nothing_where_the_query_leaves_events_out() {
        let mut subscription = Subscription::default();
        subscription.note(&run(5, 9, 0), false, HERE);
        subscription.note(&run(100, 101, 5), false, HERE);
        let channel = &subscription.channels[0];
        assert_eq!((channel.record, channel.gaps, channel.missing), (101, None, None));
    }

    #[test]
    fn heartbeats_are_missed_when_an_interval_is_over() {
        let subscription = Subscription { heartbeat_seconds: 60, ..Subscription::default() };
        let missed = |seconds: i64| subscription.heartbeats_missed(Timestamp(seconds * 1_000_000_000));
        assert_eq!([missed(0), missed(61), missed(91), missed(151), missed(600)], [0, 0, 1, 2, 9]);
        assert_eq!(Subscription::default().heartbeats_missed(Timestamp(i64::MAX)), 0);
    }

    #[test]
    fn the_same_kind_of_trouble_is_told_once_in_a_while() {
        let mut host = Host::default();
        let at = |seconds: i64| Timestamp(seconds * 1_000_000_000);
        assert!(host.may_tell("length", at(1)) && !host.may_tell("length", at(2)));
        assert!(host.may_tell("bookmark", at(2)) && host.may_tell("length", at(700)));
    }
}
