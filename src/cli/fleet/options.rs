//! What can be typed behind `forebay fleet`.

use super::member::Member;
use crate::cli::Shape;
use crate::cli::{Exit, Failure};
use crate::event::Timestamp;
use crate::fleet::{Faults, Mint, Names, Origin, Pace, Schedule, Settings};
use crate::units::Span;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Where hosts ask for their subscriptions: https://wec.example:5986/wsman/SubscriptionManager/WEC
    pub(super) url: String,
    /// How many hosts
    #[arg(short = 'n', long, default_value_t = 20)]
    hosts: u32,
    /// Names of the hosts: {prefix}00012.{domain}
    #[arg(long, default_value = "ws-")]
    prefix: String,
    #[arg(long, default_value = "fleet.example")]
    domain: String,
    /// Connect to this address whatever name the URLs have
    #[arg(long, value_name = "ADDR:PORT")]
    connect: Option<SocketAddr>,
    /// Own addresses that hosts take in turn: 127.0.0.2-127.0.0.9
    #[arg(long, value_name = "ADDR[-ADDR]", value_parser = addresses)]
    from: Option<Addresses>,

    /// Folder of certificates; made when there are none (ca.pem, server.pem and server.key are for the collector)
    #[arg(long, value_name = "DIR", help_heading = "Sign-in")]
    certificates: Option<PathBuf>,
    /// Certificate of the CA that signs the hosts' certificates, in place of that of the folder
    #[arg(
        long,
        value_name = "PEM",
        requires = "key",
        conflicts_with = "certificates",
        help_heading = "Sign-in"
    )]
    ca: Option<PathBuf>,
    /// Key of that CA
    #[arg(long, value_name = "PEM", requires = "ca", help_heading = "Sign-in")]
    key: Option<PathBuf>,
    /// CA of the collector's certificate, where it is not that of the hosts
    #[arg(long, value_name = "PEM", help_heading = "Sign-in")]
    pub(super) server_ca: Option<PathBuf>,
    /// Password of Basic authentication; the user is the host's name
    #[arg(long, help_heading = "Sign-in")]
    password: Option<String>,
    /// Make the folder of certificates and end
    #[arg(long, requires = "certificates", help_heading = "Sign-in")]
    pub(super) mint_only: bool,

    /// Events of these files instead of made-up ones: .evtx, XML or JSON lines
    #[arg(long, value_name = "FILE", num_args = 1.., help_heading = "Events")]
    replay: Vec<PathBuf>,
    /// Different events that are made up
    #[arg(long, default_value_t = 512, help_heading = "Events")]
    variants: usize,
    /// What made-up events follow from
    #[arg(long, default_value_t = 1, help_heading = "Events")]
    seed: u64,
    /// Record id of each channel's first event
    #[arg(long, default_value_t = 1, help_heading = "Events")]
    first_record: u64,
    /// Events that are in every host's log at the start
    #[arg(long, default_value_t = 0, help_heading = "Events")]
    existing: u64,
    /// When the first of them came, such as 2026-01-02T03:04:05Z, so that two runs send the same events
    /// [default: when the host starts]
    #[arg(long, value_name = "TIME", value_parser = moment, requires = "existing", help_heading = "Events")]
    existing_since: Option<Timestamp>,

    /// Open loop: so many events per second of all hosts together, whether the collector keeps up or not.
    /// Without it each host sends its next batch when the last is acknowledged
    #[arg(long, value_name = "EVENTS/S", help_heading = "Pace")]
    rate: Option<f64>,
    /// Most events of a delivery; the subscription may say less. At a rate that does not fill it within the
    /// subscription's MaxTime, what is there is sent in time
    #[arg(long, default_value_t = 50, help_heading = "Pace")]
    batch: u64,
    /// Reach the rate evenly over this time
    #[arg(long, value_name = "TIME", requires = "rate", value_parser = Span::parse, help_heading = "Pace")]
    ramp: Option<Span>,
    /// Rate where the ramp begins
    #[arg(long, default_value_t = 0.0, requires = "ramp", help_heading = "Pace")]
    ramp_from: f64,
    /// So many times the rate in each burst
    #[arg(long, value_name = "TIMES", requires = "rate", conflicts_with = "ramp", help_heading = "Pace")]
    burst: Option<f64>,
    /// How long a burst is
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = Span::parse, help_heading = "Pace")]
    burst_length: Span,
    /// From one burst to the next
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = Span::parse, help_heading = "Pace")]
    burst_every: Span,
    /// No events, only heartbeats
    #[arg(long, conflicts_with_all = ["rate", "events"], help_heading = "Pace")]
    idle: bool,
    /// Hosts start one after the other over this time [default: 2 ms for each]
    #[arg(long, value_name = "TIME", value_parser = Span::parse, help_heading = "Pace")]
    start_over: Option<Span>,
    /// End after this time
    #[arg(long, value_name = "TIME", value_parser = Span::parse, help_heading = "Pace")]
    pub(super) duration: Option<Span>,
    /// End after so many events
    #[arg(long, help_heading = "Pace")]
    events: Option<u64>,

    /// How often hosts ask for their subscriptions
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = Span::parse, help_heading = "Hosts")]
    refresh: Span,
    /// After this time all hosts lose their connections and connect again at once; the report tells how long
    /// until all are back
    #[arg(long, value_name = "TIME", value_parser = Span::parse, help_heading = "Hosts")]
    reconnect_after: Option<Span>,
    /// Pause before a delivery is sent again, in place of the subscription's
    #[arg(long, value_name = "TIME", value_parser = Span::parse, help_heading = "Hosts")]
    retry: Option<Span>,
    /// Silence before a heartbeat, in place of the subscription's
    #[arg(long, value_name = "TIME", value_parser = Span::parse, help_heading = "Hosts")]
    heartbeat: Option<Span>,
    /// How long hosts wait for an answer
    #[arg(long, value_name = "TIME", default_value = "65s", value_parser = Span::parse, help_heading = "Hosts")]
    timeout: Span,
    /// How long answers are waited for at the end
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = Span::parse, help_heading = "Hosts")]
    grace: Span,
    /// At the end hosts vanish instead of ending their subscriptions
    #[arg(long, help_heading = "Hosts")]
    vanish: bool,

    /// Of the deliveries, cut in their midst, then sent again; 0.01 is one in a hundred
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share, help_heading = "Faults")]
    fault_cut: f64,
    /// Of the deliveries, connection dropped before the answer, then sent again
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share, help_heading = "Faults")]
    fault_unheard: f64,
    /// Of the deliveries, sent once more after the Ack
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share, help_heading = "Faults")]
    fault_duplicate: f64,
    /// Beside so many deliveries, a message that is none
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share, help_heading = "Faults")]
    fault_malformed: f64,
    /// Of the deliveries, with one event among the good ones that is not well-formed
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share, help_heading = "Faults")]
    fault_torn: f64,
    /// Beside so many deliveries, a connection with a certificate that must not be taken: of another CA,
    /// expired, or none; with https
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share, help_heading = "Faults")]
    fault_certificate: f64,
    /// Beside so many deliveries, a body that is too large
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share, help_heading = "Faults")]
    fault_oversize: f64,
    /// Of the deliveries, sent drop by drop
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share, help_heading = "Faults")]
    fault_slow: f64,
    /// Of the hosts, with a clock that is fast by `--skew`
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share, help_heading = "Faults")]
    fault_skew: f64,
    /// How fast such a clock is
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = Span::parse, help_heading = "Faults")]
    skew: Span,

    /// File that tells what was sent and acknowledged, for `fleet verify`; an existing one is gone on with
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    ledger: Option<PathBuf>,
    /// Process of the collector, whose processor time and memory are measured
    #[arg(long, help_heading = "Report")]
    pid: Option<u32>,
    /// Write the report as a page with curves
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub(super) html: Option<PathBuf>,
    /// How the report is printed
    #[arg(short, long, value_enum, default_value_t, help_heading = "Report")]
    pub(super) output: Shape,
    /// Threads of the fleet
    #[arg(long, default_value_t = 2, help_heading = "Report")]
    pub(super) threads: usize,
}

