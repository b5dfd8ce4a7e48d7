//! Receivers of the crash matrix.

use super::scene::Receiver;
use crate::support::backends::{Place, rsyslog};
use crate::support::process::{Process, free_port};
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
