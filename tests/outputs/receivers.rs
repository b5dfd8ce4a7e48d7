//! Receivers of the crash matrix.

use super::scene::Receiver;
use crate::support::backends::{Noida, OtelTap, Place, Relay, S3, rsyslog};
use crate::support::link::Link;
use crate::support::process::{Process, eventually, free_port};
use crate::support::sentinel::{SECRET, Sentinel};
use crate::support::splunk::{Splunk, Token};
use crate::web::ledger;
use std::fs;
use std::path::{Path, PathBuf};

/// Files have no far end.
pub(super) struct Files(pub(super) PathBuf);

impl Receiver for Files {
    fn output(&self) -> String {
        format!("format.json = {{}}\nsink.file.path = '{}/out/events.jsonl'\n", self.0.display())
    }

    fn kill(&mut self) {}

    fn restart(&mut self) {}

    fn freeze(&self) {}

    fn thaw(&self) {}

    fn dump(&self, to: &Path) {
        fs::copy(self.0.join("out/events.jsonl"), to).unwrap();
    }
}

/// rsyslog, by RELP.
pub(super) struct Relp {
    folder: PathBuf,
    place: Place,
    port: u16,
    process: Option<Process>,
}

impl Relp {
    pub(super) fn start(test: &str, folder: &Path, place: Place) -> Option<Self> {
        let port = free_port();
        let mut relp = Self { folder: folder.to_owned(), place, port, process: None };
        relp.process = Some(relp.daemon(test)?);
        Some(relp)
    }

    fn daemon(&self, test: &str) -> Option<Process> {
        let (at, port, address) = (self.folder.display(), self.port, self.place.address);
        // Written before it is answered.
        let configuration = format!(
            "global(workDirectory=\"{at}\" maxMessageSize=\"128k\")\nmodule(load=\"imrelp\" ruleset=\"in\")\n\
             input(type=\"imrelp\" port=\"{port}\" address=\"{address}\" maxDataSize=\"128k\")\n\
             template(name=\"raw\" type=\"string\" string=\"%msg%\\n\")\n\
             ruleset(name=\"in\" queue.type=\"Direct\") {{\n\
             action(type=\"omfile\" file=\"{at}/relp.out\" template=\"raw\" asyncWriting=\"off\" flushOnTXEnd=\"on\")\n}}\n"
        );
        rsyslog(test, &self.folder, self.place, &configuration, port)
    }
}

impl Receiver for Relp {
    fn output(&self) -> String {
        format!(
            "format.json = {{}}\nsink.relp = {{ address = '{}:{}', answer_timeout = '1s', connect_timeout = '1s' }}\n",
            self.place.address, self.port
        )
    }

    fn kill(&mut self) {
        self.process.take().unwrap().kill();
    }

    fn restart(&mut self) {
        self.process = self.daemon("relp");
    }

    fn freeze(&self) {
        self.process.as_ref().unwrap().freeze();
    }

    fn thaw(&self) {
        self.process.as_ref().unwrap().thaw();
    }

    fn dump(&self, to: &Path) {
        fs::copy(self.folder.join("relp.out"), to).unwrap();
    }
}

/// A search engine behind a relay, which is what dies and hangs: the one that can be had acknowledges before it
/// has anything on disk, and loses it in a kill.
pub(super) struct Elastic<'l> {
    link: &'l Link,
    noida: Noida,
    relay: Relay,
}

impl<'l> Elastic<'l> {
    pub(super) fn start(test: &str, folder: &Path, link: &'l Link) -> Option<Self> {
        let noida = link.there(|| Noida::start(test, folder, Place::HERE))?;
        let relay = Relay::start(folder, link.place(), noida.elasticsearch);
        Some(Self { link, noida, relay })
    }
}

impl Receiver for Elastic<'_> {
    fn output(&self) -> String {
        format!(
            "format.ecs.original = true\nsink.elasticsearch = {{ url = 'http://{}:{}', index = 'windows', \
             request.timeout = '1s' }}\n",
            self.link.place().address,
            self.relay.port
        )
    }

    fn kill(&mut self) {
        self.relay.kill();
    }

    fn restart(&mut self) {
        self.relay.restart();
    }

    fn freeze(&self) {
        self.relay.freeze();
    }

    fn thaw(&self) {
        self.relay.thaw();
    }

    fn dump(&self, to: &Path) {
        self.link.there(|| ledger::read_back(self.noida.elasticsearch, to));
    }
}

/// The stand-in for Splunk, with indexer acknowledgement, behind a relay.
pub(super) struct Hec<'l> {
    link: &'l Link,
    splunk: Splunk,
    relay: Relay,
}

impl<'l> Hec<'l> {
    pub(super) fn start(folder: &Path, link: &'l Link) -> Self {
        let splunk = link.there(Splunk::start);
        splunk.state().tokens.insert("good".into(), Token { acks: true, ..Token::default() });
        let relay = Relay::start(folder, link.place(), splunk.receiver.port);
        Self { link, splunk, relay }
    }
}

