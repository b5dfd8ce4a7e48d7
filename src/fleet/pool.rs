//! All events that the fleet's hosts have: which template the nth event of a host is made of, of which
//! channel it is and which record id it has there. Nothing of it is stored for a host; all follows from
//! the seed, the host's number and n.
//!
//! ```text
//! n        0    1    2    3    4   …      channels take turns in a fixed pattern, over and over
//! channel  Sec  Sec  Sys  Sec  PS
//! record   1    2    1    3    1          counted from `first_record` in each channel
//! ```

use super::dice::{Dice, mixed};
use super::generate;
use super::template::Template;
use crate::event::{Timestamp, XmlEvent};
use crate::filter::FilterConfig;
use crate::wsman::QueryList;
use serde::{Deserialize, Serialize};

/// Where the events come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Made up: so many different ones.
    Generated { variants: usize },
    /// Read from these files, sent in their order.
    Replayed { files: Vec<std::path::PathBuf> },
}

#[derive(Debug)]
pub struct Pool {
    seed: u64,
    first_record: u64,
    pub(super) channels: Vec<Box<str>>,
    pub(super) templates: Vec<Template>,
    /// Templates of each channel.
    of_channel: Vec<Vec<u32>>,
    turns: Vec<Turn>,
    /// Turns of each channel in one round.
    per_round: Vec<u64>,
    in_order: bool,
}

/// One place in the pattern.
#[derive(Clone, Copy, Debug)]
struct Turn {
    channel: u16,
    /// How many turns of the same channel stand before it in the round.
    rank: u32,
    /// Its template, where events come in order.
    template: u32,
}

impl Pool {
    pub fn generated(seed: u64, variants: usize, first_record: u64) -> Self {
        let events = generate::events(seed, variants);
        let templates = events.iter().filter_map(|text| Template::new(text)).collect();
        let mut pool = Self::of(seed, first_record, templates);
        let mut order: Vec<u16> = Vec::new();
        for (name, turns) in generate::CHANNELS {
            let index = pool.channels.iter().position(|channel| **channel == *name).unwrap_or_default();
            order.extend(std::iter::repeat_n(index as u16, turns));
        }
        let mut dice = Dice::new(seed);
        for at in (1..order.len()).rev() {
            order.swap(at, dice.below(at + 1));
        }
        pool.set_turns(order.into_iter().map(|channel| (channel, 0)));
        pool
    }

    /// Of texts that were read, in their order; the number of those that no host can send.
    pub fn replayed<T: AsRef<str>>(texts: &[T], first_record: u64) -> (Self, usize) {
        let templates: Vec<Template> = texts.iter().filter_map(|text| Template::new(text.as_ref())).collect();
        let left_out = texts.len() - templates.len();
        let mut pool = Self::of(0, first_record, templates);
        pool.in_order = true;
        let order: Vec<(u16, u32)> = pool
            .templates
            .iter()
            .zip(0..)
            .map(|(template, index)| (pool.channel_of(&template.channel).unwrap_or_default(), index))
            .collect();
        pool.set_turns(order.into_iter());
        (pool, left_out)
    }

    fn of(seed: u64, first_record: u64, templates: Vec<Template>) -> Self {
        let (mut channels, mut of_channel): (Vec<Box<str>>, Vec<Vec<u32>>) = Default::default();
        for (template, index) in templates.iter().zip(0..) {
            let known = channels.iter().position(|channel| *channel == template.channel);
            let channel = known.unwrap_or_else(|| {
                channels.push(template.channel.clone());
                of_channel.push(Vec::new());
                channels.len() - 1
            });
            of_channel[channel].push(index);
        }
        let (turns, per_round) = (Vec::new(), Vec::new());
        Self { seed, first_record, channels, templates, of_channel, turns, per_round, in_order: false }
    }

