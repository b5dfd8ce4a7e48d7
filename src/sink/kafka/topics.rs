//! Topics before they are written: made where that is asked for, and looked for by a probe.
//!
//! Brokers are asked which topics they have before they are asked to make any: who may only write is let be, and
//! what is wrong with the way there is said by a client that hears of it.
//! Must not know: batches but for their routes.

use super::admin;
use super::producer::{self, Context};
use super::trouble::{Kind, Teller, Trouble};
use super::{Checked, Config, Create};
use crate::finding::Finding;
use crate::sink::Encoded;
use crate::sink::path::ROUTES_MAX;
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::metadata::Metadata;
use rdkafka::producer::{BaseProducer, Producer as _};
use rdkafka::types::RDKafkaRespErr;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::Instant;
use tracing::info;

/// What looking for topics, and making them, may take.
pub(super) const ANSWER: Duration = Duration::from_secs(10);
/// How long one that could not be made is let be.
pub(super) const AGAIN: Duration = Duration::from_secs(10);

/// Those that are known to be there, and those that could not be made.
pub(super) struct Topics {
    create: Option<Create>,
    known: HashSet<Box<str>>,
    /// When it was tried, and why it was not made.
    missed: HashMap<Box<str>, (Instant, Trouble)>,
}

/// What became of one that was to be there.
type Made = (Box<str>, Result<(), Trouble>);

impl Topics {
    pub(super) fn new(create: Option<Create>) -> Self {
        Self { create, known: HashSet::new(), missed: HashMap::new() }
    }

    /// Makes those of the batch that are not there, where that is asked for. One that cannot be made is told, may
    /// be there all the same, and is tried again after a while.
    ///
    /// # Errors
    /// Why it could not be tried.
    pub(super) async fn make(
        &mut self,
        batch: &Encoded,
        config: &Config,
        checked: &Checked,
        teller: &Arc<Teller>,
        now: Instant,
    ) -> Result<(), Trouble> {
        let Some(create) = self.create else { return Ok(()) };
        let waits = |at: Instant| now.saturating_duration_since(at) < AGAIN;
        let is_new = |route: &str| {
            !self.known.contains(route) && !self.missed.get(route).is_some_and(|(at, _)| waits(*at))
        };
        let new: Vec<Box<str>> = batch.routes.iter().filter(|route| is_new(route)).cloned().collect();
        if new.is_empty() {
            return Ok(());
        }
        let (config, checked, teller, runtime) =
            (config.clone(), checked.clone(), Arc::clone(teller), Handle::current());
        let all = tokio::task::spawn_blocking(move || {
            let made = made(&runtime, new, create, &config, &checked, &teller)?;
            made.iter().filter_map(|(_, made)| made.as_ref().err()).for_each(|trouble| teller.tell(trouble));
            Ok(made)
        });
        let cut_off = |error: tokio::task::JoinError| Trouble { kind: Kind::Other, words: error.to_string() };
        for (topic, made) in all.await.map_err(cut_off)?? {
            if let Err(trouble) = made {
                self.missed.insert(topic, (now, trouble));
            } else {
                self.missed.remove(&topic);
                self.known.insert(topic);
            }
        }
        if self.known.len() + self.missed.len() > 2 * ROUTES_MAX {
            (self.known, self.missed) = Default::default();
        }
        Ok(())
    }

    /// The batch is done: what was taken went somewhere, also where it could not be made.
    pub(super) fn are_there(&mut self, batch: &Encoded, is_taken: impl Fn(usize) -> bool) {
        if self.missed.is_empty() {
            return;
        }
        for (_, item) in batch.items.iter().enumerate().filter(|(message, _)| is_taken(*message)) {
            let route = batch.routes.get(item.route as usize);
            if let Some((topic, _)) = route.and_then(|route| self.missed.remove_entry(route)) {
                self.known.insert(topic);
            }
        }
    }

    /// One of the batch is not there any more: all of them are looked for again.
    pub(super) fn may_be_gone(&mut self, batch: &Encoded) {
        for route in &batch.routes {
            self.known.remove(route);
        }
    }

    /// Why one of the batch could not be made.
    pub(super) fn missed(&self, batch: &Encoded) -> Option<Trouble> {
        batch.routes.iter().find_map(|route| self.missed.get(route)).map(|(_, trouble)| trouble.clone())
    }
}