impl Receiver for Hec<'_> {
    fn output(&self) -> String {
        format!(
            "format.splunk = {{}}\nsink.splunk_hec = {{ url = 'http://{}:{}', token = 'good', ack = 'on', ack_timeout = '5s', \
             request.timeout = '1s' }}\n",
            self.link.place().address,
            self.relay.port
        )
    }

    fn kill(&mut self) {
        self.relay.kill();
    }

    fn restart(&mut self) {
        self.relay.restart();
    }

    fn freeze(&self) {
        self.relay.freeze();
    }

    fn thaw(&self) {
        self.relay.thaw();
    }

    fn dump(&self, to: &Path) {
        let state = self.splunk.state();
        let lines: Vec<&str> = state.events.iter().map(|event| event["event"].as_str().unwrap()).collect();
        fs::write(to, lines.join("\n")).unwrap();
    }
}

/// oteltap behind a relay, which is what dies and hangs: it keeps nothing over a kill.
pub(super) struct Otel<'l> {
    link: &'l Link,
    tap: OtelTap,
    relay: Relay,
}

impl<'l> Otel<'l> {
    pub(super) fn start(test: &str, folder: &Path, link: &'l Link) -> Option<Self> {
        let tap = link.there(|| OtelTap::start(test, folder, Place::HERE))?;
        let relay = Relay::start(folder, link.place(), tap.port);
        Some(Self { link, tap, relay })
    }
}

impl Receiver for Otel<'_> {
    fn output(&self) -> String {
        format!(
            "format.json = {{}}\nsink.otlp = {{ url = 'http://{}:{}', request = {{ timeout = '1s', \
             compression = 'none' }} }}\n",
            self.link.place().address,
            self.relay.port
        )
    }

    fn kill(&mut self) {
        self.relay.kill();
    }

    fn restart(&mut self) {
        self.relay.restart();
    }

    fn freeze(&self) {
        self.relay.freeze();
    }

    fn thaw(&self) {
        self.relay.thaw();
    }

    fn dump(&self, to: &Path) {
        // It answers before it prints.
        let mut count = 0;
        eventually("it has printed all", || {
            std::thread::sleep(std::time::Duration::from_millis(500));
            let before = std::mem::replace(&mut count, self.tap.records().len());
            before == count && count > 0
        });
        fs::write(to, self.tap.bodies().join("\n")).unwrap();
    }
}

/// The stand-in for Azure Monitor and the tenant, behind a relay.
pub(super) struct Azure<'l> {
    link: &'l Link,
    sentinel: Sentinel,
    relay: Relay,
}

impl<'l> Azure<'l> {
    pub(super) fn start(folder: &Path, link: &'l Link) -> Self {
        let sentinel = link.there(Sentinel::start);
        // Tokens end while a case goes on.
        sentinel.state().lives = 2;
        let relay = Relay::start(folder, link.place(), sentinel.receiver.port);
        Self { link, sentinel, relay }
    }
}

impl Receiver for Azure<'_> {
    fn output(&self) -> String {
        let at = format!("http://{}:{}", self.link.place().address, self.relay.port);
        let more = format!("client_secret = '{SECRET}'\nrequest.timeout = '1s'\n");
        let sink = self.sentinel.sink(&at, &more).replace("[sentinel]", "[output.it.sink.sentinel]");
        format!("format.json = {{}}\n{sink}")
    }

    fn kill(&mut self) {
        self.relay.kill();
    }

    fn restart(&mut self) {
        self.relay.restart();
    }

    fn freeze(&self) {
        self.relay.freeze();
    }

    fn thaw(&self) {
        self.relay.thaw();
    }

    fn dump(&self, to: &Path) {
        let lines: Vec<String> = self.sentinel.state().events.iter().map(ToString::to_string).collect();
        fs::write(to, lines.join("\n")).unwrap();
    }
}

/// moto behind a relay, which is what dies and hangs: what it has is in memory only.
pub(super) struct Archive<'l> {
    link: &'l Link,
    folder: PathBuf,
    s3: S3,
    relay: Relay,
}

impl<'l> Archive<'l> {
    pub(super) fn start(test: &str, folder: &Path, link: &'l Link) -> Option<Self> {
        let s3 = link.there(|| S3::start(test, folder, Place::HERE, "archive"))?;
        let relay = Relay::start(folder, link.place(), s3.address.port());
        Some(Self { link, folder: folder.to_owned(), s3, relay })
    }
}

impl Receiver for Archive<'_> {
    fn output(&self) -> String {
        // Many objects in a short time.
        format!(
            "format.json = {{}}\nsink.s3 = {{ bucket = 'archive', endpoint = 'http://{}:{}', age_max = '300ms', \
             auth = {{ access_key_id = 'a', secret_access_key = 's' }}, request = {{ timeout = '2s', connect_timeout = '1s' }} }}\n",
            self.link.place().address,
            self.relay.port
        )
    }

    fn kill(&mut self) {
        self.relay.kill();
    }

    fn restart(&mut self) {
        self.relay.restart();
    }

    fn freeze(&self) {
        self.relay.freeze();
    }

    fn thaw(&self) {
        self.relay.thaw();
    }

    fn dump(&self, to: &Path) {
        self.link.there(|| self.s3.take(&self.folder));
        let objects = crate::s3::unpacked(&self.folder.join("objects"));
        println!("{} objects", objects.len());
        fs::write(to, objects.into_values().collect::<Vec<_>>().concat()).unwrap();
    }
}
