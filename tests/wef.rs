//! The collector end to end: hosts that enumerate, deliver and come back, and what is in the file.

mod bad_input;
mod crash;
mod crowd;
mod hosts;
mod kerberos;
mod tls;

use crate::support::host::{Host, Offered, bookmark, event, passwords};
use crate::support::once::findings;
use crate::support::process::{Process, eventually, forebay, free_port, told};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// A collector with a folder of its own.
pub(crate) struct Site {
    folder: tempfile::TempDir,
    pub(crate) port: u16,
    /// How hosts come in, and sign in.
    entrance: &'static str,
    /// Where basin and output are.
    place: String,
}

/// A password, and nothing that hides it.
const PLAIN: &str = "insecure_plain_http = true\nauth.basic.passwords = 'passwords'\n";

impl Site {
    /// With these subscriptions, and what else the source says.
    pub(crate) fn new(source: &str, rest: &str) -> Self {
        let site = Self::bare(PLAIN);
        site.has_passwords();
        site.write(source, rest);
        site
    }

    /// Its hosts are known.
    fn has_passwords(&self) {
        let numbered = (0..50).map(|number| format!("h{number}.example.org"));
        let hosts: Vec<String> =
            ["pc1.example.org", "pc2.example.org"].map(str::to_owned).into_iter().chain(numbered).collect();
        passwords(&self.path().join("passwords"), &hosts);
    }

    /// Nothing is written yet.
    pub(crate) fn bare(entrance: &'static str) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), port: free_port(), entrance, place: ".".into() }
    }

