//! What librdkafka says in errors, as findings: once until batches are taken again.
//!
//! Must not know: batches.

use crate::finding::Finding;
use crate::sink::Attachment;
use crate::telemetry::metrics::{KafkaMetrics, metrics};
use rdkafka::types::RDKafkaErrorCode as Code;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use tracing::debug;

/// What hears of everything that goes wrong with one output.
pub(super) struct Teller {
    pub(super) output: Arc<str>,
    pub(super) metrics: KafkaMetrics,
    report: Arc<dyn Fn(Finding) + Send + Sync>,
    brokers: String,
    now: Mutex<Now>,
}

/// Since batches were last taken.
#[derive(Default)]
struct Now {
    told: BTreeSet<Kind>,
    last: Option<Trouble>,
}

/// What goes wrong with the way to the brokers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) kind: Kind,
    /// In the words of librdkafka or of a broker.
    pub(super) words: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// No connection.
    Unreachable,
    /// A name that is not known.
    Unresolved,
    /// TLS was not agreed on.
    Tls,
    /// The sign-in was refused.
    SignIn,
    /// Signed in, and may not write.
    Forbidden,
    /// There is no such topic.
    NoTopic,
    /// A topic could not be made.
    NotMade,
    /// Signed in, and may not make topics.
    MayNotMake,
    /// Fewer copies than the topic wants.
    NoReplicas,
    /// The producer could not be made or go on.
    Producer,
    /// A broker takes less at a time than we send.
    TooLarge,
    /// It does not take the times of events.
    Time,
    Other,
}

impl Kind {
    pub(super) fn of(code: Code) -> Self {
        match code {
            Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::OperationTimedOut
            | Code::MessageTimedOut => Self::Unreachable,
            Code::Resolve => Self::Unresolved,
            Code::SSL => Self::Tls,
            Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism => {
                Self::SignIn
            }
            Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed => Self::Forbidden,
            Code::UnknownTopic
            | Code::UnknownPartition
            | Code::UnknownTopicOrPartition
            | Code::InvalidTopic => Self::NoTopic,
            Code::NotEnoughReplicas | Code::NotEnoughReplicasAfterAppend => Self::NoReplicas,
            Code::Fatal => Self::Producer,
            _ => Self::Other,
        }
    }

    /// Whether waiting for the same connection brings nothing.
    pub(super) fn is_lasting(self) -> bool {
        !matches!(self, Self::Other | Self::NoReplicas)
    }

    fn what(self, output: &str) -> String {
        let what = match self {
            Self::Unreachable => "cannot reach its Kafka brokers",
            Self::Unresolved => "does not find its Kafka brokers",
            Self::Tls => "does not agree on TLS with its Kafka brokers",
            Self::SignIn => "is not let in by its Kafka brokers",
            Self::Forbidden => "may not write to Kafka",
            Self::NoTopic => "has no topic to write to",
            Self::NotMade => "cannot make a topic in Kafka",
            Self::MayNotMake => "may not make a topic in Kafka",
            Self::NoReplicas => "waits for replicas of its topic",
            Self::Producer => "lost its Kafka producer, and makes a new one",
            Self::TooLarge => "sends larger message sets than a Kafka broker takes",
            Self::Time => {
                "has events whose time Kafka does not take, and sends them with the time of sending"
            }
            Self::Other => "is not taken by Kafka",
        };
        format!("output `{output}` {what}")
    }

