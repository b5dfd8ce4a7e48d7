//! Topics before they are written: made where that is asked for, and looked for by a probe.
//!
//! Must not know: batches but for their routes.

use super::producer::{self, Context};
use super::trouble::{Kind, Teller};
use super::window::Answers;
use super::{Checked, Config, Create};
use crate::finding::Finding;
use crate::sink::Encoded;
use crate::sink::path::ROUTES_MAX;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::producer::{BaseProducer, Producer as _};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tracing::info;

/// What making topics, and a probe, may take.
const ANSWER: Duration = Duration::from_secs(10);

/// Those that are known to be there.
pub(super) struct Topics {
    create: Option<Create>,
    known: HashSet<Box<str>>,
}

impl Topics {
    pub(super) fn new(create: Option<Create>) -> Self {
        Self { create, known: HashSet::new() }
    }

    /// Makes those of the batch that are not known, where that is asked for. One that cannot be made for good
    /// is told, and may be there all the same.
    ///
    /// # Errors
    /// Why it could not be tried.
    pub(super) async fn make(
        &mut self,
        batch: &Encoded,
        config: &Config,
        checked: &Checked,
        teller: &Arc<Teller>,
    ) -> Result<(), String> {
        let Some(create) = self.create else { return Ok(()) };
        let new: Vec<Box<str>> =
            batch.routes.iter().filter(|route| !self.known.contains(*route)).cloned().collect();
        if new.is_empty() {
            return Ok(());
        }
        let client = producer::with_secrets(config, &of_admin(checked))?;
        let context = Context::new(config, teller, &Arc::default());
        let (runtime, topics, teller) = (Handle::current(), new.clone(), Arc::clone(teller));
        let made = tokio::task::spawn_blocking(move || -> Result<(), String> {
            let admin: AdminClient<Context> =
                client.create_with_context(context).map_err(|error| error.to_string())?;
            let replication = create.replication.map_or(-1, i32::from);
            let asked: Vec<NewTopic<'_>> = topics
                .iter()
                .map(|topic| {
                    NewTopic::new(topic, create.partitions.into(), TopicReplication::Fixed(replication))
                })
                .collect();
            let options = AdminOptions::new().request_timeout(Some(ANSWER)).operation_timeout(Some(ANSWER));
            let answers = runtime.block_on(admin.create_topics(&asked, &options));
            for answer in answers.map_err(|error| error.to_string())? {
                match answer {
                    Ok(topic) => info!(output = &*teller.output, topic, "topic made"),
                    Err((_, Code::TopicAlreadyExists)) => {}
                    Err((topic, code)) => {
                        let words = format!("`{topic}` could not be made: {code}");
                        teller.tell(&super::trouble::Trouble { kind: Kind::NoTopic, words });
                    }
                }
            }
            Ok(())
        });
        made.await.map_err(|ended| ended.to_string())??;
        if self.known.len() + new.len() > 2 * ROUTES_MAX {
            self.known.clear();
        }
        self.known.extend(new);
        Ok(())
    }
}

/// What a client needs that sends nothing.
fn of_admin(checked: &Checked) -> std::collections::BTreeMap<String, String> {
    let ways = ["bootstrap.servers", "client.id", "security.protocol", "debug"];
    let is_needed = |name: &str| {
        ways.contains(&name)
            || ["ssl.", "sasl.", "enable.ssl", "socket.", "broker."].iter().any(|of| name.starts_with(of))
    };
    let all = checked.properties.iter();
    all.filter(|(name, _)| is_needed(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Whether brokers can be reached, take the sign-in and have the topic. Makes nothing.
pub(super) fn probe(config: &Config, output: &str) -> Vec<Finding> {
    // What cannot be is told by `check`.
    let Ok(checked) = config.checked() else { return Vec::new() };
    let teller = Arc::new(Teller::alone(output, config.brokers.join(", ")));
    let found = |kind: Kind, why: String| vec![kind.finding(output, why)];
    let client = match producer::with_secrets(config, &of_admin(&checked)) {
        Ok(client) => client,
        Err(why) => return found(Kind::SignIn, why),
    };
    let context = Context::new(config, &teller, &Arc::new(Answers::default()));
    let client: BaseProducer<Context> = match client.create_with_context(context) {
        Ok(client) => client,
        Err(error) => return found(Kind::Producer, error.to_string()),
    };
    let begun = Instant::now();
    // All of them, because asking for one may make it.
    let metadata = loop {
        // Tokens are asked for, and errors told, where somebody polls.
        client.poll(Duration::from_millis(100));
        match client.client().fetch_metadata(None, Duration::from_secs(2)) {
            Ok(metadata) => break metadata,
            Err(error) => {
                client.poll(Duration::from_millis(100));
                let last = teller.last();
                let is_known = last.as_ref().is_some_and(|last| last.kind.is_lasting());
                if is_known || begun.elapsed() > ANSWER {
                    let (kind, why) = match last {
                        Some(last) => (last.kind, last.words),
                        None => (Kind::Unreachable, error.to_string()),
                    };
                    return found(kind, why);
                }
            }
        }
    };
    let is_there = || metadata.topics().iter().any(|topic| topic.name() == config.topic);
    if checked.topic.is_fixed() && config.create.is_none() && !is_there() {
        return found(Kind::NoTopic, format!("`{}` is not there, or not for this user to see", config.topic));
    }
    Vec::new()
}