/// Between two hosts that start, unless it is said otherwise: a handshake takes about a millisecond of
/// either side.
const START_PAUSE: Duration = Duration::from_millis(2);
/// Most addresses of a range.
const ADDRESSES_MAX: usize = 4096;

#[derive(Clone, Debug)]
struct Addresses(Vec<IpAddr>);

impl Options {
    pub(super) fn mint(&self) -> Result<Option<Mint>, Failure> {
        let mint = match (&self.certificates, &self.ca, &self.key) {
            (Some(folder), ..) => Mint::of_folder(folder, self.collector()),
            (None, Some(ca), Some(key)) => Mint::given(ca, key),
            _ => return Ok(None),
        };
        mint.map(Some).map_err(|error| Failure::new(Exit::Data, error))
    }

    /// The collector's name in its address.
    fn collector(&self) -> &str {
        let rest = self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest);
        let authority = rest.split('/').next().unwrap_or(rest);
        authority.rsplit_once(':').map_or(authority, |(host, _)| host)
    }

    pub(super) fn settings(&self, member: &Member) -> Result<Settings, Failure> {
        if self.hosts == 0 || self.batch == 0 {
            return Err(Failure::new(Exit::Usage, "there is at least one host, and one event in a batch"));
        }
        if self.fault_certificate > 0.0 && !self.url.starts_with("https:") {
            let why = "`--fault-certificate` is for an https address: certificates are shown over TLS only";
            return Err(Failure::new(Exit::Usage, why));
        }
        if let (Some(after), Some(duration)) = (self.reconnect_after, self.duration)
            && after.0 >= duration.0
        {
            let why = "`--reconnect-after` is to be within `--duration`";
            return Err(Failure::new(Exit::Usage, why));
        }
        let origin = if self.replay.is_empty() {
            Origin::Generated { variants: self.variants }
        } else {
            Origin::Replayed { files: self.replay.clone() }
        };
        Ok(Settings {
            hosts: self.hosts,
            names: Names { prefix: self.prefix.clone(), domain: self.domain.clone() },
            seed: self.seed,
            first_record: self.first_record,
            origin,
            connect: self.connect,
            from: self.from.clone().map(|from| from.0).unwrap_or_default(),
            password: self.password.clone(),
            domain: member.settings(&self.domain, self.fault_certificate > 0.0)?,
            pace: self.pace(),
            batch: self.batch,
            existing: self.existing,
            existing_since: self.existing_since,
            events: self.events,
            start_over: self.start_over.map_or(START_PAUSE * self.hosts, |span| span.0),
            storm_at: self.reconnect_after.map(|span| span.0),
            refresh: self.refresh.0,
            retry: self.retry.map(|span| span.0),
            heartbeat: self.heartbeat.map(|span| span.0),
            timeout: self.timeout.0,
            grace: self.grace.0,
            farewell: !self.vanish,
            faults: Faults {
                cut: self.fault_cut,
                unheard: self.fault_unheard,
                duplicate: self.fault_duplicate,
                malformed: self.fault_malformed,
                torn: self.fault_torn,
                certificate: self.fault_certificate,
                oversize: self.fault_oversize,
                slow: self.fault_slow,
                skew: self.fault_skew,
                skew_by: self.skew.0,
            },
            ledger: self.ledger.clone(),
            pid: self.pid,
        })
    }

    fn pace(&self) -> Pace {
        let Some(rate) = self.rate else {
            return if self.idle { Pace::Idle } else { Pace::Closed };
        };
        Pace::Open(match (self.ramp, self.burst) {
            (Some(over), _) => Schedule::ramp(self.ramp_from, rate, over.0),
            (None, Some(times)) => {
                Schedule::bursts(rate, rate * times, self.burst_length.0, self.burst_every.0)
            }
            (None, None) => Schedule::steady(rate),
        })
    }
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("`{text}` is no share; write a number from 0 to 1, such as `0.01`"))
}