/// Makes those of the topics that are not there.
///
/// # Errors
/// Why it could not be tried.
fn made(
    runtime: &Handle,
    topics: Vec<Box<str>>,
    create: Create,
    config: &Config,
    checked: &Checked,
    teller: &Arc<Teller>,
) -> Result<Vec<Made>, Trouble> {
    let metadata = look(config, checked, teller)?;
    let (there, new): (Vec<_>, Vec<_>) = topics.into_iter().partition(|topic| is_there(&metadata, topic));
    let mut all: Vec<Made> = there.into_iter().map(|topic| (topic, Ok(()))).collect();
    if new.is_empty() {
        return Ok(all);
    }
    let client = producer::with_secrets(config, &of_admin(checked)).map_err(sign_in)?;
    let context = Context::new(config, teller, &Arc::default());
    for answer in runtime.block_on(admin::make(&client, context, &new, create))? {
        let (topic, made) = match answer {
            Ok(topic) => {
                info!(output = &*teller.output, topic, "topic made");
                (topic, Ok(()))
            }
            Err((topic, Code::TopicAlreadyExists)) => (topic, Ok(())),
            Err((topic, code)) => {
                let (kind, words) = (kind_of(code), format!("`{topic}` could not be made: {code}"));
                (topic, Err(Trouble { kind, words }))
            }
        };
        all.push((topic.into(), made));
    }
    Ok(all)
}

/// What it means where a topic was to be made.
pub(super) fn kind_of(code: Code) -> Kind {
    match Kind::of(code) {
        Kind::Forbidden => Kind::MayNotMake,
        Kind::Unreachable => Kind::Unreachable,
        _ => Kind::NotMade,
    }
}

/// What a client needs that sends nothing.
fn of_admin(checked: &Checked) -> BTreeMap<String, String> {
    let ways = ["bootstrap.servers", "client.id", "security.protocol", "debug"];
    let is_needed = |name: &str| {
        ways.contains(&name)
            || ["ssl.", "sasl.", "enable.ssl", "socket.", "broker."].iter().any(|of| name.starts_with(of))
    };
    let all = checked.properties.iter();
    all.filter(|(name, _)| is_needed(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The topics of the brokers: all of them, because asking for one may make it. Asked by a client of its own, which
/// polls: tokens are asked for, and errors told, where somebody does.
///
/// # Errors
/// Why brokers do not say.
fn look(config: &Config, checked: &Checked, teller: &Arc<Teller>) -> Result<Metadata, Trouble> {
    let client = producer::with_secrets(config, &of_admin(checked)).map_err(sign_in)?;
    let context = Context::new(config, teller, &Arc::default());
    let client: BaseProducer<Context> = client
        .create_with_context(context)
        .map_err(|error| Trouble { kind: Kind::Producer, words: error.to_string() })?;
    let begun = Instant::now();
    loop {
        client.poll(Duration::from_millis(100));
        match client.client().fetch_metadata(None, Duration::from_secs(2)) {
            Ok(metadata) => return Ok(metadata),
            Err(error) => {
                client.poll(Duration::from_millis(100));
                let last = teller.last();
                let is_known = last.as_ref().is_some_and(|last| last.kind.is_lasting());
                if is_known || begun.elapsed() > ANSWER {
                    let unreachable = || Trouble { kind: Kind::Unreachable, words: error.to_string() };
                    return Err(last.unwrap_or_else(unreachable));
                }
            }
        }
    }
}

fn is_there(metadata: &Metadata, name: &str) -> bool {
    let gone = Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    metadata.topics().iter().any(|topic| topic.name() == name && topic.error() != gone)
}

fn sign_in(words: String) -> Trouble {
    Trouble { kind: Kind::SignIn, words }
}

/// Whether brokers can be reached, take the sign-in and have the topic. Makes nothing.
pub(super) fn probe(config: &Config, output: &str) -> Vec<Finding> {
    // What cannot be is told by `check`.
    let Ok(checked) = config.checked() else { return Vec::new() };
    let teller = Arc::new(Teller::alone(output, config.brokers.join(", ")));
    match look(config, &checked, &teller) {
        Err(Trouble { kind, words }) => vec![kind.finding(output, words)],
        Ok(metadata)
            if checked.topic.is_fixed() && config.create.is_none() && !is_there(&metadata, &config.topic) =>
        {
            let why = format!("`{}` is not there, or not for this user to see", config.topic);
            vec![Kind::NoTopic.finding(output, why)]
        }
        Ok(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Timestamp;
    use crate::sink::Item;

    #[test]
    fn what_was_not_taken_makes_no_topic_known_and_one_that_is_gone_is_looked_for_again() {
        let item = |route| Item { range: 0..0, head: 0, id: None, time: Timestamp(0), route };
        let routes = vec!["a".into(), "b".into()];
        let batch = Encoded { bytes: Vec::new().into(), items: vec![item(0), item(1)], routes };
        let mut topics = Topics::new(None);
        for topic in ["a", "b"] {
            let trouble = Trouble { kind: Kind::NotMade, words: "no".into() };
            topics.missed.insert(topic.into(), (Instant::now(), trouble));
        }
        topics.are_there(&batch, |message| message == 0);
        assert!(topics.known.contains("a") && !topics.known.contains("b"));
        assert!(topics.missed.contains_key("b") && topics.missed(&batch).is_some());
        topics.may_be_gone(&batch);
        assert!(topics.known.is_empty());
    }
}