    fn set_turns(&mut self, order: impl Iterator<Item = (u16, u32)>) {
        self.per_round = vec![0; self.channels.len()];
        for (channel, template) in order {
            let count = &mut self.per_round[usize::from(channel)];
            self.turns.push(Turn { channel, rank: *count as u32, template });
            *count += 1;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// After so many events the channels take turns anew.
    pub(super) fn round(&self) -> u64 {
        self.turns.len() as u64
    }

    /// Index of a channel; their names have no case.
    pub(super) fn channel_of(&self, name: &str) -> Option<u16> {
        let found = self.channels.iter().position(|channel| channel.eq_ignore_ascii_case(name));
        found.map(|index| index as u16)
    }

    /// Channel and record id of a host's nth event.
    pub(super) fn place(&self, n: u64) -> (u16, u64) {
        let (round, turn) = self.turn(n);
        let per_round = self.per_round[usize::from(turn.channel)];
        (turn.channel, self.first_record + round * per_round + u64::from(turn.rank))
    }

    /// What it is made of.
    pub(super) fn template(&self, host: u32, n: u64) -> u32 {
        let (_, turn) = self.turn(n);
        if self.in_order {
            return turn.template;
        }
        let among = &self.of_channel[usize::from(turn.channel)];
        let random = mixed(self.seed ^ mixed(u64::from(host) << 40 ^ n));
        among[(random % among.len() as u64) as usize]
    }

    /// The event of a channel with this record id, for those that are past `first_record`.
    pub(super) fn nth(&self, channel: u16, record: u64) -> Option<u64> {
        let per_round = *self.per_round.get(usize::from(channel)).filter(|count| **count > 0)?;
        let index = record.checked_sub(self.first_record)?;
        let (round, rank) = (index / per_round, index % per_round);
        let turn =
            self.turns.iter().position(|turn| turn.channel == channel && u64::from(turn.rank) == rank)?;
        Some(round * self.turns.len() as u64 + turn as u64)
    }

    fn turn(&self, n: u64) -> (u64, Turn) {
        let turns = self.turns.len() as u64;
        (n / turns, self.turns[(n % turns) as usize])
    }

    /// For each template whether a subscription wants it. What we cannot evaluate selects by channel alone,
    /// as a host would rather send too much than nothing.
    pub(super) fn wanted(&self, query: &QueryList) -> Vec<bool> {
        let mut text = String::new();
        query.write(&mut text);
        let config = FilterConfig { query: Some(text), ..FilterConfig::default() };
        let mut filter = config.compile().ok();
        let channels = query.channels();
        let wants = |template: &Template| {
            let of_channel = channels.iter().any(|channel| channel.eq_ignore_ascii_case(&template.channel));
            let event = XmlEvent::parse(template.original.as_bytes()).ok();
            match (&mut filter, event) {
                (Some(filter), Some(event)) => filter.keeps(&event, Timestamp(0)).unwrap_or(of_channel),
                _ => of_channel,
            }
        };
        self.templates.iter().map(wants).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_ids_count_in_each_channel_and_lead_back_to_the_event() {
        let pool = Pool::generated(5, 40, 100);
        let mut next = vec![100; pool.channels.len()];
        for n in 0..1000 {
            let (channel, record) = pool.place(n);
            assert_eq!(record, next[usize::from(channel)]);
            next[usize::from(channel)] += 1;
            assert_eq!(pool.nth(channel, record), Some(n));
            assert_eq!(
                pool.templates[pool.template(3, n) as usize].channel,
                pool.channels[usize::from(channel)]
            );
        }
        assert_eq!(pool.nth(0, 99), None);
        assert_ne!(
            (0..64).map(|n| pool.template(1, n)).collect::<Vec<_>>(),
            (0..64).map(|n| pool.template(2, n)).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_query_wants_what_its_expressions_select() {
        let pool = Pool::generated(5, 200, 1);
        let of = |xpath: &str, channel: &str| pool.wanted(&QueryList::of([(channel, xpath)]));
        let logons = of("*[System[EventID=4624]]", "security");
        let count = logons.iter().filter(|wanted| **wanted).count();
        assert!(count > 10 && count < 60, "{count}");
        for (template, wanted) in pool.templates.iter().zip(&logons) {
            assert_eq!(*wanted, template.original.contains("<EventID>4624<"));
        }
        assert!(of("*", "Setup").iter().all(|wanted| !wanted));
        let all_of_system = of("*", "System").iter().filter(|wanted| **wanted).count();
        assert!(all_of_system > 3);
    }

    #[test]
    fn replayed_events_come_in_their_order_again_and_again() {
        let texts = generate::events(1, 30);
        let mut with_odd = texts.clone();
        with_odd.insert(3, "<Event/>".into());
        let (pool, left_out) = Pool::replayed(&with_odd, 1);
        assert_eq!(left_out, 1);
        let again: Vec<&str> = (0..texts.len() as u64 * 2)
            .map(|n| &*pool.templates[pool.template(9, n) as usize].original)
            .collect();
        assert_eq!(again, [&texts[..], &texts[..]].concat());
    }
}
