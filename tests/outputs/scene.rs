//! A collector with one output, simulated hosts that push into it, and what the receiver has in the end.

use crate::support::process::{Process, eventually, forebay, free_port, http_get, told};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// The far end of an output.
pub(crate) trait Receiver {
    /// The parts of `[output.it]`.
    fn output(&self) -> String;

    /// SIGKILL.
    fn kill(&mut self);

    /// After a kill, at the same address.
    fn restart(&mut self);

    /// It stops to do anything, and keeps its connections.
    fn freeze(&self);

    fn thaw(&self);

    /// All that it has, an event a line.
    fn dump(&self, to: &Path);

    /// Most events that can be lost by what happened, where the protocol lets some be: those that a receiver had not
    /// read when it was killed. Asked after `dump`.
    fn lost_max(&self) -> u64 {
        0
    }
}

pub(crate) struct Scene {
    folder: PathBuf,
    /// Where the basin is.
    basin: PathBuf,
    port: u16,
    http: u16,
    running: Option<Process>,
    fleet: Option<Process>,
}

impl Scene {
    /// Starts a collector in `folder`, with its basin in `place`, and hosts that push.
    pub(super) fn begin(folder: &Path, place: &Path, receiver: &dyn Receiver) -> Self {
        let scene = Self {
            folder: folder.to_owned(),
            basin: place.join("basin"),
            port: free_port(),
            http: free_port(),
            running: None,
            fleet: None,
        };
        scene.started(receiver)
    }

    fn started(mut self, receiver: &dyn Receiver) -> Self {
        let url = format!("https://127.0.0.1:{}/wsman/SubscriptionManager/WEC", self.port);
        let mint = ["fleet", &url, "--certificates", "certificates", "--mint-only"];
        assert_eq!(Process::start(forebay(&self.folder, &mint)).code(), Some(0));
        let (basin, port, http) = (self.basin.display(), self.port, self.http);
        let pipeline = format!(
            "[log]\nformat = 'json'\n[http]\nlisten = '127.0.0.1:{http}'\n\
             [basin.disk]\npath = '{basin}'\nsize_max = '64MiB'\nsegment_size = '1MiB'\n\
             [source.dc.wef]\nlisten = '127.0.0.1:{port}'\nhold_max = '1s'\n\
             tls = {{ certificate = 'certificates/server.pem', key = 'certificates/server.key' }}\n\
             auth.certificate.ca = ['certificates/ca.pem']\n\
             [source.dc.wef.subscription.all]\nquery.channels = {{ Security = '*', System = '*' }}\n\
             [output.it]\nretry = {{ pause_min = '50ms', pause_max = '500ms' }}\n{}",
            receiver.output()
        );
        fs::write(self.folder.join("pipeline.toml"), pipeline).unwrap();
        self.run();
        let fleet = ["fleet", &url, "-n", "12", "--certificates", "certificates", "--ledger", "ledger"];
        let pace =
            ["--rate", "1500", "--batch", "20", "--retry", "200ms", "--refresh", "500ms", "-o", "json"];
        let mut fleet = forebay(&self.folder, &[&fleet[..], &pace].concat());
        fleet.stdout(fs::File::create(self.folder.join("report")).unwrap()).stderr(Stdio::null());
        self.fleet = Some(Process::start(fleet));
        eventually("events are confirmed", || self.confirmed() > 0);
        self
    }

    /// Starts the collector.
    pub(super) fn run(&mut self) {
        let mut process = Process::start(forebay(&self.folder, &["run", "pipeline.toml"]));
        eventually("it is ready", || {
            assert!(process.is_running(), "{}", told(&self.folder));
            std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
        self.running = Some(process);
    }

    /// kill -9 of the collector.
    pub(super) fn kill(&mut self) {
        self.running.take().unwrap().kill();
    }

    /// Events that this life of the collector has delivered.
    pub(super) fn confirmed(&self) -> u64 {
        self.metric("forebay_output_events_total{output=\"it\"}")
    }

    pub(super) fn metric(&self, name: &str) -> u64 {
        let metrics = http_get(self.http, "/metrics");
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.map_or(0, |value| value.trim().parse().unwrap())
    }

    /// The hosts stop, all that is kept is delivered, the collector stops: what the receiver then has, held
    /// against the ledger of the hosts.
    #[track_caller]
    pub(super) fn end(mut self, receiver: &dyn Receiver) -> Value {
        let fleet = self.fleet.take().unwrap();
        fleet.stop();
        assert_eq!(fleet.code(), Some(0), "{}", told(&self.folder));
        eventually("all of it is delivered", || self.metric("forebay_output_lag_events{output=\"it\"}") == 0);
        let running = self.running.take().unwrap();
        running.stop();
        assert_eq!(running.code(), Some(0), "{}", told(&self.folder));
        let dump = self.folder.join("dump");
        fs::create_dir(&dump).unwrap();
        receiver.dump(&dump.join("events.jsonl"));
        let verify = ["fleet", "verify", "ledger", "dump", "-o", "json"];
        let verified = forebay(&self.folder, &verify).stdout(Stdio::piped()).output().unwrap();
        serde_json::from_slice(&verified.stdout).unwrap_or_else(|_| panic!("{}", told(&self.folder)))
    }
}
