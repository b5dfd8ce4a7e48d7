//! `[source.NAME.wef]`: what was written, checked, and run.
//!
//! Must not know: how hosts are admitted, served and answered.

use super::entrance::{Entrance, LimitsConfig, Written};
use super::hosts::Hosts;
use super::known;
use super::listener::Closed;
use super::session::Collector;
use super::subscription::{Config as SubscriptionConfig, Subscriptions};
use super::{Limits, Trust};
use crate::auth::AuthConfig;
use crate::auth::tls::Config as TlsConfig;
use crate::basin::Basin;
use crate::filter::OneOrMany;
use crate::finding::Finding;
use crate::source::{Report, SourceError, Summary, batch};
use crate::units::Span;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

/// Windows machines push their events to us (Windows Event Forwarding, source-initiated).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where hosts come in: an address and port, or a list of them.
    pub listen: OneOrMany<String>,
    /// HTTPS, with a certificate of our own; without it plain HTTP.
    pub tls: Option<TlsConfig>,
    /// How hosts prove who they are; at least one way.
    #[serde(default)]
    pub auth: AuthConfig,
    /// Whether passwords and events may cross the network as they are, for tests.
    #[serde(default)]
    pub insecure_plain_http: bool,
    /// Addresses and networks of load balancers, which say with a PROXY header (version 1 or 2) who
    /// comes through them.
    #[serde(default)]
    pub proxy_from: OneOrMany<String>,
    /// What becomes of events that name another computer than the one which signed in.
    #[serde(default)]
    pub trust: Trust,
    /// How long a delivery waits for the basin before the host is told to come again. Hosts give a
    /// request a minute.
    #[serde(default = "hold_max_default")]
    pub hold_max: Span,
    /// A host that was not heard of for so long is forgotten, its bookmarks too: should it come back, it
    /// begins anew.
    #[serde(default = "forget_after_default")]
    pub forget_after: Span,
    /// Files with a subscription each, by path or glob, from the folder in which forebay is started. A
    /// file holds what stands below the header of a subscription here, and gives it its name.
    #[serde(default)]
    pub subscriptions: OneOrMany<String>,
    /// What hosts are asked for, by name.
    #[serde(default)]
    pub subscription: BTreeMap<String, SubscriptionConfig>,
    #[serde(default)]
    pub limits: LimitsConfig,
}

// Ten seconds less than a host waits.
fn hold_max_default() -> Span {
    Span::secs(50)
}

// A quarter: who comes back after that has most likely been set up anew.
fn forget_after_default() -> Span {
    Span::secs(90 * 86_400)
}

/// For the table of hosts, at the end.
const KEEP_TIME_MAX: Duration = Duration::from_secs(3);
/// What a host gives a request.
const PATIENCE: Span = Span::secs(60);
/// Machines are switched off over night, and must not lose their bookmarks by it.
const FORGET_AFTER_MIN: Span = Span::secs(3600);
/// What a message is larger than the envelope that a subscription allows: lists of namespaces, faults.
const SLACK_BYTES: usize = 128 * 1024;

impl Config {
    /// Checks what was written; opens nothing.
    pub fn open(&self, name: &str) -> Result<Wef, SourceError> {
        let wrong = |key, what: String, fix| SourceError::Config { name: name.into(), key, what, fix };
        let entrance = Entrance::open(&Written {
            listen: &self.listen,
            tls: self.tls.as_ref(),
            auth: &self.auth,
            insecure_plain_http: self.insecure_plain_http,
            proxy_from: &self.proxy_from,
            limits: &self.limits,
        });
        let entrance = entrance.map_err(|found| wrong(found.key, found.what, found.fix))?;
        if self.hold_max < Span::secs(1) || self.hold_max >= PATIENCE {
            let what = format!("{} is no time to hold a delivery", self.hold_max);
            return Err(wrong("hold_max", what, "write `1s` to `59s`; hosts wait a minute for an answer"));
        }
        if self.forget_after < FORGET_AFTER_MIN {
            let what = format!("hosts would be forgotten after {}", self.forget_after);
            return Err(wrong("forget_after", what, "write `1h` or more; with a host go its bookmarks"));
        }
        if self.subscription.is_empty() {
            let fix = "add `[source.NAME.wef.subscription.X]`, or name files in `subscriptions`";
            return Err(wrong("subscription", "hosts would be asked for nothing".into(), fix));
        }
        let subscriptions = Subscriptions::open(name, &self.subscription)?;
        let limits = Limits {
            hold_max: self.hold_max.0,
            expanded_bytes_max: subscriptions.envelope_bytes_max() + SLACK_BYTES,
        };
        Ok(Wef {
            name: name.into(),
            entrance,
            subscriptions,
            trust: self.trust,
            limits,
            forget_after: self.forget_after,
            hosts: Arc::new(Hosts::new()),
            report: Report::new(name),
        })
    }
}

