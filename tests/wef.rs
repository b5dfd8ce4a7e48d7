//! The collector end to end: hosts that enumerate, deliver and come back, and what is in the file.

use crate::support::host::{Host, Offered, bookmark, event, passwords};
use crate::support::process::{Process, eventually, forebay, free_port, told};
use std::fs;
use std::path::Path;

const HOSTS: [&str; 4] = ["pc1.example.org", "pc2.example.org", "dc1.example.org", "dc2.example.org"];

/// A collector with a folder of its own.
pub(crate) struct Site {
    folder: tempfile::TempDir,
    pub(crate) port: u16,
}

impl Site {
    /// With these subscriptions, and what else the source says.
    pub(crate) fn new(source: &str, rest: &str) -> Self {
        let site = Self { folder: tempfile::tempdir().unwrap(), port: free_port() };
        passwords(&site.path().join("passwords"), &HOSTS);
        site.write(source, rest);
        site
    }

    pub(crate) fn write(&self, source: &str, rest: &str) {
        let port = self.port;
        let disk = "[basin.disk]\npath = 'basin'\nsize_max = '64MiB'\nsegment_size = '1MiB'\n";
        let rest = if rest.is_empty() { disk } else { rest };
        let pipeline = format!(
            "[log]\nformat = 'json'\n{rest}[output.lake]\nsink.file.path = './out/events.jsonl'\n\
             [source.dc.wef]\nlisten = '127.0.0.1:{port}'\ninsecure_plain_http = true\n\
             auth.basic.passwords = 'passwords'\n{source}"
        );
        fs::write(self.path().join("pipeline.toml"), pipeline).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn run(&self) -> Process {
        let process = Process::start(forebay(self.path(), &["run", "pipeline.toml"]));
        self.is_up();
        process
    }

    pub(crate) fn is_up(&self) {
        eventually("it listens", || std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    pub(crate) fn host(&self, name: &str) -> Host {
        Host::new(name, self.port)
    }

    /// Record ids in the file, in its order.
    pub(crate) fn records(&self) -> Vec<u64> {
        let text = fs::read_to_string(self.path().join("out/events.jsonl")).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        let record = |line: &str| {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            event["System"]["EventRecordID"].as_u64().unwrap_or_else(|| panic!("{line}"))
        };
        whole.lines().map(record).collect()
    }
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