fn moment(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text.as_bytes())
        .ok_or_else(|| format!("`{text}` is no time; write one such as `2026-01-02T03:04:05Z`"))
}

fn addresses(text: &str) -> Result<Addresses, String> {
    let wrong = || format!("`{text}` is no address and no range such as `127.0.0.2-127.0.0.9`");
    let Some((first, last)) = text.split_once('-') else {
        return text.parse().map(|address| Addresses(vec![address])).map_err(|_| wrong());
    };
    let number = |text: &str| text.trim().parse::<Ipv4Addr>().map(u32::from).map_err(|_| wrong());
    let (first, last) = (number(first)?, number(last)?);
    let all = (first..=last).map(|number| IpAddr::V4(number.into())).take(ADDRESSES_MAX);
    let all: Vec<IpAddr> = all.collect();
    if all.is_empty() { Err(wrong()) } else { Ok(Addresses(all)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_addresses_and_shares_are_read() {
        let all = addresses("127.0.0.254-127.0.1.1").unwrap().0;
        assert_eq!(all.len(), 4);
        assert_eq!(all[3], IpAddr::from([127, 0, 1, 1]));
        assert_eq!(addresses("::1").unwrap().0.len(), 1);
        for wrong in ["", "x", "127.0.0.9-127.0.0.2", "1-2"] {
            assert!(addresses(wrong).is_err(), "{wrong}");
        }
        assert_eq!(share("0.5"), Ok(0.5));
        assert!(share("2").is_err() && share("-0.1").is_err());
    }
}