    fn fix(self) -> &'static str {
        match self {
            Self::Unreachable => {
                "see that the brokers run, that `brokers` and their `advertised.listeners` are right from here, that \
                 `tls` is set where they want it, and no firewall is between; events wait in the basin"
            }
            Self::Unresolved => {
                "write names in `brokers` that this machine can look up; events wait in the basin"
            }
            Self::Tls => {
                "name the authority of their certificates in `tls.ca`, brokers by the names in these, and with \
                 `tls.certificate` our own where they ask for one; events wait in the basin"
            }
            Self::SignIn => {
                "see that user, password or token and the mechanism in `sasl` are those that the brokers know; a file \
                 that changes is read again; events wait in the basin"
            }
            Self::Forbidden => {
                "give this user `Write` and `Describe` on the topic (and `IdempotentWrite` on the cluster before Kafka \
                 2.8); events wait in the basin"
            }
            Self::NoTopic => {
                "make the topic, or have it made by `create = { partitions = 6 }` or by brokers \
                 (`auto.create.topics.enable`); events wait in the basin"
            }
            Self::NotMade => {
                "see that all brokers run, and that `create` asks for no more copies than there are brokers and what \
                 their policy allows, or make the topic by hand; it is tried again, and events wait in the basin"
            }
            Self::MayNotMake => {
                "give this user `Create` on the topic or on the cluster, or make the topic by hand; it is tried \
                 again, and events wait in the basin"
            }
            Self::NoReplicas => {
                "see which brokers are down: the topic has fewer in-sync replicas than `min.insync.replicas`; events \
                 wait in the basin"
            }
            Self::Producer => {
                "nothing is lost: what was not confirmed is sent again, and some of it may come twice; if this comes \
                 back, look into the brokers' logs"
            }
            Self::TooLarge => {
                "smaller ones are sent from now on; raise `max.message.bytes` of the topic, or write \
                 `properties = { \"batch.size\" = … }` below it"
            }
            Self::Time => {
                "set the clock of the machine, or let the topic take such times (`message.timestamp.after.max.ms`, \
                 for old events `message.timestamp.before.max.ms`), or write `timestamp = \"sent\"`; the payload \
                 keeps its own"
            }
            Self::Other => "look into the brokers' logs; events wait in the basin",
        }
    }

    /// The finding of it.
    pub(super) fn finding(self, output: &str, why: String) -> Finding {
        Finding { what: self.what(output), why, fix: self.fix().into() }
    }
}

impl Teller {
    pub(super) fn new(attachment: Attachment, brokers: String) -> Self {
        let metrics = metrics().kafka(&attachment.output);
        let Attachment { output, report, .. } = attachment;
        Self { output, metrics, report, brokers, now: Mutex::default() }
    }

    /// That of an output which nobody listens to.
    pub(super) fn alone(output: &str, brokers: String) -> Self {
        let (metrics, report) = (KafkaMetrics::default(), Arc::new(|_| ()));
        Self { output: output.into(), metrics, report, brokers, now: Mutex::default() }
    }

    /// Who is meant in an error of the lane.
    pub(super) fn peer(&self) -> String {
        format!("Kafka at {}", self.brokers)
    }

    /// Something went wrong; it counts until batches are taken. A connection that ends is no trouble by itself:
    /// brokers end idle ones.
    pub(super) fn note(&self, kind: Kind, words: &str) {
        debug!(output = &*self.output, ?kind, words, "Kafka");
        // A connection that failed in its handshake is a connection that failed.
        let is_of_tls = kind == Kind::Unreachable && words.contains("SSL routines");
        let trouble = Trouble { kind: if is_of_tls { Kind::Tls } else { kind }, words: plain(words) };
        let kind = trouble.kind;
        if matches!(kind, Kind::Tls | Kind::SignIn | Kind::Unresolved) {
            self.tell(&trouble);
        }
        let mut now = self.lock();
        // What lies behind it was said before.
        let is_only_down = kind == Kind::Unreachable && trouble.words.contains("brokers are down");
        if now.last.is_none() || !is_only_down {
            now.last = Some(trouble);
        }
    }

    /// Tells it, once until batches are taken again.
    pub(super) fn tell(&self, trouble: &Trouble) {
        if self.lock().told.insert(trouble.kind) {
            self.report(trouble);
        }
    }

    /// Tells it, however often.
    pub(super) fn report(&self, trouble: &Trouble) {
        (self.report)(trouble.kind.finding(&self.output, trouble.words.clone()));
    }

    pub(super) fn last(&self) -> Option<Trouble> {
        self.lock().last.clone()
    }

    /// A new batch: a connection that ended before it may have been idle.
    pub(super) fn begin(&self) {
        let last = &mut self.lock().last;
        *last = last.take().filter(|last| last.kind != Kind::Unreachable);
    }

    /// Something was taken.
    pub(super) fn is_well(&self) {
        let mut now = self.lock();
        now.last = None;
        now.told.clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Without what differs each time, so that the same is told as the same: times, and numbers of repetitions.
fn plain(words: &str) -> String {
    let end = [" (after ", " (connect to ", "ms in state "].iter().filter_map(|mark| words.find(mark)).min();
    words[..end.unwrap_or(words.len())].trim_end_matches([',', ' ']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_told_as_the_same() {
        let words = "127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 3ms in state CONNECT, 5 identical error(s) suppressed)";
        assert_eq!(
            plain(words),
            "127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused"
        );
        assert_eq!(plain("1/1 brokers are down"), "1/1 brokers are down");
    }
}