    pub(crate) fn write(&self, source: &str, rest: &str) {
        let Self { port, entrance, place, .. } = self;
        let disk =
            format!("[basin.disk]\npath = '{place}/basin'\nsize_max = '64MiB'\nsegment_size = '1MiB'\n");
        let rest = if rest.is_empty() { &disk } else { rest };
        let pipeline = format!(
            "[log]\nformat = 'json'\n{rest}[output.lake]\nsink.file.path = '{place}/out/events.jsonl'\n\
             [source.dc.wef]\nlisten = '127.0.0.1:{port}'\n{entrance}{source}"
        );
        fs::write(self.path().join("pipeline.toml"), pipeline).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn run(&self) -> Process {
        self.up(forebay(self.path(), &["run", "pipeline.toml"]))
    }

    /// With its standard output open, and nobody who reads it.
    pub(crate) fn run_piped(&self) -> Process {
        let mut command = forebay(self.path(), &["run", "pipeline.toml", "--drain", "100s"]);
        command.stdout(Stdio::piped());
        self.up(command)
    }

    /// One more part of the pipeline.
    pub(crate) fn add(&self, part: &str) {
        let path = self.path().join("pipeline.toml");
        let pipeline = fs::read_to_string(&path).unwrap();
        fs::write(path, format!("{part}{pipeline}")).unwrap();
    }

    /// Starts it, and waits until hosts can come.
    pub(crate) fn up(&self, command: Command) -> Process {
        let mut process = Process::start(command);
        eventually("it listens", || {
            assert!(process.is_running(), "{}", told(self.path()));
            std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
        process
    }

    pub(crate) fn host(&self, name: &str) -> Host {
        Host::new(name, self.port)
    }

    /// Record ids in the file, in its order.
    pub(crate) fn records(&self) -> Vec<u64> {
        self.events().into_iter().map(|(_, record)| record).collect()
    }

    /// Computer and record id of each event in the file, in its order.
    pub(crate) fn events(&self) -> Vec<(String, u64)> {
        let path = self.path().join(&self.place).join("out/events.jsonl");
        events_of(&fs::read_to_string(path).unwrap_or_default())
    }
}

/// Computer and record id of each event in lines of JSON, but for one that is torn at the end.
fn events_of(text: &str) -> Vec<(String, u64)> {
    let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
    let record = |line: &str| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        let system = &event["System"];
        (system["Computer"].as_str().unwrap().to_owned(), system["EventRecordID"].as_u64().unwrap())
    };
    whole.lines().map(record).collect()
}

pub(crate) const LOGONS: &str =
    "[source.dc.wef.subscription.logons]\nquery.channels = { Security = [4624] }\n";
pub(crate) const WEC: &str = "/wsman/SubscriptionManager/WEC";

pub(crate) fn batch(host: &Host, records: impl Iterator<Item = u64>) -> Vec<String> {
    records.map(|record| event("Security", record, &host.name)).collect()
}

/// The only subscription there is.
pub(crate) fn only(mut offered: Vec<Offered>) -> Offered {
    assert_eq!(offered.len(), 1, "{offered:?}");
    offered.remove(0)
}

#[test]
fn events_are_acknowledged_come_into_the_file_and_are_gone_on_with_after_a_restart() {
    let site = Site::new(LOGONS, "");
    let running = site.run();
    let mut host = site.host("pc1.example.org");
    let offered = only(host.enumerate(WEC));
    assert_eq!((offered.name.as_str(), &offered.bookmark), ("logons", &None));
    let events = batch(&host, 1..=3);
    assert!(host.deliver(&offered, &events, &bookmark("Security", 3)).unwrap().is_ack());
    eventually("the file has them", || site.records() == [1, 2, 3]);
    running.stop();
    assert_eq!(running.code(), Some(0), "{}", told(site.path()));

    let running = site.run();
    host.hang_up();
    let again = only(host.enumerate(WEC));
    assert_eq!(again.bookmark, Some(bookmark("Security", 3)));
    assert_eq!(Offered { bookmark: None, ..again.clone() }, offered, "nothing else has changed");
    let events = batch(&host, 4..=5);
    assert!(host.deliver(&again, &events, &bookmark("Security", 5)).unwrap().is_ack());
    eventually("the file has them all", || site.records() == [1, 2, 3, 4, 5]);
    running.stop();
    assert_eq!(running.code(), Some(0), "{}", told(site.path()));
}

#[test]
fn a_reload_changes_what_hosts_are_asked_for_at_their_next_question_and_keeps_where_they_are() {
    let site = Site::new(LOGONS, "");
    let running = site.run();
    let mut host = site.host("pc1.example.org");
    let first = only(host.enumerate(WEC));
    let events = batch(&host, 1..=3);
    assert!(host.deliver(&first, &events, &bookmark("Security", 3)).unwrap().is_ack());

    // Written otherwise, and for fewer hosts: nothing that this one must know.
    let same = "[source.dc.wef.subscription.logons]\nenabled_for.deny = 'pc2*'\nquery.xpath.Security = '*[System[(EventID=4624)]]'\n";
    site.write(same, "");
    reload(&site, &running, 1);
    host.hang_up();
    let again = only(host.enumerate(WEC));
    assert_eq!((again.version, again.bookmark.as_deref()), (first.version, Some(&*bookmark("Security", 3))));
    assert_eq!(site.host("pc2.example.org").enumerate(WEC), []);

    let more =
        "[source.dc.wef.subscription.logons]\nquery.channels = { Security = [4624, 4625], System = '*' }\n";
    site.write(more, "");
    reload(&site, &running, 2);
    host.hang_up();
    let changed = only(host.enumerate(WEC));
    assert_ne!(changed.version, first.version);
    assert_eq!((&changed.path, &changed.bookmark), (&first.path, &again.bookmark));
    let events = batch(&host, 4..=4);
    assert!(host.deliver(&changed, &events, &bookmark("Security", 4)).unwrap().is_ack());
    eventually("the file has them", || site.records() == [1, 2, 3, 4]);
    assert_eq!(findings(&told(site.path())), ["the subscription `logons` asks for one more channel"]);

    site.write(
        "[source.dc.wef.subscription.logons]\nquery.channels = { Secruity = [4624] }\nmax_elements = 0\n",
        "",
    );
    running.reload();
    eventually("the file is refused", || told(site.path()).contains("the running pipeline stays"));
    host.hang_up();
    assert_eq!(only(host.enumerate(WEC)).version, changed.version);
}

/// Reloads, and waits for the life with this number.
fn reload(site: &Site, running: &Process, number: usize) {
    running.reload();
    eventually("the next life listens", || {
        told(site.path()).matches("listening for hosts").count() == number + 1
    });
}
