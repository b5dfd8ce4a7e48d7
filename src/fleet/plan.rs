//! What a fleet is to do.

use super::domain::{Domain, DomainError, DomainSettings};
use super::ledger::{Head, Names, VERSION};
use super::mint::{ClientTls, Mint, MintError};
use super::pool::{Origin, Pool};
use super::schedule::Schedule;
use super::target::Target;
use crate::event::Timestamp;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub struct Plan {
    pub(super) target: Target,
    /// What hosts call the collector: the address as it was given.
    pub(super) url: String,
    pub(super) tls: Option<ClientTls>,
    pub(super) domain: Option<Domain>,
    pub settings: Settings,
    pub(super) pool: Arc<Pool>,
}

/// Everything beside where to, and how to sign in there.
#[derive(Clone, Debug)]
pub struct Settings {
    pub hosts: u32,
    pub names: Names,
    pub seed: u64,
    pub first_record: u64,
    pub origin: Origin,
    /// Connect here, whatever the addresses say.
    pub connect: Option<SocketAddr>,
    /// Addresses of our own that hosts take in turn; one has some 28 000 connections.
    pub from: Vec<IpAddr>,
    /// Password of Basic authentication; the user is the host's name.
    pub password: Option<String>,
    pub domain: Option<DomainSettings>,
    pub pace: Pace,
    /// Most events of a delivery.
    pub batch: u64,
    /// Events that are in every log when the hosts start.
    pub existing: u64,
    /// When the first of those came; otherwise when the host starts.
    pub existing_since: Option<Timestamp>,
    /// End after so many acknowledged events.
    pub events: Option<u64>,
    /// Hosts start one after the other over this time.
    pub start_over: Duration,
    /// All hosts lose their connections then, and connect again at once.
    pub storm_at: Option<Duration>,
    /// How often a host asks for its subscriptions.
    pub refresh: Duration,
    /// Instead of what the subscription says.
    pub retry: Option<Duration>,
    pub heartbeat: Option<Duration>,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How long answers that are still due are waited for at the end.
    pub grace: Duration,
    /// Hosts say goodbye at the end, as if they shut down.
    pub farewell: bool,
    pub faults: Faults,
    pub ledger: Option<PathBuf>,
    /// Process of the collector, to be watched.
    pub pid: Option<u32>,
}

/// When events come.
#[derive(Clone, Debug)]
pub enum Pace {
    /// A host has its next batch as soon as the last one is acknowledged.
    Closed,
    /// They come whether the collector keeps up or not.
    Open(Schedule),
    /// None come; hosts only send heartbeats.
    Idle,
}

/// How often something is done wrong, from 0 to 1: of the deliveries, or of the hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// The connection is cut amid the body; the delivery is then sent again.
    pub cut: f64,
    /// The connection is dropped before the answer.
    pub unheard: f64,
    /// A delivery is sent again although it was acknowledged.
    pub duplicate: f64,
    /// A message is sent that is none, beside the delivery.
    pub malformed: f64,
    /// One event of the delivery is not well-formed, among good ones.
    pub torn: f64,
    /// A connection is tried beside the delivery, with a certificate that is not to be taken.
    pub certificate: f64,
    /// A body is sent that is too large.
    pub oversize: f64,
    /// The delivery comes drop by drop.
    pub slow: f64,
    /// Of the hosts: their clock is wrong by `skew_by`.
    pub skew: f64,
    pub skew_by: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hosts: 20,
            names: Names { prefix: "ws-".into(), domain: "fleet.example".into() },
            seed: 1,
            first_record: 1,
            origin: Origin::Generated { variants: 512 },
            connect: None,
            from: Vec::new(),
            password: None,
            domain: None,
            pace: Pace::Closed,
            batch: 50,
            existing: 0,
            existing_since: None,
            events: None,
            start_over: Duration::ZERO,
            storm_at: None,
            refresh: Duration::from_secs(60),
            retry: None,
            heartbeat: None,
            // What Windows adds for the way there and back.
            timeout: super::message::OPERATION_TIMEOUT + Duration::from_secs(5),
            grace: Duration::from_secs(10),
            farewell: true,
            faults: Faults::default(),
            ledger: None,
            pid: None,
        }
    }
}

impl Settings {
    pub(super) fn head(&self) -> Head {
        Head {
            forebay_ledger: VERSION,
            seed: self.seed,
            hosts: self.hosts,
            names: self.names.clone(),
            first_record: self.first_record,
            origin: self.origin.clone(),
        }
    }
}

impl Plan {
    /// `mint` signs the certificates of the hosts, `server_ca` vouches for the collector; both are for
    /// addresses with `https`. Hosts that sign in to a domain show no certificates.
    ///
    /// # Errors
    /// What is wrong with the address, the certificates or the keys.
    pub fn new(
        url: &str,
        mint: Option<Mint>,
        server_ca: Option<&Path>,
        pool: Arc<Pool>,
        settings: Settings,
    ) -> Result<Self, PlanError> {
        let target = Target::parse(url).map_err(PlanError::Url)?;
        let shows = settings.domain.is_none();
        if target.is_tls && shows && mint.is_none() {
            return Err(PlanError::NoMint);
        }
        let tls = ClientTls::new(mint, server_ca, shows)?;
        if target.is_tls && tls.is_none() {
            return Err(PlanError::NoServerCa);
        }
        if pool.is_empty() {
            return Err(PlanError::NoEvents);
        }
        let names = || (0..settings.hosts).map(|host| settings.names.of(host)).collect::<Vec<_>>();
        let domain = settings.domain.clone().map(|settings| Domain::new(settings, &names()));
        Ok(Self { target, url: url.into(), tls, domain: domain.transpose()?, settings, pool })
    }
}

#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error("{0}")]
    Url(String),
    #[error("hosts sign in to an https address with certificates; name a CA")]
    NoMint,
    #[error("hosts trust nobody at an https address; name the CA of the collector's certificate")]
    NoServerCa,
    #[error("there is no event that a host could send")]
    NoEvents,
    #[error(transparent)]
    Mint(#[from] MintError),
    #[error(transparent)]
    Domain(#[from] DomainError),
}