/// The source, checked.
#[derive(Clone, Debug)]
pub struct Wef {
    name: Box<str>,
    entrance: Entrance,
    subscriptions: Subscriptions,
    trust: Trust,
    limits: Limits,
    forget_after: Span,
    hosts: Arc<Hosts>,
    report: Report,
}

impl Wef {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Live figures; stays valid while and after the source runs.
    pub fn report(&self) -> Report {
        self.report.clone()
    }

    /// Whether what names another computer goes to the dead letter.
    pub fn diverts(&self) -> bool {
        self.trust == Trust::Strict
    }

    /// Names of its subscriptions.
    pub fn subscriptions(&self) -> impl Iterator<Item = &str> {
        self.subscriptions.names()
    }

    /// The hosts it has heard of, as JSON objects; can be asked while and after the source runs.
    pub fn hosts(&self) -> impl Fn() -> Vec<Value> + Send + Sync + 'static {
        let (hosts, subscriptions, source) =
            (Arc::clone(&self.hosts), self.subscriptions.clone(), self.name.clone());
        move || {
            let name = |id| subscriptions.by_id(id).map(|known| known.name.to_string());
            hosts.shown(&source, batch::now(), &name)
        }
    }

    /// What would keep hosts from coming in. Changes nothing.
    pub fn probe(&self) -> Vec<Finding> {
        self.entrance.probe()
    }

    /// Serves one peer over any stream until it ends, as if it had come in from `address`. Nothing is
    /// listened on, and what secures the stream is the caller's matter.
    ///
    /// # Errors
    /// When nobody could come in.
    pub async fn converse(
        &self,
        basin: Basin,
        address: IpAddr,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    ) -> Result<(), SourceError> {
        let served = self.entrance.converse(self.collector(basin)?, self.report(), address, stream).await;
        served.map_err(|Closed { finding, kind }| self.input(finding, kind))
    }

    fn collector(&self, basin: Basin) -> Result<Arc<Collector>, SourceError> {
        let (subscriptions, hosts) = (self.subscriptions.clone(), Arc::clone(&self.hosts));
        let collector =
            Collector::new(&self.name, basin, subscriptions, self.limits, self.trust, hosts, self.report());
        collector.map(Arc::new).map_err(|error| {
            let finding = Finding {
                what: "no random numbers for the ids of messages, or no threads".into(),
                why: error.to_string(),
                fix:
                    "let the system have /dev/urandom, and the process more threads (`ulimit -u`, `TasksMax`)"
                        .into(),
            };
            self.input(finding, error.kind())
        })
    }

    fn input(&self, finding: Finding, kind: io::ErrorKind) -> SourceError {
        SourceError::Input { name: self.name.clone(), finding, kind }
    }

    /// Takes in what hosts push, until `stop`.
    ///
    /// # Errors
    /// When nobody can come in.
    pub async fn run(self, basin: Basin, stop: CancellationToken) -> Result<Summary, SourceError> {
        let collector = self.collector(basin.clone())?;
        collector.recall_hosts();
        // Beside each other: a basin that is full keeps no host from coming in.
        let besides = async {
            known::remember(&self.name, &self.subscriptions, &basin, &self.report).await;
            collector.keep_hosts(self.forget_after.0).await
        };
        let served = tokio::select! {
            served = self.entrance.serve(Arc::clone(&collector), self.report(), stop) => served,
            never = besides => match never {},
        };
        // What the basin does not take in this time is as old as it was kept last.
        drop(tokio::time::timeout(KEEP_TIME_MAX, collector.keep_now()).await);
        served.map_err(|Closed { finding, kind }| self.input(finding, kind))?;
        Ok(self.report.summary())
    }
}
